//! The table: what each failure says about execution.

use std::time::Duration;

use http::{Method, Response};
use oneclick_proto::{
    Api, BodyReader, Call, CancelImpact, Error, Execution, GetAccount, Machine, PlantTree,
    RetryPolicy, Step, TransportError, Trees,
};

type Outcome = Result<Response<Vec<u8>>, TransportError>;

fn finish(outcome: Outcome) -> Error {
    let api = Api::sandbox("test_key").unwrap();
    let plant = PlantTree::new(Trees::of::<1>());
    let Step::Send(_, sent) = Call::new(plant).start(&api, RetryPolicy::NEVER, 0, Duration::ZERO)
    else {
        panic!("a call sends first");
    };
    match sent.finish(outcome, Duration::from_secs(7)) {
        Step::Done(result) => result.unwrap_err(),
        Step::Wait(..) | Step::Send(..) => panic!("one attempt is all there is"),
    }
}

fn reader(status: u16, limit: usize) -> BodyReader {
    let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
    BodyReader::new(&Method::GET, head, limit)
}

/// A response with a body, in the API's own words or not.
fn response(status: u16, body: &str) -> Outcome {
    Ok(Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap())
}

const OWN: &str = r#"{"type":"invalid_request_error","message":"no"}"#;

/// The table of executions. It stands in the code in `Error::classify`, and on the page
/// in `docs/failures.md`.
#[test]
fn every_status_says_what_the_table_says() {
    use Execution::{NotExecuted, Unknown};
    for status in (100..200).chain(300..1000) {
        let own = match status {
            307 | 308 | 400 | 401 | 403 | 404 | 405 | 409 | 413 | 414 | 415 | 422 | 425 | 429 => {
                NotExecuted
            }
            _ => Unknown,
        };
        assert_eq!(finish(response(status, OWN)).execution(), own, "{status}");
        // A gateway may have carried the request out before it refused.
        let strangers = if matches!(status, 307 | 308) { NotExecuted } else { Unknown };
        for body in ["", "<html>", r#"{"message":"no"}"#, r#"{"type":"x"}"#, "[]"] {
            assert_eq!(finish(response(status, body)).execution(), strangers, "{status} {body}");
        }
    }
}

#[test]
fn a_success_that_is_no_receipt_is_executed_only_if_it_shows_a_part_of_one() {
    for status in [200, 201, 202, 204] {
        for body in [r#"{"tree_planted":5}"#, r#"{"time_utc":7}"#, r#"{"coral_restored":null}"#] {
            assert_eq!(finish(response(status, body)).execution(), Execution::Executed, "{body}");
        }
        for body in ["", "<html>", OWN, "{}", "null", r#"["tree_planted"]"#, r#"{"tree_planted":5"#]
        {
            assert_eq!(finish(response(status, body)).execution(), Execution::Unknown, "{body}");
        }
    }
}

#[test]
fn before_the_first_byte_is_not_executed_and_after_it_is_unknown() {
    assert_eq!(finish(Err(TransportError::connect("refused"))).execution(), Execution::NotExecuted);
    assert_eq!(finish(Err(TransportError::exchange("reset"))).execution(), Execution::Unknown);
    let timeout = finish(Err(TransportError::exchange("slow").timed_out(true)));
    assert!(timeout.is_timeout());
    assert_eq!(timeout.execution(), Execution::Unknown);
    assert_eq!((timeout.attempts(), timeout.elapsed()), (1, Duration::from_secs(7)));
}

#[test]
fn a_cut_body_says_what_its_status_says_and_a_promise_cut_short_is_unknown() {
    let cut = |status| finish(Err(reader(status, 100).push(b"{\"type").unwrap().cut("eof")));
    assert_eq!(cut(200).execution(), Execution::Unknown);
    assert_eq!(cut(500).execution(), Execution::Unknown);
    // Whose words they were cannot be read any more.
    assert_eq!(cut(401).execution(), Execution::Unknown);
    let whole = finish(Err(reader(401, 100).push(OWN.as_bytes()).unwrap().cut("eof")));
    assert_eq!(whole.execution(), Execution::NotExecuted);
    assert_eq!(cut(200).body(), b"{\"type");
    assert_eq!(cut(200).status().unwrap(), 200);
}

#[test]
fn a_success_that_is_too_large_is_unknown_and_an_error_says_what_it_says_cut_short() {
    let large = finish(Err(reader(200, 3).push(b"1234").unwrap_err()));
    assert_eq!(large.execution(), Execution::Unknown);
    // The beginning of a refusal may be that of a gateway's.
    let long = |status| finish(reader(status, 9).push(OWN.as_bytes()).unwrap().finish());
    for status in [400, 429, 503] {
        assert_eq!(long(status).execution(), Execution::Unknown);
        assert_eq!(
            (long(status).status().unwrap().as_u16(), long(status).body()),
            (status, &OWN.as_bytes()[..9])
        );
    }
    assert_eq!(long(307).execution(), Execution::NotExecuted);
}

/// Another attempt would be too large again; one that broke off may arrive whole.
#[test]
fn a_read_is_sent_again_after_a_cut_body_and_not_after_one_that_is_too_large() {
    let repeated = |error| {
        let api = Api::sandbox("test_key").unwrap();
        let call = Call::new(GetAccount);
        let Step::Send(_, sent) = call.start(&api, RetryPolicy::STANDARD, 0, Duration::ZERO) else {
            panic!("a call sends first");
        };
        matches!(sent.finish::<Vec<u8>>(Err(error), Duration::ZERO), Step::Wait(..))
    };
    for status in [200, 206] {
        assert!(!repeated(reader(status, 3).push(b"1234").unwrap_err()), "{status}");
    }
    for (status, cut) in [(200, true), (206, true), (404, false), (503, true)] {
        let broken = reader(status, 100).push(b"{").unwrap().cut("eof");
        assert_eq!(repeated(broken), cut, "{status}");
    }
}

#[test]
fn a_message_says_once_what_happened_and_leaves_the_cause_to_the_source() {
    use std::error::Error as _;
    let error = finish(Err(TransportError::connect("connection refused (os error 111)")));
    assert_eq!(error.to_string(), "POST /v1/plant_tree: could not connect; it was not executed");
    assert_eq!(error.source().unwrap().to_string(), "connection refused (os error 111)");
    assert_eq!(
        format!("{error:#}"),
        "POST /v1/plant_tree: could not connect; it was not executed: connection refused (os error 111)",
    );
}

#[test]
fn a_message_says_of_a_purchase_whether_it_was_executed() {
    for (outcome, expected) in [
        (
            response(307, ""),
            "answered 307 Temporary Redirect, and redirects are not followed; it was not executed",
        ),
        (
            response(500, ""),
            "answered 500 Internal Server Error; whether it was executed is not known",
        ),
        (
            response(200, ""),
            "the answer does not hold the response: it is empty; whether it was executed is not \
             known",
        ),
        (
            response(200, r#"{"tree_planted":5}"#),
            "the answer does not hold the response: missing field `user_id` at line 1 column 18; \
             it was executed",
        ),
    ] {
        let error = finish(outcome);
        assert_eq!(error.to_string(), format!("POST /v1/plant_tree: {expected}"));
        assert!(!error.is_timeout());
        let shown = format!("{error:?}");
        assert!(shown.contains(expected) && shown.contains("execution"), "{shown}");
    }
}

#[test]
fn a_message_says_of_a_cancellation_that_it_can_be_sent_again() {
    let status = |status: u16| Response::builder().status(status).body(Vec::new()).unwrap();
    let api = Api::sandbox("test_key").unwrap();
    let cancel = CancelImpact::try_from("U1-2025-03-12T15:22:14.753Z").unwrap();
    for (code, expected) in [
        (
            307,
            "answered 307 Temporary Redirect, and redirects are not followed; it was not executed",
        ),
        (
            500,
            "answered 500 Internal Server Error; whether it was executed is not known, and it \
             can be sent again",
        ),
        (
            200,
            "the answer does not hold the response: it is empty; whether it was executed is not \
             known, and it can be sent again",
        ),
    ] {
        let error = api.decode(&cancel, status(code)).unwrap_err();
        assert_eq!(error.to_string(), format!("POST /v1/cancel_impact: {expected}"));
    }
    // A read changes nothing, so nothing is said of it.
    let error = api.decode(&GetAccount, status(500)).unwrap_err();
    assert_eq!(error.to_string(), "GET /v1/whoami: answered 500 Internal Server Error");
}

#[test]
fn of_a_body_so_much_is_kept_and_no_more() {
    assert_eq!(Error::MAX_BODY_BYTES, 65_536);
    for (length, kept) in [(65_535, 65_535), (65_536, 65_536), (65_537, 65_536)] {
        let response = Response::builder().status(500).body(vec![b'x'; length]).unwrap();
        assert_eq!(finish(Ok(response)).body().len(), kept);
    }
}

#[test]
fn an_error_body_shows_its_type() {
    let body = oneclick_proto::ErrorBody::new(oneclick_proto::ErrorType::KeyError, "secret");
    assert_eq!(format!("{body:?}"), "ErrorBody { error_type: KeyError, .. }");
}
