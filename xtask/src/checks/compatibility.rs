//! What the crates build with, and what others rely on.

use std::fs;
use std::path::PathBuf;

use super::rustdoc;
use crate::setup::{HACK, LOWEST_RUST, OLD_RUST, PUBLIC_API, SEMVER_CHECKS, WASM};
use crate::shell::{Shell, Stop};

pub(crate) fn features(shell: &Shell) -> Result<String, Stop> {
    HACK.required(shell)?;
    let mut run = shell
        .cargo("hack clippy --feature-powerset --locked")
        // In the adapters, `default` is another name for `tls`.
        .args("--exclude-features default")
        .env("CARGO_TERM_COLOR", "never");
    for package in shell.published()? {
        run = run.arg("--package").arg(package);
    }
    let printed = run.args("-- -D warnings").output()?;
    let sets = printed.matches("info: running `cargo clippy").count();
    Ok(format!("clippy finds nothing in {sets} sets of features"))
}

/// The lowest Rust that the manifests declare.
pub(crate) fn rust(shell: &Shell) -> Result<String, Stop> {
    OLD_RUST.required(shell)?;
    shell
        .command("rustup run")
        .arg(LOWEST_RUST)
        .args("cargo check --workspace --all-targets --locked")
        .apart("lowest-rust")
        .output()?;
    Ok(format!("all targets build with Rust {LOWEST_RUST}"))
}

/// The core without the feature `proptest`, which needs random numbers that this target
/// cannot give.
pub(crate) fn wasm(shell: &Shell) -> Result<String, Stop> {
    WASM.required(shell)?;
    shell
        .cargo("build --package oneclick-proto --features tracing --locked")
        .args("--target wasm32-unknown-unknown")
        .output()?;
    Ok("the core builds for wasm32-unknown-unknown".to_owned())
}

/// Each direct dependency at the lowest version that the manifests allow.
pub(crate) fn minimal(shell: &Shell) -> Result<String, Stop> {
    let copy = copy(shell, "minimal")?;
    fs::remove_file(copy.join("Cargo.lock"))?;
    // The flag is unstable.
    shell
        .cargo("generate-lockfile -Z direct-minimal-versions")
        .directory(&copy)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()?;
    // One by one, since packages that are built together turn on features for each other.
    let published = shell.published()?;
    for package in &published {
        shell
            .cargo("check --locked --all-features --package")
            .arg(package)
            .directory(&copy)
            .apart("minimal-target")
            .output()?;
    }
    Ok(format!("{} packages build", published.len()))
}

/// The public API of each library is the one recorded in `xtask/api`.
pub(crate) fn api(shell: &Shell) -> Result<String, Stop> {
    let mut items = 0;
    for package in libraries(shell)? {
        let text = public_api(shell, &package)?;
        items += text.lines().count();
        if !shell.is_recorded(&api_file(shell, &package), &text)? {
            return Err(Stop::Failed(format!(
                "the public API of {package} has changed: run `cargo xtask bless`, and review \
                 what it changes"
            )));
        }
    }
    Ok(format!("{items} items are as recorded in xtask/api"))
}

pub(crate) fn write_api(shell: &Shell) -> Result<(), Stop> {
    fs::create_dir_all(shell.root.join("xtask/api"))?;
    for package in libraries(shell)? {
        fs::write(api_file(shell, &package), public_api(shell, &package)?)?;
    }
    Ok(())
}

/// No breaking change since the last release.
pub(crate) fn semver(shell: &Shell) -> Result<String, Stop> {
    let Some(release) = last_release(shell)? else {
        let words = "nothing is released yet; this check begins with the tag v0.1.0";
        return Err(Stop::Impossible(words.to_owned()));
    };
    SEMVER_CHECKS.required(shell)?;
    let mut run = shell.cargo("semver-checks --baseline-rev").arg(&release).apart("semver");
    for package in libraries(shell)? {
        run = run.arg("--package").arg(package);
    }
    run.output()?;
    Ok(format!("nothing breaks since {release}"))
}

/// The tag of the last release, if there is one.
pub(crate) fn last_release(shell: &Shell) -> Result<Option<String>, Stop> {
    let tags = shell.command("git tag --list v[0-9]* --sort=-version:refname").output()?;
    Ok(tags.lines().next().map(str::to_owned))
}

/// The packages to publish that are libraries.
fn libraries(shell: &Shell) -> Result<Vec<String>, Stop> {
    let mut published = shell.published()?;
    published.retain(|package| shell.root.join(format!("crates/{package}/src/lib.rs")).exists());
    Ok(published)
}

fn api_file(shell: &Shell, package: &str) -> PathBuf {
    shell.root.join(format!("xtask/api/{package}.txt"))
}

fn public_api(shell: &Shell, package: &str) -> Result<String, Stop> {
    PUBLIC_API.required(shell)?;
    rustdoc::json(shell, package)?;
    let text = shell
        .cargo("public-api -sss --color never --rustdoc-json")
        .arg(rustdoc::file(shell, package))
        .output()?;
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n"))
}

/// A copy of the files of the workspace, for tools that write into the tree.
fn copy(shell: &Shell, name: &str) -> Result<PathBuf, Stop> {
    let copy = shell.scratch.join(name);
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let listed = shell.command("git ls-files --cached --others --exclude-standard").output()?;
    for file in listed.lines().filter(|line| !line.is_empty()) {
        let (from, to) = (shell.root.join(file), copy.join(file));
        // Deleted, but still in the index of git.
        if !from.is_file() {
            continue;
        }
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(from, to)?;
    }
    Ok(copy)
}
