//! The trait and macro of the actions, the endpoints that buy something.

use super::Endpoint;
use super::row::Receipt;
use crate::purchase::Purchase;
use crate::value::ImpactKind;

/// An endpoint that buys an impact. Each call is a separate purchase.
///
/// The trait is sealed; [`Purchase`] is any of its implementors as one type.
pub trait Action: Endpoint<Response = Receipt> + Into<Purchase> + Clone + Sealed {
    /// The kind of impact that it buys.
    fn kind() -> ImpactKind;
}

#[expect(unnameable_types, reason = "it seals `Action`")]
pub trait Sealed {}

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
