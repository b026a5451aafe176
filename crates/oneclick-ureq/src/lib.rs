//! A blocking client of the 1ClickImpact API on [ureq](https://docs.rs/ureq), for programs
//! without an async runtime.
//!
//! ```no_run
//! use oneclick_ureq::{Client, Trees};
//!
//! # fn run() -> Result<(), oneclick_ureq::Error> {
//! let client = Client::from_env()?; // ONECLICK_API_KEY
//! let receipt = client.plant_tree(Trees::new(5)?)?;
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
//! # Logging
//!
//! ureq logs through the `log` crate. At level `trace` it prints the bytes that it sends,
//! including the key: keep `ureq` and `ureq_proto` at `debug` or above. At level `debug` it
//! hides paths and queries, unless the logger reports that `trace` is enabled for the
//! module `ureq::util`. A logger that only compares levels reports that as soon as any
//! module is at `trace`. Then the `debug` lines show the e-mail address of a list that is
//! filtered by customer. With such a logger, drop the lines of both crates.
//!
//! # Features
//!
//! * `tls` (default): rustls with ring and the operating system's trust store. No
//!   process-wide default is set. Without it, only `http://` to a loopback address works,
//!   or your own agent.
//! * `gzip`: asks for compressed responses. The limit
//!   [`max_response_bytes`](TransportOptions::max_response_bytes) applies to the
//!   decompressed body.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connector;

use std::error::Error as StdError;
use std::ffi::OsString;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::uri::Scheme;
use http::{Method, Request, Response};
use oneclick_proto::{BodyGate, BodyReader, accept_encoding};
use ureq::config::{AutoHeaderValue, Config};
use ureq::{Agent, SendBody, Timeout};

oneclick_proto::gunzip_of_flate2!();
oneclick_proto::reexport_for_clients!();
#[doc(no_inline)]
pub use oneclick_proto::{chrono, http};

/// A client on ureq; [`client::Client`] documents its methods.
pub type Client = BlockingClient<Transport>;

/// A transport over a [`ureq::Agent`].
///
/// A call on an idle connection starts no thread. A call that opens a connection starts one
/// to resolve the host.
#[derive(Clone, Debug)]
pub struct Transport {
    agent: Agent,
    /// Options to set on each request, if the caller built the agent.
    overrides: Option<TransportOptions>,
    timeout: Duration,
    max_response_bytes: usize,
    start: Instant,
}

impl Transport {
    /// A transport over your own agent.
    ///
    /// The agent's TLS and pool settings are used as they are, and so is its proxy for
    /// `https://`; unless you set that, ureq reads it from the environment in its own way.
    /// A proxy is never used for `http://`, since it could read the key. Timeouts are those
    /// of `options`. Redirects are not followed, and no status is an error, whatever the
    /// agent's settings are.
    ///
    /// ```
    /// use oneclick_ureq::{Api, Client, Transport, TransportOptions};
    ///
    /// let agent = ureq::Agent::config_builder().max_idle_connections_per_host(64).build().into();
    /// let transport = Transport::from_agent(agent, &TransportOptions::new())?;
    /// let client = Client::with_transport(Api::sandbox("test_key")?, transport);
    /// # Ok::<(), oneclick_ureq::Error>(())
    /// ```
    ///
    /// # Errors
    /// A timeout is zero.
    pub fn from_agent(agent: Agent, options: &TransportOptions) -> Result<Self, ConfigError> {
        let options = options.checked()?;
        Ok(Self {
            agent,
            overrides: Some(options.clone()),
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            start: Instant::now(),
        })
    }
}

/// The settings that every request needs, on our agent and on the caller's.
macro_rules! configure {
    ($builder:expr, $options:expr) => {
        $builder
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding(AutoHeaderValue::None)
            .timeout_global(Some($options.timeout))
            .timeout_connect(Some($options.connect_timeout))
    };
}

impl Connect for Transport {
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let options = options.checked()?;
        let proxy = Proxy::from_vars(api.base_url(), |name| std::env::var_os(name))?;
        let mut builder = configure!(Config::builder(), options)
            .max_idle_age(options.idle_timeout)
            .max_idle_connections(options.max_idle_per_host)
            .max_idle_connections_per_host(options.max_idle_per_host)
            .proxy(proxy.map(|proxy| through(&proxy)).transpose()?);
        if api.base_url().is_https() {
            builder = tls::configure(builder)?;
        }
        Ok(Self {
            agent: connector::agent(builder.build()),
            overrides: None,
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            start: Instant::now(),
        })
    }

    fn var(name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl BlockingTransport for Transport {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let gate = (request.method() != Method::GET).then(|| BodyGate::of(&request));
        let (mut head, body) = request.into_parts();
        head.headers.insert(ACCEPT_ENCODING, accept_encoding(GUNZIP));
        let method = head.method.clone();
        let body = match &gate {
            Some(gate) => {
                head.headers.insert(CONTENT_LENGTH, body.len().into());
                let body = Body { body: io::Cursor::new(body), gate: gate.clone() };
                SendBody::from_owned_reader(body)
            }
            None => SendBody::none(),
        };
        let mut request = Request::from_parts(head, body);
        if let Some(options) = &self.overrides {
            let clear = request.uri().scheme() == Some(&Scheme::HTTP);
            let mut builder = configure!(self.agent.configure_request(request), options)
                .timeout_resolve(Some(options.connect_timeout));
            if clear {
                builder = builder.proxy(None);
            }
            request = builder.build();
        }
        let response = self.agent.run(request).map_err(|error| {
            let unsent = gate.map_or_else(|| failed_to_connect(&error), |gate| gate.withdraw());
            failed(error, unsent)
        })?;

        let (head, mut body) = response.into_parts();
        let mut reader =
            BodyReader::new(&method, head, self.max_response_bytes).http1().gunzip(GUNZIP);
        match reader.read_to_end(body.as_reader()) {
            Ok(_) => reader.finish(),
            Err(error) => {
                let error = ureq::Error::from(error);
                let timed_out = is_timeout(&error);
                reader.broken(error, timed_out)
            }
        }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }
}

/// Converts a proxy into ureq's type.
fn through(proxy: &Proxy) -> Result<ureq::Proxy, ProxyError> {
    let protocol = ureq::ProxyProtocol::try_from(&*proxy.scheme.to_string());
    let mut builder = ureq::Proxy::builder(protocol.map_err(|_| proxy.unsupported())?)
        .host(&proxy.host)
        .port(proxy.port);
    if let Some((user, password)) = &proxy.credentials {
        builder = builder.username(user).password(password);
    }
    builder.build().map_err(|_| proxy.unsupported())
}

/// The body of a POST.
///
/// ureq connects, sends the head, and only then reads the body. So if the body was never
/// read, it was not sent, and a POST without its body cannot have been executed.
struct Body {
    body: io::Cursor<Vec<u8>>,
    gate: BodyGate,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.gate.take().map_err(io::Error::other)?;
        self.body.read(buffer)
    }
}

/// Whether a GET over the caller's agent failed before it was sent. A GET has no body to
/// watch, so only the error itself can show that.
fn failed_to_connect(error: &ureq::Error) -> bool {
    use ureq::Error::{ConnectProxyFailed, HostNotFound, Io};
    match error {
        ConnectProxyFailed(_) | HostNotFound => true,
        ureq::Error::Timeout(timeout) => matches!(timeout, Timeout::Resolve | Timeout::Connect),
        Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// Converts a failure; `unsent` means that the request cannot have been executed.
fn failed(error: ureq::Error, unsent: bool) -> TransportError {
    use ureq::Error::{BadUri, Other, RequireHttpsOnly};
    let (error, unsent) = match error {
        Other(other) => match other.downcast::<connector::NotConnected>() {
            Ok(error) => (error.0, true),
            Err(other) => (Other(other), unsent),
        },
        // These two show the URI, which may hold a customer's address.
        BadUri(_) => (BadUri("..".to_owned()), unsent),
        RequireHttpsOnly(_) => (RequireHttpsOnly("..".to_owned()), unsent),
        error => (error, unsent),
    };
    let timed_out = is_timeout(&error);
    TransportError::before_response(error, unsent).timed_out(timed_out)
}

/// Whether an error is a timeout, possibly inside the I/O error that TLS turns it into.
fn is_timeout(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(_) => true,
        ureq::Error::Io(error) => error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<ureq::Error>())
            .is_some_and(is_timeout),
        _ => false,
    }
}

#[cfg(feature = "tls")]
mod tls {
    //! rustls with ring, and the trust store of the operating system.

    use std::sync::Arc;

    use rustls::crypto::ring;
    use rustls_platform_verifier::Verifier;
    use ureq::config::ConfigBuilder;
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
    use ureq::typestate::AgentScope;

    pub(super) fn configure(
        builder: ConfigBuilder<AgentScope>,
    ) -> Result<ConfigBuilder<AgentScope>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        // Otherwise a missing trust store would only show at the first call.
        Verifier::new(provider.clone())?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::PlatformVerifier);
        Ok(builder.tls_config(tls.build()))
    }
}

#[cfg(not(feature = "tls"))]
mod tls {
    //! No TLS.

    use ureq::config::ConfigBuilder;
    use ureq::typestate::AgentScope;

    pub(super) fn configure(
        _: ConfigBuilder<AgentScope>,
    ) -> Result<ConfigBuilder<AgentScope>, &'static str> {
        Err("an https:// URL needs the feature `tls` of oneclick-ureq")
    }
}
