//! `cargo xtask check`: everything that this workspace promises of itself, one
//! line each.
//!
//! ```text
//! cargo xtask check                  all checks
//! cargo xtask check fuzz wasm        these
//! cargo xtask check --except tests   all but these
//! cargo xtask bless                  writes the public API and the licences anew
//! cargo xtask list                   the names, and what each is about
//! ```
//!
//! A check that needs a tool installs it. One that this machine has no way to run
//! says why, and is no failure; one that fell short makes the command end with 1.

mod check;
mod checks;
mod shell;

use std::process::ExitCode;

use check::{CHECKS, Check};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["check", "--except", names @ ..] if !names.is_empty() => {
            known(names).and_then(|()| check::run(|check| !names.contains(&check.name)))
        }
        ["check", names @ ..] => known(names)
            .and_then(|()| check::run(|check| names.is_empty() || names.contains(&check.name))),
        ["bless"] => checks::bless(),
        ["list"] => {
            for Check { name, about, .. } in CHECKS {
                println!("{name:<14}{about}");
            }
            Ok(true)
        }
        _ => Err("usage: cargo xtask check [NAME…] | check --except NAME… | bless | list".into()),
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

/// A name that no check has would let a typing error pass for success.
fn known(names: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| CHECKS.iter().all(|check| check.name != **name)) {
        None => Ok(()),
        Some(name) => Err(format!("no check is named {name}: see `cargo xtask list`")),
    }
}
