//! The log of received requests.

use std::collections::VecDeque;
use std::fmt;

use chrono::{DateTime, Utc};
use http::{Request, StatusCode};
use oneclick_proto::{Timestamp, UserId};
use serde::Serialize;

use crate::state::Fault;

/// The latest requests, oldest first.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Logged>,
    received: u64,
}

/// A request that a server received, for [`on_request`](crate::ServerBuilder::on_request)
/// and `GET /_emulator/requests`.
///
/// Path, query and body are shown as they were sent, so they can hold e-mail addresses and
/// names. `Debug` leaves them out.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct Logged {
    /// Its number, counted from 1.
    pub number: u64,
    /// When it was received, by the emulator's clock.
    pub time: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, still percent-encoded.
    pub path: String,
    /// Its query, still percent-encoded; `None` if there is no `?`.
    pub query: Option<String>,
    /// The first 64 KiB of its body. Bytes that are not UTF-8 are replaced.
    pub body: String,
    /// The account of its key; `None` if the key was missing or refused. The key itself is
    /// not logged.
    pub user_id: Option<UserId>,
    /// The status of the response, even if a fault kept that from arriving; 500 if the fault
    /// also kept the request from being applied.
    pub status: u16,
    /// The fault that hit it, if any.
    pub fault: Option<Fault>,
}

/// Leaves out what can be private.
impl fmt::Debug for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logged")
            .field("number", &self.number)
            .field("time", &self.time)
            .field("method", &self.method)
            .field("user_id", &self.user_id)
            .field("status", &self.status)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// How many requests are kept.
    const CAPACITY: usize = 1_000;
    /// How many bytes of a body are kept.
    const BODY_BYTES: usize = 64 * 1024;

    pub(crate) fn entries(&self) -> &VecDeque<Logged> {
        &self.entries
    }

    /// Adds a request, and returns its entry.
    pub(crate) fn add(
        &mut self,
        time: DateTime<Utc>,
        request: &Request<Vec<u8>>,
        user_id: Option<UserId>,
        status: StatusCode,
        fault: Option<Fault>,
    ) -> &Logged {
        self.received += 1;
        let body = &request.body()[..request.body().len().min(Self::BODY_BYTES)];
        if self.entries.len() == Self::CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back(Logged {
            number: self.received,
            time: time.into(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            body: String::from_utf8_lossy(body).into_owned(),
            user_id,
            status: status.as_u16(),
            fault,
        });
        &self.entries[self.entries.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_requests_are_kept_and_numbers_go_on() {
        let mut log = Log::default();
        let request = Request::new(b"\xff{}".to_vec());
        for _ in 0..Log::CAPACITY + 5 {
            log.add(DateTime::UNIX_EPOCH, &request, None, StatusCode::OK, None);
        }
        let numbers: Vec<_> = log.entries().iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (6..=1_005).collect::<Vec<_>>());
    }
}
