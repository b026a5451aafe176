//! The exported strategies generate the values that they promise.

use chrono::{Datelike, NaiveDate};
use oneclick_proto::strategies::{hostile_json, hostile_response, hostile_text};
use oneclick_proto::{Api, DateRange, Email, GetProject, Metadata, Project, Receipt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Generates `count` values, the same in every run.
fn samples<S: Strategy>(count: usize, strategy: S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn texts_are_awkward() {
    let texts = samples(200, hostile_text());
    for what in ["", "'; DROP TABLE", "\r\n", "\u{1b}", "\u{202e}", "\u{0}", "<b>", "=HYPER", "张"]
    {
        assert!(texts.iter().any(|text| text.contains(what)), "{what:?}");
    }
    assert!(texts.iter().any(|text| text.len() >= 1000) && texts.iter().any(String::is_empty));
    let emails = samples(200, any::<Email>());
    for what in ["'", "+", "&", "\"", "%", "ü", "🌾"] {
        assert!(emails.iter().any(|email| email.as_str().contains(what)), "{what}");
    }
    // Metadata of many and of few pairs.
    let mut runner = TestRunner::deterministic();
    let metadata = [(); 40].map(|()| any::<Metadata>().new_tree(&mut runner).unwrap().current());
    assert!(metadata.iter().any(|metadata| metadata.len() > 15));
    assert!(metadata.iter().any(|metadata| metadata.len() < 5));
}

#[test]
fn responses_have_every_status_and_are_valid_truncated_or_damaged() {
    let responses = samples(200, hostile_response());
    for class in 1..10 {
        assert!(
            responses.iter().any(|response| response.status().as_u16() / 100 == class),
            "{class}xx"
        );
    }
    let count = |wanted: &dyn Fn(&[u8]) -> bool| {
        responses.iter().filter(|response| wanted(response.body())).count()
    };
    let json = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body);
    let cut = count(&|body| json(body).is_err_and(|error| error.is_eof()) && body.len() > 1);
    let damaged =
        count(&|body| body.starts_with(b"{") && body.ends_with(b"}") && json(body).is_err());
    let receipts = count(&|body| serde_json::from_slice::<Receipt>(body).is_ok());
    assert!(cut > 10 && damaged > 5 && receipts > 0, "{cut} {damaged} {receipts}");
    let bytes = count(&|body| std::str::from_utf8(body).is_err());
    assert!(bytes > 30, "{bytes}");
}

#[test]
fn json_has_field_names_of_the_api() {
    let texts: Vec<String> = samples(400, hostile_json()).iter().map(ToString::to_string).collect();
    for name in ["\"user_id\":", "\"metadata\":{", "\"cursor\":\"", "\"user_records\":["] {
        assert!(texts.iter().any(|text| text.contains(name)), "{name}");
    }
}

#[test]
fn days_have_years_of_four_digits() {
    let days: Vec<NaiveDate> = samples(400, any::<DateRange>())
        .iter()
        .flat_map(|range| [range.start_date(), range.end_date()])
        .flatten()
        .collect();
    assert!(days.iter().all(|day| (0..10_000).contains(&day.year())));
    assert!(days.iter().any(|day| (1998..2040).contains(&day.year())));
    assert!(days.iter().any(|day| day.year() > 9000) && days.iter().any(|day| day.year() < 1000));
}

#[test]
fn projects_have_valid_coordinates_and_ids() {
    let projects = samples(100, any::<Project>());
    let east: Vec<f64> = projects.iter().filter_map(|project| project.longitude).collect();
    assert!(east.iter().all(|degrees| (-180.0..=180.0).contains(degrees)));
    assert!(east.iter().any(|degrees| *degrees < -90.0));
    assert!(east.iter().any(|degrees| *degrees > 90.0 && degrees.fract() != 0.0));
    let api = Api::sandbox("test_key").unwrap();
    for project in samples(400, any::<GetProject>()) {
        assert!(api.encode(&project).unwrap().uri().path().len() > "/v1/projects/".len());
    }
}
