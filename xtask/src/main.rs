//! The workspace's own commands: `cargo xtask check` runs every check of it.
//!
//! ```text
//! cargo xtask setup                  installs what the checks need from the system
//! cargo xtask check                  runs all checks
//! cargo xtask check fuzz wasm        runs these
//! cargo xtask check --except tests   runs all but these
//! cargo xtask bless                  rewrites the public API and the list of licences
//! cargo xtask list                   lists the checks
//! ```
//!
//! A check prints one line. One that cannot run on this machine says why, and is not a
//! failure; one that fails makes the command exit with 1.

mod check;
mod checks;
mod setup;
mod shell;

use std::process::ExitCode;

use check::{CHECKS, Check};

const USAGE: &str =
    "usage: cargo xtask setup | check [NAME…] | check --except NAME… | bless | list";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["setup"] => setup::run().map(|()| true),
        ["check", "--except", names @ ..] if !names.is_empty() => {
            known(names).and_then(|()| check::run(|check| !names.contains(&check.name)))
        }
        ["check", names @ ..] => known(names)
            .and_then(|()| check::run(|check| names.is_empty() || names.contains(&check.name))),
        ["bless"] => checks::bless().map(|()| true),
        ["list"] => {
            for Check { name, about, .. } in CHECKS {
                println!("{name:<14}{about}");
            }
            Ok(true)
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Rejects an unknown name, so that a typing error does not pass as success.
fn known(names: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| CHECKS.iter().all(|check| check.name != **name)) {
        None => Ok(()),
        Some(name) => Err(format!("no check is named {name}: see `cargo xtask list`")),
    }
}
