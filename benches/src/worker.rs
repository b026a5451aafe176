//! This program again, as a process of its own.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where this program is. Asked at the start: to count instructions it is built
/// anew, and then the system calls the running one deleted.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

pub(crate) fn remember_program() -> io::Result<()> {
    let program = std::env::current_exe()?;
    PROGRAM.get_or_init(|| program);
    Ok(())
}

/// A worker, by its name.
pub(crate) fn command(name: &str) -> Command {
    let program = PROGRAM.get_or_init(|| PathBuf::from("oneclick-benches"));
    let mut command = Command::new(program);
    command.args(["worker", name]);
    command
}
