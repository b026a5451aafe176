//! A server whose responses are written byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The body of a receipt.
pub(crate) const RECEIPT: &str =
    r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":5}"#;

/// A complete response.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A server on loopback with a thread for each connection. Dropping it ends the threads.
pub(crate) struct RawServer {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl RawServer {
    /// Calls `serve` with every connection and its number, counted from 0.
    pub(crate) fn start(serve: impl Fn(usize, &mut Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let serve = Arc::new(serve);
        let accepting = std::thread::spawn({
            let seen = seen.clone();
            move || {
                let mut threads = Vec::new();
                // No test makes more connections.
                for stream in listener.incoming().take(10_000) {
                    if seen.stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                    let stream = stream.unwrap();
                    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
                    let mut wire = Wire { stream, seen: seen.clone(), left: Vec::new() };
                    let serve = serve.clone();
                    threads.push(std::thread::spawn(move || serve(number, &mut wire)));
                }
                for thread in threads {
                    thread.join().unwrap();
                }
            }
        });
        Self { address, seen, accepting: Some(accepting) }
    }

    /// Responds to every request with the same bytes, on connections that stay open.
    pub(crate) fn responding(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, wire| {
            while wire.request().is_some() {
                wire.write(&bytes);
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The requests that arrived completely, with head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let ended = accepting.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// One connection of a [`RawServer`].
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    seen: Arc<Seen>,
    left: Vec<u8>,
}

impl Wire {
    /// The next complete request; `None` once the client or the test is done.
    pub(crate) fn request(&mut self) -> Option<String> {
        loop {
            if let Some(length) = whole(&self.left) {
                let rest = self.left.split_off(length);
                let request = std::mem::replace(&mut self.left, rest);
                let request = String::from_utf8(request).unwrap();
                self.seen.requests.lock().unwrap().push(request.clone());
                return Some(request);
            }
            self.more()?;
        }
    }

    /// Reads until the head of a request is complete.
    pub(crate) fn head(&mut self) {
        while !self.left.windows(4).any(|window| window == b"\r\n\r\n") {
            if self.more().is_none() {
                return;
            }
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut piece = [0; 4096];
        loop {
            if self.stopped() {
                return None;
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => {
                    self.left.extend(&piece[..length]);
                    return Some(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// Writes bytes; returns whether the client still reads.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        !self.stopped() && self.stream.write_all(bytes).is_ok()
    }

    /// Does nothing until the client or the test is done.
    pub(crate) fn silence(&mut self) {
        while self.more().is_some() {}
    }

    pub(crate) fn stopped(&self) -> bool {
        self.seen.stop.load(Ordering::SeqCst)
    }
}

/// The length of the first request, if it is complete.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}
