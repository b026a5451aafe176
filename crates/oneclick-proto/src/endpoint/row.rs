//! Rows: the common form of receipts, records and customer records in JSON.

use std::fmt;

use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::value::{
    Category, Extra, Impact, ImpactFinder, ImpactKind, MetadataField, RecordCustomer,
    RecordedMetadata, Timestamp, UserId, split_amounts, whole,
};

/// An impact with all the fields that a row can have.
pub(super) struct Row {
    pub(super) user_id: UserId,
    pub(super) time_utc: Timestamp,
    /// Its kind has an empty name if the row has no amount.
    pub(super) impact: Impact,
    pub(super) category: Option<Category>,
    pub(super) customer: Option<RecordCustomer>,
    pub(super) metadata: RecordedMetadata,
    pub(super) extra: Extra,
}

/// A borrowed row, to be serialized.
pub(super) struct RowRef<'a> {
    pub(super) user_id: &'a UserId,
    pub(super) time_utc: &'a Timestamp,
    pub(super) impact: &'a Impact,
    pub(super) category: Option<&'a Category>,
    pub(super) customer: Option<&'a RecordCustomer>,
    pub(super) metadata: &'a RecordedMetadata,
    pub(super) extra: &'a Extra,
}

impl Serialize for RowRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user_id", self.user_id)?;
        if let Some(customer) = self.customer {
            map.serialize_entry("customer", customer)?;
        }
        map.serialize_entry("time_utc", self.time_utc)?;
        // The name is empty if the row had no amount.
        if !self.impact.kind.as_str().is_empty() {
            map.serialize_entry(self.impact.kind.as_str(), &self.impact.amount)?;
        }
        if let Some(category) = self.category {
            map.serialize_entry("category", category)?;
        }
        if !self.metadata.is_empty() {
            map.serialize_entry("metadata", self.metadata)?;
        }
        for (field, value) in self.extra.iter() {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

/// Implements `Serialize` and the conversion into an impact's id for a type of row.
/// `$customer` borrows its customer.
macro_rules! row {
    ($row:ident, $customer:expr) => {
        impl serde::Serialize for $row {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let customer: fn(&Self) -> Option<&$crate::value::RecordCustomer> = $customer;
                $crate::endpoint::row::RowRef {
                    user_id: &self.user_id,
                    time_utc: &self.time_utc,
                    impact: &self.impact,
                    category: self.category.as_ref(),
                    customer: customer(self),
                    metadata: &self.metadata,
                    extra: &self.extra,
                }
                .serialize(serializer)
            }
        }

        $crate::endpoint::row::identified!($row);
    };
}

/// Implements the conversion into an [`ImpactId`](crate::ImpactId).
macro_rules! identified {
    ($row:ident) => {
        impl From<&$row> for $crate::value::ImpactId {
            fn from(row: &$row) -> Self {
                Self::new(row.user_id.clone(), row.time_utc.clone())
            }
        }

        impl From<$row> for $crate::value::ImpactId {
            fn from(row: $row) -> Self {
                Self::new(row.user_id, row.time_utc)
            }
        }
    };
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

pub(super) use {by_id, by_text, identified, row};

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

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an impact with user_id, time_utc and an amount")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
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
                Ok(Row {
                    user_id: user_id.ok_or_else(|| de::Error::missing_field("user_id"))?,
                    time_utc: time_utc.ok_or_else(|| de::Error::missing_field("time_utc"))?,
                    impact,
                    category,
                    customer,
                    metadata,
                    extra,
                })
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

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
