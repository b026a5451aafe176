//! Decides whether a request body is sent or withdrawn.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
pub struct BodyGate(Arc<AtomicU8>);

impl BodyGate {
    /// Takes the body to send it. Call this before handing over its first byte.
    ///
    /// # Errors
    /// If the request was withdrawn, the body must not be sent.
    pub fn take(&self) -> Result<(), Withdrawn> {
        if self.decide(TAKEN) { Ok(()) } else { Err(Withdrawn(())) }
    }

    /// Withdraws the request; returns whether its body was not taken and never will be.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    /// Sets the state if it is not decided yet; returns whether it is now this state.
    fn decide(&self, state: u8) -> bool {
        match self.0.compare_exchange(HELD, state, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(decided) => decided == state,
        }
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
