//! The database SQLite: its tables, and every statement on them.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oneclick_proto::{Intent, Purchase};
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Params, Transaction, TransactionBehavior,
    named_params, params,
};

use crate::clock::Clock;
use crate::error::OutboxError;
use crate::intent::{Counts, Event, Status};
use crate::store::{self, Database, Due, Enqueued, Gate, Holder, NewRow, Row, Tx, wall};

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
    let sql =
        "SELECT CAST(value AS INTEGER) FROM oneclick_outbox_meta WHERE name = 'schema_version'";
    let version = connection.prepare_cached(sql).and_then(|mut statement| {
        let version = statement.query_row([], |row| row.get(0)).optional()?;
        Ok(version.unwrap_or_default())
    });
    // Each intent asks, so the rare case comes last.
    version.or_else(|error| {
        let tables = "SELECT count(*) FROM sqlite_master
                      WHERE type = 'table' AND name = 'oneclick_outbox_meta'";
        match connection.query_row(tables, [], |row| row.get::<_, u32>(0))? {
            0 => Ok(0),
            _ => Err(error.into()),
        }
    })
}

/// Whether the tables are of this version; `false` if they are of an older one.
fn is_current(connection: &Connection) -> Result<bool, OutboxError> {
    match version(connection)? {
        0 => Err(OutboxError::NoTables),
        version if version as usize > MIGRATIONS.len() => Err(OutboxError::NewerTables { version }),
        version => Ok(version as usize == MIGRATIONS.len()),
    }
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
    is_current(transaction)?;
    let began = Clock::system().now().since_boot;
    let (connection, opened) = (Borrowed::Reference(transaction), Duration::ZERO);
    let mut tx = SqliteTx { connection, began, opened, is_begun: false };
    store::enqueue(&mut tx, began, namespace, key, &purchase.into())
}

/// The tables of one file, and the clock of its machine.
pub(crate) struct Sqlite {
    connection: Mutex<Connection>,
    clock: Clock,
    opened: Duration,
}

impl Sqlite {
    /// Takes a connection of its own to a database with the tables.
    pub(crate) fn new(mut connection: Connection, clock: Clock) -> Result<Self, OutboxError> {
        connection.busy_timeout(DATABASE_TIMEOUT)?;
        if !is_current(&connection)? {
            migrate(&mut connection)?;
        }
        // A permit that is lost with the power could let a purchase be sent twice.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is erased is overwritten in the file.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.set_prepared_statement_cache_capacity(32);
        let opened = duration(millis(clock.now().since_boot));
        let sqlite = Self { connection: Mutex::new(connection), clock, opened };
        sqlite.adopt()?;
        Ok(sqlite)
    }

    /// After a start of the machine, no earlier time means anything: nobody holds a row.
    fn adopt(&self) -> Result<(), OutboxError> {
        let boot = self.clock.now().boot;
        let mut tx = self.write()?;
        if tx.meta("boot")?.as_deref() == Some(&*boot) {
            return Ok(());
        }
        tx.begin_clock()?;
        tx.prepare("DELETE FROM oneclick_outbox_meta WHERE name = 'boot'")?.execute([])?;
        tx.init_meta("boot", &boot)?;
        Box::new(tx).commit()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> Result<SqliteTx<'_>, OutboxError> {
        // Before the lock, for which it may wait.
        let began = self.clock.now().since_boot;
        let connection = self.connection();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let (connection, opened) = (Borrowed::Guard(connection), self.opened);
        Ok(SqliteTx { connection, began, opened, is_begun: true })
    }
}

impl Database for Sqlite {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn write(&self) -> Result<Box<dyn Tx + '_>, OutboxError> {
        Ok(Box::new(Self::write(self)?))
    }

    fn read(&self) -> Result<Box<dyn Tx + '_>, OutboxError> {
        let connection = Borrowed::Guard(self.connection());
        let (began, opened) = (Duration::ZERO, self.opened);
        Ok(Box::new(SqliteTx { connection, began, opened, is_begun: false }))
    }
}

/// Statements on a connection.
struct SqliteTx<'a> {
    connection: Borrowed<'a>,
    began: Duration,
    opened: Duration,
    /// Whether this has begun a transaction that is not committed yet.
    is_begun: bool,
}

enum Borrowed<'a> {
    Reference(&'a Connection),
    Guard(MutexGuard<'a, Connection>),
}

impl Deref for Borrowed<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Self::Reference(connection) => connection,
            Self::Guard(connection) => connection,
        }
    }
}

impl Drop for SqliteTx<'_> {
    fn drop(&mut self) {
        if self.is_begun {
            // If it fails, SQLite has rolled it back by itself.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

impl SqliteTx<'_> {
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, OutboxError> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// The rows of a query that selects all columns of intents.
    fn rows(&self, sql: &str, params: impl Params) -> Result<Vec<Row>, OutboxError> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, row)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    fn first(&self, sql: &str, params: impl Params) -> Result<Option<Row>, OutboxError> {
        Ok(self.prepare(sql)?.query_row(params, row).optional()?)
    }

    /// Forgets all times, since the clock has begun anew.
    fn begin_clock(&self) -> Result<(), OutboxError> {
        self.connection.execute(
            "UPDATE oneclick_outbox_intent SET due = 0, enqueued = -1
             WHERE status IN ('ready', 'claimed', 'open', 'cancelling')",
            [],
        )?;
        self.connection.execute("UPDATE oneclick_outbox_gate SET not_before = 0", [])?;
        self.connection.execute(
            "UPDATE oneclick_outbox_intent SET audit_at = ?1 WHERE audit_at IS NOT NULL",
            [millis(self.began + store::AUDITS[0])],
        )?;
        Ok(())
    }
}

impl Tx for SqliteTx<'_> {
    fn began(&self) -> Duration {
        self.began
    }

    fn opened(&self) -> Duration {
        self.opened
    }

    fn commit(mut self: Box<Self>) -> Result<(), OutboxError> {
        self.connection.execute_batch("COMMIT")?;
        self.is_begun = false;
        Ok(())
    }

    fn meta(&mut self, name: &str) -> Result<Option<String>, OutboxError> {
        let mut statement =
            self.prepare("SELECT value FROM oneclick_outbox_meta WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    fn init_meta(&mut self, name: &str, value: &str) -> Result<(), OutboxError> {
        self.connection.execute(
            "INSERT INTO oneclick_outbox_meta (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO NOTHING",
            [name, value],
        )?;
        Ok(())
    }

    fn gate(&mut self) -> Result<Gate, OutboxError> {
        let mut statement =
            self.prepare("SELECT not_before, failures, paused FROM oneclick_outbox_gate")?;
        Ok(statement.query_row([], |row| {
            let not_before = duration(row.get(0)?);
            Ok(Gate { not_before, failures: row.get(1)?, paused: row.get(2)? })
        })?)
    }

    /// A transaction that may write is alone.
    fn locked_gate(&mut self) -> Result<Gate, OutboxError> {
        self.gate()
    }

    fn set_gate(&mut self, gate: &Gate) -> Result<(), OutboxError> {
        let Gate { not_before, failures, paused } = gate;
        self.connection.execute(
            "UPDATE oneclick_outbox_gate SET not_before = ?1, failures = ?2, paused = ?3",
            params![millis(*not_before), failures, paused],
        )?;
        Ok(())
    }

    fn enqueue(&mut self, new: &NewRow<'_>) -> Result<Enqueued, OutboxError> {
        // The key is in it, so it does not tell that two intents have one customer.
        let intent = Intent::new(new.namespace, new.key);
        let digest = Intent::new(intent.marker(), new.request).marker().to_owned();
        let sql = "INSERT INTO oneclick_outbox_intent
                       (namespace, key, request, digest, enqueued_at, enqueued, due)
                   VALUES (:namespace, :key, :request, :digest, :at, :now, :now)
                   ON CONFLICT (namespace, key) DO NOTHING RETURNING id";
        let inserted = self.prepare(sql)?.query_row(
            named_params! {
                ":namespace": new.namespace, ":key": new.key, ":request": new.request,
                ":digest": digest, ":at": wall(), ":now": millis(new.enqueued),
            },
            |row| row.get(0),
        );
        if let Some(id) = inserted.optional()? {
            self.note(id, 0, "stored")?;
            return Ok(Enqueued { id, is_new: true });
        }
        let sql = "SELECT id FROM oneclick_outbox_intent
                   WHERE namespace = ?1 AND key = ?2 AND digest = ?3";
        let same =
            self.prepare(sql)?.query_row([new.namespace, new.key, &digest], |row| row.get(0));
        let id = same.optional()?.ok_or_else(|| new.other_purchase())?;
        Ok(Enqueued { id, is_new: false })
    }

    fn row(&mut self, id: i64) -> Result<Option<Row>, OutboxError> {
        self.first("SELECT * FROM oneclick_outbox_intent WHERE id = ?1", [id])
    }

    fn find(&mut self, namespace: &str, key: &str) -> Result<Option<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick_outbox_intent WHERE namespace = ?1 AND key = ?2";
        self.first(sql, [namespace, key])
    }

    fn find_all(&mut self, key: &str) -> Result<Vec<Row>, OutboxError> {
        self.rows("SELECT * FROM oneclick_outbox_intent WHERE key = ?1 ORDER BY id", [key])
    }

    fn other_bought_as(&mut self, bought: &str, id: i64) -> Result<Option<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick_outbox_intent WHERE bought = ?1 AND id <> ?2 LIMIT 1";
        self.first(sql, params![bought, id])
    }

    fn due(&mut self, due: Due, now: Duration, most: u32) -> Result<Vec<Row>, OutboxError> {
        const READY: &str = "status IN ('ready', 'claimed') AND due <= ?1";
        let (condition, order, since) = match due {
            Due::Ready => (READY.to_owned(), "due", 0),
            Due::ReadyBefore(then) => (format!("{READY} AND enqueued < ?3"), "due", millis(then)),
            Due::Open => ("status IN ('open', 'cancelling') AND due <= ?1".to_owned(), "due", 0),
            Due::Audit => (
                "audit_at <= ?1 AND status IN ('bought', 'cancelled', 'refused', 'dropped')
                 AND request IS NOT NULL AND state IS NOT NULL"
                    .to_owned(),
                "audit_at",
                0,
            ),
        };
        // The third parameter has to be named in each.
        let sql = format!(
            "SELECT * FROM oneclick_outbox_intent WHERE {condition} AND ?3 IS NOT NULL
             ORDER BY {order}, id LIMIT ?2"
        );
        self.rows(&sql, params![millis(now), most, since])
    }

    fn hold(&mut self, ids: &[i64], holder: Holder, due: Duration) -> Result<(), OutboxError> {
        let mut statement = self.prepare(
            "UPDATE oneclick_outbox_intent
             SET status = CASE status WHEN 'ready' THEN 'claimed' ELSE status END,
                 held = ?2, due = ?3, epoch = epoch + 1
             WHERE id = ?1",
        )?;
        for id in ids {
            statement.execute(params![id, holder as i64, millis(due)])?;
        }
        Ok(())
    }

    fn save(&mut self, row: &Row) -> Result<(), OutboxError> {
        let mut statement = self.prepare(
            "UPDATE oneclick_outbox_intent
             SET request = :request, status = :status, due = :due, held = :held, epoch = :epoch,
                 tries = :tries, state = :state, bought = :bought, looked = :looked,
                 answer = :answer, problem = :problem, found = :found, done_at = :done,
                 cancel = :cancel, audit_at = :audit, audits = :audits, surplus = :surplus
             WHERE id = :id",
        )?;
        statement.execute(named_params! {
            ":id": row.id, ":request": row.request, ":status": row.status.as_str(),
            ":due": millis(row.due), ":held": row.holder as i64, ":epoch": row.epoch,
            ":tries": row.tries, ":state": row.state, ":bought": row.bought,
            ":looked": row.looked, ":answer": row.answer, ":problem": row.problem,
            ":found": row.found, ":done": row.done_at, ":cancel": row.cancel,
            ":audit": row.audit_at.map(millis), ":audits": row.audits, ":surplus": row.surplus,
        })?;
        Ok(())
    }

    fn delete(&mut self, id: i64) -> Result<(), OutboxError> {
        self.prepare("DELETE FROM oneclick_outbox_event WHERE intent = ?1")?.execute([id])?;
        self.prepare("DELETE FROM oneclick_outbox_intent WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    fn list(
        &mut self,
        status: Option<Status>,
        after: i64,
        most: u32,
    ) -> Result<Vec<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick_outbox_intent
                   WHERE id > ?1 AND (?2 IS NULL OR status = ?2) ORDER BY id LIMIT ?3";
        self.rows(sql, params![after, status.map(Status::as_str), most])
    }

    fn surplus(&mut self) -> Result<Vec<Row>, OutboxError> {
        self.rows("SELECT * FROM oneclick_outbox_intent WHERE surplus IS NOT NULL ORDER BY id", [])
    }

    fn counts(&mut self) -> Result<Counts, OutboxError> {
        let mut counts = Counts::default();
        let mut statement = self.prepare(
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
            counts.add(status(row, "status")?, number, oldest);
        }
        Ok(counts)
    }

    fn finished(&mut self, before: &str, erased: bool, most: u32) -> Result<Vec<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick_outbox_intent
                   WHERE done_at < ?1 AND (audit_at IS NULL OR state IS NULL)
                     AND status IN ('bought', 'refused', 'cancelled', 'dropped')
                     AND (?2 OR request IS NOT NULL)
                   LIMIT ?3";
        self.rows(sql, params![before, erased, most])
    }

    fn note(&mut self, id: i64, epoch: i64, what: &str) -> Result<(), OutboxError> {
        let mut statement = self.prepare(
            "INSERT INTO oneclick_outbox_event (intent, at, epoch, what) VALUES (?1, ?2, ?3, ?4)",
        )?;
        statement.execute(params![id, wall(), epoch, what])?;
        Ok(())
    }

    fn events(&mut self, id: i64) -> Result<Vec<Event>, OutboxError> {
        let mut statement = self.prepare(
            "SELECT at, epoch, what FROM oneclick_outbox_event WHERE intent = ?1 ORDER BY id",
        )?;
        let events = statement.query_map([id], |row| {
            Ok(Event { at: row.get(0)?, epoch: row.get(1)?, what: row.get(2)? })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let (enqueued, held): (i64, i64) = (row.get("enqueued")?, row.get("held")?);
    Ok(Row {
        id: row.get("id")?,
        namespace: row.get("namespace")?,
        key: row.get("key")?,
        request: row.get("request")?,
        status: status(row, "status")?,
        enqueued_at: row.get("enqueued_at")?,
        enqueued: (enqueued >= 0).then(|| duration(enqueued)),
        due: duration(row.get("due")?),
        holder: match held {
            0 => Holder::Nobody,
            1 => Holder::Worker,
            _ => Holder::Process,
        },
        epoch: row.get("epoch")?,
        tries: row.get("tries")?,
        state: row.get("state")?,
        bought: row.get("bought")?,
        answer: row.get("answer")?,
        found: row.get("found")?,
        looked: row.get("looked")?,
        problem: row.get("problem")?,
        done_at: row.get("done_at")?,
        cancel: row.get("cancel")?,
        audit_at: row.get::<_, Option<i64>>("audit_at")?.map(duration),
        audits: row.get("audits")?,
        surplus: row.get("surplus")?,
    })
}

fn status(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Status> {
    let name: String = row.get(column)?;
    let status = Status::ALL.iter().find(|status| status.as_str() == name);
    status.copied().ok_or(rusqlite::Error::InvalidQuery)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
