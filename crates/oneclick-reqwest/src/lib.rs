//! The 1ClickImpact API over [reqwest](https://docs.rs/reqwest): an async
//! client for services on tokio.
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
//! The client's methods are those of [`oneclick_proto::client`]; this crate is
//! what carries them. Redirects are not followed, and what carries a call sends
//! it once: only [`RetryPolicy`] says what is sent again, which is no purchase
//! that may have been made.
//! `https://` goes through the proxy that the environment names, as [`Proxy`] reads it:
//! HTTP, HTTPS or SOCKS. It sees no more than the host. `http://` goes through none, and
//! no client is made if the proxy cannot be used.
//!
//! Under a flood of 1xx responses a timeout may end late: hyper reads up to 50 MiB of them
//! in one go, and reqwest has no setting for it. A release build kept 30 seconds to a
//! hundredth of a second; in a debug build 3 seconds became 9. `oneclick-hyper` keeps it.
//!
//! Features: `tls` (default) is rustls with ring and the trust store of the
//! operating system, passed explicitly, so that nothing process-wide is set.
//! Without it only `http://` to a loopback address works, or a client of your
//! own. `gzip` asks for compressed answers, and holds them to
//! [`max_response_bytes`](TransportOptions::max_response_bytes) once inflated.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::ACCEPT_ENCODING;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
#[doc(no_inline)]
pub use oneclick_proto::*;

/// The API over reqwest; see [`oneclick_proto::Client`] for its methods.
pub type Client = AsyncClient<Transport>;

/// A [`reqwest::Client`] as a transport, set up by [`TransportOptions`].
///
/// # Panics
/// A call panics outside a tokio runtime with I/O and time enabled; to make and to
/// drop a client needs none.
#[derive(Clone, Debug)]
pub struct Transport {
    client: reqwest::Client,
    connect_timeout: Duration,
    timeout: Duration,
    max_response_bytes: usize,
    start: Instant,
}

impl Transport {
    /// Carries calls over a client that you configured yourself.
    ///
    /// Start from [`builder`](Self::builder), which has the settings that the
    /// promises of this crate rest on, and add yours. A client built otherwise
    /// must have redirects off, since reqwest sends the key on to other hosts,
    /// retries off, and no proxy for `http://`. With redirects on, no purchase
    /// is repeated and a call that was redirected fails, but the key has gone
    /// along. Of the options, [`timeout`](TransportOptions::timeout),
    /// [`max_response_bytes`](TransportOptions::max_response_bytes) and, until the request
    /// is begun, [`connect_timeout`](TransportOptions::connect_timeout) apply here.
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
    /// A timeout of zero.
    pub fn from_client(
        client: reqwest::Client,
        options: &TransportOptions,
    ) -> Result<Self, InvalidValue> {
        let options = options.checked()?;
        Ok(Self {
            client,
            connect_timeout: options.connect_timeout,
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            start: Instant::now(),
        })
    }

    /// The builder that the one-line constructors use, for settings of your
    /// own: redirects and retries off, TLS, timeouts and pool as the options
    /// say.
    ///
    /// # Errors
    /// A machine without a trust store, a proxy in the environment that cannot be used, or
    /// https without the feature `tls`.
    pub fn builder(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<reqwest::ClientBuilder, Box<dyn StdError + Send + Sync>> {
        let options = options.checked()?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // It reads the environment otherwise than the other transports do.
            .no_proxy()
            // Its own decoders leave an answer of several members half read, and
            // are there as soon as any crate of the build asks for them.
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
            // Its parser would show what it stumbles over.
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

    fn var(name: &str) -> Option<String> {
        std::env::var(name).ok()
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
        let gate = BodyGate::default();
        let request =
            request.map(|body| reqwest::Body::wrap(Body { body: body.into(), gate: gate.clone() }));
        let mut request = reqwest::Request::try_from(request)
            .map_err(|error| TransportError::connect(error.without_url()))?;
        let url = request.url().clone();
        *request.timeout_mut() = Some(self.timeout);
        let mut answer = std::pin::pin!(self.client.execute(request));
        let begun = tokio::time::timeout(self.connect_timeout, &mut answer).await;
        let answer = match begun {
            Ok(answer) => answer,
            // Nothing began to send it: what drives its connection may be gone.
            Err(elapsed) if gate.withdraw() => {
                return Err(TransportError::connect(elapsed).timed_out(true));
            }
            Err(_) => answer.await,
        };
        let mut answer = answer.map_err(|error| failed(error, gate.withdraw()))?;
        if *answer.url() != url {
            // Whatever this answers, it is not the request.
            return Err(TransportError::exchange("the client followed a redirect"));
        }
        let mut head = Response::new(());
        *head.status_mut() = answer.status();
        *head.version_mut() = answer.version();
        *head.headers_mut() = std::mem::take(answer.headers_mut());
        let (head, ()) = head.into_parts();
        let mut reader =
            BodyReader::new(&method, head, self.max_response_bytes).http1().gunzip(GUNZIP);
        while reader.wants_more() {
            match answer.chunk().await {
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
}

/// Takes gzip off an answer; the feature has it asked for.
#[cfg(feature = "gzip")]
const GUNZIP: Option<Gunzip> =
    Some(|packed| Box::new(flate2::bufread::MultiGzDecoder::new(packed)));
#[cfg(not(feature = "gzip"))]
const GUNZIP: Option<Gunzip> = None;

/// The body of a request.
///
/// A client of the caller's can follow a redirect of a purchase that was
/// executed, and then fail to connect. Nor can it send this body again.
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

    /// Asked of an empty body before its head is written.
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.gate.take().is_ok()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Sorts a failure into before and after the first byte of the request.
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
            // Nothing is encrypted, so a machine without a trust store will do.
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
            return Err("https needs the feature `tls` of oneclick-reqwest");
        }
        Ok(builder)
    }
}
