//! Runs the official Python SDK in a separate process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use oneclick_benches::callers::Failure;

/// The package to install, in the version that the emulator is tested with.
const PACKAGE: &str = "makeimpact==2.0.0";

/// The script that makes calls on request and prints how long they took.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python_sdk.py");

pub(crate) struct Sdk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Sdk {
    /// Installs the SDK unless an earlier run did, and starts the script.
    pub(crate) fn start(url: &str) -> Result<Self, Failure> {
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python-sdk");
        let python = Path::new(target).join("bin/python");
        done(Command::new("python3").args(["-m", "venv", target]))?;
        done(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]))?;
        let mut child = Command::new(python)
            .args([SCRIPT, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("Python has no standard input")?;
        let stdout = BufReader::new(child.stdout.take().ok_or("Python has no standard output")?);
        Ok(Self { child, stdin, stdout })
    }

    /// Returns how long this many calls of `who_am_i` take.
    pub(crate) fn whoami(&mut self, calls: usize) -> Result<Duration, Failure> {
        writeln!(self.stdin, "{calls}")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(Duration::from_nanos(line.trim().parse()?))
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr)
        .lines()
        .last()
        .unwrap_or("the command failed")
        .into())
}
