//! What records show, beside the receipts of the same purchases.

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::lists::{is_ordinary, would_show};
use super::times::must_show;
use super::{likely, seen, unknown};
use crate::endpoint::Receipt;
use crate::probe::evidence::{Evidence, Rows};
use crate::probe::plan::{ORDERS, Question, TAGGED_ORDER, View};
use crate::probe::purchase;
use crate::probe::report::Finding;
use crate::value::{ImpactKind, Timestamp};

/// The metadata of records, beside what was sent.
pub(super) fn metadata(evidence: &Evidence, subject: &str, for_customers: bool) -> Finding {
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

/// Pairs of a receipt and a record of the same purchase, in either list.
fn pairs(evidence: &Evidence) -> impl Iterator<Item = (usize, &Receipt, &Receipt)> {
    evidence.pages().flat_map(move |page| {
        (0..ORDERS.len()).filter_map(move |order| {
            Some((order, evidence.receipt(order)?, evidence.row(order, page)?))
        })
    })
}

pub(super) fn user_id(evidence: &Evidence) -> Finding {
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

pub(super) fn time_utc(evidence: &Evidence) -> Finding {
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
        () if before == after && sent.ends_with('Z') != shown.ends_with('Z') => "offset",
        () if before.timestamp_millis() == after.timestamp_millis() => "microseconds",
        () => "another_time",
    }
}

pub(super) fn listed_in(evidence: &Evidence) -> Finding {
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
                let receipt = evidence.receipt(order);
                if must_show(evidence, order, exchange.asked)
                    && receipt.is_some_and(|receipt| would_show(page, receipt))
                {
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
        _ => unknown(subject, "the lists do not show where the purchases for customers are"),
    }
}

pub(super) fn other_rows(evidence: &Evidence) -> Finding {
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

pub(super) fn other_software(evidence: &Evidence) -> Finding {
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
