//! An async client of the 1ClickImpact API on [hyper](https://docs.rs/hyper). It also works
//! over your own connections and tower services.
//!
//! ```no_run
//! use oneclick_hyper::{Client, Trees};
//!
//! # async fn run() -> Result<(), oneclick_hyper::Error> {
//! let client = Client::from_env()?; // ONECLICK_API_KEY
//! let receipt = client.plant_tree(Trees::new(5)?).await?;
//! println!("{} at {}", receipt.impact, receipt.time_utc);
//! # Ok(())
//! # }
//! ```
//!
#![doc = oneclick_proto::methods_of_a_client!()]
//!
//! The client's methods are documented in [`client`]; this crate is the
//! transport: a pool of connections ([`Pool`]), a single connection ([`Connection`]), or
//! any service with the same types ([`Transport::from_service`]). It does not follow
//! redirects, and it sends each request once: only [`RetryPolicy`] repeats requests, and
//! never a purchase that may have been made.
//!
//! For `https://`, the pool uses the proxy of the environment, as [`Proxy`] reads it, if
//! its scheme is `http`, `socks5` or `socks5h`. The proxy sees only the host name.
//! `http://` never goes through a proxy. If the proxy cannot be used, or has the scheme
//! `https`, `socks4` or `socks4a`, the client cannot be built.
//!
//! # Features
//!
//! * `tls` (default): rustls with ring and the operating system's trust store. No
//!   process-wide default is set. Without it, only `http://` to a loopback address works,
//!   or your own service.
//! * `gzip`: asks for compressed responses. The limit
//!   [`max_response_bytes`](TransportOptions::max_response_bytes) applies to the
//!   decompressed body.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod pool;

use std::error::Error as StdError;
use std::ffi::OsString;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::header::ACCEPT_ENCODING;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use oneclick_proto::{BodyGate, BodyReader, Withdrawn, accept_encoding};
use tower_service::Service;

pub use connection::Connection;
pub use pool::Pool;

oneclick_proto::gunzip_of_flate2!();
oneclick_proto::reexport_for_clients!();
#[doc(no_inline)]
pub use oneclick_proto::{chrono, http};

/// A client on a pool of connections; [`client::Client`] documents its methods.
pub type Client = AsyncClient<Transport>;

/// A transport over a service, by default over a pool of connections.
///
/// # Panics
/// A call panics outside a tokio runtime with I/O and time enabled. Building and dropping
/// a client needs no runtime.
#[derive(Clone)]
pub struct Transport<S = Pool> {
    service: S,
    connect_timeout: Duration,
    timeout: Duration,
    max_response_bytes: usize,
    start: Instant,
}

impl<S> Transport<S> {
    /// A transport over your own service: a connection, a hyper-util client with your
    /// connector, or a stack of tower layers around one.
    ///
    /// The service must send each request at most once. So leave out layers that retry or
    /// follow redirects, and disable hyper-util's `retry_canceled_requests`. A failure
    /// counts as unsent only if the service never read the [`RequestBody`].
    ///
    /// These options apply: [`timeout`](TransportOptions::timeout),
    /// [`max_response_bytes`](TransportOptions::max_response_bytes), and
    /// [`connect_timeout`](TransportOptions::connect_timeout) until the request is begun.
    ///
    /// ```
    /// use oneclick_hyper::{Api, AsyncClient, Pool, Transport, TransportOptions};
    ///
    /// let api = Api::with_base_url("http://127.0.0.1:8787", "test_key")?;
    /// let options = TransportOptions::new();
    /// let service = Pool::new(&api, &options)?; // and your layers around it
    /// let client = AsyncClient::with_transport(api, Transport::from_service(service, &options)?);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// A timeout is zero.
    pub fn from_service(service: S, options: &TransportOptions) -> Result<Self, ConfigError> {
        let options = options.checked()?;
        Ok(Self {
            service,
            connect_timeout: options.connect_timeout,
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            start: Instant::now(),
        })
    }
}

impl Connect for Transport {
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self::from_service(Pool::new(api, options)?, options)?)
    }

    fn var(name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl<S, B> AsyncTransport for Transport<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send,
{
    type Body = Vec<u8>;

    async fn send(
        &self,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let method = request.method().clone();
        request.headers_mut().insert(ACCEPT_ENCODING, accept_encoding(GUNZIP));
        let start = tokio::time::Instant::now();
        let (deadline, begin) = (start + self.timeout, start + self.connect_timeout);
        let gate = BodyGate::of(&request);
        let mut request =
            request.map(|body| RequestBody { bytes: body.into(), gate: gate.clone() });
        hyper::ext::on_informational(&mut request, |_| count_against_the_budget());
        let mut service = self.service.clone();
        let mut response = std::pin::pin!(async {
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            service.call(request).await.map_err(Into::<Box<dyn StdError + Send + Sync>>::into)
        });
        let response = match tokio::time::timeout_at(begin, &mut response).await {
            Ok(response) => Ok(response),
            // Nothing began to send the request: the runtime of its connection may be gone.
            Err(elapsed) if gate.withdraw() => {
                return Err(TransportError::connect(elapsed).timed_out(true));
            }
            Err(_) => tokio::time::timeout_at(deadline, response).await,
        };
        let (head, body) = match response {
            Ok(Ok(response)) => response.into_parts(),
            Ok(Err(error)) => return Err(failed(error, gate.withdraw())),
            Err(elapsed) => return Err(TransportError::exchange(elapsed).timed_out(true)),
        };
        let mut reader =
            BodyReader::new(&method, head, self.max_response_bytes).http1().gunzip(GUNZIP);
        let mut body = std::pin::pin!(body);
        while reader.wants_more() {
            match tokio::time::timeout_at(deadline, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    if let Ok(mut data) = frame.into_data() {
                        reader = reader.push(&data.copy_to_bytes(data.remaining()))?;
                    }
                }
                Ok(Some(Err(error))) => return reader.broken(error, false),
                Err(elapsed) => return reader.broken(elapsed, true),
            }
        }
        reader.finish()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }
}

/// The body of a request, which is withdrawn if nothing began to send it.
///
/// hyper sends it like a `Full<Bytes>`. If a service reads it before it connects, then no
/// failure counts as unsent.
pub struct RequestBody {
    bytes: Bytes,
    gate: BodyGate,
}

/// Shows only the length, since the body may name a customer.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready(Some(self.gate.take().map(|()| Frame::data(bytes))))
    }

    /// hyper calls this for an empty body before it writes the head.
    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.gate.take().is_ok()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// Makes each 1xx response cost as much of the task's budget as a read does. hyper reads
/// such responses until the budget is spent, so this lets timers run in between.
fn count_against_the_budget() {
    let mut context = Context::from_waker(Waker::noop());
    let consumed = std::pin::pin!(tokio::task::coop::consume_budget()).poll(&mut context);
    // If the budget is spent, the next read waits.
    let (Poll::Ready(()) | Poll::Pending) = consumed;
}

/// Leaves out the service, whose state may hold requests.
impl<S> fmt::Debug for Transport<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("timeout", &self.timeout)
            .field("max_response_bytes", &self.max_response_bytes)
            .finish_non_exhaustive()
    }
}

/// Converts a failure; `unsent` means that the body of the request was never taken.
fn failed(error: Box<dyn StdError + Send + Sync>, unsent: bool) -> TransportError {
    let first: &(dyn StdError + 'static) = &*error;
    let timed_out = std::iter::successors(Some(first), |&error| error.source()).any(|error| {
        let io_error = error.downcast_ref::<std::io::Error>();
        error.is::<tokio::time::error::Elapsed>()
            || io_error.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    });
    TransportError::before_response(error, unsent).timed_out(timed_out)
}
