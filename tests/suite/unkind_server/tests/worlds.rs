//! Invariants of every server, and actions of the account's owner and of others.

use std::collections::HashSet;

use super::*;

/// A history of about forty exchanges, with all replies.
fn history(seed: u64) -> (UnkindServer, Vec<Reply>) {
    let mut dice = Dice::new(seed);
    let dimensions = Dimensions::random(&mut dice);
    let mut world = World::seeded(seed, dimensions);
    for _ in 0..dice.index(20) {
        let mut order = Order::new(*dice.pick(Kind::ALL), 1);
        if dice.percent(50) {
            order = order.email("bob@example.com").marker(MARKER);
        }
        world.server.buy_for_others(&order, dice.up_to(BEGINNING));
    }
    let mut replies = Vec::new();
    for number in 0..40 {
        let reply = match dice.index(8) {
            0 | 1 => {
                let email = *dice.pick(&["Ada+1@bücher.example", "a@example.com"]);
                let metadata = json!({MARKER_KEY: format!("{number:032x}")});
                let body = json!({"amount": 1, "customer_email": email, "metadata": metadata});
                world.post(dice.pick(Kind::ALL).path(), &body)
            }
            2 | 3 => {
                world.send(&request(Method::GET, "/v1/records?limit=1000&sort_order=desc", ""))
            }
            4 | 5 => world.send(&request(Method::GET, "/v1/customer_records?limit=1000", "")),
            6 => world.send(&request(Method::GET, "/v1/whoami", "")),
            _ => {
                let Some(purchase) = world.server.ledger().last() else { continue };
                let (number, time_utc) = (purchase.number, json!(purchase.time_utc));
                if dice.percent(20) {
                    world.server.cancel_by_hand(number, world.now);
                }
                world.send(&request(Method::GET, &track(&json!(ACCOUNT), &time_utc), ""))
            }
        };
        replies.push(reply);
        if dice.percent(2) {
            world.server.become_kind();
        }
    }
    (world.server, replies)
}

#[test]
fn a_thousand_histories_keep_the_invariants() {
    for seed in 0..1000 {
        let (server, replies) = history(seed);
        assert!(replies.len() > 20);
        let mut times = HashSet::new();
        for (number, purchase) in server.ledger().iter().enumerate() {
            assert_eq!(purchase.number, number);
            assert!(times.insert(&purchase.time_utc), "seed {seed}: {}", purchase.time_utc);
            assert_eq!(purchase.cancel_requested_at.is_some(), purchase.cancelled_at.is_some());
            assert!(purchase.cancelled_at >= purchase.cancel_requested_at);
        }
        for reply in replies {
            assert!(reply.after() >= Duration::from_millis(20) && reply.after() <= TIMEOUT);
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_history() {
    for seed in 0..20 {
        let [one, two] = [history(seed), history(seed)].map(|it| format!("{it:?}"));
        assert!(one == two, "seed {seed}");
    }
}

#[test]
fn random_dimensions_have_no_one_or_many_unkind_values() {
    let mut dice = Dice::new(1);
    let mut shares = [0; 3];
    let mut shown = String::new();
    for _ in 0..3000 {
        let drawn = Dimensions { odds: Odds::default(), ..Dimensions::random(&mut dice) };
        let text = format!("{drawn:?}");
        shares[text.matches(": ").count().min(2)] += 1;
        shown.push_str(&text);
    }
    let [kind, one, many] = shares;
    assert!((400..700).contains(&kind) && (400..800).contains(&one) && many > 1500, "{shares:?}");
    // Every value of a dimension is drawn.
    for value in Made::ALL.iter().skip(1) {
        assert!(shown.contains(&format!("made: {value:?}")), "{value:?}");
    }
    for value in SortOrder::ALL.iter().skip(1) {
        assert!(shown.contains(&format!("sort_order: {value:?}")), "{value:?}");
    }
    assert_eq!(format!("{:?}", Dimensions::default()), "Dimensions { .. }");
}

#[test]
fn odds_determine_how_much_is_lost() {
    let odds = Odds { fault: 10, made: 50, lost: 100, read_lost: 10 };
    let mut world = World::new(Dimensions { odds, ..Dimensions::default() });
    let mut lost = 0;
    for _ in 0..1000 {
        match world.post(TREE, &json!({"amount": 1})) {
            Reply::Lost { .. } => lost += 1,
            reply => assert_eq!(whole(reply).status(), 200),
        }
    }
    let made = world.server.ledger().len();
    let lost_and_made = made + lost - 1000;
    assert!((60..140).contains(&lost), "{lost}");
    assert!((25..75).contains(&lost_and_made), "{lost_and_made}");
    let whoami = request(Method::GET, "/v1/whoami", "");
    let read = |world: &mut World| match world.send(&whoami) {
        Reply::Response { response, .. } => parsed(&response).1["user_id"] == ACCOUNT,
        _ => false,
    };
    let failed = (0..1000).filter(|_| !read(&mut world)).count();
    assert!((60..140).contains(&failed), "{failed}");
    world.server.become_kind();
    assert!((0..1000).all(|_| read(&mut world)));
}

#[test]
fn others_buy_in_the_past_and_the_owner_cancels_by_hand() {
    let mut world = World::kind();
    let order = Order::new(Kind::Money, 500).email("bob@example.com").marker(MARKER);
    let number = world.server.buy_for_others(&order, before(1));
    let own = world.tree(&json!({"amount": 1, "metadata": {MARKER_KEY: "ours"}}));
    world.server.cancel_by_hand(number, world.now);
    let ledger = world.server.ledger();
    assert_eq!((&ledger[0].order, ledger[0].of_others), (&order, true));
    assert_eq!((ledger[0].marker(), ledger[1].marker()), (Some(MARKER), Some("ours")));
    assert_eq!(ledger[1].time_utc, own["time_utc"]);
    let active = |at| [ledger[0].is_active(at), ledger[1].is_active(at)];
    assert_eq!(active(before(1)), [true, false]);
    assert_eq!(active(world.now), [false, true]);
    assert_eq!(ledger[0].cancelled_at, Some(world.now));
    let row = world.rows("/v1/customer_records").remove(0);
    assert_eq!(row["metadata"], json!({MARKER_KEY: MARKER}));
    let (_, tracked) = world.get(&track(&row["user_id"], &row["time_utc"]));
    assert!(tracked["cancelled_on"].is_string());
}
