//! Faults on purpose: what goes wrong with a request.

mod rule;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use oneclick_proto::{ErrorBody, ErrorType};
use serde::{Deserialize, Serialize};

pub(super) use rule::Faults;
pub use rule::{FaultRule, InvalidRule, When};

use super::problem::{answer, json};

/// What goes wrong with a request. Each names the phase in which it does.
///
/// In JSON a fault is its name in snake case, with its fields if it has any:
/// `"apply_then_drop"`, `{"cut_answer":{"at":10}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// Refused before it was applied: 429.
    RateLimited {
        /// The `Retry-After` of the answer; `None` for an answer without.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// Refused before it was applied: 500, `api_error`.
    ServerError,
    /// Refused before it was applied, by something in front of the API: 503
    /// with HTML.
    Unavailable,
    /// Not applied; the connection closes without an answer.
    DropBefore,
    /// Applied; the connection closes without an answer.
    ApplyThenDrop,
    /// Applied, and answered with 500, `api_error`.
    ApplyThenError,
    /// Applied at once, and answered later.
    AnswerLate {
        /// How much later, in milliseconds of the machine's clock.
        millis: u64,
    },
    /// Applied; the answer's body breaks off, and the connection closes.
    CutAnswer {
        /// How many bytes of the body arrive; all of them if it has fewer.
        at: usize,
    },
    /// Applied, and answered with 200 and a body that is not JSON.
    Garbage,
    /// Applied, and answered with bytes that are not HTTP.
    NotHttp,
    /// Applied; the answer's `Content-Length` is wrong.
    WrongLength {
        /// By how many bytes: above zero, the connection closes before as much has
        /// arrived; below, more arrives than was announced.
        by: i32,
    },
    /// Applied; the answer's body arrives byte by byte.
    SlowBytes {
        /// The pause before each byte, in milliseconds of the machine's clock.
        millis: u64,
    },
    /// The connection stays open, and silent, until the client closes it.
    NeverAnswer {
        /// Whether it was applied.
        applied: bool,
    },
    /// Applied and answered, but readers see it only later: lists, totals,
    /// days, customers, tracking and cancelling. A request that buys nothing is
    /// answered as usual.
    Hidden {
        /// How much later, in milliseconds of the sandbox's clock.
        millis: u64,
    },
}

/// The two ways to write `Retry-After` (RFC 9110, 10.2.3), both in seconds from
/// now.
///
/// In JSON `{"seconds":7}` and `{"date":7}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// As a number.
    Seconds(u32),
    /// As a date.
    Date(u32),
}

impl Fault {
    /// The answer of a request that is not applied; `None` if it is. Where no
    /// answer arrives it is an error too, so that nobody takes it for success.
    pub(super) fn refusal(&self, now: DateTime<Utc>) -> Option<Response<Vec<u8>>> {
        match self {
            Self::RateLimited { retry_after } => Some(rate_limited(*retry_after, now)),
            Self::ServerError => Some(server_error("an error on purpose")),
            Self::Unavailable => {
                let html = b"<html><body><h1>503 Service Unavailable</h1></body></html>";
                let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, html.to_vec());
                let text = HeaderValue::from_static("text/html");
                response.headers_mut().insert(CONTENT_TYPE, text);
                Some(response)
            }
            Self::DropBefore | Self::NeverAnswer { applied: false } => {
                Some(server_error("not applied and not answered, on purpose"))
            }
            Self::ApplyThenDrop
            | Self::ApplyThenError
            | Self::AnswerLate { .. }
            | Self::CutAnswer { .. }
            | Self::Garbage
            | Self::NotHttp
            | Self::WrongLength { .. }
            | Self::SlowBytes { .. }
            | Self::NeverAnswer { applied: true }
            | Self::Hidden { .. } => None,
        }
    }

    /// How long what is bought stays hidden.
    pub(super) fn hides(&self) -> Option<u64> {
        match *self {
            Self::Hidden { millis } => Some(millis),
            _ => None,
        }
    }

    /// The answer that takes the place of the one that was made.
    pub(super) fn replace(&self, response: Response<Vec<u8>>) -> Response<Vec<u8>> {
        match self {
            Self::ApplyThenError => server_error("an error on purpose"),
            Self::Garbage => response.map(|_| b"{\"user_id\": \xff\xfe garbage".to_vec()),
            _ => response,
        }
    }
}

fn server_error(message: &str) -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, message);
    answer(StatusCode::INTERNAL_SERVER_ERROR, json(&body))
}

fn rate_limited(retry_after: Option<RetryAfter>, now: DateTime<Utc>) -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, "too many requests, on purpose");
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, json(&body));
    let date = |moment: DateTime<Utc>| moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let value = match retry_after {
        None => return response,
        Some(RetryAfter::Seconds(seconds)) => seconds.to_string(),
        Some(RetryAfter::Date(seconds)) => {
            let later = TimeDelta::seconds(seconds.into());
            date(now.checked_add_signed(later).unwrap_or(now))
        }
    };
    // A date is of use only to those who know what time it is here.
    for (name, value) in [(RETRY_AFTER, value), (DATE, date(now))] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
