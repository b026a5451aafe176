//! Runs the `oneclick` command, mostly against the emulator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_raw_string_hashes,
    reason = "tests, and the form in which snapbox writes snapshots"
)]

#[cfg(unix)]
mod command {
    mod apply;
    mod buying;
    mod golden;
    mod guide;
    mod intents;
    mod listing;
    mod outbox;
    mod postgres;
    mod probing;
    mod remembering;
    mod serve;
    #[path = "../../../oneclick-outbox/tests/outbox/server.rs"]
    #[allow(dead_code, clippy::expect_used, reason = "the tests of the outbox share it")]
    mod server;
    mod showing;
    mod support;
    mod terminal;
}
