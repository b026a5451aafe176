//! Compares the outbox with the bare database under it, and counts its commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oneclick_benches::callers::Failure;
use oneclick_emulator::InMemory;
use oneclick_outbox::rusqlite::{Connection, TransactionBehavior, params};
use oneclick_outbox::{Outbox, Status, Worker, enqueue, migrate};
use oneclick_proto::{Api, BlockingClient, PlantTree, Trees};

use crate::report::{Figure, Row, Table, Target, in_turns, timed};

const ROUNDS: usize = 60;
/// How many orders in a turn.
const ORDERS: i64 = 20;
/// How many finished intents a long-lived outbox has.
const FINISHED: i64 = 1_000_000;

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("The outbox, over SQLite with `synchronous = FULL`");
    enqueueing(&mut table)?;
    claiming(&mut table)?;
    commits(&mut table)?;
    Ok(table)
}

/// Beside the bare insertion of an order, on the disk that holds this program.
fn enqueueing(table: &mut Table) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let folder = Folder::new(program.parent().ok_or("this program is in no folder")?)?;
    let (mut bare, mut shop) = (folder.shop("bare.db")?, folder.shop("shop.db")?);
    let outbox = Outbox::open(folder.0.join("alone.db"))?;
    let (mut bare_number, mut shop_number, mut key) = (0, 0, 0);
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure>>; 3] = [
        Box::new(|| timed(|| each(&mut bare_number, |number| order(&mut bare, number, false)))),
        Box::new(|| timed(|| each(&mut shop_number, |number| order(&mut shop, number, true)))),
        Box::new(|| {
            timed(|| {
                each(&mut key, |number| {
                    outbox.enqueue("shop", &format!("order-{number}"), tree())?;
                    Ok(())
                })
            })
        }),
    ];
    let seconds = in_turns(ROUNDS, &mut runs)?;
    for (what, which) in [
        ("orders a second with an intent in their transaction ÷ orders alone", 1),
        ("intents a second, each in a transaction of its own ÷ orders alone", 2),
    ] {
        let figure = Figure::ratio(&seconds[0], &seconds[which]);
        table.rows.push(Row::ratio(what, Target::AtLeast(0.8), figure));
    }
    Ok(())
}

/// Whole purchases beside a million finished ones, in memory, so that no disk hides the cost.
fn claiming(table: &mut Table) -> Result<(), Failure> {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        table.notes.push("This system has no /dev/shm for the test of many rows.".to_owned());
        return Ok(());
    }
    let folder = Folder::new(memory)?;
    let (few, many) = (Line::new(&folder, "few.db")?, Line::new(&folder, "many.db")?);
    finish_many(&folder.0.join("many.db"))?;
    let (mut few_number, mut many_number) = (0, 0);
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure>>; 2] = [
        Box::new(|| few.carry_out(&mut few_number)),
        Box::new(|| many.carry_out(&mut many_number)),
    ];
    let seconds = in_turns(ROUNDS, &mut runs)?;
    table.rows.push(Row::ratio(
        "intents carried out a second, with 1,000,000 finished ones ÷ without, in memory",
        Target::AtLeast(0.8),
        Figure::ratio(&seconds[0], &seconds[1]),
    ));
    Ok(())
}

/// What an order costs until it is bought.
fn commits(table: &mut Table) -> Result<(), Failure> {
    let folder = Folder::new(&std::env::temp_dir())?;
    let line = Line::new(&folder, "commits.db")?;
    let mut number = 0;
    // The first one binds the outbox to its account.
    line.carry_out(&mut number)?;
    let file = folder.0.join("commits.db");
    let before = change_counter(&file)?;
    line.carry_out(&mut number)?;
    let commits = change_counter(&file)?.wrapping_sub(before);
    table.rows.push(Row {
        what: "durable commits for an order: its own, a permit, the outcome, and a part of a claim"
            .to_owned(),
        target: Target::AtMost(4.0),
        figure: Figure::exact(f64::from(commits) / f64::from(i32::try_from(ORDERS)?)),
        unit: "",
    });
    Ok(())
}

/// SQLite counts in the header of the file each commit that changes it.
fn change_counter(file: &Path) -> Result<u32, Failure> {
    let bytes = fs::read(file)?;
    let counter = bytes.get(24..28).ok_or("the database has no header")?;
    Ok(u32::from_be_bytes(counter.try_into()?))
}

/// An outbox, and the worker of an emulator.
struct Line {
    outbox: Outbox,
    worker: Worker<BlockingClient<InMemory>>,
}

impl Line {
    fn new(folder: &Folder, name: &str) -> Result<Self, Failure> {
        let outbox = Outbox::open(folder.0.join(name))?;
        let api = Api::sandbox("test_benches")?;
        let client = BlockingClient::with_transport(api, InMemory::new());
        let worker = Worker::new(&outbox, client).concurrency(1);
        Ok(Self { outbox, worker })
    }

    /// Stores some intents, and returns how long the worker takes for them.
    fn carry_out(&self, number: &mut i64) -> Result<Duration, Failure> {
        each(number, |number| {
            self.outbox.enqueue("shop", &format!("order-{number}"), tree())?;
            Ok(())
        })?;
        let took = timed(|| Ok(self.worker.run_until_idle()?))?;
        match self.outbox.find("shop", &format!("order-{number}"))? {
            Some(last) if last.status == Status::Bought => Ok(took),
            other => Err(format!("the last intent was not carried out: {other:?}").into()),
        }
    }
}

/// Stores intents that were carried out long ago, with their events.
fn finish_many(file: &Path) -> Result<(), Failure> {
    Connection::open(file)?.execute_batch(&format!(
        r#"BEGIN;
        INSERT INTO oneclick_outbox_intent
            (namespace, key, request, digest, status, enqueued_at, enqueued, due, done_at)
        WITH RECURSIVE old (number) AS
            (SELECT 1 UNION ALL SELECT number + 1 FROM old WHERE number < {FINISHED})
        SELECT 'old', 'order-' || number, '{{"v":1,"action":"plant_tree","amount":1}}',
            hex(randomblob(8)), 'bought', '2025-01-01T00:00:00.000Z', 0, 0,
            '2025-01-01T00:00:01.000Z'
        FROM old;
        INSERT INTO oneclick_outbox_event (intent, at, epoch, what)
        SELECT id, done_at, 1, what FROM oneclick_outbox_intent,
            (SELECT 'stored' AS what UNION SELECT 'a purchase may leave now'
             UNION SELECT 'bought');
        COMMIT;"#
    ))?;
    Ok(())
}

fn tree() -> PlantTree {
    PlantTree::new(Trees::of::<1>())
}

fn each(number: &mut i64, mut run: impl FnMut(i64) -> Result<(), Failure>) -> Result<(), Failure> {
    for _ in 0..ORDERS {
        *number += 1;
        run(*number)?;
    }
    Ok(())
}

fn order(shop: &mut Connection, number: i64, with_intent: bool) -> Result<(), Failure> {
    let key = format!("order-{number}");
    let tx = shop.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO orders (number, name) VALUES (?1, ?2)", params![number, key])?;
    if with_intent {
        enqueue(&tx, "shop", &key, tree())?;
    }
    Ok(tx.commit()?)
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: &Path) -> Result<Self, Failure> {
        let folder = parent.join(format!("oneclick-benches-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// A database with orders and the tables of an outbox.
    fn shop(&self, name: &str) -> Result<Connection, Failure> {
        let mut shop = Connection::open(self.0.join(name))?;
        migrate(&mut shop)?;
        shop.pragma_update(None, "synchronous", "FULL")?;
        shop.execute_batch("CREATE TABLE orders (number INTEGER PRIMARY KEY, name TEXT NOT NULL)")?;
        Ok(shop)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in a folder for temporary or built files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
