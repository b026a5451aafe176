//! How far a late look reads lists of many pages, which depends on the order of the rows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, Response};
use oneclick_proto::{
    Api, BodyReader, Intent, Machine, Outcome, PlantTree, RetryPolicy, Settled, Settlement, Step,
    TransportError, Trees, UnresolvedReason, VerifiedPurchase, VerifyPolicy,
};
use serde_json::{Value, json};

/// Before this second, counted from the send, the purchase cannot have been made.
const FROM: i64 = -60;
/// The server's time.
const DATE: &str = "Wed, 12 Mar 2025 16:00:00 GMT";
/// After this second, counted from the send, the purchase cannot have been made.
const UNTIL: i64 = 10 + 900;

/// The pages of the account's own list in both orders. The customers' list is empty.
struct Lists {
    newest_first: Vec<Vec<Value>>,
    oldest_first: Vec<Vec<Value>>,
    policy: VerifyPolicy,
    /// The largest limit for which the response is not too large.
    fit: u64,
    /// The queries to the account's own list.
    requested: Vec<String>,
}

impl Lists {
    /// Lists with rows at these seconds, `size` rows per page.
    fn of(size: usize, newest_first: &[i64], oldest_first: &[i64]) -> Self {
        let pages = |seconds: &[i64]| {
            let pages = seconds.chunks(size);
            pages.map(|page| page.iter().copied().map(row).collect()).collect()
        };
        Self {
            newest_first: pages(newest_first),
            oldest_first: pages(oldest_first),
            policy: VerifyPolicy::STANDARD,
            fit: 1_000,
            requested: Vec::new(),
        }
    }

    fn handle(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let query = request.uri().query().unwrap_or_default();
        let body = match request.uri().path() {
            "/v1/customer_records" => json!({"customer_records": []}),
            "/v1/track" => json!({"tracking_id": "x", "tree_planted": 5,
                "impact_initiated": "2025-03-12T15:00:01Z"}),
            "/v1/records" => {
                self.requested.push(query.to_owned());
                let pages =
                    if query.contains("=asc") { &self.oldest_first } else { &self.newest_first };
                let cursor = query.split("cursor=").nth(1).unwrap_or("0");
                let page: usize = cursor.split('&').next().unwrap().parse().unwrap();
                let next = (page + 1 < pages.len()).then(|| (page + 1).to_string());
                json!({"user_records": pages.get(page), "cursor": next})
            }
            other => panic!("{other}"),
        };
        let response = Response::builder().header("date", DATE);
        response.body(body.to_string().into_bytes()).unwrap()
    }

    /// Looks for the purchase.
    fn look(&mut self) -> Outcome {
        self.drive(sent_twice().policy(self.policy))
    }

    fn drive<M: Machine>(&mut self, machine: M) -> M::Output {
        let api = Api::sandbox("test_key").unwrap();
        let mut now = Duration::from_secs(1_000);
        let mut step = machine.start(&api, RetryPolicy::NEVER, 0, now);
        for _ in 0..1_000 {
            step = match step {
                Step::Send(request, sent) => {
                    let limit =
                        request.uri().query().and_then(|query| query.split("limit=").nth(1));
                    let limit =
                        limit.map_or(0, |limit| limit.split('&').next().unwrap().parse().unwrap());
                    let outcome =
                        if limit > self.fit { Err(too_large()) } else { Ok(self.handle(&request)) };
                    sent.finish(outcome, now)
                }
                Step::Wait(wait, waiting) => {
                    now += wait;
                    waiting.wake(now)
                }
                Step::Done(outcome) => return outcome,
            };
        }
        panic!("it does not end");
    }

    /// Looks for the purchase, and asserts the number of pages read in each order.
    #[track_caller]
    fn reads(mut self, newest_first: usize, oldest_first: usize, whole: bool) {
        let outcome = self.look();
        let pages =
            |order: &str| self.requested.iter().filter(|query| query.contains(order)).count();
        assert_eq!((pages("=desc"), pages("=asc")), (newest_first, oldest_first));
        match outcome {
            Outcome::NotBought(_) => assert!(whole),
            Outcome::Unresolved(left) => {
                assert_eq!(left.reason, UnresolvedReason::TooManyRecords);
                assert!(!whole);
            }
            other => panic!("{other}"),
        }
    }
}

/// A purchase that was sent twice, the first time at second 0.
fn sent_twice() -> VerifiedPurchase {
    let intent = Intent::new("shop", "order-1");
    let tree = || PlantTree::new(Trees::of::<5>());
    let purchase = VerifiedPurchase::new(&intent, tree()).unwrap();
    let mut state = serde_json::to_value(purchase.state()).unwrap();
    state["sends"] = 2.into();
    state["from"] = "2025-03-12T15:00:00Z".into();
    state["until"] = "2025-03-12T15:00:10Z".into();
    let state = serde_json::from_value(state).unwrap();
    VerifiedPurchase::resume(&intent, tree(), state).unwrap()
}

fn too_large() -> TransportError {
    let head = Response::builder().header("date", DATE);
    let (head, ()) = head.body(()).unwrap().into_parts();
    BodyReader::new(&Method::GET, head, 0).push(b"x").unwrap_err()
}

/// A row with the marker of another purchase.
fn row(second: i64) -> Value {
    let start: DateTime<Utc> = "2025-03-12T15:00:00.001Z".parse().unwrap();
    let time = start + TimeDelta::seconds(second);
    json!({"user_id": "U1", "tree_planted": 5, "metadata":
        {Intent::METADATA_KEY: format!("{:032x}", time.timestamp())},
        "time_utc": time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)})
}

/// Seconds from the newest to the oldest, `step` apart.
fn falling(newest: i64, step: i64, rows: usize) -> Vec<i64> {
    std::iter::successors(Some(newest), |second| Some(second - step)).take(rows).collect()
}

fn rising(oldest: i64, step: i64, rows: usize) -> Vec<i64> {
    falling(-oldest, step, rows).iter().map(|second| -second).collect()
}

#[test]
fn newest_first_a_look_ends_at_rows_older_than_the_purchase() {
    // The 62nd row is older, which is on the third page of 25.
    Lists::of(25, &falling(1_000, 17, 200), &[]).reads(3, 0, true);
    // A row at exactly that time is not older.
    let to_the_moment = falling(FROM + 49, 1, 50);
    Lists::of(25, &[to_the_moment, falling(FROM - 2, 1, 50)].concat(), &[]).reads(3, 0, true);
    Lists::of(25, &falling(FROM + 48, 1, 100), &[]).reads(2, 0, true);
}

#[test]
fn a_settlement_reads_the_same_pages() {
    let mut lists = Lists::of(25, &falling(1_000, 17, 200), &[]);
    let settled = lists.drive(Settlement::new([sent_twice(), sent_twice()]));
    assert_eq!(lists.requested.len(), 3, "{:?}", lists.requested);
    for settled in settled {
        let Settled::Done(outcome) = settled else { panic!("{settled:?}") };
        assert!(matches!(*outcome, Outcome::NotBought(_)), "{outcome}");
    }
}

#[test]
fn forty_rows_across_two_pages_prove_the_order() {
    Lists::of(15, &falling(-100, 1, 100), &[]).reads(3, 0, true);
    Lists::of(20, &falling(-100, 1, 100), &[]).reads(2, 0, true);
    // Rows of a single page prove nothing.
    Lists::of(60, &falling(-100, 1, 200), &[]).reads(2, 0, true);
    // Rows that all have the same time prove nothing.
    let same = vec![-100; 75];
    let mut lists = Lists::of(25, &[same, falling(-101, 1, 50)].concat(), &[]);
    for (number, row) in lists.newest_first.iter_mut().flatten().enumerate() {
        row["metadata"][Intent::METADATA_KEY] = format!("{number:032x}").into();
    }
    lists.reads(4, 0, true);
}

#[test]
fn a_list_of_one_page_is_whole_in_any_order() {
    Lists::of(25, &[500, 900, -300, 20], &[]).reads(1, 0, true);
    // A list of two pages is whole only if it is sorted.
    Lists::of(25, &falling(1_000, 17, 40), &[]).reads(2, 0, true);
}

#[test]
fn a_list_that_is_not_sorted_newest_first_is_read_again_oldest_first() {
    let mut disordered = falling(1_000, 17, 100);
    disordered.swap(7, 9);
    // Reading ends after the last possible time, at the 48th row.
    Lists::of(25, &disordered, &rising(100, 17, 200)).reads(1, 2, true);
    // It does not end before the order is proven.
    Lists::of(15, &disordered, &rising(UNTIL + 50, 1, 100)).reads(1, 3, true);
    Lists::of(60, &disordered, &rising(UNTIL + 50, 1, 200)).reads(1, 2, true);
    // It does not end at exactly the last possible time.
    let to_the_moment = rising(UNTIL - 50, 1, 50);
    let lists = Lists::of(25, &disordered, &[to_the_moment, rising(UNTIL + 2, 1, 50)].concat());
    lists.reads(1, 3, true);
    // Two pages are not whole if the second is not sorted.
    let mut late = falling(1_000, 17, 40);
    late.swap(30, 35);
    Lists::of(25, &late, &rising(100, 17, 40)).reads(2, 2, true);
    // If the list is not sorted oldest first either, nothing can be concluded.
    Lists::of(25, &disordered, &disordered).reads(1, 1, false);
}

#[test]
fn a_repeated_row_makes_the_look_read_oldest_first() {
    let mut moved = falling(1_000, 17, 100);
    moved[25] = moved[24];
    Lists::of(25, &moved, &rising(100, 17, 200)).reads(2, 2, true);
}

#[test]
fn no_more_pages_are_read_than_the_policy_allows() {
    let policy = VerifyPolicy::STANDARD.max_pages(3);
    let limited = |newest_first: &[i64], oldest_first: &[i64]| Lists {
        policy,
        ..Lists::of(25, newest_first, oldest_first)
    };
    limited(&falling(10_000, 1, 200), &[]).reads(3, 0, false);
    limited(&falling(10_000, 1, 75), &[]).reads(3, 0, true);
    let mut disordered = falling(1_000, 17, 100);
    disordered.swap(7, 9);
    limited(&disordered, &rising(-100, 1, 200)).reads(1, 3, false);
    limited(&disordered, &rising(-100, 1, 75)).reads(1, 3, true);
}

#[test]
fn a_look_halves_the_limit_after_a_page_that_is_too_large() {
    let mut lists = Lists { fit: 300, ..Lists::of(25, &falling(1_000, 17, 50), &[]) };
    let outcome = lists.look();
    assert!(matches!(outcome, Outcome::NotBought(_)), "{outcome}");
    assert!(
        lists.requested.iter().all(|query| query.contains("limit=250")),
        "{:?}",
        lists.requested
    );
    // If not even one row fits, the look fails.
    let mut lists = Lists { fit: 0, ..Lists::of(25, &falling(1_000, 17, 50), &[]) };
    let Outcome::Unresolved(left) = lists.look() else { panic!("unreadable") };
    assert_eq!(left.reason, UnresolvedReason::Unreadable);
    assert!(left.error.unwrap().is_too_large());
}

/// Two days are enough for any time zone of the server's days.
#[test]
fn a_look_starts_two_days_before_the_purchase() {
    let mut lists = Lists::of(25, &falling(1_000, 17, 100), &rising(-60, 17, 100));
    lists.newest_first[0].swap(0, 1);
    let _ = lists.look();
    assert_eq!(lists.requested.len(), 4, "{:?}", lists.requested);
    assert!(lists.requested.iter().all(|query| query.contains("start_date=2025-03-10")));
    assert!(lists.requested.iter().all(|query| !query.contains("end_date")));
}

/// The malformed row may have the same time (R12).
#[test]
fn a_malformed_row_makes_a_time_in_whole_seconds_ambiguous() {
    let marker = Intent::new("shop", "order-1").marker().to_owned();
    let ours = json!({"user_id": "U1", "tree_planted": 5, "time_utc": "2025-03-12T15:00:01Z",
        "metadata": {Intent::METADATA_KEY: marker}});
    let lists =
        |rows: &[Value]| Lists { newest_first: vec![rows.to_vec()], ..Lists::of(1, &[], &[]) };
    let outcome = lists(std::slice::from_ref(&ours)).look();
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
    for bad in [json!(null), json!({"user_id": "U1"})] {
        let Outcome::Unresolved(left) = lists(&[ours.clone(), bad]).look() else { panic!("found") };
        assert_eq!(left.reason, UnresolvedReason::SameTime);
    }
}
