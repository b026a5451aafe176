//! Connections that fail at each stage of a call.

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use oneclick_proto::{Error, Execution, Phase, RetryPolicy, TransportOptions};

use crate::adapter::{Adapter, customer, impatient, phase, plant, soon};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, Wire, response};

behaviours! {
    a_refused_connection_executed_nothing
    a_silent_server_is_stopped_by_the_timeout
    a_slow_response_is_stopped_by_the_timeout
    a_connection_that_closes_before_the_request_is_read_is_unknown
    a_connection_that_closes_after_the_head_is_unknown
    a_connection_that_closes_after_the_request_is_unknown
    a_connection_that_is_reset_after_the_request_is_unknown
    a_response_with_a_truncated_head_is_unknown
    a_response_with_a_truncated_body_is_unknown_and_keeps_the_part_that_arrived
    a_truncated_chunked_response_is_unknown
    a_truncated_error_response_is_unknown
    a_response_that_ends_with_the_connection_is_complete_if_it_is_json
    garbage_instead_of_http_is_unknown
    a_closed_idle_connection_does_not_send_a_purchase_twice
    an_idle_connection_that_closes_on_a_request_does_not_send_it_twice
    a_client_is_usable_after_a_failure
}

/// The error of a purchase over connections that fail in this way. Asserts that it was sent
/// at most once.
fn buy<S: Adapter>(serve: impl Fn(&mut Wire) + Send + Sync + 'static) -> Error {
    buy_within::<S>(&TransportOptions::new(), serve)
}

fn buy_within<S: Adapter>(
    options: &TransportOptions,
    serve: impl Fn(&mut Wire) + Send + Sync + 'static,
) -> Error {
    let server = RawServer::start(move |_, wire| serve(wire));
    let client = S::at(&server.url(), options);
    let error = client.fails(plant());
    assert!(server.requests().len() <= 1, "sent {} times", server.requests().len());
    assert_eq!(server.connections(), 1, "connected once");
    assert_eq!(error.attempts(), 1);
    // A read fails too; its query holds an e-mail address.
    client.fails(customer());
    error
}

#[track_caller]
fn assert_unknown(error: &Error, expected: Phase) {
    assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
    assert_eq!(phase(error), Some(expected), "{error:?}");
}

fn a_refused_connection_executed_nothing<S: Adapter>() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = S::at(&format!("http://{address}"), &impatient());
    for error in [client.fails(plant()), client.fails(customer())] {
        assert_eq!(error.execution(), Execution::NotExecuted);
        assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
        assert!(!error.is_timeout());
    }
}

fn a_silent_server_is_stopped_by_the_timeout<S: Adapter>() {
    let start = Instant::now();
    let error = buy_within::<S>(&impatient(), Wire::silence);
    assert_unknown(&error, Phase::Exchange);
    assert!(error.is_timeout(), "{error:?}");
    assert!(error.elapsed() > Duration::from_millis(100), "{:?}", error.elapsed());
    assert!(start.elapsed() < Duration::from_secs(20));
}

fn a_slow_response_is_stopped_by_the_timeout<S: Adapter>() {
    let error = buy_within::<S>(&impatient(), |wire| {
        wire.request();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        for _ in 0..1000 {
            std::thread::sleep(Duration::from_millis(20));
            if !wire.write(b" ") {
                break;
            }
        }
    });
    assert_unknown(&error, Phase::Body);
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(error.status().unwrap(), 200);
}

fn a_connection_that_closes_before_the_request_is_read_is_unknown<S: Adapter>() {
    let error = buy::<S>(|wire| drop(wire.stream.shutdown(Shutdown::Both)));
    // The client may notice it before or after the body was sent.
    assert_ne!(error.execution(), Execution::Executed);
}

fn a_connection_that_closes_after_the_head_is_unknown<S: Adapter>() {
    let error = buy::<S>(Wire::head);
    assert_ne!(error.execution(), Execution::Executed);
}

fn a_connection_that_closes_after_the_request_is_unknown<S: Adapter>() {
    assert_unknown(&buy::<S>(|wire| drop(wire.request())), Phase::Exchange);
}

fn a_connection_that_is_reset_after_the_request_is_unknown<S: Adapter>() {
    let error = buy::<S>(|wire| {
        // Closing a socket with unread bytes resets the connection.
        wire.request();
        drop(wire.stream.flush());
        drop(wire.stream.shutdown(Shutdown::Read));
    });
    assert_unknown(&error, Phase::Exchange);
}

fn a_response_with_a_truncated_head_is_unknown<S: Adapter>() {
    for cut in ["HTTP/1", "HTTP/1.1 200 OK\r\ncontent-", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"]
    {
        let error = buy::<S>(move |wire| {
            wire.request();
            wire.write(cut.as_bytes());
        });
        assert_unknown(&error, Phase::Exchange);
    }
}

fn a_response_with_a_truncated_body_is_unknown_and_keeps_the_part_that_arrived<S: Adapter>() {
    let error = buy::<S>(|wire| {
        wire.request();
        let bytes = response("200 OK", "", RECEIPT);
        wire.write(&bytes[..bytes.len() - 30]);
    });
    assert_unknown(&error, Phase::Body);
    assert_eq!(error.status().unwrap(), 200);
    assert!(error.body().starts_with(b"{\"user_id\""), "{error:?}");
}

fn a_truncated_chunked_response_is_unknown<S: Adapter>() {
    let error = buy::<S>(|wire| {
        wire.request();
        wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{\"user_id\"");
    });
    assert_unknown(&error, Phase::Body);
}

fn a_truncated_error_response_is_unknown<S: Adapter>() {
    // It is not known whether this was the API's own error.
    for status in ["401 Unauthorized", "500 X"] {
        let error = buy::<S>(move |wire| {
            wire.request();
            let bytes = response(status, "", "{\"type\":\"key_error\",\"message\":\"x\"}");
            wire.write(&bytes[..bytes.len() - 5]);
        });
        assert_eq!(error.execution(), Execution::Unknown, "{status}");
    }
}

/// Only the end of the connection marks the end of the body, and it may come anywhere.
fn a_response_that_ends_with_the_connection_is_complete_if_it_is_json<S: Adapter>() {
    let ending = |body: &'static str, reset: bool| {
        RawServer::start(move |_, wire| {
            if wire.request().is_none() {
                return;
            }
            wire.write(b"HTTP/1.1 200 OK\r\n\r\n");
            wire.write(body.as_bytes());
            if reset {
                let socket = socket2::SockRef::from(&wire.stream);
                // Reset only after the body has arrived.
                std::thread::sleep(Duration::from_millis(100));
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        })
    };
    for reset in [false, true] {
        let server = ending(RECEIPT, reset);
        S::new(&server.url()).send(plant()).unwrap();
        for cut in ["", "{", &RECEIPT[..40], &RECEIPT[..RECEIPT.len() - 1], "<html>"] {
            let server = ending(cut, reset);
            let error = S::new(&server.url()).fails(plant());
            assert_unknown(&error, Phase::Body);
            assert_eq!(error.status().unwrap(), 200);
        }
    }
}

fn garbage_instead_of_http_is_unknown<S: Adapter>() {
    for garbage in
        [b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), b"\0\0\x12\x04\0\0\0\0\0", b"HTTP/1.1 abc\r\n\r\n"]
    {
        let error = buy::<S>(move |wire| {
            wire.request();
            wire.write(garbage);
        });
        assert_unknown(&error, Phase::Exchange);
    }
}

fn a_closed_idle_connection_does_not_send_a_purchase_twice<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        if wire.request().is_some() {
            wire.write(&response("200 OK", "", RECEIPT));
        }
    });
    // This holds with and without retries.
    for retry in [RetryPolicy::NEVER, soon().attempts(5)] {
        let client = S::new(&server.url()).with_retry(retry);
        for round in 1..=10 {
            let before = server.requests().len();
            let result = client.send(plant());
            let arrived = server.requests().len() - before;
            assert!(arrived <= 1, "round {round}: arrived {arrived} times");
            match result {
                Ok(_) => assert_eq!(arrived, 1),
                Err(error) => assert_ne!(error.execution(), Execution::Executed),
            }
        }
    }
}

fn an_idle_connection_that_closes_on_a_request_does_not_send_it_twice<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        if wire.request().is_some() {
            wire.write(&response("200 OK", "", RECEIPT));
        }
        // The connection stays open, reads a second request, and then closes.
        wire.request();
    });
    for (round, retry) in [RetryPolicy::NEVER, soon().attempts(5)].into_iter().enumerate() {
        let client = S::new(&server.url()).with_retry(retry);
        client.send(plant()).unwrap();
        let error = client.fails(plant());
        assert_unknown(&error, Phase::Exchange);
        assert_eq!(server.requests().len(), 2 * (round + 1));
        assert_eq!(server.connections(), round + 1);
    }
}

fn a_client_is_usable_after_a_failure<S: Adapter>() {
    let server = RawServer::start(|number, wire| {
        if wire.request().is_some() && number > 0 {
            wire.write(&response("200 OK", "", RECEIPT));
        }
    });
    let client = S::new(&server.url());
    client.fails(plant());
    client.send(plant()).unwrap();
}
