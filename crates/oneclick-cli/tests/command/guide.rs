//! The commands of `docs/command.md`, `docs/apply.md` and `docs/outbox.md`, as a reader types them.

use std::process::Command;

use oneclick_emulator::Server;
use oneclick_outbox::{Outbox, Status, postgres};
use oneclick_ureq::{PlantTree, Trees};

use super::server;
use super::support::{Setup, bought};

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

#[test]
fn the_commands_of_the_page_for_operators_work() {
    let setup = Setup::of("http://127.0.0.1:1");
    let path = setup.home.join("shop.db");
    operate(path.to_str().unwrap(), || Outbox::open(&path).unwrap(), None);

    if !server::is_possible() {
        println!("left out: this machine has no PostgreSQL");
        return;
    }
    let server = server::Server::start();
    let url = super::postgres::url(&server, "postgres");
    postgres::migrate(&url).unwrap();
    operate(&url, || Outbox::postgres(&url).unwrap(), Some(&url));
}

/// Types the commands of the page for operators about the outbox at this place.
fn operate(name: &str, open: impl Fn() -> Outbox, owner: Option<&str>) {
    let page = include_str!("../../../../docs/outbox.md");
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let outbox = open();
    for key in ["A-1001", "A-1001-again"] {
        outbox.enqueue("shop", key, PlantTree::new(Trees::of::<5>())).unwrap();
    }
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let mut count = 0;
    for block in blocks(page) {
        let mut script = format!(
            "export ONECLICK_API_KEY={} ONECLICK_BASE_URL={} ONECLICK_DATABASE='{name}'\n",
            setup.key, setup.url,
        );
        for line in block.lines() {
            // What is there for the other database, or not on this machine, is left out.
            let other = match line.split(' ').next().unwrap() {
                "sqlite3" => owner.is_some() || !has("sqlite3"),
                "pg_dump" => owner.is_none() || !has("pg_dump"),
                "export" => true,
                _ => line.contains("postgres://") && owner.is_none(),
            };
            if !other {
                // The one that runs for ever ends once it has nothing to do.
                let line = line.replace("work --yes", "work --yes --once --quiet");
                let owner = format!("'{}'", owner.unwrap_or_default());
                script += &(line.replace("postgres://owner@localhost/shop", &owner) + "\n");
            }
        }
        run(&setup, &script);
        count += 1;
    }
    assert!(count >= 6, "{count} blocks");
    let status = |key| outbox.find("shop", key).unwrap().unwrap().status;
    assert_eq!(status("A-1001-again"), Status::Dropped);
    // It was stored before the worker began.
    assert_eq!((status("A-1001"), bought(&server)), (Status::Open, 0));
}

/// Runs the blocks of a page, and returns how many there are.
fn type_in(setup: &Setup, guide: &str) -> usize {
    let mut count = 0;
    for block in blocks(guide) {
        let typed =
            |line: &&str| !line.starts_with("cargo ") && !line.starts_with("oneclick doctor");
        let script: String = block.lines().filter(typed).flat_map(|line| [line, "\n"]).collect();
        let said = run(setup, &script);
        assert!(!said.contains("exit code"), "{script}: {said}");
        count += 1;
    }
    count
}

/// The shell commands of a page, block by block.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next())
}

/// Runs a script in the home directory, and returns what it says on standard error.
fn run(setup: &Setup, script: &str) -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_oneclick"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let done = Command::new("/bin/sh")
        .args(["-ec", script])
        .env_clear()
        .env("HOME", &setup.home)
        .env("PATH", &path)
        .current_dir(&setup.home)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{script}: {said}");
    said
}
