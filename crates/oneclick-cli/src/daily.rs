//! `oneclick daily`: a bar chart with a bar for each day.

use std::path::Path;

use chrono::Days;
use oneclick_ureq::{Day, Impact, ImpactKind, Totals};

use crate::args::Dates;
use crate::chart::{self, Bar, amount_text};
use crate::failure::Failure;
use crate::output::{self, printable};
use crate::session::Session;
use crate::values::grouped;

/// The most days that are shown: about ten years.
const MAX_DAYS: u32 = 3_660;

pub(crate) fn run(
    session: &Session,
    dates: &Dates,
    kind: Option<ImpactKind>,
    svg_file: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let response = session.client.daily_impact(dates.range()?)?;
    if json {
        let mut all = serde_json::json!(response);
        if let Some(days) = all["daily_impact"].as_array_mut() {
            days.extend(response.malformed);
        }
        return output::json(&all);
    }
    output::warn_of_malformed(&response.malformed);
    let Some(kind) = kind.or_else(|| busiest(&response.daily_impact)) else {
        output::notice(session.quiet, "no impact on these days");
        return output::check_complete(response.malformed.len());
    };
    let bars = bars(&response.daily_impact, &kind, dates)?;
    let total = bars.iter().fold(0, |total: i64, (_, amount)| total.saturating_add(*amount));
    let total = Impact::new(kind.clone(), total).to_string();
    let heading = match (bars.first(), bars.last()) {
        (Some((first, _)), Some((last, _))) => format!("{total}, {first} to {last}"),
        _ => total,
    };
    // First, since the reader of the bars may close the pipe.
    if let Some(path) = svg_file {
        chart::write(path, &printable(&heading), &bars, &kind)?;
    }
    output::line(&heading)?;
    for line in lines(&bars, &kind, width(), utf8()) {
        output::line(&line)?;
    }
    output::check_complete(response.malformed.len())
}

/// The kind with an amount on the most days.
fn busiest(days: &[Day]) -> Option<ImpactKind> {
    let mut counts = Totals::default();
    for (kind, amount) in days.iter().flat_map(|day| day.totals.iter()) {
        counts.add(kind, i64::from(amount != 0));
    }
    let max = counts.iter().map(|(_, count)| count).max().filter(|max| *max > 0)?;
    counts.iter().find(|(_, count)| *count == max).map(|(kind, _)| kind.clone())
}

/// Every day of the range; a day that the API leaves out is zero.
fn bars(days: &[Day], kind: &ImpactKind, dates: &Dates) -> Result<Vec<Bar>, Failure> {
    let mut amounts: Vec<Bar> = days.iter().map(|day| (day.date, day.totals.get(kind))).collect();
    amounts.sort_by_key(|(date, _)| *date);
    let Some(first) = dates.from.or_else(|| Some(amounts.first()?.0)) else { return Ok(amounts) };
    let Some(last) = dates.to.or_else(|| Some(amounts.last()?.0)) else { return Ok(amounts) };
    if (last - first).num_days() >= MAX_DAYS.into() {
        return Err(Failure::Usage(format!(
            "{first} to {last} is too long: at most {} days can be shown; choose a shorter range, \
             or use --json",
            grouped(MAX_DAYS.into()),
        )));
    }
    let mut amounts = amounts.into_iter().peekable();
    let mut bars = Vec::new();
    let mut date = first;
    while date <= last {
        let mut amount: i64 = 0;
        while let Some((_, more)) = amounts.next_if(|(day, _)| *day <= date) {
            amount = amount.saturating_add(more);
        }
        bars.push((date, amount));
        let Some(next) = date.checked_add_days(Days::new(1)) else { break };
        date = next;
    }
    Ok(bars)
}

/// A line for each day, no wider than `width` unless that is too narrow for a date and an
/// amount.
fn lines(bars: &[Bar], kind: &ImpactKind, width: usize, utf8: bool) -> Vec<String> {
    let texts: Vec<_> = bars.iter().map(|(_, amount)| amount_text(kind, *amount)).collect();
    let widest = texts.iter().map(String::len).max().unwrap_or(0);
    let max = bars.iter().map(|(_, amount)| *amount).max().unwrap_or(0).max(1);
    // A date, and two spaces on either side of the bar.
    let room = width.saturating_sub(10 + 2 + 2 + widest).max(1);
    let line = |((date, amount), text): (&Bar, &String)| {
        let bar = bar(*amount, max, room, utf8);
        format!("{date}  {bar}{}{text}", if bar.is_empty() { "" } else { "  " })
    };
    bars.iter().zip(&texts).map(line).collect()
}

/// A bar of at most `room` characters.
fn bar(amount: i64, max: i64, room: usize, utf8: bool) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let amount = amount.clamp(0, max);
    let eighths = i128::from(amount) * 8 * i128::try_from(room).unwrap_or(1) / i128::from(max);
    let eighths = usize::try_from(eighths).unwrap_or(0);
    // Even the smallest amount shows.
    let eighths = if amount > 0 { eighths.max(1) } else { 0 };
    if utf8 {
        "█".repeat(eighths / 8) + PARTS[eighths % 8]
    } else {
        "#".repeat(eighths.div_ceil(8))
    }
}

fn width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}

/// Whether the locale's encoding is UTF-8.
fn utf8() -> bool {
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = var("LC_ALL").or_else(|| var("LC_CTYPE")).or_else(|| var("LANG"));
    let locale = locale.unwrap_or_default().to_lowercase();
    cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2025, 1, day).unwrap()
    }

    fn day(number: u32, kind: ImpactKind, amount: i64) -> Day {
        let mut totals = Totals::zeros();
        totals.set(kind, amount);
        Day::new(date(number), totals)
    }

    #[test]
    fn days_that_the_api_leaves_out_are_zero() {
        let days = [day(5, ImpactKind::TreePlanted, 3), day(2, ImpactKind::TreePlanted, 1)];
        let range = |from, to| Dates { from, to };
        let amounts = |dates| -> Vec<i64> {
            let bars = bars(&days, &ImpactKind::TreePlanted, &dates).unwrap();
            bars.iter().map(|(_, amount)| *amount).collect()
        };
        assert_eq!(amounts(range(None, None)), [1, 0, 0, 3]);
        assert_eq!(amounts(range(Some(date(1)), Some(date(7)))), [0, 1, 0, 0, 3, 0, 0]);
        assert!(bars(&[], &ImpactKind::TreePlanted, &range(None, None)).unwrap().is_empty());
        let long = range(NaiveDate::from_ymd_opt(1, 1, 1), None);
        assert!(matches!(bars(&days, &ImpactKind::TreePlanted, &long), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_kind_with_the_most_days_is_shown() {
        let days = [
            day(1, ImpactKind::CarbonCaptured, 900),
            day(2, ImpactKind::TreePlanted, 1),
            day(3, ImpactKind::TreePlanted, 1),
        ];
        assert_eq!(busiest(&days), Some(ImpactKind::TreePlanted));
        assert_eq!(busiest(&days[..1]), Some(ImpactKind::CarbonCaptured));
        assert_eq!(busiest(&[Day::new(date(1), Totals::zeros())]), None);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_the_longest_bar_fills_it() {
        for kind in [ImpactKind::TreePlanted, ImpactKind::MoneyDonated] {
            for most in [1, 7, 100, i64::MAX] {
                for width in [30, 40, 80, 211] {
                    for utf8 in [true, false] {
                        let bars =
                            [(date(1), most), (date(2), 0), (date(3), most / 3), (date(4), -5)];
                        let lines = lines(&bars, &kind, width.max(45), utf8);
                        let widths: Vec<_> =
                            lines.iter().map(|line| line.chars().count()).collect();
                        assert!(widths.iter().all(|wide| *wide <= width.max(45)), "{lines:?}");
                    }
                }
            }
        }
        let bars = [(date(1), 8), (date(2), 0), (date(3), 1)];
        assert_eq!(
            lines(&bars, &ImpactKind::TreePlanted, 23, true),
            ["2025-01-01  ████████  8", "2025-01-02  0", "2025-01-03  █  1"],
        );
        assert_eq!(lines(&bars, &ImpactKind::TreePlanted, 23, false)[0], "2025-01-01  ########  8");
    }
}
