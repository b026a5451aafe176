//! What follows from the answers: a finding for each point that is unstated.

mod customers;
mod lists;
mod purchases;
mod records;
mod responses;
mod times;

use std::time::Duration;

use super::consequences::consequences;
use super::evidence::{Evidence, Failure};
use super::plan::{FIRST, Question, TAGGED_ORDER, TrackedBy, View, Wrong};
use super::report::{Certainty, Finding, Measured, ProbeReport};

/// The report about all that was seen.
pub(super) fn report(evidence: &Evidence) -> ProbeReport {
    let delays = times::delays(evidence);
    let missing = times::missing(evidence);
    let timing = times::Timing::of(evidence);
    let dates = times::dates_ahead(evidence);
    let furthest = dates.iter().copied().max_by_key(|millis| millis.unsigned_abs());
    let measured = Measured {
        delays: u32::try_from(delays.len()).unwrap_or(u32::MAX),
        median_delay_ms: delays.get(delays.len() / 2).copied().map(millis),
        worst_delay_ms: delays.last().copied().map(millis),
        missing: u32::try_from(missing.len()).unwrap_or(u32::MAX),
        looked_for_ms: missing.iter().max().copied().map(millis),
        clock_ahead_seconds: times::clock_ahead(evidence),
        // Away from zero, so that a tolerance made from it is not too small.
        date_ahead_seconds: furthest.map(|millis| millis.signum() * ((millis.abs() + 999) / 1_000)),
        largest_page: evidence.pages().map(|page| page.items.len() as u64).max(),
        cursor_age_seconds: lists::cursor_age(evidence).map(|age| age.as_secs()),
    };
    let mut findings = vec![
        records::metadata(evidence, "metadata_in_records", false),
        records::metadata(evidence, "metadata_in_customer_records", true),
        customers::address(evidence),
        customers::address_filter(evidence, &timing),
        customers::sent_address(evidence, &timing),
        records::user_id(evidence),
        records::time_utc(evidence),
        records::listed_in(evidence, &timing),
        lists::filter_by(evidence, &timing),
        lists::unknown_filter(evidence, &timing),
        lists::sort_order(evidence),
        lists::bounds(evidence, &timing, "start_date", View::Since),
        lists::bounds(evidence, &timing, "end_date", View::Until),
        lists::days(evidence),
        lists::limit(evidence),
        lists::cursors(evidence),
        times::visibility(evidence, &delays),
        times::clock(&measured),
        times::date_header(evidence, dates.get(dates.len() / 2).copied()),
        purchases::receipts(evidence),
        // A server may know a purchase no sooner than its record shows.
        timing.unless_late(
            evidence,
            purchases::cancellation(evidence),
            &["refused"],
            (FIRST, Question::Cancel(FIRST)),
        ),
        purchases::cancel_repeat(evidence),
        timing.unless_late(
            evidence,
            purchases::records_afterwards(evidence),
            &["goes"],
            (FIRST, Question::Own(View::Afterwards)),
        ),
        purchases::tracked_from(evidence),
        timing.unless_late(
            evidence,
            purchases::track_by(evidence),
            &["account", "customer", "neither"],
            (TAGGED_ORDER, Question::Track(TAGGED_ORDER, TrackedBy::Account)),
        ),
        records::other_rows(evidence),
        records::other_software(evidence),
        responses::limit_headers(evidence),
    ];
    findings.extend(Wrong::ALL.map(|wrong| responses::wrong_request(evidence, wrong)));
    findings.extend(unstated());
    let mut report = ProbeReport {
        version: ProbeReport::VERSION,
        findings,
        measured,
        consequences: Vec::new(),
        requests: 0,
        bought: 0,
        remaining: 0,
        not_cancelled: Vec::new(),
        doubtful: Vec::new(),
    };
    report.consequences = consequences(&report);
    report
}

fn finding(subject: &str, value: &str, certainty: Certainty, basis: impl Into<String>) -> Finding {
    Finding { subject: subject.to_owned(), value: value.to_owned(), certainty, basis: basis.into() }
}

fn seen(subject: &str, value: &str, basis: impl Into<String>) -> Finding {
    finding(subject, value, Certainty::Seen, basis)
}

fn likely(subject: &str, value: &str, basis: impl Into<String>) -> Finding {
    finding(subject, value, Certainty::Likely, basis)
}

fn unknown(subject: &str, reason: &str) -> Finding {
    finding(subject, Finding::UNKNOWN, Certainty::Unknown, reason)
}

/// The status of a response that refuses the request itself. The others say that something is
/// wrong with the server, or that it is busy, and tell nothing of the request.
fn refusal(failure: Failure) -> Option<u16> {
    failure.status.filter(|status| (400..500).contains(status) && ![408, 425, 429].contains(status))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What cannot be found without harm or luck.
fn unstated() -> [Finding; 4] {
    [
        unknown("lost_response", "whether a purchase without a response was made is not asked"),
        unknown("late_purchase", "how long a request can be under way cannot be seen from here"),
        unknown("cancel_refusal", "no purchase is old enough to be refused a cancellation"),
        unknown("metadata_order", "the order of the keys of a JSON object means nothing"),
    ]
}
