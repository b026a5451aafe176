//! How our agent connects. Its parts are from `ureq::unversioned`.
//!
//! ureq resolves the name before it looks into its pool, in a thread of its own. So
//! here the agent's resolver resolves nothing, and the name is looked up once there is a
//! connection to make: a call on a kept connection starts no thread.

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

/// An agent that connects so.
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

/// A failure of connecting: whatever was to be sent over the connection did not leave.
#[derive(Debug)]
pub(crate) struct NotConnected(pub(crate) Error);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for NotConnected {}

/// Leaves the name to [`Connecting`].
#[derive(Debug)]
struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Looks the name up where that is left to do, connects, and marks what fails.
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
        let here = details.config.proxy().is_none_or(ureq::Proxy::resolve_target);
        let connect = || {
            let mut details = ConnectionDetails {
                uri: details.uri,
                addrs: details.addrs.clone(),
                config: details.config,
                request_level: details.request_level,
                // Connectors look proxies up.
                resolver: &self.resolver,
                now: details.now,
                timeout: details.timeout,
                current_time: details.current_time.clone(),
                run_connector: details.run_connector.clone(),
                register_shutdown: details.register_shutdown.clone(),
            };
            if here && details.addrs.is_empty() {
                details.addrs =
                    self.resolver.resolve(details.uri, details.config, details.timeout)?;
            }
            self.chain.connect(&details, chained)
        };
        connect().map_err(|error| match error {
            // Of a connection to a proxy, which is one of these as well.
            Error::Other(marked) => Error::Other(marked),
            error => Error::Other(NotConnected(error).into()),
        })
    }
}

/// Opens a socket, unless a proxy did.
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
        let mut failed = Error::HostNotFound;
        for (index, address) in details.addrs.iter().enumerate() {
            // Shared out, so that an address that is silent leaves time for the next.
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
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    failed = Error::Timeout(Timeout::Connect);
                }
                Err(error) => failed = Error::Io(error),
            }
        }
        Err(failed)
    }
}

/// How many bytes wait for the rest of a request: more than any of ours has.
const MOST_HELD: usize = 64 * 1024;

/// A socket.
struct Tcp {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// Written once an answer is waited for, so that head and body go out together.
    held: Vec<u8>,
    /// Until when TLS and proxies have to be done with it.
    until: Option<Instant>,
}

impl Tcp {
    /// How long a read or a write may take.
    fn limit(&self, timeout: NextTimeout) -> Result<Duration, Error> {
        let mut limit = *timeout.after;
        if let (Timeout::Connect, Some(until)) = (timeout.reason, self.until) {
            // What talks to a proxy gives each read the whole time.
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
        if self.held.len() < MOST_HELD { Ok(()) } else { self.write_held(timeout) }
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
                // Linux does not go on with a read that a signal broke off.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error, timeout)),
            }
        }
    }

    /// Whether nothing came unasked, the end among it.
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

/// The buffers are left out: they hold the key.
impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A socket whose timeout is over says that it would block, but on Windows.
fn failed(error: std::io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}
