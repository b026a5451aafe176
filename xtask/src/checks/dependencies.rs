//! The crates of others that ours are built with.

use std::fs;
use std::path::PathBuf;

use crate::setup::DENY;
use crate::shell::{Shell, Stop};

/// How many crates the core's dependency tree may have, itself included.
const CORE_CRATES: usize = 20;

pub(crate) fn core(shell: &Shell) -> Result<String, Stop> {
    let printed = shell
        .cargo("tree --package oneclick-proto --edges normal --prefix none --locked")
        .output()?;
    let mut crates: Vec<&str> = printed.lines().filter(|line| line.contains(" v")).collect();
    crates.sort_unstable();
    crates.dedup();
    let words = format!("{} crates of at most {CORE_CRATES}", crates.len());
    if crates.len() <= CORE_CRATES { Ok(words) } else { Err(Stop::Failed(words)) }
}

pub(crate) fn deny(shell: &Shell) -> Result<String, Stop> {
    DENY.required(shell)?;
    shell.cargo("deny --color never check bans licenses sources").output()?;
    Ok("sources, versions and licences are as deny.toml allows".to_owned())
}

/// The list of the crates that are shipped, with their licences, is the recorded one.
pub(crate) fn licences(shell: &Shell) -> Result<String, Stop> {
    let list = list_licences(shell)?;
    if !shell.is_recorded(&licences_file(shell), &list)? {
        let words = "has changed: run `cargo xtask bless`, and review what it changes";
        return Err(Stop::Failed(format!("the list of what is shipped {words}")));
    }
    Ok(format!("{} crates are as recorded in xtask/licences.txt", list.lines().count()))
}

pub(crate) fn write_licences(shell: &Shell) -> Result<(), Stop> {
    fs::write(licences_file(shell), list_licences(shell)?)?;
    Ok(())
}

fn licences_file(shell: &Shell) -> PathBuf {
    shell.root.join("xtask/licences.txt")
}

/// Lists the dependencies of the published crates on every platform, without those that
/// only tests need.
fn list_licences(shell: &Shell) -> Result<String, Stop> {
    DENY.required(shell)?;
    let mut run = shell.cargo("deny --color never --exclude-dev --all-features");
    for package in shell.packages()? {
        if !package["publish"].is_null() {
            run = run.arg("--exclude").arg(package["name"].as_str().unwrap_or_default());
        }
    }
    let printed = run.args("list --layout crate").output()?;
    let lines = printed.lines().filter(|line| line.contains('@'));
    Ok(lines.fold(String::new(), |list, line| list + line + "\n"))
}

pub(crate) fn advisories(shell: &Shell) -> Result<String, Stop> {
    DENY.required(shell)?;
    let (_, printed) = shell.cargo("deny --color never fetch db").outcome()?;
    if printed.contains("failed to fetch") {
        return Err(Stop::Impossible("the advisory database cannot be downloaded".to_owned()));
    }
    shell.cargo("deny --color never check advisories").output()?;
    Ok("no advisory, and no yanked crate".to_owned())
}
