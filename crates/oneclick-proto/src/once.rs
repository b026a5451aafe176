//! A purchase that is verified: bought once, or said not to be.

mod intent;
mod look;
mod outcome;
mod policy;

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};

pub use intent::{Intent, OnceState};
pub use outcome::{Doubt, Outcome, Unresolved};
pub use policy::OncePolicy;

use look::{Look, MAX_FAILED_READS, MAX_READS, MIN_READS, Order, Walk};

use crate::endpoint::{Action, Page, Receipt};
use crate::value::{DateRange, ImpactId, InvalidValue, Limit, Reason, SortOrder, Timestamp};
use crate::{
    CancelImpact, Cancellation, CustomerRecord, Error, Execution, ListCustomerRecords, ListRecords,
    Pager, Record,
};

/// A purchase that is verified, as a machine without I/O.
///
/// The [`Intent`]'s marker goes along with the purchase as metadata. If nobody
/// knows what became of it, the records are read for the marker: one match
/// confirms it; none within the settle time, in two reads at least, allows to
/// send it once more; of several the earliest is kept and the others are
/// cancelled. What cannot be told so is [`Outcome::Unresolved`], for a person.
///
/// ```text
///   new ──► Send ──────────────► Confirmed, Rejected, NotSent
///            │ ▲
///    unknown │ │ no trace, once
///            ▼ │
///  resume ─► read, wait, read ─► Confirmed, Unresolved
///            │
///            │ several
///            ▼
///           Cancel ────────────► Confirmed, Unresolved
/// ```
///
/// A client drives it in one call, [`once`](crate::Client::once), or step by
/// step: [`advance`](crate::Client::advance) does one step, and in between
/// [`state`](Self::state) says all that another process needs to take it up.
/// Store it before each step, and no crash buys twice or loses an order:
///
/// ```
/// use std::ops::ControlFlow;
/// use oneclick_proto::{
///     BlockingClient, BlockingTransport, Intent, InvalidValue, Once, OnceState, Outcome,
///     PlantTree, Trees,
/// };
///
/// fn buy<T: BlockingTransport>(
///     client: &BlockingClient<T>,
///     intent: &Intent,
///     stored: Option<OnceState>,
///     store: impl Fn(&OnceState),
/// ) -> Result<Outcome, InvalidValue> {
///     let tree = PlantTree::new(Trees::of::<1>());
///     let mut once = match stored {
///         None => Once::new(intent, tree)?,
///         Some(state) => Once::resume(state, tree)?,
///     };
///     loop {
///         store(once.state());
///         match client.advance(once) {
///             ControlFlow::Continue(next) => once = next,
///             ControlFlow::Break(outcome) => return Ok(outcome),
///         }
///     }
/// }
/// ```
///
/// # What is assumed
///
/// * The API stores metadata with the record and shows it there.
/// * A record becomes visible within [`OncePolicy::settle`] after the purchase,
///   and a request that was given up is not executed later than that.
/// * The clocks of both sides differ by less than [`OncePolicy::look_back`].
/// * One process at a time works on an intent.
/// * A duplicate is found before its donation is sent; after that it cannot be
///   cancelled. An e-mail that a customer got for it is not taken back.
///
/// An impact that was cancelled later still counts as bought.
#[derive(Debug)]
#[must_use = "a purchase that nobody looks after"]
pub struct Once<A> {
    /// With the marker.
    action: A,
    policy: OncePolicy,
    state: OnceState,
    phase: Phase,
    /// Whether it may be sent once more if there is no trace of it.
    may_resend: bool,
    /// The receipt of a purchase that was sent once more.
    receipt: Option<Receipt>,
    /// What the last purchase met.
    failure: Option<Error>,
}

#[derive(Debug)]
enum Phase {
    /// The purchase goes out next.
    Send,
    /// It was handed out.
    Sending,
    /// It went out, in this process or in another one, and nobody has said yet
    /// what became of it.
    Sent,
    Look(Look),
    Cancel {
        kept: Receipt,
        others: Vec<ImpactId>,
    },
    Done(Outcome),
}

/// What has to be done next, and the machine to tell about it.
#[derive(Debug)]
#[must_use]
pub enum OnceStep<A> {
    /// Send this purchase, and tell [`Once::sent`].
    Send(A, Once<A>),
    /// Send this, and tell [`Once::read`].
    ReadRecords(ListRecords, Once<A>),
    /// Send this, and tell [`Once::read_of_customer`].
    ReadCustomerRecords(ListCustomerRecords, Once<A>),
    /// Send this, and tell [`Once::cancelled`].
    Cancel(CancelImpact, Once<A>),
    /// Wait so long.
    Wait(Duration, Once<A>),
    /// It is over.
    Done(Outcome),
}

impl<A: Action> Once<A> {
    /// An intent that no process has worked on yet: the purchase goes out first.
    ///
    /// # Errors
    /// As [`Metadata::insert`](crate::Metadata::insert), if the action's
    /// metadata has no room for the marker.
    pub fn new(intent: &Intent, action: A) -> Result<Self, InvalidValue> {
        let state = OnceState::new(intent, A::KIND, action.get_customer());
        Self::from_parts(state, action, Phase::Send)
    }

    /// An intent that a process has worked on and left this state: the records
    /// are read first. The action must be the same as it was then.
    ///
    /// # Errors
    /// [`InvalidValue::OtherAction`] if the state is of another kind of action
    /// or for another customer, whose records are other ones; as
    /// [`new`](Self::new).
    pub fn resume(state: OnceState, action: A) -> Result<Self, InvalidValue> {
        if !state.is_of(&A::KIND, action.get_customer()) {
            return Err(InvalidValue::OtherAction);
        }
        Self::from_parts(state, action, Phase::Sent)
    }

    /// An intent that a process may have worked on, of which no state was
    /// stored: as [`resume`](Self::resume), from the intent alone. That process
    /// is taken to have sent one purchase at most: one that is found confirms it
    /// at once, and none that shows later is waited for.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recover(intent: &Intent, action: A) -> Result<Self, InvalidValue> {
        let state = OnceState::new(intent, A::KIND, action.get_customer());
        Self::resume(state, action)
    }

    fn from_parts(state: OnceState, action: A, phase: Phase) -> Result<Self, InvalidValue> {
        let mut metadata = action.get_metadata().clone();
        let before = metadata.insert(Intent::METADATA_KEY, state.marker.as_str())?;
        if before.is_some_and(|before| before != state.marker) {
            let reason = "the key oneclick_intent holds another intent's marker";
            return Err(InvalidValue::Metadata { reason });
        }
        Ok(Self {
            action: action.metadata(metadata),
            policy: OncePolicy::STANDARD,
            state,
            phase,
            may_resend: true,
            receipt: None,
            failure: None,
        })
    }

    /// Sets how long and how far it is looked for.
    pub fn policy(mut self, policy: OncePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// All that another process needs to take it up from here. Store it before
    /// each [`step`](Self::step).
    pub fn state(&self) -> &OnceState {
        &self.state
    }

    /// What has to be done next. `now` is the time on a clock that only goes
    /// forward, since any fixed moment.
    ///
    /// What is not told about counts as lost: after a purchase that nobody told
    /// about, the records are read.
    pub fn step(mut self, now: Duration) -> OnceStep<A> {
        match std::mem::replace(&mut self.phase, Phase::Sent) {
            Phase::Send => {
                self.phase = Phase::Sending;
                OnceStep::Send(self.action.clone(), self)
            }
            Phase::Sending | Phase::Sent => self.read_on(Look::new(now), now),
            Phase::Look(look) => self.read_on(look, now),
            Phase::Cancel { kept, others } => match others.last() {
                Some(other) => {
                    let mut cancel = CancelImpact::new(other);
                    cancel.reason = Reason::new("bought twice").ok();
                    self.phase = Phase::Cancel { kept, others };
                    OnceStep::Cancel(cancel, self)
                }
                None => OnceStep::Done(Outcome::Confirmed(kept)),
            },
            Phase::Done(outcome) => OnceStep::Done(outcome),
        }
    }

    /// What came of it, if it is over.
    pub fn finished(self) -> ControlFlow<Outcome, Self> {
        match self.phase {
            Phase::Done(outcome) => ControlFlow::Break(outcome),
            phase => ControlFlow::Continue(Self { phase, ..self }),
        }
    }

    /// Takes what became of [`OnceStep::Send`].
    pub fn sent(&mut self, result: Result<Receipt, Error>, now: Duration) {
        if !matches!(self.phase, Phase::Sending) {
            return;
        }
        match result {
            Ok(receipt) if self.state.sends == 1 => {
                self.phase = Phase::Done(Outcome::Confirmed(receipt));
            }
            // The earlier one may have been made all the same.
            Ok(receipt) => {
                self.state.executed = true;
                self.receipt = Some(receipt);
                self.phase = Phase::Look(Look::new(now));
            }
            Err(error) => match error.execution() {
                Execution::NotExecuted if self.state.sends == 1 => {
                    self.phase = Phase::Done(Outcome::not_bought(error));
                }
                execution => {
                    self.state.executed |= execution == Execution::Executed;
                    self.failure = Some(error);
                    self.phase = Phase::Look(Look::new(now));
                }
            },
        }
    }

    /// Takes what became of [`OnceStep::ReadRecords`].
    pub fn read(&mut self, result: Result<Page<Record>, Error>) {
        if let Phase::Look(Look { walk: Some(Walk::Own(pager)), .. }) = &mut self.phase {
            let page = pager.take(result).map(|page| receipts(page.items));
            let complete = pager.is_complete();
            self.take_page(page, complete);
        }
    }

    /// Takes what became of [`OnceStep::ReadCustomerRecords`].
    pub fn read_of_customer(&mut self, result: Result<Page<CustomerRecord>, Error>) {
        if let Phase::Look(Look { walk: Some(Walk::ListCustomers(pager)), .. }) = &mut self.phase {
            let page = pager.take(result).map(|page| receipts(page.items));
            let complete = pager.is_complete();
            self.take_page(page, complete);
        }
    }

    /// Takes what became of [`OnceStep::Cancel`].
    pub fn cancelled(&mut self, result: Result<Cancellation, Error>) {
        let Phase::Cancel { kept, others } = &mut self.phase else { return };
        match result {
            Ok(_) => {
                others.pop();
                if others.is_empty() {
                    self.phase = Phase::Done(Outcome::Confirmed(kept.clone()));
                }
            }
            Err(error) => {
                let mut found = vec![ImpactId::from(&*kept)];
                found.append(others);
                self.phase = Phase::Done(self.doubt(Doubt::CancelRefused, found, Some(error)));
            }
        }
    }

    /// The next page of the read at hand, the first one of a new read, or the
    /// wait before it.
    fn read_on(mut self, mut look: Look, now: Duration) -> OnceStep<A> {
        if look.walk.is_none() && std::mem::take(&mut look.wait) {
            let wait = look.wait_before_next(self.policy.settle, now);
            self.phase = Phase::Look(look);
            return OnceStep::Wait(wait, self);
        }
        let walk = look.walk.get_or_insert_with(|| {
            look.read_began = now;
            look.order = Order::default();
            self.walk()
        });
        let request = match walk {
            Walk::Own(pager) => pager.request().map(|request| request.map(Read::Own)),
            Walk::ListCustomers(pager) => {
                pager.request().map(|request| request.map(Read::ListCustomers))
            }
        };
        let (doubt, error) = match request {
            Some(Ok(request)) => {
                self.phase = Phase::Look(look);
                return match request {
                    Read::Own(list) => OnceStep::ReadRecords(list, self),
                    Read::ListCustomers(list) => OnceStep::ReadCustomerRecords(list, self),
                };
            }
            Some(Err(error)) => (Doubt::Unreadable, Some(error)),
            None => (Doubt::TooManyRecords, None),
        };
        let found = look.found.into_iter().map(ImpactId::from).collect();
        OnceStep::Done(self.doubt(doubt, found, error))
    }

    /// A read of the list in which the purchase would be, newest first.
    fn walk(&self) -> Walk {
        let first = self.first_moment().date_naive().checked_sub_days(Days::new(1));
        let dates = DateRange::new(first, None).unwrap_or(DateRange::ALL);
        let (order, limit) = (SortOrder::Desc, Limit::of::<1000>());
        match self.action.get_customer() {
            None => {
                let list = ListRecords::new().filter_by(A::KIND).dates(dates);
                let list = list.sort_order(order).limit(limit);
                Walk::Own(Pager::new(list).max_pages(self.policy.max_pages))
            }
            Some(customer) => {
                let list =
                    ListCustomerRecords::new().customer_email(customer.customer_email.clone());
                let list = list.filter_by(A::KIND).dates(dates).sort_order(order).limit(limit);
                Walk::ListCustomers(Pager::new(list).max_pages(self.policy.max_pages))
            }
        }
    }

    /// Nothing that is older can be the purchase.
    fn first_moment(&self) -> DateTime<Utc> {
        let back = TimeDelta::from_std(self.policy.look_back).unwrap_or(TimeDelta::MAX);
        let since = self.state.since.datetime();
        since.checked_sub_signed(back).unwrap_or(Timestamp::FIRST).max(Timestamp::FIRST)
    }

    fn take_page(&mut self, page: Result<Vec<Receipt>, Error>, complete: bool) {
        let first = self.first_moment();
        let Phase::Look(look) = &mut self.phase else { return };
        let rows = match page {
            Ok(rows) => rows,
            Err(error) => {
                (look.walk, look.wait) = (None, true);
                look.failed_reads += 1;
                if look.failed_reads == MAX_FAILED_READS {
                    let found = look.found.iter().map(ImpactId::from).collect();
                    self.phase = Phase::Done(self.doubt(Doubt::Unreadable, found, Some(error)));
                }
                return;
            }
        };
        // A list in another order than was asked for is read to its end.
        let newest_first = look.is_newest_first(&rows);
        let oldest = rows.last().map(|row| row.time_utc.datetime());
        let passed = newest_first && oldest.is_some_and(|oldest| oldest < first);
        look.add(rows, &self.state.marker);
        // Should a later read not show it any more, it was bought all the same.
        self.state.executed |= !look.found.is_empty();
        if passed || complete {
            (look.walk, look.wait) = (None, true);
            look.reads += 1;
            if let Some(phase) = self.judge() {
                self.phase = phase;
            }
        }
    }

    /// What follows from a whole read of the records; `None` if another read.
    fn judge(&mut self) -> Option<Phase> {
        let Phase::Look(look) = &mut self.phase else { return None };
        let waited = look.read_began.saturating_sub(look.began);
        let settled = look.reads >= MIN_READS && waited >= self.policy.settle;
        let mut found = look.found.clone();
        // It was bought, whether its record shows already or not.
        found.extend(self.receipt.clone());
        found.sort_by(|a, b| a.time_utc.cmp(&b.time_utc));
        // By the moment: should receipts write it otherwise than records do, one
        // purchase is not two, of which one is cancelled.
        found.dedup_by_key(|receipt| (receipt.user_id.clone(), receipt.time_utc.datetime()));
        let given_up = look.reads >= MAX_READS;
        // Of several that were sent an earlier one may show up later.
        let certain = settled || given_up || self.state.sends == 1;
        let mut ids: Vec<_> = found.iter().map(ImpactId::from).collect();
        if look.same_time {
            return Some(Phase::Done(self.doubt(Doubt::SameTime, ids, None)));
        }
        match found.into_iter().next() {
            Some(kept) if ids.len() > 1 => {
                let others = ids.split_off(1);
                Some(Phase::Cancel { kept, others })
            }
            Some(kept) => certain.then_some(Phase::Done(Outcome::Confirmed(kept))),
            None if settled => Some(self.no_trace()),
            None => given_up.then(|| Phase::Done(self.doubt(Doubt::NotFound, Vec::new(), None))),
        }
    }

    /// What follows if the purchase is certainly not in the records.
    fn no_trace(&mut self) -> Phase {
        match self.failure.take() {
            Some(error) if error.execution() == Execution::NotExecuted => {
                Phase::Done(Outcome::not_bought(error))
            }
            _ if self.may_resend && !self.state.executed => {
                self.may_resend = false;
                self.state.sends = self.state.sends.saturating_add(1);
                Phase::Send
            }
            error => Phase::Done(self.doubt(Doubt::NotFound, Vec::new(), error)),
        }
    }

    fn doubt(&mut self, doubt: Doubt, mut found: Vec<ImpactId>, error: Option<Error>) -> Outcome {
        // What was answered is known, whatever the records say.
        let answered = self.receipt.as_ref().map(ImpactId::from);
        found.extend(answered.filter(|id| !found.contains(id)));
        let error = error.or_else(|| self.failure.take());
        Outcome::Unresolved(Unresolved { doubt, found, error, state: self.state.clone() })
    }
}

enum Read {
    Own(ListRecords),
    ListCustomers(ListCustomerRecords),
}

fn receipts<R: Into<Receipt>>(rows: Vec<R>) -> Vec<Receipt> {
    rows.into_iter().map(Into::into).collect()
}
