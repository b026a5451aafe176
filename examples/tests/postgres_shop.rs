//! The shops on PostgreSQL: an order and its intent are stored together or not at all, and each
//! intent is bought once.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../crates/oneclick-outbox/tests/outbox/server.rs"]
#[allow(dead_code, reason = "the tests of the outbox use more of it")]
mod server;

use std::env;
use std::process::Command;

use oneclick_emulator::InMemory;
use oneclick_outbox::{Outbox, Worker};
use oneclick_proto::{Api, BlockingClient};

/// The command line of a shop, a word in each line, for `cargo xtask check shops`. It is the shop
/// with tokio-postgres if the variable is not set.
const SHOP: &str = "ONECLICK_SHOP_ON_POSTGRES";

const KEY: &str = "test_shop";

const PRINTED: &str = "\
A-1001: intent 1
A-1001: intent 1
A-1001: the intent \"A-1001\" of \"shop.example\" stands for another purchase: use another key, or \
the same purchase
A-1002: trees must be between 1 and 10,000,000 (got 0)
A-1003: not paid
";

#[test]
fn a_shop_stores_each_order_with_its_intent_and_a_worker_buys_once() {
    if !server::is_possible() {
        println!("left out: this machine has no PostgreSQL");
        return;
    }
    let server = server::Server::start();
    let url = server.url("postgres");
    // The shop has the rights that a shop needs, and no others.
    let rights = "CREATE ROLE shop LOGIN;
        GRANT CREATE ON SCHEMA public TO shop;
        GRANT USAGE ON SCHEMA oneclick TO shop;
        GRANT EXECUTE ON FUNCTION oneclick.enqueue TO shop";
    server.sql("postgres", rights);
    let (outbox, emulator) = (Outbox::postgres(&url).unwrap(), InMemory::new());
    // Whoever starts the shop again gets the same intents.
    for _ in 0..2 {
        assert_eq!(run_shop(&shops_url(&url)), PRINTED);
        let all = |column, table| {
            let sql = format!("SELECT string_agg({column}, ' ') FROM {table}");
            server.sql("postgres", &sql).unwrap()
        };
        assert_eq!(all("number", "orders"), "A-1001");
        assert_eq!(all("key", "oneclick.intent"), "A-1001");

        let client = BlockingClient::with_transport(Api::sandbox(KEY).unwrap(), emulator.clone());
        Worker::new(&outbox, client).run_until_idle().unwrap();
        let bought: Vec<_> = emulator
            .emulator()
            .account(KEY)
            .unwrap()
            .ledger()
            .map(|entry| (entry.receipt.impact.to_string(), entry.receipt.customer.is_some()))
            .collect();
        assert_eq!(bought, [("3 trees planted".to_owned(), true)]);
    }
}

/// The same database as a URL that each driver takes, for the role of the shop.
fn shops_url(words: &str) -> String {
    let host = words.split(' ').find_map(|word| word.strip_prefix("host=")).unwrap();
    format!("postgres:///postgres?host={host}&user=shop")
}

/// Runs the shop, and returns what it printed.
fn run_shop(url: &str) -> String {
    let shop = env::var(SHOP).unwrap_or_else(|_| {
        // `cargo test` builds the examples beside the tests.
        let tests = env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("examples/with_tokio_postgres");
        assert!(program.is_file(), "run all tests of the package, which builds the example");
        program.display().to_string()
    });
    let mut words = shop.lines();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .env("DATABASE_URL", url)
        .output()
        .unwrap_or_else(|error| panic!("{shop}: {error}"));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shop}");
    String::from_utf8(output.stdout).unwrap()
}
