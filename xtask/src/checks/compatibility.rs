//! With what the crates build, and what of them others build on.

use std::fs;
use std::path::PathBuf;

use super::rustdoc;
use crate::shell::{Shell, Stop};

const PUBLIC_API: &str = "0.52.0";

pub(crate) fn features(shell: &Shell) -> Result<String, Stop> {
    shell.tool("cargo-hack", None)?;
    let mut run =
        shell.cargo("hack clippy --feature-powerset --no-dev-deps --no-private --workspace");
    // It takes the dev-dependencies out of the manifests for a while: not ours.
    let copy = copy(shell, "features")?;
    run = run.directory(&copy).env("CARGO_TERM_COLOR", "never").apart("features");
    let said = run.arg("--").arg("-D").arg("warnings").output()?;
    let sets = said.matches("info: running `cargo clippy").count();
    Ok(format!("clippy finds nothing in {sets} sets of features"))
}

/// The lowest Rust that the manifest declares: by rustup if it has it, or Debian's.
pub(crate) fn rust(shell: &Shell) -> Result<String, Stop> {
    let rust = old_rust(shell, "cargo check --workspace --all-targets --locked --offline")?;
    Ok(format!("all targets build with {rust}"))
}

/// The core and its tracing: proptest draws random numbers, which this target has
/// no source of.
pub(crate) fn wasm(shell: &Shell) -> Result<String, Stop> {
    const WORDS: &str = "cargo build --package oneclick-proto --features tracing --target wasm32-unknown-unknown --locked --offline";
    let (builds, _) = shell.command(WORDS).apart("wasm").outcome()?;
    if builds {
        return Ok("the core builds for wasm32-unknown-unknown".to_owned());
    }
    let rust = old_rust(shell, WORDS)?;
    Ok(format!("the core builds for wasm32-unknown-unknown with {rust}"))
}

/// Runs words of cargo's with the declared `rust-version`; which Rust that was.
fn old_rust(shell: &Shell, words: &str) -> Result<String, Stop> {
    shell.cargo("fetch --locked").output()?;
    let packages = shell.packages()?;
    let version = packages.iter().find_map(|package| package["rust_version"].as_str());
    let version = version.ok_or_else(|| Stop::Short("no rust-version is declared".to_owned()))?;
    // Where there is no rustup, it has not installed it.
    let (installed, said) = shell
        .command(&format!("rustup run {version} rustc --version"))
        .outcome()
        .unwrap_or_default();
    if installed {
        shell
            .command(&format!("rustup run {version} {words}"))
            .apart(&format!("rust-{version}"))
            .output()?;
        return Ok(said.trim().to_owned());
    }
    let said = shell
        .command("xtask/debian-rust")
        .arg(version)
        .arg(shell.scratch.join("debian"))
        .arg(words)
        .output()?;
    match said.lines().find_map(|line| line.strip_prefix("not run: ")) {
        Some(why) => Err(Stop::Impossible(why.to_owned())),
        None => Ok(said.lines().find(|line| line.starts_with("rustc ")).unwrap_or("").to_owned()),
    }
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
    // One by one: built together, they would turn on features for each other.
    let published = shell.published()?;
    for package in &published {
        shell
            .cargo("check --locked --all-features --package")
            .arg(package)
            .directory(&copy)
            .apart("minimal-target")
            .output()?;
    }
    Ok(format!("{} published crates build", published.len()))
}

/// The public API of each library, as it is written down.
pub(crate) fn api(shell: &Shell) -> Result<String, Stop> {
    let mut items = 0;
    for package in libraries(shell)? {
        let text = public_api(shell, &package)?;
        items += text.lines().count();
        if !shell.is_written(&api_file(shell, &package), &text)? {
            let words = "is not as written down: look at what `cargo xtask bless` changes";
            return Err(Stop::Short(format!("the API of {package} {words}")));
        }
    }
    Ok(format!("{items} items are as written down in xtask/api"))
}

pub(crate) fn write_api(shell: &Shell) -> Result<(), Stop> {
    fs::create_dir_all(shell.root.join("xtask/api"))?;
    for package in libraries(shell)? {
        fs::write(api_file(shell, &package), public_api(shell, &package)?)?;
    }
    Ok(())
}

/// Held against the newest release, which is a tag.
pub(crate) fn semver(shell: &Shell) -> Result<String, Stop> {
    let tags = shell.command("git tag --list v[0-9]* --sort=-version:refname").output()?;
    let Some(release) = tags.lines().next() else {
        let words = "nothing is released yet; a tag v0.1.0 makes this check begin";
        return Err(Stop::Impossible(words.to_owned()));
    };
    shell.tool("cargo-semver-checks", None)?;
    let mut run = shell.cargo("semver-checks --baseline-rev").arg(release).apart("semver");
    for package in libraries(shell)? {
        run = run.arg("--package").arg(package);
    }
    run.output()?;
    Ok(format!("nothing breaks since {release}"))
}

/// Published, and with a library: others build on them.
fn libraries(shell: &Shell) -> Result<Vec<String>, Stop> {
    let mut published = shell.published()?;
    published.retain(|package| shell.root.join(format!("crates/{package}/src/lib.rs")).exists());
    Ok(published)
}

fn api_file(shell: &Shell, package: &str) -> PathBuf {
    shell.root.join(format!("xtask/api/{package}.txt"))
}

fn public_api(shell: &Shell, package: &str) -> Result<String, Stop> {
    shell.tool("cargo-public-api", Some(PUBLIC_API))?;
    rustdoc::json(shell, package)?;
    let text = shell
        .cargo("public-api -sss --color never --rustdoc-json")
        .arg(rustdoc::file(shell, package))
        .output()?;
    // The first line is the command.
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n"))
}

/// A copy of what git tracks, for tools that write into the tree.
fn copy(shell: &Shell, name: &str) -> Result<PathBuf, Stop> {
    let copy = shell.scratch.join(name);
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let listed = shell.command("git ls-files --cached --others --exclude-standard").output()?;
    for file in listed.lines().filter(|line| !line.is_empty()) {
        let (from, to) = (shell.root.join(file), copy.join(file));
        // Deleted, and not yet told to git.
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
