//! Fields of an answer that this version does not know.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{ImpactKind, Totals};

/// The fields of an answer that this version does not know, by name.
///
/// Empty and free of cost as long as the API answers as documented. Its
/// content is out of `Debug`, since nobody knows what it is.
///
/// ```
/// use oneclick_proto::Record;
///
/// let record: Record = serde_json::from_str(
///     r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1,"soil":"peat"}"#,
/// ).unwrap();
/// assert_eq!(record.extra.get("soil").unwrap(), "peat");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(
    /// Nearly always nothing, and a page holds two of these for every record.
    pub(crate) Option<Box<Map<String, Value>>>,
);

impl Extra {
    /// The value of a field; `None` if the response had none of this name, or if
    /// this version knows it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.as_ref()?.get(field)
    }

    /// Whether every field was known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Every field and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().flat_map(|fields| fields.iter()).map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn insert(&mut self, field: impl Into<String>, value: Value) {
        self.0.get_or_insert_default().insert(field.into(), value);
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        Ok(Self((!fields.is_empty()).then(|| fields.into())))
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extra({} fields)", self.iter().count())
    }
}

/// Sorts the fields that stand beside the known ones into amounts and others.
///
/// Whole numbers under a name that is not known are amounts of a kind that is
/// not known; a known kind whose value is no whole number is an error.
pub(crate) fn split_amounts(fields: Map<String, Value>) -> Result<(Totals, Extra), String> {
    let mut totals = Totals::default();
    let mut extra = Extra::default();
    for (field, value) in fields {
        match (whole(&value), ImpactKind::known(&field)) {
            (Some(amount), _) if !field.is_empty() => {
                totals.set(ImpactKind::from(field.as_str()), amount);
            }
            (None, Some(_)) if value.is_null() => {}
            (None, Some(kind)) => return Err(format!("{kind} is not a whole number")),
            _ => extra.insert(field, value),
        }
    }
    Ok((totals, extra))
}

/// A JSON number as an amount; `5.0` is five, as it is to JavaScript.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    // Up to 2^40 a float still tells a whole number from one with a fraction
    // of a thousandth; no amount is written as a larger float.
    const EXACT: f64 = 1_099_511_627_776.0;
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^40")]
        Some(float as i64)
    })
}
