//! `oneclick doctor`: checks everything that a call needs, and says what to fix.

use std::error::Error as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use http::header::DATE;
use http::{HeaderMap, Response};
use oneclick_ureq::{
    Account, Api, BaseUrl, BlockingTransport, Connect, GetAccount, Phase, Proxy, TransportError,
    TransportOptions,
};

use crate::args::Global;
use crate::failure::Failure;
use crate::intents;
use crate::output;
use crate::probe;
use crate::session::{self, INSECURE, KEY, Session};

/// A clock that is off by up to this many seconds counts as right.
const EXACT_SECONDS: i64 = 5;
/// A clock that is off by up to this many seconds is reported but harmless.
const HARMLESS_SECONDS: i64 = 300;

pub(crate) fn run(global: &Global) -> Result<(), Failure> {
    let mut report = Report::default();
    if global.local {
        let session = Session::open(global)?;
        ok(&format!("file: {} can be read", session.api_name))?;
        let account = session.client.whoami()?;
        ok(&format!("account: {}", account.user_id))?;
        check_intents(&mut report, &session.intents)?;
        say_saved(&session.api_name, &account)?;
        return report.end();
    }
    let key = match session::key(global.key_file.as_deref()) {
        Ok(key) => key,
        Err(Failure::Usage(text) | Failure::Machine(text)) => {
            report.problem(&format!("key: {text}"))?;
            return report.end();
        }
        Err(other) => return Err(other),
    };
    let source = match &global.key_file {
        Some(path) => path.display().to_string(),
        None => KEY.to_owned(),
    };
    ok(&format!("key: from {source}, {}", describe_prefix(&key)))?;
    let api = match session::api_of(global, &key) {
        Ok(api) => api,
        Err(Failure::Usage(text)) => {
            report.problem(&format!("environment: {text}"))?;
            return report.end();
        }
        Err(other) => return Err(other),
    };
    let base_url = api.base_url();
    let environment = if *base_url == BaseUrl::production() {
        "production, where money moves"
    } else if *base_url == BaseUrl::sandbox() {
        "the sandbox, where no money moves"
    } else {
        "a custom URL"
    };
    ok(&format!("environment: {environment}, {base_url}"))?;
    let production = session::is_production(base_url, &key);
    match session::intents_of(base_url, production) {
        Ok(folder) => check_intents(&mut report, &folder)?,
        Err(Failure::Usage(text)) => report.problem(&format!("intents: {text}"))?,
        Err(other) => return Err(other),
    }
    if !base_url.is_https() && !base_url.is_loopback() {
        note(&format!(
            "encryption: none, because {INSECURE}=1 is set: the key, e-mail addresses and names \
             are sent unencrypted",
        ))?;
    }
    match Proxy::from_vars(base_url, |name| std::env::var_os(name)) {
        Err(error) => {
            report.problem(&format!("proxy: {error}"))?;
            return report.end();
        }
        Ok(Some(proxy)) => ok(&format!(
            "proxy: {} from {}; it sees the API's host and no more",
            proxy.url(),
            proxy.variable,
        ))?,
        Ok(None) if base_url.is_https() => ok("proxy: none")?,
        Ok(None) => ok("proxy: none; for http:// none is used, because it would see the key")?,
    }
    check_connection(&mut report, &api, &session::server_name(base_url, production))?;
    report.end()
}

/// Whether purchases can be remembered: none is sent before it is in a file.
fn check_intents(report: &mut Report, folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    match intents::check_folder(folder) {
        Ok(()) => ok(&format!("intents: {shown} can be written")),
        Err(error) => report.problem(&format!(
            "intents: {shown} cannot be written: {error}; no purchase can be made without it, so \
             make it writable, or set XDG_STATE_HOME to another folder",
        )),
    }
}

fn describe_prefix(key: &str) -> &'static str {
    match key {
        key if key.starts_with("test_") => "for the sandbox (test_)",
        key if key.starts_with("live_") => "for production (live_)",
        _ => "without a prefix (test_ or live_)",
    }
}

/// Sends one request, whose response checks the connection, the clock and the key.
fn check_connection(report: &mut Report, api: &Api, server: &str) -> Result<(), Failure> {
    let options = TransportOptions::new();
    let transport = match oneclick_ureq::Transport::connect(api, &options) {
        Ok(transport) => transport,
        Err(error) => {
            let text = format!("TLS: {error}; does this machine have a certificate store?");
            return report.problem(&text);
        }
    };
    let sent = Utc::now();
    match transport.send(api.encode(&GetAccount)?) {
        Err(error) => report.problem(&format!("connection: {}", explain_transport(&error))),
        Ok(response) => {
            let took = Utc::now() - sent;
            ok(&format!("connection: got a response in {} ms", took.num_milliseconds()))?;
            check_clock(report, response.headers(), sent + took / 2)?;
            check_account(report, api, server, response)
        }
    }
}

/// Why the API was not reached, and what to look at.
fn explain_transport(error: &TransportError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let lower = text.to_lowercase();
    let advice = if lower.contains("certificate") || lower.contains("tls") {
        "is there a proxy in between, or is the certificate store of this machine out of date?"
    } else if lower.contains("host") || lower.contains("resolve") || lower.contains("lookup") {
        "is this machine on a network, and is the name of the host right?"
    } else if lower.contains("refused") {
        "nothing listens there: is the port right, and is the server running?"
    } else if error.is_timeout() {
        "is there a firewall in between?"
    } else if error.phase() == Phase::Connect {
        "is this machine on a network?"
    } else {
        "does the URL lead to the API, and not to another server?"
    };
    format!("{text}; {advice}")
}

/// Compares the clock of this machine with the `Date` of a response.
fn check_clock(
    report: &mut Report,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else {
        return note(
            "clock: not checked, because the response has no Date header; after a lost response, only a \
             run whose --wait is longer than its --settle finds out that nothing was bought",
        );
    };
    let skew = (now - date.to_utc()).num_seconds();
    match skew.abs() {
        0..=EXACT_SECONDS => ok(&format!("clock: within {EXACT_SECONDS} seconds of the API's")),
        off @ ..=HARMLESS_SECONDS => {
            note(&format!("clock: {off} seconds off the API's, which is harmless"))
        }
        off => report.problem(&format!(
            "clock: {off} seconds off the API's; set it, because a purchase whose response is lost \
             is looked up by its time",
        )),
    }
}

fn check_account(
    report: &mut Report,
    api: &Api,
    server: &str,
    response: Response<Vec<u8>>,
) -> Result<(), Failure> {
    match api.decode(&GetAccount, response) {
        Ok(account) => {
            ok(&format!("account: {}", account.user_id))?;
            say_saved(server, &account)
        }
        Err(error) if error.status().is_some_and(|status| status.as_u16() == 401) => report.problem(
            "account: the API does not know the key; copy it from the dashboard again, and check \
             that it is for this environment",
        ),
        Err(error) => report.problem(&format!("account: {error}")),
    }
}

/// Says whether purchases use what a probe found.
fn say_saved(server: &str, account: &Account) -> Result<(), Failure> {
    match probe::saved(session::probes().as_deref(), server, account) {
        Some(Ok(text)) => ok(&format!("probe: {text}")),
        Some(Err(text)) => note(&format!("probe: {text}")),
        None => Ok(()),
    }
}

fn ok(text: &str) -> Result<(), Failure> {
    output::line(&format!("ok     {text}"))
}

/// Something to know that is no problem.
fn note(text: &str) -> Result<(), Failure> {
    output::line(&format!("note   {text}"))
}

/// Counts the problems.
#[derive(Default)]
struct Report {
    problems: usize,
}

impl Report {
    fn problem(&mut self, text: &str) -> Result<(), Failure> {
        self.problems += 1;
        output::line(&format!("wrong  {text}"))
    }

    fn end(self) -> Result<(), Failure> {
        match self.problems {
            0 => Ok(()),
            1 => Err(Failure::Machine("found 1 problem".to_owned())),
            problems => Err(Failure::Machine(format!("found {problems} problems"))),
        }
    }
}
