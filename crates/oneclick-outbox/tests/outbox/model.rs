//! Random histories of a shop, its workers and its operators: what the outbox says is compared
//! with the ledger.
//!
//! Each worker is a thread that goes on only when the history says so. It stops whenever it
//! reads the store's clock, and before and after each request; there it may be left for as long
//! as the history likes, or die.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use oneclick_emulator::behaviour::DateHeader;
use oneclick_emulator::{Account, Behaviour, RetryAfter};
use oneclick_proto::{Customer, ImpactId, Intent, VerifyPolicy};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Enqueue {
        trees: u64,
        has_customer: bool,
    },
    /// A worker passes this many of its stops.
    Step {
        worker: usize,
        stops: u8,
    },
    /// A worker goes on until it has nothing to do.
    Run {
        worker: usize,
    },
    Advance {
        seconds: u32,
    },
    /// A worker dies where it is, and another one takes its place.
    Crash {
        worker: usize,
    },
    Inject(FaultRule),
    /// A person looks at an intent and decides.
    Decide(Index, Decision),
    PauseAll,
    ResumeAll,
}

#[derive(Clone, Copy, Debug)]
enum Decision {
    Retry,
    Drop,
    BoughtAs,
}

const WORKERS: usize = 3;
/// How much later a lost request is applied or a purchase shown, at most.
const LAG: u64 = 60_000;
/// For how long a worker may stop between its last look at the clock and the bytes: it may be
/// a lease since it heard the server's time, and requests take up to half a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(900 - 60 - 60 - 60);

fn event() -> impl Strategy<Value = Event> {
    let worker = 0..WORKERS;
    prop_oneof![
        4 => (1_u64..4, any::<bool>())
            .prop_map(|(trees, has_customer)| Event::Enqueue { trees, has_customer }),
        12 => (worker.clone(), 1_u8..30).prop_map(|(worker, stops)| Event::Step { worker, stops }),
        6 => worker.clone().prop_map(|worker| Event::Run { worker }),
        6 => prop_oneof![1_u32..20, 20_u32..100, 100_u32..860, 860_u32..1_000, 1_000_u32..8_000]
            .prop_map(|seconds| Event::Advance { seconds }),
        3 => worker.prop_map(|worker| Event::Crash { worker }),
        4 => rule().prop_map(Event::Inject),
        3 => (
            any::<Index>(),
            prop_oneof![Just(Decision::Retry), Just(Decision::Drop), Just(Decision::BoughtAs)],
        )
            .prop_map(|(intent, decision)| Event::Decide(intent, decision)),
        1 => Just(Event::PauseAll),
        2 => Just(Event::ResumeAll),
    ]
}

fn rule() -> impl Strategy<Value = FaultRule> {
    let fault = prop_oneof![
        Just(Fault::RateLimited { retry_after: None }),
        (0_u32..100)
            .prop_map(|wait| Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(wait)) }),
        Just(Fault::ServerError),
        Just(Fault::Unavailable),
        Just(Fault::DropBefore),
        (0..LAG).prop_map(|millis| Fault::DropThenApply { millis }),
        Just(Fault::ApplyThenDrop),
        Just(Fault::ApplyThenError),
        (0_u64..60_000).prop_map(|millis| Fault::LateResponse { millis }),
        (0_usize..200).prop_map(|at| Fault::CutResponse { at }),
        (0_usize..200).prop_map(|at| Fault::NoLength { at: Some(at) }),
        Just(Fault::Garbage),
        Just(Fault::NotHttp),
        any::<bool>().prop_map(|applied| Fault::NeverRespond { applied }),
        (0..LAG).prop_map(|millis| Fault::Hidden { millis }),
    ];
    (fault, any::<bool>(), 1_u32..4).prop_map(|(fault, buys, times)| {
        let rule = FaultRule::new(fault).times(times);
        if buys { rule.on("/v1/plant_tree") } else { rule }
    })
}

/// Values for some switches of the table in the emulator's documentation.
fn behaviour() -> impl Strategy<Value = Behaviour> {
    let table = include_str!("../../../oneclick-emulator/src/lib.rs");
    let rows = table.lines().skip_while(|line| !line.starts_with("//! | `metadata` |"));
    let rows = rows.take_while(|line| line.starts_with("//! | `"));
    let switches: Vec<(String, serde_json::Value)> = rows
        .flat_map(|row| {
            let cells: Vec<_> = row.split(" | ").map(|cell| cell.trim_matches('`')).collect();
            let name = cells[1].to_owned();
            let values = cells[2].split("`, `").skip(1).map(|value| {
                let object = value.starts_with('{');
                if object { serde_json::from_str(value).unwrap() } else { value.into() }
            });
            values.map(|value| (name.clone(), value)).collect::<Vec<_>>()
        })
        .collect();
    assert!(switches.len() > 50, "{switches:?}");
    proptest::sample::subsequence(switches, 0..5).prop_map(|some| {
        let some: serde_json::Map<_, _> = some.into_iter().collect();
        serde_json::from_value(some.into()).unwrap()
    })
}

/// What a worker that is stopped hears.
enum Order {
    GoOn,
    Die,
}

/// What a worker says when it stops.
enum Report {
    Stopped,
    Idle,
    Dead,
}

/// One of the threads, as the history sees it.
struct Thread {
    orders: Sender<Order>,
    reports: Receiver<Report>,
    handle: JoinHandle<()>,
}

/// What its thread knows.
struct Inside {
    emulator: InMemory,
    orders: Mutex<Receiver<Order>>,
    reports: Sender<Report>,
    /// When it last looked at the clock.
    looked: Mutex<Duration>,
    /// The intents of which a purchase left too long after that.
    late: Late,
}

type Late = Arc<Mutex<BTreeSet<String>>>;

impl Inside {
    fn stop(&self) {
        self.reports.send(Report::Stopped).unwrap();
        self.wait();
    }

    fn wait(&self) {
        match self.orders.lock().unwrap().recv() {
            Ok(Order::GoOn) => {}
            Ok(Order::Die) | Err(_) => resume_unwind(Box::new("dies")),
        }
    }
}

#[derive(Clone)]
struct Stepwise(Arc<Inside>);

impl BlockingTransport for Stepwise {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let Inside { emulator, looked, late, .. } = &*self.0;
        let buys = request.method() == Method::POST;
        self.0.stop();
        let request = look_at_the_clock(request)?;
        let pause = BlockingTransport::now(emulator).saturating_sub(*looked.lock().unwrap());
        if buys && pause > LONGEST_PAUSE {
            let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
            let marker = body["metadata"][Intent::METADATA_KEY].as_str().unwrap();
            late.lock().unwrap().insert(marker.to_owned());
        }
        let response = BlockingTransport::send(emulator, request);
        self.0.stop();
        response
    }

    fn sleep(&self, duration: Duration) {
        self.0.stop();
        BlockingTransport::sleep(&self.0.emulator, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.0.emulator)
    }
}

impl Thread {
    fn start(world: &World, policy: VerifyPolicy, late: &Late) -> Self {
        let (orders, heard) = channel();
        let (said, reports) = channel();
        let inside = Arc::new(Inside {
            emulator: world.emulator.clone(),
            orders: Mutex::new(heard),
            reports: said,
            looked: Mutex::default(),
            late: Arc::clone(late),
        });
        let database = world.database.clone();
        let handle = thread::spawn(move || {
            let life = || {
                inside.wait();
                let of_clock = Arc::clone(&inside);
                let clock = Clock::new(move || {
                    of_clock.stop();
                    let now = now(&of_clock.emulator, "one");
                    *of_clock.looked.lock().unwrap() = now.since_boot;
                    of_clock.stop();
                    now
                });
                let outbox = database.open(clock);
                let client = World::client(Stepwise(Arc::clone(&inside)));
                let worker = Worker::new(&outbox, client).concurrency(1).policy(policy);
                loop {
                    // Its key cannot be checked during an outage: then it tries again.
                    let _result = worker.run_until_idle();
                    inside.reports.send(Report::Idle).unwrap();
                    inside.wait();
                }
            };
            let dead: Result<(), _> = catch_unwind(AssertUnwindSafe(life));
            if let Err(reason) = dead {
                let dies = reason.downcast_ref() == Some(&"dies");
                // A panic of its own ends the history.
                if dies {
                    let _unheard = inside.reports.send(Report::Dead);
                }
            }
        });
        Self { orders, reports, handle }
    }

    /// Passes some stops; `false` if it has nothing more to do.
    fn step(&self, stops: u32) -> bool {
        for _ in 0..stops {
            self.orders.send(Order::GoOn).unwrap();
            match self.reports.recv().expect("the worker panicked") {
                Report::Stopped => {}
                Report::Idle | Report::Dead => return false,
            }
        }
        true
    }

    fn crash(self) {
        self.orders.send(Order::Die).unwrap();
        assert!(matches!(self.reports.recv(), Ok(Report::Dead)), "the worker panicked");
        self.handle.join().unwrap();
    }
}

/// How many histories and intents there were, and how they ended.
#[derive(Debug, Default)]
struct Totals {
    histories: u64,
    ends: BTreeMap<String, u64>,
}

struct History {
    world: World,
    operator: Outbox,
    workers: Vec<Thread>,
    policy: VerifyPolicy,
    late: Late,
    /// Intents that were dropped before anything was sent for them.
    dropped: BTreeSet<i64>,
    intents: Vec<i64>,
}

impl History {
    fn new(behaviour: Behaviour) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let world = World::new(&format!("model-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        world.emulator.emulator().set_behaviour(behaviour);
        // Of these histories some have crossed receipts, which are equal here.
        let policy = VerifyPolicy::STANDARD.confirm_by_receipt(false);
        let late = Late::default();
        let workers = (0..WORKERS).map(|_| Thread::start(&world, policy, &late)).collect();
        let operator = world.process();
        let (dropped, intents) = (BTreeSet::new(), Vec::new());
        Self { world, operator, workers, policy, late, dropped, intents }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Enqueue { trees: number, has_customer } => {
                let mut tree = trees(*number);
                if *has_customer {
                    tree = tree.customer(Customer::new("ada@example.com").unwrap());
                }
                let key = format!("order-{}", self.intents.len());
                self.intents.push(self.operator.enqueue("shop", &key, tree).unwrap().id);
            }
            Event::Step { worker, stops } => {
                self.workers[*worker].step(u32::from(*stops));
            }
            Event::Run { worker } => {
                assert!(!self.workers[*worker].step(20_000), "a worker works for ever");
            }
            Event::Advance { seconds } => {
                self.world.advance(Duration::from_secs((*seconds).into()));
            }
            Event::Crash { worker } => {
                let next = Thread::start(&self.world, self.policy, &self.late);
                std::mem::replace(&mut self.workers[*worker], next).crash();
            }
            Event::Inject(rule) => self.world.emulator.emulator().inject(rule.clone()),
            Event::Decide(index, decision) => {
                if !self.intents.is_empty() {
                    self.decide(*index.get(&self.intents), *decision);
                }
            }
            Event::PauseAll => self.operator.pause("a person").unwrap(),
            Event::ResumeAll => self.operator.resume().unwrap(),
        }
    }

    /// The outbox refuses what the status does not allow.
    fn decide(&mut self, id: i64, decision: Decision) {
        let entry = self.operator.entry(id).unwrap().unwrap();
        let bought = self.bought(&entry);
        match decision {
            // A person makes sure that nothing was bought.
            Decision::Retry if bought.is_empty() => drop(self.operator.retry(id)),
            Decision::Retry => {}
            Decision::Drop => {
                if self.operator.drop_intent(id).is_ok() && entry.sends == 0 {
                    self.dropped.insert(id);
                }
            }
            Decision::BoughtAs => {
                if let Some(impact) = bought.first() {
                    drop(self.operator.bought_as(id, impact));
                }
            }
        }
    }

    /// The impacts on the ledger that are the intent's.
    fn bought(&self, entry: &Entry) -> Vec<ImpactId> {
        let intent = Intent::new(&entry.namespace, &entry.key);
        let emulator = self.world.emulator.emulator();
        let ledger = emulator.account(KEY).into_iter().flat_map(Account::ledger);
        let ours = ledger.filter(|bought| {
            bought.receipt.metadata.get(Intent::METADATA_KEY) == Some(intent.marker())
        });
        ours.map(|bought| ImpactId::from(&bought.receipt)).collect()
    }

    fn run_all(&mut self) {
        self.operator.resume().unwrap();
        for worker in 0..WORKERS {
            self.happen(&Event::Run { worker });
        }
    }

    /// Lets everything end, with a kind server, and compares.
    fn end(mut self, totals: &mut Totals) {
        self.world.emulator.emulator().clear_faults();
        // No look is under way when the server changes: a row may move to the other list.
        self.run_all();
        {
            let mut emulator = self.world.emulator.emulator();
            let Behaviour { clock, date, .. } = emulator.behaviour();
            let date = if date == DateHeader::Absent { DateHeader::Usual } else { date };
            emulator.set_behaviour(Behaviour::new().clock(clock).date(date));
        }
        let open = |counts: oneclick_outbox::Counts| counts.ready + counts.open;
        for _ in 0..200 {
            self.run_all();
            if open(self.operator.counts().unwrap()) == 0 {
                break;
            }
            self.world.advance(Duration::from_secs(120));
        }
        let late = self.late.lock().unwrap().clone();
        totals.histories += 1;
        for id in &self.intents {
            let entry = self.operator.entry(*id).unwrap().expect("the intent is there");
            let bought = self.bought(&entry);
            let events = self.operator.events(*id).unwrap();
            let marker = Intent::new(&entry.namespace, &entry.key).marker().to_owned();
            let is_late = late.contains(&marker);
            assert!(bought.len() < 2 || is_late, "twice: {entry:#?} {bought:?} {events:#?}");
            let is_true = match entry.status {
                // Records may show another account, and times that are rounded to seconds.
                Status::Bought => entry.bought.as_ref().is_some_and(|named| {
                    let time = |id: &ImpactId| id.time_utc.datetime().timestamp_millis();
                    bought.iter().any(|id| (time(id) - time(&named.id)).abs() <= 1_000)
                }),
                Status::Refused => bought.is_empty(),
                Status::Dropped => !self.dropped.contains(id) || bought.is_empty(),
                Status::Unresolved => true,
                // Nobody cancels here, and everything has ended.
                _ => false,
            };
            assert!(is_true, "untrue: {entry:#?} {bought:?} {events:#?}");
            let twice = if bought.len() > 1 { ", twice after a long pause" } else { "" };
            *totals.ends.entry(format!("{}{twice}", entry.status)).or_default() += 1;
        }
        for worker in self.workers.drain(..) {
            worker.crash();
        }
    }
}

/// 60 histories, 6 on a server, or the number in `ONECLICK_HISTORIES`.
#[test]
fn whatever_happens_each_intent_is_bought_once_and_none_is_lost() {
    let number = if env::var_os(ON_POSTGRES).is_some() { 6 } else { 60 };
    let number = env::var("ONECLICK_HISTORIES").map_or(number, |text| text.parse().unwrap());
    let config = Config { cases: number, failure_persistence: None, ..Config::default() };
    let totals = Mutex::new(Totals::default());
    let histories = proptest::collection::vec(event(), 1..80);
    let result = TestRunner::new(config).run(&(behaviour(), histories), |(behaviour, events)| {
        let mut history = History::new(behaviour);
        for event in &events {
            history.happen(event);
        }
        history.end(&mut totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        Ok(())
    });
    println!("{:?}", totals.lock());
    if let Err(broken) = result {
        panic!("{broken}");
    }
}
