//! The dimensions of purchases and their responses.

use super::*;

/// Every purchase has a fault; `made` is in percent.
fn faults(made: u32) -> Odds {
    Odds { fault: 100, made, ..Odds::default() }
}

/// Many replies to a purchase of five trees, each from a new world, with the number of
/// purchases in its ledger.
fn replies(dimensions: Dimensions) -> Vec<(Reply, usize)> {
    let buy = |seed| {
        let mut world = World::seeded(seed, dimensions);
        let reply = world.post(TREE, &json!({"amount": 5}));
        (reply, world.server.ledger().len())
    };
    (0..200).map(buy).collect()
}

/// The name of a reply in the tables below: its status, or a word if there is none.
fn name(reply: &Reply) -> String {
    match reply {
        Reply::Response { response, .. } => response.status().as_str().to_owned(),
        Reply::CutBody { .. } => "cut".to_owned(),
        Reply::Lost { .. } => "lost".to_owned(),
        Reply::NeverConnected { .. } => "never".to_owned(),
    }
}

fn names(replies: &[(Reply, usize)]) -> Vec<String> {
    let mut names: Vec<_> = replies.iter().map(|(reply, _)| name(reply)).collect();
    names.sort();
    names.dedup();
    names
}

fn body(reply: &Reply) -> &[u8] {
    match reply {
        Reply::Response { response, .. } | Reply::CutBody { response, .. } => response.body(),
        Reply::Lost { .. } | Reply::NeverConnected { .. } => b"",
    }
}

/// Whether a reply is an error of the API itself.
fn is_api_error(reply: &Reply) -> bool {
    let body: Value = serde_json::from_slice(body(reply)).unwrap_or_default();
    body["type"].is_string() && body["message"].is_string()
}

fn is_receipt(reply: &Reply) -> bool {
    let body: Value = serde_json::from_slice(body(reply)).unwrap_or_default();
    body["time_utc"].is_string()
}

#[test]
fn without_faults_every_purchase_gets_its_receipt() {
    for (reply, made) in replies(Dimensions::default()) {
        assert!(is_receipt(&reply) && made == 1);
    }
}

const SERVER_ERRORS: &[&str] = &["408", "500", "502", "503", "504"];
const CLIENT_ERRORS: &[&str] = &["400", "401", "403", "404", "405", "413", "422", "425", "429"];
const OTHER_SUCCESSES: &[&str] = &["201", "202", "204", "205"];

#[test]
fn a_purchase_that_was_made_gets_every_kind_of_response() {
    for &made in Made::ALL {
        let replies = replies(Dimensions { made, odds: faults(100), ..Dimensions::default() });
        assert!(replies.iter().all(|(_, made)| *made == 1), "{made:?}");
        let names = names(&replies);
        let all = |test: &dyn Fn(&Reply) -> bool| replies.iter().all(|(reply, _)| test(reply));
        let some = |test: &dyn Fn(&Reply) -> bool| replies.iter().any(|(reply, _)| test(reply));
        let expected: &[&str] = match made {
            Made::Receipt => {
                assert!(all(&is_receipt));
                &["200"]
            }
            Made::Nothing => &["lost"],
            Made::ServerError => {
                assert!(some(&is_api_error) && !all(&is_api_error));
                SERVER_ERRORS
            }
            Made::Redirect => &["301", "302", "303", "304"],
            Made::ClientError => {
                assert!(!some(&is_api_error));
                CLIENT_ERRORS
            }
            Made::OtherSuccess => {
                assert!(some(&is_receipt) && !all(&is_receipt));
                OTHER_SUCCESSES
            }
            Made::ErrorBody => {
                assert!(all(&|reply| body(reply).starts_with(b"{")) && some(&is_api_error));
                assert!(!some(&is_receipt));
                &["200"]
            }
            Made::Html => {
                assert!(all(&|reply| body(reply).starts_with(b"<html>")));
                &["200"]
            }
            Made::Empty => {
                assert!(all(&|reply| body(reply).is_empty()));
                &["200"]
            }
            Made::CutReceipt => {
                assert!(!some(&is_receipt) && some(&|it| body(it).len() > 40));
                &["200", "cut"]
            }
            Made::Any => {
                assert!(names.len() > 15, "{names:?}");
                assert!(all(&|reply| name(reply) != "200" || !is_receipt(reply)));
                continue;
            }
        };
        assert_eq!(names, expected, "{made:?}");
    }
}

#[test]
fn a_purchase_that_was_not_made_gets_every_kind_of_response() {
    for &not_made in NotMade::ALL {
        let replies = replies(Dimensions { not_made, odds: faults(0), ..Dimensions::default() });
        assert!(replies.iter().all(|(_, made)| *made == 0), "{not_made:?}");
        assert!(!replies.iter().any(|(reply, _)| is_receipt(reply)), "{not_made:?}");
        let names = names(&replies);
        let own = replies.iter().filter(|(reply, _)| is_api_error(reply)).count();
        let expected: &[&str] = match not_made {
            NotMade::Error => {
                assert_eq!(own, replies.len());
                &["500", "503"]
            }
            NotMade::Refusal => {
                assert_eq!(own, replies.len());
                &["400", "401", "403", "404", "405", "413", "422"]
            }
            NotMade::RateLimit => {
                assert_eq!(own, replies.len());
                &["425", "429"]
            }
            NotMade::NeverConnected => &["never"],
            NotMade::Nothing => &["lost"],
            NotMade::ServerError => SERVER_ERRORS,
            NotMade::Redirect => &["301", "302", "303", "304", "307", "308"],
            NotMade::ClientError => {
                assert_eq!(own, 0);
                CLIENT_ERRORS
            }
            NotMade::OtherSuccess => OTHER_SUCCESSES,
            NotMade::ErrorBody => {
                assert!((1..200).contains(&own));
                &["200"]
            }
            NotMade::Html | NotMade::Empty => &["200"],
            NotMade::CutReceipt => {
                assert!(replies.iter().all(|(reply, _)| body(reply).len() < 17));
                &["200", "cut"]
            }
            NotMade::Any => {
                assert!(names.len() > 20, "{names:?}");
                continue;
            }
        };
        assert_eq!(names, expected, "{not_made:?}");
    }
}

#[test]
fn a_purchase_that_was_made_never_gets_a_307_or_308() {
    let odds = faults(100);
    let dimensions = Dimensions { made: Made::Any, late: Late::Within, odds, ..Default::default() };
    let names = names(&replies(dimensions));
    assert!(names.iter().all(|name| name != "307" && name != "308" && name != "never"));
}

#[test]
fn a_purchase_can_be_made_after_its_caller_gave_up() {
    for &late in Late::ALL {
        for made in [Made::Nothing, Made::ServerError, Made::OtherSuccess, Made::Html] {
            let odds = faults(100);
            let mut after_the_end = 0;
            for seed in 0..50 {
                let dimensions = Dimensions { made, late, odds, ..Dimensions::default() };
                let mut world = World::seeded(seed, dimensions);
                let reply = world.post(TREE, &json!({"amount": 5}));
                let made_at = world.server.ledger()[0].made_at;
                assert!(made_at > BEGINNING && made_at <= world.now + LATE);
                let is_late = made_at > world.now;
                assert!(!is_late || !is_receipt(&reply));
                after_the_end += usize::from(is_late);
                // Just before it is made, it is not listed.
                let mut before = World { server: world.server.clone(), now: made_at };
                before.now -= Duration::from_millis(81);
                assert!(before.rows("/v1/records").is_empty());
                world.now += LATE;
                assert_eq!(world.rows("/v1/records").len(), 1);
                assert!(world.server.ledger()[0].is_active(world.now));
            }
            let expected = match late {
                Late::Within if made != Made::Html => 15..=45,
                Late::Within | Late::Never => 0..=0,
            };
            assert!(expected.contains(&after_the_end), "{made:?} {after_the_end}");
        }
    }
}

#[test]
fn receipts_take_every_form() {
    for &receipt in Receipt::ALL {
        let mut crossed = 0;
        for seed in 0..50 {
            let mut world = World::seeded(seed, Dimensions { receipt, ..Dimensions::default() });
            let other = Order::new(Kind::Tree, 9).email("bob@example.com");
            world.server.buy_for_others(&other, before(1));
            let sent = json!({"amount": 5, "category": "food", "customer_email": "a@example.com"});
            let reply = world.post(TREE, &sent);
            let text = String::from_utf8(body(&reply).to_vec()).unwrap();
            let response: Value = serde_json::from_str(&text).unwrap();
            let is_own = response["tree_planted"].as_f64() == Some(5.0);
            crossed += usize::from(!is_own);
            let purchase = &world.server.ledger()[usize::from(is_own)];
            assert_eq!(response["time_utc"], purchase.time_utc);
            match receipt {
                Receipt::Own => {
                    assert!(is_own && response["customer"]["customer_email"].is_string());
                }
                Receipt::Crossed => {
                    let email = if is_own { "a@example.com" } else { "bob@example.com" };
                    assert_eq!(response["customer"]["customer_email"], email);
                }
                Receipt::Bare | Receipt::CrossedBare => {
                    assert_eq!(response.as_object().unwrap().len(), 3, "{text}");
                }
                Receipt::FloatAmount => assert!(text.contains(r#""tree_planted":5.0"#), "{text}"),
            }
        }
        let expected = match receipt {
            Receipt::Crossed | Receipt::CrossedBare => 5..=30,
            Receipt::Own | Receipt::Bare | Receipt::FloatAmount => 0..=0,
        };
        assert!(expected.contains(&crossed), "{receipt:?} {crossed}");
    }
}

#[test]
fn equal_receipts_cross_only_if_their_times_differ_or_it_is_allowed() {
    // How many of a hundred receipts belong to another purchase, made `seconds` before.
    let crossed = |seconds: u64, other: &Order, receipt, equals_cross| {
        let cross = |seed| {
            let dimensions = Dimensions { receipt, equals_cross, ..Dimensions::default() };
            let mut world = World::seeded(seed, dimensions);
            world.server.buy_for_others(other, before(seconds));
            let response = world.tree(&json!({"amount": 5, "customer_email": "a@example.com"}));
            response["time_utc"] == world.server.ledger()[0].time_utc
        };
        (0..100).filter(|seed| cross(*seed)).count()
    };
    let equal = Order::new(Kind::Tree, 5).email("A+1@example.com");
    let nobodys = Order::new(Kind::Tree, 5);
    let bobs = Order::new(Kind::Tree, 5).email("bob@example.com");
    let (whole, bare) = (Receipt::Crossed, Receipt::CrossedBare);
    for (other, receipt) in [(&equal, whole), (&nobodys, whole), (&bobs, bare)] {
        assert_eq!(crossed(149, other, receipt, false), 0);
        assert!(crossed(152, other, receipt, false) > 10);
        assert!(crossed(1, other, receipt, true) > 10);
    }
    assert!(crossed(1, &bobs, whole, false) > 10);
    assert_eq!(crossed(601, &bobs, whole, true), 0);
}

#[test]
fn a_receipt_can_cross_whether_the_purchase_was_made_or_not() {
    for made in [0, 100] {
        let (receipt, odds) = (Receipt::Crossed, faults(made));
        let dimensions = Dimensions { receipt, odds, ..Dimensions::default() };
        let crossed = |seed| {
            let mut world = World::seeded(seed, dimensions);
            world.server.buy_for_others(&Order::new(Kind::Waste, 1), BEGINNING);
            let reply = world.post(TREE, &json!({"amount": 5}));
            let is_crossed = body(&reply).windows(13).any(|it| it == b"waste_removed");
            let expected = usize::from(made == 100) + 1;
            assert_eq!(world.server.ledger().len(), expected);
            is_crossed
        };
        let crossed = (0..50).filter(|seed| crossed(*seed)).count();
        assert!((10..=40).contains(&crossed), "{crossed}");
    }
}

#[test]
fn other_software_buys_equal_impacts_or_nothing() {
    for &other_software in OtherSoftware::ALL {
        let mut world = World::new(Dimensions { other_software, ..Dimensions::default() });
        for _ in 0..40 {
            let marked = json!({"amount": 5, "metadata": {MARKER_KEY: MARKER}});
            world.tree(&marked);
        }
        let ledger = world.server.ledger();
        let others: Vec<_> = ledger.iter().filter(|purchase| purchase.of_others).collect();
        match other_software {
            OtherSoftware::None => assert!(others.is_empty()),
            OtherSoftware::BuysTheSame => assert!((20..=60).contains(&others.len())),
        }
        for purchase in others {
            assert_eq!((purchase.order.kind, purchase.order.amount), (Kind::Tree, 5));
            assert_eq!(purchase.marker(), None);
        }
    }
}
