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
    check("format", "rustfmt has nothing to say", code::format),
    check("lints", "nor has clippy, with any warning an error", code::lints),
    check("own", "no unsafe and no build script of ours", code::own),
    check("tests", "cargo test", behaviour::tests),
    check("gzip", "responses if gzip is not requested", behaviour::gzip),
    check("examples", "each example runs", behaviour::examples),
    check("docs", "rustdoc; an example for each endpoint", code::docs),
    check("features", "each set of features builds", compatibility::features),
    check("rust", "the declared rust-version builds", compatibility::rust),
    check("wasm", "the core builds for wasm32", compatibility::wasm),
    check("minimal", "the lowest versions of dependencies build", compatibility::minimal),
    check("api", "the public API is as written down", compatibility::api),
    check("semver", "nothing breaks since the last release", compatibility::semver),
    check("core", "the size of the core's tree", dependencies::core),
    check("dependencies", "their sources, versions and licences", dependencies::deny),
    check("licences", "those of what is shipped", dependencies::licences),
    check("advisories", "known holes, and yanked crates", dependencies::advisories),
    check("packages", "what would be published, built", publishing::packages),
    check("python", "the official Python client against the emulator", behaviour::python),
    check("counts", "instructions, held to their targets", behaviour::counts),
    check("fuzz", "each target for a while", behaviour::fuzz),
    check("mutation", "each mutant of the core is caught", behaviour::mutation),
];

const fn check(
    name: &'static str,
    about: &'static str,
    run: fn(&Shell) -> Result<String, Stop>,
) -> Check {
    Check { name, about, run }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_stands_in_the_readme_of_the_tests() {
        let readme = include_str!("../../tests/README.md");
        for check in CHECKS {
            assert!(readme.contains(&format!("`{}`", check.name)), "{}", check.name);
        }
    }
}
