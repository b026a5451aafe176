//! What may be concluded from what: the rules, as one function from evidence to
//! conclusion.
//!
//! Two ideas carry them. What is seen confirms at once; that something is not there
//! is believed only long after. And nothing is ever cancelled by a conclusion.
//!
//! Before and after a purchase, in [`VerifiedPurchase`](crate::VerifiedPurchase):
//!
//! * **R1** Before a purchase leaves, the state counts one more send and holds the
//!   server's time.
//! * **R2** Resumed without its stored state, an intent counts as sent as often as it
//!   may be, at an unknown time: it is looked for and never sent.
//! * **R3** A receipt confirms if its kind, amount and customer are those asked for,
//!   and its time lies between send and response by the server's clock:
//!   [`receipt_confirms`].
//! * **R4** Any other 2xx response leaves it unknown.
//! * **R5** No connection, 307, 308, and a listed 4xx in the API's own words were not
//!   executed and do not count as a send. **R6** 425 and 429 in a stranger's words leave
//!   it unknown; if the purchase is then absent, it was not made and does not count.
//!   **R7** Everything else is unknown.
//!
//! Looking at both lists, newest first, without filters, from two days before the
//! send, in [`conclude`]:
//!
//! * **R8** A marker is ours in any spelling; it is another's only if it is intact.
//! * **R9** Marked rows within two seconds of each other are one purchase.
//! * **R10** What is seen is tracked: it stands, or it was taken back.
//! * **R11** Of several, each is tracked: one that stands confirms, several are for a
//!   person.
//! * **R12** A time that any other row has names nothing; one in whole seconds names
//!   something only where every purchase shows: late, on whole and readable lists.
//! * **R13** Not seen, and less than `absence_after` since the purchase may have
//!   arrived: not known yet.
//! * **R14** Absence wants whole lists, **R15** both of them, unfiltered and far enough
//!   back, **R16** and no candidate: no row that may be ours with its marker lost.
//! * **R17** Absent after one send: send again. After as many as are allowed: not bought.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Intent, PurchaseState, UnresolvedReason, VerifyPolicy};
use crate::endpoint::Receipt;
use crate::purchase::Purchase;
use crate::value::{Email, ImpactId};

/// A thousand years, which any time can be moved by.
const LONGEST: TimeDelta = TimeDelta::days(365_250);
/// How far apart the times of one purchase may be written (R9).
const SAME_PURCHASE: TimeDelta = TimeDelta::seconds(2);
/// How many purchases with one marker are looked into.
const MOST_MARKED: usize = 6;
/// How many rows with one marker are: each purchase on both lists, twice over.
const MOST_ROWS: usize = 4 * MOST_MARKED;
/// How long a marker is, in hexadecimal digits.
const MARKER_DIGITS: usize = 32;
/// The fewest digits of a cut marker that name it (R8).
const FEWEST_DIGITS: usize = 16;

/// A list, and with it where a row was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ListName {
    Own,
    Customers,
}

/// A row of either list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    list: ListName,
    pub(crate) receipt: Receipt,
    /// Whether its time is written in whole seconds, and may be that of many.
    coarse: bool,
}

/// What a look showed, each row once.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    all: Vec<Row>,
    /// Each as JSON: two purchases may share a time in whole seconds.
    /// As its hash: the text names customers, and what is debugged is logged.
    known: HashSet<u64>,
    /// Their places by intact marker (R8), and those without one.
    marked: HashMap<String, Vec<usize>>,
    unclear: Vec<usize>,
    /// Their places by second.
    by_second: HashMap<i64, Vec<usize>>,
}

impl Rows {
    /// Adds the rows of a page that are kept, and tells whether one of them was on an
    /// earlier page. Such a row is no other one; two of one time on one page are two.
    pub(crate) fn add(
        &mut self,
        list: ListName,
        page: Vec<Receipt>,
        kept: impl Fn(&Receipt) -> bool,
    ) -> bool {
        let hasher = self.known.hasher().clone();
        let hash = |row: &Row| {
            let text = serde_json::to_string(&row.receipt).unwrap_or_default();
            hasher.hash_one((row.list, text))
        };
        let whole = |row: &Receipt| row.time_utc.datetime().timestamp_subsec_nanos() == 0;
        let first = self.all.len();
        let mut repeated = false;
        // A page with finer times writes them for all of its rows.
        let fine = page.iter().any(|row| !whole(row));
        for receipt in page.into_iter().filter(|row| kept(row)) {
            let written = fine && receipt.time_utc.to_string().contains('.');
            let coarse = whole(&receipt) && !written;
            let row = Row { list, receipt, coarse };
            if self.known.contains(&hash(&row)) {
                repeated = true;
                continue;
            }
            let place = self.all.len();
            match intact_marker(&row.receipt) {
                Some(marker) => self.marked.entry(marker.to_owned()).or_default().push(place),
                None => self.unclear.push(place),
            }
            self.by_second.entry(at(&row).timestamp()).or_default().push(place);
            self.all.push(row);
        }
        self.known.extend(self.all[first..].iter().map(hash));
        repeated
    }

    /// Those with this marker, in whatever spelling, the earliest first (R8).
    fn ours(&self, marker: &str) -> Vec<&Row> {
        let intact = self.marked.get(marker).into_iter().flatten();
        let spelt = self.unclear.iter().filter(|place| spells(&self.all[**place].receipt, marker));
        let mut ours: Vec<_> = intact.chain(spelt).map(|place| &self.all[*place]).collect();
        ours.sort_by_key(|row| at(row));
        ours
    }

    /// Whether any of them carries this marker.
    pub(crate) fn show(&self, marker: &str) -> bool {
        !self.ours(marker).is_empty()
    }

    /// Whether any of them carries it beside a time that may name it.
    pub(crate) fn show_in_full(&self, marker: &str) -> bool {
        self.ours(marker).into_iter().any(|row| !row.coarse)
    }

    /// Those that carry no intact marker.
    fn unclear(&self) -> impl Iterator<Item = &Row> {
        self.unclear.iter().map(|place| &self.all[*place])
    }

    /// Those within a second or so of a time.
    fn near(&self, time: DateTime<Utc>) -> impl Iterator<Item = &Row> {
        let second = time.timestamp();
        let places = (second - 1..=second + 1).filter_map(|second| self.by_second.get(&second));
        places.flatten().map(|place| &self.all[*place])
    }
}

/// What tracking said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stands,
    TakenBack,
    /// The API does not know it, or knows another purchase by its id.
    Unknown,
    /// The API did not say.
    Unanswered,
}

/// What is known of one intent.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Evidence<'a> {
    /// What the latest look showed.
    pub(crate) rows: &'a Rows,
    /// Whether that look read both lists whole (R14, R15).
    pub(crate) whole: bool,
    /// Whether it could read every row.
    pub(crate) readable: bool,
    /// Whether that look began when absence counts (R13).
    pub(crate) late: bool,
    /// Whether an earlier look showed the marker.
    pub(crate) seen_before: bool,
    /// What tracking said since that look began.
    pub(crate) fates: &'a HashMap<ImpactId, Fate>,
}

/// What follows from the evidence.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// Track this one, and conclude again.
    Track(Row),
    Confirmed(Receipt),
    /// It was bought and cancelled.
    TakenBack(Vec<ImpactId>),
    /// Nothing yet: look again later.
    NotYet,
    /// Nothing stands, and every list says so.
    Absent,
    Unresolved(UnresolvedReason, Vec<ImpactId>),
}

/// Whether a receipt is that of a purchase which left and was answered between two
/// moments of the server's clock (R3).
pub(crate) fn receipt_confirms(
    receipt: &Receipt,
    purchase: &Purchase,
    sent: DateTime<Utc>,
    answered: DateTime<Utc>,
    policy: &VerifyPolicy,
) -> bool {
    let tolerance = span(policy.clock_tolerance);
    let time = receipt.time_utc.datetime();
    let same_customer = receipt.customer.as_ref().is_none_or(|shown| {
        let asked = purchase.customer().map(|asked| folded(asked.customer_email.as_str()));
        asked == Some(folded(shown.customer_email.as_str()))
    });
    receipt.impact == purchase.impact()
        && same_customer
        && (sent - tolerance..=answered + tolerance).contains(&time)
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
        return seen(purchase, &ours, evidence);
    }
    // R13
    if !evidence.late {
        return Conclusion::NotYet;
    }
    if evidence.seen_before {
        return Conclusion::Unresolved(UnresolvedReason::SeenAndGone, Vec::new());
    }
    // R14, R15
    if !evidence.whole {
        return Conclusion::Unresolved(UnresolvedReason::TooManyRecords, Vec::new());
    }
    // R16
    let since = state.from().map(|from| from - span(policy.clock_tolerance));
    let unclear = evidence.rows.unclear().map(|row| &row.receipt);
    let candidates: Vec<_> = unclear
        .filter(|row| since.is_none_or(|since| row.time_utc.datetime() >= since))
        .filter(|row| is_as_asked(row, purchase))
        .map(ImpactId::from)
        .collect();
    if candidates.is_empty() {
        Conclusion::Absent
    } else {
        Conclusion::Unresolved(UnresolvedReason::Candidates, candidates)
    }
}

/// What follows from rows with our marker, the earliest first.
fn seen(purchase: &Purchase, ours: &[&Row], evidence: &Evidence<'_>) -> Conclusion {
    // R9
    let mut groups: Vec<Vec<&Row>> = Vec::new();
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
    if groups.len() > MOST_MARKED || ours.len() > MOST_ROWS {
        return unresolved(UnresolvedReason::BoughtTwice);
    }
    if !ours.iter().all(|row| is_as_asked(&row.receipt, purchase)) {
        return unresolved(UnresolvedReason::OtherPurchase);
    }
    let mut standing = Vec::new();
    let mut unknown = None;
    let mut unanswered = false;
    'groups: for group in &groups {
        let (mut reason, mut silent) = (UnresolvedReason::SameTime, false);
        // R12: any row of one purchase will do, if its time names it.
        for row in group.iter().filter(|row| names_one(row, ours, evidence)) {
            // R10, R11
            match evidence.fates.get(&ImpactId::from(&row.receipt)) {
                None => return Conclusion::Track((*row).clone()),
                Some(Fate::Stands) => {
                    standing.push(&row.receipt);
                    continue 'groups;
                }
                Some(Fate::TakenBack) => continue 'groups,
                Some(Fate::Unknown) => reason = UnresolvedReason::Untrackable,
                Some(Fate::Unanswered) => silent = true,
            }
        }
        unknown = unknown.or(Some(reason));
        unanswered |= silent;
    }
    match (unknown, &*standing) {
        (Some(reason), _) if evidence.late && !unanswered => unresolved(reason),
        (Some(_), _) => Conclusion::NotYet,
        (None, []) => Conclusion::TakenBack(found()),
        (None, [receipt]) => Conclusion::Confirmed((*receipt).clone()),
        (None, _) => unresolved(UnresolvedReason::BoughtTwice),
    }
}

/// Whether the time of a row names one purchase alone (R12).
fn names_one(row: &Row, ours: &[&Row], evidence: &Evidence<'_>) -> bool {
    let same_time = |other: &Row| {
        let apart = (at(other) - at(row)).abs();
        // A whole second may be a rounded one, or one that was cut.
        let coarse = row.coarse || other.coarse;
        if coarse { apart <= TimeDelta::seconds(1) } else { apart < TimeDelta::milliseconds(1) }
    };
    // The same purchase, on the other list.
    let twin = |other: &Row| {
        let coarse = row.coarse || other.coarse;
        other.list != row.list && other.receipt.impact == row.receipt.impact && !coarse
    };
    let is_ours = |other: &Row| ours.iter().any(|row| std::ptr::eq(*row, other));
    let another = |other: &Row| same_time(other) && !is_ours(other) && !twin(other);
    // Whole seconds may be those of a purchase that does not show yet, or not here.
    let all_show = evidence.late && evidence.whole && evidence.readable;
    (!row.coarse || all_show) && !evidence.rows.near(at(row)).any(another)
}

fn at(row: &Row) -> DateTime<Utc> {
    row.receipt.time_utc.datetime()
}

/// Whether a row or a receipt may be the purchase: it has its kind and amount, and is
/// not certainly another customer's.
fn is_as_asked(receipt: &Receipt, purchase: &Purchase) -> bool {
    receipt.impact == purchase.impact()
        && receipt.customer.as_ref().is_none_or(|shown| {
            purchase.customer().is_some_and(|asked| {
                may_be_the_same(shown.customer_email.as_str(), &asked.customer_email)
            })
        })
}

/// The marker of a row, if it is one and intact (R8).
fn intact_marker(receipt: &Receipt) -> Option<&str> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let marker = receipt.metadata.get(Intent::METADATA_KEY)?;
    (marker.len() == MARKER_DIGITS && marker.bytes().all(digit)).then_some(marker)
}

/// Whether a row spells a marker in some other way: in another case, under another key,
/// inside one text, or cut (R8).
fn spells(receipt: &Receipt, marker: &str) -> bool {
    let whole = receipt.extra.get("metadata").into_iter();
    let values = receipt.metadata.iter().map(|(_, value)| value).chain(whole);
    values.filter_map(Value::as_str).map(str::to_ascii_lowercase).any(|text| {
        text.contains(marker) || text.len() >= FEWEST_DIGITS && marker.starts_with(&text)
    })
}

/// Whether a row carries a marker, in whatever spelling (R8).
pub(crate) fn is_ours(receipt: &Receipt, marker: &str) -> bool {
    match intact_marker(receipt) {
        Some(intact) => intact == marker,
        None => spells(receipt, marker),
    }
}

/// The two halves of an address in lower case, without its tag.
fn folded(address: &str) -> (String, String) {
    let address = address.to_lowercase();
    let (local, domain) = address.rsplit_once('@').unwrap_or(("", &address));
    (local.split('+').next().unwrap_or_default().to_owned(), domain.to_owned())
}

/// Whether two addresses may be one: in another case, without its tag, with its domain
/// in Unicode or punycode.
fn may_be_the_same(shown: &str, asked: &Email) -> bool {
    let ((shown, shown_domain), (asked, asked_domain)) = (folded(shown), folded(asked.as_str()));
    let same_local = shown == asked || !shown.is_ascii() || !asked.is_ascii();
    // Some letters become others, and a dot may be one that is not ASCII.
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
