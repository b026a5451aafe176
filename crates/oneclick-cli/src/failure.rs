//! What can go wrong, in one line each, and the exit code that it ends with.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use oneclick_ureq::{Error, ErrorKind, Execution, InvalidValue};

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, a value in it or a setting is wrong.
    Usage(String),
    /// A call failed that buys nothing.
    Call(Error),
    /// A purchase failed, and it is certain that nothing was bought.
    NotBought(Error),
    /// It is not known whether it was bought; the text says what to do.
    Unknown(String, Option<Error>),
    /// Something on this machine: a file, a socket, a terminal.
    Machine(String),
    /// Whoever read standard output has seen enough.
    Closed,
}

impl Failure {
    /// A failure of a file or the like.
    pub(crate) fn machine(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Machine(format!("{what}: {error}"))
    }

    /// The code that the program exits with.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Machine(_) => 1,
            Self::Usage(_) => 2,
            Self::Call(error) | Self::NotBought(error) => match error.kind() {
                ErrorKind::Invalid(_) => 2,
                // A server that fails has refused nothing.
                ErrorKind::Status(_) if error.execution() == Execution::NotExecuted => 3,
                _ => 5,
            },
            Self::Unknown(..) => 4,
            // As if SIGPIPE had ended it.
            Self::Closed => 141,
        })
    }

    /// The failure that caused it.
    fn error(&self) -> Option<&Error> {
        match self {
            Self::Call(error) | Self::NotBought(error) => Some(error),
            Self::Unknown(_, error) => error.as_ref(),
            _ => None,
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, verbose: bool) {
        let line = match self {
            Self::Closed => return,
            Self::Usage(text) | Self::Machine(text) | Self::Unknown(text, _) => text.clone(),
            Self::Call(error) => format!("{}{}", told(error), advice(error)),
            Self::NotBought(error) => {
                format!("nothing was bought: {}{}", told(error), advice(error))
            }
        };
        say(&format!("oneclick: {}", one_line(&line)));
        if verbose {
            let mut cause = self.error().and_then(std::error::Error::source);
            while let Some(error) = cause {
                say(&format!("  because: {}", one_line(&error.to_string())));
                cause = error.source();
            }
        }
    }
}

/// A failed call in a line; of a transport, with what lies behind it: a port that
/// is closed, a disk that is full.
fn told(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Transport(_) => format!("{error:#}"),
        _ => error.to_string(),
    }
}

/// What to do about a failed call.
fn advice(error: &Error) -> &'static str {
    let refused = error.status().map(|status| status.as_u16());
    match (error.kind(), refused) {
        (_, Some(401 | 403)) => "; check the key with `oneclick doctor`",
        (_, Some(429)) => "; wait a minute and try again",
        (ErrorKind::Status(_), Some(500..)) => "; try again later",
        (ErrorKind::Transport(_), _) => "; check the connection with `oneclick doctor`",
        _ => "",
    }
}

/// Prints a line on standard error. If nobody reads it there is nobody to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// No server and no file puts control characters on a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<InvalidValue> for Failure {
    fn from(invalid: InvalidValue) -> Self {
        Self::Usage(invalid.to_string())
    }
}

/// The same.
impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => error.into(),
            error => Self::Machine(format!("CSV: {error:?}")),
        }
    }
}

/// A failure to write to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::machine("standard output", error),
        }
    }
}
