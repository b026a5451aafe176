//! Kills and stops the workers of an outbox while they buy from an emulator, and then compares
//! the emulator's ledger with the outbox.
//!
//! `outbox-chaos [--minutes N] [--seconds N] [--workers N] [--seed N] [--postgres | --pgbouncer]`
//! prints a report, and fails if an intent was lost, bought twice without a long pause, or has an
//! untrue status. The outbox is in SQLite, or in a PostgreSQL server that is killed and stopped as
//! well, perhaps behind PgBouncer.

mod database;
mod driver;
#[path = "../../../../crates/oneclick-outbox/tests/outbox/server.rs"]
#[allow(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "tests share it")]
mod server;
mod tally;
mod terms;
mod worker;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use database::Kind;
use driver::Options;

const USAGE: &str = "usage: outbox-chaos [--minutes N] [--seconds N] [--workers N] [--seed N] \
                     [--postgres | --pgbouncer]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("outbox-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise was kept.
fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, database, url, adapter] = &*arguments {
        if command == worker::COMMAND {
            return worker::work(database, url, adapter).map(|()| true);
        }
    }
    let mut options = Options {
        time: Duration::ZERO,
        workers: 4,
        seed: u64::from(std::process::id()),
        database: Kind::Sqlite,
    };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        if let Some(kind) = Kind::of(name) {
            options.database = kind;
            continue;
        }
        let number: u32 = arguments.next().and_then(|value| value.parse().ok()).ok_or(USAGE)?;
        match &**name {
            "--minutes" => options.time += Duration::from_secs(60) * number,
            "--seconds" => options.time += Duration::from_secs(1) * number,
            "--workers" => options.workers = usize::try_from(number)?.max(1),
            "--seed" => options.seed = number.into(),
            _ => return Err(USAGE.into()),
        }
    }
    if options.time.is_zero() {
        options.time = Duration::from_secs(60);
    }
    driver::drive(&options)
}
