//! What follows from the answers: a finding for each point that is unstated.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::evidence::{Answer, Evidence, Exchange, Rows, is_undamaged};
use super::plan::{
    Address, FIRST, INTERNATIONAL, ORDERS, Question, TAGGED, TAGGED_ORDER, TrackedBy, View, Wrong,
};
use super::purchase;
use super::report::{Certainty, Finding, Measured, ProbeReport};
use crate::endpoint::Receipt;
use crate::value::{ImpactKind, Timestamp};

/// How far `Date` may be from `time_utc`, in milliseconds: it is in whole seconds, and a
/// little later.
const DATE_TOLERANCE: i64 = 1_500;

/// The report about all that was seen.
pub(super) fn report(evidence: &Evidence) -> ProbeReport {
    let delays = delays(evidence);
    let date = date_ahead(evidence);
    let measured = Measured {
        delays: u32::try_from(delays.len()).unwrap_or(u32::MAX),
        median_delay_ms: delays.get(delays.len() / 2).copied().map(millis),
        worst_delay_ms: delays.last().copied().map(millis),
        clock_ahead_seconds: clock_ahead(evidence),
        // Away from zero, so that a tolerance made from it is not too small.
        date_ahead_seconds: date.map(|millis| millis.signum() * ((millis.abs() + 999) / 1_000)),
        largest_page: evidence.pages().map(|page| page.items.len() as u64).max(),
        cursor_age_seconds: cursor_age(evidence).map(|age| age.as_secs()),
    };
    let mut findings = vec![
        metadata(evidence, "metadata_in_records", false),
        metadata(evidence, "metadata_in_customer_records", true),
        address(evidence),
        address_filter(evidence),
        sent_address(evidence),
        user_id(evidence),
        time_utc(evidence),
        listed_in(evidence),
        filter_by(evidence),
        unknown_filter(evidence),
        sort_order(evidence),
        bounds(evidence, "start_date", View::Since),
        bounds(evidence, "end_date", View::Until),
        days(evidence),
        limit(evidence),
        cursors(evidence),
        visibility(evidence, &delays),
        clock(&measured),
        date_header(evidence, date),
        receipts(evidence),
        cancellation(evidence),
        cancel_repeat(evidence),
        records_afterwards(evidence),
        tracked_from(evidence),
        track_by(evidence),
        other_rows(evidence),
        other_software(evidence),
        limit_headers(evidence),
    ];
    findings.extend(Wrong::ALL.map(|wrong| wrong_request(evidence, wrong)));
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

/// The metadata of records, beside what was sent.
fn metadata(evidence: &Evidence, subject: &str, for_customers: bool) -> Finding {
    let pages = evidence.pages().filter(|page| page.for_customers == for_customers);
    let rows = pages.flat_map(|page| {
        let row = move |order| evidence.row(order, page).map(move |row| (order, row));
        (0..ORDERS.len()).filter_map(row)
    });
    let values: Vec<_> = rows.map(|(order, row)| change(evidence, order, row)).collect();
    let Some(first) = values.first() else {
        return unknown(subject, "no record of a purchase was found in this list");
    };
    if values.iter().any(|value| value != first) {
        return seen(subject, "changing", "the metadata of the records differ in their form");
    }
    seen(subject, first, format!("{} readings of records", values.len()))
}

/// How the metadata of a record differ from what was sent.
fn change(evidence: &Evidence, order: usize, row: &Receipt) -> &'static str {
    if row.extra.get("metadata").is_some_and(Value::is_string) {
        return "one_text";
    }
    if row.metadata.is_empty() {
        return "dropped";
    }
    let sent = purchase(order, evidence);
    let sent = sent.iter().flat_map(|purchase| purchase.metadata().iter());
    let sent: Vec<_> = sent.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let keys_kept = sent.iter().all(|(key, _)| row.metadata.iter().any(|(name, _)| name == key));
    let text = |key: &str| row.metadata.get(key).unwrap_or_default();
    let every = |holds: &dyn Fn(&str, &str) -> bool| {
        sent.iter().all(|(key, value)| holds(text(key), value))
    };
    let nulls = row.metadata.iter().all(|(_, value)| value.is_null());
    let has = |value: &String| row.metadata.iter().any(|(_, recorded)| recorded == value.as_str());
    match () {
        () if keys_kept && nulls => "nulls",
        () if keys_kept && every(&|recorded, sent| recorded == sent) => "kept",
        () if keys_kept && every(&|recorded, sent| recorded.eq_ignore_ascii_case(sent)) => {
            "values_respelled"
        }
        () if keys_kept
            && every(&|recorded, sent| !recorded.is_empty() && sent.starts_with(recorded)) =>
        {
            "cut_short"
        }
        () if !keys_kept && sent.iter().all(|(_, value)| has(value)) => "keys_respelled",
        () => "changed",
    }
}

/// How an address is stored.
fn address(evidence: &Evidence) -> Finding {
    let subject = "address";
    let customers = listed_addresses(evidence);
    let stored = |sent: &str| {
        evidence.stored_address(sent).map(str::to_owned).or_else(|| {
            customers.iter().find(|address| likeness(address) == likeness(sent)).cloned()
        })
    };
    let tagged = stored(TAGGED);
    let international = stored(INTERNATIONAL);
    let basis = "addresses with capital letters, a tag and an international domain";
    let tag_value = tagged.as_deref().map(|address| match address {
        TAGGED => "kept",
        _ if address == TAGGED.to_lowercase() => "lower_case",
        "Probe.Ada@example.com" => "tag_removed",
        "probe.ada@example.com" => "lower_case_without_tag",
        _ => "changed",
    });
    let domain_value = international.as_deref().map(|address| match address {
        INTERNATIONAL => "kept",
        _ if address.contains("xn--") => "other_domain_form",
        _ => "changed",
    });
    match (tag_value, domain_value) {
        (None, None) => unknown(subject, "no response shows the address of a customer"),
        (Some("kept") | None, Some(value)) | (Some(value), _) => seen(subject, value, basis),
    }
}

/// The addresses in the list of customers.
fn listed_addresses(evidence: &Evidence) -> Vec<String> {
    let lists = evidence.answers(Question::Customers(Address::Any));
    let pages = lists.filter_map(|exchange| match &exchange.answer {
        Answer::Customers(page) => Some(page),
        _ => None,
    });
    let addresses = pages.flat_map(|page| page.items.iter());
    addresses.map(|customer| customer.customer_email.as_str().to_owned()).collect()
}

/// What remains of an address of the probe, however it is stored.
fn likeness(address: &str) -> (bool, bool) {
    let address = address.to_lowercase();
    (address.starts_with("probe.ada"), address.contains("cher") || address.contains("xn--"))
}

/// How the filter `customer_email` compares.
fn address_filter(evidence: &Evidence) -> Finding {
    let subject = "address_filter";
    let found = |address| {
        evidence.answers(Question::Customers(address)).find_map(|exchange| match &exchange.answer {
            Answer::Customers(page) => Some(!page.items.is_empty()),
            _ => None,
        })
    };
    match (found(Address::AsStored), found(Address::OtherCase)) {
        (Some(true), Some(true)) => seen(subject, "loose", "another case finds the customer too"),
        (Some(true), Some(false)) => {
            seen(subject, "exact", "only the address as it is stored finds the customer")
        }
        (Some(false), _) => seen(subject, "finds_nothing", "the stored address finds no customer"),
        _ => unknown(subject, "no response shows how an address is stored"),
    }
}

/// Whether the address as it was sent finds the customer's records.
fn sent_address(evidence: &Evidence) -> Finding {
    let subject = "filter_by_sent_address";
    let Some(filtered) = evidence.page(Question::ForCustomers(View::OfTagged)) else {
        return unknown(subject, "the list could not be read");
    };
    let listed = evidence.page(Question::ForCustomers(View::Newest));
    let listed = listed.is_some_and(|page| evidence.shows(TAGGED_ORDER, page));
    match (listed, evidence.shows(TAGGED_ORDER, filtered)) {
        (_, true) => seen(subject, "finds_it", "/v1/customer_records with customer_email"),
        (true, false) => {
            seen(subject, "misses_it", "/v1/customer_records shows it, but not with customer_email")
        }
        (false, false) => unknown(subject, "/v1/customer_records does not show the purchase"),
    }
}

/// Pairs of a receipt and a record of the same purchase, in either list.
fn pairs(evidence: &Evidence) -> impl Iterator<Item = (usize, &Receipt, &Receipt)> {
    evidence.pages().flat_map(move |page| {
        (0..ORDERS.len()).filter_map(move |order| {
            Some((order, evidence.receipt(order)?, evidence.row(order, page)?))
        })
    })
}

fn user_id(evidence: &Evidence) -> Finding {
    let subject = "user_id";
    let customer_id = evidence.customer_id();
    let mut values: Vec<_> = pairs(evidence)
        .map(|(order, receipt, row)| {
            let (shown, sent) = (row.user_id.as_str(), receipt.user_id.as_str());
            let customer = receipt.customer.as_ref().or(row.customer.as_ref());
            let of_customer = customer.is_some_and(|customer| customer.customer_id == shown)
                || (order == TAGGED_ORDER
                    && customer_id.as_ref().is_some_and(|id| id.as_str() == shown));
            match () {
                () if shown == sent => "same",
                () if shown.eq_ignore_ascii_case(sent) => "other_case",
                () if of_customer => "customers",
                () => "another",
            }
        })
        .collect();
    let readings = values.len();
    // An account's own records have no customer whose id they could show.
    if values.contains(&"customers") {
        values.retain(|value| *value != "same");
    }
    values.dedup();
    match values[..] {
        [] => unknown(subject, "no record was found for a receipt"),
        [value] => seen(subject, value, format!("{readings} records beside their receipts")),
        _ => seen(subject, "changing", format!("{readings} records beside their receipts")),
    }
}

fn time_utc(evidence: &Evidence) -> Finding {
    let subject = "time_utc";
    // A time that happens to be a whole second is the same in several forms.
    let tells = |receipt: &Receipt| receipt.time_utc.datetime().timestamp_subsec_nanos() != 0;
    let mut values: Vec<_> = pairs(evidence)
        .filter(|(_, receipt, _)| tells(receipt))
        .map(|(_, receipt, row)| form(&receipt.time_utc, &row.time_utc))
        .collect();
    let readings = values.len();
    values.sort_unstable();
    values.dedup();
    let basis = format!("{readings} records beside their receipts");
    match values[..] {
        [] => unknown(subject, "no record was found for a receipt"),
        [value] => seen(subject, value, basis),
        // A time that is rounded down is also cut.
        ["seconds_cut", "seconds_rounded"] => seen(subject, "seconds_rounded", basis),
        _ => seen(subject, "changing", format!("{basis}: {}", values.join(", "))),
    }
}

/// How the time of a record differs from that of its receipt.
fn form(receipt: &Timestamp, record: &Timestamp) -> &'static str {
    let (sent, shown) = (receipt.to_string(), record.to_string());
    let (before, after) = (receipt.datetime(), record.datetime());
    let whole = after.timestamp_subsec_nanos() == 0 && before.timestamp_subsec_nanos() != 0;
    match () {
        () if sent == shown => "same",
        () if whole && before < after => "seconds_rounded",
        () if whole => "seconds_cut",
        () if before == after => "offset",
        () if before.timestamp_millis() == after.timestamp_millis() => "microseconds",
        () => "another_time",
    }
}

fn listed_in(evidence: &Evidence) -> Finding {
    let subject = "listed_in";
    // Whether the list shows such a purchase; `None` if no page would show it.
    let shows = |question| {
        let of_customers = (0..ORDERS.len()).filter(|order| ORDERS[*order].customer.is_some());
        let mut shown = None;
        for order in of_customers {
            for (exchange, page) in evidence.newest(question) {
                if evidence.shows(order, page) {
                    return Some(true);
                }
                let bought = evidence.bought_at(order).is_some_and(|at| exchange.asked >= at);
                let receipt = evidence.receipt(order);
                if bought && receipt.is_some_and(|receipt| would_show(page, receipt)) {
                    shown = Some(false);
                }
            }
        }
        shown
    };
    let own = shows(Question::Own(View::Newest));
    let customers = shows(Question::ForCustomers(View::Newest));
    let basis = "the purchases for customers, in both lists";
    match (own, customers) {
        (Some(false), Some(true)) => seen(subject, "customer_records", basis),
        (Some(true), Some(false)) => seen(subject, "records", basis),
        (Some(true), Some(true)) => seen(subject, "both", basis),
        _ => unknown(subject, "the purchases for customers were found in no list"),
    }
}

/// The effect of a filter for a kind that was bought.
fn filtered(evidence: &Evidence, question: Question, kind: &ImpactKind) -> Option<&'static str> {
    if let Some(failure) = evidence.failure(question) {
        return (failure.status == Some(400)).then_some("refused");
    }
    let page = evidence.page(question)?;
    let rows = page.items.iter().filter(|row| is_ordinary(row));
    let kinds: Vec<_> = rows.map(|row| &row.impact.kind).collect();
    Some(match () {
        () if kinds.iter().any(|found| *found != kind) => "everything",
        () if kinds.is_empty() => "empty",
        () => "honoured",
    })
}

/// Whether a row is of a known kind, and not one that a server adds to each page.
fn is_ordinary(row: &Receipt) -> bool {
    ImpactKind::KNOWN.contains(&row.impact.kind) && is_undamaged(row)
}

fn filter_by(evidence: &Evidence) -> Finding {
    let subject = "filter_by";
    let listed = (0..5).filter(|order| ORDERS[*order].kind != ImpactKind::CoralRestored);
    let mut values: Vec<_> = listed
        .filter_map(|order| {
            filtered(evidence, Question::Own(View::Kind(order)), &ORDERS[order].kind)
        })
        .collect();
    values.dedup();
    match values[..] {
        [] => unknown(subject, "the lists could not be read"),
        [value] => seen(subject, value, "a list for each of the kinds in the reference"),
        _ => seen(subject, "changing", "a list for each of the kinds in the reference"),
    }
}

fn unknown_filter(evidence: &Evidence) -> Finding {
    let subject = "unknown_filter";
    let coral = (0..5).find(|order| ORDERS[*order].kind == ImpactKind::CoralRestored);
    let coral = coral.and_then(|order| {
        filtered(evidence, Question::Own(View::Kind(order)), &ImpactKind::CoralRestored)
    });
    let nonsense = ImpactKind::from("oneclick_probe");
    let nonsense = filtered(evidence, Question::Own(View::UnknownKind), &nonsense);
    let Some(coral) = coral else { return unknown(subject, "the list could not be read") };
    let nonsense = nonsense.unwrap_or(Finding::UNKNOWN);
    seen(subject, coral, format!("coral_restored; a name that is no kind: {nonsense}"))
}

fn times(page: &Rows) -> Vec<DateTime<Utc>> {
    let rows = page.items.iter().filter(|row| is_ordinary(row));
    rows.map(|row| row.time_utc.datetime()).collect()
}

fn descends(times: &[DateTime<Utc>]) -> bool {
    times.first() > times.last() && times.is_sorted_by(|one, other| one >= other)
}

fn ascends(times: &[DateTime<Utc>]) -> bool {
    times.first() < times.last() && times.is_sorted()
}

fn sort_order(evidence: &Evidence) -> Finding {
    let subject = "sort_order";
    let page = |view| evidence.page(Question::Own(view)).map(times);
    let (Some(first), Some(second)) = (page(View::Descending), page(View::DescendingNext)) else {
        return unknown(subject, "two pages, newest first, could not be read");
    };
    let Some(ascending) = page(View::Ascending) else {
        return unknown(subject, "a page, oldest first, could not be read");
    };
    let next = page(View::AscendingNext).unwrap_or_default();
    let both = |one: &[_], other: &[_]| [one, other].concat();
    let (newest, oldest) = (both(&first, &second), both(&ascending, &next));
    let reversed: Vec<_> = ascending.iter().rev().copied().collect();
    match () {
        () if descends(&newest) && !descends(&ascending) => {
            seen(subject, "honoured", "two pages of three rows in each order")
        }
        () if ascends(&newest) => {
            seen(subject, "ignored", "newest first was asked for, oldest first came")
        }
        () if ascends(&oldest) && descends(&first) && first == reversed => {
            seen(subject, "within_page", "each page is newest first, the next one is newer")
        }
        () if newest.len() < 4 => unknown(subject, "the pages have too few rows"),
        () => seen(subject, "unordered", "two pages of three rows in each order"),
    }
}

/// Whether a bound includes its day.
fn bounds(evidence: &Evidence, subject: &str, view: View) -> Finding {
    let Some(page) = evidence.page(Question::Own(view)) else {
        return unknown(subject, "the day of the purchases, or its list, could not be read");
    };
    let shown = (0..ORDERS.len()).any(|order| evidence.shows(order, page));
    let value = if shown { "inclusive" } else { "exclusive" };
    seen(subject, value, "a list that begins or ends with the day of the purchases")
}

fn days(evidence: &Evidence) -> Finding {
    let subject = "days";
    let (Some(utc), Some(server)) = (evidence.utc_day(), evidence.server_day()) else {
        return unknown(subject, "/v1/impact/daily does not show one day for the purchases");
    };
    let hour = evidence.began().map_or(0, |began| {
        (began - began.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()).num_hours()
    });
    if server > utc {
        return seen(subject, "ahead", format!("at least {} hours ahead of UTC", 24 - hour));
    }
    if server < utc {
        return seen(subject, "behind", format!("more than {hour} hours behind UTC"));
    }
    let basis = format!(
        "at this time of day, a zone from {hour} hours behind UTC to {} hours ahead shows the same",
        23 - hour,
    );
    likely(subject, "utc", basis)
}

fn limit(evidence: &Evidence) -> Finding {
    let subject = "limit";
    let one = evidence.page(Question::Own(View::One)).map(|page| times(page).len());
    let newest = evidence.newest(Question::Own(View::Newest)).last().map(|(_, page)| page);
    let Some(newest) = newest else { return unknown(subject, "the lists could not be read") };
    let rows = newest.items.len();
    if one.is_some_and(|rows| rows > 1) {
        return seen(subject, "ignored", "a page of one row was asked for, more came");
    }
    // The newest page was asked for with a limit of 1,000.
    if newest.cursor.is_some() && rows < 999 {
        return seen(subject, "capped", format!("a page ends after {rows} rows"));
    }
    likely(subject, "honoured", format!("pages of up to {rows} rows"))
}

/// What a cursor led to: the times of the rows, or a status.
struct Continued {
    asked: Duration,
    rows: Result<Vec<DateTime<Utc>>, u16>,
}

fn continued(evidence: &Evidence) -> Vec<Continued> {
    let of = |view| {
        let exchange = evidence.answers(Question::Own(view)).next()?;
        let rows = match &exchange.answer {
            Answer::Records(page) => Ok(times(page)),
            Answer::Failed(failure) => Err(failure.status?),
            _ => return None,
        };
        Some(Continued { asked: exchange.asked, rows })
    };
    [View::NextTwoLater, View::NextTwoAtTheEnd].into_iter().filter_map(of).collect()
}

/// The greatest age at which the cursor was still valid.
fn cursor_age(evidence: &Evidence) -> Option<Duration> {
    let made = evidence.answers(Question::Own(View::FirstTwo)).next()?.answered;
    let uses = continued(evidence);
    let valid = uses.iter().filter(|continued| continued.rows.is_ok());
    valid.map(|continued| continued.asked.saturating_sub(made)).max()
}

fn cursors(evidence: &Evidence) -> Finding {
    let subject = "cursors";
    let uses = continued(evidence);
    if uses.is_empty() {
        return unknown(subject, "no page of two rows has a cursor");
    }
    let first = evidence.page(Question::Own(View::FirstTwo)).map(times).unwrap_or_default();
    let newest_first = sort_order(evidence).value == "honoured" && descends(&first);
    let mut moved = false;
    for Continued { rows, .. } in uses {
        match rows {
            Err(400 | 404 | 410 | 422) => {
                let age = cursor_age(evidence).unwrap_or_default().as_secs();
                return seen(subject, "expire", format!("valid for {age} s or more, then refused"));
            }
            Err(_) => {}
            // Times in whole seconds may be equal.
            Ok(rows) => moved |= rows.first() > first.last(),
        }
    }
    match cursor_age(evidence).map(|age| age.as_secs()) {
        Some(_) if moved && newest_first => {
            seen(subject, "shift", "after purchases, the next page repeats rows")
        }
        Some(age) if newest_first => {
            likely(subject, "last", format!("after purchases, the next page is right; {age} s old"))
        }
        Some(age) => {
            let basis = format!("valid after {age} s; rows that are added come last in this list");
            finding(subject, Finding::UNKNOWN, Certainty::Unknown, basis)
        }
        None => unknown(subject, "the next page could not be read"),
    }
}

/// Whether a page would show a row that is listed.
fn would_show(page: &Rows, receipt: &Receipt) -> bool {
    let (times, time) = (times(page), receipt.time_utc.datetime());
    page.cursor.is_none() || (descends(&times) && times.last().is_some_and(|last| *last < time))
}

/// How long after its receipt each record could be read at the latest, in ascending order.
/// A record that never showed is left out.
fn delays(evidence: &Evidence) -> Vec<Duration> {
    let mut delays: Vec<_> = shown(evidence).into_iter().filter_map(|(_, delay)| delay).collect();
    delays.sort_unstable();
    delays
}

/// Each own purchase: whether it showed at the first reading after it, and the delay.
fn shown(evidence: &Evidence) -> Vec<(bool, Option<Duration>)> {
    let newest = Question::Own(View::Newest);
    let own = evidence.maybe_bought().filter(|order| ORDERS[*order].customer.is_none());
    own.filter_map(|order| {
        let bought = evidence.bought_at(order)?;
        let receipt = evidence.receipt(order)?;
        let mut readings = evidence.newest(newest).filter(|(exchange, page)| {
            let there = evidence.shows(order, page);
            exchange.asked >= bought && (there || would_show(page, receipt))
        });
        let (first, page) = readings.next()?;
        if evidence.shows(order, page) {
            return Some((true, Some(first.answered.saturating_sub(bought))));
        }
        let later = readings.find(|(_, page)| evidence.shows(order, page));
        Some((false, later.map(|(exchange, _)| exchange.answered.saturating_sub(bought))))
    })
    .collect()
}

/// Whether a record was there in one reading and missing in a later one.
fn came_and_went(evidence: &Evidence) -> bool {
    (0..ORDERS.len()).filter(|order| ORDERS[*order].customer.is_none()).any(|order| {
        let Some(receipt) = evidence.receipt(order) else { return false };
        let mut was_there = false;
        evidence.newest(Question::Own(View::Newest)).any(|(_, page)| {
            let there = evidence.shows(order, page);
            was_there |= there;
            was_there && !there && would_show(page, receipt)
        })
    })
}

fn visibility(evidence: &Evidence, delays: &[Duration]) -> Finding {
    let subject = "visibility";
    let shown = shown(evidence);
    let Some(worst) = delays.last() else {
        return unknown(subject, "no record of a purchase was found");
    };
    let missing = shown.iter().filter(|(_, delay)| delay.is_none()).count();
    let basis = format!(
        "{} purchases: the last one could be read after {:.1} s{}",
        delays.len(),
        worst.as_secs_f64(),
        if missing > 0 { format!(", {missing} not at all") } else { String::new() },
    );
    if came_and_went(evidence) {
        return seen(subject, "replicas", format!("{basis}; records came and went"));
    }
    if shown.iter().all(|(at_once, _)| *at_once) {
        return likely(subject, "at_once", basis);
    }
    seen(subject, "after", basis)
}

/// How far the server's times are ahead of the client's clock.
fn clock_ahead(evidence: &Evidence) -> Option<i64> {
    let began = evidence.exchanges.first()?.asked;
    evidence.exchanges.iter().find_map(|exchange| {
        let Answer::Receipt(receipt, _) = &exchange.answer else { return None };
        let client = evidence.client_clock
            + TimeDelta::from_std(exchange.asked.saturating_sub(began)).ok()?;
        Some((receipt.time_utc.datetime() - client).num_seconds())
    })
}

fn clock(measured: &Measured) -> Finding {
    let subject = "clock";
    let Some(ahead) = measured.clock_ahead_seconds else {
        return unknown(subject, "no receipt arrived");
    };
    let basis = format!("time_utc is {ahead} s ahead of this machine's clock");
    match ahead {
        -60..=60 => seen(subject, "same", basis),
        61.. => seen(subject, "ahead", basis),
        _ => seen(subject, "behind", basis),
    }
}

/// How far `Date` is ahead of the times of receipts, in milliseconds: the median.
fn date_ahead(evidence: &Evidence) -> Option<i64> {
    let mut ahead: Vec<_> = evidence
        .exchanges
        .iter()
        .filter_map(|exchange| match &exchange.answer {
            Answer::Receipt(receipt, _) => {
                Some((exchange.date? - receipt.time_utc.datetime()).num_milliseconds())
            }
            _ => None,
        })
        .collect();
    ahead.sort_unstable();
    ahead.get(ahead.len() / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

fn date_header(evidence: &Evidence, ahead: Option<i64>) -> Finding {
    let subject = "date";
    let answered = |exchange: &&Exchange| match &exchange.answer {
        Answer::Failed(failure) => failure.status.is_some(),
        _ => true,
    };
    let responses = evidence.exchanges.iter().filter(answered).count();
    let dated = evidence.exchanges.iter().filter(|exchange| exchange.date.is_some()).count();
    let basis = format!("{dated} of {responses} responses have a Date");
    match (dated, ahead) {
        _ if responses == 0 => unknown(subject, "no response arrived"),
        (0, _) => seen(subject, "absent", basis),
        _ if dated < responses => seen(subject, "sometimes", basis),
        (_, None) => unknown(subject, "no receipt arrived"),
        (_, Some(ahead)) if ahead.abs() <= DATE_TOLERANCE => seen(subject, "usual", basis),
        (_, Some(ahead)) => {
            seen(subject, "apart", format!("{:.1} s ahead of time_utc", seconds(ahead)))
        }
    }
}

fn receipts(evidence: &Evidence) -> Finding {
    let subject = "receipt";
    let mut receipts = 0;
    let (mut crossed, mut bare, mut fraction) = (0, 0, 0);
    for exchange in &evidence.exchanges {
        let (Question::Buy(order), Answer::Receipt(receipt, written)) =
            (exchange.question, &exchange.answer)
        else {
            continue;
        };
        receipts += 1;
        fraction += usize::from(*written);
        if !ORDERS[order].is_of(receipt) {
            crossed += 1;
        } else if ORDERS[order].customer.is_some() && receipt.customer.is_none() {
            bare += 1;
        }
    }
    let basis = |count: usize| format!("{count} of {receipts} receipts");
    match () {
        () if receipts == 0 => unknown(subject, "no receipt arrived"),
        () if crossed > 0 => seen(subject, "of_another_purchase", basis(crossed)),
        () if bare > 0 => seen(subject, "without_customer", basis(bare)),
        () if fraction > 0 => seen(subject, "amount_as_fraction", basis(fraction)),
        () => likely(subject, "own", basis(receipts)),
    }
}

/// When a cancellation takes effect, as tracking shows it.
fn cancellation(evidence: &Evidence) -> Finding {
    let subject = "cancel";
    let cancelled = evidence.answers(Question::Cancel(FIRST)).next();
    let Some(cancelled) = cancelled else { return unknown(subject, "nothing was cancelled") };
    if let Answer::Failed(failure) = cancelled.answer {
        return match failure.status {
            Some(status) => seen(subject, "refused", format!("the status is {status}")),
            None => unknown(subject, "no response arrived"),
        };
    }
    let since = cancelled.answered;
    let tracked = evidence.answers(Question::Track(FIRST, TrackedBy::Account));
    let mut tracked = tracked.filter(|exchange| exchange.asked >= since).filter_map(|exchange| {
        match &exchange.answer {
            Answer::Tracking(tracking) => Some((exchange, tracking.cancelled_on.is_some())),
            _ => None,
        }
    });
    match tracked.next() {
        None => unknown(subject, "the cancelled impact could not be tracked"),
        Some((_, true)) => seen(subject, "at_once", "/v1/track shows it right after it"),
        Some((_, false)) => match tracked.find(|(_, effective)| *effective) {
            Some((exchange, _)) => {
                let delay = exchange.answered.saturating_sub(since).as_secs_f64();
                seen(subject, "later", format!("/v1/track shows it after {delay:.1} s"))
            }
            None => seen(subject, "later", "/v1/track did not show it while the probe waited"),
        },
    }
}

fn cancel_repeat(evidence: &Evidence) -> Finding {
    let subject = "cancel_repeat";
    match evidence.answers(Question::CancelAgain).next().map(|exchange| &exchange.answer) {
        Some(Answer::Cancellation(repeat)) if repeat.impact.kind.as_str().is_empty() => {
            seen(subject, "four_fields", "the second response has no amount")
        }
        Some(Answer::Cancellation(_)) => {
            seen(subject, "all_fields", "the second response has the amount")
        }
        Some(Answer::Failed(failure)) => match failure.status {
            Some(status) => seen(subject, "refused", format!("the status is {status}")),
            None => unknown(subject, "no response arrived"),
        },
        _ => unknown(subject, "nothing was cancelled"),
    }
}

/// Whether the record of a cancelled purchase stays.
fn records_afterwards(evidence: &Evidence) -> Finding {
    let subject = "record_of_a_cancelled_purchase";
    let listed = evidence.page(Question::Own(View::Newest));
    let before = listed.is_some_and(|page| evidence.shows(FIRST, page));
    let after = evidence.page(Question::Own(View::Afterwards));
    match after {
        Some(page) if before => {
            let value = if evidence.shows(FIRST, page) { "stays" } else { "goes" };
            seen(subject, value, "the list after the cancellations")
        }
        _ => unknown(subject, "the list shows no record before or after a cancellation"),
    }
}

fn tracked(evidence: &Evidence, question: Question) -> Option<bool> {
    evidence.answers(question).next().and_then(|exchange| match &exchange.answer {
        Answer::Tracking(_) => Some(true),
        Answer::Failed(failure) => {
            matches!(failure.status, Some(400 | 404 | 410 | 422)).then_some(false)
        }
        _ => None,
    })
}

fn tracked_from(evidence: &Evidence) -> Finding {
    let subject = "track_from";
    match tracked(evidence, Question::Track(FIRST, TrackedBy::Account)) {
        Some(true) => likely(subject, "at_once", "tracked right after its receipt"),
        Some(false) => seen(subject, "later", "not known right after its receipt"),
        None => unknown(subject, "the first purchase could not be tracked"),
    }
}

fn track_by(evidence: &Evidence) -> Finding {
    let subject = "track_by";
    let by = |by| tracked(evidence, Question::Track(TAGGED_ORDER, by));
    let basis = "an impact of a customer, by both ids";
    match (by(TrackedBy::Account), by(TrackedBy::Customer)) {
        (Some(true), Some(true)) => seen(subject, "both", basis),
        (Some(true), Some(false)) => seen(subject, "account", basis),
        (Some(false), Some(true)) => seen(subject, "customer", basis),
        (Some(false), Some(false)) => seen(subject, "neither", basis),
        (Some(true), None) => likely(subject, "account", "the customer's id is not known"),
        _ => unknown(subject, "an impact of a customer could not be tracked"),
    }
}

/// What is wrong with a row that has a `user_id`.
fn malformed(fields: &Map<String, Value>) -> &'static str {
    let is_kind = |name: &str| ImpactKind::KNOWN.iter().any(|kind| kind.as_str() == name);
    let mut texts = fields.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    match () {
        () if texts.clone().any(|(name, _)| is_kind(name)) => "amount_as_text",
        () if texts.any(|(_, text)| text.contains(char::REPLACEMENT_CHARACTER)) => "half_surrogate",
        () if !fields.keys().any(|name| is_kind(name)) => "unknown_kind",
        () => "malformed",
    }
}

fn other_rows(evidence: &Evidence) -> Finding {
    let subject = "other_rows";
    let malformed = evidence.pages().flat_map(|page| &page.malformed).map(|row| match row {
        Value::Null => "null",
        Value::Object(fields) if !fields.contains_key("user_id") => "without_user_id",
        Value::Object(fields) => malformed(fields),
        _ => "malformed",
    });
    let rows = evidence.pages().flat_map(|page| &page.items);
    let strange = rows.filter_map(|row| {
        if !ImpactKind::KNOWN.contains(&row.impact.kind) {
            return Some("unknown_kind");
        }
        (!is_ordinary(row)).then_some("half_surrogate")
    });
    let mut found: Vec<_> = malformed.chain(strange).collect();
    let count = found.len();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [] => likely(subject, "well_formed", "every row of every page could be read"),
        [value] => seen(subject, value, format!("{count} such rows")),
        _ => seen(subject, "several_kinds", found.join(", ")),
    }
}

fn other_software(evidence: &Evidence) -> Finding {
    let subject = "other_software";
    let Some(began) = evidence.began() else { return unknown(subject, "nothing was bought") };
    let since = began - TimeDelta::seconds(2);
    let strangers = |page: &Rows| {
        let recent = page.items.iter().filter(|row| is_ordinary(row));
        let recent = recent.filter(|row| row.time_utc.datetime() >= since);
        let ours = (0..ORDERS.len()).filter(|order| evidence.shows(*order, page)).count();
        recent.count().saturating_sub(ours)
    };
    let count = evidence.pages().map(strangers).max().unwrap_or_default();
    if count > 0 {
        return seen(subject, "buys_meanwhile", format!("{count} records of other purchases"));
    }
    if evidence.pages().next().is_none() {
        return unknown(subject, "the lists could not be read");
    }
    likely(subject, "none", "no other purchase while the probe ran")
}

fn limit_headers(evidence: &Evidence) -> Finding {
    let subject = "limit_headers";
    if evidence.limit_headers.is_empty() {
        return likely(subject, "none", format!("{} responses", evidence.exchanges.len()));
    }
    seen(subject, "present", evidence.limit_headers.join(", "))
}

/// What a wrong request gets.
fn wrong_request(evidence: &Evidence, wrong: Wrong) -> Finding {
    let subject = match wrong {
        Wrong::Value => "wrong_value",
        Wrong::Key => "wrong_key",
        Wrong::Path => "wrong_path",
        Wrong::Method => "wrong_method",
    };
    match evidence.answers(Question::Wrong(wrong)).next().map(|exchange| &exchange.answer) {
        Some(Answer::Failed(failure)) => {
            let Some(status) = failure.status else {
                return unknown(subject, "no response arrived");
            };
            let body = match (failure.has_type, failure.is_json) {
                (true, _) => "with a type and a message",
                (false, true) => "with other JSON",
                (false, false) => "without JSON",
            };
            let value = if status == wrong.status() { "refused" } else { "refused_otherwise" };
            seen(subject, value, format!("{status} {body}"))
        }
        Some(_) => seen(subject, "accepted", "a 2xx response"),
        None => unknown(subject, "it was not asked"),
    }
}

/// What follows for a verified purchase.
fn consequences(report: &ProbeReport) -> Vec<String> {
    let value = |subject| report.finding(subject).map_or("", |finding| &*finding.value);
    let mut sentences = Vec::new();
    let mut say = |sentence: &str| sentences.push(sentence.to_owned());
    for (list, subject) in [
        ("/v1/records", "metadata_in_records"),
        ("/v1/customer_records", "metadata_in_customer_records"),
    ] {
        match value(subject) {
            "kept" => say(&format!("{list} shows the marker: a purchase is found for certain.")),
            Finding::UNKNOWN => say(&format!("{list}: whether it shows the marker is not known.")),
            "values_respelled" | "keys_respelled" | "one_text" | "cut_short" => {
                say(&format!("{list} shows the marker in another form, which is recognized."));
            }
            _ => say(&format!(
                "{list} does not show the marker: after a lost response, a person has to decide \
                 if a similar purchase is near."
            )),
        }
    }
    match value("receipt") {
        "of_another_purchase" => say(
            "A receipt may be that of another purchase: with this policy, only a record confirms.",
        ),
        "own" => say("A receipt confirms a purchase at once."),
        _ => {}
    }
    match value("visibility") {
        "at_once" | "after" | "replicas" => {
            let worst = report.measured.worst_delay_ms.unwrap_or_default();
            say(&format!(
                "Each record showed within {worst} ms. A missing record still counts only after the \
                 time below, because a request can be under way for long."
            ));
        }
        _ => say("No record was seen: a lost purchase cannot be found at this server."),
    }
    match value("sort_order") {
        "honoured" | Finding::UNKNOWN => {}
        _ => say("The lists are not sorted as asked: on a large account, a look may not end."),
    }
    if value("time_utc").starts_with("seconds") || value("time_utc") == "changing" {
        say("Times are in whole seconds: two purchases in one second cannot be told apart.");
    }
    if value("date") == "absent" {
        say("Responses have no Date: after a restart, a purchase stays pending for longer.");
    }
    if value("track_by") == "neither" {
        say("Impacts of customers cannot be tracked: they may end as unresolved.");
    }
    sentences
}
