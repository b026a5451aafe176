//! What the core promises, from outside and without I/O.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::unnecessary_wraps,
    reason = "tests"
)]

mod core {
    mod allocations;
    mod calls;
    mod conversions;
    mod driver;
    #[cfg(feature = "tracing")]
    mod events;
    mod execution;
    mod golden;
    mod gzip;
    mod hostile;
    mod lists;
    mod look_calls;
    mod messages;
    mod paging;
    mod probe;
    mod proxy;
    mod purchase;
    mod requests;
    mod responses;
    mod secrets;
    mod settlement;
    #[cfg(feature = "proptest")]
    mod strategies;
    mod transport;
    mod verified_purchase;
}
