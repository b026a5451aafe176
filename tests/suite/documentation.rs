//! What the pages refer to exists, and their `curl` commands work.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oneclick_emulator::Server;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every page in Markdown, by its path from the root.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    let folders =
        ["", "docs", "examples", "examples/postgres", "tests"].map(|name| root().join(name));
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.into_iter().chain(crates) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    pages
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The texts between backticks, outside of code blocks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let text = page("SECURITY.md");
    let mut sources = String::new();
    for folder in ["crates", "tests"] {
        read(&root().join(folder), &mut sources);
    }
    let names = quoted(&text).filter(|name| {
        name.contains('_') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    let mut count = 0;
    for name in names.filter(|name| *name != "customer_email") {
        let found = [format!("fn {name}("), format!("fn {name}<")];
        assert!(found.iter().any(|found| sources.contains(found)), "there is no test {name}");
        count += 1;
    }
    assert!(count > 20, "{count} tests are named");
}

/// Reads every source below a folder.
fn read(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for (path, text) in pages() {
        let prose: String = text.split("```").step_by(2).collect();
        let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                assert!(anchors(&target).contains(anchor), "{}: {link}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count} links");
}

/// The names that GitHub gives to headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept =
                |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
            let text: String = line.trim_start_matches('#').trim().chars().filter(kept).collect();
            text.to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = page("ARCHITECTURE.md");
    let mut places = vec![root()];
    for name in ["proto", "emulator", "outbox", "cli"] {
        let place = root().join(format!("crates/oneclick-{name}"));
        places.extend([place.join("src"), place]);
    }
    let words = text.split(|letter: char| letter.is_whitespace() || "`()[],;:".contains(letter));
    let is_file = |word: &&str| {
        let named = [".rs", ".md", ".toml"].iter().any(|end| word.ends_with(end));
        let folder = word.ends_with('/') && !word.starts_with('/');
        word.len() > 4 && (named || folder)
    };
    let mut count = 0;
    for word in words.filter(is_file) {
        let file = word
            .strip_prefix("oneclick-")
            .map_or_else(|| word.to_owned(), |rest| format!("crates/oneclick-{rest}"));
        assert!(places.iter().any(|place| place.join(&file).exists()), "there is no {word}");
        count += 1;
    }
    assert!(count > 80, "{count} files");
}

#[test]
fn every_name_in_the_architecture_and_the_guides_is_in_the_code() {
    let mut sources = String::new();
    for folder in ["crates", "examples", "tests", "xtask"] {
        read(&root().join(folder), &mut sources);
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let known: BTreeSet<&str> = sources.split(|letter| !is_name(letter)).collect();
    let mut count = 0;
    for (path, text) in pages() {
        if !path.ends_with("ARCHITECTURE.md") && !path.starts_with(root().join("docs")) {
            continue;
        }
        for quoted in quoted(&text) {
            let name = quoted.trim_end_matches("()").trim_end_matches('!');
            if name.is_empty() || !name.chars().all(|letter| is_name(letter) || letter == ':') {
                continue;
            }
            for part in name.split("::") {
                assert!(known.contains(part), "{}: there is no {quoted}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count} names");
}

#[test]
fn every_page_says_for_whom_it_is() {
    for (path, text) in pages() {
        // Those of the crates are the first page of their documentation.
        if path.starts_with(root().join("crates")) {
            continue;
        }
        let first = text.lines().skip(1).find(|line| !line.is_empty()).unwrap();
        assert!(first.starts_with("For "), "{}: {first}", path.display());
    }
}

/// As a reader types them, one page after another, each at a new emulator.
#[test]
#[cfg(unix)]
fn every_curl_command_works_as_it_is_typed() {
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let mut count = 0;
    // Those of `oneclick outbox serve` are run by the tests of the command.
    for (path, text) in pages().into_iter().filter(|(path, _)| !path.ends_with("docs/serve.md")) {
        let server = Server::start().unwrap();
        let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let blocks: String = blocks.collect();
        for command in blocks.replace("\\\n", " ").lines() {
            if !command.starts_with("curl ") {
                continue;
            }
            let command = command.replace("http://127.0.0.1:8787", server.base_url());
            let strict = command.replacen("curl ", "curl --fail --noproxy '*' ", 1);
            let done = Command::new("/bin/sh").args(["-ec", &strict]).output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{}: {command}: {said}", path.display());
            count += 1;
        }
    }
    assert!(count > 5, "{count} commands");
}
