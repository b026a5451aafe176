//! What the people who operate it can see and do.

use oneclick_emulator::GatewayBody;
use oneclick_outbox::OutboxError;
use oneclick_proto::{CancelImpact, ImpactId};

use crate::*;

#[test]
fn what_happened_is_told_step_by_step() {
    let world = World::new("events");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.inject(Fault::DropThenApply { millis: 5_000 }, 1);
    world.settle(&outbox);
    let events: Vec<_> = outbox.events(id).unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(&events[..2], ["stored", "permit: the purchase may be sent"]);
    assert!(events[2].starts_with("not known yet"), "{events:?}");
    assert!(events[3].starts_with("bought as "), "{events:?}");
}

#[test]
fn a_pause_keeps_everything_until_it_ends() {
    let world = World::new("pause");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    outbox.pause("the shop is being moved").unwrap();
    world.worker(&outbox).run_until_idle().unwrap();
    let counts = outbox.counts().unwrap();
    assert_eq!((counts.ready, world.bought()), (1, 0));
    assert_eq!(counts.paused.as_deref(), Some("the shop is being moved"));
    outbox.resume().unwrap();
    world.settle(&outbox);
    assert_eq!(world.bought(), 1);
}

#[test]
fn a_dropped_intent_is_not_sent_and_its_key_stays() {
    let world = World::new("drop");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    outbox.drop_intent(id).unwrap();
    world.worker(&outbox).run_until_idle().unwrap();
    assert!(!outbox.enqueue("shop", "order-1", trees(1)).unwrap().is_new);
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Dropped, 0));
    let error = outbox.retry(id).unwrap_err();
    assert!(matches!(error, OutboxError::WrongStatus { status: Status::Dropped, .. }));
    assert!(matches!(outbox.retry(id + 1).unwrap_err(), OutboxError::NoSuchIntent));
}

#[test]
fn a_person_can_say_as_what_an_intent_was_bought() {
    let world = World::new("bought-as");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(3)).unwrap().id;
    world.inject(Fault::DropBefore, 2);
    world.settle(&outbox);
    let impact: ImpactId = "U1-2025-01-01T00:00:00.001Z".parse().unwrap();
    outbox.bought_as(id, &impact).unwrap();
    let entry = entry(&outbox, "order-1");
    let bought = entry.bought.unwrap();
    assert_eq!((entry.status, bought.id, bought.amount), (Status::Bought, impact, 3));
    assert_eq!(entry.answer.unwrap().body["tree_planted"], 3);
}

#[test]
fn what_the_api_refused_is_told_again_without_personal_data_once_erased() {
    let world = World::new("erased-refusal");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let refuse = r#"UPDATE intent SET status = 'refused', problem = 'withheld',
        done_at = '2025-01-01', answer = '{"status":422,"body":
            {"type":"invalid_request_error","message":"no ada@example.com","more":"ada"}}'"#;
    world.sql(refuse);
    assert_eq!(entry(&outbox, "order-1").answer.unwrap().body["more"], "ada");
    assert_eq!(outbox.erase_requests(Duration::ZERO).unwrap(), 1);
    let answer = entry(&outbox, "order-1").answer.unwrap();
    let body = r#"{"message":"withheld","type":"invalid_request_error"}"#;
    assert_eq!((answer.status, &*answer.body.to_string()), (422, body));
}

#[test]
fn one_intent_can_be_driven_by_a_queue_of_ones_own() {
    let world = World::new("drive");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    assert_eq!(world.worker(&outbox).drive(id).unwrap(), Some(Status::Bought));
    let error = world.worker(&outbox).drive(id).unwrap_err();
    assert!(matches!(error, OutboxError::WrongStatus { status: Status::Bought, .. }));
}

#[test]
fn lists_go_on_where_they_ended() {
    let world = World::new("list");
    let outbox = world.process();
    for order in 1..=5 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    world.settle(&outbox);
    outbox.enqueue("shop", "order-6", trees(1)).unwrap();
    let keys =
        |entries: Vec<Entry>| -> Vec<_> { entries.into_iter().map(|entry| entry.key).collect() };
    let bought = outbox.list(Status::Bought, 0, 3).unwrap();
    let last = bought.last().unwrap().id;
    assert_eq!(keys(bought), ["order-1", "order-2", "order-3"]);
    assert_eq!(keys(outbox.list(Status::Bought, last, 3).unwrap()), ["order-4", "order-5"]);
    assert_eq!(keys(outbox.list(None, last, 3).unwrap()), ["order-4", "order-5", "order-6"]);
}

#[test]
fn an_intent_whose_request_was_erased_is_not_tried_again() {
    let world = World::new("erased-retry");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    let refuse = "UPDATE intent SET status = 'refused', request = NULL";
    world.sql(refuse);
    let error = outbox.retry(id).unwrap_err();
    assert!(matches!(error, OutboxError::Unreadable { .. }), "{error}");
    assert_eq!(status(&outbox, "order-1"), Status::Refused);
}

/// How many purchases stand.
fn standing(world: &World) -> usize {
    let emulator = world.emulator.emulator();
    let account = emulator.account(KEY);
    account.map_or(0, |account| account.ledger().filter(|it| it.cancelled_on.is_none()).count())
}

#[test]
fn what_has_not_left_is_dropped_when_it_is_cancelled() {
    let world = World::new("cancel-ready");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    assert_eq!(outbox.cancel(id).unwrap(), Status::Dropped);
    assert_eq!(outbox.cancel(id).unwrap(), Status::Dropped);
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(world.bought(), 0);
    assert!(matches!(outbox.cancel(id + 1).unwrap_err(), OutboxError::NoSuchIntent));
}

#[test]
fn what_was_bought_is_cancelled_and_a_lost_response_is_repeated() {
    let world = World::new("cancel-bought");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.settle(&outbox);
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/cancel_impact").times(2);
    world.emulator.emulator().inject(lost);
    assert_eq!(outbox.cancel(id).unwrap(), Status::Cancelling);
    assert_eq!(outbox.counts().unwrap().cancelling, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    let waiting = entry(&outbox, "order-1");
    assert_eq!(waiting.status, Status::Cancelling);
    assert!(waiting.problem.is_some());
    world.settle(&outbox);
    let cancelled = entry(&outbox, "order-1");
    assert_eq!(
        (cancelled.status, cancelled.problem, standing(&world)),
        (Status::Cancelled, None, 0)
    );
    assert_eq!(cancelled.found, [cancelled.bought.unwrap().id]);
    assert_eq!(outbox.cancel(id).unwrap(), Status::Cancelled);
}

#[test]
fn what_is_open_is_found_and_cancelled_or_not_sent_again() {
    for (fault, wanted) in
        [(Fault::ApplyThenDrop, Status::Cancelled), (Fault::DropBefore, Status::Dropped)]
    {
        let world = World::new(wanted.as_str());
        let outbox = world.process();
        let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
        world.inject(fault, 1);
        world.worker(&outbox).run_until_idle().unwrap();
        // It is looked for at once, and found if it was made; then only this waits.
        if wanted == Status::Dropped {
            assert_eq!(outbox.cancel(id).unwrap(), Status::Open);
            assert!(entry(&outbox, "order-1").is_to_be_cancelled);
        } else {
            outbox.cancel(id).unwrap();
        }
        world.settle(&outbox);
        assert_eq!((status(&outbox, "order-1"), standing(&world)), (wanted, 0));
        assert_eq!(world.bought(), usize::from(wanted == Status::Cancelled));
    }
}

#[test]
fn what_is_cancelled_while_it_is_sent_is_cancelled_afterwards() {
    let world = World::new("cancel-sent");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    let mut transport = world.hooked();
    let (person, mut said) = (world.process(), None);
    transport.before = Some(super::pauses::hook(move || {
        said.get_or_insert_with(|| person.cancel(id).unwrap());
    }));
    let worker = Worker::new(&outbox, World::client(transport)).concurrency(1);
    worker.run_until_idle().unwrap();
    assert_eq!((status(&outbox, "order-1"), standing(&world)), (Status::Cancelled, 0));
    assert_eq!(world.bought(), 1);
}

#[test]
fn what_the_api_does_not_cancel_stays_bought_with_the_reason() {
    let world = World::new("cancel-refused");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.settle(&outbox);
    let body = GatewayBody::ApiError;
    let refused = Fault::Gateway { status: 400, applied: false, body };
    world.emulator.emulator().inject(FaultRule::new(refused).on("/v1/cancel_impact").times(1));
    outbox.cancel(id).unwrap();
    world.settle(&outbox);
    let bought = entry(&outbox, "order-1");
    assert_eq!((bought.status, bought.is_to_be_cancelled), (Status::Bought, false));
    assert!(bought.problem.unwrap().starts_with("it cannot be cancelled: "));
    // A person may try again.
    outbox.cancel(id).unwrap();
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), standing(&world)), (Status::Cancelled, 0));
}

#[test]
fn an_unresolved_intent_is_not_cancelled() {
    let world = World::new("cancel-unresolved");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.inject(Fault::DropBefore, 2);
    world.settle(&outbox);
    let error = outbox.cancel(id).unwrap_err();
    assert!(
        matches!(error, OutboxError::WrongStatus { status: Status::Unresolved, .. }),
        "{error}"
    );
}

#[test]
fn an_audit_shows_what_was_bought_twice_until_one_is_cancelled() {
    let world = Arc::new(World::new("audit"));
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    outbox.enqueue("shop", "order-2", trees(2)).unwrap();
    super::pauses::sleep_while_sending(&world, &outbox, ABSENCE + Duration::from_secs(250));
    assert_eq!((world.bought(), outbox.counts().unwrap().surplus), (3, 0));
    assert!(outbox.surplus().unwrap().is_empty());

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let tell = move |entry: &Entry| tell.lock().unwrap().push((entry.id, entry.surplus.len()));
    let worker = world.worker(&outbox).on_outcome(tell);
    world.advance(Duration::from_secs(3_700));
    worker.run_until_idle().unwrap();
    let surplus = outbox.surplus().unwrap();
    assert_eq!(surplus.len(), 1);
    assert_eq!((&*surplus[0].key, surplus[0].surplus.len()), ("order-1", 2));
    assert_eq!(outbox.counts().unwrap().surplus, 1);
    assert_eq!(*told.lock().unwrap(), [(surplus[0].id, 2)]);

    let one = surplus[0].surplus[0].clone();
    // The emulator does not cancel what is older than five minutes.
    let now = world.emulator.time();
    world.emulator.set_time(one.time_utc.datetime());
    World::client(world.emulator.clone()).send(CancelImpact::new(one)).unwrap();
    world.emulator.set_time(now);
    world.advance(Duration::from_secs(3_700));
    worker.run_until_idle().unwrap();
    assert_eq!((outbox.surplus().unwrap().len(), standing(&world)), (0, 2));
    // Another audit follows after a day, and then none.
    let events = |outbox: &Outbox| {
        let events = outbox.events(surplus[0].id).unwrap().into_iter();
        events.filter(|event| event.what.starts_with("audit: ")).count()
    };
    let before = events(&outbox);
    for days in [1, 0, 0] {
        world.advance(Duration::from_secs(90_000));
        worker.run_until_idle().unwrap();
        assert!(events(&outbox) <= before + days.max(1));
    }
    assert_eq!(status(&outbox, "order-1"), Status::Bought);
}

#[test]
fn an_audit_sees_a_purchase_that_stands_although_one_was_cancelled() {
    let world = Arc::new(World::new("audit-cancelled"));
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    super::pauses::sleep_while_sending(&world, &outbox, ABSENCE + Duration::from_secs(250));
    // The emulator does not cancel what is older than five minutes.
    let now = world.emulator.time();
    let bought = entry(&outbox, "order-1").bought.unwrap().id;
    world.emulator.set_time(bought.time_utc.datetime());
    outbox.cancel(id).unwrap();
    world.settle(&outbox);
    world.emulator.set_time(now);
    assert_eq!((status(&outbox, "order-1"), standing(&world)), (Status::Cancelled, 1));
    world.advance(Duration::from_secs(3_700));
    world.worker(&outbox).run_until_idle().unwrap();
    let surplus = outbox.surplus().unwrap();
    assert_eq!(surplus.len(), 1, "{:#?}", outbox.events(id));
    assert_eq!(surplus[0].surplus.len(), 1);
}

/// The first purchase is made late, after the second one was taken back.
#[test]
fn an_audit_sees_a_late_purchase_of_an_intent_that_was_taken_back() {
    let world = World::new("audit-late");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.inject(Fault::DropThenApply { millis: 3_000_000 }, 1);
    world.worker(&outbox).run_until_idle().unwrap();
    world.advance(ABSENCE + Duration::from_secs(10));
    world.inject(Fault::ApplyThenDrop, 1);
    let emulator = world.emulator.clone();
    let mut transport = world.hooked();
    transport.after = Some(super::pauses::hook(move || {
        let second = emulator.emulator().account(KEY).unwrap().ledger().last().unwrap().receipt;
        let cancel = CancelImpact::new(ImpactId::from(&second));
        World::client(emulator.clone()).send(cancel).unwrap();
    }));
    let worker = Worker::new(&outbox, World::client(transport));
    assert_eq!(worker.drive(id).unwrap(), Some(Status::Cancelled));
    assert_eq!(standing(&world), 0);
    world.advance(Duration::from_secs(3_700));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(standing(&world), 1);
    let surplus = outbox.surplus().unwrap();
    assert_eq!(surplus.len(), 1, "{:#?}", outbox.events(id));
    assert_eq!(surplus[0].surplus.len(), 1);
}

/// The worker that slept buys, although another one has found out that nothing was bought.
#[test]
fn an_audit_sees_a_purchase_that_was_dropped_meanwhile() {
    let world = Arc::new(World::new("audit-dropped"));
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    let (stopped, other) = (Arc::clone(&world), world.process());
    let mut transport = world.hooked();
    transport.before = Some(super::pauses::hook(move || {
        other.cancel(id).unwrap();
        for _ in 0..5 {
            stopped.advance(Duration::from_secs(250));
            stopped.worker(&other).run_until_idle().unwrap();
        }
        assert_eq!(status(&other, "order-1"), Status::Dropped);
    }));
    Worker::new(&outbox, World::client(transport)).concurrency(1).run_until_idle().unwrap();
    assert_eq!((status(&outbox, "order-1"), standing(&world)), (Status::Dropped, 1));
    // Its request is kept until then.
    assert_eq!(outbox.erase_requests(Duration::ZERO).unwrap(), 0);
    world.advance(Duration::from_secs(3_700));
    world.worker(&outbox).run_until_idle().unwrap();
    let surplus = outbox.surplus().unwrap();
    assert_eq!(surplus.len(), 1, "{:#?}", outbox.events(id));
}

#[test]
fn an_audit_that_cannot_read_the_lists_is_repeated() {
    let world = Arc::new(World::new("audit-outage"));
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    super::pauses::sleep_while_sending(&world, &outbox, ABSENCE + Duration::from_secs(250));
    world.advance(Duration::from_secs(3_700));
    world.emulator.emulator().inject(FaultRule::new(Fault::DropBefore).on("/v1/records"));
    let before = outbox.events(id).unwrap().len();
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(outbox.events(id).unwrap().len(), before);
    world.emulator.emulator().clear_faults();
    world.advance(Duration::from_secs(700));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(outbox.surplus().unwrap().len(), 1);
}

#[test]
fn an_audit_is_not_forgotten_when_the_machine_restarts() {
    let world = Arc::new(World::new("audit-restart"));
    // The clock of a server does not begin anew.
    if world.file().is_none() {
        return;
    }
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    super::pauses::sleep_while_sending(&world, &outbox, ABSENCE + Duration::from_secs(250));
    let emulator = world.emulator.clone();
    let outbox = world.process_with(Clock::new(move || {
        let now = BlockingTransport::now(&emulator);
        // It started a little while ago.
        Now { boot: "two".to_owned(), since_boot: now.saturating_sub(Duration::from_secs(600)) }
    }));
    world.worker(&outbox).run_until_idle().unwrap();
    assert!(outbox.surplus().unwrap().is_empty());
    world.advance(Duration::from_secs(3_700));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(outbox.surplus().unwrap().len(), 1);
}

#[test]
fn each_outcome_is_reported_once() {
    let world = World::new("hook");
    let outbox = world.process();
    for order in 1..=5 {
        outbox.enqueue("shop", &format!("order-{order}"), trees(1)).unwrap();
    }
    world.inject(Fault::DropBefore, 10);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let tell = move |entry: &Entry| tell.lock().unwrap().push((entry.id, entry.status));
    let worker = world.worker(&outbox).on_outcome(tell);
    for _ in 0..100 {
        worker.run_until_idle().unwrap();
        world.advance(Duration::from_secs(30));
    }
    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|(id, _)| *id);
    let all: Vec<_> = (1..=5).map(|id| (id, Status::Unresolved)).collect();
    assert_eq!(told, all);
}

#[test]
fn a_purge_names_what_could_buy_again() {
    let world = World::new("purge");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.settle(&outbox);
    outbox.enqueue("shop", "order-2", trees(1)).unwrap();
    assert!(outbox.purge(Duration::from_secs(3_600)).unwrap().is_empty());
    std::thread::sleep(Duration::from_millis(5));
    let names = outbox.purge(Duration::ZERO).unwrap();
    assert_eq!(names, [("shop".to_owned(), "order-1".to_owned())]);
    assert!(outbox.entry(id).unwrap().is_none());
    assert!(outbox.enqueue("shop", "order-1", trees(1)).unwrap().is_new);
    assert_eq!(outbox.counts().unwrap().ready, 2);
}

#[test]
fn a_key_is_found_in_all_namespaces() {
    let world = World::new("find-all");
    let outbox = world.process();
    for (namespace, key) in [("a", "order-1"), ("b", "order-1"), ("b", "order-2")] {
        outbox.enqueue(namespace, key, trees(1)).unwrap();
    }
    let found = outbox.find_all("order-1").unwrap();
    let namespaces: Vec<_> = found.iter().map(|entry| &*entry.namespace).collect();
    assert_eq!(namespaces, ["a", "b"]);
    assert_eq!(outbox.find_all("order-3").unwrap(), []);
}
