//! Faults on purpose: what goes wrong with a request.

mod rule;

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use oneclick_proto::{ErrorBody, ErrorType};
use serde::{Deserialize, Serialize};

pub(super) use rule::Faults;
pub use rule::{FaultRule, InvalidRule, When};

use super::problem::{answer, http_date, json};

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
    /// Answered by something in front of the API, in its own words: a gateway, a
    /// cache, a load balancer.
    Gateway {
        /// The status, from 200 to 599; 301, 302, 303, 307 and 308 lead back to the
        /// path of the request. Any other number counts as 502.
        status: u16,
        /// Whether the API applied it.
        applied: bool,
        /// The body; 204, 205 and 304 never have one.
        #[serde(default)]
        body: GatewayBody,
    },
    /// Not applied; the connection closes without an answer.
    DropBefore,
    /// The connection closes without an answer; applied later, although nobody
    /// waits for it any more. A request that only reads has no effect.
    DropThenApply {
        /// How much later, in milliseconds of the emulator's clock.
        millis: u64,
    },
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
    /// Applied, and answered as HTTP/1.0 without a `Content-Length`: nothing says
    /// that a body is not whole.
    NoLength {
        /// How many bytes of the body arrive; all if `None`.
        #[serde(default)]
        at: Option<usize>,
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
        /// How much later, in milliseconds of the emulator's clock.
        millis: u64,
    },
}

/// The body of a [`Fault::Gateway`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GatewayBody {
    /// An HTML page.
    #[default]
    Html,
    /// `{"message":"…"}`, without the `type` of the API's errors.
    Message,
    /// An error as the API writes it, with `type` and `message`.
    ApiError,
    /// Nothing.
    Empty,
    /// The API's own: the receipt, or an error if it was not applied.
    Own,
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
                let text = "<html><body><h1>503 Service Unavailable</h1></body></html>";
                Some(html(StatusCode::SERVICE_UNAVAILABLE, text.to_owned()))
            }
            Self::DropBefore
            | Self::DropThenApply { .. }
            | Self::NeverAnswer { applied: false }
            | Self::Gateway { applied: false, .. } => {
                Some(server_error("not applied and not answered, on purpose"))
            }
            Self::ApplyThenDrop
            | Self::ApplyThenError
            | Self::AnswerLate { .. }
            | Self::Gateway { applied: true, .. }
            | Self::CutAnswer { .. }
            | Self::NoLength { .. }
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

    /// After how many milliseconds a request that was not applied is.
    pub(super) fn applies_after(&self) -> Option<u64> {
        match *self {
            Self::DropThenApply { millis } => Some(millis),
            _ => None,
        }
    }

    /// The answer that takes the place of the one that was made to a request of
    /// this path.
    pub(super) fn replace(&self, response: Response<Vec<u8>>, path: &str) -> Response<Vec<u8>> {
        match self {
            Self::Gateway { status, body, .. } => gateway(*status, *body, response, path),
            Self::ApplyThenError => server_error("an error on purpose"),
            Self::Garbage => response.map(|_| b"{\"user_id\": \xff\xfe garbage".to_vec()),
            _ => response,
        }
    }
}

/// The statuses that a gateway can answer with.
const GATEWAY_STATUSES: RangeInclusive<u16> = 200..=599;

fn gateway(
    status: u16,
    body: GatewayBody,
    own: Response<Vec<u8>>,
    path: &str,
) -> Response<Vec<u8>> {
    let status = Some(status).filter(|status| GATEWAY_STATUSES.contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = match body {
        GatewayBody::Html => {
            let text = format!("<html><body><h1>{status}</h1></body></html>");
            html(status, text)
        }
        GatewayBody::Message => answer(status, json(&serde_json::json!({ "message": WORDS }))),
        GatewayBody::ApiError => answer(status, json(&ErrorBody::new(ErrorType::ApiError, WORDS))),
        GatewayBody::Empty => answer(status, Vec::new()),
        GatewayBody::Own => answer(status, own.into_body()),
    };
    if matches!(status.as_u16(), 204 | 205 | 304) {
        response.body_mut().clear();
    }
    if response.body().is_empty() {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    if let (301..=303 | 307 | 308, Ok(path)) = (status.as_u16(), HeaderValue::try_from(path)) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// What a gateway says.
const WORDS: &str = "the gateway has something to say, on purpose";

fn html(status: StatusCode, text: String) -> Response<Vec<u8>> {
    let mut response = answer(status, text.into_bytes());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

fn server_error(message: &str) -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, message);
    answer(StatusCode::INTERNAL_SERVER_ERROR, json(&body))
}

fn rate_limited(retry_after: Option<RetryAfter>, now: DateTime<Utc>) -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, "too many requests, on purpose");
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, json(&body));
    let value = match retry_after {
        None => return response,
        Some(RetryAfter::Seconds(seconds)) => Some(HeaderValue::from(seconds)),
        Some(RetryAfter::Date(seconds)) => {
            let later = TimeDelta::seconds(seconds.into());
            http_date(now.checked_add_signed(later).unwrap_or(now))
        }
    };
    // A date is of use only to those who know what time it is here.
    for (name, value) in [(RETRY_AFTER, value), (DATE, http_date(now))] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
