//! A pool of connections as a service: hyper-util's client, set up for this API.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use oneclick_proto::{Api, Proxy, ProxyError, ProxyScheme, TransportOptions};
use tower_service::Service;

use crate::RequestBody;

/// A pool of connections, which are opened as needed and shared by clones. A call needs a
/// tokio runtime; see [`Transport`](crate::Transport).
#[derive(Clone, Debug)]
pub struct Pool(Client<WithTimeout<tls::Connector>, RequestBody>);

impl Pool {
    /// A pool for this API; no connection is made yet. It uses the proxy of the
    /// environment, as [`Proxy`] reads it, with the scheme `http`, `socks5` or `socks5h`.
    ///
    /// You can wrap it in your own layers and pass it to
    /// [`Transport::from_service`](crate::Transport::from_service).
    ///
    /// # Errors
    /// A timeout is zero, the machine has no trust store, the proxy of the environment
    /// cannot be used, or the API is `https://` and the feature `tls` is off.
    pub fn new(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let options = options.checked()?;
        let proxy = Proxy::from_vars(api.base_url(), |name| std::env::var_os(name))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        #[cfg(any(target_os = "android", target_os = "linux"))]
        tcp.set_tcp_user_timeout(Some(TransportOptions::TCP_USER_TIMEOUT));
        // hyper-util divides this among the host's addresses, so a silent one leaves time
        // for the next.
        tcp.set_connect_timeout(Some(options.connect_timeout));
        let connector = WithTimeout {
            connector: tls::connector(Route::new(tcp, proxy)?, api)?,
            timeout: options.connect_timeout,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle_per_host)
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self(client))
    }
}

impl Service<Request<RequestBody>> for Pool {
    type Response = Response<Incoming>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let response = self.0.call(request);
        Box::pin(async { Ok(response.await?) })
    }
}

/// A connector with one time limit for name resolution, connecting and the TLS handshake.
/// The connectors of hyper-util and hyper-rustls do not limit the handshake.
#[derive(Clone)]
struct WithTimeout<C> {
    connector: C,
    timeout: Duration,
}

impl<C> Service<Uri> for WithTimeout<C>
where
    C: Service<Uri, Error: Into<Box<dyn StdError + Send + Sync>>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.timeout, self.connector.call(uri));
        Box::pin(async move {
            match connected.await {
                Ok(connection) => connection.map_err(Into::into),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// A connector that connects directly or through a proxy.
#[derive(Clone)]
enum Route {
    Direct(HttpConnector),
    Tunnel(Tunnel<HttpConnector>),
    Socks {
        connector: SocksV5<HttpConnector>,
        /// Whether the client resolves the API's host.
        resolve: bool,
    },
}

impl Route {
    fn new(tcp: HttpConnector, proxy: Option<Proxy>) -> Result<Self, ProxyError> {
        let Some(proxy) = proxy else { return Ok(Self::Direct(tcp)) };
        // The connectors only use host and port of this URI.
        let at = Uri::try_from(format!("http://{}:{}", proxy.host, proxy.port))
            .map_err(|_| proxy.unsupported())?;
        match proxy.scheme {
            ProxyScheme::Http => {
                let mut tunnel = Tunnel::new(at, tcp);
                if let Some(authorization) = proxy.authorization() {
                    tunnel = tunnel.with_auth(authorization);
                }
                Ok(Self::Tunnel(tunnel))
            }
            ProxyScheme::Socks5 | ProxyScheme::Socks5h => {
                let mut socks = SocksV5::new(at, tcp);
                if let Some((user, password)) = proxy.credentials {
                    socks = socks.with_auth(user, password);
                }
                let resolve = proxy.scheme == ProxyScheme::Socks5;
                Ok(Self::Socks { connector: socks, resolve })
            }
            _ => Err(proxy.unsupported()),
        }
    }
}

impl Service<Uri> for Route {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Connectors are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self.clone() {
            Self::Direct(mut tcp) => Box::pin(async move { Ok(tcp.call(to).await?) }),
            Self::Tunnel(mut tunnel) => Box::pin(async move { Ok(tunnel.call(to).await?) }),
            Self::Socks { mut connector, resolve } => Box::pin(async move {
                let to = if resolve { resolved(&to).await? } else { to };
                Ok(connector.call(to).await?)
            }),
        }
    }
}

/// Replaces the host of a URI by its first address.
async fn resolved(to: &Uri) -> Result<Uri, Box<dyn StdError + Send + Sync>> {
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = to.port_u16().unwrap_or(443);
    let mut addresses = tokio::net::lookup_host((host, port)).await?;
    let address = addresses.next().ok_or("the host name has no address")?;
    Ok(Uri::try_from(format!("https://{address}"))?)
}

#[cfg(feature = "tls")]
mod tls {
    //! rustls with ring, and the trust store of the operating system.

    use std::sync::Arc;

    use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
    use oneclick_proto::Api;
    use rustls::{ClientConfig, RootCertStore};
    use rustls_platform_verifier::BuilderVerifierExt;

    use super::Route;

    pub(super) type Connector = HttpsConnector<Route>;

    pub(super) fn connector(tcp: Route, api: &Api) -> Result<Connector, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = if api.base_url().is_https() {
            config.with_platform_verifier()?
        } else {
            // Without https, the machine needs no trust store.
            config.with_root_certificates(RootCertStore::empty())
        };
        Ok(HttpsConnectorBuilder::new()
            .with_tls_config(config.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp))
    }
}

#[cfg(not(feature = "tls"))]
mod tls {
    //! No TLS.

    use oneclick_proto::Api;

    use super::Route;

    pub(super) type Connector = Route;

    pub(super) fn connector(tcp: Route, api: &Api) -> Result<Connector, &'static str> {
        if api.base_url().is_https() {
            return Err("an https:// URL needs the feature `tls` of oneclick-hyper");
        }
        Ok(tcp)
    }
}
