//! A single connection as a service.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::Mutex;
use tower_service::Service;

use crate::RequestBody;

/// A connection that you opened, as a service. It sends one request at a time.
///
/// A call fails before it is sent if the connection is closed, or if it waits longer than
/// [`connect_timeout`](oneclick_proto::TransportOptions::connect_timeout) for its turn.
/// HTTP/1.1 only; the URI is sent in origin form (RFC 9112, 3.2.1).
///
/// ```
/// use hyper_util::rt::TokioIo;
/// use oneclick_hyper::{
///     Api, AsyncClient, Connection, RequestBody, Transport, TransportOptions,
/// };
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let stream = tokio::net::TcpStream::connect("127.0.0.1:8787").await?;
/// let (sender, driver) =
///     hyper::client::conn::http1::handshake::<_, RequestBody>(TokioIo::new(stream)).await?;
/// tokio::spawn(driver);
/// let transport = Transport::from_service(Connection::new(sender), &TransportOptions::new())?;
/// let client = AsyncClient::with_transport(
///     Api::with_base_url("http://127.0.0.1:8787", "test_key")?,
///     transport,
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connection(Arc<Mutex<SendRequest<RequestBody>>>);

impl Connection {
    /// A service over the sending half. The other half must be polled, as hyper requires.
    #[must_use]
    pub fn new(sender: SendRequest<RequestBody>) -> Self {
        Self(Arc::new(Mutex::new(sender)))
    }
}

impl Service<Request<RequestBody>> for Connection {
    type Response = Response<Incoming>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let sender = self.0.clone();
        Box::pin(async move {
            to_origin_form(&mut request)?;
            let mut sender = sender.lock().await;
            sender.ready().await?;
            Ok(sender.send_request(request).await?)
        })
    }
}

/// Moves the authority of the URI into `host`, as a direct connection to the server
/// requires (RFC 9112, 3.2.1).
fn to_origin_form(request: &mut Request<RequestBody>) -> Result<(), &'static str> {
    const NO_HOST: &str = "the request's URI has no valid host";
    let uri = std::mem::take(request.uri_mut()).into_parts();
    let authority = uri.authority.ok_or(NO_HOST)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| NO_HOST)?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() =
        Uri::from(uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Ok(())
}
