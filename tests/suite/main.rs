//! The behaviour of every transport, checked for three adapters on real sockets.
//!
//! A behaviour is a function over an [`adapter::Adapter`]; `behaviours!` defines a test of
//! it for each adapter.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod adapter;
#[path = "../../crates/oneclick-proto/guide/plain_socket.rs"]
mod plain_socket;
mod raw_server;

mod adapter_parity;
mod claims_match_ledger;
mod connecting;
mod custom_transports;
mod documentation;
mod endpoints;
mod faults;
mod gzip;
mod limits;
mod lists;
mod outbox_chaos;
mod probe;
mod promises;
mod promises_on_emulator;
mod proxies;
mod redirects;
mod responses;
mod retries;
mod sdk_regressions;
mod sharing;
mod strategies;
mod tls;
mod unkind_server;

/// Defines a test for each behaviour and each adapter.
macro_rules! behaviours {
    ($($name:ident)*) => {
        mod reqwest {
            $(#[test] fn $name() { super::$name::<crate::adapter::Reqwest>(); })*
        }
        mod ureq {
            $(#[test] fn $name() { super::$name::<crate::adapter::Ureq>(); })*
        }
        mod hyper {
            $(#[test] fn $name() { super::$name::<crate::adapter::Hyper>(); })*
        }
    };
}

pub(crate) use behaviours;
