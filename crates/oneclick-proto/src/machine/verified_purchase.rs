//! One purchase that is verified.

use std::fmt;
use std::time::Duration;

use super::{Answer, Ask, Machine, Next};
use crate::endpoint::Receipt;
use crate::purchase::Purchase;
use crate::value::{ImpactId, InvalidValue, Reason};
use crate::verify::{
    Conclusion, Evidence, Intent, Outcome, PurchaseState, Reading, Reconciliation, Unresolved,
    UnresolvedReason, VerifyPolicy,
};
use crate::{CancelImpact, Cancellation, Error, Execution};

/// A purchase that is verified: a [`Machine`] that ends with an [`Outcome`].
///
/// The [`Intent`]'s marker goes along with the purchase as metadata. If its
/// response is lost, the records are read for the marker: one match confirms the
/// purchase; none within the settle time, in two rounds at least, allows to send
/// it once more; of several the earliest is kept and the others are cancelled.
/// What cannot be settled so is [`Outcome::Unresolved`], for a person.
///
/// ```text
///   new ────► purchase ─────────► Confirmed, Rejected, NotSent
///               │  ▲
///       unknown │  │ not found, once
///               ▼  │
///   resume ─► records, wait ────► Confirmed, Unresolved
///               │
///               │ several
///               ▼
///             cancellations ────► Confirmed, Unresolved
/// ```
///
/// [`Client::buy_verified`](crate::Client::buy_verified) drives it in one call.
/// To survive a crash, store the purchase, and store [`Sent::state`](crate::Sent::state)
/// before each request that may buy. That is the loop of [`Machine`] with one more
/// line, here for a client whose calls are futures and a store that may fail:
///
/// ```
/// use oneclick_proto::{
///     AsyncClient, AsyncTransport, Outcome, PurchaseState, Step, VerifiedPurchase,
/// };
///
/// async fn buy<T: AsyncTransport, E>(
///     client: &AsyncClient<T>,
///     purchase: VerifiedPurchase,
///     store: impl AsyncFn(&PurchaseState) -> Result<(), E>,
/// ) -> Result<Outcome, E> {
///     let transport = client.transport();
///     let mut step = client.start(purchase);
///     loop {
///         step = match step {
///             Step::Send(request, sent) => {
///                 if sent.may_buy() {
///                     store(sent.state()).await?;
///                 }
///                 sent.finish(transport.send(request).await, transport.now())
///             }
///             Step::Wait(wait, waiting) => {
///                 transport.sleep(wait).await;
///                 waiting.wake(transport.now())
///             }
///             Step::Done(outcome) => return Ok(outcome),
///         };
///     }
/// }
/// ```
///
/// # What is assumed
///
/// * The API stores metadata with the record and shows it there.
/// * A record becomes visible within [`VerifyPolicy::settle`] after the purchase,
///   and a request that was given up is not executed later than that.
/// * The clocks of both sides differ by less than [`VerifyPolicy::look_back`].
/// * One process at a time works on an intent.
/// * A duplicate is found before its donation is sent; after that it cannot be
///   cancelled. An e-mail that a customer got for it is not taken back.
///
/// An impact that was cancelled later still counts as bought.
#[must_use = "nothing is bought until the purchase is driven to its end"]
pub struct VerifiedPurchase {
    /// With the marker.
    purchase: Purchase,
    policy: VerifyPolicy,
    evidence: Evidence,
    /// Whether it may be sent once more if it is not found.
    may_resend: bool,
    /// The failure of the latest purchase.
    failure: Option<Error>,
    phase: Phase,
}

/// What the machine is at.
enum Phase {
    Buy,
    /// The purchase may have been made, by this process or another one.
    Look,
    Read(Reconciliation),
    Cancel {
        kept: Receipt,
        others: Vec<ImpactId>,
    },
}

impl VerifiedPurchase {
    /// The purchase of an intent that no process has worked on yet: it is sent at
    /// once.
    ///
    /// # Errors
    /// As [`Metadata::insert`](crate::Metadata::insert), if the purchase's metadata
    /// has no room for the marker.
    pub fn new(intent: &Intent, purchase: impl Into<Purchase>) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        let state = PurchaseState::new(intent, &purchase);
        Self::from_parts(state, purchase, Phase::Buy)
    }

    /// The purchase of an intent that another process has worked on and left this
    /// state: the records are read first.
    ///
    /// # Errors
    /// [`InvalidValue::OtherPurchase`] if the state is of another intent, kind,
    /// amount or customer; as [`new`](Self::new).
    pub fn resume(
        intent: &Intent,
        purchase: impl Into<Purchase>,
        state: PurchaseState,
    ) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        state.check(intent, &purchase)?;
        Self::from_parts(state, purchase, Phase::Look)
    }

    /// The purchase of an intent that another process may have worked on without
    /// leaving its state: as [`resume`](Self::resume), from the intent alone. That
    /// process is taken to have sent one purchase at most: one that is found
    /// confirms it at once, and none that shows later is waited for.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recover(intent: &Intent, purchase: impl Into<Purchase>) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        let state = PurchaseState::new(intent, &purchase);
        Self::from_parts(state, purchase, Phase::Look)
    }

    fn from_parts(
        state: PurchaseState,
        purchase: Purchase,
        phase: Phase,
    ) -> Result<Self, InvalidValue> {
        let mut metadata = purchase.metadata().clone();
        let before = metadata.insert(Intent::METADATA_KEY, state.marker())?;
        if before.is_some_and(|before| before != state.marker()) {
            let reason = "the key oneclick_intent holds another intent's marker";
            return Err(InvalidValue::Metadata { reason });
        }
        Ok(Self {
            purchase: purchase.with_metadata(metadata),
            policy: VerifyPolicy::STANDARD,
            evidence: Evidence::new(state),
            may_resend: true,
            failure: None,
            phase,
        })
    }

    /// Sets how long and how far back the purchase is looked for.
    pub fn policy(mut self, policy: VerifyPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The purchase, with the marker in its metadata.
    #[must_use]
    pub fn purchase(&self) -> &Purchase {
        &self.purchase
    }

    fn at(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// What follows the purchase.
    fn bought(mut self, result: Result<Receipt, Error>, now: Duration) -> Next<Self> {
        let first = self.evidence.state.sends == 1;
        match result {
            Ok(receipt) if first => return Next::Done(Outcome::Confirmed(receipt)),
            // The earlier one may have been made all the same.
            Ok(receipt) => {
                self.evidence.state.executed = true;
                self.evidence.receipt = Some(receipt);
            }
            Err(error) => match error.execution() {
                Execution::NotExecuted if first => return Next::Done(Outcome::not_bought(error)),
                execution => {
                    self.evidence.state.executed |= execution == Execution::Executed;
                    self.failure = Some(error);
                }
            },
        }
        self.at(Phase::Look).proceed(now)
    }

    /// What follows a whole round.
    fn concluded(mut self, conclusion: Conclusion, now: Duration) -> Next<Self> {
        match conclusion {
            Conclusion::NotYet => self.proceed(now),
            Conclusion::Confirmed(receipt) => Next::Done(Outcome::Confirmed(receipt)),
            Conclusion::Several(kept, others) => {
                self.at(Phase::Cancel { kept, others }).proceed(now)
            }
            Conclusion::Unresolved(reason) => self.unresolved(reason, None, None),
            Conclusion::Absent => match self.failure.take() {
                Some(error) if error.execution() == Execution::NotExecuted => {
                    Next::Done(Outcome::not_bought(error))
                }
                _ if self.may_resend && !self.evidence.state.executed => {
                    self.may_resend = false;
                    let sends = &mut self.evidence.state.sends;
                    *sends = sends.saturating_add(1);
                    self.at(Phase::Buy).proceed(now)
                }
                error => self.unresolved(UnresolvedReason::NotFound, error, None),
            },
        }
    }

    fn unresolved(
        self,
        reason: UnresolvedReason,
        error: Option<Error>,
        found: Option<Vec<ImpactId>>,
    ) -> Next<Self> {
        let found = found.unwrap_or_else(|| self.evidence.ids());
        let error = error.or(self.failure);
        let state = self.evidence.state;
        Next::Done(Outcome::Unresolved(Unresolved { reason, found, error, state }))
    }
}

impl fmt::Debug for VerifiedPurchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPurchase")
            .field("purchase", &self.purchase)
            .field("state", &self.evidence.state)
            .finish_non_exhaustive()
    }
}

impl Machine for VerifiedPurchase {
    type Output = Outcome;
    type State = PurchaseState;

    fn state(&self) -> &PurchaseState {
        &self.evidence.state
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        match &mut self.phase {
            Phase::Buy => Next::Ask(self.purchase.ask(), self),
            Phase::Look => {
                let email = self.purchase.customer().map(|customer| &customer.customer_email);
                let intents = std::slice::from_ref(&self.evidence);
                let reading = Reconciliation::new(intents, email, self.policy, now);
                self.at(Phase::Read(reading)).proceed(now)
            }
            Phase::Read(reconciliation) => match reconciliation.next(now) {
                Reading::Ask(ask) => Next::Ask(ask, self),
                Reading::Wait(wait) => Next::Wait(wait, self),
                Reading::Failed(reason, error) => self.unresolved(reason, error, None),
            },
            Phase::Cancel { kept, others } => match others.last() {
                Some(other) => {
                    let mut cancel = CancelImpact::new(other);
                    cancel.reason = Reason::new("bought twice").ok();
                    Next::Ask(Ask::of(&cancel), self)
                }
                None => Next::Done(Outcome::Confirmed(kept.clone())),
            },
        }
    }

    fn answered(mut self, answer: Answer<'_>, now: Duration) -> Next<Self> {
        let personal = || self.purchase.personal();
        match &mut self.phase {
            Phase::Buy | Phase::Look => {
                let receipt = answer.read(&personal);
                self.bought(receipt, now)
            }
            Phase::Read(reconciliation) => {
                let intents = std::slice::from_mut(&mut self.evidence);
                match reconciliation.take(answer, &personal, intents) {
                    Ok(false) => self.proceed(now),
                    Ok(true) => {
                        let conclusion = reconciliation.decide(&self.evidence);
                        self.concluded(conclusion, now)
                    }
                    Err(error) => self.unresolved(UnresolvedReason::Unreadable, Some(error), None),
                }
            }
            Phase::Cancel { kept, others } => match answer.read::<Cancellation>(&personal) {
                Ok(_) => {
                    others.pop();
                    self.proceed(now)
                }
                Err(error) => {
                    let mut found = vec![ImpactId::from(&*kept)];
                    found.append(others);
                    self.unresolved(UnresolvedReason::BoughtTwice, Some(error), Some(found))
                }
            },
        }
    }

    fn personal(&self) -> Vec<String> {
        self.purchase.personal()
    }
}
