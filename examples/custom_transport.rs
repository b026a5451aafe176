//! The whole client over a transport of our own: HTTP/1.1 on a plain socket.
//!
//! Three methods, and the core does the rest: requests, validation, paging,
//! errors. What a transport must get right is in which phase it failed, since
//! from that the core tells whether money may have moved.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response};
use oneclick_examples::{Failure, Place};
use oneclick_proto::{
    BlockingClient, BlockingTransport, BodyReader, Limit, Records, TransportError, Trees,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEAD_BYTES: u64 = 64 * 1024;
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("A plain socket, against {place}");
    let client = BlockingClient::with_transport(place.api(), Plain { start: Instant::now() });

    for _ in 0..3 {
        let receipt = client.plant_tree(Trees::of::<2>())?;
        println!("{} at {}", receipt.impact, receipt.time_utc);
    }
    let records = client.records(Records::new().limit(Limit::of::<2>())).max_items(5);
    let records: Vec<_> = records.collect::<Result<_, _>>()?;
    println!("{} records read, page by page", records.len());
    Ok(())
}

/// One connection per request, without TLS.
#[derive(Clone)]
struct Plain {
    start: Instant,
}

impl BlockingTransport for Plain {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        // Until there is a connection, no byte of the request can have left.
        let stream = connect(&request).map_err(|error| phase(error, TransportError::connect))?;
        // From here on nobody knows what the server did before it fell silent.
        let lost = |error| phase(error, TransportError::exchange);
        write(&stream, &request).map_err(lost)?;
        let mut reader = BufReader::new(stream);
        let head = read_head(&mut reader).map_err(lost)?;
        // The status is known, and a failure carries it.
        read_body(reader, head)
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

fn phase(error: io::Error, failed: impl FnOnce(io::Error) -> TransportError) -> TransportError {
    // A socket's timeout is one of the two, which one depends on the system.
    let timed_out = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    failed(error).timed_out(timed_out)
}

fn connect(request: &Request<Vec<u8>>) -> io::Result<TcpStream> {
    let uri = request.uri();
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err(io::Error::other("there is no TLS here: only http:// works"));
    }
    let host = uri.host().unwrap_or_default();
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(80))
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other("the host has no address"))?;
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    // For each read and write; a real transport counts down over all of them.
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn write(mut stream: &TcpStream, request: &Request<Vec<u8>>) -> io::Result<()> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let host = uri.authority().map_or("", Authority::as_str);
    let length = request.body().len();
    let mut wire = format!(
        "{} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n",
        request.method(),
    )
    .into_bytes();
    for (name, value) in request.headers() {
        // The types of `http` hold no line break, so nothing can be slipped in.
        wire.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    wire.extend(b"\r\n");
    wire.extend(request.body());
    stream.write_all(&wire)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Parts> {
    let mut reader = reader.take(MAX_HEAD_BYTES);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    // `HTTP/1.1 200 OK`
    let status = line.split_whitespace().nth(1).unwrap_or_default();
    let mut response = Response::builder().status(status);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        response = response.header(name, value.trim());
    }
    let response = response.body(()).map_err(io::Error::other)?;
    Ok(response.into_parts().0)
}

fn read_body(reader: impl Read, head: Parts) -> Result<Response<Vec<u8>>, TransportError> {
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else {
        let body = BodyReader::new(head, MAX_BODY_BYTES);
        return Err(body.cut("an answer without content-length is not understood here"));
    };
    // One byte more than allowed shows that the answer is too large.
    let mut bytes = Vec::new();
    let read = reader.take(length.min(MAX_BODY_BYTES + 1) as u64).read_to_end(&mut bytes);
    // What arrived before a failure is kept in the error.
    let body = BodyReader::new(head, MAX_BODY_BYTES).push(&bytes)?;
    match read {
        Ok(read) if read == length => body.finish(),
        Ok(_) => Err(body.cut(io::Error::from(io::ErrorKind::UnexpectedEof))),
        Err(error) => Err(phase(error, |error| body.cut(error))),
    }
}
