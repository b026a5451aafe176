//! Workers buy each intent once, whatever the server does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use oneclick_emulator::behaviour::ReceiptForm;
use oneclick_emulator::{Behaviour, RetryAfter};
use oneclick_outbox::OutboxError;
use oneclick_proto::{
    ApiKey, AsyncClient, AsyncTransport, BaseUrl, Connect, Customer, ImpactId, TransportOptions,
    VerifyPolicy,
};

use crate::*;

#[test]
fn each_intent_is_bought_once() {
    let world = World::new("once");
    let outbox = world.process();
    for order in 1..=20 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(order)).unwrap();
    }
    let several = Worker::new(&outbox, World::client(world.emulator.clone())).concurrency(4);
    several.run_until_idle().unwrap();
    assert_eq!(world.bought(), 20);
    let entry = entry(&outbox, "order-7");
    assert_eq!((entry.status, entry.sends), (Status::Bought, 1));
    assert_eq!(entry.bought.unwrap().amount, 7);
}

#[tokio::test(flavor = "current_thread")]
async fn an_async_worker_does_the_same() {
    let world = World::new("async");
    let outbox = world.process();
    for order in 1..=20 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(order)).unwrap();
    }
    world.inject(Fault::ApplyThenDrop, 3);
    let client = AsyncClient::with_transport(Api::sandbox(KEY).unwrap(), world.emulator.clone());
    let worker = Worker::new(&outbox, client);
    // Others spawn it.
    let run: &(dyn Future<Output = _> + Send) = &worker.run_until_idle();
    let _: &(dyn Future<Output = Result<(), OutboxError>> + Send) = run;
    worker.run_until_idle().await.unwrap();
    world.advance(Duration::from_secs(30));
    worker.run_until_idle().await.unwrap();
    assert_eq!((world.bought(), outbox.counts().unwrap().bought), (20, 20));
}

/// The database is locked by somebody else, and everything else on the thread goes on.
#[tokio::test(flavor = "current_thread")]
async fn an_async_worker_does_not_block_its_runtime() {
    let world = World::new("async-blocked");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let Some(path) = world.file() else { return };
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (told, heard) = tokio::sync::oneshot::channel();
    let told = Mutex::new(Some(told));
    let tell = move |entry: &Entry| {
        let (told, status) = (told.lock().unwrap().take().unwrap(), entry.status);
        // It is called on the runtime.
        tokio::spawn(async move { told.send(status).unwrap() });
    };
    let client = AsyncClient::with_transport(Api::sandbox(KEY).unwrap(), world.emulator.clone());
    let worker = Worker::new(&outbox, client).on_outcome(tell);
    let unlock = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        other.execute_batch("COMMIT").unwrap();
    };
    let (result, ()) = futures_util::future::join(worker.run_until_idle(), unlock).await;
    result.unwrap();
    assert_eq!(heard.await.unwrap(), Status::Bought);
}

#[tokio::test(flavor = "current_thread")]
async fn a_worker_whose_future_is_dropped_stops_and_can_run_again() {
    let world = World::new("async-dropped");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    // It is waited for until the future is dropped.
    let hanging = Hanging { emulator: world.emulator.clone(), sent: Arc::default() };
    let sent = Arc::clone(&hanging.sent);
    let client = AsyncClient::with_transport(Api::sandbox(KEY).unwrap(), hanging);
    let worker = Worker::new(&outbox, client);
    let dropped = async {
        while sent.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    {
        let (run, dropped) = (std::pin::pin!(worker.run()), std::pin::pin!(dropped));
        futures_util::future::select(run, dropped).await;
    }
    // Its thread writes what it knows.
    let is_let_go = || entry(&outbox, "order-1").problem.is_some();
    for _ in 0..1_000 {
        if is_let_go() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_let_go());
    assert_eq!(status(&outbox, "order-1"), Status::Open);
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
    outbox.enqueue("shop", "order-2", trees(1)).unwrap();
    sent.store(1, Ordering::Relaxed);
    // A thread of the run that was dropped may be in the middle of a claim.
    for _ in 0..1_000 {
        worker.run_until_idle().await.unwrap();
        if !matches!(status(&outbox, "order-2"), Status::Ready | Status::Claimed) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((status(&outbox, "order-2"), world.bought()), (Status::Bought, 2));
}

/// The first purchase is made, and its response never arrives.
#[derive(Clone)]
struct Hanging {
    emulator: InMemory,
    sent: Arc<AtomicUsize>,
}

impl AsyncTransport for Hanging {
    type Body = Vec<u8>;

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let buys = request.method() == Method::POST;
        let response = BlockingTransport::send(&self.emulator, request);
        if buys && self.sent.fetch_add(1, Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
        response
    }

    async fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
        tokio::task::yield_now().await;
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

#[test]
fn a_lost_response_is_looked_for_and_nothing_is_bought_twice() {
    for (name, fault) in [
        ("applied", Fault::ApplyThenDrop),
        ("error", Fault::ApplyThenError),
        ("late", Fault::DropThenApply { millis: 5_000 }),
    ] {
        let world = World::new(name);
        let outbox = world.process();
        outbox.enqueue("shop", "order-1", trees(1)).unwrap();
        world.inject(fault, 1);
        world.settle(&outbox);
        assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1), "{name}");
    }
}

#[test]
fn a_purchase_that_was_not_made_is_sent_again_only_long_after() {
    let world = World::new("absent");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    world.inject(Fault::DropBefore, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-1"), Status::Open);
    for _ in 0..(ABSENCE.as_secs() / 30 - 2) {
        world.advance(Duration::from_secs(30));
        world.worker(&outbox).run_until_idle().unwrap();
        assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Open, 0));
    }
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
}

#[test]
fn what_is_absent_twice_is_left_to_a_person() {
    let world = World::new("twice");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.inject(Fault::DropBefore, 2);
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Unresolved, 0));
    assert_eq!(entry(&outbox, "order-1").sends, 2);
    outbox.retry(id).unwrap();
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
}

#[test]
fn a_rate_limit_holds_back_all_intents_and_then_they_go_on() {
    let world = World::new("limit");
    let outbox = world.process();
    for order in 1..=5 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let busy = Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(40)) };
    world.inject(busy, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    let began = BlockingTransport::now(&world.emulator);
    assert_eq!(world.bought(), 0);
    while BlockingTransport::now(&world.emulator) < began + Duration::from_secs(35) {
        world.advance(Duration::from_secs(5));
        world.worker(&outbox).run_until_idle().unwrap();
        assert_eq!(world.bought(), 0);
    }
    world.settle(&outbox);
    assert_eq!((world.bought(), outbox.counts().unwrap().bought), (5, 5));
}

#[test]
fn a_receipt_of_another_intent_is_not_taken_for_ones_own() {
    let world = World::new("crossed");
    let outbox = world.process();
    let crossed = Behaviour::new().receipt(ReceiptForm::Crossed);
    world.emulator.emulator().set_behaviour(crossed);
    for order in 1..=4 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    world.settle(&outbox);
    let entries = outbox.list(Status::Bought, 0, 9).unwrap().into_iter();
    let ids: BTreeSet<_> = entries.map(|entry| entry.bought.unwrap().id).collect();
    assert_eq!((ids.len(), world.bought()), (4, 4));
}

/// The first intent got the receipt of the second, or even its record.
#[test]
fn a_record_says_more_than_the_receipt_of_another_intent() {
    for looked in [false, true] {
        let world = World::new(if looked { "record-record" } else { "record-receipt" });
        let outbox = world.process();
        outbox.enqueue("shop", "order-1", trees(1)).unwrap();
        world.settle(&outbox);
        let own = entry(&outbox, "order-1").bought.unwrap().id;
        let other = outbox.enqueue("shop", "order-2", trees(1)).unwrap().id;
        world.inject(Fault::DropThenApply { millis: 5_000 }, 1);
        assert_eq!(world.worker(&outbox).drive(other).unwrap(), Some(Status::Open));
        world.advance(Duration::from_secs(10));
        let found = swap_receipts(&world, looked);
        world.settle(&outbox);
        let second = entry(&outbox, "order-2");
        if looked {
            assert_eq!(second.status, Status::Unresolved);
            assert!(second.problem.unwrap().contains("the impact of the intent \"order-1\""));
        } else {
            assert_eq!(second.bought.unwrap().id, found);
            assert_eq!(entry(&outbox, "order-1").bought.unwrap().id, own);
        }
        assert_eq!(world.bought(), 2);
    }
}

/// Gives the first intent the latest impact, from a receipt or from a record.
fn swap_receipts(world: &World, looked: bool) -> ImpactId {
    let latest = world.emulator.emulator().account(KEY).unwrap().ledger().last().unwrap().receipt;
    world.sql(&format!(
        r#"UPDATE intent SET looked = {looked},
           bought = '{{"user_id":"{}","time_utc":"{}","kind":"tree_planted","amount":1}}'
           WHERE key = 'order-1'"#,
        latest.user_id, latest.time_utc
    ));
    ImpactId::from(&latest)
}

/// The worker is in the middle of a cancellation, while another one finds out whose impact it is.
#[test]
fn a_worker_does_not_write_over_an_intent_whose_receipt_was_anothers() {
    let world = Arc::new(World::new("record-cancelling"));
    let outbox = world.process();
    let first = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.settle(&outbox);
    let own = entry(&outbox, "order-1").bought.unwrap().id;
    let second = outbox.enqueue("shop", "order-2", trees(1)).unwrap().id;
    world.inject(Fault::DropThenApply { millis: 5_000 }, 1);
    world.worker(&outbox).drive(second).unwrap();
    world.advance(Duration::from_secs(10));
    let found = swap_receipts(&world, false);
    assert_eq!(outbox.cancel(first).unwrap(), Status::Cancelling);

    let (other, meanwhile) = (world.process(), Arc::clone(&world));
    let mut transport = world.hooked();
    transport.before = Some(super::pauses::hook(move || {
        assert_eq!(meanwhile.worker(&other).drive(second).unwrap(), Some(Status::Bought));
        assert_eq!(status(&other, "order-1"), Status::Open);
    }));
    Worker::new(&outbox, World::client(transport)).drive(first).unwrap();
    assert_eq!(status(&outbox, "order-1"), Status::Open);
    assert_eq!(entry(&outbox, "order-2").bought.unwrap().id, found);
    let events = outbox.events(first).unwrap();
    assert!(events.last().unwrap().what.starts_with("too late"), "{events:#?}");
    // It is to be cancelled still, as its own impact.
    world.settle(&outbox);
    let first = entry(&outbox, "order-1");
    assert_eq!((first.status, first.bought.unwrap().id), (Status::Cancelled, own));
}

#[test]
fn an_intent_that_is_named_twice_is_sent_once() {
    let world = World::new("named-twice");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.inject(Fault::DropBefore, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    world.advance(ABSENCE + Duration::from_secs(10));
    world.worker(&outbox).settle(&[id, id]).unwrap();
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
}

#[test]
fn one_bad_intent_is_refused_and_the_others_go_on() {
    let world = World::new("refused");
    let outbox = world.process();
    for order in 1..=3 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let client = World::client(Refusing::new(&world, 400));
    Worker::new(&outbox, client).concurrency(1).run_until_idle().unwrap();
    let refused = entry(&outbox, "order-1");
    assert_eq!(refused.status, Status::Refused);
    assert!(refused.problem.unwrap().contains("400"));
    let answer = refused.answer.unwrap();
    assert_eq!((answer.status, &answer.body["message"]), (400, &"no".into()));
    assert_eq!((outbox.counts().unwrap().refused, world.bought()), (1, 2));
}

#[test]
fn a_refused_key_pauses_and_refuses_nobody() {
    let world = World::new("key-refused");
    let outbox = world.process();
    for order in 1..=3 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let client = World::client(Refusing::new(&world, 401));
    Worker::new(&outbox, client).concurrency(1).run_until_idle().unwrap();
    let counts = outbox.counts().unwrap();
    assert_eq!((counts.ready, counts.refused, world.bought()), (3, 0, 0));
    assert!(counts.paused.unwrap().contains("401"));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(world.bought(), 0);
    outbox.resume().unwrap();
    world.settle(&outbox);
    assert_eq!(world.bought(), 3);
}

#[test]
fn an_outage_loses_nothing() {
    let world = World::new("outage");
    let outbox = world.process();
    for order in 1..=10 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let down = World::client(Unreachable(world.emulator.clone()));
    let worker = Worker::new(&outbox, down).concurrency(2);
    for _ in 0..48 {
        world.advance(Duration::from_secs(3_600));
        worker.run_until_idle().unwrap();
    }
    let counts = outbox.counts().unwrap();
    assert_eq!((counts.ready + counts.open, world.bought()), (10, 0));
    // Once the API is back, a new order is sent at once, and the old ones are looked for first.
    world.advance(Duration::from_secs(300));
    outbox.enqueue("shop", "new", trees(1)).unwrap();
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!((status(&outbox, "new"), world.bought()), (Status::Bought, 1));
    world.advance(ABSENCE + Duration::from_secs(10));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!((outbox.counts().unwrap().bought, world.bought()), (11, 11));
}

#[test]
fn no_retry_after_holds_everything_back_for_ever() {
    let world = World::new("hostile-limit");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    world.inject(Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(u32::MAX)) }, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    world.advance(Duration::from_secs(3_601));
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
}

/// What one row needs is never a reason to stop for the others.
#[test]
fn an_intent_that_cannot_be_read_is_left_to_a_person_and_the_others_go_on() {
    let world = World::new("poison");
    let outbox = world.process();
    for order in 1..=5 {
        let ada = Customer::new("ada@example.com").unwrap();
        outbox.enqueue("shop", &format!("order-{order}"), trees(order).customer(ada)).unwrap();
    }
    let state = r#"{"version":1,"marker":"0","kind":"tree_planted","amount":1,"customer":null,
        "sends":1,"allowed":2,"from":null,"until":null,"review":"none"}"#;
    for (order, column, value) in [
        (1, "request", None),
        (2, "request", Some(r#"{"v":1,"action":"plant_tree","amount":"ada@example.com"}"#)),
        (3, "state", Some("{}")),
        (4, "state", Some(state)),
    ] {
        let value = value.map_or_else(|| "NULL".to_owned(), |value| format!("'{value}'"));
        world.sql(&format!("UPDATE intent SET {column} = {value} WHERE id = {order}"));
    }
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!((status(&outbox, "order-5"), world.bought()), (Status::Bought, 1));
    for order in 1..=4 {
        let read = |column| world.sql(&format!("SELECT {column} FROM intent WHERE id = {order}"));
        let (status, problem) = (read("status").unwrap(), read("problem").unwrap());
        assert_eq!(status, "unresolved", "order {order}: {problem}");
        let events = outbox.events(order).unwrap();
        assert!(!format!("{problem} {events:?}").contains("ada@"), "{problem} {events:?}");
    }
}

#[test]
fn a_request_of_a_newer_version_is_left_to_a_newer_worker() {
    let world = World::new("newer-request");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let set = |request: &str| {
        world.sql(&format!("UPDATE intent SET due = 0, request = '{request}'"));
    };
    set(r#"{"v":2,"action":"plant_tree","amount":1,"novelty":true}"#);
    for _ in 0..3 {
        world.worker(&outbox).run_until_idle().unwrap();
        world.advance(Duration::from_secs(100));
    }
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Ready, 0));
    set(r#"{"v":1,"action":"plant_tree","amount":1}"#);
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
}

#[test]
fn what_is_open_and_what_is_new_take_turns() {
    let world = World::new("turns");
    let outbox = world.process();
    for order in 1..=20 {
        outbox.enqueue("shop", &format!("open-{order}"), trees(1)).unwrap();
    }
    world.inject(Fault::DropBefore, 20);
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(outbox.counts().unwrap().open, 20);
    for order in 1..=20 {
        outbox.enqueue("shop", &format!("new-{order}"), trees(1)).unwrap();
    }
    world.advance(Duration::from_secs(400));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let counter = Counting { emulator: world.emulator.clone(), paths: Arc::clone(&sent) };
    let worker = Worker::new(&outbox, World::client(counter)).concurrency(1);
    worker.run_until_idle().unwrap();
    let paths = sent.lock().unwrap().clone();
    let first_new = paths.iter().position(|path| path == "/v1/plant_tree").unwrap();
    let first_look = paths.iter().position(|path| path.contains("records")).unwrap();
    assert!(first_new < 8 && first_look < 8, "{paths:?}");
    assert_eq!(world.bought(), 20);
}

/// How often each list was read.
fn walks(sent: &Mutex<Vec<String>>) -> usize {
    sent.lock().unwrap().iter().filter(|path| *path == "/v1/records").count()
}

#[test]
fn after_an_outage_one_walk_settles_all_that_is_open() {
    let world = World::new("one-walk");
    let outbox = world.process();
    for order in 1..=40 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    world.inject(Fault::DropBefore, 15);
    world.inject(Fault::ApplyThenDrop, 25);
    let unreadable = FaultRule::new(Fault::DropBefore).on("/v1/records");
    world.emulator.emulator().inject(unreadable);
    world.worker(&outbox).run_until_idle().unwrap();
    world.emulator.emulator().clear_faults();
    let counts = outbox.counts().unwrap();
    assert_eq!((counts.open, counts.pending, world.bought()), (40, 40, 25));
    world.advance(ABSENCE + Duration::from_secs(60));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let counter = Counting { emulator: world.emulator.clone(), paths: Arc::clone(&sent) };
    let worker = Worker::new(&outbox, World::client(counter)).concurrency(1);
    worker.run_until_idle().unwrap();
    assert_eq!((outbox.counts().unwrap().bought, world.bought(), walks(&sent)), (40, 40, 1));
}

#[test]
fn what_a_new_process_finds_is_looked_for_with_one_walk() {
    let world = World::new("stale");
    let outbox = world.process();
    for order in 1..=30 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    world.advance(Duration::from_secs(5));
    let outbox = world.process();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let counter = Counting { emulator: world.emulator.clone(), paths: Arc::clone(&sent) };
    let worker = Worker::new(&outbox, World::client(counter)).concurrency(1);
    worker.run_until_idle().unwrap();
    assert_eq!((outbox.counts().unwrap().pending, walks(&sent), world.bought()), (30, 1, 0));
    world.advance(ABSENCE + Duration::from_secs(60));
    worker.run_until_idle().unwrap();
    assert_eq!((outbox.counts().unwrap().bought, walks(&sent), world.bought()), (30, 2, 30));
}

#[test]
fn a_rate_is_kept() {
    let world = World::new("rate");
    let outbox = world.process();
    for order in 1..=10 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let began = BlockingTransport::now(&world.emulator);
    world.worker(&outbox).rate(2, Duration::from_secs(20)).run_until_idle().unwrap();
    let took = BlockingTransport::now(&world.emulator).saturating_sub(began);
    assert_eq!(world.bought(), 10);
    assert!((90..=100).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_rate_is_kept_for_what_one_walk_found_to_be_absent() {
    let world = World::new("rate-absent");
    let outbox = world.process();
    for order in 1..=8 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    world.inject(Fault::DropBefore, 8);
    world.worker(&outbox).run_until_idle().unwrap();
    world.advance(ABSENCE + Duration::from_secs(60));
    let began = BlockingTransport::now(&world.emulator);
    // Longer than a lease, in all.
    world.worker(&outbox).rate(1, Duration::from_secs(40)).run_until_idle().unwrap();
    let took = BlockingTransport::now(&world.emulator).saturating_sub(began);
    assert_eq!(world.bought(), 8);
    assert!((280..=330).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_worker_that_starts_in_an_outage_waits_for_its_end() {
    let world = World::new("starts");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let down = FaultRule::new(Fault::DropBefore).on("/v1/whoami").times(8);
    world.emulator.emulator().inject(down);
    let error = world.worker(&outbox).run_until_idle().unwrap_err();
    assert!(matches!(error, OutboxError::Account(_)), "{error}");
    let worker = world.worker(&outbox);
    let stop = worker.stop_handle();
    let worker = worker.on_outcome(move |_| stop.stop());
    worker.run().unwrap();
    assert_eq!(world.bought(), 1);
}

#[test]
fn two_spellings_of_a_url_are_one_account() {
    let world = World::new("spelling");
    let outbox = world.process();
    for url in ["https://API.example.com", "https://api.example.com.:443/"] {
        let api = Api::new(BaseUrl::new(url).unwrap(), ApiKey::new(KEY).unwrap()).unwrap();
        let client = BlockingClient::with_transport(api, world.emulator.clone());
        Worker::new(&outbox, client).run_until_idle().unwrap();
    }
}

#[test]
fn after_failures_one_intent_at_a_time_finds_out() {
    let world = World::new("one-at-a-time");
    let outbox = world.process();
    for order in 1..=8 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let down = Unreachable(world.emulator.clone());
    Worker::new(&outbox, World::client(down.clone())).concurrency(1).run_until_idle().unwrap();
    let tried = || {
        let tried = |order| outbox.events(order).unwrap().len() > 1;
        (1..=8).filter(|order| tried(*order)).count()
    };
    assert_eq!(tried(), 1);
    world.advance(Duration::from_secs(10));
    Worker::new(&outbox, World::client(down)).concurrency(8).run_until_idle().unwrap();
    assert!(tried() <= 2, "{}", tried());
}

/// Eight intents that fail at the same moment are one failure, and not an outage of minutes.
#[test]
fn what_fails_at_the_same_moment_counts_as_one_failure() {
    let world = World::new("same-moment");
    let outbox = world.process();
    for order in 1..=8 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let waiting = Arc::default();
    let down = Together { emulator: world.emulator.clone(), waiting };
    Worker::new(&outbox, World::client(down)).concurrency(8).run_until_idle().unwrap();
    assert_eq!((outbox.counts().unwrap().ready, world.bought()), (8, 0));
    world.advance(Duration::from_secs(3));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!((outbox.counts().unwrap().bought, world.bought()), (8, 8));
}

#[test]
fn the_key_of_another_account_is_refused() {
    let world = World::new("account");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    world.worker(&outbox).run_until_idle().unwrap();
    outbox.enqueue("shop", "order-2", trees(1)).unwrap();
    for api in [
        Api::sandbox("test_another").unwrap(),
        Api::with_base_url("http://127.0.0.1:1", KEY).unwrap(),
    ] {
        let other = BlockingClient::with_transport(api, world.emulator.clone());
        let error = Worker::new(&outbox, other).run_until_idle().unwrap_err();
        assert!(matches!(error, OutboxError::OtherAccount { .. }), "{error}");
    }
    assert_eq!((status(&outbox, "order-2"), world.bought()), (Status::Ready, 1));
}

/// The emulator, which refuses the first purchase in the API's own words.
#[derive(Clone)]
struct Refusing {
    emulator: InMemory,
    status: u16,
    refused: Arc<AtomicBool>,
}

impl Refusing {
    fn new(world: &World, status: u16) -> Self {
        Self { emulator: world.emulator.clone(), status, refused: Arc::default() }
    }
}

impl BlockingTransport for Refusing {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        if request.method() == Method::GET || self.refused.swap(true, Ordering::Relaxed) {
            return BlockingTransport::send(&self.emulator, request);
        }
        let kind = if self.status == 401 { "key_error" } else { "invalid_request_error" };
        let body = format!(r#"{{"type":"{kind}","message":"no"}}"#).into_bytes();
        Ok(Response::builder().status(self.status).body(body).unwrap())
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

/// The emulator, and the paths of the requests to it.
#[derive(Clone)]
struct Counting {
    emulator: InMemory,
    paths: Arc<Mutex<Vec<String>>>,
}

impl BlockingTransport for Counting {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        self.paths.lock().unwrap().push(request.uri().path().to_owned());
        BlockingTransport::send(&self.emulator, request)
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

/// The emulator, of which only `whoami` can be reached.
#[derive(Clone)]
struct Unreachable(InMemory);

impl BlockingTransport for Unreachable {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        if request.uri().path() == "/v1/whoami" {
            return BlockingTransport::send(&self.0, request);
        }
        Err(TransportError::connect("no route"))
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.0, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.0)
    }
}

/// How many transactions have been written to a database with a rollback journal: the counter
/// in its header.
fn commits(path: &Path) -> u32 {
    let header = fs::read(path).unwrap();
    u32::from_be_bytes(header[24..28].try_into().unwrap())
}

#[test]
fn an_order_takes_one_commit_to_store_and_two_and_a_part_of_a_claim_to_carry_out() {
    let world = World::new("commits");
    let Some(path) = world.file() else { return };
    let outbox = world.process();
    let worker = Worker::new(&outbox, World::client(world.emulator.clone())).concurrency(4);
    // It notes the account of the key.
    worker.run_until_idle().unwrap();
    let before = commits(path);
    for order in 1..=160 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    let stored = commits(path);
    worker.run_until_idle().unwrap();
    let carried = commits(path) - stored;
    assert_eq!((stored - before, world.bought()), (160, 160));
    // A permit and an outcome for each, and a claim for every sixteen.
    assert_eq!(carried, 160 * 2 + 160 / 16);
}

/// The emulator, to which no purchase leaves: eight of them fail together.
#[derive(Clone)]
struct Together {
    emulator: InMemory,
    waiting: Arc<AtomicUsize>,
}

impl BlockingTransport for Together {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        if request.method() == Method::GET {
            return BlockingTransport::send(&self.emulator, request);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // For a minute at most.
        for _ in 0..60_000 {
            if self.waiting.load(Ordering::Relaxed) >= 8 {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(TransportError::connect("no route"))
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

/// Whatever could still be on its way must not count as absent, nor be taken by another worker.
#[test]
fn times_that_are_too_short_for_the_client_are_refused() {
    let world = World::new("short");
    let outbox = world.process();
    let second = Duration::from_secs(1);
    // 5 s to send it, 30 s for the client, and 20 s in the kernel, or 10 s for the database.
    let (absence, lease) = (second * 55, second * 45);
    let policy = |absence| VerifyPolicy::STANDARD.absence_after(absence);
    let worker = || world.worker(&outbox).policy(policy(absence)).lease(lease);
    worker().run_until_idle().unwrap();
    let refused = [
        ("absence_after", absence, worker().policy(policy(second * 54))),
        ("lease", lease, worker().lease(second * 44)),
        ("lease", lease + second, worker().send_by(second * 6).policy(policy(ABSENCE))),
    ];
    for (name, shortest, worker) in refused {
        match worker.run_until_idle() {
            Err(OutboxError::TooShort { setting, least, .. }) => {
                assert_eq!((setting, least), (name, shortest));
            }
            result => panic!("{name}: {result:?}"),
        }
    }
    // The lease that is not set fits the client.
    let options = TransportOptions::new().timeout(second * 300);
    let client = |api| {
        let transport = InMemory::connect(&api, &options).unwrap();
        Worker::new(&outbox, BlockingClient::with_transport(api, transport))
    };
    let other = Api::sandbox(KEY).unwrap();
    client(other).run_until_idle().unwrap();
    // On this machine, what was lost is known to be.
    let local = Api::with_base_url("http://127.0.0.1:1", KEY).unwrap();
    let error = client(local).policy(policy(second)).lease(second).run_until_idle().unwrap_err();
    assert!(matches!(error, OutboxError::OtherAccount { .. }), "{error}");
}
