//! Enqueues, kills, stops and starts.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fmt, io};

use oneclick_emulator::{Fault, FaultRule, RetryAfter, Server};
use oneclick_outbox::Outbox;

use crate::database::{Database, Kind, open, retried};
use crate::server;
use crate::tally::Tally;
use crate::terms::{ABSENCE, LAG, LEASE, LONGEST_PAUSE};
use crate::worker::{ADAPTERS, COMMAND};

pub(crate) struct Options {
    /// For how long workers are killed and stopped.
    pub(crate) time: Duration,
    pub(crate) workers: usize,
    pub(crate) seed: u64,
    pub(crate) database: Kind,
}

/// How many intents wait at most.
const BACKLOG: u64 = 30;

impl Options {
    /// How long the workers have at the end, when nothing disturbs them any more.
    fn settle(&self) -> Duration {
        Duration::from_secs(60) + self.time / 2
    }

    /// Whether there will be more records than fit on a page, a thousand of them. A look at more
    /// than one page waits for half a minute, and its worker has to live until then.
    fn is_long(&self) -> bool {
        self.time > Duration::from_secs(20)
    }

    /// The time between two intents.
    fn pace(&self) -> Duration {
        Duration::from_millis(if self.is_long() { 150 } else { 20 })
    }

    /// The longest time between two disturbances, in milliseconds.
    fn calm(&self) -> u64 {
        if self.is_long() { 3_000 } else { 1_000 }
    }
}

/// Prints a report; whether every promise was kept.
pub(crate) fn drive(options: &Options) -> Result<bool, Box<dyn Error>> {
    let mut server = Server::builder().seed(options.seed);
    for (fault, probability) in faults() {
        server = server.fault(FaultRule::new(fault).on("/v1/plant_tree").probability(probability));
    }
    for path in ["/v1/records", "/v1/customer_records"] {
        let lost = FaultRule::new(Fault::DropBefore).on(path).probability(0.01);
        let busy = FaultRule::new(Fault::RateLimited { retry_after: None }).on(path);
        server = server.fault(lost).fault(busy.probability(0.005));
    }
    let server = server.start()?;
    let database = Database::new(options.database, options.seed)?;
    let outbox = open(&database.name())?;
    let mut fleet = Fleet::start(options, database.name(), server.base_url())?;

    let over = AtomicBool::new(false);
    let (stored, mut chaos) = thread::scope(|scope| {
        let server = database.server();
        let of_server = server.map(|server| scope.spawn(|| disturb_server(server, options, &over)));
        let disturbing = scope.spawn(|| disturb(&mut fleet, options, &over));
        let stored = store(&outbox, &database, options, &disturbing);
        over.store(true, Ordering::Relaxed);
        let panicked = |_| "a thread that kills has panicked";
        let mut chaos = disturbing.join().map_err(panicked)??;
        chaos.server = of_server.map(|thread| thread.join().map_err(panicked)).transpose()?;
        Ok::<_, Box<dyn Error>>((stored?, chaos))
    })?;
    server.emulator().clear_faults();
    let settled = settle(&outbox, &mut fleet, options)?;
    chaos.ended += fleet.ended;
    drop(fleet);

    let tally = Tally::new(&outbox, &server, &stored)?;
    println!("{} s, {} workers, seed {}", options.time.as_secs(), options.workers, options.seed);
    println!("{chaos}\n{tally}");
    if !settled {
        println!("not settled after {} s: {:?}", options.settle().as_secs(), outbox.counts()?);
    }
    let kept = settled && tally.broken.is_empty();
    if !kept {
        if let Some(folder) = database.keep() {
            println!("the database is {}", folder.display());
        }
    }
    Ok(kept)
}

/// What goes wrong with purchases, and how often.
fn faults() -> Vec<(Fault, f64)> {
    let lag = u64::try_from(LAG.as_millis()).unwrap_or_default();
    vec![
        (Fault::ApplyThenDrop, 0.04),
        (Fault::DropBefore, 0.02),
        (Fault::DropThenApply { millis: lag }, 0.02),
        (Fault::Hidden { millis: lag }, 0.05),
        (Fault::ApplyThenError, 0.004),
        (Fault::LateResponse { millis: 400 }, 0.02),
        (Fault::CutResponse { at: 40 }, 0.01),
        (Fault::Garbage, 0.005),
        (Fault::NotHttp, 0.005),
        (Fault::NeverRespond { applied: true }, 0.002),
        (Fault::NeverRespond { applied: false }, 0.002),
        (Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(1)) }, 0.004),
        (Fault::ServerError, 0.003),
        (Fault::Unavailable, 0.003),
    ]
}

/// The keys whose transaction was committed, and those whose transaction was not.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) committed: BTreeSet<String>,
    pub(crate) rolled_back: BTreeSet<String>,
}

/// Stores orders with their intents, until the time is over or nobody disturbs any more.
fn store<T>(
    outbox: &Outbox,
    database: &Database,
    options: &Options,
    disturbing: &thread::ScopedJoinHandle<'_, T>,
) -> Result<Stored, Box<dyn Error>> {
    let began = Instant::now();
    let mut shop = database.shop()?;
    let mut stored = Stored::default();
    let mut number = 0_i64;
    while began.elapsed() < options.time && !disturbing.is_finished() {
        thread::sleep(options.pace() * 10);
        let counts = outbox.counts();
        if counts.map_or(BACKLOG, |counts| counts.ready) >= BACKLOG {
            continue;
        }
        for _ in 0..10 {
            number += 1;
            let key = format!("order-{number}");
            let rolls_back = number % 50 == 0;
            shop.order(number, &key, rolls_back)?;
            let keys = if rolls_back { &mut stored.rolled_back } else { &mut stored.committed };
            keys.insert(key);
        }
    }
    Ok(stored)
}

/// What was done to the workers.
#[derive(Default)]
pub(crate) struct Chaos {
    kills: u32,
    /// Pauses shorter than the lease, shorter than the quarantine, and longer than it.
    pauses: [u32; 3],
    /// Workers that ended by themselves, and were started again.
    ended: u32,
    /// How often PostgreSQL was ended at once, and its postmaster stopped.
    server: Option<[u32; 2]>,
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, pauses: [short, middle, long], ended, server } = self;
        write!(
            f,
            "killed {kills}; stopped {} ({short} shorter than the lease, {middle} shorter than \
             `absence_after`, {long} longer); {ended} ended by themselves",
            short + middle + long
        )?;
        server.iter().try_for_each(|[crashes, stops]| {
            write!(f, "\nPostgreSQL crashed {crashes}, and its postmaster was stopped {stops}")
        })
    }
}

/// Kills workers, and stops them for a while, until it is over. Then all of them go on.
fn disturb(fleet: &mut Fleet, options: &Options, over: &AtomicBool) -> io::Result<Chaos> {
    let mut dice = Dice(options.seed);
    let mut chaos = Chaos::default();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or_default();
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(5));
        fleet.tend()?;
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + Duration::from_millis(100 + dice.below(options.calm()));
        let index = usize::try_from(dice.below(fleet.workers.len() as u64)).unwrap_or_default();
        let roll = dice.below(100);
        let (kind, pause) = match roll {
            0..40 => {
                chaos.kills += 1;
                fleet.kill(index)?;
                continue;
            }
            40..70 => (0, dice.below(millis(LEASE))),
            70..92 => (1, millis(LEASE) + dice.below(millis(LONGEST_PAUSE) - millis(LEASE))),
            _ => (2, millis(ABSENCE) + dice.below(4_000)),
        };
        if fleet.stop(index, Duration::from_millis(pause)) {
            chaos.pauses[kind] += 1;
        }
    }
    fleet.go_on();
    Ok(chaos)
}

/// Ends PostgreSQL at once and starts it again, or stops its postmaster for a while, until it is
/// over. Returns how often.
fn disturb_server(server: &server::Server, options: &Options, over: &AtomicBool) -> [u32; 2] {
    let mut dice = Dice(options.seed + 1);
    let mut counts = [0, 0];
    // After a crash, nothing older is sent for `absence_after`.
    let calm = Duration::from_millis(options.calm() * 4);
    let mut next = Instant::now() + calm;
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
        if Instant::now() < next {
            continue;
        }
        let stops = dice.below(3) == 0;
        if stops {
            server.pause(Duration::from_millis(dice.below(3_000)));
        } else {
            server.crash();
        }
        counts[usize::from(stops)] += 1;
        next = Instant::now() + calm + Duration::from_millis(dice.below(options.calm() * 4));
    }
    counts
}

/// Waits until every intent has a final status; `false` if some have none for too long.
fn settle(outbox: &Outbox, fleet: &mut Fleet, options: &Options) -> Result<bool, Box<dyn Error>> {
    let began = Instant::now();
    while began.elapsed() < options.settle() {
        fleet.tend()?;
        let counts = retried(|| outbox.counts())?;
        if counts.ready + counts.open == 0 {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(false)
}

/// The worker processes.
struct Fleet {
    workers: Vec<WorkerProcess>,
    database: String,
    url: String,
    ended: u32,
}

struct WorkerProcess {
    child: Child,
    adapter: &'static str,
    /// Until when it is stopped.
    stopped: Option<Instant>,
}

impl Fleet {
    fn start(options: &Options, database: String, url: &str) -> io::Result<Self> {
        let adapters = ADAPTERS.iter().cycle().take(options.workers);
        let mut fleet = Self { workers: Vec::new(), database, url: url.to_owned(), ended: 0 };
        for adapter in adapters {
            let child = fleet.spawn(adapter)?;
            fleet.workers.push(WorkerProcess { child, adapter, stopped: None });
        }
        Ok(fleet)
    }

    fn spawn(&self, adapter: &str) -> io::Result<Child> {
        Command::new(env::current_exe()?)
            .arg(COMMAND)
            .args([&self.database, &self.url, adapter])
            // Its end tells the worker that this process has ended.
            .stdin(Stdio::piped())
            .spawn()
    }

    /// Starts again what has ended, and lets go on what was stopped for long enough.
    fn tend(&mut self) -> io::Result<()> {
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.stopped.is_some_and(|until| until <= Instant::now()) {
                worker.stopped = None;
                stop(&worker.child, false);
            }
            if worker.child.try_wait()?.is_some() {
                self.ended += 1;
                self.replace(index)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, index: usize) -> io::Result<()> {
        let adapter = self.workers[index].adapter;
        let child = self.spawn(adapter)?;
        self.workers[index] = WorkerProcess { child, adapter, stopped: None };
        Ok(())
    }

    /// Kills a worker, stopped or not, and starts another one.
    fn kill(&mut self, index: usize) -> io::Result<()> {
        let worker = &mut self.workers[index];
        worker.child.kill()?;
        worker.child.wait()?;
        worker.stopped = None;
        self.replace(index)
    }

    /// Stops a worker for a while; `false` if it is stopped already.
    fn stop(&mut self, index: usize, pause: Duration) -> bool {
        let worker = &mut self.workers[index];
        if worker.stopped.is_some() || !stop(&worker.child, true) {
            return false;
        }
        worker.stopped = Some(Instant::now() + pause);
        true
    }

    fn go_on(&mut self) {
        for worker in &mut self.workers {
            if worker.stopped.take().is_some() {
                stop(&worker.child, false);
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // It may have ended.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Stops a process, or lets it go on; `false` where a system cannot do that. The process has not
/// been waited for, so its number is still its own.
#[cfg(unix)]
fn stop(child: &Child, stops: bool) -> bool {
    use rustix::process::{Pid, Signal, kill_process};

    let signal = if stops { Signal::STOP } else { Signal::CONT };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

#[cfg(not(unix))]
fn stop(_: &Child, _: bool) -> bool {
    false
}

/// Random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % bound.max(1)
    }
}
