//! The execution that each failure implies.

use std::time::Duration;

use http::{Method, Response};
use oneclick_proto::{
    Api, BodyReader, Call, CancelImpact, Endpoint, Error, Execution, GetAccount, ImpactId, Machine,
    PlantTree, RetryPolicy, Step, TrackImpact, TransportError, Trees,
};

type Outcome = Result<Response<Vec<u8>>, TransportError>;

fn finish(outcome: Outcome) -> Error {
    finish_call(PlantTree::new(Trees::of::<1>()), outcome)
}

fn finish_call<E: Endpoint>(endpoint: E, outcome: Outcome) -> Error {
    let api = Api::sandbox("test_key").unwrap();
    let step = Call::new(endpoint).start(&api, RetryPolicy::NEVER, 0, Duration::ZERO);
    let Step::Send(_, sent) = step else { panic!("a call sends first") };
    match sent.finish(outcome, Duration::from_secs(7)) {
        Step::Done(Err(error)) => error,
        Step::Done(Ok(_)) => panic!("it succeeded"),
        Step::Wait(..) | Step::Send(..) => panic!("the policy allows only one attempt"),
    }
}

fn reader(status: u16, limit: usize) -> BodyReader {
    let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
    BodyReader::new(&Method::GET, head, limit)
}

/// A response with a body, either the API's own error or something else.
fn response(status: u16, body: &str) -> Outcome {
    Ok(Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap())
}

const OWN: &str = r#"{"type":"invalid_request_error","message":"no"}"#;

#[test]
fn the_predicates_tell_failures_apart() {
    let of = |error: &Error| {
        let facts = [
            (error.is_connect(), "connect"),
            (error.is_timeout(), "timeout"),
            (error.is_status(), "status"),
            (error.is_decode(), "decode"),
            (error.is_rate_limit(), "rate limit"),
            (error.is_unknown_impact(), "unknown impact"),
        ];
        let true_ones = facts.into_iter().filter(|(holds, _)| *holds);
        true_ones.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(of(&finish(Err(TransportError::connect("refused")))), "connect");
    assert_eq!(
        of(&finish(Err(TransportError::connect("slow").timed_out(true)))),
        "connect, timeout"
    );
    assert_eq!(of(&finish(Err(TransportError::exchange("reset")))), "");
    assert_eq!(of(&finish(Err(TransportError::exchange("slow").timed_out(true)))), "timeout");
    assert_eq!(of(&finish(response(200, "{}"))), "decode");
    for status in (300..600).filter(|status| ![425, 429].contains(status)) {
        assert_eq!(of(&finish(response(status, OWN))), "status", "{status}");
    }
    for status in [425, 429] {
        assert_eq!(of(&finish(response(status, OWN))), "status, rate limit", "{status}");
    }
}

#[test]
fn only_a_refused_call_that_names_an_impact_has_an_unknown_one() {
    let id: ImpactId = "U1-2025-03-12T12:00:01.500Z".parse().unwrap();
    for status in 300..600 {
        let unknown = [400, 404, 410, 422].contains(&status);
        let track = finish_call(TrackImpact::new(id.clone()), response(status, OWN));
        assert_eq!(track.is_unknown_impact(), unknown, "{status}");
        let cancel = finish_call(CancelImpact::new(id.clone()), response(status, OWN));
        assert_eq!(cancel.is_unknown_impact(), unknown, "{status}");
        let cut = Err(reader(status, 100).cut("reset"));
        assert!(!finish_call(TrackImpact::new(id.clone()), cut).is_unknown_impact(), "{status}");
        assert!(!finish(response(status, OWN)).is_unknown_impact(), "{status}");
        assert!(!finish_call(GetAccount, response(status, OWN)).is_unknown_impact(), "{status}");
    }
    assert!(!Error::from(Trees::new(0).unwrap_err()).is_unknown_impact());
}

/// The table of executions, as in `Error::classify` and `docs/failures.md`.
#[test]
fn every_status_has_the_execution_of_the_table() {
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
fn a_2xx_without_a_receipt_is_executed_only_if_it_has_a_field_of_one() {
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
fn a_failure_before_the_first_byte_is_not_executed_and_after_it_unknown() {
    assert_eq!(finish(Err(TransportError::connect("refused"))).execution(), Execution::NotExecuted);
    assert_eq!(finish(Err(TransportError::exchange("reset"))).execution(), Execution::Unknown);
    let timeout = finish(Err(TransportError::exchange("slow").timed_out(true)));
    assert!(timeout.is_timeout());
    assert_eq!(timeout.execution(), Execution::Unknown);
    assert_eq!((timeout.attempts(), timeout.elapsed()), (1, Duration::from_secs(7)));
}

#[test]
fn a_truncated_body_is_unknown_unless_it_still_holds_the_apis_error() {
    let cut = |status| finish(Err(reader(status, 100).push(b"{\"type").unwrap().cut("eof")));
    assert_eq!(cut(200).execution(), Execution::Unknown);
    assert_eq!(cut(500).execution(), Execution::Unknown);
    // It is no longer known whether this is the API's own error.
    assert_eq!(cut(401).execution(), Execution::Unknown);
    let whole = finish(Err(reader(401, 100).push(OWN.as_bytes()).unwrap().cut("eof")));
    assert_eq!(whole.execution(), Execution::NotExecuted);
    assert_eq!(cut(200).body(), b"{\"type");
    assert_eq!(cut(200).status().unwrap(), 200);
}

#[test]
fn a_2xx_that_is_too_large_is_unknown_and_an_error_is_truncated() {
    let large = finish(Err(reader(200, 3).push(b"1234").unwrap_err()));
    assert_eq!(large.execution(), Execution::Unknown);
    // A truncated refusal may be a gateway's.
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

/// A response that is too large will be too large again; a truncated one may arrive
/// completely.
#[test]
fn a_read_is_retried_after_a_truncated_body_but_not_after_one_that_is_too_large() {
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
fn a_message_leaves_the_cause_to_the_source() {
    use std::error::Error as _;
    let error = finish(Err(TransportError::connect("connection refused (os error 111)")));
    assert_eq!(
        error.to_string(),
        "POST /v1/plant_tree: could not connect; the request was not executed"
    );
    assert_eq!(error.source().unwrap().to_string(), "connection refused (os error 111)");
    assert_eq!(
        format!("{error:#}"),
        "POST /v1/plant_tree: could not connect: connection refused (os error 111); the request was not \
         executed",
    );
}

#[test]
fn a_message_for_a_purchase_says_whether_it_was_executed() {
    for (outcome, expected) in [
        (
            response(307, ""),
            "the server responded with 307 Temporary Redirect, and redirects are not followed; \
             the request was not executed",
        ),
        (
            response(500, ""),
            "the server responded with 500 Internal Server Error; the request may have been \
             executed, so check before sending it again",
        ),
        (
            response(200, ""),
            "the response body could not be decoded: it is empty; the request may have been \
             executed, so check before sending it again",
        ),
        (
            response(200, r#"{"tree_planted":5}"#),
            "the response body could not be decoded: missing field `user_id` at line 1 column 18; \
             the request was executed",
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
fn a_message_for_a_cancellation_says_that_it_can_be_sent_again() {
    let status = |status: u16| Response::builder().status(status).body(Vec::new()).unwrap();
    let api = Api::sandbox("test_key").unwrap();
    let cancel = CancelImpact::try_from("U1-2025-03-12T15:22:14.753Z").unwrap();
    for (code, expected) in [
        (
            307,
            "the server responded with 307 Temporary Redirect, and redirects are not followed; \
             the request was not executed",
        ),
        (
            500,
            "the server responded with 500 Internal Server Error; the request may have been \
             executed, and is safe to send again",
        ),
        (
            200,
            "the response body could not be decoded: it is empty; the request may have been \
             executed, and is safe to send again",
        ),
    ] {
        let error = api.decode(&cancel, status(code)).unwrap_err();
        assert_eq!(error.to_string(), format!("POST /v1/cancel_impact: {expected}"));
    }
    // A message for a read says nothing about execution.
    let error = api.decode(&GetAccount, status(500)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET /v1/whoami: the server responded with 500 Internal Server Error"
    );
}

#[test]
fn an_error_keeps_64_kib_of_the_body() {
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
