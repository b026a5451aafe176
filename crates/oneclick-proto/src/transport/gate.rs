//! Decides whether a request body is sent or withdrawn.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::Request;

const HELD: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Decides once whether a request body is sent or withdrawn. Clones share the decision.
///
/// A purchase whose body was never taken cannot have been executed. Once the body is
/// withdrawn, it never will be, even if a task or a thread still holds the rest of the
/// request. So a transport can tell whether a request that failed or was given up may
/// have been sent.
///
/// ```
/// use oneclick_proto::BodyGate;
///
/// let gate = BodyGate::default();
/// assert!(gate.take().is_ok() && !gate.withdraw());
/// let gate = BodyGate::default();
/// assert!(gate.withdraw() && gate.take().is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct BodyGate {
    state: Arc<AtomicU8>,
    send_by: Option<SendBy>,
}

impl BodyGate {
    /// The gate of a request. If the request has a [`SendBy`], its body cannot be taken after
    /// that.
    pub fn of<B>(request: &Request<B>) -> Self {
        Self { send_by: request.extensions().get().cloned(), ..Self::default() }
    }

    /// Takes the body to send it. Call this before handing over its first byte.
    ///
    /// # Errors
    /// If the request was withdrawn, or if it is too late, the body must not be sent.
    pub fn take(&self) -> Result<(), Withdrawn> {
        let is_held = self.state.load(Ordering::Acquire) == HELD;
        let is_late = is_held && self.send_by.as_ref().is_some_and(|send_by| !send_by.is_met());
        let taken = if is_late { !self.decide(WITHDRAWN) } else { self.decide(TAKEN) };
        if taken { Ok(()) } else { Err(Withdrawn(())) }
    }

    /// Withdraws the request; returns whether its body was not taken and never will be.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    /// Sets the state if it is not decided yet; returns whether it is now this state.
    fn decide(&self, state: u8) -> bool {
        match self.state.compare_exchange(HELD, state, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(decided) => decided == state,
        }
    }
}

/// Until when a request may be sent: an extension of the request, which [`BodyGate::of`] reads.
///
/// A process can be stopped at any time, for an hour if its machine sleeps. If it has asked for
/// permission to buy before that, the permission may mean nothing any more when it wakes. So
/// whoever gives such permissions adds this to the request, and the transport looks at the
/// clock as the last thing before it sends the body. A transport that does not use a
/// [`BodyGate`] does not do so.
///
/// ```
/// use oneclick_proto::{BodyGate, SendBy};
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(SendBy::new(|| false));
/// assert!(BodyGate::of(&request).take().is_err());
/// ```
#[derive(Clone)]
pub struct SendBy(Arc<dyn Fn() -> bool + Send + Sync>);

impl SendBy {
    /// A deadline on a clock of yours: `is_met` returns whether it is not over yet. The clock
    /// should count the time for which the machine is suspended.
    pub fn new(is_met: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_met))
    }

    /// Whether the request may still be sent.
    #[must_use]
    pub fn is_met(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for SendBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendBy").field(&self.is_met()).finish()
    }
}

/// The error of taking the body of a request that was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn(());

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was withdrawn before its body was sent")
    }
}

impl StdError for Withdrawn {}
