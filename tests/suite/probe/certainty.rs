//! What the probe does not say as certain, since a response would look the same otherwise.

use http::Uri;
use oneclick_proto::{Metadata as Note, PlantTree, Trees};

use super::*;

fn pass(emulator: &InMemory, request: Request<Vec<u8>>) -> Sent {
    BlockingTransport::send(emulator, request)
}

#[expect(clippy::unnecessary_wraps, reason = "it is what an exchange returns")]
fn respond(status: u16, content_type: &str, body: &str) -> Sent {
    let response = Response::builder().status(status).header("content-type", content_type);
    Ok(response.body(body.as_bytes().to_vec()).unwrap())
}

/// Sends requests without some options of the query.
fn without_options(names: &'static [&'static str]) -> impl Fn(&InMemory, Request<Vec<u8>>) -> Sent {
    move |emulator, mut request| {
        let uri = request.uri().to_string();
        if let Some((path, query)) = uri.split_once('?') {
            let is_kept = |pair: &&str| {
                let name = pair.split('=').next().unwrap_or_default();
                // The wrong request keeps its error.
                pair.contains("yesterday") || !names.contains(&name)
            };
            let kept: Vec<_> = query.split('&').filter(is_kept).collect();
            *request.uri_mut() = format!("{path}?{}", kept.join("&")).parse::<Uri>().unwrap();
        }
        pass(emulator, request)
    }
}

/// The value of a finding and how sure it is.
fn found<'a>(report: &'a ProbeReport, subject: &str) -> (&'a str, Certainty) {
    let finding = report.finding(subject).unwrap();
    (&finding.value, finding.certainty)
}

#[test]
fn records_that_show_late_change_no_other_finding() {
    let usual = probe(&emulator(Behaviour::new()));
    let about_time = ["visibility", "track_from"];
    let mut mistakes = Vec::new();
    for kind in ["after", "replicas"] {
        for millis in [1_000, 3_000, 5_000, 8_000, 10_000, 12_000, 20_000, 60_000, 120_000] {
            let late = json!({kind: {"millis": millis}});
            let report = probe(&emulator(behaviour(&[("visibility", &late)])));
            for finding in &report.findings {
                let wanted = &usual.finding(&finding.subject).unwrap().value;
                if finding.certainty != Certainty::Unknown
                    && finding.value != *wanted
                    && !about_time.contains(&&*finding.subject)
                {
                    mistakes.push(format!("{late}: {wanted}, not {finding:?}"));
                }
            }
            let neither = "Impacts of customers cannot be tracked";
            if report.consequences.iter().any(|sentence| sentence.contains(neither)) {
                mistakes.push(format!("{late}: {neither}"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// The lists are asked in all their ways once the records show.
#[test]
fn records_that_show_after_ten_seconds_leave_no_more_unknown() {
    let late = json!({"after": {"millis": 10_000}});
    let usual = probe(&emulator(Behaviour::new()));
    let report = probe(&emulator(behaviour(&[("visibility", &late)])));
    let unknown = |report: &ProbeReport| {
        let findings = report.findings.iter();
        let unknown = findings.filter(|finding| finding.certainty == Certainty::Unknown);
        unknown.map(|finding| finding.subject.clone()).collect::<BTreeSet<_>>()
    };
    // No cursor can be kept while purchases follow, since no list has two rows by then.
    let mut wanted = unknown(&usual);
    wanted.insert("cursors".to_owned());
    assert_eq!(unknown(&report), wanted, "{:?}", report.findings);
    assert_eq!((found(&report, "visibility").0, report.remaining), ("after", 0));
}

#[test]
fn a_refused_address_is_named_and_the_others_make_nothing_certain() {
    for (mark, wanted) in
        [("+Tag", "tag: refused with 400"), ("bücher", "domain: refused with 400")]
    {
        let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
            if String::from_utf8_lossy(request.body()).contains(mark) {
                return respond(400, "application/json", r#"{"type":"t","message":"m"}"#);
            }
            pass(emulator, request)
        });
        assert_eq!(found(&report, "address"), ("kept", Certainty::Likely), "{mark}");
        let basis = &report.finding("address").unwrap().basis;
        assert!(basis.contains(wanted), "{basis}");
    }
}

#[test]
fn the_address_of_another_customer_is_not_taken_for_one_of_the_probe() {
    for stranger in ["butcher@shop.example", "probe.adams@example.com"] {
        let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
            let path = request.uri().path().to_owned();
            let list = json!({"customers": [{
                "customer_id": "C1", "customer_email": stranger,
                "onboarded_on": "2025-01-01T00:00:00.000Z",
            }]});
            match &*path {
                "/v1/customers" => respond(200, "application/json", &list.to_string()),
                "/v1/customer_records" => {
                    respond(200, "application/json", r#"{"customer_records":[]}"#)
                }
                "/v1/plant_tree" => {
                    let response = pass(emulator, request)?;
                    let mut receipt: Value = serde_json::from_slice(response.body()).unwrap();
                    receipt.as_object_mut().unwrap().remove("customer");
                    Ok(response.map(|_| receipt.to_string().into_bytes()))
                }
                _ => pass(emulator, request),
            }
        });
        assert_eq!(found(&report, "address").1, Certainty::Unknown, "{stranger}");
    }
}

#[test]
fn a_filter_by_address_that_is_ignored_is_said_to_be() {
    let report =
        probe_altered(&InMemory::new(), RetryPolicy::NEVER, without_options(&["customer_email"]));
    for subject in ["address_filter", "filter_by_sent_address"] {
        assert_eq!(found(&report, subject), ("ignored", Certainty::Seen), "{subject}");
    }
}

#[test]
fn dates_that_are_ignored_are_not_said_to_be_inclusive_for_certain() {
    let dates: &[_] = &["start_date", "end_date"];
    let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, without_options(dates));
    for subject in dates {
        assert_eq!(found(&report, subject), ("inclusive", Certainty::Likely), "{subject}");
    }
    // Purchases of earlier days tell more.
    for (names, wanted) in [(&["end_date"] as &[_], "inclusive"), (&["start_date"], "ignored")] {
        let emulator = InMemory::new();
        let api = Api::sandbox("test_probe").unwrap();
        let client = BlockingClient::with_transport(api, emulator.clone());
        client.send(PlantTree::new(Trees::of::<1>())).unwrap();
        emulator.advance(Duration::from_secs(2 * 86_400));
        let report = probe_altered(&emulator, RetryPolicy::NEVER, without_options(names));
        assert_eq!(found(&report, "start_date"), (wanted, Certainty::Seen));
    }
}

#[test]
fn a_cancellation_is_refused_only_if_a_status_refuses_it() {
    let unknown = (Finding::UNKNOWN, Certainty::Unknown);
    let refused = ("refused", Certainty::Seen);
    for (status, wanted) in [
        (503, unknown),
        (429, unknown),
        (307, unknown),
        (202, unknown),
        (409, refused),
        (404, refused),
    ] {
        let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
            if request.uri().path() == "/v1/cancel_impact" {
                return respond(status, "application/json", "");
            }
            pass(emulator, request)
        });
        assert_eq!(found(&report, "cancel"), wanted, "{status}");
    }
}

#[test]
fn an_impact_that_was_not_cancelled_does_not_tell_when_a_cancellation_takes_effect() {
    for _ in 0..5 {
        let (crossed, others) = (json!("crossed"), json!("buys_the_same"));
        let switches = [("receipt", &crossed), ("other_software", &others)];
        let report = probe(&emulator(behaviour(&switches)));
        assert_ne!(found(&report, "cancel").0, "later");
    }
}

/// Changes the rows of both lists of records.
fn with_rows(
    change: impl Fn(Vec<Value>) -> Vec<Value>,
) -> impl Fn(&InMemory, Request<Vec<u8>>) -> Sent {
    move |emulator, request| {
        let response = pass(emulator, request)?;
        let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else {
            return Ok(response);
        };
        for list in ["user_records", "customer_records"] {
            if let Some(rows) = body.get_mut(list).and_then(Value::as_array_mut) {
                *rows = change(std::mem::take(rows));
            }
        }
        Ok(response.map(|_| body.to_string().into_bytes()))
    }
}

#[test]
fn metadata_that_are_kept_may_be_cut_where_they_are_longer() {
    let report = probe(&emulator(Behaviour::new()));
    for subject in ["metadata_in_records", "metadata_in_customer_records"] {
        assert_eq!(found(&report, subject), ("kept", Certainty::Likely));
    }
}

#[test]
fn metadata_of_others_are_not_taken_for_altered_ones() {
    let report = probe_altered(
        &InMemory::new(),
        RetryPolicy::NEVER,
        with_rows(|rows| {
            let with_note = |mut row: Value| {
                if let Some(metadata) = row.get_mut("metadata") {
                    *metadata = json!({"shop": "x"});
                }
                row
            };
            rows.into_iter().map(with_note).collect()
        }),
    );
    for subject in ["metadata_in_records", "metadata_in_customer_records"] {
        assert_eq!(found(&report, subject).1, Certainty::Unknown, "{subject}");
    }
}

/// Some records have a time that is a little later, as those of others would.
#[test]
fn a_record_of_another_time_does_not_mean_whole_seconds() {
    let report = probe_altered(
        &InMemory::new(),
        RetryPolicy::NEVER,
        with_rows(|rows| {
            let later = |mut row: Value| {
                row.as_object_mut().unwrap().remove("metadata");
                if row["tree_planted"].is_u64() {
                    let time: DateTime<Utc> = row["time_utc"].as_str().unwrap().parse().unwrap();
                    let time = time + chrono::TimeDelta::milliseconds(123);
                    row["time_utc"] = json!(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
                }
                row
            };
            rows.into_iter().map(later).collect()
        }),
    );
    assert_ne!(found(&report, "time_utc").0, "changing");
    assert!(!report.consequences.iter().any(|sentence| sentence.contains("whole seconds")));
}

#[test]
fn a_purchase_just_before_the_probe_is_not_one_of_other_software() {
    for millis in [1, 100, 900, 1_900] {
        for marked in [true, false] {
            let emulator = InMemory::new();
            let form = json!(if marked { "kept" } else { "dropped" });
            emulator.emulator().set_behaviour(behaviour(&[("metadata", &form)]));
            let api = Api::sandbox("test_probe").unwrap();
            let client = BlockingClient::with_transport(api, emulator.clone());
            client.send(PlantTree::new(Trees::of::<1>())).unwrap();
            emulator.advance(Duration::from_millis(millis));
            let report = probe_altered(&emulator, RetryPolicy::NEVER, pass);
            assert_ne!(found(&report, "other_software").0, "buys_meanwhile", "{millis} {marked}");
        }
    }
}

#[test]
fn rows_that_are_listed_twice_are_no_purchases_of_others() {
    let twice = |rows: Vec<Value>| rows.into_iter().flat_map(|row| [row.clone(), row]).collect();
    let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, with_rows(twice));
    assert_eq!(found(&report, "other_software").1, Certainty::Unknown);
}

#[test]
fn a_cursor_on_each_page_does_not_mean_a_cap() {
    let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
        let response = pass(emulator, request)?;
        let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else {
            return Ok(response);
        };
        if body.get("user_records").is_some() && body.get("cursor").is_none() {
            body["cursor"] = json!("MA==");
        }
        Ok(response.map(|_| body.to_string().into_bytes()))
    });
    assert_ne!(found(&report, "limit").0, "capped");
}

#[test]
fn a_success_for_a_wrong_request_is_not_a_refusal() {
    let wrong = |request: &Request<Vec<u8>>| {
        request.uri().path().contains("no_such_path")
            || (request.method() == "GET" && request.uri().path() == "/v1/plant_tree")
    };
    for (status, wanted) in [
        (200, ("accepted", Certainty::Likely)),
        (302, ("redirected", Certainty::Seen)),
        (410, ("refused_otherwise", Certainty::Seen)),
        (503, (Finding::UNKNOWN, Certainty::Unknown)),
    ] {
        let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
            if wrong(&request) {
                return respond(status, "text/html", "<html>");
            }
            pass(emulator, request)
        });
        for subject in ["wrong_path", "wrong_method"] {
            assert_eq!(found(&report, subject), wanted, "{subject}: {status}");
        }
    }
    let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
        if wrong(&request) {
            return respond(200, "application/json", r#"{"type":"error","message":"no"}"#);
        }
        pass(emulator, request)
    });
    assert_eq!(found(&report, "wrong_path").1, Certainty::Likely);
}

#[test]
fn purchases_without_receipts_do_not_mean_that_no_record_was_seen() {
    let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
        let is_purchase = request.method() == "POST" && request.uri().path() != "/v1/cancel_impact";
        let response = pass(emulator, request)?;
        if is_purchase { respond(204, "application/json", "") } else { Ok(response) }
    });
    assert_eq!(found(&report, "metadata_in_records").0, "kept");
    let said = |text: &str| report.consequences.iter().any(|sentence| sentence.contains(text));
    assert!(!said("no record was seen"), "{:?}", report.consequences);
    assert!(!said("for certain"), "{:?}", report.consequences);
}

#[test]
fn an_old_receipt_does_not_put_the_clock_wrong() {
    let report = probe_altered(&InMemory::new(), RetryPolicy::NEVER, |emulator, request| {
        let response = pass(emulator, request)?;
        let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else {
            return Ok(response);
        };
        if body["tree_planted"] == 1 && body.get("cancelled_on").is_none() {
            body["time_utc"] = json!("2020-01-01T00:00:00.000Z");
        }
        Ok(response.map(|_| body.to_string().into_bytes()))
    });
    assert_eq!(found(&report, "clock").0, "same");
}

#[test]
fn metadata_of_an_equal_purchase_do_not_make_those_of_the_probe_strange() {
    let emulator = InMemory::new();
    let api = Api::sandbox("test_probe").unwrap();
    let client = BlockingClient::with_transport(api, emulator.clone());
    let note = Note::from_pairs([("order_id", "A-77")]).unwrap();
    client.send(PlantTree::new(Trees::of::<1>()).metadata(note)).unwrap();
    let without_ours = |mut row: Value| {
        if row["metadata"].get("oneclick_intent").is_some() {
            row.as_object_mut().unwrap().remove("metadata");
        }
        row
    };
    let report = probe_altered(
        &emulator,
        RetryPolicy::NEVER,
        with_rows(move |rows| rows.into_iter().map(without_ours).collect()),
    );
    assert_ne!(found(&report, "other_software").0, "buys_meanwhile");
}
