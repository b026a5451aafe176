//! The side-by-side comparison, as tables of ratios:
//! `cargo run --release -p oneclick-benches`, or with the names of some parts.

mod build;
mod calls;
mod core;
mod counts;
mod emulator;
mod pin;
mod python;
mod report;
mod walk;
mod worker;

use std::process::ExitCode;

use oneclick_benches::callers::Failure;
use report::Table;

/// A part of the comparison: its name, and what makes its table.
type Part = (&'static str, fn() -> Result<Table, Failure>);

const PARTS: [Part; 6] = [
    ("counts", counts::table),
    ("core", core::table),
    ("calls", calls::table),
    ("walk", walk::table),
    ("emulator", emulator::table),
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
        return Err(format!("{name} is none of {}", known.join(", ")).into());
    }
    worker::remember_program()?;
    // glibc gives a heap back to the system when more than 128 KiB of it are
    // free, and takes it again for the next page, until it has seen a block
    // larger than that: in a service, soon.
    drop(std::hint::black_box(vec![0_u8; 1024 * 1024]));
    println!("{}", report::machine());
    let mut missed = false;
    for (name, table) in PARTS {
        if names.is_empty() || names.contains(&name) {
            let table = table()?;
            // Counts repeat to the digit; times are only told.
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
