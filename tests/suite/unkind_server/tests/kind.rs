//! The kind server follows the contract.

use super::*;

/// A value with its texts and numbers replaced by their types, and lists by their first
/// items.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

fn assert_shape(response: &Value, example: &str) {
    let example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(shape(response), shape(&example));
}

/// An example of the API's reference.
macro_rules! example {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../crates/oneclick-proto/tests/golden/",
            $name,
            ".response.json"
        ))
    };
}

#[test]
fn receipts_have_the_shape_of_the_examples() {
    let examples = [
        example!("plant_tree"),
        example!("clean_ocean"),
        example!("capture_carbon"),
        example!("donate_money"),
        // The reference has no corals.
        r#"{"user_id": "U123", "coral_restored": 5, "time_utc": "2024-09-16T20:34:04.429Z"}"#,
    ];
    let mut world = World::kind();
    for (kind, example) in Kind::ALL.iter().zip(examples) {
        let (status, receipt) = parsed(&whole(world.post(kind.path(), &json!({"amount": 5}))));
        assert_eq!(status, 200);
        assert_shape(&receipt, example);
        assert_eq!((&receipt["user_id"], &receipt[kind.field()]), (&json!("U123"), &json!(5)));
        assert_eq!(receipt["time_utc"].as_str().unwrap().len(), "2024-09-16T20:34:04.429Z".len());
    }
}

/// The reference does not show this, but the documentation and recorded runs do.
#[test]
fn a_receipt_shows_customer_and_category() {
    let receipt = World::kind().tree(&json!({
        "amount": 5, "customer_email": "a@example.com", "customer_name": "Ada", "category": "food",
        "notify": false, "metadata": {"order": "7"},
    }));
    assert_shape(
        &receipt,
        r#"{"user_id": "U1", "tree_planted": 5, "time_utc": "2024", "category": "food",
            "customer": {"customer_id": "", "customer_email": "", "customer_name": ""}}"#,
    );
}

#[test]
fn reads_have_the_shape_of_the_examples() {
    let mut world = World::kind();
    for body in [
        json!({"amount": 10}),
        json!({"amount": 15}),
        json!({"amount": 10, "customer_email": "s@email.com", "customer_name": "Sample Customer"}),
        json!({"amount": 10, "customer_email": "t@email.com", "customer_name": "Sample Customer"}),
    ] {
        world.tree(&body);
    }
    let reads = [
        ("/v1/whoami", example!("whoami")),
        ("/v1/impact", example!("impact")),
        ("/v1/impact/daily?start_date=2025-01-01", example!("impact_daily")),
        ("/v1/records?limit=1", example!("records")),
        ("/v1/customer_records?limit=1", example!("customer_records")),
        ("/v1/customers?limit=1", example!("customers")),
    ];
    for (target, example) in reads {
        assert_shape(&world.get(target).1, example);
    }
    let (_, impact) = world.get("/v1/impact");
    let totals = |trees: u64| json!({"tree_planted": trees, "waste_removed": 0, "carbon_captured": 0, "money_donated": 0});
    let mut expected = totals(45);
    expected["user_id"] = "U123".into();
    expected["user_impact"] = totals(25);
    expected["customer_impact"] = totals(20);
    assert_eq!(impact, expected);
    let (_, daily) = world.get("/v1/impact/daily");
    assert_eq!(daily["daily_impact"][0]["tree_planted"], 45);
    assert!(world.get("/v1/impact/daily?end_date=2025-01-01").1["daily_impact"] == json!([]));
}

#[test]
fn a_new_impact_has_the_first_fields_of_the_tracking_example() {
    let mut world = World::kind();
    let receipt = world.tree(&json!({"amount": 10, "category": "food"}));
    let time = receipt["time_utc"].as_str().unwrap();
    let (status, tracked) = world.get(&format!("/v1/track?user_id=U123&time_utc={time}"));
    assert_eq!(status, 200);
    let expected = json!({
        "tracking_id": format!("U123-{time}"), "impact_initiated": time,
        "tree_planted": 10, "category": "food",
    });
    assert_eq!(tracked, expected);
    let example: Value = serde_json::from_str(example!("track")).unwrap();
    for (name, value) in tracked.as_object().unwrap() {
        assert_eq!(shape(value), shape(&example[name]), "{name}");
    }
}

#[test]
fn fields_come_in_the_order_of_the_examples() {
    let mut world = World::kind();
    world.tree(&json!({"amount": 10, "customer_email": "s@email.com", "customer_name": "S"}));
    let body = world.response("/v1/customer_records").into_body();
    let body = String::from_utf8(body).unwrap();
    let places: Vec<_> = ["user_id", "customer_id", "customer_email", "time_utc", "tree_planted"]
        .map(|name| body.find(name).unwrap())
        .to_vec();
    assert!(places.is_sorted(), "{body}");
}

#[test]
fn an_invalid_request_gets_an_error_of_the_api() {
    let mut world = World::kind();
    let get = |target: &str| request(Method::GET, target, "");
    let post = |path: &str, body: Value| request(Method::POST, path, body.to_string());
    let mut without_key = get("/v1/whoami");
    without_key.headers_mut().clear();
    let mut without_type = post(TREE, json!({"amount": 1}));
    without_type.headers_mut().remove("content-type");
    let bad_bodies = [
        json!([]),
        json!({}),
        json!({"amount": 0}),
        json!({"amount": 10_000_001}),
        json!({"amount": 1.0}),
        json!({"amount": "1"}),
        json!({"amount": 1, "customerEmail": "a@example.com"}),
        json!({"amount": 1, "customer_email": "a"}),
        json!({"amount": 1, "customer_name": "Ada"}),
        json!({"amount": 1, "category": "fruit"}),
        json!({"amount": 1, "notify": "yes"}),
        json!({"amount": 1, "metadata": {"a": 1}}),
        json!({"amount": 1, "metadata": {"gift": "a"}}),
    ];
    let bad_queries = [
        "/v1/records?limit=0",
        "/v1/records?limit=1001",
        "/v1/records?limit=ten",
        "/v1/records?sort_order=up",
        "/v1/records?start_date=2025-1-1",
        "/v1/records?start_date=2025-02-30",
        "/v1/records?cursor=none",
        "/v1/records?customer_email=a@example.com",
        "/v1/records?limit=1&limit=1",
        "/v1/track?user_id=U123",
        "/v1/track?user_id=U123&time_utc=now",
        "/v1/whoami?a=b",
    ];
    let bad = bad_bodies.map(|body| (post(TREE, body), 400, "invalid_request_error"));
    let bad_queries = bad_queries.map(|query| (get(query), 400, "invalid_request_error"));
    let others = [
        (without_key, 401, "key_error"),
        (without_type, 400, "invalid_request_error"),
        (get("/v1/trees"), 404, "invalid_request_error"),
        (get(TREE), 405, "invalid_request_error"),
        (post("/v1/records", json!({})), 405, "invalid_request_error"),
        (
            get("/v1/track?user_id=U1&time_utc=2025-03-12T15:22:14.753Z"),
            404,
            "invalid_request_error",
        ),
        (post("/v1/cancel_impact", json!({"user_id": "U123"})), 400, "invalid_request_error"),
    ];
    for (request, status, kind) in bad.into_iter().chain(bad_queries).chain(others) {
        let response = whole(world.send(&request));
        assert_eq!(response.headers()["content-type"], "application/json");
        let (code, body) = parsed(&response);
        assert_eq!((code, body["type"].as_str()), (status, Some(kind)), "{request:?} {body}");
        assert!(body["message"].is_string());
    }
    assert!(world.server.ledger().is_empty());
}

#[test]
fn lists_are_filtered_by_kind() {
    let mut world = World::kind();
    for kind in Kind::ALL {
        world.post(kind.path(), &json!({"amount": 1}));
    }
    assert_eq!(world.rows("/v1/records").len(), 5);
    assert_eq!(world.rows("/v1/records?filter_by=tree_planted").len(), 1);
    let two = world.rows("/v1/records?filter_by=carbon_captured&filter_by=waste_removed");
    assert!(two[0]["waste_removed"].is_u64() && two[1]["carbon_captured"].is_u64());
    let (_, impact) = world.get("/v1/impact");
    assert_eq!(impact["coral_restored"], 1);
}

#[test]
fn pages_have_ten_rows_by_default_and_the_last_has_no_cursor() {
    let mut world = World::kind();
    world.trees(23);
    let pages = world.pages("/v1/records?sort_order=asc");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);
    assert_eq!(amounts(&pages.concat()), (1..=23).collect::<Vec<_>>());
    let pages = world.pages("/v1/records?sort_order=desc&limit=23");
    assert_eq!(pages.len(), 1);
    assert_eq!(amounts(&pages[0]), (1..=23).rev().collect::<Vec<_>>());
}

#[test]
fn a_cursor_belongs_to_its_query() {
    let mut world = World::kind();
    world.trees(2);
    let (_, body) = world.get("/v1/records?limit=1&sort_order=desc");
    let cursor = body["cursor"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(world.get(&format!("/v1/records?limit=1&cursor={cursor}")).0, 400);
    assert_eq!(world.get(&format!("/v1/records?sort_order=desc&cursor={cursor}")).0, 200);
    let unescaped = cursor.replace("%2B", "+");
    assert_eq!(world.get(&format!("/v1/records?sort_order=desc&cursor={unescaped}")).0, 400);
}

#[test]
fn a_customer_is_onboarded_once_and_found_by_address() {
    let mut world = World::kind();
    for email in ["a+b@example.com", "c@example.com", "a+b@example.com"] {
        world.tree(&json!({"amount": 1, "customer_email": email}));
    }
    assert_eq!(world.rows("/v1/customers").len(), 2);
    assert_eq!(world.rows("/v1/customers?customer_email=a%2Bb@example.com").len(), 1);
    assert_eq!(world.rows("/v1/customer_records?customer_email=a%2Bb@example.com").len(), 2);
    assert!(world.rows("/v1/customers?customer_email=a+b@example.com").is_empty());
}
