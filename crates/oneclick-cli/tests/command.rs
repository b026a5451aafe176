//! The real command against the sandbox.
#![allow(clippy::needless_raw_string_hashes, reason = "snapshots are written so")]

#[cfg(all(test, unix))]
mod command {
    mod buying;
    mod listing;
    mod looking;
    mod support;
    mod terminal;
}
