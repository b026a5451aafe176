//! Workers that stop in the middle, and go on when another one has taken over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::*;

/// How long a worker stops.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(800),
    Duration::from_secs(2_000),
];

/// What becomes of the first purchase.
const FAULTS: [Option<Fault>; 3] = [None, Some(Fault::ApplyThenDrop), Some(Fault::DropBefore)];

impl World {
    /// Lets time pass while another process works.
    fn pause(&self, pause: Duration) {
        let other = self.process();
        for _ in 0..10 {
            self.advance(pause / 10);
            self.worker(&other).run_until_idle().unwrap();
        }
    }

    pub(super) fn hooked(&self) -> Hooked {
        Hooked { emulator: self.emulator.clone(), before: None, after: None }
    }
}

pub(super) fn hook(run: impl FnMut() + Send + 'static) -> Hook {
    Arc::new(Mutex::new(run))
}

/// Between any two steps of a worker it reads the clock of the store: there it stops.
#[test]
fn a_worker_that_stops_between_two_steps_buys_once() {
    let mut stops = 0;
    for fault in FAULTS {
        for pause in PAUSES {
            for step in 1.. {
                let world = Arc::new(World::new("between"));
                let reads = Arc::new(AtomicUsize::new(0));
                let stopped = Arc::clone(&world);
                let clock = Clock::new(move || {
                    if reads.fetch_add(1, Ordering::Relaxed) + 1 == step {
                        stopped.pause(pause);
                    }
                    now(&stopped.emulator, "one")
                });
                let outbox = world.process_with(clock);
                outbox.enqueue("shop", "order-1", trees(1)).unwrap();
                if let Some(fault) = &fault {
                    world.inject(fault.clone(), 1);
                }
                world.worker(&outbox).run_until_idle().unwrap();
                let watch = world.process();
                world.settle(&watch);
                let case = format!("{fault:?}, stopped for {pause:?} at step {step}");
                match (status(&watch, "order-1"), world.bought()) {
                    (Status::Bought, 1) => {}
                    // The other process found an intent that may have been sent before.
                    (Status::Unresolved, 0) if matches!(fault, Some(Fault::DropBefore)) => {}
                    wrong => panic!("{wrong:?}: {case}"),
                }
                if step > 40 {
                    stops = step;
                    break;
                }
            }
        }
    }
    assert!(stops > 0);
}

/// Nobody can fence a worker that stops after its last look at the clock and before the bytes
/// leave. As long as it stops for less than `absence_after`, it buys once all the same.
#[test]
fn a_worker_that_stops_as_it_sends_buys_twice_only_beyond_absence_after() {
    for pause in PAUSES {
        let world = Arc::new(World::new("sending"));
        let outbox = world.process();
        let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
        sleep_while_sending(&world, &outbox, pause);
        let twice = pause > ABSENCE;
        assert_eq!(world.bought(), if twice { 2 } else { 1 }, "{pause:?}");
        assert_eq!(status(&outbox, "order-1"), Status::Bought);
        let events = outbox.events(id).unwrap();
        let mut late = events.iter().filter(|event| event.what.starts_with("too late"));
        assert_eq!(
            late.any(|event| event.what.contains("bought as")),
            pause > LEASE,
            "{events:#?}"
        );
    }
}

/// Has a worker buy all that is ready, which sleeps once, right before a purchase leaves.
pub(super) fn sleep_while_sending(world: &Arc<World>, outbox: &Outbox, pause: Duration) {
    let stopped = Arc::clone(world);
    let mut transport = world.hooked();
    let mut done = false;
    transport.before = Some(hook(move || {
        if !std::mem::replace(&mut done, true) {
            stopped.pause(pause);
        }
    }));
    Worker::new(outbox, World::client(transport)).concurrency(1).run_until_idle().unwrap();
    world.settle(outbox);
}

#[test]
fn a_worker_that_stops_after_the_response_buys_once() {
    for pause in PAUSES {
        let world = Arc::new(World::new("received"));
        let stopped = Arc::clone(&world);
        let mut transport = world.hooked();
        transport.after = Some(hook(move || stopped.pause(pause)));
        let outbox = world.process();
        outbox.enqueue("shop", "order-1", trees(1)).unwrap();
        let worker = Worker::new(&outbox, World::client(transport)).concurrency(1);
        worker.run_until_idle().unwrap();
        world.settle(&outbox);
        assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1), "{pause:?}");
    }
}

#[test]
fn a_worker_that_dies_leaves_its_intent_to_the_next() {
    for (name, dies_before) in [("dies-before", true), ("dies-after", false)] {
        let world = World::new(name);
        let mut transport = world.hooked();
        let death = Some(hook(|| panic!("killed")));
        if dies_before {
            transport.before = death;
        } else {
            transport.after = death;
        }
        let outbox = world.process();
        outbox.enqueue("shop", "order-1", trees(1)).unwrap();
        let client = World::client(transport);
        let run = || Worker::new(&outbox, client).concurrency(1).run_until_idle();
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert_eq!(world.bought(), usize::from(!dies_before));

        let next = world.process();
        assert_eq!(status(&next, "order-1"), Status::Open);
        // The lease is not over.
        world.worker(&next).run_until_idle().unwrap();
        assert_eq!(status(&next, "order-1"), Status::Open);
        world.settle(&next);
        assert_eq!((status(&next, "order-1"), world.bought()), (Status::Bought, 1), "{name}");
    }
}

/// A copy from before the purchase left: neither the permit nor the outcome is in it.
#[test]
fn a_restored_backup_buys_nothing_again() {
    let world = World::new("backup");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let backup = fs::read(&world.path).unwrap();
    world.settle(&outbox);
    drop(outbox);
    assert_eq!(world.bought(), 1);

    for _ in 0..3 {
        world.remove();
        fs::write(&world.path, &backup).unwrap();
        world.advance(Duration::from_secs(3_600));
        let restored = world.process();
        world.settle(&restored);
        assert_eq!((status(&restored, "order-1"), world.bought()), (Status::Bought, 1));
    }
}

/// The clock of the machine begins anew, so no deadline means anything, and nobody has a lease.
#[test]
fn a_restart_of_the_machine_forgets_no_intent() {
    let world = World::new("restart");
    world.advance(Duration::from_secs(1_000_000));
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    outbox.enqueue("shop", "order-2", trees(2)).unwrap();
    world.inject(Fault::ApplyThenDrop, 1);
    let mut transport = world.hooked();
    transport.after = Some(hook(|| panic!("killed")));
    let client = World::client(transport);
    let run = || Worker::new(&outbox, client).concurrency(1).run_until_idle();
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    drop(outbox);

    let emulator = world.emulator.clone();
    let began = BlockingTransport::now(&emulator);
    let restarted = world.process_with(Clock::new(move || {
        let now = now(&emulator, "two");
        Now { since_boot: now.since_boot.saturating_sub(began), ..now }
    }));
    world.worker(&restarted).run_until_idle().unwrap();
    assert_eq!(status(&restarted, "order-1"), Status::Bought);
    world.settle(&restarted);
    assert_eq!((status(&restarted, "order-2"), world.bought()), (Status::Bought, 2));
}
