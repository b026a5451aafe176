//! Why a call failed, and whether its request may have been executed.

mod execution;
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

pub use self::execution::Execution;
use self::execution::has_receipt;
use self::reason::Reason;
use crate::api::ConfigError;
use crate::endpoint::Endpoint;
use crate::retry::{date, retry_after};
use crate::transport::{self, Phase, TransportError};
use crate::value::{InvalidValue, grouped};
use crate::{CancelImpact, ListRecords, Pager, TrackImpact};

string_enum! {
    /// The `type` of an error response of any endpoint.
    ErrorType {
        /// The key is missing or invalid.
        KeyError = "key_error",
        /// The request is invalid.
        InvalidRequestError = "invalid_request_error",
        /// The API failed.
        ApiError = "api_error",
    }
}

/// The body of an error response of any endpoint: `{"type": …, "message": …}`.
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
    /// The type of the error.
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// A description for developers. It may repeat parts of the request.
    pub message: String,
}

impl ErrorBody {
    /// An error body.
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into() }
    }
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorBody").field("error_type", &self.error_type).finish_non_exhaustive()
    }
}

/// The kind of an [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value cannot be sent. No request was sent.
    Invalid(InvalidValue),
    /// A setting cannot be used. No request was made.
    Config(ConfigError),
    /// The transport could not be set up. No request was sent.
    Setup,
    /// No complete response arrived. [`TransportError::phase`] says how far the exchange
    /// got.
    Transport(TransportError),
    /// The API, or a gateway in front of it, responded with a status other than 2xx.
    Status(StatusCode),
    /// The body of a 2xx response could not be decoded.
    Decode,
    /// A row of a list could not be decoded; [`Error::body`] is its JSON. The list continues
    /// with the rows after it.
    MalformedRow,
    /// A list returned a cursor that it had returned before, so it would never end.
    CursorRepeated,
    /// A list returned [`Pager::MAX_EMPTY_PAGES`](crate::Pager::MAX_EMPTY_PAGES) pages in a
    /// row without an item.
    EmptyPages,
}

/// Why a call failed, and whether its request may have been executed.
///
/// `Display` is one line and safe to log: it contains no key, e-mail address or name. It
/// leaves out the [`source`](StdError::source); the alternate form, `{:#}`, adds it and
/// its causes. The server's own [`message`](Self::message) and the response's
/// [`body`](Self::body) may contain personal data.
///
/// ```
/// use oneclick_proto::{Api, ErrorType, Execution, GetAccount};
///
/// let api = Api::sandbox("test_key")?;
/// let response = http::Response::builder()
///     .status(401)
///     .body(r#"{"type":"key_error","message":"API Key does not exist"}"#)
///     .unwrap();
/// let error = api.decode(&GetAccount, response).unwrap_err();
/// assert_eq!(error.status().unwrap(), 401);
/// assert_eq!(error.error_type(), Some(&ErrorType::KeyError));
/// assert_eq!(error.execution(), Execution::NotExecuted);
/// assert_eq!(
///     error.to_string(),
///     "GET /v1/whoami: the server responded with 401 Unauthorized: key_error: API Key does \
///      not exist",
/// );
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<Operation>,
    attempts: u32,
    elapsed: Duration,
    /// Whether an earlier attempt may have been executed.
    uncertain: bool,
    retry_after: Option<Duration>,
    date: Option<DateTime<Utc>>,
    status: Option<StatusCode>,
    error_type: Option<ErrorType>,
    message: Option<String>,
    /// Whether type and message come from the API and not from a gateway in front of it,
    /// behind which the API may have executed the request.
    from_api: bool,
    /// Whether a 2xx response that could not be decoded shows a part of a receipt.
    has_receipt: bool,
    /// What `Display` adds to the text of the kind.
    detail: String,
    body: Vec<u8>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The endpoint that was called.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// The path with its fields in braces.
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

impl Error {
    /// The maximum number of bytes of a response's body that an error keeps: 64 KiB.
    pub const MAX_BODY_BYTES: usize = 64 * 1024;

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The path of the endpoint that was called, such as `/v1/plant_tree`; `None` if the
    /// error came before a call, such as that of a value.
    #[must_use]
    pub fn endpoint(&self) -> Option<&'static str> {
        self.0.operation.as_ref().map(|operation| operation.path)
    }

    /// The number of attempts to send the request; 0 if the request could not be written,
    /// and for an error of [`Api::decode`](crate::Api::decode).
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How long the call took, with all attempts and waits; zero if the request could not be
    /// written, and for an error of [`Api::decode`](crate::Api::decode).
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// How long the server asks to wait before the request is sent again: its `Retry-After`
    /// (RFC 9110, 10.2.3). A date counts from the `Date` of the response. `None` without the
    /// header, and for a date if the response has no `Date`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The status of the last attempt's response; `None` if no response arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The `type` of the error response; `None` if no response arrived that has one.
    #[must_use]
    pub fn error_type(&self) -> Option<&ErrorType> {
        self.0.error_type.as_ref()
    }

    /// Why the request failed, in the server's words: the `message` of the API, or a reason
    /// that a gateway gives as JSON, as plain text or as the title of a page. It may repeat
    /// parts of the request. `None` if no response arrived that gives a reason.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The body of the response up to [`MAX_BODY_BYTES`](Self::MAX_BODY_BYTES), decompressed
    /// if the transport does that; empty if none arrived.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Whether the call failed because of a timeout of the transport.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Transport(error) if error.is_timeout())
    }

    /// Whether no connection was made, so that nothing left.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Transport(error) if error.phase() == Phase::Connect)
    }

    /// Whether a call that tracks or cancels was refused because the API seems to know no
    /// impact with the id that was sent: the status is 400, 404, 410 or 422. No other call
    /// names an impact, so it is `false` for these.
    #[must_use]
    pub fn is_unknown_impact(&self) -> bool {
        let names_impact = self
            .endpoint()
            .is_some_and(|path| [TrackImpact::PATH, CancelImpact::PATH].contains(&path));
        let status = self.status().map_or(0, |status| status.as_u16());
        names_impact && self.is_status() && matches!(status, 400 | 404 | 410 | 422)
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

    /// Adds to the message that a page of one item is too large, since no shorter page can
    /// be asked for.
    pub(crate) fn of_one_item(mut self, items: u64) -> Self {
        if items == 1 && self.is_too_large() {
            self.0.detail.push_str("the page has only one item, so it cannot be made smaller");
        }
        self
    }

    /// The `Date` of an error response.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        self.0.date
    }

    /// Whether the server responded with 425 or 429, which ask for fewer or later requests.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Status(status) if [425, 429].contains(&status.as_u16()))
    }

    /// The transport could not be set up.
    pub(crate) fn setup(source: Box<dyn StdError + Send + Sync>) -> Self {
        let mut error = Self::new(ErrorKind::Setup);
        error.0.source = Some(source);
        error
    }

    /// A response with a status other than 2xx.
    pub(crate) fn unsuccessful(head: &Parts, body: &[u8], hidden: &[String]) -> Self {
        let mut error = Self::new(ErrorKind::Status(head.status));
        error.read_response(head.status, &head.headers, body, hidden);
        error
    }

    /// A 2xx response whose body could not be decoded.
    pub(crate) fn decode(
        head: &Parts,
        body: &[u8],
        source: &serde_json::Error,
        hidden: &[String],
    ) -> Self {
        let mut error = Self::new(ErrorKind::Decode);
        error.keep(head.status, body);
        error.0.date = date(&head.headers);
        error.0.has_receipt = has_receipt(body);
        error.0.detail = still_encoded(&head.headers, body, hidden)
            .unwrap_or_else(|| redact::decode_detail(source, body, hidden));
        error
    }

    /// No complete response arrived.
    pub(crate) fn transport(mut source: TransportError, hidden: &[String]) -> Self {
        let (partial, cause) = source.take_parts();
        let mut error = Self::new(ErrorKind::Transport(source));
        if let Some(partial) = partial {
            error.read_response(partial.status(), partial.headers(), partial.body(), hidden);
        }
        error.0.source = cause;
        error
    }

    /// A row of a list could not be decoded.
    pub(crate) fn malformed_row(row: &Value) -> Self {
        let mut error = Self::new(ErrorKind::MalformedRow);
        let json = row.to_string();
        error.0.body = json.as_bytes()[..json.len().min(Self::MAX_BODY_BYTES)].to_vec();
        error
    }

    /// A list would not end.
    pub(crate) fn endless(kind: ErrorKind) -> Self {
        Self::new(kind)
    }

    /// Sets the endpoint that was called.
    pub(crate) fn of(mut self, operation: Operation) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Sets the number of attempts, how long they took, and whether an earlier one may have
    /// been executed.
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
            from_api: false,
            has_receipt: false,
            detail: String::new(),
            body: Vec::new(),
            source: None,
        }))
    }

    /// Keeps the status and the beginning of the body.
    fn keep(&mut self, status: StatusCode, body: &[u8]) {
        self.0.status = Some(status);
        self.0.body = body[..body.len().min(Self::MAX_BODY_BYTES)].to_vec();
    }

    /// Keeps an error response, and reads its type and message if it has them.
    fn read_response(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        hidden: &[String],
    ) {
        self.keep(status, body);
        self.0.retry_after = retry_after(headers);
        self.0.date = date(headers);
        let Reason { error_type, message, from_api } = Reason::of(body);
        if error_type.is_none() && message.is_none() {
            self.0.detail = still_encoded(headers, body, hidden).unwrap_or_default();
            return;
        }
        // The `type` of others may be a URL or say nothing, so the message is enough.
        let shown_type = error_type.as_deref().filter(|_| from_api || message.is_none());
        let texts = [shown_type, message.as_deref()].into_iter().flatten();
        let texts: Vec<_> = texts.map(|text| redact::redact(text, hidden)).collect();
        self.0.detail = texts.join(": ");
        self.0.error_type = error_type.map(|name| ErrorType::from(&*name));
        self.0.message = message;
        self.0.from_api = from_api;
    }

    /// The message without endpoint, detail, attempts and execution.
    fn summary(&self) -> Cow<'static, str> {
        match &self.0.kind {
            ErrorKind::Invalid(value) => value.to_string().into(),
            ErrorKind::Config(error) => error.to_string().into(),
            ErrorKind::Setup => "the transport could not be set up".into(),
            ErrorKind::Transport(error) => match self.0.status {
                Some(status) => format!("{error} (status {status})").into(),
                None => error.to_string().into(),
            },
            ErrorKind::Status(status) if status.is_redirection() => {
                format!("the server responded with {status}, and redirects are not followed").into()
            }
            ErrorKind::Status(status) => format!("the server responded with {status}").into(),
            ErrorKind::Decode => "the response body could not be decoded".into(),
            ErrorKind::MalformedRow => "a row of the list could not be decoded".into(),
            ErrorKind::CursorRepeated => {
                "the list returned the same cursor twice, so it would never end".into()
            }
            ErrorKind::EmptyPages => {
                let pages = grouped(Pager::<ListRecords>::MAX_EMPTY_PAGES.into());
                format!("the list returned {pages} pages in a row without an item").into()
            }
        }
    }
}

/// Why a body cannot be read, if it is still encoded.
fn still_encoded(headers: &HeaderMap, body: &[u8], hidden: &[String]) -> Option<String> {
    let encoding = transport::encoding(headers).filter(|_| !body.is_empty())?;
    let encoding = redact::redact(&encoding, hidden);
    Some(format!("its content-encoding {encoding} was not decoded"))
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config(error))
    }
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
        f.write_str(&self.summary())?;
        if !detail.is_empty() {
            write!(f, ": {detail}")?;
        }
        if *attempts > 1 {
            write!(f, " (after {attempts} attempts)")?;
        }
        let mut cause = self.source().filter(|_| f.alternate());
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        // Whether a read was executed does not matter.
        let changes = |of: &&Operation| !of.idempotent || of.method != Method::GET;
        if let Some(operation) = operation.as_ref().filter(changes) {
            f.write_str(match (self.execution(), operation.idempotent) {
                (Execution::NotExecuted, _) => "; the request was not executed",
                (Execution::Unknown, false) => {
                    "; the request may have been executed, so check before sending it again"
                }
                (Execution::Unknown, true) => {
                    "; the request may have been executed, and is safe to send again"
                }
                (Execution::Executed, _) => "; the request was executed",
            })?;
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
