//! Servers that send too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oneclick_proto::{Api, Error, ErrorKind, Execution, Phase, TransportOptions};

use crate::adapter::{Adapter, Hyper, KEY, Ureq, impatient, phase, plant};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_body_of_the_limit_is_read_and_one_byte_more_is_not
    an_endless_body_is_given_up_at_the_limit
    an_endless_head_is_given_up
    a_length_that_is_declared_and_never_comes_is_not_allocated
    of_a_long_error_body_only_so_much_is_read_as_is_kept
    a_receipt_that_is_too_large_is_not_read
    timeouts_without_end_are_long_ones
    a_timeout_of_zero_is_refused_before_anything_leaves
}

fn capped(bytes: usize) -> TransportOptions {
    TransportOptions::new().max_response_bytes(bytes)
}

fn a_body_of_the_limit_is_read_and_one_byte_more_is_not<S: Adapter>() {
    let server = RawServer::answering(response("200 OK", "", RECEIPT));
    let receipt = S::at(&server.url(), &capped(RECEIPT.len())).send(plant()).unwrap();
    assert_eq!(receipt.impact.amount, 5);

    let error = S::at(&server.url(), &capped(RECEIPT.len() - 1)).fails(plant());
    assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!(error.status().unwrap(), 200);
}

fn an_endless_body_is_given_up_at_the_limit<S: Adapter>() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let chunked = head.contains("chunked");
        let server = RawServer::start(move |_, wire| {
            wire.request();
            wire.write(head.as_bytes());
            let piece = " ".repeat(0x1000);
            let piece = if chunked { format!("1000\r\n{piece}\r\n") } else { piece };
            // A hundred times the limit, if anybody takes it.
            for _ in 0..1600 {
                if !wire.write(piece.as_bytes()) {
                    break;
                }
            }
        });
        let error = S::at(&server.url(), &capped(64 * 1024)).fails(plant());
        assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
        assert!(error.body().len() <= 64 * 1024);
    }
}

fn an_endless_head_is_given_up<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        wire.request();
        wire.write(b"HTTP/1.1 200 OK\r\n");
        let line = format!("x-filler: {}\r\n", "x".repeat(1000));
        for _ in 0..10_000 {
            if !wire.write(line.as_bytes()) {
                break;
            }
        }
    });
    let error = S::new(&server.url()).fails(plant());
    assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
    assert!(!error.is_timeout());
}

/// As fast as it goes, or as fast as somebody can read it.
fn each_flood_of_1xx(buy: impl Fn(&str, &TransportOptions) -> Error) {
    for (line, lines, pause) in [("100 Continue", 1000, 0), ("103 Early Hints", 10, 1)] {
        let server = RawServer::start(move |_, wire| {
            wire.request();
            let flood = format!("HTTP/1.1 {line}\r\n\r\n").repeat(lines);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(30) && wire.write(flood.as_bytes()) {
                std::thread::sleep(Duration::from_millis(pause));
            }
        });
        let timeout = Duration::from_secs(3);
        let start = Instant::now();
        let error = buy(&server.url(), &TransportOptions::new().timeout(timeout));
        let took = start.elapsed();
        assert!(took < timeout * 11 / 10, "{line}: {took:?}");
        assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
    }
}

#[test]
fn a_flood_of_1xx_is_given_up_in_time() {
    each_flood_of_1xx(|url, options| Ureq::at(url, options).fails(plant()));
    each_flood_of_1xx(|url, options| Hyper::at(url, options).fails(plant()));
    // Under reqwest nothing can be set: hyper reads up to 50 MiB in one go, and the timers
    // of the runtime wait for it. Its crate's documentation says so.
}

fn a_length_that_is_declared_and_never_comes_is_not_allocated<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        wire.request();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n{");
        wire.silence();
    });
    let options = impatient().max_response_bytes(usize::MAX);
    let error = S::at(&server.url(), &options).fails(plant());
    assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
}

fn of_a_long_error_body_only_so_much_is_read_as_is_kept<S: Adapter>() {
    for (status, body) in [("400 X", "x"), ("500 X", "x"), ("503 X", OWN_BEGINNING)] {
        let written = Arc::new(AtomicUsize::new(0));
        let count = written.clone();
        let server = RawServer::start(move |_, wire| {
            wire.request();
            wire.write(
                format!("HTTP/1.1 {status}\r\ncontent-length: 99999999\r\n\r\n{body}").as_bytes(),
            );
            let piece = [b'x'; 0x4000];
            // Far more than the buffers of a socket hold, if anybody takes it.
            for _ in 0..4_000 {
                if !wire.write(&piece) {
                    break;
                }
                count.fetch_add(piece.len(), Ordering::Relaxed);
            }
        });
        let error = S::new(&server.url()).fails(plant());
        assert!(matches!(error.kind(), ErrorKind::Status(_)), "{error:?}");
        assert_eq!(error.execution(), Execution::Unknown);
        assert_eq!(error.body().len(), Error::MAX_BODY_BYTES);
        drop(server);
        let written = written.load(Ordering::Relaxed);
        assert!(written < 32 << 20, "{written} bytes were taken");
    }
}

/// The API's own words, if they ended.
const OWN_BEGINNING: &str = r#"{"type":"invalid_request_error","message":""#;

fn a_receipt_that_is_too_large_is_not_read<S: Adapter>() {
    let body = format!("{RECEIPT}{}", " ".repeat(Error::MAX_BODY_BYTES));
    let server = RawServer::answering(response("200 OK", "", &body));
    let error = S::new(&server.url()).fails(plant());
    assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
    assert_eq!(error.execution(), Execution::Unknown);
}

fn a_timeout_of_zero_is_refused_before_anything_leaves<S: Adapter>() {
    let usual = TransportOptions::new;
    for (name, options) in [
        ("timeout", usual().timeout(Duration::ZERO)),
        ("connect_timeout", usual().connect_timeout(Duration::ZERO)),
    ] {
        let api = Api::with_base_url("http://127.0.0.1:9", KEY).unwrap();
        let error = S::with_options(api, &options).unwrap_err();
        assert_eq!(error.execution(), Execution::NotExecuted);
        assert_eq!(error.to_string(), format!("{name} must be longer than zero"));
    }
}

fn timeouts_without_end_are_long_ones<S: Adapter>() {
    let server = RawServer::answering(response("200 OK", "", RECEIPT));
    let mut options = TransportOptions::new();
    options.timeout = Duration::MAX;
    options.connect_timeout = Duration::MAX;
    options.idle_timeout = Duration::MAX;
    let client = S::at(&server.url(), &options);
    for _ in 0..3 {
        client.send(plant()).unwrap();
    }
}
