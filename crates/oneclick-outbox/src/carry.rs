//! Carries out one intent that this process holds: permit, send, look, and what is written.

use std::time::Duration;

use oneclick_proto::{
    Api, Error, ImpactId, Machine, NotBought, Outcome, Pending, PurchaseState, RetryPolicy, Sent,
    Step, TransportError, Unresolved, VerifiedPurchase, VerifyPolicy,
};

use crate::error::OutboxError;
use crate::intent::{Bought, Status};
use crate::sqlite::{Held, Permit, Store, Written};

/// How a worker goes about its intents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) policy: VerifyPolicy,
    pub(crate) lease: Duration,
    /// How long after a permit a purchase may leave.
    pub(crate) send_by: Duration,
}

/// The longest wait between two tries or two looks.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What a failure means for all intents.
#[derive(Debug, PartialEq, Eq)]
enum Gate {
    /// The API responds as it should.
    Open,
    /// It asks to wait, or cannot be reached.
    Close(Option<Duration>),
    /// It refuses the key.
    Pause(String),
    /// Nothing.
    Same,
}

/// An intent that this process holds, while its purchase is driven.
pub(crate) struct Carried<'a> {
    store: &'a Store,
    held: Held,
    terms: Terms,
    /// When the latest permit was asked for.
    permitted: Option<Duration>,
    /// When the lease ends.
    lease_ends: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// Go on.
    Send,
    /// Do not, and write what [`Carried::let_go`] writes.
    LetGo,
}

impl<'a> Carried<'a> {
    pub(crate) fn new(store: &'a Store, held: Held, terms: Terms) -> Self {
        let lease_ends = store.now().since_boot.saturating_add(terms.lease);
        Self { store, held, terms, permitted: None, lease_ends }
    }

    /// The first step. Nothing is retried beneath it: whoever waits lets the intent go.
    pub(crate) fn start(
        &self,
        api: &Api,
        seed: u64,
        now: Duration,
    ) -> Result<Step<VerifiedPurchase>, OutboxError> {
        let Held { intent, purchase, state, age, .. } = &self.held;
        let purchase = purchase.clone();
        let began = self.store.now().since_boot;
        // The database may be a copy from before a purchase left. Only what was stored since it
        // was opened cannot be: that is sent at once.
        let is_fresh = age.is_some_and(|age| {
            began.saturating_sub(age) >= self.store.opened()
                && age < self.terms.policy.absence_after
        });
        let machine = match state {
            Some(state) if state.sends() > 0 => {
                VerifiedPurchase::resume(intent, purchase, state.clone())
            }
            Some(state) if is_fresh => VerifiedPurchase::resume(intent, purchase, state.clone()),
            None if is_fresh => VerifiedPurchase::new(intent, purchase),
            _ => VerifiedPurchase::look_first(intent, purchase, self.existed()),
        }?;
        let policy = self.terms.policy.patience(Duration::ZERO);
        Ok(machine.policy(policy).start(api, RetryPolicy::NEVER, seed, now))
    }

    /// For how long the intent has existed, at least.
    fn existed(&self) -> Duration {
        // The time of day may have been corrected since.
        const CORRECTION: Duration = Duration::from_secs(86_400);
        self.held.age.unwrap_or_else(|| self.held.wall_age.saturating_add(CORRECTION))
    }

    /// Called before each request: asks for a permit if it may buy, and extends the lease.
    pub(crate) fn before_send(
        &mut self,
        sent: &Sent<VerifiedPurchase>,
    ) -> Result<Departure, OutboxError> {
        let (store, lease) = (self.store, self.terms.lease);
        let now = store.now().since_boot;
        let granted = if sent.may_buy() {
            self.permitted = Some(now);
            let permit = store.permit(&self.held, sent.state(), lease)?;
            if permit == Permit::Granted {
                self.held.state = Some(sent.state().clone());
            }
            permit == Permit::Granted
        } else if self.lease_ends.saturating_sub(now) < lease / 2 {
            store.renew(&self.held, lease)?
        } else {
            return Ok(Departure::Send);
        };
        if !granted {
            return Ok(Departure::LetGo);
        }
        self.lease_ends = now.saturating_add(lease);
        Ok(Departure::Send)
    }

    /// Called before a wait in the middle of a look: holds the intent until after it.
    pub(crate) fn before_wait(&mut self, wait: Duration) -> Result<Departure, OutboxError> {
        let lease = self.terms.lease.saturating_add(wait);
        let now = self.store.now().since_boot;
        if !self.store.renew(&self.held, lease)? {
            return Ok(Departure::LetGo);
        }
        self.lease_ends = now.saturating_add(lease);
        Ok(Departure::Send)
    }

    /// Called as the last thing before a request leaves: an error if this process was stopped
    /// for too long since the permit.
    pub(crate) fn check_departure(
        &self,
        sent: &Sent<VerifiedPurchase>,
    ) -> Result<(), TransportError> {
        let permitted = self.permitted.filter(|_| sent.may_buy());
        let late = permitted.is_some_and(|permitted| {
            self.store.now().since_boot.saturating_sub(permitted) > self.terms.send_by
        });
        if late {
            let reason = "the process was stopped before it sent the purchase";
            return Err(TransportError::connect(reason));
        }
        Ok(())
    }

    /// Lets the intent go as it was, since workers are paused or its lease is over.
    pub(crate) fn let_go(self) -> Result<Status, OutboxError> {
        let Held { state, tries, .. } = &self.held;
        let status = match state {
            Some(state) if state.sends() > 0 => Status::Open,
            _ => Status::Ready,
        };
        let (state, tries) = (state.clone(), *tries);
        let due = self.store.now().since_boot;
        let written =
            Written { tries, state, ..Written::new(status, due, "let go before it was sent") };
        self.store.finish(&self.held, &written)?;
        Ok(status)
    }

    /// Leaves an intent to a person that cannot even be started: its state is that of another
    /// purchase, for instance.
    pub(crate) fn give_up(self, error: &OutboxError) -> Result<Status, OutboxError> {
        let (state, problem) = (self.held.state.clone(), Some(error.to_string()));
        let now = self.store.now().since_boot;
        let written = Written::new(Status::Unresolved, now, "it cannot be started");
        self.store.finish(&self.held, &Written { state, problem, ..written })?;
        Ok(Status::Unresolved)
    }

    /// Writes the outcome.
    pub(crate) fn finish(self, outcome: Outcome) -> Result<Status, OutboxError> {
        let now = self.store.now().since_boot;
        let (written, gate) = conclusion(outcome, &self.held, now);
        self.store.finish(&self.held, &written)?;
        match gate {
            Gate::Open => self.store.gate_open()?,
            Gate::Close(wait) => self.store.gate_close(wait, self.held.failures)?,
            Gate::Pause(reason) => self.store.pause(Some(&reason))?,
            Gate::Same => {}
        }
        Ok(written.status)
    }
}

/// What an outcome means for its intent and for all others.
fn conclusion(outcome: Outcome, held: &Held, now: Duration) -> (Written, Gate) {
    let tries = held.tries.saturating_add(1);
    let what = outcome.to_string();
    let gate = gate(&outcome);
    let base = Written::new(Status::Unresolved, now, &what);
    let written = match outcome {
        Outcome::Confirmed(receipt) => {
            let id = ImpactId::from(&receipt);
            let bought = Bought { id, kind: receipt.impact.kind, amount: receipt.impact.amount };
            let state = held.state.clone();
            Written { status: Status::Bought, state, bought: Some(bought), ..base }
        }
        // A key that is refused today may be replaced, so it is no fault of the intent.
        Outcome::Refused(_) if matches!(gate, Gate::Pause(_)) => {
            Written { status: Status::Ready, tries: held.tries, ..base }
        }
        Outcome::Refused(_) => Written { status: Status::Refused, problem: Some(what), ..base },
        Outcome::NotBought(NotBought { state, .. }) if state.may_send() => {
            let due = now + wait(held.tries);
            let problem = Some(what);
            Written { status: waiting(&state), due, tries, state: Some(state), problem, ..base }
        }
        Outcome::NotBought(NotBought { state, .. }) => {
            let problem = Some(format!("not bought after {} purchases were sent", state.sends()));
            Written { state: Some(state), problem, ..base }
        }
        Outcome::Cancelled(found) => {
            let state = held.state.clone();
            Written { status: Status::Cancelled, state, found, ..base }
        }
        Outcome::Pending(Pending { after, state, .. }) => {
            let due = now + wait(held.tries).min(after);
            let problem = Some(what);
            Written { status: Status::Open, due, tries, state: Some(state), problem, ..base }
        }
        Outcome::Unresolved(Unresolved { found, state, .. }) => {
            Written { state: Some(state), problem: Some(what), found, ..base }
        }
    };
    (written, gate)
}

/// Where an intent waits that may be sent again.
fn waiting(state: &PurchaseState) -> Status {
    if state.sends() > 0 { Status::Open } else { Status::Ready }
}

fn wait(tries: u32) -> Duration {
    Duration::from_secs(1_u64 << tries.min(16)).min(LONGEST_WAIT)
}

fn gate(outcome: &Outcome) -> Gate {
    let Some(error) = outcome.error() else { return Gate::Open };
    let status = error.status().map(|status| status.as_u16());
    match status {
        Some(401 | 403) if error.error_type().is_some() => {
            Gate::Pause(format!("the API refuses the key: {error}"))
        }
        _ if error.is_rate_limit() => Gate::Close(error.retry_after()),
        Some(500..) => Gate::Close(error.retry_after()),
        None if is_out_of_reach(error) => Gate::Close(None),
        Some(_) => Gate::Open,
        None => Gate::Same,
    }
}

fn is_out_of_reach(error: &Error) -> bool {
    error.is_connect() || error.is_timeout()
}
