//! rustdoc's description of a crate as JSON.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::shell::{Shell, Stop};

/// The version of the JSON format that we read, which Rust 1.95 writes.
const FORMAT: u64 = 57;

/// The description of a crate with all features. The format is unstable.
pub(super) fn json(shell: &Shell, package: &str) -> Result<Value, Stop> {
    shell
        .cargo("rustdoc --lib --all-features --locked --package")
        .arg(package)
        .args("-- -Zunstable-options --output-format json")
        .env("RUSTC_BOOTSTRAP", "1")
        .apart("bootstrap")
        .output()?;
    let json: Value = serde_json::from_slice(&fs::read(file(shell, package))?)?;
    match json["format_version"].as_u64() {
        Some(FORMAT) => Ok(json),
        format => Err(Stop::Impossible(format!(
            "this Rust writes format {} of rustdoc's JSON; the check reads format {FORMAT}",
            format.unwrap_or_default()
        ))),
    }
}

pub(super) fn file(shell: &Shell, package: &str) -> PathBuf {
    shell.scratch.join(format!("bootstrap/doc/{}.json", package.replace('-', "_")))
}
