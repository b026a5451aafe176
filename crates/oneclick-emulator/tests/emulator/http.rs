//! The emulator as an HTTP server: HEAD, `Host`, and clients that close their sending side.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use http::Method;
use oneclick_emulator::{Fault, FaultRule, HostName, ManualClock, Server};
use serde_json::Value;

use super::world::World;

/// Sends these bytes on a new connection, and reads until it is closed.
fn exchange(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn call(server: &Server, method: &str, path: &str) -> String {
    let rest = "HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_http\r\nconnection: close\r\n\r\n";
    exchange(server, &format!("{method} {path} {rest}"))
}

fn frozen() -> Server {
    let clock = ManualClock::new("2025-03-12T15:22:14.753Z".parse().unwrap());
    Server::builder().clock(clock).start().unwrap()
}

/// Buys trees, and returns the `user_id` of the receipt.
fn bought(server: &Server) -> String {
    let body = r#"{"amount":5,"customer_email":"ada@example.com"}"#;
    let response = exchange(
        server,
        &format!(
            "POST /v1/plant_tree HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_http\r\n\
             connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        ),
    );
    let (_, receipt) = response.split_once("\r\n\r\n").unwrap();
    let receipt: Value = serde_json::from_str(receipt).unwrap();
    receipt["user_id"].as_str().unwrap().to_owned()
}

/// The status line and the headers, sorted and without the date.
fn head(response: &str) -> Vec<&str> {
    let (head, _) = response.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_head_gets_the_headers_of_the_get_and_no_body() {
    let server = frozen();
    let user_id = bought(&server);
    let track = format!("/v1/track?user_id={user_id}&time_utc=2025-03-12T15:22:14.753Z");
    for (path, status) in [
        ("/v1/whoami", 200),
        ("/v1/impact", 200),
        ("/v1/impact/daily", 200),
        ("/v1/records", 200),
        ("/v1/customer_records?customer_email=ada%40example.com", 200),
        ("/v1/customers", 200),
        (&*track, 200),
        ("/v1/projects", 200),
        ("/v1/projects/emulator-food-forest", 200),
        ("/_emulator/faults", 200),
        ("/_emulator/behaviour", 200),
        ("/_emulator/clock", 200),
        ("/_emulator/requests", 200),
        ("/_emulator/state", 200),
        // Errors, too.
        ("/v1/records?limit=0", 400),
        ("/v1/trees", 404),
        ("/_emulator/tree", 404),
        ("/v1/plant_tree", 405),
        ("/_emulator/reset", 405),
    ] {
        let (get, head_only) = (call(&server, "GET", path), call(&server, "HEAD", path));
        assert!(get.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {get}");
        assert!(head_only.ends_with("\r\n\r\n"), "{path}: {head_only}");
        assert_eq!(head(&head_only), head(&get), "{path}");
        let (_, body) = get.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}", body.len());
        assert!(head(&head_only).contains(&&*length), "{path}: {head_only}");
    }
    let log: Value = serde_json::from_str(
        call(&server, "GET", "/_emulator/requests").split("\r\n\r\n").nth(1).unwrap(),
    )
    .unwrap();
    assert_eq!(log["requests"][2]["method"], "HEAD", "{log}");
}

#[test]
fn a_connection_stays_open_after_a_head() {
    let server = Server::start().unwrap();
    let request = |method, close| {
        format!(
            "{method} /v1/whoami HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_http\r\n{close}\r\n"
        )
    };
    let both = request("HEAD", "") + &request("GET", "connection: close\r\n");
    let responses = exchange(&server, &both);
    assert_eq!(responses.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{responses}");
    assert_eq!(responses.matches("user_id").count(), 1, "{responses}");
}

#[test]
fn a_fault_sends_no_body_after_a_head() {
    let server = frozen();
    let whole = call(&server, "HEAD", "/v1/whoami");
    let length = head(&whole).into_iter().find(|line| line.starts_with("content-length")).unwrap();
    for (fault, expected) in [
        (Fault::CutResponse { at: 3 }, Some(length)),
        (Fault::SlowBytes { millis: 1 }, Some(length)),
        (Fault::NoLength { at: None }, None),
    ] {
        server.emulator().inject(FaultRule::new(fault.clone()).times(1));
        let response = call(&server, "HEAD", "/v1/whoami");
        assert!(response.ends_with("\r\n\r\n"), "{fault:?}: {response}");
        let lengths: Vec<_> =
            head(&response).into_iter().filter(|line| line.starts_with("content-len")).collect();
        assert_eq!(lengths, expected.into_iter().collect::<Vec<_>>(), "{fault:?}");
    }
}

#[test]
fn the_function_responds_to_a_head_without_a_body() {
    let mut world = World::new();
    for path in ["/v1/whoami", "/v1/trees"] {
        let mut respond = |method: &Method| {
            let request = world.request(method, path, "");
            world.emulator.respond(&request, world.now)
        };
        let (get, head) = (respond(&Method::GET), respond(&Method::HEAD));
        assert_eq!(head.status(), get.status());
        assert!(head.body().is_empty());
        assert_eq!(head.headers()["content-length"], get.body().len().to_string());
    }
}

#[test]
fn http_1_1_requires_one_host_header_and_http_1_0_none() {
    let server = Server::start().unwrap();
    let key = "x-api-key: test_http\r\nconnection: close\r\n\r\n";
    for (start, status) in [
        ("GET /v1/whoami HTTP/1.1\r\n", 400),
        ("GET /_emulator/state HTTP/1.1\r\n", 400),
        ("GET http://localhost/v1/whoami HTTP/1.1\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n", 400),
        ("GET /v1/whoami HTTP/1.0\r\nhost: localhost\r\nhost: localhost\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost:\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: localhost:x\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: evil@localhost\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: \u{e4}\r\n", 400),
        ("GET /v1/whoami HTTP/1.0\r\n", 200),
        ("GET /v1/whoami HTTP/1.0\r\nhost: localhost\r\n", 200),
        ("GET /v1/whoami HTTP/1.1\r\nhost: localhost\r\n", 200),
    ] {
        let response = exchange(&server, &format!("{start}{key}"));
        let line = response.split(' ').nth(1).unwrap();
        assert_eq!(line, status.to_string(), "{start}{response}");
        if status == 400 {
            let (_, body) = response.split_once("\r\n\r\n").unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["type"], "invalid_request_error", "{start}{body}");
        }
    }
    // No refused request has changed anything.
    let reset = "POST /_emulator/reset HTTP/1.1\r\nconnection: close\r\n\r\n";
    assert!(exchange(&server, reset).starts_with("HTTP/1.1 400 "));
    assert!(server.emulator().account("test_http").is_some());
}

/// The status and body of the responses of an API path and a control path to a `Host`.
fn with_host(server: &Server, host: &str) -> [(u16, String); 2] {
    ["/v1/whoami", "/_emulator/state"].map(|path| {
        let response = exchange(
            server,
            &format!(
                "GET {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: test_http\r\n\
                 connection: close\r\n\r\n",
            ),
        );
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    })
}

#[test]
fn it_answers_to_loopback_names_and_allowed_names_only() {
    let allowed = |names: &[&str]| {
        let names = names.iter().map(|name| name.parse::<HostName>().unwrap());
        names.fold(Server::builder(), oneclick_emulator::ServerBuilder::allow_host).start().unwrap()
    };
    let (closed, open) = (allowed(&[]), allowed(&["Emulator", "other.test", "[fd00::1]"]));
    for host in [
        "localhost",
        "LOCALHOST:8787",
        "localhost.",
        "api.localhost:1",
        "127.0.0.1",
        "127.9.9.9:8787",
        "[::1]",
        "[::1]:8787",
    ] {
        for server in [&closed, &open] {
            assert_eq!(with_host(server, host).map(|(status, _)| status), [200, 200], "{host}");
        }
    }
    for host in ["emulator", "EMULATOR:8787", "emulator.", "other.test:80", "[fd00::1]:8787"] {
        assert_eq!(with_host(&open, host).map(|(status, _)| status), [200, 200], "{host}");
        for (status, body) in with_host(&closed, host) {
            assert_eq!(status, 421, "{host}: {body}");
            assert!(body.contains("--allow-host"), "{body}");
            assert!(!body.contains("accounts"), "{body}");
        }
    }
    for host in [
        "evil.example",
        "evil.example:8787",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "notlocalhost",
        "emulator.evil.example",
        "x.emulator",
        "0.0.0.0",
        "10.0.0.1",
        "[::]",
    ] {
        for (status, body) in [&closed, &open].into_iter().flat_map(|it| with_host(it, host)) {
            assert_eq!(status, 421, "{host}: {body}");
            assert!(!body.contains("user_id"), "{body}");
        }
    }
    // A purchase is not applied either.
    let tree = "POST /v1/plant_tree HTTP/1.1\r\nhost: evil.example\r\nx-api-key: test_tree\r\n\
                connection: close\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n\
                {\"amount\":5}";
    assert!(exchange(&closed, tree).starts_with("HTTP/1.1 421 "));
    assert!(closed.emulator().account("test_tree").is_none());
}

#[test]
fn a_target_in_absolute_form_overrides_the_host_header() {
    let server = Server::builder().allow_host("emulator".parse().unwrap()).start().unwrap();
    for (target, host, status) in [
        ("http://localhost:8787/v1/whoami", "localhost:8787", 200),
        ("http://emulator/v1/whoami", "emulator", 200),
        ("http://[::1]/v1/whoami", "evil.example", 200),
        ("http://evil.example/v1/whoami", "localhost", 421),
        ("http://localhost@evil.example/v1/whoami", "localhost", 421),
        ("http://evil.example/_emulator/state", "evil.example", 421),
        ("http://localhost/_emulator/state", "localhost", 200),
        ("http://localhost/v1/impact?x", "localhost", 400),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nx-api-key: test_http\r\n\
             connection: close\r\n\r\n",
        );
        let response = exchange(&server, &request);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {response}");
    }
}

#[test]
fn a_client_that_closes_its_sending_side_gets_its_response() {
    let body = r#"{"amount":5}"#;
    let request = |method, path, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_http\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
    };
    let half_closed = |server: &Server, request: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    let server = Server::start().unwrap();
    for (fault, whole) in [
        (None, true),
        (Some(Fault::LateResponse { millis: 300 }), true),
        (Some(Fault::SlowBytes { millis: 1 }), true),
        (Some(Fault::NoLength { at: None }), true),
        (Some(Fault::CutResponse { at: 9 }), false),
    ] {
        for (method, path, body) in [("POST", "/v1/plant_tree", body), ("GET", "/v1/whoami", "")] {
            if let Some(fault) = &fault {
                server.emulator().inject(FaultRule::new(fault.clone()).times(1));
            }
            let response = half_closed(&server, &request(method, path, body));
            assert!(response.contains(" 200 OK\r\n"), "{fault:?} {method}: {response}");
            assert_eq!(response.ends_with('}'), whole, "{fault:?} {method}: {response}");
        }
    }
    assert!(half_closed(&server, &request("GET", "/_emulator/state", "")).ends_with('}'));
    // Two requests at once.
    let two = request("GET", "/v1/whoami", "").repeat(2);
    assert_eq!(half_closed(&server, &two).matches("HTTP/1.1 200 OK").count(), 2);
    // An incomplete request gets no response and is not applied.
    let trees = server.emulator().account("test_http").unwrap().impacts();
    let whole = request("POST", "/v1/plant_tree", body);
    half_closed(&server, &whole[..whole.len() - 1]);
    assert_eq!(server.emulator().account("test_http").unwrap().impacts(), trees);

    // Without a response, the connection stays open.
    let never = FaultRule::new(Fault::NeverRespond { applied: false });
    server.emulator().inject(never.times(1));
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(request("GET", "/v1/whoami", "").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}
