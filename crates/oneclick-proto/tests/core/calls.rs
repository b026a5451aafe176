//! Calls and their retries: which failures are retried, when, and with which error.

use std::time::Duration;

use http::{Method, Request, Response};
use oneclick_proto::{
    Api, Call, CancelImpact, Endpoint, Error, ErrorKind, Execution, GetAccount, GetProject,
    ImpactId, Machine, PlantTree, RetryPolicy, Sent, Step, TransportError, Trees, Waiting,
};

type Outcome = Result<Response<Vec<u8>>, TransportError>;

const THREE: RetryPolicy = RetryPolicy::STANDARD;

fn start<E: Endpoint>(endpoint: E, policy: RetryPolicy, now: Duration) -> Step<Call<E>> {
    Call::new(endpoint).start(&Api::sandbox("test_key").unwrap(), policy, 7, now)
}

#[track_caller]
fn sending<M: Machine>(step: Step<M>) -> (Request<Vec<u8>>, Sent<M>) {
    match step {
        Step::Send(request, sent) => (request, sent),
        Step::Wait(wait, _) => panic!("a wait of {wait:?}"),
        Step::Done(_) => panic!("the end"),
    }
}

#[track_caller]
fn waiting<M: Machine>(step: Step<M>) -> (Duration, Waiting<M>) {
    match step {
        Step::Wait(wait, waiting) => (wait, waiting),
        Step::Send(request, _) => panic!("{} {}", request.method(), request.uri()),
        Step::Done(_) => panic!("the end"),
    }
}

#[track_caller]
fn done<M: Machine>(step: Step<M>) -> M::Output {
    match step {
        Step::Done(output) => output,
        Step::Send(request, _) => panic!("{} {}", request.method(), request.uri()),
        Step::Wait(wait, _) => panic!("a wait of {wait:?}"),
    }
}

/// How often a call is sent if every attempt ends the same way.
fn sent<E: Endpoint>(endpoint: E, policy: RetryPolicy, outcome: impl Fn() -> Outcome) -> u32 {
    let (first, mut sent) = sending(start(endpoint, policy, Duration::ZERO));
    for number in 1.. {
        match sent.finish(outcome(), Duration::ZERO) {
            Step::Done(result) => {
                assert_eq!(result.err().unwrap().attempts(), number);
                return number;
            }
            Step::Wait(_, waiting) => {
                let (request, next) = sending(waiting.wake(Duration::ZERO));
                assert_eq!((request.uri(), request.body()), (first.uri(), first.body()));
                sent = next;
            }
            Step::Send(..) => panic!("a call waits before it sends again"),
        }
    }
    unreachable!("a policy is finite")
}

fn status(status: u16) -> Response<Vec<u8>> {
    Response::builder().status(status).body(Vec::new()).unwrap()
}

/// An error response of the API itself.
fn own(status: u16) -> Response<Vec<u8>> {
    let body = r#"{"type":"api_error","message":"slow down"}"#;
    Response::builder().status(status).body(body.into()).unwrap()
}

fn lost() -> Outcome {
    Err(TransportError::exchange("reset"))
}

fn refused() -> Outcome {
    Err(TransportError::connect("refused"))
}

fn plant() -> PlantTree {
    PlantTree::new(Trees::of::<1>())
}

fn cancel() -> CancelImpact {
    CancelImpact::new("U1-2024-09-16T20:34:04.429Z".parse::<ImpactId>().unwrap())
}

#[test]
fn without_retries_a_call_is_one_request() {
    for code in [200, 302, 400, 408, 425, 429, 500, 503] {
        assert_eq!(sent(GetAccount, RetryPolicy::NEVER, || Ok(status(code))), 1);
    }
    assert_eq!(sent(GetAccount, RetryPolicy::NEVER, refused), 1);
}

#[test]
fn a_purchase_is_retried_only_after_proof_that_nothing_was_bought() {
    assert_eq!(sent(plant(), THREE, refused), 3);
    assert_eq!(sent(plant(), THREE, lost), 1);
    for code in [200, 302, 400, 401, 408, 418, 425, 429, 500, 501, 502, 503, 504] {
        assert_eq!(sent(plant(), THREE, || Ok(status(code))), 1, "{code}");
    }
    // The API itself sent these. A gateway may send them after the purchase was made.
    for code in [425, 429] {
        assert_eq!(sent(plant(), THREE, || Ok(own(code))), 3, "{code}");
    }
}

#[test]
fn a_read_is_retried_after_transient_failures() {
    assert_eq!(sent(GetAccount, THREE, lost), 3);
    for code in [408, 425, 429, 500, 502, 503, 504] {
        assert_eq!(sent(GetAccount, THREE, || Ok(status(code))), 3, "{code}");
    }
    for code in [200, 302, 400, 401, 403, 404, 418, 501] {
        assert_eq!(sent(GetAccount, THREE, || Ok(status(code))), 1, "{code}");
    }
}

#[test]
fn a_cancellation_is_retried_although_it_is_a_post() {
    assert_eq!(sent(cancel(), THREE, lost), 3);
    assert_eq!(sent(cancel(), THREE, || Ok(status(500))), 3);
    assert_eq!(sent(cancel(), THREE, || Ok(status(400))), 1);
}

/// The error of a call whose attempts end in these ways.
fn error<E: Endpoint>(endpoint: E, outcomes: Vec<Outcome>) -> Error {
    let mut step = start(endpoint, THREE, Duration::ZERO);
    let mut outcomes = outcomes.into_iter();
    loop {
        step = match step {
            Step::Send(_, sent) => sent.finish(outcomes.next().unwrap(), Duration::ZERO),
            Step::Wait(_, waiting) => waiting.wake(Duration::ZERO),
            Step::Done(result) => return result.err().unwrap(),
        };
    }
}

#[test]
fn an_uncertain_attempt_makes_the_whole_call_uncertain() {
    let gone = || Ok(own(404));
    for outcomes in [
        vec![lost(), refused(), refused()],
        vec![refused(), lost(), refused()],
        vec![lost(), gone()],
        vec![Ok(status(500)), Ok(own(429)), Ok(own(400))],
    ] {
        assert_eq!(error(cancel(), outcomes).execution(), Execution::Unknown);
    }
    let outcomes = vec![refused(), Ok(own(429)), gone()];
    assert_eq!(error(cancel(), outcomes).execution(), Execution::NotExecuted);
    let outcomes = vec![refused(), lost()];
    assert_eq!(error(plant(), outcomes).execution(), Execution::Unknown);
    let shown = Response::new(br#"{"time_utc":"2024-09-16T20:34:04.429Z"}"#.to_vec());
    assert_eq!(error(cancel(), vec![lost(), Ok(shown)]).execution(), Execution::Executed);
}

#[test]
fn retry_after_is_obeyed_and_reported() {
    let busy = |seconds: &str| {
        let mut response = own(429);
        response.headers_mut().insert("retry-after", seconds.parse().unwrap());
        Ok(response)
    };
    let (_, sent) = sending(start(plant(), THREE, Duration::ZERO));
    let (after, again) = waiting(sent.finish(busy("5"), Duration::ZERO));
    assert!((5..6).contains(&after.as_secs()), "{after:?}");
    let (_, sent) = sending(again.wake(after));
    // Half a minute is the maximum.
    let error = done(sent.finish(busy("31"), after)).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(31)));
    assert_eq!((error.attempts(), error.elapsed()), (2, after));
    assert_eq!(
        error.to_string(),
        "POST /v1/plant_tree: the server responded with 429 Too Many Requests: api_error: \
         slow down (after 2 attempts); the request was not executed",
    );
}

#[test]
fn no_attempt_begins_after_the_deadline() {
    let (_, sent) = sending(start(GetAccount, THREE, Duration::ZERO));
    // There is no time left.
    let result = done(sent.finish(refused(), THREE.deadline));
    assert_eq!(result.unwrap_err().attempts(), 1);
}

#[test]
fn elapsed_time_counts_from_the_first_request() {
    let began = Duration::from_secs(1_000_000);
    let (_, sent) = sending(start(GetAccount, THREE, began));
    let (wait, again) = waiting(sent.finish(lost(), began + Duration::from_secs(1)));
    let now = began + Duration::from_secs(1) + wait;
    let (_, sent) = sending(again.wake(now));
    let result = done(sent.finish(Ok(status(404)), now + Duration::from_secs(2)));
    let error = result.unwrap_err();
    assert_eq!((error.attempts(), error.elapsed()), (2, Duration::from_secs(3) + wait));

    let (_, sent) = sending(start(GetAccount, THREE, began));
    let result = done(sent.finish(lost(), began + THREE.deadline));
    assert_eq!(result.unwrap_err().elapsed(), THREE.deadline);
    // If the clock goes back, the elapsed time is zero.
    let (_, sent) = sending(start(GetAccount, RetryPolicy::NEVER, began));
    let result = done(sent.finish(lost(), Duration::ZERO));
    assert_eq!(result.unwrap_err().elapsed(), Duration::ZERO);
}

#[test]
fn each_attempt_of_an_action_may_buy_and_no_other_request() {
    for (may_buy, expected) in [
        (sending(start(plant(), THREE, Duration::ZERO)).1.may_buy(), true),
        (sending(start(GetAccount, THREE, Duration::ZERO)).1.may_buy(), false),
        (sending(start(cancel(), THREE, Duration::ZERO)).1.may_buy(), false),
    ] {
        assert_eq!(may_buy, expected);
    }
    let (_, sent) = sending(start(plant(), THREE, Duration::ZERO));
    let (_, again) = waiting(sent.finish(refused(), Duration::ZERO));
    assert_eq!(*again.state(), ());
    let (_, sent) = sending(again.wake(Duration::ZERO));
    assert!(sent.may_buy());
    assert_eq!(*sent.state(), ());
}

#[test]
fn a_request_that_cannot_be_encoded_fails_before_anything_is_sent() {
    /// An endpoint that does not serialize as a struct.
    #[derive(serde::Serialize)]
    struct Own(u8);

    impl Endpoint for Own {
        type Response = serde_json::Value;
        const METHOD: Method = Method::GET;
        const PATH: &'static str = "/v1/own";
        const IDEMPOTENT: bool = false;
    }

    for error in [
        done(start(GetProject::new(".."), THREE, Duration::ZERO)).unwrap_err(),
        done(start(Own(1), THREE, Duration::ZERO)).unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
        assert_eq!(error.execution(), Execution::NotExecuted);
        assert_eq!((error.attempts(), error.elapsed()), (0, Duration::ZERO));
        assert!(error.endpoint().is_some());
    }
}
