//! `oneclick emulator`: the emulator in the foreground.

use std::io::{self, Write};
use std::net::SocketAddr;

use chrono::DateTime;
use http::{Request, StatusCode};
use oneclick_emulator::{Emulator, FaultRule, Logged, ServerBuilder};
use oneclick_ureq::ErrorBody;

use crate::failure::{Failure, one_line};
use crate::interrupt;
use crate::output;

/// What a rule looks like.
const RULE: &str = r#"{"fault":"apply_then_drop","path":"/v1/plant_tree","times":1}"#;

/// What stands for something private.
const HIDDEN: &str = "..";

/// Runs it until it is interrupted.
pub(crate) fn run(
    mut server: ServerBuilder,
    listen: SocketAddr,
    faults: &[String],
    quiet: bool,
) -> Result<(), Failure> {
    for (number, text) in faults.iter().enumerate() {
        let rule =
            rule(text).map_err(|error| Failure::Usage(format!("fault {}: {error}", number + 1)))?;
        server = server.fault(rule);
    }
    if !quiet {
        // It goes on serving when nobody reads its log any more.
        server =
            server.on_request(|logged| drop(writeln!(io::stderr(), "{}", one_line(&told(logged)))));
    }
    // Before the line is printed: whoever reads it may interrupt.
    interrupt::ends_it();
    let server = server
        .start()
        .map_err(|error| Failure::machine(format!("cannot listen on {listen}"), error))?;
    if !listen.ip().is_loopback() {
        output::tell(quiet, "others on the network can reach this emulator");
    }
    output::line_out(server.base_url())?;
    loop {
        // Its own thread answers; a signal ends the process.
        std::thread::park();
    }
}

fn rule(text: &str) -> Result<FaultRule, String> {
    let rule: FaultRule =
        serde_json::from_str(text).map_err(|error| format!("{error}; for example {RULE}"))?;
    let Some(path) = rule.path() else { return Ok(rule) };
    // One that the API does not have would never be hit.
    let request = Request::get(path).body(Vec::new()).ok();
    let request = request.filter(|request| request.uri().path() == path);
    let answer = Emulator::default().respond(
        &request.ok_or("its path is none; for example /v1/plant_tree")?,
        DateTime::UNIX_EPOCH,
    );
    if answer.status() == StatusCode::NOT_FOUND {
        let error = serde_json::from_slice::<ErrorBody>(answer.body());
        return Err(error.map_err(|error| error.to_string())?.message);
    }
    Ok(rule)
}

/// A request in a line.
fn told(logged: &Logged) -> String {
    let Logged { time, method, path, status, .. } = logged;
    let path = path.split('/').map(shown).collect::<Vec<_>>().join("/");
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", shown(name), value_of(name, value)),
        None => shown(pair).to_owned(),
    };
    let pairs = |query: &String| query.split('&').map(pair).collect::<Vec<_>>().join("&");
    let query =
        logged.query.as_ref().map_or_else(String::new, |query| format!("?{}", pairs(query)));
    let account = logged.user_id.as_ref().map_or_else(String::new, |id| format!("  {id}"));
    let fault = logged.fault.as_ref().and_then(|fault| serde_json::to_string(fault).ok());
    let fault = fault.map_or_else(String::new, |fault| format!("  fault {fault}"));
    format!("{time}  {status}  {method} {path}{query}{account}{fault}")
}

/// A value of a query, unless its name says that it is private.
fn value_of<'a>(name: &str, value: &'a str) -> &'a str {
    let private = ["mail", "name", "key"].iter().any(|word| name.to_lowercase().contains(word));
    if private { HIDDEN } else { shown(value) }
}

/// A part of a path or a query, unless it can be an e-mail address or a key: it
/// is shown if it is made of what days, times, ids and cursors are made of.
fn shown(part: &str) -> &str {
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
    fn a_rule_is_read_and_a_wrong_one_says_what_is_wrong_with_it() {
        assert_eq!(rule(RULE).unwrap().path(), Some("/v1/plant_tree"));
        assert!(rule(r#"{"fault":"garbage"}"#).is_ok());
        assert!(rule(r#"{"fault":"garbage","path":"/v1/projects/{project_id}"}"#).is_ok());
        for (text, words) in [
            ("", "for example {"),
            ("{}", "missing field `fault`"),
            (r#"{"fault":"explode"}"#, "explode"),
            (r#"{"fault":"garbage","times":0}"#, "`times` must be 1 or more"),
            (
                r#"{"fault":"garbage","path":"/v1/plant_trees"}"#,
                "did you mean POST /v1/plant_tree?",
            ),
            (r#"{"fault":"garbage","path":"a b"}"#, "its path is none"),
            (r#"{"fault":"garbage","path":"/v1/plant_tree?x"}"#, "its path is none"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_can_be_private_is_not_shown() {
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
            assert_eq!(shown(part), HIDDEN, "{part}");
        }
        for part in ["", "v1", "2025-03-12T15%3A22:14.753Z", "%2B%2fAA+%3D%3D", "{project_id}"] {
            assert_eq!(shown(part), part);
        }
        for name in ["customer_email", "customerName", "api-key"] {
            assert_eq!(value_of(name, "0123"), HIDDEN, "{name}");
        }
        assert_eq!(value_of("limit", "10"), "10");
    }
}
