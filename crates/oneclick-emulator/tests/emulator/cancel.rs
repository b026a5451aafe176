use chrono::TimeDelta;
use oneclick_emulator::DONATION_SENT_AFTER;
use serde_json::{Value, json};

use super::world::{ACTIONS, World};

const CANCEL: &str = "/v1/cancel_impact";

/// The body that cancels the impact of a receipt or a record.
fn cancel(row: &Value, reason: Option<&str>) -> String {
    let mut body = json!({ "user_id": row["user_id"], "time_utc": row["time_utc"] });
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    body.to_string()
}

fn track(row: &Value) -> String {
    let text = |field: &str| row[field].as_str().unwrap();
    format!("/v1/track?user_id={}&time_utc={}", text("user_id"), text("time_utc"))
}

#[test]
fn cancelling_lowers_totals_keeps_the_record_and_shows_in_tracking() {
    let mut world = World::new();
    for customer in [false, true] {
        for path in ACTIONS {
            let before = (world.get("/v1/impact"), world.get("/v1/impact/daily"));
            let mut body = json!({ "amount": 7, "metadata": {"order": "A-1"} });
            if customer {
                body["customer_email"] = "a@b".into();
            }
            let receipt = world.post(path, &body.to_string());
            world.pass(TimeDelta::seconds(30));
            let lists = ["/v1/records?limit=1000", "/v1/customer_records?limit=1000"];
            let records = lists.map(|list| world.get(list));

            let cancelled = world.post(CANCEL, &cancel(&receipt, Some("order refunded")));
            let mut expected = json!({
                "user_id": receipt["user_id"],
                "time_utc": receipt["time_utc"],
                "cancelled_on": world.now.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                "message": "impact cancelled",
                "reason": "order refunded",
            });
            let fields = receipt.as_object().unwrap();
            let (kind, _) = fields.iter().find(|(_, value)| **value == 7).unwrap();
            expected[kind] = 7.into();
            assert_eq!(cancelled, expected);

            assert_eq!((world.get("/v1/impact"), world.get("/v1/impact/daily")), before);
            assert_eq!(lists.map(|list| world.get(list)), records);
            let tracking = world.get(&track(&receipt));
            assert_eq!(tracking["cancelled_on"], cancelled["cancelled_on"]);
            assert_eq!(tracking["cancellation_reason"], "order refunded");
            assert_eq!(tracking[kind], 7);
        }
    }
    assert_eq!(world.get("/v1/impact/daily")["daily_impact"], json!([]));
    // The customer stays.
    assert_eq!(world.get("/v1/customers")["customers"][0]["customer_email"], "a@b");
}

#[test]
fn a_second_cancellation_changes_nothing_and_says_so() {
    let mut world = World::new();
    let trees = world.post("/v1/plant_tree", r#"{"amount":3,"category":"food"}"#);
    world.post("/v1/plant_tree", r#"{"amount":5}"#);
    let first = world.post(CANCEL, &cancel(&trees, None));
    assert_eq!(first["category"], "food");
    assert_eq!(first.get("reason"), None);
    let mut again = first.clone();
    again["message"] = "impact was already cancelled".into();
    for wait in [TimeDelta::zero(), TimeDelta::seconds(1), TimeDelta::days(400)] {
        world.pass(wait);
        assert_eq!(world.post(CANCEL, &cancel(&trees, Some("another reason"))), again);
        assert_eq!(world.get("/v1/impact")["tree_planted"], 5);
    }
    assert_eq!(world.get(&track(&trees)).get("cancellation_reason"), None);
}

#[test]
fn an_impact_whose_donation_was_received_cannot_be_cancelled() {
    let mut world = World::new();
    let late = world.post("/v1/plant_tree", r#"{"amount":3}"#);
    world.now += DONATION_SENT_AFTER;
    let message = world.refused_post(400, CANCEL, &cancel(&late, None));
    assert!(message.contains("received"), "{message}");
    assert_eq!(world.get("/v1/impact")["tree_planted"], 3);
    assert_eq!(world.get(&track(&late)).get("cancelled_on"), None);

    let early = world.post("/v1/clean_ocean", r#"{"amount":3}"#);
    world.now += DONATION_SENT_AFTER - TimeDelta::milliseconds(1);
    world.post(CANCEL, &cancel(&early, None));
    // A cancelled impact reaches no further stage.
    world.pass(TimeDelta::days(1));
    let tracking = world.get(&track(&early));
    assert!(tracking.get("donation_available").is_some());
    assert!(tracking.get("donation_sent").is_none() && tracking.get("impact_completed").is_none());
}

#[test]
fn the_time_of_a_cancellation_is_not_before_the_impact() {
    let mut world = World::new();
    let trees = world.post("/v1/plant_tree", r#"{"amount":3}"#);
    world.pass(TimeDelta::days(-1));
    assert_eq!(world.post(CANCEL, &cancel(&trees, None))["cancelled_on"], trees["time_utc"]);
}

#[test]
fn an_impact_is_found_by_its_own_account_alone() {
    let mut world = World::new();
    let trees = world.post("/v1/plant_tree", r#"{"amount":3}"#);
    world.key = "test_other";
    world.post("/v1/plant_tree", r#"{"amount":4}"#);
    world.refused_post(404, CANCEL, &cancel(&trees, None));
    world.key = "test_key";
    let mut other = trees.clone();
    other["user_id"] = "U1".into();
    world.refused_post(404, CANCEL, &cancel(&other, None));
    other = trees.clone();
    other["time_utc"] = "2025-03-12T15:22:14.7530Z".into();
    world.refused_post(404, CANCEL, &cancel(&other, None));
    assert_eq!(world.get("/v1/impact")["tree_planted"], 3);
}

#[test]
fn a_wrong_cancellation_is_refused_with_how_to_fix_it() {
    let mut world = World::new();
    let trees = world.post("/v1/plant_tree", r#"{"amount":3}"#);
    let with = |field: &str, value: Value| {
        let mut body = json!({ "user_id": trees["user_id"], "time_utc": trees["time_utc"] });
        body[field] = value;
        body.to_string()
    };
    for (body, words) in [
        (String::new(), vec!["empty", "user_id"]),
        ("[]".into(), vec!["JSON object", "user_id"]),
        ("{}".into(), vec!["`user_id` is missing"]),
        (r#"{"user_id":"U1"}"#.into(), vec!["`time_utc` is missing"]),
        (with("user_id", json!(7)), vec!["`user_id`", "a string"]),
        (with("time_utc", json!("yesterday")), vec!["`time_utc`", "as received"]),
        (with("time_utc", json!(null)), vec!["`time_utc` is null"]),
        (
            with("reason", json!("secret".repeat(34))),
            vec!["`reason`", "204", "at most 200 characters"],
        ),
        (with("reason", json!(["secret"])), vec!["`reason`", "a string"]),
        (with("cancellation_reason", json!("secret")), vec!["did you mean `reason`"]),
        (with("amount", json!(1)), vec!["`amount`", "takes user_id, time_utc, reason"]),
    ] {
        let message = world.refused_post(400, CANCEL, &body);
        for word in words {
            assert!(message.contains(word), "{body}: {message}");
        }
        assert!(!message.contains("secret"), "{message}");
    }
    assert_eq!(world.get("/v1/impact")["tree_planted"], 3);
    world.post(CANCEL, &with("reason", json!("🌳".repeat(200))));
}
