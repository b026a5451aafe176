//! The agent with our connector, built from parts of `ureq::unversioned`.
//!
//! ureq resolves the host before it checks its pool, and starts a thread for that. Here
//! the agent's resolver does nothing, and the connector resolves the host only for a new
//! connection. So a call on an idle connection starts no thread.

use std::error::Error as StdError;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use http::Uri;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    SocksConnector, Transport,
};
use ureq::{Agent, Error, Timeout};

/// An agent with our connector.
pub(crate) fn agent(config: Config) -> Agent {
    let chain = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
    let chain = chain.chain(TcpConnector);
    #[cfg(feature = "tls")]
    let chain = chain.chain(ureq::unversioned::transport::RustlsConnector::default());
    Agent::with_parts(
        config,
        Connecting { chain, resolver: DefaultResolver::default() },
        Unresolved,
    )
}

/// A failure to connect, which means that nothing was sent.
#[derive(Debug)]
pub(crate) struct NotConnected(pub(crate) Error);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for NotConnected {}

/// Leaves name resolution to [`Connecting`].
#[derive(Debug)]
struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Resolves the host if needed, connects, and marks failures as [`NotConnected`].
#[derive(Debug)]
struct Connecting<C> {
    chain: C,
    resolver: DefaultResolver,
}

impl<C: Connector> Connector for Connecting<C> {
    type Out = C::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<C::Out>, Error> {
        let resolve = details.config.proxy().is_none_or(ureq::Proxy::resolve_target);
        let connect = || {
            let mut details = ConnectionDetails {
                uri: details.uri,
                addrs: details.addrs.clone(),
                config: details.config,
                request_level: details.request_level,
                // The other connectors resolve the proxy with this.
                resolver: &self.resolver,
                now: details.now,
                timeout: details.timeout,
                current_time: details.current_time.clone(),
                run_connector: details.run_connector.clone(),
                register_shutdown: details.register_shutdown.clone(),
            };
            if resolve && details.addrs.is_empty() {
                details.addrs =
                    self.resolver.resolve(details.uri, details.config, details.timeout)?;
            }
            self.chain.connect(&details, chained)
        };
        connect().map_err(|error| match error {
            // This connector also runs for the connection to a proxy, and marked it then.
            Error::Other(marked) => Error::Other(marked),
            error => Error::Other(NotConnected(error).into()),
        })
    }
}

/// Opens a socket, unless a proxy connector has opened one.
#[derive(Debug)]
struct TcpConnector;

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, Tcp>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained)));
        }
        let until = Instant::now().checked_add(*details.timeout.after);
        let left = || match until {
            None => Duration::MAX,
            Some(until) => until.saturating_duration_since(Instant::now()),
        };
        let mut failure = Error::HostNotFound;
        for (index, address) in details.addrs.iter().enumerate() {
            // Divide the time among the addresses, so a silent one leaves time for the next.
            let shares = u32::try_from(details.addrs.len() - index).unwrap_or(u32::MAX);
            let share = left().max(Duration::from_millis(1)) / shares;
            match TcpStream::connect_timeout(address, share) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    #[cfg(any(target_os = "android", target_os = "linux"))]
                    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(
                        oneclick_proto::TransportOptions::TCP_USER_TIMEOUT,
                    ))?;
                    let config = details.config;
                    let buffers =
                        LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    let tcp = Tcp { stream, buffers, held: Vec::new(), until };
                    return Ok(Some(Either::B(tcp)));
                }
                Err(error) => failure = failed(error, details.timeout),
            }
        }
        Err(failure)
    }
}

/// How many bytes of a request are buffered at most. Our requests are smaller.
const MAX_HELD: usize = 64 * 1024;

/// A socket.
struct Tcp {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// Bytes that are written before the next read, so that head and body are sent
    /// together.
    held: Vec<u8>,
    /// The deadline for the handshakes with proxies and of TLS.
    until: Option<Instant>,
}

impl Tcp {
    /// How long a read or a write may take.
    fn limit(&self, timeout: NextTimeout) -> Result<Duration, Error> {
        let mut limit = *timeout.after;
        if let (Timeout::Connect, Some(until)) = (timeout.reason, self.until) {
            // The proxy connectors pass the full timeout to each read.
            limit = limit.min(until.saturating_duration_since(Instant::now()));
        }
        if limit.is_zero() { Err(Error::Timeout(timeout.reason)) } else { Ok(limit) }
    }

    fn write_held(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.stream.set_write_timeout(Some(self.limit(timeout)?))?;
        self.stream.write_all(&self.held).map_err(|error| failed(error, timeout))?;
        self.held.clear();
        Ok(())
    }
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.held.extend_from_slice(&self.buffers.output()[..amount]);
        if self.held.len() < MAX_HELD { Ok(()) } else { self.write_held(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.write_held(timeout)?;
        let until = Instant::now().checked_add(self.limit(timeout)?);
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::Timeout(timeout.reason));
            }
            self.stream.set_read_timeout(left)?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(length) => {
                    self.buffers.input_appended(length);
                    return Ok(length > 0);
                }
                // On Linux, a signal can interrupt a read with a timeout.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error, timeout)),
            }
        }
    }

    /// Whether the idle connection is usable: there are neither bytes to read nor an end.
    fn is_open(&mut self) -> bool {
        let blocks = |stream: &mut TcpStream| {
            stream.set_nonblocking(true)?;
            let read = stream.read(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok::<_, std::io::Error>(read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock))
        };
        blocks(&mut self.stream).unwrap_or(false)
    }
}

/// Leaves out the buffers, which hold the key.
impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Converts an error of the socket. After a timeout it is `WouldBlock`, or `TimedOut` on
/// Windows.
fn failed(error: std::io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}
