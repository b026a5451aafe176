//! What a probe needs of the core's machines. What it finds is tested in `tests/suite/probe.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use http::Response;
use oneclick_proto::{Api, ConfigError, Machine, Probe, ProbeReport, RetryPolicy, Step};
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
                        .header("x-quota-left", "9")
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
    assert_eq!(names, BTreeSet::from(["x-quota-left", "x-ratelimit-remaining"]));
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
