//! What came of an intent.

use std::fmt;

use super::OnceState;
use crate::Error;
use crate::endpoint::Receipt;
use crate::value::ImpactId;

/// What came of an intent. These four are all there will be: match them
/// without a wildcard.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It was bought, once. The receipt is the API's answer, or was made from
    /// the record.
    Confirmed(Receipt),
    /// The API, or this side, refused it: nothing was bought, and the same
    /// again would be refused again.
    Rejected(Error),
    /// It did not get through: nothing was bought, and it may be tried later.
    NotSent(Error),
    /// It is not known whether it was bought, or it was bought more than once:
    /// for a person to look at, or for a later [`resume`](super::Once::resume).
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

/// An intent of which it is not known what came.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unresolved {
    /// Why it is not known.
    pub doubt: Doubt,
    /// The impacts that carry the marker, as far as they are known.
    pub found: Vec<ImpactId>,
    /// The failure that led here; `None` if the records alone did.
    pub error: Option<Error>,
    /// What to take it up with later.
    pub state: OnceState,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not known: {}", self.doubt)?;
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

/// Why it is not known what came of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Doubt {
    /// It was sent as often as is safe, and there is no trace of it.
    NotFound,
    /// The records could not be read.
    Unreadable,
    /// There are more records in the time in question than are read.
    TooManyRecords,
    /// It was bought more than once, within one millisecond: there is no way to
    /// cancel just one of them.
    SameTime,
    /// It was bought more than once, and one that is too many could not be
    /// cancelled.
    CancelRefused,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no trace of the purchase",
            Self::Unreadable => "the records could not be read",
            Self::TooManyRecords => "there are too many records to look through",
            Self::SameTime => "it was bought more than once at the same time",
            Self::CancelRefused => "it was bought more than once, and one could not be cancelled",
        })
    }
}
