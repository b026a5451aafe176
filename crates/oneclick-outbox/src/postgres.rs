//! The outbox in PostgreSQL: its tables, and every statement on them.
//!
//! No statement is a named prepared one, and no session state outlives a transaction, so that
//! connections may go through a pool in transaction mode, such as PgBouncer. All names are
//! qualified with the schema.

mod connecting;

use std::borrow::Cow;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use futures_util::future::{join, join3, try_join_all};
use oneclick_proto::{Intent, Purchase};
use tokio::runtime::{Builder, Handle};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};

use self::connecting::{CONNECTION_TIMEOUT, Server};
use crate::clock::{Clock, Now};
use crate::error::OutboxError;
use crate::intent::{Counts, Event, Status};
use crate::store::{self, Database, Due, Enqueued, Gate, Holder, NewRow, Row, Tx, wall};

/// The numbered steps of the schema, as SQL for a migration tool of your own. Each stores its
/// number in the database. [`migrate`] runs those that are missing.
pub const MIGRATIONS: [&str; 1] = [include_str!("postgres/001.sql")];

/// How many connections a process opens.
const CONNECTIONS: usize = 4;
/// Creates the outbox's tables and functions in a database, in the schema `oneclick`, or brings
/// them up to date. It is safe if several processes do so at once.
///
/// # Errors
/// The database cannot be reached or fails, or has the tables of a newer version of this crate.
pub fn migrate(url: &str) -> Result<(), OutboxError> {
    let runtime = Runtime::start()?;
    let server = Server::parse(url)?;
    runtime.wait(async move {
        let client = server.connect().await?;
        // One process at a time, until the transaction ends.
        client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(722018)").await?;
        let version = version(&client).await?;
        let missing = MIGRATIONS.get(version as usize..);
        for step in missing.ok_or(OutboxError::NewerTables { version })? {
            client.batch_execute(step).await?;
        }
        Ok(client.batch_execute("COMMIT").await?)
    })
}

/// The request of a purchase, for `SELECT oneclick.enqueue($1, $2, $3::text::jsonb)` in the
/// transaction of your order, with any driver. The parameters are the namespace, the key and this.
///
/// ```
/// use oneclick_proto::{PlantTree, Trees};
///
/// let request = oneclick_outbox::postgres::request(PlantTree::new(Trees::of::<5>()))?;
/// assert_eq!(request, r#"{"v":1,"action":"plant_tree","amount":5}"#);
/// # Ok::<(), oneclick_outbox::OutboxError>(())
/// ```
///
/// # Errors
/// [`OutboxError::Invalid`] if the metadata have no room for the marker of an intent.
pub fn request(purchase: impl Into<Purchase>) -> Result<String, OutboxError> {
    // The markers of all intents need the same room.
    store::request(&Intent::new("", ""), &purchase.into())
}

/// The version of the tables; 0 without them.
async fn version(client: &Client) -> Result<u32, OutboxError> {
    let exists = "SELECT to_regclass('oneclick.meta') IS NOT NULL";
    if !client.query_typed_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    let sql = "SELECT value FROM oneclick.meta WHERE name = 'schema_version'";
    let value = client.query_typed_opt(sql, &[]).await?;
    Ok(value.and_then(|row| row.get::<_, String>(0).parse().ok()).unwrap_or_default())
}

/// A thread that drives the connections. [`Runtime::wait`] blocks the caller's thread, which may
/// belong to another runtime.
struct Runtime {
    handle: Handle,
    /// Dropped to end the thread.
    _running: tokio::sync::oneshot::Sender<()>,
}

impl Runtime {
    fn start() -> Result<Self, OutboxError> {
        let failed = |error: std::io::Error| OutboxError::Thread(error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (running, ended) = tokio::sync::oneshot::channel::<()>();
        let run = move || drop(runtime.block_on(ended));
        std::thread::Builder::new()
            .name("oneclick-outbox".to_owned())
            .spawn(run)
            .map_err(failed)?;
        Ok(Self { handle, _running: running })
    }

    /// Runs a future on the thread and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, OutboxError>> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let (sender, receiver) = mpsc::channel();
        self.handle.spawn(async move { sender.send(future.await) });
        receiver.recv().unwrap_or(Err(OutboxError::Closed))
    }
}

/// The tables of one database, over a few connections.
pub(crate) struct Postgres {
    runtime: Runtime,
    server: Server,
    pool: Mutex<Pool>,
    returned: Condvar,
    clock: Clock,
    /// Whether the clock is the server's, and not that of a test.
    is_server_clock: bool,
    identity: Mutex<Identity>,
}

struct Pool {
    idle: Vec<Arc<Client>>,
    /// How many more may be opened.
    left: usize,
}

/// Which run of which server the outbox uses, and since when.
#[derive(Clone, Default)]
struct Identity {
    name: String,
    since: Duration,
}

/// Selects the time and a name. The name differs after a restart, on a standby that was promoted,
/// and on a copy of another system. PostgreSQL converts types for two of the calls, so another
/// schema could have what fits better.
const IDENTITY: &str =
    "SELECT (extract(epoch FROM clock_timestamp()) OPERATOR(pg_catalog.*) 1000)::bigint,
    pg_catalog.concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_postmaster_start_time())";

/// Selects what holds back all workers.
const GATE: &str = "SELECT not_before, failures, paused FROM oneclick.gate";

/// Selects the time at which the newest intents were stored. The clock of a server that was
/// replaced by this one may have been ahead of this one's.
const NEWEST: &str = "SELECT coalesce(max(enqueued), 0) FROM
    (SELECT enqueued FROM oneclick.intent ORDER BY id DESC LIMIT 1000) newest";

impl Postgres {
    /// Opens a database that has the tables. Without a `clock`, the server's is used.
    pub(crate) fn new(url: &str, clock: Option<Clock>) -> Result<Self, OutboxError> {
        let (runtime, server) = (Runtime::start()?, Server::parse(url)?);
        let opening = server.clone();
        let (client, time) = runtime.wait(async move {
            let client = opening.connect().await?;
            match version(&client).await? {
                0 => return Err(OutboxError::NoTables),
                version if version as usize > MIGRATIONS.len() => {
                    return Err(OutboxError::NewerTables { version });
                }
                _ => {}
            }
            let row = client.query_typed_one(IDENTITY, &[]).await?;
            Ok((client, duration(row.get(0))))
        })?;
        let is_server_clock = clock.is_none();
        let clock = clock.unwrap_or_else(|| {
            // The server's time is asked once. The time since then is measured on this machine.
            let (system, at) = (Clock::system(), Clock::system().now().since_boot);
            Clock::new(move || {
                let elapsed = system.now().since_boot.saturating_sub(at);
                Now { boot: String::new(), since_boot: time.saturating_add(elapsed) }
            })
        });
        let pool = Pool { idle: vec![Arc::new(client)], left: CONNECTIONS - 1 };
        let postgres = Self {
            runtime,
            server,
            pool: Mutex::new(pool),
            returned: Condvar::new(),
            clock,
            is_server_clock,
            identity: Mutex::default(),
        };
        // Notes which server it is.
        drop(postgres.begin()?);
        Ok(postgres)
    }

    /// Takes an idle connection, or opens another if there may be more, or waits for one.
    fn client(&self) -> Result<Arc<Client>, OutboxError> {
        let mut pool = lock(&self.pool);
        loop {
            match pool.idle.pop() {
                Some(client) if client.is_closed() => pool.left += 1,
                Some(client) => return Ok(client),
                None if pool.left > 0 => {
                    pool.left -= 1;
                    drop(pool);
                    let server = self.server.clone();
                    let opened = self.runtime.wait(async move { server.connect().await });
                    return opened.map(Arc::new).inspect_err(|_| {
                        lock(&self.pool).left += 1;
                        self.returned.notify_one();
                    });
                }
                None => {
                    pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn begin(&self) -> Result<PostgresTx<'_>, OutboxError> {
        let client = self.client()?;
        let (began, opened) = (self.clock.now().since_boot, Duration::ZERO);
        let (state, gate_then, pending) = (State::Begun, None, Vec::new());
        let mut tx =
            PostgresTx { database: self, client, began, opened, state, gate: gate_then, pending };
        let client = Arc::clone(&tx.client);
        let (row, gate_row) = tx.wait(async move {
            // A permit that a power failure loses could let a purchase be sent twice.
            let sql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = '10s'";
            // Almost all need these, so they are asked for in one round trip.
            let (identity, gate) =
                (client.query_typed_one(IDENTITY, &[]), client.query_typed_opt(GATE, &[]));
            let (result, row, gate) = join3(client.batch_execute(sql), identity, gate).await;
            result?;
            Ok((row?, gate?))
        })?;
        tx.gate = gate_row.as_ref().map(gate);
        if self.is_server_clock {
            tx.began = duration(row.get(0));
        }
        let name: String = row.get(1);
        let mut identity = lock(&self.identity).clone();
        if identity.name != name {
            // It may be a copy from before a purchase was sent.
            let mut since = duration(millis(tx.began));
            if self.is_server_clock {
                let newest = tx.first(NEWEST, vec![])?.map_or(0, |row| row.get(0));
                since = since.max(duration(newest) + Duration::from_millis(1));
            }
            identity = Identity { name, since };
            lock(&self.identity).clone_from(&identity);
        }
        tx.opened = identity.since;
        Ok(tx)
    }
}

impl Database for Postgres {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn write(&self) -> Result<Box<dyn Tx + '_>, OutboxError> {
        Ok(Box::new(self.begin()?))
    }

    fn read(&self) -> Result<Box<dyn Tx + '_>, OutboxError> {
        let (client, began, opened) = (self.client()?, Duration::ZERO, Duration::ZERO);
        let (state, gate, pending) = (State::Idle, None, Vec::new());
        Ok(Box::new(PostgresTx { database: self, client, began, opened, state, gate, pending }))
    }
}

/// A connection of the pool and its transaction. Dropping it rolls back what is not committed, and
/// gives the connection back.
struct PostgresTx<'a> {
    database: &'a Postgres,
    client: Arc<Client>,
    began: Duration,
    opened: Duration,
    state: State,
    /// The gate as it was when the transaction began, until somebody asks for it.
    gate: Option<Gate>,
    /// Writes that are sent together with the next statement, to wait for the server only once.
    pending: Vec<Statement>,
}

/// How many writes are sent together at most.
const TOGETHER: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No transaction is open.
    Idle,
    /// A transaction is not committed yet.
    Begun,
    /// A statement did not end in time, so the connection cannot be used any more.
    Lost,
}

impl Drop for PostgresTx<'_> {
    fn drop(&mut self) {
        if self.state == State::Begun && self.batch("ROLLBACK").is_ok() {
            self.state = State::Idle;
        }
        let mut pool = lock(&self.database.pool);
        if self.state == State::Idle && !self.client.is_closed() {
            pool.idle.push(Arc::clone(&self.client));
        } else {
            // The connection is closed once no future uses it any more.
            pool.left += 1;
        }
        drop(pool);
        self.database.returned.notify_one();
    }
}

/// A statement and its parameters.
struct Statement {
    sql: Cow<'static, str>,
    params: Vec<Param>,
}

impl Statement {
    async fn run(
        &self,
        client: &Client,
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        let params = self.params.iter();
        let params: Vec<_> =
            params.map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
        client.query_typed(&self.sql, &params).await
    }
}

/// A parameter of a statement.
type Param = (Box<dyn ToSql + Send + Sync>, Type);

fn text(text: &str) -> Param {
    (Box::new(text.to_owned()), Type::TEXT)
}

fn optional(text: Option<&str>) -> Param {
    (Box::new(text.map(str::to_owned)), Type::TEXT)
}

fn big(number: i64) -> Param {
    (Box::new(number), Type::INT8)
}

fn int(number: u32) -> Param {
    (Box::new(i32::try_from(number).unwrap_or(i32::MAX)), Type::INT4)
}

fn boolean(value: bool) -> Param {
    (Box::new(value), Type::BOOL)
}

impl PostgresTx<'_> {
    /// Waits for an operation on the connection. If it takes too long, the connection is given up.
    fn wait<T: Send + 'static>(
        &mut self,
        future: impl Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let result = self.database.runtime.wait(async {
            match tokio::time::timeout(CONNECTION_TIMEOUT, future).await {
                Ok(result) => Ok(result?),
                Err(_) => Err(OutboxError::Closed),
            }
        });
        if matches!(result, Err(OutboxError::Closed)) {
            self.state = State::Lost;
        }
        result
    }

    fn batch(&mut self, sql: &'static str) -> Result<(), OutboxError> {
        let client = Arc::clone(&self.client);
        self.wait(async move { client.batch_execute(sql).await })
    }

    /// Runs what is pending, and this.
    fn query(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Param>,
    ) -> Result<Vec<tokio_postgres::Row>, OutboxError> {
        let client = Arc::clone(&self.client);
        let (last, pending) =
            (Statement { sql: sql.into(), params }, std::mem::take(&mut self.pending));
        self.wait(async move {
            // They are sent in this order, before the first answer.
            let written = try_join_all(pending.iter().map(|statement| statement.run(&client)));
            let (written, rows) = join(written, last.run(&client)).await;
            written.and(rows)
        })
    }

    /// Runs this before the next query, or before the transaction is committed.
    fn write(&mut self, sql: &'static str, params: Vec<Param>) -> Result<(), OutboxError> {
        if self.pending.len() >= TOGETHER {
            self.query(sql, params)?;
        } else {
            self.pending.push(Statement { sql: sql.into(), params });
        }
        Ok(())
    }

    fn first(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Param>,
    ) -> Result<Option<tokio_postgres::Row>, OutboxError> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// The intents that a query selects.
    fn rows(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Param>,
    ) -> Result<Vec<Row>, OutboxError> {
        self.query(sql, params)?.iter().map(row).collect()
    }

    /// The query that also locks the rows that it selects, if this transaction may write.
    fn locked(&self, sql: &str) -> String {
        let lock = if self.state == State::Begun { " FOR UPDATE" } else { "" };
        format!("{sql}{lock}")
    }
}

impl Tx for PostgresTx<'_> {
    fn began(&self) -> Duration {
        self.began
    }

    fn opened(&self) -> Duration {
        self.opened
    }

    fn commit(mut self: Box<Self>) -> Result<(), OutboxError> {
        self.query("COMMIT", vec![])?;
        self.state = State::Idle;
        Ok(())
    }

    fn meta(&mut self, name: &str) -> Result<Option<String>, OutboxError> {
        let sql = "SELECT value FROM oneclick.meta WHERE name = $1";
        Ok(self.first(sql, vec![text(name)])?.map(|row| row.get(0)))
    }

    fn init_meta(&mut self, name: &str, value: &str) -> Result<(), OutboxError> {
        self.write(
            "INSERT INTO oneclick.meta (name, value) VALUES ($1, $2)
             ON CONFLICT (name) DO NOTHING",
            vec![text(name), text(value)],
        )
    }

    fn gate(&mut self) -> Result<Gate, OutboxError> {
        if let Some(gate) = self.gate.take() {
            return Ok(gate);
        }
        Ok(gate(&self.first(GATE, vec![])?.ok_or(OutboxError::NoTables)?))
    }

    fn locked_gate(&mut self) -> Result<Gate, OutboxError> {
        let row = self.first(format!("{GATE} FOR UPDATE"), vec![])?;
        Ok(gate(&row.ok_or(OutboxError::NoTables)?))
    }

    fn set_gate(&mut self, gate: &Gate) -> Result<(), OutboxError> {
        let Gate { not_before, failures, paused } = gate;
        self.write(
            "UPDATE oneclick.gate SET not_before = $1, failures = $2, paused = $3",
            vec![big(millis(*not_before)), int(*failures), optional(paused.as_deref())],
        )
    }

    fn enqueue(&mut self, new: &NewRow<'_>) -> Result<Enqueued, OutboxError> {
        let sql = "SELECT id, is_new FROM oneclick.store($1, $2, $3::text::jsonb, $4)";
        let params =
            vec![text(new.namespace), text(new.key), text(new.request), big(millis(new.enqueued))];
        match self.first(sql, params) {
            Ok(Some(row)) => Ok(Enqueued { id: row.get(0), is_new: row.get(1) }),
            Ok(None) => Err(OutboxError::NoTables),
            Err(OutboxError::Postgres(error))
                if error.code() == Some(&SqlState::UNIQUE_VIOLATION) =>
            {
                Err(new.other_purchase())
            }
            Err(error) => Err(error),
        }
    }

    fn row(&mut self, id: i64) -> Result<Option<Row>, OutboxError> {
        let sql = self.locked("SELECT * FROM oneclick.intent WHERE id = $1");
        Ok(self.rows(sql, vec![big(id)])?.pop())
    }

    fn find(&mut self, namespace: &str, key: &str) -> Result<Option<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick.intent WHERE namespace = $1 AND key = $2";
        Ok(self.rows(sql, vec![text(namespace), text(key)])?.pop())
    }

    fn find_all(&mut self, key: &str) -> Result<Vec<Row>, OutboxError> {
        self.rows("SELECT * FROM oneclick.intent WHERE key = $1 ORDER BY id", vec![text(key)])
    }

    fn other_bought_as(&mut self, bought: &str, id: i64) -> Result<Option<Row>, OutboxError> {
        // The other row may not be committed yet.
        self.write(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 722018))",
            vec![text(bought)],
        )?;
        let sql = "SELECT * FROM oneclick.intent WHERE bought = $1 AND id <> $2 LIMIT 1";
        let sql = self.locked(sql);
        Ok(self.rows(sql, vec![text(bought), big(id)])?.pop())
    }

    fn due(&mut self, due: Due, now: Duration, most: u32) -> Result<Vec<Row>, OutboxError> {
        let mut params = vec![big(millis(now)), int(most)];
        let (condition, order) = match due {
            Due::Ready => ("status IN ('ready', 'claimed') AND due <= $1", "due"),
            Due::ReadyBefore(then) => {
                params.push(big(millis(then)));
                ("status IN ('ready', 'claimed') AND due <= $1 AND enqueued < $3", "due")
            }
            Due::Open => ("status IN ('open', 'cancelling') AND due <= $1", "due"),
            Due::Audit => (
                "audit_at <= $1 AND status IN ('bought', 'cancelled', 'refused', 'dropped')
                 AND request IS NOT NULL AND state IS NOT NULL",
                "audit_at",
            ),
        };
        let sql = format!(
            "SELECT * FROM oneclick.intent WHERE {condition}
             ORDER BY {order}, id LIMIT $2 FOR UPDATE SKIP LOCKED"
        );
        self.rows(sql, params)
    }

    fn hold(&mut self, ids: &[i64], holder: Holder, due: Duration) -> Result<(), OutboxError> {
        self.write(
            "UPDATE oneclick.intent
             SET status = CASE status WHEN 'ready' THEN 'claimed' ELSE status END,
                 held = $2, due = $3, epoch = epoch + 1
             WHERE id = ANY ($1)",
            vec![(Box::new(ids.to_vec()), Type::INT8_ARRAY), int(holder as u32), big(millis(due))],
        )
    }

    fn save(&mut self, row: &Row) -> Result<(), OutboxError> {
        self.write(
            "UPDATE oneclick.intent
             SET request = CASE WHEN $2 THEN request END, status = $3, due = $4, held = $5,
                 epoch = $6, tries = $7, state = $8, bought = $9, looked = $10, answer = $11,
                 problem = $12, found = $13, done_at = $14, cancel = $15, audit_at = $16,
                 audits = $17, surplus = $18
             WHERE id = $1",
            vec![
                big(row.id),
                boolean(row.request.is_some()),
                text(row.status.as_str()),
                big(millis(row.due)),
                int(row.holder as u32),
                big(row.epoch),
                int(row.tries),
                optional(row.state.as_deref()),
                optional(row.bought.as_deref()),
                boolean(row.looked),
                optional(row.answer.as_deref()),
                optional(row.problem.as_deref()),
                optional(row.found.as_deref()),
                optional(row.done_at.as_deref()),
                boolean(row.cancel),
                (Box::new(row.audit_at.map(millis)), Type::INT8),
                int(row.audits),
                optional(row.surplus.as_deref()),
            ],
        )
    }

    fn delete(&mut self, id: i64) -> Result<(), OutboxError> {
        self.write("DELETE FROM oneclick.event WHERE intent = $1", vec![big(id)])?;
        self.write("DELETE FROM oneclick.intent WHERE id = $1", vec![big(id)])
    }

    fn list(
        &mut self,
        status: Option<Status>,
        after: i64,
        most: u32,
    ) -> Result<Vec<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick.intent
                   WHERE id > $1 AND ($2::text IS NULL OR status = $2) ORDER BY id LIMIT $3";
        self.rows(sql, vec![big(after), optional(status.map(Status::as_str)), int(most)])
    }

    fn surplus(&mut self) -> Result<Vec<Row>, OutboxError> {
        self.rows("SELECT * FROM oneclick.intent WHERE surplus IS NOT NULL ORDER BY id", vec![])
    }

    fn counts(&mut self) -> Result<Counts, OutboxError> {
        let mut counts = Counts::default();
        let sql = "SELECT status, count(*), min(enqueued_at), count(surplus),
                       count(*) FILTER (WHERE status = 'open' AND held = 0)
                   FROM oneclick.intent GROUP BY status";
        for row in self.query(sql, vec![])? {
            let number = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
            counts.surplus += number(3);
            counts.pending += number(4);
            counts.add(status(&row)?, number(1), row.get(2));
        }
        Ok(counts)
    }

    fn finished(&mut self, before: &str, erased: bool, most: u32) -> Result<Vec<Row>, OutboxError> {
        let sql = "SELECT * FROM oneclick.intent
                   WHERE done_at < $1 AND (audit_at IS NULL OR state IS NULL)
                     AND status IN ('bought', 'refused', 'cancelled', 'dropped')
                     AND ($2 OR request IS NOT NULL)
                   LIMIT $3 FOR UPDATE";
        self.rows(sql, vec![text(before), boolean(erased), int(most)])
    }

    fn note(&mut self, id: i64, epoch: i64, what: &str) -> Result<(), OutboxError> {
        self.write(
            "INSERT INTO oneclick.event (intent, at, epoch, what) VALUES ($1, $2, $3, $4)",
            vec![big(id), text(&wall()), big(epoch), text(what)],
        )
    }

    fn events(&mut self, id: i64) -> Result<Vec<Event>, OutboxError> {
        let sql = "SELECT at, epoch, what FROM oneclick.event WHERE intent = $1 ORDER BY id";
        let event = |row: &tokio_postgres::Row| Event {
            at: row.get(0),
            epoch: row.get(1),
            what: row.get(2),
        };
        Ok(self.query(sql, vec![big(id)])?.iter().map(event).collect())
    }
}

fn gate(row: &tokio_postgres::Row) -> Gate {
    let (not_before, failures) = (duration(row.get(0)), number(row.get(1)));
    Gate { not_before, failures, paused: row.get(2) }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, OutboxError> {
    let enqueued: i64 = row.try_get("enqueued")?;
    let Json(request) = row.try_get("request")?;
    Ok(Row {
        id: row.try_get("id")?,
        namespace: row.try_get("namespace")?,
        key: row.try_get("key")?,
        request,
        status: status(row)?,
        enqueued_at: row.try_get("enqueued_at")?,
        enqueued: (enqueued >= 0).then(|| duration(enqueued)),
        due: duration(row.try_get("due")?),
        holder: match row.try_get::<_, i32>("held")? {
            0 => Holder::Nobody,
            1 => Holder::Worker,
            _ => Holder::Process,
        },
        epoch: row.try_get("epoch")?,
        tries: number(row.try_get("tries")?),
        state: row.try_get("state")?,
        bought: row.try_get("bought")?,
        answer: row.try_get("answer")?,
        found: row.try_get("found")?,
        looked: row.try_get("looked")?,
        problem: row.try_get("problem")?,
        done_at: row.try_get("done_at")?,
        cancel: row.try_get("cancel")?,
        audit_at: row.try_get::<_, Option<i64>>("audit_at")?.map(duration),
        audits: number(row.try_get("audits")?),
        surplus: row.try_get("surplus")?,
    })
}

/// The text of a `jsonb`. The server sends a byte before it, the version of the format.
struct Json(Option<String>);

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let text = raw.strip_prefix(&[1]).ok_or("jsonb of another format")?;
        Ok(Self(Some(String::from_utf8(text.to_vec())?)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::JSONB
    }
}

fn status(row: &tokio_postgres::Row) -> Result<Status, OutboxError> {
    let name: &str = row.try_get("status")?;
    let status = Status::ALL.iter().find(|status| status.as_str() == name);
    status.copied().ok_or(OutboxError::NoTables)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
