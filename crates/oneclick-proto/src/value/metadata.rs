//! Metadata: a caller's own names and values, kept with an impact.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::InvalidValue;
use super::extra::Fields;

/// What a caller stores with an impact: at most 20 pairs of text, in the order
/// of their keys.
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
pub struct Metadata(BTreeMap<String, String>);

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
    /// As [`insert`](Self::insert), and [`InvalidValue::Metadata`] for a key
    /// that stands there twice.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, InvalidValue> {
        let mut metadata = Self::new();
        for (key, value) in pairs {
            if metadata.insert(key, value)?.is_some() {
                return Err(InvalidValue::Metadata { reason: "a key stands there twice" });
            }
        }
        Ok(metadata)
    }

    /// Adds a pair, and gives back the value that the key had before.
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

    /// The value of a key.
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

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} pairs)", self.len())
    }
}

/// The metadata that a record shows: all that the API wrote there, even what
/// [`Metadata`] could not hold.
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
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedMetadata(Fields);

impl RecordedMetadata {
    /// The text of a key; `None` as well if the API wrote something else than
    /// text there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// Every key and what the API wrote there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter()
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
}

impl From<Map<String, Value>> for RecordedMetadata {
    fn from(pairs: Map<String, Value>) -> Self {
        Self(pairs.into())
    }
}

impl From<Metadata> for RecordedMetadata {
    fn from(metadata: Metadata) -> Self {
        let pairs = metadata.0.into_iter().map(|(key, value)| (key, value.into()));
        pairs.collect::<Map<_, _>>().into()
    }
}

impl fmt::Debug for RecordedMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordedMetadata({} keys)", self.len())
    }
}
