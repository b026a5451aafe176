//! How a verified purchase ends.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::PurchaseState;
use crate::Error;
use crate::endpoint::Receipt;
use crate::value::ImpactId;

/// How a verified purchase ends. Exhaustive by design: match it without a wildcard.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It was bought, once. The receipt is the API's response, or was made from the
    /// record.
    Confirmed(Receipt),
    /// The API, or this side, refused it: nothing of this intent was bought, and the
    /// same purchase would be refused again.
    Refused(Error),
    /// Nothing of this intent was bought, and it may be tried again later.
    NotBought(NotBought),
    /// It was bought and cancelled since.
    TakenBack(Vec<ImpactId>),
    /// It is not known yet whether it was bought. Looking again later will tell.
    Pending(Pending),
    /// It cannot be told whether it was bought, or it was bought more than once: for a
    /// person to look at.
    Unresolved(Unresolved),
}

/// Nothing was bought.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotBought {
    /// The latest failure; `None` if this process did not send anything.
    pub error: Option<Error>,
    /// What to take the purchase up with later.
    pub state: PurchaseState,
}

/// A purchase that may have been made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pending {
    /// After how long looking again will tell.
    pub after: Duration,
    /// The latest failure; `None` if there was none in this process.
    pub error: Option<Error>,
    /// What to take the purchase up with then.
    pub state: PurchaseState,
}

/// A purchase that a person has to look at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unresolved {
    /// Why the outcome cannot be told.
    pub reason: UnresolvedReason,
    /// The impacts that were found: with the marker, or such as may be the purchase.
    pub found: Vec<ImpactId>,
    /// The latest failure; `None` if there was none in this process.
    pub error: Option<Error>,
    /// What to take the purchase up with later.
    pub state: PurchaseState,
}

/// Why the outcome of an intent cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnresolvedReason {
    /// The lists could not be read.
    Unreadable,
    /// The lists are too long, or in no order, so that it may have been missed.
    TooManyRecords,
    /// Records without a readable marker may be the purchase.
    Candidates,
    /// It was in a list, and is not there any more.
    SeenAndGone,
    /// It was bought, and whether it was cancelled since cannot be found out.
    Untrackable,
    /// It was bought, and its time names other impacts as well.
    SameTime,
    /// It was bought more than once.
    BoughtTwice,
    /// What was bought for the intent has another kind, amount or customer.
    OtherPurchase,
}

impl fmt::Display for UnresolvedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the records could not be read",
            Self::TooManyRecords => "the records are too many, or in no order, to be sure",
            Self::Candidates => "records without a readable marker may be the purchase",
            Self::SeenAndGone => "its record was there and is gone",
            Self::Untrackable => {
                "it was bought, and whether it was cancelled since cannot be found out"
            }
            Self::SameTime => "it was bought, and its time names other impacts as well",
            Self::BoughtTwice => "it was bought more than once",
            Self::OtherPurchase => {
                "what was bought has another kind, amount or customer than was asked for"
            }
        })
    }
}

impl Outcome {
    /// The receipt of a confirmed purchase.
    ///
    /// # Errors
    /// Any other outcome, as it is.
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
            Self::Confirmed(_) | Self::TakenBack(_) => None,
            Self::Refused(error) => Some(error),
            Self::NotBought(NotBought { error, .. })
            | Self::Pending(Pending { error, .. })
            | Self::Unresolved(Unresolved { error, .. }) => error.as_ref(),
        }
    }
}

/// For [`into_result`](Outcome::into_result), with `?`. The text shows
/// [`error`](Outcome::error), so it is no source.
impl StdError for Outcome {}

/// Safe to log, as [`Error`] is.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The API chooses the id, but not the lines of a log.
        let line = |id: &ImpactId| id.to_string().replace(char::is_control, "\u{fffd}");
        match self {
            Self::Confirmed(receipt) => write!(f, "bought as {}", line(&receipt.into())),
            Self::TakenBack(ids) => {
                let ids: Vec<_> = ids.iter().map(line).collect();
                write!(f, "bought as {}, and cancelled since", ids.join(" and "))
            }
            Self::Refused(error) => write!(f, "not bought, and refused: {error}"),
            Self::NotBought(not_bought) => not_bought.fmt(f),
            Self::Pending(pending) => pending.fmt(f),
            Self::Unresolved(unresolved) => unresolved.fmt(f),
        }
    }
}

/// Declares an ending that is an error as well.
macro_rules! endings {
    ($($ending:ident: $self:ident => $text:expr,)*) => {$(
        /// Safe to log, as [`Error`] is.
        impl fmt::Display for $ending {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$text)?;
                $self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
        }

        /// The text shows `error`, so it is no source.
        impl StdError for $ending {}
    )*};
}

endings! {
    NotBought: self => "not bought; it may be tried again later",
    Pending: self => format!("not known yet; look again in {} s", self.after.as_secs()),
    Unresolved: self => format!("not known: {}", self.reason),
}
