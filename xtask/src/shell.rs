//! Runs commands and keeps their output, in one log file for each check.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs the commands of one check, at the root of the workspace.
pub(crate) struct Shell {
    pub(crate) root: PathBuf,
    /// The target directory of the workspace.
    pub(crate) target: PathBuf,
    /// A directory in it for logs, copies and separate builds.
    pub(crate) scratch: PathBuf,
    log: PathBuf,
}

impl Shell {
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |target| root.join(target));
        let scratch = target.join("check");
        fs::create_dir_all(&scratch)?;
        let log = scratch.join(format!("{name}.log"));
        File::create(&log)?;
        Ok(Self { root, target, scratch, log })
    }

    /// A command, given as words with spaces between; no shell interprets them.
    pub(crate) fn command(&self, words: &str) -> Run<'_> {
        let (program, arguments) = words.split_once(' ').unwrap_or((words, ""));
        self.program(program).args(arguments)
    }

    /// A command without arguments yet, for a program whose path may contain spaces.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Run<'_> {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        Run { shell: self, command }
    }

    /// `cargo` with these arguments.
    pub(crate) fn cargo(&self, words: &str) -> Run<'_> {
        self.command(&format!("cargo {words}"))
    }

    /// Installs Python packages into a virtual environment of that name and returns the
    /// directory of its programs.
    pub(crate) fn python_environment(&self, name: &str, packages: &str) -> Result<PathBuf, Stop> {
        let environment = self.scratch.join(name);
        self.command("python3 -m venv").arg(&environment).output()?;
        let programs = environment.join(if cfg!(windows) { "Scripts" } else { "bin" });
        self.program(programs.join("python"))
            .args("-m pip install --quiet")
            .args(packages)
            .output()
            .map_err(|_| Stop::Impossible(format!("pip cannot install {packages}")))?;
        Ok(programs)
    }

    /// The metadata that cargo has of the workspace's packages.
    pub(crate) fn packages(&self) -> Result<Vec<Value>, Stop> {
        let run = self.cargo("metadata --no-deps --format-version 1 --locked").command.output()?;
        let mut metadata: Value = serde_json::from_slice(&run.stdout)?;
        match metadata["packages"].take() {
            Value::Array(packages) => Ok(packages),
            _ => Err(Stop::Failed("cargo metadata lists no packages".to_owned())),
        }
    }

    /// The names of the packages to publish.
    pub(crate) fn published(&self) -> Result<Vec<String>, Stop> {
        let packages = self.packages()?;
        let published = packages.iter().filter(|package| package["publish"].is_null());
        Ok(published.filter_map(|package| Some(package["name"].as_str()?.to_owned())).collect())
    }

    /// Whether a file has this text. The lines that differ go into the log.
    pub(crate) fn is_recorded(&self, file: &Path, text: &str) -> Result<bool, Stop> {
        let recorded = fs::read_to_string(file).unwrap_or_default();
        let lost = recorded.lines().filter(|line| !text.lines().any(|other| other == *line));
        let new = text.lines().filter(|line| !recorded.lines().any(|other| other == *line));
        let lines =
            lost.map(|line| format!("- {line}\n")).chain(new.map(|line| format!("+ {line}\n")));
        let mut log = File::options().append(true).open(&self.log)?;
        log.write_all(lines.collect::<String>().as_bytes())?;
        Ok(recorded == text)
    }

    /// The last lines of the log, which usually show why a command failed.
    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// A command that has not run yet.
pub(crate) struct Run<'a> {
    shell: &'a Shell,
    command: Command,
}

impl Run<'_> {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Arguments with spaces between them.
    pub(crate) fn args(mut self, words: &str) -> Self {
        self.command.args(words.split_whitespace());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Builds in a target directory of that name instead of the workspace's.
    pub(crate) fn apart(self, name: &str) -> Self {
        let target = self.shell.scratch.join(name);
        self.env("CARGO_TARGET_DIR", target)
    }

    /// Runs the command and returns what it prints on both streams, or an error if it fails.
    pub(crate) fn output(self) -> Result<String, Stop> {
        let mut words = vec![self.command.get_program().to_string_lossy().into_owned()];
        words.extend(self.command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
        let words = words.join(" ");
        match self.outcome() {
            Ok((true, printed)) => Ok(printed),
            Ok((false, _)) => Err(Stop::Failed(format!("this command failed: {words}"))),
            Err(error) => Err(Stop::Failed(format!("this command cannot run: {words}: {error}"))),
        }
    }

    /// Runs the command and returns whether it succeeded and what it prints.
    pub(crate) fn outcome(mut self) -> io::Result<(bool, String)> {
        let mut log = File::options().append(true).open(&self.shell.log)?;
        writeln!(log, "$ {:?}", self.command)?;
        let begun = log.metadata()?.len();
        self.command.stdout(log.try_clone()?).stderr(log);
        let status = self.command.status()?;
        let log = fs::read(&self.shell.log)?;
        let printed = log.get(usize::try_from(begun).unwrap_or_default()..).unwrap_or_default();
        Ok((status.success(), String::from_utf8_lossy(printed).into_owned()))
    }
}

/// Why a check did not pass.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The check found a fault.
    Failed(String),
    /// The check cannot run on this machine.
    Impossible(String),
}

impl Stop {
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Failed(reason) | Self::Impossible(reason) => reason,
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
