//! The list of checks, and how they are run and told.

use std::io::{self, Write as _};
use std::time::Instant;

use crate::checks::{behaviour, code, compatibility, dependencies, publishing};
use crate::shell::{Shell, Stop};

/// One promise, and how it is looked into.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// What was seen, for the line.
    pub(crate) run: fn(&Shell) -> Result<String, Stop>,
}

/// All of them, what is quick and often broken first.
pub(crate) const CHECKS: &[Check] = &[
    Check { name: "format", about: "rustfmt has nothing to say", run: code::format },
    Check { name: "lints", about: "nor has clippy, with any warning an error", run: code::lints },
    Check { name: "own", about: "no unsafe and no build script of ours", run: code::own },
    Check { name: "tests", about: "cargo test", run: behaviour::tests },
    Check { name: "gzip", about: "answers where gzip is not asked for", run: behaviour::gzip },
    Check { name: "examples", about: "each example runs", run: behaviour::examples },
    Check { name: "docs", about: "rustdoc; an example for each endpoint", run: code::docs },
    Check { name: "features", about: "each set of features builds", run: compatibility::features },
    Check { name: "rust", about: "the declared rust-version builds", run: compatibility::rust },
    Check { name: "wasm", about: "the core builds for wasm32", run: compatibility::wasm },
    Check {
        name: "minimal",
        about: "the lowest versions of dependencies resolve and build",
        run: compatibility::minimal,
    },
    Check { name: "api", about: "the public API is as written down", run: compatibility::api },
    Check {
        name: "semver",
        about: "nothing breaks since the last release",
        run: compatibility::semver,
    },
    Check { name: "core", about: "the size of the core's tree", run: dependencies::core },
    Check {
        name: "dependencies",
        about: "their sources, versions and licences",
        run: dependencies::deny,
    },
    Check { name: "licences", about: "those of what is shipped", run: dependencies::licences },
    Check {
        name: "advisories",
        about: "known holes, and yanked crates",
        run: dependencies::advisories,
    },
    Check { name: "packages", about: "what would be published, built", run: publishing::packages },
    Check {
        name: "python",
        about: "the official Python client against the sandbox",
        run: behaviour::python,
    },
    Check { name: "counts", about: "instructions, held to their targets", run: behaviour::counts },
    Check { name: "fuzz", about: "each target for a while", run: behaviour::fuzz },
    Check {
        name: "mutation",
        about: "each mutant of the core is caught",
        run: behaviour::mutation,
    },
];

/// Runs those that are wanted and prints a line for each; whether none fell short.
pub(crate) fn run(wanted: impl Fn(&Check) -> bool) -> Result<bool, String> {
    let (mut held, mut short, mut impossible) = (0, 0, 0);
    for check in CHECKS.iter().filter(|check| wanted(check)) {
        let shell = Shell::new(check.name).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let (word, words) = match (check.run)(&shell) {
            Ok(words) => {
                held += 1;
                ("held", words)
            }
            Err(Stop::Impossible(words)) => {
                impossible += 1;
                ("not possible", words)
            }
            Err(Stop::Short(words)) => {
                short += 1;
                eprintln!("{}", shell.end_of_log());
                ("fell short", words)
            }
        };
        let seconds = begun.elapsed().as_secs();
        println!("{word:<14}{:<14}{words} ({seconds} s)", check.name);
        // Whoever reads a log sees how far it is.
        let _ = io::stdout().flush();
    }
    println!("{held} held, {short} fell short, {impossible} not possible here");
    Ok(short == 0)
}
