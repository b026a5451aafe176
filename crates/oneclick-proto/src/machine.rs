//! One shape for every exchange with the API: send a request, wait, or done.

mod call;
mod exchange;
mod settlement;
mod verified_purchase;

use std::fmt;
use std::time::Duration;

use http::{Request, Response};

pub use call::Call;
pub(crate) use exchange::{Answer, Ask};
use exchange::{Context, Exchange};
pub use settlement::{Settled, Settlement};
pub use verified_purchase::VerifiedPurchase;

use crate::transport::TransportError;
use crate::{Api, RetryPolicy};

/// Work that takes one or more requests: a [`Call`], a [`VerifiedPurchase`], a
/// [`Settlement`].
///
/// A machine decides what to ask next and what a response means. It does no I/O
/// and reads no clock: [`start`](Self::start) gives the first [`Step`], and
/// whoever drives the machine carries each step out and exchanges it for the
/// next one.
///
/// ```text
///  start ──► Send(request, sent) ───► sent.finish(outcome, now) ──► the next step
///            Wait(wait, waiting) ───► waiting.wake(now) ──────────► the next step
///            Done(output)
/// ```
///
/// This loop drives any machine over any transport. A
/// [`Client`](crate::Client) has it as [`run`](crate::Client::run); write it
/// yourself where something has to happen between the steps:
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
/// `now` is the time on a clock that never goes back, since any fixed moment;
/// all the calls for one machine take it from the same clock.
///
/// The trait is sealed: its hidden methods take types that have no public name.
pub trait Machine: Sized {
    /// What the work ends with.
    type Output;

    /// What another process needs to take the work up; `()` if it is simply
    /// done again.
    type State;

    /// What another process needs to take the work up.
    fn state(&self) -> &Self::State;

    /// The first step. Retries follow `retry`; the waits before them are drawn
    /// from `seed`, which should differ from machine to machine.
    fn start(self, api: &Api, retry: RetryPolicy, seed: u64, now: Duration) -> Step<Self> {
        Context::new(api, retry, seed).follow(self.proceed(now), now)
    }

    /// What comes next, at the start and after a wait.
    #[doc(hidden)]
    fn proceed(self, now: Duration) -> Next<Self>;

    /// What comes next, given the answer to the latest question.
    #[doc(hidden)]
    fn answered(self, answer: Answer<'_>, now: Duration) -> Next<Self>;

    /// Its latest question, which was not executed, is asked once more.
    #[doc(hidden)]
    fn asked_again(&mut self, _now: Duration) {}

    /// Texts that a response may repeat and no error message may show.
    #[doc(hidden)]
    fn personal(&self) -> Vec<String>;
}

/// What a machine wants next.
#[expect(unnameable_types, reason = "it seals `Machine`")]
pub enum Next<M: Machine> {
    Ask(Ask, M),
    Wait(Duration, M),
    Done(M::Output),
}

/// What the driver of a [`Machine`] does next.
#[must_use = "a machine does nothing unless each of its steps is carried out"]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never stored")]
pub enum Step<M: Machine> {
    /// Send this request, once, and exchange its outcome for the next step with
    /// [`Sent::finish`].
    Send(Request<Vec<u8>>, Sent<M>),
    /// Wait this long, then get the next step from [`Waiting::wake`].
    Wait(Duration, Waiting<M>),
    /// The work is done.
    Done(M::Output),
}

/// A request that has been handed out, and the machine that asked for it.
///
/// [`finish`](Self::finish) consumes it, so that no driver is asked twice to
/// send the same request:
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
#[must_use = "a request that is sent and not finished may have bought something"]
pub struct Sent<M> {
    machine: M,
    exchange: Exchange,
}

impl<M: Machine> Sent<M> {
    /// Whether the request buys something. If it does, store
    /// [`state`](Self::state) before you send it; no other request needs that.
    pub fn may_buy(&self) -> bool {
        !self.exchange.is_idempotent()
    }

    /// What another process needs to take the work up, should this one die
    /// after the request left.
    pub fn state(&self) -> &M::State {
        self.machine.state()
    }

    /// Exchanges the outcome of the request for the next step.
    pub fn finish<B: AsRef<[u8]>>(
        self,
        outcome: Result<Response<B>, TransportError>,
        now: Duration,
    ) -> Step<M> {
        self.exchange.finish(self.machine, outcome, now)
    }
}

/// A machine that waits.
#[derive(Debug)]
#[must_use = "a machine does nothing unless each of its steps is carried out"]
pub struct Waiting<M> {
    machine: M,
    then: Then,
}

/// What follows a wait.
#[derive(Debug)]
enum Then {
    /// The same request once more.
    Resend(Exchange),
    /// Whatever the machine wants.
    Proceed(Context),
}

impl<M: Machine> Waiting<M> {
    /// What another process needs to take the work up.
    pub fn state(&self) -> &M::State {
        self.machine.state()
    }

    /// The next step, once the wait is over.
    pub fn wake(mut self, now: Duration) -> Step<M> {
        match self.then {
            Then::Resend(exchange) => {
                self.machine.asked_again(now);
                exchange.send(self.machine, now)
            }
            Then::Proceed(context) => context.follow(self.machine.proceed(now), now),
        }
    }
}

/// Without the request, whose query or body may hold an e-mail address.
impl<M: Machine> fmt::Debug for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(_, sent) => write!(f, "Send({})", sent.exchange),
            Self::Wait(wait, _) => write!(f, "Wait({wait:?})"),
            Self::Done(_) => f.write_str("Done"),
        }
    }
}
