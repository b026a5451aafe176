//! A purchase as JSON: it round-trips, and values that the constructors refuse are refused.

use std::fmt::Debug;

use oneclick_proto::{
    CaptureCarbon, Category, Cents, CleanOcean, Customer, DonateMoney, Email, Fragments, Impact,
    ImpactKind, Metadata, PlantTree, Pounds, Purchase, RestoreCoral, TreeCategory, Trees,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The error for JSON that is refused, the same from text and from a value.
#[track_caller]
fn refused<T: DeserializeOwned + Debug>(wrong: &Value) -> String {
    let message = serde_json::from_value::<T>(wrong.clone()).unwrap_err().to_string();
    assert_eq!(refused_text::<T>(&wrong.to_string()), message);
    message
}

/// The error without the position in the text.
#[track_caller]
fn refused_text<T: DeserializeOwned + Debug>(wrong: &str) -> String {
    let message = serde_json::from_str::<T>(wrong).unwrap_err().to_string();
    match message.rsplit_once(" at line 1 column ") {
        Some((message, _)) => message.to_owned(),
        None => message,
    }
}

#[track_caller]
fn round_trips<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert!(serde_json::from_str::<T>(&text).unwrap() == *value, "{value:?}");
    let json = serde_json::to_value(value).unwrap();
    assert!(serde_json::from_value::<T>(json).unwrap() == *value, "{value:?}");
}

/// The error of a constructor.
fn message_of<T: Debug, E: ToString + Debug>(made: Result<T, E>) -> String {
    made.unwrap_err().to_string()
}

fn pairs(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(|at| (format!("key-{at}"), "x".to_owned()))
}

/// `plant_tree` of one tree with more fields.
fn plant(fields: Value) -> Value {
    let mut purchase = json!({"action": "plant_tree", "amount": 1});
    let Value::Object(fields) = fields else { panic!("no fields: {fields}") };
    for (field, value) in fields {
        purchase[field] = value;
    }
    purchase
}

#[test]
fn an_amount_is_refused_with_the_message_of_its_constructor() {
    for (wrong, expected) in [
        (json!(0), message_of(Trees::new(0))),
        (json!(Trees::MAX + 1), message_of(Trees::new(Trees::MAX + 1))),
        (json!(i64::MAX), message_of(Trees::try_from(i64::MAX))),
        (json!(-1), message_of(Trees::try_from(-1))),
        (json!(i64::MIN), message_of(Trees::try_from(i64::MIN))),
        (json!(1.5), message_of("1.5".parse::<Trees>())),
        (json!(-0.5), message_of("-0.5".parse::<Trees>())),
    ] {
        assert_eq!(refused::<Purchase>(&plant(json!({ "amount": wrong }))), expected);
        assert_eq!(refused::<PlantTree>(&json!({ "amount": wrong })), expected);
        assert_eq!(refused::<Trees>(&wrong), expected);
    }
    // Text is refused even if it is that of a number.
    for (wrong, expected) in [
        (json!("5"), "invalid type: string \"5\", expected a JSON number"),
        (json!(true), "invalid type: boolean `true`, expected a JSON number"),
        (json!(null), "invalid type: null, expected a JSON number"),
    ] {
        assert_eq!(refused::<Trees>(&wrong), expected);
        assert!(serde_json::from_value::<Purchase>(plant(json!({ "amount": wrong }))).is_err());
    }
    let missing = json!({"action": "plant_tree"});
    assert_eq!(refused::<Purchase>(&missing), "missing field `amount`");
}

#[test]
fn each_unit_has_its_own_range_and_message() {
    assert_eq!(refused::<Pounds>(&json!(0)), message_of(Pounds::new(0)));
    assert_eq!(refused::<Pounds>(&json!(10_000_001)), message_of(Pounds::new(10_000_001)));
    assert_eq!(refused::<Pounds>(&json!(1.5)), message_of("1.5".parse::<Pounds>()));
    assert_eq!(refused::<Fragments>(&json!(0)), message_of(Fragments::new(0)));
    assert_eq!(refused::<Fragments>(&json!(-7)), message_of(Fragments::try_from(-7)));
    assert_eq!(refused::<Fragments>(&json!(1.5)), message_of("1.5".parse::<Fragments>()));
    assert_eq!(refused::<Cents>(&json!(0)), message_of(Cents::new(0)));
    assert_eq!(refused::<Cents>(&json!(1_000_000_001)), message_of(Cents::new(1_000_000_001)));
    assert_eq!(refused::<Cents>(&json!(1.5)), message_of("1.5".parse::<Cents>()));
    for (action, expected) in [
        ("plant_tree", message_of(Trees::new(0))),
        ("clean_ocean", message_of(Pounds::new(0))),
        ("capture_carbon", message_of(Pounds::new(0))),
        ("restore_coral", message_of(Fragments::new(0))),
        ("donate_money", message_of(Cents::new(0))),
    ] {
        assert_eq!(refused::<Purchase>(&json!({"action": action, "amount": 0})), expected);
    }
}

#[test]
fn a_whole_number_is_accepted_in_every_notation() {
    let five = Purchase::from(PlantTree::new(Trees::of::<5>()));
    for text in ["5", "5.0", "5e0", "0.5e1", "50E-1"] {
        let purchase = format!(r#"{{"action":"plant_tree","amount":{text}}}"#);
        assert_eq!(serde_json::from_str::<Purchase>(&purchase).unwrap(), five, "{text}");
        assert_eq!(serde_json::from_str::<Trees>(text).unwrap(), Trees::of::<5>(), "{text}");
        assert_eq!(serde_json::from_str::<Cents>(text).unwrap(), Cents::of::<5>(), "{text}");
    }
    // The ends of the ranges are inside.
    assert_eq!(serde_json::from_str::<Trees>("10000000").unwrap().get(), Trees::MAX);
    assert_eq!(serde_json::from_str::<Pounds>("1e7").unwrap().get(), Pounds::MAX);
    assert_eq!(serde_json::from_str::<Fragments>("1").unwrap().get(), Fragments::MIN);
    assert_eq!(serde_json::from_str::<Cents>("1e9").unwrap().get(), Cents::MAX);
}

#[test]
fn a_customer_is_refused_with_the_message_of_its_constructor() {
    for wrong in ["", "ada", "ada@", "@example.com", "a b@example.com", "ada@x..com"] {
        let expected = message_of(Email::new(wrong));
        assert_eq!(refused::<Email>(&json!(wrong)), expected);
        assert_eq!(refused::<Customer>(&json!({ "customer_email": wrong })), expected);
        let purchase = plant(json!({ "customer_email": wrong }));
        assert_eq!(refused::<Purchase>(&purchase), expected);
    }
    // The API accepts a name only with an e-mail address.
    let name = json!({"customer_name": "Ada Lovelace"});
    let expected = "missing field `customer_email`";
    assert_eq!(refused::<Customer>(&name), expected);
    assert_eq!(refused::<Purchase>(&plant(name)), expected);
    let unknown = json!({"customer_email": "ada@example.com", "phone": "1"});
    assert!(refused::<Customer>(&unknown).starts_with("unknown field `phone`"));
    assert!(refused::<Purchase>(&plant(unknown)).starts_with("unknown field `phone`"));
}

#[test]
fn metadata_is_refused_with_the_message_of_its_constructor() {
    let long = "x".repeat(Metadata::MAX_VALUE_CHARS + 1);
    let long_key = "k".repeat(Metadata::MAX_KEY_CHARS + 1);
    for wrong in [
        vec![(String::new(), "x".to_owned())],
        vec![("gift".to_owned(), "x".to_owned())],
        vec![("widgetID".to_owned(), "x".to_owned())],
        vec![("key".to_owned(), long)],
        vec![(long_key, "x".to_owned())],
        pairs(Metadata::MAX_PAIRS + 1).collect(),
    ] {
        let expected = message_of(Metadata::from_pairs(wrong.clone()));
        let fields: Value =
            wrong.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
        assert_eq!(refused::<Metadata>(&fields), expected);
        assert_eq!(refused::<Purchase>(&plant(json!({ "metadata": fields }))), expected);
    }
    // A duplicate key, which only text can have.
    let expected = message_of(Metadata::from_pairs([("key", "1"), ("key", "2")]));
    let twice = r#"{"key":"1","key":"2"}"#;
    assert_eq!(refused_text::<Metadata>(twice), expected);
    let twice = format!(r#"{{"action":"plant_tree","amount":1,"metadata":{twice}}}"#);
    assert_eq!(refused_text::<Purchase>(&twice), expected);
    // A value that is not text.
    for (wrong, what) in
        [(json!(5), "integer `5`"), (json!(null), "null"), (json!(["x"]), "sequence")]
    {
        let message = refused::<Metadata>(&json!({ "key": wrong }));
        assert_eq!(message, format!("invalid type: {what}, expected a string"));
        let purchase = plant(json!({"metadata": {"key": wrong}}));
        assert!(serde_json::from_value::<Purchase>(purchase).is_err(), "{wrong}");
    }
    let expected = |what| format!("invalid type: {what}, expected an object with string values");
    assert_eq!(refused::<Metadata>(&json!("text")), expected("string \"text\""));
    assert_eq!(refused::<Metadata>(&json!(null)), expected("null"));
}

#[test]
fn unknown_actions_fields_and_categories_are_refused() {
    for wrong in [
        json!({"action": "grow_kelp", "amount": 1}),
        json!({"action": "PlantTree", "amount": 1}),
        json!({"action": "", "amount": 1}),
    ] {
        assert!(refused::<Purchase>(&wrong).starts_with("unknown variant `"), "{wrong}");
    }
    assert_eq!(refused::<Purchase>(&json!({"amount": 1})), "missing field `action`");
    for (field, value) in [("amout", json!(2)), ("user_id", json!("U1")), ("", json!(null))] {
        let message = refused::<Purchase>(&plant(json!({ field: value })));
        assert!(message.starts_with(&format!("unknown field `{field}`")), "{message}");
    }
    // The only category of trees is food, and apart from them only donations have one.
    let message = refused::<Purchase>(&plant(json!({"category": "climate"})));
    assert!(message.starts_with("unknown variant `climate`"), "{message}");
    for action in ["clean_ocean", "capture_carbon", "restore_coral"] {
        let wrong = json!({"action": action, "amount": 1, "category": "food"});
        assert!(refused::<Purchase>(&wrong).starts_with("unknown field `category`"), "{action}");
    }
    assert!(serde_json::from_value::<Purchase>(plant(json!({"notify": "no"}))).is_err());
    for wrong in ["", "null", "[]", "5", r#"{"action":"plant_tree","amount":1"#] {
        assert!(serde_json::from_str::<Purchase>(wrong).is_err(), "{wrong}");
    }
    for twice in [
        r#"{"action":"plant_tree","action":"plant_tree","amount":1}"#,
        r#"{"action":"plant_tree","amount":1,"amount":1}"#,
    ] {
        assert!(refused_text::<Purchase>(twice).starts_with("duplicate field `"), "{twice}");
    }
}

#[test]
fn null_is_the_same_as_a_missing_field() {
    let nulls = json!({
        "customer_email": null, "customer_name": null, "category": null, "notify": null,
        "metadata": null,
    });
    let one = Purchase::from(PlantTree::new(Trees::of::<1>()));
    assert_eq!(serde_json::from_value::<Purchase>(plant(nulls)).unwrap(), one);
    let named = json!({"customer_email": "ada@example.com", "customer_name": null});
    let ada = Customer::new("ada@example.com").unwrap();
    assert_eq!(serde_json::from_value::<Customer>(named).unwrap(), ada);
    assert_eq!(serde_json::from_value::<Metadata>(json!({})).unwrap(), Metadata::new());
}

#[test]
fn the_action_can_be_at_any_place_in_the_json() {
    let text = r#"{"metadata":{"order":"A-1001"},"notify":false,"category":"climate",
        "amount":500,"customer_name":"Ada","action":"donate_money",
        "customer_email":"ada@example.com"}"#;
    let expected = DonateMoney::new(Cents::of::<500>())
        .category(Category::Climate)
        .customer(Customer::new("ada@example.com").unwrap().name("Ada"))
        .notify(false)
        .metadata(Metadata::from_pairs([("order", "A-1001")]).unwrap());
    assert_eq!(serde_json::from_str::<Purchase>(text).unwrap(), expected.into());
}

#[test]
fn the_values_of_a_purchase_round_trip_on_their_own() {
    round_trips(&Trees::of::<5>());
    round_trips(&Pounds::of::<{ Pounds::MAX }>());
    round_trips(&Fragments::of::<1>());
    round_trips(&Cents::of::<{ Cents::MAX }>());
    round_trips(&Email::new("\"a b@c\"@example.com").unwrap());
    round_trips(&Customer::new("ada@example.com").unwrap());
    round_trips(&Customer::new("ada@example.com").unwrap().name("Ada \u{0}\u{202e}\""));
    round_trips(&Metadata::new());
    round_trips(&Metadata::from_pairs(pairs(Metadata::MAX_PAIRS)).unwrap());
    round_trips(&TreeCategory::Food);
}

#[test]
fn a_purchase_has_an_impact_a_customer_and_metadata() {
    let ada = Customer::new("ada@example.com").unwrap();
    let metadata = Metadata::from_pairs([("order", "A-1001")]).unwrap();
    let ocean = CleanOcean::new(Pounds::of::<2>());
    let carbon = CaptureCarbon::new(Pounds::of::<3>());
    let coral = RestoreCoral::new(Fragments::of::<4>());
    let money = DonateMoney::new(Cents::of::<5>());
    for (alone, for_ada, kind, amount) in [
        (
            Purchase::from(PlantTree::new(Trees::of::<1>())),
            Purchase::from(PlantTree::new(Trees::of::<1>()).customer(ada.clone())),
            ImpactKind::TreePlanted,
            1,
        ),
        (ocean.clone().into(), ocean.customer(ada.clone()).into(), ImpactKind::WasteRemoved, 2),
        (carbon.clone().into(), carbon.customer(ada.clone()).into(), ImpactKind::CarbonCaptured, 3),
        (coral.clone().into(), coral.customer(ada.clone()).into(), ImpactKind::CoralRestored, 4),
        (money.clone().into(), money.customer(ada.clone()).into(), ImpactKind::MoneyDonated, 5),
    ] {
        let impact = Impact::new(kind, amount);
        assert_eq!((alone.impact(), for_ada.impact()), (impact.clone(), impact));
        assert_eq!((alone.customer(), for_ada.customer()), (None, Some(&ada)));
        assert!(alone.metadata().is_empty());
        let tagged = for_ada.clone().with_metadata(metadata.clone());
        assert_eq!(tagged.metadata(), &metadata);
        assert_eq!(tagged.with_metadata(Metadata::new()), for_ada);
    }
}

#[cfg(feature = "proptest")]
mod any_purchase {
    use oneclick_proto::{
        Api, CaptureCarbon, Cents, CleanOcean, Customer, DonateMoney, Email, Fragments, Metadata,
        PlantTree, Pounds, Purchase, RestoreCoral, Trees,
    };
    use proptest::prelude::*;

    use super::round_trips;

    fn purchase() -> impl Strategy<Value = Purchase> {
        prop_oneof![
            any::<PlantTree>().prop_map(Purchase::from),
            any::<CleanOcean>().prop_map(Purchase::from),
            any::<CaptureCarbon>().prop_map(Purchase::from),
            any::<RestoreCoral>().prop_map(Purchase::from),
            any::<DonateMoney>().prop_map(Purchase::from),
        ]
    }

    /// The name of the action, and the body of its request.
    fn body(purchase: &Purchase) -> (&'static str, String) {
        let api = Api::sandbox("test_key").unwrap();
        let (name, request) = match purchase {
            Purchase::PlantTree(action) => ("plant_tree", api.encode(action)),
            Purchase::CleanOcean(action) => ("clean_ocean", api.encode(action)),
            Purchase::CaptureCarbon(action) => ("capture_carbon", api.encode(action)),
            Purchase::RestoreCoral(action) => ("restore_coral", api.encode(action)),
            Purchase::DonateMoney(action) => ("donate_money", api.encode(action)),
            other => panic!("{other:?}"),
        };
        let request = request.unwrap();
        assert_eq!(request.uri().path(), format!("/v1/{name}"));
        (name, String::from_utf8(request.into_body()).unwrap())
    }

    proptest! {
        #[test]
        fn its_json_round_trips_and_is_the_body_of_its_request(purchase in purchase()) {
            round_trips(&purchase);
            let (name, body) = body(&purchase);
            // Exactly the name of the action, followed by the body.
            let text = serde_json::to_string(&purchase).unwrap();
            let expected = format!(r#"{{"action":"{name}",{}"#, body.strip_prefix('{').unwrap());
            prop_assert!(text == expected, "{}", text);
            let mut value = serde_json::to_value(&purchase).unwrap();
            let action = value.as_object_mut().unwrap().remove("action");
            prop_assert_eq!(action, Some(name.into()));
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert!(value == body, "{}", text);
        }

        #[test]
        fn its_values_round_trip_on_their_own(
            trees in any::<Trees>(),
            pounds in any::<Pounds>(),
            fragments in any::<Fragments>(),
            cents in any::<Cents>(),
            email in any::<Email>(),
            customer in any::<Customer>(),
            metadata in any::<Metadata>(),
        ) {
            round_trips(&trees);
            round_trips(&pounds);
            round_trips(&fragments);
            round_trips(&cents);
            round_trips(&email);
            round_trips(&customer);
            round_trips(&metadata);
        }
    }
}
