//! An HTTP/1.1 server on this machine: its connections, its limits of time and size, and the
//! host names that it answers to.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::delivery::FaultyResponse;
use crate::host::{HostName, Hosts};
use crate::state::problem::{Problem, head_as_get};
use crate::state::{MAX_BODY_BYTES, check_body};

/// How much of a body that is too large is read and discarded, so that a client that is
/// still writing can read the 413 instead of a connection reset.
const DISCARDED_BYTES: usize = 64 * MAX_BODY_BYTES;

/// How long a client may take to send the head of a request, how long to send its body, and
/// how long a connection may be idle: longer than clients keep idle connections (50 seconds).
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// An HTTP/1.1 server on this machine with a function of your own in the place of the
/// emulator, until it is dropped. It serves programs that stand in front of the API.
///
/// It runs on a thread of its own. The function may block; up to 512 requests run at a time,
/// and others wait. As the emulator does, it refuses a request for another host, one with a
/// body of more than [`MAX_BODY_BYTES`], a POST that is not JSON, and one that a web page sends.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{Ipv4Addr, TcpStream};
/// use oneclick_emulator::LocalServer;
/// use oneclick_proto::http::{Request, Response};
///
/// let path = |request: Request<Vec<u8>>| Response::new(request.uri().path().into());
/// let server = LocalServer::start((Ipv4Addr::LOCALHOST, 0).into(), Vec::new(), path)?;
///
/// let mut connection = TcpStream::connect(server.address())?;
/// write!(connection, "GET /a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
/// let mut response = String::new();
/// connection.read_to_string(&mut response)?;
/// assert!(response.ends_with("\r\n\r\n/a"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LocalServer {
    address: SocketAddr,
    base_url: String,
    /// Dropping it stops the server.
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalServer {
    /// Starts a server that answers to loopback names, to the address on which it listens and
    /// to the names that are `allowed`.
    ///
    /// # Errors
    /// If the system provides no socket or no thread, such as for an address that is in use.
    pub fn start(
        listen: SocketAddr,
        allowed: Vec<HostName>,
        respond: impl Fn(Request<Vec<u8>>) -> Response<Vec<u8>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let respond = Arc::new(respond);
        // As long as a request may take, so that none is cut off when the server stops.
        let options = Options { listen, allowed, read_timeout: READ_TIMEOUT, grace: READ_TIMEOUT };
        Self::start_with(options, move |request| {
            let respond = respond.clone();
            async move {
                if let Err(problem) = check(&request) {
                    return whole(problem.response());
                }
                let response = spawn_blocking(move || respond(request)).await;
                whole(response.unwrap_or_else(|_| {
                    let problem = Problem::invalid("the server failed: this is a bug");
                    problem.status(StatusCode::INTERNAL_SERVER_ERROR).response()
                }))
            }
        })
    }

    /// The same with a function that does not block and may damage its response.
    pub(crate) fn start_with<F>(
        options: Options,
        respond: impl Fn(Request<Vec<u8>>) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Outgoing> + Send + 'static,
    {
        let Options { listen, allowed, read_timeout, grace } = options;
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let hosts = Hosts::new(allowed, address);
        let state = Arc::new(State { hosts, read_timeout, respond });

        let (stop, stopped) = watch::channel(());
        let (ready, is_ready) = mpsc::sync_channel(1);
        // The runtime is created on the new thread. The caller's thread may belong to another
        // runtime, and then must neither enter nor drop this one.
        let thread = thread::Builder::new().name("oneclick-server".into()).spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            match builder.enable_io().enable_time().build() {
                Ok(runtime) => runtime.block_on(async {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let _ = ready.send(Ok(()));
                            serve(listener, state, grace, stopped).await;
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                }),
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the server did not start")))?;

        let base_url = format!("http://{}", reachable(address));
        Ok(Self { address, base_url, stop: Some(stop), thread: Some(thread) })
    }

    /// Its base URL, such as `http://127.0.0.1:8788`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Stops the server: completes the requests that have arrived, and closes idle connections.
impl Drop for LocalServer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has already been reported.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalServer").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// What a server is started with.
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) allowed: Vec<HostName>,
    pub(crate) read_timeout: Duration,
    /// How long connections may take to end when the server stops.
    pub(crate) grace: Duration,
}

/// What all connections share.
struct State<R> {
    hosts: Hosts,
    read_timeout: Duration,
    respond: R,
}

/// Refuses what no API takes, and what a web page sends: a browser asks first before it sends
/// JSON, but not everything that buys should hang on that.
fn check(request: &Request<Vec<u8>>) -> Result<(), Problem> {
    let method = head_as_get(request.method());
    if *method != Method::GET && request.headers().contains_key(ORIGIN) {
        let message = "web pages cannot use this server: send the request without `Origin`";
        return Err(Problem::invalid(message).status(StatusCode::FORBIDDEN));
    }
    if [Method::GET, Method::POST].contains(method) {
        check_body(method, request.headers(), request.body())?;
    }
    Ok(())
}

/// The address to connect to: loopback if the server listens on every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Reads a request, checks its host and responds to it.
async fn respond<R, F>(
    state: &State<R>,
    request: Request<Incoming>,
) -> Result<Outgoing, hyper::Error>
where
    R: Fn(Request<Vec<u8>>) -> F,
    F: Future<Output = Outgoing>,
{
    let (head, body) = request.into_parts();
    let Ok(body) = timeout(state.read_timeout, collect(body)).await else {
        let problem = Problem::invalid("the body of the request did not arrive in time");
        return Ok(whole(problem.status(StatusCode::REQUEST_TIMEOUT).response()));
    };
    let request = Request::from_parts(head, body?);
    match state.hosts.check(&request) {
        Ok(()) => Ok((state.respond)(request).await),
        Err(problem) => Ok(whole(problem.response())),
    }
}

/// A response and who writes it: hyper, or [`FaultyResponse::write`].
pub(crate) enum Outgoing {
    Whole(Response<Full<Bytes>>),
    Faulty(FaultyResponse),
}

pub(crate) fn whole(response: Response<Vec<u8>>) -> Outgoing {
    Outgoing::Whole(response.map(|body| Full::new(body.into())))
}

/// Collects a body, or the first `MAX_BODY_BYTES + 1` bytes of one that is too large.
async fn collect(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = (MAX_BODY_BYTES + 1).saturating_sub(bytes.len()).min(data.len());
        bytes.extend_from_slice(&data[..room]);
        discarded += data.len() - room;
        if discarded > DISCARDED_BYTES {
            break;
        }
    }
    Ok(bytes)
}

async fn serve<R, F>(
    listener: TcpListener,
    state: Arc<State<R>>,
    grace: Duration,
    mut stopped: watch::Receiver<()>,
) where
    R: Fn(Request<Vec<u8>>) -> F + Send + Sync + 'static,
    F: Future<Output = Outgoing> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (state, stopped) = (state.clone(), stopped.clone());
                    connections.spawn(connection(stream, state, stopped));
                }
                // Most likely there are no file descriptors left: wait until some are closed.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Connections that do not end in time are dropped with the runtime.
    let _ = timeout(grace, ended).await;
}

async fn connection<R, F>(stream: TcpStream, state: Arc<State<R>>, mut stopped: watch::Receiver<()>)
where
    R: Fn(Request<Vec<u8>>) -> F + Send + Sync + 'static,
    F: Future<Output = Outgoing> + Send + 'static,
{
    // Responses are small, and the client waits for each.
    let _ = stream.set_nodelay(true);
    let faulty = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (state, faulty) = (state.clone(), faulty.clone());
        Box::pin(async move {
            match respond(&state, request).await {
                Ok(Outgoing::Whole(response)) => Ok(response),
                // An error of the service ends the connection without a response.
                Ok(Outgoing::Faulty(response)) => {
                    *faulty.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
                    Err(io::Error::other("an injected fault"))
                }
                Err(error) => Err(io::Error::other(error)),
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.read_timeout)
        // A client may close its sending side as soon as it has sent its request.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // The errors that end a connection are the client's, so they are not reported here.
    let stops = tokio::select! {
        _ = poll_fn(|context| connection.poll_without_shutdown(context)) => false,
        _ = stopped.changed() => true,
    };
    if stops {
        Pin::new(&mut connection).graceful_shutdown();
        let _ = connection.await;
        return;
    }
    let mut stream = connection.into_parts().io.into_inner();
    let faulty = faulty.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(faulty) = faulty else {
        let _ = stream.shutdown().await;
        return;
    };
    tokio::select! {
        _ = faulty.write(stream, state.read_timeout) => {}
        _ = stopped.changed() => {}
    }
}
