//! Fields of a response that this version does not know.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{ImpactKind, Totals};

/// The fields of a response that this version does not know, by name.
///
/// It is empty, and allocates nothing, as long as responses are as documented. `Debug`
/// hides the values, since they may hold personal data.
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
    /// Boxed, since it is almost always empty and every record of a page has up to two.
    pub(crate) Option<Box<Map<String, Value>>>,
);

impl Extra {
    /// The value of a field; `None` if the response did not have it, or if this version
    /// knows it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.as_ref()?.get(field)
    }

    /// Whether all fields of the response are known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The fields and their values.
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

/// Splits the remaining fields of an object into amounts and others.
///
/// A whole number with an unknown name is an amount of an unknown kind. A known kind whose
/// value is not a whole number is an error.
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

/// A JSON number as an amount; `5.0` is 5, as in JavaScript.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    // 2^40: up to here a float resolves a fraction of a thousandth, so a number that has one
    // is not mistaken for a whole number.
    const EXACT: f64 = 1_099_511_627_776.0;
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^40")]
        Some(float as i64)
    })
}
