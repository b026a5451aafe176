//! What is meant to be bought once, and what is stored of it.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::value::{Customer, ImpactKind, Timestamp};

/// Something that is meant to be bought once, such as the tree of an order.
///
/// Its marker goes along with the purchase as [metadata](crate::Metadata) and
/// is what the purchase is found by afterwards.
///
/// ```
/// use std::time::SystemTime;
/// use oneclick_proto::Intent;
///
/// let intent = Intent::new("shop.example", "order-123:tree", SystemTime::now());
/// let again = Intent::new("shop.example", "order-123:tree", SystemTime::now());
/// assert_eq!(intent.marker(), again.marker());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    marker: String,
    since: DateTime<Utc>,
}

impl Intent {
    /// The key of the metadata that holds the marker.
    pub const METADATA_KEY: &'static str = "oneclick_intent";

    /// An intent with a key that no other one has within the namespace, which
    /// tells apart the shops of one account.
    ///
    /// `since` is when it was first meant, such as when the order was placed:
    /// no purchase of it is looked for that is much older. It must not be later
    /// than the first attempt to buy, whichever process made it. It is held within
    /// the years 0 to 9999.
    #[must_use]
    pub fn new(namespace: &str, key: &str, since: impl Into<DateTime<Utc>>) -> Self {
        let marker = digest(namespace, key, 16);
        // Years that a timestamp can write.
        let (first, last) = (Timestamp::FIRST, Timestamp::LAST);
        Self { marker, since: since.into().clamp(first, last) }
    }

    /// What goes along with the purchase: 32 hexadecimal digits, the first half
    /// of the SHA-256 digest of namespace and key. It names nobody, but whoever
    /// guesses both can tell that they belong to it.
    #[must_use]
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// When it was first meant.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        self.since
    }
}

/// So many bytes of the SHA-256 digest of two texts, in hexadecimal digits.
fn digest(one: &str, other: &str, bytes: usize) -> String {
    let mut hash = hmac_sha256::Hash::new();
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    hash.update((one.len() as u64).to_be_bytes());
    hash.update(one);
    hash.update(other);
    let mut digits = String::with_capacity(2 * bytes);
    for byte in hash.finalize().iter().take(bytes) {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// What is stored of an intent, so that another process can take it up.
///
/// A small serde value: less than 200 bytes of JSON, without personal data. A
/// version that is not known does not deserialise, so that no process goes on
/// with what it does not understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnceState {
    version: Version,
    pub(super) marker: String,
    pub(super) since: Timestamp,
    pub(super) kind: ImpactKind,
    /// Tells the customer, and so the list that the purchase is in, from
    /// another one, and names nobody; `None` without a customer.
    pub(super) customer: Option<String>,
    /// How many purchases may have left, the one that comes next among them.
    pub(super) sends: u32,
    /// Whether one of them certainly was executed.
    pub(super) executed: bool,
}

impl OnceState {
    pub(super) fn new(intent: &Intent, kind: ImpactKind, customer: Option<&Customer>) -> Self {
        Self {
            customer: customer.map(|customer| customer_mark(&intent.marker, customer)),
            version: Version::One,
            marker: intent.marker.clone(),
            since: intent.since.into(),
            kind,
            sends: 1,
            executed: false,
        }
    }

    /// Whether it is of an action of this kind and for this customer.
    pub(super) fn is_of(&self, kind: &ImpactKind, customer: Option<&Customer>) -> bool {
        let customer = customer.map(|customer| customer_mark(&self.marker, customer));
        self.kind == *kind && self.customer == customer
    }

    /// The marker of the intent.
    #[must_use]
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// How many purchases may have left, the one that comes next among them.
    #[must_use]
    pub fn sends(&self) -> u32 {
        self.sends
    }
}

/// Four bytes: enough to tell two customers of one intent apart.
fn customer_mark(marker: &str, customer: &Customer) -> String {
    digest(marker, customer.customer_email.as_str(), 4)
}

/// What the fields of a state mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
enum Version {
    One,
}

impl TryFrom<u32> for Version {
    type Error = &'static str;

    fn try_from(version: u32) -> Result<Self, Self::Error> {
        match version {
            1 => Ok(Self::One),
            _ => Err("the state is of a version that this one does not know"),
        }
    }
}

impl From<Version> for u32 {
    fn from(version: Version) -> Self {
        match version {
            Version::One => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(namespace: &str, key: &str) -> String {
        Intent::new(namespace, key, DateTime::<Utc>::MIN_UTC).marker
    }

    #[test]
    fn a_marker_stays_the_same_in_every_version() {
        // printf '\0\0\0\0\0\0\0\4shoporder-1' | sha256sum
        assert_eq!(marker("shop", "order-1"), "1eccac8f9ea6039e0e21dd62b2285a8d");
    }

    #[test]
    fn namespace_and_key_are_told_apart() {
        assert_ne!(marker("a", "bc"), marker("ab", "c"));
        assert_ne!(marker("", "abc"), marker("abc", ""));
        assert_eq!(marker("", "").len(), 32);
    }

    #[test]
    fn a_state_is_small_and_another_version_is_refused() {
        let intent = Intent::new("shop", "order-1", DateTime::UNIX_EPOCH);
        let ada = Customer::new("ada@example.com").unwrap();
        let state = OnceState::new(&intent, ImpactKind::CarbonCaptured, Some(&ada));
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<OnceState>(&json).unwrap(), state);
        assert!(json.len() < 200, "{json}");
        for wrong in [
            json.replace("\"version\":1", "\"version\":2"),
            json.replace("\"version\":1,", ""),
            json.replace("\"version\":1,", "\"version\":1,\"new\":1,"),
            json.replace("\"executed\":false", "\"executed\":null"),
        ] {
            assert_ne!(wrong, json);
            assert!(serde_json::from_str::<OnceState>(&wrong).is_err(), "{wrong}");
        }
    }
}
