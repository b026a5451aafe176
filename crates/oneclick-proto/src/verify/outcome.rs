//! The outcome of a verified purchase.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::PurchaseState;
use crate::Error;
use crate::endpoint::Receipt;
use crate::value::ImpactId;

/// The outcome of a verified purchase. Exhaustive by design: match without a wildcard.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It was bought once. The receipt is the API's response or was built from the
    /// record.
    Confirmed(Receipt),
    /// The API or the client refused it. Nothing was bought for this intent, and the
    /// same purchase would be refused again.
    Refused(Error),
    /// Nothing was bought for this intent. It may be tried again later.
    NotBought(NotBought),
    /// It was bought and has been cancelled since.
    Cancelled(Vec<ImpactId>),
    /// It is not known yet whether it was bought. Look again later.
    Pending(Pending),
    /// It is not possible to decide whether it was bought, or it was bought more than
    /// once. A person has to look at it.
    Unresolved(Unresolved),
}

/// Nothing was bought.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotBought {
    /// The latest failure; `None` if this process did not send anything.
    pub error: Option<Error>,
    /// The state to resume the purchase with.
    pub state: PurchaseState,
}

/// A purchase that may have been made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pending {
    /// How long to wait before looking again. By then, a missing record means that
    /// nothing was bought.
    pub after: Duration,
    /// The latest failure; `None` if there was none in this process.
    pub error: Option<Error>,
    /// The state to resume the purchase with.
    pub state: PurchaseState,
}

/// A purchase that a person has to look at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unresolved {
    /// Why the machine cannot decide.
    pub reason: UnresolvedReason,
    /// The impacts that carry the marker, or else those that may be the purchase.
    pub found: Vec<ImpactId>,
    /// The latest failure; `None` if there was none in this process.
    pub error: Option<Error>,
    /// The state to resume the purchase with.
    pub state: PurchaseState,
}

/// Why a person has to look at a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnresolvedReason {
    /// The lists could not be read.
    Unreadable,
    /// It was bought, but the record with its marker could not be decoded.
    Malformed,
    /// The lists are too long or not sorted, so its record may have been missed.
    TooManyRecords,
    /// Records without a readable marker may be the purchase.
    Candidates,
    /// Its record was in a list and is gone.
    SeenAndGone,
    /// It was bought, but the API cannot track it, so it may have been cancelled since.
    Untrackable,
    /// It was bought, but other impacts have the same time, so it cannot be tracked.
    SameTime,
    /// It was bought more than once.
    BoughtTwice,
    /// A purchase for the intent has another kind, amount or customer.
    OtherPurchase,
}

impl fmt::Display for UnresolvedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the records could not be read",
            Self::Malformed => "it was bought, but its record could not be decoded",
            Self::TooManyRecords => {
                "there are too many records to search, or they are not sorted by time"
            }
            Self::Candidates => "records that do not show their intent may be the purchase",
            Self::SeenAndGone => "its record was found before and is now gone",
            Self::Untrackable => {
                "it was bought, but the API cannot track it, so it may have been cancelled since"
            }
            Self::SameTime => {
                "it was bought, but other impacts have the same time, so it cannot be tracked"
            }
            Self::BoughtTwice => "it was bought more than once",
            Self::OtherPurchase => {
                "a purchase for this intent has another kind, amount or customer"
            }
        })
    }
}

impl Outcome {
    /// The receipt of a confirmed purchase.
    ///
    /// # Errors
    /// Returns any other outcome unchanged.
    #[expect(clippy::result_large_err, reason = "the error is the outcome itself")]
    pub fn into_result(self) -> Result<Receipt, Self> {
        match self {
            Self::Confirmed(receipt) => Ok(receipt),
            other => Err(other),
        }
    }

    /// The latest failure of a call; `None` if there was none in this process.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Confirmed(_) | Self::Cancelled(_) => None,
            Self::Refused(error) => Some(error),
            Self::NotBought(NotBought { error, .. })
            | Self::Pending(Pending { error, .. })
            | Self::Unresolved(Unresolved { error, .. }) => error.as_ref(),
        }
    }
}

/// Lets `?` return what [`into_result`](Outcome::into_result) fails with. The text
/// includes [`error`](Outcome::error), so that is not the source as well.
impl StdError for Outcome {}

/// Safe to log, as [`Error`] is.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The API chooses the id, but it must not break the lines of a log.
        let line = |id: &ImpactId| id.to_string().replace(char::is_control, "\u{fffd}");
        match self {
            Self::Confirmed(receipt) => write!(f, "bought as {}", line(&receipt.into())),
            Self::Cancelled(ids) => {
                let ids: Vec<_> = ids.iter().map(line).collect();
                write!(f, "bought as {}, and cancelled since", ids.join(" and "))
            }
            Self::Refused(error) => write!(f, "not bought, because it was refused: {error}"),
            Self::NotBought(not_bought) => not_bought.fmt(f),
            Self::Pending(pending) => pending.fmt(f),
            Self::Unresolved(unresolved) => unresolved.fmt(f),
        }
    }
}

/// Implements `Display` and `Error` for an outcome that is not a success.
macro_rules! failures {
    ($($failure:ident: $self:ident => $text:expr,)*) => {$(
        /// Safe to log, as [`Error`] is.
        impl fmt::Display for $failure {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$text)?;
                $self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
        }

        /// The text includes `error`, so that is not the source as well.
        impl StdError for $failure {}
    )*};
}

failures! {
    NotBought: self => "not bought; it may be tried again later",
    Pending: self => format!("not known yet; look again in {} s", self.after.as_secs()),
    Unresolved: self => format!("not known: {}", self.reason),
}
