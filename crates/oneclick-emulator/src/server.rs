//! The emulator on a socket.

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
use crate::delivery::Broken;
use crate::host::{HostName, Hosts};
use crate::log::Logged;
use crate::shared::{Shared, Watch};
use crate::state::problem::Problem;
use crate::state::{Behaviour, Config, Delivery, Emulator, Exchange, FaultRule, MAX_BODY_BYTES};

/// How long connections may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// How much of a body that is too large is read and thrown away, so that a
/// client that is still writing gets to read the 413 and not a reset.
const DISCARDED_BYTES: usize = 64 * MAX_BODY_BYTES;

/// An emulator that answers HTTP/1.1 on a socket, until it is dropped.
///
/// It runs on a thread of its own, so that blocking and async tests use it
/// alike.
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
/// let mut answer = String::new();
/// connection.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK"));
/// assert!(server.emulator().account("test_doc").is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    address: SocketAddr,
    base_url: String,
    shared: Arc<Shared>,
    /// Dropped to stop.
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a strict emulator with seed 0 and the system's clock on a free
    /// port of 127.0.0.1.
    ///
    /// # Errors
    /// Those of the system: no socket, no thread.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Sets up another one.
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

    /// Where it answers, such as `http://127.0.0.1:8787`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its state by now, for assertions. No request is answered while you hold it,
    /// and the thread that holds it must not ask for it again.
    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        self.shared.caught_up().0
    }
}

/// Stops it: requests that have arrived are answered, idle connections closed.
impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Sets up a [`Server`].
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
    /// Where to listen; port 0 picks a free one. Default: `127.0.0.1:0`.
    ///
    /// Whoever can reach the address can read and change everything in the emulator:
    /// there is no access control. Their clients need [`allow_host`](Self::allow_host).
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Answers to one more name in the `Host` header, with any port, such as that of a
    /// container. Default: the loopback names (`localhost`, `*.localhost`, `127.0.0.0/8`
    /// and `[::1]`), and the address of [`listen`](Self::listen) if it is a single one.
    /// Requests to any other name get a 421, because a web page can have its own name
    /// lead to this server.
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

    /// Adds a rule of what goes wrong.
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Sets the switches for everything that the API's sources leave open. Default:
    /// the kind reading of everything.
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// How long a client may take to send a request's head, and again its
    /// body; an idle connection is closed after it. Default: 60 seconds.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Calls `watch` with each API request once its response has been chosen, but not
    /// with requests under `/_emulator/`. All responses wait for it, so it must not call
    /// this server. Set again, it replaces the earlier one.
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
    /// // A client has asked for something that the API does not have.
    /// assert_eq!(requests.recv().unwrap(), ("/v1/trees".to_owned(), 404));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_request(mut self, watch: impl Fn(&Logged) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// Those of the system, such as an address that is in use.
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
        // The runtime is made where it runs: the caller's thread may be one of
        // another runtime's, which must neither enter nor drop it.
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

/// An address to connect to: one that stands for all is reached on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Answers a request, of the API or of the emulator itself.
async fn answer(
    shared: &Shared,
    read_timeout: Duration,
    request: Request<Incoming>,
) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let Ok(body) = timeout(read_timeout, collect(body)).await else {
        let problem = Problem::invalid("the body did not arrive in time");
        return Ok(whole(problem.status(StatusCode::REQUEST_TIMEOUT).response()));
    };
    let request = Request::from_parts(head, body?);
    if let Err(problem) = shared.hosts.check(&request) {
        return Ok(whole(problem.response()));
    }
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(whole(control::respond(shared, &request)));
    }
    let Exchange { response, delivery, has_date, .. } = shared.exchange(&request);
    if let Delivery::Late(late) = delivery {
        sleep(late).await;
    }
    match delivery {
        // hyper would write a date.
        Delivery::Whole | Delivery::Late(_) if has_date => Ok(whole(response)),
        delivery => Ok(Answer::Broken(Broken { response, delivery })),
    }
}

/// What a connection writes.
enum Answer {
    Whole(Response<Full<Bytes>>),
    Broken(Broken),
}

fn whole(response: Response<Vec<u8>>) -> Answer {
    Answer::Whole(response.map(|body| Full::new(body.into())))
}

/// Collects a body; of one that is too large as much as shows that it is.
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
                // Out of file descriptors, most likely: let some be closed.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What does not end in time is dropped with the runtime.
    let _ = timeout(GRACE, ended).await;
}

async fn connection(
    stream: TcpStream,
    shared: Arc<Shared>,
    read_timeout: Duration,
    mut stopped: watch::Receiver<()>,
) {
    // Answers are small, and the other side waits for each.
    let _ = stream.set_nodelay(true);
    let broken = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (shared, broken) = (shared.clone(), broken.clone());
        Box::pin(async move {
            match answer(&shared, read_timeout, request).await {
                Ok(Answer::Whole(response)) => Ok(response),
                // An error of the service ends the connection without a response.
                Ok(Answer::Broken(answer)) => {
                    *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                    Err(io::Error::other("on purpose"))
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
    // Whatever ends a connection is the client's doing, and the client knows.
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
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(broken) = broken else {
        let _ = stream.shutdown().await;
        return;
    };
    // What hyper would not write.
    tokio::select! {
        _ = broken.write(stream, read_timeout) => {}
        _ = stopped.changed() => {}
    }
}
