//! A bare hyper server with fixed answers, on 127.0.0.1.

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

/// How many pages `GET /v1/records` has before its list ends.
pub const PAGES: usize = 1_000;

/// Starts it on a thread of its own, until the process ends; gives its URL.
///
/// # Errors
/// Those of the system.
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
    let answers = Arc::new(Answers::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, answers.clone()));
    }
}

async fn connection(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(|request| {
        let answers = &answers;
        async move { Ok::<_, Infallible>(answers.to(request).await) }
    });
    // Whatever ends a connection is the client's doing.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The bodies, made once.
struct Answers {
    whoami: Bytes,
    receipt: Bytes,
    /// A page, up to its cursor.
    page: Bytes,
}

impl Answers {
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
        // A purchase is read before it is answered.
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

    /// The page after the cursor, which counts pages.
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
