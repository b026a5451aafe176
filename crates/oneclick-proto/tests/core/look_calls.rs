//! How many calls a look takes on a busy account: ten purchases a second, half of them
//! for customers, in lists of a million records and of five million.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc};
use http::{Request, Response};
use oneclick_proto::{
    Api, Intent, Machine, Outcome, PlantTree, RetryPolicy, Step, TransportError, Trees,
    VerifiedPurchase,
};
use serde_json::json;

/// Between two purchases of one list, in milliseconds.
const EVERY: i64 = 200;

/// Both lists, which are computed and not stored: a row every 200 ms for as long as the
/// account is old.
struct Busy {
    now: Duration,
    records: i64,
    /// When the purchase was made, if it was.
    made: Option<i64>,
    /// Every path, and how many of the calls were part of the latest look.
    asked: Vec<String>,
    /// How many of them asked for a further page.
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

    fn answer(
        &mut self,
        request: &Request<Vec<u8>>,
        made: bool,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        self.asked.push(request.uri().path().to_owned());
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

    /// A page, newest first.
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
                    let outcome = self.answer(&request, made);
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
fn a_look_takes_three_calls_where_it_finds_and_ten_where_it_does_not() {
    for records in [1_000_000, 5_000_000] {
        let mut busy =
            Busy { now: Duration::ZERO, records, made: None, asked: Vec::new(), further: 0 };
        let outcome = busy.run(VerifiedPurchase::new(&intent(), tree()).unwrap(), true);
        assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
        let expected = ["whoami", "plant_tree", "customer_records", "records", "track"];
        assert_eq!(busy.asked, expected.map(|path| format!("/v1/{path}")));

        let mut busy =
            Busy { now: Duration::ZERO, records, made: None, asked: Vec::new(), further: 0 };
        let outcome = busy.run(VerifiedPurchase::new(&intent(), tree()).unwrap(), false);
        let Outcome::Pending(pending) = outcome else { panic!("{outcome}") };
        // Each of the looks until then takes two.
        for look in busy.asked[2..].chunks(2) {
            assert_eq!(look, ["/v1/customer_records", "/v1/records"]);
        }
        assert_eq!(busy.further, 0, "the newest page of each");
        busy.now += pending.after;
        busy.asked.clear();
        let resumed = VerifiedPurchase::resume(&intent(), tree(), pending.state).unwrap();
        let outcome = busy.run(resumed, true);
        assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
        let sent = busy.asked.iter().position(|path| path == "/v1/plant_tree").unwrap();
        assert_eq!(sent, 10, "{:?}", busy.asked);
    }
}
