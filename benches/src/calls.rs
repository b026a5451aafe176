//! Compares calls through the client, over the bare transport and by the official Python
//! SDK. All of them take turns with one server on one core.

use std::time::{Duration, Instant};

use http::Response;
use oneclick_benches::bodies::{Shape, page};
use oneclick_benches::callers::{
    Call, Caller, Failure, Transport, bare, ours, ureq_without_timeout,
};
use oneclick_benches::{requests, server};
use oneclick_proto::ListRecords;

use crate::pin;
use crate::python::Sdk;
use crate::report::{Figure, Row, Table, Target, in_turns, timed};

const ROUNDS: usize = 100;

/// The number of calls in a turn, which takes some ten milliseconds.
const fn calls(call: Call) -> usize {
    match call {
        Call::Whoami | Call::PlantTree => 200,
        Call::Page => 10,
    }
}

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("Calls, on one core with the server");
    if !pin::to_core(0) {
        table.notes.push("The process could not be pinned to one core: expect noise.".to_owned());
    }
    // The server's thread and the Python process inherit the core, so they start after pinning.
    let url = server::start()?;
    let python = match Sdk::start(&url) {
        Ok(sdk) => Some(sdk),
        Err(error) => {
            table.notes.push(format!("Skipped the official Python SDK: {error}"));
            None
        }
    };
    for call in Call::ALL {
        side_by_side(&mut table, call, &url)?;
    }
    if let Some(python) = python {
        against_python(&mut table, &url, python)?;
    }
    Ok(table)
}

/// Compares our client with the bare library over each transport.
fn side_by_side(table: &mut Table, call: Call, url: &str) -> Result<(), Failure> {
    let mut callers = Vec::new();
    for transport in Transport::ALL {
        callers.push(bare(transport, url)?);
        callers.push(ours(transport, url)?);
    }
    callers.push(ureq_without_timeout(url)?);
    let mut runs: Vec<_> = callers.into_iter().map(|caller| turn(caller, call)).collect();
    // The cost of a page beyond its transport is measured in the same turns.
    runs.push(Box::new(move || decode(calls(call))));
    let seconds = in_turns(ROUNDS, &mut runs)?;
    for (index, transport) in Transport::ALL.into_iter().enumerate() {
        let (bare, ours) = (&seconds[2 * index], &seconds[2 * index + 1]);
        let name = transport.name();
        let (what, most, below) = if call == Call::Page {
            let decode = &seconds[2 * Transport::ALL.len() + 1];
            let sum = bare.iter().zip(decode).map(|(bare, decode)| bare + decode).collect();
            (format!("{} ÷ (bare {name} + decoding alone)", call.name()), 1.05, sum)
        } else {
            (format!("{} ÷ bare {name}", call.name()), 1.03, bare.clone())
        };
        let figure = Figure::ratio(ours, &below);
        table.rows.push(Row::ratio(what, Target::AtMost(most), figure));
    }
    if call != Call::Page {
        let most = if call == Call::Whoami { 1.1 } else { 1.25 };
        let figure = Figure::ratio(&seconds[5], &seconds[1]);
        let what = format!("ureq ÷ hyper, both through the client, {}", call.name());
        table.rows.push(Row::ratio(what, Target::AtMost(most), figure));
    }
    for (what, index) in [
        ("bare reqwest", 2),
        ("bare ureq", 4),
        ("bare ureq without a timeout", 2 * Transport::ALL.len()),
    ] {
        let figure = Figure::ratio(&seconds[index], &seconds[0]);
        let what = format!("{what} ÷ bare hyper, {}", call.name());
        table.rows.push(Row::ratio(what, Target::None, figure));
    }
    Ok(())
}

/// Times the decoding of this many pages.
fn decode(pages: usize) -> Result<Duration, Failure> {
    let (api, body) = (requests::api()?, page(Shape::Records, Some("1")));
    timed(|| {
        for _ in 0..pages {
            drop(api.decode(&ListRecords::new(), Response::new(body.as_bytes()))?);
        }
        Ok(())
    })
}

fn against_python(table: &mut Table, url: &str, mut python: Sdk) -> Result<(), Failure> {
    /// Fewer calls than ours, since a call takes longer in Python.
    const CALLS: usize = 20;
    let targets = [36.0, 25.0, 33.0];
    let mut runs: Vec<Box<dyn FnMut() -> Result<Duration, Failure>>> = Vec::new();
    for transport in Transport::ALL {
        runs.push(turn(ours(transport, url)?, Call::Whoami));
    }
    runs.push(Box::new(move || python.whoami(CALLS)));
    let seconds = in_turns(ROUNDS / 2, &mut runs)?;
    let a_call = |times: &[f64], calls: usize| -> Vec<f64> {
        times.iter().map(|time| time / f64::from(u32::try_from(calls).unwrap_or(1))).collect()
    };
    let python = a_call(&seconds[3], CALLS);
    for ((transport, target), times) in Transport::ALL.into_iter().zip(targets).zip(&seconds) {
        let ours = a_call(times, calls(Call::Whoami));
        table.rows.push(Row::ratio(
            format!("calls a second, GET whoami over {} ÷ the Python SDK", transport.name()),
            Target::AtLeast(target),
            Figure::ratio(&python, &ours),
        ));
    }
    Ok(())
}

/// Returns a closure that makes the calls of one turn and times them.
fn turn(mut caller: Caller, call: Call) -> Box<dyn FnMut() -> Result<Duration, Failure>> {
    Box::new(move || {
        let start = Instant::now();
        caller.run(call, calls(call))?;
        Ok(start.elapsed())
    })
}
