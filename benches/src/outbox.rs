//! Compares the outbox with the database under it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oneclick_benches::callers::Failure;
use oneclick_emulator::InMemory;
use oneclick_outbox::rusqlite::{Connection, TransactionBehavior};
use oneclick_outbox::{Outbox, Worker, enqueue};
use oneclick_proto::{Api, BlockingClient, PlantTree, Trees};

use crate::pin;
use crate::report::{Figure, Row, Table, Target, in_turns, timed};

/// How many orders a turn has.
const ORDERS: u32 = 20;
/// How many finished rows are in the way.
const FINISHED: u32 = 1_000_000;

pub(crate) fn table() -> Result<Table, Failure> {
    pin::to_core(0);
    let mut table = Table::new("The outbox on SQLite");
    let folder = Path::new("target").join("outbox-bench");
    // It may be there from the last run.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    table.rows.push(enqueueing(&folder)?);
    table.rows.push(claiming(&folder)?);
    table.notes.push(
        "Commits to the disk for an order: the shop's own, one before the purchase leaves, one \
         with its outcome, and a sixteenth of a claim. A test of the outbox counts them."
            .to_owned(),
    );
    fs::remove_dir_all(&folder)?;
    Ok(table)
}

/// Stores orders, each in a transaction of its own, with an intent and without.
fn enqueueing(folder: &Path) -> Result<Row, Failure> {
    let shop = |name: &str| -> Result<Connection, Failure> {
        let path = folder.join(name);
        drop(Outbox::open(&path)?);
        let shop = Connection::open(path)?;
        shop.pragma_update(None, "synchronous", "FULL")?;
        shop.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")?;
        Ok(shop)
    };
    let (mut bare, mut with, mut next) = (shop("bare.db")?, shop("with.db")?, 0);
    let insert = "INSERT INTO orders (note) VALUES ('two mugs, one with a tree on it')";
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure> + '_>; 2] = [
        Box::new(|| {
            timed(|| {
                for _ in 0..ORDERS {
                    let tx = bare.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    tx.execute(insert, [])?;
                    tx.commit()?;
                }
                Ok(())
            })
        }),
        Box::new(|| {
            timed(|| {
                for _ in 0..ORDERS {
                    next += 1;
                    let tx = with.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    tx.execute(insert, [])?;
                    enqueue(
                        &tx,
                        "shop",
                        &format!("order-{next}"),
                        PlantTree::new(Trees::of::<1>()),
                    )?;
                    tx.commit()?;
                }
                Ok(())
            })
        }),
    ];
    let seconds = in_turns(100, &mut runs)?;
    Ok(Row::ratio(
        "orders a second with an intent in the transaction ÷ without, synchronous=FULL",
        Target::AtLeast(0.8),
        Figure::ratio(&seconds[0], &seconds[1]),
    ))
}

/// Carries out orders beside finished rows, and without any. The database is in memory where
/// that is possible, so that the disk hides nothing.
fn claiming(folder: &Path) -> Result<Row, Failure> {
    let memory = PathBuf::from("/dev/shm");
    let memory = memory.is_dir().then(|| memory.join(format!("outbox-{}", std::process::id())));
    let folder = memory.as_deref().unwrap_or(folder);
    fs::create_dir_all(folder)?;
    let empty = folder.join("empty.db");
    let full = folder.join("full.db");
    let empty = Outbox::open(empty)?;
    drop(Outbox::open(&full)?);
    let finished = Connection::open(&full)?;
    finished.execute_batch(&format!(
        "INSERT INTO oneclick_outbox_intent
             (namespace, key, digest, status, enqueued_at, enqueued, due, done_at)
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {FINISHED})
         SELECT 'old', 'order-' || n, hex(n), 'bought', '2026-01-01T00:00:00.000Z', 0, 0,
                '2026-01-01T00:00:01.000Z' FROM n"
    ))?;
    let full = Outbox::open(&full)?;
    let (mut one, mut other) = (Shop::new(&empty)?, Shop::new(&full)?);
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure> + '_>; 2] =
        [Box::new(|| one.run()), Box::new(|| other.run())];
    let seconds = in_turns(100, &mut runs)?;
    fs::remove_dir_all(folder)?;
    Ok(Row::ratio(
        "intents a second carried out beside 1,000,000 finished ones ÷ beside none",
        Target::AtLeast(0.8),
        Figure::ratio(&seconds[0], &seconds[1]),
    ))
}

struct Shop<'a> {
    outbox: &'a Outbox,
    worker: Worker<BlockingClient<InMemory>>,
    next: u32,
}

impl<'a> Shop<'a> {
    fn new(outbox: &'a Outbox) -> Result<Self, Failure> {
        let client = BlockingClient::with_transport(Api::sandbox("test_bench")?, InMemory::new());
        Ok(Self { outbox, worker: Worker::new(outbox, client).concurrency(1), next: 0 })
    }

    /// Stores orders, and measures how long it takes to carry them out.
    fn run(&mut self) -> Result<Duration, Failure> {
        for _ in 0..ORDERS {
            self.next += 1;
            let key = format!("order-{}", self.next);
            self.outbox.enqueue("shop", &key, PlantTree::new(Trees::of::<1>()))?;
        }
        timed(|| Ok(self.worker.run_until_idle()?))
    }
}
