//! Workers carry out the intents whose ids they are given, and no others.

use std::sync::atomic::{AtomicUsize, Ordering};

use oneclick_emulator::{GatewayBody, RetryAfter};
use oneclick_outbox::OutboxError;
use oneclick_proto::{AsyncClient, Purchase};

use crate::*;

fn purchases(numbers: std::ops::RangeInclusive<u64>) -> Vec<(String, Purchase)> {
    numbers.map(|number| (format!("order-{number}"), trees(number).into())).collect()
}

/// Stores each right before it is sent, and returns the ids.
fn stored(
    outbox: &Outbox,
    numbers: std::ops::RangeInclusive<u64>,
) -> impl Iterator<Item = Result<i64, OutboxError>> + Send + 'static {
    let outbox = outbox.clone();
    let ids = move |(key, purchase): (String, Purchase)| {
        outbox.enqueue("shop", &key, purchase).map(|new| new.id)
    };
    purchases(numbers).into_iter().map(ids)
}

/// Purchases beneath a counter of how often the list of records is read.
#[derive(Clone)]
struct Counting {
    emulator: InMemory,
    lists: Arc<AtomicUsize>,
}

impl BlockingTransport for Counting {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let is_list = request.uri().path().ends_with("/v1/records");
        self.lists.fetch_add(usize::from(is_list), Ordering::Relaxed);
        BlockingTransport::send(&self.emulator, look_at_the_clock(request)?)
    }

    fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(&self.emulator, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(&self.emulator)
    }
}

#[test]
fn each_id_is_taken_right_before_it_is_sent() {
    let world = World::new("given-lazily");
    let outbox = world.process();
    let most = Arc::new(AtomicUsize::new(0));
    for concurrency in [1, 4] {
        let (counted, most) = (outbox.clone(), Arc::clone(&most));
        let first = concurrency as u64 * 100;
        let ids = stored(&outbox, first..=first + 19).inspect(move |_| {
            let counts = counted.counts().unwrap();
            let unsent = counts.ready + counts.open;
            most.fetch_max(usize::try_from(unsent).unwrap(), Ordering::Relaxed);
        });
        world.worker(&outbox).concurrency(concurrency).drive_all(ids).unwrap();
    }
    assert_eq!((world.bought(), outbox.counts().unwrap().bought), (40, 40));
    assert!((1..=4).contains(&most.load(Ordering::Relaxed)), "{most:?}");
}

#[test]
fn others_are_left_alone_and_so_are_those_that_may_have_been_sent() {
    let world = World::new("given-others");
    let old = world.process().enqueue("shop", "old", trees(9)).unwrap().id;
    world.advance(Duration::from_secs(1));
    let outbox = world.process();
    outbox.enqueue("shop", "other", trees(8)).unwrap();
    let held = outbox.hold("shop", "held", &trees(7).into(), false).unwrap().unwrap();
    world.inject(Fault::ApplyThenDrop, 1);
    let lost = outbox.enqueue("shop", "lost", trees(6)).unwrap().id;
    let worker = world.worker(&outbox);
    let ids = [old, held.id(), lost, lost + 100];
    worker.drive_all(ids.map(Ok)).unwrap();
    worker.drive_all(ids.map(Ok)).unwrap();
    let statuses = ["old", "other", "held", "lost"].map(|key| status(&outbox, key));
    let expected = [Status::Ready, Status::Ready, Status::Claimed, Status::Open];
    assert_eq!((statuses, world.bought()), (expected, 1));

    // What was lost is found, and what is old is looked for.
    worker.settle(&ids).unwrap();
    let statuses = ["old", "other", "held", "lost"].map(|key| status(&outbox, key));
    let expected = [Status::Open, Status::Ready, Status::Claimed, Status::Bought];
    assert_eq!((statuses, world.bought()), (expected, 1));
    world.advance(ABSENCE + Duration::from_secs(5));
    worker.settle(&[old]).unwrap();
    assert_eq!((status(&outbox, "old"), world.bought()), (Status::Bought, 2));
}

#[test]
fn one_walk_looks_for_all_of_them_due_or_not() {
    let world = World::new("given-walk");
    let outbox = world.process();
    world.inject(Fault::ApplyThenDrop, 12);
    let transport = Counting { emulator: world.emulator.clone(), lists: Arc::default() };
    let lists = Arc::clone(&transport.lists);
    let worker = Worker::new(&outbox, World::client(transport)).concurrency(3);
    worker.drive_all(stored(&outbox, 1..=20)).unwrap();
    assert_eq!((outbox.counts().unwrap().open, lists.swap(0, Ordering::Relaxed)), (12, 0));
    let ids: Vec<_> = outbox.list(None, 0, 100).unwrap().iter().map(|entry| entry.id).collect();
    worker.settle(&ids).unwrap();
    assert_eq!((world.bought(), outbox.counts().unwrap().bought), (20, 20));
    assert_eq!(lists.load(Ordering::Relaxed), 1);
}

#[test]
fn a_rate_limit_and_an_outage_are_waited_for() {
    let world = World::new("given-gate");
    let outbox = world.process();
    let began = BlockingTransport::now(&world.emulator);
    world.inject(Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(40)) }, 1);
    world.inject(Fault::ServerError, 3);
    world.worker(&outbox).concurrency(2).drive_all(stored(&outbox, 1..=6)).unwrap();
    let took = BlockingTransport::now(&world.emulator).saturating_sub(began);
    assert!(took >= Duration::from_secs(40), "{took:?}");
    // A 500 may come after the purchase was made.
    let counts = outbox.counts().unwrap();
    assert_eq!((counts.bought, counts.open, world.bought()), (3, 3, 3));
    let ids: Vec<_> = outbox.list(None, 0, 100).unwrap().iter().map(|entry| entry.id).collect();
    world.worker(&outbox).settle(&ids).unwrap();
    assert_eq!(outbox.counts().unwrap().open, 3);
    world.advance(ABSENCE + Duration::from_secs(5));
    world.worker(&outbox).settle(&ids).unwrap();
    assert_eq!((world.bought(), outbox.counts().unwrap().bought), (6, 6));
}

#[test]
fn a_pause_a_refused_key_a_stop_and_an_error_end_it() {
    let world = World::new("given-ends");
    let outbox = world.process();
    let (paused, taken) = (outbox.clone(), AtomicUsize::new(0));
    let count = |_: &_| {
        taken.fetch_add(1, Ordering::Relaxed);
    };
    let worker = world.worker(&outbox).on_outcome(move |_| paused.pause("a person").unwrap());
    worker.drive_all(stored(&outbox, 1..=9).inspect(count)).unwrap();
    // The second one was stored when the outbox was seen to be paused.
    assert_eq!((world.bought(), taken.swap(0, Ordering::Relaxed)), (1, 2));
    worker.settle(&[2]).unwrap();
    assert_eq!(status(&outbox, "order-2"), Status::Ready);
    outbox.resume().unwrap();

    let refused = Fault::Gateway { status: 401, applied: false, body: GatewayBody::ApiError };
    world.inject(refused, 1);
    world.worker(&outbox).drive_all(stored(&outbox, 2..=9).inspect(count)).unwrap();
    assert_eq!((world.bought(), taken.swap(0, Ordering::Relaxed)), (1, 1));
    assert!(outbox.paused().unwrap().unwrap().contains("refuses the key"));
    outbox.resume().unwrap();

    let worker = world.worker(&outbox);
    let stop = worker.stop_handle();
    let worker = worker.on_outcome(move |_| stop.stop());
    worker.drive_all(stored(&outbox, 2..=9).inspect(count)).unwrap();
    assert_eq!((world.bought(), taken.swap(0, Ordering::Relaxed)), (2, 1));

    outbox.enqueue("shop", "order-3", trees(4)).unwrap();
    let ids = stored(&outbox, 3..=9).inspect(count);
    let error = world.worker(&outbox).drive_all(ids).unwrap_err();
    assert!(matches!(error, OutboxError::OtherPurchase { .. }), "{error}");
    assert_eq!((world.bought(), taken.swap(0, Ordering::Relaxed)), (2, 1));
}

#[tokio::test(flavor = "current_thread")]
async fn an_async_worker_does_the_same() {
    let world = World::new("given-async");
    let outbox = world.process();
    world.inject(Fault::ApplyThenDrop, 3);
    let client = AsyncClient::with_transport(Api::sandbox(KEY).unwrap(), world.emulator.clone());
    let worker = Worker::new(&outbox, client);
    worker.drive_all(stored(&outbox, 1..=20)).await.unwrap();
    assert_eq!(outbox.counts().unwrap().open, 3);
    let ids: Vec<_> = outbox.list(None, 0, 100).unwrap().iter().map(|entry| entry.id).collect();
    worker.settle(&ids).await.unwrap();
    assert_eq!((world.bought(), outbox.counts().unwrap().bought), (20, 20));
}
