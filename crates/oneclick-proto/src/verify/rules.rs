//! The rules of evidence, as one function from evidence to conclusion.
//!
//! They follow two principles. A record confirms a purchase at once, but a missing
//! record counts only after a long time. And no conclusion ever cancels anything.
//!
//! Before and after a purchase, in [`VerifiedPurchase`](crate::VerifiedPurchase):
//!
//! * **R1** Before a purchase leaves, the state counts one more send and stores the
//!   server's time.
//! * **R2** If an intent is resumed without its stored state, it counts as sent as often
//!   as allowed, at an unknown time. It is looked for and never sent.
//! * **R3** A receipt confirms the purchase if its kind, amount and customer match, it does
//!   not show the marker of another intent, and its time lies between request and response
//!   by the server's clock: [`receipt_confirms`].
//! * **R4** Any other 2xx response leaves the purchase unknown.
//! * **R5** A failure to connect, a 307, a 308 and a listed 4xx with the API's own error
//!   prove that nothing was executed. They do not count as a send.
//! * **R6** A 425 or 429 without the API's own error leaves the purchase unknown. If it
//!   is then absent, it was not made, and the send does not count.
//! * **R7** Anything else leaves the purchase unknown.
//!
//! When both lists are read, newest first, without filters, from two days before the
//! send, in [`conclude`]:
//!
//! * **R8** A marker is ours even if its spelling was altered. It belongs to another
//!   intent only if it is intact.
//! * **R9** Marked rows within two seconds of each other are one purchase.
//! * **R10** A purchase that is found is tracked: it is active or cancelled.
//! * **R11** If several are found, each is tracked. If one is active, it confirms the
//!   purchase; if several are, a person decides.
//! * **R12** A row whose time another row has as well is never tracked. A row whose time
//!   is in whole seconds is tracked only if every purchase must be listed: late, with
//!   whole and readable lists.
//! * **R13** If nothing is found, and less than `absence_after` has passed since the
//!   purchase was given up, the outcome is not known yet. A page that a cache had, as its
//!   `Age` says, was read that much earlier. If the purchase was never sent, it is absent.
//! * **R14** A purchase is absent only if each list was read as a whole.
//! * **R15** It is absent only if both lists were read, without filters and from early
//!   enough.
//! * **R16** It is absent only if there is no candidate: no row that may be ours but lost
//!   its marker, and none that may be ours but could not be decoded. R14 to R16 do not
//!   apply once a person was shown the outcome and has dismissed it.
//! * **R17** If the purchase is absent after one send, it is sent again. If it is absent
//!   after all sends that are allowed, nothing was bought.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{Intent, PurchaseState, UnresolvedReason, VerifyPolicy};
use crate::endpoint::Receipt;
use crate::purchase::Purchase;
use crate::value::{Email, ImpactId, ImpactKind, Timestamp, UserId};

/// A thousand years, which can be added to or subtracted from any time.
const LONGEST: TimeDelta = TimeDelta::days(365_250);
/// How far apart the times in the rows of one purchase may be (R9).
const SAME_PURCHASE: TimeDelta = TimeDelta::seconds(2);
/// How many purchases with one marker are tracked at most.
const MAX_PURCHASES: usize = 6;
/// How many rows with one marker are examined at most: two on each list per purchase.
const MAX_ROWS: usize = 4 * MAX_PURCHASES;
/// How many malformed rows are kept at most.
const MAX_MALFORMED: usize = 10_000;
/// The length of a marker, in hexadecimal digits.
const MARKER_DIGITS: usize = 32;
/// The smallest number of digits that identifies a truncated marker (R8).
const MIN_DIGITS: usize = 16;

/// The list that a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ListName {
    Own,
    Customers,
}

/// A row of either list.
#[derive(Clone, Debug)]
pub(crate) struct ListedRow {
    list: ListName,
    pub(crate) receipt: Receipt,
    /// Whether its time is in whole seconds, so that many rows may share it.
    coarse: bool,
}

/// The rows that a look found, each once.
#[derive(Debug, Default)]
pub(crate) struct ListedRows {
    all: Vec<ListedRow>,
    /// A hash of each row's JSON. The time alone would not do, since two purchases may
    /// share a time in whole seconds. The JSON itself would put customers into `Debug`.
    known: HashSet<u64>,
    /// The indices of rows with an intact marker (R8), by marker.
    marked: HashMap<String, Vec<usize>>,
    /// The indices of rows without an intact marker.
    unclear: Vec<usize>,
    /// The indices of all rows, by second.
    by_second: HashMap<i64, Vec<usize>>,
    /// The rows that could not be decoded and may be records.
    malformed: Vec<Value>,
    /// Whether a row could not be decoded.
    unreadable: bool,
}

impl ListedRows {
    /// Adds the rows of a page for which `kept` is true, and returns whether one of them
    /// was on an earlier page. Such a row is not added again, but two equal rows on the
    /// same page are two purchases.
    pub(crate) fn add(
        &mut self,
        list: ListName,
        page: Vec<Receipt>,
        kept: impl Fn(&Receipt) -> bool,
    ) -> bool {
        let hasher = self.known.hasher().clone();
        let hash = |row: &ListedRow| {
            let text = serde_json::to_string(&row.receipt).unwrap_or_default();
            hasher.hash_one((row.list, text))
        };
        let whole = |row: &Receipt| row.time_utc.datetime().timestamp_subsec_nanos() == 0;
        let first = self.all.len();
        let mut repeated = false;
        // If any time on a page has fractions of a second, all of its times do.
        let fine = page.iter().any(|row| !whole(row));
        for receipt in page.into_iter().filter(|row| kept(row)) {
            let written = fine && receipt.time_utc.to_string().contains('.');
            let coarse = whole(&receipt) && !written;
            let row = ListedRow { list, receipt, coarse };
            if self.known.contains(&hash(&row)) {
                repeated = true;
                continue;
            }
            let index = self.all.len();
            match intact_marker(&row.receipt) {
                Some(marker) => self.marked.entry(marker.to_owned()).or_default().push(index),
                None => self.unclear.push(index),
            }
            self.by_second.entry(at(&row).timestamp()).or_default().push(index);
            self.all.push(row);
        }
        self.known.extend(self.all[first..].iter().map(hash));
        repeated
    }

    /// The rows with this marker in any spelling, earliest first (R8).
    fn ours(&self, marker: &str) -> Vec<&ListedRow> {
        let intact = self.marked.get(marker).into_iter().flatten();
        let altered = |index: &&usize| has_altered_marker(&self.all[**index].receipt, marker);
        let altered = self.unclear.iter().filter(altered);
        let mut ours: Vec<_> = intact.chain(altered).map(|index| &self.all[*index]).collect();
        ours.sort_by_key(|row| at(row));
        ours
    }

    /// Adds rows that could not be decoded. Only objects can be records.
    pub(crate) fn add_malformed(&mut self, page: Vec<Value>) {
        self.unreadable |= !page.is_empty();
        self.malformed.extend(page.into_iter().filter(Value::is_object));
        if self.malformed.len() > MAX_MALFORMED {
            self.malformed.truncate(MAX_MALFORMED);
            // An empty row, which may be any purchase, stands for the dropped ones.
            self.malformed.push(Value::Object(Map::new()));
        }
    }

    /// Whether any row has this marker.
    pub(crate) fn has_marker(&self, marker: &str) -> bool {
        !self.ours(marker).is_empty()
    }

    /// Whether any row has this marker and a time with fractions of a second.
    pub(crate) fn has_precise_marked_row(&self, marker: &str) -> bool {
        self.ours(marker).into_iter().any(|row| !row.coarse)
    }

    /// The rows without an intact marker.
    fn unclear(&self) -> impl Iterator<Item = &ListedRow> {
        self.unclear.iter().map(|index| &self.all[*index])
    }

    /// The rows in the same second as a time and in the seconds before and after it.
    fn near(&self, time: DateTime<Utc>) -> impl Iterator<Item = &ListedRow> {
        let second = time.timestamp();
        let indices = (second - 1..=second + 1).filter_map(|second| self.by_second.get(&second));
        indices.flatten().map(|index| &self.all[*index])
    }
}

/// The result of tracking a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrackResult {
    /// It is active under this user id, which need not be the one in the row.
    Active(UserId),
    Cancelled,
    /// The API does not know the id, or knows it as another purchase.
    NotFound,
    /// Tracking failed, so nothing is known.
    Failed,
}

/// What is known about one intent.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// The rows that the latest look found.
    pub(crate) rows: &'a ListedRows,
    /// Whether that look read both lists as a whole (R14, R15).
    pub(crate) whole: bool,
    /// Whether that look began late enough for absence to count (R13).
    pub(crate) late: bool,
    /// Whether an earlier look found the marker.
    pub(crate) seen_before: bool,
    /// The results of tracking since that look began.
    pub(crate) tracked: &'a HashMap<ImpactId, TrackResult>,
}

/// What follows from the evidence.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// Track this row, then conclude again.
    Track(ListedRow),
    Confirmed(Receipt),
    /// It was bought and cancelled.
    Cancelled(Vec<ImpactId>),
    /// Not known yet: look again later.
    NotYet,
    /// It was not made.
    Absent,
    Unresolved(UnresolvedReason, Vec<ImpactId>),
}

/// Whether a receipt belongs to a purchase that was sent and responded to between two
/// times of the server's clock (R3).
pub(crate) fn receipt_confirms(
    receipt: &Receipt,
    purchase: &Purchase,
    sent: DateTime<Utc>,
    received: DateTime<Utc>,
    policy: &VerifyPolicy,
) -> bool {
    let tolerance = span(policy.clock_tolerance);
    let time = receipt.time_utc.datetime();
    let same_customer = receipt.customer.as_ref().is_none_or(|shown| {
        let asked = purchase.customer().map(|asked| folded(asked.customer_email.as_str()));
        asked == Some(folded(shown.customer_email.as_str()))
    });
    // The API is not known to return metadata here. If it does, the marker decides.
    let same_intent = intact_marker(receipt)
        .is_none_or(|marker| purchase.metadata().get(Intent::METADATA_KEY) == Some(marker));
    receipt.impact == purchase.impact()
        && same_customer
        && same_intent
        && (sent - tolerance..=received + tolerance).contains(&time)
}

/// Draws the conclusion for one intent (R8 to R17).
pub(crate) fn conclude(
    purchase: &Purchase,
    state: &PurchaseState,
    evidence: &Evidence<'_>,
    policy: &VerifyPolicy,
) -> Conclusion {
    let marker = state.marker();
    let ours = evidence.rows.ours(marker);
    if !ours.is_empty() {
        return conclude_found(purchase, &ours, evidence);
    }
    let malformed = &evidence.rows.malformed;
    let is_malformed = malformed.iter().any(|row| contains_marker(row, marker));
    // R13. What never left cannot arrive later, and is none of the candidates.
    let never_sent = state.sends() == 0;
    if !evidence.late && !never_sent {
        return Conclusion::NotYet;
    }
    if is_malformed {
        return Conclusion::Unresolved(UnresolvedReason::Malformed, Vec::new());
    }
    if never_sent || state.is_dismissed() {
        return Conclusion::Absent;
    }
    if evidence.seen_before {
        return Conclusion::Unresolved(UnresolvedReason::SeenAndGone, Vec::new());
    }
    // R14, R15
    if !evidence.whole {
        return Conclusion::Unresolved(UnresolvedReason::TooManyRecords, Vec::new());
    }
    // R16
    let since = state.earliest_send().map(|from| from - span(policy.clock_tolerance));
    let unclear = evidence.rows.unclear().map(|row| &row.receipt);
    let candidates: Vec<_> = unclear
        .filter(|row| since.is_none_or(|since| row.time_utc.datetime() >= since))
        .filter(|row| is_as_asked(row, purchase) || lacks_amount(row, purchase))
        .map(ImpactId::from)
        .collect();
    if !candidates.is_empty() {
        Conclusion::Unresolved(UnresolvedReason::Candidates, candidates)
    } else if malformed.iter().any(|row| may_be_as_asked(row, purchase, since)) {
        Conclusion::Unresolved(UnresolvedReason::Unreadable, Vec::new())
    } else {
        Conclusion::Absent
    }
}

/// Draws the conclusion from the rows with our marker, earliest first.
fn conclude_found(purchase: &Purchase, ours: &[&ListedRow], evidence: &Evidence<'_>) -> Conclusion {
    // R9
    let mut groups: Vec<Vec<&ListedRow>> = Vec::new();
    for row in ours {
        let first = groups.last().map(|group| group[0].receipt.time_utc.datetime());
        match groups.last_mut() {
            Some(group) if first.is_some_and(|first| at(row) - first < SAME_PURCHASE) => {
                group.push(row);
            }
            _ => groups.push(vec![row]),
        }
    }
    let found = || groups.iter().map(|group| ImpactId::from(&group[0].receipt)).collect();
    let unresolved = |reason| Conclusion::Unresolved(reason, found());
    if groups.len() > MAX_PURCHASES || ours.len() > MAX_ROWS {
        return unresolved(UnresolvedReason::BoughtTwice);
    }
    let mut active = Vec::new();
    let mut unknown = None;
    let mut any_failed = false;
    'groups: for group in &groups {
        let (mut reason, mut failed) = (UnresolvedReason::SameTime, false);
        // R12: track any row of the purchase whose time identifies it.
        for row in group.iter().filter(|row| identifies_one(row, ours, evidence)) {
            // R10, R11
            match evidence.tracked.get(&ImpactId::from(&row.receipt)) {
                None => return Conclusion::Track((*row).clone()),
                Some(TrackResult::Active(user_id)) => {
                    active.push(Receipt { user_id: user_id.clone(), ..row.receipt.clone() });
                    continue 'groups;
                }
                Some(TrackResult::Cancelled) => continue 'groups,
                Some(TrackResult::NotFound) => reason = UnresolvedReason::Untrackable,
                Some(TrackResult::Failed) => failed = true,
            }
        }
        unknown = unknown.or(Some(reason));
        any_failed |= failed;
    }
    let as_asked = ours.iter().all(|row| is_as_asked(&row.receipt, purchase));
    match (unknown, active.pop()) {
        (None, None) => Conclusion::Cancelled(found()),
        _ if !as_asked => unresolved(UnresolvedReason::OtherPurchase),
        (Some(reason), _) if evidence.late && !any_failed => unresolved(reason),
        (Some(_), _) => Conclusion::NotYet,
        (None, Some(receipt)) if active.is_empty() => Conclusion::Confirmed(receipt),
        (None, Some(_)) => unresolved(UnresolvedReason::BoughtTwice),
    }
}

/// Whether the time of a row identifies a single purchase (R12).
fn identifies_one(row: &ListedRow, ours: &[&ListedRow], evidence: &Evidence<'_>) -> bool {
    let same_time = |other: &ListedRow| {
        let apart = (at(other) - at(row)).abs();
        // A time in whole seconds may be rounded or truncated.
        let coarse = row.coarse || other.coarse;
        if coarse { apart <= TimeDelta::seconds(1) } else { apart < TimeDelta::milliseconds(1) }
    };
    // The row of the same purchase on the other list, if it lost the marker.
    let twin = |other: &ListedRow| {
        let coarse = row.coarse || other.coarse;
        let of_another = intact_marker(&other.receipt).is_some();
        let same_impact = other.receipt.impact == row.receipt.impact;
        other.list != row.list && same_impact && !of_another && !coarse
    };
    let is_ours = |other: &ListedRow| ours.iter().any(|row| std::ptr::eq(*row, other));
    let another = |other: &ListedRow| same_time(other) && !is_ours(other) && !twin(other);
    // A purchase that is not listed yet, or not in these rows, may have the same second.
    let all_listed = evidence.late && evidence.whole && !evidence.rows.unreadable;
    (!row.coarse || all_listed) && !evidence.rows.near(at(row)).any(another)
}

fn at(row: &ListedRow) -> DateTime<Utc> {
    row.receipt.time_utc.datetime()
}

/// Whether a row may be the purchase: kind and amount match, and it does not certainly
/// belong to another customer.
fn is_as_asked(receipt: &Receipt, purchase: &Purchase) -> bool {
    receipt.impact == purchase.impact() && may_be_of_customer(receipt, purchase)
}

/// Whether a row lost its amount, so that it may be any purchase of this customer. Nothing is
/// bought with an amount of zero.
fn lacks_amount(receipt: &Receipt, purchase: &Purchase) -> bool {
    receipt.impact.amount == 0 && may_be_of_customer(receipt, purchase)
}

fn may_be_of_customer(receipt: &Receipt, purchase: &Purchase) -> bool {
    receipt.customer.as_ref().is_none_or(|shown| {
        purchase.customer().is_some_and(|asked| {
            may_be_the_same(shown.customer_email.as_str(), &asked.customer_email)
        })
    })
}

/// The marker of a row, if it is intact (R8).
fn intact_marker(receipt: &Receipt) -> Option<&str> {
    receipt.metadata.get(Intent::METADATA_KEY).filter(|marker| is_intact(marker))
}

fn is_intact(marker: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    marker.len() == MARKER_DIGITS && marker.bytes().all(digit)
}

/// Whether a row has the marker in an altered form: in another case, under another key,
/// inside a longer text, or truncated (R8).
fn has_altered_marker(receipt: &Receipt, marker: &str) -> bool {
    let whole = receipt.extra.get("metadata").into_iter();
    let mut values = receipt.metadata.iter().map(|(_, value)| value).chain(whole);
    values.any(|value| value.as_str().is_some_and(|text| is_altered(text, marker)))
}

fn is_altered(text: &str, marker: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains(marker) || text.len() >= MIN_DIGITS && marker.starts_with(&text)
}

/// Whether a row that could not be decoded has the marker, anywhere and in any spelling
/// (R8).
fn contains_marker(row: &Value, marker: &str) -> bool {
    match row {
        Value::String(text) => is_altered(text, marker),
        Value::Array(values) => values.iter().any(|value| contains_marker(value, marker)),
        Value::Object(fields) => fields.values().any(|value| contains_marker(value, marker)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a row that could not be decoded may be the purchase: no readable field shows an
/// earlier time, another intent, or another kind or amount (R16).
fn may_be_as_asked(row: &Value, purchase: &Purchase, since: Option<DateTime<Utc>>) -> bool {
    let time = row["time_utc"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let before = time.zip(since).is_some_and(|(time, since)| time.datetime() < since);
    let of_another = row["metadata"][Intent::METADATA_KEY].as_str().is_some_and(is_intact);
    let asked = purchase.impact();
    let legible = |kind: &ImpactKind| row[kind.as_str()].as_i64().is_some_and(|it| it != 0);
    let as_asked = row[asked.kind.as_str()].as_i64() == Some(asked.amount);
    let another_amount = !as_asked && ImpactKind::KNOWN.iter().any(legible);
    !before && !of_another && !another_amount
}

/// Whether a row has the marker in any spelling (R8).
pub(crate) fn is_ours(receipt: &Receipt, marker: &str) -> bool {
    match intact_marker(receipt) {
        Some(intact) => intact == marker,
        None => has_altered_marker(receipt, marker),
    }
}

/// The local part of an address without its tag and its dots, and the domain, both in lower
/// case. A server may normalize an address that far.
fn folded(address: &str) -> (String, String) {
    let address = address.trim().to_lowercase();
    let (local, domain) = address.rsplit_once('@').unwrap_or(("", &address));
    // A tag begins with `+` or `-`; a `+` may also arrive as `%2B` or as a space.
    let name = local.split(['+', '-', '%', ' ']).next().unwrap_or_default();
    let domain = if domain == "googlemail.com" { "gmail.com" } else { domain };
    (name.replace(['.', '"'], ""), domain.to_owned())
}

/// Whether two addresses may be the same. They may differ in case, in dots, in the tag,
/// and in whether the domain is written in Unicode or Punycode. A text that is not a plain
/// address may stand for any address.
fn may_be_the_same(shown: &str, asked: &Email) -> bool {
    if Email::new(shown.trim()).is_err() || shown.contains(['*', '<', '‹', '(']) {
        return true;
    }
    let ((shown, shown_domain), (asked, asked_domain)) = (folded(shown), folded(asked.as_str()));
    let same_local = shown == asked || !shown.is_ascii() || !asked.is_ascii();
    // Punycode maps some letters to others, and Unicode has more than one dot.
    let international = |domain: &str| !domain.is_ascii() || domain.contains("xn--");
    let same_domain = shown_domain == asked_domain
        || international(&shown_domain)
        || international(&asked_domain);
    same_local && same_domain
}

pub(super) fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).map_or(LONGEST, |span| span.min(LONGEST))
}

#[cfg(test)]
mod tests;
