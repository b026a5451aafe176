//! Was it executed? The table from a failure to [`Execution`], and whether it may be repeated.

use super::{Error, ErrorKind};
use crate::mend;
use crate::transport::Phase;
use crate::value::ImpactKind;

/// Whether a request was executed: for an action, whether money moved.
///
/// Exhaustive by design: match it without a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Execution {
    /// The request was not executed. It is safe to send again; whether that helps depends
    /// on the status: after a 429 it does later, after a 401 it does not.
    NotExecuted,
    /// The request may have been executed. Before you send a purchase again, look it up. A
    /// 2xx response that was cut short is in this state too, since something between you
    /// and the API may have sent its status.
    Unknown,
    /// The request was executed, but its response cannot be used. A purchase has no receipt
    /// then: look up its record, and do not send it again.
    Executed,
}

/// Whether a request may be sent again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// It may be, even a purchase.
    Always,
    /// It may be if it is idempotent.
    IfIdempotent,
    /// It may not: it was executed, or it would fail again.
    Never,
}

impl Error {
    /// Whether the request was executed: for an action, whether money moved. If the request
    /// was sent several times, this covers all attempts.
    #[must_use]
    pub fn execution(&self) -> Execution {
        match self.classify().0 {
            Execution::NotExecuted if self.0.uncertain => Execution::Unknown,
            execution => execution,
        }
    }

    /// Whether the request was refused and would be refused again.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.classify() == (Execution::NotExecuted, Repeat::Never)
    }

    /// Whether the request may be sent again.
    pub(crate) fn may_repeat(&self, idempotent: bool) -> bool {
        match self.classify().1 {
            Repeat::Always => true,
            Repeat::IfIdempotent => idempotent,
            Repeat::Never => false,
        }
    }

    /// The table: whether a failed request was executed, and whether it may be sent again.
    fn classify(&self) -> (Execution, Repeat) {
        use Execution::{Executed, NotExecuted, Unknown};
        let status = self.0.status.map_or(0, |status| status.as_u16());
        match (&self.0.kind, status) {
            (ErrorKind::Invalid(_) | ErrorKind::Config(_) | ErrorKind::Setup, _) => {
                (NotExecuted, Repeat::Never)
            }
            (ErrorKind::Transport(error), _) if error.phase() == Phase::Connect => {
                (NotExecuted, Repeat::Always)
            }
            // A gateway may send a 2xx, so only a part of a receipt proves a purchase.
            (ErrorKind::Decode, _) if self.0.has_receipt => (Executed, Repeat::Never),
            (ErrorKind::Decode, _) => (Unknown, Repeat::Never),
            (ErrorKind::MalformedRow | ErrorKind::CursorRepeated | ErrorKind::EmptyPages, _) => {
                (Executed, Repeat::Never)
            }
            (ErrorKind::Transport(error), _) if error.phase() == Phase::TooLarge => {
                (Unknown, Repeat::Never)
            }
            // No response (status 0), or a 2xx that was cut short.
            (ErrorKind::Transport(_), 0 | 200..300) => (Unknown, Repeat::IfIdempotent),
            (ErrorKind::Status(_) | ErrorKind::Transport(_), status) => match status {
                425 | 429 if self.0.from_api => (NotExecuted, Repeat::Always),
                400 | 401 | 403 | 404 | 405 | 409 | 413 | 414 | 415 | 422 if self.0.from_api => {
                    (NotExecuted, Repeat::Never)
                }
                // Both ask to send the same request to another address (RFC 9110, 15.4.8).
                307 | 308 => (NotExecuted, Repeat::Never),
                408 | 425 | 429 | 500 | 502 | 503 | 504 => (Unknown, Repeat::IfIdempotent),
                _ => (Unknown, Repeat::Never),
            },
        }
    }
}

/// Whether a body is a JSON object with the time or the amount of an impact.
pub(super) fn has_receipt(body: &[u8]) -> bool {
    let value = mend::value(body).unwrap_or_default();
    let mut fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
    fields.any(|field| field == "time_utc" || ImpactKind::known(field).is_some())
}
