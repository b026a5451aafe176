//! An async client of the 1ClickImpact API on [reqwest](https://docs.rs/reqwest), for
//! services on tokio.
//!
//! ```no_run
//! use oneclick_reqwest::{Client, Trees};
//!
//! # async fn run() -> Result<(), oneclick_reqwest::Error> {
//! let client = Client::from_env()?; // ONECLICK_API_KEY
//! let receipt = client.plant_tree(Trees::new(5)?).await?;
//! println!("{} at {}", receipt.impact, receipt.time_utc);
//! # Ok(())
//! # }
//! ```
//!
#![doc = oneclick_proto::methods_of_a_client!()]
//!
//! The client's methods are documented in [`client`]; this crate is the transport. It does
//! not follow redirects, and it sends each request once: only [`RetryPolicy`] repeats
//! requests, and never a purchase that may have been made.
//!
//! `https://` goes through the proxy of the environment, as [`Proxy`] reads it: HTTP,
//! HTTPS or SOCKS. The proxy sees only the host name. `http://` never goes through a
//! proxy. If the proxy cannot be used, the client cannot be built.
//!
//! A server that sends a flood of 1xx responses can delay a timeout: hyper reads up to
//! 50 MiB of them at once, and reqwest has no setting for that. In a release build, a
//! timeout of 30 seconds was a hundredth of a second late; in a debug build, one of 3
//! seconds took 9. `oneclick-hyper` is not affected.
//!
//! # Features
//!
//! * `tls` (default): rustls with ring and the operating system's trust store. No
//!   process-wide default is set. Without it, only `http://` to a loopback address works,
//!   or your own [`reqwest::Client`].
//! * `gzip`: asks for compressed responses. The limit
//!   [`max_response_bytes`](TransportOptions::max_response_bytes) applies to the
//!   decompressed body.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::error::Error as StdError;
use std::ffi::OsString;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::ACCEPT_ENCODING;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use oneclick_proto::{BodyGate, BodyReader, accept_encoding};

oneclick_proto::gunzip_of_flate2!();
oneclick_proto::reexport_for_clients!();
#[doc(no_inline)]
pub use oneclick_proto::{chrono, http};

/// A client on reqwest; [`client::Client`] documents its methods.
pub type Client = AsyncClient<Transport>;

/// A transport over a [`reqwest::Client`].
///
/// # Panics
/// A call panics outside a tokio runtime with I/O and time enabled. Building and dropping
/// a client needs no runtime.
#[derive(Clone, Debug)]
pub struct Transport {
    client: reqwest::Client,
    connect_timeout: Duration,
    timeout: Duration,
    max_response_bytes: usize,
    start: Instant,
}

impl Transport {
    /// A transport over your own reqwest client.
    ///
    /// Start from [`builder`](Self::builder), which has the settings that this crate
    /// relies on, and add yours. A client that is built in another way must not follow
    /// redirects, because reqwest forwards the key to other hosts; it must not retry, and
    /// it must not use a proxy for `http://`. If it follows redirects, a purchase is still
    /// not repeated and a redirected call fails, but the key has been sent along.
    ///
    /// These options apply: [`timeout`](TransportOptions::timeout),
    /// [`max_response_bytes`](TransportOptions::max_response_bytes), and
    /// [`connect_timeout`](TransportOptions::connect_timeout) until the request is begun.
    ///
    /// ```
    /// use oneclick_reqwest::{Api, Client, Transport, TransportOptions};
    ///
    /// let api = Api::with_base_url("http://127.0.0.1:8787", "test_key")?;
    /// let options = TransportOptions::new();
    /// let own = Transport::builder(&api, &options)?.tcp_nodelay(false).build()?;
    /// let client = Client::with_transport(api, Transport::from_client(own, &options)?);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// A timeout is zero.
    pub fn from_client(
        client: reqwest::Client,
        options: &TransportOptions,
    ) -> Result<Self, ConfigError> {
        let options = options.checked()?;
        Ok(Self {
            client,
            connect_timeout: options.connect_timeout,
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            start: Instant::now(),
        })
    }

    /// The builder that the one-line constructors use, for adding your own settings. It
    /// has redirects and retries disabled, and TLS, timeouts and pool set up from the
    /// options.
    ///
    /// # Errors
    /// A timeout is zero, the machine has no trust store, the proxy of the environment
    /// cannot be used, or the API is `https://` and the feature `tls` is off.
    pub fn builder(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<reqwest::ClientBuilder, Box<dyn StdError + Send + Sync>> {
        let options = options.checked()?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // reqwest reads the environment differently from the other transports.
            .no_proxy()
            // reqwest's gzip decoder stops after the first member, and any crate in the
            // build can enable reqwest's decoders.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle_per_host);
        #[cfg(any(target_os = "android", target_os = "linux"))]
        {
            builder = builder.tcp_user_timeout(TransportOptions::TCP_USER_TIMEOUT);
        }
        if let Some(proxy) = Proxy::from_vars(api.base_url(), |name| std::env::var_os(name))? {
            // The error of reqwest's parser could show the credentials.
            let mut through = reqwest::Proxy::all(proxy.url()).map_err(|_| proxy.unsupported())?;
            if let Some((user, password)) = &proxy.credentials {
                through = through.basic_auth(user, password);
            }
            builder = builder.proxy(through);
        }
        Ok(tls::configure(builder, api)?)
    }
}

impl Connect for Transport {
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self::from_client(Self::builder(api, options)?.build()?, options)?)
    }

    fn var(name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl AsyncTransport for Transport {
    type Body = Vec<u8>;

    async fn send(
        &self,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let method = request.method().clone();
        request.headers_mut().insert(ACCEPT_ENCODING, accept_encoding(GUNZIP));
        let gate = BodyGate::of(&request);
        let request =
            request.map(|body| reqwest::Body::wrap(Body { body: body.into(), gate: gate.clone() }));
        let mut request = reqwest::Request::try_from(request)
            .map_err(|error| TransportError::connect(error.without_url()))?;
        let url = request.url().clone();
        *request.timeout_mut() = Some(self.timeout);
        let mut response = std::pin::pin!(self.client.execute(request));
        let begun = tokio::time::timeout(self.connect_timeout, &mut response).await;
        let response = match begun {
            Ok(response) => response,
            // Nothing began to send the request: the runtime of its connection may be gone.
            Err(elapsed) if gate.withdraw() => {
                return Err(TransportError::connect(elapsed).timed_out(true));
            }
            Err(_) => response.await,
        };
        let mut response = response.map_err(|error| failed(error, gate.withdraw()))?;
        if *response.url() != url {
            // This is the response to another request.
            return Err(TransportError::exchange("the client followed a redirect"));
        }
        let mut head = Response::new(());
        *head.status_mut() = response.status();
        *head.version_mut() = response.version();
        *head.headers_mut() = std::mem::take(response.headers_mut());
        let (head, ()) = head.into_parts();
        let mut reader =
            BodyReader::new(&method, head, self.max_response_bytes).http1().gunzip(GUNZIP);
        while reader.wants_more() {
            match response.chunk().await {
                Ok(Some(chunk)) => reader = reader.push(&chunk)?,
                Ok(None) => break,
                Err(error) => {
                    let timed_out = error.is_timeout();
                    return reader.broken(error.without_url(), timed_out);
                }
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

/// The body of a request, which is sent at most once.
///
/// The caller's client may follow a redirect after a purchase was executed, and then fail
/// to connect. The gate stays taken then, so the failure is not reported as unsent.
struct Body {
    body: reqwest::Body,
    gate: BodyGate,
}

impl http_body::Body for Body {
    type Data = <reqwest::Body as http_body::Body>::Data;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Err(error) = self.gate.take() {
            return Poll::Ready(Some(Err(error.into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    /// hyper calls this for an empty body before it writes the head.
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.gate.take().is_ok()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Converts a failure; `unsent` means that the body of the request was never taken.
fn failed(error: reqwest::Error, unsent: bool) -> TransportError {
    let timed_out = error.is_timeout();
    let error = error.without_url();
    TransportError::before_response(error, unsent).timed_out(timed_out)
}

#[cfg(feature = "tls")]
mod tls {
    //! rustls with ring, and the trust store of the operating system.

    use std::sync::Arc;

    use oneclick_proto::Api;
    use rustls::{ClientConfig, RootCertStore};
    use rustls_platform_verifier::BuilderVerifierExt;

    pub(super) fn configure(
        builder: reqwest::ClientBuilder,
        api: &Api,
    ) -> Result<reqwest::ClientBuilder, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = if api.base_url().is_https() {
            config.with_platform_verifier()?
        } else {
            // Without https, the machine needs no trust store.
            config.with_root_certificates(RootCertStore::empty())
        };
        Ok(builder.tls_backend_preconfigured(config.with_no_client_auth()))
    }
}

#[cfg(not(feature = "tls"))]
mod tls {
    //! No TLS.

    use oneclick_proto::Api;

    pub(super) fn configure(
        builder: reqwest::ClientBuilder,
        api: &Api,
    ) -> Result<reqwest::ClientBuilder, &'static str> {
        if api.base_url().is_https() {
            return Err("an https:// URL needs the feature `tls` of oneclick-reqwest");
        }
        Ok(builder)
    }
}
