//! `oneclick doctor`: what keeps calls from working, and what to do about it.

use std::error::Error as _;

use chrono::{DateTime, Utc};
use http::header::DATE;
use http::{HeaderMap, Response};
use oneclick_ureq::{
    Api, BaseUrl, BlockingTransport, Connect, GetAccount, Phase, Proxy, TransportError,
    TransportOptions,
};

use crate::args::Global;
use crate::failure::Failure;
use crate::output;
use crate::session::{self, KEY, Session};

/// By how many seconds two clocks may differ and nobody minds.
const SMALL_SKEW: i64 = 5;
/// By how many it is told and does no harm.
const MOST_SKEW: i64 = 300;

pub(crate) fn run(global: &Global) -> Result<(), Failure> {
    let mut report = Report::default();
    if global.local {
        let session = Session::open(global)?;
        report.ok(&format!("the file: {} can be read", session.place))?;
        let account = session.client.whoami()?;
        report.ok(&format!("the account: {}", account.user_id))?;
        return report.end();
    }
    let key = match session::key(global.key_file.as_deref()) {
        Ok(key) => key,
        Err(Failure::Usage(text) | Failure::Machine(text)) => {
            report.wrong(&text)?;
            return report.end();
        }
        Err(other) => return Err(other),
    };
    let source = match &global.key_file {
        Some(path) => path.display().to_string(),
        None => KEY.to_owned(),
    };
    report.ok(&format!("the key: from {source}, {}", prefix(&key)))?;
    let api = match session::api_of(global, &key) {
        Ok(api) => api,
        Err(Failure::Usage(text)) => {
            report.wrong(&format!("the environment: {text}"))?;
            return report.end();
        }
        Err(other) => return Err(other),
    };
    let base_url = api.base_url();
    let environment = if *base_url == BaseUrl::production() {
        "production, where money moves"
    } else if *base_url == BaseUrl::sandbox() {
        "the sandbox, where none moves"
    } else {
        "a URL of one's own"
    };
    report.ok(&format!("the environment: {environment}, {base_url}"))?;
    match Proxy::from_vars(base_url, |name| std::env::var_os(name)) {
        Err(error) => {
            report.wrong(&error.to_string())?;
            return report.end();
        }
        Ok(Some(proxy)) => report.ok(&format!(
            "the proxy: {} names {}; it sees no more than the API's host",
            proxy.variable,
            proxy.url(),
        ))?,
        Ok(None) if base_url.is_https() => report.ok("the proxy: none")?,
        Ok(None) => report.ok("the proxy: none, since the key would be shown to it without TLS")?,
    }
    connection(&mut report, &api)?;
    report.end()
}

/// What a key says of itself.
fn prefix(key: &str) -> &'static str {
    match key {
        key if key.starts_with("test_") => "of the sandbox (test_)",
        key if key.starts_with("live_") => "of production (live_)",
        _ => "with neither test_ nor live_ in front",
    }
}

/// One read, whose answer tells of the connection, the clock and the key.
fn connection(report: &mut Report, api: &Api) -> Result<(), Failure> {
    let options = TransportOptions::new();
    let transport = match oneclick_ureq::Transport::connect(api, &options) {
        Ok(transport) => transport,
        Err(error) => return report.wrong(&format!("TLS: {error}; is there a trust store?")),
    };
    let sent = Utc::now();
    match transport.send(api.encode(&GetAccount)?) {
        Err(error) => report.wrong(&format!("the connection: {}", unreached(&error))),
        Ok(answer) => {
            let took = Utc::now() - sent;
            let milliseconds = took.num_milliseconds();
            report.ok(&format!("the connection: answered in {milliseconds} ms"))?;
            clock(report, answer.headers(), sent + took / 2)?;
            account(report, api, answer)
        }
    }
}

/// Why the API was not reached, and what to do.
fn unreached(error: &TransportError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let lower = text.to_lowercase();
    let advice = if lower.contains("certificate") || lower.contains("tls") {
        "is a proxy in between, or the trust store of this machine out of date?"
    } else if lower.contains("host") || lower.contains("resolve") || lower.contains("lookup") {
        "is this machine on a network, and the host's name right?"
    } else if lower.contains("refused") {
        "nothing listens there: is the port right, and the server running?"
    } else if error.is_timeout() {
        "is a firewall in between?"
    } else if error.phase() == Phase::Connect {
        "is this machine on a network?"
    } else {
        "does this URL lead to the API, and not to another server?"
    };
    format!("{text}; {advice}")
}

/// The system's clock beside that of the answer.
fn clock(report: &mut Report, headers: &HeaderMap, now: DateTime<Utc>) -> Result<(), Failure> {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else {
        return report.ok("the clock: the answer names no time to compare it with");
    };
    // The header has whole seconds.
    let skew = (now - date.to_utc()).num_seconds();
    match skew.abs() {
        0..=SMALL_SKEW => report.ok("the clock: as the API's, to within some seconds"),
        off @ ..=MOST_SKEW => {
            report.ok(&format!("the clock: {off} seconds off, which does no harm"))
        }
        off => report.wrong(&format!(
            "the clock: {off} seconds off; set it, since a lost purchase is looked up by its time"
        )),
    }
}

fn account(report: &mut Report, api: &Api, answer: Response<Vec<u8>>) -> Result<(), Failure> {
    match api.decode(&GetAccount, answer) {
        Ok(account) => report.ok(&format!("the account: {}", account.user_id)),
        Err(error) if error.status().is_some_and(|status| status.as_u16() == 401) => report.wrong(
            "the account: the API does not know the key; copy it anew from the dashboard, and \
             look that it is of this environment",
        ),
        Err(error) => report.wrong(&format!("the account: {error}")),
    }
}

/// The lines that were printed, and how many of them are bad.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    #[expect(clippy::unused_self, reason = "like its sister")]
    fn ok(&self, text: &str) -> Result<(), Failure> {
        output::line_out(&format!("ok     {text}"))
    }

    fn wrong(&mut self, text: &str) -> Result<(), Failure> {
        self.wrong += 1;
        output::line_out(&format!("wrong  {text}"))
    }

    fn end(self) -> Result<(), Failure> {
        match self.wrong {
            0 => Ok(()),
            1 => Err(Failure::Machine("one thing is wrong".to_owned())),
            wrong => Err(Failure::Machine(format!("{wrong} things are wrong"))),
        }
    }
}
