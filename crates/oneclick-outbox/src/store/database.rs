//! What the store needs of a database. Every rule about intents is written once, on top of this.

use std::time::Duration;

use super::Enqueued;
use super::row::{Holder, Row};
use crate::clock::Clock;
use crate::error::OutboxError;
use crate::intent::{Counts, Event, Status};

/// A database with the tables of an outbox.
pub(crate) trait Database: Send + Sync {
    /// The clock of the rows. Times in rows count from its beginning.
    fn clock(&self) -> &Clock;

    /// Begins a transaction that may write. It is rolled back unless it is committed.
    fn write(&self) -> Result<Box<dyn Tx + '_>, OutboxError>;

    /// Begins to read.
    fn read(&self) -> Result<Box<dyn Tx + '_>, OutboxError>;
}

/// The statements of a transaction.
pub(crate) trait Tx {
    /// The time at which it began.
    fn began(&self) -> Duration;
    /// The time since which no restored copy can have replaced the database, to the millisecond.
    /// Differs from the one before if this process may work on a copy since.
    fn opened(&self) -> Duration;
    fn commit(self: Box<Self>) -> Result<(), OutboxError>;

    fn meta(&mut self, name: &str) -> Result<Option<String>, OutboxError>;
    /// Stores a value, unless there is one. If another transaction stores one, waits for its end.
    fn init_meta(&mut self, name: &str, value: &str) -> Result<(), OutboxError>;

    fn gate(&mut self) -> Result<Gate, OutboxError>;
    /// The gate, which nobody else writes until the transaction ends.
    fn locked_gate(&mut self) -> Result<Gate, OutboxError>;
    fn set_gate(&mut self, gate: &Gate) -> Result<(), OutboxError>;

    /// Stores an intent, with its first event, unless one with its namespace and key exists.
    ///
    /// # Errors
    /// [`OutboxError::OtherPurchase`] if the existing one has another request.
    fn enqueue(&mut self, new: &NewRow<'_>) -> Result<Enqueued, OutboxError>;
    /// The row with this id. Until a transaction that may write ends, nobody else writes the row.
    fn row(&mut self, id: i64) -> Result<Option<Row>, OutboxError>;
    fn find(&mut self, namespace: &str, key: &str) -> Result<Option<Row>, OutboxError>;
    /// The rows with this key, in all namespaces.
    fn find_all(&mut self, key: &str) -> Result<Vec<Row>, OutboxError>;
    /// A row other than this one whose impact is `bought`. Until the transaction ends, nobody else
    /// looks for one with this impact.
    fn other_bought_as(&mut self, bought: &str, id: i64) -> Result<Option<Row>, OutboxError>;
    /// At most this many rows that are due, beginning with the one that has waited longest.
    /// Nobody else writes them until the transaction ends.
    fn due(&mut self, due: Due, now: Duration, most: u32) -> Result<Vec<Row>, OutboxError>;
    /// Gives rows to a holder until they are due. One that was ready is claimed, and each claim is
    /// counted.
    fn hold(&mut self, ids: &[i64], holder: Holder, due: Duration) -> Result<(), OutboxError>;
    /// Writes everything that can change in a row.
    fn save(&mut self, row: &Row) -> Result<(), OutboxError>;
    /// Deletes a row and its events.
    fn delete(&mut self, id: i64) -> Result<(), OutboxError>;

    /// Up to `most` rows with an id above `after`, in their order.
    fn list(
        &mut self,
        status: Option<Status>,
        after: i64,
        most: u32,
    ) -> Result<Vec<Row>, OutboxError>;
    /// The rows with surplus impacts.
    fn surplus(&mut self) -> Result<Vec<Row>, OutboxError>;
    /// Counts the rows. [`Counts::paused`] is not set.
    fn counts(&mut self) -> Result<Counts, OutboxError>;
    /// Up to `most` rows that were bought, refused, cancelled or dropped before `before` and are
    /// not to be audited any more. Rows without a request are included only with `erased`.
    fn finished(&mut self, before: &str, erased: bool, most: u32) -> Result<Vec<Row>, OutboxError>;

    /// Adds an event to those of a row.
    fn note(&mut self, id: i64, epoch: i64, what: &str) -> Result<(), OutboxError>;
    fn events(&mut self, id: i64) -> Result<Vec<Event>, OutboxError>;
}

/// Which of the due rows to select.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// Those that wait for their purchase.
    Ready,
    /// Those that wait for their purchase and were stored before this time.
    ReadyBefore(Duration),
    /// Those that are open, or to be cancelled.
    Open,
    /// Those to audit.
    Audit,
}

/// What holds back all workers at once.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// No purchase is sent before this time.
    pub(crate) not_before: Duration,
    /// How many failures in a row said that the API cannot be reached.
    pub(crate) failures: u32,
    /// Why all workers are paused: by a person, or because the API refused the API key.
    pub(crate) paused: Option<String>,
}

/// An intent to store.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) key: &'a str,
    /// The purchase as versioned JSON.
    pub(crate) request: &'a str,
    pub(crate) enqueued: Duration,
}

impl NewRow<'_> {
    pub(crate) fn other_purchase(&self) -> OutboxError {
        let (namespace, key) = (self.namespace.to_owned(), self.key.to_owned());
        OutboxError::OtherPurchase { namespace, key }
    }
}
