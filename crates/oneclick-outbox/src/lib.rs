#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bridge;
mod carry;
mod clock;
mod error;
mod hold;
mod intent;
mod outbox;
#[cfg(feature = "postgres")]
pub mod postgres;
mod sqlite;
mod store;
mod trace;
mod worker;

pub use clock::{Clock, Now};
pub use error::OutboxError;
pub use hold::{Hold, Stored};
pub use intent::{Answer, Bought, Counts, Entry, Event, Status};
pub use outbox::Outbox;
pub use rusqlite;
pub use sqlite::{enqueue, migrate};
pub use store::{Enqueued, Permit};
pub use worker::{Stop, Worker};
