//! A server that is replaced by a copy of itself, which lacks what happened since: nothing is
//! bought again, and what the server says of itself need not show it.

use super::server::Server;
use crate::*;

/// A server, and the API. The clock of the rows is the server's, and not that of a test.
struct Shop {
    server: Server,
    emulator: InMemory,
}

impl Shop {
    /// `None` in the runs of all tests that are not for this server.
    fn open() -> Option<Self> {
        let is_here = env::var_os(ON_POSTGRES).is_some_and(|value| value != THROUGH_PGBOUNCER);
        is_here.then(|| Self { server: Server::start(), emulator: InMemory::new() })
    }

    fn process(&self) -> Outbox {
        Outbox::postgres(&self.server.url("postgres")).unwrap()
    }

    fn work(&self, outbox: &Outbox) {
        let client = World::client(self.emulator.clone());
        Worker::new(outbox, client).concurrency(1).run_until_idle().unwrap();
    }

    /// How many purchases the emulator's ledger has.
    fn bought(&self) -> usize {
        self.emulator.emulator().account(KEY).map_or(0, oneclick_emulator::Account::impacts)
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql("postgres", sql).unwrap()
    }

    /// Stores two orders, and returns the process that did so.
    fn two_orders(&self) -> Outbox {
        let outbox = self.process();
        outbox.enqueue("shop", "order-1", trees(1)).unwrap();
        outbox.enqueue("shop", "order-2", trees(2)).unwrap();
        outbox
    }

    /// Has a process work on a copy that knows nothing of two purchases. It must find them, and
    /// buy what is stored from now on.
    fn works_on_the_copy(&self, outbox: &Outbox, next: &str) {
        let before = self.bought();
        assert_eq!((status(outbox, "order-1"), outbox.counts().unwrap().ready), (Status::Ready, 2));
        self.work(outbox);
        assert_eq!(self.bought(), before);
        assert_eq!((status(outbox, "order-1"), status(outbox, "order-2")), BOTH_BOUGHT);
        outbox.enqueue("shop", next, trees(3)).unwrap();
        self.work(outbox);
        assert_eq!((status(outbox, next), self.bought()), (Status::Bought, before + 1));
    }
}

const BOTH_BOUGHT: (Status, Status) = (Status::Bought, Status::Bought);
/// What a copied directory has in common with its original.
const IDENTIFIER: &str = "SELECT concat_ws('/', system_identifier, timeline_id)
    FROM pg_control_system(), pg_control_checkpoint()";

#[test]
fn a_restored_copy_of_the_files_buys_nothing_again() {
    let Some(shop) = Shop::open() else { return };
    let outbox = shop.two_orders();
    shop.server.back_up("copy-1");
    shop.server.back_up("copy-2");
    let original = shop.sql(IDENTIFIER);
    shop.work(&outbox);
    assert_eq!((shop.bought(), status(&outbox, "order-1")), (2, Status::Bought));

    // A process that stays open, whose connections break.
    shop.server.restart_over("copy-1");
    shop.works_on_the_copy(&outbox, "order-3");
    assert_eq!(shop.sql(IDENTIFIER), original);
    // One that starts afterwards.
    shop.server.restart_over("copy-2");
    shop.works_on_the_copy(&shop.process(), "order-4");
}

#[test]
fn a_promoted_standby_without_the_permits_buys_nothing_again() {
    let Some(shop) = Shop::open() else { return };
    let outbox = shop.two_orders();
    let standby = shop.server.follow();
    standby.fall_behind();
    shop.work(&outbox);
    assert_eq!((shop.bought(), status(&outbox, "order-1")), (2, Status::Bought));
    standby.take_over();
    shop.works_on_the_copy(&outbox, "order-3");
}

#[test]
fn a_process_that_starts_on_a_promoted_standby_buys_nothing_again() {
    let Some(shop) = Shop::open() else { return };
    let outbox = shop.two_orders();
    let standby = shop.server.follow();
    standby.fall_behind();
    shop.work(&outbox);
    drop(outbox);
    standby.take_over();
    shop.works_on_the_copy(&shop.process(), "order-3");
    assert_eq!(shop.bought(), 3);
}

/// So intents seem to have been stored after the copy has started.
#[test]
fn a_copy_whose_clock_is_behind_buys_nothing_again() {
    let Some(shop) = Shop::open() else { return };
    let outbox = shop.two_orders();
    shop.sql("UPDATE oneclick.intent SET enqueued = enqueued + 60000 RETURNING id");
    shop.server.back_up("copy-1");
    shop.server.back_up("copy-2");
    shop.work(&outbox);
    assert_eq!(shop.bought(), 2);
    shop.server.restart_over("copy-1");
    shop.work(&outbox);
    assert_eq!((status(&outbox, "order-2"), shop.bought()), (Status::Bought, 2));
    shop.server.restart_over("copy-2");
    let outbox = shop.process();
    shop.work(&outbox);
    assert_eq!((status(&outbox, "order-2"), shop.bought()), (Status::Bought, 2));
}

/// The copy does not know the claim, so another worker claims the same intent, and both count the
/// same claims.
#[test]
fn a_claim_that_a_copy_does_not_know_permits_nothing() {
    let Some(shop) = Shop::open() else { return };
    let outbox = shop.two_orders();
    shop.server.back_up("copy");
    let shop = Arc::new(shop);
    let id = entry(&outbox, "order-1").id;
    let (other, emulator) = (Arc::clone(&shop), shop.emulator.clone());
    let mut requests = 0;
    let looked: Hook = Arc::new(Mutex::new(move || {
        // After `whoami`, the server's time is asked for, and then a permit.
        requests += 1;
        if requests == 2 {
            other.server.restart_over("copy");
            let taken =
                "UPDATE oneclick.intent SET status = 'claimed', held = 1, epoch = epoch + 1,
                due = due + 3600000 WHERE key = 'order-1' RETURNING epoch";
            assert_eq!(other.sql(taken), "1");
        }
    }));
    let transport =
        Hooked { emulator, before: None, after: None, looked: Some(looked), waited: None };
    let worker = Worker::new(&outbox, World::client(transport)).concurrency(1);
    worker.drive(id).unwrap();
    assert_eq!((shop.bought(), shop.sql("SELECT count(*) FROM oneclick.event")), (0, "2".into()));
}
