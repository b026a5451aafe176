//! One impact as the API writes it down: a receipt, or a row of either list of records.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::value::{
    Category, Extra, Impact, ImpactFinder, ImpactId, ImpactKind, MetadataField, RecordCustomer,
    RecordedMetadata, Timestamp, UserId, split_amounts, whole,
};

/// One impact as the API writes it down: a [`Receipt`], a [`Record`] or a
/// [`CustomerRecord`]. `C` is its customer.
///
/// It does not show whether the impact was cancelled;
/// [`Tracking::cancelled_on`](super::track::Tracking::cancelled_on) does.
///
/// ```
/// use oneclick_proto::{ImpactKind, Receipt, Record};
///
/// let receipt: Receipt = serde_json::from_str(
///     r#"{"user_id":"U123","tree_planted":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// ).unwrap();
/// assert_eq!(receipt.impact.kind, ImpactKind::TreePlanted);
/// assert_eq!(receipt.impact.amount, 5);
/// let record: Record = serde_json::from_value(serde_json::to_value(&receipt).unwrap()).unwrap();
/// assert_eq!(record.impact, receipt.impact);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row<C> {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// The customer on whose behalf it was made.
    pub customer: C,
    /// When the impact was made, in UTC to the millisecond. With `user_id` it is the id of
    /// the impact.
    pub time_utc: Timestamp,
    /// The impact: its kind, and its amount in the unit of the kind. An unknown kind keeps
    /// its name; the name is empty if a record has no amount.
    pub impact: Impact,
    /// The category; `None` if there is none.
    pub category: Option<Category>,
    /// The metadata of the purchase, which may be empty. The API is only known to return it
    /// in records.
    pub metadata: RecordedMetadata,
    /// Fields that this version does not know.
    pub extra: Extra,
}

/// The response of every action (`POST /v1/plant_tree`, `/v1/clean_ocean`,
/// `/v1/capture_carbon`, `/v1/restore_coral`, `/v1/donate_money`): the impact that was
/// bought, and the id to track or cancel it with. Its `customer` is `None` if it was made
/// for the account.
pub type Receipt = Row<Option<RecordCustomer>>;

/// An impact that the account made for itself, from `user_records` in the response of
/// `GET /v1/records`.
pub type Record = Row<NoCustomer>;

/// An impact that the account made for a customer, from `customer_records` in the response
/// of `GET /v1/customer_records`.
pub type CustomerRecord = Row<RecordCustomer>;

/// Stands for the customer of an impact that the account made for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoCustomer;

impl<C: Default> Row<C> {
    /// An impact without customer, category or metadata.
    #[must_use]
    pub fn new(user_id: UserId, time_utc: Timestamp, impact: Impact) -> Self {
        Self {
            user_id,
            customer: C::default(),
            time_utc,
            impact,
            category: None,
            metadata: RecordedMetadata::default(),
            extra: Extra::default(),
        }
    }
}

impl<C> Row<C> {
    /// Whether no other impact can be equal in all fields. Two can be if their time is in
    /// whole seconds.
    pub(super) fn has_unique_time(&self) -> bool {
        self.time_utc.datetime().timestamp_subsec_nanos() != 0
    }

    /// The same impact with another customer, made from its own. A [`CustomerRecord`] is
    /// made so, from a [`Record`].
    pub fn with_customer<D>(self, customer: impl FnOnce(C) -> D) -> Row<D> {
        Row {
            user_id: self.user_id,
            customer: customer(self.customer),
            time_utc: self.time_utc,
            impact: self.impact,
            category: self.category,
            metadata: self.metadata,
            extra: self.extra,
        }
    }
}

/// A record has all that a receipt has.
impl From<Record> for Receipt {
    fn from(record: Record) -> Self {
        record.with_customer(|NoCustomer| None)
    }
}

/// A customer's record has all that a receipt has.
impl From<CustomerRecord> for Receipt {
    fn from(record: CustomerRecord) -> Self {
        record.with_customer(Some)
    }
}

impl<C> From<&Row<C>> for ImpactId {
    fn from(record: &Row<C>) -> Self {
        Self::new(record.user_id.clone(), record.time_utc.clone())
    }
}

impl<C> From<Row<C>> for ImpactId {
    fn from(record: Row<C>) -> Self {
        Self::new(record.user_id, record.time_utc)
    }
}

/// A type for the customer of a row.
#[expect(unnameable_types, reason = "it seals `Row`")]
pub trait RowCustomer: Sized {
    /// Takes the field `customer`, if the row has it.
    fn take(customer: Option<RecordCustomer>, extra: &mut Extra) -> Result<Self, &'static str>;

    /// The field `customer` to write.
    fn as_field(&self) -> Option<&RecordCustomer>;

    /// Whether a row may lack the amount.
    const AMOUNT_MAY_BE_MISSING: bool = true;
}

impl RowCustomer for NoCustomer {
    fn take(customer: Option<RecordCustomer>, extra: &mut Extra) -> Result<Self, &'static str> {
        // A customer is not expected here, but must not be lost.
        if let Some(Ok(customer)) = customer.map(serde_json::to_value) {
            extra.insert("customer", customer);
        }
        Ok(Self)
    }

    fn as_field(&self) -> Option<&RecordCustomer> {
        None
    }
}

impl RowCustomer for RecordCustomer {
    fn take(customer: Option<RecordCustomer>, _: &mut Extra) -> Result<Self, &'static str> {
        customer.ok_or("missing field `customer`")
    }

    fn as_field(&self) -> Option<&RecordCustomer> {
        Some(self)
    }
}

impl RowCustomer for Option<RecordCustomer> {
    fn take(customer: Option<RecordCustomer>, _: &mut Extra) -> Result<Self, &'static str> {
        Ok(customer)
    }

    fn as_field(&self) -> Option<&RecordCustomer> {
        self.as_ref()
    }

    // A receipt without an amount does not prove a purchase.
    const AMOUNT_MAY_BE_MISSING: bool = false;
}

impl<C: RowCustomer> Serialize for Row<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user_id", &self.user_id)?;
        if let Some(customer) = self.customer.as_field() {
            map.serialize_entry("customer", customer)?;
        }
        map.serialize_entry("time_utc", &self.time_utc)?;
        // No name, no field: the row carried no amount.
        if !self.impact.kind.as_str().is_empty() {
            map.serialize_entry(self.impact.kind.as_str(), &self.impact.amount)?;
        }
        if let Some(category) = &self.category {
            map.serialize_entry("category", category)?;
        }
        if !self.metadata.is_empty() {
            map.serialize_entry("metadata", &self.metadata)?;
        }
        for (field, value) in self.extra.iter() {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

enum Field {
    UserId,
    TimeUtc,
    Category,
    Customer,
    Metadata,
    Kind(ImpactKind),
    Other(String),
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
                Ok(match name {
                    "user_id" => Field::UserId,
                    "time_utc" => Field::TimeUtc,
                    "category" => Field::Category,
                    "customer" => Field::Customer,
                    "metadata" => Field::Metadata,
                    _ => ImpactKind::known(name)
                        .map_or_else(|| Field::Other(name.to_owned()), Field::Kind),
                })
            }
        }

        deserializer.deserialize_identifier(Visitor)
    }
}

/// The amount of a known kind: a whole number, or null for no amount.
struct Amount(Option<i64>);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount that is a whole number of at most 64 bits")
            }

            fn visit_none<E: de::Error>(self) -> Result<Amount, E> {
                Ok(Amount(None))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Amount, E> {
                Ok(Amount(None))
            }

            fn visit_some<D: Deserializer<'de>>(self, number: D) -> Result<Amount, D::Error> {
                number.deserialize_i64(self)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount(Some(number)))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                let wrong = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
                number.try_into().map(|number| Amount(Some(number))).map_err(|_| wrong())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                let wrong = || E::invalid_value(de::Unexpected::Float(number), &self);
                whole(&number.into()).map(|number| Amount(Some(number))).ok_or_else(wrong)
            }
        }

        deserializer.deserialize_option(Visitor)
    }
}

impl<'de, C: RowCustomer> Deserialize<'de> for Row<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<C>(PhantomData<C>);

        impl<'de, C: RowCustomer> de::Visitor<'de> for Visitor<C> {
            type Value = Row<C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an impact with user_id, time_utc and an amount")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<C>, A::Error> {
                let (mut user_id, mut time_utc) = (None, None);
                let (mut category, mut customer) = (None, None);
                let mut metadata = RecordedMetadata::default();
                let mut finder = ImpactFinder::default();
                let mut extra = Extra::default();
                let keep = |extra: &mut Extra, left: Option<Impact>| {
                    if let Some(left) = left {
                        extra.insert(left.kind.as_str(), left.amount.into());
                    }
                };
                while let Some(field) = map.next_key()? {
                    match field {
                        Field::UserId => user_id = Some(map.next_value()?),
                        Field::TimeUtc => time_utc = Some(map.next_value()?),
                        Field::Category => category = map.next_value()?,
                        Field::Customer => customer = map.next_value()?,
                        Field::Metadata => match map.next_value()? {
                            MetadataField::Pairs(pairs) => metadata = pairs,
                            MetadataField::Other(Value::Null) => {}
                            MetadataField::Other(other) => extra.insert("metadata", other),
                        },
                        Field::Kind(kind) => {
                            if let Amount(Some(amount)) = map.next_value()? {
                                keep(&mut extra, finder.take(kind, amount));
                            }
                        }
                        Field::Other(name) => {
                            let value: Value = map.next_value()?;
                            match whole(&value) {
                                Some(amount) if !name.is_empty() => {
                                    let kind = ImpactKind::from(name.as_str());
                                    keep(&mut extra, finder.take(kind, amount));
                                }
                                _ => extra.insert(name, value),
                            }
                        }
                    }
                }
                let (impact, left) = finder.finish();
                keep(&mut extra, left);
                if impact.kind.as_str().is_empty() && !C::AMOUNT_MAY_BE_MISSING {
                    return Err(de::Error::missing_field("amount"));
                }
                Ok(Row {
                    user_id: user_id.ok_or_else(|| de::Error::missing_field("user_id"))?,
                    time_utc: time_utc.ok_or_else(|| de::Error::missing_field("time_utc"))?,
                    impact,
                    category,
                    customer: C::take(customer, &mut extra).map_err(de::Error::custom)?,
                    metadata,
                    extra,
                })
            }
        }

        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// Implements conversions of anything with the id of an impact into a request about it.
macro_rules! by_id {
    ($request:ident) => {
        impl<I: Into<$crate::value::ImpactId>> From<I> for $request {
            fn from(impact: I) -> Self {
                Self::new(impact)
            }
        }

        $crate::endpoint::row::by_text!(
            $request: &str, String, &String,
            &$crate::endpoint::track::Tracking, $crate::endpoint::track::Tracking
        );
    };
}

/// Implements fallible conversions into a request about an impact.
macro_rules! by_text {
    ($request:ident: $($from:ty),*) => {$(
        /// Fails with [`InvalidValue::ImpactId`](crate::InvalidValue::ImpactId) if the text
        /// or the `tracking_id` is not the id of an impact.
        impl TryFrom<$from> for $request {
            type Error = $crate::value::InvalidValue;

            fn try_from(from: $from) -> Result<Self, Self::Error> {
                $crate::value::ImpactId::try_from(from).map(Self::new)
            }
        }
    )*};
}

pub(super) use {by_id, by_text};

/// Serializes an impact that a struct flattens, as the field with its amount.
pub(super) fn as_field<S: Serializer>(impact: &Impact, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if !impact.kind.as_str().is_empty() {
        map.serialize_entry(impact.kind.as_str(), &impact.amount)?;
    }
    map.end()
}

/// Deserializes an impact that a struct flattens.
pub(super) fn impact_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Impact, D::Error> {
    unnamed(deserializer).map(|(impact, _)| impact)
}

/// Deserializes the unknown fields of a struct that flattens its impact.
pub(super) fn rest_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Extra, D::Error> {
    unnamed(deserializer).map(|(_, extra)| extra)
}

/// Splits the remaining fields of a struct into its impact and unknown fields.
fn unnamed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Impact, Extra), D::Error> {
    let fields = Map::<String, Value>::deserialize(deserializer)?;
    let (totals, mut extra) = split_amounts(fields).map_err(de::Error::custom)?;
    let mut finder = ImpactFinder::default();
    let mut left: Vec<Impact> =
        totals.iter().filter_map(|(kind, amount)| finder.take(kind.clone(), amount)).collect();
    let (impact, unknown) = finder.finish();
    left.extend(unknown);
    for impact in left {
        extra.insert(impact.kind.as_str(), impact.amount.into());
    }
    Ok((impact, extra))
}
