//! What records show, beside the receipts of the same purchases.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::lists::{is_ordinary, would_show};
use super::times::Timing;
use super::{likely, seen, unknown};
use crate::endpoint::Receipt;
use crate::probe::evidence::{Evidence, RecordsPage};
use crate::probe::plan::{ORDERS, Question, TAGGED_ORDER, View};
use crate::probe::purchase;
use crate::probe::report::Finding;
use crate::value::{ImpactKind, Timestamp};
use crate::verify::is_ours;

/// The metadata of records, beside what was sent.
pub(super) fn metadata(evidence: &Evidence, subject: &str, for_customers: bool) -> Finding {
    let pages = evidence.pages().filter(|page| page.for_customers == for_customers);
    let rows = pages.flat_map(|page| {
        let row = move |order| evidence.row(order, page).map(move |row| (order, row));
        (0..ORDERS.len()).filter_map(row)
    });
    let rows = rows.filter(|(order, row)| may_be_sent(evidence, *order, row));
    let values: Vec<_> = rows.map(|(order, row)| change(evidence, order, row)).collect();
    let Some(first) = values.first() else {
        return unknown(subject, "no record of a purchase was found in this list");
    };
    if values.iter().any(|value| value != first) {
        return seen(subject, "changing", "the metadata of the records differ in their form");
    }
    let basis = format!("{} readings of records", values.len());
    if *first == "kept" {
        // Longer values may be cut.
        let sent = purchase(0, evidence);
        let sent = sent.iter().flat_map(|purchase| purchase.metadata().iter());
        let longest = sent.map(|(_, value)| value.chars().count()).max();
        let longest = longest.unwrap_or_default();
        return likely(
            subject,
            first,
            format!("{basis}, with values of up to {longest} characters"),
        );
    }
    seen(subject, first, basis)
}

/// Whether the metadata of a row may be those that were sent. Without the marker, a row may be
/// that of an equal purchase of others.
fn may_be_sent(evidence: &Evidence, order: usize, row: &Receipt) -> bool {
    let plain = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_lowercase()
    };
    let mut shown = row.extra.get("metadata").map(|text| plain(&text.to_string()));
    for (key, value) in row.metadata.iter() {
        let text = shown.get_or_insert_default();
        text.push_str(&plain(key));
        text.push_str(&plain(value.as_str().unwrap_or_default()));
    }
    let sent = purchase(order, evidence);
    let mut sent = sent.iter().flat_map(|purchase| purchase.metadata().iter());
    shown.is_none_or(|shown| {
        sent.any(|(key, value)| {
            let begin: String = plain(value).chars().take(8).collect();
            shown.contains(&plain(key)) || shown.contains(&begin)
        })
    })
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
    let mut marked = false;
    let mut values: Vec<_> = pairs(evidence)
        .filter(|(_, receipt, _)| tells(receipt))
        .map(|(order, receipt, row)| {
            marked |= is_ours(row, evidence.intents[order].marker());
            form(&receipt.time_utc, &row.time_utc)
        })
        .collect();
    let readings = values.len();
    values.sort_unstable();
    values.dedup();
    // An equal purchase of others may have been taken for one of the probe.
    if !marked && values.len() > 1 {
        values.retain(|value| *value != "another_time");
    }
    let basis = format!("{readings} records beside their receipts");
    match values[..] {
        [] => unknown(subject, "no record was found for a receipt"),
        ["another_time"] if !marked => {
            likely(subject, "another_time", format!("{basis}, which may be those of others"))
        }
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

pub(super) fn listed_in(evidence: &Evidence, timing: &Timing) -> Finding {
    let subject = "listed_in";
    // Whether the list shows such a purchase; `None` if no page would show it.
    let shows = |question| {
        let of_customers = (0..ORDERS.len()).filter(|order| ORDERS[*order].customer.is_some());
        let mut shown = None;
        for order in of_customers {
            for (reply, page) in evidence.newest(question) {
                if evidence.shows(order, page) {
                    return Some(true);
                }
                let receipt = evidence.receipt(order);
                if timing.must_show(evidence, order, reply.asked)
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
    if evidence.maybe_bought().next().is_none() {
        return unknown(subject, "nothing was bought");
    }
    let count = evidence.pages().map(|page| strangers(evidence, page)).max();
    match count {
        None => unknown(subject, "the lists could not be read"),
        Some(0) if evidence.pages().any(|page| distinct(page).count() < page.items.len()) => {
            unknown(subject, "rows are listed twice, and some may be those of others")
        }
        Some(0) => likely(subject, "none", "no other purchase while the probe ran"),
        Some(count) => {
            seen(subject, "buys_meanwhile", format!("{count} records of other purchases"))
        }
    }
}

/// How many rows of others a page shows that were bought after the first one of the probe.
fn strangers(evidence: &Evidence, page: &RecordsPage) -> usize {
    let own = |order: usize| {
        let intent = evidence.intents[order].marker();
        let marked = page.items.iter().filter(|row| is_ours(row, intent));
        // An equal purchase just before the probe may be taken for its own, which is later.
        // Others may have metadata where the rows of the probe show none.
        let receipt = evidence.receipt(order).map(|receipt| receipt.time_utc.datetime());
        let is_near = |row: &&Receipt| {
            let apart = receipt.map(|time| (row.time_utc.datetime() - time).abs());
            ORDERS[order].is_of(row) && apart.is_some_and(|apart| apart <= TimeDelta::seconds(3))
        };
        let similar = page.items.iter().filter(is_near);
        let rows = marked.chain(similar).chain(evidence.rows(order, page));
        rows.map(|row| row.time_utc.datetime()).max()
    };
    let own: Vec<_> = (0..ORDERS.len()).filter_map(own).collect();
    let Some(first) = own.iter().min() else { return 0 };
    // A time may be rounded in one row and not in another.
    let is_later = |time: DateTime<Utc>| time > *first + TimeDelta::seconds(1);
    let rows = distinct(page).filter(|row| is_later(row.time_utc.datetime()));
    let ours = own.iter().filter(|time| is_later(**time)).count();
    rows.count().saturating_sub(ours)
}

/// The rows of a page that differ.
fn distinct(page: &RecordsPage) -> impl Iterator<Item = &Receipt> {
    let rows = page.items.iter().enumerate().filter(|(_, row)| is_ordinary(row));
    rows.filter(|(at, row)| !page.items[..*at].contains(row)).map(|(_, row)| row)
}
