//! Responses that differ from those of the reference: nothing in them is lost.

use std::fmt::Debug;

use oneclick_proto::{
    Account, Api, CancelImpact, Cancellation, Category, Cursor, Customer, CustomerRecord, Day,
    Endpoint, Error, Execution, GetAccount, GetDailyTotals, Impact, ImpactId, ImpactKind,
    ImpactTotals, InvalidValue, ListCustomerRecords, ListCustomers, ListProjects, ListRecords,
    Page, Pager, PlantTree, Project, ProjectType, Receipt, Record, RecordedMetadata, Timestamp,
    Totals, TrackImpact, Tracking, Trees, UserId,
};
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

fn record(fields: &Value) -> Record {
    let mut row = json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z"});
    row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(row).unwrap()
}

#[test]
fn a_record_with_zeros_for_the_other_kinds_has_the_kind_that_is_not_zero() {
    for kind in ImpactKind::KNOWN {
        let mut fields: Value =
            ImpactKind::KNOWN.iter().map(|kind| (kind.to_string(), json!(0))).collect();
        fields[kind.as_str()] = 7.into();
        let record = record(&fields);
        assert_eq!(record.impact, Impact::new(kind.clone(), 7));
        assert!(record.extra.is_empty());
    }
}

#[test]
fn a_known_kind_is_read_wherever_an_amount_appears() {
    const TIME: &str = "2024-09-16T20:34:04.429Z";
    fn read<T: DeserializeOwned>(row: &Value) -> T {
        serde_json::from_value(row.clone()).unwrap()
    }
    for kind in ImpactKind::KNOWN {
        assert!(kind.unit().is_some());
        let impact = Impact::new(kind.clone(), 7);
        let row = json!({
            "user_id": "U1", "time_utc": TIME, kind.as_str(): 7,
            "customer": {"customer_id": "U2", "customer_email": "a@x.com"},
            "cancelled_on": TIME, "message": "impact cancelled",
            "tracking_id": "x", "impact_initiated": TIME, "date": "2024-09-16",
            "user_impact": {kind.as_str(): 3}, "customer_impact": {kind.as_str(): 4},
        });
        assert_eq!(read::<Receipt>(&row).impact, impact);
        assert_eq!(read::<Record>(&row).impact, impact);
        assert_eq!(read::<CustomerRecord>(&row).impact, impact);
        assert_eq!(read::<Cancellation>(&row).impact, impact);
        assert_eq!(read::<Tracking>(&row).impact, impact);
        assert_eq!(read::<Day>(&row).totals.get(kind), 7);
        let totals: ImpactTotals = read(&row);
        assert_eq!(totals.total.get(kind), 7);
        assert_eq!(totals.user_impact.get(kind) + totals.customer_impact.get(kind), 7);
        let filter = Api::sandbox("test_key").unwrap();
        let filter = filter.encode(&ListRecords::new().filter_by(kind.clone())).unwrap();
        assert_eq!(filter.uri().query(), Some(&*format!("filter_by={kind}")));
    }
}

#[test]
fn callers_can_select_an_unknown_kind() {
    let page: Page<Record> = serde_json::from_value(json!({"user_records": [
        {"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "kelp_grown": 9},
        {"user_id": "U1", "time_utc": "2024-09-16T20:34:04.430Z", "tree_planted": 1},
    ]}))
    .unwrap();
    let kelp = ImpactKind::from("kelp_grown");
    let picked: Vec<_> = page.items.iter().filter(|record| record.impact.kind == kelp).collect();
    assert_eq!(picked.len(), 1);
    assert_eq!(picked[0].impact.to_string(), "kelp_grown: 9");
    let asked =
        Api::sandbox("test_key").unwrap().encode(&ListRecords::new().filter_by(kelp)).unwrap();
    assert_eq!(asked.uri().query(), Some("filter_by=kelp_grown"));
}

#[test]
fn metadata_that_could_not_be_sent_is_kept_when_read() {
    let many: Value = (0..30).map(|at| (format!("{at}-{}", "k".repeat(50)), json!("v"))).collect();
    for metadata in [json!({"gift": "yes", "widgetID": 7, "": null, "deep": {"a": [1]}}), many] {
        let row = record(&json!({"tree_planted": 1, "metadata": metadata}));
        assert_eq!(row.metadata.len(), metadata.as_object().unwrap().len());
        assert_eq!(serde_json::to_value(&row).unwrap()["metadata"], metadata);
    }
    let row = record(&json!({"tree_planted": 1, "metadata": {"gift": "yes", "widgetID": 7}}));
    assert_eq!(row.metadata.get("gift"), Some("yes"));
    assert_eq!(row.metadata.get("widgetID"), None);

    assert!(record(&json!({"tree_planted": 1, "metadata": null})).metadata.is_empty());
    for odd in [json!("text"), json!(5), json!(-5), json!(0.5), json!(true), json!([null, [1]])] {
        let row = record(&json!({"tree_planted": 1, "metadata": odd}));
        assert_eq!(row.extra.get("metadata"), Some(&odd));
        assert_eq!(row.impact, Impact::new(ImpactKind::TreePlanted, 1));
    }
}

#[test]
fn the_last_value_of_a_duplicate_metadata_key_wins() {
    let row: Record = serde_json::from_str(
        r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1,
            "metadata":{"b":"1","a":"2","b":"3","b":"4"}}"#,
    )
    .unwrap();
    let pairs: Vec<_> = row.metadata.iter().collect();
    assert_eq!(pairs, [("a", &json!("2")), ("b", &json!("4"))]);
}

#[test]
fn a_user_id_of_any_length_round_trips() {
    for length in 0..70 {
        for id in ["U".repeat(length), "ü".repeat(length)] {
            let read: UserId = serde_json::from_value(json!(id)).unwrap();
            assert_eq!(read.as_str(), id);
            assert_eq!(serde_json::to_value(&read).unwrap(), json!(id));
            assert_eq!(read, UserId::new(&id));
            assert_ne!(read, UserId::new(format!("{id}U")));
            assert!(read < UserId::new(format!("{id}U")));
        }
    }
}

#[test]
fn an_unexpected_customer_on_a_record_is_kept() {
    let customer = json!({"customer_id": "U2", "customer_email": "a@x.com"});
    let row = record(&json!({"tree_planted": 1, "customer": customer}));
    assert_eq!(row.extra.get("customer"), Some(&customer));
}

#[test]
fn a_project_with_missing_and_unknown_fields_is_read() {
    let project = json!({
        "project_id": "p", "name": "n", "type": "kelp", "available": true,
        "description": null, "about": null, "latitude": null, "longitude": 12,
        "sdgs": [{"id": "x", "number": 18, "why": "new"}], "depth": 40,
    });
    let read: Project = serde_json::from_value(project).unwrap();
    assert_eq!(read.project_type, ProjectType::from("kelp"));
    assert_eq!((read.description.as_str(), read.about.len()), ("", 0));
    assert_eq!((read.latitude, read.longitude), (None, Some(12.0)));
    assert_eq!(read.extra.get("depth").unwrap(), 40);
    assert_eq!(read.sdgs[0].extra.get("why").unwrap(), "new");
    let again: Project = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn null_amounts_are_ignored() {
    let record = record(&json!({"tree_planted": null, "waste_removed": 3, "category": null}));
    assert_eq!(record.impact, Impact::new(ImpactKind::WasteRemoved, 3));
    assert_eq!(record.category, None);
}

#[test]
fn an_unknown_kind_is_kept_with_name_and_amount() {
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
fn an_unknown_number_does_not_hide_a_known_kind() {
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
fn unknown_fields_round_trip() {
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

/// Any shallow JSON.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~äß🌳]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{0,2}", inner, 0..3)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A row as this or a later version of the API could write it.
fn row() -> impl Strategy<Value = Map<String, Value>> {
    let amounts = prop::collection::btree_map(
        prop_oneof![
            proptest::sample::select(ImpactKind::KNOWN).prop_map(|kind| kind.to_string()),
            "[a-z_]{0,3}".prop_map(String::from),
        ],
        prop_oneof![Just(json!(0)), Just(Value::Null), any::<i64>().prop_map(Value::from)],
        0..4,
    );
    let others = prop::collection::btree_map(
        proptest::sample::select(vec!["category", "metadata", "x", "yz", ""]),
        anything(),
        0..4,
    );
    (amounts, others, option::of("[a-z]{0,4}")).prop_map(|(amounts, others, category)| {
        let others = others.into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut row: Map<_, _> = others.chain(amounts).collect();
        if row.contains_key("category") {
            row.insert("category".into(), category.into());
        }
        row.insert("user_id".into(), "U1".into());
        row.insert("time_utc".into(), "2024-09-16T20:34:04.429Z".into());
        row.insert("customer".into(), json!({"customer_id": "U2", "customer_email": "a@x.com"}));
        row
    })
}

/// Reads, writes and reads a row: only empty fields are lost, and both readings are equal.
fn round_trips<T: DeserializeOwned + Serialize + PartialEq + Debug>(
    row: &Map<String, Value>,
) -> Result<(), TestCaseError> {
    let Ok(read) = serde_json::from_value::<T>(Value::Object(row.clone())) else { return Ok(()) };
    let written = serde_json::to_value(&read).unwrap();
    for (name, value) in row {
        let known = ImpactKind::known(name).is_some();
        let nothing = match name.as_str() {
            "metadata" => value.is_null() || *value == json!({}),
            "category" => value.is_null(),
            _ => known && (value.is_null() || *value == json!(0)),
        };
        if !nothing {
            prop_assert_eq!(Some(value), written.get(name), "{}", name);
        }
    }
    prop_assert_eq!(serde_json::from_value::<T>(written).unwrap(), read);
    Ok(())
}

proptest! {
    #[test]
    fn a_row_loses_only_empty_fields(row in row()) {
        round_trips::<Record>(&row)?;
        round_trips::<CustomerRecord>(&row)?;
        round_trips::<Receipt>(&row)?;
        let mut row = row;
        row.insert("cancelled_on".into(), "2024-09-16T20:34:04.429Z".into());
        row.insert("message".into(), "impact cancelled".into());
        round_trips::<Cancellation>(&row)?;
        row.insert("tracking_id".into(), "x".into());
        row.insert("impact_initiated".into(), "2024-09-16T20:34:04.429Z".into());
        round_trips::<Tracking>(&row)?;
    }
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
fn an_empty_cursor_ends_the_list() {
    for end in [r#"{"user_records":[],"cursor":""}"#, r#"{"user_records":[],"cursor":null}"#] {
        assert_eq!(serde_json::from_str::<Page<Record>>(end).unwrap().cursor, None);
    }
}

#[test]
fn a_receipt_without_an_amount_is_refused() {
    let nothing = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z"}"#;
    assert!(serde_json::from_str::<Receipt>(nothing).is_err());
}

/// A hostile server can choose the name.
#[test]
fn debug_shows_an_unknown_name_only_if_it_looks_like_one() {
    let debug = |name: &str| format!("{:?}", ImpactKind::from(name));
    let longest = "k".repeat(40);
    for name in ["bees_kept", "Bees-2", "a", &longest] {
        assert_eq!(debug(name), format!("Other({name:?})"));
    }
    let longer = "k".repeat(41);
    for name in ["bees kept", "a.b", "ü", "x@y", "my_test_5ecret", "live_5ecret", &longer] {
        assert_eq!(debug(name), "Other(..)", "{name}");
    }
}

#[test]
fn debug_shows_the_number_of_unknown_fields() {
    let record = |extra: &str| -> Record {
        let text = format!(
            r#"{{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1{extra}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let (none, two) = (record("").extra, record(r#","soil":"peat","shade":"some""#).extra);
    assert!(none.is_empty() && !two.is_empty());
    assert_eq!(format!("{none:?} {two:?}"), "Extra(0 fields) Extra(2 fields)");
}

#[test]
fn amounts_and_totals_print_as_words() {
    let words = |kind: &str, amount| Impact::new(kind.into(), amount).to_string();
    assert_eq!(words("tree_planted", 1), "1 tree planted");
    assert_eq!(words("tree_planted", 0), "0 trees planted");
    assert_eq!(words("tree_planted", -1), "-1 trees planted");
    assert_eq!(words("money_donated", 1), "$0.01 donated");
    assert_eq!(words("money_donated", 0), "$0.00 donated");
    assert_eq!(words("money_donated", -12_345), "-$123.45 donated");
    assert_eq!(words("money_donated", i64::MIN), "-$92233720368547758.08 donated");
    assert_eq!(words("kelp_grown", 1), "kelp_grown: 1");

    let mut totals = Totals::zeros();
    assert_eq!(totals.to_string(), "nothing yet");
    let known: Vec<_> = totals.iter().map(|(kind, amount)| (kind.clone(), amount)).collect();
    assert_eq!(known, ImpactKind::KNOWN.iter().map(|kind| (kind.clone(), 0)).collect::<Vec<_>>());
    totals.set(ImpactKind::TreePlanted, 60);
    totals.add(&ImpactKind::MoneyDonated, 500);
    totals.add(&"kelp_grown".into(), 7);
    assert_eq!(totals.to_string(), "60 trees planted, $5.00 donated, kelp_grown: 7");
}

#[test]
fn a_known_kind_takes_precedence_over_an_unknown_one() {
    for order in [r#""kelp_grown":7,"tree_planted":5"#, r#""tree_planted":5,"kelp_grown":7"#] {
        let text = format!(r#"{{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z",{order}}}"#);
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(record.impact, Impact::new(ImpactKind::TreePlanted, 5));
        assert_eq!(record.extra.get("kelp_grown"), Some(&json!(7)));
    }
}

#[test]
fn totals_accept_null_and_refuse_other_values_that_are_not_numbers() {
    let totals = |value: Value| serde_json::from_value::<Totals>(json!({"tree_planted": value}));
    let none = totals(json!(null)).unwrap();
    assert_eq!(none.get(&ImpactKind::TreePlanted), 0);
    assert!(none.extra().is_empty() && none.iter().next().is_none());
    for wrong in [json!("5"), json!(5.5), json!([5]), json!(true)] {
        let error = totals(wrong).unwrap_err().to_string();
        assert_eq!(error, "tree_planted is not a whole number");
    }
    let other: Totals = serde_json::from_value(json!({"kelp_grown": null, "": 5})).unwrap();
    assert_eq!(
        (other.extra().get("kelp_grown"), other.extra().get("")),
        (Some(&json!(null)), Some(&json!(5)))
    );
}

#[test]
fn a_value_of_the_wrong_type_names_the_expected_one() {
    fn message<T: DeserializeOwned + Debug>(text: &str) -> String {
        serde_json::from_str::<T>(text).unwrap_err().to_string()
    }
    let id = message::<UserId>("5");
    assert!(id.starts_with("invalid type: integer `5`, expected a string"), "{id}");
    let time = message::<Timestamp>("5");
    assert!(time.contains("expected an RFC 3339 timestamp"), "{time}");
    let page = message::<Page<Record>>("5");
    assert!(page.contains("expected a page with user_records"), "{page}");
    let row = message::<Record>("5");
    assert!(row.contains("expected an impact"), "{row}");
    let amount = message::<Record>(r#"{"tree_planted":"5"}"#);
    assert!(
        amount.contains("expected an amount that is a whole number of at most 64 bits"),
        "{amount}"
    );
    let metadata: RecordedMetadata = serde_json::from_str(r#"{"b":1,"a":"x"}"#).unwrap();
    assert_eq!((metadata.len(), metadata.get("a")), (2, Some("x")));
}

/// They are keys of maps.
#[test]
fn ids_and_timestamps_hash_as_they_compare() {
    use std::hash::{BuildHasher, RandomState};

    fn check<T: std::hash::Hash + Eq + Debug>(values: &[T]) {
        let state = RandomState::new();
        for (at, value) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                assert_eq!(value == other, at == other_at);
                assert_eq!(state.hash_one(value) == state.hash_one(other), at == other_at);
            }
        }
    }

    let long = "U".repeat(99);
    check(&["U1", "U2", &long].map(UserId::from));
    let times =
        ["2024-09-16T20:34:04.429Z", "2024-09-16T20:34:04.430Z", "2024-09-16T20:34:04.429z"];
    check(&times.map(|time| time.parse::<Timestamp>().unwrap()));
}

fn decode<E: Endpoint>(endpoint: &E, body: impl AsRef<[u8]>) -> Result<E::Response, Error> {
    Api::sandbox("test_key").unwrap().decode(endpoint, http::Response::new(body))
}

/// At every depth.
#[test]
fn the_last_value_of_a_duplicate_key_wins() {
    let row = r#"{"user_id":"U0","user_id":"U1","time_utc":"2024-09-16T20:34:04Z",
        "time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1,"tree_planted":2,
        "kelp_grown":3,"kelp_grown":0,"category":"x","category":"food","soil":1.5,"soil":"peat",
        "metadata":{"order":"A","order":"B"},"metadata":{"order":"C","order":"D"}}"#;
    let check = |record: &Record| {
        assert_eq!(ImpactId::from(record).to_string(), "U1-2024-09-16T20:34:04.429Z");
        assert_eq!(record.impact, Impact::new(ImpactKind::TreePlanted, 2));
        assert_eq!(record.category.as_ref().unwrap().as_str(), "food");
        assert_eq!(record.metadata.get("order"), Some("D"));
        assert_eq!(record.extra.get("soil").unwrap(), "peat");
    };
    check(&serde_json::from_str(row).unwrap());
    let page = format!(r#"{{"cursor":"a","user_records":[],"user_records":[{row}],"cursor":"b"}}"#);
    let page = decode(&ListRecords::new(), page).unwrap();
    check(&page.items[0]);
    assert_eq!((page.items.len(), page.cursor.unwrap().as_str()), (1, "b"));
    let receipt = decode(&PlantTree::new(Trees::of::<1>()), row).unwrap();
    assert_eq!((receipt.user_id.as_str(), receipt.impact.amount), ("U1", 2));
    let account = r#"{"user_id":"U0","user_id":"U1","email":"a@x.com","email":"b@x.com"}"#;
    assert_eq!(decode(&GetAccount, account).unwrap().user_id.as_str(), "U1");
    let days = r#"{"user_id":"U1","daily_impact":[{"date":"2024-09-15","date":"2024-09-16",
        "tree_planted":1,"tree_planted":2}]}"#;
    let days = decode(&GetDailyTotals::new(), days).unwrap();
    assert_eq!(days.daily_impact[0].date.to_string(), "2024-09-16");
    assert_eq!(days.daily_impact[0].totals.get(&ImpactKind::TreePlanted), 2);
}

/// Every list, in pages or not.
#[test]
fn a_null_list_is_empty_and_a_malformed_row_does_not_affect_others() {
    fn check<E: Endpoint>(
        endpoint: &E,
        (field, beside): (&str, Value),
        good: &Value,
        count: impl Fn(&E::Response) -> usize,
        malformed: impl Fn(&E::Response) -> &[Value],
    ) where
        E::Response: Debug,
    {
        let body = |rows: Value| {
            let mut body = beside.clone();
            body[field] = rows;
            decode(endpoint, body.to_string())
        };
        let empty = body(json!(null)).unwrap();
        assert_eq!((count(&empty), malformed(&empty).len()), (0, 0), "{field}");
        let bad = [json!(null), json!("x"), json!({}), json!([good])];
        let rows: Vec<_> = bad.iter().flat_map(|bad| [good.clone(), bad.clone()]).collect();
        let read = body(rows.into()).unwrap();
        assert_eq!((count(&read), malformed(&read)), (4, &bad[..]), "{field}");
        for wrong in [json!("x"), json!({"0": good}), json!(5)] {
            assert!(body(wrong).is_err(), "{field}");
        }
        assert!(decode(endpoint, beside.to_string()).is_err(), "{field}");
    }
    let row = json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 1,
        "customer": {"customer_id": "U2", "customer_email": "a@x.com"}});
    let page = |field| (field, json!({"cursor": null}));
    check(&ListRecords::new(), page("user_records"), &row, |p| p.items.len(), |p| &p.malformed);
    check(
        &ListCustomerRecords::new(),
        page("customer_records"),
        &row,
        |page| page.items.len(),
        |page| &page.malformed,
    );
    let customer = json!({"customer_id": "U2", "customer_email": "a@x.com",
        "onboarded_on": "2024-09-16T20:34:04.429Z"});
    check(&ListCustomers::new(), page("customers"), &customer, |p| p.items.len(), |p| &p.malformed);
    check(
        &GetDailyTotals::new(),
        ("daily_impact", json!({"user_id": "U1"})),
        &json!({"date": "2024-09-16", "tree_planted": 1}),
        |days| days.daily_impact.len(),
        |days| &days.malformed,
    );
    check(
        &ListProjects::new(),
        ("projects", json!({})),
        &json!({"project_id": "P1", "name": "Coast", "type": "ocean", "available": true}),
        |list| list.projects.len(),
        |list| &list.malformed,
    );
}

/// A purchase that is missing in such a list may have been made.
#[test]
fn a_partial_list_and_one_with_an_error_are_refused() {
    for body in [
        json!({"user_records": null, "error": "timeout"}),
        json!({"user_records": [], "error": "timeout"}),
        json!({"user_records": [null], "errors": ["timeout"]}),
    ] {
        assert!(decode(&ListRecords::new(), body.to_string()).is_err(), "{body}");
    }
    let days = json!({"user_id": "U1", "daily_impact": null, "error": "timeout"});
    assert!(decode(&GetDailyTotals::new(), days.to_string()).is_err());
    for empty in [json!(null), json!(false), json!(""), json!([]), json!({})] {
        for rows in [json!(null), json!([])] {
            let fine = json!({"user_records": rows, "error": empty, "errors": empty});
            assert!(decode(&ListRecords::new(), fine.to_string()).is_ok(), "{fine}");
        }
    }
    for error in [json!(true), json!(504), json!({"code": 504})] {
        let body = json!({"user_records": [], "error": error});
        assert!(decode(&ListRecords::new(), body.to_string()).is_err(), "{body}");
    }

    let partial = |body: &'static str| http::Response::builder().status(206).body(body).unwrap();
    let api = Api::sandbox("test_key").unwrap();
    let error = api.decode(&ListRecords::new(), partial(r#"{"user_records":[]}"#)).unwrap_err();
    assert!(
        error.is_decode() && error.to_string().contains("expected a whole response"),
        "{error}"
    );
    // A receipt proves the purchase with any 2xx status.
    let receipt = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}"#;
    assert!(api.decode(&PlantTree::new(Trees::of::<1>()), partial(receipt)).is_ok());
}

/// The text was cut inside a character, in an escape or in bytes, or starts with a byte order
/// mark.
#[test]
fn damaged_text_is_mended_everywhere() {
    let record = |text: &str| {
        format!(
            r#"{{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1,
                "metadata":{{"note":"{text}","{text}":"x"}},"soil {text}":["{text}"]}}"#
        )
    };
    let mut bytes = record("tree ~").into_bytes();
    bytes.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xc3);
    for body in [record(r"tree \ud83c").into_bytes(), bytes] {
        let receipt = decode(&PlantTree::new(Trees::of::<1>()), &body).unwrap();
        assert_eq!(receipt.metadata.get("note"), Some("tree \u{fffd}"));
        assert_eq!(receipt.metadata.get("tree \u{fffd}"), Some("x"));
        assert_eq!(receipt.extra.get("soil tree \u{fffd}").unwrap()[0], "tree \u{fffd}");
        let marked = [b"\xef\xbb\xbf", &*body].concat();
        assert_eq!(decode(&PlantTree::new(Trees::of::<1>()), marked).unwrap(), receipt);
        let page = [br#"{"user_records":[null,"#, &*body, b"]}"].concat();
        let page = decode(&ListRecords::new(), page).unwrap();
        assert_eq!((page.items.len(), page.malformed.len()), (1, 1));
        assert_eq!(page.items[0].metadata, receipt.metadata);
    }
}

/// A request with it would be about something else.
#[test]
fn a_damaged_cursor_or_id_is_never_sent_back() {
    let api = Api::sandbox("test_key").unwrap();
    let body = br#"{"user_records":[{"user_id":"U\ud83c","time_utc":"2024-09-16T20:34:04.429Z",
        "tree_planted":1}],"cursor":"a\ud83c"}"#;
    let mut pager = Pager::new(ListRecords::new());
    let first = pager.request().unwrap().unwrap();
    let page = pager.take(decode(&first, body)).unwrap().unwrap();
    let second = pager.request().unwrap().unwrap();
    let error = api.encode(&second).unwrap_err();
    assert!(error.to_string().starts_with("the cursor is damaged (it contains U+FFFD"));
    assert!(matches!(error, InvalidValue::Damaged { name: "cursor", .. }));
    let record = &page.items[0];
    for error in [
        api.encode(&TrackImpact::from(record)).unwrap_err(),
        api.encode(&CancelImpact::from(record)).unwrap_err(),
    ] {
        assert!(matches!(error, InvalidValue::Damaged { name: "user id", .. }));
    }
    for cursor in [Some("a\u{fffd}"), None] {
        let mut customers = ListCustomers::new();
        customers.cursor = cursor.map(Cursor::new);
        assert_eq!(api.encode(&customers).is_err(), cursor.is_some());
        let mut records = ListCustomerRecords::new();
        records.cursor = cursor.map(Cursor::new);
        assert_eq!(api.encode(&records).is_err(), cursor.is_some());
    }
}

/// A reason is shown whoever wrote it, but only one from the API proves anything.
#[test]
fn an_error_shows_a_reason_in_any_form() {
    let plant =
        PlantTree::new(Trees::of::<1>()).customer(Customer::new("ada@example.com").unwrap());
    let failed = |body: &str| {
        let response = http::Response::builder().status(400).body(body.to_owned()).unwrap();
        Api::sandbox("test_key").unwrap().decode(&plant, response).unwrap_err()
    };
    let own = failed("\u{feff}{\"type\":\"key_error\",\"message\":\"no tree\\ud83c\"}");
    assert!(own.to_string().contains("400 Bad Request: key_error: no tree\u{fffd}"), "{own}");
    assert_eq!(own.execution(), Execution::NotExecuted);
    for body in [
        r#"{"Message":"no trees"}"#,
        r#"{"error":{"type":"key_error","message":"no trees"}}"#,
        r#"{"errors":[{"message":"no trees"}]}"#,
        r#"[{"type":"key_error","message":"no trees"}]"#,
        r#"{"type":"about:blank","title":"Bad Request","detail":"no trees"}"#,
        "no trees",
        "<html><title>no trees</title></html>",
    ] {
        let error = failed(body);
        assert!(error.to_string().contains("400 Bad Request: no trees"), "{error}");
        assert_eq!(error.message(), Some("no trees"), "{body}");
        assert_eq!(error.execution(), Execution::Unknown, "{body}");
    }
    for body in
        [r#"{"detail":"no ada@example.com"}"#, r#"["ada@example.com"]"#, "no ada@example.com"]
    {
        let error = failed(body);
        assert!(error.to_string().contains("withheld"), "{error}");
        assert!(error.message().unwrap().contains("ada@example.com"));
    }
}
