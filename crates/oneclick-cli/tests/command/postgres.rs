//! `oneclick outbox` over PostgreSQL.

use std::process::Stdio;
use std::thread;

use oneclick_emulator::Server;
use snapbox::assert_data_eq;
use snapbox::str;

use super::serve::Serve;
use super::server::{Server as Postgres, is_possible};
use super::support::{Finished, Setup, bought, finished};

/// An empty database and an API; `None` where PostgreSQL is missing.
fn start() -> Option<(Postgres, Server, Setup)> {
    if !is_possible() {
        println!("left out: this machine has no PostgreSQL");
        return None;
    }
    let (postgres, server) = (Postgres::start(), Server::start().unwrap());
    postgres.sql("postgres", "CREATE DATABASE shop");
    let setup = Setup::at(&server);
    Some((postgres, server, setup))
}

/// The URL of a database, with a password that nobody may see.
pub(super) fn url(postgres: &Postgres, database: &str) -> String {
    let words = postgres.url(database);
    let word = |name: &str| {
        let mut words = words.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
    };
    format!(
        "postgres://outbox:5ecret@{}:{}/{database}",
        word("host").replace('/', "%2F"),
        word("port")
    )
}

/// Runs a command about the outbox that the variable names.
fn run(setup: &Setup, url: &str, arguments: &[&str]) -> Finished {
    let mut command = setup.command(&[&["outbox"], arguments].concat());
    let done =
        finished(&command.env("ONECLICK_DATABASE", url).stdin(Stdio::null()).output().unwrap());
    let shown = format!("{}{}", done.stdout, done.stderr);
    assert!(!shown.contains("5ecret"), "{arguments:?}: {shown}");
    done
}

#[track_caller]
fn run_ok(setup: &Setup, url: &str, arguments: &[&str]) -> String {
    let Finished { code, stdout, stderr } = run(setup, url, arguments);
    assert_eq!((code, &*stderr), (0, ""), "{arguments:?}: {stdout}");
    stdout
}

#[test]
fn the_outbox_of_a_shop_is_created_worked_off_and_managed() {
    let Some((postgres, server, setup)) = start() else { return };
    let url = url(&postgres, "shop");
    let missing = run(&setup, &url, &["counts"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("`oneclick outbox migrations --run`"), "{}", missing.stderr);

    // What is printed creates the tables, and what runs then finds them.
    let printed = setup.run_ok(&["outbox", "migrations"]);
    postgres.sql("shop", &format!("BEGIN; {printed}; COMMIT"));
    assert_eq!(run_ok(&setup, &url, &["migrations", "--run"]), "");
    assert_eq!(setup.run_ok(&["outbox", "migrations", "--after", "1"]), "");

    for key in ["order-1", "order-2"] {
        let request = r#"{"v": 1, "action": "plant_tree", "amount": 5}"#;
        postgres.sql("shop", &format!("SELECT oneclick.enqueue('shop', '{key}', '{request}')"));
    }
    assert_eq!(
        run_ok(&setup, &url, &["cancel", "order-2"]),
        "order-2: dropped: nothing is sent for it any more\n"
    );
    assert_data_eq!(
        run_ok(&setup, &url, &["list"]),
        str![[r#"
number  intent   status   purchase         stored                    bought as, or problem
1       order-1  ready    5 trees planted  20[..]Z
2       order-2  dropped  5 trees planted  20[..]Z

"#]]
    );
    run_ok(&setup, &url, &["pause", "--reason", "moving"]);
    let paused = run(&setup, &url, &["work", "--once"]);
    assert!(paused.code == 1 && paused.stderr.contains("paused (moving)"), "{}", paused.stderr);
    run_ok(&setup, &url, &["resume"]);
    // It was stored before the worker began, so it is looked for first.
    let work = || run(&setup, &url, &["work", "--once", "--settle", "1"]);
    for _ in 0..60 {
        assert_eq!(work().code, 0);
        if bought(&server) == 1 {
            break;
        }
        thread::sleep(std::time::Duration::from_secs(1));
    }
    assert_eq!(bought(&server), 1);
    let counts = run_ok(&setup, &url, &["counts", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&counts).unwrap()["bought"], 1);
    let shown = run_ok(&setup, &url, &["show", "order-1", "--namespace", "shop"]);
    assert!(shown.contains("permit: the purchase may be sent"), "{shown}");
    assert!(run_ok(&setup, &url, &["audit"]).contains("no audit has found"));
    let unknown = run(&setup, &url, &["show", "order-3"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("outbox:PASSWORD@"), "{}", unknown.stderr);
}

/// As two machines do behind a load balancer.
#[test]
fn two_servers_over_one_database_buy_once() {
    let Some((postgres, server, setup)) = start() else { return };
    let url = url(&postgres, "shop");
    run_ok(&setup, &url, &["migrations", "--run"]);
    let [one, two] = [(); 2].map(|()| Serve::start_over(&setup, url.clone().into(), &[]));
    let receipts = thread::scope(|scope| {
        let calls: Vec<_> = [&one, &two, &one, &two]
            .map(|serve| scope.spawn(|| serve.plant("\"order-1\"", &["prefer: wait=60"]).receipt()))
            .into_iter()
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
    assert_eq!(bought(&server), 1);
    // The other one answers for what this one bought.
    let receipt = one.plant("\"order-2\"", &[]).receipt();
    one.kill();
    assert_eq!(two.plant("\"order-2\"", &[]).receipt(), receipt);
    assert_eq!(bought(&server), 2);
}

#[test]
fn a_server_that_cannot_be_reached_is_named_without_the_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let setup = Setup::of("http://127.0.0.1:1");
    let url = format!("postgres://shop:5ecret@127.0.0.1:{port}/shop");
    let done = run(&setup, &url, &["counts"]);
    assert_eq!(done.code, 1);
    let words =
        format!("postgres://shop:PASSWORD@127.0.0.1:{port}/shop: the outbox's database failed");
    assert!(done.stderr.contains(&words), "{}", done.stderr);
    assert!(done.stderr.contains("refused"), "{}", done.stderr);
    for meant in [
        "POSTGRES://shop:5ecret@db/shop",
        " postgres://shop:5ecret@db/shop",
        "'postgres://shop:5ecret@db/shop'",
        "jdbc:postgresql://db/shop?password=5ecret",
        "postgres+asyncpg://shop:5ecret@db/shop",
        "host=/run user=shop password=5ecret dbname=shop",
        "postgres:/shop:5ecret@db/shop",
        "dbname=shop user=5ecret",
    ] {
        for command in [&["counts"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let done = run(&setup, meant, command);
            assert!(done.code == 2 && done.stderr.contains("postgres://USER@HOST"), "{done:?}");
        }
    }
    let empty = run(&setup, "", &["counts"]);
    assert!(empty.code == 2 && empty.stderr.contains("got nothing"), "{}", empty.stderr);
}
