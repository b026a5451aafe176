//! Metadata: keys and values that a caller stores with an impact.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::InvalidValue;

/// Keys and values to store with an impact, `metadata` of the five actions: at most 20
/// pairs of text, sorted by key.
///
/// A key has 1..=40 characters and is neither `gift` nor `widgetID`, which the API
/// reserves; a value has at most 500 characters (Unicode scalar values). Records return
/// the pairs as [`RecordedMetadata`]. `Debug` hides both types, since they may hold
/// personal data.
///
/// ```
/// use oneclick_proto::{Metadata, PlantTree, Trees};
///
/// let metadata = Metadata::from_pairs([("order", "A-1001"), ("shop", "de")])?;
/// let plant = PlantTree::new(Trees::of::<1>()).metadata(metadata);
/// assert_eq!(plant.metadata.get("order"), Some("A-1001"));
///
/// assert_eq!(
///     Metadata::from_pairs([("gift", "yes")]).unwrap_err().to_string(),
///     "invalid metadata: the keys gift and widgetID are reserved",
/// );
/// # Ok::<(), oneclick_proto::InvalidValue>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Metadata(pub(crate) BTreeMap<String, String>);

impl Metadata {
    /// The maximum number of pairs.
    pub const MAX_PAIRS: usize = 20;
    /// The maximum length of a key, in characters.
    pub const MAX_KEY_CHARS: usize = 40;
    /// The maximum length of a value, in characters.
    pub const MAX_VALUE_CHARS: usize = 500;
    /// The keys that the API reserves.
    pub const RESERVED_KEYS: [&'static str; 2] = ["gift", "widgetID"];

    /// Empty metadata.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Metadata from pairs of keys and values.
    ///
    /// # Errors
    /// The same as [`insert`](Self::insert), and [`InvalidValue::Metadata`] for a
    /// duplicate key.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, InvalidValue> {
        let mut metadata = Self::new();
        for (key, value) in pairs {
            if metadata.insert(key, value)?.is_some() {
                return Err(InvalidValue::Metadata { reason: "a key is given twice" });
            }
        }
        Ok(metadata)
    }

    /// Adds a pair, or replaces the value of an existing key and returns the old one.
    ///
    /// # Errors
    /// [`InvalidValue::Metadata`] for a key that is empty or reserved and for more than
    /// [`MAX_PAIRS`](Self::MAX_PAIRS) pairs, [`InvalidValue::TooLong`] for a key or value
    /// with too many characters. An error leaves the metadata unchanged.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Option<String>, InvalidValue> {
        let (key, value) = (key.into(), value.into());
        let invalid = |reason| Err(InvalidValue::Metadata { reason });
        if key.is_empty() {
            return invalid("a key is empty");
        }
        if Self::RESERVED_KEYS.contains(&&*key) {
            return invalid("the keys gift and widgetID are reserved");
        }
        InvalidValue::check_length("metadata key", &key, Self::MAX_KEY_CHARS)?;
        InvalidValue::check_length("metadata value", &value, Self::MAX_VALUE_CHARS)?;
        if self.0.len() == Self::MAX_PAIRS && !self.0.contains_key(&key) {
            return invalid("it has more than 20 pairs");
        }
        Ok(self.0.insert(key, value))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The pairs, sorted by key.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no pairs. Empty metadata is not sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Fails like [`Metadata::from_pairs`].
impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with string values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Metadata::from_pairs(pairs).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} pairs)", self.len())
    }
}

/// The metadata of a record of `GET /v1/records` or `GET /v1/customer_records`: everything
/// that the API wrote there, even if [`Metadata`] could not hold it.
///
/// ```
/// use oneclick_proto::{Metadata, Record};
///
/// let record: Record = serde_json::from_str(
///     r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1,
///         "metadata":{"order":"A-1001"}}"#,
/// ).unwrap();
/// assert_eq!(record.metadata.get("order"), Some("A-1001"));
/// assert_eq!(record.metadata, Metadata::from_pairs([("order", "A-1001")]).unwrap().into());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordedMetadata(Box<[Pair]>);

/// A key and its JSON value. A record has few of them and a page has many records, so a
/// sorted slice is cheaper than a map.
type Pair = (Box<str>, Value);

impl RecordedMetadata {
    /// The text of a key; `None` if the key is missing or its value is not a string.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        self.0[index].1.as_str()
    }

    /// The keys and their JSON values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn new(mut pairs: Vec<Pair>) -> Self {
        // The sort is stable, so that the last value of a duplicate key wins.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Self(pairs.into())
    }
}

impl From<Metadata> for RecordedMetadata {
    fn from(metadata: Metadata) -> Self {
        Self::new(metadata.0.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl Serialize for RecordedMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for RecordedMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match MetadataField::deserialize(deserializer)? {
            MetadataField::Pairs(pairs) => Ok(pairs),
            MetadataField::Other(_) => Err(de::Error::custom("metadata is not an object")),
        }
    }
}

/// The value of a field that should hold metadata.
pub(crate) enum MetadataField {
    Pairs(RecordedMetadata),
    Other(Value),
}

impl<'de> Deserialize<'de> for MetadataField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        /// Visitors for values that are not an object.
        macro_rules! other {
            ($($visit:ident($($value:ident: $type:ty)?) = $kept:expr,)*) => {$(
                fn $visit<E: de::Error>(self, $($value: $type)?) -> Result<MetadataField, E> {
                    Ok(MetadataField::Other($kept))
                }
            )*};
        }

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = MetadataField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MetadataField, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(MetadataField::Pairs(RecordedMetadata::new(pairs)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<MetadataField, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(MetadataField::Other(Value::Array(values)))
            }

            other! {
                visit_unit() = Value::Null,
                visit_bool(value: bool) = value.into(),
                visit_i64(value: i64) = value.into(),
                visit_u64(value: u64) = value.into(),
                visit_f64(value: f64) = value.into(),
                visit_str(value: &str) = value.into(),
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl fmt::Debug for RecordedMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordedMetadata({} keys)", self.len())
    }
}
