//! The source code: style, lints, documentation.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::rustdoc;
use crate::shell::{Shell, Stop};

pub(crate) fn format(shell: &Shell) -> Result<String, Stop> {
    shell.cargo("fmt --all --check").output()?;
    // These are workspaces of their own.
    for workspace in ["fuzz", "examples/postgres"] {
        let manifest = format!("fmt --manifest-path {workspace}/Cargo.toml --check");
        shell.cargo(&manifest).output()?;
    }
    Ok("rustfmt would change nothing".to_owned())
}

pub(crate) fn lints(shell: &Shell) -> Result<String, Stop> {
    for packages in ["--workspace", "--package oneclick-benches --all-features"] {
        shell
            .cargo(&format!("clippy {packages} --all-targets --locked -- -D warnings"))
            .output()?;
    }
    Ok("clippy finds nothing, pedantic lints included".to_owned())
}

/// No code that escapes the compiler's checks, and none that runs during a build.
pub(crate) fn no_unsafe(shell: &Shell) -> Result<String, Stop> {
    let manifest = fs::read_to_string(shell.root.join("Cargo.toml"))?;
    if !manifest.contains("unsafe_code = \"forbid\"") {
        return Err(Stop::Failed("the workspace does not forbid unsafe code".to_owned()));
    }
    let packages = shell.packages()?;
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap_or_default())?;
        if !manifest.replace("\r\n", "\n").contains("[lints]\nworkspace = true") {
            return Err(Stop::Failed(format!("{name} does not use the lints of the workspace")));
        }
        let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let runs_in_build = |target: &Value| {
            target["kind"][0] == "custom-build" || target["kind"][0] == "proc-macro"
        };
        if targets.iter().any(runs_in_build) {
            return Err(Stop::Failed(format!("{name} has a build script or a procedural macro")));
        }
    }
    Ok(format!(
        "{} packages forbid unsafe code and have no build script and no procedural macro",
        packages.len()
    ))
}

/// rustdoc gives no warning when it builds the documentation as docs.rs does, and each
/// endpoint has an example that runs. Clippy checks that each item is documented, with its
/// errors.
pub(crate) fn docs(shell: &Shell) -> Result<String, Stop> {
    shell
        .cargo("doc --workspace --no-deps --locked")
        .env("RUSTDOCFLAGS", "-D warnings")
        .output()?;
    // docs.rs shows which feature an item needs, which takes a nightly toolchain.
    for package in shell.published()? {
        shell
            .cargo("doc --all-features --no-deps --locked --package")
            .arg(package)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTDOCFLAGS", "-D warnings --cfg docsrs")
            .apart("bootstrap")
            .output()?;
    }

    let json = rustdoc::json(shell, "oneclick-proto")?;
    let index = json["index"]
        .as_object()
        .ok_or_else(|| Stop::Failed("rustdoc's JSON has no index".to_owned()))?;
    let endpoints: BTreeSet<String> = index
        .values()
        .filter(|item| item["inner"]["impl"]["trait"]["path"] == "Endpoint")
        .filter_map(|item| item["inner"]["impl"]["for"]["resolved_path"]["id"].as_u64())
        .map(|id| id.to_string())
        .collect();
    let runs = |docs: &str| docs.contains("```\n") || docs.contains("```rust");
    let without: Vec<&Value> = endpoints
        .iter()
        .filter_map(|id| index.get(id))
        .filter(|item| !item["docs"].as_str().is_some_and(runs))
        .map(|item| &item["name"])
        .collect();
    if endpoints.is_empty() || !without.is_empty() {
        return Err(Stop::Failed(format!("endpoints without an example: {without:?}")));
    }
    Ok(format!("no warning, and {} endpoints have an example", endpoints.len()))
}
