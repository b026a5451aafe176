//! Reads a million records over a socket in a separate process.

use std::time::{Duration, Instant};

use oneclick_benches::callers::Failure;
use oneclick_benches::server::{self, PAGES};
use oneclick_proto::{Cursor, Limit, ListRecords};

use crate::report::{Figure, Row, Table, Target};
use crate::worker;

/// The number of pages in a turn.
const TURN: usize = 50;

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("1,000,000 records over a socket, in pages of 1,000");
    let url = server::start()?;
    let output = worker::command("walk").arg(&url).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (ratios, memory) = text.split_once('\n').ok_or("the worker printed no ratios")?;
    let ratios = ratios.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    table.rows.push(Row::ratio(
        "walking the list ÷ sending for each of its pages, time",
        Target::AtMost(1.05),
        Figure::of(ratios),
    ));
    match memory.trim().parse::<f64>() {
        Ok(growth) => table.rows.push(Row {
            what: "peak memory above that after the first page".to_owned(),
            target: Target::AtMost(16.0),
            figure: Figure::exact(growth),
            unit: " MiB",
        }),
        Err(_) => table.notes.push("This system does not report peak memory.".to_owned()),
    }
    Ok(table)
}

/// Walks the list. Prints the ratios of its turns, and the growth of peak memory in MiB.
pub(crate) fn worker(arguments: &[&str]) -> Result<(), Failure> {
    let [url] = arguments else { return Err("the worker `walk` needs a URL".into()) };
    let client = oneclick_ureq::Client::with_base_url(url, "test_benches")?;
    let request = || ListRecords::new().limit(Limit::of::<1000>());
    let mut records = client.records(request());
    let mut walk = |pages: usize| -> Result<Duration, Failure> {
        let start = Instant::now();
        for _ in 0..1_000 * pages {
            records.next().ok_or("the list ended early")??;
        }
        Ok(start.elapsed())
    };
    walk(1)?;
    let first = peak_memory();
    let mut ratios = Vec::new();
    for turn in 0..(PAGES - 1) / TURN {
        let walked = walk(TURN)?;
        let start = Instant::now();
        for page in 0..TURN {
            let cursor = Cursor::new((turn * TURN + page + 1).to_string());
            for record in client.send(request().cursor(cursor))?.items {
                drop(record);
            }
        }
        ratios.push((walked.as_secs_f64() / start.elapsed().as_secs_f64()).to_string());
    }
    walk((PAGES - 1) % TURN)?;
    if records.next().is_some() {
        return Err("the list did not end after its last page".into());
    }
    println!("{}", ratios.join(" "));
    if let (Some(first), Some(last)) = (first, peak_memory()) {
        println!("{}", (last - first) / 1024.0);
    }
    Ok(())
}

/// Returns the peak resident memory of this process in KiB.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
