//! The official Python SDK, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use oneclick_benches::callers::Failure;

/// What is installed: the version that the emulator is tested with.
const PACKAGE: &str = "makeimpact==2.0.0";

/// Makes calls when told to, and says how long they took.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python_sdk.py");

pub(crate) struct Sdk {
    child: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Sdk {
    /// Installs it, unless an earlier run did, and starts it.
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
        let asked = child.stdin.take().ok_or("no standard input")?;
        let told = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, asked, told })
    }

    /// How long some calls of `who_am_i` take.
    pub(crate) fn whoami(&mut self, calls: usize) -> Result<Duration, Failure> {
        writeln!(self.asked, "{calls}")?;
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(Duration::from_nanos(line.trim().parse()?))
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it failed").into())
}
