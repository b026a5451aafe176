//! One attempt at a call: a value that is spent.

use std::time::Duration;

use http::{Request, Response};

use crate::retry::RetryPolicy;
use crate::transport::TransportError;
use crate::{Api, Endpoint, Error, Execution};

/// One attempt at a call.
///
/// [`begin`](Self::begin) hands out the request, once. Whatever became of it
/// goes into [`finish`](Self::finish), which consumes the attempt: to finish one
/// twice, and so to be told twice to send again, does not compile.
///
/// ```text
///             begin ──► request, attempt
///                                   │
///          ┌──── transport ◄────────┤
///          ▼                        │
///       outcome ──────► finish ◄────┘
///                         │
///          ┌──────────────┴──────────────┐
///     Done(result)       Retry { after, request, attempt }
/// ```
///
/// A transport of your own is one loop around it (or an implementation of
/// [`AsyncTransport`](crate::AsyncTransport) or
/// [`BlockingTransport`](crate::BlockingTransport), which brings the loop):
///
/// ```
/// use oneclick_proto::{Api, Attempt, Next, RetryPolicy, TransportError, GetAccount};
///
/// fn transport(_: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
///     Ok(http::Response::new(br#"{"user_id":"U123","email":"my-email@email.com"}"#.to_vec()))
/// }
///
/// let api = Api::sandbox("test_key")?;
/// let start = std::time::Instant::now();
/// let seed = 7; // any number that differs from call to call
/// let (mut request, mut attempt) = Attempt::begin(&api, GetAccount, RetryPolicy::STANDARD, seed)?;
/// let account = loop {
///     match attempt.finish(transport(request), start.elapsed()) {
///         Next::Done(result) => break result?,
///         Next::Retry { after, request: again, attempt: next } => {
///             std::thread::sleep(after);
///             (request, attempt) = (again, next);
///         }
///     }
/// };
/// assert_eq!(account.user_id.as_str(), "U123");
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a request that was sent and not finished is a purchase that nobody looks after"]
pub struct Attempt<E> {
    api: Api,
    endpoint: E,
    policy: RetryPolicy,
    seed: u64,
    /// Counted from 1.
    number: u32,
    /// Whether an earlier attempt may have been executed.
    uncertain: bool,
}

/// What follows an attempt.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never stored")]
#[must_use]
pub enum Next<E: Endpoint> {
    /// The call is over.
    Done(Result<E::Response, Error>),
    /// Nothing is bought twice by sending the request once more.
    Retry {
        /// How long to wait before.
        after: Duration,
        /// The request to send.
        request: Request<Vec<u8>>,
        /// The attempt that it is part of.
        attempt: Attempt<E>,
    },
}

impl<E: Endpoint> Attempt<E> {
    /// Writes the request of the first attempt. The waits before further ones
    /// are drawn from `seed`, which should differ from call to call.
    ///
    /// # Errors
    /// As [`Api::encode`]; no request exists then.
    pub fn begin(
        api: &Api,
        endpoint: E,
        policy: RetryPolicy,
        seed: u64,
    ) -> Result<(Request<Vec<u8>>, Self), Error> {
        let request = api.encode(&endpoint).map_err(|invalid| Error::from(invalid).of::<E>())?;
        let api = api.clone();
        Ok((request, Self { api, endpoint, policy, seed, number: 1, uncertain: false }))
    }

    /// Takes what became of the request, and the time since the call began.
    pub fn finish<B: AsRef<[u8]>>(
        self,
        outcome: Result<Response<B>, TransportError>,
        elapsed: Duration,
    ) -> Next<E> {
        #[cfg(feature = "tracing")]
        let status = outcome.as_ref().ok().map(Response::status);
        let result = match outcome {
            Ok(response) => self.api.decode(&self.endpoint, response),
            Err(error) => {
                Err(Error::transport(error, &self.api.hidden_in(&self.endpoint)).of::<E>())
            }
        };
        let result = result.map_err(|error| error.after(self.number, elapsed, self.uncertain));
        let again = result.as_ref().err().and_then(|error| self.again(error, elapsed));
        #[cfg(feature = "tracing")]
        crate::trace::Report {
            method: E::METHOD,
            path: E::PATH,
            server: self.api.base_url(),
            attempt: self.number,
            elapsed,
            status: status.or_else(|| result.as_ref().err()?.status()),
            error: result.as_ref().err(),
            wait: again.as_ref().map(|(after, _)| *after),
        }
        .emit();
        match (result, again) {
            (Err(error), Some((after, request))) => {
                let uncertain = error.execution() != Execution::NotExecuted;
                let attempt = Self { number: self.number + 1, uncertain, ..self };
                Next::Retry { after, request, attempt }
            }
            (result, _) => Next::Done(result),
        }
    }

    /// The request to send again and how long to wait before, if it may be.
    fn again(&self, error: &Error, elapsed: Duration) -> Option<(Duration, Request<Vec<u8>>)> {
        if !error.may_repeat(E::IDEMPOTENT) {
            return None;
        }
        let after = self.policy.wait(self.number, self.seed, error.retry_after(), elapsed)?;
        // It was written before; if it cannot be now, this is an endpoint of the
        // caller's that changes, and the failure is the news.
        Some((after, self.api.encode(&self.endpoint).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CancelImpact, GetAccount, ImpactId, PlantTree, Trees};

    const THREE: RetryPolicy = RetryPolicy::STANDARD;

    /// How often a call is sent if every attempt ends the same way.
    fn sent<E: Endpoint>(
        endpoint: E,
        policy: RetryPolicy,
        outcome: impl Fn() -> Result<Response<Vec<u8>>, TransportError>,
    ) -> u32 {
        let api = Api::sandbox("test_key").unwrap();
        let (first, mut attempt) = Attempt::begin(&api, endpoint, policy, 7).unwrap();
        for number in 1.. {
            match attempt.finish(outcome(), Duration::ZERO) {
                Next::Done(result) => {
                    assert_eq!(result.err().unwrap().attempts(), number);
                    return number;
                }
                Next::Retry { request, attempt: next, .. } => {
                    assert_eq!((request.uri(), request.body()), (first.uri(), first.body()));
                    attempt = next;
                }
            }
        }
        unreachable!("a policy is finite")
    }

    fn status(status: u16) -> Response<Vec<u8>> {
        Response::builder().status(status).body(Vec::new()).unwrap()
    }

    fn plant() -> PlantTree {
        PlantTree::new(Trees::of::<1>())
    }

    #[test]
    fn one_attempt_is_one_request() {
        for code in [200, 302, 400, 408, 425, 429, 500, 503] {
            assert_eq!(sent(GetAccount, RetryPolicy::NEVER, || Ok(status(code))), 1);
        }
        assert_eq!(sent(GetAccount, RetryPolicy::NEVER, || Err(TransportError::connect("x"))), 1);
    }

    #[test]
    fn money_is_sent_again_only_after_proof_that_it_did_not_move() {
        assert_eq!(sent(plant(), THREE, || Err(TransportError::connect("refused"))), 3);
        assert_eq!(sent(plant(), THREE, || Err(TransportError::exchange("reset"))), 1);
        for code in [200, 302, 400, 401, 408, 418, 500, 501, 502, 503, 504] {
            assert_eq!(sent(plant(), THREE, || Ok(status(code))), 1, "{code}");
        }
        for code in [425, 429] {
            assert_eq!(sent(plant(), THREE, || Ok(status(code))), 3, "{code}");
        }
    }

    #[test]
    fn a_read_is_sent_again_after_what_may_pass() {
        assert_eq!(sent(GetAccount, THREE, || Err(TransportError::exchange("reset"))), 3);
        for code in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(sent(GetAccount, THREE, || Ok(status(code))), 3, "{code}");
        }
        for code in [200, 302, 400, 401, 403, 404, 418, 501] {
            assert_eq!(sent(GetAccount, THREE, || Ok(status(code))), 1, "{code}");
        }
    }

    fn cancel() -> CancelImpact {
        CancelImpact::new("U1-2024-09-16T20:34:04.429Z".parse::<ImpactId>().unwrap())
    }

    #[test]
    fn a_cancellation_is_a_post_and_idempotent_all_the_same() {
        assert_eq!(sent(cancel(), THREE, || Err(TransportError::exchange("reset"))), 3);
        assert_eq!(sent(cancel(), THREE, || Ok(status(500))), 3);
        assert_eq!(sent(cancel(), THREE, || Ok(status(400))), 1);
    }

    /// The error of a call whose attempts end in these ways.
    fn error<E: Endpoint>(
        endpoint: E,
        outcomes: Vec<Result<Response<Vec<u8>>, TransportError>>,
    ) -> Error {
        let api = Api::sandbox("test_key").unwrap();
        let (_, mut attempt) = Attempt::begin(&api, endpoint, THREE, 7).unwrap();
        let mut outcomes = outcomes.into_iter();
        loop {
            match attempt.finish(outcomes.next().unwrap(), Duration::ZERO) {
                Next::Done(result) => return result.err().unwrap(),
                Next::Retry { attempt: next, .. } => attempt = next,
            }
        }
    }

    #[test]
    fn what_an_earlier_attempt_may_have_done_is_not_forgotten() {
        let refused = || Err(TransportError::connect("refused"));
        let lost = || Err(TransportError::exchange("reset"));
        let gone = || Ok(status(404));
        for outcomes in [
            vec![lost(), refused(), refused()],
            vec![refused(), lost(), refused()],
            vec![lost(), gone()],
            vec![Ok(status(500)), Ok(status(429)), Ok(status(400))],
        ] {
            assert_eq!(error(cancel(), outcomes).execution(), Execution::Unknown);
        }
        let outcomes = vec![refused(), Ok(status(429)), gone()];
        assert_eq!(error(cancel(), outcomes).execution(), Execution::NotExecuted);
        let outcomes = vec![refused(), lost()];
        assert_eq!(error(plant(), outcomes).execution(), Execution::Unknown);
        let outcomes = vec![lost(), Ok(status(200))];
        assert_eq!(error(cancel(), outcomes).execution(), Execution::Executed);
    }

    #[test]
    fn the_server_says_how_long_to_wait_and_the_error_too() {
        let busy = |seconds: &str| {
            let mut answer = status(429);
            answer.headers_mut().insert("retry-after", seconds.parse().unwrap());
            answer
        };
        let api = Api::sandbox("test_key").unwrap();
        let (_, attempt) = Attempt::begin(&api, plant(), THREE, 7).unwrap();
        let Next::Retry { after, attempt, .. } = attempt.finish(Ok(busy("5")), Duration::ZERO)
        else {
            panic!("five seconds are short");
        };
        assert!((5..6).contains(&after.as_secs()), "{after:?}");
        let Next::Done(Err(error)) = attempt.finish(Ok(busy("31")), after) else {
            panic!("half a minute is the most");
        };
        assert_eq!(error.retry_after(), Some(Duration::from_secs(31)));
        assert_eq!((error.attempts(), error.elapsed()), (2, after));
        assert_eq!(
            error.to_string(),
            "POST /v1/plant_tree: answered 429 Too Many Requests (after 2 attempts); \
             it was not executed",
        );
    }

    #[test]
    fn no_attempt_begins_after_the_deadline() {
        let api = Api::sandbox("test_key").unwrap();
        let (_, attempt) = Attempt::begin(&api, GetAccount, THREE, 7).unwrap();
        let outcome: Result<Response<Vec<u8>>, _> = Err(TransportError::connect("refused"));
        let Next::Done(result) = attempt.finish(outcome, THREE.deadline) else {
            panic!("there is no time left");
        };
        assert_eq!(result.unwrap_err().attempts(), 1);
    }
}
