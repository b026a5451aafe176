//! What the people who operate it can see and do.

use oneclick_outbox::OutboxError;
use oneclick_proto::ImpactId;

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
    assert_eq!(&events[..2], ["stored", "a purchase may leave now"]);
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
    let database = Connection::open(&world.path).unwrap();
    let refuse = r#"UPDATE oneclick_outbox_intent SET status = 'refused', problem = 'withheld',
        done_at = '2025-01-01', answer = '{"status":422,"body":
            {"type":"invalid_request_error","message":"no ada@example.com","more":"ada"}}'"#;
    database.execute(refuse, []).unwrap();
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
    let database = Connection::open(&world.path).unwrap();
    let refuse = "UPDATE oneclick_outbox_intent SET status = 'refused', request = NULL";
    database.execute(refuse, []).unwrap();
    let error = outbox.retry(id).unwrap_err();
    assert!(matches!(error, OutboxError::Unreadable { .. }), "{error}");
    assert_eq!(status(&outbox, "order-1"), Status::Refused);
}
