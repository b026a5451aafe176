//! The log of the requests that were received.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use http::{Request, StatusCode};
use oneclick_proto::{Timestamp, UserId};
use serde::Serialize;

use crate::state::Fault;

/// The requests that were received, the oldest first.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    received: u64,
}

/// A request that was received.
#[derive(Serialize)]
pub(crate) struct Entry {
    /// Counted from 1.
    number: u64,
    time: Timestamp,
    method: String,
    path: String,
    query: Option<String>,
    body: String,
    /// The account of the key. The key itself is not kept.
    user_id: Option<UserId>,
    /// The status of the answer, whether it arrived or not.
    status: u16,
    fault: Option<Fault>,
}

impl Log {
    /// The most requests that are kept.
    const MOST: usize = 1_000;

    pub(crate) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    pub(crate) fn add(
        &mut self,
        time: DateTime<Utc>,
        request: &Request<Vec<u8>>,
        user_id: Option<UserId>,
        status: StatusCode,
        fault: Option<Fault>,
    ) {
        self.received += 1;
        if self.entries.len() == Self::MOST {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            number: self.received,
            time: time.into(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            user_id,
            status: status.as_u16(),
            fault,
        });
    }
}
