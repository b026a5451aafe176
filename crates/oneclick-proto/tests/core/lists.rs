//! How far a late look reads a list of many pages, by the order that its rows are in.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, Response};
use oneclick_proto::{
    Api, BodyReader, Intent, Machine, Outcome, PlantTree, RetryPolicy, Settled, Settlement, Step,
    TransportError, Trees, UnresolvedReason, VerifiedPurchase, VerifyPolicy,
};
use serde_json::{Value, json};

/// Seconds before the purchase left; later ones are positive.
const FROM: i64 = -60;
/// The server's time.
const DATE: &str = "Wed, 12 Mar 2025 16:00:00 GMT";
/// No purchase was made later than this.
const UNTIL: i64 = 10 + 900;

/// The account's own list, in both orders, page by page. The customers' is empty.
struct Lists {
    newest_first: Vec<Vec<Value>>,
    oldest_first: Vec<Vec<Value>>,
    policy: VerifyPolicy,
    /// The most rows that a response can hold.
    fit: u64,
    /// What was asked of the own list.
    asked: Vec<String>,
}

impl Lists {
    /// Rows of these seconds, `size` to a page.
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
            asked: Vec::new(),
        }
    }

    fn answer(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let query = request.uri().query().unwrap_or_default();
        let body = match request.uri().path() {
            "/v1/customer_records" => json!({"customer_records": []}),
            "/v1/track" => json!({"tracking_id": "x", "tree_planted": 5,
                "impact_initiated": "2025-03-12T15:00:01Z"}),
            "/v1/records" => {
                self.asked.push(query.to_owned());
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

    /// Looks for it.
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
                        if limit > self.fit { Err(too_large()) } else { Ok(self.answer(&request)) };
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

    /// Looks, and counts the pages that were read in each order.
    #[track_caller]
    fn reads(mut self, newest_first: usize, oldest_first: usize, whole: bool) {
        let outcome = self.look();
        let pages = |order: &str| self.asked.iter().filter(|query| query.contains(order)).count();
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

/// A row with a marker of its own.
fn row(second: i64) -> Value {
    let start: DateTime<Utc> = "2025-03-12T15:00:00.001Z".parse().unwrap();
    let time = start + TimeDelta::seconds(second);
    json!({"user_id": "U1", "tree_planted": 5, "metadata":
        {Intent::METADATA_KEY: format!("{:032x}", time.timestamp())},
        "time_utc": time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)})
}

/// Seconds from the newest to the oldest, a step apart.
fn falling(newest: i64, step: i64, rows: usize) -> Vec<i64> {
    std::iter::successors(Some(newest), |second| Some(second - step)).take(rows).collect()
}

fn rising(oldest: i64, step: i64, rows: usize) -> Vec<i64> {
    falling(-oldest, step, rows).iter().map(|second| -second).collect()
}

#[test]
fn the_newest_first_are_read_until_they_are_older_than_the_purchase() {
    // 62 rows lead past its time: the third page of 25.
    Lists::of(25, &falling(1_000, 17, 200), &[]).reads(3, 0, true);
    // A row of that very time is not older.
    let to_the_moment = falling(FROM + 49, 1, 50);
    Lists::of(25, &[to_the_moment, falling(FROM - 2, 1, 50)].concat(), &[]).reads(3, 0, true);
    Lists::of(25, &falling(FROM + 48, 1, 100), &[]).reads(2, 0, true);
}

/// One walk for all of them.
#[test]
fn a_settlement_reads_the_same_pages() {
    let mut lists = Lists::of(25, &falling(1_000, 17, 200), &[]);
    let settled = lists.drive(Settlement::new([sent_twice(), sent_twice()]));
    assert_eq!(lists.asked.len(), 3, "{:?}", lists.asked);
    for settled in settled {
        let Settled::Done(outcome) = settled else { panic!("{settled:?}") };
        assert!(matches!(*outcome, Outcome::NotBought(_)), "{outcome}");
    }
}

#[test]
fn an_order_is_believed_after_forty_rows_over_a_pages_end() {
    Lists::of(15, &falling(-100, 1, 100), &[]).reads(3, 0, true);
    Lists::of(20, &falling(-100, 1, 100), &[]).reads(2, 0, true);
    // Not within one page.
    Lists::of(60, &falling(-100, 1, 200), &[]).reads(2, 0, true);
    // And not while all are of one time.
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
    // One of two pages is, if they are in order.
    Lists::of(25, &falling(1_000, 17, 40), &[]).reads(2, 0, true);
}

#[test]
fn what_is_in_no_order_newest_first_is_read_again_from_the_oldest() {
    let mut disordered = falling(1_000, 17, 100);
    disordered.swap(7, 9);
    // It is over where no purchase was made any more: 48 rows lead there.
    Lists::of(25, &disordered, &rising(100, 17, 200)).reads(1, 2, true);
    // Not before an order is proven there too.
    Lists::of(15, &disordered, &rising(UNTIL + 50, 1, 100)).reads(1, 3, true);
    Lists::of(60, &disordered, &rising(UNTIL + 50, 1, 200)).reads(1, 2, true);
    // Nor at the last moment that counts.
    let to_the_moment = rising(UNTIL - 50, 1, 50);
    let lists = Lists::of(25, &disordered, &[to_the_moment, rising(UNTIL + 2, 1, 50)].concat());
    lists.reads(1, 3, true);
    // Two pages of which the second is out of order are not whole.
    let mut late = falling(1_000, 17, 40);
    late.swap(30, 35);
    Lists::of(25, &late, &rising(100, 17, 40)).reads(2, 2, true);
    // In no order from the oldest either: nobody can tell.
    Lists::of(25, &disordered, &disordered).reads(1, 1, false);
}

#[test]
fn a_row_on_two_pages_shows_that_rows_move() {
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
fn a_page_that_is_too_large_is_asked_for_with_half_the_limit() {
    let mut lists = Lists { fit: 300, ..Lists::of(25, &falling(1_000, 17, 50), &[]) };
    let outcome = lists.look();
    assert!(matches!(outcome, Outcome::NotBought(_)), "{outcome}");
    assert!(lists.asked.iter().all(|query| query.contains("limit=250")), "{:?}", lists.asked);
    // No row fits: it fails as any look may.
    let mut lists = Lists { fit: 0, ..Lists::of(25, &falling(1_000, 17, 50), &[]) };
    let Outcome::Unresolved(left) = lists.look() else { panic!("unreadable") };
    assert_eq!(left.reason, UnresolvedReason::Unreadable);
    assert!(left.error.unwrap().is_too_large());
}

/// From two days before the purchase may have been made, whatever zone days are in.
#[test]
fn both_lists_are_asked_for_from_two_days_before() {
    let mut lists = Lists::of(25, &falling(1_000, 17, 100), &rising(-60, 17, 100));
    lists.newest_first[0].swap(0, 1);
    let _ = lists.look();
    assert_eq!(lists.asked.len(), 4, "{:?}", lists.asked);
    assert!(lists.asked.iter().all(|query| query.contains("start_date=2025-03-10")));
    assert!(lists.asked.iter().all(|query| !query.contains("end_date")));
}

/// A time in whole seconds may be that of a row that could not be read (R12).
#[test]
fn a_row_that_cannot_be_read_leaves_a_coarse_time_in_doubt() {
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
