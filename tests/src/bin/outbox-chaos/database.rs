//! The database of the outbox and of the shop's orders, and what goes wrong with it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use oneclick_outbox::rusqlite::{Connection, ErrorCode, TransactionBehavior};
use oneclick_outbox::{Outbox, OutboxError, enqueue};
use oneclick_proto::{Customer, PlantTree, Trees};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use crate::server::{self, Bouncer, Server};
use crate::terms::SHOP;

/// Which database to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    PgBouncer,
}

impl Kind {
    /// The database that an argument names.
    pub(crate) fn of(argument: &str) -> Option<Self> {
        match argument {
            "--postgres" => Some(Self::Postgres),
            "--pgbouncer" => Some(Self::PgBouncer),
            _ => None,
        }
    }
}

pub(crate) enum Database {
    Sqlite(Folder),
    /// A server, and the URL of the outbox.
    Postgres(Arc<Server>, String),
}

/// For how long the database may be locked or out of reach.
const AWAY: Duration = Duration::from_secs(60);
/// The database on the server.
const NAME: &str = "postgres";

impl Database {
    pub(crate) fn new(kind: Kind, seed: u64) -> Result<Self, Box<dyn Error>> {
        if kind == Kind::Sqlite {
            return Ok(Self::Sqlite(Folder::new(seed)?));
        }
        if !server::is_possible() {
            return Err("this machine has no PostgreSQL".into());
        }
        if kind == Kind::PgBouncer && Bouncer::program().is_none() {
            return Err("this machine has no PgBouncer".into());
        }
        let server = Server::get();
        let direct = kind == Kind::Postgres;
        let url = if direct { server.url(NAME) } else { server.bounced_url(NAME) };
        Ok(Self::Postgres(server, url))
    }

    /// What [`open`] needs.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Sqlite(folder) => folder.file().display().to_string(),
            Self::Postgres(_, url) => url.clone(),
        }
    }

    /// The server, if there is one.
    pub(crate) fn server(&self) -> Option<&Server> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(server, _) => Some(server),
        }
    }

    pub(crate) fn shop(&self) -> Result<Shop, Box<dyn Error>> {
        match self {
            Self::Sqlite(folder) => {
                let shop = Connection::open(folder.file())?;
                shop.busy_timeout(Duration::from_secs(1))?;
                let table = "CREATE TABLE orders (number INTEGER PRIMARY KEY)";
                retried(|| Ok(shop.execute_batch(table)?))?;
                Ok(Shop::Sqlite(shop))
            }
            Self::Postgres(server, url) => {
                server.sql(NAME, "CREATE TABLE orders (number bigint PRIMARY KEY)");
                let runtime = Builder::new_current_thread().enable_all().build()?;
                Ok(Shop::Postgres { runtime, url: url.clone(), client: None })
            }
        }
    }

    /// Leaves the files where they are, if the database has some of its own.
    pub(crate) fn keep(self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(folder) => Some(folder.keep()),
            Self::Postgres(..) => None,
        }
    }
}

/// Opens the outbox.
pub(crate) fn open(name: &str) -> Result<Outbox, OutboxError> {
    if is_postgres(name) { Outbox::postgres(name) } else { Outbox::open(name) }
}

pub(crate) fn is_postgres(name: &str) -> bool {
    name.starts_with("host=")
}

/// Runs something again while the database is locked or out of reach.
pub(crate) fn retried<T>(
    mut run: impl FnMut() -> Result<T, OutboxError>,
) -> Result<T, OutboxError> {
    let began = Instant::now();
    loop {
        let error = match run() {
            Err(error) if began.elapsed() < AWAY => error,
            result => return result,
        };
        match error {
            // SQLite has waited already.
            OutboxError::Database(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            OutboxError::Postgres(_) | OutboxError::Closed => {
                std::thread::sleep(Duration::from_millis(50));
            }
            error => return Err(error),
        }
    }
}

/// The shop's own connection.
pub(crate) enum Shop {
    Sqlite(Connection),
    Postgres { runtime: Runtime, url: String, client: Option<Client> },
}

impl Shop {
    /// Stores an order and its intent in one transaction, and commits or rolls it back.
    pub(crate) fn order(
        &mut self,
        number: i64,
        key: &str,
        rolls_back: bool,
    ) -> Result<(), Box<dyn Error>> {
        let trees = 1 + number.unsigned_abs() % 7;
        let email = (number % 3 == 0).then(|| format!("c{}@example.com", number % 9));
        match self {
            Self::Sqlite(shop) => {
                let mut tree = PlantTree::new(Trees::new(trees)?);
                if let Some(email) = email {
                    tree = tree.customer(Customer::new(email)?);
                }
                // A worker that is stopped in the middle of a transaction keeps out everybody.
                retried(|| {
                    let tx = shop.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    tx.execute("INSERT INTO orders (number) VALUES (?1)", [number])?;
                    enqueue(&tx, SHOP, key, tree.clone())?;
                    let ended = if rolls_back { tx.rollback() } else { tx.commit() };
                    Ok(ended?)
                })?;
            }
            Self::Postgres { runtime, url, client } => {
                let customer = email.map(|email| format!(r#","customer_email":"{email}""#));
                let customer = customer.unwrap_or_default();
                let request =
                    format!(r#"{{"v":1,"action":"plant_tree","amount":{trees}{customer}}}"#);
                let order = Order { number, key, request: &request, rolls_back };
                retried(|| {
                    let stored = runtime.block_on(async {
                        // Whoever waits for the server's process waits for ever.
                        let time = Duration::from_secs(20);
                        tokio::time::timeout(time, order.store(url, client)).await
                    });
                    let stored = stored.map_err(|_| OutboxError::Closed).and_then(|stored| {
                        Ok(stored.or_else(|error| match error.code() {
                            // The commit whose answer was lost.
                            Some(code) if *code == SqlState::UNIQUE_VIOLATION => Ok(()),
                            _ => Err(error),
                        })?)
                    });
                    stored.inspect_err(|_| *client = None)
                })?;
            }
        }
        Ok(())
    }
}

/// An order on PostgreSQL.
struct Order<'a> {
    number: i64,
    key: &'a str,
    request: &'a str,
    rolls_back: bool,
}

impl Order<'_> {
    async fn store(
        &self,
        url: &str,
        client: &mut Option<Client>,
    ) -> Result<(), tokio_postgres::Error> {
        if client.as_ref().is_none_or(Client::is_closed) {
            let (opened, connection) = tokio_postgres::connect(url, NoTls).await?;
            // Its end ends each statement that waits for it.
            tokio::spawn(async { drop(connection.await) });
            *client = Some(opened);
        }
        let Some(client) = client else { return Ok(()) };
        let tx = client.transaction().await?;
        let insert = "INSERT INTO orders (number) VALUES ($1)";
        tx.query_typed(insert, &[(&self.number, Type::INT8)]).await?;
        let enqueue = "SELECT oneclick.enqueue($1, $2, $3::text::jsonb)";
        let params = [SHOP, self.key, self.request];
        let params = params
            .each_ref()
            .map(|text| (text as &(dyn tokio_postgres::types::ToSql + Sync), Type::TEXT));
        tx.query_typed(enqueue, &params).await?;
        if self.rolls_back { tx.rollback().await } else { tx.commit().await }
    }
}

/// A folder that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// In memory where that is possible: a killed process loses nothing of it, and the disk
    /// would only make everything slower.
    fn new(seed: u64) -> io::Result<Self> {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { env::temp_dir() };
        let folder = parent.join(format!("outbox-chaos-{}-{seed}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn file(&self) -> PathBuf {
        self.0.join("outbox.db")
    }

    /// Leaves it where it is.
    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.0 != Path::new("") {
            // It is in a folder for temporary files.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
