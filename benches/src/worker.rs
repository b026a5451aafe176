//! Starts this program again as a separate process.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of this program. It is read at the start, because counting instructions
/// rebuilds the program, and Linux then reports the path of the running one as deleted.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

pub(crate) fn remember_program() -> io::Result<()> {
    let program = std::env::current_exe()?;
    PROGRAM.get_or_init(|| program);
    Ok(())
}

/// Returns a command that starts the worker of this name.
pub(crate) fn command(name: &str) -> Command {
    let program = PROGRAM.get_or_init(|| PathBuf::from("oneclick-benches"));
    let mut command = Command::new(program);
    command.args(["worker", name]);
    command
}
