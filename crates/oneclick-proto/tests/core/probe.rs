//! What a probe needs of the core's machines. What it finds is tested in `tests/suite/probe.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Response;
use oneclick_proto::{
    Api, ConfigError, Machine, PlantTree, Probe, ProbeReport, Purchase, Receipt, RetryPolicy, Step,
    Trees, VerifyPolicy,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Runs a probe against a server that sells trees and knows nothing else. Returns the report,
/// and the path and key of each request.
fn run() -> (ProbeReport, Vec<(String, String)>) {
    let api = Api::sandbox("test_key").unwrap();
    let probe = Probe::new(&api, DateTime::UNIX_EPOCH).unwrap();
    let mut requests = Vec::new();
    let mut step = probe.start(&api, RetryPolicy::NEVER, 0, Duration::ZERO);
    let mut now = Duration::ZERO;
    let report = loop {
        step = match step {
            Step::Send(request, sent) => {
                let path = request.uri().path().to_owned();
                let response = if path == "/v1/plant_tree" && request.method() == "POST" {
                    let sent: Value = serde_json::from_slice(request.body()).unwrap();
                    let mut receipt = json!({
                        "user_id": "U1",
                        "time_utc": "1970-01-01T00:00:00.001Z",
                        "tree_planted": sent["amount"].as_f64(),
                    });
                    if let Some(email) = sent.get("customer_email") {
                        receipt["customer"] = json!({"customer_id": "C1", "customer_email": email});
                    }
                    Response::builder()
                        .header("x-ratelimit-remaining", "9")
                        .header("x-ratelimit-of-user-U1", "9")
                        .header("quota-for-ada-at-example.com-test_key", "9")
                        .header("content-type", "application/json")
                        .body(receipt.to_string())
                } else {
                    Response::builder().status(404).body(String::new())
                };
                let key = request.headers()["x-api-key"].to_str().unwrap().to_owned();
                requests.push((path, key));
                sent.finish(Ok(response.unwrap()), now)
            }
            Step::Wait(wait, waiting) => {
                now += wait;
                waiting.wake(now)
            }
            Step::Done(report) => break report,
        };
    };
    (report, requests)
}

#[test]
fn one_request_has_a_wrong_key_and_all_others_have_the_right_one() {
    let (_, requests) = run();
    let wrong: Vec<_> = requests.iter().filter(|(_, key)| key != "test_key").collect();
    let expected = ("/v1/whoami".to_owned(), "oneclick_probe_no_such_key".to_owned());
    assert_eq!(wrong, [&expected]);
}

#[test]
fn headers_and_the_form_of_amounts_are_seen() {
    let (report, _) = run();
    let headers = report.finding("limit_headers").unwrap();
    let names: BTreeSet<_> = headers.basis.split(", ").collect();
    // The names of the others hold an id, an address and the key.
    assert_eq!(names, BTreeSet::from(["another header", "x-ratelimit-remaining"]));
    assert_eq!(report.finding("receipt").unwrap().value, "amount_as_fraction");
}

#[test]
fn production_is_recognized_by_the_host_and_by_the_key() {
    let probe = |api: Result<Api, ConfigError>| Probe::new(&api.unwrap(), DateTime::UNIX_EPOCH);
    for api in [
        Api::production("key"),
        Api::production("live_key"),
        Api::with_base_url("http://127.0.0.1:8787", "live_key"),
    ] {
        assert!(matches!(probe(api), Err(ConfigError::Production)));
    }
    for api in [Api::sandbox("key"), Api::with_base_url("http://127.0.0.1:8787", "key")] {
        assert!(probe(api).is_ok());
    }
}

/// A report as a file may hold it, with any values.
fn reports() -> impl Strategy<Value = ProbeReport> {
    let subject = prop_oneof![Just("receipt"), Just("date"), Just("visibility")];
    let value = prop_oneof![Just("own"), Just("of_another_purchase"), Just("apart"), Just("x")];
    let certainty = prop_oneof![Just("seen"), Just("likely"), Just("unknown")];
    let finding = (subject, value, certainty).prop_map(|(subject, value, certainty)| {
        json!({"subject": subject, "value": value, "certainty": certainty, "basis": ""})
    });
    let findings = proptest::collection::vec(finding, 0..4);
    let number =
        || prop_oneof![Just(None), any::<u64>().prop_map(Some), (0..200_u64).prop_map(Some)];
    let ahead = prop_oneof![Just(None), any::<i64>().prop_map(Some), (-99..99_i64).prop_map(Some)];
    (findings, number(), number(), ahead).prop_map(|(findings, worst, looked_for, ahead)| {
        let report = json!({
            "version": 1,
            "findings": findings,
            "measured": {
                "delays": 0, "median_delay_ms": null, "worst_delay_ms": worst, "missing": 0,
                "looked_for_ms": looked_for, "clock_ahead_seconds": null,
                "date_ahead_seconds": ahead, "largest_page": null, "cursor_age_seconds": null,
            },
            "consequences": [], "requests": 0, "bought": 0, "remaining": 0,
        });
        serde_json::from_value(report).unwrap()
    })
}

fn assert_careful(policy: &VerifyPolicy) {
    let standard = VerifyPolicy::STANDARD;
    assert!(policy.patience >= standard.patience, "{policy:?}");
    assert!(policy.absence_after >= standard.absence_after, "{policy:?}");
    assert!(policy.max_pages >= standard.max_pages, "{policy:?}");
    // A wider tolerance finds more records, but also lets older receipts confirm.
    assert!(policy.clock_tolerance >= standard.clock_tolerance, "{policy:?}");
    assert!(policy.clock_tolerance <= Duration::from_secs(7 * 86_400), "{policy:?}");
    let wider = policy.clock_tolerance > standard.clock_tolerance;
    assert!(!(wider && policy.confirm_by_receipt), "{policy:?}");
}

fn receipt(amount: u64, time: DateTime<Utc>) -> Receipt {
    let time = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    serde_json::from_value(json!({"user_id": "U1", "time_utc": time, "tree_planted": amount}))
        .unwrap()
}

proptest! {
    /// Neither a report nor what later responses correct in it makes purchases less careful
    /// than the standard policy, or than before the correction.
    #[test]
    fn no_report_and_no_correction_makes_a_policy_less_careful(
        mut report in reports(),
        responses in proptest::collection::vec((1..3_u64, -100_000..100_000_i64, any::<bool>()), 0..5),
    ) {
        let purchase = Purchase::from(PlantTree::new(Trees::of::<1>()));
        let date = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        assert_careful(&report.policy());
        for (amount, ahead, has_date) in responses {
            let before = report.policy();
            let receipt = receipt(amount, date - TimeDelta::seconds(ahead));
            report.correct(&purchase, &receipt, has_date.then_some(date));
            let after = report.policy();
            assert_careful(&after);
            assert_eq!(after.confirm_by_receipt(false), before.confirm_by_receipt(false));
            assert!(before.confirm_by_receipt || !after.confirm_by_receipt);
        }
    }
}

#[test]
fn an_old_receipt_lets_no_later_one_confirm() {
    let (mut report, _) = run();
    assert!(report.policy().confirm_by_receipt, "{report:?}");
    let purchase = Purchase::from(PlantTree::new(Trees::of::<1>()));
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let day_old = receipt(1, now - TimeDelta::days(1));
    assert_eq!(report.correct(&purchase, &day_old, Some(now)), ["receipt"]);
    let said = report.consequences.join("\n");
    assert!(said.contains("only a record confirms"), "{said}");
    let policy = report.policy();
    assert_eq!(policy, VerifyPolicy::STANDARD.confirm_by_receipt(false));
    assert!(report.correct(&purchase, &day_old, Some(now)).is_empty());
}
