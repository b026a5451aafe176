//! Commands whose output goes into a log, one log a check.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where a check runs its commands: at the root of the workspace.
pub(crate) struct Shell {
    pub(crate) root: PathBuf,
    /// For builds that would throw those of the workspace away.
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
        Ok(Self { root, scratch, log })
    }

    /// A command of its words, which no shell reads.
    pub(crate) fn command(&self, words: &str) -> Run<'_> {
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir(&self.root).stdin(Stdio::null());
        Run { shell: self, command }
    }

    /// `cargo`, with these words.
    pub(crate) fn cargo(&self, words: &str) -> Run<'_> {
        self.command(&format!("cargo {words}"))
    }

    /// Installs a tool unless it is there; `version` if one alone will do.
    pub(crate) fn tool(&self, name: &str, version: Option<&str>) -> Result<(), Stop> {
        // As a command of cargo's: some take no flag without their name before it.
        let there = match name.strip_prefix("cargo-") {
            Some(command) => self.cargo(&format!("{command} --version")).output(),
            None => self.command(&format!("{name} --version")).output(),
        };
        if there.is_ok_and(|said| version.is_none_or(|version| said.contains(version))) {
            return Ok(());
        }
        let mut install = self.cargo("install --locked --quiet").arg(name);
        if let Some(version) = version {
            install = install.arg("--version").arg(version);
        }
        install
            .output()
            .map(drop)
            .map_err(|_| Stop::Impossible(format!("{name} cannot be installed")))
    }

    /// What cargo knows of the packages of the workspace.
    pub(crate) fn packages(&self) -> Result<Vec<Value>, Stop> {
        let run = self.cargo("metadata --no-deps --format-version 1 --locked").command.output()?;
        let mut metadata: Value = serde_json::from_slice(&run.stdout)?;
        match metadata["packages"].take() {
            Value::Array(packages) => Ok(packages),
            _ => Err(Stop::Short("cargo metadata lists no packages".to_owned())),
        }
    }

    /// The names of those that are published.
    pub(crate) fn published(&self) -> Result<Vec<String>, Stop> {
        let packages = self.packages()?;
        let published = packages.iter().filter(|package| package["publish"].is_null());
        Ok(published.filter_map(|package| Some(package["name"].as_str()?.to_owned())).collect())
    }

    /// Whether a file holds this text, line by line; the log says what differs.
    pub(crate) fn is_written(&self, file: &Path, text: &str) -> Result<bool, Stop> {
        let written = fs::read_to_string(file).unwrap_or_default();
        let lost = written.lines().filter(|line| !text.lines().any(|other| other == *line));
        let new = text.lines().filter(|line| !written.lines().any(|other| other == *line));
        let lines =
            lost.map(|line| format!("- {line}\n")).chain(new.map(|line| format!("+ {line}\n")));
        let mut log = File::options().append(true).open(&self.log)?;
        log.write_all(lines.collect::<String>().as_bytes())?;
        Ok(written == text)
    }

    /// The last lines of the log, for who looks for the cause.
    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// A command that is about to run.
pub(crate) struct Run<'a> {
    shell: &'a Shell,
    command: Command,
}

impl Run<'_> {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
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

    /// Builds apart from the workspace's own target directory.
    pub(crate) fn apart(self, name: &str) -> Self {
        let target = self.shell.scratch.join(name);
        self.env("CARGO_TARGET_DIR", target)
    }

    /// What it prints, on both streams; one that fails fell short.
    pub(crate) fn output(self) -> Result<String, Stop> {
        let mut words = vec![self.command.get_program().to_string_lossy().into_owned()];
        words.extend(self.command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
        let (succeeded, said) = self.outcome()?;
        if succeeded {
            Ok(said)
        } else {
            Err(Stop::Short(format!("this failed: {}", words.join(" "))))
        }
    }

    /// Whether it succeeded, and what it prints.
    pub(crate) fn outcome(mut self) -> io::Result<(bool, String)> {
        let mut log = File::options().append(true).open(&self.shell.log)?;
        writeln!(log, "$ {:?}", self.command)?;
        let begun = log.metadata()?.len();
        self.command.stdout(log.try_clone()?).stderr(log);
        let status = self.command.status()?;
        let said = fs::read(&self.shell.log)?;
        let said = said.get(usize::try_from(begun).unwrap_or_default()..).unwrap_or_default();
        Ok((status.success(), String::from_utf8_lossy(said).into_owned()))
    }
}

/// Why a check did not hold.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The promise is not kept.
    Short(String),
    /// This machine has no way to tell.
    Impossible(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Short(error.to_string())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Short(error.to_string())
    }
}
