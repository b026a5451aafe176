//! Every error message of the core, in one file to be read as a whole: `messages.txt`.
//!
//! `SNAPSHOTS=overwrite cargo test -p oneclick-proto --test core messages` rewrites the file.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use http::{Method, Request, Response};
use oneclick_proto::{
    Account, Api, ApiKey, BaseUrl, BlockingClient, BlockingTransport, BodyGate, BodyReader,
    CancelImpact, CaptureCarbon, Cents, Client, ConfigError, Connect, Cursor, Customer,
    DailyTotals, DateRange, Email, Endpoint, Error, Fragments, GetDailyTotals, GetProject,
    ImpactId, Intent, InvalidValue, Limit, ListRecords, Machine, Metadata, Outcome, Page, Pager,
    PlantTree, Pounds, Probe, Proxy, Purchase, Reason, Receipt, Record, RecordedMetadata,
    RetryPolicy, Timestamp, Totals, Tracking, TransportError, TransportOptions, Trees,
    UnresolvedReason, UserId, VerifiedPurchase, VerifyPolicy,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core/messages.txt");
const ID: &str = "U123-2024-09-16T20:34:04.429Z";
const RECEIPT: &str =
    r#"{"user_id":"U123","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}"#;

#[test]
fn every_message_is_in_the_file() {
    let messages = sections().map(|(title, lines)| {
        let lines = lines.iter().map(|(name, text)| format!("  {name:<16} {text}\n"));
        format!("{title}\n{}", lines.collect::<String>())
    });
    let messages = messages.join("\n");
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        std::fs::write(FILE, &messages).unwrap();
    }
    let file = std::fs::read_to_string(FILE).unwrap();
    let new = messages.lines().filter(|line| !file.lines().any(|known| known == *line));
    let gone = file.lines().filter(|line| !messages.lines().any(|known| known == *line));
    let difference: Vec<_> =
        gone.map(|line| format!("-{line}")).chain(new.map(|line| format!("+{line}"))).collect();
    assert!(
        file.lines().eq(messages.lines()),
        "SNAPSHOTS=overwrite rewrites the file:\n{difference:#?}"
    );
}

/// Reads the variants from the source, since no `match` outside of the crate is exhaustive.
#[test]
fn no_variant_is_missing_in_the_file() {
    let sections = sections();
    for (title, name, source) in [
        ("Values", "InvalidValue", include_str!("../../src/value/invalid.rs")),
        ("Settings", "ConfigError", include_str!("../../src/api/config_error.rs")),
        ("Transports", "Phase", include_str!("../../src/transport.rs")),
        ("Calls", "ErrorKind", include_str!("../../src/error.rs")),
        ("Outcomes", "Outcome", include_str!("../../src/verify/outcome.rs")),
        (
            "Reasons of an unresolved purchase",
            "UnresolvedReason",
            include_str!("../../src/verify/outcome.rs"),
        ),
    ] {
        let (_, variants) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
        let (variants, _) = variants.split_once("\n}\n").unwrap();
        let lines = variants.lines().filter_map(|line| line.strip_prefix("    "));
        let variants = lines.filter(|line| line.starts_with(|first: char| first.is_uppercase()));
        let (_, lines) = sections.iter().find(|(section, _)| *section == title).unwrap();
        for variant in variants.map(word) {
            assert!(lines.iter().any(|(name, _)| *name == variant), "{name}::{variant}");
        }
    }
}

type Lines = Vec<(String, String)>;

fn sections() -> [(&'static str, Lines); 8] {
    [
        ("Values", values().iter().map(line).collect()),
        ("Settings", settings().iter().map(line).collect()),
        ("Transports", transports()),
        ("Calls", calls().iter().map(|error| (word(error.kind()), error.to_string())).collect()),
        ("Outcomes", outcomes().iter().map(line).collect()),
        ("Reasons of an unresolved purchase", unresolved().iter().map(line).collect()),
        ("Proxies and withdrawn requests", proxies()),
        ("Deserialize", deserialize()),
    ]
}

fn line<T: Debug + Display>(value: &T) -> (String, String) {
    (word(value), value.to_string())
}

/// The first word of a `Debug` form: the name of a variant.
fn word(value: impl Debug) -> String {
    let text = format!("{value:?}").replace('"', "");
    text.chars().take_while(|char| char.is_alphanumeric()).collect()
}

fn api() -> Api {
    Api::sandbox("test_key").unwrap()
}

fn values() -> Vec<InvalidValue> {
    let mut values = vec![
        Trees::new(0).unwrap_err(),
        Pounds::try_from(-1_234_567).unwrap_err(),
        Fragments::new(10_000_001).unwrap_err(),
        Cents::new(0).unwrap_err(),
        Cents::try_from(-5).unwrap_err(),
        Cents::new(123_456_789_012).unwrap_err(),
        Limit::new(1001).unwrap_err(),
        "1.5".parse::<Trees>().unwrap_err(),
        "x".parse::<Pounds>().unwrap_err(),
        "".parse::<Fragments>().unwrap_err(),
        "1.50".parse::<Cents>().unwrap_err(),
        "1,000".parse::<Limit>().unwrap_err(),
    ];
    let long = format!("{}@example.com", "a".repeat(Email::MAX_BYTES));
    values.extend(
        [
            "ada",
            &long,
            "a\0b@example.com",
            "@example.com",
            "ada@",
            "\"ada@example.com",
            "ada@b@example.com",
            "ada\u{200b}@example.com",
            "<ada>@example.com",
            "a b@example.com",
            "ada@example,com",
            "ada@example..com",
        ]
        .map(|address| Email::new(address).unwrap_err()),
    );
    values.push(Reason::new("x".repeat(201)).unwrap_err());
    for pairs in [
        vec![("k".repeat(41), String::new())],
        vec![("k".to_owned(), "v".repeat(501))],
        vec![(String::new(), String::new())],
        vec![("gift".to_owned(), String::new())],
        vec![("k".to_owned(), String::new()), ("k".to_owned(), String::new())],
        (0..21).map(|number| (number.to_string(), String::new())).collect(),
    ] {
        values.push(Metadata::from_pairs(pairs).unwrap_err());
    }
    let with_marker = |marker| {
        let metadata = Metadata::from_pairs([(Intent::METADATA_KEY, marker)]).unwrap();
        PlantTree::new(Trees::of::<1>()).metadata(metadata)
    };
    let intent = Intent::new("shop", "1");
    values.push(VerifiedPurchase::new(&intent, with_marker("other")).unwrap_err());
    let pairs = (0..20).map(|number| (number.to_string(), ""));
    let full = Metadata::from_pairs(pairs).unwrap();
    let full = PlantTree::new(Trees::of::<1>()).metadata(full);
    values.push(VerifiedPurchase::new(&intent, full).unwrap_err());
    values.push("U123".parse::<ImpactId>().unwrap_err());
    let damaged = ListRecords::new().cursor(Cursor::new("\u{fffd}"));
    values.push(api().encode(&damaged).unwrap_err());
    let tree = || PlantTree::new(Trees::of::<1>());
    let state = VerifiedPurchase::new(&intent, tree()).unwrap().state().clone();
    let of_other = Intent::new("shop", "2");
    for (intent, purchase) in [
        (&of_other, Purchase::from(tree())),
        (&intent, CaptureCarbon::new(Pounds::of::<1>()).into()),
        (&intent, PlantTree::new(Trees::of::<2>()).into()),
        (&intent, tree().customer(Customer::new("ada@example.com").unwrap()).into()),
    ] {
        values.push(VerifiedPurchase::resume(intent, purchase, state.clone()).unwrap_err());
    }
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    values.push(DateRange::between(day("2025-03-01"), day("2025-01-01")).unwrap_err());
    values.push(DateRange::since(day("+10000-01-01")).unwrap_err());
    values.push(api().encode(&GetProject::new("..")).unwrap_err());
    values.extend([
        api().encode(&Own(BTreeMap::from([((), 1)]))).unwrap_err(),
        api().encode(&Own(json!([1]))).unwrap_err(),
        api().encode(&Own(json!({"filter": {"kind": 1}}))).unwrap_err(),
        api().encode(&Own(json!({"text": "x".repeat(70_000)}))).unwrap_err(),
        api().encode(&Unclosed).unwrap_err(),
    ]);
    values
}

fn settings() -> Vec<ConfigError> {
    let mut settings =
        ["", "'test_key'", "test_key\n"].map(|key| ApiKey::new(key).unwrap_err()).to_vec();
    settings.push(Api::production("test_key").unwrap_err());
    settings.push(Api::sandbox("live_key").unwrap_err());
    let production = Api::production("live_key").unwrap();
    settings.push(Probe::new(&production, DateTime::UNIX_EPOCH).unwrap_err());
    settings.extend(
        [
            "http://example.com",
            "https://example.com#x",
            "https://exa mple.com",
            "example.com",
            "ftp://example.com",
            "https://ada@example.com",
            "https://:443",
            "https://example.com:99999",
            "https://example.com?x=1",
            "https://example.com/ä",
            "https://example.com/..",
            "https://example.com/v1",
        ]
        .map(|url| BaseUrl::new(url).unwrap_err()),
    );
    settings.push(Api::from_vars(|_| None::<String>).unwrap_err());
    settings.push(Api::from_vars(|_| Some("")).unwrap_err());
    let key = |name: &str| (name == "ONECLICK_API_KEY").then(|| "0123456789".to_owned());
    settings.push(Api::from_vars(key).unwrap_err());
    for options in [
        TransportOptions::new().timeout(Duration::ZERO),
        TransportOptions::new().connect_timeout(Duration::ZERO),
    ] {
        settings.push(options.checked().unwrap_err());
    }
    let empty = |name: &str| match name {
        "ONECLICK_API_KEY" => Some("test_key"),
        "ONECLICK_BASE_URL" => Some(""),
        _ => None,
    };
    settings.push(Api::from_vars(empty).unwrap_err());
    settings
}

/// An endpoint with any fields.
#[derive(serde::Serialize)]
struct Own<T>(T);

impl<T: serde::Serialize> Endpoint for Own<T> {
    type Response = Value;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/own";
    const IDEMPOTENT: bool = true;
}

/// An endpoint with an unclosed brace in its path.
#[derive(serde::Serialize)]
struct Unclosed;

impl Endpoint for Unclosed {
    type Response = Value;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/{id";
    const IDEMPOTENT: bool = true;
}

fn reader(status: u16) -> BodyReader {
    let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
    BodyReader::new(&Method::GET, head, 8)
}

fn transports() -> Lines {
    let errors = [
        TransportError::connect("connection refused"),
        TransportError::connect("no answer").timed_out(true),
        TransportError::exchange("connection reset"),
        TransportError::exchange("no answer").timed_out(true),
        reader(200).cut("unexpected end of file"),
        reader(200).cut("no more bytes").timed_out(true),
        reader(200).push(b"123456789").unwrap_err(),
    ];
    errors.iter().map(|error| (word(error.phase()), error.to_string())).collect()
}

/// Responds to all requests by one function. Its clock only advances while it sleeps.
#[derive(Clone)]
struct Server {
    respond: fn(path: &str) -> Result<Response<Vec<u8>>, TransportError>,
    clock: Arc<AtomicU64>,
}

impl BlockingTransport for Server {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        (self.respond)(request.uri().path())
    }

    fn sleep(&self, duration: Duration) {
        self.clock.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.clock.load(Ordering::Relaxed))
    }

    fn seed(&self) -> u64 {
        0
    }
}

impl Connect for Server {
    fn connect(_: &Api, _: &TransportOptions) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Err("no trust store".into())
    }

    fn var(_: &str) -> Option<std::ffi::OsString> {
        None
    }
}

fn client(
    respond: fn(path: &str) -> Result<Response<Vec<u8>>, TransportError>,
) -> BlockingClient<Server> {
    let client = Client::with_transport(api(), Server { respond, clock: Arc::default() });
    client.with_retry(RetryPolicy::NEVER)
}

fn response(status: u16, body: &str) -> Result<Response<Vec<u8>>, TransportError> {
    Ok(Response::builder().status(status).body(body.into()).unwrap())
}

const KEY_ERROR: &str = r#"{"type":"key_error","message":"API Key does not exist"}"#;

fn calls() -> Vec<Error> {
    let refused = |_: &str| Err(TransportError::connect("connection refused (os error 111)"));
    let lost = |_: &str| Err(TransportError::exchange("connection reset"));
    let tree = || PlantTree::new(Trees::of::<1>());
    let cancel = || CancelImpact::try_from(ID).unwrap();
    let mut errors = vec![
        Trees::new(0).unwrap_err().into(),
        ApiKey::new("").unwrap_err().into(),
        client(lost).project("..").unwrap_err(),
        BlockingClient::<Server>::new(api()).unwrap_err(),
        // A read.
        client(refused).whoami().unwrap_err(),
        client(refused).with_retry(RetryPolicy::STANDARD).whoami().unwrap_err(),
        client(|_| Err(reader(200).cut("end of file"))).whoami().unwrap_err(),
        client(|_| Err(reader(200).push(b"123456789").unwrap_err())).whoami().unwrap_err(),
        client(|_| Err(reader(200).push(b"123456789").unwrap_err()))
            .records(ListRecords::new().limit(Limit::of::<1>()))
            .find_map(Result::err)
            .unwrap(),
        client(|_| response(401, KEY_ERROR)).whoami().unwrap_err(),
        client(|_| response(503, "<title>Service Unavailable</title>")).whoami().unwrap_err(),
        client(|_| response(500, "")).whoami().unwrap_err(),
        client(|_| response(302, "")).whoami().unwrap_err(),
        client(|_| response(206, "{}")).whoami().unwrap_err(),
        client(|_| response(200, "")).whoami().unwrap_err(),
        client(|_| response(200, "<html>")).whoami().unwrap_err(),
        client(|_| response(200, r#"{"user_id":"U123""#)).whoami().unwrap_err(),
        client(|_| response(200, r#"{"user_id":"U123"}"#)).whoami().unwrap_err(),
        client(|_| response(200, r#"{"user_id":5}"#)).whoami().unwrap_err(),
        client(|_| response(200, r#"{"user_id":"U123","user_impact":{"tree_planted":"x"}}"#))
            .impact()
            .unwrap_err(),
        client(|_| {
            let response = Response::builder().header("content-encoding", "br");
            Ok(response.body(b"...".to_vec()).unwrap())
        })
        .whoami()
        .unwrap_err(),
        client(|_| response(200, r#"{"daily_impact":[null]}"#))
            .daily_impact(GetDailyTotals::new())
            .unwrap_err(),
        client(|_| response(200, r#"{"user_records":[null]}"#))
            .records(ListRecords::new())
            .find_map(Result::err)
            .unwrap(),
        client(|_| response(200, r#"{"user_records":[],"cursor":"a"}"#))
            .records(ListRecords::new())
            .find_map(Result::err)
            .unwrap(),
    ];
    let mut pager = Pager::new(ListRecords::new());
    errors.push(
        (0..)
            .find_map(|page: u32| {
                let next = Page::new(Vec::new(), Some(Cursor::new(page.to_string())));
                pager.request()?.and_then(|_| pager.take(Ok(next))).err()
            })
            .unwrap(),
    );
    // A purchase, and a cancellation, which is idempotent.
    let ada = tree().customer(Customer::new("ada@example.com").unwrap());
    errors.extend([
        client(|_| response(400, r#"{"type":"api_error","message":"no ada@example.com"}"#))
            .plant_tree(ada)
            .unwrap_err(),
        client(refused).plant_tree(tree()).unwrap_err(),
        client(lost).plant_tree(tree()).unwrap_err(),
        client(|_| response(200, r#"{"tree_planted":1}"#)).plant_tree(tree()).unwrap_err(),
        client(refused).cancel_impact(cancel()).unwrap_err(),
        client(lost).cancel_impact(cancel()).unwrap_err(),
        client(|_| response(200, r#"{"tree_planted":1}"#)).cancel_impact(cancel()).unwrap_err(),
    ]);
    errors
}

fn outcomes() -> Vec<Outcome> {
    const ACCOUNT: &str = r#"{"user_id":"U123","email":"ada@example.com"}"#;
    let intent = Intent::new("shop", "1");
    let buy = |respond| client(respond).buy_verified(&intent, PlantTree::new(Trees::of::<1>()));
    let receipt: Receipt = serde_json::from_str(RECEIPT).unwrap();
    vec![
        Outcome::Confirmed(receipt),
        Outcome::Cancelled(vec![ID.parse().unwrap()]),
        buy(|_| response(401, KEY_ERROR)),
        buy(|_| Err(TransportError::connect("connection refused"))),
        buy(|path| match path {
            "/v1/whoami" => response(200, ACCOUNT),
            "/v1/plant_tree" => Err(TransportError::exchange("connection reset")),
            _ => response(200, r#"{"user_records":[],"customer_records":[]}"#),
        }),
        client(|path| match path {
            "/v1/whoami" => response(200, ACCOUNT),
            "/v1/customer_records" => response(200, r#"{"customer_records":[]}"#),
            _ => response(200, &format!(r#"{{"user_records":[{RECEIPT}]}}"#)),
        })
        .run(
            VerifiedPurchase::recover(&intent, PlantTree::new(Trees::of::<1>()))
                .unwrap()
                .policy(VerifyPolicy::STANDARD.absence_after(Duration::ZERO)),
        ),
    ]
}

fn unresolved() -> [UnresolvedReason; 9] {
    use UnresolvedReason as Reason;
    [
        Reason::Unreadable,
        Reason::Malformed,
        Reason::TooManyRecords,
        Reason::Candidates,
        Reason::SeenAndGone,
        Reason::Untrackable,
        Reason::SameTime,
        Reason::BoughtTwice,
        Reason::OtherPurchase,
    ]
}

fn proxies() -> Lines {
    let read = |url: &'static str| {
        Proxy::from_vars(&BaseUrl::production(), |name| (name == "https_proxy").then(|| url.into()))
    };
    let mut lines: Lines = [
        "http://pro xy",
        "ftp://proxy",
        "http://a@b@proxy",
        "http://proxy:99999",
        "http://",
        "http://%ff@proxy",
    ]
    .iter()
    .map(|url| ("ProxyError".to_owned(), read(url).unwrap_err().to_string()))
    .collect();
    let unsupported = read("socks4://proxy").unwrap().unwrap().unsupported();
    lines.push(("ProxyError".to_owned(), unsupported.to_string()));
    let gate = BodyGate::default();
    assert!(gate.withdraw());
    lines.push(("Withdrawn".to_owned(), gate.take().unwrap_err().to_string()));
    lines
}

fn deserialize() -> Lines {
    fn refused<T: DeserializeOwned + Debug>(json: Value) -> (String, String) {
        let name = std::any::type_name::<T>().split('<').next().unwrap();
        let name = name.rsplit("::").next().unwrap().to_owned();
        (name, serde_json::from_value::<T>(json).unwrap_err().to_string())
    }
    vec![
        refused::<Purchase>(json!({"action": "plant_tree", "amount": 0})),
        refused::<Trees>(json!(1.5)),
        refused::<Trees>(json!("5")),
        refused::<Customer>(json!({"customer_name": "Ada"})),
        refused::<Metadata>(json!([])),
        refused::<RecordedMetadata>(json!([])),
        refused::<Timestamp>(json!("yesterday")),
        refused::<UserId>(json!(5)),
        refused::<Account>(json!({"user_id": "U123"})),
        refused::<Record>(json!([])),
        refused::<Record>(json!({"tree_planted": "5"})),
        refused::<Receipt>(json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z"})),
        refused::<Tracking>(json!({"tracking_id": "x", "tree_planted": 1.5})),
        refused::<Page<Record>>(json!([])),
        refused::<Totals>(json!({"tree_planted": "5"})),
        refused::<DailyTotals>(json!({"user_id": "U1", "daily_impact": [{"date": "May 1"}]})),
    ]
}
