//! What the workspace does when it runs.

use std::fs;

use serde_json::Value;

use crate::shell::{Shell, Stop};

/// How often each fuzz target runs.
const FUZZ_RUNS: &str = "20000";
/// The client that the emulator is held against.
const PYTHON_CLIENT: &str = "makeimpact==2.0.0";

pub(crate) fn tests(shell: &Shell) -> Result<String, Stop> {
    let said = shell.cargo("test --workspace --locked").output()?;
    Ok(format!("{} passed", passed(&said)))
}

pub(crate) fn gzip(shell: &Shell) -> Result<String, Stop> {
    let said = shell
        .cargo("test --package oneclick-tests --no-default-features --locked -- gzip responses")
        .output()?;
    Ok(format!("without the feature nobody asks for it: {} passed", passed(&said)))
}

/// Adds up cargo's own summaries.
fn passed(said: &str) -> u32 {
    let lines = said.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    lines.filter_map(|line| line.split(' ').next()?.parse::<u32>().ok()).sum()
}

pub(crate) fn examples(shell: &Shell) -> Result<String, Stop> {
    let mut names: Vec<String> = Vec::new();
    for file in fs::read_dir(shell.root.join("examples"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    for name in &names {
        // The embedded emulator, whatever the environment of the machine says.
        shell
            .cargo("run --quiet --locked --example")
            .arg(name)
            .without_env("ONECLICK_API_KEY")
            .without_env("ONECLICK_BASE_URL")
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .output()?;
    }
    Ok(format!("{} ran: {}", names.len(), names.join(", ")))
}

/// Somebody else's client, which this machine may have no way to get.
pub(crate) fn python(shell: &Shell) -> Result<String, Stop> {
    let home = shell.scratch.join("python");
    let python = home.join("bin/python");
    let made = shell.command("python3 -m venv").arg(&home).output();
    made.map_err(|_| Stop::Impossible("no python3 with venv".to_owned()))?;
    shell
        .command(&python.to_string_lossy())
        .arg("-m")
        .arg("pip")
        .arg("install")
        .arg("--quiet")
        .arg(PYTHON_CLIENT)
        .output()
        .map_err(|_| Stop::Impossible(format!("{PYTHON_CLIENT} cannot be installed")))?;
    shell.cargo("build --package oneclick-emulator --locked").output()?;
    let emulator = shell.scratch.join("../debug/oneclick-emulator");
    let said = shell
        .command(&python.to_string_lossy())
        .arg("tests/python_sdk.py")
        .arg(emulator)
        .output()?;
    let last = said.lines().last().unwrap_or_default();
    Ok(format!("{PYTHON_CLIENT}: {last}"))
}

/// They repeat to the digit, so they are held to their targets; times are not.
pub(crate) fn counts(shell: &Shell) -> Result<String, Stop> {
    if shell.command("valgrind --version").output().is_err() {
        for words in ["apt-get update", "apt-get install --yes valgrind"] {
            shell.command(words).output().map_err(|_| {
                Stop::Impossible("no valgrind, and no way to install it".to_owned())
            })?;
        }
    }
    // The runner must be of the library's version.
    let id = shell.cargo("pkgid --package gungraun --locked").output()?;
    let version = id.trim().rsplit(['@', '#']).next().unwrap_or_default();
    shell.tool("gungraun-runner", Some(version))?;
    let said =
        shell.cargo("run --release --package oneclick-benches --locked -- counts").output()?;
    let rows = said.lines().filter(|line| line.starts_with('|')).count();
    Ok(format!("{} figures within their targets", rows.saturating_sub(2)))
}

pub(crate) fn fuzz(shell: &Shell) -> Result<String, Stop> {
    let said = shell.command("fuzz/run").arg(FUZZ_RUNS).output()?;
    if let Some(why) = said.lines().find_map(|line| line.strip_prefix("not run: ")) {
        return Err(Stop::Impossible(why.to_owned()));
    }
    let targets = said.matches("number_of_executed_units").count();
    Ok(format!("{targets} targets, up to {FUZZ_RUNS} runs each"))
}

/// cargo-mutants over the core, as `.cargo/mutants.toml` says. It takes more than
/// an hour; `MUTATION_SHARD=0/8` takes the first eighth.
pub(crate) fn mutation(shell: &Shell) -> Result<String, Stop> {
    shell.tool("cargo-mutants", None)?;
    let mut run = shell
        .cargo("mutants --package oneclick-proto --jobs 2 --no-times --colors never --output")
        .arg(&shell.scratch)
        // The same cases in every run: what is caught once is caught again.
        .env("PROPTEST_RNG_SEED", "7");
    let shard = std::env::var("MUTATION_SHARD").ok();
    if let Some(shard) = &shard {
        run = run.arg("--shard").arg(shard);
    }
    let (_, said) = run.outcome()?;
    let outcomes = fs::read(shell.scratch.join("mutants.out/outcomes.json"))?;
    let outcomes: Value = serde_json::from_slice(&outcomes)?;
    let count = |name: &str| outcomes[name].as_u64().unwrap_or_default();
    let (caught, missed, endless) = (count("caught"), count("missed"), count("timeout"));
    let words = format!(
        "{}{caught} caught, {endless} never end, {missed} survive, {} do not build",
        shard.map(|shard| format!("shard {shard}: ")).unwrap_or_default(),
        count("unviable"),
    );
    if missed == 0 && caught > 0 {
        return Ok(words);
    }
    let survivors = said.lines().filter(|line| line.starts_with("MISSED"));
    Err(Stop::Short(format!("{words}: {}", survivors.collect::<Vec<_>>().join("; "))))
}
