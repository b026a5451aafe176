//! The id of an impact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidValue, Timestamp, UserId};

/// The id of an impact: its account and its time. The API has no other.
///
/// Receipts, records and cancellations convert into one, and so does a
/// [`Tracking`](crate::Tracking) whose `tracking_id` can be parsed. As text it is the API's
/// `tracking_id`, `{user_id}-{time_utc}`, so another process needs only one string to
/// [track](crate::TrackImpact) or [cancel](crate::CancelImpact) the impact.
///
/// ```
/// use oneclick_proto::{ImpactId, Receipt};
///
/// let receipt: Receipt = serde_json::from_str(
///     r#"{"user_id":"U123","tree_planted":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// ).unwrap();
/// let stored = ImpactId::from(&receipt).to_string();
/// assert_eq!(stored, "U123-2024-09-16T20:34:04.429Z");
/// assert_eq!(stored.parse::<ImpactId>()?, receipt.into());
/// # Ok::<(), oneclick_proto::InvalidValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImpactId {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When the impact was made, in UTC, exactly as the API wrote it.
    pub time_utc: Timestamp,
}

impl ImpactId {
    /// The id of the impact of an account at a time.
    pub fn new(user_id: impl Into<UserId>, time_utc: Timestamp) -> Self {
        Self { user_id: user_id.into(), time_utc }
    }
}

impl From<&Self> for ImpactId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl fmt::Display for ImpactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.user_id, self.time_utc)
    }
}

/// Fails with [`InvalidValue::ImpactId`] for text that is not
/// `{user_id}-{time_utc}`.
impl FromStr for ImpactId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        // Both halves can contain hyphens, but only one suffix is a timestamp.
        text.match_indices('-')
            .filter(|(hyphen, _)| *hyphen > 0)
            .find_map(|(hyphen, _)| {
                let time_utc = text[hyphen + 1..].parse().ok()?;
                Some(Self::new(&text[..hyphen], time_utc))
            })
            .ok_or(InvalidValue::ImpactId)
    }
}

macro_rules! try_from_text {
    ($($text:ty),*) => {$(
        /// Fails like [`FromStr`].
        impl TryFrom<$text> for ImpactId {
            type Error = InvalidValue;

            fn try_from(text: $text) -> Result<Self, InvalidValue> {
                text.parse()
            }
        }
    )*};
}

try_from_text!(&str, String, &String);
