//! The list of checks, and the runner that prints a line for each.

use std::time::Instant;

use crate::checks::{behaviour, code, compatibility, dependencies, publishing, workflows};
use crate::shell::{Shell, Stop};

pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Returns what the check found, in a few words.
    pub(crate) run: fn(&Shell) -> Result<String, Stop>,
}

/// All checks; those that are quick and fail often come first.
pub(crate) const CHECKS: &[Check] = &[
    check("format", "rustfmt", code::format),
    check("lints", "clippy, pedantic lints included", code::lints),
    check("no-unsafe", "no unsafe code, build script or procedural macro", code::no_unsafe),
    check("workflows", "zizmor, actionlint and shellcheck", workflows::workflows),
    check("tests", "cargo test", behaviour::tests),
    check("gzip", "tests without the feature gzip", behaviour::gzip),
    check("examples", "each example runs", behaviour::examples),
    check("docs", "rustdoc, and an example for each endpoint", code::docs),
    check("features", "clippy with each set of features", compatibility::features),
    check("rust", "the lowest supported Rust", compatibility::rust),
    check("wasm", "the core builds for wasm32", compatibility::wasm),
    check("minimal", "the lowest versions of the dependencies", compatibility::minimal),
    check("api", "the public API is the recorded one", compatibility::api),
    check("semver", "no breaking change since the last release", compatibility::semver),
    check("core", "how many crates the core depends on", dependencies::core),
    check("dependencies", "sources, versions and licences", dependencies::deny),
    check("licences", "the list of what is shipped", dependencies::licences),
    check("advisories", "known vulnerabilities", dependencies::advisories),
    check("packages", "the packages to publish build", publishing::packages),
    check("python", "the official Python client against the emulator", behaviour::python),
    check("shops", "shops in other languages, on PostgreSQL", behaviour::shops),
    check("counts", "instruction counts and their targets", behaviour::counts),
    check("fuzz", "each fuzz target for a while", behaviour::fuzz),
    check("mutation", "the core's tests catch each mutant", behaviour::mutation),
];

const fn check(
    name: &'static str,
    about: &'static str,
    run: fn(&Shell) -> Result<String, Stop>,
) -> Check {
    Check { name, about, run }
}

/// Runs the wanted checks and prints a line for each. Returns whether none failed.
pub(crate) fn run(wanted: impl Fn(&Check) -> bool) -> Result<bool, String> {
    let begun = Instant::now();
    let (mut passed, mut failed, mut impossible) = (0, 0, 0);
    for check in CHECKS.iter().filter(|check| wanted(check)) {
        let shell = Shell::new(check.name).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let (verdict, found) = match (check.run)(&shell) {
            Ok(found) => {
                passed += 1;
                ("passed", found)
            }
            Err(Stop::Impossible(reason)) => {
                impossible += 1;
                ("not possible", reason)
            }
            Err(Stop::Failed(reason)) => {
                failed += 1;
                eprintln!("{}", shell.end_of_log());
                ("FAILED", reason)
            }
        };
        let seconds = begun.elapsed().as_secs();
        println!("{verdict:<14}{:<14}{found} ({seconds} s)", check.name);
    }
    let seconds = begun.elapsed().as_secs();
    println!("{passed} passed, {failed} failed, {impossible} not possible here ({seconds} s)");
    Ok(failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_of_the_tests_has_each_check() {
        let readme = include_str!("../../tests/README.md");
        for check in CHECKS {
            assert!(readme.contains(&format!("`{}`", check.name)), "{}", check.name);
        }
    }
}
