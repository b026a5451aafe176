//! Carries out intents that this process holds: permit, send, look, and what is written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use oneclick_proto::{
    BodyGate, Cancellation, Error, ImpactId, NotBought, Outcome, Pending, PurchaseState, SendBy,
    Sent, Settled, Settlement, TransportError, Unresolved, UnresolvedReason, VerifiedPurchase,
    VerifyPolicy,
};

use crate::error::OutboxError;
use crate::intent::{Answer, Bought, Status};
use crate::store::{Audited, Held, Permit, Store, Written};

/// How a worker goes about its intents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How many purchases are made at a time, and whether at a rate.
    pub(crate) concurrency: usize,
    pub(crate) has_rate: bool,
    pub(crate) policy: VerifyPolicy,
    pub(crate) lease: Duration,
    /// How long after a permit a purchase may leave.
    pub(crate) send_by: Duration,
    /// Whether a purchase whose response is lost is left to a later walk for several.
    pub(crate) settles_later: bool,
}

impl Terms {
    /// How many intents one claim takes to send: several, since each claim is a write to the
    /// disk. Nothing of a rate is taken in advance.
    pub(crate) fn claimed(&self) -> u32 {
        let each = u32::try_from(self.concurrency).unwrap_or(u32::MAX).saturating_mul(4);
        if self.has_rate { 1 } else { each.clamp(4, 64) }
    }
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

impl Gate {
    fn apply(self, store: &Store, failures: u32) -> Result<(), OutboxError> {
        match self {
            Self::Open => store.gate_open(),
            Self::Close(wait) => store.gate_close(wait, failures),
            Self::Pause(reason) => store.pause(Some(&reason)),
            Self::Same => Ok(()),
        }
    }
}

/// An intent that this process holds, while its purchase is driven.
pub(crate) struct Carried<'a> {
    store: &'a Store,
    held: Held,
    terms: Terms,
    /// Until when the latest purchase may leave, once a permit was asked for.
    send_by: Option<SendBy>,
    /// Whether it did not leave because that was over.
    is_late: Arc<AtomicBool>,
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
    /// Do not send it, and write what [`Carried::drop_it`] writes.
    Drop,
}

impl<'a> Carried<'a> {
    pub(crate) fn new(store: &'a Store, held: Held, terms: Terms) -> Self {
        let lease_ends = held.until;
        Self { store, held, terms, send_by: None, is_late: Arc::default(), lease_ends }
    }

    /// The purchase. Nothing is retried beneath it: whoever waits lets the intent go.
    pub(crate) fn purchase(&self) -> Result<VerifiedPurchase, OutboxError> {
        let Held { intent, purchase, state, enqueued, opened, .. } = &self.held;
        let purchase = purchase.clone();
        let began = self.store.now().since_boot;
        // The database may be a copy from before a purchase left. Only what was stored since it
        // was opened cannot be: that is sent at once.
        let is_fresh = enqueued.is_some_and(|enqueued| {
            enqueued >= *opened && began.saturating_sub(enqueued) < self.terms.policy.absence_after
        });
        let machine = match state {
            Some(state) if state.sends() > 0 => {
                VerifiedPurchase::resume(intent, purchase, state.clone())
            }
            Some(state) if is_fresh => VerifiedPurchase::resume(intent, purchase, state.clone()),
            None if is_fresh => VerifiedPurchase::new(intent, purchase),
            _ => VerifiedPurchase::look_first(intent, purchase, existed(self.store, &self.held)),
        }?;
        let machine = if self.terms.settles_later { machine.settle_later() } else { machine };
        Ok(machine.policy(self.terms.policy.patience(Duration::ZERO)))
    }

    /// Called before each request: asks for a permit if it may buy, and extends the lease.
    pub(crate) fn before_send<B>(
        &mut self,
        sent: &Sent<VerifiedPurchase>,
        request: &mut Request<B>,
    ) -> Result<Departure, OutboxError> {
        let (store, lease) = (self.store, self.terms.lease);
        let now = store.now().since_boot;
        let granted = if sent.may_buy() {
            // It counts from before the permit.
            let send_by = self.send_by(now.saturating_add(self.terms.send_by));
            request.extensions_mut().insert(send_by.clone());
            self.send_by = Some(send_by);
            match store.permit(&self.held, sent.state(), lease)? {
                Permit::Granted => self.held.state = Some(sent.state().clone()),
                Permit::Cancelled => return Ok(Departure::Drop),
                Permit::Closed | Permit::Lost => return Ok(Departure::LetGo),
            }
            true
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

    fn send_by(&self, by: Duration) -> SendBy {
        let (clock, is_late) = (self.store.clock(), Arc::clone(&self.is_late));
        SendBy::new(move || {
            let is_met = clock.now().since_boot <= by;
            is_late.fetch_or(!is_met, Ordering::Relaxed);
            is_met
        })
    }

    /// Called right before a request is handed to the transport: an error if this process was
    /// stopped for too long since the permit. The transport looks once more, unless it is one of
    /// the caller's own that does not.
    pub(crate) fn check_departure<B>(request: &Request<B>) -> Result<(), TransportError> {
        BodyGate::of(request).take().map_err(TransportError::connect)
    }

    /// Lets the intent go as it was, since workers are held back or its lease is over.
    pub(crate) fn let_go(self) -> Result<Status, OutboxError> {
        self.write(&as_it_was(&self.held, self.store.now().since_boot))
    }

    /// Drops an intent that a person has cancelled, and for which nothing was bought.
    pub(crate) fn drop_it(self) -> Result<Status, OutboxError> {
        let (state, now) = (self.held.state.clone(), self.store.now().since_boot);
        let what = "not sent, because it was cancelled; nothing was bought";
        self.write(&Written { state, ..Written::new(Status::Dropped, now, what) })
    }

    /// Leaves an intent to a person that cannot even be started: its state is that of another
    /// purchase, for instance.
    pub(crate) fn give_up(self, error: &OutboxError) -> Result<Status, OutboxError> {
        let (state, problem) = (self.held.state.clone(), Some(error.to_string()));
        let now = self.store.now().since_boot;
        let written = Written::new(Status::Unresolved, now, "it cannot be started");
        self.write(&Written { state, problem, ..written })
    }

    /// Writes the outcome.
    pub(crate) fn finish(self, outcome: &Outcome) -> Result<Status, OutboxError> {
        let now = self.store.now().since_boot;
        let written = conclusion(outcome, &self.held, now);
        // A purchase that was too late says nothing of the API.
        let is_late = self.is_late.load(Ordering::Relaxed);
        let gate = if is_late { Gate::Same } else { gate(outcome.error()) };
        let status = self.write(&Written { looked: self.send_by.is_none(), ..written })?;
        gate.apply(self.store, self.held.failures)?;
        Ok(status)
    }

    pub(crate) fn id(&self) -> i64 {
        self.held.id
    }

    fn write(&self, written: &Written) -> Result<Status, OutboxError> {
        let status = self.store.finish(&[(&self.held, written)])?;
        Ok(status.first().copied().unwrap_or(written.status))
    }

    /// What is to be cancelled: the impact that was bought.
    pub(crate) fn impact(&self) -> Option<ImpactId> {
        self.held.bought.as_ref().map(|bought| bought.id.clone())
    }

    /// Writes what became of a cancellation.
    pub(crate) fn cancelled(
        self,
        result: Result<Cancellation, Error>,
    ) -> Result<Status, OutboxError> {
        let now = self.store.now().since_boot;
        let held = &self.held;
        let (state, bought, answer) =
            (held.state.clone(), held.bought.clone(), held.answer.clone());
        let base = Written { state, bought, answer, ..Written::new(Status::Cancelling, now, "") };
        let later = |problem: String| Written {
            due: now + wait(held.tries),
            tries: held.tries.saturating_add(1),
            what: format!("not cancelled yet: {problem}"),
            problem: Some(problem),
            ..base.clone()
        };
        let id = self.impact();
        let (written, gate) = match result {
            // A response may be that to another request.
            Ok(answer) if id.as_ref().is_some_and(|id| id.time_utc == answer.time_utc) => {
                let what = format!("cancelled on {}", answer.cancelled_on);
                let found = id.into_iter().collect();
                (Written { status: Status::Cancelled, found, what, ..base }, Gate::Open)
            }
            Ok(_) => (later("the response names another impact".to_owned()), Gate::Open),
            Err(error) if error.is_refusal() && !is_key_refused(&error) => {
                let problem = format!("it cannot be cancelled: {error}");
                let status = Status::Bought;
                let what = problem.clone();
                (Written { status, problem: Some(problem), what, ..base }, Gate::Open)
            }
            Err(error) => (later(error.to_string()), gate(Some(&error))),
        };
        let status = self.write(&written)?;
        gate.apply(self.store, self.held.failures)?;
        Ok(status)
    }
}

/// Lets intents go as they were.
pub(crate) fn let_go(
    store: &Store,
    rows: impl IntoIterator<Item = Held>,
) -> Result<(), OutboxError> {
    let now = store.now().since_boot;
    let rows: Vec<_> = rows.into_iter().map(|held| (as_it_was(&held, now), held)).collect();
    let rows: Vec<_> = rows.iter().map(|(written, held)| (held, written)).collect();
    if !rows.is_empty() {
        store.finish(&rows)?;
    }
    Ok(())
}

pub(crate) fn as_it_was(held: &Held, due: Duration) -> Written {
    let Held { state, tries, .. } = held.clone();
    let status = state.as_ref().map_or(Status::Ready, waiting);
    // Nothing has happened to an intent of which nothing has left.
    let what = if status == Status::Open { "let go before it was sent again" } else { "" };
    Written { tries, state, ..Written::new(status, due, what) }
}

/// Intents that this process holds, and looks for with one walk of the lists.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    terms: Terms,
    rows: VecDeque<Carried<'a>>,
    renewed: Duration,
}

impl<'a> Batch<'a> {
    /// The rows and their settlement. Those that cannot be started are left to a person.
    pub(crate) fn start(
        store: &'a Store,
        held: Vec<Held>,
        terms: Terms,
    ) -> Result<(Self, Settlement), OutboxError> {
        let renewed = store.now().since_boot;
        let (mut rows, mut purchases) = (VecDeque::new(), Vec::new());
        for held in held {
            let carried = Carried::new(store, held, terms);
            match carried.purchase() {
                Ok(purchase) => {
                    rows.push_back(carried);
                    purchases.push(purchase);
                }
                Err(error) => {
                    carried.give_up(&error)?;
                }
            }
        }
        Ok((Self { store, terms, rows, renewed }, Settlement::new(purchases)))
    }

    /// Extends the leases once half of their time is over, or before a `wait`.
    pub(crate) fn renew(&mut self, wait: Duration) -> Result<(), OutboxError> {
        let now = self.store.now().since_boot;
        if !wait.is_zero() || now.saturating_sub(self.renewed) > self.terms.lease / 2 {
            let lease = self.terms.lease.saturating_add(wait);
            self.store.renew_all(self.rows.iter().map(|row| &row.held), lease)?;
            self.renewed = now;
            for row in &mut self.rows {
                row.lease_ends = now.saturating_add(lease);
            }
        }
        Ok(())
    }

    /// Writes the outcomes of the first walk, and returns the ids of the rows with one that is
    /// final. Those that are absent stay, and are to be sent.
    pub(crate) fn write(
        &mut self,
        settled: Vec<Settled>,
    ) -> Result<(Vec<i64>, Vec<VerifiedPurchase>), OutboxError> {
        let now = self.store.now().since_boot;
        let (mut written, mut absent, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let mut closes = Gate::Open;
        for (row, settled) in std::mem::take(&mut self.rows).into_iter().zip(settled) {
            match settled {
                Settled::Absent(purchase) => {
                    self.rows.push_back(row);
                    absent.push(*purchase);
                }
                Settled::Done(outcome) => {
                    let what = conclusion(&outcome, &row.held, now);
                    // Only the first one has the error of the walk.
                    if closes == Gate::Open {
                        closes = gate(outcome.error());
                    }
                    done.push(row);
                    written.push(Written { looked: true, ..what });
                }
            }
        }
        let failures = done.first().map_or(0, |row| row.held.failures);
        let pairs: Vec<_> = done.iter().map(|row| &row.held).zip(&written).collect();
        let status = self.store.finish(&pairs)?;
        let is_final =
            |(row, status): (&Carried<'_>, Status)| status.is_final().then_some(row.held.id);
        let ended = done.iter().zip(status).filter_map(is_final).collect();
        closes.apply(self.store, failures)?;
        Ok((ended, absent))
    }

    /// The next row to send.
    pub(crate) fn next(&mut self) -> Option<Carried<'a>> {
        self.rows.pop_front()
    }
}

/// The rows to audit, with their purchases.
pub(crate) fn to_audit(held: Vec<Held>, terms: Terms) -> (Vec<Held>, Vec<VerifiedPurchase>) {
    let purchase = |held: Held| {
        let (intent, purchase) = (&held.intent, held.purchase.clone());
        let purchase = VerifiedPurchase::resume(intent, purchase, held.state.clone()?).ok()?;
        Some((held, purchase.policy(terms.policy)))
    };
    held.into_iter().filter_map(purchase).unzip()
}

/// What an audit of an intent found; `None` if the lists could not be read.
pub(crate) fn audited(settled: Settled, status: Status) -> Option<Audited> {
    Some(match settled {
        Settled::Absent(_) => Audited::Nothing("no record shows it".to_owned()),
        Settled::Done(outcome) => match *outcome {
            Outcome::Unresolved(Unresolved {
                reason: UnresolvedReason::BoughtTwice | UnresolvedReason::OtherPurchase,
                found,
                ..
            }) => Audited::Surplus(found),
            Outcome::Confirmed(receipt) if status != Status::Bought => {
                Audited::Surplus(vec![ImpactId::from(&receipt)])
            }
            Outcome::Cancelled(_) => Audited::Cancelled,
            Outcome::Pending(_)
            | Outcome::Unresolved(Unresolved { reason: UnresolvedReason::Unreadable, .. }) => {
                return None;
            }
            outcome => Audited::Nothing(outcome.to_string()),
        },
    })
}

/// For how long an intent has existed, at least.
pub(crate) fn existed(store: &Store, held: &Held) -> Duration {
    // The time of day may have been corrected since.
    const CORRECTION: Duration = Duration::from_secs(86_400);
    let now = store.now().since_boot;
    let age = held.enqueued.map(|enqueued| now.saturating_sub(enqueued));
    age.unwrap_or_else(|| held.wall_age.saturating_add(CORRECTION))
}

/// What an outcome means for its intent.
pub(crate) fn conclusion(outcome: &Outcome, held: &Held, now: Duration) -> Written {
    let tries = held.tries.saturating_add(1);
    let what = outcome.to_string();
    let sends = |state: &PurchaseState| state.sends();
    // It was sent twice, or this worker took it over after it had left.
    let audit = held.state.as_ref().map_or(0, sends) > 1 || held.is_resumed;
    let base = Written { audit, ..Written::new(Status::Unresolved, now, &what) };
    match outcome {
        Outcome::Confirmed(receipt) => {
            let (state, bought) = (held.state.clone(), Some(Bought::from(receipt)));
            let answer = Some(Answer::receipt(receipt));
            Written { status: Status::Bought, state, bought, answer, ..base }
        }
        // A key that is refused today may be replaced, so it is no fault of the intent.
        Outcome::Refused(error) if is_key_refused(error) => {
            Written { status: Status::Ready, tries: held.tries, ..base }
        }
        Outcome::Refused(error) => {
            let answer = Answer::refusal(error);
            Written { status: Status::Refused, problem: Some(what), answer, ..base }
        }
        Outcome::NotBought(NotBought { state, .. }) if state.may_send() => {
            let (status, due) = (waiting(state), now + wait(held.tries));
            let (state, problem) = (Some(state.clone()), Some(what));
            Written { status, due, tries, state, problem, ..base }
        }
        Outcome::NotBought(NotBought { state, .. }) => {
            let times = match state.sends() {
                1 => "once".to_owned(),
                sends => format!("{sends} times"),
            };
            let problem = Some(format!("not found, although it may have been sent {times}"));
            Written { state: Some(state.clone()), problem, ..base }
        }
        Outcome::Cancelled(found) => {
            let (state, found) = (held.state.clone(), found.clone());
            Written { status: Status::Cancelled, state, found, ..base }
        }
        Outcome::Pending(Pending { after, state, .. }) => {
            let due = now + wait(held.tries).min(*after);
            let (state, problem) = (Some(state.clone()), Some(what));
            Written { status: Status::Open, due, tries, state, problem, ..base }
        }
        Outcome::Unresolved(Unresolved { found, state, .. }) => {
            let (state, found) = (Some(state.clone()), found.clone());
            Written { state, problem: Some(what), found, ..base }
        }
    }
}

/// Where an intent waits that may be sent again.
fn waiting(state: &PurchaseState) -> Status {
    if state.sends() > 0 { Status::Open } else { Status::Ready }
}

fn wait(tries: u32) -> Duration {
    Duration::from_secs(1_u64 << tries.min(16)).min(LONGEST_WAIT)
}

fn gate(error: Option<&Error>) -> Gate {
    let Some(error) = error else { return Gate::Open };
    let status = error.status().map(|status| status.as_u16());
    match status {
        _ if is_key_refused(error) => Gate::Pause(format!("the API refuses the key: {error}")),
        _ if error.is_rate_limit() => Gate::Close(error.retry_after()),
        Some(500..) => Gate::Close(error.retry_after()),
        None if is_out_of_reach(error) => Gate::Close(None),
        Some(_) => Gate::Open,
        None => Gate::Same,
    }
}

pub(crate) fn is_key_refused(error: &Error) -> bool {
    let status = error.status().map(|status| status.as_u16());
    matches!(status, Some(401 | 403)) && error.error_type().is_some()
}

fn is_out_of_reach(error: &Error) -> bool {
    error.is_connect() || error.is_timeout()
}
