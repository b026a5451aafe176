//! Parsers for the values on the command line.
//!
//! An error says what was expected. clap puts what was typed, and for which option,
//! in front of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{Datelike, Months, NaiveDate, Utc};
use clap::builder::{
    OsStringValueParser, PathBufValueParser, PossibleValuesParser, TypedValueParser,
};
use oneclick_outbox::Status;
use oneclick_ureq::{
    Category, Cents, Cursor, Fragments, ImpactId, InvalidValue, Limit, Pounds, Reason, Trees,
};

use crate::args;
use crate::outbox::Place;
use crate::output::is_terminal_control;

pub(crate) fn trees(text: &str) -> Result<Trees, String> {
    whole_number(text, "trees", Trees::MIN, Trees::MAX, Trees::new)
}

pub(crate) fn pounds(text: &str) -> Result<Pounds, String> {
    whole_number(text, "pounds", Pounds::MIN, Pounds::MAX, Pounds::new)
}

pub(crate) fn fragments(text: &str) -> Result<Fragments, String> {
    whole_number(text, "coral fragments", Fragments::MIN, Fragments::MAX, Fragments::new)
}

pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    whole_number(text, "rows", Limit::MIN, Limit::MAX, Limit::new)
}

pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    whole_number(text, "seconds", 0, u32::MAX.into(), u32::try_from)
}

pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// How many purchases are made at a time.
pub(crate) fn parallel(text: &str) -> Result<usize, String> {
    let new = |number| usize::try_from(number).ok().filter(|number| (1..=32).contains(number));
    whole_number(text, "purchases", 1, 32, |number| new(number).ok_or(()))
}

/// The most that may be bought, which may be more than one purchase can have, or nothing.
pub(crate) fn ceiling(text: &str) -> Result<u64, String> {
    number(text).ok_or_else(|| "expected a whole number, such as 1,000".to_owned())
}

/// The same in US dollars, as cents.
pub(crate) fn dollar_ceiling(text: &str) -> Result<u64, String> {
    in_cents(text).ok_or_else(|| {
        "expected US dollars, with two decimals or none, such as 1,000.50 or 5".to_owned()
    })
}

/// US dollars with two decimals or none, as cents.
fn in_cents(text: &str) -> Option<u64> {
    let (dollars, cents) = text.split_once('.').unwrap_or((text, "00"));
    let cents = digits(cents).filter(|_| cents.len() == 2)?;
    number(dollars)?.checked_mul(100)?.checked_add(cents)
}

/// US dollars, with two decimals or none.
pub(crate) fn dollars(text: &str) -> Result<Cents, String> {
    in_cents(text).and_then(|total| Cents::new(total).ok()).ok_or_else(|| {
        let in_dollars = |cents| format!("{}.{:02}", grouped(cents / 100), cents % 100);
        format!(
            "expected US dollars from {} to {}, with two decimals or none, such as 5.25 or 5",
            in_dollars(Cents::MIN),
            in_dollars(Cents::MAX),
        )
    })
}

fn whole_number<T, E>(
    text: &str,
    unit: &str,
    min: u64,
    max: u64,
    new: impl Fn(u64) -> Result<T, E>,
) -> Result<T, String> {
    number(text).and_then(|number| new(number).ok()).ok_or_else(|| {
        let (min, max) = (grouped(min), grouped(max));
        let misplaced = text.contains(',') && number(text).is_none();
        let hint = if misplaced { "; commas separate thousands, as in 1,000" } else { "" };
        format!("expected a whole number of {unit} from {min} to {max}{hint}")
    })
}

/// Digits, with or without commas between all thousands.
fn number(text: &str) -> Option<u64> {
    let (first, thousands) = text.split_once(',').unwrap_or((text, ""));
    let grouped = first.len() <= 3 && thousands.split(',').all(|group| group.len() == 3);
    if text.contains(',') && !grouped {
        return None;
    }
    digits(first)?;
    digits(&text.replace(',', ""))
}

fn digits(text: &str) -> Option<u64> {
    // Rust's parser accepts a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

pub(crate) fn day(text: &str) -> Result<NaiveDate, String> {
    // The API's dates have four digits for the year.
    let day = text.parse().ok().filter(|day: &NaiveDate| (0..=9999).contains(&day.year()));
    day.ok_or_else(|| {
        "expected a calendar date in the form YYYY-MM-DD, such as 2025-01-31".to_owned()
    })
}

/// The first day of what the text names: a day, a month or a year.
pub(crate) fn first_day(text: &str) -> Result<NaiveDate, String> {
    days(text, Utc::now().date_naive()).map(|(first, _)| first)
}

/// The last day of what the text names.
pub(crate) fn last_day(text: &str) -> Result<NaiveDate, String> {
    days(text, Utc::now().date_naive()).map(|(_, last)| last)
}

/// The first and the last day of what the text names.
fn days(text: &str, today: NaiveDate) -> Result<(NaiveDate, NaiveDate), String> {
    if let Ok(day) = day(text) {
        return Ok((day, day));
    }
    let this_month = today.with_day(1);
    let this_year = today.with_ordinal(1);
    let found = match text.to_lowercase().replace(['-', '_'], " ").as_str() {
        "today" => Some((today, today)),
        "yesterday" => today.pred_opt().map(|day| (day, day)),
        "this month" => this_month.and_then(month),
        "last month" => this_month.and_then(|day| month(day.checked_sub_months(Months::new(1))?)),
        "this year" => this_year.and_then(year),
        "last year" => this_year.and_then(|day| year(day.checked_sub_months(Months::new(12))?)),
        _ => match text.len() {
            7 => day(&format!("{text}-01")).ok().and_then(month),
            4 => day(&format!("{text}-01-01")).ok().and_then(year),
            _ => None,
        },
    };
    found.ok_or_else(|| {
        "expected a day, a month or a year, such as 2025-01-31 (YYYY-MM-DD), 2025-01, 2025, \
         today, yesterday, 'last month' or 'this year'"
            .to_owned()
    })
}

/// The month that begins with this day.
fn month(first: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    Some((first, first.checked_add_months(Months::new(1))?.pred_opt()?))
}

/// The year that begins with this day.
fn year(first: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    Some((first, first.checked_add_months(Months::new(12))?.pred_opt()?))
}

pub(crate) fn impact_id(text: &str) -> Result<ImpactId, String> {
    text.parse().map_err(|_| {
        "expected the id that a purchase printed, such as U123-2025-03-12T15:22:14.753Z".to_owned()
    })
}

/// The id of a project, which becomes a segment of a path.
pub(crate) fn project_id(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("expected an id that `oneclick projects` lists".to_owned()),
        id => Ok(id.to_owned()),
    }
}

pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8787".to_owned())
}

pub(crate) fn svg_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let is_svg = path.extension().is_some_and(|extension| extension == "svg");
        is_svg.then_some(path).ok_or("expected a file name that ends in .svg")
    })
}

/// One of the API's names that this version knows, listed in the help.
pub(crate) fn one_of<T>(
    known: &'static [T],
    name: fn(&'static T) -> &'static str,
) -> impl TypedValueParser<Value = T>
where
    T: for<'a> From<&'a str> + Clone + Send + Sync,
{
    PossibleValuesParser::new(known.iter().map(name)).map(|name| T::from(&name))
}

/// A status of an intent in an outbox.
pub(crate) fn status() -> impl TypedValueParser<Value = Status> {
    let names = Status::ALL.iter().map(|status| status.as_str());
    PossibleValuesParser::new(names).try_map(|name| {
        let mut all = Status::ALL.iter();
        all.find(|status| status.as_str() == name).copied().ok_or("expected a status")
    })
}

/// Where an outbox is.
pub(crate) fn place() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(|text| {
        if text.is_empty() {
            return Err("expected a file or a postgres:// URL (got nothing)");
        }
        Ok(Place::from_argument(&text))
    })
}

/// Text that is not an option: in `--intent $ORDER --yes` with an empty variable, every
/// order would be the intent `--yes`.
pub(crate) fn text(text: &str) -> Result<String, String> {
    if text.starts_with('-') && is_option(text) {
        return Err(format!("{text} is an option: is the value before it missing?"));
    }
    Ok(text.to_owned())
}

/// Whether this is an option of any command, or several short ones.
fn is_option(text: &str) -> bool {
    let cli = args::command();
    let nested = || cli.get_subcommands().flat_map(clap::Command::get_subcommands);
    let commands = || std::iter::once(&cli).chain(cli.get_subcommands()).chain(nested());
    let mut arguments = commands().flat_map(clap::Command::get_arguments);
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        return matches!(name, "" | "help" | "version")
            || arguments.any(|argument| argument.get_long() == Some(name));
    }
    let shorts: Vec<_> = arguments.filter_map(clap::Arg::get_short).chain(['h', 'V']).collect();
    text.len() > 1 && text.chars().skip(1).all(|char| shorts.contains(&char))
}

/// The name of an intent. Two names that look alike would be two purchases.
pub(crate) fn intent(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("expected a name that is not empty".to_owned());
    }
    let code_point = |char: char| format!("U+{:04X}", u32::from(char));
    if let Some(char) = name.chars().find(|char| is_invisible(*char)) {
        let char = code_point(char);
        return Err(format!("expected a name without {char}, which is invisible: remove it"));
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Err("expected a name that neither begins nor ends with a space".to_owned());
    }
    text(name)
}

/// Whether a character is not seen, or looks like a space and is none.
fn is_invisible(char: char) -> bool {
    let blank = char.is_whitespace() && char != ' ';
    // Unicode's characters that are ignored where a font has none for them, and the blank
    // one of braille.
    let ignored = matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    blank || ignored || is_terminal_control(char)
}

pub(crate) fn pair(pair: &str) -> Result<(String, String), String> {
    let pair = text(pair)?;
    let (key, value) = pair.split_once('=').ok_or("expected KEY=VALUE, such as order=A-1001")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(crate) fn cause(name: &str) -> Result<Category, String> {
    text(name).map(|name| Category::from(name.as_str()))
}

pub(crate) fn reason(reason: &str) -> Result<Reason, String> {
    Reason::new(text(reason)?).map_err(|error| match error {
        InvalidValue::TooLong { characters, max, .. } => {
            format!("expected at most {max} characters (got {characters})")
        }
        error => error.to_string(),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a value parser")]
pub(crate) fn cursor(text: &str) -> Result<Cursor, String> {
    Ok(Cursor::new(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn dollars_become_cents_without_rounding() {
        for (text, cents) in [
            ("5", 500),
            ("5.00", 500),
            ("0.01", 1),
            ("0.29", 29),
            ("10.10", 1_010),
            ("1,234.56", 123_456),
            ("10,000,000.00", 1_000_000_000),
        ] {
            assert_eq!(dollars(text).unwrap().get(), cents, "{text}");
        }
        for text in [
            "",
            ".",
            "5.",
            ".5",
            "5.0",
            "5.001",
            "-1",
            "+1",
            "1e3",
            "5,00",
            "5.+1",
            "$5",
            "0",
            "0.00",
            "10000000.01",
            "99999999999999999999",
        ] {
            let error = dollars(text).unwrap_err();
            assert!(error.contains("from 0.01 to 10,000,000.00"), "{text}: {error}");
        }
    }

    #[test]
    fn commas_separate_thousands_and_nothing_else() {
        for (text, number) in
            [("1", 1), ("007", 7), ("1000", 1_000), ("1,000", 1_000), ("1,234,567", 1_234_567)]
        {
            assert_eq!(super::number(text), Some(number), "{text}");
        }
        for text in [
            "",
            ",",
            "1,",
            ",1",
            ",000",
            "1,00",
            "1,0000",
            "1000,000",
            "1,000,",
            "1,,000",
            "+1",
            "-1",
            "1.5",
            "1 000",
            "x",
            "18446744073709551616",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!([1, 999, 1_000, 10_000_000].map(grouped), ["1", "999", "1,000", "10,000,000"]);
    }

    #[test]
    fn a_day_has_a_year_of_four_digits() {
        assert_eq!(day("2025-01-31").unwrap().to_string(), "2025-01-31");
        for text in ["", "31.1.2025", "2025-02-30", "+12025-01-01", "today"] {
            assert!(day(text).unwrap_err().contains("YYYY-MM-DD"), "{text}");
        }
    }

    #[test]
    fn months_years_and_words_name_their_first_and_last_day() {
        let today = day("2024-03-01").unwrap();
        for (text, first, last) in [
            ("2023-05-07", "2023-05-07", "2023-05-07"),
            ("2024-02", "2024-02-01", "2024-02-29"),
            ("2025-12", "2025-12-01", "2025-12-31"),
            ("2023", "2023-01-01", "2023-12-31"),
            ("today", "2024-03-01", "2024-03-01"),
            ("Yesterday", "2024-02-29", "2024-02-29"),
            ("this month", "2024-03-01", "2024-03-31"),
            ("last-month", "2024-02-01", "2024-02-29"),
            ("this year", "2024-01-01", "2024-12-31"),
            ("last year", "2023-01-01", "2023-12-31"),
        ] {
            assert_eq!(days(text, today), Ok((day(first).unwrap(), day(last).unwrap())), "{text}");
        }
        for text in ["", "2024-13", "24-01", "+2024", "202", "tomorrow", "last", "2024-1", "20 4"] {
            assert!(days(text, today).unwrap_err().contains("YYYY-MM-DD"), "{text}");
        }
    }

    #[test]
    fn text_may_begin_with_a_hyphen_but_is_not_an_option() {
        for value in ["", "-", "-1", "-vQ==", "-Ada", "--no-such-option", "order--yes", "-ada"] {
            assert!(text(value).is_ok(), "{value}");
        }
        for option in [
            "--",
            "--yes",
            "-y",
            "-qy",
            "-v",
            "-h",
            "-V",
            "--silent",
            "--settle=5",
            "--for",
            "--json",
            "--base-url=x",
            "--all",
            "--help",
            "--version",
        ] {
            assert!(text(option).unwrap_err().contains(option), "{option}");
            assert!(intent(option).is_err() && reason(option).is_err() && cause(option).is_err());
        }
        assert!(pair("--settle=5").is_err() && pair("-a=-b").is_ok() && intent("").is_err());
    }
}
