//! Prints the side-by-side comparison as tables of ratios. Run it with
//! `cargo run --release -p oneclick-benches`. Arguments are the names of the parts to run;
//! without arguments, all of them run.

mod build;
mod calls;
mod core;
mod counts;
mod emulator;
mod outbox;
mod pin;
mod postgres;
mod python;
mod report;
#[path = "../../crates/oneclick-outbox/tests/outbox/server.rs"]
#[allow(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "tests share it")]
mod server;
mod walk;
mod worker;

use std::process::ExitCode;

use oneclick_benches::callers::Failure;
use report::Table;

/// The name of a part of the comparison, and the function that makes its table.
type Part = (&'static str, fn() -> Result<Table, Failure>);

const PARTS: [Part; 8] = [
    ("counts", counts::table),
    ("core", core::table),
    ("calls", calls::table),
    ("walk", walk::table),
    ("emulator", emulator::table),
    ("outbox", outbox::table),
    ("postgres", postgres::table),
    ("build", build::table),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ended(match &arguments[..] {
        ["worker", "walk", rest @ ..] => walk::worker(rest),
        ["worker", name] => emulator::worker(name),
        names => run(names),
    })
}

fn run(names: &[&str]) -> Result<(), Failure> {
    let known: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!("unknown part {name}: expected one of {}", known.join(", ")).into());
    }
    worker::remember_program()?;
    // glibc returns heap to the system when more than 128 KiB of it are free, and requests
    // it again for the next page, until the process has freed a larger block. A service
    // soon frees one, so the benchmark frees one first.
    drop(std::hint::black_box(vec![0_u8; 1024 * 1024]));
    println!("{}", report::machine());
    let mut missed = false;
    for (name, table) in PARTS {
        if names.is_empty() || names.contains(&name) {
            let table = table()?;
            // Counts are reproducible, so they are checked. Times are only reported.
            missed |= name == "counts" && table.misses();
            println!("\n{table}");
        }
    }
    if missed { Err("a count is above its target".into()) } else { Ok(()) }
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
