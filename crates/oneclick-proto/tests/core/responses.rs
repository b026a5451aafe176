//! Answers that are not as the reference shows them, and lose nothing.

use oneclick_proto::{
    Account, Category, CustomerRecord, Impact, ImpactKind, ImpactTotals, Page, Receipt, Record,
    Tracking,
};
use serde_json::{Value, json};

fn record(fields: &Value) -> Record {
    let mut row = json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z"});
    row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(row).unwrap()
}

#[test]
fn a_record_with_zeros_for_the_other_kinds_is_read_as_the_kind_that_is_not_zero() {
    for kind in ImpactKind::KNOWN {
        let mut fields = json!({"tree_planted": 0, "waste_removed": 0, "carbon_captured": 0, "money_donated": 0});
        fields[kind.as_str()] = 7.into();
        let record = record(&fields);
        assert_eq!(record.impact, Impact::new(kind.clone(), 7));
        assert!(record.extra.is_empty());
    }
}

#[test]
fn nulls_for_the_other_kinds_are_none() {
    let record = record(&json!({"tree_planted": null, "waste_removed": 3, "category": null}));
    assert_eq!(record.impact, Impact::new(ImpactKind::WasteRemoved, 3));
    assert_eq!(record.category, None);
}

#[test]
fn a_kind_that_is_not_known_is_kept_with_name_and_amount() {
    let alone = record(&json!({"kelp_grown": 9}));
    assert_eq!(alone.impact.kind.as_str(), "kelp_grown");
    assert_eq!(alone.impact.amount, 9);
    assert_eq!(alone.impact.to_string(), "kelp_grown: 9");

    let among_zeros = record(&json!({"kelp_grown": 9, "tree_planted": 0, "waste_removed": 0}));
    assert_eq!(among_zeros.impact, alone.impact);
    let among_zeros = record(&json!({"a_tree_planted": 0, "tree_planted": 0, "z": 2}));
    assert_eq!(among_zeros.impact.kind.as_str(), "z");
    assert_eq!(among_zeros.extra.get("a_tree_planted").unwrap(), 0);
}

#[test]
fn a_number_that_is_not_known_does_not_hide_the_kind_that_is() {
    let record = record(&json!({"version": 2, "tree_planted": 5}));
    assert_eq!(record.impact, Impact::new(ImpactKind::TreePlanted, 5));
    assert_eq!(record.extra.get("version").unwrap(), 2);
}

#[test]
fn two_amounts_in_one_record_are_both_kept() {
    let record = record(&json!({"tree_planted": 5, "waste_removed": 6}));
    assert_eq!(record.impact, Impact::new(ImpactKind::TreePlanted, 5));
    assert_eq!(record.extra.get("waste_removed").unwrap(), 6);
}

#[test]
fn a_record_without_an_amount_stays_on_the_page() {
    let page: Page<Record> = serde_json::from_value(json!({"user_records": [
        {"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "biochar": {"kg": 5}},
        {"user_id": "U1", "time_utc": "2024-09-16T20:34:04.430Z", "tree_planted": 1},
    ]}))
    .unwrap();
    assert_eq!(page.items.len(), 2);
    assert_eq!(page.items[0].impact.kind.as_str(), "");
    assert_eq!(page.items[0].extra.get("biochar").unwrap(), &json!({"kg": 5}));
}

#[test]
fn fields_that_are_not_known_survive_reading_and_writing() {
    let row = json!({
        "user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 1,
        "category": "bamboo", "soil": {"ph": [6, 7.5]},
        "customer": {"customer_id": "U2", "customer_email": "a@x.com", "vip": true},
    });
    let record: CustomerRecord = serde_json::from_value(row.clone()).unwrap();
    assert_eq!(record.category, Some(Category::from("bamboo")));
    assert_eq!(record.customer.extra.get("vip").unwrap(), true);
    assert_eq!(serde_json::to_value(&record).unwrap(), row);
    let receipt: Receipt = serde_json::from_value(row.clone()).unwrap();
    assert_eq!(serde_json::to_value(&receipt).unwrap(), row);

    let account = json!({"user_id": "U1", "email": "a@x.com", "plan": "free"});
    let read: Account = serde_json::from_value(account.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), account);

    let totals = json!({
        "user_id": "U1", "tree_planted": 3, "kelp_grown": 4, "as_of": "today",
        "user_impact": {"tree_planted": 3, "since": "May"}, "customer_impact": {"kelp_grown": 4},
    });
    let read: ImpactTotals = serde_json::from_value(totals.clone()).unwrap();
    assert_eq!(read.total.get(&"kelp_grown".into()), 4);
    assert_eq!(read.extra.get("as_of").unwrap(), "today");
    assert_eq!(read.user_impact.extra().get("since").unwrap(), "May");
    assert_eq!(serde_json::to_value(&read).unwrap(), totals);

    let tracking = json!({
        "tracking_id": "x", "impact_initiated": "2024-09-16T20:34:04.429Z",
        "kelp_grown": 4, "diver": "invented",
    });
    let read: Tracking = serde_json::from_value(tracking.clone()).unwrap();
    assert_eq!(read.impact.kind.as_str(), "kelp_grown");
    assert_eq!(serde_json::to_value(&read).unwrap(), tracking);

    let page = json!({"user_records": [], "cursor": "c", "total": 12});
    let read: Page<Record> = serde_json::from_value(page.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), page);
}

#[test]
fn amounts_are_exact_to_64_bits() {
    for amount in [i64::MAX, i64::MIN, 9_007_199_254_740_993] {
        assert_eq!(record(&json!({"tree_planted": amount})).impact.amount, amount);
    }
    assert_eq!(record(&json!({"tree_planted": 5.0})).impact.amount, 5);
    let fraction = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":5.5}"#;
    assert!(serde_json::from_str::<Record>(fraction).is_err());
}

#[test]
fn an_empty_cursor_is_the_end() {
    for end in [r#"{"user_records":[],"cursor":""}"#, r#"{"user_records":[],"cursor":null}"#] {
        assert_eq!(serde_json::from_str::<Page<Record>>(end).unwrap().cursor, None);
    }
}

#[test]
fn a_receipt_that_does_not_say_what_was_bought_is_none() {
    let nothing = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z"}"#;
    assert!(serde_json::from_str::<Receipt>(nothing).is_err());
}
