//! Intents that a process drives by itself, and intents that are taken over from elsewhere.

use oneclick_outbox::{Hold, OutboxError, Permit, Stored};
use oneclick_proto::{
    BodyGate, Intent, Machine, Outcome, Purchase, PurchaseState, Receipt, RetryPolicy, Step,
    VerifiedPurchase, VerifyPolicy,
};

use crate::*;

/// Drives the purchase of an intent that is held, as a command does. `None` if a permit is not
/// granted.
fn drive(world: &World, hold: &mut Hold, key: &str) -> Option<Outcome> {
    let (intent, purchase) = (Intent::new("shop", key), Purchase::from(trees(1)));
    let machine = match hold.state() {
        Some(state) => VerifiedPurchase::resume(&intent, purchase, state.clone()),
        None => VerifiedPurchase::new(&intent, purchase),
    };
    let policy = VerifyPolicy::STANDARD.patience(Duration::ZERO);
    let (api, emulator) = (Api::sandbox(KEY).unwrap(), &world.emulator);
    let now = || BlockingTransport::now(emulator);
    let mut step = machine.unwrap().policy(policy).start(&api, RetryPolicy::NEVER, 0, now());
    loop {
        step = match step {
            Step::Send(mut request, sent) => {
                if sent.may_buy()
                    && hold.permit(sent.state(), &mut request).unwrap() != Permit::Granted
                {
                    return None;
                }
                let result = BlockingTransport::send(emulator, request);
                sent.finish(result, now())
            }
            Step::Wait(wait, waiting) => {
                BlockingTransport::sleep(emulator, wait);
                waiting.wake(now())
            }
            Step::Done(outcome) => return Some(outcome),
        };
    }
}

fn hold(outbox: &Outbox, alone: bool) -> Option<Hold> {
    outbox.hold("shop", "order-1", &trees(1).into(), alone).unwrap()
}

/// Buys an intent that is held.
fn buy(world: &World, hold: &mut Hold, key: &str) -> Receipt {
    match drive(world, hold, key) {
        Some(Outcome::Confirmed(receipt)) => receipt,
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn what_a_process_drives_by_itself_is_remembered_like_any_other() {
    let world = World::new("hold");
    let outbox = world.process();
    let mut held = hold(&outbox, false).unwrap();
    let receipt = buy(&world, &mut held, "order-1");
    let outcome = Outcome::Confirmed(receipt.clone());
    assert_eq!(held.finish(&outcome).unwrap(), Status::Bought);
    let stored = entry(&outbox, "order-1");
    assert_eq!((stored.status, stored.sends), (Status::Bought, 1));
    assert_eq!(stored.receipt(), Some(receipt));
    let error = outbox.hold("shop", "order-1", &trees(1).into(), true).unwrap_err();
    assert!(matches!(error, OutboxError::WrongStatus { status: Status::Bought, .. }));
    let error = outbox.hold("shop", "order-1", &trees(2).into(), true).unwrap_err();
    assert!(matches!(error, OutboxError::OtherPurchase { .. }));
}

#[test]
fn a_worker_finds_out_what_a_killed_process_bought() {
    let world = World::new("hold-killed");
    let outbox = world.process();
    let mut held = hold(&outbox, false).unwrap();
    // It is bought, and the process does not live to write it.
    let outcome = Outcome::Confirmed(buy(&world, &mut held, "order-1"));
    world.worker(&outbox).run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-1"), Status::Open);
    world.settle(&outbox);
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
    // It was not dead after all.
    let state = held.state().unwrap().clone();
    assert_eq!(held.permit(&state, &mut Request::new(())).unwrap(), Permit::Lost);
    assert!(!held.keep(&state).unwrap());
    assert_eq!(held.finish(&outcome).unwrap(), Status::Claimed);
    assert_eq!(status(&outbox, "order-1"), Status::Bought);
}

#[test]
fn only_one_process_holds_an_intent() {
    let world = World::new("hold-twice");
    let outbox = world.process();
    let mut first = hold(&outbox, false).unwrap();
    assert!(hold(&outbox, false).is_none());
    let id = first.id();
    assert_eq!(world.worker(&outbox).drive(id).unwrap(), None);
    // Whoever knows that the first one is dead need not wait.
    let second = hold(&outbox, true).unwrap();
    assert!(first.is_new() && !second.is_new());
    let state = VerifiedPurchase::new(&Intent::new("shop", "order-1"), trees(1)).unwrap();
    assert_eq!(first.permit(state.state(), &mut Request::new(())).unwrap(), Permit::Lost);
    assert!(!first.forget().unwrap());
    assert_eq!(second.let_go().unwrap(), Status::Ready);
    assert_eq!(world.worker(&outbox).drive(id).unwrap(), Some(Status::Bought));
    assert_eq!(world.bought(), 1);
}

#[test]
fn the_hold_of_a_worker_counts_even_for_those_who_are_alone() {
    let world = World::new("hold-worker");
    let outbox = world.process();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let (emulator, other) = (world.emulator.clone(), outbox.clone());
    let before: Hook = Arc::new(Mutex::new(move || assert!(hold(&other, true).is_none())));
    let transport =
        Hooked { emulator, before: Some(before), after: None, looked: None, waited: None };
    Worker::new(&outbox, World::client(transport)).concurrency(1).run_until_idle().unwrap();
    assert_eq!((status(&outbox, "order-1"), world.bought()), (Status::Bought, 1));
}

#[test]
fn no_process_gets_a_permit_while_workers_are_paused_or_once_it_was_cancelled() {
    let world = World::new("hold-paused");
    let outbox = world.process();
    let mut held = hold(&outbox, false).unwrap();
    outbox.pause("moving").unwrap();
    let state = VerifiedPurchase::new(&Intent::new("shop", "order-1"), trees(1)).unwrap();
    assert_eq!(held.permit(state.state(), &mut Request::new(())).unwrap(), Permit::Closed);
    assert!(held.forget().unwrap());
    assert!(outbox.find("shop", "order-1").unwrap().is_none());
    // Its key is free.
    assert!(outbox.enqueue("shop", "order-1", trees(2)).unwrap().is_new);

    outbox.resume().unwrap();
    let mut held = outbox.hold("shop", "order-2", &trees(1).into(), false).unwrap().unwrap();
    assert_eq!(outbox.cancel(held.id()).unwrap(), Status::Claimed);
    assert_eq!(held.permit(state.state(), &mut Request::new(())).unwrap(), Permit::Cancelled);
    assert_eq!(held.let_go().unwrap(), Status::Dropped);
    assert_eq!(world.bought(), 0);
}

/// The transport looks at the clock, however long the process slept before.
#[test]
fn a_process_that_slept_since_its_permit_buys_nothing() {
    let world = World::new("hold-slept");
    let outbox = world.process();
    let mut held = hold(&outbox, false).unwrap();
    let state = VerifiedPurchase::new(&Intent::new("shop", "order-1"), trees(1)).unwrap();
    let mut request = Request::new(());
    assert_eq!(held.permit(state.state(), &mut request).unwrap(), Permit::Granted);
    assert!(BodyGate::of(&request).take().is_ok());
    world.advance(Duration::from_secs(5));
    assert!(BodyGate::of(&request).take().is_ok());
    world.advance(Duration::from_millis(1));
    assert!(BodyGate::of(&request).take().is_err());
}

/// A command looks for longer than its lease, in steps.
#[test]
fn a_process_that_renews_its_hold_keeps_it() {
    for renews in [true, false] {
        let world = World::new("hold-renewed");
        let outbox = world.process();
        let mut held = hold(&outbox, false).unwrap();
        let state = VerifiedPurchase::new(&Intent::new("shop", "order-1"), trees(1)).unwrap();
        for wait in [0, 40, 0] {
            if renews {
                assert!(held.renew(Duration::from_secs(wait)).unwrap());
            }
            world.advance(Duration::from_secs(wait.max(29)));
            let other = world.worker(&outbox).drive(held.id()).unwrap();
            if other.is_some() {
                assert!(!renews);
                break;
            }
        }
        let granted = held.permit(state.state(), &mut Request::new(())).unwrap();
        assert_eq!(granted == Permit::Granted, renews);
        assert_eq!(held.renew(LEASE).unwrap(), renews);
    }
}

#[test]
fn what_a_person_cancelled_is_not_forgotten() {
    let world = World::new("hold-forget");
    let outbox = world.process();
    let mut held = hold(&outbox, false).unwrap();
    let outcome = Outcome::Confirmed(buy(&world, &mut held, "order-1"));
    outbox.cancel(held.id()).unwrap();
    assert!(!held.forget().unwrap());
    assert_eq!(held.finish(&outcome).unwrap(), Status::Cancelling);
}

#[test]
fn a_purchase_that_was_cancelled_while_it_was_sent_is_taken_back() {
    let world = World::new("hold-cancelled");
    let outbox = world.process();
    let mut held = hold(&outbox, false).unwrap();
    let outcome = Outcome::Confirmed(buy(&world, &mut held, "order-1"));
    assert_eq!(outbox.cancel(held.id()).unwrap(), Status::Open);
    assert_eq!(held.finish(&outcome).unwrap(), Status::Cancelling);
    world.settle(&outbox);
    assert_eq!(status(&outbox, "order-1"), Status::Cancelled);
}

#[test]
fn the_receipt_of_another_intent_is_not_taken_for_ones_own() {
    let world = World::new("hold-swapped");
    let outbox = world.process();
    let mut first = hold(&outbox, false).unwrap();
    let receipt = buy(&world, &mut first, "order-1");
    let outcome = Outcome::Confirmed(receipt);
    assert_eq!(first.finish(&outcome).unwrap(), Status::Bought);
    let mut second = outbox.hold("shop", "order-2", &trees(1).into(), false).unwrap().unwrap();
    buy(&world, &mut second, "order-2");
    // The response to the first one arrives again.
    assert_eq!(second.finish(&outcome).unwrap(), Status::Open);
    world.settle(&outbox);
    let (first, second) = (entry(&outbox, "order-1"), entry(&outbox, "order-2"));
    assert_eq!((first.status, second.status), (Status::Bought, Status::Bought));
    assert_ne!(first.bought, second.bought);
    assert_eq!(world.bought(), 2);
}

#[test]
fn what_was_remembered_elsewhere_is_not_bought_again() {
    let world = World::new("import");
    let from = World::new("import-from");
    let (elsewhere, outbox) = (from.process(), world.process());
    let mut remembered: Vec<(&str, Stored)> = Vec::new();
    for key in ["bought", "open"] {
        let mut held = elsewhere.hold("shop", key, &trees(1).into(), false).unwrap().unwrap();
        let receipt = buy(&world, &mut held, key);
        let state: PurchaseState = held.state().unwrap().clone();
        let stored = match key {
            "bought" => Stored::Bought(Box::new(receipt), state),
            _ => Stored::Open(state),
        };
        remembered.push((key, stored));
        world.advance(Duration::from_secs(5));
    }
    let id = "U1-2025-01-01T00:00:00.001Z".parse().unwrap();
    remembered.push(("cancelled", Stored::Cancelled(vec![id])));
    for (key, stored) in remembered {
        assert!(outbox.import("shop", key, &trees(1).into(), stored.clone()).unwrap());
        assert!(!outbox.import("shop", key, &trees(1).into(), stored).unwrap());
    }
    assert_eq!(status(&outbox, "bought"), Status::Bought);
    assert!(entry(&outbox, "bought").receipt().is_some());
    assert_eq!(entry(&outbox, "cancelled").found.len(), 1);
    world.settle(&outbox);
    assert_eq!((status(&outbox, "open"), world.bought()), (Status::Bought, 2));
}

#[test]
fn what_is_learned_of_a_purchase_later_is_stored_and_erased() {
    let world = World::new("hold-later");
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    world.settle(&outbox);
    let receipt = entry(&outbox, "order-1").receipt().unwrap();
    let mut corrected = receipt.clone();
    corrected.time_utc = "2026-01-01T00:00:00.5Z".parse().unwrap();
    outbox.correct_receipt(id, &corrected).unwrap();
    assert_eq!(entry(&outbox, "order-1").receipt(), Some(corrected.clone()));
    outbox.cancelled_since(id, &[(&corrected).into()]).unwrap();
    let cancelled = entry(&outbox, "order-1");
    assert_eq!((cancelled.status, cancelled.found.len()), (Status::Cancelled, 1));
    let error = outbox.correct_receipt(id, &receipt).unwrap_err();
    assert!(matches!(error, OutboxError::WrongStatus { status: Status::Cancelled, .. }));
}
