//! When records show, and the server's clocks.

use std::time::Duration;

use chrono::TimeDelta;

use super::lists::would_show;
use super::{likely, seen, unknown};
use crate::probe::evidence::{Answer, Evidence, Reply};
use crate::probe::plan::{ORDERS, Question, View};
use crate::probe::report::{Finding, Measured};

pub(super) fn visibility(evidence: &Evidence, delays: &[Duration]) -> Finding {
    let subject = "visibility";
    let shown = shown(evidence);
    let Some(worst) = delays.last() else {
        let reason = match evidence.receipts().next() {
            Some(_) => "no record of a purchase was found",
            None => "no receipt arrived, from which the time would count",
        };
        return unknown(subject, reason);
    };
    let missing = missing(evidence).len();
    let basis = format!(
        "{} purchases: the last one could be read after {:.1} s{}",
        delays.len(),
        worst.as_secs_f64(),
        if missing > 0 { format!(", {missing} not at all") } else { String::new() },
    );
    if came_and_went(evidence) {
        return seen(subject, "replicas", format!("{basis}; records came and went"));
    }
    if shown.iter().all(|shown| shown.at_once) {
        return likely(subject, "at_once", basis);
    }
    seen(subject, "after", basis)
}

/// How long after its receipt each record could be read at the latest, in ascending order.
/// A record that never showed is left out.
pub(super) fn delays(evidence: &Evidence) -> Vec<Duration> {
    let mut delays: Vec<_> = shown(evidence).iter().filter_map(|shown| shown.delay).collect();
    delays.sort_unstable();
    delays
}

/// For how long each record was looked for that never showed.
pub(super) fn missing(evidence: &Evidence) -> Vec<Duration> {
    let shown = shown(evidence).into_iter();
    shown.filter(|shown| shown.delay.is_none()).map(|shown| shown.looked_for).collect()
}

/// When the record of a purchase showed.
struct Shown {
    /// Whether it showed at the first reading after the purchase.
    at_once: bool,
    /// Until when it showed, after the receipt; `None` if it never did.
    delay: Option<Duration>,
    /// From the receipt to the last reading.
    looked_for: Duration,
}

/// Each own purchase whose record some page would show.
fn shown(evidence: &Evidence) -> Vec<Shown> {
    let newest = Question::Own(View::Newest);
    let own = evidence.maybe_bought().filter(|order| ORDERS[*order].customer.is_none());
    own.filter_map(|order| {
        let bought = evidence.bought_at(order)?;
        let receipt = evidence.receipt(order)?;
        let mut readings = evidence.newest(newest).filter(|(reply, page)| {
            let there = evidence.shows(order, page);
            reply.asked >= bought && (there || would_show(page, receipt))
        });
        let after = |reply: &Reply| reply.answered.saturating_sub(bought);
        let (first, page) = readings.next()?;
        let mut shown = Shown { at_once: false, delay: None, looked_for: after(first) };
        if evidence.shows(order, page) {
            return Some(Shown { at_once: true, delay: Some(after(first)), ..shown });
        }
        for (reply, page) in readings {
            shown.looked_for = after(reply);
            if evidence.shows(order, page) {
                shown.delay = Some(shown.looked_for);
                break;
            }
        }
        Some(shown)
    })
    .collect()
}

/// Whether a record did not show at the first reading after its purchase, or not always.
pub(super) fn shows_late(evidence: &Evidence) -> bool {
    shown(evidence).iter().any(|shown| !shown.at_once) || came_and_went(evidence)
}

/// What is known of the time that records take to show.
pub(super) struct Timing {
    /// Whether all records showed at the first reading after their purchase.
    at_once: bool,
    /// Whether a record was there in one reading and missing in a later one.
    pub(super) came_and_went: bool,
}

impl Timing {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let shown = shown(evidence);
        let at_once = !shown.is_empty() && shown.iter().all(|shown| shown.at_once);
        Self { at_once, came_and_went: came_and_went(evidence) }
    }

    /// Whether a record has to show in what is asked at this time, unless the request hides
    /// it: a page showed it before, or every record showed at once.
    pub(super) fn must_show(&self, evidence: &Evidence, order: usize, asked: Duration) -> bool {
        let was_there = || {
            let before = evidence.replies.iter().filter(|reply| reply.answered <= asked);
            before.filter_map(Reply::page).any(|page| evidence.shows(order, page))
        };
        let bought = || evidence.bought_at(order).is_some_and(|bought| bought <= asked);
        !self.came_and_went && ((self.at_once && bought()) || was_there())
    }

    /// A finding, unless it is one of these values and a record that shows late, or comes and
    /// goes, would explain it too.
    pub(super) fn unless_late(
        &self,
        evidence: &Evidence,
        finding: Finding,
        values: &[&str],
        (order, question): (usize, Question),
    ) -> Finding {
        let asked = evidence.answers(question).map(|reply| reply.asked).min();
        if !values.contains(&&*finding.value)
            || asked.is_some_and(|asked| self.must_show(evidence, order, asked))
        {
            return finding;
        }
        unknown(&finding.subject, "records show late, or come and go, which looks the same")
    }
}

/// Whether a record was there in one reading and missing in a later one.
pub(super) fn came_and_went(evidence: &Evidence) -> bool {
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

pub(super) fn clock(measured: &Measured) -> Finding {
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

/// How far the server's times are ahead of the client's clock: the median, since a receipt may
/// be that of an older purchase.
pub(super) fn clock_ahead(evidence: &Evidence) -> Option<i64> {
    let began = evidence.replies.first()?.asked;
    let ahead = evidence.replies.iter().filter_map(|reply| {
        let Answer::Receipt(receipt, _) = &reply.answer else { return None };
        let client =
            evidence.client_clock + TimeDelta::from_std(reply.asked.saturating_sub(began)).ok()?;
        Some((receipt.time_utc.datetime() - client).num_seconds())
    });
    let mut ahead: Vec<_> = ahead.collect();
    ahead.sort_unstable();
    ahead.get(ahead.len() / 2).copied()
}

pub(super) fn date_header(evidence: &Evidence, ahead: Option<i64>) -> Finding {
    let subject = "date";
    let answered = |reply: &&Reply| match &reply.answer {
        Answer::Failed(failure) => failure.status.is_some(),
        _ => true,
    };
    let responses = evidence.replies.iter().filter(answered).count();
    let dated = evidence.replies.iter().filter(|reply| reply.date.is_some()).count();
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

/// How far `Date` may be from `time_utc`, in milliseconds: it is in whole seconds, and a
/// little later.
const DATE_TOLERANCE: i64 = 1_500;

/// How far `Date` is ahead of the times of receipts, in milliseconds and ascending order.
pub(super) fn dates_ahead(evidence: &Evidence) -> Vec<i64> {
    let mut ahead: Vec<_> = evidence
        .replies
        .iter()
        .filter_map(|reply| match &reply.answer {
            Answer::Receipt(receipt, _) => {
                Some((reply.date? - receipt.time_utc.datetime()).num_milliseconds())
            }
            _ => None,
        })
        .collect();
    ahead.sort_unstable();
    ahead
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
