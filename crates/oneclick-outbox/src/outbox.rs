//! The outbox, as a shop and the people who operate it see it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use oneclick_proto::{Account, BaseUrl, ImpactId, Purchase, PurchaseState};
use rusqlite::Connection;

use crate::clock::Clock;
use crate::error::OutboxError;
use crate::intent::{Bought, Counts, Entry, Event, Status};
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
use crate::sqlite::{Sqlite, migrate};
use crate::store::{Enqueued, Store, Written};

/// The intents of one account in an SQLite database. It is cheap to clone.
///
/// Several processes may use one database on one machine. Do not put it on a network file
/// system, where SQLite's locks cannot be relied on.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(crate) store: Arc<Store>,
}

impl Outbox {
    /// The outbox in a database file, which may be your application's own. Creates the file
    /// and the tables if they are missing.
    ///
    /// # Errors
    /// The file cannot be opened, or its tables are of a newer version of this crate.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OutboxError> {
        let mut connection = Connection::open(path)?;
        migrate(&mut connection)?;
        Self::new(connection)
    }

    /// The outbox over an open connection, which it then owns. Call [`migrate`] first.
    ///
    /// # Errors
    /// [`OutboxError::NoTables`] before [`migrate`]; the database fails.
    pub fn new(connection: Connection) -> Result<Self, OutboxError> {
        Self::with_clock(connection, Clock::system())
    }

    /// As [`new`](Self::new), with a clock of your own, for tests in virtual time.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(connection: Connection, clock: Clock) -> Result<Self, OutboxError> {
        Ok(Self { store: Arc::new(Store::new(Sqlite::new(connection, clock)?)) })
    }

    /// The outbox in a PostgreSQL database, 13 or later, after
    /// [`postgres::migrate`](crate::postgres::migrate). `url` is `postgres://user@host/database`,
    /// or `host=... user=... dbname=...`. It opens up to four connections, which may lead through
    /// PgBouncer in transaction mode. All deadlines are by the server's clock.
    ///
    /// `sslmode` and `sslrootcert` in it mean what they mean to libpq: `prefer`, the default, uses
    /// TLS if the server has it, and accepts any certificate. `verify-full` without `sslrootcert`
    /// trusts what the operating system trusts. Client certificates and channel binding are not
    /// supported.
    ///
    /// # Errors
    /// [`OutboxError::NoTables`] before the migration; [`OutboxError::NewerTables`];
    /// [`OutboxError::Tls`]; the database cannot be reached or fails.
    #[cfg(feature = "postgres")]
    pub fn postgres(url: &str) -> Result<Self, OutboxError> {
        Ok(Self { store: Arc::new(Store::new(Postgres::new(url, None)?)) })
    }

    /// The same with a clock of your own, for tests on a virtual time.
    ///
    /// # Errors
    /// As [`postgres`](Self::postgres).
    #[cfg(feature = "postgres")]
    pub fn postgres_with_clock(url: &str, clock: Clock) -> Result<Self, OutboxError> {
        Ok(Self { store: Arc::new(Store::new(Postgres::new(url, Some(clock))?)) })
    }

    /// Binds the outbox to an account of an API, as the first worker does.
    ///
    /// # Errors
    /// [`OutboxError::OtherAccount`] if it is bound to another account or another API.
    pub fn bind(&self, base_url: &BaseUrl, account: &Account) -> Result<(), OutboxError> {
        let (user_id, url) = (&account.user_id, base_url.normalized());
        self.store.bind(&format!("the account {user_id} at {url}"))
    }

    /// Stores an intent in a transaction of its own. To store it together with an order, use
    /// [`enqueue`](crate::enqueue) in the order's transaction.
    ///
    /// # Errors
    /// As [`enqueue`](crate::enqueue).
    pub fn enqueue(
        &self,
        namespace: &str,
        key: &str,
        purchase: impl Into<Purchase>,
    ) -> Result<Enqueued, OutboxError> {
        self.store.enqueue(namespace, key, &purchase.into())
    }

    /// The intent with this key.
    ///
    /// # Errors
    /// The database fails, or what is stored cannot be read.
    pub fn find(&self, namespace: &str, key: &str) -> Result<Option<Entry>, OutboxError> {
        self.store.find(namespace, key)
    }

    /// The intents with this key, in all namespaces. For a person, who knows only the order;
    /// it reads the whole table.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_all(&self, key: &str) -> Result<Vec<Entry>, OutboxError> {
        self.store.find_all(key)
    }

    /// The intent with this number.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn entry(&self, id: i64) -> Result<Option<Entry>, OutboxError> {
        self.store.entry(id)
    }

    /// Up to `limit` intents with a number above `after`, in order of their numbers; only those
    /// with a status, if one is given.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn list(
        &self,
        status: impl Into<Option<Status>>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Entry>, OutboxError> {
        self.store.list(status.into(), after, limit)
    }

    /// What happened to an intent, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub fn events(&self, id: i64) -> Result<Vec<Event>, OutboxError> {
        self.store.events(id)
    }

    /// How many intents there are with each status, and whether workers are paused.
    ///
    /// # Errors
    /// The database fails.
    pub fn counts(&self) -> Result<Counts, OutboxError> {
        self.store.counts()
    }

    /// Why nothing is sent, if a person or a refused key has [paused](Self::pause) the outbox.
    ///
    /// # Errors
    /// The database fails.
    pub fn paused(&self) -> Result<Option<String>, OutboxError> {
        self.store.paused()
    }

    /// Keeps all workers from sending anything, until [`resume`](Self::resume). A purchase that
    /// is under way goes on.
    ///
    /// # Errors
    /// The database fails.
    pub fn pause(&self, reason: &str) -> Result<(), OutboxError> {
        self.store.pause(Some(reason))
    }

    /// Lets workers go on after [`pause`](Self::pause), or after a key was refused.
    ///
    /// # Errors
    /// The database fails.
    pub fn resume(&self) -> Result<(), OutboxError> {
        self.store.pause(None)
    }

    /// Lets a worker try an unresolved or refused intent again. Call this only after a person
    /// has made sure that nothing was bought for it: from then on, the impacts in
    /// [`Entry::found`] count as other purchases.
    ///
    /// # Errors
    /// [`OutboxError::WrongStatus`] for an intent that is neither;
    /// [`OutboxError::Unreadable`] once its request was erased.
    pub fn retry(&self, id: i64) -> Result<(), OutboxError> {
        self.store.decide(id, &[Status::Unresolved, Status::Refused], |entry, state| {
            if entry.purchase.is_none() {
                let reason = "its request was erased, or is of a newer version".to_owned();
                return Err(OutboxError::Unreadable { id, reason });
            }
            let state = state.map(|mut state: PurchaseState| {
                state.allow_another();
                state
            });
            let status = match &state {
                Some(state) if state.sends() > 0 => Status::Open,
                _ => Status::Ready,
            };
            Ok(Written { state, ..self.written(status, "a person has it tried again") })
        })
    }

    /// Records a person's decision that an unresolved intent was bought as this impact.
    ///
    /// # Errors
    /// [`OutboxError::WrongStatus`] for an intent that is not unresolved.
    pub fn bought_as(&self, id: i64, impact: &ImpactId) -> Result<(), OutboxError> {
        self.store.decide(id, &[Status::Unresolved], |entry, state| {
            let purchase = entry.purchase.as_ref();
            let bought = purchase.map(Purchase::impact).ok_or(OutboxError::Unreadable {
                id,
                reason: "its request is of a newer version".to_owned(),
            })?;
            let bought = Bought { id: impact.clone(), kind: bought.kind, amount: bought.amount };
            let what = format!("a person says that it was bought as {impact}");
            Ok(Written { state, bought: Some(bought), ..self.written(Status::Bought, &what) })
        })
    }

    /// Drops an intent that waits or is unresolved: nothing is sent for it any more. What was
    /// bought for it stays bought.
    ///
    /// # Errors
    /// [`OutboxError::WrongStatus`] while a worker has it, while its outcome is open, or if it
    /// has a final status.
    pub fn drop_intent(&self, id: i64) -> Result<(), OutboxError> {
        self.store.decide(id, &[Status::Ready, Status::Unresolved], |entry, state| {
            let problem = entry.problem.clone();
            Ok(Written { state, problem, ..self.written(Status::Dropped, "a person dropped it") })
        })
    }

    /// Cancels an intent, after a refund for instance, and returns its status then:
    ///
    /// - If nothing was sent for it, it is [dropped](Status::Dropped).
    /// - If it was bought, it is [to be cancelled](Status::Cancelling), which a worker does.
    /// - If its outcome is open, nothing more is sent for it. A worker finds out whether it was
    ///   bought, and cancels it then.
    ///
    /// It is safe to repeat, and does nothing to an intent that was refused.
    ///
    /// # Errors
    /// [`OutboxError::WrongStatus`] for an unresolved intent, since a person has to find out
    /// first what was bought; [`OutboxError::NoSuchIntent`].
    pub fn cancel(&self, id: i64) -> Result<Status, OutboxError> {
        self.store.cancel(id)
    }

    /// The intents for which an audit found too many impacts, which are in [`Entry::surplus`]. A
    /// worker audits each intent that was sent twice, or taken over from another worker, an hour
    /// and a day after its outcome. Cancel those that are too many; the next audit, an hour
    /// later, sees that.
    ///
    /// # Errors
    /// The database fails.
    pub fn surplus(&self) -> Result<Vec<Entry>, OutboxError> {
        self.store.surplus()
    }

    /// Deletes intents that have had a final status for at least this long, with all that
    /// happened to them, and returns their namespaces and keys. **Each of these buys again** if
    /// it is stored again, so use [`erase_requests`](Self::erase_requests) if you want to remove
    /// personal data. Intents that are still to be audited stay.
    ///
    /// # Errors
    /// The database fails.
    pub fn purge(&self, older_than: Duration) -> Result<Vec<(String, String)>, OutboxError> {
        before(older_than).map_or(Ok(Vec::new()), |before| self.store.purge(&before))
    }

    /// Erases the requests, and with them all personal data, of intents that have had a final
    /// status for at least this long. Their keys, and what became of them, stay, so that none of
    /// them is bought again. Unresolved intents and those that are still to be audited keep their
    /// request. Returns how many were erased.
    ///
    /// # Errors
    /// The database fails.
    pub fn erase_requests(&self, older_than: Duration) -> Result<u64, OutboxError> {
        before(older_than).map_or(Ok(0), |before| self.store.erase(&before))
    }

    /// Takes up to this many intents that may be sent at once, as a worker does, and returns how
    /// many it took. Nobody carries them out before their lease ends. For benchmarks alone.
    #[doc(hidden)]
    pub fn claim_for_benchmarks(&self, most: u32) -> Result<usize, OutboxError> {
        self.store.claim_only(most)
    }

    pub(crate) fn written(&self, status: Status, what: &str) -> Written {
        Written::new(status, self.store.now().since_boot, what)
    }
}

/// The time of day this long ago.
fn before(older_than: Duration) -> Option<String> {
    let age = TimeDelta::from_std(older_than).ok()?;
    let before = Utc::now().checked_sub_signed(age)?;
    Some(before.to_rfc3339_opts(SecondsFormat::Millis, true))
}
