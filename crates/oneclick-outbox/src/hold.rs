//! Intents that a process drives by itself, such as a command that a person runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use oneclick_proto::{ImpactId, Outcome, Purchase, PurchaseState, Receipt, SendBy};

use crate::carry::{as_it_was, conclusion, existed};
use crate::error::OutboxError;
use crate::intent::{Answer, Bought, Status};
use crate::outbox::Outbox;
use crate::store::{Held, Permit, Store, Written};

/// For how long an intent is held after each step.
const LEASE: Duration = Duration::from_secs(60);
/// How long after its permit a purchase may be sent.
const SEND_BY: Duration = Duration::from_secs(5);

/// An intent that this process holds and drives by itself, with a [`VerifiedPurchase`] and a
/// policy of its own. No worker takes it until a minute after the latest
/// [`permit`](Self::permit) or [`keep`](Self::keep), or until the time that
/// [`renew`](Self::renew) sets. At the end, call [`finish`](Self::finish),
/// [`let_go`](Self::let_go) or [`forget`](Self::forget). If this is dropped instead, workers
/// take the intent over as if the process had been killed.
///
/// [`VerifiedPurchase`]: oneclick_proto::VerifiedPurchase
pub struct Hold {
    store: Arc<Store>,
    held: Held,
    is_new: bool,
    /// Whether a permit was granted.
    was_permitted: bool,
}

/// What a store other than this outbox recorded of an intent, for [`Outbox::import`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Stored {
    /// A purchase may have been sent, and its outcome is not known.
    Open(PurchaseState),
    /// It was bought.
    Bought(Box<Receipt>, PurchaseState),
    /// It was bought as these impacts, and has been cancelled since.
    Cancelled(Vec<ImpactId>),
}

impl Outbox {
    /// Takes an intent that this process drives by itself, and stores it if it is missing. It
    /// also takes one that is unresolved or refused, which is then tried again. Returns `None`
    /// while a worker or another such process holds it.
    ///
    /// Set `alone` only if your process has a file lock that excludes every other process that
    /// calls this. Then a hold that is still stored belongs to a killed process, and is ignored.
    ///
    /// # Errors
    /// As [`enqueue`](crate::enqueue); [`OutboxError::WrongStatus`] for an intent that was bought,
    /// cancelled or dropped; [`OutboxError::Unreadable`].
    pub fn hold(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
        alone: bool,
    ) -> Result<Option<Hold>, OutboxError> {
        let held = self.store.claim_alone(namespace, key, purchase, alone, LEASE)?;
        let store = Arc::clone(&self.store);
        Ok(held.map(|(held, is_new)| Hold { store, held, is_new, was_permitted: false }))
    }

    /// Stores an intent that another store recorded. Returns `false` if the outbox has the same
    /// intent already, which then stays as it is.
    ///
    /// # Errors
    /// As [`enqueue`](crate::enqueue).
    pub fn import(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
        stored: Stored,
    ) -> Result<bool, OutboxError> {
        let new = |status| Written::new(status, Duration::ZERO, "taken over from elsewhere");
        let written = match stored {
            Stored::Open(state) => Written { state: Some(state), ..new(Status::Open) },
            Stored::Bought(receipt, state) => Written {
                state: Some(state),
                bought: Some(Bought::from(&*receipt)),
                answer: Some(Answer::receipt(&receipt)),
                ..new(Status::Bought)
            },
            Stored::Cancelled(found) => Written { found, ..new(Status::Cancelled) },
        };
        self.store.import(namespace, key, purchase, &written)
    }

    /// Replaces the receipt of an intent that was bought, because its impact was found under
    /// another id.
    ///
    /// # Errors
    /// [`OutboxError::WrongStatus`] for an intent that was not bought.
    pub fn correct_receipt(&self, id: i64, receipt: &Receipt) -> Result<(), OutboxError> {
        let bought = Bought::from(receipt);
        let what = format!("bought as {}", bought.id);
        self.store.decide(id, &[Status::Bought, Status::Cancelling], |entry, state| {
            let answer = Some(Answer::receipt(receipt));
            let new = self.written(entry.status, &what);
            Ok(Written { state, bought: Some(bought), answer, ..new })
        })
    }

    /// Notes that what was bought for an intent has been cancelled since.
    ///
    /// # Errors
    /// [`OutboxError::WrongStatus`] for an intent that was not bought.
    pub fn cancelled_since(&self, id: i64, impacts: &[ImpactId]) -> Result<(), OutboxError> {
        self.store.decide(id, &[Status::Bought, Status::Cancelling], |entry, state| {
            let (bought, answer) = (entry.bought.clone(), entry.answer.clone());
            let new = self.written(Status::Cancelled, "it has been cancelled since");
            Ok(Written { state, bought, answer, found: impacts.to_vec(), ..new })
        })
    }
}

impl Hold {
    /// The id of the intent.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.held.id
    }

    /// Whether [`Outbox::hold`] stored the intent.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The state that is stored, to resume the purchase with.
    #[must_use]
    pub fn state(&self) -> Option<&PurchaseState> {
        self.held.state.as_ref()
    }

    /// Asks whether the purchase in this request may be sent. If it may, stores `state`, which is
    /// that of [`Sent::state`]. The permit is valid for five seconds, so the request gets a
    /// [`SendBy`] as an extension.
    ///
    /// [`Sent::state`]: oneclick_proto::Sent::state
    ///
    /// # Errors
    /// The database fails: then the purchase must not be sent.
    pub fn permit<B>(
        &mut self,
        state: &PurchaseState,
        request: &mut Request<B>,
    ) -> Result<Permit, OutboxError> {
        let clock = self.store.clock();
        // The five seconds begin before the permit is stored.
        let by = clock.now().since_boot.saturating_add(SEND_BY);
        request.extensions_mut().insert(SendBy::new(move || clock.now().since_boot <= by));
        let permit = self.store.permit(&self.held, state, LEASE)?;
        if permit == Permit::Granted {
            self.held.state = Some(state.clone());
            self.held.until = self.store.now().since_boot.saturating_add(LEASE);
            self.was_permitted = true;
        }
        Ok(permit)
    }

    /// For how long the intent has existed, at least. If it is not new and no state is stored, as
    /// in a restored backup, look back this far for its purchase.
    #[must_use]
    pub fn existed(&self) -> Duration {
        existed(&self.store, &self.held)
    }

    /// Holds the intent until a minute after a `wait`, unless it is held until half a minute
    /// after the `wait` anyway. Call this before each request and each wait. Returns `false` if
    /// another worker has the intent now.
    ///
    /// # Errors
    /// The database fails.
    pub fn renew(&mut self, wait: Duration) -> Result<bool, OutboxError> {
        let now = self.store.now().since_boot;
        if self.held.until.saturating_sub(now) > wait.saturating_add(LEASE / 2) {
            return Ok(true);
        }
        let lease = LEASE.saturating_add(wait);
        self.held.until = now.saturating_add(lease);
        self.store.renew(&self.held, lease)
    }

    /// Stores the state before a request that buys nothing. Returns `false` if another worker has
    /// the intent now.
    ///
    /// # Errors
    /// The database fails.
    pub fn keep(&mut self, state: &PurchaseState) -> Result<bool, OutboxError> {
        let until = self.store.now().since_boot.saturating_add(LEASE);
        let kept = self.store.keep(&self.held, state, LEASE)?;
        if kept {
            self.held.state = Some(state.clone());
            self.held.until = until;
        }
        Ok(kept)
    }

    /// Stores the outcome, and lets the intent go. Workers go on with it unless its status is
    /// final. Returns its status; [`Status::Claimed`] if another worker has it now.
    ///
    /// # Errors
    /// The database fails.
    pub fn finish(self, outcome: &Outcome) -> Result<Status, OutboxError> {
        let now = self.store.now().since_boot;
        let written = conclusion(outcome, &self.held, now);
        self.write(&Written { looked: !self.was_permitted, ..written })
    }

    /// Lets the intent go with the state that is stored. A worker or another process may take it.
    ///
    /// # Errors
    /// The database fails.
    pub fn let_go(self) -> Result<Status, OutboxError> {
        self.write(&as_it_was(&self.held, self.store.now().since_boot))
    }

    /// Removes the intent and its events. Another purchase can then use its key. Call this only
    /// if it is certain that nothing was bought for it, or if its key is never used again. Returns
    /// `false`, and removes nothing, if another worker has it now or if a person has cancelled it:
    /// then [`finish`](Self::finish) it.
    ///
    /// # Errors
    /// The database fails.
    pub fn forget(&self) -> Result<bool, OutboxError> {
        self.store.forget(&self.held)
    }

    fn write(&self, written: &Written) -> Result<Status, OutboxError> {
        let status = self.store.finish(&[(&self.held, written)])?;
        Ok(status.first().copied().unwrap_or(written.status))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("id", &self.held.id).finish_non_exhaustive()
    }
}
