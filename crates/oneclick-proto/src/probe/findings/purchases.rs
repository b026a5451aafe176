//! Receipts, cancellations and tracking.

use super::times::came_and_went;
use super::{likely, refusal, seen, unknown};
use crate::probe::evidence::{Answer, Evidence, Failure};
use crate::probe::plan::{FIRST, ORDERS, Question, TAGGED_ORDER, TrackedBy, View};
use crate::probe::report::Finding;
use crate::value::ImpactId;

pub(super) fn receipts(evidence: &Evidence) -> Finding {
    let subject = "receipt";
    let mut receipts = 0;
    let (mut crossed, mut bare, mut fraction) = (0, 0, 0);
    for reply in &evidence.replies {
        let (Question::Buy(order), Answer::Receipt(receipt, written)) =
            (reply.question, &reply.answer)
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
        () if evidence.crossed.is_some() => {
            seen(subject, "of_another_purchase", evidence.crossed.unwrap_or_default())
        }
        () if bare > 0 => seen(subject, "without_customer", basis(bare)),
        () if fraction > 0 => seen(subject, "amount_as_fraction", basis(fraction)),
        () => likely(subject, "own", basis(receipts)),
    }
}

/// When a cancellation takes effect, as tracking shows it.
pub(super) fn cancellation(evidence: &Evidence) -> Finding {
    let subject = "cancel";
    let cancelled = evidence.answers(Question::Cancel(FIRST)).next();
    let Some(cancelled) = cancelled else { return unknown(subject, "nothing was cancelled") };
    if let Answer::Failed(failure) = cancelled.answer {
        return refused(subject, failure);
    }
    let tracked = evidence.receipt(FIRST).map(ImpactId::from);
    if tracked.is_none() || tracked != evidence.id(FIRST) {
        return unknown(subject, "the tracked impact is another one than the cancelled one");
    }
    let since = cancelled.answered;
    let tracked = evidence.answers(Question::Track(FIRST, TrackedBy::Account));
    let mut tracked =
        tracked.filter(|reply| reply.asked >= since).filter_map(|reply| match &reply.answer {
            Answer::Tracking(tracking) => Some((reply, tracking.cancelled_on.is_some())),
            _ => None,
        });
    match tracked.next() {
        None => unknown(subject, "the cancelled impact could not be tracked"),
        Some((_, true)) => seen(subject, "at_once", "/v1/track shows it right after it"),
        Some(_) if came_and_went(evidence) => {
            unknown(subject, "records come and go, so a late replica may have been asked")
        }
        Some((_, false)) => match tracked.find(|(_, effective)| *effective) {
            Some((reply, _)) => {
                let delay = reply.answered.saturating_sub(since).as_secs_f64();
                seen(subject, "later", format!("/v1/track shows it after {delay:.1} s"))
            }
            None => seen(subject, "later", "/v1/track did not show it while the probe waited"),
        },
    }
}

pub(super) fn cancel_repeat(evidence: &Evidence) -> Finding {
    let subject = "cancel_repeat";
    match evidence.answers(Question::CancelAgain).next().map(|reply| &reply.answer) {
        Some(Answer::Cancellation(repeat)) if repeat.impact.kind.as_str().is_empty() => {
            seen(subject, "four_fields", "the second response has no amount")
        }
        Some(Answer::Cancellation(_)) => {
            seen(subject, "all_fields", "the second response has the amount")
        }
        Some(Answer::Failed(failure)) => refused(subject, *failure),
        _ => unknown(subject, "nothing was cancelled"),
    }
}

/// The failure of a cancellation.
fn refused(subject: &str, failure: Failure) -> Finding {
    match (refusal(failure), failure.status) {
        (Some(status), _) => seen(subject, "refused", format!("the status is {status}")),
        (None, Some(status)) => {
            unknown(subject, &format!("the status {status} does not say whether it was refused"))
        }
        (None, None) => unknown(subject, "no response arrived"),
    }
}

/// Whether the record of a cancelled purchase stays.
pub(super) fn records_afterwards(evidence: &Evidence) -> Finding {
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

pub(super) fn tracked_from(evidence: &Evidence) -> Finding {
    let subject = "track_from";
    match tracked(evidence, Question::Track(FIRST, TrackedBy::Account)) {
        Some(true) => likely(subject, "at_once", "tracked right after its receipt"),
        Some(false) => seen(subject, "later", "not known right after its receipt"),
        None => unknown(subject, "the first purchase could not be tracked"),
    }
}

pub(super) fn track_by(evidence: &Evidence) -> Finding {
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

fn tracked(evidence: &Evidence, question: Question) -> Option<bool> {
    evidence.answers(question).next().and_then(|reply| match &reply.answer {
        Answer::Tracking(_) => Some(true),
        Answer::Failed(failure) => {
            matches!(failure.status, Some(400 | 404 | 410 | 422)).then_some(false)
        }
        _ => None,
    })
}
