//! The row of an intent.

use std::time::Duration;

use oneclick_proto::{Intent, Purchase, PurchaseState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::json;
use crate::error::OutboxError;
use crate::intent::{Answer, Bought, Entry, Status};

/// The row of an intent.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) namespace: String,
    pub(crate) key: String,
    /// The purchase as versioned JSON; `None` once erased.
    pub(crate) request: Option<String>,
    pub(crate) status: Status,
    /// When it was stored, for people.
    pub(crate) enqueued_at: String,
    /// When it was stored; `None` if the clock has started again since.
    pub(crate) enqueued: Option<Duration>,
    /// When a worker may take it. While it is held, the end of the lease.
    pub(crate) due: Duration,
    pub(crate) holder: Holder,
    /// Counts the claims, so that no worker writes a row that another one has taken since.
    pub(crate) epoch: i64,
    /// How many tries in a row ended without an outcome.
    pub(crate) tries: u32,
    /// What the core needs to resume the purchase. This and the next three are JSON.
    pub(crate) state: Option<String>,
    /// The impact that was bought.
    pub(crate) bought: Option<String>,
    /// What the API answered.
    pub(crate) answer: Option<String>,
    /// The impacts that were cancelled, or that may be the purchase if it is not known which is.
    pub(crate) found: Option<String>,
    /// Whether a record shows it, and not only a receipt.
    pub(crate) looked: bool,
    /// Why it is not bought, or not known to be.
    pub(crate) problem: Option<String>,
    pub(crate) done_at: Option<String>,
    /// Whether a person wants it cancelled, or never bought.
    pub(crate) cancel: bool,
    /// When to audit it.
    pub(crate) audit_at: Option<Duration>,
    /// How often it was audited.
    pub(crate) audits: u32,
    /// The impacts that are not cancelled, if there are more than one, as JSON.
    pub(crate) surplus: Option<String>,
}

/// Who holds a row until it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Worker,
    /// A process that drives it by itself.
    Process,
}

/// A request as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request<P> {
    pub(crate) v: u32,
    #[serde(flatten)]
    pub(crate) purchase: P,
}

/// The version of [`Request`].
pub(crate) const REQUEST: u32 = 1;

impl Row {
    pub(crate) fn intent(&self) -> Intent {
        Intent::new(&self.namespace, &self.key)
    }

    /// Whether somebody holds it at this time.
    pub(crate) fn is_held(&self, now: Duration) -> bool {
        self.holder != Holder::Nobody && self.due > now
    }

    /// Whether nothing has been sent for it, and something is to be.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.status, Status::Ready | Status::Claimed)
    }

    pub(crate) fn purchase(&self) -> Option<Purchase> {
        let request: Request<Purchase> = serde_json::from_str(self.request.as_ref()?).ok()?;
        Some(request.purchase)
    }

    /// The version of the request.
    pub(crate) fn version(&self) -> Option<u32> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        serde_json::from_str(self.request.as_ref()?).ok().map(|version: Version| version.v)
    }

    pub(crate) fn state(&self) -> Result<Option<PurchaseState>, OutboxError> {
        self.parsed(self.state.as_deref())
    }

    pub(crate) fn bought(&self) -> Result<Option<Bought>, OutboxError> {
        self.parsed(self.bought.as_deref())
    }

    pub(crate) fn answer(&self) -> Result<Option<Answer>, OutboxError> {
        self.parsed(self.answer.as_deref())
    }

    fn parsed<T: DeserializeOwned>(&self, text: Option<&str>) -> Result<Option<T>, OutboxError> {
        let unreadable = |error: serde_json::Error| OutboxError::Unreadable {
            id: self.id,
            reason: error.to_string(),
        };
        text.map(serde_json::from_str).transpose().map_err(unreadable)
    }

    /// Removes everything that can be personal data.
    pub(crate) fn erase(&mut self) {
        self.request = None;
        let refusal = self.answer().ok().flatten().filter(|_| self.status == Status::Refused);
        self.answer = refusal.map(|answer| {
            let body = json!({ "type": answer.body["type"], "message": self.problem });
            json(&Answer { body, ..answer })
        });
    }

    pub(crate) fn set_state(&mut self, state: Option<&PurchaseState>) {
        self.state = state.map(json);
    }

    /// The intent as a person sees it.
    pub(crate) fn entry(self) -> Result<Entry, OutboxError> {
        let (bought, answer, state) = (self.bought()?, self.answer()?, self.state().ok().flatten());
        Ok(Entry {
            id: self.id,
            // A request of a newer version is shown without its purchase.
            purchase: self.purchase(),
            status: self.status,
            sends: state.as_ref().map_or(0, PurchaseState::sends),
            state,
            answer: answer.or_else(|| bought.as_ref().map(Answer::bought)),
            bought,
            found: self.parsed(self.found.as_deref())?.unwrap_or_default(),
            is_to_be_cancelled: self.cancel,
            surplus: self.parsed(self.surplus.as_deref())?.unwrap_or_default(),
            namespace: self.namespace,
            key: self.key,
            enqueued_at: self.enqueued_at,
            done_at: self.done_at,
            problem: self.problem,
        })
    }
}
