//! Tabulates the instructions that `counts.rs` counts under valgrind.

use std::collections::HashMap;
use std::process::Command;

use oneclick_benches::callers::{Failure, Transport};
use serde_json::Value;

use crate::report::{Figure, Row, Table, Target};

/// The number of calls in one count, as in `counts.rs`.
const CALLS: f64 = 100.0;

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("Instructions");
    for tool in ["valgrind", "gungraun-runner"] {
        if Command::new(tool).arg("--version").output().is_err() {
            table.notes.push(format!("Skipped the counts: {tool} could not be run."));
            return Ok(table);
        }
    }
    let counts = Counts::run()?;
    let mut ratio = |what: &str, most, ours, baseline| -> Result<(), Failure> {
        let figure = Figure::exact(counts.get(ours)? / counts.get(baseline)?);
        table.rows.push(Row::ratio(what, Target::AtMost(most), figure));
        Ok(())
    };
    ratio(
        "decode 1,000 records ÷ skip them (`IgnoredAny`)",
        2.3,
        "decode_records.records",
        "skip.records",
    )?;
    ratio(
        "decode 1,000 customer records ÷ skip them",
        2.4,
        "decode_customer_records.customer_records",
        "skip.customer_records",
    )?;
    ratio(
        "encode `plant_tree` with a customer ÷ write the wire message by hand",
        1.8,
        "encode.plant_tree",
        "write_plant_tree.by_hand",
    )?;
    ratio(
        "encode `records` with six parameters ÷ write the wire message by hand",
        5.6,
        "encode.records",
        "write_records.by_hand",
    )?;
    for transport in Transport::ALL {
        let name = transport.name();
        let of = |whose| counts.get(&format!("call.{whose}_{name}"));
        table.rows.push(Row {
            what: format!("a call through the client − the same over bare {name}"),
            target: Target::AtMost(9_000.0),
            figure: Figure::exact((of("our")? - of("bare")?) / CALLS),
            unit: "",
        });
    }
    Ok(table)
}

/// Instructions by the name of the benchmark.
struct Counts(HashMap<String, f64>);

impl Counts {
    fn run() -> Result<Self, Failure> {
        let output = Command::new(env!("CARGO"))
            .args(["bench", "--quiet", "--package", "oneclick-benches", "--bench", "counts"])
            .args(["--features", "counts", "--", "--output-format=json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let summaries = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        let mut counts = HashMap::new();
        for summary in summaries {
            let summary = summary?;
            let text = |field: &str| summary[field].as_str().unwrap_or_default().to_owned();
            let name = format!("{}.{}", text("function_name"), text("id"));
            let instructions = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"];
            let count = instructions["values"]["new"].as_f64();
            counts.insert(name, count.ok_or("a summary of gungraun has no instruction count")?);
        }
        Ok(Self(counts))
    }

    fn get(&self, name: &str) -> Result<f64, Failure> {
        self.0.get(name).copied().ok_or_else(|| format!("there is no count for {name}").into())
    }
}
