//! A monthly summary: what an account did in a year, month by month, as CSV.
//!
//! The API adds up days, so twelve months cost one call however many purchases there were.
//!
//! ```sh
//! cargo run --example monthly_summary
//! cargo test --example monthly_summary
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use chrono::{Datelike, NaiveDate};
use oneclick_emulator::{ManualClock, Server};
use oneclick_examples::Failure;
use oneclick_ureq::{Cents, Client, DateRange, Pounds, Trees};

fn main() -> Result<(), Failure> {
    // In your program: `Client::from_env()?`.
    let clock = ManualClock::new("2026-01-31T12:00:00Z".parse()?);
    let server = Server::builder().clock(clock.clone()).start()?;
    let client = Client::with_base_url(server.base_url(), "test_summary")?;
    buy_for_two_months(&client, &clock)?;
    summary(&client, 2026, io::stdout().lock())
}

fn buy_for_two_months(client: &Client, clock: &ManualClock) -> Result<(), Failure> {
    client.plant_tree(Trees::of::<5>())?;
    client.donate_money(Cents::of::<250>())?;
    clock.set("2026-02-01T00:00:00Z".parse()?);
    client.plant_tree(Trees::of::<2>())?;
    clock.set("2026-02-28T23:59:59Z".parse()?);
    client.clean_ocean(Pounds::of::<10>())?;
    client.plant_tree(Trees::of::<1>())?;
    Ok(())
}

/// Writes a row for each month of the year that has an impact, and a column for each kind.
fn summary(client: &Client, year: i32, output: impl Write) -> Result<(), Failure> {
    let day = |month, day| NaiveDate::from_ymd_opt(year, month, day);
    let (Some(first), Some(last)) = (day(1, 1), day(12, 31)) else {
        return Err(Failure::new("there is no such year"));
    };
    let days = client.daily_impact(DateRange::between(first, last)?)?;
    if !days.malformed.is_empty() {
        return Err(Failure::new("some days could not be read, so the sums would be too small"));
    }

    let mut months: BTreeMap<u32, BTreeMap<String, i64>> = BTreeMap::new();
    for day in &days.daily_impact {
        let month = months.entry(day.date.month()).or_default();
        for (kind, amount) in day.totals.iter().filter(|(_, amount)| *amount != 0) {
            *month.entry(kind.as_str().to_owned()).or_default() += amount;
        }
    }

    // A kind that this version does not know gets a column too.
    let kinds: BTreeSet<&String> = months.values().flat_map(BTreeMap::keys).collect();
    let mut csv = csv::Writer::from_writer(output);
    csv.write_field("month")?;
    csv.write_record(kinds.iter().map(|kind| kind.as_str()))?;
    for (month, amounts) in &months {
        csv.write_field(format!("{year:04}-{month:02}"))?;
        let amount = |kind: &&String| amounts.get(*kind).copied().unwrap_or_default().to_string();
        csv.write_record(kinds.iter().map(amount))?;
    }
    csv.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_month_has_what_was_done_in_it() {
        let clock = ManualClock::new("2026-01-31T12:00:00Z".parse().unwrap());
        let server = Server::builder().clock(clock.clone()).start().unwrap();
        let client = Client::with_base_url(server.base_url(), "test_summary").unwrap();
        buy_for_two_months(&client, &clock).unwrap();
        let year = |year| {
            let mut written = Vec::new();
            summary(&client, year, &mut written).unwrap();
            String::from_utf8(written).unwrap()
        };
        assert_eq!(
            year(2026),
            "month,money_donated,tree_planted,waste_removed\n\
             2026-01,250,5,0\n\
             2026-02,0,3,10\n"
        );
        assert_eq!(year(2025), "month\n");
    }
}
