// A transport of the client: HTTP/1.1 on a plain socket, without TLS.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Request, Response, Uri, response};
use oneclick_proto::{
    Api, BlockingTransport, BodyGate, BodyReader, Connect, TransportError, TransportOptions,
};

/// A larger head is an error.
const MAX_HEAD_BYTES: u64 = 64 * 1024;

/// A transport that opens a connection for each request.
#[derive(Clone, Debug)]
pub(crate) struct PlainSocket {
    options: TransportOptions,
    start: Instant,
}

impl Connect for PlainSocket {
    fn connect(
        api: &Api,
        options: &TransportOptions,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        if api.base_url().is_https() {
            return Err("this transport has no TLS: use an http:// URL".into());
        }
        Ok(Self { options: options.checked()?, start: Instant::now() })
    }

    fn var(name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl BlockingTransport for PlainSocket {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let until = Instant::now() + self.options.timeout;
        let connect_until = until.min(Instant::now() + self.options.connect_timeout);
        // 1. Without a connection, no byte of the request can have been sent.
        let stream = connect(request.uri(), connect_until)
            .map_err(|error| failed(error, TransportError::connect))?;
        let mut socket = Socket { stream, until };
        // 2. A purchase may have to leave by some time, which may be over.
        BodyGate::of(&request).take().map_err(TransportError::connect)?;
        // 3. From here on, the server may have executed the request.
        let lost = |error| failed(error, TransportError::exchange);
        write(&mut socket, &request).map_err(lost)?;
        let mut reader = BufReader::new(socket);
        let head = loop {
            let head = read_head(&mut reader).map_err(lost)?;
            // 1xx responses precede the final one.
            if !head.status.is_informational() {
                break head;
            }
        };
        // 4. The head has arrived: errors keep its status.
        let length = head.headers.get(CONTENT_LENGTH).and_then(length);
        let mut body = BodyReader::new(request.method(), head, self.options.max_response_bytes);
        let Some(length) = length else {
            return Err(body.cut("the response has no content-length, which is required here"));
        };
        match body.read_to_end(reader.take(length)) {
            Ok(read) if (read as u64) < length && body.wants_more() => {
                Err(body.cut("the connection was closed"))
            }
            Ok(_) => body.finish(),
            Err(error) => Err(failed(error, |error| body.cut(error))),
        }
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.options.timeout)
    }
}

/// Builds the error for a phase, and marks timeouts.
fn failed(error: io::Error, phase: impl FnOnce(io::Error) -> TransportError) -> TransportError {
    // The kind of a socket's timeout depends on the system.
    let timed_out = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    phase(error).timed_out(timed_out)
}

fn connect(uri: &Uri, until: Instant) -> io::Result<TcpStream> {
    let port = uri.port_u16().unwrap_or(80);
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let mut last = io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn write(socket: &mut Socket, request: &Request<Vec<u8>>) -> io::Result<()> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut head = format!(
        "{} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n",
        request.method(),
        request.body().len(),
    )
    .into_bytes();
    // The types of `http` cannot hold line breaks, so no header can be injected.
    for (name, value) in request.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head.extend(request.body());
    socket.write_all(&head)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<response::Parts> {
    let mut reader = reader.take(MAX_HEAD_BYTES);
    let mut next = || {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\n") {
            Some(line) => Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec()),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    // `HTTP/1.1 200 OK`
    let line = next()?;
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let mut response = Response::builder().status(status.ok_or_else(invalid)?);
    loop {
        let line = next()?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or_else(invalid)?);
        response = response.header(name, value[1..].trim_ascii());
    }
    Ok(response.body(()).map_err(io::Error::other)?.into_parts().0)
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the response is not HTTP/1")
}

fn length(header: &HeaderValue) -> Option<u64> {
    header.to_str().ok()?.parse().ok()
}

/// A socket with a deadline that holds however slowly bytes arrive.
struct Socket {
    stream: TcpStream,
    until: Instant,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
