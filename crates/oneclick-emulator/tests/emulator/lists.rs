use chrono::TimeDelta;
use serde_json::{Value, json};

use super::world::{World, column};

const PATHS: [&str; 4] =
    ["/v1/plant_tree", "/v1/clean_ocean", "/v1/capture_carbon", "/v1/donate_money"];

/// Twelve impacts of all kinds in turn, eight hours apart and with different amounts. Every third
/// one is for one of two customers.
fn history() -> World {
    let mut world = World::new();
    world.now = "2025-01-01T00:00:00Z".parse().unwrap();
    for at in 0..12 {
        let mut body = json!({ "amount": at + 1 });
        if at % 3 == 0 {
            body["customer_email"] = ["a@b", "c+d@e"][at / 3 % 2].into();
        }
        world.post(PATHS[at % 4], &body.to_string());
        world.pass(TimeDelta::hours(8));
    }
    world
}

/// The amounts of a whole list, which is read in pages with this limit.
fn walk(world: &mut World, path: &str, field: &str, query: &str, limit: usize) -> Vec<i64> {
    let mut amounts = Vec::new();
    let mut cursor = String::new();
    for _ in 0..100 {
        let page = world.get(&format!("{path}?limit={limit}{query}{cursor}"));
        let items = page[field].as_array().unwrap();
        assert!(items.len() <= limit);
        amounts.extend(items.iter().map(amount));
        let Some(next) = page.get("cursor") else { return amounts };
        assert_eq!(items.len(), limit, "a page with a cursor is full");
        cursor = format!("&cursor={}", encoded(next.as_str().unwrap()));
    }
    panic!("the list does not end");
}

fn amount(record: &Value) -> i64 {
    let kinds =
        ["tree_planted", "waste_removed", "carbon_captured", "coral_restored", "money_donated"];
    let amounts: Vec<_> = kinds.iter().filter_map(|kind| record[*kind].as_i64()).collect();
    assert_eq!(amounts.len(), 1, "one amount: {record}");
    amounts[0]
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn records_and_customer_records_are_separate() {
    let mut world = history();
    for limit in [1, 2, 3, 4, 7, 8, 9, 1000] {
        for (query, reverse) in
            [("", false), ("&sort_order=asc", false), ("&sort_order=desc", true)]
        {
            let mut own = vec![2, 3, 5, 6, 8, 9, 11, 12];
            let mut customers = vec![1, 4, 7, 10];
            if reverse {
                own.reverse();
                customers.reverse();
            }
            assert_eq!(walk(&mut world, "/v1/records", "user_records", query, limit), own);
            let walked = walk(&mut world, "/v1/customer_records", "customer_records", query, limit);
            assert_eq!(walked, customers);
        }
    }
}

#[test]
fn a_record_has_one_amount_and_a_customer_record_shows_the_customer() {
    let mut world = World::new();
    let own = world.post("/v1/plant_tree", r#"{"amount":1,"category":"food"}"#);
    let customers = world
        .post("/v1/donate_money", r#"{"amount":2,"customer_email":"a@b","customer_name":"Ada"}"#);
    assert_eq!(world.get("/v1/records"), json!({ "user_records": [own] }));
    assert_eq!(world.get("/v1/customer_records"), json!({ "customer_records": [customers] }));
}

#[test]
fn filters_dates_and_customers_narrow_a_list_on_every_page() {
    let mut world = history();
    for (query, expected) in [
        ("&filter_by=tree_planted", vec![5, 9]),
        ("&filter_by=tree_planted&filter_by=money_donated", vec![5, 8, 9, 12]),
        ("&filter_by=money_donated&filter_by=tree_planted&sort_order=desc", vec![12, 9, 8, 5]),
        ("&filter_by=tree_planted&filter_by=tree_planted", vec![5, 9]),
        ("&start_date=2025-01-02", vec![5, 6, 8, 9, 11, 12]),
        ("&end_date=2025-01-02", vec![2, 3, 5, 6]),
        ("&start_date=2025-01-02&end_date=2025-01-03", vec![5, 6, 8, 9]),
        ("&start_date=2025-01-02&end_date=2025-01-03&sort_order=desc", vec![9, 8, 6, 5]),
        ("&start_date=2025-01-02&end_date=2025-01-02&filter_by=waste_removed", vec![6]),
        ("&start_date=2026-01-01", vec![]),
        ("&end_date=2024-12-31", vec![]),
        ("&start_date=0000-01-01&end_date=9999-12-31&filter_by=carbon_captured", vec![3, 11]),
    ] {
        for limit in [1, 2, 5] {
            let walked = walk(&mut world, "/v1/records", "user_records", query, limit);
            assert_eq!(walked, expected, "{query}");
        }
    }
    for (query, expected) in [
        ("&customer_email=a@b", vec![1, 7]),
        ("&customer_email=c%2Bd%40e", vec![4, 10]),
        ("&customer_email=c%2Bd%40e&sort_order=desc&filter_by=waste_removed", vec![10]),
        ("&customer_email=a@b&start_date=2025-01-03", vec![7]),
        ("&customer_email=nobody@b", vec![]),
        ("&filter_by=money_donated&filter_by=waste_removed", vec![4, 10]),
    ] {
        let walked = walk(&mut world, "/v1/customer_records", "customer_records", query, 1);
        assert_eq!(walked, expected, "{query}");
    }
}

#[test]
fn a_page_has_ten_items_by_default() {
    let mut world = World::new();
    for _ in 0..11 {
        world.post("/v1/plant_tree", r#"{"amount":1}"#);
    }
    let page = world.get("/v1/records");
    assert_eq!(page["user_records"].as_array().unwrap().len(), 10);
    assert!(page["cursor"].is_string());
    let page = world.get("/v1/records?limit=11");
    assert_eq!(page["user_records"].as_array().unwrap().len(), 11);
    assert_eq!(page.get("cursor"), None);
}

#[test]
fn customers_are_sorted_by_their_first_impact_and_have_their_latest_name() {
    let mut world = World::new();
    world.post("/v1/plant_tree", r#"{"amount":1,"customer_email":"a@b"}"#);
    world.post("/v1/plant_tree", r#"{"amount":1,"customer_email":"c@d","customer_name":"C"}"#);
    world.pass(TimeDelta::days(1));
    world.post("/v1/clean_ocean", r#"{"amount":1,"customer_email":"a@b","customer_name":"Ada"}"#);
    world.post("/v1/clean_ocean", r#"{"amount":1,"customer_email":"a@b"}"#);
    world.post("/v1/clean_ocean", r#"{"amount":1,"customer_email":"A@b"}"#);

    let all = world.get("/v1/customers")["customers"].clone();
    assert_eq!(column(&all, "customer_email"), ["a@b", "c@d", "A@b"]);
    assert_eq!(all[0]["customer_name"], "Ada");
    assert_eq!(all[0]["onboarded_on"], "2025-03-12T15:22:14.753Z");
    assert_eq!(all[1]["onboarded_on"], "2025-03-12T15:22:14.754Z");
    assert_eq!(all[2].get("customer_name"), None);

    let first_record = &world.get("/v1/customer_records")["customer_records"][0];
    assert_eq!(first_record["customer"]["customer_name"], "Ada");
    assert_eq!(first_record["customer"]["customer_id"], all[0]["customer_id"]);

    let emails = |world: &mut World, query: &str| {
        let page = world.get(&format!("/v1/customers{query}"));
        column(&page["customers"], "customer_email")
    };
    assert_eq!(emails(&mut world, "?sort_order=desc"), ["A@b", "c@d", "a@b"]);
    assert_eq!(emails(&mut world, "?customer_email=c@d"), ["c@d"]);
    assert_eq!(emails(&mut world, "?customer_email=x@d"), [""; 0]);
    for (order, expected) in [("asc", ["a@b", "c@d", "A@b"]), ("desc", ["A@b", "c@d", "a@b"])] {
        let mut walked = Vec::new();
        let mut cursor = String::new();
        loop {
            let uri = format!("/v1/customers?limit=1&sort_order={order}{cursor}");
            let page = world.get(&uri);
            walked.extend(column(&page["customers"], "customer_email"));
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={}", encoded(next));
        }
        assert_eq!(walked, expected);
    }
}

#[test]
fn a_row_that_is_added_between_pages_appears_once() {
    let mut world = World::new();
    for amount in 1..=4 {
        world.post("/v1/plant_tree", &json!({ "amount": amount }).to_string());
    }
    for (order, expected) in [("asc", vec![3, 4, 5]), ("desc", vec![2, 1])] {
        let page = world.get(&format!("/v1/records?limit=2&sort_order={order}"));
        let cursor = encoded(page["cursor"].as_str().unwrap());
        if order == "asc" {
            world.post("/v1/plant_tree", r#"{"amount":5}"#);
        } else {
            world.post("/v1/plant_tree", r#"{"amount":6}"#);
        }
        let rest = world.get(&format!("/v1/records?sort_order={order}&cursor={cursor}"));
        let rest: Vec<_> = rest["user_records"].as_array().unwrap().iter().map(amount).collect();
        let expected = if order == "asc" { expected } else { [vec![3], expected].concat() };
        assert_eq!(rest, expected);
    }
}

#[test]
fn a_cursor_is_valid_for_its_own_list_with_any_limit() {
    let mut world = history();
    let cursor = world.get("/v1/records?limit=1&filter_by=tree_planted")["cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    assert!(cursor.contains('+') && cursor.contains('/') && cursor.contains('='), "{cursor}");
    let good = format!("filter_by=tree_planted&cursor={}", encoded(cursor));
    world.get(&format!("/v1/records?{good}"));
    world.get(&format!("/v1/records?{good}&limit=1000&sort_order=asc"));
    // The official Python SDK sends cursors without percent-encoding.
    world.get(&format!("/v1/records?filter_by=tree_planted&cursor={cursor}"));

    for query in [
        format!("/v1/records?cursor={}", encoded(cursor)),
        format!("/v1/records?{good}&sort_order=desc"),
        format!("/v1/records?{good}&filter_by=waste_removed"),
        format!("/v1/records?{good}&start_date=2025-01-01"),
        format!("/v1/records?{good}&end_date=2025-01-01"),
        format!("/v1/customer_records?{good}"),
        format!("/v1/customer_records?{good}&customer_email=a@b"),
        format!("/v1/customers?cursor={}", encoded(cursor)),
    ] {
        let message = world.refused_get(400, &query);
        assert!(message.contains("another request"), "{query}: {message}");
    }
    world.key = "test_other";
    world.refused_get(400, &format!("/v1/records?{good}"));
    world.key = "test_key";
    for garbage in ["", "x", "AAAA", &cursor[1..], &format!("{cursor}A"), "%00", "%F0%9F%8C%B3"] {
        let message = world.refused_get(400, &format!("/v1/records?cursor={garbage}"));
        assert!(message.contains("cursor"), "{message}");
    }
}
