//! Settlements against the simulated server of the verified purchase.

use std::time::Duration;

use oneclick_proto::{
    Call, Customer, Intent, Machine, Outcome, PlantTree, Purchase, PurchaseState, Settled,
    Settlement, Trees, UnresolvedReason, VerifiedPurchase,
};

use super::verified_purchase::{Fate, World};

/// When absence counts.
const LATE: Duration = Duration::from_secs(900);

fn intent(number: usize) -> Intent {
    Intent::new("shop", &format!("order-{number}"))
}

/// A purchase; every third one is for a customer.
fn tree(number: usize) -> Purchase {
    let mut tree = PlantTree::new(Trees::of::<5>());
    if number % 3 == 0 {
        tree.customer = Some(Customer::new(format!("c{number}@example.com")).unwrap());
    }
    tree.into()
}

/// Sends purchases with these fates and returns the stored states.
fn send(world: &mut World, fates: &[Fate]) -> Vec<PurchaseState> {
    let mut states = Vec::new();
    for (number, fate) in fates.iter().enumerate() {
        let purchase = VerifiedPurchase::new(&intent(number), tree(number)).unwrap();
        world.fates.push_back(*fate);
        let mut last = None;
        // The process dies after the send, so its looks must fail.
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
    world.requested.clear();
    let settled = world.drive(Settlement::new(resumed(states)), |()| panic!("it must only read"));
    assert_eq!(settled.len(), states.len());
    settled
}

fn lists(world: &World) -> usize {
    world.requested.iter().filter(|path| path.contains("records")).count()
}

#[track_caller]
fn outcome(settled: &Settled) -> &Outcome {
    match settled {
        Settled::Done(outcome) => outcome,
        Settled::Absent(purchase) => panic!("absent: {purchase:?}"),
    }
}

#[test]
fn each_list_is_read_once_for_all_purchases() {
    let mut world = World::new(&[]);
    let fates = [Fate::LostAfter(0), Fate::LostBefore].repeat(10);
    let states = send(&mut world, &fates);
    world.now += LATE;
    let settled = settle(&mut world, &states);
    assert_eq!(lists(&world), 2);
    assert_eq!(world.requested.len(), 2 + 10, "each purchase that was found is tracked");
    for (number, settled) in settled.into_iter().enumerate() {
        match (number % 2, settled) {
            (0, Settled::Done(outcome)) => {
                let Outcome::Confirmed(receipt) = *outcome else { panic!("{outcome}") };
                let time = &world.bought[number / 2].row["time_utc"];
                assert_eq!(receipt.time_utc.to_string(), *time, "results are in order");
            }
            (1, Settled::Absent(purchase)) => {
                assert_eq!(purchase.state().marker(), intent(number).marker());
                // Running it sends it at once.
                world.requested.clear();
                world.fates.push_back(Fate::Answered);
                let outcome = world.drive(*purchase, |state| assert_eq!(state.sends(), 2));
                assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
                // Another driver may run it, so the server's time is requested again.
                assert_eq!(world.requested, ["/v1/whoami", "/v1/plant_tree"]);
            }
            (_, settled) => panic!("{number}: {settled:?}"),
        }
    }
    assert_eq!(world.bought.len(), fates.len());
}

/// It gets the full patience again.
#[test]
fn an_absent_purchase_may_be_run_long_after() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostBefore]);
    world.now += LATE;
    let Some(Settled::Absent(purchase)) = settle(&mut world, &states).pop() else {
        panic!("absent")
    };
    world.now += LATE;
    world.requested.clear();
    world.failing = |path| (path == "/v1/whoami").then_some(503);
    world.fates.push_back(Fate::Answered);
    let outcome = world.drive(*purchase, |state| assert_eq!(state.sends(), 2));
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
    let expected = ["whoami", "customer_records", "records", "plant_tree"];
    assert_eq!(world.requested, expected.map(|path| format!("/v1/{path}")));
}

#[test]
fn a_purchase_that_is_not_found_is_pending_before_absence_counts() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0), Fate::LostBefore]);
    let settled = settle(&mut world, &states);
    assert!(matches!(outcome(&settled[0]), Outcome::Confirmed(_)));
    let Outcome::Pending(pending) = outcome(&settled[1]) else { panic!("pending") };
    assert!(pending.after <= LATE && pending.state.marker() == intent(1).marker());
}

#[test]
fn a_cancelled_purchase_and_one_sent_twice_are_reported() {
    let mut world = World::new(&[]);
    let mut states = send(&mut world, &[Fate::LostAfter(0), Fate::LostBefore]);
    world.bought[0].cancelled = true;
    // The second purchase was sent twice.
    let json = serde_json::to_string(&states[1]).unwrap().replace("\"sends\":1", "\"sends\":2");
    states[1] = serde_json::from_str(&json).unwrap();
    world.now += LATE;
    let settled = settle(&mut world, &states);
    assert!(matches!(outcome(&settled[0]), Outcome::Cancelled(_)));
    assert!(matches!(outcome(&settled[1]), Outcome::NotBought(_)));
}

#[test]
fn unreadable_lists_leave_all_purchases_unresolved() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0), Fate::LostBefore]);
    world.now += LATE;
    world.failing_reads = 1_000;
    let settled = settle(&mut world, &states);
    assert_eq!(lists(&world), 3, "reading is tried three times");
    for (number, settled) in settled.iter().enumerate() {
        let Outcome::Unresolved(left) = outcome(settled) else { panic!("{settled:?}") };
        assert_eq!(left.reason, UnresolvedReason::Unreadable);
        assert_eq!(left.error.is_some(), number == 0);
    }
    // A failed look does not count as one that found nothing.
    world.failing_reads = 2;
    assert!(matches!(outcome(&settle(&mut world, &states)[0]), Outcome::Confirmed(_)));
}

#[test]
fn a_purchase_that_cannot_be_tracked_does_not_affect_the_others() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0), Fate::LostAfter(0), Fate::LostBefore]);
    world.now += LATE;
    world.failing = |path| path.starts_with("/v1/track?").then_some(500);
    let settled = settle(&mut world, &states);
    for settled in &settled[..2] {
        let Outcome::Pending(left) = outcome(settled) else { panic!("{settled:?}") };
        assert!(left.error.is_some(), "each has its own error");
    }
    assert!(matches!(settled[2], Settled::Absent(_)));
    world.failing = |_| None;
    for settled in &settle(&mut world, &states)[..2] {
        assert!(matches!(outcome(settled), Outcome::Confirmed(_)));
    }
}

#[test]
fn equal_states_get_equal_outcomes_and_an_empty_settlement_sends_nothing() {
    let mut world = World::new(&[]);
    let states = send(&mut world, &[Fate::LostAfter(0)]);
    let twice = [resumed(&states), resumed(&states)].into_iter().flatten();
    let settled = world.drive(Settlement::new(twice), |()| {});
    for settled in &settled {
        assert!(matches!(outcome(settled), Outcome::Confirmed(_)));
    }
    world.requested.clear();
    assert!(world.drive(Settlement::new([]), |()| {}).is_empty());
    assert!(world.requested.is_empty());
}

/// A shop may store its intent long before it buys.
#[test]
fn a_purchase_that_was_never_sent_is_absent_at_once() {
    let mut world = World::new(&[]);
    let stored = VerifiedPurchase::new(&intent(0), tree(0)).unwrap().state().clone();
    let began = world.now;
    let settled = settle(&mut world, &[stored]);
    assert!(matches!(&*settled, [Settled::Absent(_)]), "{settled:?}");
    assert!(world.now < began + Duration::from_secs(1), "there is no wait");
}

/// No connection was made, and others have bought the same since.
#[test]
fn a_purchase_that_never_left_is_absent_whatever_the_lists_show() {
    let mut world = World::new(&[Fate::NeverConnected, Fate::Answered]);
    let purchase = VerifiedPurchase::new(&intent(0), tree(0)).unwrap();
    let Outcome::NotBought(not) = world.drive(purchase, |_| {}) else { panic!("not bought") };
    assert!(not.state.sends() == 0 && not.state.latest_send().is_some());
    world.drive(Call::new(PlantTree::new(Trees::of::<5>())), |()| {}).unwrap();
    world.now += 2 * LATE;
    for failing_reads in [0, 1_000] {
        world.failing_reads = failing_reads;
        let settled = settle(&mut world, std::slice::from_ref(&not.state));
        assert!(matches!(&*settled, [Settled::Absent(_)]), "{settled:?}");
    }
}
