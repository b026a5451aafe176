//! The control paths under `/_emulator/`, for tests in any language.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use oneclick_proto::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::shared::Shared;
use crate::state::fields::Fields;
use crate::state::problem::{Problem, head_as_get, json_response};
use crate::state::{Account, Behaviour, Emulator, Fault, FaultRule, RULE_EXAMPLE, check_body};

/// The beginning of every control path.
pub(crate) const PREFIX: &str = "/_emulator";

/// A request that a control path takes.
struct Control {
    method: &'static str,
    path: &'static str,
    /// What it does, for `GET /_emulator/`.
    does: &'static str,
    /// An example of its body; `None` if it takes no body.
    body: Option<&'static str>,
    run: fn(&Shared, &Fields) -> Result<Value, Problem>,
}

static CONTROLS: &[Control] = &[
    Control {
        method: "GET",
        path: "/_emulator/",
        does: "lists these requests, and each fault with the defaults of its fields",
        body: None,
        run: |_, _| Ok(index()),
    },
    Control {
        method: "GET",
        path: "/_emulator/faults",
        does: "lists the fault rules; `times` is how many requests a rule will still hit",
        body: None,
        run: |shared, _| Ok(faults(&shared.emulator())),
    },
    Control {
        method: "POST",
        path: "/_emulator/faults",
        does: "adds a fault rule, which hits the next `times` requests, or each request with this \
               `probability`, or every request without either; without `path`, on every path",
        body: Some(RULE_EXAMPLE),
        run: add_fault,
    },
    Control {
        method: "DELETE",
        path: "/_emulator/faults",
        does: "removes all fault rules",
        body: None,
        run: |shared, _| {
            let mut emulator = shared.emulator();
            emulator.clear_faults();
            Ok(faults(&emulator))
        },
    },
    Control {
        method: "GET",
        path: "/_emulator/behaviour",
        does: "lists the behaviour switches, each with its `value` and the possible `values`",
        body: None,
        run: |shared, _| Ok(behaviour(shared.emulator().behaviour())),
    },
    Control {
        method: "PATCH",
        path: "/_emulator/behaviour",
        does: "sets some behaviour switches; if one is wrong, none is set",
        body: Some(SWITCHES_EXAMPLE),
        run: set_behaviour,
    },
    Control {
        method: "POST",
        path: "/_emulator/behaviour",
        does: "the same as PATCH",
        body: Some(SWITCHES_EXAMPLE),
        run: set_behaviour,
    },
    Control {
        method: "DELETE",
        path: "/_emulator/behaviour",
        does: "sets all behaviour switches to their defaults",
        body: None,
        run: |shared, _| {
            shared.emulator().set_behaviour(Behaviour::new());
            Ok(behaviour(Behaviour::new()))
        },
    },
    Control {
        method: "GET",
        path: "/_emulator/clock",
        does: "shows the time of the emulator's clock",
        body: None,
        run: |shared, _| Ok(clock(shared)),
    },
    Control {
        method: "PUT",
        path: "/_emulator/clock",
        does: "sets the emulator's clock, which goes on from there",
        body: Some(r#"{"now":"2025-01-31T12:00:00Z"}"#),
        run: |shared, fields| {
            let expected = "a time such as 2025-01-31T12:00:00Z";
            let now: Timestamp = only_field(fields, "/_emulator/clock", "now", expected)?;
            shared.set_clock(now.datetime());
            Ok(clock(shared))
        },
    },
    Control {
        method: "POST",
        path: "/_emulator/clock/advance",
        does: "advances the emulator's clock by `millis` milliseconds",
        body: Some(r#"{"millis":60000}"#),
        run: |shared, fields| {
            let expected = "a whole number of milliseconds such as 60000, 0 or more";
            let path = "/_emulator/clock/advance";
            let millis = only_field(fields, path, "millis", expected)?;
            shared.advance_clock(Duration::from_millis(millis));
            Ok(clock(shared))
        },
    },
    Control {
        method: "POST",
        path: "/_emulator/reset",
        does: "removes all accounts, fault rules, switch settings and logged requests, and \
               undoes the setting of the clock",
        body: None,
        run: |shared, _| {
            shared.reset();
            Ok(json!({}))
        },
    },
    Control {
        method: "GET",
        path: "/_emulator/requests",
        does: "lists the latest 1,000 requests to the API, without their keys",
        body: None,
        run: |shared, _| Ok(json!({ "requests": shared.log().entries() })),
    },
    Control {
        method: "GET",
        path: "/_emulator/state",
        does: "shows what was really bought: totals, customers and ledger of every account",
        body: None,
        run: |shared, _| {
            let (emulator, now) = shared.caught_up();
            Ok(state(&emulator, now))
        },
    },
];

const SWITCHES_EXAMPLE: &str = r#"{"metadata":"dropped","limit":{"capped":{"at":5}}}"#;

/// Responds to a request to a control path.
pub(crate) fn respond(shared: &Shared, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match execute(shared, request) {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(problem) => problem.response(),
    }
}

fn execute(shared: &Shared, request: &Request<Vec<u8>>) -> Result<Value, Problem> {
    // A browser sends a POST without a body from any web page without asking first, and
    // adds this header to it.
    let method = head_as_get(request.method());
    if method != Method::GET && request.headers().contains_key(ORIGIN) {
        let message = "web pages cannot control the emulator: send the request without `Origin`";
        return Err(Problem::invalid(message).status(StatusCode::FORBIDDEN));
    }
    let path = request.uri().path();
    let path = if path == PREFIX { "/_emulator/" } else { path };
    let here: Vec<_> = CONTROLS.iter().filter(|control| control.path == path).collect();
    let Some(control) = here.iter().find(|control| *method == control.method) else {
        let methods = here.iter().map(|control| control.method);
        return Err(if here.is_empty() { not_found() } else { Problem::method(path, methods) });
    };
    let fields = match control.body {
        None => Fields::NONE,
        Some(example) => {
            // Without asking first, a web page cannot send this content type.
            check_body(request.method(), request.headers(), request.body())?;
            Fields::parse("body", request.body(), example)?
        }
    };
    (control.run)(shared, &fields)
}

fn not_found() -> Problem {
    let names = CONTROLS.iter().map(|control| format!("{} {}", control.method, control.path));
    let names = names.collect::<Vec<_>>().join(", ");
    Problem::invalid(format!("the emulator has no such control path; it takes {names}"))
        .status(StatusCode::NOT_FOUND)
}

/// The list of control requests and faults.
fn index() -> Value {
    let request = |control: &Control| {
        let Control { method, path, does, .. } = control;
        let mut request = json!({ "method": method, "path": path, "does": does });
        if let Some(body) = control.body {
            request["body"] = serde_json::from_str(body).unwrap_or_default();
        }
        request
    };
    let requests: Vec<_> = CONTROLS.iter().map(request).collect();
    json!({ "requests": requests, "faults": Fault::ALL })
}

fn add_fault(shared: &Shared, fields: &Fields) -> Result<Value, Problem> {
    let rule = FaultRule::read(fields)?;
    let mut emulator = shared.emulator();
    if let Some(earlier) = emulator.covering_fault(&rule) {
        let message = format!(
            "the rule would never hit, because the earlier rule {} hits each of its requests: \
             remove the rules with DELETE /_emulator/faults first",
            json!(earlier),
        );
        return Err(Problem::invalid(message).status(StatusCode::CONFLICT));
    }
    emulator.inject(rule);
    Ok(faults(&emulator))
}

fn set_behaviour(shared: &Shared, fields: &Fields) -> Result<Value, Problem> {
    let mut emulator = shared.emulator();
    let mut changed = emulator.behaviour();
    changed.set(fields.pairs())?;
    emulator.set_behaviour(changed);
    Ok(behaviour(changed))
}

/// The one field of a body, which is required.
fn only_field<T: DeserializeOwned>(
    fields: &Fields,
    path: &str,
    name: &str,
    expected: &str,
) -> Result<T, Problem> {
    fields.only(path, &[name])?;
    let missing = || Problem::invalid(format!("`{name}` is missing: send {expected}"));
    fields.read(name, expected)?.ok_or_else(missing)
}

fn faults(emulator: &Emulator) -> Value {
    json!({ "faults": emulator.faults() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_control_request() {
        let table = include_str!("lib.rs");
        for Control { method, path, .. } in CONTROLS {
            let mut rows = table.lines().filter(|line| line.contains(&format!(" {path}` | ")));
            assert!(rows.any(|row| row.contains(&format!("`{method}"))), "{method} {path}");
        }
    }
}
