//! What the outbox promises, on virtual time, over each database.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod outbox {
    #[cfg(feature = "postgres")]
    mod copies;
    mod enqueueing;
    mod given;
    mod holding;
    mod model;
    mod operating;
    mod pauses;
    #[cfg(feature = "postgres")]
    mod postgres;
    #[cfg(feature = "postgres")]
    mod races;
    #[cfg(feature = "postgres")]
    #[allow(dead_code, reason = "other programs share it")]
    pub(crate) mod server;
    #[cfg(feature = "postgres")]
    mod sql;
    #[cfg(feature = "postgres")]
    mod tls;
    mod working;
}

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, process};

use http::{Method, Request, Response};
use oneclick_emulator::{Fault, FaultRule, InMemory};
use oneclick_outbox::rusqlite::Connection;
use oneclick_outbox::rusqlite::types::ValueRef;
use oneclick_outbox::{Clock, Entry, Now, Outbox, Status, Worker, migrate};
use oneclick_proto::{
    Api, BlockingClient, BlockingTransport, BodyGate, PlantTree, TransportError, Trees,
};

const KEY: &str = "test_outbox";
const LEASE: Duration = Duration::from_secs(60);
const ABSENCE: Duration = Duration::from_secs(900);

/// The emulator, and a database.
struct World {
    emulator: InMemory,
    database: Database,
}

#[derive(Clone)]
enum Database {
    /// A file.
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Arc<Borrowed>),
}

/// A database of the server, until it is dropped.
#[cfg(feature = "postgres")]
struct Borrowed {
    server: Arc<outbox::server::Server>,
    name: String,
}

#[cfg(feature = "postgres")]
impl Borrowed {
    fn url(&self) -> String {
        if env::var_os(ON_POSTGRES).is_some_and(|value| value == THROUGH_PGBOUNCER) {
            return self.server.bounced_url(&self.name);
        }
        self.server.url(&self.name)
    }
}

#[cfg(feature = "postgres")]
impl Drop for Borrowed {
    fn drop(&mut self) {
        self.server.give_back(std::mem::take(&mut self.name));
    }
}

/// With this variable, the tests run on PostgreSQL.
const ON_POSTGRES: &str = "ONECLICK_OUTBOX_ON_POSTGRES";
/// With this value of it, the outbox reaches PostgreSQL through PgBouncer.
#[cfg(feature = "postgres")]
const THROUGH_PGBOUNCER: &str = "pgbouncer";

impl World {
    fn new(name: &str) -> Self {
        let emulator = InMemory::new();
        #[cfg(feature = "postgres")]
        if env::var_os(ON_POSTGRES).is_some() {
            let server = outbox::server::Server::get();
            let name = server.take();
            let database = Database::Postgres(Arc::new(Borrowed { server, name }));
            return Self { emulator, database };
        }
        // In memory where that is possible: a disk takes long to commit.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { env::temp_dir() };
        let path = folder.join(format!("oneclick-outbox-{}-{name}.db", process::id()));
        remove(&path);
        migrate(&mut Connection::open(&path).unwrap()).unwrap();
        Self { emulator, database: Database::Sqlite(path) }
    }

    /// The file of the database; `None` if it is on a server.
    fn file(&self) -> Option<&Path> {
        match &self.database {
            Database::Sqlite(path) => Some(path),
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => None,
        }
    }

    /// Runs a statement on the table `intent` or `event`, and returns the first column of what it
    /// selects.
    fn sql(&self, sql: &str) -> Option<String> {
        match &self.database {
            Database::Sqlite(path) => {
                let named = |sql: &str, table: &str| {
                    sql.replace(&format!(" {table} "), &format!(" oneclick_outbox_{table} "))
                };
                let sql = named(&named(sql, "intent"), "event");
                let database = Connection::open(path).unwrap();
                let mut statement = database.prepare(&sql).unwrap();
                let mut rows = statement.query([]).unwrap();
                rows.next().unwrap().map(|row| match row.get_ref(0).unwrap() {
                    ValueRef::Integer(number) => number.to_string(),
                    value => value.as_str().unwrap().to_owned(),
                })
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(borrowed) => {
                let named = sql
                    .replace(" intent ", " oneclick.intent ")
                    .replace(" event ", " oneclick.event ");
                borrowed.server.sql(&borrowed.name, &named)
            }
        }
    }

    /// The clock of the machine, which is the emulator's.
    fn clock(&self) -> Clock {
        let emulator = self.emulator.clone();
        Clock::new(move || now(&emulator, "one"))
    }

    /// Another process on the same database.
    fn process(&self) -> Outbox {
        self.process_with(self.clock())
    }

    fn process_with(&self, clock: Clock) -> Outbox {
        self.database.open(clock)
    }

    fn client<T: BlockingTransport>(transport: T) -> BlockingClient<T> {
        BlockingClient::with_transport(Api::sandbox(KEY).unwrap(), transport)
    }

    fn worker(&self, outbox: &Outbox) -> Worker<BlockingClient<InMemory>> {
        Worker::new(outbox, Self::client(self.emulator.clone())).concurrency(1)
    }

    fn advance(&self, by: Duration) {
        self.emulator.advance(by);
    }

    fn inject(&self, fault: Fault, times: u32) {
        let rule = FaultRule::new(fault).on("/v1/plant_tree").times(times);
        self.emulator.emulator().inject(rule);
    }

    /// How many purchases the emulator's ledger has.
    fn bought(&self) -> usize {
        self.emulator.emulator().account(KEY).map_or(0, oneclick_emulator::Account::impacts)
    }

    /// Works in steps until every intent has a final status, for an hour at most.
    fn settle(&self, outbox: &Outbox) {
        for _ in 0..60 {
            self.worker(outbox).run_until_idle().unwrap();
            let counts = outbox.counts().unwrap();
            if counts.ready + counts.open + counts.cancelling == 0 {
                return;
            }
            self.advance(Duration::from_secs(60));
        }
        panic!("not settled: {:?}", outbox.counts());
    }
}

impl Database {
    /// The database in another process.
    fn open(&self, clock: Clock) -> Outbox {
        match self {
            Self::Sqlite(path) => Outbox::with_clock(Connection::open(path).unwrap(), clock),
            #[cfg(feature = "postgres")]
            Self::Postgres(borrowed) => Outbox::postgres_with_clock(&borrowed.url(), clock),
        }
        .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(path) = self.file() {
            remove(path);
        }
    }
}

/// Removes a database and its journals.
fn remove(path: &Path) {
    for ending in ["", "-journal", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        // It may be missing.
        let _ = fs::remove_file(name);
    }
}

fn now(emulator: &InMemory, boot: &str) -> Now {
    Now { boot: boot.to_owned(), since_boot: BlockingTransport::now(emulator) }
}

fn trees(number: u64) -> PlantTree {
    PlantTree::new(Trees::new(number).unwrap())
}

fn entry(outbox: &Outbox, key: &str) -> Entry {
    outbox.find("shop", key).unwrap().unwrap()
}

fn status(outbox: &Outbox, key: &str) -> Status {
    entry(outbox, key).status
}

/// What happens when a purchase is sent.
type Hook = Arc<Mutex<dyn FnMut() + Send>>;

/// The emulator, with something that happens right before each purchase leaves and after the
/// last look at the clock, right after its response arrived, right after any other response
/// arrived, or at the end of a wait.
#[derive(Clone)]
struct Hooked {
    emulator: InMemory,
    before: Option<Hook>,
    after: Option<Hook>,
    looked: Option<Hook>,
    waited: Option<Hook>,
}

impl BlockingTransport for Hooked {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let buys = request.method() == Method::POST;
        let request = look_at_the_clock(request)?;
        call(self.before.as_ref().filter(|_| buys));
        let response = BlockingTransport::send(&self.emulator, request);
        call(if buys { self.after.as_ref() } else { self.looked.as_ref() });
        response
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
        call(self.waited.as_ref());
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

/// Does what a transport does before it sends a body, and keeps the emulator from it.
fn look_at_the_clock(mut request: Request<Vec<u8>>) -> Result<Request<Vec<u8>>, TransportError> {
    BodyGate::of(&request).take().map_err(TransportError::connect)?;
    request.extensions_mut().clear();
    Ok(request)
}

fn call(hook: Option<&Hook>) {
    if let Some(hook) = hook {
        (hook.lock().unwrap())();
    }
}
