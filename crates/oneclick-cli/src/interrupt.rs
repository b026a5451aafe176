//! Ctrl-C: ends the command at once, and says what it leaves unfinished. A worker ends once it has
//! finished what is under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::output::{printable, stderr_line};

/// The message about unfinished work.
static UNFINISHED: Mutex<Option<String>> = Mutex::new(None);

/// What the first interruption does instead of ending the program.
static CALLED: Mutex<Called> = Mutex::new(Called::Nothing);

enum Called {
    Nothing,
    Next(Box<dyn FnOnce() + Send>),
    /// It was called then.
    At(Instant),
}

/// Signals that arrive within this time are one interruption.
const ONE_INTERRUPTION: Duration = Duration::from_millis(500);

/// Whether the command is meant to end by an interruption.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP end the program with code 130.
pub(crate) fn install_handler() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        let mut called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *called, Called::Nothing) {
            Called::Next(stop) => {
                *called = Called::At(Instant::now());
                return stop();
            }
            // Programs such as `timeout` send a signal to the process and to its group.
            Called::At(at) if at.elapsed() < ONE_INTERRUPTION => {
                *called = Called::At(at);
                return;
            }
            Called::At(_) | Called::Nothing => {}
        }
        if EXPECTED.load(Ordering::Relaxed) {
            std::process::exit(0);
        }
        // The terminal has shown `^C`.
        match &*unfinished() {
            Some(text) => stderr_line(&format!("\nerror: interrupted; {}", printable(text))),
            None => stderr_line("\nerror: interrupted"),
        }
        std::process::exit(130);
    })
}

/// From now on an interruption ends the program with code 0.
pub(crate) fn expect() {
    EXPECTED.store(true, Ordering::Relaxed);
}

/// From now on the first interruption calls `stop`, and a second one ends the program.
pub(crate) fn call(stop: impl FnOnce() + Send + 'static) {
    *CALLED.lock().unwrap_or_else(PoisonError::into_inner) = Called::Next(Box::new(stop));
}

/// Removes the message when it is dropped.
pub(crate) struct Unfinished;

/// Adds `message` to what an interruption prints, until the result is dropped.
pub(crate) fn set_unfinished(message: impl Into<String>) -> Unfinished {
    *unfinished() = Some(message.into());
    Unfinished
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        *unfinished() = None;
    }
}

fn unfinished() -> MutexGuard<'static, Option<String>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
