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
    let Some(exchange) = evidence.answers(Question::Wrong(wrong)).next() else {
        return unknown(subject, "it was not asked");
    };
    match &exchange.answer {
        Answer::Failed(failure) => {
            let Some(status) = failure.status else {
                return unknown(subject, "no response arrived");
            };
            let body = match (failure.has_type, failure.is_json) {
                (true, _) => "with a type and a message",
                (false, true) => "with other JSON",
                (false, false) => "without JSON",
            };
            let value = if status == wrong.status() { "refused" } else { "refused_otherwise" };
            seen(subject, value, format!("{status} {body}, {}", exchange.content_type))
        }
        _ => seen(subject, "accepted", "a 2xx response"),
    }
}

pub(super) fn limit_headers(evidence: &Evidence) -> Finding {
    let subject = "limit_headers";
    if evidence.limit_headers.is_empty() {
        return likely(subject, "none", format!("{} responses", evidence.exchanges.len()));
    }
    let names: Vec<_> = evidence.limit_headers.iter().copied().collect();
    seen(subject, "present", names.join(", "))
}
