//! The commands of `docs/command.md` and `docs/apply.md`, as a reader types them.

use std::process::Command;

use super::support::Setup;

#[test]
fn the_commands_of_the_guide_do_what_they_say() {
    let setup = Setup::of("http://127.0.0.1:1");
    let orders = "A-1001,ada@example.com,5\nA-1002,grace@example.com,1\n";
    std::fs::write(setup.home.join("orders.csv"), orders).unwrap();
    let count = type_in(&setup, include_str!("../../../../docs/command.md"));
    assert!(count >= 5, "{count} blocks");
    let read = |file| std::fs::read_to_string(setup.home.join(file)).unwrap();
    assert!(read("impact.svg").contains("<svg"));
    assert!(read("customers.csv").contains("ada@example.com"));
    assert!(read("oneclick.1").contains("oneclick"));
}

#[test]
fn the_file_of_the_guide_is_bought_once() {
    let guide = include_str!("../../../../docs/apply.md");
    let setup = Setup::of("http://127.0.0.1:1");
    let file = guide.split("```csv\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    std::fs::write(setup.home.join("orders.csv"), file).unwrap();
    assert_eq!(type_in(&setup, guide), 2);
    let impact = setup.run_ok(&["--local", "impact", "--json"]);
    assert!(impact.contains("\"tree_planted\": 5") && impact.contains("\"money_donated\": 525"));
    let results = std::fs::read_to_string(setup.home.join("orders.results.csv")).unwrap();
    assert_eq!(results.matches("already_bought").count(), 3, "{results}");
    let header = results.lines().next().unwrap();
    let named = header.split(',').all(|column| guide.contains(&format!("`{column}`")));
    assert!(named, "{header}");
}

/// Runs the blocks of a page, and returns how many there are.
fn type_in(setup: &Setup, guide: &str) -> usize {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_oneclick"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());

    let blocks = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut count = 0;
    for block in blocks {
        let typed =
            |line: &&str| !line.starts_with("cargo ") && !line.starts_with("oneclick doctor");
        let script: String = block.lines().filter(typed).flat_map(|line| [line, "\n"]).collect();
        let done = Command::new("/bin/sh")
            .args(["-ec", &script])
            .env_clear()
            .env("HOME", &setup.home)
            .env("PATH", &path)
            .current_dir(&setup.home)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !said.contains("exit code"), "{script}: {said}");
        count += 1;
    }
    count
}
