//! What only PostgreSQL has, and all other tests on it.

use std::process::Command;

use oneclick_outbox::OutboxError;

use super::server::{self, Bouncer};
use crate::*;

/// Runs all tests of this file again, with PostgreSQL as their database.
#[test]
fn every_other_test_passes_on_postgres() {
    if env::var_os(ON_POSTGRES).is_some() {
        return;
    }
    if !server::is_possible() {
        println!("left out: this machine has no PostgreSQL");
        return;
    }
    run_again("1", &[]);
}

/// Two connections to the server for all processes of a test, in transaction mode.
#[test]
fn an_outbox_works_through_pgbouncer() {
    if env::var_os(ON_POSTGRES).is_some() {
        return;
    }
    if !server::is_possible() || Bouncer::program().is_none() {
        println!("left out: this machine has no PostgreSQL, or no PgBouncer");
        return;
    }
    let parts = ["enqueueing::", "holding::", "operating::", "working::", "pgbouncer"];
    run_again(THROUGH_PGBOUNCER, &parts);
}

#[test]
fn processes_behind_pgbouncer_share_two_connections_and_survive_a_restart_of_the_server() {
    if env::var_os(ON_POSTGRES).is_none_or(|value| value != THROUGH_PGBOUNCER) {
        return;
    }
    let server = server::Server::start();
    let url = server.bounced_url("postgres");
    let emulator = InMemory::new();
    let outboxes: Vec<_> = (0..3).map(|_| Outbox::postgres(&url).unwrap()).collect();
    let work_all = || {
        std::thread::scope(|scope| {
            for outbox in &outboxes {
                let worker = Worker::new(outbox, World::client(emulator.clone()));
                scope.spawn(move || worker.run_until_idle().unwrap());
            }
        });
    };
    let enqueue = |orders: std::ops::Range<u64>| {
        for order in orders {
            outboxes[0].enqueue("shop", &format!("order-{order}"), trees(order)).unwrap();
        }
    };
    let bought = || emulator.emulator().account(KEY).map_or(0, oneclick_emulator::Account::impacts);
    enqueue(1..40);
    work_all();
    assert_eq!((outboxes[2].counts().unwrap().bought, bought()), (39, 39));
    let backends = "SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    assert_eq!(server.sql("postgres", backends).as_deref(), Some("2"));

    enqueue(40..50);
    server.crash();
    // PgBouncer gives up its connections as it notices, and the processes theirs.
    let began = std::time::Instant::now();
    while outboxes.iter().any(|outbox| outbox.counts().is_err()) {
        assert!(began.elapsed() < LEASE);
    }
    work_all();
    // The server may have come back as a copy.
    let counts = outboxes[1].counts().unwrap();
    assert_eq!((counts.bought, counts.open, bought()), (39, 10, 39));
    enqueue(50..60);
    work_all();
    assert_eq!((outboxes[0].counts().unwrap().bought, bought()), (49, 49));
}

/// Runs the tests of this file, or those whose names have one of these parts, in a process of
/// their own.
fn run_again(how: &str, parts: &[&str]) {
    let program = env::current_exe().unwrap();
    let run = Command::new(program).args(parts).env(ON_POSTGRES, how).output().unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    println!("{report}");
    eprintln!("{}", String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && !report.contains("running 0 tests"));
}

/// A world on PostgreSQL; `None` in the run of all tests on SQLite.
pub(super) fn world(name: &str) -> Option<World> {
    env::var_os(ON_POSTGRES).map(|_| World::new(name))
}

/// What `oneclick.enqueue` says of a request.
fn enqueued(world: &World, key: &str, request: &str) -> Result<i64, String> {
    let Database::Postgres(database) = &world.database else { unreachable!() };
    let url = database.url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let sql = "SELECT oneclick.enqueue('shop', $1, $2::text::jsonb)";
        match client.query_one(sql, &[&key, &request]).await {
            Ok(row) => Ok(row.get(0)),
            Err(error) => Err(error.as_db_error().unwrap().message().to_owned()),
        }
    })
}

/// It returns after a while, and does not wait for ever.
#[test]
fn a_server_that_accepts_and_says_nothing_is_an_error() {
    if env::var_os(ON_POSTGRES).is_some() {
        return;
    }
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://outbox:5ecret@127.0.0.1:{port}/shop");
    let error = Outbox::postgres(&url).unwrap_err();
    assert!(matches!(error, OutboxError::Closed), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("5ecret"));
}

#[test]
fn any_language_enqueues_with_one_statement() {
    let Some(world) = world("sql") else { return };
    let outbox = world.process();
    let request = r#"{"v": 1, "action": "plant_tree", "amount": 3, "customer_email":
        "ada@example.com", "customer_name": "Ada", "metadata": {"order": "1"}}"#;
    let id = enqueued(&world, "order-1", request).unwrap();
    // The same as JSON values.
    let same = r#"{"metadata":{"order":"1"},"amount":3.0,"v":1,"action":"plant_tree",
        "customer_name":"Ada","customer_email":"ada@example.com"}"#;
    assert_eq!(enqueued(&world, "order-1", same), Ok(id));
    let error = enqueued(&world, "order-1", r#"{"v":1,"action":"plant_tree","amount":4}"#);
    assert!(error.unwrap_err().contains("stands for another purchase"));
    // The crate stores the same request.
    enqueued(&world, "order-2", r#"{"v":1,"action":"plant_tree","amount":4}"#).unwrap();
    assert!(!outbox.enqueue("shop", "order-2", trees(4)).unwrap().is_new);
    let error = outbox.enqueue("shop", "order-2", trees(5)).unwrap_err();
    assert!(matches!(error, OutboxError::OtherPurchase { .. }), "{error}");
    // Its time is the server's, and so it is older than this process: it is looked for first.
    assert!(entry(&outbox, "order-1").purchase.unwrap().customer().is_some());
}

/// The clock of the rows is the server's, and not that of a test.
#[test]
fn what_was_stored_before_a_process_or_a_crash_of_the_server_is_looked_for_first() {
    if env::var_os(ON_POSTGRES).is_none() {
        return;
    }
    let server = server::Server::start();
    let url = server.url("postgres");
    let earlier = Outbox::postgres(&url).unwrap();
    earlier.enqueue("shop", "order-1", trees(1)).unwrap();
    let outbox = Outbox::postgres(&url).unwrap();
    outbox.enqueue("shop", "order-2", trees(2)).unwrap();
    let emulator = InMemory::new();
    let worker = Worker::new(&outbox, World::client(emulator.clone())).concurrency(1);
    worker.run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-1"), Status::Open);
    assert_eq!(status(&outbox, "order-2"), Status::Bought);

    outbox.enqueue("shop", "order-3", trees(3)).unwrap();
    // It may come back as a copy from before order-3 was sent.
    server.crash();
    worker.run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-3"), Status::Open);
    outbox.enqueue("shop", "order-4", trees(4)).unwrap();
    worker.run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-4"), Status::Bought);
    let bought = emulator.emulator().account(KEY).map_or(0, oneclick_emulator::Account::impacts);
    assert_eq!(bought, 2);
}
