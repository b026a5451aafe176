//! Many purchases, looked up in one walk, in the world of the verified purchase.

use std::time::Duration;

use oneclick_proto::{
    Customer, Intent, Machine, Outcome, PlantTree, Purchase, PurchaseState, Settled, Settlement,
    Trees, UnresolvedReason, VerifiedPurchase,
};

use super::verified_purchase::{Fate, World};

/// From when absence counts.
const LATE: Duration = Duration::from_secs(900);

fn intent(number: usize) -> Intent {
    Intent::new("shop", &format!("order-{number}"))
}

/// Every third one is for a customer.
fn tree(number: usize) -> Purchase {
    let mut tree = PlantTree::new(Trees::of::<5>());
    if number % 3 == 0 {
        tree.customer = Some(Customer::new(format!("c{number}@example.com")).unwrap());
    }
    tree.into()
}

/// Sends these, whatever becomes of them, and keeps what was stored.
fn send(world: &mut World, fates: &[Fate]) -> Vec<PurchaseState> {
    let mut states = Vec::new();
    for (number, fate) in fates.iter().enumerate() {
        let purchase = VerifiedPurchase::new(&intent(number), tree(number)).unwrap();
        world.fates.push_back(*fate);
        let mut last = None;
        // The process dies with the purchase on its way: nothing is looked for yet.
        let reads = std::mem::replace(&mut world.failing_reads, 1_000);
        let _ = world.drive(purchase, |state| last = Some(state.clone()));
        world.failing_reads = reads;
        states.extend(last);
    }
    states
}

fn resumed(states: &[PurchaseState]) -> Vec<VerifiedPurchase> {
    let states = states.iter().cloned().enumerate();
    states
        .map(|(number, state)| VerifiedPurchase::resume(&intent(number), tree(number), state))
        .map(Result::unwrap)
        .collect()
}

fn settle(world: &mut World, states: &[PurchaseState]) -> Vec<Settled> {
    world.asked.clear();
    let settled = world.drive(Settlement::new(resumed(states)), |()| panic!("it only reads"));
    assert_eq!(settled.len(), states.len());
    settled
}

fn lists(world: &World) -> usize {
    world.asked.iter().filter(|path| path.contains("records")).count()
}

#[track_caller]
fn outcome(settled: &Settled) -> &Outcome {
    match settled {
        Settled::Done(outcome) => outcome,
        Settled::Absent(purchase) => panic!("absent: {purchase:?}"),
    }
}

#[test]
fn each_list_is_read_once_for_all() {
    let mut world = World::new(&[]);
    let fates = [Fate::LostAfter(0), Fate::LostBefore].repeat(10);
    let states = send(&mut world, &fates);
    world.now += LATE;
    let settled = settle(&mut world, &states);
    assert_eq!(lists(&world), 2);
    assert_eq!(world.asked.len(), 2 + 10, "and each that was found is tracked");
    for (number, settled) in settled.into_iter().enumerate() {
        match (number % 2, settled) {
            (0, Settled::Done(outcome)) => {
                let Outcome::Confirmed(receipt) = *outcome else { panic!("{outcome}") };
                let time = &world.bought[number / 2].row["time_utc"];
                assert_eq!(receipt.time_utc.to_string(), *time, "in their order");
            }
            (1, Settled::Absent(purchase)) => {
                assert_eq!(purchase.state().marker(), intent(number).marker());
                // It is sent once more as soon as it is run.
                world.asked.clear();
                world.fates.push_back(Fate::Answered);
                let outcome = world.drive(*purchase, |state| assert_eq!(state.sends(), 2));
                assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
                // By another driver, perhaps: the server's time is asked for once more.
                assert_eq!(world.asked, ["/v1/whoami", "/v1/plant_tree"]);
            }
            (_, settled) => panic!("{number}: {settled:?}"),
        }
    }
    assert_eq!(world.bought.len(), fates.len());
}

/// The one that runs it later looks for as long as anybody who begins.
#[test]
fn one_that_is_absent_may_be_run_long_after() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostBefore]);
    world.now += LATE;
    let Some(Settled::Absent(purchase)) = settle(&mut world, &states).pop() else {
        panic!("absent")
    };
    world.now += LATE;
    world.asked.clear();
    world.failing = |path| (path == "/v1/whoami").then_some(503);
    world.fates.push_back(Fate::Answered);
    let outcome = world.drive(*purchase, |state| assert_eq!(state.sends(), 2));
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
    let expected = ["whoami", "customer_records", "records", "plant_tree"];
    assert_eq!(world.asked, expected.map(|path| format!("/v1/{path}")));
}

#[test]
fn before_absence_counts_what_is_not_seen_is_pending() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0), Fate::LostBefore]);
    let settled = settle(&mut world, &states);
    assert!(matches!(outcome(&settled[0]), Outcome::Confirmed(_)));
    let Outcome::Pending(pending) = outcome(&settled[1]) else { panic!("pending") };
    assert!(pending.after <= LATE && pending.state.marker() == intent(1).marker());
}

#[test]
fn what_was_taken_back_or_sent_twice_is_said_so() {
    let mut world = World::new(&[]);
    let mut states = send(&mut world, &[Fate::LostAfter(0), Fate::LostBefore]);
    world.bought[0].cancelled = true;
    // A person knows of no other process, and it was sent twice.
    let json = serde_json::to_string(&states[1]).unwrap().replace("\"sends\":1", "\"sends\":2");
    states[1] = serde_json::from_str(&json).unwrap();
    world.now += LATE;
    let settled = settle(&mut world, &states);
    assert!(matches!(outcome(&settled[0]), Outcome::Cancelled(_)));
    assert!(matches!(outcome(&settled[1]), Outcome::NotBought(_)));
}

#[test]
fn lists_that_cannot_be_read_leave_all_open() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0), Fate::LostBefore]);
    world.now += LATE;
    world.failing_reads = 1_000;
    let settled = settle(&mut world, &states);
    assert_eq!(lists(&world), 3, "it is tried three times");
    for (number, settled) in settled.iter().enumerate() {
        let Outcome::Unresolved(left) = outcome(settled) else { panic!("{settled:?}") };
        assert_eq!(left.reason, UnresolvedReason::Unreadable);
        assert_eq!(left.error.is_some(), number == 0);
    }
    // A look that fails is no look that found nothing.
    world.failing_reads = 2;
    assert!(matches!(outcome(&settle(&mut world, &states)[0]), Outcome::Confirmed(_)));
}

#[test]
fn one_that_cannot_be_tracked_stays_open_and_the_others_do_not() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0), Fate::LostAfter(0), Fate::LostBefore]);
    world.now += LATE;
    world.failing = |path| path.starts_with("/v1/track?").then_some(500);
    let settled = settle(&mut world, &states);
    for settled in &settled[..2] {
        let Outcome::Pending(left) = outcome(settled) else { panic!("{settled:?}") };
        assert!(left.error.is_some(), "each with its own failure");
    }
    assert!(matches!(settled[2], Settled::Absent(_)));
    world.failing = |_| None;
    for settled in &settle(&mut world, &states)[..2] {
        assert!(matches!(outcome(settled), Outcome::Confirmed(_)));
    }
}

#[test]
fn the_same_state_twice_gets_the_same_outcome_twice_and_none_asks_nothing() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0)]);
    let twice = [resumed(&states), resumed(&states)].into_iter().flatten();
    let settled = world.drive(Settlement::new(twice), |()| {});
    for settled in &settled {
        assert!(matches!(outcome(settled), Outcome::Confirmed(_)));
    }
    world.asked.clear();
    assert!(world.drive(Settlement::new([]), |()| {}).is_empty());
    assert!(world.asked.is_empty());
}

/// A shop may store its intent long before it buys.
#[test]
fn a_purchase_that_was_never_sent_is_absent_at_once() {
    let mut world = World::new(&[]);
    let stored = VerifiedPurchase::new(&intent(0), tree(0)).unwrap().state().clone();
    let began = world.now;
    let settled = settle(&mut world, &[stored]);
    assert!(matches!(&*settled, [Settled::Absent(_)]), "{settled:?}");
    assert!(world.now < began + Duration::from_secs(1), "it waits for nothing");
}
