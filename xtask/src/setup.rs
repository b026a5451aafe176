//! `cargo xtask setup`: installs what the checks need and the workspace does not bring.

use std::time::Instant;

use crate::checks::compatibility;
use crate::shell::{Shell, Stop};

/// The lowest Rust that the manifests declare.
pub(crate) const LOWEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A program or a library that a check needs.
pub(crate) struct Tool {
    name: &'static str,
    /// A command that succeeds where the tool is installed, and what it must print.
    probe: (&'static str, &'static str),
    source: Source,
}

enum Source {
    /// Packages of Debian and what descends from it.
    Debian(&'static str),
    /// Arguments of rustup.
    Rustup(&'static str),
    /// Arguments of `cargo install`.
    Cargo(&'static str),
}
use Source::{Cargo, Debian, Rustup};

const fn tool(
    name: &'static str,
    probe: &'static str,
    prints: &'static str,
    source: Source,
) -> Tool {
    Tool { name, probe: (probe, prints), source }
}

pub(crate) const PYTHON: Tool =
    tool("Python with venv", "python3 -m ensurepip --version", "", Debian("python3 python3-venv"));
pub(crate) const VALGRIND: Tool = tool("valgrind", "valgrind --version", "", Debian("valgrind"));
pub(crate) const POSTGRES: Tool = tool("PostgreSQL", "pg_lsclusters", "", Debian("postgresql"));
// Diesel links it.
pub(crate) const LIBPQ: Tool = tool("libpq", "pg_config --libdir", "", Debian("libpq-dev"));
pub(crate) const OLD_RUST: Tool = tool(
    "the lowest supported Rust",
    concat!("rustup run ", env!("CARGO_PKG_RUST_VERSION"), " cargo --version"),
    "",
    Rustup(concat!("toolchain install --profile minimal ", env!("CARGO_PKG_RUST_VERSION"))),
);
pub(crate) const NIGHTLY_RUST: Tool = tool(
    "a nightly Rust",
    "rustup run nightly cargo --version",
    "",
    Rustup("toolchain install --profile minimal nightly"),
);
pub(crate) const WASM: Tool = tool(
    "the target wasm32-unknown-unknown",
    "rustup target list --installed",
    "wasm32-unknown-unknown",
    Rustup("target add wasm32-unknown-unknown"),
);
pub(crate) const DENY: Tool = tool("cargo-deny", "cargo deny --version", "", Cargo("cargo-deny"));
pub(crate) const FUZZ: Tool = tool("cargo-fuzz", "cargo fuzz --version", "", Cargo("cargo-fuzz"));
pub(crate) const HACK: Tool = tool("cargo-hack", "cargo hack --version", "", Cargo("cargo-hack"));
pub(crate) const MUTANTS: Tool =
    tool("cargo-mutants", "cargo mutants --version", "", Cargo("cargo-mutants"));
// Another version prints the API in another form, and reads another form of rustdoc's JSON.
pub(crate) const PUBLIC_API: Tool = tool(
    "cargo-public-api",
    "cargo public-api --version",
    "0.52.0",
    Cargo("cargo-public-api@0.52.0"),
);
pub(crate) const SEMVER_CHECKS: Tool =
    tool("cargo-semver-checks", "cargo semver-checks --version", "", Cargo("cargo-semver-checks"));
// The runner must have the version of the library `gungraun`.
pub(crate) const GUNGRAUN: Tool =
    tool("gungraun-runner", "gungraun-runner --version", "0.20.0", Cargo("gungraun-runner@0.20.0"));

const TOOLS: &[Tool] = &[
    tool("rustfmt", "cargo fmt --version", "", Rustup("component add rustfmt")),
    tool("clippy", "cargo clippy --version", "", Rustup("component add clippy")),
    PYTHON,
    VALGRIND,
    POSTGRES,
    LIBPQ,
    // Debian has it in /usr/sbin.
    tool("PgBouncer", "dpkg --status pgbouncer", "install ok installed", Debian("pgbouncer")),
    OLD_RUST,
    NIGHTLY_RUST,
    WASM,
    DENY,
    FUZZ,
    HACK,
    MUTANTS,
    PUBLIC_API,
    GUNGRAUN,
];

/// Installs what is missing and prints a line for each tool. A tool that cannot be installed
/// is not a failure: the checks that need it say that they are not possible here.
pub(crate) fn run() -> Result<(), String> {
    let shell = Shell::new("setup").map_err(|error| error.to_string())?;
    let released = compatibility::last_release(&shell).ok().flatten().is_some();
    for tool in TOOLS.iter().chain(released.then_some(&SEMVER_CHECKS)) {
        let begun = Instant::now();
        let outcome = if tool.is_installed(&shell) {
            "is there".to_owned()
        } else {
            match tool.install(&shell) {
                Ok(()) if tool.is_installed(&shell) => "installed".to_owned(),
                Ok(()) => "NOT installed: it does not run".to_owned(),
                Err(stop) => format!("NOT installed: {}", stop.reason()),
            }
        };
        println!("{:<34}{outcome} ({} s)", tool.name, begun.elapsed().as_secs());
    }
    Ok(())
}

impl Tool {
    /// Makes a check that needs this tool impossible where it is not installed.
    pub(crate) fn required(&self, shell: &Shell) -> Result<(), Stop> {
        if self.is_installed(shell) {
            return Ok(());
        }
        let words = "is not installed: `cargo xtask setup` installs it where it can";
        Err(Stop::Impossible(format!("{} {words}", self.name)))
    }

    fn is_installed(&self, shell: &Shell) -> bool {
        let (probe, prints) = self.probe;
        shell.command(probe).output().is_ok_and(|printed| printed.contains(prints))
    }

    fn install(&self, shell: &Shell) -> Result<(), Stop> {
        match self.source {
            Debian(packages) => {
                let root = shell.command("id -u").output()?.trim() == "0";
                let sudo = if root { "" } else { "sudo --non-interactive " };
                shell.command(&format!("{sudo}apt-get update")).output()?;
                shell.command(&format!("{sudo}apt-get install --yes {packages}")).output()
            }
            Rustup(arguments) => shell.command(&format!("rustup {arguments}")).output(),
            Cargo(arguments) => {
                shell.cargo(&format!("install --locked --quiet {arguments}")).output()
            }
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_of_the_counts_has_the_version_of_their_library() {
        let version = GUNGRAUN.probe.1;
        let lock = include_str!("../../Cargo.lock").replace("\r\n", "\n");
        assert!(lock.contains(&format!("name = \"gungraun\"\nversion = \"{version}\"\n")));
    }
}
