//! One attempt at a call: a value that is spent.

use std::time::Duration;

use http::{Request, Response};

use crate::transport::TransportError;
use crate::{Api, Endpoint, Error};

/// How often a call may be sent.
///
/// There is one policy: once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
}

impl RetryPolicy {
    /// One attempt, whatever happens.
    pub const NEVER: Self = Self { attempts: 1 };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::NEVER
    }
}

/// One attempt at a call.
///
/// [`begin`](Self::begin) hands out the request, once. Whatever became of it
/// goes into [`finish`](Self::finish), which consumes the attempt: to spend one
/// twice, and so to buy twice, does not compile.
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
/// use std::time::Duration;
/// use oneclick_proto::{Api, Attempt, Next, RetryPolicy, TransportError, Whoami};
///
/// fn transport(_: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
///     Ok(http::Response::new(br#"{"user_id":"U123","email":"my-email@email.com"}"#.to_vec()))
/// }
///
/// let api = Api::sandbox("test_key")?;
/// let (mut request, mut attempt) = Attempt::begin(&api, Whoami, RetryPolicy::NEVER)?;
/// let account = loop {
///     match attempt.finish(transport(request), Duration::ZERO) {
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
    number: u32,
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
    /// Writes the request of the first attempt.
    ///
    /// # Errors
    /// As [`Api::encode`]; no request exists then.
    pub fn begin(
        api: &Api,
        endpoint: E,
        policy: RetryPolicy,
    ) -> Result<(Request<Vec<u8>>, Self), Error> {
        let request = api.encode(&endpoint).map_err(|invalid| Error::from(invalid).of::<E>())?;
        Ok((request, Self { api: api.clone(), endpoint, policy, number: 1 }))
    }

    /// Takes what became of the request, and the time since the call began.
    pub fn finish<B: AsRef<[u8]>>(
        self,
        outcome: Result<Response<B>, TransportError>,
        elapsed: Duration,
    ) -> Next<E> {
        let result = match outcome {
            Ok(response) => self.api.decode(&self.endpoint, response),
            Err(error) => {
                Err(Error::transport(error, &self.api.hidden_in(&self.endpoint)).of::<E>())
            }
        };
        match result {
            Err(error) if self.number < self.policy.attempts && error.may_repeat(E::IDEMPOTENT) => {
                match self.api.encode(&self.endpoint) {
                    Ok(request) => Next::Retry {
                        after: Duration::ZERO,
                        request,
                        attempt: Self { number: self.number + 1, ..self },
                    },
                    // It was written before, so this is an endpoint of the
                    // caller's that changes; the first failure is the news.
                    Err(_) => Next::Done(Err(error.after(self.number, elapsed))),
                }
            }
            result => Next::Done(result.map_err(|error| error.after(self.number, elapsed))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PlantTree, Trees, Whoami};

    const THREE: RetryPolicy = RetryPolicy { attempts: 3 };

    /// How often a call is sent if every attempt ends the same way.
    fn sent<E: Endpoint>(
        endpoint: E,
        policy: RetryPolicy,
        outcome: impl Fn() -> Result<Response<Vec<u8>>, TransportError>,
    ) -> u32 {
        let api = Api::sandbox("test_key").unwrap();
        let (first, mut attempt) = Attempt::begin(&api, endpoint, policy).unwrap();
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
            assert_eq!(sent(Whoami, RetryPolicy::NEVER, || Ok(status(code))), 1);
        }
        assert_eq!(sent(Whoami, RetryPolicy::default(), || Err(TransportError::connect("x"))), 1);
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
        assert_eq!(sent(Whoami, THREE, || Err(TransportError::exchange("reset"))), 3);
        for code in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(sent(Whoami, THREE, || Ok(status(code))), 3, "{code}");
        }
        for code in [200, 302, 400, 401, 403, 404, 418, 501] {
            assert_eq!(sent(Whoami, THREE, || Ok(status(code))), 1, "{code}");
        }
    }
}
