//! Ctrl-C: leaves at once, and says what is open.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is said when the program is interrupted.
static OPEN: Mutex<Option<String>> = Mutex::new(None);

/// Has SIGINT, SIGTERM and SIGHUP end the program with code 130.
pub(crate) fn watch() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        match &*open() {
            Some(text) => eprintln!("\noneclick: interrupted; {text}"),
            None => eprintln!("\noneclick: interrupted"),
        }
        std::process::exit(130);
    })
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
