//! What can go wrong, in one line each, and the exit code that it ends with.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::process::ExitCode;

use oneclick_ureq::{Error, ErrorKind, Execution, ImpactId, InvalidValue};

use crate::local::FileFailure;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, a value in it or a setting is wrong.
    Usage(String),
    /// A call failed that buys nothing.
    Call(Error),
    /// A purchase failed, and it is certain that nothing of its intent was bought.
    NotBought(Error),
    /// A purchase was looked for, and it is certain that nothing of its intent was
    /// bought; the text says what to do.
    NotFound(String),
    /// It is not known whether it was bought; the text says what to do.
    Unknown(String, Option<Error>),
    /// The same, for a person to look at what was found.
    Unresolved(String, Vec<ImpactId>, Option<Error>),
    /// It was bought and cancelled since.
    TakenBack(String),
    /// So many rows of a list cannot be read.
    MissingRows(usize),
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
                _ if of_file(error).is_some() => 1,
                ErrorKind::Invalid(_) => 2,
                // A server that fails has refused nothing.
                ErrorKind::Status(_) if error.execution() == Execution::NotExecuted => 3,
                _ => 5,
            },
            Self::Unknown(..) | Self::Unresolved(..) => 4,
            Self::NotFound(_) | Self::MissingRows(_) => 5,
            Self::TakenBack(_) => 6,
            // As if SIGPIPE had ended it.
            Self::Closed => 141,
        })
    }

    /// The failure that caused it.
    fn error(&self) -> Option<&Error> {
        match self {
            Self::Call(error) | Self::NotBought(error) => Some(error),
            Self::Unknown(_, error) | Self::Unresolved(_, _, error) => error.as_ref(),
            _ => None,
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, verbose: bool) {
        let line = match self {
            Self::Closed => return,
            Self::Usage(text)
            | Self::Machine(text)
            | Self::Unknown(text, _)
            | Self::Unresolved(text, ..)
            | Self::TakenBack(text) => text.clone(),
            Self::Call(error) => explain(error),
            Self::NotBought(error) => format!("nothing was bought: {}", explain(error)),
            Self::NotFound(text) => format!("nothing was bought: {text}"),
            Self::MissingRows(1) => {
                "one row cannot be read and is missing here: --json prints it among the others"
                    .into()
            }
            Self::MissingRows(rows) => format!(
                "{rows} rows cannot be read and are missing here: --json prints them among the others",
            ),
        };
        say(&format!("oneclick: {}", one_line(&line)));
        if let Self::Unresolved(_, found, _) = self {
            for id in found {
                say(&one_line(&id.to_string()));
            }
        }
        if verbose {
            let mut cause = self.error().and_then(std::error::Error::source);
            while let Some(error) = cause {
                say(&format!("  because: {}", one_line(&error.to_string())));
                cause = error.source();
            }
        }
    }
}

/// A failed call in a line, and what to do about it.
pub(crate) fn explain(error: &Error) -> String {
    format!("{}{}", told(error), advice(error))
}

/// A failed call in a line; of a transport, with what lies behind it, such as a port
/// that is closed.
fn told(error: &Error) -> String {
    match (error.kind(), of_file(error)) {
        (_, Some(failure)) => failure.to_string(),
        (ErrorKind::Transport(_), None) => format!("{error:#}"),
        _ => error.to_string(),
    }
}

/// The failure of the local emulator's file behind a failed call.
fn of_file(error: &Error) -> Option<&FileFailure> {
    let first = std::error::Error::source(error);
    let mut causes = std::iter::successors(first, |error| error.source());
    causes.find_map(|error| error.downcast_ref())
}

/// What to do about a failed call.
fn advice(error: &Error) -> &'static str {
    let refused = error.status().map(|status| status.as_u16());
    match (error.kind(), refused) {
        (_, Some(401 | 403)) => "; check the key with `oneclick doctor`",
        (_, Some(429)) => "; wait a minute and try again",
        (ErrorKind::Status(_), Some(500..)) => "; try again later",
        (ErrorKind::Transport(_), _) if error.is_too_large() || of_file(error).is_some() => "",
        (ErrorKind::Transport(_), _) => "; check the connection with `oneclick doctor`",
        _ => "",
    }
}

/// Prints a line on standard error. If nobody reads it there is nobody to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// No server and no file puts control characters on a terminal, or turns its
/// writing round.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|char| if moves(char) { '\u{fffd}' } else { char }).collect()
}

/// What a terminal obeys instead of showing it: controls, separators of lines, and what
/// changes the direction of writing.
pub(crate) fn moves(char: char) -> bool {
    const TURNS: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
        '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') || TURNS.contains(&char)
}

/// In a shell's quotes, for somebody to paste: a server chooses cursors.
pub(crate) fn quoted(text: &str) -> String {
    if !text.contains(moves) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    // The shell puts back what could not be printed.
    let mut quoted = "$'".to_owned();
    for char in text.chars() {
        if moves(char) {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\{byte:03o}");
            }
        } else {
            quoted.extend(matches!(char, '\'' | '\\').then_some('\\'));
            quoted.push(char);
        }
    }
    quoted + "'"
}

/// As one word of a shell, in quotes if it needs them.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@%,".contains(&byte);
    // Some shells take `=ls` for the path of `ls`.
    let plain = !text.starts_with('=') && !text.is_empty() && text.bytes().all(plain);
    if plain { text.to_owned() } else { quoted(text) }
}

/// The option `--intent` as it can be typed, even if the key begins with a hyphen.
pub(crate) fn intent_option(key: &str) -> String {
    let between = if key.starts_with('-') { '=' } else { ' ' };
    format!("--intent{between}{}", word(key))
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
            _ => Self::Machine(format!("standard output could not be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_quoted_is_one_word_of_a_shell() {
        assert_eq!(quoted("a+/="), "'a+/='");
        for (text, expected) in [
            ("order-123", "order-123"),
            ("a+/=", "a+/="),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(touch x)", "'$(touch x)'"),
            ("=ls", "'=ls'"),
            ("a\u{1b}'\\\u{202e}b", r"$'a\033\'\\\342\200\256b'"),
        ] {
            assert_eq!(word(text), expected);
            assert_eq!(one_line(expected), expected);
        }
        assert_eq!(intent_option("order-1"), "--intent order-1");
        assert_eq!(intent_option("-v 1"), "--intent='-v 1'");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_quoted_comes_back_from_a_shell() {
        let text = "-v\u{1b}[2J'\\\u{9b}\u{202e}\u{2028}\n x";
        let script = format!("printf %s {}", quoted(text));
        // Not every system has it.
        let Ok(shell) = std::process::Command::new("bash").args(["-c", &script]).output() else {
            return;
        };
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), text);
    }

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_writing_round() {
        let text = one_line("a\u{1b}b\u{9b}c\u{202e}d\u{2028}e");
        assert_eq!(text, "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e");
        // One sign of two, and a name that is written from right to left.
        assert_eq!(one_line("👩\u{200d}🌾 محمد"), "👩\u{200d}🌾 محمد");
    }
}
