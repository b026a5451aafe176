//! Limits on servers that send too much, and on timeouts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oneclick_proto::{Api, Error, ErrorKind, Execution, Phase, TransportOptions};

use crate::adapter::{Adapter, Hyper, KEY, Ureq, impatient, phase, plant};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_body_at_the_limit_is_read_and_one_byte_more_is_not
    an_endless_body_is_stopped_at_the_limit
    an_endless_head_is_stopped
    a_declared_length_is_not_allocated
    a_long_error_body_is_read_only_up_to_the_part_that_is_kept
    a_receipt_that_is_too_large_is_not_read
    endless_timeouts_work
    a_timeout_of_zero_is_refused_before_anything_is_sent
}

fn capped(bytes: usize) -> TransportOptions {
    TransportOptions::new().max_response_bytes(bytes)
}

fn a_body_at_the_limit_is_read_and_one_byte_more_is_not<S: Adapter>() {
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let receipt = S::at(&server.url(), &capped(RECEIPT.len())).send(plant()).unwrap();
    assert_eq!(receipt.impact.amount, 5);

    let error = S::at(&server.url(), &capped(RECEIPT.len() - 1)).fails(plant());
    assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!(error.status().unwrap(), 200);
}

fn an_endless_body_is_stopped_at_the_limit<S: Adapter>() {
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
            // A hundred times the limit, if the client reads all of it.
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

fn an_endless_head_is_stopped<S: Adapter>() {
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

/// Floods the client with 1xx responses, as fast as possible and more slowly.
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
        // On an idle machine it is late by less than a tenth; a busy one may take longer.
        assert!(took < timeout * 3 / 2, "{line}: {took:?}");
        assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
    }
}

#[test]
fn a_flood_of_1xx_responses_does_not_delay_the_timeout() {
    each_flood_of_1xx(|url, options| Ureq::at(url, options).fails(plant()));
    each_flood_of_1xx(|url, options| Hyper::at(url, options).fails(plant()));
    // reqwest is left out: hyper reads up to 50 MiB at once, and the timers of the runtime
    // wait for it. The documentation of oneclick-reqwest says so.
}

fn a_declared_length_is_not_allocated<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        wire.request();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n{");
        wire.silence();
    });
    let options = impatient().max_response_bytes(usize::MAX);
    let error = S::at(&server.url(), &options).fails(plant());
    assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
}

fn a_long_error_body_is_read_only_up_to_the_part_that_is_kept<S: Adapter>() {
    for (status, body) in [("400 X", "x"), ("500 X", "x"), ("503 X", OWN_BEGINNING)] {
        let written = Arc::new(AtomicUsize::new(0));
        let count = written.clone();
        let server = RawServer::start(move |_, wire| {
            wire.request();
            wire.write(
                format!("HTTP/1.1 {status}\r\ncontent-length: 99999999\r\n\r\n{body}").as_bytes(),
            );
            let piece = [b'x'; 0x4000];
            // Far more than the buffers of a socket hold, if the client reads all of it.
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

/// The beginning of an error of the API.
const OWN_BEGINNING: &str = r#"{"type":"invalid_request_error","message":""#;

fn a_receipt_that_is_too_large_is_not_read<S: Adapter>() {
    let body = format!("{RECEIPT}{}", " ".repeat(Error::MAX_BODY_BYTES));
    let server = RawServer::responding(response("200 OK", "", &body));
    let error = S::new(&server.url()).fails(plant());
    assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
    assert_eq!(error.execution(), Execution::Unknown);
}

fn a_timeout_of_zero_is_refused_before_anything_is_sent<S: Adapter>() {
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

fn endless_timeouts_work<S: Adapter>() {
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let mut options = TransportOptions::new();
    options.timeout = Duration::MAX;
    options.connect_timeout = Duration::MAX;
    options.idle_timeout = Duration::MAX;
    let client = S::at(&server.url(), &options);
    for _ in 0..3 {
        client.send(plant()).unwrap();
    }
}
