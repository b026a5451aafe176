//! Faults on purpose: what goes wrong with a request, and with which ones.

use std::error::Error;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use oneclick_proto::{ErrorBody, ErrorType};
use serde::{Deserialize, Serialize};

use super::hash::hash;
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
        /// The `Retry-After` of the answer.
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
        /// How much later.
        millis: u64,
    },
    /// Applied; the answer's body breaks off, and the connection closes.
    CutAnswer {
        /// How many bytes of the body arrive.
        at: usize,
    },
    /// Applied, and answered with 200 and a body that is not JSON.
    Garbage,
    /// Applied, and answered with bytes that are not HTTP.
    NotHttp,
    /// Applied; the answer's `Content-Length` is wrong.
    WrongLength {
        /// By how much: above zero, the connection closes before as much has
        /// arrived; below, more arrives than was announced.
        by: i32,
    },
    /// Applied; the answer's body arrives byte by byte.
    SlowBytes {
        /// The pause before each byte.
        millis: u64,
    },
    /// The connection stays open, and silent.
    NeverAnswer {
        /// Whether it was applied.
        applied: bool,
    },
    /// Applied and answered, but readers see it only later: lists, totals,
    /// days, tracking and cancelling.
    Hidden {
        /// How much later, by the sandbox's clock.
        millis: u64,
    },
}

/// The two ways to write `Retry-After`, both in seconds from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// As a number.
    Seconds(u32),
    /// As a date.
    Date(u32),
}

/// A fault, and the requests that it hits. What the API refuses for its form
/// anyway is no such request.
///
/// ```
/// use oneclick_sandbox::{Fault, FaultRule};
///
/// let rule = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(3);
/// let json = r#"{"fault":"apply_then_drop","path":"/v1/plant_tree","times":3}"#;
/// assert_eq!(serde_json::from_str::<FaultRule>(json).unwrap(), rule);
/// assert_eq!(serde_json::to_string(&rule).unwrap(), json);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct FaultRule {
    fault: Fault,
    path: Option<String>,
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Always,
    Times(u32),
    Probability(f64),
}

impl FaultRule {
    /// A fault that hits every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, path: None, when: When::Always }
    }

    /// Only on this path, such as `/v1/plant_tree` or
    /// `/v1/projects/{project_id}`.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Only the next so many; then the rule is gone.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.when = When::Times(times);
        self
    }

    /// Each with this probability, drawn from the sandbox's seed: the same
    /// requests meet the same faults again.
    ///
    /// # Errors
    /// A number that is not within 0 and 1.
    pub fn probability(mut self, probability: f64) -> Result<Self, InvalidRule> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(InvalidRule("`probability` must be a number from 0 to 1"));
        }
        self.when = When::Probability(probability);
        Ok(self)
    }

    /// What goes wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// Why something is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRule(&'static str);

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for InvalidRule {}

/// A rule as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    fault: Fault,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
}

impl TryFrom<Wire> for FaultRule {
    type Error = InvalidRule;

    fn try_from(wire: Wire) -> Result<Self, InvalidRule> {
        let rule = Self { fault: wire.fault, path: wire.path, when: When::Always };
        match (wire.times, wire.probability) {
            (None, None) => Ok(rule),
            (Some(times), None) => Ok(rule.times(times)),
            (None, Some(probability)) => rule.probability(probability),
            (Some(_), Some(_)) => Err(InvalidRule("a rule has `times` or `probability`, not both")),
        }
    }
}

impl From<FaultRule> for Wire {
    fn from(FaultRule { fault, path, when }: FaultRule) -> Self {
        let (times, probability) = match when {
            When::Always => (None, None),
            When::Times(times) => (Some(times), None),
            When::Probability(probability) => (None, Some(probability)),
        };
        Self { fault, path, times, probability }
    }
}

/// The rules, the first of which that hits a request counts.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    draws: u64,
}

impl Faults {
    pub(super) fn inject(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault that hits the next request of a path.
    pub(super) fn hit(&mut self, seed: u64, path: &str) -> Option<Fault> {
        self.rules.retain(|rule| rule.when != When::Times(0));
        for rule in &mut self.rules {
            if rule.path.as_deref().is_some_and(|only| only != path) {
                continue;
            }
            let hit = match &mut rule.when {
                When::Always => true,
                When::Times(left) => {
                    *left -= 1;
                    true
                }
                When::Probability(probability) => {
                    self.draws += 1;
                    let number = hash(&[b"fault", &seed.to_be_bytes(), &self.draws.to_be_bytes()]);
                    f64::from((number >> 32) as u32) < *probability * 2_f64.powi(32)
                }
            };
            if hit {
                return Some(rule.fault.clone());
            }
        }
        None
    }
}

impl Fault {
    /// The answer of a request that is refused before it is applied.
    pub(super) fn refusal(&self, now: DateTime<Utc>) -> Option<Response<Vec<u8>>> {
        match self {
            Self::RateLimited { retry_after } => Some(rate_limited(*retry_after, now)),
            Self::ServerError => Some(server_error()),
            Self::Unavailable => {
                let html = b"<html><body><h1>503 Service Unavailable</h1></body></html>";
                let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, html.to_vec());
                let text = HeaderValue::from_static("text/html");
                response.headers_mut().insert(CONTENT_TYPE, text);
                Some(response)
            }
            _ => None,
        }
    }

    /// Whether the request is never applied.
    pub(super) fn is_before(&self) -> bool {
        matches!(self, Self::DropBefore | Self::NeverAnswer { applied: false })
    }

    /// The answer that takes the place of the one that was made.
    pub(super) fn replace(&self, response: Response<Vec<u8>>) -> Response<Vec<u8>> {
        match self {
            Self::ApplyThenError => server_error(),
            Self::Garbage => response.map(|_| b"{\"user_id\": \xff\xfe garbage".to_vec()),
            _ => response,
        }
    }
}

fn server_error() -> Response<Vec<u8>> {
    let body = ErrorBody::new(ErrorType::ApiError, "an error on purpose");
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
