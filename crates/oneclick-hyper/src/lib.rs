//! The 1ClickImpact API over [hyper](https://docs.rs/hyper): an async client,
//! and the same over connections and tower-style services of your own.
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
//! The client's methods are those of [`oneclick_proto::client`]; this crate is
//! what carries them: hyper-util's pooled client ([`Pool`]), one connection
//! ([`Connection`]), or any service that takes the same types
//! ([`Transport::from_service`]). Redirects are not followed, and what carries a call sends
//! it once: only [`RetryPolicy`] says what is sent again, which is no purchase that may
//! have been made.
//! The pool goes for `https://` through the proxy that the environment names, as [`Proxy`]
//! reads it: `http`, `socks5` or `socks5h`. It sees no more than the host. `http://` goes
//! through none, and no client is made if the proxy cannot be used, as one with the scheme
//! `https`, `socks4` or `socks4a` cannot be here.
//!
//! Features: `tls` (default) is rustls with ring and the trust store of the
//! operating system, passed explicitly, so that nothing process-wide is set.
//! Without it only `http://` to a loopback address works, or a service of your
//! own. `gzip` asks for compressed answers, and holds them to
//! [`max_response_bytes`](TransportOptions::max_response_bytes) once inflated.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod pool;

use std::error::Error as StdError;
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
#[doc(no_inline)]
pub use oneclick_proto::*;
use tower_service::Service;

pub use connection::Connection;
pub use pool::Pool;

/// The API over hyper-util's pooled client; see [`oneclick_proto::Client`] for
/// its methods.
pub type Client = AsyncClient<Transport>;

/// A service as a transport; by default a pool of connections.
///
/// # Panics
/// A call panics outside a tokio runtime with I/O and time enabled; to make and to
/// drop a client needs none.
#[derive(Clone)]
pub struct Transport<S = Pool> {
    service: S,
    connect_timeout: Duration,
    timeout: Duration,
    max_response_bytes: usize,
    start: Instant,
}

impl<S> Transport<S> {
    /// Carries calls over a service of your own: a connection, a client of
    /// hyper-util over your connector, or a stack of tower layers around one.
    ///
    /// Of the options, [`timeout`](TransportOptions::timeout),
    /// [`max_response_bytes`](TransportOptions::max_response_bytes) and, until the request
    /// is begun, [`connect_timeout`](TransportOptions::connect_timeout) apply. The
    /// service must send each request at most once, so leave out layers that
    /// retry or follow redirects, and switch hyper-util's
    /// `retry_canceled_requests` off. A failure counts as one before the first
    /// byte only if the service never read the [`RequestBody`].
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
    /// A timeout of zero.
    pub fn from_service(service: S, options: &TransportOptions) -> Result<Self, InvalidValue> {
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

    fn var(name: &str) -> Option<String> {
        std::env::var(name).ok()
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
        let gate = BodyGate::default();
        let mut request =
            request.map(|body| RequestBody { bytes: body.into(), gate: gate.clone() });
        hyper::ext::on_informational(&mut request, |_| count_against_the_budget());
        let mut service = self.service.clone();
        let mut answer = std::pin::pin!(async {
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            service.call(request).await.map_err(Into::<Box<dyn StdError + Send + Sync>>::into)
        });
        let answer = match tokio::time::timeout_at(begin, &mut answer).await {
            Ok(answer) => Ok(answer),
            // Nothing began to send it: what drives its connection may be gone.
            Err(elapsed) if gate.withdraw() => {
                return Err(TransportError::connect(elapsed).timed_out(true));
            }
            Err(_) => tokio::time::timeout_at(deadline, answer).await,
        };
        let (head, body) = match answer {
            Ok(Ok(answer)) => answer.into_parts(),
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
}

/// The body of a request, which is taken back if nothing began to send it.
///
/// For hyper it is as good as a `Full<Bytes>`. A service that reads it before it connects
/// makes each failure one after the first byte.
pub struct RequestBody {
    bytes: Bytes,
    gate: BodyGate,
}

/// The length alone: a purchase names its customer.
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

    /// Asked of an empty body before its head is written.
    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.gate.take().is_ok()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// hyper goes through a flood of 1xx until the socket says that the task has had its
/// share. So each of them counts as much as a read does, and timers run in between.
fn count_against_the_budget() {
    let mut context = Context::from_waker(Waker::noop());
    let consumed = std::pin::pin!(tokio::task::coop::consume_budget()).poll(&mut context);
    // The next read is what waits.
    let (Poll::Ready(()) | Poll::Pending) = consumed;
}

/// Takes gzip off an answer; the feature has it asked for.
#[cfg(feature = "gzip")]
const GUNZIP: Option<Gunzip> =
    Some(|packed| Box::new(flate2::bufread::MultiGzDecoder::new(packed)));
#[cfg(not(feature = "gzip"))]
const GUNZIP: Option<Gunzip> = None;

/// Nothing of the service, whose state may hold requests.
impl<S> fmt::Debug for Transport<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("timeout", &self.timeout)
            .field("max_response_bytes", &self.max_response_bytes)
            .finish_non_exhaustive()
    }
}

/// Sorts a failure into before and after the first byte of the request.
fn failed(error: Box<dyn StdError + Send + Sync>, unsent: bool) -> TransportError {
    let mut timed_out = false;
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = cause {
        timed_out |= error.is::<tokio::time::error::Elapsed>()
            || error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
        cause = error.source();
    }
    TransportError::before_response(error, unsent).timed_out(timed_out)
}
