//! The store: every statement that reads or writes the tables.

mod claim;
mod hold;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use oneclick_proto::{Intent, Purchase, PurchaseState, VerifiedPurchase};
use rusqlite::{
    Connection, OptionalExtension, Row, Transaction, TransactionBehavior, named_params, params,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::claim::Permit;
use self::claim::{AUDITS, BATCH, Claim, finish, hold};
pub(crate) use self::claim::{Audited, Held, Work, Written};
use crate::carry::Terms;
use crate::clock::{Clock, Now};
use crate::error::OutboxError;
use crate::intent::{Answer, Bought, Counts, Entry, Event, Status};

/// The steps of the schema. The number of those that were taken is its version.
const MIGRATIONS: [&str; 1] = [include_str!("sqlite/001.sql")];

/// How long to wait for another connection's transaction.
pub(crate) const DATABASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates the outbox's tables in a database, or brings them up to date. Call it when your
/// program starts; it is safe if several processes do so at once. All names begin with
/// `oneclick_outbox_`.
///
/// # Errors
/// The database fails, or has the tables of a newer version of this crate.
pub fn migrate(connection: &mut Connection) -> Result<(), OutboxError> {
    let busy = connection.query_row("PRAGMA busy_timeout", [], |row| row.get::<_, u32>(0))?;
    connection.busy_timeout(DATABASE_TIMEOUT)?;
    let result = migrate_once(connection);
    connection.busy_timeout(Duration::from_millis(u64::from(busy)))?;
    result
}

fn migrate_once(connection: &mut Connection) -> Result<(), OutboxError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&tx)?;
    let missing = MIGRATIONS.get(version as usize..);
    for step in missing.ok_or(OutboxError::NewerTables { version })? {
        tx.execute_batch(step)?;
    }
    tx.execute(
        "INSERT INTO oneclick_outbox_meta (name, value) VALUES ('schema_version', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [MIGRATIONS.len().to_string()],
    )?;
    Ok(tx.commit()?)
}

/// The version of the tables; 0 without them.
fn version(connection: &Connection) -> Result<u32, OutboxError> {
    let exists = connection.query_row(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'oneclick_outbox_meta'",
        [],
        |row| row.get::<_, u32>(0),
    )?;
    if exists == 0 {
        return Ok(0);
    }
    let version = connection.query_row(
        "SELECT CAST(value AS INTEGER) FROM oneclick_outbox_meta WHERE name = 'schema_version'",
        [],
        |row| row.get(0),
    );
    Ok(version.optional()?.unwrap_or_default())
}

/// A request as it is stored.
#[derive(Serialize, Deserialize)]
struct Request<P> {
    v: u32,
    #[serde(flatten)]
    purchase: P,
}

/// The version of [`Request`].
const REQUEST: u32 = 1;

/// An intent that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enqueued {
    /// The number of the intent.
    pub id: i64,
    /// Whether it is new; `false` if the same intent had been stored before.
    pub is_new: bool,
}

/// Stores an intent inside your own transaction, so that it exists exactly if the order does.
///
/// The namespace tells apart the shops that share an account, and the key is what is to be
/// bought once, such as `order-123`. Never make a key from the time: each retry would be a
/// purchase of its own. The same key with the same purchase is the intent that exists.
///
/// Begin the transaction with [`TransactionBehavior::Immediate`]: one that has read before
/// fails at once where another connection is writing, without a wait.
///
/// # Errors
/// [`OutboxError::OtherPurchase`] if the key stands for another purchase,
/// [`OutboxError::Invalid`] if the metadata have no room for the intent's marker, and
/// [`OutboxError::NoTables`] before [`migrate`].
pub fn enqueue(
    transaction: &Transaction<'_>,
    namespace: &str,
    key: &str,
    purchase: impl Into<Purchase>,
) -> Result<Enqueued, OutboxError> {
    enqueue_at(transaction, &Clock::system().now(), namespace, key, &purchase.into())
}

pub(crate) fn enqueue_at(
    connection: &Connection,
    now: &Now,
    namespace: &str,
    key: &str,
    purchase: &Purchase,
) -> Result<Enqueued, OutboxError> {
    let intent = Intent::new(namespace, key);
    // Whatever cannot be sent is refused now, and not later by a worker.
    let _checked = VerifiedPurchase::new(&intent, purchase.clone())?;
    match version(connection)? {
        0 => return Err(OutboxError::NoTables),
        version if version as usize > MIGRATIONS.len() => {
            return Err(OutboxError::NewerTables { version });
        }
        _ => {}
    }
    let request = json(&Request { v: REQUEST, purchase });
    // The marker is the same for both, so the digest tells nobody's address apart from here.
    let digest = Intent::new(intent.marker(), &request).marker().to_owned();
    let inserted = connection
        .query_row(
            "INSERT INTO oneclick_outbox_intent
                 (namespace, key, request, digest, enqueued_at, enqueued, due)
             VALUES (:namespace, :key, :request, :digest, :at, :now, :now)
             ON CONFLICT (namespace, key) DO NOTHING RETURNING id",
            named_params! {
                ":namespace": namespace, ":key": key, ":request": request, ":digest": digest,
                ":at": wall(), ":now": millis(now.since_boot),
            },
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = inserted {
        note(connection, id, 0, "stored")?;
        return Ok(Enqueued { id, is_new: true });
    }
    let (id, stored): (i64, String) = connection.query_row(
        "SELECT id, digest FROM oneclick_outbox_intent WHERE namespace = ?1 AND key = ?2",
        params![namespace, key],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if stored == digest {
        Ok(Enqueued { id, is_new: false })
    } else {
        Err(OutboxError::OtherPurchase { namespace: namespace.to_owned(), key: key.to_owned() })
    }
}

/// The tables of one database, and the clock of its machine.
pub(crate) struct Store {
    connection: Mutex<Connection>,
    clock: Clock,
    /// When it was opened, to the millisecond.
    opened: Duration,
}

impl Store {
    /// Takes a connection of its own to a database with the tables.
    pub(crate) fn new(mut connection: Connection, clock: Clock) -> Result<Self, OutboxError> {
        connection.busy_timeout(DATABASE_TIMEOUT)?;
        match version(&connection)? {
            0 => return Err(OutboxError::NoTables),
            version if version as usize > MIGRATIONS.len() => {
                return Err(OutboxError::NewerTables { version });
            }
            version if (version as usize) < MIGRATIONS.len() => migrate(&mut connection)?,
            _ => {}
        }
        // A permit that is lost with the power could let a purchase be sent twice.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is erased is overwritten in the file.
        connection.pragma_update(None, "secure_delete", true)?;
        let opened = duration(millis(clock.now().since_boot));
        let store = Self { connection: Mutex::new(connection), clock, opened };
        store.adopt()?;
        Ok(store)
    }

    /// Since when no copy can have taken the place of the database.
    pub(crate) fn opened(&self) -> Duration {
        self.opened
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs statements in one transaction that may write.
    fn write<T>(
        &self,
        run: impl FnOnce(&Transaction<'_>) -> Result<T, OutboxError>,
    ) -> Result<T, OutboxError> {
        let mut connection = self.connection();
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = run(&tx)?;
        tx.commit()?;
        Ok(result)
    }

    /// After a start of the machine, no earlier deadline means anything: nobody holds a row.
    fn adopt(&self) -> Result<(), OutboxError> {
        let Now { boot, since_boot: now } = self.now();
        self.write(|tx| {
            if meta(tx, "boot")?.as_deref() == Some(&*boot) {
                return Ok(());
            }
            tx.execute(
                "UPDATE oneclick_outbox_intent SET due = 0, enqueued = -1
                 WHERE status IN ('ready', 'claimed', 'open', 'cancelling')",
                [],
            )?;
            tx.execute("UPDATE oneclick_outbox_gate SET not_before = 0", [])?;
            tx.execute(
                "UPDATE oneclick_outbox_intent SET audit_at = ?1 WHERE audit_at IS NOT NULL",
                [millis(now + AUDITS[0])],
            )?;
            set_meta(tx, "boot", &boot)
        })
    }

    /// Binds the store to an account, or refuses another one than it is bound to.
    pub(crate) fn bind(&self, account: &str) -> Result<(), OutboxError> {
        self.write(|tx| match meta(tx, "account")? {
            None => set_meta(tx, "account", account),
            Some(bound) if bound == account => Ok(()),
            Some(bound) => {
                Err(OutboxError::OtherAccount { expected: bound, got: account.to_owned() })
            }
        })
    }

    pub(crate) fn enqueue(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
    ) -> Result<Enqueued, OutboxError> {
        let now = self.now();
        self.write(|tx| enqueue_at(tx, &now, namespace, key, purchase))
    }

    /// Takes what is due; nothing while the gate is closed. Each `turn` begins with something
    /// else, so that neither a backlog nor what is open keeps the other from its turn.
    pub(crate) fn claim(&self, turn: u32, terms: &Terms) -> Result<Option<Work>, OutboxError> {
        let now = self.now();
        self.write(|tx| {
            let gate = gate(tx)?;
            if gate.paused.is_some() || gate.not_before > now.since_boot {
                return Ok(None);
            }
            // After failures, a single intent finds out whether the API is back.
            let failures = gate.failures;
            let most = if failures > 0 { 1 } else { BATCH };
            let claim = Claim { now: now.clone(), opened: self.opened, terms, failures, most };
            let mut work = match turn % 16 {
                0 => claim.audit(tx)?,
                turn if turn % 2 == 1 => claim.open(tx)?,
                _ => None,
            };
            for next in [Claim::ready, Claim::open, Claim::audit] {
                if work.is_none() {
                    work = next(&claim, tx)?;
                }
            }
            if work.is_some() && failures > 0 {
                let until = millis(now.since_boot + gate.grown_wait());
                tx.execute("UPDATE oneclick_outbox_gate SET not_before = ?1", [until])?;
            }
            Ok(work)
        })
    }

    /// Whether the gate is open.
    pub(crate) fn is_open(&self) -> Result<bool, OutboxError> {
        let gate = gate(&self.connection())?;
        Ok(gate.paused.is_none() && gate.not_before <= self.now().since_boot)
    }

    /// Takes a row whether or not it is due, unless another worker holds it.
    pub(crate) fn claim_one(&self, id: i64, lease: Duration) -> Result<Option<Work>, OutboxError> {
        let now = self.now();
        self.write(|tx| {
            let row = tx.query_row(
                "SELECT status, held > 0 AND due > ?2 FROM oneclick_outbox_intent WHERE id = ?1",
                params![id, millis(now.since_boot)],
                |row| Ok((status(row, 0)?, row.get(1)?)),
            );
            let failures = gate(tx)?.failures;
            match row.optional()?.ok_or(OutboxError::NoSuchIntent)? {
                (status, _) if status.is_final() => Err(OutboxError::WrongStatus { status }),
                (_, true) => Ok(None),
                (status, _) => Ok(hold(tx, id, &now, lease)?.map(|held| match status {
                    Status::Cancelling => Work::Cancel(Box::new(held)),
                    // Whoever calls this decides when.
                    _ => Work::Carry(vec![Held { failures, is_probe: true, ..held }]),
                })),
            }
        })
    }

    /// Notes that a purchase is about to leave. It may leave only if this is granted.
    pub(crate) fn permit(
        &self,
        held: &Held,
        state: &PurchaseState,
        lease: Duration,
    ) -> Result<Permit, OutboxError> {
        let now = self.now();
        self.write(|tx| {
            let gate = gate(tx)?;
            let is_closed = gate.not_before > now.since_boot && !held.is_probe;
            if gate.paused.is_some() || is_closed {
                return Ok(Permit::Closed);
            }
            let cancel = "SELECT cancel FROM oneclick_outbox_intent WHERE id = ?1";
            if tx.query_row(cancel, [held.id], |row| row.get(0))? {
                return Ok(Permit::Cancelled);
            }
            let written = tx.execute(
                "UPDATE oneclick_outbox_intent SET status = 'open', state = :state, due = :until
                 WHERE id = :id AND epoch = :epoch AND status IN ('claimed', 'open')
                   AND due >= :now",
                named_params! {
                    ":id": held.id, ":epoch": held.epoch, ":state": json(state),
                    ":now": millis(now.since_boot),
                    ":until": millis(now.since_boot.saturating_add(lease)),
                },
            )?;
            if written == 0 {
                return Ok(Permit::Lost);
            }
            note(tx, held.id, held.epoch, "a purchase may leave now")?;
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
        let until = millis(self.now().since_boot.saturating_add(lease));
        self.write(|tx| {
            let mut renew = tx.prepare(
                "UPDATE oneclick_outbox_intent SET due = ?1
                 WHERE id = ?2 AND epoch = ?3 AND held > 0",
            )?;
            let mut renewed = 0;
            for held in rows {
                renewed += renew.execute(params![until, held.id, held.epoch])?;
            }
            Ok(renewed)
        })
    }

    /// Writes what became of rows and lets them go. If another worker has taken one since, only
    /// the event is written, for a person to see. Returns the status that each has got.
    pub(crate) fn finish(&self, rows: &[(&Held, &Written)]) -> Result<Vec<Status>, OutboxError> {
        let now = self.now().since_boot;
        self.write(|tx| rows.iter().map(|(held, written)| finish(tx, held, written, now)).collect())
    }

    /// Writes what an audit found: the impacts that stand although one at most should, or that
    /// it was cancelled.
    pub(crate) fn audited(&self, rows: &[(&Held, Audited)]) -> Result<(), OutboxError> {
        let now = self.now().since_boot;
        self.write(|tx| {
            for (held, audited) in rows {
                let next = match audited {
                    // What is too much is to be cancelled, which the next audit sees.
                    Audited::Surplus(_) => Some(AUDITS[0]),
                    _ => AUDITS.get(held.audits as usize + 1).copied(),
                };
                let (surplus, cancelled) = match audited {
                    Audited::Surplus(surplus) => (Some(json(surplus)), false),
                    Audited::Cancelled => (None, true),
                    Audited::Nothing(_) => (None, false),
                };
                tx.execute(
                    "UPDATE oneclick_outbox_intent
                     SET audits = audits + 1, audit_at = :next, surplus = :surplus,
                         status = CASE WHEN :cancelled THEN 'cancelled' ELSE status END
                     WHERE id = :id",
                    named_params! {
                        ":id": held.id, ":next": next.map(|next| millis(now + next)), ":surplus": surplus,
                        ":cancelled": cancelled,
                    },
                )?;
                note(tx, held.id, held.epoch, &format!("audit: {audited}"))?;
            }
            Ok(())
        })
    }

    /// Opens the gate after a success.
    pub(crate) fn gate_open(&self) -> Result<(), OutboxError> {
        let closed = gate(&self.connection())?.failures > 0;
        if closed {
            self.write(|tx| {
                tx.execute("UPDATE oneclick_outbox_gate SET failures = 0, not_before = 0", [])?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Holds back all workers: for `wait` after a rate limit, otherwise longer each time.
    /// Intents that were taken after the same number of `failures` count as one more.
    pub(crate) fn gate_close(
        &self,
        wait: Option<Duration>,
        failures: u32,
    ) -> Result<(), OutboxError> {
        let now = self.now().since_boot;
        self.write(|tx| {
            let stored = gate(tx)?;
            let gate = Gate { failures: stored.failures.min(failures), ..stored };
            let failures = stored.failures.max(gate.failures + 1);
            let wait = wait.map_or_else(|| gate.grown_wait(), |wait| wait.min(LONGEST_RETRY_AFTER));
            let until = millis(now + wait).max(millis(gate.not_before));
            tx.execute(
                "UPDATE oneclick_outbox_gate SET failures = ?1, not_before = ?2",
                params![failures, until],
            )?;
            Ok(())
        })
    }

    /// Pauses all workers, or lets them go on.
    pub(crate) fn pause(&self, reason: Option<&str>) -> Result<(), OutboxError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE oneclick_outbox_gate SET paused = ?1, failures = 0, not_before = 0",
                [reason],
            )?;
            Ok(())
        })
    }

    pub(crate) fn find(&self, namespace: &str, key: &str) -> Result<Option<Entry>, OutboxError> {
        let connection = self.connection();
        let sql = format!("{ENTRY} WHERE namespace = ?1 AND key = ?2");
        let row = connection.query_row(&sql, params![namespace, key], |row| Ok(entry(row)));
        row.optional()?.transpose()
    }

    pub(crate) fn find_all(&self, key: &str) -> Result<Vec<Entry>, OutboxError> {
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("{ENTRY} WHERE key = ?1 ORDER BY id"))?;
        let rows = statement.query_map([key], |row| Ok(entry(row)))?;
        rows.map(|row| row?).collect()
    }

    pub(crate) fn entry(&self, id: i64) -> Result<Option<Entry>, OutboxError> {
        let connection = self.connection();
        let row = connection
            .query_row(&format!("{ENTRY} WHERE id = ?1"), [id], |row| Ok(entry(row)))
            .optional()?;
        row.transpose()
    }

    /// Up to `limit` intents after one with the id `after`.
    pub(crate) fn list(
        &self,
        status: Option<Status>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Entry>, OutboxError> {
        let connection = self.connection();
        let sql =
            format!("{ENTRY} WHERE id > ?1 AND (?2 IS NULL OR status = ?2) ORDER BY id LIMIT ?3");
        let mut statement = connection.prepare(&sql)?;
        let status = status.map(Status::as_str);
        let rows = statement.query_map(params![after, status, limit], |row| Ok(entry(row)))?;
        rows.map(|row| row?).collect()
    }

    pub(crate) fn events(&self, id: i64) -> Result<Vec<Event>, OutboxError> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT at, epoch, what FROM oneclick_outbox_event WHERE intent = ?1 ORDER BY id",
        )?;
        let events = statement.query_map([id], |row| {
            Ok(Event { at: row.get(0)?, epoch: row.get(1)?, what: row.get(2)? })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }

    pub(crate) fn counts(&self) -> Result<Counts, OutboxError> {
        let connection = self.connection();
        let mut counts = Counts { paused: gate(&connection)?.paused, ..Counts::default() };
        let mut statement = connection.prepare(
            "SELECT status, count(*), min(enqueued_at), count(surplus),
                    count(CASE WHEN status = 'open' AND held = 0 THEN 1 END)
             FROM oneclick_outbox_intent GROUP BY status",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, oldest): (i64, String) = (row.get(1)?, row.get(2)?);
            let number = u64::try_from(number).unwrap_or_default();
            counts.surplus += row.get::<_, u32>(3).map(u64::from)?;
            counts.pending += row.get::<_, u32>(4).map(u64::from)?;
            match status(row, 0)? {
                Status::Ready | Status::Claimed => {
                    counts.ready += number;
                    counts.oldest = counts.oldest.into_iter().chain([oldest]).min();
                }
                Status::Open => counts.open = number,
                Status::Bought => counts.bought = number,
                Status::Refused => counts.refused = number,
                Status::Cancelling => counts.cancelling = number,
                Status::Cancelled => counts.cancelled = number,
                Status::Unresolved => counts.unresolved = number,
                Status::Dropped => counts.dropped = number,
            }
        }
        Ok(counts)
    }

    /// A person's decision about a row: changes it if its status is one of `from`.
    pub(crate) fn decide(
        &self,
        id: i64,
        from: &[Status],
        decide: impl FnOnce(&Entry, Option<PurchaseState>) -> Result<Written, OutboxError>,
    ) -> Result<(), OutboxError> {
        self.write(|tx| {
            let sql = format!("{ENTRY} WHERE id = ?1");
            let row = tx.query_row(&sql, [id], |row| {
                let epoch = row.get::<_, i64>("epoch")?;
                Ok((entry(row), stored_state(row, id), epoch))
            });
            let (entry, state, epoch) = row.optional()?.ok_or(OutboxError::NoSuchIntent)?;
            let entry = entry?;
            if !from.contains(&entry.status) {
                return Err(OutboxError::WrongStatus { status: entry.status });
            }
            let written = decide(&entry, state?)?;
            tx.execute(
                "UPDATE oneclick_outbox_intent
                 SET held = 0, status = :status, due = :due, tries = 0, state = :state, bought = :bought,
                     answer = :answer, problem = :problem, found = :found, done_at = :done,
                     epoch = epoch + 1, cancel = 0
                 WHERE id = :id",
                named_params! {
                    ":id": id, ":status": written.status.as_str(), ":due": millis(written.due),
                    ":state": written.state.as_ref().map(json),
                    ":bought": written.bought.as_ref().map(json), ":problem": written.problem,
                    ":answer": written.answer.as_ref().map(json), ":found": written.found_json(),
                    ":done": written.status.is_final().then(wall),
                },
            )?;
            note(tx, id, epoch, &written.what)
        })
    }

    /// Cancels an intent: nothing is sent for it any more, and what was bought is cancelled.
    pub(crate) fn cancel(&self, id: i64) -> Result<Status, OutboxError> {
        let now = millis(self.now().since_boot);
        self.write(|tx| {
            let row = tx.query_row(
                "SELECT status, epoch FROM oneclick_outbox_intent WHERE id = ?1",
                [id],
                |row| Ok((status(row, 0)?, row.get::<_, i64>(1)?)),
            );
            let (before, epoch) = row.optional()?.ok_or(OutboxError::NoSuchIntent)?;
            let after = match before {
                Status::Ready => Status::Dropped,
                Status::Bought => Status::Cancelling,
                // Whoever has it sees this before a purchase leaves, or cancels what it buys.
                Status::Claimed | Status::Open => before,
                Status::Unresolved => return Err(OutboxError::WrongStatus { status: before }),
                Status::Cancelling | Status::Cancelled | Status::Refused | Status::Dropped => {
                    return Ok(before);
                }
            };
            tx.execute(
                "UPDATE oneclick_outbox_intent
                 SET cancel = 1, status = :status, done_at = :done,
                     due = CASE WHEN held > 0 THEN due ELSE :now END
                 WHERE id = :id",
                named_params! {
                    ":id": id, ":status": after.as_str(), ":now": now,
                    ":done": after.is_final().then(wall),
                },
            )?;
            note(tx, id, epoch, "a person cancels it")?;
            Ok(after)
        })
    }

    /// Intents for which more stands than should.
    pub(crate) fn surplus(&self) -> Result<Vec<Entry>, OutboxError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare(&format!("{ENTRY} WHERE surplus IS NOT NULL ORDER BY id"))?;
        let rows = statement.query_map([], |row| Ok(entry(row)))?;
        rows.map(|row| row?).collect()
    }

    /// Deletes intents that had a final status before `before`, and returns their names.
    pub(crate) fn purge(&self, before: &str) -> Result<Vec<(String, String)>, OutboxError> {
        self.write(|tx| {
            let old = "done_at < ?1 AND (audit_at IS NULL OR state IS NULL)
                       AND status IN ('bought', 'refused', 'cancelled', 'dropped')";
            tx.execute(
                &format!(
                    "DELETE FROM oneclick_outbox_event WHERE intent IN
                         (SELECT id FROM oneclick_outbox_intent WHERE {old})"
                ),
                [before],
            )?;
            let mut statement = tx.prepare(&format!(
                "DELETE FROM oneclick_outbox_intent WHERE {old} RETURNING namespace, key"
            ))?;
            let names = statement.query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
    }

    /// Erases the requests of intents that had a final status before `before`; the keys and
    /// what became of them stay.
    pub(crate) fn erase(&self, before: &str) -> Result<u64, OutboxError> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE oneclick_outbox_intent
                 SET request = NULL, answer = CASE status WHEN 'refused'
                     THEN json_set(answer, '$.body', json_object(
                         'type', answer ->> '$.body.type', 'message', problem)) END
                 WHERE request IS NOT NULL AND done_at < ?1 AND (audit_at IS NULL OR state IS NULL)
                   AND status IN ('bought', 'refused', 'cancelled', 'dropped')",
                [before],
            )?;
            Ok(u64::try_from(rows).unwrap_or(u64::MAX))
        })
    }
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

const ENTRY: &str = "SELECT * FROM oneclick_outbox_intent";

struct Gate {
    not_before: Duration,
    failures: u32,
    paused: Option<String>,
}

impl Gate {
    /// How long the failures so far close it.
    fn grown_wait(&self) -> Duration {
        Duration::from_secs(1 << self.failures.min(8)).min(LONGEST_GATE)
    }
}

fn gate(connection: &Connection) -> Result<Gate, OutboxError> {
    Ok(connection.query_row(
        "SELECT not_before, failures, paused FROM oneclick_outbox_gate",
        [],
        |row| {
            let not_before = duration(row.get(0)?);
            Ok(Gate { not_before, failures: row.get(1)?, paused: row.get(2)? })
        },
    )?)
}

fn entry(row: &Row<'_>) -> Result<Entry, OutboxError> {
    let id: i64 = row.get("id")?;
    let request: Option<String> = row.get("request")?;
    // A request of a newer version is shown without its purchase.
    let request = request.and_then(|text| serde_json::from_str::<Request<Purchase>>(&text).ok());
    let (bought, answer): (Option<Bought>, _) =
        (parsed(row, "bought", id)?, parsed(row, "answer", id)?);
    let state = stored_state(row, id).ok().flatten();
    Ok(Entry {
        id,
        namespace: row.get("namespace")?,
        key: row.get("key")?,
        purchase: request.map(|request| request.purchase),
        status: status(row, "status")?,
        enqueued_at: row.get("enqueued_at")?,
        done_at: row.get("done_at")?,
        sends: state.as_ref().map_or(0, PurchaseState::sends),
        state,
        answer: answer.or_else(|| bought.as_ref().map(Answer::bought)),
        bought,
        problem: row.get("problem")?,
        found: parsed(row, "found", id)?.unwrap_or_default(),
        is_to_be_cancelled: row.get("cancel")?,
        surplus: parsed(row, "surplus", id)?.unwrap_or_default(),
    })
}

fn stored_state(row: &Row<'_>, id: i64) -> Result<Option<PurchaseState>, OutboxError> {
    parsed(row, "state", id)
}

/// A column with JSON.
fn parsed<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
    id: i64,
) -> Result<Option<T>, OutboxError> {
    let text: Option<String> = row.get(column)?;
    let parse = |text: String| serde_json::from_str(&text);
    text.map(parse)
        .transpose()
        .map_err(|error| OutboxError::Unreadable { id, reason: error.to_string() })
}

fn status(row: &Row<'_>, column: impl rusqlite::RowIndex) -> rusqlite::Result<Status> {
    let name: String = row.get(column)?;
    let status = Status::ALL.iter().find(|status| status.as_str() == name);
    status.copied().ok_or(rusqlite::Error::InvalidQuery)
}

fn meta(connection: &Connection, name: &str) -> Result<Option<String>, OutboxError> {
    let sql = "SELECT value FROM oneclick_outbox_meta WHERE name = ?1";
    Ok(connection.query_row(sql, [name], |row| row.get(0)).optional()?)
}

fn set_meta(connection: &Connection, name: &str, value: &str) -> Result<(), OutboxError> {
    connection.execute(
        "INSERT INTO oneclick_outbox_meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )?;
    Ok(())
}

fn note(connection: &Connection, id: i64, epoch: i64, what: &str) -> Result<(), OutboxError> {
    connection.execute(
        "INSERT INTO oneclick_outbox_event (intent, at, epoch, what) VALUES (?1, ?2, ?3, ?4)",
        params![id, wall(), epoch, what],
    )?;
    Ok(())
}

/// The time of day, for people.
fn wall() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn json<T: Serialize>(value: &T) -> String {
    // These types have no maps with keys that are no texts, so this cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
