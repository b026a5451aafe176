//! `oneclick emulator`: an emulator server in the foreground.

use std::io::{self, Write};
use std::net::SocketAddr;

use oneclick_emulator::{Logged, ServerBuilder};

use crate::failure::Failure;
use crate::interrupt;
use crate::output::{self, printable};

/// Takes the place of a text that may be private.
const HIDDEN: &str = "..";

/// Runs the server until it is interrupted.
pub(crate) fn run(
    mut server: ServerBuilder,
    listen: SocketAddr,
    quiet: bool,
) -> Result<(), Failure> {
    if !quiet {
        // Unlike `eprintln!`, this does not panic when nobody reads the log any more.
        let log = |logged: &Logged| {
            let _ = writeln!(io::stderr(), "{}", printable(&log_line(logged)));
        };
        server = server.on_request(log);
    }
    // Before the URL is printed: whoever reads it may interrupt at once.
    interrupt::expect();
    let server = server.start().map_err(|error| {
        Failure::machine(
            format!("could not listen on {listen}"),
            format!("{error}; --listen chooses another address and port"),
        )
    })?;
    if !listen.ip().is_loopback() {
        output::notice(quiet, "others on the network can use this emulator: it has no passwords");
    }
    output::line(server.base_url())?;
    loop {
        // The server has its own thread; a signal ends the process.
        std::thread::park();
    }
}

/// The line that logs a request.
fn log_line(logged: &Logged) -> String {
    let Logged { time, method, path, status, .. } = logged;
    let path = path.split('/').map(public_part).collect::<Vec<_>>().join("/");
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", public_part(name), public_value(name, value)),
        None => public_part(pair).to_owned(),
    };
    let pairs = |query: &String| query.split('&').map(pair).collect::<Vec<_>>().join("&");
    let query =
        logged.query.as_ref().map_or_else(String::new, |query| format!("?{}", pairs(query)));
    let account = logged.user_id.as_ref().map_or_else(String::new, |id| format!("  {id}"));
    let fault = logged.fault.as_ref().and_then(|fault| serde_json::to_string(fault).ok());
    let fault = fault.map_or_else(String::new, |fault| format!("  fault {fault}"));
    format!("{time}  {status}  {method} {path}{query}{account}{fault}")
}

/// The value of a query parameter, hidden if the parameter's name says that it is private.
fn public_value<'a>(name: &str, value: &'a str) -> &'a str {
    let private = ["mail", "name", "key"].iter().any(|part| name.to_lowercase().contains(part));
    if private { HIDDEN } else { public_part(value) }
}

/// A part of a path or a query, hidden if it can be an e-mail address or a key: only the
/// characters of dates, times, ids and cursors are shown.
fn public_part(part: &str) -> &str {
    let escapes = ["%2B", "%2F", "%3A", "%3D"];
    let text = part.to_ascii_uppercase();
    let text = escapes.iter().fold(text, |text, escape| text.replace(escape, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:+={}".contains(&byte);
    let key = text.contains("TEST_") || text.contains("LIVE_");
    if text.bytes().all(plain) && !key { part } else { HIDDEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_hides_what_can_be_private() {
        for part in [
            "ada@example.com",
            "ada%40example.com",
            "ada%2540example.com",
            "Ada%20Lovelace",
            "%74est_secret",
            "test_secret",
            "LIVE_secret",
            "te%2Bst_secret",
            "\u{1b}[2J",
        ] {
            assert_eq!(public_part(part), HIDDEN, "{part}");
        }
        for part in ["", "v1", "2025-03-12T15%3A22:14.753Z", "%2B%2fAA+%3D%3D", "{project_id}"] {
            assert_eq!(public_part(part), part);
        }
        for name in ["customer_email", "customerName", "api-key"] {
            assert_eq!(public_value(name, "0123"), HIDDEN, "{name}");
        }
        assert_eq!(public_value("limit", "10"), "10");
    }
}
