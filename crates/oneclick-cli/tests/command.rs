//! The real command against the emulator.
#![allow(
    clippy::unwrap_used,
    clippy::needless_raw_string_hashes,
    reason = "tests, and snapshots as they are written"
)]

#[cfg(unix)]
mod command {
    mod buying;
    mod intents;
    mod listing;
    mod looking;
    mod support;
    mod terminal;
}
