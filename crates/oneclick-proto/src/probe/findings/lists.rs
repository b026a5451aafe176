//! What the options of a list do: filters, order, dates, limit and cursor.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::times::{Timing, shows_late};
use super::{finding, likely, seen, unknown};
use crate::endpoint::Receipt;
use crate::probe::evidence::{Answer, Evidence, Failure, RecordsPage, is_undamaged};
use crate::probe::plan::{ORDERS, Question, View};
use crate::probe::report::{Certainty, Finding};
use crate::value::ImpactKind;

pub(super) fn filter_by(evidence: &Evidence, timing: &Timing) -> Finding {
    let subject = "filter_by";
    let listed = (0..5).filter(|order| ORDERS[*order].kind != ImpactKind::CoralRestored);
    let mut values: Vec<_> = listed.filter_map(|order| filtered(evidence, timing, order)).collect();
    let basis = format!("the lists of {} of the kinds in the reference", values.len());
    values.sort_unstable();
    values.dedup();
    match values[..] {
        [] => unknown(subject, "no list could be read that would show it"),
        [value] => seen(subject, value, basis),
        _ => seen(subject, "changing", format!("{basis}: {}", values.join(", "))),
    }
}

pub(super) fn unknown_filter(evidence: &Evidence, timing: &Timing) -> Finding {
    let subject = "unknown_filter";
    let coral = (0..5).find(|order| ORDERS[*order].kind == ImpactKind::CoralRestored);
    let coral = coral.and_then(|order| filtered(evidence, timing, order));
    let nonsense = match evidence.page(Question::Own(View::UnknownKind)) {
        None => match evidence.failure(Question::Own(View::UnknownKind)) {
            Some(Failure { status: Some(400), .. }) => "is refused",
            _ => "gets an unknown answer",
        },
        Some(page) if page.items.iter().any(is_ordinary) => "gets all kinds",
        Some(_) => "gets no row",
    };
    let Some(coral) = coral else {
        return unknown(subject, "no list could be read that would show it");
    };
    let basis = format!("filter_by=coral_restored; a name that is of no kind {nonsense}");
    seen(subject, coral, basis)
}

/// The effect of a filter for the kind of an order; `None` if it cannot be told.
fn filtered(evidence: &Evidence, timing: &Timing, order: usize) -> Option<&'static str> {
    let question = Question::Own(View::Kind(order));
    if let Some(failure) = evidence.failure(question) {
        return (failure.status == Some(400)).then_some("refused");
    }
    let page = evidence.page(question)?;
    let asked = evidence.answers(question).map(|reply| reply.asked).max()?;
    let kind = &ORDERS[order].kind;
    let must_show = |order| timing.must_show(evidence, order, asked);
    let rows = page.items.iter().filter(|row| is_ordinary(row));
    let kinds: Vec<_> = rows.map(|row| &row.impact.kind).collect();
    let own = (0..ORDERS.len()).filter(|order| ORDERS[*order].customer.is_none());
    // Records of another kind, which the list shows without the filter.
    let mut others = own.filter(|order| ORDERS[*order].kind != *kind);
    match () {
        () if kinds.iter().any(|found| *found != kind) => Some("everything"),
        () if kinds.is_empty() => must_show(order).then_some("empty"),
        () => others.any(must_show).then_some("honoured"),
    }
}

/// Whether a row is of a known kind, and not one that a server adds to each page.
pub(super) fn is_ordinary(row: &Receipt) -> bool {
    ImpactKind::KNOWN.contains(&row.impact.kind) && is_undamaged(row)
}

pub(super) fn sort_order(evidence: &Evidence) -> Finding {
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
    let pages = [&first, &second, &ascending, &next];
    let coarse = pages.iter().any(|page| is_coarse(page));
    match () {
        // Rows without order may come in one order by chance, but not in both.
        () if descends(&newest) && oldest.is_sorted() => {
            seen(subject, "honoured", "two pages of three rows in each order")
        }
        () if descends(&newest) && descends(&oldest) => {
            seen(subject, "ignored", "oldest first was asked for, newest first came")
        }
        () if ascends(&newest) && begins_with_oldest(evidence, &newest, coarse) => {
            seen(subject, "ignored", "newest first was asked for, oldest first came")
        }
        () if ascends(&oldest)
            && descends(&first)
            && first == reversed
            && begins_with_oldest(evidence, &oldest, coarse) =>
        {
            seen(subject, "within_page", "each page is newest first, the next one is newer")
        }
        () if newest.len() < 4 => unknown(subject, "the pages have too few rows"),
        () if coarse => unknown(subject, "times in whole seconds do not show the order"),
        () if shows_late(evidence) => unknown(subject, "records show late, which hides the order"),
        () => seen(subject, "unordered", "two pages of three rows in each order"),
    }
}

/// Whether ascending times are the oldest of all that the lists show. A few rows of a list
/// without order may ascend by chance, but are hardly the oldest ones.
fn begins_with_oldest(evidence: &Evidence, ascending: &[DateTime<Utc>], coarse: bool) -> bool {
    // A time may be written with milliseconds here and microseconds there.
    let mark = |time: &DateTime<Utc>| {
        if coarse { time.timestamp() } else { time.timestamp_millis() }
    };
    let Some(last) = ascending.last().map(mark) else { return false };
    let oldest: BTreeSet<_> = ascending.iter().map(mark).collect();
    let pages = evidence.newest(Question::Own(View::Newest));
    let mut known = pages.flat_map(|(_, page)| times(page));
    known.all(|time| mark(&time) > last || oldest.contains(&mark(&time)))
}

pub(super) fn times(page: &RecordsPage) -> Vec<DateTime<Utc>> {
    let rows = page.items.iter().filter(|row| is_ordinary(row));
    rows.map(|row| row.time_utc.datetime()).collect()
}

pub(super) fn descends(times: &[DateTime<Utc>]) -> bool {
    times.first() > times.last() && times.is_sorted_by(|one, other| one >= other)
}

fn ascends(times: &[DateTime<Utc>]) -> bool {
    times.first() < times.last() && times.is_sorted()
}

/// Whether all times are in whole seconds.
fn is_coarse(times: &[DateTime<Utc>]) -> bool {
    !times.is_empty() && times.iter().all(|time| time.timestamp_subsec_nanos() == 0)
}

/// Whether a bound includes its day.
pub(super) fn bounds(evidence: &Evidence, timing: &Timing, subject: &str, view: View) -> Finding {
    let question = Question::Own(view);
    let (Some(page), Some(day)) = (evidence.page(question), evidence.server_day()) else {
        return unknown(subject, "the day of the purchases, or its list, could not be read");
    };
    let asked = evidence.answers(question).map(|reply| reply.asked).max();
    let is_missing = |order| {
        let receipt = evidence.receipt(order);
        receipt.is_some_and(|receipt| would_show(page, receipt))
            && is_listed(evidence, order)
            && asked.is_some_and(|asked| timing.must_show(evidence, order, asked))
    };
    let shows = (0..ORDERS.len()).any(|order| evidence.shows(order, page));
    // Days begin at most 14 hours earlier than those of UTC.
    let too_old = |time: &DateTime<Utc>| {
        let begin = day.and_time(NaiveTime::MIN).and_utc();
        view == View::Since && *time < begin - TimeDelta::hours(14)
    };
    let without_bound = || evidence.newest(Question::Own(View::Newest)).map(|(_, page)| page);
    match () {
        () if times(page).iter().any(too_old) => {
            seen(subject, "ignored", "rows of earlier days came")
        }
        () if shows
            && page.cursor.is_none()
            && without_bound().flat_map(times).any(|time| too_old(&time)) =>
        {
            seen(subject, "inclusive", "the day of the purchases came, and no earlier one")
        }
        () if shows => {
            likely(subject, "inclusive", "the day of the purchases came, as it would unfiltered")
        }
        () if (0..ORDERS.len()).any(is_missing) => {
            seen(subject, "exclusive", "the day of the purchases did not come")
        }
        () => unknown(subject, "the page ends before the purchases, or records show late"),
    }
}

/// Whether an earlier page showed an order.
fn is_listed(evidence: &Evidence, order: usize) -> bool {
    evidence.newest(Question::Own(View::Newest)).any(|(_, page)| evidence.shows(order, page))
}

pub(super) fn days(evidence: &Evidence) -> Finding {
    let subject = "days";
    let (Some(utc), Some(server)) = (evidence.utc_day(), evidence.server_day()) else {
        return unknown(subject, "/v1/impact/daily does not show one day for the purchases");
    };
    let hour = evidence.began().map_or(0, |began| {
        (began - began.date_naive().and_time(NaiveTime::MIN).and_utc()).num_hours()
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

pub(super) fn limit(evidence: &Evidence) -> Finding {
    let subject = "limit";
    let one = evidence.page(Question::Own(View::One)).map(|page| times(page).len());
    if evidence.newest(Question::Own(View::Newest)).next().is_none() {
        return unknown(subject, "the lists could not be read");
    }
    if one.is_some_and(|rows| rows > 1) {
        return seen(subject, "ignored", "a page of one row was asked for, more came");
    }
    // Pages that were asked for with a limit of 1,000.
    let kinds = (0..5).map(View::Kind);
    let views =
        [View::Newest, View::UnknownKind, View::Since, View::Until].into_iter().chain(kinds);
    let pages = views.flat_map(|view| evidence.newest(Question::Own(view)));
    let sizes =
        pages.map(|(_, page)| (page.items.len() + page.malformed.len(), page.cursor.is_some()));
    let sizes: Vec<_> = sizes.collect();
    let largest = sizes.iter().map(|(rows, _)| *rows).max().unwrap_or_default();
    let short = sizes.iter().filter(|(rows, cursor)| *cursor && *rows < 998);
    let ends = short.map(|(rows, _)| *rows);
    match (ends.clone().min(), ends.max()) {
        (Some(least), Some(most)) if least == most && most == largest && most > 0 => {
            // A cursor may come with each page, so another page has to come without.
            let basis = format!("a page ends after {most} rows");
            if sizes.iter().any(|(_, cursor)| !cursor) {
                seen(subject, "capped", basis)
            } else {
                likely(subject, "capped", basis)
            }
        }
        (Some(_), _) => unknown(subject, "pages of several lengths have a cursor"),
        _ => likely(subject, "honoured", format!("pages of up to {largest} rows")),
    }
}

pub(super) fn cursors(evidence: &Evidence) -> Finding {
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
        Some(_) if shows_late(evidence) => {
            unknown(subject, "records show late, so the next page may lack the ones that are new")
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

/// What a cursor led to: the times of the rows, or a status.
struct Continued {
    asked: Duration,
    rows: Result<Vec<DateTime<Utc>>, u16>,
}

fn continued(evidence: &Evidence) -> Vec<Continued> {
    let of = |view| {
        let reply = evidence.answers(Question::Own(view)).next()?;
        let rows = match &reply.answer {
            Answer::Records(page) => Ok(times(page)),
            Answer::Failed(failure) => Err(failure.status?),
            _ => return None,
        };
        Some(Continued { asked: reply.asked, rows })
    };
    [View::NextTwoLater, View::NextTwoAtTheEnd].into_iter().filter_map(of).collect()
}

/// The greatest age at which the cursor was still valid.
pub(super) fn cursor_age(evidence: &Evidence) -> Option<Duration> {
    let made = evidence.answers(Question::Own(View::FirstTwo)).next()?.answered;
    let uses = continued(evidence);
    let valid = uses.iter().filter(|continued| continued.rows.is_ok());
    valid.map(|continued| continued.asked.saturating_sub(made)).max()
}

/// Whether a page would show a row that is listed.
pub(super) fn would_show(page: &RecordsPage, receipt: &Receipt) -> bool {
    let (times, time) = (times(page), receipt.time_utc.datetime());
    page.cursor.is_none() || (descends(&times) && times.last().is_some_and(|last| *last < time))
}
