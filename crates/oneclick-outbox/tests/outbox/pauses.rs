//! Workers that stop in the middle, and go on when another one has taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::*;

impl World {
    /// Lets time pass while another process works.
    fn pause(&self, pause: Duration) {
        let other = self.process();
        for _ in 0..5 {
            self.advance(pause / 5);
            self.worker(&other).run_until_idle().unwrap();
        }
    }

    pub(super) fn hooked(&self) -> Hooked {
        Hooked {
            emulator: self.emulator.clone(),
            before: None,
            after: None,
            looked: None,
            waited: None,
        }
    }
}

pub(super) fn hook(run: impl FnMut() + Send + 'static) -> Hook {
    Arc::new(Mutex::new(run))
}

/// How long a worker stops: shorter than the lease, shorter than `absence_after`, or longer.
const PAUSES: [(usize, Duration); 4] = [
    (0, Duration::from_secs(30)),
    (1, Duration::from_secs(120)),
    (1, Duration::from_secs(800)),
    (2, Duration::from_secs(1_000)),
];

/// What has become of the purchase.
#[derive(Clone, Copy, Debug)]
enum Case {
    Answered,
    AnswerLost,
    RequestLost,
    /// The request of another worker was lost long ago, so this one sends it again.
    SentAgain,
}

const CASES: [Case; 4] = [Case::Answered, Case::AnswerLost, Case::RequestLost, Case::SentAgain];

/// The boundaries between the steps of a worker, in their order.
const BOUNDARIES: [&str; 9] = [
    "before the claim",
    "claimed, before a permit is asked for",
    "permitted, before the last look at the clock",
    "after the last look at the clock, before the bytes leave",
    "sent, before the response is read",
    "response read, before the outcome is written",
    "before a look",
    "looked, before the response is read",
    "after the outcome is written",
];

/// Where a worker stops: at each reading of the store's clock, before and after, and around
/// each request. So no code between two steps has to know of this test.
struct Stops {
    world: Arc<World>,
    /// How many have been passed.
    passed: AtomicUsize,
    /// At which one to stop, and for how long.
    stop_at: usize,
    pause: Duration,
    /// Whether the transport looks at the clock.
    looks_last: AtomicBool,
    /// How many purchases this worker sent.
    sent: AtomicUsize,
    /// The boundary at which it stopped.
    stopped: Mutex<Option<&'static str>>,
}

impl Stops {
    /// A boundary that is known by its request, or else by what is stored then and by whether
    /// the clock has been read.
    fn pass(&self, boundary: Option<&'static str>, read: bool) {
        if self.passed.fetch_add(1, Ordering::Relaxed) + 1 != self.stop_at {
            return;
        }
        let stored = |status| match status {
            Status::Ready => BOUNDARIES[0],
            Status::Claimed => BOUNDARIES[1],
            // Sent again: it is open from the claim on.
            Status::Open if self.sent.load(Ordering::Relaxed) == 0 => {
                let watch = self.world.process();
                let id = entry(&watch, "order-1").id;
                let events = watch.events(id).unwrap();
                let permitted =
                    events.last().is_some_and(|event| event.what.starts_with("permit:"));
                let read = read && self.looks_last.load(Ordering::Relaxed);
                BOUNDARIES[1 + usize::from(permitted) + usize::from(permitted && read)]
            }
            Status::Open => BOUNDARIES[5],
            _ => BOUNDARIES[8],
        };
        let boundary = boundary.unwrap_or_else(|| stored(status(&self.world.process(), "order-1")));
        *self.stopped.lock().unwrap() = Some(boundary);
        self.world.pause(self.pause);
    }
}

/// The emulator, around whose requests a worker stops.
#[derive(Clone)]
struct Stopping(Arc<Stops>);

impl BlockingTransport for Stopping {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let emulator = &self.0.world.emulator;
        if request.uri().path() == "/v1/whoami" {
            return BlockingTransport::send(emulator, request);
        }
        let buys = request.method() == Method::POST;
        let (before, after) = if buys { (3, 4) } else { (6, 7) };
        self.0.looks_last.store(buys, Ordering::Relaxed);
        let request = look_at_the_clock(request)?;
        self.0.pass(Some(BOUNDARIES[before]), false);
        let response = BlockingTransport::send(emulator, request);
        self.0.sent.fetch_add(usize::from(buys), Ordering::Relaxed);
        self.0.pass(Some(BOUNDARIES[after]), false);
        response
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.0.world.emulator, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.0.world.emulator)
    }
}

/// A worker that stops once. Returns where, and how it ended; `None` if it came to no such
/// boundary.
fn stopped_once(case: Case, stop_at: usize, pause: Duration) -> Option<(&'static str, Ending)> {
    let world = Arc::new(World::new(&format!("stop-{case:?}")));
    let first = world.process();
    first.enqueue("shop", "order-1", trees(1)).unwrap();
    match case {
        Case::Answered => {}
        Case::AnswerLost => world.inject(Fault::ApplyThenDrop, 1),
        Case::RequestLost => world.inject(Fault::DropBefore, 1),
        Case::SentAgain => {
            world.inject(Fault::DropBefore, 1);
            world.worker(&first).run_until_idle().unwrap();
            world.advance(ABSENCE + Duration::from_secs(10));
        }
    }
    let stops = Arc::new(Stops {
        world: Arc::clone(&world),
        passed: AtomicUsize::new(0),
        stop_at,
        pause,
        looks_last: AtomicBool::new(false),
        sent: AtomicUsize::new(0),
        stopped: Mutex::new(None),
    });
    let clock = {
        let stops = Arc::clone(&stops);
        Clock::new(move || {
            stops.pass(None, false);
            let now = now(&stops.world.emulator, "one");
            stops.pass(None, true);
            now
        })
    };
    let outbox = world.process_with(clock);
    let worker = Worker::new(&outbox, World::client(Stopping(Arc::clone(&stops)))).concurrency(1);
    worker.run_until_idle().unwrap();
    let stopped = stops.stopped.lock().unwrap().take()?;
    let watch = world.process();
    world.settle(&watch);
    let ending = match (world.bought(), status(&watch, "order-1")) {
        (1, Status::Bought) => Ending::Once,
        (0 | 1, Status::Unresolved) => Ending::Asks,
        (2, Status::Bought | Status::Unresolved) => Ending::Twice,
        untrue => panic!("{untrue:?}: {case:?}, stopped for {pause:?} {stopped}"),
    };
    Some((stopped, ending))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// Bought once, and known to be.
    Once,
    /// Bought once or not at all, and left to a person.
    Asks,
    Twice,
}

/// Every boundary between two steps, each length of a pause, and what becomes of an intent. On a
/// server, which takes longer, only each seventh stop, unless `ONECLICK_EVERY_STOP` is set.
#[test]
fn a_worker_that_stops_anywhere_buys_twice_only_as_the_readme_says() {
    let is_whole =
        env::var_os(ON_POSTGRES).is_none() || env::var_os("ONECLICK_EVERY_STOP").is_some();
    let step = if is_whole { 1 } else { 7 };
    let mut endings: BTreeMap<(usize, usize), BTreeSet<Ending>> = BTreeMap::new();
    let runs = CASES.map(|case| {
        std::thread::spawn(move || {
            let mut found = Vec::new();
            for (column, pause) in PAUSES {
                let stops = (1..200).step_by(step);
                let stops = stops.map_while(|stop_at| stopped_once(case, stop_at, pause));
                let before = found.len();
                found.extend(stops.map(|(boundary, ending)| (boundary, column, ending)));
                let stops = (found.len() - before) * step;
                assert!((10..199).contains(&stops), "{case:?}: {stops}");
            }
            found
        })
    });
    for run in runs {
        for (boundary, column, ending) in run.join().unwrap() {
            let row = BOUNDARIES.iter().position(|name| *name == boundary).unwrap();
            endings.entry((row, column)).or_default().insert(ending);
        }
    }
    let cell = |row, column| match endings.get(&(row, column)).and_then(BTreeSet::last) {
        None => "never",
        Some(Ending::Once) => "once",
        Some(Ending::Asks) => "at most once",
        Some(Ending::Twice) => "**perhaps twice**",
    };
    let row = |(row, name)| {
        let [short, middle, long] = [0, 1, 2].map(|column| cell(row, column));
        format!("| {name} | {short} | {middle} | {long} |\n")
    };
    let rows: String = BOUNDARIES.iter().enumerate().map(row).collect();
    let table = format!(
        "| a worker stops | for less than its lease | for less than `absence_after` | for longer |\n\
         |---|---|---|---|\n{rows}"
    );
    println!("{table}");

    let twice = endings.iter().filter(|(_, endings)| endings.contains(&Ending::Twice));
    let twice: Vec<_> = twice.map(|(at, _)| *at).collect();
    if is_whole {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&table), "put this table into the crate's README.md:\n{table}");
        assert_eq!(twice, [(3, 2)]);
    }
    assert!(twice.iter().all(|at| *at == (3, 2)), "{twice:?}");
}

/// It says nothing of the API, so no other intent waits for it.
#[test]
fn a_purchase_that_was_too_late_holds_back_nobody() {
    let world = Arc::new(World::new("late"));
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    let sleeping = Arc::clone(&world);
    let clock = Clock::new(move || {
        // Asleep as soon as it has a permit.
        let sql = "SELECT count(*) FROM event WHERE what LIKE 'permit:%'";
        if sleeping.sql(sql).as_deref() == Some("1") {
            sleeping.advance(Duration::from_secs(6));
        }
        now(&sleeping.emulator, "one")
    });
    let worker = world.worker(&world.process_with(clock));
    assert_eq!((worker.drive(id).unwrap(), world.bought()), (Some(Status::Ready), 0));
    outbox.enqueue("shop", "order-2", trees(1)).unwrap();
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-2"), Status::Bought);
}

/// The other worker is stopped as well, with a permit, and may send at any time.
#[test]
fn a_worker_whose_intent_another_one_holds_sends_nothing() {
    let world = Arc::new(World::new("both"));
    let (outbox, other) = (world.process(), world.process());
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    let mut transport = world.hooked();
    let stopped = Arc::clone(&world);
    let mut requests = 0;
    transport.looked = Some(hook(move || {
        // After `whoami`, the server's time is asked for, and then a permit.
        requests += 1;
        if requests == 2 {
            stopped.advance(LEASE * 2);
            let mut transport = stopped.hooked();
            transport.before = Some(hook(|| panic!("stopped for ever")));
            let worker = Worker::new(&other, World::client(transport)).concurrency(1);
            assert!(catch_unwind(AssertUnwindSafe(|| worker.drive(id))).is_err());
        }
    }));
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    transport.before = Some(hook(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let worker = Worker::new(&outbox, World::client(transport)).concurrency(1);
    worker.drive(id).unwrap();
    assert_eq!((status(&outbox, "order-1"), sent.load(Ordering::Relaxed)), (Status::Open, 0));
}

/// The whole machine sleeps before the permit, and then the worker stops again before the bytes
/// leave. Each of both is shorter than `absence_after`, which counts from the second one.
#[test]
fn what_passes_before_a_permit_does_not_count_as_absence() {
    for asleep in [LEASE * 2, LEASE * 8, LEASE * 14] {
        let world = Arc::new(World::new("asleep"));
        let outbox = world.process();
        let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
        let mut transport = world.hooked();
        let sleeping = Arc::clone(&world);
        // The request after which the worker knows the server's time.
        transport.looked = Some(hook(move || sleeping.advance(asleep)));
        let stopped = Arc::clone(&world);
        let mut done = false;
        transport.before = Some(hook(move || {
            if !std::mem::replace(&mut done, true) {
                stopped.pause(LEASE * 13);
            }
        }));
        let worker = Worker::new(&outbox, World::client(transport)).concurrency(1);
        worker.drive(id).unwrap();
        world.settle(&outbox);
        assert_eq!(world.bought(), 1, "asleep for {asleep:?}: {:#?}", outbox.events(id));
    }
}

/// A look at more than one page waits for half a minute. If the lease ended meanwhile, the next
/// worker would begin anew, and no look would ever end.
#[test]
fn a_worker_that_waits_in_the_middle_of_a_look_keeps_its_intent() {
    let world = Arc::new(World::new("deep"));
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.inject(Fault::DropBefore, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    let client = World::client(world.emulator.clone());
    for _ in 0..1_100 {
        client.plant_tree(Trees::of::<7>()).unwrap();
    }
    world.advance(ABSENCE + Duration::from_secs(10));
    let waits = Arc::new(AtomicUsize::new(0));
    let (counted, waiting) = (Arc::clone(&waits), Arc::clone(&world));
    let lease = Duration::from_secs(20);
    let mut transport = world.hooked();
    transport.waited = Some(hook(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let other = waiting.process();
        assert_eq!(waiting.worker(&other).drive(id).unwrap(), None);
    }));
    let worker = Worker::new(&outbox, World::client(transport)).concurrency(1).lease(lease);
    worker.run_until_idle().unwrap();
    assert!(waits.load(Ordering::Relaxed) > 0);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1_101));
}

/// Two purchases that nobody could prevent are shown.
#[test]
fn a_purchase_that_was_made_twice_is_in_the_events() {
    for pause in [LEASE / 2, LEASE * 2, ABSENCE * 2] {
        let world = Arc::new(World::new("sending"));
        let outbox = world.process();
        let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
        sleep_while_sending(&world, &outbox, pause);
        assert_eq!(world.bought(), if pause > ABSENCE { 2 } else { 1 }, "{pause:?}");
        assert_eq!(status(&outbox, "order-1"), Status::Bought);
        let events = outbox.events(id).unwrap();
        let mut late = events.iter().filter(|event| event.what.starts_with("too late"));
        let shown = late.any(|event| event.what.contains("bought as"));
        assert_eq!(shown, pause > LEASE, "{events:#?}");
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
    let Some(path) = world.file() else { return };
    let backup = fs::read(path).unwrap();
    world.settle(&outbox);
    drop(outbox);
    assert_eq!(world.bought(), 1);

    for _ in 0..3 {
        remove(path);
        fs::write(path, &backup).unwrap();
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
    // The clock of a server does not begin anew.
    if world.file().is_none() {
        return;
    }
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

#[test]
fn a_claim_that_takes_long_does_not_make_an_old_intent_new() {
    let world = World::new("slow-claim");
    world.process().enqueue("shop", "order-1", trees(1)).unwrap();
    // Every look at the clock is a second after the one before it.
    let (emulator, ticks) = (world.emulator.clone(), Mutex::new(0));
    let outbox = world.process_with(Clock::new(move || {
        let mut ticks = ticks.lock().unwrap();
        *ticks += 1;
        let Now { boot, since_boot, .. } = now(&emulator, "one");
        Now { boot, since_boot: since_boot + Duration::from_secs(*ticks) }
    }));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Open, 0));
}
