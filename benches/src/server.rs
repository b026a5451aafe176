//! A bare hyper server on 127.0.0.1 with fixed responses.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::bodies::{self, Shape};

/// The number of pages in the list of `GET /v1/records`.
pub const PAGES: usize = 1_000;

/// Starts the server on a new thread and returns its URL. It serves until the process
/// ends.
///
/// # Errors
/// Fails if the system cannot start the runtime or open the port.
pub fn start() -> io::Result<String> {
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let served = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let listener = TcpListener::bind(local).await?;
                let _ = ready.send(listener.local_addr());
                serve(listener).await
            })
        });
        drop(served.map_err(|error| ready.send(Err(error))));
    });
    let address = is_ready.recv().map_err(io::Error::other)??;
    Ok(format!("http://{address}"))
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let responses = Arc::new(Responses::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, responses.clone()));
    }
}

async fn connection(stream: TcpStream, responses: Arc<Responses>) {
    let service = service_fn(|request| {
        let responses = &responses;
        async move { Ok::<_, Infallible>(responses.to(request).await) }
    });
    // Only the client ends a connection, so an error here is not a failure of the server.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The response bodies, created once.
struct Responses {
    whoami: Bytes,
    receipt: Bytes,
    /// A page without a cursor.
    page: Bytes,
}

impl Responses {
    fn new() -> Self {
        let page = bodies::page(Shape::Records, None);
        Self {
            whoami: Bytes::from_static(bodies::WHOAMI.as_bytes()),
            receipt: Bytes::from_static(bodies::RECEIPT.as_bytes()),
            page: page.into(),
        }
    }

    async fn to(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        // The request body is read before the response is sent.
        let _ = body.collect().await;
        let body = match head.uri.path() {
            "/v1/whoami" => self.whoami.clone(),
            "/v1/records" => self.page(head.uri.query().unwrap_or_default()),
            _ => self.receipt.clone(),
        };
        let mut response = Response::new(Full::new(body));
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        response
    }

    /// Returns the page after the cursor. A cursor is the number of pages before it.
    fn page(&self, query: &str) -> Bytes {
        let cursor = query.split('&').find_map(|parameter| parameter.strip_prefix("cursor="));
        let next = cursor.and_then(|page| page.parse().ok()).unwrap_or(0) + 1;
        if next >= PAGES {
            return self.page.clone();
        }
        let open = &self.page[..self.page.len() - 1];
        [open, format!(r#","cursor":"{next}"}}"#).as_bytes()].concat().into()
    }
}
