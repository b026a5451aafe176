use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use oneclick_emulator::{DONATION_AVAILABLE_AFTER, MAX_BODY_BYTES, ManualClock, Server};

/// A timeout that is long enough for a slow machine.
const LONG: Duration = Duration::from_secs(30);

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_key\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Reads a response with a `content-length`: head and body.
fn response(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; if head.starts_with("head") { 0 } else { length }];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn call(stream: &mut TcpStream, method: &str, path: &str, body: &str) -> (String, String) {
    stream.write_all(request(method, path, body).as_bytes()).unwrap();
    response(stream)
}

/// Reads until the server closes the connection, and returns the number of bytes.
fn until_closed(stream: &mut TcpStream) -> usize {
    let mut rest = Vec::new();
    // A reset also closes it.
    let _ = stream.read_to_end(&mut rest);
    rest.len()
}

#[test]
fn one_connection_carries_many_requests() {
    let server = Server::start().unwrap();
    assert_eq!(server.base_url(), format!("http://{}", server.address()));
    let mut stream = connect(&server);
    for total in 1..=20 {
        let (head, _) = call(&mut stream, "POST", "/v1/plant_tree", r#"{"amount":1}"#);
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        let (_, body) = call(&mut stream, "GET", "/v1/impact", "");
        assert!(body.contains(&format!(r#""tree_planted":{total},"#)), "{body}");
        // An error keeps the connection open.
        let (head, _) = call(&mut stream, "GET", "/v1/trees", "");
        assert!(head.starts_with("http/1.1 404 "), "{head}");
    }
    assert_eq!(server.emulator().account("test_key").unwrap().impacts(), 20);
}

#[test]
fn connections_are_served_concurrently() {
    let server = Server::start().unwrap();
    let mut silent = connect(&server);
    silent.write_all(b"POST /v1/plant_tree HTTP/1.1\r\n").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut stream = connect(&server);
                for _ in 0..25 {
                    call(&mut stream, "POST", "/v1/plant_tree", r#"{"amount":1}"#);
                }
            });
        }
    });
    let emulator = server.emulator();
    let account = emulator.account("test_key").unwrap();
    let times: Vec<_> = account.ledger().map(|entry| entry.receipt.time_utc).collect();
    assert_eq!(times.len(), 200);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_client_that_sends_too_large_a_body_can_read_the_413() {
    let server = Server::start().unwrap();
    let body = "x".repeat(4 * MAX_BODY_BYTES);
    let (head, body) = call(&mut connect(&server), "POST", "/v1/plant_tree", &body);
    assert!(head.starts_with("http/1.1 413 "), "{head}");
    assert!(body.contains("invalid_request_error"), "{body}");

    // In chunks.
    let mut stream = connect(&server);
    let head = request("POST", "/v1/plant_tree", "")
        .replace("content-length: 0", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).unwrap();
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..20 {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert!(response(&mut stream).0.starts_with("http/1.1 413 "));
}

#[test]
fn a_body_without_a_declared_length_is_read() {
    let server = Server::start().unwrap();
    let mut stream = connect(&server);
    let head = request("POST", "/v1/plant_tree", "")
        .replace("content-length: 0", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"7\r\n{\"amoun\r\n5\r\nt\":5}\r\n0\r\n\r\n").unwrap();
    assert!(response(&mut stream).0.starts_with("http/1.1 200 "));
}

#[test]
fn a_silent_client_is_disconnected() {
    let server = Server::builder().read_timeout(Duration::from_millis(100)).start().unwrap();
    let start = Instant::now();
    let mut idle = connect(&server);
    let mut half_a_head = connect(&server);
    half_a_head.write_all(b"GET /v1/whoami HTTP/1.1\r\nhost").unwrap();
    let mut half_a_body = connect(&server);
    let (half, _) = request("POST", "/v1/plant_tree", r#"{"amount":5}"#)
        .split_once("mount")
        .map(|(half, rest)| (half.to_owned(), rest.to_owned()))
        .unwrap();
    half_a_body.write_all(half.as_bytes()).unwrap();

    until_closed(&mut idle);
    until_closed(&mut half_a_head);
    let (head, body) = response(&mut half_a_body);
    assert!(head.starts_with("http/1.1 408 ") && body.contains("in time"), "{head}{body}");
    until_closed(&mut half_a_body);
    assert!(start.elapsed() < LONG);
    assert!(server.emulator().account("test_key").is_none());
}

#[test]
fn an_incomplete_request_changes_nothing() {
    let server = Server::start().unwrap();
    let mut stream = connect(&server);
    let whole = request("POST", "/v1/plant_tree", r#"{"amount":5}"#);
    stream.write_all(&whole.as_bytes()[..whole.len() - 1]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    until_closed(&mut stream);
    assert!(server.emulator().account("test_key").is_none());
}

#[test]
fn a_connection_that_sends_no_http_is_closed() {
    let server = Server::start().unwrap();
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\r\n\r\nhello\r\n\r\n"]
    {
        let mut stream = connect(&server);
        stream.write_all(garbage).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        until_closed(&mut stream);
    }
    let (head, _) = call(&mut connect(&server), "GET", "/v1/whoami", "");
    assert!(head.starts_with("http/1.1 200 "));
}

#[test]
fn a_manual_clock_sets_the_time_of_a_server() {
    let clock = ManualClock::new("2025-01-01T00:00:00Z".parse().unwrap());
    let server = Server::builder().clock(clock.clone()).start().unwrap();
    let mut stream = connect(&server);
    let (_, body) = call(&mut stream, "POST", "/v1/plant_tree", r#"{"amount":5}"#);
    assert!(body.contains(r#""time_utc":"2025-01-01T00:00:00.000Z""#), "{body}");
    let user_id = body.split('"').nth(3).unwrap().to_owned();
    let path = format!("/v1/track?user_id={user_id}&time_utc=2025-01-01T00:00:00.000Z");
    assert!(!call(&mut stream, "GET", &path, "").1.contains("donation_available"));
    clock.advance(DONATION_AVAILABLE_AFTER.to_std().unwrap());
    assert!(call(&mut stream, "GET", &path, "").1.contains("donation_available"));
}

#[test]
fn the_builder_sets_seed_and_leniency() {
    let user_id = |seed| {
        let server = Server::builder().seed(seed).lenient(true).start().unwrap();
        let mut stream = connect(&server);
        let body = r#"{"amount":5,"customerEmail":"a@b"}"#;
        let (head, _) = call(&mut stream, "POST", "/v1/plant_tree", body);
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        call(&mut stream, "GET", "/v1/whoami", "").1
    };
    assert_eq!(user_id(1), user_id(1));
    assert_ne!(user_id(1), user_id(2));
}

#[test]
fn dropping_a_server_closes_idle_connections_and_frees_the_port() {
    let server = Server::start().unwrap();
    let address = server.address();
    let mut stream = connect(&server);
    call(&mut stream, "GET", "/v1/whoami", "");
    let mut half = connect(&server);
    half.write_all(b"GET /v1/whoami").unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < LONG);
    until_closed(&mut stream);
    until_closed(&mut half);
    assert!(TcpStream::connect(address).is_err());
    let again = Server::builder().listen(address).start().unwrap();
    assert_eq!(again.address(), address);
}

#[test]
fn an_address_in_use_is_an_error() {
    let server = Server::start().unwrap();
    let error = Server::builder().listen(server.address()).start().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_server_starts_and_stops_inside_an_async_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let server = Server::start().unwrap();
        let (head, _) = call(&mut connect(&server), "GET", "/v1/whoami", "");
        assert!(head.starts_with("http/1.1 200 "));
    });
}
