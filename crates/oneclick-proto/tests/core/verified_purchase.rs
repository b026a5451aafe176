//! The verified purchase against a small simulated server, which decides what is bought,
//! what the lists show and what fails. Rules are numbered as in `src/verify/rules.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, Response};
use oneclick_proto::{
    Api, CaptureCarbon, Customer, Intent, InvalidValue, Machine, Metadata, NotBought, Outcome,
    Pending, PlantTree, Pounds, Purchase, PurchaseState, Receipt, RetryPolicy, Sent, Step,
    TransportError, Trees, Unresolved, UnresolvedReason, VerifiedPurchase, VerifyPolicy,
};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);
/// When absence counts.
const LATE: Duration = Duration::from_secs(900);

/// A refusal by the API itself.
const OWN: &str = r#"{"type":"invalid_request_error","message":"no"}"#;

type SendResult = Result<Response<Vec<u8>>, TransportError>;

/// What happens to a purchase.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// Made, with a receipt.
    Answered,
    /// Made and listed after so many seconds; the response is lost.
    LostAfter(u64),
    /// Not made; there is no response.
    LostBefore,
    /// A response with this status and body; the flag says whether it was made.
    Status(u16, bool, &'static str),
    NeverConnected,
    /// Made, with the receipt of another purchase.
    Crossed(fn(&mut Value)),
}

/// An impact in the ledger.
pub(super) struct Bought {
    pub(super) row: Value,
    visible: Duration,
    pub(super) cancelled: bool,
}

pub(super) struct World {
    pub(super) fates: VecDeque<Fate>,
    pub(super) bought: Vec<Bought>,
    pub(super) now: Duration,
    /// Whether responses have a `Date`.
    dates: bool,
    /// How many of the next reads fail.
    pub(super) failing_reads: u32,
    /// Changes the rows of the lists.
    shown: fn(&mut Value),
    /// Changes the amount in tracking responses.
    tracked: fn(&Value) -> Value,
    /// When the lists become empty.
    gone: Option<Duration>,
    /// The status of a failing call, by path.
    pub(super) failing: fn(&str) -> Option<u16>,
    /// The paths of the requests.
    pub(super) requested: Vec<String>,
    /// Since when a cache responds with the lists of that time, and how it says so.
    cached: Option<(Duration, &'static str)>,
    /// The states to store before each purchase was sent.
    states: Vec<PurchaseState>,
}

fn intent() -> Intent {
    Intent::new("shop", "order-1:tree")
}

fn tree() -> PlantTree {
    PlantTree::new(Trees::of::<5>())
}

fn new() -> VerifiedPurchase {
    VerifiedPurchase::new(&intent(), tree()).unwrap()
}

fn resume(state: PurchaseState) -> VerifiedPurchase {
    VerifiedPurchase::resume(&intent(), tree(), state).unwrap()
}

fn recover() -> VerifiedPurchase {
    VerifiedPurchase::recover(&intent(), tree()).unwrap()
}

impl World {
    pub(super) fn new(fates: &[Fate]) -> Self {
        Self {
            fates: fates.iter().copied().collect(),
            bought: Vec::new(),
            now: Duration::from_secs(1_000),
            dates: true,
            failing_reads: 0,
            shown: |_| {},
            tracked: Value::clone,
            gone: None,
            failing: |_| None,
            requested: Vec::new(),
            cached: None,
            states: Vec::new(),
        }
    }

    fn time(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2025-03-12T15:00:00.123Z".parse().unwrap();
        start + TimeDelta::from_std(self.now).unwrap()
    }

    fn respond(&self, status: u16, body: &str) -> SendResult {
        let mut response = Response::builder().status(status);
        if self.dates {
            let date = self.time().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            response = response.header("date", date);
        }
        Ok(response.body(body.as_bytes().to_vec()).unwrap())
    }

    fn handle(&mut self, request: &Request<Vec<u8>>) -> SendResult {
        let path = request.uri().path().to_owned();
        self.requested.push(path.clone());
        self.now += Duration::from_millis(100);
        // A read for a verified purchase must not be answered by a cache.
        let fresh = request.headers().get("cache-control").is_some_and(|it| it == "no-cache");
        assert_eq!(fresh, request.method() == "GET", "{path}");
        if let Some(status) = (self.failing)(request.uri().path_and_query().unwrap().as_str()) {
            return self.respond(status, OWN);
        }
        match &*path {
            "/v1/plant_tree" => self.plant(&serde_json::from_slice(request.body()).unwrap()),
            "/v1/whoami" => self.respond(200, r#"{"user_id":"U1","email":"me@example.com"}"#),
            "/v1/records" | "/v1/customer_records" => {
                let query = request.uri().query().unwrap();
                assert!(query.contains("sort_order=desc") && !query.contains("filter_by"));
                assert!(!query.contains("customer_email"), "{query}");
                if self.failing_reads > 0 {
                    self.failing_reads -= 1;
                    return self.respond(500, "");
                }
                let own = path == "/v1/records";
                let read = self.cached.map_or(self.now, |(since, _)| since);
                let shown = self.bought.iter().rev().filter(|bought| {
                    bought.visible <= read
                        && self.gone.is_none_or(|gone| self.now < gone)
                        && bought.row["customer"].is_null() == own
                });
                let rows = shown.map(|bought| {
                    let mut row = bought.row.clone();
                    (self.shown)(&mut row);
                    row
                });
                let rows: Vec<_> = rows.collect();
                let field = if own { "user_records" } else { "customer_records" };
                let mut response = self.respond(200, &json!({ field: rows }).to_string())?;
                if let Some((since, name)) = self.cached {
                    let age = self.now.saturating_sub(since).as_secs();
                    response.headers_mut().insert(name, age.into());
                }
                Ok(response)
            }
            "/v1/track" => {
                let query = request.uri().query().unwrap().replace("%3A", ":");
                let named = |bought: &&Bought| {
                    query.contains("user_id=U1&")
                        && query.contains(bought.row["time_utc"].as_str().unwrap())
                };
                let Some(bought) = self.bought.iter().find(named) else {
                    return self.respond(404, OWN);
                };
                let time = &bought.row["time_utc"];
                let cancelled = bought.cancelled.then_some(time);
                let tracking = json!({"tracking_id": "x", "impact_initiated": time,
                    "tree_planted": (self.tracked)(&bought.row["tree_planted"]),
                    "cancelled_on": cancelled});
                self.respond(200, &tracking.to_string())
            }
            // Not even `/v1/cancel_impact`: no conclusion cancels anything.
            other => panic!("unexpected request: {other}"),
        }
    }

    fn plant(&mut self, body: &Value) -> SendResult {
        let fate = self.fates.pop_front().expect("no further purchase");
        let buy = |world: &mut Self, visible: u64| {
            let email = &body["customer_email"];
            let mut row = json!({"user_id": "U1", "tree_planted": body["amount"],
                "time_utc": world.time().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "metadata": body["metadata"]});
            if !email.is_null() {
                row["customer"] = json!({"customer_id": "U2", "customer_email": email});
            }
            let visible = world.now + Duration::from_secs(visible);
            world.bought.push(Bought { row: row.clone(), visible, cancelled: false });
            row.as_object_mut().unwrap().remove("metadata");
            row
        };
        match fate {
            Fate::Answered => {
                let receipt = buy(self, 0);
                self.respond(200, &receipt.to_string())
            }
            Fate::Crossed(change) => {
                let mut receipt = buy(self, 0);
                change(&mut receipt);
                self.respond(200, &receipt.to_string())
            }
            Fate::LostAfter(visible) => {
                buy(self, visible);
                Err(TransportError::exchange("reset"))
            }
            Fate::LostBefore => Err(TransportError::exchange("reset")),
            Fate::Status(status, made, body) => {
                if made {
                    buy(self, 0);
                }
                self.respond(status, body)
            }
            Fate::NeverConnected => Err(TransportError::connect("refused")),
        }
    }

    fn run(&mut self, purchase: VerifiedPurchase) -> Outcome {
        let mut states = Vec::new();
        let outcome = self.drive(purchase, |state: &PurchaseState| states.push(state.clone()));
        self.states.append(&mut states);
        outcome
    }

    /// Drives any machine; `store` takes its state before each purchase.
    pub(super) fn drive<M: Machine>(
        &mut self,
        machine: M,
        mut store: impl FnMut(&M::State),
    ) -> M::Output {
        let api = Api::sandbox("test_key").unwrap();
        let mut step = machine.start(&api, RetryPolicy::NEVER, 0, self.now);
        for _ in 0..1_000 {
            step = match step {
                Step::Send(request, sent) => {
                    assert_eq!(sent.may_buy(), request.uri().path() == "/v1/plant_tree");
                    if sent.may_buy() {
                        store(sent.state());
                    }
                    let outcome = self.handle(&request);
                    sent.finish(outcome, self.now)
                }
                Step::Wait(wait, waiting) => {
                    self.now += wait;
                    waiting.wake(self.now)
                }
                Step::Done(outcome) => return outcome,
            };
        }
        panic!("it does not end");
    }

    fn sends(&self) -> usize {
        self.requested.iter().filter(|path| *path == "/v1/plant_tree").count()
    }

    /// Sends a purchase with the first fate, and waits until absence counts.
    fn lost_and_late(fates: &[Fate]) -> (Self, PurchaseState) {
        let mut world = Self::new(fates);
        let state = pending(world.run(new())).state;
        world.now += LATE;
        world.requested.clear();
        (world, state)
    }
}

#[track_caller]
fn confirmed(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Confirmed(receipt) => receipt,
        other => panic!("{other}"),
    }
}

#[track_caller]
fn pending(outcome: Outcome) -> Pending {
    match outcome {
        Outcome::Pending(pending) => pending,
        other => panic!("{other}"),
    }
}

#[track_caller]
fn not_bought(outcome: Outcome) -> NotBought {
    match outcome {
        Outcome::NotBought(not_bought) => not_bought,
        other => panic!("{other}"),
    }
}

#[track_caller]
fn unresolved(outcome: Outcome, reason: UnresolvedReason) -> Unresolved {
    match outcome {
        Outcome::Unresolved(unresolved) if unresolved.reason == reason => unresolved,
        other => panic!("{other}"),
    }
}

#[test]
fn r1_the_servers_time_is_stored_before_a_purchase_leaves() {
    let mut world = World::new(&[Fate::Answered]);
    confirmed(world.run(new()));
    assert_eq!(world.requested, ["/v1/whoami", "/v1/plant_tree"]);
    let [state] = &*world.states else { panic!("one purchase") };
    assert_eq!((state.sends(), state.marker()), (1, intent().marker()));
    let stored = serde_json::to_value(state).unwrap();
    let time = |field: &str| -> DateTime<Utc> { stored[field].as_str().unwrap().parse().unwrap() };
    // The time in the ledger lies between them.
    let made: DateTime<Utc> = world.bought[0].row["time_utc"].as_str().unwrap().parse().unwrap();
    assert!(time("from") <= made && made - time("from") < TimeDelta::seconds(3));
    assert!(time("until") - time("from") == TimeDelta::seconds(2));
}

#[test]
fn a_lost_response_can_be_left_to_a_settlement() {
    let mut world = World::new(&[Fate::LostAfter(0), Fate::NeverConnected]);
    let left = pending(world.run(new().settle_later()));
    assert!(left.error.is_some());
    assert_eq!(world.requested, ["/v1/whoami", "/v1/plant_tree"]);
    // What may have been sent before is looked for.
    let resumed = resume(left.state.clone());
    confirmed(world.run(resumed.settle_later()));
    // The time when it was given up is known.
    let until = left.state.latest_send().unwrap();
    assert!(until >= world.states[0].latest_send().unwrap());
    not_bought(world.run(new().settle_later()));
}

#[test]
fn r1_without_a_date_only_the_record_confirms() {
    let mut world = World::new(&[Fate::Answered]);
    world.dates = false;
    confirmed(world.run(new()));
    let expected = ["/v1/whoami", "/v1/plant_tree", "/v1/customer_records", "/v1/records"];
    assert_eq!(world.requested[..4], expected);
    assert_eq!(world.requested[4..], ["/v1/track"]);
}

#[test]
fn r1_the_first_date_counts_only_for_the_purchase_of_that_response() {
    let api = Api::sandbox("test_key").unwrap();
    let mut world = World::new(&[Fate::Status(500, false, "")]);
    let mut step = new().start(&api, RetryPolicy::NEVER, 0, world.now);
    let from = loop {
        step = match step {
            Step::Send(request, sent) => {
                // Only the response to the purchase has a `Date`.
                world.dates = sent.may_buy();
                let outcome = world.handle(&request);
                sent.finish(outcome, world.now)
            }
            Step::Wait(_, waiting) => {
                break serde_json::to_value(waiting.state()).unwrap()["from"].clone();
            }
            Step::Done(outcome) => panic!("{outcome}"),
        };
    };
    let from: DateTime<Utc> = from.as_str().unwrap().parse().unwrap();
    assert!((world.time() - from).abs() < TimeDelta::seconds(3), "{from}");

    // If there were several sends, the time of the first stays unknown.
    let mut world = World::new(&[Fate::LostBefore]);
    let state = pending(world.run(recover())).state;
    world.now += LATE;
    let mut state = not_bought(world.run(resume(state))).state;
    state.allow_another();
    let state = pending(world.run(resume(state))).state;
    assert_eq!(serde_json::to_value(state).unwrap()["from"], Value::Null);
}

#[test]
fn r1_nothing_is_bought_while_the_server_does_not_respond() {
    let mut world = World::new(&[]);
    world.fates.clear();
    let api = Api::sandbox("test_key").unwrap();
    let refuse = |outcome: SendResult| {
        let Step::Send(request, sent) = new().start(&api, RetryPolicy::NEVER, 0, MINUTE) else {
            panic!("a request")
        };
        assert_eq!(request.uri().path(), "/v1/whoami");
        match sent.finish(outcome, MINUTE) {
            Step::Done(outcome) => outcome,
            step => panic!("{step:?}"),
        }
    };
    let not = not_bought(refuse(Err(TransportError::exchange("reset"))));
    assert!(not.error.is_some() && not.state.sends() == 0);
    // The time of this response is not the time of a purchase.
    let not = not_bought(refuse(world.respond(503, "")));
    assert_eq!(serde_json::to_value(not.state).unwrap()["until"], Value::Null);
    let body = r#"{"type":"key_error","message":"API Key does not exist"}"#;
    let refused = refuse(Ok(Response::builder().status(401).body(body.into()).unwrap()));
    assert!(matches!(refused, Outcome::Refused(_)), "{refused}");
}

#[test]
fn r2_without_its_state_a_purchase_is_looked_for_and_never_sent() {
    let mut world = World::new(&[]);
    let pending = pending(world.run(recover()));
    assert_eq!((pending.state.sends(), pending.state.may_send()), (2, false));
    world.now += LATE;
    let mut state = not_bought(world.run(resume(pending.state))).state;
    assert_eq!(world.sends(), 0);
    // It is sent only after a person allows it.
    state.allow_another();
    assert!(state.may_send());
    world.fates.push_back(Fate::Answered);
    confirmed(world.run(resume(state)));
    assert_eq!((world.sends(), world.bought.len()), (1, 1));

    let mut world = World::new(&[Fate::LostAfter(0)]);
    confirmed(world.run(new()));
    confirmed(world.run(recover()));
    assert_eq!(world.sends(), 1);
}

#[test]
fn a_purchase_that_may_have_left_without_a_trace_is_looked_for_first() {
    let look_first = |existed| VerifiedPurchase::look_first(&intent(), tree(), existed).unwrap();

    // It had left.
    let mut world = World::new(&[Fate::LostAfter(0)]);
    confirmed(world.run(new()));
    world.now += LATE;
    confirmed(world.run(look_first(LATE * 2)));
    confirmed(world.run(look_first(Duration::MAX)));
    assert_eq!((world.sends(), world.bought.len()), (1, 1));

    // It had not. It is absent `absence_after` from now, however old the intent is.
    let mut world = World::new(&[Fate::Answered]);
    let began = world.time();
    let existed = Duration::from_secs(7_200);
    let pending = pending(world.run(look_first(existed)));
    assert_eq!((pending.state.sends(), world.sends()), (1, 0));
    let since = pending.state.earliest_send().unwrap();
    let existed = TimeDelta::from_std(existed).unwrap();
    assert!((began - existed - since).abs() < TimeDelta::seconds(3), "{since}");
    world.now += LATE;
    confirmed(world.run(resume(pending.state)));
    assert_eq!((world.sends(), world.bought.len()), (1, 1));
}

#[test]
fn r3_the_receipt_of_another_purchase_does_not_confirm() {
    for change in [
        (|receipt| receipt["tree_planted"] = 6.into()) as fn(&mut Value),
        |receipt| receipt["time_utc"] = "2025-03-12T15:00:00.000Z".into(),
        |receipt| receipt["customer"] = json!({"customer_id": "U3", "customer_email": "b@x.com"}),
    ] {
        let mut world = World::new(&[Fate::Crossed(change)]);
        let receipt = confirmed(world.run(new()));
        assert_eq!(receipt.time_utc.to_string(), world.bought[0].row["time_utc"]);
        assert_eq!(world.requested.last().unwrap(), "/v1/track");
    }
    // With this policy, not even a matching receipt confirms.
    let mut world = World::new(&[Fate::Answered]);
    let policy = VerifyPolicy::STANDARD.confirm_by_receipt(false);
    confirmed(world.run(new().policy(policy)));
    assert_eq!(world.requested.last().unwrap(), "/v1/track");
}

#[test]
fn r4_any_other_2xx_is_unknown_and_does_not_block_a_later_conclusion() {
    for body in ["", "<html>", r#"{"type":"api_error","message":"x"}"#, r#"{"ok":true}"#] {
        for status in [200, 201, 202, 204] {
            let mut world = World::new(&[Fate::Status(status, true, body)]);
            confirmed(world.run(new()));
            let (mut world, state) =
                World::lost_and_late(&[Fate::Status(status, false, body), Fate::Answered]);
            confirmed(world.run(resume(state)));
            assert_eq!((world.sends(), world.bought.len()), (1, 1));
        }
    }
}

#[test]
fn r5_a_purchase_that_certainly_was_not_made_does_not_count() {
    for status in [400, 401, 403, 404, 405, 413, 414, 415, 422] {
        let mut world = World::new(&[Fate::Status(status, false, OWN)]);
        let Outcome::Refused(error) = world.run(new()) else { panic!("{status}") };
        assert_eq!(error.status().unwrap(), status);
        assert_eq!(world.requested.len(), 2, "there is no look");
    }
    for fate in [Fate::NeverConnected, Fate::Status(429, false, OWN), Fate::Status(425, false, OWN)]
    {
        let mut world = World::new(&[fate]);
        let not = not_bought(world.run(new()));
        assert_eq!(not.state.sends(), 0);
        // It may be tried again.
        world.fates.push_back(Fate::Answered);
        confirmed(world.run(resume(not.state)));
    }
}

#[test]
fn r5_a_gateways_refusal_is_unknown() {
    for status in [300, 301, 302, 303, 400, 401, 403, 404, 405, 409, 413, 422] {
        for body in ["<html>", r#"{"message":"Forbidden"}"#] {
            let mut world = World::new(&[Fate::Status(status, true, body)]);
            confirmed(world.run(new()));
            assert_eq!(world.sends(), 1);
        }
    }
}

#[test]
fn r6_a_gateways_429_is_unknown_and_does_not_count_if_the_purchase_is_absent() {
    let stranger = |made| Fate::Status(429, made, r#"{"message":"Too Many Requests"}"#);
    let mut world = World::new(&[stranger(true)]);
    confirmed(world.run(new()));

    let mut world = World::new(&[stranger(false)]);
    let policy = VerifyPolicy::STANDARD.absence_after(MINUTE / 2);
    let not = not_bought(world.run(new().policy(policy)));
    assert_eq!(not.error.unwrap().status().unwrap(), 429);
    assert_eq!(not.state.sends(), 0);
}

#[test]
fn r6_a_429_removes_only_its_own_send_and_only_once() {
    let policy = VerifyPolicy::STANDARD.absence_after(MINUTE / 2);
    // The second send was not executed (R5), but the first one may have been.
    let mut world = World::new(&[Fate::LostBefore, Fate::Status(429, false, OWN)]);
    let not = not_bought(world.run(new().policy(policy)));
    assert_eq!((not.state.sends(), world.sends()), (1, 2));
}

#[test]
fn r1_the_state_before_a_retry_has_the_time_of_the_retry() {
    let api = Api::sandbox("test_key").unwrap();
    let patient = RetryPolicy::STANDARD.attempts(1_000).deadline(60 * MINUTE);
    let world = World::new(&[]);
    let mut step = new().start(&api, patient, 0, world.now);
    let mut stored = Vec::new();
    let mut now = world.now;
    while stored.len() < 2 {
        step = match step {
            Step::Send(_, sent) if sent.may_buy() => {
                stored.push(serde_json::to_value(sent.state()).unwrap());
                sent.finish(Err::<Response<Vec<u8>>, _>(TransportError::connect("refused")), now)
            }
            Step::Send(request, sent) => sent.finish(World::new(&[]).handle(&request), now),
            Step::Wait(_, waiting) => {
                now += 20 * MINUTE;
                waiting.wake(now)
            }
            Step::Done(outcome) => panic!("{outcome}"),
        };
    }
    let time = |number: usize, field: &str| -> DateTime<Utc> {
        stored[number][field].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(time(0, "from"), time(1, "from"), "the first attempt may have been executed");
    assert_eq!(time(1, "until") - time(0, "until"), TimeDelta::minutes(20));
    assert_eq!([&stored[0]["sends"], &stored[1]["sends"]], [1, 1]);
}

/// The longest durations must not overflow.
#[test]
fn no_policy_overflows() {
    let policy = VerifyPolicy::STANDARD.absence_after(Duration::MAX).clock_tolerance(Duration::MAX);
    for fate in [Fate::Answered, Fate::LostAfter(0)] {
        confirmed(World::new(&[fate]).run(new().policy(policy)));
    }
    pending(World::new(&[Fate::LostBefore]).run(new().policy(policy)));
}

#[test]
fn r7_everything_else_is_unknown() {
    for fate in [
        Fate::LostAfter(0),
        Fate::Status(408, true, OWN),
        Fate::Status(500, true, OWN),
        Fate::Status(503, true, ""),
        Fate::Status(418, true, OWN),
    ] {
        let mut world = World::new(&[fate]);
        confirmed(world.run(new()));
        assert_eq!((world.sends(), world.bought.len()), (1, 1), "{fate:?}");
    }
}

#[test]
fn r10_a_cancelled_purchase_has_its_own_outcome() {
    let mut world = World::new(&[Fate::LostAfter(0)]);
    let receipt = confirmed(world.run(new()));
    world.bought[0].cancelled = true;
    let Outcome::Cancelled(ids) = world.run(recover()) else { panic!("taken back") };
    assert_eq!(ids, [receipt.into()]);
}

#[test]
fn r10_a_row_is_tracked_by_each_possible_id() {
    // The record's user id is in another case, so the account's id is tried.
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.shown = |row| row["user_id"] = "u1".into();
    confirmed(world.run(new()));
    let tracked = world.requested.iter().filter(|path| *path == "/v1/track").count();
    assert_eq!(tracked, 2);
    // The API knows none of the ids.
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.failing = untrackable::<404>;
    let state = pending(world.run(new())).state;
    world.now += LATE;
    let left = unresolved(world.run(resume(state)), UnresolvedReason::Untrackable);
    assert!(left.found.len() == 1 && left.error.is_none());
    world.failing = |_| None;
    confirmed(world.run(resume(left.state)));
}

/// The id of a purchase may belong to another one.
#[test]
fn r10_the_tracked_impact_must_have_the_requested_amount() {
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.tracked = |_| 6.into();
    let state = pending(world.run(new())).state;
    world.now += LATE;
    let left = unresolved(world.run(resume(state)), UnresolvedReason::Untrackable);
    world.tracked = Value::clone;
    confirmed(world.run(resume(left.state)));
}

fn untrackable<const STATUS: u16>(path: &str) -> Option<u16> {
    path.starts_with("/v1/track").then_some(STATUS)
}

#[test]
fn r10_only_a_refusal_of_the_id_means_that_it_is_not_found() {
    let late = |failing: fn(&str) -> Option<u16>| {
        let mut world = World::new(&[Fate::LostAfter(0)]);
        world.failing = untrackable::<404>;
        let state = pending(world.run(new())).state;
        world.now += LATE;
        world.failing = failing;
        let outcome = world.run(resume(state));
        (world, outcome)
    };
    let refusals = [untrackable::<400>, untrackable::<404>, untrackable::<410>, untrackable::<422>];
    for refusal in refusals {
        unresolved(late(refusal).1, UnresolvedReason::Untrackable);
    }
    let failures = [
        untrackable::<401>,
        untrackable::<408>,
        untrackable::<429>,
        untrackable::<500>,
        |path: &str| match path {
            "/v1/whoami" => Some(503),
            _ => untrackable::<404>(path),
        },
    ];
    for failure in failures {
        let (mut world, outcome) = late(failure);
        let left = pending(outcome);
        assert!(left.error.unwrap().status().is_some_and(|status| status != 404));
        world.failing = |_| None;
        confirmed(world.run(resume(left.state)));
        assert_eq!(world.sends(), 1);
    }
}

#[test]
fn r11_two_active_purchases_are_left_to_a_person_and_nothing_is_cancelled() {
    let (mut world, state) = World::lost_and_late(&[Fate::LostAfter(2_000), Fate::Answered]);
    // The first purchase is listed far too late.
    confirmed(world.run(resume(state.clone())));
    world.now += Duration::from_secs(3_000);
    // The API knows neither by the row's user id. The account's id is requested once.
    world.shown = |row| row["user_id"] = "u1".into();
    world.requested.clear();
    let left = unresolved(world.run(resume(state)), UnresolvedReason::BoughtTwice);
    assert_eq!(left.found.len(), 2);
    assert_eq!(world.requested.iter().filter(|path| *path == "/v1/whoami").count(), 1);
    world.shown = |_| {};
    // A person cancels one of them.
    world.bought[0].cancelled = true;
    let receipt = confirmed(world.run(resume(left.state)));
    assert_eq!(receipt.time_utc.to_string(), world.bought[1].row["time_utc"]);
}

#[test]
fn r13_a_lost_purchase_is_looked_for_within_the_patience_and_then_pending() {
    for visible in [0, 20, 55] {
        let mut world = World::new(&[Fate::LostAfter(visible)]);
        confirmed(world.run(new()));
        assert_eq!(world.sends(), 1);
    }
    let mut world = World::new(&[Fate::LostAfter(120)]);
    let began = world.now;
    let left = pending(world.run(new()));
    let took = world.now.saturating_sub(began);
    assert!((MINUTE..MINUTE + Duration::from_secs(5)).contains(&took), "{took:?}");
    assert!((LATE..LATE + took).contains(&(left.after + took)), "{:?}", left.after);
    assert!(left.error.is_some() && left.state.sends() == 1);
    // The waits between looks grow.
    let lists = world.requested.iter().filter(|path| path.contains("records")).count();
    assert!(lists < 20, "{lists}");
    world.now += Duration::from_secs(60);
    confirmed(world.run(resume(left.state)));
}

#[test]
fn r13_absence_is_counted_by_the_servers_clock_across_processes() {
    let (mut world, state) = World::lost_and_late(&[Fate::LostBefore, Fate::Answered]);
    world.now -= 2 * MINUTE;
    let left = pending(world.run(resume(state)));
    assert!(left.after <= MINUTE, "{:?}", left.after);
    world.now += MINUTE;
    confirmed(world.run(resume(left.state)));
    assert_eq!(world.sends(), 1);

    // A state without a time counts from the first `Date` of the server.
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    world.dates = false;
    let state = pending(world.run(new())).state;
    (world.now, world.dates) = (world.now + 10 * LATE, true);
    let state = pending(world.run(resume(state))).state;
    world.now += LATE;
    confirmed(world.run(resume(state)));
}

/// A stale replica may hide the record again, but it was bought nevertheless.
#[test]
fn r13_a_send_at_an_unknown_time_is_not_given_up_when_an_earlier_one_was() {
    let (mut world, state) = World::lost_and_late(&[Fate::LostBefore, Fate::LostAfter(600)]);
    // Responses have no `Date` any more, and the process dies after it sent once more.
    world.dates = false;
    let api = Api::sandbox("test_key").unwrap();
    let purchase = resume(state).policy(VerifyPolicy::STANDARD.patience(2 * LATE));
    let mut step = purchase.start(&api, RetryPolicy::NEVER, 0, world.now);
    let stored = loop {
        step = match step {
            Step::Send(request, sent) => {
                let stored = sent.may_buy().then(|| sent.state().clone());
                let outcome = world.handle(&request);
                if let Some(stored) = stored {
                    break stored;
                }
                sent.finish(outcome, world.now)
            }
            Step::Wait(wait, waiting) => {
                world.now += wait;
                waiting.wake(world.now)
            }
            Step::Done(outcome) => panic!("{outcome}"),
        };
    };
    assert_eq!((stored.sends(), world.bought.len()), (2, 1));
    world.dates = true;
    let left = pending(world.run(resume(stored)));
    world.now += left.after;
    confirmed(world.run(resume(left.state)));
}

/// A cache returns the account of a quarter of an hour ago, with its `Date`.
#[test]
fn r13_an_old_date_before_the_purchase_does_not_make_it_late() {
    let mut world = World::new(&[Fate::LostAfter(300)]);
    let api = Api::sandbox("test_key").unwrap();
    let mut step = new().start(&api, RetryPolicy::NEVER, 0, world.now);
    let left = loop {
        step = match step {
            Step::Send(request, sent) => {
                let now = world.now;
                if request.uri().path() == "/v1/whoami" {
                    world.now -= Duration::from_secs(990);
                }
                let outcome = world.handle(&request);
                world.now = now;
                sent.finish(outcome, now)
            }
            Step::Wait(wait, waiting) => {
                world.now += wait;
                waiting.wake(world.now)
            }
            Step::Done(outcome) => break pending(outcome),
        };
    };
    let again = pending(world.run(resume(left.state)));
    world.now += again.after;
    confirmed(world.run(resume(again.state)));
    assert_eq!(world.sends(), 1);
}

/// The cache has the lists from right before the record showed, and gives them the `Date` of
/// its own response.
#[test]
fn r13_lists_from_a_cache_are_as_old_as_their_age() {
    let policy = VerifyPolicy::STANDARD.patience(MINUTE / 2);
    let (mut world, state) = World::lost_and_late(&[Fate::LostAfter(120), Fate::Answered]);
    let cached_since = Duration::from_secs(1_100);
    world.cached = Some((cached_since, "age"));
    let left = pending(world.run(resume(state.clone()).policy(policy)));
    // Once the cache has the lists of a time at which absence counts, the record shows.
    world.cached = Some((world.now, "age"));
    confirmed(world.run(resume(left.state).policy(policy)));
    assert_eq!(world.sends(), 0);

    // A purchase that was not made is absent in the lists of a time at which absence counts.
    let (mut world, state) = World::lost_and_late(&[Fate::LostBefore, Fate::Answered]);
    world.cached = Some((world.now.saturating_sub(2 * MINUTE), "age"));
    let left = pending(world.run(resume(state).policy(policy.patience(Duration::ZERO))));
    (world.cached, world.now) = (Some((world.now + MINUTE, "age")), world.now + 2 * MINUTE);
    confirmed(world.run(resume(left.state).policy(policy)));
    assert_eq!(world.sends(), 1);

    // The control: a cache that does not say so misleads.
    let (mut world, state) = World::lost_and_late(&[Fate::LostAfter(120), Fate::Answered]);
    world.cached = Some((cached_since, "x-age"));
    confirmed(world.run(resume(state).policy(policy)));
    assert_eq!(world.bought.len(), 2);
}

#[test]
fn r13_a_record_that_was_seen_and_is_gone_is_left_to_a_person() {
    let policy = VerifyPolicy::STANDARD.absence_after(MINUTE / 2);
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.failing = untrackable::<404>;
    world.gone = Some(world.now + MINUTE / 6);
    unresolved(world.run(new().policy(policy)), UnresolvedReason::SeenAndGone);
    assert_eq!(world.sends(), 1);
}

#[test]
fn r16_a_record_without_its_marker_prevents_another_send() {
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.shown = |row| row["metadata"] = Value::Null;
    let state = pending(world.run(new())).state;
    world.now += LATE;
    let left = unresolved(world.run(resume(state)), UnresolvedReason::Candidates);
    assert_eq!(left.found.len(), 1);
    assert_eq!(world.sends(), 1);
    // Once the server shows the marker again, the purchase is confirmed.
    world.shown = |_| {};
    confirmed(world.run(resume(left.state)));
}

#[test]
fn r17_an_absent_purchase_is_sent_once_more_and_not_again() {
    let (mut world, state) = World::lost_and_late(&[Fate::LostBefore, Fate::LostBefore]);
    let state = pending(world.run(resume(state))).state;
    assert_eq!((world.sends(), state.sends(), state.may_send()), (1, 2, false));
    assert_eq!(world.states.last().unwrap().sends(), 2);
    for _ in 0..3 {
        world.now += LATE;
        let not = not_bought(world.run(resume(state.clone())));
        assert!(!not.state.may_send());
    }
    assert_eq!(world.sends(), 1);
}

#[test]
fn failed_looks_are_repeated_a_few_times() {
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.failing_reads = 3;
    confirmed(world.run(new()));
    let (mut world, state) = World::lost_and_late(&[Fate::LostBefore]);
    world.failing_reads = 1_000;
    let left = unresolved(world.run(resume(state)), UnresolvedReason::Unreadable);
    assert_eq!(left.error.unwrap().status().unwrap(), 500);
    let looks = world.requested.iter().filter(|path| path.ends_with("records")).count();
    assert_eq!(looks, 3);
}

#[test]
fn another_process_resumes_from_the_stored_state() {
    for (fate, sends) in [(Fate::LostAfter(0), 1), (Fate::LostBefore, 2)] {
        let mut world = World::new(&[fate, Fate::Answered]);
        let api = Api::sandbox("test_key").unwrap();
        let mut step = new().start(&api, RetryPolicy::NEVER, 0, world.now);
        let stored = loop {
            let Step::Send(request, sent) = step else { panic!("a request") };
            let (stored, buys) = (serde_json::to_string(sent.state()).unwrap(), sent.may_buy());
            let outcome = world.handle(&request);
            if buys {
                drop::<Sent<_>>(sent);
                break stored;
            }
            step = sent.finish(outcome, world.now);
        };
        world.now += LATE + MINUTE;
        let state: PurchaseState = serde_json::from_str(&stored).unwrap();
        confirmed(world.run(resume(state)));
        assert_eq!(world.sends(), sends);
        assert_eq!(world.bought.len(), 1);
    }
}

#[test]
fn a_purchase_for_a_customer_is_found_by_its_folded_address() {
    let ada = || tree().customer(Customer::new("Ada+trees@example.com").unwrap());
    let purchase = || VerifiedPurchase::new(&intent(), ada()).unwrap();
    let mut world = World::new(&[Fate::LostAfter(0)]);
    world.shown = |row| row["customer"]["customer_email"] = "ada@example.com".into();
    let receipt = confirmed(world.run(purchase()));
    assert_eq!(receipt.customer.unwrap().customer_email.as_str(), "ada@example.com");
    assert_eq!(world.requested.iter().filter(|path| path.contains("records")).count(), 2);
}

#[test]
fn a_state_is_refused_for_another_intent_kind_amount_or_customer() {
    let state = |purchase: Purchase| {
        let purchase = VerifiedPurchase::new(&intent(), purchase).unwrap();
        purchase.state().clone()
    };
    let of = |email: &str| Purchase::from(tree().customer(Customer::new(email).unwrap()));
    let (ada, bob) = (of("ada@example.com"), of("bob@example.com"));
    let carbon = Purchase::from(CaptureCarbon::new(Pounds::of::<5>()));
    let six = Purchase::from(PlantTree::new(Trees::of::<6>()));
    for (then, now, what) in [
        (tree().into(), carbon, "kind of impact"),
        (tree().into(), six, "amount"),
        (ada.clone(), tree().into(), "customer"),
        (tree().into(), ada.clone(), "customer"),
        (ada.clone(), bob, "customer"),
    ] {
        let error = VerifiedPurchase::resume(&intent(), now, state(then)).unwrap_err();
        assert!(matches!(error, InvalidValue::OtherPurchase { part, .. } if part == what));
    }
    let other = Intent::new("shop", "order-2");
    let error = VerifiedPurchase::resume(&other, tree(), state(tree().into())).unwrap_err();
    assert!(matches!(error, InvalidValue::OtherPurchase { part: "intent", .. }));
    let stored = serde_json::to_string(&state(ada.clone())).unwrap();
    assert!(!stored.contains("ada"), "{stored}");
    let stored = serde_json::from_str(&stored).unwrap();
    assert!(VerifiedPurchase::resume(&intent(), ada, stored).is_ok());
}

#[test]
fn the_marker_needs_room_and_belongs_to_one_intent() {
    let full = (0..20).map(|at| (at.to_string(), "x"));
    let full = tree().metadata(Metadata::from_pairs(full).unwrap());
    let error = VerifiedPurchase::new(&intent(), full).unwrap_err();
    assert!(matches!(error, InvalidValue::Metadata { .. }));

    let key = Intent::METADATA_KEY;
    let with = |marker: &str| tree().metadata(Metadata::from_pairs([(key, marker)]).unwrap());
    assert!(VerifiedPurchase::new(&intent(), with("another")).is_err());
    let purchase = VerifiedPurchase::new(&intent(), with(intent().marker())).unwrap();
    assert_eq!(purchase.purchase().metadata().get(key), Some(intent().marker()));
}

#[test]
fn an_outcome_prints_as_one_line() {
    let mut world = World::new(&[Fate::Answered]);
    let bought = world.run(new()).to_string();
    assert!(bought.starts_with("bought as U1-2025-03-12T15:16:4"), "{bought}");
    let mut world = World::new(&[Fate::LostBefore]);
    let line = world.run(new()).to_string();
    assert!(line.starts_with("not known yet; look again in 8"), "{line}");
    assert!(
        line.contains("before a response arrived; the request may have been executed"),
        "{line}"
    );
    let mut world = World::new(&[Fate::NeverConnected]);
    assert_eq!(
        world.run(new()).to_string(),
        "not bought; it may be tried again later: POST /v1/plant_tree: could not connect; \
         the request was not executed",
    );
    let mut world = World::new(&[Fate::Status(401, false, OWN)]);
    let line = world.run(new()).to_string();
    assert!(line.starts_with("not bought, because it was refused: POST /v1/plant_tree"), "{line}");
    let id = "U1\nERROR-2025-03-12T15:22:14.001Z".parse().unwrap();
    let line = Outcome::Cancelled(vec![id]).to_string();
    assert_eq!(line.lines().count(), 1);
    assert!(line.ends_with("and cancelled since"), "{line}");
}

#[test]
fn a_look_takes_two_calls_and_one_to_track() {
    let mut world = World::new(&[Fate::LostAfter(0)]);
    confirmed(world.run(new()));
    let look = &world.requested[2..];
    assert_eq!(look, ["/v1/customer_records", "/v1/records", "/v1/track"]);
    let (mut world, state) = World::lost_and_late(&[Fate::LostBefore, Fate::Answered]);
    confirmed(world.run(resume(state)));
    assert_eq!(world.requested, ["/v1/customer_records", "/v1/records", "/v1/plant_tree"]);
}
