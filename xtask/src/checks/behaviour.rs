//! How the crates behave when they run.

use std::fs;

use serde_json::Value;

use crate::setup::{FUZZ, GUNGRAUN, LIBPQ, MUTANTS, NIGHTLY_RUST, POSTGRES, PYTHON, VALGRIND};
use crate::shell::{Shell, Stop};

/// How many times each fuzz target runs.
const FUZZ_RUNS: &str = "20000";
/// The official Python client.
const PYTHON_CLIENT: &str = "makeimpact==2.0.0";
/// A driver of PostgreSQL for Python.
const PSYCOPG: &str = "psycopg[binary]==3.3.9";

pub(crate) fn tests(shell: &Shell) -> Result<String, Stop> {
    let printed = shell.cargo("test --workspace --locked").output()?;
    Ok(format!("{} tests passed", passed(&printed)))
}

/// The modules of the suite whose expectations depend on the feature.
pub(crate) fn gzip(shell: &Shell) -> Result<String, Stop> {
    let mut tests = 0;
    for module in ["gzip::", "responses::"] {
        let run = shell.cargo("test --package oneclick-tests --no-default-features --locked");
        let printed = run.args("--test suite --").arg(module).output()?;
        match passed(&printed) {
            0 => return Err(Stop::Failed(format!("the suite has no test in {module}"))),
            number => tests += number,
        }
    }
    Ok(format!("{tests} tests passed without the feature gzip"))
}

/// Adds up the summaries that `cargo test` prints.
fn passed(printed: &str) -> u32 {
    let lines = printed.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
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
        // Without these variables, the examples start an emulator of their own.
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

pub(crate) fn python(shell: &Shell) -> Result<String, Stop> {
    PYTHON.required(shell)?;
    let python = shell.python_environment("python", PYTHON_CLIENT)?.join("python");
    shell.cargo("build --package oneclick-emulator --package oneclick-cli --locked").output()?;
    let printed = shell
        .program(python)
        .arg("tests/python_sdk.py")
        .arg(shell.target.join("debug/oneclick-emulator"))
        .arg(shell.target.join("debug/oneclick"))
        .output()?;
    let last = printed.lines().last().unwrap_or_default();
    Ok(format!("{PYTHON_CLIENT}: {last}"))
}

/// Runs each shop of `examples/postgres` that needs more than the workspace against a server of
/// its own. Shops in a language that this machine lacks are left out.
pub(crate) fn shops(shell: &Shell) -> Result<String, Stop> {
    POSTGRES.required(shell)?;
    let (mut passed, mut left_out) = (Vec::new(), Vec::new());
    for prepare in [rust_shops, python_shop, node_shop] {
        let shops = match prepare(shell) {
            Ok(shops) => shops,
            Err(Stop::Impossible(reason)) => {
                left_out.push(reason);
                continue;
            }
            Err(stop) => return Err(stop),
        };
        for (name, command_line) in shops {
            shell
                .cargo("test --package oneclick-examples --test postgres_shop --locked")
                .env("ONECLICK_SHOP_ON_POSTGRES", command_line.join("\n"))
                .output()?;
            passed.push(name);
        }
    }
    let passed = format!("{} passed", passed.join(", "));
    if left_out.is_empty() {
        return Ok(passed);
    }
    Err(Stop::Impossible(format!("{passed}; left out: {}", left_out.join("; "))))
}

/// The name of a shop and its command line.
type Shop = (&'static str, Vec<String>);

fn rust_shops(shell: &Shell) -> Result<Vec<Shop>, Stop> {
    LIBPQ.required(shell)?;
    shell
        .cargo("build --manifest-path examples/postgres/Cargo.toml --locked")
        .env("RUSTFLAGS", "-D warnings")
        .apart("shops")
        .output()?;
    let program = |name| shell.scratch.join("shops/debug").join(name).display().to_string();
    Ok(["with_sqlx", "with_diesel"].map(|name| (name, vec![program(name)])).into())
}

fn python_shop(shell: &Shell) -> Result<Vec<Shop>, Stop> {
    PYTHON.required(shell)?;
    let python = shell.python_environment("psycopg", PSYCOPG)?.join("python");
    let shop = shell.root.join("examples/postgres/with_psycopg.py");
    Ok(vec![("with_psycopg", vec![python.display().to_string(), shop.display().to_string()])])
}

fn node_shop(shell: &Shell) -> Result<Vec<Shop>, Stop> {
    let impossible = |reason: &str| Stop::Impossible(reason.to_owned());
    let npm = shell.command("npm --version").output();
    npm.map_err(|_| impossible("this machine has no Node with npm"))?;
    // Node looks for modules beside the program.
    let folder = shell.scratch.join("node-shop");
    fs::create_dir_all(&folder)?;
    for file in ["package.json", "with_pg.mjs"] {
        fs::copy(shell.root.join("examples/postgres").join(file), folder.join(file))?;
    }
    let install = shell.command("npm install --no-audit --no-fund").directory(&folder);
    install.output().map_err(|_| impossible("npm cannot install pg"))?;
    let shop = folder.join("with_pg.mjs").display().to_string();
    Ok(vec![("with_pg", vec!["node".to_owned(), shop])])
}

/// Instruction counts are the same in every run, so they have targets; times are not.
pub(crate) fn counts(shell: &Shell) -> Result<String, Stop> {
    VALGRIND.required(shell)?;
    GUNGRAUN.required(shell)?;
    // With the features that the counts are built with, so that they share every dependency.
    let printed = shell
        .cargo("run --release --package oneclick-benches --features counts --locked -- counts")
        .output()?;
    let rows = printed.lines().filter(|line| line.starts_with('|')).count();
    Ok(format!("{} counts meet their targets", rows.saturating_sub(2)))
}

/// Runs each fuzz target, or only the one that `FUZZ_TARGET` names.
pub(crate) fn fuzz(shell: &Shell) -> Result<String, Stop> {
    NIGHTLY_RUST.required(shell)?;
    FUZZ.required(shell)?;
    let mut run = shell.command("fuzz/run").arg(FUZZ_RUNS);
    let only = std::env::var("FUZZ_TARGET").ok();
    if let Some(target) = &only {
        run = run.arg(target);
    }
    let printed = run.output()?;
    match (printed.matches("number_of_executed_units").count(), only) {
        (0, _) => Err(Stop::Failed("no target ran".to_owned())),
        (_, Some(target)) => Ok(format!("the target {target}, up to {FUZZ_RUNS} runs")),
        (targets, None) => Ok(format!("{targets} targets, up to {FUZZ_RUNS} runs each")),
    }
}

/// Runs cargo-mutants over the core, with the settings in `.cargo/mutants.toml`. All mutants
/// take more than an hour; `MUTATION_SHARD=0/24` takes the first of 24 parts.
pub(crate) fn mutation(shell: &Shell) -> Result<String, Stop> {
    MUTANTS.required(shell)?;
    let mut run = shell
        .cargo("mutants --package oneclick-proto --jobs 2 --no-times --colors never --output")
        .arg(&shell.scratch)
        // A fixed seed: a mutant that is caught once is caught in every run.
        .env("PROPTEST_RNG_SEED", "7");
    let shard = std::env::var("MUTATION_SHARD").ok();
    if let Some(shard) = &shard {
        run = run.arg("--shard").arg(shard);
    }
    let (_, printed) = run.outcome()?;
    let outcomes = fs::read(shell.scratch.join("mutants.out/outcomes.json"))?;
    let outcomes: Value = serde_json::from_slice(&outcomes)?;
    let count = |name: &str| outcomes[name].as_u64().unwrap_or_default();
    let (caught, missed, timeouts) = (count("caught"), count("missed"), count("timeout"));
    let counts = format!(
        "{}{caught} caught, {timeouts} timed out, {missed} missed, {} do not build",
        shard.map(|shard| format!("shard {shard}: ")).unwrap_or_default(),
        count("unviable"),
    );
    if missed == 0 && caught > 0 {
        return Ok(counts);
    }
    let lines = printed.lines().filter(|line| line.starts_with("MISSED"));
    Err(Stop::Failed(format!("{counts}: {}", lines.collect::<Vec<_>>().join("; "))))
}
