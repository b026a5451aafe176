use chrono::TimeDelta;
use oneclick_emulator::Config;
use serde_json::json;

use super::world::World;

#[test]
fn every_test_key_has_an_account_of_its_own() {
    let mut world = World::new();
    world.post("/v1/plant_tree", r#"{"amount":5}"#);
    let first = world.get("/v1/whoami");
    world.key = "test_other";
    let second = world.get("/v1/whoami");
    assert_ne!(first["user_id"], second["user_id"]);
    assert_ne!(first["email"], second["email"]);
    assert!(second["email"].as_str().unwrap().ends_with("@example.com"));
    assert_eq!(world.get("/v1/impact")["tree_planted"], 0);
    assert_eq!(world.get("/v1/records"), json!({ "user_records": [] }));
    world.key = "test_";
    world.get("/v1/whoami");
}

#[test]
fn totals_are_the_sum_of_own_and_customer_impacts() {
    let mut world = World::new();
    for amount in [5, 7] {
        world.post("/v1/plant_tree", &json!({ "amount": amount }).to_string());
    }
    world.post("/v1/plant_tree", r#"{"amount":30,"customer_email":"a@b"}"#);
    world.post("/v1/donate_money", r#"{"amount":1000000000,"customer_email":"a@b"}"#);
    world.post("/v1/donate_money", r#"{"amount":1000000000}"#);
    let mut impact = world.get("/v1/impact");
    assert!(impact["user_id"].take().is_string());
    assert_eq!(
        impact,
        json!({
            "user_id": null,
            "tree_planted": 42,
            "waste_removed": 0,
            "carbon_captured": 0,
            "coral_restored": 0,
            "money_donated": 2_000_000_000,
            "user_impact": {
                "tree_planted": 12,
                "waste_removed": 0,
                "carbon_captured": 0,
                "coral_restored": 0,
                "money_donated": 1_000_000_000,
            },
            "customer_impact": {
                "tree_planted": 30,
                "waste_removed": 0,
                "carbon_captured": 0,
                "coral_restored": 0,
                "money_donated": 1_000_000_000,
            },
        }),
    );
}

#[test]
fn days_are_in_utc_and_empty_days_are_left_out() {
    let mut world = World::new();
    world.now = "2025-01-31T23:59:59.999Z".parse().unwrap();
    world.post("/v1/plant_tree", r#"{"amount":1}"#);
    world.pass(TimeDelta::milliseconds(1));
    world.post("/v1/plant_tree", r#"{"amount":2}"#);
    world.post("/v1/clean_ocean", r#"{"amount":3,"customer_email":"a@b"}"#);
    world.pass(TimeDelta::days(3));
    world.post("/v1/plant_tree", r#"{"amount":4}"#);

    let days = |world: &mut World, query: &str| {
        let impact = world.get(&format!("/v1/impact/daily{query}"));
        super::world::column(&impact["daily_impact"], "date")
    };
    assert_eq!(days(&mut world, ""), ["2025-01-31", "2025-02-01", "2025-02-04"]);
    assert_eq!(days(&mut world, "?start_date=2025-02-01"), ["2025-02-01", "2025-02-04"]);
    assert_eq!(days(&mut world, "?end_date=2025-02-01"), ["2025-01-31", "2025-02-01"]);
    assert_eq!(days(&mut world, "?start_date=2025-02-01&end_date=2025-02-01"), ["2025-02-01"]);
    assert_eq!(days(&mut world, "?start_date=2025-02-02&end_date=2025-02-03"), [""; 0]);
    assert_eq!(
        world.get("/v1/impact/daily?end_date=2025-02-01")["daily_impact"][1],
        json!({
            "date": "2025-02-01",
            "tree_planted": 2,
            "waste_removed": 3,
            "carbon_captured": 0,
            "coral_restored": 0,
            "money_donated": 0,
        }),
    );
}

#[test]
fn responses_depend_on_nothing_but_seed_requests_and_times() {
    let history = |seed| {
        let mut world = World::of(Config::new().seed(seed));
        let mut bytes = Vec::new();
        for request in [
            world.request(&http::Method::GET, "/v1/whoami", ""),
            world.request(
                &http::Method::POST,
                "/v1/plant_tree",
                r#"{"amount":1,"customer_email":"a@b"}"#,
            ),
            world.request(
                &http::Method::POST,
                "/v1/plant_tree",
                r#"{"amount":2,"customer_email":"c@d"}"#,
            ),
            world.request(&http::Method::GET, "/v1/customers?limit=1", ""),
            world.request(&http::Method::GET, "/v1/customer_records?limit=1", ""),
        ] {
            bytes.push(world.emulator.respond(&request, world.now).into_body());
        }
        bytes
    };
    assert_eq!(history(7), history(7));
    for (one, other) in history(7).iter().zip(history(8)) {
        assert_ne!(*one, other);
    }
}

#[test]
fn tests_can_inspect_the_state() {
    let mut world = World::new();
    assert!(world.emulator.account("test_key").is_none());
    let first = world.post("/v1/plant_tree", r#"{"amount":1}"#);
    let second = world.post("/v1/clean_ocean", r#"{"amount":2,"customer_email":"a@b"}"#);
    let account = world.emulator.account("test_key").unwrap();
    assert_eq!(account.impacts(), 2);
    let receipts: Vec<_> =
        account.ledger().map(|entry| serde_json::to_value(entry.receipt).unwrap()).collect();
    assert_eq!(receipts, [first, second]);
    let totals = serde_json::to_value(account.totals()).unwrap();
    assert_eq!(totals, world.get("/v1/impact"));
}

#[test]
fn debug_shows_neither_keys_nor_addresses_nor_names() {
    let mut world = World::new();
    world.key = "test_secret";
    world.post(
        "/v1/plant_tree",
        r#"{"amount":1,"customer_email":"secret@b","customer_name":"Secret"}"#,
    );
    let account = world.emulator.account("test_secret").unwrap();
    let shown = format!("{:?} {account:?}", world.emulator).to_lowercase();
    assert!(!shown.contains("secret"), "{shown}");
}
