//! One `tracing` event for each attempt of a call, under the feature `tracing`.
//!
//! The fields are named after OpenTelemetry's conventions for HTTP clients where there
//! is one. None holds a key, an e-mail address or a name: the path is the endpoint's
//! template with placeholders in braces, and the query is left out.

use std::time::Duration;

use http::StatusCode;

use crate::error::Operation;
use crate::{BaseUrl, Error};

/// The data of a finished attempt.
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nothing is reported"))]
pub(crate) struct Report<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) server: &'a BaseUrl,
    /// Counted from 1.
    pub(crate) attempt: u32,
    /// The time since the call began.
    pub(crate) elapsed: Duration,
    pub(crate) status: Option<StatusCode>,
    pub(crate) error: Option<&'a Error>,
    /// The wait before the next attempt, if there will be one.
    pub(crate) wait: Option<Duration>,
}

impl Report<'_> {
    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "nothing is reported")]
    pub(crate) fn emit(&self) {}

    #[cfg(feature = "tracing")]
    pub(crate) fn emit(&self) {
        let (host, port) = self.server.host_and_port();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let message = match (self.error, self.wait) {
            (None, _) => "request succeeded",
            (Some(_), Some(_)) => "request failed and will be retried",
            (Some(_), None) => "request failed",
        };
        tracing::debug!(
            target: "oneclick",
            {
                "http.request.method" = self.operation.method.as_str(),
                "url.template" = self.operation.path,
                "server.address" = host,
                "server.port" = port,
                "http.request.resend_count" = self.attempt - 1,
                "http.response.status_code" = self.status.map(|status| status.as_u16()),
                "error.type" = self.error.map(error_type),
                "oneclick.execution" =
                    self.error.map(|error| tracing::field::debug(error.execution())),
                "oneclick.elapsed_ms" = millis(self.elapsed),
                "oneclick.retry_in_ms" = self.wait.map(millis),
            },
            "{message}",
        );
    }
}

/// The value of `error.type`: a fixed word or the status code.
#[cfg(feature = "tracing")]
fn error_type(error: &Error) -> String {
    use crate::{ErrorKind, Phase};
    let word = match error.kind() {
        ErrorKind::Status(status) => return status.as_u16().to_string(),
        ErrorKind::Transport(error) if error.is_timeout() => "timeout",
        ErrorKind::Transport(error) => match error.phase() {
            Phase::Connect => "connect",
            Phase::Exchange => "exchange",
            Phase::Body => "body",
            Phase::TooLarge => "too_large",
        },
        ErrorKind::Decode => "decode",
        _ => "_OTHER",
    };
    word.to_owned()
}
