//! What went wrong, and whether money may have moved.

mod reason;
mod redact;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::reason::Reason;
use crate::endpoint::Endpoint;
use crate::mend;
use crate::retry::{date, retry_after};
use crate::transport::{self, Phase, TransportError};
use crate::value::{ImpactKind, InvalidValue};

string_enum! {
    /// The `type` of an error answer, of any endpoint.
    ErrorType {
        /// Something is wrong with the key.
        KeyError = "key_error",
        /// Something is wrong with the request.
        InvalidRequestError = "invalid_request_error",
        /// Something is wrong with the API.
        ApiError = "api_error",
    }
}

/// The body of an error answer, of any endpoint: `{"type": …, "message": …}`.
///
/// ```
/// use oneclick_proto::{ErrorBody, ErrorType};
///
/// let body: ErrorBody = serde_json::from_str(
///     r#"{"type":"key_error","message":"API Key does not exist"}"#,
/// ).unwrap();
/// assert_eq!(body.error_type, ErrorType::KeyError);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorBody {
    /// What kind of error it is.
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// What happened, for a developer. May repeat what was sent.
    pub message: String,
}

impl ErrorBody {
    /// A body.
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into() }
    }
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorBody").field("error_type", &self.error_type).finish_non_exhaustive()
    }
}

/// Whether the request was executed: for an action, whether money moved.
///
/// These three are all there will be: match them without a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Execution {
    /// It was not. Sending it again buys nothing twice; whether it would help
    /// depends on the status: after a 429 later, after a 401 never.
    NotExecuted,
    /// Nobody on this side knows. For a purchase, look it up before you send
    /// it again. A 2xx answer that was cut short belongs here too: its status
    /// can come from something between you and the API.
    Unknown,
    /// It was, although its answer cannot be used: there is no receipt, so look
    /// the record up, and do not send the request again.
    Executed,
}

/// What kind of failure an [`Error`] is.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value that cannot be sent; no request was made.
    Invalid(InvalidValue),
    /// The transport could not be set up; no request was made.
    Setup,
    /// No complete answer arrived; its [`TransportError::phase`] says how far
    /// the exchange had come.
    Transport(TransportError),
    /// The API, or something before it, answered with a status that is not 2xx.
    Status(StatusCode),
    /// The answer was 2xx and its body does not hold the response.
    Decode,
    /// A row of a list cannot be read; [`Error::body`] is its JSON. The rows after it
    /// follow.
    MalformedRow,
    /// A list gave a cursor that it had given before, and would never end.
    CursorRepeated,
    /// A list went on for [`Pager::MAX_EMPTY_PAGES`](crate::Pager::MAX_EMPTY_PAGES)
    /// pages without an item.
    EmptyPages,
}

/// Why a call failed, and what it left behind.
///
/// `Display` is one line without key, e-mail address or name, safe to log. It
/// does not repeat [`source`](StdError::source); the alternate form, `{:#}`,
/// adds the causes to the line. The API's own words are in
/// [`message`](Self::message), the answer's body in [`body`](Self::body):
/// both may hold personal data.
///
/// ```
/// use oneclick_proto::{Api, ErrorType, Execution, GetAccount};
///
/// let api = Api::sandbox("test_key")?;
/// let answer = http::Response::builder()
///     .status(401)
///     .body(r#"{"type":"key_error","message":"API Key does not exist"}"#)
///     .unwrap();
/// let error = api.decode(&GetAccount, answer).unwrap_err();
/// assert_eq!(error.status().unwrap(), 401);
/// assert_eq!(error.error_type(), Some(&ErrorType::KeyError));
/// assert_eq!(error.execution(), Execution::NotExecuted);
/// assert_eq!(
///     error.to_string(),
///     "GET /v1/whoami: answered 401 Unauthorized: key_error: API Key does not exist",
/// );
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<Operation>,
    attempts: u32,
    elapsed: Duration,
    /// Whether an earlier attempt of the call may have been executed.
    uncertain: bool,
    retry_after: Option<Duration>,
    date: Option<DateTime<Utc>>,
    status: Option<StatusCode>,
    error_type: Option<ErrorType>,
    message: Option<String>,
    /// Whether both are the API's own words, and not those of a gateway before it, which
    /// may have executed the request.
    own: bool,
    /// Whether a 2xx response shows a part of a receipt.
    proof: bool,
    /// What `Display` says about this failure beyond its kind.
    detail: String,
    body: Vec<u8>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The endpoint that was called.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// With its fields in braces.
    pub(crate) path: &'static str,
    pub(crate) idempotent: bool,
}

impl Operation {
    pub(crate) fn of<E: Endpoint>() -> Self {
        Self { method: E::METHOD, path: E::PATH, idempotent: E::IDEMPOTENT }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What may follow a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The request may be sent again, a purchase too.
    Always,
    /// It may be sent again if twice does what once does.
    IfIdempotent,
    /// Sending it again would not help.
    Never,
}

impl Error {
    /// The most of an answer's body that is kept, in bytes: 64 KiB.
    pub const MAX_BODY_BYTES: usize = 64 * 1024;

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether the request was executed: for an action, whether money moved.
    /// Of a call that was sent several times, whether any of them was.
    #[must_use]
    pub fn execution(&self) -> Execution {
        match self.classify().0 {
            Execution::NotExecuted if self.0.uncertain => Execution::Unknown,
            execution => execution,
        }
    }

    /// The path of the endpoint that was called, such as `/v1/plant_tree`;
    /// `None` if there was no call yet.
    #[must_use]
    pub fn endpoint(&self) -> Option<&'static str> {
        self.0.operation.as_ref().map(|operation| operation.path)
    }

    /// How many times the request was sent, or tried to be sent; 0 if the
    /// request could not be written, or the failure is that of [`Api::decode`](crate::Api::decode).
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How long the call took, all attempts and waits together; zero if the
    /// request could not be written, or the failure is that of [`Api::decode`](crate::Api::decode).
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// How long the server asks to wait before the request is sent again: its
    /// `Retry-After` (RFC 9110, 10.2.3), in seconds or as a date, which counts from
    /// the `Date` of the answer. `None` without it, and for a date without `Date`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The status of the last attempt's answer; `None` if none arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The API's `type` of the error; `None` if no answer arrived that holds one.
    #[must_use]
    pub fn error_type(&self) -> Option<&ErrorType> {
        self.0.error_type.as_ref()
    }

    /// Why the request failed, in the server's words: the API's `message`, or whatever
    /// reason a gateway gives as JSON, as plain text or as the title of a page. It may
    /// repeat what was sent. `None` if no response arrived that gives one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The answer's body as it came, or without its gzip if that was asked for,
    /// up to [`MAX_BODY_BYTES`](Self::MAX_BODY_BYTES); empty if none came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Whether the failure was a timeout of this side.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Transport(error) if error.is_timeout())
    }

    /// Whether no connection was made, so that nothing left.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Transport(error) if error.phase() == Phase::Connect)
    }

    /// Whether a response arrived whose status is not 2xx.
    #[must_use]
    pub fn is_status(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Status(_))
    }

    /// Whether the response was 2xx and could not be decoded.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Decode)
    }

    /// Whether the response was larger than
    /// [`max_response_bytes`](crate::TransportOptions::max_response_bytes).
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Transport(error) if error.phase() == Phase::TooLarge)
    }

    /// Says so if a page of one item is too large.
    pub(crate) fn of_one_item(mut self, items: u64) -> Self {
        if items == 1 && self.is_too_large() {
            self.0.detail.push_str("it holds a single item");
        }
        self
    }

    /// The `Date` of an error response.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        self.0.date
    }

    /// Whether the response asks for fewer or later requests: 425 or 429.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Status(status) if [425, 429].contains(&status.as_u16()))
    }

    /// Whether the request was refused, and would be again.
    pub(crate) fn is_refusal(&self) -> bool {
        self.classify() == (Execution::NotExecuted, Repeat::Never)
    }

    /// Whether the request may be sent again.
    pub(crate) fn may_repeat(&self, idempotent: bool) -> bool {
        match self.classify().1 {
            Repeat::Always => true,
            Repeat::IfIdempotent => idempotent,
            Repeat::Never => false,
        }
    }

    /// The table: what a failure says about execution, and what may follow.
    fn classify(&self) -> (Execution, Repeat) {
        use Execution::{Executed, NotExecuted, Unknown};
        let status = self.0.status.map_or(0, |status| status.as_u16());
        match (&self.0.kind, status) {
            (ErrorKind::Invalid(_) | ErrorKind::Setup, _) => (NotExecuted, Repeat::Never),
            (ErrorKind::Transport(error), _) if error.phase() == Phase::Connect => {
                (NotExecuted, Repeat::Always)
            }
            // A response that does not hold what was asked for says that a purchase was
            // made only if it shows a part of its receipt.
            (ErrorKind::Decode, _) if self.0.proof => (Executed, Repeat::Never),
            (ErrorKind::Decode, _) => (Unknown, Repeat::Never),
            (ErrorKind::MalformedRow | ErrorKind::CursorRepeated | ErrorKind::EmptyPages, _) => {
                (Executed, Repeat::Never)
            }
            (ErrorKind::Transport(error), _) if error.phase() == Phase::TooLarge => {
                (Unknown, Repeat::Never)
            }
            // No response (status 0), or one that promised success and broke off.
            (ErrorKind::Transport(_), 0 | 200..300) => (Unknown, Repeat::IfIdempotent),
            (ErrorKind::Status(_) | ErrorKind::Transport(_), status) => match status {
                425 | 429 if self.0.own => (NotExecuted, Repeat::Always),
                400 | 401 | 403 | 404 | 405 | 409 | 413 | 414 | 415 | 422 if self.0.own => {
                    (NotExecuted, Repeat::Never)
                }
                // Both ask for the same request at another address (RFC 9110, 15.4.8).
                307 | 308 => (NotExecuted, Repeat::Never),
                408 | 425 | 429 | 500 | 502 | 503 | 504 => (Unknown, Repeat::IfIdempotent),
                _ => (Unknown, Repeat::Never),
            },
        }
    }

    /// A transport that could not be set up.
    pub(crate) fn setup(source: Box<dyn StdError + Send + Sync>) -> Self {
        let mut error = Self::new(ErrorKind::Setup);
        error.0.source = Some(source);
        error
    }

    /// An answer whose status is not 2xx.
    pub(crate) fn status_answer(head: &Parts, body: &[u8], hidden: &[String]) -> Self {
        let mut error = Self::new(ErrorKind::Status(head.status));
        error.answer(head.status, &head.headers, body, hidden);
        error
    }

    /// A 2xx answer that does not hold the response.
    pub(crate) fn decode(
        head: &Parts,
        body: &[u8],
        source: &serde_json::Error,
        hidden: &[String],
    ) -> Self {
        let mut error = Self::new(ErrorKind::Decode);
        error.keep(head.status, body);
        error.0.date = date(&head.headers);
        error.0.proof = shows_receipt(body);
        error.0.detail = encoded(&head.headers, body, hidden)
            .unwrap_or_else(|| redact::decode_detail(source, body, hidden));
        error
    }

    /// No complete answer.
    pub(crate) fn transport(mut source: TransportError, hidden: &[String]) -> Self {
        let (answer, cause) = source.take_parts();
        let mut error = Self::new(ErrorKind::Transport(source));
        if let Some(answer) = answer {
            error.answer(answer.status(), answer.headers(), answer.body(), hidden);
        }
        error.0.source = cause;
        error
    }

    /// A row of a list that cannot be read.
    pub(crate) fn malformed_row(row: &Value) -> Self {
        let mut error = Self::new(ErrorKind::MalformedRow);
        let json = row.to_string();
        error.0.body = json.as_bytes()[..json.len().min(Self::MAX_BODY_BYTES)].to_vec();
        error
    }

    /// A list that would not end.
    pub(crate) fn endless(kind: ErrorKind) -> Self {
        Self::new(kind)
    }

    /// Names the endpoint that was called.
    pub(crate) fn of(mut self, operation: Operation) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Counts what the call took, and whether an earlier attempt of it may
    /// have been executed.
    pub(crate) fn after(mut self, attempts: u32, elapsed: Duration, uncertain: bool) -> Self {
        self.0.attempts = attempts;
        self.0.elapsed = elapsed;
        self.0.uncertain = uncertain;
        self
    }

    fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            uncertain: false,
            retry_after: None,
            date: None,
            status: None,
            error_type: None,
            message: None,
            own: false,
            proof: false,
            detail: String::new(),
            body: Vec::new(),
            source: None,
        }))
    }

    fn keep(&mut self, status: StatusCode, body: &[u8]) {
        self.0.status = Some(status);
        self.0.body = body[..body.len().min(Self::MAX_BODY_BYTES)].to_vec();
    }

    /// Keeps an error answer and reads its type and message, if it has any.
    fn answer(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8], hidden: &[String]) {
        self.keep(status, body);
        self.0.retry_after = retry_after(headers);
        self.0.date = date(headers);
        let Reason { error_type, message, own } = Reason::of(body);
        if error_type.is_none() && message.is_none() {
            self.0.detail = encoded(headers, body, hidden).unwrap_or_default();
            return;
        }
        // Elsewhere a type is a number's name, or the address of a page.
        let shown = error_type.as_deref().filter(|_| own || message.is_none());
        let said = [shown, message.as_deref()].into_iter().flatten();
        let said: Vec<_> = said.map(|text| redact::redact(text, hidden)).collect();
        self.0.detail = said.join(": ");
        self.0.error_type = error_type.map(|name| ErrorType::from(&*name));
        self.0.message = message;
        self.0.own = own;
    }

    fn what(&self) -> Cow<'static, str> {
        match &self.0.kind {
            ErrorKind::Invalid(value) => value.to_string().into(),
            ErrorKind::Setup => "the transport could not be set up".into(),
            ErrorKind::Transport(error) => match self.0.status {
                Some(status) => format!("{error} (status {status})").into(),
                None => error.to_string().into(),
            },
            ErrorKind::Status(status) if status.is_redirection() => {
                format!("answered {status}, and redirects are not followed").into()
            }
            ErrorKind::Status(status) => format!("answered {status}").into(),
            ErrorKind::Decode => "the answer does not hold the response".into(),
            ErrorKind::MalformedRow => "a row cannot be read".into(),
            ErrorKind::CursorRepeated => {
                "the list gave the same cursor twice and would never end".into()
            }
            ErrorKind::EmptyPages => "the list goes on without an item".into(),
        }
    }
}

/// Whether a body is a JSON object with the time or the amount of an impact.
fn shows_receipt(body: &[u8]) -> bool {
    let value = mend::value(body).unwrap_or_default();
    let mut fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
    fields.any(|field| field == "time_utc" || ImpactKind::known(field).is_some())
}

/// Why a body cannot be read, if its encoding was not taken off.
fn encoded(headers: &HeaderMap, body: &[u8], hidden: &[String]) -> Option<String> {
    let encoding = transport::encoding(headers).filter(|_| !body.is_empty())?;
    let encoding = redact::redact(&encoding, hidden);
    Some(format!("it has the content-encoding {encoding}, which was not taken off"))
}

impl From<InvalidValue> for Error {
    fn from(value: InvalidValue) -> Self {
        Self::new(ErrorKind::Invalid(value))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, attempts, detail, .. } = &*self.0;
        if let Some(operation) = operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.what())?;
        if !detail.is_empty() {
            write!(f, ": {detail}")?;
        }
        if *attempts > 1 {
            write!(f, " (after {attempts} attempts)")?;
        }
        // Only for what changes something does it matter to the reader.
        let changes = |of: &&Operation| !of.idempotent || of.method != Method::GET;
        if let Some(operation) = operation.as_ref().filter(changes) {
            f.write_str(match (self.execution(), operation.idempotent) {
                (Execution::NotExecuted, _) => "; it was not executed",
                (Execution::Unknown, false) => "; whether it was executed is not known",
                (Execution::Unknown, true) => {
                    "; whether it was executed is not known, and it can be sent again"
                }
                (Execution::Executed, _) => "; it was executed",
            })?;
        }
        let mut cause = self.source().filter(|_| f.alternate());
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("display", &format_args!("{self}"))
            .field("execution", &self.execution())
            .field("elapsed", &self.0.elapsed)
            .field("body_bytes", &self.0.body.len())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
