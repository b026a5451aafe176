//! The packages to publish.

use std::fs;

use serde_json::Value;

use crate::shell::{Shell, Stop};

pub(crate) fn packages(shell: &Shell) -> Result<String, Stop> {
    let packages = shell.packages()?;
    let published: Vec<&Value> =
        packages.iter().filter(|package| package["publish"].is_null()).collect();
    let changelog = fs::read_to_string(shell.root.join("CHANGELOG.md"))?;
    // The profile of the workspace, which a package does not contain: dependencies that the
    // tests have built are not built again.
    let mut run = shell
        .cargo("package --locked --allow-dirty")
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    // cargo takes a package of the same version for the same package, and would build the
    // others against an earlier one.
    let mut clean = shell.cargo("clean --quiet --profile dev");
    for package in &published {
        let name = package["name"].as_str().unwrap_or_default();
        if let Some(missing) = missing(package, &changelog) {
            return Err(Stop::Failed(format!("{name} has no {missing}")));
        }
        run = run.arg("--package").arg(name);
        clean = clean.arg("--package").arg(name);
    }
    clean.output()?;
    // cargo unpacks each package and builds it.
    let printed = run.output()?;
    let yanked = printed.lines().find(|line| line.contains("is yanked"));
    match yanked {
        Some(line) => Err(Stop::Failed(line.trim().to_owned())),
        None => Ok(format!(
            "{} packages build, and no crate of the lock file is yanked",
            published.len()
        )),
    }
}

/// The first field that the pages of crates.io or docs.rs need and this package lacks.
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
        (package["readme"] == "README.md", "README.md"),
        (!library || docs["all-features"] == true, "docs.rs metadata for all features"),
        (
            !library
                || docs["rustdoc-args"]
                    .as_array()
                    .is_some_and(|args| args.contains(&"docsrs".into())),
            "docs.rs metadata that shows which feature an item needs",
        ),
        (
            package["name"].as_str().is_some_and(|name| changelog.contains(&format!("`{name}`"))),
            "entry in CHANGELOG.md",
        ),
    ]
    .into_iter()
    .find_map(|(there, field)| (!there).then_some(field))
}
