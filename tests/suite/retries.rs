//! Which calls are retried, over every adapter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oneclick_proto::{CancelImpact, Execution, GetAccount, ImpactId, ListRecords};

use crate::adapter::{Adapter, plant, soon};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_read_is_retried_after_transient_failures
    a_read_is_not_retried_after_permanent_failures
    a_read_whose_response_is_lost_is_retried
    a_purchase_is_retried_after_proof_that_it_was_not_made
    a_purchase_that_may_have_been_made_is_sent_once
    a_purchase_that_cannot_connect_is_tried_three_times
    a_cancellation_is_retried_even_if_it_may_have_been_executed
    a_retry_after_that_is_too_long_ends_the_call
    a_list_retries_a_page_that_failed
}

const ACCOUNT: &str = r#"{"user_id":"U1","email":"a@b"}"#;
/// An error of the API itself.
const BUSY: &str = r#"{"type":"api_error","message":"too many requests"}"#;

/// Sends each of these responses in turn, and then repeats the last one.
fn script(responses: Vec<Vec<u8>>) -> RawServer {
    let next = AtomicUsize::new(0);
    RawServer::start(move |_, wire| {
        while wire.request().is_some() {
            let at = next.fetch_add(1, Ordering::SeqCst).min(responses.len() - 1);
            // An empty response stands for a connection that closes.
            if responses[at].is_empty() || !wire.write(&responses[at]) {
                break;
            }
        }
    })
}

fn status(code: u16) -> Vec<u8> {
    response(&format!("{code} X"), "", "")
}

fn ok(body: &str) -> Vec<u8> {
    response("200 OK", "", body)
}

fn a_read_is_retried_after_transient_failures<S: Adapter>() {
    for code in [408, 425, 429, 500, 502, 503, 504] {
        let server = script(vec![status(code), status(code), ok(ACCOUNT)]);
        S::new(&server.url()).with_retry(soon()).send(GetAccount).unwrap();
        assert_eq!(server.requests().len(), 3, "{code}");
    }
}

fn a_read_is_not_retried_after_permanent_failures<S: Adapter>() {
    for code in [400, 401, 403, 404, 418, 501] {
        let server = script(vec![status(code), ok(ACCOUNT)]);
        let error = S::new(&server.url()).with_retry(soon()).fails(GetAccount);
        assert_eq!(error.attempts(), 1);
        assert_eq!(server.requests().len(), 1, "{code}");
    }
}

fn a_read_whose_response_is_lost_is_retried<S: Adapter>() {
    let server = script(vec![Vec::new(), Vec::new(), ok(ACCOUNT)]);
    S::new(&server.url()).with_retry(soon()).send(GetAccount).unwrap();
    assert_eq!(server.requests().len(), 3);

    let server = script(vec![Vec::new()]);
    let error = S::new(&server.url()).with_retry(soon()).fails(GetAccount);
    assert_eq!((error.attempts(), server.requests().len()), (3, 3));
}

fn a_purchase_is_retried_after_proof_that_it_was_not_made<S: Adapter>() {
    let busy = response("429 X", "retry-after: 0\r\n", BUSY);
    let server = script(vec![busy, response("425 X", "", BUSY), ok(RECEIPT)]);
    S::new(&server.url()).with_retry(soon()).send(plant()).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
}

fn a_purchase_that_may_have_been_made_is_sent_once<S: Adapter>() {
    // These 425 and 429 are a gateway's, which may have forwarded the purchase.
    let responses = [302, 303, 400, 401, 408, 418, 425, 429, 500, 502, 503, 504].map(status);
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec();
    for bytes in
        responses.into_iter().chain([Vec::new(), ok("{}"), b"garbage\r\n\r\n".to_vec(), cut])
    {
        let server = RawServer::start(move |number, wire| {
            if wire.request().is_some() {
                wire.write(if number == 0 { &bytes } else { RECEIPT.as_bytes() });
            }
        });
        let error = S::new(&server.url()).with_retry(soon().attempts(9)).fails(plant());
        assert_eq!((error.attempts(), server.requests().len()), (1, 1), "{error}");
    }
}

fn a_purchase_that_cannot_connect_is_tried_three_times<S: Adapter>() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = S::new(&url).with_retry(soon()).fails(plant());
    assert_eq!(error.attempts(), 3);
    assert_eq!(error.execution(), Execution::NotExecuted);
}

fn a_cancellation_is_retried_even_if_it_may_have_been_executed<S: Adapter>() {
    let id: ImpactId = "U1-2024-09-16T20:34:04.429Z".parse().unwrap();
    let cancelled = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":5,
        "cancelled_on":"2024-09-17T20:34:04.429Z","message":"impact was already cancelled"}"#;
    let server = script(vec![Vec::new(), status(500), ok(cancelled)]);
    S::new(&server.url()).with_retry(soon()).send(CancelImpact::new(&id)).unwrap();
    assert_eq!(server.requests().len(), 3);

    // The first attempt may have been executed, so the call stays unknown.
    let server = script(vec![Vec::new(), status(404)]);
    let error = S::new(&server.url()).with_retry(soon()).fails(CancelImpact::new(&id));
    assert_eq!((error.status().unwrap().as_u16(), error.attempts()), (404, 2));
    assert_eq!(error.execution(), Execution::Unknown);
}

fn a_retry_after_that_is_too_long_ends_the_call<S: Adapter>() {
    let date =
        "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 09:49:37 GMT\r\n";
    for header in ["retry-after: 3600\r\n", date] {
        let server = script(vec![response("429 X", header, BUSY), ok(RECEIPT)]);
        let start = Instant::now();
        let error = S::new(&server.url()).with_retry(soon()).fails(plant());
        assert_eq!((error.attempts(), server.requests().len()), (1, 1));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}

fn a_list_retries_a_page_that_failed<S: Adapter>() {
    let page = |second: u32, cursor: &str| {
        let time = format!("2024-09-16T20:34:{second:02}.429Z");
        let row = format!(r#"{{"user_id":"U1","time_utc":"{time}","tree_planted":1}}"#);
        ok(&format!(r#"{{"user_records":[{row}]{cursor}}}"#))
    };
    let server = script(vec![page(4, r#","cursor":"a""#), Vec::new(), status(503), page(5, "")]);
    let items = S::new(&server.url()).with_retry(soon()).walk(ListRecords::new(), u64::MAX);
    assert_eq!(items.iter().filter(|item| item.is_ok()).count(), 2);
    assert_eq!((items.len(), server.requests().len()), (2, 4));
}
