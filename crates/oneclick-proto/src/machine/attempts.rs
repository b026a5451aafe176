//! One request with its retries, shared by all machines.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::response::Parts;
use http::{Request, Response, StatusCode};

use super::{Machine, Next, Sent, Step, Then, Waiting};
use crate::api::{ApiKey, Encoded, X_API_KEY};
use crate::error::Operation;
use crate::retry::{age, date};
use crate::trace::Report;
use crate::transport::TransportError;
use crate::value::InvalidValue;
use crate::{Api, Endpoint, Error, Execution, RetryPolicy};

/// A request to an endpoint: the operation, and its encoded path, query and body.
#[derive(Clone, Debug)]
#[expect(unnameable_types, reason = "it seals `Machine`")]
pub struct ApiRequest {
    operation: Operation,
    encoded: Result<Encoded, InvalidValue>,
    /// The key to send instead of the API's.
    key: Option<ApiKey>,
    /// Whether no cache may respond from what it has stored.
    fresh: bool,
}

impl ApiRequest {
    pub(crate) fn of<E: Endpoint>(endpoint: &E) -> Self {
        let (operation, encoded) = (Operation::of::<E>(), Encoded::of(endpoint));
        Self { operation, encoded, key: None, fresh: false }
    }

    /// Sends another key than the API's.
    pub(crate) fn with_key(self, key: ApiKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Asks caches to pass the request on to the API (RFC 9111, 5.2.1.4).
    pub(crate) fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    fn build(&self, api: &Api) -> Result<Request<Vec<u8>>, InvalidValue> {
        let mut request = api.request(self.operation.method.clone(), self.encoded.clone()?)?;
        if let Some(key) = &self.key {
            request.headers_mut().insert(X_API_KEY, key.header());
        }
        if self.fresh {
            request.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        Ok(request)
    }
}

/// What all requests of a machine share.
#[derive(Debug)]
pub(super) struct Context {
    api: Api,
    retry: RetryPolicy,
    seed: u64,
}

impl Context {
    pub(super) fn new(api: &Api, retry: RetryPolicy, seed: u64) -> Self {
        Self { api: api.clone(), retry, seed }
    }

    /// The step that carries out what a machine needs next.
    pub(super) fn follow<M: Machine>(self, next: Next<M>, now: Duration) -> Step<M> {
        match next {
            Next::Send(request, machine) => {
                let attempts =
                    Attempts { context: self, request, start: now, attempt: 1, uncertain: false };
                attempts.send(machine, now)
            }
            Next::Wait(wait, machine) => {
                Step::Wait(wait, Waiting { machine, then: Then::Proceed(self) })
            }
            Next::Done(output) => Step::Done(output),
        }
    }
}

/// A request in flight, with the data for its retries.
#[derive(Debug)]
pub(super) struct Attempts {
    context: Context,
    request: ApiRequest,
    start: Duration,
    /// Counted from 1.
    attempt: u32,
    /// Whether an earlier attempt may have been executed.
    uncertain: bool,
}

impl Attempts {
    pub(super) fn is_idempotent(&self) -> bool {
        self.request.operation.idempotent
    }

    pub(super) fn send<M: Machine>(self, machine: M, now: Duration) -> Step<M> {
        match self.request.build(&self.context.api) {
            Ok(request) => Step::Send(request, Sent { machine, attempts: self }),
            // The request is invalid, so there was no attempt.
            Err(invalid) => {
                let error = Error::from(invalid).of(self.request.operation.clone());
                self.deliver(machine, Err(error), now)
            }
        }
    }

    pub(super) fn finish<M: Machine, B: AsRef<[u8]>>(
        mut self,
        mut machine: M,
        outcome: Result<Response<B>, TransportError>,
        now: Duration,
    ) -> Step<M> {
        let hidden = |machine: &M| self.context.api.hidden(machine.personal());
        let error = match outcome {
            Ok(response) => {
                let (head, body) = response.into_parts();
                machine.observe(&head);
                if head.status.is_success() {
                    return self.deliver(machine, Ok((&head, body.as_ref())), now);
                }
                Error::unsuccessful(&head, body.as_ref(), &hidden(&machine))
            }
            Err(error) => Error::transport(error, &hidden(&machine)),
        };
        let error = self.label(error, now);
        let wait = self.wait(&error, now).filter(|_| machine.may_resend());
        self.report(Some(&error), error.status(), wait, now);
        let Some(wait) = wait else { return self.deliver(machine, Err(error), now) };
        self.uncertain = error.execution() != Execution::NotExecuted;
        self.attempt += 1;
        Step::Wait(wait, Waiting { machine, then: Then::Resend(self) })
    }

    /// Passes the result to the machine.
    fn deliver<M: Machine>(
        self,
        machine: M,
        outcome: Result<(&Parts, &[u8]), Error>,
        now: Duration,
    ) -> Step<M> {
        let next = machine.handle(ApiResult { attempts: &self, outcome, now }, now);
        self.context.follow(next, now)
    }

    /// How long to wait before a retry; `None` if there is none.
    fn wait(&self, error: &Error, now: Duration) -> Option<Duration> {
        let Context { retry, seed, .. } = &self.context;
        let may_repeat = error.may_repeat(self.is_idempotent());
        let wait = || retry.wait(self.attempt, *seed, error.retry_after(), self.elapsed(now));
        may_repeat.then(wait).flatten()
    }

    fn elapsed(&self, now: Duration) -> Duration {
        now.saturating_sub(self.start)
    }

    /// Adds the operation, the number of attempts and the elapsed time to an error.
    fn label(&self, error: Error, now: Duration) -> Error {
        let error = error.of(self.request.operation.clone());
        error.after(self.attempt, self.elapsed(now), self.uncertain)
    }

    fn report(
        &self,
        error: Option<&Error>,
        status: Option<StatusCode>,
        wait: Option<Duration>,
        now: Duration,
    ) {
        Report {
            operation: &self.request.operation,
            server: self.context.api.base_url(),
            attempt: self.attempt,
            elapsed: self.elapsed(now),
            status,
            error,
            wait,
        }
        .emit();
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.operation.fmt(f)
    }
}

/// The result of a machine's request: a 2xx response that is not decoded yet, or the
/// failure of the last attempt.
#[expect(unnameable_types, reason = "it seals `Machine`")]
pub struct ApiResult<'a> {
    attempts: &'a Attempts,
    outcome: Result<(&'a Parts, &'a [u8]), Error>,
    now: Duration,
}

impl ApiResult<'_> {
    /// The response's `Date`; `None` if there is no response or no such header.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        match &self.outcome {
            Ok((head, _)) => date(&head.headers),
            Err(error) => error.date(),
        }
    }

    /// For how long a cache had the response; zero if there is none.
    pub(crate) fn age(&self) -> Duration {
        self.outcome.as_ref().map_or(Duration::ZERO, |(head, _)| age(&head.headers))
    }

    /// The body of a 2xx response.
    pub(crate) fn body(&self) -> Option<&[u8]> {
        self.outcome.as_ref().ok().map(|(_, body)| *body)
    }

    /// Decodes the response. `personal` returns the texts that no message may show.
    pub(crate) fn read<E: Endpoint>(
        self,
        personal: &dyn Fn() -> Vec<String>,
    ) -> Result<E::Response, Error> {
        let Self { attempts, outcome, now } = self;
        let (head, body) = outcome?;
        let read = attempts.context.api.read::<E>(head, body, personal);
        let read = read.map_err(|error| attempts.label(error, now));
        attempts.report(read.as_ref().err(), Some(head.status), None, now);
        read
    }
}
