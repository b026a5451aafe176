//! What the outbox promises, on virtual time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod outbox {
    mod enqueueing;
    mod holding;
    mod model;
    mod operating;
    mod pauses;
    mod working;
}

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, process};

use http::{Method, Request, Response};
use oneclick_emulator::{Fault, FaultRule, InMemory};
use oneclick_outbox::rusqlite::Connection;
use oneclick_outbox::{Clock, Entry, Now, Outbox, Status, Worker, migrate};
use oneclick_proto::{
    Api, BlockingClient, BlockingTransport, BodyGate, PlantTree, TransportError, Trees,
};

const KEY: &str = "test_outbox";
const LEASE: Duration = Duration::from_secs(60);
const ABSENCE: Duration = Duration::from_secs(900);

/// The emulator, and a database in a file.
struct World {
    emulator: InMemory,
    path: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        // In memory where that is possible: a disk takes long to commit.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { env::temp_dir() };
        let path = folder.join(format!("oneclick-outbox-{}-{name}.db", process::id()));
        let world = Self { emulator: InMemory::new(), path };
        world.remove();
        migrate(&mut Connection::open(&world.path).unwrap()).unwrap();
        world
    }

    fn remove(&self) {
        for ending in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.path.clone().into_os_string();
            name.push(ending);
            // It may be missing.
            let _ = fs::remove_file(name);
        }
    }

    /// The clock of the machine, which is the emulator's.
    fn clock(&self) -> Clock {
        let emulator = self.emulator.clone();
        Clock::new(move || now(&emulator, "one"))
    }

    /// Another process on the same database.
    fn process(&self) -> Outbox {
        self.process_with(self.clock())
    }

    fn process_with(&self, clock: Clock) -> Outbox {
        Outbox::with_clock(Connection::open(&self.path).unwrap(), clock).unwrap()
    }

    fn client<T: BlockingTransport>(transport: T) -> BlockingClient<T> {
        BlockingClient::with_transport(Api::sandbox(KEY).unwrap(), transport)
    }

    fn worker(&self, outbox: &Outbox) -> Worker<BlockingClient<InMemory>> {
        Worker::new(outbox, Self::client(self.emulator.clone())).concurrency(1)
    }

    fn advance(&self, by: Duration) {
        self.emulator.advance(by);
    }

    fn inject(&self, fault: Fault, times: u32) {
        let rule = FaultRule::new(fault).on("/v1/plant_tree").times(times);
        self.emulator.emulator().inject(rule);
    }

    /// How many purchases the emulator's ledger has.
    fn bought(&self) -> usize {
        self.emulator.emulator().account(KEY).map_or(0, oneclick_emulator::Account::impacts)
    }

    /// Works in steps until every intent has a final status, for an hour at most.
    fn settle(&self, outbox: &Outbox) {
        for _ in 0..60 {
            self.worker(outbox).run_until_idle().unwrap();
            let counts = outbox.counts().unwrap();
            if counts.ready + counts.open + counts.cancelling == 0 {
                return;
            }
            self.advance(Duration::from_secs(60));
        }
        panic!("not settled: {:?}", outbox.counts());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.remove();
    }
}

fn now(emulator: &InMemory, boot: &str) -> Now {
    Now { boot: boot.to_owned(), since_boot: BlockingTransport::now(emulator) }
}

fn trees(number: u64) -> PlantTree {
    PlantTree::new(Trees::new(number).unwrap())
}

fn entry(outbox: &Outbox, key: &str) -> Entry {
    outbox.find("shop", key).unwrap().unwrap()
}

fn status(outbox: &Outbox, key: &str) -> Status {
    entry(outbox, key).status
}

/// What happens when a purchase is sent.
type Hook = Arc<Mutex<dyn FnMut() + Send>>;

/// The emulator, with something that happens right before each purchase leaves and after the
/// last look at the clock, right after its response arrived, right after any other response
/// arrived, or at the end of a wait.
#[derive(Clone)]
struct Hooked {
    emulator: InMemory,
    before: Option<Hook>,
    after: Option<Hook>,
    looked: Option<Hook>,
    waited: Option<Hook>,
}

impl BlockingTransport for Hooked {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let buys = request.method() == Method::POST;
        let request = look_at_the_clock(request)?;
        call(self.before.as_ref().filter(|_| buys));
        let response = BlockingTransport::send(&self.emulator, request);
        call(if buys { self.after.as_ref() } else { self.looked.as_ref() });
        response
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
        call(self.waited.as_ref());
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

/// Does what a transport does before it sends a body, and keeps the emulator from it.
fn look_at_the_clock(mut request: Request<Vec<u8>>) -> Result<Request<Vec<u8>>, TransportError> {
    BodyGate::of(&request).take().map_err(TransportError::connect)?;
    request.extensions_mut().clear();
    Ok(request)
}

fn call(hook: Option<&Hook>) {
    if let Some(hook) = hook {
        (hook.lock().unwrap())();
    }
}
