//! Faults: what goes wrong with a request, and in which phase.

mod effect;
mod rule;

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use oneclick_proto::{ErrorBody, ErrorType};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use effect::{Delivered, Delivery};
pub(crate) use rule::EXAMPLE;
pub(super) use rule::Faults;
pub use rule::{FaultRule, InvalidRule, When};

use super::problem::{self, Problem, got, http_date, json_response, unknown};

/// Declares [`Fault`]. The value beside a field is its default in JSON.
macro_rules! faults {
    (
        $(#[$meta:meta])*
        Fault {
            $(
                $(#[$doc:meta])*
                $name:ident $({
                    $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)*
                })?,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $name $({ $($(#[$field_doc])* $field: $type,)* })?,)*
        }

        impl Fault {
            /// One of each, with the defaults of its fields.
            pub(crate) const ALL: &'static [Self] =
                &[$(Self::$name $({ $($field: $default,)* })?,)*];

            /// Sets one of its fields; `false` if the field cannot have the value.
            fn set(&mut self, field: &str, value: &Value) -> bool {
                match self {
                    $(Self::$name $({ $($field,)* })? => {
                        $($(if field == stringify!($field) {
                            let value = serde_json::from_value(value.clone());
                            return value.map(|value| *$field = value).is_ok();
                        })*)?
                    })*
                }
                false
            }
        }
    };
}

faults! {
    /// What goes wrong with a request, and in which phase.
    ///
    /// In JSON a fault is its name in snake case, such as `"apply_then_drop"`, or an object
    /// with its name and fields, such as `{"cut_response":{"at":10}}`. A field that is left out
    /// has its default, so every fault can be given by its name alone.
    Fault {
        /// Refused with 429 before it is applied.
        RateLimited {
            /// The `Retry-After` header of the response. Default: `None`, no such header.
            retry_after: Option<RetryAfter> = None,
        },
        /// Refused with 500 and an `api_error` before it is applied.
        ServerError,
        /// Refused before it is applied by something in front of the API: 503 with HTML.
        Unavailable,
        /// Answered by something in front of the API, such as a gateway, a cache or a load
        /// balancer.
        Gateway {
            /// The status, from 200 to 599; 301, 302, 303, 307 and 308 redirect to the path
            /// of the request. Default, and used for any other number: 502.
            status: u16 = 502,
            /// Whether the API applies the request. Default: `true`.
            applied: bool = true,
            /// The body; 204, 205 and 304 never have one. Default: an HTML page.
            body: GatewayBody = GatewayBody::Html,
        },
        /// Not applied; the connection closes without a response.
        DropBefore,
        /// The connection closes without a response, and the request is applied later. A
        /// request that only reads has no effect.
        DropThenApply {
            /// How much later, in milliseconds of the emulator's clock. Default: 5,000.
            millis: u64 = 5_000,
        },
        /// Applied; the connection closes without a response.
        ApplyThenDrop,
        /// Applied; the response is a 500 with an `api_error`.
        ApplyThenError,
        /// Applied at once; the response is late.
        LateResponse {
            /// How late, in milliseconds of the machine's clock. Default: 5,000.
            millis: u64 = 5_000,
        },
        /// Applied; the connection closes in the middle of the response's body.
        CutResponse {
            /// How many bytes of the body arrive; all of them if it has fewer. Default: 10.
            at: usize = 10,
        },
        /// Applied; the response is HTTP/1.0 without a `Content-Length`, so nothing shows
        /// whether its body is complete.
        NoLength {
            /// How many bytes of the body arrive. Default: `None`, all of them.
            at: Option<usize> = None,
        },
        /// Applied; the response is a 200 whose body is not JSON.
        Garbage,
        /// Applied; the response is not HTTP.
        NotHttp,
        /// Applied; the response's `Content-Length` is wrong.
        WrongLength {
            /// How many bytes more than the body has. If it is positive, the connection
            /// closes before that many have arrived; if it is negative, more arrive than
            /// announced. Default: 10.
            by: i32 = 10,
        },
        /// Applied; the response's body arrives byte by byte.
        SlowBytes {
            /// The pause before each byte, in milliseconds of the machine's clock.
            /// Default: 100.
            millis: u64 = 100,
        },
        /// The connection stays open without a response until the client closes it.
        NeverRespond {
            /// Whether the request is applied. Default: `true`.
            applied: bool = true,
        },
        /// Applied, with the usual response, but lists, totals, days, customers, tracking and
        /// cancelling do not see the purchase until later. A request that buys nothing is not
        /// affected.
        Hidden {
            /// How much later, in milliseconds of the emulator's clock. Default: 5,000.
            millis: u64 = 5_000,
        },
    }
}

/// The body of a response that [`Fault::Gateway`] makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GatewayBody {
    /// An HTML page.
    #[default]
    Html,
    /// `{"message":"…"}`, without the `type` that the API's errors have.
    Message,
    /// An error as the API writes it, with `type` and `message`.
    ApiError,
    /// An empty body.
    Empty,
    /// The API's own body: the receipt, or an error if the request was not applied.
    Own,
}

/// The two forms of the `Retry-After` header (RFC 9110, 10.2.3), both in seconds from now.
///
/// In JSON `{"seconds":7}` and `{"date":7}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// As a number of seconds.
    Seconds(u32),
    /// As an HTTP date.
    Date(u32),
}

impl Fault {
    /// Reads a fault from JSON: its name, or an object with its name and some of its fields.
    fn read(value: &Value) -> Result<Self, Problem> {
        let none = Map::new();
        let (name, given) = match value {
            Value::String(name) => (name, &none),
            Value::Object(object) => match object.iter().next() {
                Some((name, Value::Object(fields))) if object.len() == 1 => (name, fields),
                _ => return Err(not_a_fault(value)),
            },
            _ => return Err(not_a_fault(value)),
        };
        let default = Self::ALL.iter().find(|fault| fault.parts().0 == *name);
        let Some(default) = default else {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.parts().0).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let example = format!("; for example {EXAMPLE}");
            return Err(unknown("fault", &[name], "a rule", &names).hint(&example));
        };
        let hint = format!("; for example {}", default.example());
        let (_, fields) = default.parts();
        let known: Vec<_> = fields.keys().map(String::as_str).collect();
        let mut fault = default.clone();
        for (field, value) in given {
            if !known.contains(&field.as_str()) {
                return Err(unknown("field", &[field], name, &known).hint(&hint));
            }
            if !fault.set(field, value) {
                let message = format!("`{field}` of {name} cannot be {}", got(value));
                return Err(Problem::invalid(message).hint(&hint));
            }
        }
        match fault {
            Self::Gateway { status, .. } if !GATEWAY_STATUSES.contains(&status) => {
                let message = format!("`status` of {name} must be from 200 to 599, got {status}");
                Err(Problem::invalid(message).hint(&hint))
            }
            fault => Ok(fault),
        }
    }

    /// Its name in JSON, and its fields.
    fn parts(&self) -> (String, Map<String, Value>) {
        let json = json!(self);
        let key = || json.as_object()?.keys().next().map(String::as_str);
        let name = json.as_str().or_else(key).unwrap_or_default().to_owned();
        let fields = json.get(&name).and_then(Value::as_object).cloned();
        (name, fields.unwrap_or_default())
    }

    /// A rule with this fault, as JSON.
    fn example(&self) -> String {
        let fault = match self {
            // The default of these shows no value.
            Self::RateLimited { .. } => {
                &Self::RateLimited { retry_after: Some(RetryAfter::Seconds(7)) }
            }
            Self::NoLength { .. } => &Self::NoLength { at: Some(10) },
            fault => fault,
        };
        json!({ "fault": fault }).to_string()
    }

    /// The response to a request that is not applied; `None` if it is applied. It is an
    /// error even where no response arrives, so that nobody takes it for success.
    pub(super) fn refusal(&self, now: DateTime<Utc>) -> Option<Response<Vec<u8>>> {
        match self {
            Self::RateLimited { retry_after } => Some(rate_limited(*retry_after, now)),
            Self::ServerError => Some(server_error("an injected error")),
            Self::Unavailable => {
                let text = "<html><body><h1>503 Service Unavailable</h1></body></html>";
                Some(html(StatusCode::SERVICE_UNAVAILABLE, text.to_owned()))
            }
            Self::DropBefore
            | Self::DropThenApply { .. }
            | Self::NeverRespond { applied: false }
            | Self::Gateway { applied: false, .. } => {
                Some(server_error("an injected fault kept the request from being applied"))
            }
            Self::ApplyThenDrop
            | Self::ApplyThenError
            | Self::LateResponse { .. }
            | Self::Gateway { applied: true, .. }
            | Self::CutResponse { .. }
            | Self::NoLength { .. }
            | Self::Garbage
            | Self::NotHttp
            | Self::WrongLength { .. }
            | Self::SlowBytes { .. }
            | Self::NeverRespond { applied: true }
            | Self::Hidden { .. } => None,
        }
    }

    /// For how many milliseconds readers do not see what is bought.
    pub(super) fn hides_for(&self) -> Option<u64> {
        match *self {
            Self::Hidden { millis } => Some(millis),
            _ => None,
        }
    }

    /// After how many milliseconds a request is applied that is not applied at once.
    pub(super) fn applies_after(&self) -> Option<u64> {
        match *self {
            Self::DropThenApply { millis } => Some(millis),
            _ => None,
        }
    }

    /// The response that is sent instead of the API's response to a request of this path.
    pub(super) fn replace(&self, response: Response<Vec<u8>>, path: &str) -> Response<Vec<u8>> {
        match self {
            Self::Gateway { status, body, .. } => gateway(*status, *body, response, path),
            Self::ApplyThenError => server_error("an injected error"),
            Self::Garbage => response.map(|_| b"{\"user_id\": \xff\xfe garbage".to_vec()),
            _ => response,
        }
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The JSON value is neither a name nor an object with one name.
fn not_a_fault(value: &Value) -> Problem {
    let forms = "the name of a fault, or an object with its name and fields";
    let message = format!("`fault` must be {forms}, got {}", got(value));
    let example =
        r#"; for example {"fault":"apply_then_drop"} or {"fault":{"cut_response":{"at":10}}}"#;
    Problem::invalid(message).hint(example)
}

/// The statuses that a gateway can respond with.
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
        GatewayBody::Message => json_response(status, &json!({ "message": WORDS })),
        GatewayBody::ApiError => json_response(status, &ErrorBody::new(ErrorType::ApiError, WORDS)),
        GatewayBody::Empty => problem::response(status, Vec::new()),
        GatewayBody::Own => problem::response(status, own.into_body()),
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

/// The message of a gateway.
const WORDS: &str = "an injected response of a gateway";

fn html(status: StatusCode, text: String) -> Response<Vec<u8>> {
    let mut response = problem::response(status, text.into_bytes());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

fn server_error(message: &str) -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, message);
    json_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

fn rate_limited(retry_after: Option<RetryAfter>, now: DateTime<Utc>) -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, "an injected rate limit");
    let mut response = json_response(StatusCode::TOO_MANY_REQUESTS, &body);
    let value = match retry_after {
        None => return response,
        Some(RetryAfter::Seconds(seconds)) => Some(HeaderValue::from(seconds)),
        Some(RetryAfter::Date(seconds)) => {
            let later = TimeDelta::seconds(seconds.into());
            http_date(now.checked_add_signed(later).unwrap_or(now))
        }
    };
    // A client can use a date only if it knows the server's time.
    for (name, value) in [(RETRY_AFTER, value), (DATE, http_date(now))] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
