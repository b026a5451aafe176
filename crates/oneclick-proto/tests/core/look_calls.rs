//! The number of calls that a look takes on a busy account: ten purchases per second, half
//! of them for customers, with one and five million records.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc};
use http::{Request, Response};
use oneclick_proto::{
    Api, Intent, Machine, Outcome, PlantTree, RetryPolicy, Step, TransportError, Trees,
    VerifiedPurchase,
};
use serde_json::json;

/// The time between two purchases of one list, in milliseconds.
const EVERY: i64 = 200;

/// An account whose lists are computed on demand: a row every 200 ms.
struct Busy {
    now: Duration,
    records: i64,
    /// When the purchase was made, if it was.
    made: Option<i64>,
    /// The path of every request.
    requested: Vec<String>,
    /// How many requests had a cursor.
    further: u32,
}

impl Busy {
    fn millis(&self) -> i64 {
        let start: DateTime<Utc> = "2025-03-12T15:00:00.137Z".parse().unwrap();
        start.timestamp_millis() + i64::try_from(self.now.as_millis()).unwrap()
    }

    fn respond(&self, body: &serde_json::Value) -> Response<Vec<u8>> {
        let date = DateTime::from_timestamp_millis(self.millis()).unwrap();
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Response::builder().header("date", date).body(body.to_string().into_bytes()).unwrap()
    }

    fn handle(
        &mut self,
        request: &Request<Vec<u8>>,
        made: bool,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        self.requested.push(request.uri().path().to_owned());
        self.now += Duration::from_millis(50);
        match request.uri().path() {
            "/v1/whoami" => Ok(self.respond(&json!({"user_id": "U1", "email": "a@x.com"}))),
            "/v1/track" => Ok(self.respond(&json!({"tracking_id": "x", "tree_planted": 5,
                "impact_initiated": "2025-03-12T15:00:00.100Z"}))),
            "/v1/plant_tree" => {
                self.made = made.then(|| self.millis());
                Err(TransportError::exchange("reset"))
            }
            "/v1/records" | "/v1/customer_records" => {
                let own = request.uri().path() == "/v1/records";
                let page =
                    self.page(request, if own { "user_records" } else { "customer_records" });
                Ok(self.respond(&page))
            }
            other => panic!("{other}"),
        }
    }

    /// A page of a list, newest first.
    fn page(&mut self, request: &Request<Vec<u8>>, field: &str) -> serde_json::Value {
        let query = request.uri().query().unwrap();
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        assert_eq!(value("sort_order").unwrap(), "desc");
        let limit: usize = value("limit").unwrap().parse().unwrap();
        let own = field == "user_records";
        let shift = if own { 0 } else { EVERY / 2 };
        let newest = (self.millis() - shift).div_euclid(EVERY);
        let day = value("start_date").map(|day| day.parse::<chrono::NaiveDate>().unwrap());
        let day =
            day.map_or(i64::MIN, |day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
        let oldest = (newest - self.records / 2).max(day.div_euclid(EVERY));
        self.further += u32::from(value("cursor").is_some());
        let before = value("cursor").map_or(newest, |cursor| cursor.parse().unwrap());
        let mut rows = Vec::new();
        let mut at = before;
        while rows.len() < limit && at > oldest {
            let mut row = |millis: i64, marker: Option<String>| {
                let time = DateTime::from_timestamp_millis(millis).unwrap();
                let marker = marker.unwrap_or_else(|| format!("{millis:032x}"));
                let mut row = json!({"user_id": "U1", "tree_planted": 5,
                    "time_utc": time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                    "metadata": {Intent::METADATA_KEY: marker}});
                if !own {
                    row["customer"] = json!({"customer_id": "U2", "customer_email": "b@x.com"});
                }
                rows.push(row);
            };
            let made = self.made.filter(|made| own && made.div_euclid(EVERY) == at);
            if let Some(made) = made {
                row(made, Some(intent().marker().to_owned()));
            }
            row(at * EVERY + shift, None);
            at -= 1;
        }
        let cursor = (at > oldest).then(|| at.to_string());
        json!({ field: rows, "cursor": cursor })
    }

    fn run(&mut self, purchase: VerifiedPurchase, made: bool) -> Outcome {
        let api = Api::sandbox("test_key").unwrap();
        let mut step = purchase.start(&api, RetryPolicy::NEVER, 0, self.now);
        loop {
            step = match step {
                Step::Send(request, sent) => {
                    let outcome = self.handle(&request, made);
                    sent.finish(outcome, self.now)
                }
                Step::Wait(wait, waiting) => {
                    self.now += wait;
                    waiting.wake(self.now)
                }
                Step::Done(outcome) => return outcome,
            };
        }
    }
}

fn intent() -> Intent {
    Intent::new("shop", "order-1")
}

fn tree() -> PlantTree {
    PlantTree::new(Trees::of::<5>())
}

#[test]
fn a_look_takes_three_calls_if_it_finds_the_purchase_and_ten_if_it_does_not() {
    for records in [1_000_000, 5_000_000] {
        let mut busy =
            Busy { now: Duration::ZERO, records, made: None, requested: Vec::new(), further: 0 };
        let outcome = busy.run(VerifiedPurchase::new(&intent(), tree()).unwrap(), true);
        assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
        let expected = ["whoami", "plant_tree", "customer_records", "records", "track"];
        assert_eq!(busy.requested, expected.map(|path| format!("/v1/{path}")));

        let mut busy =
            Busy { now: Duration::ZERO, records, made: None, requested: Vec::new(), further: 0 };
        let outcome = busy.run(VerifiedPurchase::new(&intent(), tree()).unwrap(), false);
        let Outcome::Pending(pending) = outcome else { panic!("{outcome}") };
        // Each look takes two calls until absence counts.
        for look in busy.requested[2..].chunks(2) {
            assert_eq!(look, ["/v1/customer_records", "/v1/records"]);
        }
        assert_eq!(busy.further, 0, "only the newest page of each list is read");
        busy.now += pending.after;
        busy.requested.clear();
        let resumed = VerifiedPurchase::resume(&intent(), tree(), pending.state).unwrap();
        let outcome = busy.run(resumed, true);
        assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
        let sent = busy.requested.iter().position(|path| path == "/v1/plant_tree").unwrap();
        assert_eq!(sent, 10, "{:?}", busy.requested);
    }
}

/// However late it is, and however long the lists are.
#[test]
fn a_purchase_on_the_newest_page_takes_three_calls_when_absence_would_count() {
    let mut busy = Busy {
        now: Duration::ZERO,
        records: 1_000_000,
        made: None,
        requested: Vec::new(),
        further: 0,
    };
    let outcome = busy.run(VerifiedPurchase::new(&intent(), tree()).unwrap(), false);
    let Outcome::Pending(pending) = outcome else { panic!("{outcome}") };
    busy.now += pending.after;
    busy.requested.clear();
    busy.made = Some(busy.millis() - 1_000);
    let resumed = VerifiedPurchase::resume(&intent(), tree(), pending.state).unwrap();
    let outcome = busy.run(resumed, false);
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
    let expected = ["customer_records", "records", "track"];
    assert_eq!(busy.requested, expected.map(|path| format!("/v1/{path}")));
}
