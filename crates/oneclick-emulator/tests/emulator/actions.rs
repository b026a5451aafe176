use serde_json::json;

use super::world::{ACTIONS, World};

#[test]
fn a_receipt_shows_the_account_the_amount_and_the_time() {
    let mut world = World::new();
    for (path, field) in [
        ("/v1/plant_tree", "tree_planted"),
        ("/v1/clean_ocean", "waste_removed"),
        ("/v1/capture_carbon", "carbon_captured"),
        ("/v1/restore_coral", "coral_restored"),
        ("/v1/donate_money", "money_donated"),
    ] {
        let user_id = world.get("/v1/whoami")["user_id"].clone();
        world.pass(chrono::TimeDelta::seconds(1));
        let receipt = world.post(path, r#"{"amount":5}"#);
        let time_utc = world.now.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let mut expected = json!({ "user_id": user_id, "time_utc": time_utc });
        expected[field] = 5.into();
        assert_eq!(receipt, expected);
    }
}

#[test]
fn a_receipt_shows_the_customer_and_the_category() {
    let mut world = World::new();
    let receipt = world.post(
        "/v1/plant_tree",
        r#"{"amount":1,"customer_email":"ada@example.com","customer_name":"Ada","category":"food","notify":false}"#,
    );
    assert_eq!(receipt["category"], "food");
    let customer = &receipt["customer"];
    assert_eq!(customer["customer_email"], "ada@example.com");
    assert_eq!(customer["customer_name"], "Ada");
    assert!(customer["customer_id"].as_str().unwrap().starts_with('U'));
    assert_eq!(customer.as_object().unwrap().len(), 3);

    let receipt = world.post("/v1/clean_ocean", r#"{"amount":1,"customer_email":"b@example.com"}"#);
    assert_eq!(receipt["customer"].get("customer_name"), None);
    assert_eq!(receipt.get("category"), None);
}

#[test]
fn the_limits_of_every_amount_are_accepted_and_values_beyond_are_refused() {
    let mut world = World::new();
    for (path, most) in [
        ("/v1/plant_tree", 10_000_000_u64),
        ("/v1/clean_ocean", 10_000_000),
        ("/v1/capture_carbon", 10_000_000),
        ("/v1/restore_coral", 10_000_000),
        ("/v1/donate_money", 1_000_000_000),
    ] {
        for amount in [1, most] {
            world.post(path, &json!({ "amount": amount }).to_string());
        }
        for amount in [0, most + 1, u64::MAX] {
            let body = json!({ "amount": amount }).to_string();
            let message = world.refused_post(400, path, &body);
            // Of money in cents, the message shows dollars.
            let digits = message.replace([',', '$', '.'], "");
            assert!(digits.contains(&format!("and {most} (got ")), "{message}");
            assert!(digits.contains(&format!("{amount})")), "{message}");
        }
    }
}

#[test]
fn a_name_can_be_any_string() {
    let mut world = World::new();
    for name in ["", " ", "Zoë 🌳", "a\"b\\c\n", "\u{0}"] {
        let body = json!({ "amount": 1, "customer_email": "a@b", "customer_name": name });
        let receipt = world.post("/v1/capture_carbon", &body.to_string());
        assert_eq!(receipt["customer"]["customer_name"], name);
    }
}

#[test]
fn impacts_in_the_same_millisecond_get_different_times() {
    let mut world = World::new();
    let times: Vec<_> = (0..3)
        .map(|_| world.post("/v1/plant_tree", r#"{"amount":1}"#)["time_utc"].clone())
        .collect();
    assert_eq!(
        times,
        ["2025-03-12T15:22:14.753Z", "2025-03-12T15:22:14.754Z", "2025-03-12T15:22:14.755Z"],
    );
    world.pass(chrono::TimeDelta::days(-1));
    let receipt = world.post("/v1/plant_tree", r#"{"amount":1}"#);
    assert_eq!(receipt["time_utc"], "2025-03-12T15:22:14.756Z");
}

#[test]
fn a_lenient_emulator_ignores_unknown_fields_and_nothing_else() {
    let mut world = World::of(oneclick_emulator::Config::new().lenient(true));
    let receipt = world
        .post("/v1/clean_ocean", r#"{"amount":1,"customerEmail":"a@b","category":7,"tag":{}}"#);
    assert_eq!(receipt.get("customer"), None);
    assert_eq!(receipt.get("category"), None);
    world.refused_post(400, "/v1/clean_ocean", r#"{"amount":0}"#);
    world.refused_post(400, "/v1/plant_tree", r#"{"amount":1,"category":"fruit"}"#);
    world.refused_get(400, "/v1/records?pageSize=5");
}

#[test]
fn a_refused_request_changes_nothing() {
    let mut world = World::new();
    let before = world.get("/v1/impact");
    world.refused_post(400, "/v1/plant_tree", r#"{"amount":1,"customer_name":"Ada"}"#);
    world.refused_post(400, "/v1/plant_tree", r#"{"amount":1,"customerEmail":"a@b"}"#);
    world.refused_post(400, "/v1/plant_tree", r#"{"amount":1,"notify":"yes"}"#);
    assert_eq!(world.get("/v1/impact"), before);
    assert_eq!(world.get("/v1/customers"), json!({ "customers": [] }));
}

#[test]
fn records_show_metadata_and_receipts_do_not() {
    let mut world = World::new();
    let metadata = json!({ "order": "A-1001", "ünï": "🌳" });
    for path in ACTIONS {
        for customer in [false, true] {
            let mut body = json!({ "amount": 1, "metadata": metadata });
            if customer {
                body["customer_email"] = "a@b".into();
            }
            assert_eq!(world.post(path, &body.to_string()).get("metadata"), None);
        }
        world.post(path, r#"{"amount":1,"metadata":{}}"#);
    }
    for (path, list, with, without) in [
        ("/v1/records?limit=1000", "user_records", 5, 5),
        ("/v1/customer_records?limit=1000", "customer_records", 5, 0),
    ] {
        let page = world.get(path);
        let records = page[list].as_array().unwrap();
        let shown: Vec<_> = records.iter().filter_map(|record| record.get("metadata")).collect();
        assert_eq!(shown, vec![&metadata; with]);
        assert_eq!(records.len(), with + without);
    }
}

#[test]
fn a_donation_keeps_its_cause() {
    let mut world = World::new();
    for cause in ["veterans", "animals", "climate", "food", "something new 🌳"] {
        let body = json!({ "amount": 1, "category": cause }).to_string();
        assert_eq!(world.post("/v1/donate_money", &body)["category"], cause);
    }
    let records = world.get("/v1/records")["user_records"].clone();
    assert_eq!(
        super::world::column(&records, "category"),
        ["veterans", "animals", "climate", "food", "something new 🌳"],
    );
    world.refused_post(400, "/v1/donate_money", r#"{"amount":1,"category":""}"#);
    world.refused_post(400, "/v1/donate_money", r#"{"amount":1,"category":["climate"]}"#);
}
