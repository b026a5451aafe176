//! The emulator as an HTTP server.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use http::Request;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::control;
use crate::delivery::FaultyResponse;
use crate::host::HostName;
use crate::local_server::{LocalServer, Options, Outgoing, READ_TIMEOUT, whole};
use crate::log::Logged;
use crate::shared::{Shared, Watch};
use crate::state::{Behaviour, Config, Delivered, Delivery, Emulator, FaultRule};

/// How long connections may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(1);

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
    shared: Arc<Shared>,
    server: LocalServer,
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
            read_timeout: READ_TIMEOUT,
            watch: None,
        }
    }

    /// Its base URL, such as `http://127.0.0.1:8787`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.server.base_url()
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The emulator, for assertions and to inject faults. No request is executed while the
    /// guard is alive, and a second call on the same thread would block forever.
    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        self.shared.caught_up().0
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base_url", &self.base_url()).finish_non_exhaustive()
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
        let mut emulator = Emulator::new(self.config);
        for rule in self.faults {
            emulator.inject(rule);
        }
        emulator.set_behaviour(self.behaviour);
        let shared = Arc::new(Shared::new(emulator, self.clock, self.watch));
        let options = Options {
            listen: self.listen,
            allowed: self.allowed_hosts,
            read_timeout: self.read_timeout,
            grace: GRACE,
        };
        let state = shared.clone();
        let server = LocalServer::start_with(options, move |request| {
            let shared = state.clone();
            async move { respond(&shared, &request).await }
        })?;
        Ok(Server { shared, server })
    }
}

/// Responds to a request to the API or to a control path.
async fn respond(shared: &Shared, request: &Request<Vec<u8>>) -> Outgoing {
    if request.uri().path().starts_with(control::PREFIX) {
        return whole(control::respond(shared, request));
    }
    let Delivered { response, delivery, has_date, .. } = shared.exchange(request);
    if let Delivery::Late(late) = delivery {
        sleep(late).await;
    }
    match delivery {
        // hyper adds a `Date` header.
        Delivery::Whole | Delivery::Late(_) if has_date => whole(response),
        delivery => Outgoing::Faulty(FaultyResponse { response, delivery }),
    }
}
