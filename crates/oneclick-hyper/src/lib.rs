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
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
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
    timeout: Duration,
    max_response_bytes: usize,
    start: Instant,
}

impl<S> Transport<S> {
    /// Carries calls over a service of your own: a connection, a client of
    /// hyper-util over your connector, or a stack of tower layers around one.
    ///
    /// Of the options, [`timeout`](TransportOptions::timeout) and
    /// [`max_response_bytes`](TransportOptions::max_response_bytes) apply. The
    /// service must send each request at most once, so leave out layers that
    /// retry or follow redirects, and switch hyper-util's
    /// `retry_canceled_requests` off. A failure counts as one before the first
    /// byte only if it comes from `poll_ready` or has an error of hyper-util's
    /// client among its sources that says so.
    ///
    /// ```
    /// use oneclick_hyper::{Api, AsyncClient, Pool, Transport, TransportOptions};
    ///
    /// let api = Api::with_base_url("http://127.0.0.1:8787", "test_key")?;
    /// let options = TransportOptions::new();
    /// let service = Pool::new(&api, &options)?; // and your layers around it
    /// let client = AsyncClient::with_transport(api, Transport::from_service(service, &options));
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn from_service(service: S, options: &TransportOptions) -> Self {
        let options = options.clamped();
        Self {
            service,
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            start: Instant::now(),
        }
    }
}

impl Connect for Transport {
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self::from_service(Pool::new(api, options)?, options))
    }

    fn var(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl<S, B> AsyncTransport for Transport<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send,
{
    type Body = Vec<u8>;

    async fn send(
        &self,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        if GUNZIP.is_some() {
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let deadline = tokio::time::Instant::now() + self.timeout;
        let request = request.map(|body| Full::new(body.into()));
        let answer = tokio::time::timeout_at(deadline, self.call(request));
        let (head, body) = match answer.await {
            Ok(answer) => answer?.into_parts(),
            Err(elapsed) => return Err(TransportError::exchange(elapsed).timed_out(true)),
        };
        let mut reader = BodyReader::new(head, self.max_response_bytes).http1().gunzip(GUNZIP);
        let mut body = std::pin::pin!(body);
        loop {
            match tokio::time::timeout_at(deadline, body.frame()).await {
                Ok(None) => return reader.finish(),
                Ok(Some(Ok(frame))) => {
                    if let Ok(mut data) = frame.into_data() {
                        use bytes::Buf;
                        while data.has_remaining() {
                            let length = data.chunk().len();
                            reader = reader.push(data.chunk())?;
                            data.advance(length);
                        }
                    }
                }
                Ok(Some(Err(error))) => return reader.broken(error, false),
                Err(elapsed) => return reader.broken(elapsed, true),
            }
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl<S> Transport<S> {
    async fn call<B>(&self, request: Request<Full<Bytes>>) -> Result<Response<B>, TransportError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut service = self.service.clone();
        poll_fn(|context| service.poll_ready(context)).await.map_err(TransportError::connect)?;
        service.call(request).await.map_err(|error| failed(error.into()))
    }
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
fn failed(error: Box<dyn StdError + Send + Sync>) -> TransportError {
    let mut connecting = false;
    let mut timed_out = false;
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = cause {
        connecting |= error.is::<connection::NotSent>()
            || error
                .downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect);
        timed_out |= error.is::<tokio::time::error::Elapsed>()
            || error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
        cause = error.source();
    }
    let failed =
        if connecting { TransportError::connect(error) } else { TransportError::exchange(error) };
    failed.timed_out(timed_out)
}
