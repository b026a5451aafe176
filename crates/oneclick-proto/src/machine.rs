//! State machines for everything that takes requests: send, wait, or done.

mod attempts;
mod call;
mod settlement;
mod verified_purchase;

use std::fmt;
use std::time::Duration;

use http::response::Parts;
use http::{Request, Response};

pub(crate) use attempts::{ApiRequest, ApiResult};
use attempts::{Attempts, Context};
pub use call::Call;
pub use settlement::{Settled, Settlement};
pub use verified_purchase::VerifiedPurchase;

use crate::transport::TransportError;
use crate::{Api, RetryPolicy};

/// Work that takes one or more requests: a [`Call`], a [`VerifiedPurchase`], a
/// [`Settlement`].
///
/// A machine decides which request comes next and what its response means. It does
/// no I/O and reads no clock. [`start`](Self::start) returns the first [`Step`]; the
/// driver carries out each step and exchanges it for the next one.
///
/// ```text
///  start ──► Send(request, sent) ───► sent.finish(outcome, now) ──► the next step
///            Wait(wait, waiting) ───► waiting.wake(now) ──────────► the next step
///            Done(output)
/// ```
///
/// The loop below drives any machine over any transport.
/// [`Client::run`](crate::Client::run) is this loop. Write your own if something has
/// to happen between the steps:
///
/// ```
/// use oneclick_proto::{Api, Call, GetAccount, Machine, RetryPolicy, Step, TransportError};
///
/// fn transport(_: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
///     Ok(http::Response::new(br#"{"user_id":"U123","email":"my-email@email.com"}"#.to_vec()))
/// }
///
/// let api = Api::sandbox("test_key")?;
/// let clock = std::time::Instant::now();
/// let seed = 7; // any number that differs from call to call
/// let mut step = Call::new(GetAccount).start(&api, RetryPolicy::STANDARD, seed, clock.elapsed());
/// let account = loop {
///     step = match step {
///         Step::Send(request, sent) => sent.finish(transport(request), clock.elapsed()),
///         Step::Wait(wait, waiting) => {
///             std::thread::sleep(wait);
///             waiting.wake(clock.elapsed())
///         }
///         Step::Done(account) => break account?,
///     };
/// };
/// assert_eq!(account.user_id.as_str(), "U123");
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
///
/// `now` is the time since a fixed moment, on a clock that never goes back. Use the
/// same clock for all steps of a machine.
///
/// The trait is sealed: its hidden methods take types that have no public name.
pub trait Machine: Sized {
    /// The result of the work.
    type Output;

    /// The state that another process needs to resume the work; `()` if the work can
    /// only be started again.
    type State;

    /// The state that another process needs to resume the work.
    fn state(&self) -> &Self::State;

    /// The first step. Failed requests are retried as `retry` says. `seed` determines
    /// the random waits before retries, and should differ from machine to machine.
    fn start(self, api: &Api, retry: RetryPolicy, seed: u64, now: Duration) -> Step<Self> {
        Context::new(api, retry, seed).follow(self.proceed(now), now)
    }

    /// Decides what comes next, at the start and after a wait.
    #[doc(hidden)]
    fn proceed(self, now: Duration) -> Next<Self>;

    /// Decides what comes next, given the result of the latest request.
    #[doc(hidden)]
    fn handle(self, result: ApiResult<'_>, now: Duration) -> Next<Self>;

    /// Called with the head of each response, also of those that are followed by a retry.
    #[doc(hidden)]
    fn observe(&mut self, _head: &Parts) {}

    /// Whether the latest request may be sent again if the retry policy allows it.
    #[doc(hidden)]
    fn may_resend(&self) -> bool {
        true
    }

    /// Called before the latest request is sent again.
    #[doc(hidden)]
    fn before_resend(&mut self, _now: Duration) {}

    /// Personal data in the request, which no error message may show.
    #[doc(hidden)]
    fn personal(&self) -> Vec<String>;
}

/// What a machine needs next.
#[expect(unnameable_types, reason = "it seals `Machine`")]
pub enum Next<M: Machine> {
    Send(ApiRequest, M),
    Wait(Duration, M),
    Done(M::Output),
}

/// What the driver of a [`Machine`] must do next.
#[must_use = "a machine does nothing unless each of its steps is carried out"]
#[expect(clippy::large_enum_variant, reason = "matched at once, never stored")]
pub enum Step<M: Machine> {
    /// Send this request once, then pass its outcome to [`Sent::finish`] for the next
    /// step.
    Send(Request<Vec<u8>>, Sent<M>),
    /// Wait this long, then call [`Waiting::wake`] for the next step.
    Wait(Duration, Waiting<M>),
    /// The work is done.
    Done(M::Output),
}

/// A machine whose request is being sent.
///
/// [`finish`](Self::finish) consumes it, so a request cannot have two outcomes:
///
/// ```compile_fail,E0382
/// use std::time::Duration;
/// use oneclick_proto::{Call, PlantTree, Sent, TransportError};
///
/// type Outcome = Result<http::Response<Vec<u8>>, TransportError>;
///
/// fn finish_twice(sent: Sent<Call<PlantTree>>, one: Outcome, other: Outcome) {
///     let _ = sent.finish(one, Duration::ZERO);
///     let _ = sent.finish(other, Duration::ZERO); // use of moved value
/// }
/// ```
#[derive(Debug)]
#[must_use = "finish it: the request may have bought something"]
pub struct Sent<M> {
    machine: M,
    attempts: Attempts,
}

impl<M: Machine> Sent<M> {
    /// Whether the request may buy something. If it may, store
    /// [`state`](Self::state) before you send it; no other request needs that.
    pub fn may_buy(&self) -> bool {
        !self.attempts.is_idempotent()
    }

    /// The state that another process needs to resume the work if this process dies
    /// after sending the request.
    pub fn state(&self) -> &M::State {
        self.machine.state()
    }

    /// Takes the outcome of the request and returns the next step.
    pub fn finish<B: AsRef<[u8]>>(
        self,
        outcome: Result<Response<B>, TransportError>,
        now: Duration,
    ) -> Step<M> {
        self.attempts.finish(self.machine, outcome, now)
    }
}

/// A machine that is waiting.
#[derive(Debug)]
#[must_use = "a machine does nothing unless each of its steps is carried out"]
pub struct Waiting<M> {
    machine: M,
    then: Then,
}

/// What follows a wait.
#[derive(Debug)]
enum Then {
    /// A retry of the same request.
    Resend(Attempts),
    /// Whatever the machine decides.
    Proceed(Context),
}

impl<M: Machine> Waiting<M> {
    /// The state that another process needs to resume the work.
    pub fn state(&self) -> &M::State {
        self.machine.state()
    }

    /// Returns the next step once the wait is over.
    pub fn wake(mut self, now: Duration) -> Step<M> {
        match self.then {
            Then::Resend(attempts) => {
                self.machine.before_resend(now);
                attempts.send(self.machine, now)
            }
            Then::Proceed(context) => context.follow(self.machine.proceed(now), now),
        }
    }
}

/// Leaves out the request, whose query or body may hold an e-mail address.
impl<M: Machine> fmt::Debug for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(_, sent) => write!(f, "Send({})", sent.attempts),
            Self::Wait(wait, _) => write!(f, "Wait({wait:?})"),
            Self::Done(_) => f.write_str("Done"),
        }
    }
}
