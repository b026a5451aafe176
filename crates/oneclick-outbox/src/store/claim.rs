//! Rows that a worker takes, and what it writes when it lets them go. An impact *stands* if it is
//! not cancelled.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use oneclick_proto::{ImpactId, Intent, Purchase, PurchaseState};

use super::database::{Due, Tx};
use super::row::{Holder, REQUEST, Row};
use super::{json, wall};
use crate::carry::Terms;
use crate::error::OutboxError;
use crate::intent::{Answer, Bought, Status};

/// How many rows one walk of the lists looks for at most.
pub(super) const BATCH: u32 = 10_000;
/// How many times a claim selects rows again because it could read none of them.
const MAX_UNREADABLE: u32 = 100;
/// For how long an older worker leaves a request of a newer version alone.
const LEAVE: Duration = Duration::from_secs(60);
/// How long after its outcome an intent is audited, if more than one impact of it may stand.
pub(crate) const AUDITS: [Duration; 2] = [Duration::from_secs(3_600), Duration::from_secs(86_400)];
/// How long an audit may take before another worker repeats it.
const AUDIT_LEASE: Duration = Duration::from_secs(600);

/// What a worker is to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Drive the purchase of each to an outcome.
    Carry(Vec<Held>),
    /// Look for the purchases of several with one walk of the account's lists.
    Settle(Vec<Held>),
    /// Cancel what was bought.
    Cancel(Box<Held>),
    /// Check whether more than one impact of any of them stands.
    Audit(Vec<Held>),
}

impl Work {
    fn some(held: Vec<Held>, work: impl FnOnce(Vec<Held>) -> Self) -> Option<Self> {
        (!held.is_empty()).then(|| work(held))
    }
}

/// What a worker gets that asks for work.
pub(crate) enum Offer<T> {
    Taken(T),
    /// There is nothing to do.
    Nothing,
    /// Not before this time is over.
    Later(Duration),
    /// A person or a refused key holds back all workers.
    Paused,
}

impl<T> Offer<T> {
    pub(super) fn taken(self) -> Option<T> {
        match self {
            Self::Taken(taken) => Some(taken),
            _ => None,
        }
    }
}

/// A row that this process holds until its lease ends.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: i64,
    pub(crate) epoch: i64,
    pub(crate) intent: Intent,
    pub(crate) purchase: Purchase,
    pub(crate) state: Option<PurchaseState>,
    pub(crate) tries: u32,
    /// When it was stored. `None` if the machine has started since.
    pub(crate) enqueued: Option<Duration>,
    /// How long ago that was by the time of day.
    pub(crate) wall_age: Duration,
    /// What was bought, and what the API answered.
    pub(crate) bought: Option<Bought>,
    pub(crate) answer: Option<Answer>,
    /// Since when the database cannot have been replaced by a copy, when it was taken.
    pub(crate) opened: Duration,
    /// When the lease ends.
    pub(crate) until: Duration,
    /// How many failures in a row had closed the gate when it was taken.
    pub(crate) failures: u32,
    /// Whether it may be sent while the gate is closed, unless the outbox is paused.
    pub(crate) is_probe: bool,
    /// How often it was audited.
    pub(crate) audits: u32,
    /// Whether a purchase may have left before this worker took it.
    pub(crate) is_resumed: bool,
    pub(crate) status: Status,
}

impl Held {
    /// Whether nobody else has taken the row since.
    pub(super) fn is_still(&self, row: &Row) -> bool {
        self.epoch == row.epoch && !row.status.is_final() && row.status != Status::Ready
    }
}

/// Whether a purchase may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permit {
    /// It may.
    Granted,
    /// The outbox is paused, or workers wait because the API asked for it or cannot be reached.
    Closed,
    /// A person has cancelled it.
    Cancelled,
    /// The lease is over, or another worker has the intent now. After the lease, the time of
    /// sending in the state would be too old.
    Lost,
}

/// What is written when a worker lets a row go.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) status: Status,
    /// When the next worker may take it.
    pub(crate) due: Duration,
    pub(crate) tries: u32,
    pub(crate) state: Option<PurchaseState>,
    pub(crate) bought: Option<Bought>,
    pub(crate) answer: Option<Answer>,
    pub(crate) problem: Option<String>,
    pub(crate) found: Vec<ImpactId>,
    /// Whether more than one impact of it may stand, so that it is to be audited.
    pub(crate) audit: bool,
    /// Whether a record shows it, and not only a receipt.
    pub(crate) looked: bool,
    /// What has happened, in words; empty if nothing has.
    pub(crate) what: String,
}

impl Written {
    pub(crate) fn new(status: Status, due: Duration, what: &str) -> Self {
        Self {
            status,
            due,
            tries: 0,
            state: None,
            bought: None,
            answer: None,
            problem: None,
            found: Vec::new(),
            audit: false,
            looked: false,
            what: what.to_owned(),
        }
    }

    /// Writes it into a row. Nobody holds the row after that.
    pub(super) fn apply(&self, row: &mut Row, status: Status) {
        row.holder = Holder::Nobody;
        row.status = status;
        row.due = self.due;
        row.tries = self.tries;
        row.set_state(self.state.as_ref());
        row.bought = self.bought.as_ref().map(json);
        row.answer = self.answer.as_ref().map(json);
        row.problem.clone_from(&self.problem);
        row.found = (!self.found.is_empty()).then(|| json(&self.found));
        row.looked = self.looked;
        row.done_at = status.is_final().then(wall);
    }
}

/// What an audit found.
#[derive(Debug)]
pub(crate) enum Audited {
    /// These impacts stand, although at most one should.
    Surplus(Vec<ImpactId>),
    /// It has been cancelled since.
    Cancelled,
    /// Nothing is to be done; the text says what was found.
    Nothing(String),
}

impl fmt::Display for Audited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surplus(ids) => write!(
                f,
                "{} impacts of it are not cancelled: more than there should be",
                ids.len()
            ),
            Self::Cancelled => f.write_str("it has been cancelled since"),
            Self::Nothing(what) => f.write_str(what),
        }
    }
}

/// What decides which of the due rows a worker takes.
pub(super) struct Claim<'a> {
    pub(super) now: Duration,
    /// When this process opened the database.
    pub(super) opened: Duration,
    pub(super) terms: &'a Terms,
    /// How many failures in a row have closed the gate. After any, a single intent is sent to
    /// find out if the API is back.
    pub(super) failures: u32,
    /// How many rows to take at most.
    pub(super) most: u32,
}

impl Claim<'_> {
    /// Takes rows that wait for their purchase. If the purchase of the one that has waited longest
    /// is to be looked for before it is sent, takes all such rows.
    pub(super) fn ready(&self, tx: &mut dyn Tx) -> Result<Option<Work>, OutboxError> {
        let mut looks_first = false;
        let held = self.hold_first(tx, |tx| {
            let most = self.most.min(self.terms.claimed());
            let mut rows = tx.due(Due::Ready, self.now, most)?;
            looks_first = rows.first().is_some_and(|first| self.looks_first(first));
            if looks_first {
                return tx.due(Due::ReadyBefore(self.fresh_since()), self.now, self.most);
            }
            rows.retain(|row| !self.looks_first(row));
            Ok(rows)
        })?;
        Ok(if looks_first { settle(held) } else { Work::some(held, Work::Carry) })
    }

    /// Takes all rows whose purchase is to be looked for, or one whose purchase is to be
    /// cancelled.
    pub(super) fn open(&self, tx: &mut dyn Tx) -> Result<Option<Work>, OutboxError> {
        let mut cancels = false;
        let mut held = self.hold_first(tx, |tx| {
            let mut rows = tx.due(Due::Open, self.now, self.most)?;
            cancels = rows.first().is_some_and(|row| row.status == Status::Cancelling);
            rows.retain(|row| (row.status == Status::Cancelling) == cancels);
            rows.truncate(if cancels { 1 } else { rows.len() });
            Ok(rows)
        })?;
        Ok(if cancels { held.pop().map(|held| Work::Cancel(Box::new(held))) } else { settle(held) })
    }

    /// Takes a row to send its purchase, unless somebody has it or a look comes first.
    pub(super) fn to_send(&self, tx: &mut dyn Tx, id: i64) -> Result<Offer<Work>, OutboxError> {
        let row = tx.row(id)?.filter(|row| row.is_unsent() && !row.is_held(self.now));
        let Some(row) = row.filter(|row| !self.looks_first(row)) else { return Ok(Offer::Nothing) };
        if row.due > self.now {
            return Ok(Offer::Later(row.due.saturating_sub(self.now)));
        }
        let held = self.hold(tx, vec![row])?;
        Ok(Work::some(held, Work::Carry).map_or(Offer::Nothing, Offer::Taken))
    }

    /// Takes those of these rows that nobody has and whose outcome is not known, due or not.
    pub(super) fn to_settle(
        &self,
        tx: &mut dyn Tx,
        ids: &[i64],
    ) -> Result<Offer<Vec<Held>>, OutboxError> {
        let mut rows = Vec::new();
        // Nobody holds a row twice.
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let row = tx.row(*id)?.filter(|row| row.is_unsent() || row.status == Status::Open);
            rows.extend(row.filter(|row| !row.is_held(self.now)));
        }
        let held = self.hold(tx, rows)?;
        Ok(if held.is_empty() { Offer::Nothing } else { Offer::Taken(held) })
    }

    /// Since when a row must have been stored to be sent without a look. The database may be a
    /// backup that was restored before it was opened, or `absence_after` is over.
    fn fresh_since(&self) -> Duration {
        self.opened.max(self.now.saturating_sub(self.terms.policy.absence_after))
    }

    /// Whether the purchase of a row that was not sent is looked for first.
    fn looks_first(&self, row: &Row) -> bool {
        row.enqueued.is_none_or(|enqueued| enqueued < self.fresh_since())
    }

    /// Takes rows to audit. It does not hold them, since nothing is sent for them.
    pub(super) fn audit(&self, tx: &mut dyn Tx) -> Result<Option<Work>, OutboxError> {
        let mut held = Vec::new();
        for mut row in tx.due(Due::Audit, self.now, self.most)? {
            row.audit_at = Some(self.now.saturating_add(AUDIT_LEASE));
            tx.save(&row)?;
            held.extend(read(&row).ok());
        }
        Ok(Work::some(held, Work::Audit))
    }

    /// Holds the rows that `select` returns. If none of them can be read, calls `select` again,
    /// which does not return them a second time.
    fn hold_first(
        &self,
        tx: &mut dyn Tx,
        mut select: impl FnMut(&mut dyn Tx) -> Result<Vec<Row>, OutboxError>,
    ) -> Result<Vec<Held>, OutboxError> {
        for _ in 0..MAX_UNREADABLE {
            let rows = select(tx)?;
            if rows.is_empty() {
                break;
            }
            let held = self.hold(tx, rows)?;
            if !held.is_empty() {
                return Ok(held);
            }
        }
        Ok(Vec::new())
    }

    /// Takes rows, except those that cannot be read.
    fn hold(&self, tx: &mut dyn Tx, rows: Vec<Row>) -> Result<Vec<Held>, OutboxError> {
        let failures = self.failures;
        let held = hold(tx, rows, Holder::Worker, self.now, self.terms.lease)?;
        let probed = |held| Held { failures, is_probe: failures > 0, ..held };
        Ok(held.into_iter().map(probed).collect())
    }
}

/// Work that looks for the purchases of several rows at once. A single one is driven instead, which
/// also begins with a look.
fn settle(held: Vec<Held>) -> Option<Work> {
    Work::some(held, |held| if held.len() == 1 { Work::Carry(held) } else { Work::Settle(held) })
}

/// Takes rows that are not final, except those that cannot be read.
pub(super) fn hold(
    tx: &mut dyn Tx,
    rows: Vec<Row>,
    holder: Holder,
    now: Duration,
    lease: Duration,
) -> Result<Vec<Held>, OutboxError> {
    let (mut all, until) = (Vec::new(), now.saturating_add(lease));
    for mut row in rows {
        match read(&row) {
            Ok(held) => {
                let status = match row.status {
                    Status::Ready => Status::Claimed,
                    status => status,
                };
                let (epoch, opened) = (held.epoch + 1, tx.opened());
                all.push(Held { epoch, opened, until, status, ..held });
            }
            Err(unread) => {
                row.epoch += 1;
                leave(tx, row, &unread, now)?;
            }
        }
    }
    let ids: Vec<_> = all.iter().map(|held| held.id).collect();
    if !ids.is_empty() {
        tx.hold(&ids, holder, until)?;
    }
    Ok(all)
}

/// Writes what becomes of a row that cannot be read.
fn leave(tx: &mut dyn Tx, mut row: Row, unread: &Unread, now: Duration) -> Result<(), OutboxError> {
    row.holder = Holder::Nobody;
    match unread {
        // It is left to a newer worker.
        Unread::Newer => {
            if row.status == Status::Claimed {
                row.status = Status::Ready;
            }
            row.due = now.saturating_add(LEAVE);
            tx.save(&row)
        }
        // It is left to a person, and keeps no other intent waiting.
        Unread::Invalid(what) => {
            let problem = format!("what is stored cannot be read: {what} is not valid");
            (row.status, row.done_at) = (Status::Unresolved, Some(wall()));
            row.problem = Some(problem.clone());
            tx.save(&row)?;
            tx.note(row.id, row.epoch, &problem)
        }
    }
}

/// Why a row cannot be worked on.
enum Unread {
    /// A newer version stored its request.
    Newer,
    /// This part is not valid. The text of the error is not kept, since it may quote the request.
    Invalid(&'static str),
}

/// Reads what a worker needs of a row.
fn read(row: &Row) -> Result<Held, Unread> {
    if row.version().is_some_and(|version| version > REQUEST) {
        return Err(Unread::Newer);
    }
    let purchase = row.purchase().ok_or(Unread::Invalid("its request"))?;
    let state = row.state().map_err(|_| Unread::Invalid("its state"))?;
    let impact = |_| Unread::Invalid("its impact");
    let (bought, answer) = (row.bought().map_err(impact)?, row.answer().map_err(impact)?);
    let at = DateTime::parse_from_rfc3339(&row.enqueued_at).ok();
    let wall_age = at.and_then(|at| (Utc::now() - at.to_utc()).to_std().ok());
    let is_resumed = state.as_ref().is_some_and(|state| state.sends() > 0);
    Ok(Held {
        id: row.id,
        epoch: row.epoch,
        intent: row.intent(),
        purchase,
        state,
        tries: row.tries,
        enqueued: row.enqueued,
        wall_age: wall_age.unwrap_or_default(),
        bought,
        answer,
        opened: Duration::ZERO,
        until: row.due,
        failures: 0,
        is_probe: false,
        audits: row.audits,
        is_resumed,
        status: row.status,
    })
}

/// What is written instead if another intent already has the impact, since the API swapped two
/// receipts. A record with the intent's marker proves more than a receipt, so an intent that has
/// only a receipt is looked for again.
fn of_another(
    tx: &mut dyn Tx,
    held: &Held,
    written: &Written,
    now: Duration,
) -> Result<Option<Written>, OutboxError> {
    let Some(bought) = &written.bought else { return Ok(None) };
    let Some(mut other) = tx.other_bought_as(&json(bought), held.id)? else { return Ok(None) };
    let stays = other.looked || !matches!(other.status, Status::Bought | Status::Cancelling);
    if written.looked && !stays {
        let what = "its receipt was that of another intent: it is looked for";
        tx.note(other.id, other.epoch, what)?;
        (other.status, other.due, other.holder) = (Status::Open, now, Holder::Nobody);
        (other.bought, other.answer, other.done_at) = (None, None, None);
        other.epoch += 1;
        tx.save(&other)?;
        return Ok(None);
    }
    let status = if written.looked { Status::Unresolved } else { Status::Open };
    let what = format!("{}, which is the impact of the intent {:?}", written.what, other.key);
    let (state, problem) = (written.state.clone(), Some(what.clone()));
    Ok(Some(Written { state, problem, ..Written::new(status, written.due, &what) }))
}

/// Writes the outcome of a row and lets it go. If another worker has taken it since, writes only
/// the event, and has the row audited if this worker bought too. Returns the new status of the row.
pub(super) fn finish(
    tx: &mut dyn Tx,
    held: &Held,
    written: &Written,
    now: Duration,
) -> Result<Status, OutboxError> {
    let audit_at = now.saturating_add(AUDITS[0]);
    // If the row has been deleted or taken, this worker reports no outcome.
    let Some(mut row) = tx.row(held.id)? else { return Ok(Status::Claimed) };
    if !held.is_still(&row) {
        if !written.what.is_empty() {
            let what = format!("too late, another worker has it: {}", written.what);
            tx.note(held.id, held.epoch, &what)?;
        }
        if written.bought.is_some() {
            // Both may have bought it.
            (row.audit_at, row.audits) = (Some(audit_at), 0);
            tx.save(&row)?;
        }
        return Ok(Status::Claimed);
    }
    let of_another = match held.status {
        Status::Cancelling => None,
        _ => of_another(tx, held, written, now)?,
    };
    let written = of_another.as_ref().unwrap_or(written);
    let status = match written.status {
        // Unless this is the outcome of the cancellation.
        Status::Bought if row.cancel && held.status != Status::Cancelling => Status::Cancelling,
        Status::Ready if row.cancel => Status::Dropped,
        status => status,
    };
    written.apply(&mut row, status);
    if written.audit && matches!(status, Status::Bought | Status::Cancelling | Status::Cancelled) {
        row.audit_at = Some(audit_at);
    }
    row.cancel &= status != Status::Bought;
    tx.save(&row)?;
    if !written.what.is_empty() {
        tx.note(held.id, held.epoch, &written.what)?;
    }
    Ok(status)
}
