//! Who has the body of a request: its sender, or whoever gave it up.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const HELD: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Decides, once, whether a request's body is sent or withdrawn; clones share it.
///
/// A purchase whose body nobody took cannot have been executed, and one whose body was
/// withdrawn never will be, whatever still holds the rest of it. So a transport that
/// hands its body over in a task or thread of its own can tell whether a request that
/// failed, or was given up, may have left.
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
    /// Takes the body to send it; call this before the first byte of it is handed over.
    ///
    /// # Errors
    /// The request was withdrawn: the body must not be sent.
    pub fn take(&self) -> Result<(), Withdrawn> {
        if self.decide(TAKEN) { Ok(()) } else { Err(Withdrawn(())) }
    }

    /// Withdraws the request: whether its body was not taken, and now never will be.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    /// Whether the state is this one, now or already.
    fn decide(&self, state: u8) -> bool {
        match self.0.compare_exchange(HELD, state, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(decided) => decided == state,
        }
    }
}

/// The request whose body was to be sent was given up before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn(());

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was withdrawn before its body was sent")
    }
}

impl StdError for Withdrawn {}
