//! The interface of a transport: send one request, wait, read a clock.
//!
//! Implement [`AsyncTransport`] or [`BlockingTransport`], and
//! [`Client`](crate::Client) drives every endpoint, retry and page over it. With
//! [`TransportError`] a transport reports whether a failure happened before or after
//! the request may have left.

mod gate;
mod gzip;
mod proxy;

use std::error::Error as StdError;
use std::ffi::OsString;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};

pub use gate::{BodyGate, SendBy, Withdrawn};
pub(crate) use gzip::encoding;
pub use gzip::{Gunzip, accept_encoding};
pub use proxy::{Proxy, ProxyError, ProxyScheme};

use crate::setters::setters;
use crate::{Api, ConfigError, Error};

/// The cause of a transport failure.
type Cause = Box<dyn StdError + Send + Sync>;

/// An async transport.
///
/// The request is complete: method, absolute URI, headers with the key marked
/// sensitive, and body. A transport adds the headers that the protocol requires (`host`,
/// `content-length`) and nothing else. It follows no redirect, repeats no request, returns a
/// response with any status as `Ok`, and sends nothing after the request's [`SendBy`].
pub trait AsyncTransport: Clone + Send + Sync + 'static {
    /// The complete body of a response, within the limit of
    /// [`TransportOptions::max_response_bytes`].
    type Body: AsRef<[u8]> + Send;

    /// Sends one request once, and collects the response.
    ///
    /// # Errors
    /// The reason why no complete response arrived, with its [`Phase`].
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// The time since a fixed moment, on a clock that never goes back.
    fn now(&self) -> Duration;

    /// The longest time that [`send`](Self::send) takes, if there is a limit.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// The seed of the random waits of one call. It should differ for each call; a test
    /// may return a constant.
    fn seed(&self) -> u64 {
        random_number()
    }
}

/// A transport that blocks the thread; otherwise as [`AsyncTransport`].
pub trait BlockingTransport: Clone + Send + Sync + 'static {
    /// The complete body of a response, within the limit of
    /// [`TransportOptions::max_response_bytes`].
    type Body: AsRef<[u8]>;

    /// Sends one request once, and collects the response.
    ///
    /// # Errors
    /// The reason why no complete response arrived, with its [`Phase`].
    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Self::Body>, TransportError>;

    /// Waits.
    fn sleep(&self, duration: Duration);

    /// The time since a fixed moment, on a clock that never goes back.
    fn now(&self) -> Duration;

    /// The longest time that [`send`](Self::send) takes, if there is a limit.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// The seed of the random waits of one call. It should differ for each call; a test
    /// may return a constant.
    fn seed(&self) -> u64 {
        random_number()
    }
}

/// A random number from the keys that the standard library generates for its hash maps.
fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A transport that can set itself up. It gives [`Client`](crate::Client) its one-line
/// constructors.
pub trait Connect: Sized {
    /// Sets up the transport for an API; no connection is made yet.
    ///
    /// # Errors
    /// The reason why the transport cannot be set up, such as missing TLS support or a
    /// missing trust store.
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>>;

    /// Reads an environment variable, as `std::env::var_os` does. The core itself does not
    /// read the environment.
    fn var(name: &str) -> Option<OsString>;
}

/// Timeouts and limits of a transport.
///
/// ```
/// use std::time::Duration;
/// use oneclick_proto::TransportOptions;
///
/// let options = TransportOptions::new().timeout(Duration::from_secs(60));
/// assert_eq!(options.connect_timeout, Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportOptions {
    /// The time limit for name resolution, connecting and the TLS handshake together.
    /// More than zero, and at most nine tenths of [`timeout`](Self::timeout).
    /// Default: 10 seconds.
    pub connect_timeout: Duration,
    /// The time limit for one attempt, from name resolution to the last byte of the
    /// response. More than zero. Default: 30 seconds, because common API gateways give
    /// up after 29 seconds, and their response should arrive.
    pub timeout: Duration,
    /// How long an idle connection is kept. Default: 50 seconds, because common load
    /// balancers close it after 60 seconds, and a request that is sent at that moment
    /// ends as [`Execution::Unknown`](crate::Execution).
    pub idle_timeout: Duration,
    /// How many idle connections are kept per host; set this to the number of concurrent
    /// calls. Default: 256.
    pub max_idle_per_host: usize,
    /// The largest decompressed response body of a GET request, in bytes.
    /// Default: 32 MiB. If a page of a list is larger, the client asks for shorter pages.
    /// For any other method, the limit is [`Error::MAX_BODY_BYTES`].
    pub max_response_bytes: usize,
}

impl TransportOptions {
    /// How long the kernel waits for sent bytes to be acknowledged before it closes the
    /// connection, on Linux and Android: 20 seconds. Without this socket option, the
    /// kernel retransmits a request for a quarter of an hour, even if the process was
    /// killed or the call was given up.
    ///
    /// Every transport of this workspace sets the option on its connections to a server.
    /// It does nothing on other systems. Through a proxy it ends only the way to the proxy,
    /// which acknowledges the bytes itself and may send them on for as long as it likes.
    ///
    /// A verified purchase that was given up, or whose process died, may then arrive after
    /// about a quarter of an hour. That is no less than the default of
    /// [`VerifyPolicy::absence_after`](crate::VerifyPolicy::absence_after), 15 minutes,
    /// after which a purchase without a record is sent once more: both may be made. So off
    /// Linux and Android, through a proxy, and over a transport of your own, set
    /// `absence_after` to more than the time for which the system or the proxy goes on
    /// sending, plus the time until a record shows. Half an hour is enough for a system that
    /// gives up after a quarter of one and an API whose records show within minutes.
    pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(50),
            max_idle_per_host: 256,
            max_response_bytes: 32 * 1024 * 1024,
        }
    }

    /// Validates and limits the options; every transport calls this first. Durations
    /// become at most a year, which every transport can add to its clock, and
    /// `connect_timeout` at most nine tenths of `timeout`.
    ///
    /// # Errors
    /// [`ConfigError::ZeroTimeout`] if `timeout` or `connect_timeout` is zero.
    pub fn checked(&self) -> Result<Self, ConfigError> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        for (name, timeout) in
            [("timeout", self.timeout), ("connect_timeout", self.connect_timeout)]
        {
            if timeout.is_zero() {
                return Err(ConfigError::ZeroTimeout { name });
            }
        }
        let timeout = self.timeout.min(YEAR);
        Ok(Self {
            // So a timeout while connecting is recognized as one.
            connect_timeout: self.connect_timeout.min(timeout * 9 / 10),
            timeout,
            idle_timeout: self.idle_timeout.min(YEAR),
            ..self.clone()
        })
    }

    setters! { const
        connect_timeout: Duration,
        timeout: Duration,
        idle_timeout: Duration,
        max_idle_per_host: usize,
        max_response_bytes: usize,
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The phase in which an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Name resolution, connecting or the TLS handshake. Nothing was sent that a server
    /// could execute.
    Connect,
    /// The request, or part of it, may have been sent, but no response arrived.
    Exchange,
    /// The head of the response arrived, but its body is incomplete, or its gzip is
    /// truncated or damaged.
    Body,
    /// The response is larger than the limit and was not read to its end.
    TooLarge,
}

/// The reason why no complete response arrived, with its [`Phase`].
///
/// The source must not show the request's URI: a query can hold an e-mail
/// address, and errors end up in logs.
pub struct TransportError {
    phase: Phase,
    timed_out: bool,
    status: Option<StatusCode>,
    response: Option<Box<Response<Vec<u8>>>>,
    source: Option<Cause>,
}

impl TransportError {
    /// A failure before anything was sent that a server could execute: no byte of the
    /// request, or its head without the body that it announces.
    ///
    /// Use this only if it is certain, because a purchase may be sent again after it.
    pub fn connect(source: impl Into<Cause>) -> Self {
        Self::new(Phase::Connect, Some(source.into()))
    }

    /// A failure after bytes of the request may have been sent.
    pub fn exchange(source: impl Into<Cause>) -> Self {
        Self::new(Phase::Exchange, Some(source.into()))
    }

    /// A failure before a response arrived: [`connect`](Self::connect) if the request was
    /// certainly not sent, else [`exchange`](Self::exchange).
    pub fn before_response(source: impl Into<Cause>, unsent: bool) -> Self {
        if unsent { Self::connect(source) } else { Self::exchange(source) }
    }

    /// Sets whether the failure was a timeout.
    #[must_use]
    pub fn timed_out(mut self, timed_out: bool) -> Self {
        self.timed_out = timed_out;
        self
    }

    /// The phase in which the exchange failed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the failure was a timeout.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.timed_out
    }

    /// The status of a response whose body is incomplete; `None` if no response arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Takes the incomplete response and the cause.
    pub(crate) fn take_parts(&mut self) -> (Option<Response<Vec<u8>>>, Option<Cause>) {
        (self.response.take().map(|response| *response), self.source.take())
    }

    fn new(phase: Phase, source: Option<Cause>) -> Self {
        Self { phase, timed_out: false, status: None, response: None, source }
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("phase", &self.phase)
            .field("timed_out", &self.timed_out)
            .field("status", &self.status())
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.phase, self.timed_out) {
            (Phase::Connect, false) => "could not connect",
            (Phase::Connect, true) => "timed out while connecting",
            (Phase::Exchange, false) => "the connection failed before a response arrived",
            (Phase::Exchange, true) => "timed out before a response arrived",
            (Phase::Body, false) => "the response was cut short",
            (Phase::Body, true) => "timed out while reading the response",
            (Phase::TooLarge, _) => "the response is larger than the limit",
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Collects a response body up to a limit, for transports that receive it in pieces.
///
/// Only the response to a GET request may be long. For any other method the limit is
/// [`Error::MAX_BODY_BYTES`]. An error response is truncated to that length instead of
/// being an error: stop reading once [`wants_more`](Self::wants_more) is `false`.
///
/// ```
/// use http::Method;
/// use oneclick_proto::{BodyReader, Phase};
///
/// let (head, ()) = http::Response::new(()).into_parts();
/// let reader = BodyReader::new(&Method::GET, head, 8).push(b"1234").unwrap();
/// let error = reader.push(b"56789").unwrap_err();
/// assert_eq!(error.phase(), Phase::TooLarge);
/// ```
#[must_use]
pub struct BodyReader {
    response: Response<Vec<u8>>,
    limit: usize,
    /// Whether to truncate the body at the limit instead of failing.
    truncate: bool,
    /// The decoder, while the body is still compressed.
    gunzip: Option<Gunzip>,
    /// Whether only the end of the connection marks the end of the body.
    ends_with_connection: bool,
}

impl BodyReader {
    /// A reader for the response to a request with this method. `limit` is the largest
    /// body of a GET response, in bytes.
    pub fn new(method: &Method, head: http::response::Parts, limit: usize) -> Self {
        let truncate = !head.status.is_success();
        let long = *method == Method::GET && !truncate;
        let limit = if long { limit } else { limit.min(Error::MAX_BODY_BYTES) };
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let announced = announced.and_then(|length| length.parse().ok()).unwrap_or(0);
        // A server may announce any length, so only so much is allocated at once.
        let body = Vec::with_capacity(limit.min(announced).min(256 * 1024));
        Self {
            response: Response::from_parts(head, body),
            limit,
            truncate,
            gunzip: None,
            ends_with_connection: false,
        }
    }

    /// Tells the reader that the response came over HTTP/1. If its head announces neither
    /// a length nor chunks, then the body ends with the connection, and a truncated body
    /// looks complete. Such a body counts as complete only if it is one complete JSON
    /// value.
    pub fn http1(mut self) -> Self {
        let (status, headers) = (self.response.status(), self.response.headers());
        self.ends_with_connection = !self.truncate
            && self.response.version() <= Version::HTTP_11
            && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING);
        self
    }

    /// Decompresses the body with this decoder if the head says that it is in gzip. Use
    /// it if the request had `accept-encoding: gzip`. The limit then applies to the
    /// decompressed body, and no more than that is ever decompressed.
    pub fn gunzip(mut self, decoder: Option<Gunzip>) -> Self {
        self.gunzip = decoder.filter(|_| gzip::is_gzip(self.response.headers()));
        self
    }

    /// Adds a piece of the body.
    ///
    /// # Errors
    /// [`Phase::TooLarge`] if the pieces together exceed the limit.
    pub fn push(mut self, piece: &[u8]) -> Result<Self, TransportError> {
        let fits = piece.len().min(self.room());
        if fits < piece.len() && !self.truncate {
            return Err(self.fail(Phase::TooLarge, None));
        }
        self.response.body_mut().extend_from_slice(&piece[..fits]);
        Ok(self)
    }

    /// Whether to read on. If `false`, call [`finish`](Self::finish) without the rest of
    /// the body.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        let read = self.response.body().len();
        if self.truncate { read < self.max_bytes() } else { read <= self.max_bytes() }
    }

    /// Adds everything from a reader and returns the number of bytes. If the reader
    /// fails, the bytes before that are kept. If the body is larger than the limit, this
    /// reads just enough for [`finish`](Self::finish) to notice it.
    ///
    /// ```
    /// use oneclick_proto::{BodyReader, Phase};
    ///
    /// let (head, ()) = http::Response::new(()).into_parts();
    /// let mut reader = BodyReader::new(&http::Method::GET, head, 8);
    /// assert_eq!(reader.read_to_end(&b"12345678"[..])?, 8);
    /// reader.read_to_end(&b"9"[..])?;
    /// assert_eq!(reader.finish().unwrap_err().phase(), Phase::TooLarge);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The error of the reader.
    pub fn read_to_end(&mut self, reader: impl Read) -> io::Result<usize> {
        let most = u64::try_from(self.room()).unwrap_or(u64::MAX);
        let most = most.saturating_add((!self.truncate).into());
        reader.take(most).read_to_end(self.response.body_mut())
    }

    /// Returns the complete response.
    ///
    /// # Errors
    /// [`Phase::Body`] if the gzip is truncated or damaged, or if the body ends with the
    /// connection ([`http1`](Self::http1)) and is no complete JSON value;
    /// [`Phase::TooLarge`] if it is larger than the limit.
    pub fn finish(mut self) -> Result<Response<Vec<u8>>, TransportError> {
        if self.response.body().len() > self.max_bytes() {
            return Err(self.fail(Phase::TooLarge, None));
        }
        match self.unpack() {
            Err((phase, source)) => Err(self.fail(phase, source)),
            Ok(()) if self.ends_with_connection && !is_complete(self.response.body()) => {
                Err(self.fail(Phase::Body, Some("the body is not a complete JSON value".into())))
            }
            Ok(()) => Ok(self.response),
        }
    }

    /// Returns the error for a response whose body is incomplete.
    pub fn cut(self, source: impl Into<Cause>) -> TransportError {
        self.fail(Phase::Body, Some(source.into()))
    }

    /// Finishes after the connection failed: without a TLS `close_notify`, with a reset,
    /// or with a timeout. If the body ends with the connection ([`http1`](Self::http1))
    /// and is complete nevertheless, this returns the response, else the error as
    /// [`cut`](Self::cut) does.
    ///
    /// # Errors
    /// [`Phase::Body`] with this source.
    pub fn broken(
        mut self,
        source: impl Into<Cause>,
        timed_out: bool,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let whole = self.response.body().len() <= self.max_bytes() && self.unpack().is_ok();
        if whole && self.ends_with_connection && is_complete(self.response.body()) {
            return Ok(self.response);
        }
        Err(self.cut(source).timed_out(timed_out))
    }

    /// How many bytes may arrive in total.
    fn max_bytes(&self) -> usize {
        if self.gunzip.is_some() { gzip::max_packed(self.limit) } else { self.limit }
    }

    /// How many bytes may still arrive.
    fn room(&self) -> usize {
        self.max_bytes().saturating_sub(self.response.body().len())
    }

    /// Decompresses the body, once, and keeps as much as can be decompressed.
    fn unpack(&mut self) -> Result<(), (Phase, Option<Cause>)> {
        let incomplete = !self.wants_more();
        let Some(gunzip) = self.gunzip.take() else { return Ok(()) };
        if self.response.body().is_empty() {
            return Ok(());
        }
        let (mut body, read) = gzip::unpack(gunzip, self.response.body(), self.limit);
        let too_large = body.len() > self.limit;
        body.truncate(self.limit);
        // A body that is not gzip at all is kept as it is.
        if read.is_ok() || !body.is_empty() {
            *self.response.body_mut() = body;
            self.response.headers_mut().remove(CONTENT_ENCODING);
            self.response.headers_mut().remove(CONTENT_LENGTH);
        }
        match read {
            _ if too_large && !self.truncate => Err((Phase::TooLarge, None)),
            Err(error) if !incomplete => {
                Err((Phase::Body, Some(format!("the gzip body is invalid: {error}").into())))
            }
            _ => Ok(()),
        }
    }

    fn fail(mut self, phase: Phase, source: Option<Cause>) -> TransportError {
        // The error to report is already known.
        drop(self.unpack());
        TransportError {
            status: Some(self.response.status()),
            response: Some(Box::new(self.response)),
            ..TransportError::new(phase, source)
        }
    }
}

/// Whether a body is one JSON value that more bytes could not continue.
fn is_complete(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // More digits could follow a number.
    !body.last().is_some_and(u8::is_ascii_digit)
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader")
            .field("status", &self.response.status())
            .field("bytes", &self.response.body().len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
