//! Metadata: a caller's own names and values, kept with an impact.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::InvalidValue;

/// What a caller stores with an impact, `metadata` of the five purchases: at
/// most 20 pairs of text, in the order of their keys.
///
/// A key has 1..=40 characters and is neither `gift` nor `widgetID`, which the
/// API keeps for itself; a value has at most 500 characters. Characters are
/// Unicode scalar values. Records show what was stored, as
/// [`RecordedMetadata`]. Both are out of `Debug`, since nobody knows what they
/// hold.
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
///     "not metadata: the keys gift and widgetID are reserved",
/// );
/// # Ok::<(), oneclick_proto::InvalidValue>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Metadata(pub(crate) BTreeMap<String, String>);

impl Metadata {
    /// The most pairs.
    pub const MAX_PAIRS: usize = 20;
    /// The longest key, in characters.
    pub const MAX_KEY_CHARS: usize = 40;
    /// The longest value, in characters.
    pub const MAX_VALUE_CHARS: usize = 500;
    /// The keys that the API keeps for itself.
    pub const RESERVED_KEYS: [&'static str; 2] = ["gift", "widgetID"];

    /// No metadata.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Metadata of these pairs.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), and [`InvalidValue::Metadata`] for a duplicate
    /// key.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, InvalidValue> {
        let mut metadata = Self::new();
        for (key, value) in pairs {
            if metadata.insert(key, value)?.is_some() {
                return Err(InvalidValue::Metadata { reason: "duplicate key" });
            }
        }
        Ok(metadata)
    }

    /// Adds a pair, and gives back the value that the key had before; `None` if
    /// the key is new.
    ///
    /// # Errors
    /// [`InvalidValue::Metadata`] for a key that is empty or reserved and for
    /// a pair too many, [`InvalidValue::TooLong`] for a key or a value with too
    /// many characters; nothing has changed then.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Option<String>, InvalidValue> {
        let (key, value) = (key.into(), value.into());
        let refused = |reason| Err(InvalidValue::Metadata { reason });
        if key.is_empty() {
            return refused("a key is empty");
        }
        if Self::RESERVED_KEYS.contains(&&*key) {
            return refused("the keys gift and widgetID are reserved");
        }
        InvalidValue::check_length("metadata key", &key, Self::MAX_KEY_CHARS)?;
        InvalidValue::check_length("metadata value", &value, Self::MAX_VALUE_CHARS)?;
        if self.0.len() == Self::MAX_PAIRS && !self.0.contains_key(&key) {
            return refused("it has more than 20 pairs");
        }
        Ok(self.0.insert(key, value))
    }

    /// The value of a key; `None` if there is no such key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Every pair, in the order of the keys' bytes.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair; then the field is not sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Fails as [`Metadata::from_pairs`].
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

/// The metadata that a record of `GET /v1/records` or `GET /v1/customer_records`
/// shows: all that the API wrote there, even what [`Metadata`] could not hold.
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

/// A key, and what the API wrote there. Few stand together and many records
/// have them, so they are kept in a row, in the order of their keys.
type Pair = (Box<str>, Value);

impl RecordedMetadata {
    /// The text of a key; `None` if there is no such key, or if the API wrote
    /// something else than text there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        self.0[place].1.as_str()
    }

    /// Every key and what the API wrote there, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn new(mut pairs: Vec<Pair>) -> Self {
        // The sort is stable: of a key that is written twice the last one counts.
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
            MetadataField::Other(_) => Err(de::Error::custom("the metadata is no object")),
        }
    }
}

/// What stands in a field that should hold metadata.
pub(crate) enum MetadataField {
    Pairs(RecordedMetadata),
    Other(Value),
}

impl<'de> Deserialize<'de> for MetadataField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        /// Visits what is kept as it is.
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
