//! Ctrl-C: leaves at once, and says what is open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::{one_line, say};

/// What is said when the program is interrupted.
static OPEN: Mutex<Option<String>> = Mutex::new(None);

/// Whether an interruption is how the command is meant to end.
static ENDS_IT: AtomicBool = AtomicBool::new(false);

/// Has SIGINT, SIGTERM and SIGHUP end the program with code 130.
pub(crate) fn watch() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if ENDS_IT.load(Ordering::Relaxed) {
            std::process::exit(0);
        }
        match &*open() {
            Some(text) => say(&format!("\noneclick: interrupted; {}", one_line(text))),
            None => say("\noneclick: interrupted"),
        }
        std::process::exit(130);
    })
}

/// From now on an interruption is how the command ends, and is no failure.
pub(crate) fn ends_it() {
    ENDS_IT.store(true, Ordering::Relaxed);
}

/// Something that an interruption leaves open, until it is dropped.
pub(crate) struct Open;

/// Says `text` if it is interrupted from now on.
pub(crate) fn leaves_open(text: impl Into<String>) -> Open {
    *open() = Some(text.into());
    Open
}

impl Drop for Open {
    fn drop(&mut self) {
        *open() = None;
    }
}

fn open() -> MutexGuard<'static, Option<String>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
