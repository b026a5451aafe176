//! The errors of the outbox.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use oneclick_proto::InvalidValue;

use crate::Status;

/// A failure of the outbox. Nothing was bought because of it, and nothing that was bought is
/// forgotten.
#[derive(Debug)]
#[non_exhaustive]
pub enum OutboxError {
    /// The database failed. What it did not commit did not happen.
    Database(rusqlite::Error),
    /// PostgreSQL failed or refused something. What it did not commit did not happen.
    #[cfg(feature = "postgres")]
    Postgres(tokio_postgres::Error),
    /// The TLS settings of a connection string cannot be used; the text says why.
    #[cfg(feature = "postgres")]
    Tls(String),
    /// The connection to the database broke, or a statement took too long. Whether the latest
    /// commit happened is not known; whoever asks again finds out.
    Closed,
    /// A thread of the outbox could not be started.
    Thread(std::io::Error),
    /// The tables are missing: call [`migrate`](crate::migrate) first.
    NoTables,
    /// The tables are of a newer version of this crate.
    #[non_exhaustive]
    NewerTables {
        /// Their version.
        version: u32,
    },
    /// The key stands for another purchase.
    #[non_exhaustive]
    OtherPurchase {
        /// The namespace of the intent.
        namespace: String,
        /// The key of the intent.
        key: String,
    },
    /// The purchase cannot carry the marker of its intent.
    Invalid(InvalidValue),
    /// A stored purchase or state cannot be read.
    #[non_exhaustive]
    Unreadable {
        /// The id of the intent.
        id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// No intent has this id or key.
    NoSuchIntent,
    /// The status of the intent does not allow this.
    #[non_exhaustive]
    WrongStatus {
        /// The id of the intent.
        id: i64,
        /// Its status.
        status: Status,
    },
    /// A setting of a worker is shorter than a purchase can be under way.
    #[non_exhaustive]
    TooShort {
        /// The name of the setting.
        setting: &'static str,
        /// The shortest time that is safe with this client.
        least: Duration,
    },
    /// The store belongs to another account or another API.
    #[non_exhaustive]
    OtherAccount {
        /// What the store belongs to.
        expected: String,
        /// What the client's key belongs to.
        got: String,
    },
    /// The API refused the client's key, or could not be asked whose it is.
    Account(Box<oneclick_proto::Error>),
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "the outbox's database failed: {error}"),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => {
                if let Some(error) = error.as_db_error() {
                    return write!(f, "the outbox's database refused: {}", error.message());
                }
                write!(f, "the outbox's database failed: {error}")?;
                // They say more, such as that the connection was refused.
                let causes = std::iter::successors(error.source(), |error| (*error).source());
                causes.into_iter().try_for_each(|cause| write!(f, ": {cause}"))
            }
            #[cfg(feature = "postgres")]
            Self::Tls(problem) => f.write_str(problem),
            Self::Closed => f.write_str("the connection to the outbox's database was lost"),
            Self::Thread(error) => {
                write!(f, "a thread of the outbox could not be started: {error}")
            }
            Self::NoTables => f.write_str(
                "the database has no tables of an outbox: call `migrate` or `Outbox::open` first",
            ),
            Self::NewerTables { version } => write!(
                f,
                "the outbox's tables have version {version}, which this version of the program \
                 does not know: use a newer one"
            ),
            Self::OtherPurchase { namespace, key } => write!(
                f,
                "the intent {key:?} of {namespace:?} stands for another purchase: use another \
                 key, or the same purchase"
            ),
            Self::Invalid(error) => error.fmt(f),
            Self::Unreadable { id, reason } => {
                write!(f, "what is stored of intent {id} cannot be read: {reason}")
            }
            Self::NoSuchIntent => f.write_str("the outbox has no such intent"),
            Self::WrongStatus { id, status } => {
                write!(f, "this is not possible with intent {id}, which is {status}")
            }
            Self::TooShort { setting, least } => write!(
                f,
                "the worker's {setting} is too short for its client: a purchase can be under way \
                 for {least:?}, so use at least that, or give the client a shorter timeout"
            ),
            Self::OtherAccount { expected, got } => write!(
                f,
                "the outbox belongs to {expected}, and this key to {got}: use the right key, or \
                 another database"
            ),
            Self::Account(error) => {
                write!(f, "the account of the key could not be determined: {error}")
            }
        }
    }
}

impl Error for OutboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Database(error) => error.source(),
            Self::Thread(error) => error.source(),
            Self::Invalid(error) => error.source(),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for OutboxError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for OutboxError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<InvalidValue> for OutboxError {
    fn from(error: InvalidValue) -> Self {
        Self::Invalid(error)
    }
}
