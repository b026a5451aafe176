//! What a transport must do: send one request, wait, tell the time.
//!
//! Implement [`AsyncTransport`] or [`BlockingTransport`] and
//! [`Client`](crate::Client) drives every endpoint, attempt and page over it.
//! The other half of the work, sorting failures into before and after the
//! first byte of the request left, is what [`TransportError`] is for.

mod gate;
mod gzip;
mod proxy;

use std::error::Error as StdError;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};

pub use gate::{BodyGate, Withdrawn};
pub(crate) use gzip::encoding;
pub use gzip::{Gunzip, accept_encoding};
pub use proxy::{Proxy, ProxyError, ProxyScheme};

use crate::setters::setters;
use crate::value::InvalidValue;
use crate::{Api, Error};

/// What lies behind a failure of a transport.
type Cause = Box<dyn StdError + Send + Sync>;

/// A transport whose calls are futures.
///
/// The request is complete: method, absolute URI, headers with the key marked
/// sensitive, body. A transport adds what the wire needs (`host`,
/// `content-length`) and nothing else: it follows no redirect, repeats no
/// request, and takes every status as an answer.
pub trait AsyncTransport: Clone + Send + Sync + 'static {
    /// The body of an answer, complete and within the limit of
    /// [`TransportOptions::max_response_bytes`].
    type Body: AsRef<[u8]> + Send;

    /// Sends one request, once, and collects the answer.
    ///
    /// # Errors
    /// What kept the answer from arriving, and in which [`Phase`].
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// The time on a clock that only goes forward, since any fixed moment.
    fn now(&self) -> Duration;

    /// A number from which the waits of one call are drawn, another for each
    /// call; a test may always give the same.
    fn seed(&self) -> u64 {
        any_number()
    }
}

/// A transport whose calls block the thread; otherwise as [`AsyncTransport`].
pub trait BlockingTransport: Clone + Send + Sync + 'static {
    /// The body of an answer, complete and within the limit of
    /// [`TransportOptions::max_response_bytes`].
    type Body: AsRef<[u8]>;

    /// Sends one request, once, and collects the answer.
    ///
    /// # Errors
    /// What kept the answer from arriving, and in which [`Phase`].
    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Self::Body>, TransportError>;

    /// Waits.
    fn sleep(&self, duration: Duration);

    /// The time on a clock that only goes forward, since any fixed moment.
    fn now(&self) -> Duration;

    /// A number from which the waits of one call are drawn, another for each
    /// call; a test may always give the same.
    fn seed(&self) -> u64 {
        any_number()
    }
}

/// Another number at each call: the standard library keys its maps with it.
fn any_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A transport that can set itself up, which gives [`Client`](crate::Client)
/// its one-line constructors.
pub trait Connect: Sized {
    /// Sets the transport up for an API; no connection is made yet.
    ///
    /// # Errors
    /// What the transport lacks, such as TLS or the system's trust store.
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>>;

    /// Reads an environment variable, as `std::env::var(name).ok()` does: `None` if
    /// it is not set or not Unicode. The core itself reads nothing.
    fn var(name: &str) -> Option<String>;
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
    /// The longest that resolving, connecting and the TLS handshake may take
    /// together: more than zero, and nine tenths of [`timeout`](Self::timeout) at most.
    /// Default: 10 seconds.
    pub connect_timeout: Duration,
    /// The longest that one attempt may take, from the first look-up to the
    /// last byte of the answer: more than zero. Default: 30 seconds, above the 29
    /// seconds after which common API gateways give up, so that their answer arrives.
    pub timeout: Duration,
    /// How long an idle connection is kept. Default: 50 seconds, below the 60
    /// after which common load balancers close it: a request that meets a
    /// closing connection ends as [`Execution::Unknown`](crate::Execution).
    pub idle_timeout: Duration,
    /// How many idle connections are kept per host; set it to the number of
    /// calls you run at once. Default: 256.
    pub max_idle_per_host: usize,
    /// The largest body of a read's response, in bytes, with its gzip taken off.
    /// Default: 32 MiB. A walk asks for shorter pages where one is larger. Of any
    /// other response at most [`Error::MAX_BODY_BYTES`] are read.
    pub max_response_bytes: usize,
}

impl TransportOptions {
    /// How long sent bytes may wait to be acknowledged before the kernel gives a connection
    /// up, on Linux and Android: 20 seconds. Otherwise it goes on to deliver the request
    /// of a process that was killed, or of a call that was given up, for a quarter of an
    /// hour.
    ///
    /// Every transport of this workspace sets this socket option on the connections that
    /// it makes to a server. A proxy acknowledges for itself, so through one it bounds
    /// nothing. There, on other systems and over a transport of your own
    /// [`VerifyPolicy::absence_after`](crate::VerifyPolicy::absence_after) has to be longer
    /// than the system goes on.
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

    /// The same with no duration above a year, the most that every transport can add to
    /// its clock, and with `connect_timeout` at nine tenths of `timeout` at most.
    /// Every transport starts with this.
    ///
    /// # Errors
    /// A `timeout` or `connect_timeout` of zero, in which nothing can be sent.
    pub fn checked(&self) -> Result<Self, InvalidValue> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        for (name, timeout) in
            [("timeout", self.timeout), ("connect_timeout", self.connect_timeout)]
        {
            if timeout.is_zero() {
                return Err(InvalidValue::ZeroTimeout { name });
            }
        }
        let timeout = self.timeout.min(YEAR);
        Ok(Self {
            // A timeout that is over while connecting is then known to be one.
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

/// How far an exchange had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving, connecting or the TLS handshake: nothing left that a server
    /// could execute.
    Connect,
    /// The request, or part of it, may have left; no answer arrived.
    Exchange,
    /// The head of the answer arrived, its body not completely, or in gzip that
    /// is cut or damaged.
    Body,
    /// The answer is larger than the limit; reading it was stopped.
    TooLarge,
}

/// Why no complete answer arrived, and in which [`Phase`].
///
/// The source must not name the request's URI: a query can hold an e-mail
/// address, and errors end up in logs.
pub struct TransportError {
    phase: Phase,
    timed_out: bool,
    status: Option<StatusCode>,
    answer: Option<Box<Response<Vec<u8>>>>,
    source: Option<Cause>,
}

impl TransportError {
    /// A failure before anything left that a server could execute: no byte of
    /// the request, or its head without the body that it announces.
    ///
    /// Claim this only when it is certain: a purchase may be sent again after it.
    pub fn connect(source: impl Into<Cause>) -> Self {
        Self::new(Phase::Connect, Some(source.into()))
    }

    /// A failure after bytes of the request may have left.
    pub fn exchange(source: impl Into<Cause>) -> Self {
        Self::new(Phase::Exchange, Some(source.into()))
    }

    /// A failure before a response arrived: [`connect`](Self::connect) if it is certain
    /// that nothing left, else [`exchange`](Self::exchange).
    pub fn before_response(source: impl Into<Cause>, unsent: bool) -> Self {
        if unsent { Self::connect(source) } else { Self::exchange(source) }
    }

    /// Says whether the failure was a timeout.
    #[must_use]
    pub fn timed_out(mut self, timed_out: bool) -> Self {
        self.timed_out = timed_out;
        self
    }

    /// How far the exchange had come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the failure was a timeout.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.timed_out
    }

    /// The status of the answer whose body did not arrive completely; `None` if
    /// not even its head arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Takes out what came of the answer, and the cause.
    pub(crate) fn take_parts(&mut self) -> (Option<Response<Vec<u8>>>, Option<Cause>) {
        (self.answer.take().map(|answer| *answer), self.source.take())
    }

    fn new(phase: Phase, source: Option<Cause>) -> Self {
        Self { phase, timed_out: false, status: None, answer: None, source }
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
            (Phase::Exchange, false) => "the connection failed before an answer arrived",
            (Phase::Exchange, true) => "timed out before an answer arrived",
            (Phase::Body, false) => "the answer was cut short",
            (Phase::Body, true) => "timed out while the answer was arriving",
            (Phase::TooLarge, _) => "the answer is larger than the limit",
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Collects the body of a response up to a limit, for transports that receive
/// it in pieces.
///
/// Only a read has a long body. Of the response to any other request
/// [`Error::MAX_BODY_BYTES`] are the limit, and of an error response no more than
/// those are kept: stop reading once [`wants_more`](Self::wants_more) is `false`.
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
    answer: Response<Vec<u8>>,
    limit: usize,
    /// Whether what is beyond the limit is left out, and not a failure.
    excerpt: bool,
    /// Set until the gzip that the body is in is taken off.
    gunzip: Option<Gunzip>,
    /// Whether nothing but the end of the connection says where the body ends.
    ends_with_connection: bool,
}

impl BodyReader {
    /// Starts with the request's method and the head of its response; `limit` is the
    /// largest body of a read, in bytes.
    pub fn new(method: &Method, head: http::response::Parts, limit: usize) -> Self {
        let excerpt = !head.status.is_success();
        let long = *method == Method::GET && !excerpt;
        let limit = if long { limit } else { limit.min(Error::MAX_BODY_BYTES) };
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let announced = announced.and_then(|length| length.parse().ok()).unwrap_or(0);
        // What a server announces is believed up to here.
        let body = Vec::with_capacity(limit.min(announced).min(256 * 1024));
        Self {
            answer: Response::from_parts(head, body),
            limit,
            excerpt,
            gunzip: None,
            ends_with_connection: false,
        }
    }

    /// Says that the answer came over HTTP/1: a body whose head announces neither its
    /// length nor chunks ends with the connection, and so looks whole wherever that is
    /// cut. Such a body then counts as whole if it is one complete JSON value.
    pub fn http1(mut self) -> Self {
        let (status, headers) = (self.answer.status(), self.answer.headers());
        self.ends_with_connection = !self.excerpt
            && self.answer.version() <= Version::HTTP_11
            && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING);
        self
    }

    /// Takes gzip off the body, given a decoder, if the head says that the body
    /// is in gzip: for a request that went out with `accept-encoding: gzip`. The
    /// limit is then one on what comes out, and no more is ever inflated.
    pub fn gunzip(mut self, decoder: Option<Gunzip>) -> Self {
        self.gunzip = decoder.filter(|_| gzip::is_gzip(self.answer.headers()));
        self
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// [`Phase::TooLarge`] once the pieces together exceed the limit.
    pub fn push(mut self, piece: &[u8]) -> Result<Self, TransportError> {
        let fits = piece.len().min(self.room());
        if fits < piece.len() && !self.excerpt {
            return Err(self.fail(Phase::TooLarge, None));
        }
        self.answer.body_mut().extend_from_slice(&piece[..fits]);
        Ok(self)
    }

    /// Whether another piece would be kept, or be a failure. If not,
    /// [`finish`](Self::finish) without the rest of the body.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        let read = self.answer.body().len();
        if self.excerpt { read < self.most() } else { read <= self.most() }
    }

    /// Adds all that a reader has and says how many bytes that was; keeps what came
    /// before it fails. Of more than the limit it reads as much as
    /// [`finish`](Self::finish) needs to tell.
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
    /// That of the reader.
    pub fn read_to_end(&mut self, reader: impl Read) -> io::Result<usize> {
        let most = u64::try_from(self.room()).unwrap_or(u64::MAX);
        let most = most.saturating_add((!self.excerpt).into());
        reader.take(most).read_to_end(self.answer.body_mut())
    }

    /// The complete answer.
    ///
    /// # Errors
    /// Of gzip that is cut or damaged, and of a body that ends with the connection
    /// ([`http1`](Self::http1)) and in the middle of its JSON, [`Phase::Body`]; of more
    /// than the limit [`Phase::TooLarge`].
    pub fn finish(mut self) -> Result<Response<Vec<u8>>, TransportError> {
        if self.answer.body().len() > self.most() {
            return Err(self.fail(Phase::TooLarge, None));
        }
        match self.unpack() {
            Err((phase, source)) => Err(self.fail(phase, source)),
            Ok(()) if self.ends_with_connection && !is_complete(self.answer.body()) => {
                Err(self.fail(Phase::Body, Some("it is not one complete JSON value".into())))
            }
            Ok(()) => Ok(self.answer),
        }
    }

    /// The failure of an answer whose body stopped arriving.
    pub fn cut(self, source: impl Into<Cause>) -> TransportError {
        self.fail(Phase::Body, Some(source.into()))
    }

    /// As [`cut`](Self::cut), unless the body ends with the connection
    /// ([`http1`](Self::http1)) and is complete, however the connection ended: without
    /// TLS's close, by a reset, or not in time.
    ///
    /// # Errors
    /// [`Phase::Body`], from `source`.
    pub fn broken(
        mut self,
        source: impl Into<Cause>,
        timed_out: bool,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let whole = self.answer.body().len() <= self.most() && self.unpack().is_ok();
        if whole && self.ends_with_connection && is_complete(self.answer.body()) {
            return Ok(self.answer);
        }
        Err(self.cut(source).timed_out(timed_out))
    }

    /// How much may arrive in all.
    fn most(&self) -> usize {
        if self.gunzip.is_some() { gzip::most_packed(self.limit) } else { self.limit }
    }

    /// How much may still arrive.
    fn room(&self) -> usize {
        self.most().saturating_sub(self.answer.body().len())
    }

    /// Takes the gzip off, once, and keeps what can be read of it.
    fn unpack(&mut self) -> Result<(), (Phase, Option<Cause>)> {
        let incomplete = !self.wants_more();
        let Some(gunzip) = self.gunzip.take() else { return Ok(()) };
        if self.answer.body().is_empty() {
            return Ok(());
        }
        let (mut body, read) = gzip::unpack(gunzip, self.answer.body(), self.limit);
        let too_large = body.len() > self.limit;
        body.truncate(self.limit);
        // What is no gzip at all may still say something as it is.
        if read.is_ok() || !body.is_empty() {
            *self.answer.body_mut() = body;
            self.answer.headers_mut().remove(CONTENT_ENCODING);
            self.answer.headers_mut().remove(CONTENT_LENGTH);
        }
        match read {
            _ if too_large && !self.excerpt => Err((Phase::TooLarge, None)),
            Err(error) if !incomplete => {
                Err((Phase::Body, Some(format!("its gzip is broken: {error}").into())))
            }
            _ => Ok(()),
        }
    }

    fn fail(mut self, phase: Phase, source: Option<Cause>) -> TransportError {
        // Why the body is not complete is known already.
        drop(self.unpack());
        TransportError {
            status: Some(self.answer.status()),
            answer: Some(Box::new(self.answer)),
            ..TransportError::new(phase, source)
        }
    }
}

/// Whether a body is one whole JSON value that nothing could be added to.
fn is_complete(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // A number may have more digits.
    !body.last().is_some_and(u8::is_ascii_digit)
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader")
            .field("status", &self.answer.status())
            .field("bytes", &self.answer.body().len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
