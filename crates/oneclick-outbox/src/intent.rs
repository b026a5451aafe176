//! An intent as the outbox stores it: its status, outcome and events.

use std::fmt;

use oneclick_proto::{
    Error, Impact, ImpactId, ImpactKind, Purchase, PurchaseState, Receipt, RecordedMetadata,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Declares the states of an intent with their names in the database.
macro_rules! statuses {
    ($($(#[$meta:meta])* $status:ident = $name:literal,)*) => {
        /// How far an intent has come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Status {
            $($(#[$meta])* $status,)*
        }

        impl Status {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$status,)*];

            /// The name, as it stands in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$status => $name,)*
                }
            }
        }
    };
}

statuses! {
    /// It waits for a worker. Nothing has been sent.
    Ready = "ready",
    /// A worker has it. Nothing has been sent.
    Claimed = "claimed",
    /// A purchase may have been sent, and its outcome is not known yet.
    Open = "open",
    /// It was bought.
    Bought = "bought",
    /// The API refused it, and would refuse it again. Nothing was bought.
    Refused = "refused",
    /// It was bought, and a worker is to cancel it.
    Cancelling = "cancelling",
    /// It was bought and has been cancelled since.
    Cancelled = "cancelled",
    /// A person has to look at it.
    Unresolved = "unresolved",
    /// A person has dropped it. Nothing is sent for it any more.
    Dropped = "dropped",
}

impl Status {
    /// Whether no worker takes an intent with this status.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Ready | Self::Claimed | Self::Open | Self::Cancelling)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was bought for an intent. It names no customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bought {
    /// The id of the impact.
    #[serde(flatten)]
    pub id: ImpactId,
    /// The kind of impact.
    pub kind: ImpactKind,
    /// The amount, in the unit of the kind.
    pub amount: i64,
}

impl From<&Receipt> for Bought {
    fn from(receipt: &Receipt) -> Self {
        let impact = receipt.impact.clone();
        Self { id: receipt.into(), kind: impact.kind, amount: impact.amount }
    }
}

/// The API's response to an intent that was bought or refused, so that it can be repeated.
///
/// It can hold personal data, which [`Outbox::erase_requests`](crate::Outbox::erase_requests)
/// erases: a receipt then has no more than [`Bought`], and an error no more than
/// [`Entry::problem`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    /// The receipt, or the `type` and the `message` of the error.
    pub body: Value,
}

/// Leaves out the body, which can hold personal data.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    /// Without metadata: the API's own receipts show none, and one that was built from a record
    /// shows the intent's marker.
    pub(crate) fn receipt(receipt: &Receipt) -> Self {
        let mut receipt = receipt.clone();
        receipt.metadata = RecordedMetadata::default();
        // A receipt has no maps with keys that are no texts, so this cannot fail.
        Self { status: 200, body: serde_json::to_value(&receipt).unwrap_or_default() }
    }

    /// The receipt without its customer, once that was erased.
    pub(crate) fn bought(bought: &Bought) -> Self {
        let ImpactId { user_id, time_utc, .. } = bought.id.clone();
        let impact = Impact::new(bought.kind.clone(), bought.amount);
        Self::receipt(&Receipt::new(user_id, time_utc, impact))
    }

    /// The API's refusal; `None` if the client refused it.
    pub(crate) fn refusal(error: &Error) -> Option<Self> {
        let body = serde_json::from_slice(error.body()).ok()?;
        Some(Self { status: error.status()?.as_u16(), body })
    }
}

/// An intent in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The id of the intent in this outbox.
    pub id: i64,
    /// The namespace of its key.
    pub namespace: String,
    /// Its key, unique in its namespace.
    pub key: String,
    /// The purchase; `None` once it was erased.
    pub purchase: Option<Purchase>,
    /// How far it has come.
    pub status: Status,
    /// When it was stored, by the machine's time of day, in RFC 3339.
    pub enqueued_at: String,
    /// When it got its final status.
    pub done_at: Option<String>,
    /// How many purchases for it may have been sent.
    pub sends: u32,
    /// The state to resume its purchase with; `None` if nothing has been sent for it.
    #[serde(skip)]
    pub state: Option<PurchaseState>,
    /// What was bought.
    pub bought: Option<Bought>,
    /// The API's response, if it was bought or refused.
    pub answer: Option<Answer>,
    /// Why it is not bought, or not known to be. It holds no personal data.
    pub problem: Option<String>,
    /// The impacts that may be its purchase, if a person has to look at it.
    pub found: Vec<ImpactId>,
    /// Whether it is to be cancelled as soon as it is known what was bought.
    pub is_to_be_cancelled: bool,
    /// The impacts that an audit found not cancelled, if they are too many: more than one, or any
    /// at all for an intent that is not [`Bought`](Status::Bought). A person cancels those that
    /// are too many.
    pub surplus: Vec<ImpactId>,
}

impl Entry {
    /// The receipt of what was bought. Its customer is missing once the request was erased, and if
    /// a person said what was bought.
    #[must_use]
    pub fn receipt(&self) -> Option<Receipt> {
        self.bought.as_ref()?;
        serde_json::from_value(self.answer.as_ref()?.body.clone()).ok()
    }
}

/// Something that happened to an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// When, by the machine's time of day, in RFC 3339.
    pub at: String,
    /// How often a worker had claimed the intent by then.
    pub epoch: i64,
    /// What happened, in words. It holds no personal data.
    pub what: String,
}

/// How many intents there are, and what holds them back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Those that wait for a worker, or that a worker has but has not sent.
    pub ready: u64,
    /// When the oldest of those was stored.
    pub oldest: Option<String>,
    /// Those whose purchase may have been sent, and whose outcome is not known.
    pub open: u64,
    /// Those of `open` that no worker has now: a worker looks for them later.
    pub pending: u64,
    /// Those that were bought.
    pub bought: u64,
    /// Those that the API refused.
    pub refused: u64,
    /// Those that are to be cancelled.
    pub cancelling: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// Those that a person has to look at.
    pub unresolved: u64,
    /// Those that a person has dropped.
    pub dropped: u64,
    /// Those for which an audit found too many impacts: see [`Entry::surplus`].
    pub surplus: u64,
    /// Why the workers are paused; `None` if they are not.
    pub paused: Option<String>,
}

impl Counts {
    /// Adds intents with a status, of which the `oldest` was stored then.
    pub(crate) fn add(&mut self, status: Status, number: u64, oldest: String) {
        match status {
            Status::Ready | Status::Claimed => {
                self.ready += number;
                self.oldest = self.oldest.take().into_iter().chain([oldest]).min();
            }
            Status::Open => self.open += number,
            Status::Bought => self.bought += number,
            Status::Refused => self.refused += number,
            Status::Cancelling => self.cancelling += number,
            Status::Cancelled => self.cancelled += number,
            Status::Unresolved => self.unresolved += number,
            Status::Dropped => self.dropped += number,
        }
    }
}
