//! What must hold over every transport: one suite, three adapters, real sockets.
//!
//! A behaviour is a function over a [`subject::Subject`]; `behaviours!` makes a
//! test of it for each adapter.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod peer;
#[path = "../../crates/oneclick-proto/guide/plain_socket.rs"]
mod plain_socket;
mod subject;

mod answers;
mod connecting;
mod endpoints;
mod faults;
mod gzip;
mod histories;
mod lessons;
mod limits;
mod lists;
mod matrix;
mod own;
mod promises;
mod proxies;
mod redirects;
mod retries;
mod sameness;
mod security;
mod sharing;
mod strategies;
mod tls;
mod unkind_server;

/// Makes a test of each behaviour for each adapter.
macro_rules! behaviours {
    ($($name:ident)*) => {
        mod reqwest {
            $(#[test] fn $name() { super::$name::<crate::subject::Reqwest>(); })*
        }
        mod ureq {
            $(#[test] fn $name() { super::$name::<crate::subject::Ureq>(); })*
        }
        mod hyper {
            $(#[test] fn $name() { super::$name::<crate::subject::Hyper>(); })*
        }
    };
}

pub(crate) use behaviours;
