//! What several processes do at the same moment on PostgreSQL, where each transaction sees only
//! what others have committed.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use oneclick_emulator::Behaviour;
use oneclick_emulator::behaviour::ReceiptForm;
use oneclick_outbox::OutboxError;
use tokio::runtime::{Builder, Runtime};

use crate::*;

/// A connection whose transaction stays open.
struct Session {
    runtime: Runtime,
    client: tokio_postgres::Client,
}

impl Session {
    fn new(world: &World) -> Self {
        let Database::Postgres(database) = &world.database else { unreachable!() };
        let url = database.server.url(&database.name);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }
}

/// A world on PostgreSQL; `None` in the other run of all tests.
fn world(name: &str) -> Option<Arc<World>> {
    env::var_os(ON_POSTGRES).map(|_| Arc::new(World::new(name)))
}

/// Waits until so many transactions wait for another one.
fn wait_for_waiting(world: &World, number: u32) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let began = Instant::now();
    while world.sql(waiting) != Some(number.to_string()) {
        assert!(began.elapsed() < LEASE, "nobody waits");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_pause_is_not_lost_to_a_worker_that_hears_of_an_outage() {
    let Some(world) = world("pause") else { return };
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    world.inject(Fault::ServerError, 1);
    let person = Arc::new(Session::new(&world));
    let pauses = Arc::clone(&person);
    let mut transport = world.hooked();
    transport.after = Some(super::pauses::hook(move || {
        pauses.run("BEGIN; UPDATE oneclick.gate SET paused = 'a person'");
    }));
    let worker = Worker::new(&outbox, World::client(transport)).concurrency(1);
    thread::scope(|scope| {
        let run = scope.spawn(|| worker.run_until_idle());
        wait_for_waiting(&world, 1);
        person.run("COMMIT");
        run.join().unwrap().unwrap();
    });
    assert_eq!(outbox.paused().unwrap().as_deref(), Some("a person"));
}

#[test]
fn two_workers_that_get_one_receipt_at_the_same_moment_do_not_share_it() {
    let Some(world) = world("same-receipt") else { return };
    let crossed = Behaviour::new().receipt(ReceiptForm::Crossed);
    world.emulator.emulator().set_behaviour(crossed);
    let outboxes = [world.process(), world.process()];
    let ids = ["order-1", "order-2"].map(|key| outboxes[0].enqueue("shop", key, trees(1)));
    let barrier = Arc::new(Barrier::new(3));
    thread::scope(|scope| {
        for (outbox, id) in outboxes.iter().zip(ids) {
            let mut transport = world.hooked();
            let (arrived, id) = (Arc::clone(&barrier), id.unwrap().id);
            transport.after = Some(super::pauses::hook(move || {
                arrived.wait();
                arrived.wait();
            }));
            let worker = Worker::new(outbox, World::client(transport)).concurrency(1);
            scope.spawn(move || worker.drive(id).unwrap());
        }
        // Both have a response. Neither can commit what it writes.
        barrier.wait();
        let session = Session::new(&world);
        session.run("BEGIN; LOCK TABLE oneclick.event IN SHARE MODE");
        barrier.wait();
        wait_for_waiting(&world, 2);
        session.run("COMMIT");
    });
    world.settle(&outboxes[0]);
    let bought = ["order-1", "order-2"].map(|key| entry(&outboxes[0], key).bought.unwrap().id);
    assert_eq!((BTreeSet::from(bought).len(), world.bought()), (2, 2));
}

#[test]
fn an_outbox_that_is_bound_at_the_same_moment_belongs_to_one_account() {
    let Some(world) = world("bind") else { return };
    let session = Session::new(&world);
    session.run("BEGIN; INSERT INTO oneclick.meta (name, value) VALUES ('account', 'another')");
    let outbox = world.process();
    let worker = world.worker(&outbox);
    let result = thread::scope(|scope| {
        let run = scope.spawn(|| worker.run_until_idle());
        wait_for_waiting(&world, 1);
        session.run("COMMIT");
        run.join().unwrap()
    });
    assert!(matches!(result, Err(OutboxError::OtherAccount { .. })), "{result:?}");
}
