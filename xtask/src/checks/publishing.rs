//! What would go to a registry.

use std::fs;

use serde_json::Value;

use crate::shell::{Shell, Stop};

pub(crate) fn packages(shell: &Shell) -> Result<String, Stop> {
    let packages = shell.packages()?;
    let published: Vec<&Value> =
        packages.iter().filter(|package| package["publish"].is_null()).collect();
    let changelog = fs::read_to_string(shell.root.join("CHANGELOG.md"))?;
    let mut run = shell.cargo("package --locked --allow-dirty").apart("package");
    for package in &published {
        let name = package["name"].as_str().unwrap_or_default();
        if let Some(what) = missing(package, &changelog) {
            return Err(Stop::Short(format!("{name} has no {what}")));
        }
        run = run.arg("--package").arg(name);
    }
    // Each is unpacked and built from what would be uploaded.
    let said = run.output()?;
    let yanked = said.lines().find(|line| line.contains("is yanked"));
    match yanked {
        Some(line) => Err(Stop::Short(line.trim().to_owned())),
        None => Ok(format!(
            "{} build from what would be uploaded; no crate of the lock file is yanked",
            published.len()
        )),
    }
}

/// What a reader of a registry or of docs.rs would miss.
fn missing(package: &Value, changelog: &str) -> Option<&'static str> {
    let some = |name: &str| package[name].as_array().is_some_and(|list| !list.is_empty());
    let text = |name: &str| package[name].as_str().is_some_and(|text| !text.is_empty());
    let library = package["targets"]
        .as_array()
        .is_some_and(|targets| targets.iter().any(|target| target["kind"][0] == "lib"));
    let docs = &package["metadata"]["docs"]["rs"];
    [
        (text("description"), "description"),
        (text("license"), "licence"),
        (text("rust_version"), "rust-version"),
        (some("keywords"), "keywords"),
        (some("categories"), "categories"),
        (package["readme"] == "README.md", "README of its own"),
        (!library || docs["all-features"] == true, "docs.rs metadata for all features"),
        (
            !library
                || docs["rustdoc-args"]
                    .as_array()
                    .is_some_and(|args| args.contains(&"docsrs".into())),
            "docs.rs metadata for badges of features",
        ),
        (
            package["name"].as_str().is_some_and(|name| changelog.contains(&format!("`{name}`"))),
            "entry in CHANGELOG.md",
        ),
    ]
    .into_iter()
    .find_map(|(there, what)| (!there).then_some(what))
}
