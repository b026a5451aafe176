//! The store: the rules about intents and what is written of them, once for every database.

mod claim;
mod database;
mod hold;
mod row;

use std::fmt;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use oneclick_proto::{Intent, Purchase, PurchaseState, VerifiedPurchase, VerifyPolicy};
use serde::Serialize;

pub(crate) use self::claim::AUDITS;
pub use self::claim::Permit;
pub(crate) use self::claim::{Audited, Held, Offer, Work, Written};
use self::claim::{BATCH, Claim, finish, hold};
pub(crate) use self::database::{Database, Due, Gate, NewRow, Tx};
pub(crate) use self::row::{Holder, Row};
use self::row::{REQUEST, Request};
use crate::carry::Terms;
use crate::clock::{Clock, Now};
use crate::error::OutboxError;
use crate::intent::{Counts, Entry, Event, Status};

/// How many rows one transaction erases or deletes.
const CHUNK: u32 = 1_000;

/// An intent that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enqueued {
    /// The id of the intent.
    pub id: i64,
    /// Whether it is new; `false` if the same intent had been stored before.
    pub is_new: bool,
}

/// The request of an intent, as it is stored. Whatever cannot be sent is refused now, and not later
/// by a worker.
pub(crate) fn request(intent: &Intent, purchase: &Purchase) -> Result<String, OutboxError> {
    let _checked = VerifiedPurchase::new(intent, purchase.clone())?;
    Ok(json(&Request { v: REQUEST, purchase }))
}

/// Stores an intent, unless it is there.
pub(crate) fn enqueue(
    tx: &mut dyn Tx,
    now: Duration,
    namespace: &str,
    key: &str,
    purchase: &Purchase,
) -> Result<Enqueued, OutboxError> {
    let request = request(&Intent::new(namespace, key), purchase)?;
    tx.enqueue(&NewRow { namespace, key, request: &request, enqueued: now })
}

/// The intents of one database.
pub(crate) struct Store {
    database: Box<dyn Database>,
}

impl Store {
    pub(crate) fn new(database: impl Database + 'static) -> Self {
        Self { database: Box::new(database) }
    }

    pub(crate) fn now(&self) -> Now {
        self.database.clock().now()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.database.clock().clone()
    }

    /// Runs a transaction that may write, with the time at which it began. An error rolls it
    /// back.
    fn write<T>(
        &self,
        run: impl FnOnce(&mut dyn Tx, Duration) -> Result<T, OutboxError>,
    ) -> Result<T, OutboxError> {
        let mut tx = self.database.write()?;
        let began = tx.began();
        let result = run(&mut *tx, began)?;
        tx.commit()?;
        Ok(result)
    }

    fn read<T>(
        &self,
        run: impl FnOnce(&mut dyn Tx) -> Result<T, OutboxError>,
    ) -> Result<T, OutboxError> {
        run(&mut *self.database.read()?)
    }

    /// Binds the store to an account, or refuses another one than it is bound to.
    pub(crate) fn bind(&self, account: &str) -> Result<(), OutboxError> {
        self.write(|tx, _| {
            tx.init_meta("account", account)?;
            match tx.meta("account")? {
                Some(bound) if bound != account => {
                    Err(OutboxError::OtherAccount { expected: bound, got: account.to_owned() })
                }
                _ => Ok(()),
            }
        })
    }

    pub(crate) fn enqueue(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
    ) -> Result<Enqueued, OutboxError> {
        self.write(|tx, now| enqueue(tx, now, namespace, key, purchase))
    }

    /// Takes what is due; nothing while the gate is closed. What is tried first depends on the
    /// `turn`, so that neither ready intents nor open ones keep the others waiting for ever.
    pub(crate) fn claim(&self, turn: u32, terms: &Terms) -> Result<Option<Work>, OutboxError> {
        let offer = self.through_gate(terms, |claim, tx| {
            let mut work = match turn % 16 {
                0 => claim.audit(tx)?,
                turn if turn % 2 == 1 => claim.open(tx)?,
                _ => None,
            };
            for next in [Claim::ready, Claim::open, Claim::audit] {
                if work.is_none() {
                    work = next(claim, tx)?;
                }
            }
            Ok(work.map_or(Offer::Nothing, Offer::Taken))
        })?;
        Ok(offer.taken())
    }

    /// Takes a row to send its purchase now. There is nothing to do for one that somebody else
    /// has, or whose purchase is to be looked for before it is sent.
    pub(crate) fn claim_to_send(&self, id: i64, terms: &Terms) -> Result<Offer<Work>, OutboxError> {
        self.through_gate(terms, |claim, tx| claim.to_send(tx, id))
    }

    /// Takes all of these rows that nobody has and whose outcome is not known, due or not.
    pub(crate) fn claim_to_settle(
        &self,
        ids: &[i64],
        terms: &Terms,
    ) -> Result<Option<Vec<Held>>, OutboxError> {
        Ok(self.through_gate(terms, |claim, tx| claim.to_settle(tx, ids))?.taken())
    }

    /// Takes something if the gate is open.
    fn through_gate<T>(
        &self,
        terms: &Terms,
        take: impl FnOnce(&Claim<'_>, &mut dyn Tx) -> Result<Offer<T>, OutboxError>,
    ) -> Result<Offer<T>, OutboxError> {
        self.write(|tx, now| {
            let mut gate = tx.gate()?;
            if gate.failures > 0 {
                // One worker alone finds out whether the API is back.
                gate = tx.locked_gate()?;
            }
            if gate.paused.is_some() {
                return Ok(Offer::Paused);
            }
            if gate.is_closed(now) {
                return Ok(Offer::Later(gate.not_before.saturating_sub(now)));
            }
            // After failures, a single intent finds out whether the API is back.
            let failures = gate.failures;
            let most = if failures > 0 { 1 } else { BATCH };
            let claim = Claim { now, opened: tx.opened(), terms, failures, most };
            let offer = take(&claim, tx)?;
            if matches!(offer, Offer::Taken(_)) && failures > 0 {
                gate.not_before = now.saturating_add(gate.grown_wait());
                tx.set_gate(&gate)?;
            }
            Ok(offer)
        })
    }

    /// Takes up to this many rows that may be sent at once, and returns how many.
    pub(crate) fn claim_only(&self, most: u32) -> Result<usize, OutboxError> {
        let (concurrency, policy) = (16, VerifyPolicy::STANDARD);
        let lease = Duration::from_secs(60);
        let (has_rate, settles_later) = (false, false);
        let terms = Terms { concurrency, has_rate, policy, lease, send_by: lease, settles_later };
        self.write(|tx, now| {
            let failures = tx.gate()?.failures;
            let claim = Claim { now, opened: tx.opened(), terms: &terms, failures, most };
            Ok(match claim.ready(tx)? {
                Some(Work::Carry(held)) => held.len(),
                _ => 0,
            })
        })
    }

    /// Whether the gate is open.
    pub(crate) fn is_open(&self) -> Result<bool, OutboxError> {
        let now = self.now().since_boot;
        self.read(|tx| Ok(!tx.gate()?.is_closed(now)))
    }

    /// Why a person or a refused key has paused all workers.
    pub(crate) fn paused(&self) -> Result<Option<String>, OutboxError> {
        self.read(|tx| Ok(tx.gate()?.paused))
    }

    /// Takes a row whether or not it is due, unless another worker holds it.
    pub(crate) fn claim_one(&self, id: i64, lease: Duration) -> Result<Option<Work>, OutboxError> {
        self.write(|tx, now| {
            let row = tx.row(id)?.ok_or(OutboxError::NoSuchIntent)?;
            let status = row.status;
            if status.is_final() {
                return Err(OutboxError::WrongStatus { id, status });
            }
            if row.is_held(now) {
                return Ok(None);
            }
            let failures = tx.gate()?.failures;
            let held = hold(tx, vec![row], Holder::Worker, now, lease)?.pop();
            Ok(held.map(|held| match status {
                Status::Cancelling => Work::Cancel(Box::new(held)),
                // The caller decides when to send, so only a pause of the outbox prevents it.
                _ => Work::Carry(vec![Held { failures, is_probe: true, ..held }]),
            }))
        })
    }

    /// Notes that a purchase is about to leave. It may leave only if this is granted.
    pub(crate) fn permit(
        &self,
        held: &Held,
        state: &PurchaseState,
        lease: Duration,
    ) -> Result<Permit, OutboxError> {
        self.write(|tx, now| {
            let gate = tx.gate()?;
            if gate.paused.is_some() || gate.is_closed(now) && !held.is_probe {
                return Ok(Permit::Closed);
            }
            let Some(mut row) = tx.row(held.id)? else { return Ok(Permit::Lost) };
            if row.cancel {
                return Ok(Permit::Cancelled);
            }
            // On a copy, somebody else may have claimed it under the same epoch.
            let is_lost = !held.is_still(&row) || held.opened != tx.opened();
            if is_lost || row.status == Status::Cancelling || row.due < now {
                return Ok(Permit::Lost);
            }
            (row.status, row.due) = (Status::Open, now.saturating_add(lease));
            row.set_state(Some(state));
            tx.save(&row)?;
            tx.note(held.id, held.epoch, "permit: the purchase may be sent")?;
            Ok(Permit::Granted)
        })
    }

    /// Extends the lease; `false` if the row is no longer this worker's.
    pub(crate) fn renew(&self, held: &Held, lease: Duration) -> Result<bool, OutboxError> {
        Ok(self.renew_all([held], lease)? == 1)
    }

    /// Extends the leases of those rows that are still this worker's, and returns how many.
    pub(crate) fn renew_all<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a Held>,
        lease: Duration,
    ) -> Result<usize, OutboxError> {
        self.write(|tx, now| {
            let mut renewed = 0;
            for held in rows {
                let row = tx.row(held.id)?.filter(|row| held.is_still(row));
                if let Some(mut row) = row.filter(|row| row.holder != Holder::Nobody) {
                    row.due = now.saturating_add(lease);
                    tx.save(&row)?;
                    renewed += 1;
                }
            }
            Ok(renewed)
        })
    }

    /// Writes what became of rows and lets them go. If another worker has taken one since, only
    /// the event is written, for a person to see. Returns the status that each has got.
    pub(crate) fn finish(&self, rows: &[(&Held, &Written)]) -> Result<Vec<Status>, OutboxError> {
        self.write(|tx, now| {
            rows.iter().map(|(held, written)| finish(tx, held, written, now)).collect()
        })
    }

    /// Writes what an audit found: the impacts that are not cancelled if there are more than one,
    /// or that the purchase was cancelled.
    pub(crate) fn audited(&self, rows: &[(&Held, Audited)]) -> Result<(), OutboxError> {
        self.write(|tx, now| {
            for (held, audited) in rows {
                let Some(mut row) = tx.row(held.id)? else { continue };
                let next = match audited {
                    // What is too much is to be cancelled, which the next audit sees.
                    Audited::Surplus(_) => Some(AUDITS[0]),
                    _ => AUDITS.get(held.audits as usize + 1).copied(),
                };
                row.audits = row.audits.saturating_add(1);
                row.audit_at = next.map(|next| now.saturating_add(next));
                row.surplus = match audited {
                    Audited::Surplus(surplus) => Some(json(surplus)),
                    Audited::Cancelled | Audited::Nothing(_) => None,
                };
                if matches!(audited, Audited::Cancelled) {
                    row.status = Status::Cancelled;
                }
                tx.save(&row)?;
                tx.note(held.id, held.epoch, &format!("audit: {audited}"))?;
            }
            Ok(())
        })
    }

    /// Opens the gate after a success.
    pub(crate) fn gate_open(&self) -> Result<(), OutboxError> {
        if self.read(|tx| Ok(tx.gate()?.failures == 0))? {
            return Ok(());
        }
        self.write(|tx, _| {
            let paused = tx.locked_gate()?.paused;
            tx.set_gate(&Gate { not_before: Duration::ZERO, failures: 0, paused })
        })
    }

    /// Holds back all workers: for `wait` after a rate limit, otherwise longer each time.
    /// Intents that were taken after the same number of `failures` count as one more.
    pub(crate) fn gate_close(
        &self,
        wait: Option<Duration>,
        failures: u32,
    ) -> Result<(), OutboxError> {
        self.write(|tx, now| {
            let stored = tx.locked_gate()?;
            let failures = stored.failures.min(failures);
            let gate = Gate { failures, ..stored.clone() };
            let wait = wait.map_or_else(|| gate.grown_wait(), |wait| wait.min(LONGEST_RETRY_AFTER));
            tx.set_gate(&Gate {
                not_before: now.saturating_add(wait).max(stored.not_before),
                failures: stored.failures.max(failures.saturating_add(1)),
                ..stored
            })
        })
    }

    /// Pauses all workers, or lets them go on.
    pub(crate) fn pause(&self, reason: Option<&str>) -> Result<(), OutboxError> {
        let paused = reason.map(str::to_owned);
        self.write(|tx, _| tx.set_gate(&Gate { not_before: Duration::ZERO, failures: 0, paused }))
    }

    pub(crate) fn find(&self, namespace: &str, key: &str) -> Result<Option<Entry>, OutboxError> {
        self.read(|tx| tx.find(namespace, key)?.map(Row::entry).transpose())
    }

    pub(crate) fn find_all(&self, key: &str) -> Result<Vec<Entry>, OutboxError> {
        self.read(|tx| entries(tx.find_all(key)?))
    }

    pub(crate) fn entry(&self, id: i64) -> Result<Option<Entry>, OutboxError> {
        self.read(|tx| tx.row(id)?.map(Row::entry).transpose())
    }

    /// Up to `limit` intents after one with the id `after`.
    pub(crate) fn list(
        &self,
        status: Option<Status>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Entry>, OutboxError> {
        self.read(|tx| entries(tx.list(status, after, limit)?))
    }

    pub(crate) fn events(&self, id: i64) -> Result<Vec<Event>, OutboxError> {
        self.read(|tx| tx.events(id))
    }

    pub(crate) fn counts(&self) -> Result<Counts, OutboxError> {
        self.read(|tx| Ok(Counts { paused: tx.gate()?.paused, ..tx.counts()? }))
    }

    /// A person's decision about a row: changes it if its status is one of `from`.
    pub(crate) fn decide(
        &self,
        id: i64,
        from: &[Status],
        decide: impl FnOnce(&Entry, Option<PurchaseState>) -> Result<Written, OutboxError>,
    ) -> Result<(), OutboxError> {
        self.write(|tx, _| {
            let mut row = tx.row(id)?.ok_or(OutboxError::NoSuchIntent)?;
            if !from.contains(&row.status) {
                return Err(OutboxError::WrongStatus { id, status: row.status });
            }
            let written = decide(&row.clone().entry()?, row.state()?)?;
            let looked = row.looked;
            tx.note(id, row.epoch, &written.what)?;
            written.apply(&mut row, written.status);
            row.epoch += 1;
            (row.looked, row.cancel) = (looked, false);
            tx.save(&row)
        })
    }

    /// Cancels an intent: nothing is sent for it any more, and what was bought is cancelled.
    pub(crate) fn cancel(&self, id: i64) -> Result<Status, OutboxError> {
        self.write(|tx, now| {
            let mut row = tx.row(id)?.ok_or(OutboxError::NoSuchIntent)?;
            row.status = match row.status {
                Status::Ready => Status::Dropped,
                Status::Bought => Status::Cancelling,
                // Whoever has it sees this before a purchase leaves, or cancels what it buys.
                status @ (Status::Claimed | Status::Open) => status,
                status @ Status::Unresolved => return Err(OutboxError::WrongStatus { id, status }),
                status @ (Status::Cancelling
                | Status::Cancelled
                | Status::Refused
                | Status::Dropped) => return Ok(status),
            };
            row.cancel = true;
            row.done_at = row.status.is_final().then(wall);
            if row.holder == Holder::Nobody {
                row.due = now;
            }
            tx.save(&row)?;
            tx.note(id, row.epoch, "a person cancels it")?;
            Ok(row.status)
        })
    }

    /// Intents for which an audit found more than one impact that is not cancelled.
    pub(crate) fn surplus(&self) -> Result<Vec<Entry>, OutboxError> {
        self.read(|tx| entries(tx.surplus()?))
    }

    /// Deletes intents that had a final status before `before`, and returns their names.
    pub(crate) fn purge(&self, before: &str) -> Result<Vec<(String, String)>, OutboxError> {
        self.write(|tx, _| {
            let mut names = Vec::new();
            loop {
                let rows = tx.finished(before, true, CHUNK)?;
                if rows.is_empty() {
                    return Ok(names);
                }
                for row in rows {
                    tx.delete(row.id)?;
                    names.push((row.namespace, row.key));
                }
            }
        })
    }

    /// Erases the requests of intents that had a final status before `before`; the keys and
    /// what became of them stay.
    pub(crate) fn erase(&self, before: &str) -> Result<u64, OutboxError> {
        self.write(|tx, _| {
            let mut erased = 0;
            loop {
                let rows = tx.finished(before, false, CHUNK)?;
                if rows.is_empty() {
                    return Ok(erased);
                }
                for mut row in rows {
                    row.erase();
                    tx.save(&row)?;
                    erased += 1;
                }
            }
        })
    }
}

fn entries(rows: Vec<Row>) -> Result<Vec<Entry>, OutboxError> {
    rows.into_iter().map(Row::entry).collect()
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// The longest time for which failures close the gate.
const LONGEST_GATE: Duration = Duration::from_secs(120);
/// The longest `Retry-After` that is waited for before the API is asked again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

impl Gate {
    fn is_closed(&self, now: Duration) -> bool {
        self.paused.is_some() || self.not_before > now
    }

    /// How long the failures so far close it.
    fn grown_wait(&self) -> Duration {
        Duration::from_secs(1 << self.failures.min(8)).min(LONGEST_GATE)
    }
}

/// The time of day, for people.
pub(crate) fn wall() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn json<T: Serialize>(value: &T) -> String {
    // These types have no maps with keys that are no texts, so this cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}
