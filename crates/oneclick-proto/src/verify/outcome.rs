//! How a verified purchase ends.

use std::fmt;

use super::PurchaseState;
use crate::Error;
use crate::endpoint::Receipt;
use crate::value::ImpactId;

/// How a verified purchase ends. Exhaustive by design: match it without a
/// wildcard.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It was bought, once. The receipt is the API's response, or was made from
    /// the record.
    Confirmed(Receipt),
    /// The API, or this side, refused it: nothing was bought, and the same
    /// again would be refused again.
    Rejected(Error),
    /// It did not get through: nothing was bought, and it may be tried later.
    NotSent(Error),
    /// It is not known whether it was bought, or it was bought more than once:
    /// for a person to look at, or for a later
    /// [`resume`](crate::VerifiedPurchase::resume).
    Unresolved(Unresolved),
}

impl Outcome {
    /// Of a failure that proves that nothing was bought.
    pub(crate) fn not_bought(error: Error) -> Self {
        if error.may_repeat(false) { Self::NotSent(error) } else { Self::Rejected(error) }
    }
}

/// Safe to log, as [`Error`] is.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed(receipt) => {
                // The API chooses the id, but not the lines of a log.
                let id = ImpactId::from(receipt).to_string();
                write!(f, "bought as {}", id.replace(char::is_control, "\u{fffd}"))
            }
            Self::Rejected(error) => write!(f, "not bought, and refused: {error}"),
            Self::NotSent(error) => write!(f, "not bought, to be tried later: {error}"),
            Self::Unresolved(unresolved) => unresolved.fmt(f),
        }
    }
}

/// An intent whose outcome is not known.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unresolved {
    /// Why the outcome is not known.
    pub reason: UnresolvedReason,
    /// The impacts known to carry the marker.
    pub found: Vec<ImpactId>,
    /// The failure that led here; `None` if the records alone did.
    pub error: Option<Error>,
    /// What to take the purchase up with later.
    pub state: PurchaseState,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not known: {}", self.reason)?;
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

/// Why the outcome of an intent is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnresolvedReason {
    /// No record of it was found, and it may not be sent again.
    NotFound,
    /// The records could not be read.
    Unreadable,
    /// There are more records since then than may be read.
    TooManyRecords,
    /// It was bought more than once within one millisecond, so that none of the
    /// purchases can be cancelled alone.
    SameTime,
    /// It was bought more than once, and what is too much was not cancelled.
    BoughtTwice,
}

impl fmt::Display for UnresolvedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no record of the purchase was found",
            Self::Unreadable => "the records could not be read",
            Self::TooManyRecords => "there are too many records to look through",
            Self::SameTime => "it was bought more than once at the same time",
            Self::BoughtTwice => "it was bought more than once",
        })
    }
}
