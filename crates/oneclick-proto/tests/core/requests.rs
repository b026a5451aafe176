//! Requests: an independent parser reads back what any valid endpoint writes.

use chrono::{Days, NaiveDate};
use http::Request;
use oneclick_proto::{
    Api, CancelImpact, CaptureCarbon, Category, Cents, CleanOcean, Cursor, Customer, DateRange,
    DonateMoney, Email, Endpoint, Fragments, GetDailyTotals, GetProject, ImpactId, ImpactKind,
    InvalidValue, Limit, ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Locale,
    Metadata, PlantTree, Pounds, ProjectType, Reason, RestoreCoral, SortOrder, Timestamp,
    TrackImpact, TreeCategory, Trees,
};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

fn encode<E: Endpoint>(endpoint: &E) -> Request<Vec<u8>> {
    Api::sandbox("test_key").unwrap().encode(endpoint).unwrap()
}

/// The query as an independent form decoder reads it, sorted.
fn query<E: Endpoint>(endpoint: &E, path: &str) -> Vec<(String, String)> {
    let request = encode(endpoint);
    assert_eq!(request.method(), "GET");
    assert!(request.body().is_empty());
    assert!(!request.headers().contains_key("content-type"));
    assert_eq!(request.uri().path(), path);
    let query = request.uri().query().unwrap_or_default();
    assert!(query.is_ascii());
    let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    pairs.sort();
    pairs
}

fn body<E: Endpoint>(endpoint: &E) -> Value {
    serde_json::from_slice(encode(endpoint).body()).unwrap()
}

fn email() -> impl Strategy<Value = Email> {
    let plain = "[^\\s@\"\\p{Cc}]{1,20}@[^\\s@.\\p{Cc}]{1,10}(\\.[^\\s@.\\p{Cc}]{1,5}){0,2}";
    prop_oneof![
        plain.prop_filter_map("too long", |text| Email::new(text).ok()),
        Just(Email::new("a+b@x.com").unwrap()),
        Just(Email::new("a&limit=1000@x.com").unwrap()),
        Just(Email::new("\"a b@c\"@x.com").unwrap()),
    ]
}

fn customer() -> impl Strategy<Value = Customer> {
    (email(), option::of(any::<String>())).prop_map(|(email, name)| match name {
        Some(name) => Customer::from(email).name(name),
        None => Customer::from(email),
    })
}

fn date() -> impl Strategy<Value = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
    (0u64..3_652_059).prop_map(move |days| first + Days::new(days))
}

fn dates() -> impl Strategy<Value = DateRange> {
    (option::of(date()), option::of(date())).prop_map(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => DateRange::between(a.min(b), a.max(b)).unwrap(),
        (start, end) => DateRange::new(start, end).unwrap(),
    })
}

fn kind() -> impl Strategy<Value = ImpactKind> {
    prop_oneof![
        proptest::sample::select(ImpactKind::KNOWN),
        any::<String>().prop_map(|name| ImpactKind::from(name.as_str())),
    ]
}

fn order() -> impl Strategy<Value = SortOrder> {
    prop_oneof![Just(SortOrder::Asc), Just(SortOrder::Desc)]
}

fn cursor() -> impl Strategy<Value = Cursor> {
    prop_oneof![whole_text(), "[A-Za-z0-9+/]{0,40}={0,2}".boxed()].prop_map(Cursor::new)
}

/// Any text that did not arrive damaged.
fn whole_text() -> BoxedStrategy<String> {
    any::<String>().prop_map(|text| text.replace('\u{fffd}', "x")).boxed()
}

/// Any text of at most `most` characters, usually a short one.
fn text(most: usize) -> impl Strategy<Value = String> {
    let length = prop_oneof![6 => 0..=most.min(12), 1 => 0..=most, 1 => most..=most];
    length
        .prop_flat_map(|length| prop::collection::vec(any::<char>(), length))
        .prop_map(|characters| characters.into_iter().collect())
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let key =
        text(Metadata::MAX_KEY_CHARS).prop_map(|key| if key.is_empty() { "k".into() } else { key });
    prop::collection::btree_map(key, text(Metadata::MAX_VALUE_CHARS), 0..=Metadata::MAX_PAIRS)
        .prop_map(|pairs| Metadata::from_pairs(pairs).unwrap())
}

/// The timestamp formats of RFC 3339.
const TIME: &str =
    "20[0-9]{2}-0[1-9]-1[0-9][Tt]1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?(Z|z|[+-]0[0-9]:30)";

fn limit() -> impl Strategy<Value = Limit> {
    (Limit::MIN..=Limit::MAX).prop_map(|limit| Limit::new(limit).unwrap())
}

/// The expected pairs of a query, sorted.
#[derive(Default)]
struct Expected(Vec<(String, String)>);

impl Expected {
    fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    fn dates(self, dates: DateRange) -> Self {
        let day = |date: NaiveDate| date.format("%Y-%m-%d").to_string();
        self.with("start_date", dates.start_date().map(day))
            .with("end_date", dates.end_date().map(day))
    }

    fn sorted(mut self) -> Vec<(String, String)> {
        self.0.sort();
        self.0
    }
}

fn order_name(order: SortOrder) -> &'static str {
    match order {
        SortOrder::Asc => "asc",
        SortOrder::Desc => "desc",
    }
}

macro_rules! action_property {
    ($test:ident, $request:ident, $amount:ident) => {
        proptest! {
            #[test]
            fn $test(
                amount in $amount::MIN..=$amount::MAX,
                customer in option::of(customer()),
                notify in option::of(any::<bool>()),
                metadata in metadata(),
            ) {
                let mut request = $request::new($amount::new(amount).unwrap());
                let mut expected = json!({"amount": amount});
                if !metadata.is_empty() {
                    expected["metadata"] = metadata.iter().collect();
                }
                request = request.metadata(metadata);
                if let Some(customer) = customer {
                    expected["customer_email"] = customer.customer_email.as_str().into();
                    if let Some(name) = &customer.customer_name {
                        expected["customer_name"] = name.as_str().into();
                    }
                    request = request.customer(customer);
                }
                if let Some(notify) = notify {
                    expected["notify"] = notify.into();
                    request = request.notify(notify);
                }
                prop_assert_eq!(body(&request), expected);
            }
        }
    };
}

action_property!(plant_tree_round_trips, PlantTree, Trees);
action_property!(clean_ocean_round_trips, CleanOcean, Pounds);
action_property!(capture_carbon_round_trips, CaptureCarbon, Pounds);
action_property!(restore_coral_round_trips, RestoreCoral, Fragments);
action_property!(donate_money_round_trips, DonateMoney, Cents);

proptest! {
    #[test]
    fn records_round_trip_through_a_query(
        kinds in prop::collection::vec(kind(), 0..5), dates in dates(),
        limit in option::of(limit()), cursor in option::of(cursor()), order in option::of(order()),
    ) {
        let mut request = ListRecords::new().dates(dates);
        request.filter_by.clone_from(&kinds);
        (request.limit, request.cursor, request.sort_order) = (limit, cursor.clone(), order);
        let mut expected = Expected::default()
            .dates(dates)
            .with("limit", limit)
            .with("cursor", cursor.as_ref().map(Cursor::as_str))
            .with("sort_order", order.map(order_name));
        for kind in &kinds {
            expected = expected.with("filter_by", Some(kind));
        }
        prop_assert_eq!(query(&request, "/v1/records"), expected.sorted());
    }

    #[test]
    fn customer_records_round_trip_through_a_query(
        email in option::of(email()), kinds in prop::collection::vec(kind(), 0..5), dates in dates(),
        limit in option::of(limit()), cursor in option::of(cursor()), order in option::of(order()),
    ) {
        let mut request = ListCustomerRecords::new().dates(dates);
        request.customer_email.clone_from(&email);
        request.filter_by.clone_from(&kinds);
        (request.limit, request.cursor, request.sort_order) = (limit, cursor.clone(), order);
        let mut expected = Expected::default()
            .dates(dates)
            .with("customer_email", email.as_ref().map(Email::as_str))
            .with("limit", limit)
            .with("cursor", cursor.as_ref().map(Cursor::as_str))
            .with("sort_order", order.map(order_name));
        for kind in &kinds {
            expected = expected.with("filter_by", Some(kind));
        }
        prop_assert_eq!(query(&request, "/v1/customer_records"), expected.sorted());
    }

    #[test]
    fn customers_round_trip_through_a_query(
        email in option::of(email()), limit in option::of(limit()),
        cursor in option::of(cursor()), order in option::of(order()),
    ) {
        let mut request = ListCustomers::new();
        (request.customer_email, request.limit) = (email.clone(), limit);
        (request.cursor, request.sort_order) = (cursor.clone(), order);
        let expected = Expected::default()
            .with("customer_email", email.as_ref().map(Email::as_str))
            .with("limit", limit)
            .with("cursor", cursor.as_ref().map(Cursor::as_str))
            .with("sort_order", order.map(order_name));
        prop_assert_eq!(query(&request, "/v1/customers"), expected.sorted());
    }

    #[test]
    fn daily_impact_round_trips_through_a_query(dates in dates()) {
        let expected = Expected::default().dates(dates).sorted();
        prop_assert_eq!(query(&GetDailyTotals::from(dates), "/v1/impact/daily"), expected);
    }

    #[test]
    fn track_round_trips_byte_for_byte(user_id in whole_text(), time in TIME) {
        let expected =
            Expected::default().with("user_id", Some(&user_id)).with("time_utc", Some(&time));
        let request = TrackImpact::new(ImpactId::new(user_id, time.parse().unwrap()));
        prop_assert_eq!(query(&request, "/v1/track"), expected.sorted());
    }

    #[test]
    fn cancel_impact_round_trips_byte_for_byte(
        user_id in whole_text(), time in TIME, reason in option::of(text(Reason::MAX_CHARS)),
    ) {
        let mut expected = json!({"user_id": user_id, "time_utc": time});
        let mut request = CancelImpact::new(ImpactId::new(user_id, time.parse().unwrap()));
        if let Some(reason) = reason {
            expected["reason"] = reason.as_str().into();
            request = request.reason(Reason::new(reason).unwrap());
        }
        prop_assert_eq!(body(&request), expected);
    }

    #[test]
    fn the_id_of_an_impact_round_trips_as_text_and_json(user_id in ".{1,40}", time in TIME) {
        let id = ImpactId::new(user_id, time.parse().unwrap());
        prop_assert_eq!(id.to_string().parse::<ImpactId>().unwrap(), id.clone());
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<ImpactId>(&json).unwrap(), id);
    }

    #[test]
    fn projects_round_trip_through_a_query(
        project_type in option::of(any::<String>()), locale in option::of(any::<String>()),
    ) {
        let mut request = ListProjects::new();
        request.project_type = project_type.as_deref().map(ProjectType::from);
        request.locale = locale.as_deref().map(Locale::from);
        let expected = Expected::default().with("type", project_type).with("locale", locale);
        prop_assert_eq!(query(&request, "/v1/projects"), expected.sorted());
    }

    #[test]
    fn a_projects_id_stays_in_its_segment(id in any::<String>(), locale in option::of("[a-z]{2}")) {
        prop_assume!(!["", ".", ".."].contains(&&*id));
        let mut request = GetProject::new(&id);
        request.locale = locale.as_deref().map(Locale::from);
        let uri = encode(&request).uri().clone();
        let segment = uri.path().strip_prefix("/v1/projects/").unwrap();
        prop_assert!(!segment.contains('/'));
        // A form decoder can read a segment without `+`.
        prop_assert!(!segment.contains(['+', '&', '=']));
        let decoded: Vec<_> = form_urlencoded::parse(segment.as_bytes()).collect();
        prop_assert_eq!(decoded, vec![(id.into(), "".into())]);
        let expected = Expected::default().with("locale", locale);
        let path = uri.path();
        prop_assert_eq!(query(&request, path), expected.sorted());
    }

    #[test]
    fn the_cause_of_a_donation_can_be_any_text(category in any::<String>()) {
        let donation = DonateMoney::new(Cents::of::<1>()).category(Category::from(&*category));
        prop_assert_eq!(body(&donation), json!({"amount": 1, "category": category}));
    }

    #[test]
    fn metadata_accepts_exactly_what_the_api_accepts(
        key in prop_oneof![text(41), Just("gift".to_owned()), Just("widgetID".to_owned())],
        value in text(501),
        others in 0usize..=20,
    ) {
        let mut metadata = Metadata::new();
        for at in 0..others {
            // The strategy for keys does not generate these.
            metadata.insert(format!("{at:039}"), "x").unwrap();
        }
        let before = metadata.clone();
        let (in_key, in_value) = (key.chars().count(), value.chars().count());
        let accepted = (1..=40).contains(&in_key) && in_value <= 500 && others < 20
            && key != "gift" && key != "widgetID";
        prop_assume!(before.get(&key).is_none());
        match metadata.insert(key.clone(), value.clone()) {
            Ok(old) => {
                prop_assert!(accepted && old.is_none());
                prop_assert_eq!(metadata.get(&key), Some(&*value));
                prop_assert_eq!(metadata.insert(key, "new").unwrap(), Some(value));
            }
            Err(error) => {
                prop_assert!(!accepted);
                prop_assert_eq!(metadata, before);
                prop_assert!(in_key < 5 || !error.to_string().contains(&key) || key == "gift" || key == "widgetID");
            }
        }
    }

    #[test]
    fn metadata_is_sorted_by_key(
        pairs in prop::collection::vec(("[a-zé]{1,6}", "[a-z]{0,3}"), 0..20),
    ) {
        let pairs: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
        let forth = Metadata::from_pairs(pairs.clone()).unwrap();
        let back = Metadata::from_pairs(pairs.clone().into_iter().rev()).unwrap();
        prop_assert_eq!(serde_json::to_string(&forth).unwrap(), serde_json::to_string(&pairs).unwrap());
        prop_assert_eq!(forth, back);
    }

    #[test]
    fn numbers_out_of_range_cannot_be_built(value in any::<i64>()) {
        macro_rules! check {
            ($($amount:ident)*) => {$(
                let inside = u64::try_from(value)
                    .is_ok_and(|value| ($amount::MIN..=$amount::MAX).contains(&value));
                let built = $amount::try_from(value);
                prop_assert_eq!(built.is_ok(), inside);
                let parsed: Result<$amount, _> = value.to_string().parse();
                prop_assert_eq!(parsed, built.clone());
                if let Err(error) = built {
                    // Of money in cents, the message shows dollars.
                    let digits = error.to_string().replace([',', '$', '.'], "");
                    let (range, got) = digits.split_once(" (got ").unwrap();
                    prop_assert!(range.contains(&$amount::MAX.to_string()), "{}", error);
                    prop_assert_eq!(got.trim_end_matches(')').parse(), Ok(value), "{}", error);
                }
            )*};
        }
        check!(Trees Pounds Fragments Cents Limit);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Email::new(text.as_str());
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<Trees>();
        let _ = Api::with_base_url(&text, "test_key");
        let _ = Api::sandbox(&text);
        let _ = ImpactKind::from(text.as_str());
        let _ = text.parse::<ImpactId>();
        let _ = Reason::new(text.as_str());
    }
}

#[test]
fn the_ends_of_every_range_are_inside() {
    for (outside, inside) in [
        (Trees::new(0).is_err() && Trees::new(10_000_001).is_err(), Trees::new(10_000_000).is_ok()),
        (Pounds::new(0).is_err() && Pounds::new(10_000_001).is_err(), Pounds::new(1).is_ok()),
        (
            Cents::new(0).is_err() && Cents::new(1_000_000_001).is_err(),
            Cents::new(1_000_000_000).is_ok(),
        ),
        (Limit::new(0).is_err() && Limit::new(1001).is_err(), Limit::new(1000).is_ok()),
    ] {
        assert!(outside && inside);
    }
}

#[test]
fn a_range_that_ends_before_it_starts_cannot_be_built() {
    let day = |day| NaiveDate::from_ymd_opt(2025, 1, day).unwrap();
    let error = DateRange::between(day(2), day(1)).unwrap_err();
    assert!(
        matches!(error, InvalidValue::DateOrder { start, end, .. } if (start, end) == (day(2), day(1)))
    );
    assert!(DateRange::between(day(1), day(1)).is_ok());
    assert!(DateRange::since(NaiveDate::MAX).is_err() && DateRange::until(NaiveDate::MIN).is_err());
}

#[test]
fn food_is_the_category_of_trees() {
    let trees = PlantTree::new(Trees::of::<1>()).category(TreeCategory::Food);
    assert_eq!(body(&trees), json!({"amount": 1, "category": "food"}));
}

#[test]
fn every_request_has_key_user_agent_and_accept() {
    let request = encode(&ListRecords::new());
    assert_eq!(request.headers()["x-api-key"], "test_key");
    assert!(request.headers()["x-api-key"].is_sensitive());
    assert_eq!(request.headers()["accept"], "application/json");
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("oneclick-proto/"));
}

#[test]
fn a_path_parameter_cannot_leave_its_segment() {
    let request = encode(&GetProject::new("../whoami?x=1#é"));
    assert_eq!(request.uri().path(), "/v1/projects/..%2Fwhoami%3Fx%3D1%23%C3%A9");
    assert_eq!(request.uri().query(), None);
    for id in ["", ".", ".."] {
        let error = Api::sandbox("test_key").unwrap().encode(&GetProject::new(id)).unwrap_err();
        assert!(matches!(error, InvalidValue::PathSegment { field: "project_id", .. }));
    }
}

#[test]
fn metadata_and_reasons_are_limited_in_characters() {
    let key = "ß".repeat(40);
    let mut metadata = Metadata::from_pairs([(&*key, "🌳".repeat(500))]).unwrap();
    assert!(matches!(
        metadata.insert("ß".repeat(41), ""),
        Err(InvalidValue::TooLong { name: "metadata key", characters: 41, max: 40, .. }),
    ));
    assert!(matches!(
        metadata.insert(&*key, "🌳".repeat(501)),
        Err(InvalidValue::TooLong { name: "metadata value", characters: 501, max: 500, .. }),
    ));
    assert!(Reason::new("🌳".repeat(200)).is_ok() && Reason::new("🌳".repeat(201)).is_err());
}

#[test]
fn debug_hides_metadata_and_reasons() {
    let metadata = Metadata::from_pairs([("a", "secret"), ("b", "secret")]).unwrap();
    assert_eq!((metadata.len(), metadata.is_empty()), (2, false));
    assert_eq!(format!("{metadata:?}"), "Metadata(2 pairs)");
    let recorded = oneclick_proto::RecordedMetadata::from(metadata);
    assert_eq!((recorded.len(), recorded.is_empty()), (2, false));
    assert_eq!(format!("{recorded:?}"), "RecordedMetadata(2 keys)");
    let reason = Reason::new("secret").unwrap();
    assert_eq!((reason.as_str(), &*format!("{reason:?}")), ("secret", "Reason(..)"));
}

#[test]
fn full_metadata_still_accepts_a_new_value_for_an_existing_key() {
    let pairs = |count: usize| (0..count).map(|at| (at.to_string(), ""));
    let mut full = Metadata::from_pairs(pairs(20)).unwrap();
    assert_eq!(full.insert("7", "new").unwrap().as_deref(), Some(""));
    assert!(full.insert("20", "").is_err());
    assert!(Metadata::from_pairs(pairs(21)).is_err());
    assert!(Metadata::from_pairs([("a", "1"), ("a", "1")]).is_err());
}

/// An endpoint with any fields.
#[derive(Clone, serde::Serialize)]
#[serde(transparent)]
struct Own<T>(T);

impl<T: serde::Serialize> Endpoint for Own<T> {
    type Response = Value;
    const METHOD: http::Method = http::Method::GET;
    const PATH: &'static str = "/v1/own";
    const IDEMPOTENT: bool = true;
}

#[test]
fn a_query_can_hold_every_scalar_and_lists_of_them() {
    #[derive(serde::Serialize)]
    enum Side {
        Left,
    }

    #[derive(serde::Serialize)]
    struct Wrapped(u8);

    #[derive(serde::Serialize)]
    struct Around<T>(T);

    #[derive(serde::Serialize)]
    struct Nothing;

    #[derive(serde::Serialize)]
    struct All {
        none: Option<u8>,
        unit: (),
        nothing: Nothing,
        empty: Vec<u8>,
        nones: Vec<Option<u8>>,
        flag: bool,
        small: i8,
        large: u64,
        fraction: f64,
        letter: char,
        text: &'static str,
        blank: &'static str,
        side: Side,
        wrapped: Wrapped,
        some: Option<&'static str>,
        list: Vec<Option<&'static str>>,
        #[serde(rename = "a&b=ü")]
        odd: u8,
        #[serde(flatten)]
        map: std::collections::BTreeMap<&'static str, Option<u8>>,
        last: Option<u8>,
    }

    let all = All {
        none: None,
        unit: (),
        nothing: Nothing,
        empty: Vec::new(),
        nones: vec![None, None],
        flag: true,
        small: -7,
        large: u64::MAX,
        fraction: -0.5,
        letter: '&',
        text: "a b+c",
        blank: "",
        side: Side::Left,
        wrapped: Wrapped(3),
        some: Some("%41"),
        list: vec![None, Some("x"), None, Some("y&z=1"), None],
        odd: 9,
        map: [("one", Some(1)), ("skipped", None), ("zwei ", Some(2))].into(),
        last: None,
    };
    let request = encode(&Own(all));
    let uri = request.uri().to_string();
    assert!(!uri.contains("&&") && !uri.ends_with(['&', '?', '=']), "{uri}");
    let expected = [
        ("flag", "true"),
        ("small", "-7"),
        ("large", "18446744073709551615"),
        ("fraction", "-0.5"),
        ("letter", "&"),
        ("text", "a b+c"),
        ("blank", ""),
        ("side", "Left"),
        ("wrapped", "3"),
        ("some", "%41"),
        ("list", "x"),
        ("list", "y&z=1"),
        ("a&b=ü", "9"),
        ("one", "1"),
        ("zwei ", "2"),
    ];
    let pairs: Vec<_> = form_urlencoded::parse(request.uri().query().unwrap().as_bytes()).collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, expected);

    for around in [encode(&Own(Some(json!({"a": 1})))), encode(&Own(Around(json!({"a": 1}))))] {
        assert_eq!(around.uri().path_and_query().unwrap(), "/v1/own?a=1");
    }

    for nothing in [json!({}), json!(null), json!({"a": null, "b": [], "c": [null]})] {
        assert_eq!(encode(&Own(nothing)).uri().path_and_query().unwrap(), "/v1/own");
    }
}

#[test]
fn a_query_cannot_hold_nested_values() {
    for wrong in [
        json!(5),
        json!("text"),
        json!(["a"]),
        json!({"a": {}}),
        json!({"a": {"b": 1}}),
        json!({"a": [[1]]}),
        json!({"a": [{"b": 1}]}),
    ] {
        let error = Api::sandbox("test_key").unwrap().encode(&Own(&wrong)).unwrap_err();
        assert!(matches!(error, InvalidValue::Unserializable { .. }), "{wrong}");
    }
    let bytes = Own(std::collections::BTreeMap::from([((), 1)]));
    assert!(Api::sandbox("test_key").unwrap().encode(&bytes).is_err());
}

proptest! {
    #[test]
    fn any_names_and_texts_round_trip_through_a_query(
        fields in prop::collection::btree_map(any::<String>(), prop::collection::vec(any::<String>(), 0..3), 0..6),
    ) {
        let request = encode(&Own(&fields));
        let query = request.uri().query().unwrap_or_default();
        let read: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let sent: Vec<_> = fields
            .iter()
            .flat_map(|(name, texts)| texts.iter().map(move |text| (name.clone(), text.clone())))
            .collect();
        prop_assert_eq!(read, sent);
    }
}

#[test]
fn an_endpoint_that_cannot_be_encoded_is_an_error() {
    #[derive(serde::Serialize)]
    struct Nested {
        filter: Vec<Vec<u8>>,
    }

    impl Endpoint for Nested {
        type Response = Value;
        const METHOD: http::Method = http::Method::GET;
        const PATH: &'static str = "/v1/nested";
        const IDEMPOTENT: bool = true;
    }

    /// An endpoint without the field that its path names.
    #[derive(serde::Serialize)]
    struct Nameless;

    impl Endpoint for Nameless {
        type Response = Value;
        const METHOD: http::Method = http::Method::GET;
        const PATH: &'static str = "/v1/things/{id}";
        const IDEMPOTENT: bool = true;
    }

    let error = Api::sandbox("test_key").unwrap().encode(&Nameless).unwrap_err();
    assert!(matches!(error, InvalidValue::PathSegment { field: "id", .. }));
    let nested = Nested { filter: vec![vec![1]] };
    let error = Api::sandbox("test_key").unwrap().encode(&nested).unwrap_err();
    assert!(matches!(error, InvalidValue::Unserializable { .. }));
    let long = ListRecords::new().cursor(Cursor::new("x".repeat(70_000)));
    assert!(Api::sandbox("test_key").unwrap().encode(&long).is_err());
}

#[test]
fn each_setter_sets_its_field() {
    let target = |uri: &http::Uri| uri.path_and_query().unwrap().to_string();
    let email = || Email::new("a@b").unwrap();
    assert_eq!(
        target(encode(&ListCustomers::new().customer_email(email())).uri()),
        "/v1/customers?customer_email=a%40b"
    );
    assert_eq!(
        target(encode(&ListCustomerRecords::new().customer_email(email())).uri()),
        "/v1/customer_records?customer_email=a%40b"
    );
    let projects =
        ListProjects::new().project_type(ProjectType::from("reef")).locale(Locale::from("de"));
    assert_eq!(target(encode(&projects).uri()), "/v1/projects?type=reef&locale=de");
    let project = GetProject::new("bay").locale(Locale::from("de"));
    assert_eq!(target(encode(&project).uri()), "/v1/projects/bay?locale=de");
}
