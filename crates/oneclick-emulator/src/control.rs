//! What a test in any language can ask of the emulator itself, under `/_emulator/`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use oneclick_proto::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::shared::Shared;
use crate::state::problem::{self, Problem};
use crate::state::{Account, Behaviour, Emulator, FaultRule, check_body, check_path};

/// What the paths begin with.
pub(crate) const PREFIX: &str = "/_emulator";

/// What there is.
const PATHS: &[(&str, &[&str])] = &[
    ("/_emulator/faults", &["GET", "POST", "DELETE"]),
    ("/_emulator/behaviour", &["GET", "PATCH", "POST", "DELETE"]),
    ("/_emulator/clock", &["GET", "PUT"]),
    ("/_emulator/clock/advance", &["POST"]),
    ("/_emulator/reset", &["POST"]),
    ("/_emulator/requests", &["GET"]),
    ("/_emulator/state", &["GET"]),
];

/// What rules look like.
const RULES: &str = r#"{"fault":"apply_then_drop","times":1} or {"fault":{"rate_limited":{"retry_after":{"seconds":7}}}}"#;

/// What switches look like.
const SWITCHES: &str = r#"{"metadata":"dropped","limit":{"capped":{"at":5}}}"#;

/// Answers a request to the emulator itself.
pub(crate) fn answer(shared: &Shared, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match execute(shared, request) {
        Ok(body) => problem::answer(StatusCode::OK, problem::json(&body)),
        Err(problem) => problem.answer(),
    }
}

fn execute(shared: &Shared, request: &Request<Vec<u8>>) -> Result<Value, Problem> {
    // A page from elsewhere can send a POST without a body unasked; its browser
    // says so.
    let method = problem::without_head(request.method());
    if method != Method::GET && request.headers().contains_key(ORIGIN) {
        let message = "the emulator is not controlled by web pages: send this without `Origin`";
        return Err(Problem::invalid(message).status(StatusCode::FORBIDDEN));
    }
    let path = request.uri().path();
    match (method.as_str(), path) {
        ("GET", "/_emulator/faults") => {}
        ("POST", "/_emulator/faults") => {
            let rule: FaultRule = read(request, RULES)?;
            rule.path().map_or(Ok(()), check_path)?;
            shared.emulator().inject(rule);
        }
        ("DELETE", "/_emulator/faults") => shared.emulator().clear_faults(),
        ("GET", "/_emulator/behaviour") => return Ok(behaviour(shared.emulator().behaviour())),
        ("PATCH" | "POST", "/_emulator/behaviour") => {
            let switches: Map<String, Value> = read(request, SWITCHES)?;
            let mut emulator = shared.emulator();
            let mut changed = emulator.behaviour();
            changed.set(&switches)?;
            emulator.set_behaviour(changed);
            return Ok(behaviour(changed));
        }
        ("DELETE", "/_emulator/behaviour") => {
            shared.emulator().set_behaviour(Behaviour::new());
            return Ok(behaviour(Behaviour::new()));
        }
        ("GET", "/_emulator/clock") => return Ok(clock(shared)),
        ("PUT", "/_emulator/clock") => {
            let Now { now } = read(request, r#"{"now":"2025-01-31T12:00:00.000Z"}"#)?;
            shared.set_clock(now.datetime());
            return Ok(clock(shared));
        }
        ("POST", "/_emulator/clock/advance") => {
            let Advance { millis } = read(request, r#"{"millis":60000}"#)?;
            shared.advance_clock(Duration::from_millis(millis));
            return Ok(clock(shared));
        }
        ("POST", "/_emulator/reset") => {
            shared.reset();
            return Ok(json!({}));
        }
        ("GET", "/_emulator/requests") => return Ok(json!({ "requests": shared.log().entries() })),
        ("GET", "/_emulator/state") => {
            let (emulator, now) = shared.caught_up();
            return Ok(state(&emulator, now));
        }
        _ => return Err(lost(path)),
    }
    Ok(json!({ "faults": shared.emulator().faults() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Now {
    now: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    millis: u64,
}

/// Reads a body; `example` is one, for those who sent something else.
fn read<T: DeserializeOwned>(request: &Request<Vec<u8>>, example: &str) -> Result<T, Problem> {
    let body = request.body();
    // A web page cannot send JSON to another origin without asking.
    check_body(request.method(), request.headers(), body)?;
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid(format!("{error}; send for example {example}")))
}

fn lost(path: &str) -> Problem {
    if let Some((path, methods)) = PATHS.iter().find(|(known, _)| *known == path) {
        return Problem::method(path, methods.iter().copied());
    }
    let paths: Vec<_> = PATHS.iter().map(|(path, _)| *path).collect();
    Problem::invalid(format!("there is no such path; there are {}", paths.join(", ")))
        .status(StatusCode::NOT_FOUND)
}

fn behaviour(behaviour: Behaviour) -> Value {
    json!({ "behaviour": behaviour.switches() })
}

fn clock(shared: &Shared) -> Value {
    json!({ "now": Timestamp::from(shared.now()) })
}

fn state(emulator: &Emulator, now: DateTime<Utc>) -> Value {
    let account = |account: &Account| {
        json!({
            "user_id": account.user_id(),
            "totals": account.totals(),
            "customers": account.customers(),
            "ledger": account.ledger().collect::<Vec<_>>(),
        })
    };
    let accounts: Vec<_> = emulator.accounts().into_iter().map(account).collect();
    json!({ "now": Timestamp::from(now), "faults": emulator.faults(), "accounts": accounts })
}
