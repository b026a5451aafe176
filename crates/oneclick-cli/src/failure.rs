//! Failures: their messages and exit codes.

use std::fmt;
use std::io;
use std::process::ExitCode;

use oneclick_ureq::{ConfigError, Error, ErrorKind, Execution, ImpactId, InvalidValue};

use crate::local::FileError;
use crate::output::{self, printable};

/// Why the command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An option, a value or a setting is wrong.
    Usage(String),
    /// A call that buys nothing failed.
    Call(Error),
    /// A purchase failed, and it is certain that nothing of its intent was bought.
    NotBought(Error),
    /// The API refused purchases of an outbox; the text says how to see them.
    Refused(String),
    /// A purchase may have been sent, and was looked for long enough and not found; the
    /// text says what to do.
    NotFound(String),
    /// It is not known whether the purchase was made; the text says what to do.
    Unknown(String, Option<Error>),
    /// The same, with the impacts that were found and that a person has to look at.
    Unresolved(String, Vec<ImpactId>, Option<Error>),
    /// The purchase was made and has been cancelled since.
    Cancelled(String),
    /// This many rows of a list could not be read.
    MissingRows(usize),
    /// A probe could not find what it was asked for; the text says why.
    NotProbed(String),
    /// A problem of this machine: a file, a socket, a terminal.
    Machine(String),
    /// The command was interrupted and has finished what was under way.
    Interrupted(String),
    /// The reader of standard output closed it.
    Closed,
}

impl Failure {
    /// A problem of this machine with `subject`, such as a file.
    pub(crate) fn machine(subject: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Machine(format!("{subject}: {error}"))
    }

    /// The exit code of the command.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Machine(_) => 1,
            Self::Usage(_) => 2,
            Self::Call(error) | Self::NotBought(error) => match error.kind() {
                _ if file_error(error).is_some() => 1,
                ErrorKind::Invalid(_) | ErrorKind::Config(_) => 2,
                // A 5xx is no refusal.
                ErrorKind::Status(_) if error.execution() == Execution::NotExecuted => 3,
                _ => 5,
            },
            Self::Refused(_) => 3,
            Self::Unknown(..) | Self::Unresolved(..) => 4,
            Self::NotFound(_) | Self::MissingRows(_) | Self::NotProbed(_) => 5,
            Self::Cancelled(_) => 6,
            Self::Interrupted(_) => 130,
            // As if SIGPIPE had ended it.
            Self::Closed => 141,
        })
    }

    fn error(&self) -> Option<&Error> {
        match self {
            Self::Call(error) | Self::NotBought(error) => Some(error),
            Self::Unknown(_, error) | Self::Unresolved(_, _, error) => error.as_ref(),
            _ => None,
        }
    }

    /// Prints the failure on standard error, with its causes if `verbose`.
    pub(crate) fn print(&self, verbose: bool) {
        let message = match self {
            Self::Closed => return,
            Self::Usage(text)
            | Self::Machine(text)
            | Self::Unknown(text, _)
            | Self::Unresolved(text, ..)
            | Self::Refused(text)
            | Self::Cancelled(text)
            | Self::NotProbed(text) => text.clone(),
            Self::Interrupted(text) => format!("interrupted; {text}"),
            Self::Call(error) => explain(error),
            Self::NotBought(error) => format!("nothing was bought: {}", explain(error)),
            Self::NotFound(text) => format!("not found: {text}"),
            Self::MissingRows(1) => {
                "1 row could not be read and is missing here; --json prints it as it came".into()
            }
            Self::MissingRows(rows) => format!(
                "{rows} rows could not be read and are missing here; --json prints them as they \
                 came",
            ),
        };
        output::stderr_line(&format!("error: {}", printable(&message)));
        if let Self::Unresolved(_, found, _) = self {
            for id in found {
                output::stderr_line(&printable(&id.to_string()));
            }
        }
        if verbose {
            let mut cause = self.error().and_then(std::error::Error::source);
            while let Some(error) = cause {
                output::stderr_line(&format!("  caused by: {}", printable(&error.to_string())));
                cause = error.source();
            }
        }
    }
}

/// Describes a failed call on one line, and says what to do about it.
pub(crate) fn explain(error: &Error) -> String {
    let description = match (error.kind(), file_error(error)) {
        (_, Some(file_error)) => file_error.to_string(),
        // The causes say more, such as that the connection was refused.
        (ErrorKind::Transport(_), None) => format!("{error:#}"),
        _ => error.to_string(),
    };
    description + advice(error)
}

/// The error of the local emulator's file that made a call fail.
fn file_error(error: &Error) -> Option<&FileError> {
    let first = std::error::Error::source(error);
    let mut causes = std::iter::successors(first, |error| error.source());
    causes.find_map(|error| error.downcast_ref())
}

fn advice(error: &Error) -> &'static str {
    let status = error.status().map(|status| status.as_u16());
    match (error.kind(), status) {
        (_, Some(401 | 403)) => "; check the key with `oneclick doctor`",
        (_, Some(429)) => "; wait a minute and try again",
        (ErrorKind::Status(_), Some(500..)) => "; try again later",
        (ErrorKind::Status(_), Some(300..=399)) => "; check the URL with `oneclick doctor`",
        (ErrorKind::Transport(_), _) if error.is_too_large() || file_error(error).is_some() => "",
        (ErrorKind::Transport(_), _) => "; check the connection with `oneclick doctor`",
        _ => "",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<InvalidValue> for Failure {
    fn from(invalid: InvalidValue) -> Self {
        Self::Usage(invalid.to_string())
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => error.into(),
            error => Self::Machine(format!("could not write CSV: {error:?}")),
        }
    }
}

/// A failure to write to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::machine("could not write to standard output", error),
        }
    }
}
