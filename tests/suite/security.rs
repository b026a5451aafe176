//! The tests that `SECURITY.md` refers to exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_named_in_the_threat_model_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut sources = String::new();
    for folder in ["crates", "tests"] {
        read(&root.join(folder), &mut sources);
    }
    let names = text.split('`').skip(1).step_by(2).filter(|name| {
        name.contains('_') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    let mut count = 0;
    for name in names {
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
