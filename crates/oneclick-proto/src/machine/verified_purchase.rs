//! One purchase that is verified.

use std::fmt;
use std::time::Duration;

use super::{Answer, Ask, Machine, Next};
use crate::endpoint::Receipt;
use crate::purchase::Purchase;
use crate::value::{ImpactId, InvalidValue};
use crate::verify::{
    Conclusion, Intent, NotBought, Outcome, Pending, PurchaseState, Reading, Search, Sought,
    Unresolved, UnresolvedReason, VerifyPolicy, receipt_confirms,
};
use crate::{Error, Execution, GetAccount, PlantTree};

/// How many looks in a row may fail before the lists are called unreadable.
pub(super) const MAX_FAILED_LOOKS: u32 = 3;
/// How much later another process may see absence count, since a `Date` has whole
/// seconds.
const CLOCK_MARGIN: Duration = Duration::from_secs(3);
/// The first wait between two looks; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A purchase that is verified: a [`Machine`] that ends with an [`Outcome`].
///
/// The [`Intent`]'s marker goes along with the purchase as metadata. If its response
/// is lost, the lists are read for the marker. A purchase that is seen is confirmed at
/// once. That there is none is believed only long after, when the purchase may be sent
/// once more; until then the outcome is [`Outcome::Pending`]. Nothing is ever
/// cancelled.
///
/// ```text
///   new ────► purchase ─────────► Confirmed, Refused, NotBought
///               │  ▲
///       unknown │  │ absent, long after, once
///               ▼  │
///   resume ─► lists, track ─────► Confirmed, TakenBack, NotBought, Pending, Unresolved
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
/// * A request that was given up arrives, and its record is in every list, within
///   [`VerifyPolicy::absence_after`]. Elapsed time counts suspension.
/// * The server's `Date` and the times of its records differ by less than
///   [`VerifyPolicy::clock_tolerance`], and neither clock steps between a purchase and
///   its look.
/// * One process at a time works on an intent, the state that is resumed is the last
///   one stored, and no gateway repeats a POST.
/// * The API's own 4xx response is never sent for a purchase that was made.
/// * A receipt of another purchase that crosses on the wire differs in kind, amount,
///   customer or time; [`VerifyPolicy::confirm_by_receipt`] does without.
/// * Where a list takes more than one page, its replicas differ for less than half a
///   minute.
#[must_use = "nothing is bought until the purchase is driven to its end"]
pub struct VerifiedPurchase {
    sought: Sought,
    /// The latest failure of a purchase, or to ask for the server's time.
    failure: Option<Error>,
    /// The latest failure of a look.
    look_failure: Option<Error>,
    looks: u32,
    failed_looks: u32,
    phase: Phase,
}

/// What the machine is at.
#[derive(Debug)]
enum Phase {
    Start,
    /// Asks for the server's time before the purchase (R1).
    Clock,
    Buy {
        sent: Duration,
    },
    Search(Box<Search>),
    /// It is absent, and may be sent once more.
    Cleared,
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
        Self::from_parts(PurchaseState::new(intent, &purchase), purchase)
    }

    /// The purchase of an intent that another process has worked on and left this
    /// state: it is looked for first.
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
        Self::from_parts(state, purchase)
    }

    /// The purchase of an intent that another process may have worked on without
    /// leaving its state: it is looked for as far back as there are records, and never
    /// sent (R2). [`PurchaseState::allow_another`] on the state of the outcome, then
    /// [`resume`](Self::resume), sends it if no row is it or may be it (R16).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recover(intent: &Intent, purchase: impl Into<Purchase>) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        Self::from_parts(PurchaseState::unknown(intent, &purchase), purchase)
    }

    fn from_parts(state: PurchaseState, purchase: Purchase) -> Result<Self, InvalidValue> {
        let mut metadata = purchase.metadata().clone();
        let before = metadata.insert(Intent::METADATA_KEY, state.marker())?;
        if before.is_some_and(|before| before != state.marker()) {
            let reason = "the key oneclick_intent holds another intent's marker";
            return Err(InvalidValue::Metadata { reason });
        }
        let sought = Sought::new(purchase.with_metadata(metadata), state);
        Ok(Self::at(sought, Phase::Start))
    }

    /// Sets how long the purchase is looked for, and what is believed of the server.
    pub fn policy(mut self, policy: VerifyPolicy) -> Self {
        self.sought.policy = policy;
        self
    }

    /// The purchase, with the marker in its metadata.
    #[must_use]
    pub fn purchase(&self) -> &Purchase {
        &self.sought.purchase
    }

    pub(super) fn into_sought(self) -> Sought {
        self.sought
    }

    /// One that is absent: it is sent once more as soon as it is started, which may be
    /// by another driver, on another clock.
    pub(super) fn cleared(sought: Sought) -> Self {
        let sought = Sought { clock: None, looking: None, ..sought };
        Self::at(sought, Phase::Cleared)
    }

    fn at(sought: Sought, phase: Phase) -> Self {
        Self { sought, failure: None, look_failure: None, looks: 0, failed_looks: 0, phase }
    }

    /// The purchase leaves, once the server's time was asked for (R1).
    fn buy(mut self, now: Duration) -> Next<Self> {
        let Sought { state, clock, .. } = &mut self.sought;
        match clock {
            None if !matches!(self.phase, Phase::Clock) => {
                self.phase = Phase::Clock;
                return Next::Ask(Ask::of(&GetAccount), self);
            }
            None => {}
            Some(clock) => {
                if state.sends == 0 {
                    state.from = Some(clock.earliest(now).into());
                }
                state.until = Some(clock.latest(now).into());
            }
        }
        state.sends = state.sends.saturating_add(1);
        self.phase = Phase::Buy { sent: now };
        (self.failure, self.sought.looking, self.looks) = (None, None, 0);
        Next::Ask(self.sought.purchase.ask(), self)
    }

    /// What follows the purchase (R3 to R7).
    fn bought(
        mut self,
        result: Result<Receipt, Error>,
        sent: Duration,
        now: Duration,
    ) -> Next<Self> {
        let Sought { state, clock, policy, purchase, given_up, .. } = &mut self.sought;
        *given_up = Some(now);
        if let Some(clock) = clock {
            state.until = Some(clock.latest(now).into());
            if state.sends == 1 && state.from.is_none() {
                state.from = Some(clock.earliest(sent).into());
            }
        }
        match (result, clock) {
            (Ok(receipt), Some(clock)) if policy.confirm_by_receipt => {
                let (sent, answered) = (clock.earliest(sent), clock.latest(now));
                if receipt_confirms(&receipt, purchase, sent, answered, policy) {
                    return Next::Done(Outcome::Confirmed(receipt));
                }
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                if error.execution() == Execution::NotExecuted {
                    state.sends = state.sends.saturating_sub(1);
                }
                let nothing_left = state.sends == 0;
                self.failure = Some(error);
                if nothing_left {
                    return Next::Done(self.not_bought());
                }
            }
        }
        self.look(now)
    }

    fn look(mut self, now: Duration) -> Next<Self> {
        let search = Search::new(std::slice::from_mut(&mut self.sought), now);
        self.search(Box::new(search), now)
    }

    fn search(mut self, mut search: Box<Search>, now: Duration) -> Next<Self> {
        let next = search.next(std::slice::from_mut(&mut self.sought));
        match next {
            Reading::Ask(ask) => Next::Ask(ask, Self { phase: Phase::Search(search), ..self }),
            Reading::Wait(wait) => Next::Wait(wait, Self { phase: Phase::Search(search), ..self }),
            Reading::Done => {
                (self.failed_looks, self.look_failure) = (0, None);
                match self.sought.conclude(search.look()) {
                    Conclusion::NotYet => self.look_later(now),
                    Conclusion::Absent if self.may_send() => self.buy(now),
                    conclusion => Next::Done(outcome(self.sought, conclusion, self.failure, now)),
                }
            }
        }
    }

    /// Whether an absent purchase is sent once more (R17). A failure that was certain,
    /// or that asked to wait (R6), is reported instead.
    fn may_send(&self) -> bool {
        let told =
            |error: &Error| error.execution() == Execution::NotExecuted || error.is_rate_limit();
        self.sought.state.may_send() && !self.failure.as_ref().is_some_and(told)
    }

    /// Looks again after a wait, or leaves it for later.
    fn look_later(mut self, now: Duration) -> Next<Self> {
        let looked = now.saturating_sub(self.sought.looking.unwrap_or(now));
        let left = self.sought.policy.patience.saturating_sub(looked);
        if left.is_zero() {
            let error = self.failure.or(self.look_failure);
            return Next::Done(outcome(self.sought, Conclusion::NotYet, error, now));
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.looks)).min(left);
        let until_late = self.sought.until_late(now);
        let wait = if until_late.is_zero() { wait } else { wait.min(until_late) };
        self.looks += 1;
        Next::Wait(wait, self)
    }

    fn not_bought(self) -> Outcome {
        not_bought(self.sought.state, self.failure)
    }
}

/// What a conclusion ends with.
pub(super) fn outcome(
    sought: Sought,
    conclusion: Conclusion,
    error: Option<Error>,
    now: Duration,
) -> Outcome {
    let after = sought.until_late(now).saturating_add(CLOCK_MARGIN);
    let error = error.or(sought.untracked);
    let mut state = sought.state;
    match conclusion {
        Conclusion::Confirmed(receipt) => Outcome::Confirmed(receipt),
        Conclusion::TakenBack(ids) => Outcome::TakenBack(ids),
        Conclusion::Unresolved(reason, found) => {
            Outcome::Unresolved(Unresolved { reason, found, error, state })
        }
        Conclusion::NotYet | Conclusion::Track(_) => {
            Outcome::Pending(Pending { after, error, state })
        }
        Conclusion::Absent => {
            // R6: one in the API's own words was not counted in the first place (R5).
            let unclear = |error: &Error| error.execution() == Execution::Unknown;
            if error.as_ref().is_some_and(|error| error.is_rate_limit() && unclear(error)) {
                state.sends = state.sends.saturating_sub(1);
            }
            not_bought(state, error)
        }
    }
}

fn not_bought(state: PurchaseState, error: Option<Error>) -> Outcome {
    match error {
        Some(error) if state.sends == 0 && error.is_refusal() => Outcome::Refused(error),
        error => Outcome::NotBought(NotBought { error, state }),
    }
}

impl fmt::Debug for VerifiedPurchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPurchase")
            .field("purchase", &self.sought.purchase)
            .field("state", &self.sought.state)
            .finish_non_exhaustive()
    }
}

impl Machine for VerifiedPurchase {
    type Output = Outcome;
    type State = PurchaseState;

    fn state(&self) -> &PurchaseState {
        &self.sought.state
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        match std::mem::replace(&mut self.phase, Phase::Start) {
            Phase::Search(search) => self.search(search, now),
            Phase::Cleared => self.buy(now),
            _ if self.sought.state.sends == 0 => self.buy(now),
            _ => self.look(now),
        }
    }

    /// What is stored before it leaves again says when that was (R1).
    fn asked_again(&mut self, now: Duration) {
        if let Phase::Buy { sent } = &mut self.phase {
            *sent = now;
            if let Some(clock) = self.sought.clock {
                self.sought.state.until = Some(clock.latest(now).into());
            }
        }
    }

    fn answered(mut self, answer: Answer<'_>, now: Duration) -> Next<Self> {
        self.sought.hear(answer.date(), now);
        let purchase = &self.sought.purchase;
        match std::mem::replace(&mut self.phase, Phase::Start) {
            Phase::Start | Phase::Cleared => self.proceed(now),
            Phase::Clock => match answer.read::<GetAccount>(&|| purchase.personal()) {
                Ok(account) => {
                    self.sought.account = Some(account.user_id);
                    self.phase = Phase::Clock;
                    self.buy(now)
                }
                Err(error) if self.sought.state.sends == 0 => {
                    self.failure = Some(error);
                    Next::Done(self.not_bought())
                }
                // It says nothing about the purchase that left before.
                Err(error) => {
                    self.look_failure = Some(error);
                    self.look_later(now)
                }
            },
            Phase::Buy { sent } => {
                // All actions respond alike.
                let receipt = answer.read::<PlantTree>(&|| purchase.personal());
                self.bought(receipt, sent, now)
            }
            Phase::Search(mut search) => {
                let purchase = purchase.clone();
                let sought = std::slice::from_mut(&mut self.sought);
                match search.take(answer, &|| purchase.personal(), sought, now) {
                    Ok(()) => self.search(search, now),
                    Err(error) => {
                        self.failed_looks += 1;
                        if self.failed_looks < MAX_FAILED_LOOKS || !self.sought.is_late(now) {
                            self.look_failure = Some(error);
                            return self.look_later(now);
                        }
                        let reason = UnresolvedReason::Unreadable;
                        let conclusion = Conclusion::Unresolved(reason, Vec::<ImpactId>::new());
                        Next::Done(outcome(self.sought, conclusion, Some(error), now))
                    }
                }
            }
        }
    }

    fn personal(&self) -> Vec<String> {
        self.sought.purchase.personal()
    }
}
