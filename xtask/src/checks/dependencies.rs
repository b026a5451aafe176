//! What others wrote that is built with the crates.

use std::fs;
use std::path::PathBuf;

use crate::shell::{Shell, Stop};

/// How many crates the core's tree may have, itself among them.
const CORE_CRATES: usize = 20;

pub(crate) fn core(shell: &Shell) -> Result<String, Stop> {
    let said = shell
        .cargo("tree --package oneclick-proto --edges normal --prefix none --locked")
        .output()?;
    let mut crates: Vec<&str> = said.lines().filter(|line| line.contains(" v")).collect();
    crates.sort_unstable();
    crates.dedup();
    let words = format!("{} crates, {CORE_CRATES} allowed", crates.len());
    if crates.len() <= CORE_CRATES { Ok(words) } else { Err(Stop::Short(words)) }
}

pub(crate) fn deny(shell: &Shell) -> Result<String, Stop> {
    shell.tool("cargo-deny", None)?;
    shell.cargo("deny --color never check bans licenses sources").output()?;
    Ok("one version of each but those named, known sources, licences that are allowed".to_owned())
}

/// The list of what is shipped, with its licences, is as written down.
pub(crate) fn licences(shell: &Shell) -> Result<String, Stop> {
    let list = list_licences(shell)?;
    if !shell.is_written(&licences_file(shell), &list)? {
        let words = "are not as written down: look at what `cargo xtask bless` changes";
        return Err(Stop::Short(format!("the licences of what is shipped {words}")));
    }
    Ok(format!("{} crates are as written down in xtask/licences.txt", list.lines().count()))
}

pub(crate) fn write_licences(shell: &Shell) -> Result<(), Stop> {
    fs::write(licences_file(shell), list_licences(shell)?)?;
    Ok(())
}

fn licences_file(shell: &Shell) -> PathBuf {
    shell.root.join("xtask/licences.txt")
}

/// Of the published crates, on every platform, without what only their tests need.
fn list_licences(shell: &Shell) -> Result<String, Stop> {
    shell.tool("cargo-deny", None)?;
    let mut run = shell.cargo("deny --color never --exclude-dev --all-features");
    for package in shell.packages()? {
        if !package["publish"].is_null() {
            run = run.arg("--exclude").arg(package["name"].as_str().unwrap_or_default());
        }
    }
    let said = run.arg("list").arg("--layout").arg("crate").output()?;
    let lines = said.lines().filter(|line| line.contains('@'));
    Ok(lines.fold(String::new(), |list, line| list + line + "\n"))
}

/// Needs the database of advisories, from where it is kept.
pub(crate) fn advisories(shell: &Shell) -> Result<String, Stop> {
    shell.tool("cargo-deny", None)?;
    let (_, fetched) = shell.cargo("deny --color never fetch db").outcome()?;
    if fetched.contains("failed to fetch") {
        return Err(Stop::Impossible("the advisory database cannot be fetched".to_owned()));
    }
    shell.cargo("deny --color never check advisories").output()?;
    Ok("no advisory, and no yanked crate".to_owned())
}
