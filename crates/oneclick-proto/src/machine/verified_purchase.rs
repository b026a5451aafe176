//! A purchase that is verified against the records.

use std::fmt;
use std::time::Duration;

use super::{ApiRequest, ApiResult, Machine, Next};
use crate::endpoint::Receipt;
use crate::purchase::Purchase;
use crate::value::{ImpactId, InvalidValue};
use crate::verify::{
    Conclusion, Intent, NotBought, OpenPurchase, Outcome, Pending, PurchaseState, Reading, Search,
    Unresolved, UnresolvedReason, VerifyPolicy, receipt_confirms,
};
use crate::{Error, Execution, GetAccount, PlantTree};

/// How many looks in a row may fail before the lists count as unreadable.
pub(super) const MAX_FAILED_LOOKS: u32 = 3;
/// Added to the wait before another process looks: it knows the server's time only to
/// the second, so absence may count a little later for it.
const CLOCK_MARGIN: Duration = Duration::from_secs(3);
/// The first wait between two looks; each later one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A purchase that is verified: a [`Machine`] whose output is an [`Outcome`].
///
/// The purchase carries the [`Intent`]'s marker in its metadata. If the response is
/// lost, the machine searches the lists for the marker. A record with the marker
/// confirms the purchase at once. A missing record counts only after
/// [`VerifyPolicy::absence_after`], and then the purchase may be sent once more; until
/// then the outcome is [`Outcome::Pending`]. The machine never cancels anything.
///
/// ```text
///   new ────► purchase ─────────► Confirmed, Refused, NotBought
///               │  ▲
///       unknown │  │ absent after a long time (once)
///               ▼  │
///   resume ─► lists, track ─────► Confirmed, Cancelled, NotBought, Pending, Unresolved
/// ```
///
/// [`Client::buy_verified`](crate::Client::buy_verified) drives it in one call.
/// To survive a crash, store the purchase, and store [`Sent::state`](crate::Sent::state)
/// before each request that may buy. That adds one line to the loop of [`Machine`], here
/// for an async client and a store that can fail:
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
/// # Assumptions
///
/// * A request that was given up either arrives, and its record is in every list,
///   within [`VerifyPolicy::absence_after`], or it never arrives. The clock of `now`
///   goes on while the machine is suspended.
/// * The server's `Date` and the times of its records differ by less than
///   [`VerifyPolicy::clock_tolerance`], and neither clock jumps between a purchase and
///   its look.
/// * One process at a time works on an intent, it resumes the state that was stored
///   last, and no gateway repeats a POST.
/// * The API never sends a 4xx response of its own for a purchase that was made.
/// * If the receipt of another purchase arrives by mistake, it differs in kind, amount,
///   customer or time. [`VerifyPolicy::confirm_by_receipt`] set to `false` removes this
///   assumption.
/// * If a list has more than one page, all replicas of the server show a record within
///   half a minute of the first.
#[must_use = "nothing is bought unless the purchase is driven to completion"]
pub struct VerifiedPurchase {
    open: OpenPurchase,
    /// The latest failure of a purchase, or of the request for the server's time.
    failure: Option<Error>,
    /// The latest failure of a look.
    look_failure: Option<Error>,
    looks: u32,
    failed_looks: u32,
    /// Whether a purchase that was sent is not looked for.
    settles_later: bool,
    activity: Activity,
}

/// What the machine is doing.
#[derive(Debug)]
enum Activity {
    Start,
    /// Asking for the server's time before the purchase (R1).
    Clock,
    Buy {
        sent: Duration,
    },
    Search(Box<Search>),
    /// The purchase is absent and may be sent once more.
    Cleared,
}

impl VerifiedPurchase {
    /// A purchase for an intent that no process has worked on yet. It is sent at once.
    ///
    /// # Errors
    /// As [`Metadata::insert`](crate::Metadata::insert), if the purchase's metadata has
    /// no room for the marker; [`InvalidValue::Metadata`] if it holds the marker of
    /// another intent.
    pub fn new(intent: &Intent, purchase: impl Into<Purchase>) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        Self::from_parts(PurchaseState::new(intent, &purchase), purchase)
    }

    /// A purchase for an intent that another process has worked on, with the state that
    /// this process stored. The machine looks for it first.
    ///
    /// # Errors
    /// [`InvalidValue::OtherPurchase`] if the state belongs to another intent, kind,
    /// amount or customer; otherwise as [`new`](Self::new).
    pub fn resume(
        intent: &Intent,
        purchase: impl Into<Purchase>,
        state: PurchaseState,
    ) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        state.check(intent, &purchase)?;
        Self::from_parts(state, purchase)
    }

    /// A purchase for an intent that another process may have worked on without storing
    /// its state. The machine looks for it in all records, and never sends it (R2).
    ///
    /// To have it sent if no record is or may be this purchase (R16), call
    /// [`PurchaseState::allow_another`] on the state in the outcome, then
    /// [`resume`](Self::resume).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recover(intent: &Intent, purchase: impl Into<Purchase>) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        Self::from_parts(PurchaseState::unknown(intent, &purchase), purchase)
    }

    /// A purchase for an intent that was stored this long ago, and whose state may be older
    /// than what was done: the store was restored from a backup, for instance. The machine
    /// looks for the purchase first. It sends the purchase if it is absent
    /// [`absence_after`](VerifyPolicy::absence_after) from now.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn look_first(
        intent: &Intent,
        purchase: impl Into<Purchase>,
        existed: Duration,
    ) -> Result<Self, InvalidValue> {
        let purchase = purchase.into();
        let machine = Self::from_parts(PurchaseState::maybe_sent(intent, &purchase), purchase)?;
        let open = OpenPurchase { existed: Some(existed), ..machine.open };
        Ok(Self { open, ..machine })
    }

    fn from_parts(state: PurchaseState, purchase: Purchase) -> Result<Self, InvalidValue> {
        let mut metadata = purchase.metadata().clone();
        let before = metadata.insert(Intent::METADATA_KEY, state.marker()).map_err(|invalid| {
            let reason = "it must have at most 19 pairs, because oneclick_intent is added to them";
            match invalid {
                InvalidValue::Metadata { .. } => InvalidValue::Metadata { reason },
                invalid => invalid,
            }
        })?;
        if before.is_some_and(|before| before != state.marker()) {
            let reason = "the key oneclick_intent belongs to another intent: leave it out";
            return Err(InvalidValue::Metadata { reason });
        }
        let open = OpenPurchase::new(purchase.with_metadata(metadata), state);
        Ok(Self::at(open, Activity::Start))
    }

    /// Sets how long to look for the purchase, and what to assume about the server.
    pub fn policy(mut self, policy: VerifyPolicy) -> Self {
        self.open.policy = policy;
        self
    }

    /// Leaves the look to a [`Settlement`](crate::Settlement), which looks for many purchases at
    /// once: if a purchase is sent and its outcome is not known, the outcome is
    /// [`Outcome::Pending`] at once. A state that may have been sent before is still looked for
    /// first.
    pub fn settle_later(mut self) -> Self {
        self.settles_later = true;
        self
    }

    /// The purchase, with the marker in its metadata.
    #[must_use]
    pub fn purchase(&self) -> &Purchase {
        &self.open.purchase
    }

    pub(super) fn into_open(self) -> OpenPurchase {
        self.open
    }

    /// An absent purchase, which is sent once more as soon as it is started. Another
    /// driver with another clock may start it, so times of this clock are removed.
    pub(super) fn cleared(open: OpenPurchase) -> Self {
        let open = OpenPurchase { clock: None, looking: None, ..open };
        Self::at(open, Activity::Cleared)
    }

    fn at(open: OpenPurchase, activity: Activity) -> Self {
        Self {
            open,
            failure: None,
            look_failure: None,
            looks: 0,
            failed_looks: 0,
            settles_later: false,
            activity,
        }
    }

    /// Sends the purchase; asks for the server's time first if it is not known (R1).
    fn buy(mut self, now: Duration) -> Next<Self> {
        let clock = self.open.clock;
        if clock.is_none() && !matches!(self.activity, Activity::Clock) {
            self.activity = Activity::Clock;
            return Next::Send(ApiRequest::of(&GetAccount).fresh(), self);
        }
        self.open.state.count_send(clock.map(|clock| (clock.earliest(now), clock.latest(now))));
        self.activity = Activity::Buy { sent: now };
        (self.failure, self.open.looking, self.open.given_up, self.looks) = (None, None, None, 0);
        Next::Send(self.open.purchase.request(), self)
    }

    /// Handles the result of the purchase (R3 to R7).
    fn bought(
        mut self,
        result: Result<Receipt, Error>,
        sent: Duration,
        now: Duration,
    ) -> Next<Self> {
        let OpenPurchase { state, clock, policy, purchase, given_up, .. } = &mut self.open;
        *given_up = Some(now);
        if let Some(clock) = clock {
            state.until = Some(clock.latest(now).into());
            if state.sends == 1 && state.from.is_none() {
                state.from = Some(clock.earliest(sent).into());
            }
        }
        match (result, clock) {
            (Ok(receipt), Some(clock)) if policy.confirm_by_receipt => {
                let (sent, received) = (clock.earliest(sent), clock.latest(now));
                if receipt_confirms(&receipt, purchase, sent, received, policy) {
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
        if self.settles_later {
            return Next::Done(outcome(self.open, Conclusion::NotYet, self.failure, now));
        }
        self.look(now)
    }

    fn look(mut self, now: Duration) -> Next<Self> {
        let search = Search::new(std::slice::from_mut(&mut self.open), now);
        self.search(Box::new(search), now)
    }

    fn search(mut self, mut search: Box<Search>, now: Duration) -> Next<Self> {
        let next = search.next(std::slice::from_mut(&mut self.open));
        match next {
            Reading::Send(request) => {
                Next::Send(request, Self { activity: Activity::Search(search), ..self })
            }
            Reading::Wait(wait) => {
                Next::Wait(wait, Self { activity: Activity::Search(search), ..self })
            }
            Reading::Done => {
                (self.failed_looks, self.look_failure) = (0, None);
                match self.open.conclude(search.look()) {
                    Conclusion::NotYet => self.look_later(now),
                    Conclusion::Absent if self.may_send() => self.buy(now),
                    conclusion => Next::Done(outcome(self.open, conclusion, self.failure, now)),
                }
            }
        }
    }

    /// Whether to send an absent purchase once more (R17). A failure that is certain, or
    /// that asks to wait (R6), is reported instead.
    fn may_send(&self) -> bool {
        let final_failure =
            |error: &Error| error.execution() == Execution::NotExecuted || error.is_rate_limit();
        self.open.state.may_send() && !self.failure.as_ref().is_some_and(final_failure)
    }

    /// Looks again after a wait, or ends as pending if the patience is used up.
    fn look_later(mut self, now: Duration) -> Next<Self> {
        let looked = now.saturating_sub(self.open.looking.unwrap_or(now));
        let left = self.open.policy.patience.saturating_sub(looked);
        if left.is_zero() {
            let error = self.failure.or(self.look_failure);
            return Next::Done(outcome(self.open, Conclusion::NotYet, error, now));
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.looks)).min(left);
        let until_late = self.open.until_late(now);
        let wait = if until_late.is_zero() { wait } else { wait.min(until_late) };
        self.looks += 1;
        Next::Wait(wait, self)
    }

    fn not_bought(self) -> Outcome {
        not_bought(self.open.state, self.failure)
    }
}

/// Turns a conclusion into the outcome.
pub(super) fn outcome(
    open: OpenPurchase,
    conclusion: Conclusion,
    error: Option<Error>,
    now: Duration,
) -> Outcome {
    let after = open.until_late(now).saturating_add(CLOCK_MARGIN);
    // R6. A rate limit in the API's own words was not counted at all (R5).
    let is_unclear_limit = error
        .as_ref()
        .is_some_and(|error| error.is_rate_limit() && error.execution() == Execution::Unknown);
    let error = error.or(open.tracking_failure);
    let mut state = open.state;
    match conclusion {
        Conclusion::Confirmed(receipt) => Outcome::Confirmed(receipt),
        Conclusion::Cancelled(ids) => Outcome::Cancelled(ids),
        Conclusion::Unresolved(reason, found) => {
            state.show();
            Outcome::Unresolved(Unresolved { reason, found, error, state })
        }
        Conclusion::NotYet | Conclusion::Track(_) => {
            Outcome::Pending(Pending { after, error, state })
        }
        Conclusion::Absent => {
            if is_unclear_limit {
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
            .field("purchase", &self.open.purchase)
            .field("state", &self.open.state)
            .finish_non_exhaustive()
    }
}

impl Machine for VerifiedPurchase {
    type Output = Outcome;
    type State = PurchaseState;

    fn state(&self) -> &PurchaseState {
        &self.open.state
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        match std::mem::replace(&mut self.activity, Activity::Start) {
            Activity::Search(search) => self.search(search, now),
            Activity::Cleared => self.buy(now),
            _ if self.open.state.sends == 0 => self.buy(now),
            _ => self.look(now),
        }
    }

    /// The purchase is about to leave again, so the state must hold the new time (R1).
    fn before_resend(&mut self, now: Duration) {
        if let Activity::Buy { sent } = &mut self.activity {
            *sent = now;
            if let Some(clock) = self.open.clock {
                self.open.state.until = Some(clock.latest(now).into());
            }
        }
    }

    fn handle(mut self, result: ApiResult<'_>, now: Duration) -> Next<Self> {
        self.open.note_date(result.date(), now);
        let purchase = &self.open.purchase;
        match std::mem::replace(&mut self.activity, Activity::Start) {
            Activity::Start | Activity::Cleared => self.proceed(now),
            Activity::Clock => match result.read::<GetAccount>(&|| purchase.personal()) {
                Ok(account) => {
                    self.open.account = Some(account.user_id);
                    self.activity = Activity::Clock;
                    self.buy(now)
                }
                Err(error) if self.open.state.sends == 0 => {
                    self.failure = Some(error);
                    Next::Done(self.not_bought())
                }
                // This failure says nothing about the purchase that left before.
                Err(error) => {
                    self.look_failure = Some(error);
                    self.look_later(now)
                }
            },
            Activity::Buy { sent } => {
                // All actions respond alike.
                let receipt = result.read::<PlantTree>(&|| purchase.personal());
                self.bought(receipt, sent, now)
            }
            Activity::Search(mut search) => {
                let purchase = purchase.clone();
                let open = std::slice::from_mut(&mut self.open);
                match search.take(result, &|| purchase.personal(), open, now) {
                    Ok(()) => self.search(search, now),
                    Err(error) => {
                        self.failed_looks += 1;
                        if self.failed_looks < MAX_FAILED_LOOKS || !self.open.is_late(now) {
                            self.look_failure = Some(error);
                            return self.look_later(now);
                        }
                        let reason = UnresolvedReason::Unreadable;
                        let conclusion = Conclusion::Unresolved(reason, Vec::<ImpactId>::new());
                        Next::Done(outcome(self.open, conclusion, Some(error), now))
                    }
                }
            }
        }
    }

    fn personal(&self) -> Vec<String> {
        self.open.purchase.personal()
    }
}
