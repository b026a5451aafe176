//! The probe on accounts that others use, at any time of day, and at servers that fail.

use std::iter;

use chrono::{NaiveTime, TimeDelta};
use http::{HeaderValue, StatusCode};
use oneclick_emulator::LedgerEntry;
use oneclick_proto::{CancelImpact, Cents, DonateMoney, ImpactId, Metadata, PlantTree, Trees};

use super::*;
use crate::unkind_server::Odds;

/// A client of the same account.
fn client_of(emulator: &InMemory) -> BlockingClient<InMemory> {
    BlockingClient::with_transport(Api::sandbox("test_probe").unwrap(), emulator.clone())
}

/// The purchases of the probe, and those of others.
fn ledgers(emulator: &InMemory) -> (Vec<LedgerEntry>, Vec<LedgerEntry>) {
    emulator.advance(Duration::from_secs(3_600));
    let emulator = emulator.emulator();
    let account = emulator.account("test_probe").unwrap();
    account.ledger().partition(|entry| entry.receipt.metadata.get("oneclick_intent").is_some())
}

fn count_active(ledger: &[LedgerEntry]) -> usize {
    ledger.iter().filter(|entry| entry.cancelled_on.is_none()).count()
}

/// Buys what a probe buys, without its metadata, days and moments before a probe.
fn make_history(emulator: &InMemory) {
    let client = client_of(emulator);
    for days in [3, 1, 0] {
        for amount in 1..=13 {
            let note = Metadata::from_pairs([("order_id", "A-77")]).unwrap();
            client.send(PlantTree::new(Trees::new(amount.min(4)).unwrap())).unwrap();
            client.send(DonateMoney::new(Cents::new(amount).unwrap()).metadata(note)).unwrap();
            emulator.advance(Duration::from_millis(1_337));
        }
        emulator.advance(Duration::from_secs(60 + days * 86_400));
    }
}

#[test]
fn purchases_before_the_probe_change_no_finding_and_stay() {
    let mut mistakes = Vec::new();
    for (switch, value, expected) in expectations() {
        let emulator = InMemory::new();
        make_history(&emulator);
        let client = client_of(&emulator);
        emulator.emulator().set_behaviour(behaviour(&[(switch, &value)]));
        let report = probe(&client);
        for (subject, wanted) in expected {
            let found = report.finding(subject).unwrap();
            // The emulator's times ascend, so its clock does not go back after purchases.
            if found.value != wanted && (switch, wanted) != ("clock", "behind") {
                mistakes.push(format!("{switch} = {value}: {wanted}, not {found:?}"));
            }
        }
        let (ours, others) = ledgers(&emulator);
        if others.iter().any(|entry| entry.cancelled_on.is_some()) {
            mistakes.push(format!("{switch} = {value}: a purchase of others was cancelled"));
        }
        if (count_active(&ours), report.remaining) != (0, 0) {
            let active = count_active(&ours);
            mistakes.push(format!("{switch} = {value}: {active} left, {} said", report.remaining));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// With these pairs, one value makes another one look different.
#[test]
fn a_value_that_another_one_hides_is_said_to_be_unseen() {
    let settings = expectations();
    let setting = |switch: &str, value: &Value| {
        settings.iter().find(|setting| setting.0 == switch && setting.1 == *value).unwrap()
    };
    let replicas = json!({"replicas": {"millis": 5_000}});
    for (one, other) in [
        (setting("time_utc", &json!("changing")), setting("sort_order", &json!("ignored"))),
        (setting("visibility", &replicas), setting("cursors", &json!("shift"))),
        (setting("visibility", &replicas), setting("cancel", &json!("at_once"))),
    ] {
        let mistakes = mistakes(&[one, other]);
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }
}

#[test]
fn an_equal_purchase_of_others_is_not_cancelled_in_place_of_one_that_was_never_made() {
    for metadata in ["kept", "dropped", "keys_camel_case", "values_upper_case", "one_text"] {
        for note in [None, Some(Metadata::from_pairs([("order_id", "A-77")]).unwrap())] {
            let emulator = InMemory::new();
            let form = json!(metadata);
            emulator.emulator().set_behaviour(behaviour(&[("metadata", &form)]));
            let mut lost = false;
            let report = probe_altered(&emulator, RetryPolicy::STANDARD, |emulator, request| {
                let first = request.uri().path() == "/v1/plant_tree"
                    && request.method() == "POST"
                    && !std::mem::replace(&mut lost, true);
                if !first {
                    return BlockingTransport::send(emulator, request);
                }
                let tree = PlantTree::new(Trees::of::<1>());
                let tree = tree.metadata(note.clone().unwrap_or_default());
                client_of(emulator).send(tree).unwrap();
                Err(TransportError::exchange("the connection was closed"))
            });
            let (ours, others) = ledgers(&emulator);
            assert_eq!((ours.len(), others.len()), (19, 1));
            assert_eq!(count_active(&others), 1, "{metadata}");
            assert_eq!((count_active(&ours), report.remaining), (0, 1), "{metadata}");
        }
    }
}

#[test]
fn a_lost_purchase_is_recognized_by_its_marker_in_any_spelling() {
    for metadata in ["keys_camel_case", "keys_upper_case", "values_upper_case", "one_text"] {
        let form = json!(metadata);
        let client = emulator(behaviour(&[("metadata", &form)]));
        let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
        client.transport().emulator().inject(lost);
        let report = probe(&client);
        assert_eq!((active(&client), report.remaining), (0, 0), "{metadata}");
    }
}

#[test]
fn no_retry_policy_and_no_failures_lead_to_more_requests_than_promised() {
    let seed = RandomState::new().hash_one("probe") >> 16;
    let mut dice = Dice::new(seed);
    for run in 0..60 {
        let emulator = InMemory::new();
        let retry = RetryPolicy::STANDARD.attempts(*dice.pick(&[1, 3, 20]));
        let percent = *dice.pick(&[5, 20, 50, 70, 90]);
        let (mut dice, mut requests) = (Dice::new(seed ^ run), 0_u32);
        let mut cancellations = 0;
        let report = probe_altered(&emulator, retry, |emulator, request| {
            requests += 1;
            cancellations += u32::from(is_cancellation(&request));
            if !dice.percent(percent) {
                return BlockingTransport::send(emulator, request);
            }
            if dice.percent(30) {
                return Err(TransportError::connect("refused"));
            }
            if dice.percent(50) {
                let _ = BlockingTransport::send(emulator, request);
            }
            if dice.percent(50) {
                return Err(TransportError::exchange("the connection was closed"));
            }
            Ok(Response::builder().status(503).body(Vec::new()).unwrap())
        });
        let case = format!("seed {seed}, run {run}, {percent} %, {retry:?}");
        assert!(requests <= 96 + 20, "{case}: {requests} requests");
        // Only cancellations use more than the 96.
        assert!(requests - cancellations <= 96, "{case}: {requests} requests");
        assert_eq!(report.requests, requests, "{case}");
        let bought = emulator.emulator().account("test_probe").is_some();
        let (ours, others) = if bought { ledgers(&emulator) } else { (Vec::new(), Vec::new()) };
        assert!(others.is_empty());
        let remaining = usize::try_from(report.remaining).unwrap();
        assert!(count_active(&ours) <= remaining, "{case}: {remaining} said");
    }
}

#[test]
fn days_of_another_zone_are_seen_where_its_date_differs() {
    for offset in [-11, -8, -1, 0, 1, 9, 14] {
        for hour in [0, 3, 10, 15, 20, 23] {
            let client = emulator(Behaviour::new());
            let time = now(&client).date_naive().and_time(NaiveTime::MIN).and_utc();
            let time = time + TimeDelta::hours(24 + hour) + TimeDelta::minutes(20);
            client.transport().set_time(time);
            let days =
                if offset == 0 { json!("utc") } else { json!({"offset": {"hours": offset}}) };
            client.transport().emulator().set_behaviour(behaviour(&[("days", &days)]));
            let report = probe(&client);
            let wanted = match hour + offset {
                ..0 => ("behind", Certainty::Seen),
                24.. => ("ahead", Certainty::Seen),
                _ => ("utc", Certainty::Likely),
            };
            let found = report.finding("days").unwrap();
            let case = format!("{offset} at {hour}: {found:?}");
            assert_eq!((&*found.value, found.certainty), wanted, "{case}");
            for subject in ["start_date", "end_date"] {
                assert_eq!(report.finding(subject).unwrap().value, "inclusive", "{case}");
            }
        }
    }
}

#[test]
fn a_midnight_during_the_probe_leads_to_no_wrong_finding() {
    for dates in ["inclusive", "exclusive"] {
        for seconds in (0..40).step_by(3) {
            let client = emulator(Behaviour::new());
            let midnight = now(&client).date_naive().and_time(NaiveTime::MIN).and_utc();
            let midnight = midnight + TimeDelta::days(1);
            client.transport().set_time(midnight - TimeDelta::seconds(seconds));
            let form = json!(dates);
            client.transport().emulator().set_behaviour(behaviour(&[("dates", &form)]));
            let report = probe(&client);
            for (subject, wanted) in [
                ("start_date", dates),
                ("end_date", dates),
                ("days", "utc"),
                ("listed_in", "customer_records"),
            ] {
                let found = report.finding(subject).unwrap();
                let unseen = found.certainty == Certainty::Unknown;
                assert!(unseen || found.value == wanted, "{seconds} s before: {found:?}");
            }
            assert_eq!((active(&client), report.remaining), (0, 0));
        }
    }
}

#[test]
fn records_that_never_show_make_the_policy_more_careful() {
    let visibility = json!({"after": {"millis": 600_000}});
    let client = emulator(behaviour(&[("visibility", &visibility)]));
    let report = probe(&client);
    let standard = VerifyPolicy::STANDARD.absence_after;
    assert!(report.policy().absence_after > standard + Duration::from_secs(300), "{report:?}");
    assert_eq!(report.measured.missing, 17);
    let said = report.consequences.join("\n");
    assert!(said.contains("17 records did not show"), "{said}");
    assert!(!said.contains("Each record showed"), "{said}");
}

#[test]
fn headers_that_tell_of_limits_are_seen_in_refusals() {
    let emulator = InMemory::new();
    let mut once = false;
    let report = probe_altered(&emulator, RetryPolicy::STANDARD, |emulator, request| {
        if std::mem::replace(&mut once, true) {
            return BlockingTransport::send(emulator, request);
        }
        let refusal = Response::builder().status(429).header("retry-after", "1");
        Ok(refusal.header("RateLimit-Policy", "10;w=60").body(Vec::new()).unwrap())
    });
    let found = report.finding("limit_headers").unwrap();
    assert_eq!((&*found.value, &*found.basis), ("present", "ratelimit-policy, retry-after"));
}

#[test]
fn production_is_refused_in_any_spelling() {
    for url in [
        "https://API.1clickimpact.com",
        "https://api.1clickimpact.com.",
        "https://api.1clickimpact.com:443/",
        "https://Api.1ClickImpact.com:8443/prefix",
    ] {
        let api = Api::with_base_url(url, "key").unwrap();
        assert!(Probe::new(&api, DateTime::UNIX_EPOCH).is_err(), "{url}");
    }
}

/// Changes a JSON value in a random place.
fn damage(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Array(values) if !values.is_empty() && dice.percent(80) => {
            let index = dice.index(values.len());
            damage(&mut values[index], dice);
        }
        Value::Object(fields) if !fields.is_empty() && dice.percent(80) => {
            let index = dice.index(fields.len());
            if let Some((_, value)) = fields.iter_mut().nth(index) {
                damage(value, dice);
            }
        }
        _ => {
            *value = dice
                .pick(&[
                    json!(null),
                    json!(i64::MAX),
                    json!(i64::MIN),
                    json!(-1),
                    json!(""),
                    json!([]),
                    json!({}),
                    json!("0000-01-01T00:00:00Z"),
                    json!("9999-12-31T23:59:59.999Z"),
                    json!("9999-12-31"),
                    json!("0000-01-01"),
                ])
                .clone();
        }
    }
}

#[test]
fn damaged_responses_cause_neither_a_panic_nor_a_cancellation_of_others() {
    let seed = RandomState::new().hash_one("probe") >> 16;
    for run in 0..150 {
        let emulator = InMemory::new();
        make_history(&emulator);
        let mut dice = Dice::new(seed ^ run);
        let percent = *dice.pick(&[2, 10, 50, 100]);
        let report = probe_altered(&emulator, RetryPolicy::STANDARD, |emulator, request| {
            let mut response = BlockingTransport::send(emulator, request)?;
            let body = serde_json::from_slice::<Value>(response.body());
            if let (true, Ok(mut body)) = (dice.percent(percent), body) {
                damage(&mut body, &mut dice);
                *response.body_mut() = body.to_string().into_bytes();
            }
            Ok(response)
        });
        let (ours, others) = ledgers(&emulator);
        let case = format!("seed {seed}, run {run}, {percent} %");
        assert!(report.requests <= 96 + 20, "{case}");
        assert!(others.iter().all(|entry| entry.cancelled_on.is_none()), "{case}");
        let remaining = usize::try_from(report.remaining).unwrap();
        assert!(count_active(&ours) <= remaining, "{case}: {remaining} said");
    }
}

#[test]
fn totals_out_of_range_cause_no_panic() {
    let emulator = InMemory::new();
    probe_altered(&emulator, RetryPolicy::STANDARD, |emulator, request| {
        let path = request.uri().path().to_owned();
        let mut response = BlockingTransport::send(emulator, request)?;
        if path == "/v1/impact/daily" {
            let day = json!({
                "date": "2025-01-01", "tree_planted": i64::MAX, "money_donated": i64::MAX,
                "waste_removed": 0, "carbon_captured": 0, "coral_restored": 0,
            });
            let body = json!({"user_id": "U1", "daily_impact": [day]});
            *response.body_mut() = body.to_string().into_bytes();
        }
        Ok(response)
    });
}

/// Every dimension of the independent server at once, with faults in every second world.
#[test]
fn in_no_world_is_a_purchase_of_others_cancelled_or_one_of_the_probe_forgotten() {
    let random = RandomState::new().hash_one("probe") >> 16;
    // In this world, others buy in the whole second that is the time of a receipt.
    let known = (17_181_496_073_375, 176);
    for (seed, run) in iter::once(known).chain((0..200).map(|run| (random, run))) {
        let mut dimensions = Dimensions::random(&mut Dice::new(seed ^ run));
        if run % 2 == 0 {
            dimensions.odds = Odds::default();
        }
        let transport = Unkind::new(seed ^ run, dimensions);
        let now = {
            let (server, now) = &*transport.0.lock().unwrap();
            server.right_time(*now)
        };
        let client = BlockingClient::with_transport(Api::sandbox(KEY).unwrap(), transport.clone());
        let report = client.run(Probe::new(client.api(), now).unwrap());
        let (server, now) = &*transport.0.lock().unwrap();
        let later = *now + Duration::from_secs(3_600);
        let case = format!("seed {seed}, run {run}: {dimensions:?}");
        assert!(report.requests <= 96 + 20, "{case}");
        let mut others = server.ledger().iter().filter(|purchase| purchase.of_others);
        assert!(others.all(|purchase| purchase.cancel_requested_at.is_none()), "{case}");
        let ours = server.ledger().iter().filter(|purchase| !purchase.of_others);
        let active = ours.filter(|purchase| purchase.is_active(later)).count();
        let remaining = usize::try_from(report.remaining).unwrap();
        assert!(active <= remaining, "{active} left, {remaining} said: {case}");
    }
}

/// What a function carries out instead of the emulator; `None` if the emulator does.
fn instead(
    emulator: &InMemory,
    mut reply: impl FnMut(&InMemory, &Request<Vec<u8>>) -> Option<Sent>,
) -> (ProbeReport, Vec<Request<Vec<u8>>>) {
    let mut requests = Vec::new();
    let report = probe_altered(emulator, RetryPolicy::STANDARD, |emulator, request| {
        requests.push(request.clone());
        let reply = reply(emulator, &request);
        reply.unwrap_or_else(|| BlockingTransport::send(emulator, request))
    });
    (report, requests)
}

fn body_of(request: &Request<Vec<u8>>) -> Value {
    serde_json::from_slice(request.body()).unwrap_or_default()
}

fn is_purchase(request: &Request<Vec<u8>>, path: &str, amount: u64) -> bool {
    let is_path = request.uri().path() == path && request.method() == "POST";
    is_path && body_of(request)["amount"] == amount
}

fn is_cancellation(request: &Request<Vec<u8>>) -> bool {
    request.uri().path() == "/v1/cancel_impact"
}

fn empty(status: u16) -> Response<Vec<u8>> {
    Response::builder().status(status).body(Vec::new()).unwrap()
}

/// How many purchases a probe tried to cancel.
fn tried(requests: &[Request<Vec<u8>>]) -> usize {
    let ids = requests.iter().filter(|request| is_cancellation(request));
    let ids = ids.map(|request| body_of(request)["time_utc"].to_string());
    ids.collect::<BTreeSet<_>>().len()
}

#[test]
fn an_old_receipt_of_others_is_not_cancelled() {
    for (metadata, age, cancelled) in
        [("kept", 3_600, false), ("kept", 10, false), ("kept", 3_600, true), ("dropped", 10, false)]
    {
        let emulator = InMemory::new();
        let form = json!(metadata);
        emulator.emulator().set_behaviour(behaviour(&[("metadata", &form)]));
        let client = client_of(&emulator);
        let mut old = Vec::new();
        for amount in [1, 5, 9] {
            let receipt = client.send(DonateMoney::new(Cents::new(amount).unwrap())).unwrap();
            if cancelled {
                client.send(CancelImpact::new(&receipt)).unwrap();
            }
            old.push((amount, serde_json::to_vec(&receipt).unwrap()));
            emulator.advance(Duration::from_millis(500));
        }
        emulator.advance(Duration::from_secs(age));
        let (report, _) = instead(&emulator, |emulator, request| {
            let stale = |(amount, _): &&(u64, _)| is_purchase(request, "/v1/donate_money", *amount);
            let (_, receipt) = old.iter().find(stale)?;
            let reply = BlockingTransport::send(emulator, request.clone());
            Some(reply.map(|_| Response::new(receipt.clone())))
        });
        let case = format!("{metadata}, {age} s, {cancelled}");
        let found = report.finding("receipt").unwrap();
        assert_eq!(found.value, "of_another_purchase", "{case}: {found:?}");
        let (ours, others) = ledgers(&emulator);
        assert_eq!(count_active(&others), if cancelled { 0 } else { 3 }, "{case}");
        let left = if metadata == "kept" { 0 } else { 20 };
        let said = usize::try_from(report.remaining).unwrap();
        assert_eq!((count_active(&ours), said), (left, left), "{case}");
        assert!(report.not_cancelled.is_empty(), "{case}: {:?}", report.not_cancelled);
    }
}

/// A stop names the ids that may be cancelled.
#[test]
fn while_a_probe_runs_it_names_no_old_receipt_of_others() {
    let emulator = InMemory::new();
    let old = client_of(&emulator).send(PlantTree::new(Trees::of::<1>())).unwrap();
    emulator.advance(Duration::from_secs(10));
    let api = Api::sandbox("test_probe").unwrap();
    let now = || BlockingTransport::now(&emulator);
    let probe = Probe::new(&api, emulator.time()).unwrap();
    let mut step = probe.start(&api, RetryPolicy::STANDARD, 0, now());
    loop {
        step = match step {
            Step::Send(request, sent) => {
                assert!(!sent.state().ids.contains(&ImpactId::from(&old)));
                let stale = is_purchase(&request, "/v1/plant_tree", 1);
                let reply = BlockingTransport::send(&emulator, request);
                let old = || Response::new(serde_json::to_vec(&old).unwrap());
                sent.finish(reply.map(|reply| if stale { old() } else { reply }), now())
            }
            Step::Wait(wait, waiting) => {
                assert!(!waiting.state().ids.contains(&ImpactId::from(&old)));
                BlockingTransport::sleep(&emulator, wait);
                waiting.wake(now())
            }
            Step::Done(_) => break,
        };
    }
}

#[test]
fn without_markers_no_purchase_with_an_equal_one_beside_it_is_cancelled() {
    for crossed in [false, true] {
        let emulator = InMemory::new();
        let form = json!("dropped");
        emulator.emulator().set_behaviour(behaviour(&[("metadata", &form)]));
        let (report, _) = instead(&emulator, |emulator, request| {
            if !is_purchase(request, "/v1/plant_tree", 1) {
                return None;
            }
            let own = BlockingTransport::send(emulator, request.clone());
            emulator.advance(Duration::from_millis(50));
            let other = client_of(emulator).send(PlantTree::new(Trees::of::<1>())).unwrap();
            let other = || Response::new(serde_json::to_vec(&other).unwrap());
            Some(own.map(|own| if crossed { other() } else { own }))
        });
        let (ours, others) = ledgers(&emulator);
        assert_eq!(count_active(&others), others.len(), "{crossed}");
        assert_eq!((count_active(&ours), report.remaining), (1, 1), "{crossed}");
        assert_eq!((report.not_cancelled.len(), report.doubtful.len()), (0, 1), "{crossed}");
    }
}

#[test]
fn an_id_in_whole_seconds_is_not_cancelled_where_others_buy_the_same() {
    // Cuts the milliseconds of every time.
    let cut = |body: &[u8]| {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let mut parts = text.split('.');
        let first = parts.next().unwrap_or_default().to_owned();
        let cut = parts.fold(first, |text, part| match part.get(..4) {
            Some(millis) if millis.ends_with('Z') => text + &part[3..],
            _ => text + "." + part,
        });
        cut.into_bytes()
    };
    // The others buy all that the probe buys, or only what it buys for a customer, for
    // themselves: that is in the other list.
    for all in [true, false] {
        let emulator = InMemory::new();
        let form = json!("dropped");
        emulator.emulator().set_behaviour(behaviour(&[("metadata", &form)]));
        let mut others = BTreeSet::new();
        let (report, requests) = instead(&emulator, |emulator, request| {
            if is_cancellation(request) {
                return Some(Ok(empty(404)));
            }
            if request.method() == "POST" && (all || is_purchase(request, "/v1/plant_tree", 3)) {
                let mut body = body_of(request);
                for field in ["customer_email", "customer_name", "notify"] {
                    body.as_object_mut().unwrap().remove(field);
                }
                let other = request.clone().map(|_| body.to_string().into_bytes());
                let other = BlockingTransport::send(emulator, other).unwrap();
                let other: Value = serde_json::from_slice(&cut(other.body())).unwrap();
                others.insert(other["time_utc"].to_string());
            }
            let reply = BlockingTransport::send(emulator, request.clone());
            Some(reply.map(|reply| reply.map(|body| cut(&body))))
        });
        let cancelled = requests.iter().filter(|request| is_cancellation(request));
        let mut cancelled = cancelled.map(|request| body_of(request)["time_utc"].to_string());
        assert!(cancelled.all(|time| !others.contains(&time)), "{all}: {others:?}");
        assert_eq!((others.is_empty(), report.remaining), (false, 20), "{all}");
    }
}

/// One time in a thousand is in a whole second on a server that counts milliseconds.
#[test]
fn a_purchase_on_a_whole_second_by_chance_is_cancelled() {
    // With such a `Date`, each receipt seems to be older than its request.
    let emulator = || {
        let emulator = InMemory::new();
        let apart = json!({"apart": {"seconds": 200}});
        emulator.emulator().set_behaviour(behaviour(&[("date", &apart)]));
        emulator
    };
    let (usual, _) = instead(&emulator(), |_, _| None);
    for order in 0..20 {
        let emulator = emulator();
        let mut bought = 0;
        let (report, _) = instead(&emulator, |emulator, request| {
            if request.method() == "POST" && !is_cancellation(request) {
                if bought == order {
                    // The request takes another millisecond.
                    let next = emulator.time().timestamp_millis() / 1_000 * 1_000 + 1_999;
                    emulator.set_time(DateTime::from_timestamp_millis(next).unwrap());
                }
                bought += 1;
            }
            None
        });
        let (ours, _) = ledgers(&emulator);
        let whole =
            |entry: &&LedgerEntry| entry.receipt.time_utc.datetime().timestamp_subsec_millis() == 0;
        assert_eq!(ours.iter().filter(whole).count(), 1, "{order}");
        assert_eq!((report.remaining, report.doubtful.len()), (0, 0), "{order}");
        let values = |report: &ProbeReport| -> Vec<_> {
            report
                .findings
                .iter()
                .map(|found| (found.subject.clone(), found.value.clone()))
                .collect()
        };
        assert_eq!(values(&report), values(&usual), "{order}");
    }
}

#[test]
fn a_cancellation_that_is_only_claimed_leaves_all_purchases_named() {
    for claim in ["its own id", "another id", "later"] {
        let emulator = InMemory::new();
        let later = json!({"later": {"millis": 90_000}});
        if claim == "later" {
            emulator.emulator().set_behaviour(behaviour(&[("cancel", &later)]));
        }
        let (report, _) = instead(&emulator, |_, request| {
            if claim == "later" || !is_cancellation(request) {
                return None;
            }
            let mut body = body_of(request);
            if claim == "another id" {
                body["user_id"] = json!("somebody");
                body["time_utc"] = json!("2020-01-01T00:00:00.000Z");
            }
            body["cancelled_on"] = json!("2025-01-01T00:00:00.000Z");
            body["message"] = json!("impact cancelled");
            Some(Ok(Response::new(body.to_string().into_bytes())))
        });
        assert_eq!((report.remaining, report.not_cancelled.len()), (20, 20), "{claim}");
    }
}

#[test]
fn each_cancellation_is_tried_whatever_fails() {
    for failure in ["lost once", "503 once", "202", "307", "409", "503"] {
        let emulator = InMemory::new();
        let form = json!("four_fields");
        emulator.emulator().set_behaviour(behaviour(&[("cancel_repeat", &form)]));
        let mut seen = BTreeSet::new();
        let (report, requests) = instead(&emulator, |emulator, request| {
            let is_first = seen.insert(format!("{} {:?}", request.uri(), request.body()));
            let is_read = request.method() == "GET";
            match failure {
                "503 once" if is_first && (is_read || is_cancellation(request)) => {
                    Some(Ok(empty(503)))
                }
                "503" if is_cancellation(request) => Some(Ok(empty(503))),
                "409" if is_cancellation(request) => Some(Ok(empty(409))),
                "307" if is_cancellation(request) => Some(Ok(empty(307))),
                "202" if is_cancellation(request) => {
                    Some(BlockingTransport::send(emulator, request.clone()).map(|_| empty(202)))
                }
                "lost once" if is_first && is_cancellation(request) => {
                    let lost = TransportError::exchange("the connection was closed");
                    Some(BlockingTransport::send(emulator, request.clone()).and(Err(lost)))
                }
                _ => None,
            }
        });
        assert_eq!(tried(&requests), 20, "{failure}");
        assert!(report.requests <= 96 + 20, "{failure}: {} requests", report.requests);
        let left = if failure.ends_with("once") { 0 } else { 20 };
        assert_eq!(report.remaining, left, "{failure}");
        if failure.ends_with("once") {
            assert_eq!(count_active(&ledgers(&emulator).0), 0, "{failure}");
        }
    }
}

#[test]
fn a_cancellation_that_was_not_the_probes_does_not_count() {
    let emulator = InMemory::new();
    let (report, _) = instead(&emulator, |emulator, request| {
        is_cancellation(request).then(|| {
            BlockingTransport::send(emulator, request.clone()).unwrap();
            BlockingTransport::send(emulator, request.clone())
        })
    });
    assert_eq!(report.remaining, 20);
}

#[test]
fn a_wait_that_is_too_long_ends_the_probe_and_names_what_was_bought() {
    for status in [429, 503, 200] {
        let emulator = InMemory::new();
        let mut asked = false;
        let (report, requests) = instead(&emulator, |emulator, request| {
            assert!(!asked, "{status}: {}", request.uri());
            asked = is_purchase(request, "/v1/donate_money", 5);
            if !asked {
                return None;
            }
            let mut reply = BlockingTransport::send(emulator, request.clone()).unwrap();
            *reply.status_mut() = StatusCode::from_u16(status).unwrap();
            reply.headers_mut().insert("retry-after", HeaderValue::from_static("3600"));
            Some(Ok(reply))
        });
        assert_eq!(tried(&requests), 0, "{status}");
        assert!(report.not_cancelled.len() >= 11, "{status}: {:?}", report.not_cancelled);
        let remaining = usize::try_from(report.remaining).unwrap();
        assert!(count_active(&ledgers(&emulator).0) <= remaining, "{status}");
    }
}

#[test]
fn a_wait_that_a_successful_response_asks_for_is_kept() {
    let emulator = InMemory::new();
    let mut until = Duration::ZERO;
    let (report, _) = instead(&emulator, |emulator, request| {
        let now = BlockingTransport::now(emulator);
        assert!(now >= until, "{} is asked at {now:?}, before {until:?}", request.uri());
        is_purchase(request, "/v1/donate_money", 5).then(|| {
            let mut reply = BlockingTransport::send(emulator, request.clone()).unwrap();
            until = BlockingTransport::now(emulator) + Duration::from_secs(40);
            reply.headers_mut().insert("retry-after", HeaderValue::from_static("40"));
            Ok(reply)
        })
    });
    assert!(!until.is_zero());
    assert_eq!(report.remaining, 0);
}
