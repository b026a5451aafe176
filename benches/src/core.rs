//! Measures the core without a socket: decoding, and whole exchanges with the emulator
//! called as a function.

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::Utc;
use http::Response;
use oneclick_benches::bodies::{Shape, page};
use oneclick_benches::callers::Failure;
use oneclick_benches::requests;
use oneclick_emulator::Emulator;
use oneclick_proto::{Api, ListCustomerRecords, ListRecords};
use serde::de::IgnoredAny;

use crate::pin;
use crate::report::{Figure, Row, Table, Target, in_turns, timed};

const ROUNDS: usize = 100;
/// The number of pages in a turn.
const PAGES: usize = 20;

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("The core alone, time");
    pin::to_core(0);
    for (what, shape, most) in [
        ("decode 1,000 records ÷ skip them (`IgnoredAny`)", Shape::Records, 2.7),
        ("decode 1,000 customer records ÷ skip them", Shape::CustomerRecords, 3.0),
        ("decode 1,000 records with every field ÷ skip them", Shape::EveryField, 2.0),
    ] {
        let body = page(shape, Some("next"));
        let api = requests::api()?;
        let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure>>; 2] =
            [Box::new(|| skip(&body)), Box::new(|| decode(&api, shape, &body))];
        let seconds = in_turns(ROUNDS, &mut runs)?;
        let figure = Figure::ratio(&seconds[1], &seconds[0]);
        table.rows.push(Row::ratio(what, Target::AtMost(most), figure));
    }
    table.rows.push(derived()?);
    table.rows.push(Row {
        what: "encode → emulator function → decode of `plant_tree`, exchanges a second".to_owned(),
        target: Target::AtLeast(150_000.0),
        figure: exchanges()?,
        unit: "",
    });
    Ok(table)
}

fn skip(body: &str) -> Result<Duration, Failure> {
    timed(|| {
        for _ in 0..PAGES {
            black_box(serde_json::from_slice::<IgnoredAny>(black_box(body.as_bytes()))?);
        }
        Ok(())
    })
}

fn decode(api: &Api, shape: Shape, body: &str) -> Result<Duration, Failure> {
    timed(|| {
        for _ in 0..PAGES {
            let response = Response::new(black_box(body.as_bytes()));
            match shape {
                Shape::CustomerRecords => {
                    drop(black_box(api.decode(&ListCustomerRecords::new(), response)?));
                }
                Shape::Records | Shape::EveryField => {
                    drop(black_box(api.decode(&ListRecords::new(), response)?));
                }
            }
        }
        Ok(())
    })
}

/// The least work that serde can do to decode a page: it borrows text instead of copying it.
#[derive(serde::Deserialize)]
struct DerivedPage<'a> {
    #[serde(borrow)]
    user_records: Vec<DerivedRecord<'a>>,
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "the fields are decoded but never read")]
struct DerivedRecord<'a> {
    user_id: &'a str,
    time_utc: &'a str,
    tree_planted: Option<i64>,
    waste_removed: Option<i64>,
    carbon_captured: Option<i64>,
    money_donated: Option<i64>,
}

fn derived() -> Result<Row, Failure> {
    let body = page(Shape::Records, Some("next"));
    let derive = || {
        timed(|| {
            for _ in 0..PAGES {
                let page: DerivedPage<'_> = serde_json::from_str(black_box(&body))?;
                black_box(page.user_records);
            }
            Ok(())
        })
    };
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure>>; 2] =
        [Box::new(|| skip(&body)), Box::new(derive)];
    let seconds = in_turns(ROUNDS, &mut runs)?;
    let what = "derived structs of borrowed text instead, 1,000 records ÷ skip them";
    Ok(Row::ratio(what, Target::None, Figure::ratio(&seconds[1], &seconds[0])))
}

/// Measures how many purchases a second are encoded, made and decoded.
fn exchanges() -> Result<Figure, Failure> {
    const EXCHANGES: u32 = 20_000;
    let (api, plant_tree) = (requests::api()?, requests::plant_tree()?);
    let mut rates = Vec::new();
    for _ in 0..20 {
        let mut emulator = Emulator::default();
        let start = Instant::now();
        for _ in 0..EXCHANGES {
            let response = emulator.respond(&api.encode(&plant_tree)?, Utc::now());
            black_box(api.decode(&plant_tree, response)?);
        }
        rates.push(f64::from(EXCHANGES) / start.elapsed().as_secs_f64());
    }
    Ok(Figure::of(rates))
}
