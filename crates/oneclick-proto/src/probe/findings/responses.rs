//! Wrong requests, and headers that tell of limits.

use super::{likely, seen, unknown};
use crate::probe::evidence::{Answer, Evidence};
use crate::probe::plan::{Question, Wrong};
use crate::probe::report::Finding;

/// What a wrong request gets.
pub(super) fn wrong_request(evidence: &Evidence, wrong: Wrong) -> Finding {
    let subject = match wrong {
        Wrong::Value => "wrong_value",
        Wrong::Limit => "wrong_limit",
        Wrong::Key => "wrong_key",
        Wrong::Path => "wrong_path",
        Wrong::Method => "wrong_method",
    };
    let Some(reply) = evidence.answers(Question::Wrong(wrong)).next() else {
        return unknown(subject, "it was not asked");
    };
    match &reply.answer {
        Answer::Failed(failure) => {
            let Some(status) = failure.status else {
                return unknown(subject, "no response arrived");
            };
            let body = match (failure.has_type, failure.is_json) {
                (true, _) => "with a type and a message",
                (false, true) => "with other JSON",
                (false, false) => "without JSON",
            };
            let basis = format!("{status} {body}, {}", reply.content_type);
            match status {
                _ if status == wrong.status() => seen(subject, "refused", basis),
                // A server that is busy or out of order says nothing of the request.
                408 | 425 | 429 | 502..=504 => unknown(subject, &basis),
                200..=299 => likely(subject, "accepted", basis),
                300..=399 => seen(subject, "redirected", basis),
                _ => seen(subject, "refused_otherwise", basis),
            }
        }
        // The body may still tell of an error.
        _ => likely(subject, "accepted", "a 2xx response with JSON"),
    }
}

pub(super) fn limit_headers(evidence: &Evidence) -> Finding {
    let subject = "limit_headers";
    if evidence.limit_headers.is_empty() {
        return likely(subject, "none", format!("{} responses", evidence.replies.len()));
    }
    let names: Vec<_> = evidence.limit_headers.iter().copied().collect();
    seen(subject, "present", names.join(", "))
}
