//! The trait, receipt and macro of the actions, the endpoints that buy something.

use serde::Deserialize;

use super::Endpoint;
use super::customer_records::CustomerRecord;
use super::records::Record;
use super::row::{Row, row};
use crate::purchase::Purchase;
use crate::value::{
    Category, Extra, Impact, ImpactKind, RecordCustomer, RecordedMetadata, Timestamp, UserId,
};

/// An endpoint that buys an impact. Each call is a separate purchase.
///
/// The trait is sealed; [`Purchase`] is any of its implementors as one type.
pub trait Action: Endpoint<Response = Receipt> + Into<Purchase> + Clone + Sealed {
    /// The kind of impact that it buys.
    fn kind() -> ImpactKind;
}

#[expect(unnameable_types, reason = "it seals `Action`")]
pub trait Sealed {}

/// The response of every action (`POST /v1/plant_tree`, `/v1/clean_ocean`,
/// `/v1/capture_carbon`, `/v1/restore_coral`, `/v1/donate_money`): the impact that was
/// bought, and the id to track or cancel it with.
///
/// ```
/// use oneclick_proto::{ImpactKind, Receipt};
///
/// let receipt: Receipt = serde_json::from_str(
///     r#"{"user_id":"U123","tree_planted":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// ).unwrap();
/// assert_eq!(receipt.impact.kind, ImpactKind::TreePlanted);
/// assert_eq!(receipt.impact.amount, 5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
#[non_exhaustive]
pub struct Receipt {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When the impact was made, in UTC to the millisecond. With `user_id` it is the id of
    /// the impact.
    pub time_utc: Timestamp,
    /// The impact that was bought: its kind, and its amount in the unit of the kind.
    pub impact: Impact,
    /// The category; `None` if none was sent.
    pub category: Option<Category>,
    /// The customer on whose behalf it was made; `None` if it was made for the account.
    pub customer: Option<RecordCustomer>,
    /// The metadata of the purchase. The API is only known to return it in records.
    pub metadata: RecordedMetadata,
    /// Fields that this version does not know.
    pub extra: Extra,
}

impl Receipt {
    /// A receipt without category, customer or metadata.
    #[must_use]
    pub fn new(user_id: UserId, time_utc: Timestamp, impact: Impact) -> Self {
        Self {
            user_id,
            time_utc,
            impact,
            category: None,
            customer: None,
            metadata: RecordedMetadata::default(),
            extra: Extra::default(),
        }
    }
}

row!(Receipt, |receipt| receipt.customer.as_ref());

impl TryFrom<Row> for Receipt {
    type Error = &'static str;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        // A receipt without an amount does not prove a purchase.
        if row.impact.kind.as_str().is_empty() {
            return Err("missing field `amount`");
        }
        let Row { user_id, time_utc, impact, category, customer, metadata, extra } = row;
        Ok(Self { user_id, time_utc, impact, category, customer, metadata, extra })
    }
}

/// A record has all that a receipt has.
impl From<Record> for Receipt {
    fn from(record: Record) -> Self {
        let Record { user_id, time_utc, impact, category, metadata, extra } = record;
        Self { user_id, time_utc, impact, category, customer: None, metadata, extra }
    }
}

/// A customer's record has all that a receipt has.
impl From<CustomerRecord> for Receipt {
    fn from(record: CustomerRecord) -> Self {
        let CustomerRecord { user_id, customer, time_utc, impact, category, metadata, extra } =
            record;
        let customer = Some(customer);
        Self { user_id, time_utc, impact, category, customer, metadata, extra }
    }
}

/// Declares an action: its amount, its category if it has one, its path and its kind.
macro_rules! action {
    (
        $(#[$meta:meta])*
        $name:ident {
            $(#[$amount_meta:meta])*
            amount: $amount:ty,
            $(
                $(#[$category_meta:meta])*
                category: $category:ty,
            )?
        }
        POST $path:literal => $kind:ident
    ) => {
        $(#[$meta])*
        ///
        /// Each call is a separate purchase; the API has no idempotency key.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        #[non_exhaustive]
        pub struct $name {
            $(#[$amount_meta])*
            pub amount: $amount,
            /// The customer on whose behalf the impact is made (`customer_email` and
            /// `customer_name`); `None` for the account itself.
            #[serde(flatten)]
            pub customer: Option<$crate::value::Customer>,
            $(
                $(#[$category_meta])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub category: Option<$category>,
            )?
            /// Whether the API notifies the customer by e-mail. `None` uses the API's
            /// default, `true`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub notify: Option<bool>,
            /// Metadata to store with the impact and return in its record: at most 20 pairs
            /// of text. Not sent if empty.
            #[serde(skip_serializing_if = "crate::value::Metadata::is_empty")]
            pub metadata: $crate::value::Metadata,
        }

        impl $name {
            /// A purchase for the account itself.
            #[must_use]
            pub const fn new(amount: $amount) -> Self {
                Self {
                    amount,
                    customer: None,
                    $(category: None::<$category>,)?
                    notify: None,
                    metadata: $crate::value::Metadata::new(),
                }
            }

            $($crate::setters::setters! { category: $category as Option, })?

            /// Makes the impact on behalf of a customer. The API notifies the customer by
            /// e-mail unless [`notify`](Self::notify) is `false`.
            #[must_use]
            pub fn customer(mut self, customer: impl Into<$crate::value::Customer>) -> Self {
                self.customer = Some(customer.into());
                self
            }

            $crate::setters::setters! {
                /// The sandbox environment never sends an e-mail.
                notify: bool as Option,
                metadata: $crate::value::Metadata,
            }
        }

        impl From<$amount> for $name {
            fn from(amount: $amount) -> Self {
                Self::new(amount)
            }
        }

        impl $crate::endpoint::Endpoint for $name {
            type Response = $crate::endpoint::Receipt;
            const METHOD: http::Method = http::Method::POST;
            const PATH: &'static str = $path;
            const IDEMPOTENT: bool = false;
        }

        impl $crate::endpoint::action::Sealed for $name {}

        impl $crate::endpoint::Action for $name {
            fn kind() -> $crate::value::ImpactKind {
                $crate::value::ImpactKind::$kind
            }
        }

        /// Fails like the constructors, and for an unknown field.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Fields {
                    amount: $amount,
                    customer_email: Option<$crate::value::Email>,
                    customer_name: Option<$crate::value::Redacted>,
                    $(category: Option<$category>,)?
                    notify: Option<bool>,
                    metadata: Option<$crate::value::Metadata>,
                }

                let fields = Fields::deserialize(deserializer)?;
                let customer_name = fields.customer_name;
                let customer = match fields.customer_email {
                    Some(customer_email) => {
                        Some($crate::value::Customer { customer_email, customer_name })
                    }
                    // The API accepts a name only with an e-mail address.
                    None if customer_name.is_some() => {
                        return Err(serde::de::Error::missing_field("customer_email"));
                    }
                    None => None,
                };
                Ok(Self {
                    amount: fields.amount,
                    customer,
                    $(category: std::convert::identity::<Option<$category>>(fields.category),)?
                    notify: fields.notify,
                    metadata: fields.metadata.unwrap_or_default(),
                })
            }
        }
    };
}

pub(super) use action;
