//! The parts for transports: options, errors and bodies.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Version};
use oneclick_proto::{
    Api, AsyncClient, AsyncTransport, BlockingClient, BlockingTransport, BodyGate, BodyReader,
    Call, ConfigError, Email, Error, GetAccount, Gunzip, ListCustomers, Machine, Phase,
    RetryPolicy, SendBy, Step, TransportError, TransportOptions, accept_encoding,
};

/// A transport that never connects.
#[derive(Clone)]
struct Nowhere;

impl BlockingTransport for Nowhere {
    type Body = Vec<u8>;

    fn send(&self, _: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        Err(TransportError::connect("nowhere"))
    }

    fn sleep(&self, _: Duration) {}

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl AsyncTransport for Nowhere {
    type Body = Vec<u8>;

    async fn send(&self, _: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        Err(TransportError::connect("nowhere"))
    }

    async fn sleep(&self, _: Duration) {}

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// Otherwise clients that failed at the same time would retry at the same time.
#[test]
fn each_call_has_another_seed() {
    let seeds: Vec<u64> = (0..8)
        .flat_map(|_| [AsyncTransport::seed(&Nowhere), BlockingTransport::seed(&Nowhere)])
        .collect();
    for (at, seed) in seeds.iter().enumerate() {
        assert!(!seeds[..at].contains(seed), "{seeds:?}");
    }
}

#[test]
fn debug_of_lists_hides_private_data() {
    let api = || Api::sandbox("test_5ecretKey").unwrap();
    let customers = || ListCustomers::new().customer_email(Email::new("ada@example.com").unwrap());
    let blocking = BlockingClient::with_transport(api(), Nowhere);
    let asynchronous = AsyncClient::with_transport(api(), Nowhere);
    for (items, pages) in [
        (
            format!("{:?}", blocking.list(customers())),
            format!("{:?}", blocking.list(customers()).into_pages()),
        ),
        (
            format!("{:?}", asynchronous.list(customers())),
            format!("{:?}", asynchronous.list(customers()).into_pages()),
        ),
    ] {
        assert!(items.starts_with("Items {") && items.contains("next: More"), "{items}");
        assert!(pages.starts_with("Pages { pager: Pager { next: More"), "{pages}");
        assert!(!items.contains("ada@") && !items.contains("5ecret"), "{items}");
    }
}

#[test]
fn durations_are_limited_to_a_year() {
    let year = Duration::from_secs(365 * 86_400);
    let endless = TransportOptions::new()
        .connect_timeout(Duration::MAX)
        .timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .max_idle_per_host(3)
        .max_response_bytes(5);
    let clamped = endless.checked().unwrap();
    assert_eq!(
        (clamped.connect_timeout, clamped.timeout, clamped.idle_timeout),
        (year * 9 / 10, year, year)
    );
    assert_eq!((clamped.max_idle_per_host, clamped.max_response_bytes), (3, 5));
    let usual = TransportOptions::new().timeout(Duration::from_secs(365 * 86_400 - 1));
    assert_eq!(usual.checked().unwrap(), usual);
}

#[test]
fn a_timeout_of_zero_is_refused() {
    let shortest = Duration::from_nanos(1);
    assert!(TransportOptions::new().timeout(shortest).connect_timeout(shortest).checked().is_ok());
    for options in [
        TransportOptions::new().timeout(Duration::ZERO),
        TransportOptions::new().connect_timeout(Duration::ZERO),
    ] {
        assert!(matches!(options.checked(), Err(ConfigError::ZeroTimeout { .. })));
    }
}

/// So a timeout while connecting is recognized as one.
#[test]
fn the_connect_timeout_is_below_the_timeout() {
    let options = |connect, timeout| {
        TransportOptions::new()
            .connect_timeout(Duration::from_millis(connect))
            .timeout(Duration::from_millis(timeout))
    };
    for (connect, timeout, expected) in
        [(10_000, 30_000, 10_000), (10_000, 1_000, 900), (900, 1_000, 900), (901, 1_000, 900)]
    {
        let clamped = options(connect, timeout).checked().unwrap();
        assert_eq!(clamped, options(expected, timeout));
    }
}

#[test]
fn a_transport_error_keeps_its_parts() {
    let refused = TransportError::connect(io::Error::from(io::ErrorKind::ConnectionRefused));
    assert_eq!((refused.phase(), refused.is_timeout()), (Phase::Connect, false));
    assert_eq!(refused.status(), None);
    assert!(refused.source().unwrap().is::<io::Error>());
    let slow = TransportError::exchange("slow").timed_out(true);
    assert_eq!((slow.phase(), slow.is_timeout()), (Phase::Exchange, true));
    assert!(!slow.timed_out(false).is_timeout());
}

/// The decision is final.
#[test]
fn a_body_is_sent_or_withdrawn() {
    let (sender, owner) = (BodyGate::default(), BodyGate::default());
    for _ in 0..2 {
        assert_eq!(sender.clone().take(), Ok(()));
        assert!(!sender.withdraw());
        assert!(owner.clone().withdraw());
        let refused = owner.take().unwrap_err();
        assert_eq!(refused.to_string(), "the request was withdrawn before its body was sent");
    }
}

#[test]
fn a_body_is_taken_once_the_deadline_was_met_and_never_after_it_was_missed() {
    let met = Arc::new(AtomicBool::new(true));
    let mut request = Request::new(());
    assert_eq!(BodyGate::of(&request).take(), Ok(()));
    let now = Arc::clone(&met);
    let send_by = SendBy::new(move || now.load(Ordering::Relaxed));
    assert!(send_by.is_met());
    assert_eq!(format!("{send_by:?}"), "SendBy(true)");
    request.extensions_mut().insert(send_by);

    let (taken, withdrawn) = (BodyGate::of(&request), BodyGate::of(&request));
    assert_eq!(taken.take(), Ok(()));
    met.store(false, Ordering::Relaxed);
    // The rest of a body that has begun is sent.
    assert_eq!(taken.take(), Ok(()));
    assert!(!taken.withdraw());
    assert!(withdrawn.take().is_err());
    met.store(true, Ordering::Relaxed);
    assert!(withdrawn.take().is_err() && withdrawn.withdraw());
}

#[test]
fn accept_encoding_is_always_set() {
    assert_eq!(accept_encoding(None), "identity");
    assert_eq!(accept_encoding(Some(|packed| Box::new(packed))), "gzip");
}

fn reader(status: u16, limit: usize) -> BodyReader {
    let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
    BodyReader::new(&Method::GET, head, limit)
}

#[test]
fn a_body_reader_reads_to_the_end() {
    let mut body = reader(200, 10);
    assert_eq!(body.read_to_end(&b"1234"[..]).unwrap(), 4);
    assert_eq!(body.read_to_end(&b"567890"[..]).unwrap(), 6);
    assert_eq!(body.finish().unwrap().into_body(), b"1234567890");
}

#[test]
fn a_truncated_body_keeps_its_status() {
    /// A reader that fails.
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    let mut body = reader(502, 10);
    let error = body.read_to_end(b"12".chain(Broken)).unwrap_err();
    let error = body.cut(error);
    assert_eq!((error.phase(), error.status()), (Phase::Body, Some(StatusCode::BAD_GATEWAY)));
    let mut body = reader(206, 1);
    body.read_to_end(&b"12"[..]).unwrap();
    assert!(!body.wants_more());
    let error = body.finish().unwrap_err();
    let status = Some(StatusCode::PARTIAL_CONTENT);
    assert_eq!((error.phase(), error.status()), (Phase::TooLarge, status));
}

/// Reading more would waste memory if many calls get long error pages at once.
#[test]
fn an_error_response_is_read_only_up_to_the_part_that_is_kept() {
    for (limit, kept) in [(usize::MAX, Error::MAX_BODY_BYTES), (100, 100)] {
        for status in [304, 404, 503] {
            let mut body = reader(status, limit);
            assert_eq!(body.read_to_end(io::repeat(b'x')).unwrap(), kept);
            assert!(!body.wants_more());
            assert_eq!(body.finish().unwrap().into_body().len(), kept);

            let mut body = reader(status, limit).push(&vec![b'x'; kept - 1]).unwrap();
            assert!(body.wants_more());
            body = body.push(b"yz").unwrap();
            assert!(!body.wants_more());
            assert!(body.finish().unwrap().into_body().ends_with(b"xy"));
        }
    }
}

#[test]
fn only_the_response_to_a_read_may_be_long() {
    let head = || Response::builder().body(()).unwrap().into_parts().0;
    let most = Error::MAX_BODY_BYTES;
    for method in [Method::POST, Method::PUT] {
        let body = BodyReader::new(&method, head(), usize::MAX).push(&vec![b'x'; most]).unwrap();
        assert!(body.wants_more());
        assert_eq!(body.push(b"x").unwrap_err().phase(), Phase::TooLarge);
    }
    let body = BodyReader::new(&Method::GET, head(), usize::MAX).push(&vec![b'x'; most]).unwrap();
    assert!(body.push(b"x").is_ok());
}

/// Without an announced length, a truncated body looks complete.
#[test]
fn a_body_that_ends_with_the_connection_is_complete_if_it_is_json() {
    let reader = |headers: &[(&str, &str)], status: u16, version, body: &str| {
        let mut head = Response::builder().status(status).version(version);
        for (name, value) in headers {
            head = head.header(*name, *value);
        }
        let (head, ()) = head.body(()).unwrap().into_parts();
        BodyReader::new(&Method::GET, head, 100).http1().push(body.as_bytes()).unwrap()
    };
    for (body, whole) in [
        (r#"{"a":[1,"}"]}"#, true),
        (" [1] \r\n", true),
        ("\u{feff}{}", true),
        (r#"{"half":"\ud800"}"#, true),
        ("true", true),
        ("\"text\"", true),
        ("12 ", true),
        ("12", false),
        ("", false),
        ("{", false),
        (r#"{"a":1"#, false),
        (r#"{"a":1}{"#, false),
        ("<html></html>", false),
        ("tru", false),
    ] {
        let bare = || reader(&[], 200, Version::HTTP_11, body);
        // It does not matter how the connection ended.
        for outcome in [bare().finish(), bare().broken("reset", false), bare().broken("", true)] {
            assert_eq!(outcome.is_ok(), whole, "{body}");
            if let Err(error) = outcome {
                assert_eq!((error.phase(), error.status()), (Phase::Body, Some(StatusCode::OK)));
            }
        }
        assert_eq!(bare().broken("", true).is_err_and(|error| error.is_timeout()), !whole);
        // If the length is announced, or there is no body, the transport decides.
        for (headers, status, version) in [
            (&[("content-length", "5")][..], 200, Version::HTTP_11),
            (&[("transfer-encoding", "chunked")], 200, Version::HTTP_11),
            (&[], 204, Version::HTTP_11),
            (&[], 304, Version::HTTP_11),
            (&[], 200, Version::HTTP_2),
        ] {
            let announced = || reader(headers, status, version, body);
            assert!(announced().finish().is_ok());
            let error = announced().broken("reset", false).unwrap_err();
            assert_eq!((error.phase(), error.is_timeout()), (Phase::Body, false));
        }
        assert_eq!(reader(&[], 200, Version::HTTP_10, body).finish().is_ok(), whole);
    }
    // A body that is larger than the limit is not complete.
    let mut body = reader(&[], 200, Version::HTTP_11, "[");
    let rest = format!("{}]", " ".repeat(99));
    body.read_to_end(rest.as_bytes()).unwrap();
    assert!(body.broken("reset", false).is_err());
}

/// An error body may be readable although it is falsely declared as gzip.
#[test]
fn a_body_that_is_not_gzip_is_kept_as_it_is() {
    fn broken(_: &[u8]) -> Box<dyn Read + '_> {
        Box::new(Failing(b""))
    }
    fn broken_later(_: &[u8]) -> Box<dyn Read + '_> {
        Box::new(Failing(b"in"))
    }

    /// A reader with some bytes and then a failure.
    struct Failing(&'static [u8]);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::Error::other("no gzip")) } else { self.0.read(buffer) }
        }
    }

    for (decoder, body) in [(broken as Gunzip, &b"out"[..]), (broken_later, b"in")] {
        let head = Response::builder().status(400).header("content-encoding", "gzip");
        let (head, ()) = head.body(()).unwrap().into_parts();
        let reader =
            BodyReader::new(&Method::GET, head, 10).gunzip(Some(decoder)).push(b"out").unwrap();
        let error = reader.finish().unwrap_err();
        assert_eq!((error.phase(), error.status()), (Phase::Body, Some(StatusCode::BAD_REQUEST)));
        // The error of the call has the decoded part of the body.
        let api = Api::sandbox("test_key").unwrap();
        let call = Call::new(GetAccount);
        let Step::Send(_, sent) = call.start(&api, RetryPolicy::NEVER, 0, Duration::ZERO) else {
            panic!("a call sends first");
        };
        let outcome = Err::<Response<Vec<u8>>, _>(error);
        let Step::Done(Err(error)) = sent.finish(outcome, Duration::ZERO) else {
            panic!("a failure is the end");
        };
        assert_eq!(error.body(), body);
    }
}
