//! Rows that a worker takes, and what it writes when it lets them go.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use oneclick_proto::{ImpactId, Intent, Purchase, PurchaseState};
use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};
use serde::Deserialize;

use super::{REQUEST, Request, duration, json, millis, note, parsed, status, stored_state, wall};
use crate::carry::Terms;
use crate::clock::Now;
use crate::error::OutboxError;
use crate::intent::{Answer, Bought, Status};

/// How many rows one walk of the lists looks for at most.
pub(super) const BATCH: u32 = 10_000;
/// How many rows that cannot be read one claim passes over.
const MAX_UNREADABLE: u32 = 100;
/// For how long an older worker leaves a request of a newer version alone.
const LEAVE: Duration = Duration::from_secs(60);
/// How long after its outcome an intent is audited that may stand twice.
pub(super) const AUDITS: [Duration; 2] = [Duration::from_secs(3_600), Duration::from_secs(86_400)];
/// How long an audit may take before another worker repeats it.
const AUDIT_LEASE: Duration = Duration::from_secs(600);

/// What a worker is to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Drive the purchase of each.
    Carry(Vec<Held>),
    /// Look for several with one walk of the lists.
    Settle(Vec<Held>),
    /// Cancel what was bought.
    Cancel(Box<Held>),
    /// See whether any of them stands more than once.
    Audit(Vec<Held>),
}

impl Work {
    fn some(held: Vec<Held>, work: impl FnOnce(Vec<Held>) -> Self) -> Option<Self> {
        (!held.is_empty()).then(|| work(held))
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
    /// How long ago that was by the time of day, at least.
    pub(crate) wall_age: Duration,
    /// What was bought, and what the API answered.
    pub(crate) bought: Option<Bought>,
    pub(crate) answer: Option<Answer>,
    /// When the lease ends.
    pub(crate) until: Duration,
    /// How many failures in a row had closed the gate when it was taken.
    pub(crate) failures: u32,
    /// Whether it finds out if the API is back, so that the gate is no matter.
    pub(crate) is_probe: bool,
    /// How often it was audited.
    pub(crate) audits: u32,
    /// Whether a purchase may have left before this worker took it.
    pub(crate) is_resumed: bool,
    pub(crate) status: Status,
}

/// Whether a purchase may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permit {
    /// It may.
    Granted,
    /// The outbox is paused, or workers wait because the API asked for it or cannot be reached.
    Closed,
    /// A person has cancelled it.
    Cancelled,
    /// The lease is over, or another worker has the intent now. The state that is to be stored
    /// says when the purchase leaves, and it is as old as the lease at most.
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
    /// Whether it may stand twice, so that it is to be audited.
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

    pub(super) fn found_json(&self) -> Option<String> {
        (!self.found.is_empty()).then(|| json(&self.found))
    }
}

/// What an audit found.
#[derive(Debug)]
pub(crate) enum Audited {
    /// These stand, although one at most should.
    Surplus(Vec<ImpactId>),
    /// It has been cancelled since.
    Cancelled,
    /// What was found is no reason to do anything.
    Nothing(String),
}

impl fmt::Display for Audited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surplus(ids) => write!(f, "more stands than should: {}", ids.len()),
            Self::Cancelled => f.write_str("it has been cancelled since"),
            Self::Nothing(what) => f.write_str(what),
        }
    }
}

/// A claim of what is due.
pub(super) struct Claim<'a> {
    pub(super) now: Now,
    /// When this process opened the database.
    pub(super) opened: Duration,
    pub(super) terms: &'a Terms,
    /// How many failures in a row have closed the gate. After some, a single intent finds out
    /// if the API is back.
    pub(super) failures: u32,
    /// How many rows to take at most.
    pub(super) most: u32,
}

impl Claim<'_> {
    /// Takes rows that wait for their purchase. If the one that has waited longest is to be
    /// looked for first, takes all others like it.
    pub(super) fn ready(&self, tx: &Transaction<'_>) -> Result<Option<Work>, OutboxError> {
        let due = "status IN ('ready', 'claimed') AND due <= ?1";
        let stale = self.now.since_boot.saturating_sub(self.terms.policy.absence_after);
        // Those with a time below are older than the process or than `absence_after`.
        let fresh_since = millis(self.opened.max(stale));
        let select = |and: &str, most: u32| {
            let sql = format!(
                "SELECT id, enqueued < ?2 FROM oneclick_outbox_intent
                 WHERE {due} {and} ORDER BY due, id LIMIT {most}"
            );
            let mut statement = tx.prepare(&sql)?;
            let rows = statement
                .query_map(params![millis(self.now.since_boot), fresh_since], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
                })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        let mut looks_first = false;
        let held = self.hold_first(tx, || {
            looks_first = select("", 1)?.first().is_some_and(|(_, is_stale)| *is_stale);
            let rows = if looks_first {
                select("AND enqueued < ?2", self.most)?
            } else {
                select("AND enqueued >= ?2", self.most.min(self.terms.claimed()))?
            };
            Ok(rows.into_iter().map(|(id, _)| id).collect())
        })?;
        Ok(if looks_first { settle(held) } else { Work::some(held, Work::Carry) })
    }

    /// Takes all rows whose purchase is to be looked for, or one whose purchase is to be
    /// cancelled.
    pub(super) fn open(&self, tx: &Transaction<'_>) -> Result<Option<Work>, OutboxError> {
        let mut cancels = false;
        let mut held = self.hold_first(tx, || {
            let mut statement = tx.prepare(
                "SELECT id, status = 'cancelling' FROM oneclick_outbox_intent
                 WHERE status IN ('open', 'cancelling') AND due <= ?1 ORDER BY due, id LIMIT ?2",
            )?;
            let rows = statement
                .query_map(params![millis(self.now.since_boot), self.most], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
                })?;
            let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
            cancels = rows.first().is_some_and(|(_, cancels)| *cancels);
            let ids = rows.into_iter().filter(|(_, other)| *other == cancels).map(|(id, _)| id);
            Ok(ids.take(if cancels { 1 } else { usize::MAX }).collect())
        })?;
        Ok(if cancels { held.pop().map(|held| Work::Cancel(Box::new(held))) } else { settle(held) })
    }

    /// Takes what is to be audited. That holds no row, since nothing is sent for it.
    pub(super) fn audit(&self, tx: &Transaction<'_>) -> Result<Option<Work>, OutboxError> {
        let mut statement = tx.prepare(
            "UPDATE oneclick_outbox_intent SET audit_at = :until
             WHERE id IN (
                 SELECT id FROM oneclick_outbox_intent
                 WHERE audit_at <= :now
                   AND status IN ('bought', 'cancelled', 'refused', 'dropped') AND request IS NOT NULL AND state IS NOT NULL
                 ORDER BY audit_at LIMIT :most)
             RETURNING *",
        )?;
        let rows = statement.query_map(
            named_params! {
                ":now": millis(self.now.since_boot), ":most": self.most,
                ":until": millis(self.now.since_boot + AUDIT_LEASE),
            },
            |row| Ok(read(row)?.1.ok()),
        )?;
        let rows: Vec<_> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Work::some(rows, Work::Audit))
    }

    /// Holds the rows that `select` returns. If none of them can be read, they are out of the
    /// way then, and it is called again.
    fn hold_first(
        &self,
        tx: &Transaction<'_>,
        mut select: impl FnMut() -> Result<Vec<i64>, rusqlite::Error>,
    ) -> Result<Vec<Held>, OutboxError> {
        for _ in 0..MAX_UNREADABLE {
            let ids = select()?;
            if ids.is_empty() {
                break;
            }
            let held = ids.into_iter().map(|id| hold(tx, id, &self.now, self.terms.lease));
            let held = held.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
            if !held.is_empty() {
                let failures = self.failures;
                let taken = |held| Held { failures, is_probe: failures > 0, ..held };
                return Ok(held.into_iter().map(taken).collect());
            }
        }
        Ok(Vec::new())
    }
}

/// Looks for several at once; a single one is driven, which is the same.
fn settle(held: Vec<Held>) -> Option<Work> {
    Work::some(held, |held| if held.len() == 1 { Work::Carry(held) } else { Work::Settle(held) })
}

/// Takes a row that is not final; none if it cannot be read.
pub(super) fn hold(
    tx: &Transaction<'_>,
    id: i64,
    now: &Now,
    lease: Duration,
) -> Result<Option<Held>, OutboxError> {
    let mut statement = tx.prepare(
        "UPDATE oneclick_outbox_intent
         SET status = CASE status WHEN 'ready' THEN 'claimed' ELSE status END,
             epoch = epoch + 1, held = 1, due = ?2
         WHERE id = ?1 AND status IN ('ready', 'claimed', 'open', 'cancelling')
         RETURNING *",
    )?;
    let until = millis(now.since_boot.saturating_add(lease));
    let row = statement.query_row(params![id, until], read).optional()?;
    let Some((epoch, held)) = row else { return Ok(None) };
    match held {
        Ok(held) => Ok(Some(held)),
        Err(Unread::Newer) => {
            leave(tx, id, now)?;
            Ok(None)
        }
        // It is left for a person, and keeps no other intent waiting.
        Err(Unread::Invalid(what)) => {
            let problem = format!("what is stored cannot be read: {what} is not valid");
            tx.execute(
                "UPDATE oneclick_outbox_intent
                 SET held = 0, status = 'unresolved', problem = ?2, done_at = ?3 WHERE id = ?1",
                params![id, problem, wall()],
            )?;
            note(tx, id, epoch, &problem)?;
            Ok(None)
        }
    }
}

/// Why a row cannot be worked on.
enum Unread {
    /// Its request is of a newer version.
    Newer,
    /// The text of the error is not kept, since it may quote the request.
    Invalid(&'static str),
}

/// The epoch of a row, and what a worker needs of it.
fn read(row: &Row<'_>) -> rusqlite::Result<(i64, Result<Held, Unread>)> {
    let (id, epoch) = (row.get("id")?, row.get("epoch")?);
    let request: String = row.get::<_, Option<_>>("request")?.unwrap_or_default();
    if version_of(&request).is_some_and(|version| version > REQUEST) {
        return Ok((epoch, Err(Unread::Newer)));
    }
    let Ok(Request { purchase, .. }) = serde_json::from_str::<Request<Purchase>>(&request) else {
        return Ok((epoch, Err(Unread::Invalid("its request"))));
    };
    let Ok(state) = stored_state(row, id) else {
        return Ok((epoch, Err(Unread::Invalid("its state"))));
    };
    let (Ok(bought), Ok(answer)) = (parsed(row, "bought", id), parsed(row, "answer", id)) else {
        return Ok((epoch, Err(Unread::Invalid("its impact"))));
    };
    let enqueued: i64 = row.get("enqueued")?;
    let at = DateTime::parse_from_rfc3339(&row.get::<_, String>("enqueued_at")?).ok();
    let wall_age = at.and_then(|at| (Utc::now() - at.to_utc()).to_std().ok());
    let is_resumed = state.as_ref().is_some_and(|state: &PurchaseState| state.sends() > 0);
    let held = Held {
        id,
        epoch,
        intent: Intent::new(&row.get::<_, String>("namespace")?, &row.get::<_, String>("key")?),
        purchase,
        state,
        tries: row.get("tries")?,
        enqueued: (enqueued >= 0).then(|| duration(enqueued)),
        wall_age: wall_age.unwrap_or_default(),
        bought,
        answer,
        until: duration(row.get("due")?),
        failures: 0,
        is_probe: false,
        audits: row.get("audits")?,
        is_resumed,
        status: status(row, "status")?,
    };
    Ok((epoch, Ok(held)))
}

/// The version of a stored request.
fn version_of(request: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    serde_json::from_str(request).ok().map(|version: Version| version.v)
}

/// Leaves a request of a newer version to a newer worker.
fn leave(tx: &Transaction<'_>, id: i64, now: &Now) -> Result<(), OutboxError> {
    tx.execute(
        "UPDATE oneclick_outbox_intent
         SET held = 0, due = ?2, status = CASE status WHEN 'claimed' THEN 'ready' ELSE status END
         WHERE id = ?1",
        params![id, millis(now.since_boot + LEAVE)],
    )?;
    Ok(())
}

/// What is written instead if the impact is that of another intent, since receipts were swapped.
/// A record with the marker says more than a receipt, so whoever has only that looks again.
fn of_another(
    tx: &Transaction<'_>,
    held: &Held,
    written: &Written,
    now: Duration,
) -> Result<Option<Written>, OutboxError> {
    let row = tx.query_row(
        "SELECT id, key, epoch, looked OR status NOT IN ('bought', 'cancelling')
         FROM oneclick_outbox_intent WHERE bought = ?1 AND id <> ?2 LIMIT 1",
        params![written.bought.as_ref().map(json), held.id],
        |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)),
    );
    let Some((other, key, epoch, stays)): Option<(i64, _, i64, bool)> = row.optional()? else {
        return Ok(None);
    };
    if written.looked && !stays {
        tx.execute(
            "UPDATE oneclick_outbox_intent
             SET status = 'open', due = ?2, bought = NULL, answer = NULL, done_at = NULL,
                 held = 0, epoch = epoch + 1
             WHERE id = ?1",
            params![other, millis(now)],
        )?;
        note(tx, other, epoch, "its receipt was that of another intent: it is looked for")?;
        return Ok(None);
    }
    let status = if written.looked { Status::Unresolved } else { Status::Open };
    let what = format!("{}, which is the impact of the intent {key:?}", written.what);
    let (state, problem) = (written.state.clone(), Some(what.clone()));
    Ok(Some(Written { state, problem, ..Written::new(status, written.due, &what) }))
}

/// Writes what became of a row and lets it go. If another worker has taken it since, only the
/// event is written. Returns the status that the row has got.
pub(super) fn finish(
    tx: &Transaction<'_>,
    held: &Held,
    written: &Written,
    now: Duration,
) -> Result<Status, OutboxError> {
    let audit_at = millis(now + AUDITS[0]);
    let is_ours = "SELECT cancel FROM oneclick_outbox_intent
                   WHERE id = ?1 AND epoch = ?2 AND status IN ('claimed', 'open', 'cancelling')";
    let cancel: Option<bool> =
        tx.query_row(is_ours, params![held.id, held.epoch], |row| row.get(0)).optional()?;
    let Some(cancel) = cancel else {
        if !written.what.is_empty() {
            let what = format!("too late, another worker has it: {}", written.what);
            note(tx, held.id, held.epoch, &what)?;
        }
        if written.bought.is_some() {
            // Both may have bought it.
            tx.execute(
                "UPDATE oneclick_outbox_intent SET audit_at = ?2, audits = 0 WHERE id = ?1",
                params![held.id, audit_at],
            )?;
        }
        // The other worker reports what becomes of it.
        return Ok(Status::Claimed);
    };
    let of_another = match held.status {
        Status::Cancelling => None,
        _ => of_another(tx, held, written, now)?,
    };
    let written = of_another.as_ref().unwrap_or(written);
    let status = match written.status {
        // Unless this is what became of the cancellation.
        Status::Bought if cancel && held.status != Status::Cancelling => Status::Cancelling,
        Status::Ready if cancel => Status::Dropped,
        status => status,
    };
    let audit =
        written.audit && matches!(status, Status::Bought | Status::Cancelling | Status::Cancelled);
    tx.prepare(
        "UPDATE oneclick_outbox_intent
         SET held = 0, status = :status, due = :due, tries = :tries, state = :state,
             bought = :bought, looked = :looked, answer = :answer, problem = :problem,
             found = :found, done_at = :done, audit_at = coalesce(:audit, audit_at),
             cancel = CASE WHEN :status = 'bought' THEN 0 ELSE cancel END
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": held.id, ":status": status.as_str(), ":due": millis(written.due),
        ":tries": written.tries, ":state": written.state.as_ref().map(json),
        ":bought": written.bought.as_ref().map(json), ":problem": written.problem,
        ":looked": written.looked, ":answer": written.answer.as_ref().map(json),
        ":found": written.found_json(),
        ":done": status.is_final().then(wall), ":audit": audit.then_some(audit_at),
    })?;
    if !written.what.is_empty() {
        note(tx, held.id, held.epoch, &written.what)?;
    }
    Ok(status)
}
