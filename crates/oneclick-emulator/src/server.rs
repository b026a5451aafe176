//! The emulator as an HTTP server.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::control;
use crate::delivery::FaultyResponse;
use crate::host::{HostName, Hosts};
use crate::log::Logged;
use crate::shared::{Shared, Watch};
use crate::state::problem::Problem;
use crate::state::{Behaviour, Config, Delivered, Delivery, Emulator, FaultRule, MAX_BODY_BYTES};

/// How long connections may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// How much of a body that is too large is read and discarded, so that a client that is
/// still writing can read the 413 instead of a connection reset.
const DISCARDED_BYTES: usize = 64 * MAX_BODY_BYTES;

/// An emulator that serves HTTP/1.1 until it is dropped.
///
/// It runs on its own thread, so blocking and async tests can use it in the same way.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use oneclick_emulator::Server;
///
/// let server = Server::start()?;
///
/// let mut connection = TcpStream::connect(server.address())?;
/// write!(
///     connection,
///     "GET /v1/whoami HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_doc\r\nconnection: close\r\n\r\n",
/// )?;
/// let mut response = String::new();
/// connection.read_to_string(&mut response)?;
/// assert!(response.starts_with("HTTP/1.1 200 OK"));
/// assert!(server.emulator().account("test_doc").is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    address: SocketAddr,
    base_url: String,
    shared: Arc<Shared>,
    /// Dropping it stops the server.
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a strict emulator with seed 0 and the system's clock on a free port of
    /// 127.0.0.1.
    ///
    /// # Errors
    /// If the system provides no socket or no thread.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Configures a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            config: Config::new(),
            faults: Vec::new(),
            behaviour: Behaviour::new(),
            clock: Clock::System,
            allowed_hosts: Vec::new(),
            // Longer than clients keep idle connections (50 seconds).
            read_timeout: Duration::from_secs(60),
            watch: None,
        }
    }

    /// Its base URL, such as `http://127.0.0.1:8787`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The emulator, for assertions and to inject faults. No request is executed while the
    /// guard is alive, and a second call on the same thread would block forever.
    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        self.shared.caught_up().0
    }
}

/// Stops the server: completes the requests that have arrived, and closes idle connections.
impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has already been reported.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Configures a [`Server`].
///
/// ```
/// use oneclick_emulator::{ManualClock, Server};
///
/// let clock = ManualClock::new("2025-01-01T00:00:00Z".parse().unwrap());
/// let server = Server::builder().seed(7).clock(clock).lenient(true).start()?;
/// assert!(server.base_url().starts_with("http://127.0.0.1:"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ServerBuilder {
    listen: SocketAddr,
    config: Config,
    faults: Vec<FaultRule>,
    behaviour: Behaviour,
    clock: Clock,
    allowed_hosts: Vec<HostName>,
    read_timeout: Duration,
    watch: Option<Watch>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("listen", &self.listen)
            .field("config", &self.config)
            .field("faults", &self.faults)
            .field("behaviour", &self.behaviour)
            .field("allowed_hosts", &self.allowed_hosts)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Sets the address on which to listen; port 0 picks a free one. Default: `127.0.0.1:0`.
    ///
    /// There is no access control: whoever can reach the address can read and change
    /// everything in the emulator. Clients on other machines need
    /// [`allow_host`](Self::allow_host).
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Also answers to this name in the `Host` header, with any port, such as the name of a
    /// container. Default: the loopback names (`localhost`, `*.localhost`, `127.0.0.0/8` and
    /// `[::1]`), and the address of [`listen`](Self::listen) unless that is `0.0.0.0` or
    /// `[::]`. Requests for other names get a 421, because a web page can point its own name
    /// to this server.
    ///
    /// ```
    /// use oneclick_emulator::Server;
    ///
    /// let server = Server::builder().allow_host("emulator".parse()?).start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_host(mut self, name: HostName) -> Self {
        self.allowed_hosts.push(name);
        self
    }

    /// Sets [`Config::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.config = self.config.seed(seed);
        self
    }

    /// Sets [`Config::lenient`].
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.config = self.config.lenient(lenient);
        self
    }

    /// Adds a fault rule.
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Sets the switches for what no source says about the API.
    /// Default: [`Behaviour::new`].
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// Sets the clock. Default: the system's clock.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Sets how long a client may take to send the head of a request, how long to send its
    /// body, and how long a connection may be idle. Default: 60 seconds.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Calls `watch` with each API request once its response has been chosen, but not with
    /// requests under `/_emulator/`. All responses wait for it, so it must not send requests
    /// to this server. A second callback replaces the first.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use oneclick_emulator::Server;
    /// # use std::io::{Read, Write};
    ///
    /// let (sender, requests) = mpsc::channel();
    /// let server = Server::builder()
    ///     .on_request(move |logged| drop(sender.send((logged.path.clone(), logged.status))))
    ///     .start()?;
    /// # let mut client = std::net::TcpStream::connect(server.address())?;
    /// # write!(client, "GET /v1/trees HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    /// # client.read_to_end(&mut Vec::new())?;
    ///
    /// // A client has requested a path that the API does not have.
    /// assert_eq!(requests.recv().unwrap(), ("/v1/trees".to_owned(), 404));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_request(mut self, watch: impl Fn(&Logged) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// If the system provides no socket or no thread, such as for an address that is in use.
    pub fn start(self) -> io::Result<Server> {
        let listener = std::net::TcpListener::bind(self.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut emulator = Emulator::new(self.config);
        for rule in self.faults {
            emulator.inject(rule);
        }
        emulator.set_behaviour(self.behaviour);
        let hosts = Hosts::new(self.allowed_hosts, address);
        let shared = Arc::new(Shared::new(emulator, self.clock, hosts, self.watch));
        let read_timeout = self.read_timeout;

        let (stop, stopped) = watch::channel(());
        let (ready, is_ready) = mpsc::sync_channel(1);
        let state = shared.clone();
        // The runtime is created on the new thread. The caller's thread may belong to another
        // runtime, and then must neither enter nor drop this one.
        let thread = thread::Builder::new().name("oneclick-emulator".into()).spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            match builder.enable_io().enable_time().build() {
                Ok(runtime) => runtime.block_on(async {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let _ = ready.send(Ok(()));
                            serve(listener, state, read_timeout, stopped).await;
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                }),
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the server did not start")))?;

        let base_url = format!("http://{}", reachable(address));
        Ok(Server { address, base_url, shared, stop: Some(stop), thread: Some(thread) })
    }
}

/// The address to connect to: loopback if the server listens on every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Responds to a request to the API or to a control path.
async fn respond(
    shared: &Shared,
    read_timeout: Duration,
    request: Request<Incoming>,
) -> Result<Outgoing, hyper::Error> {
    let (head, body) = request.into_parts();
    let Ok(body) = timeout(read_timeout, collect(body)).await else {
        let problem = Problem::invalid("the body of the request did not arrive in time");
        return Ok(whole(problem.status(StatusCode::REQUEST_TIMEOUT).response()));
    };
    let request = Request::from_parts(head, body?);
    if let Err(problem) = shared.hosts.check(&request) {
        return Ok(whole(problem.response()));
    }
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(whole(control::respond(shared, &request)));
    }
    let Delivered { response, delivery, has_date, .. } = shared.exchange(&request);
    if let Delivery::Late(late) = delivery {
        sleep(late).await;
    }
    match delivery {
        // hyper adds a `Date` header.
        Delivery::Whole | Delivery::Late(_) if has_date => Ok(whole(response)),
        delivery => Ok(Outgoing::Faulty(FaultyResponse { response, delivery })),
    }
}

/// A response and who writes it: hyper, or [`FaultyResponse::write`].
enum Outgoing {
    Whole(Response<Full<Bytes>>),
    Faulty(FaultyResponse),
}

fn whole(response: Response<Vec<u8>>) -> Outgoing {
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

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    read_timeout: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (shared, stopped) = (shared.clone(), stopped.clone());
                    connections.spawn(connection(stream, shared, read_timeout, stopped));
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
    let _ = timeout(GRACE, ended).await;
}

async fn connection(
    stream: TcpStream,
    shared: Arc<Shared>,
    read_timeout: Duration,
    mut stopped: watch::Receiver<()>,
) {
    // Responses are small, and the client waits for each.
    let _ = stream.set_nodelay(true);
    let faulty = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (shared, faulty) = (shared.clone(), faulty.clone());
        Box::pin(async move {
            match respond(&shared, read_timeout, request).await {
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
        .header_read_timeout(read_timeout)
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
        _ = faulty.write(stream, read_timeout) => {}
        _ = stopped.changed() => {}
    }
}
