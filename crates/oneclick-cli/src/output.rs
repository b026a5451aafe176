//! What is printed: rows in the form that was asked for, JSON, and progress.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oneclick_ureq::{
    CustomerRecord, CustomerSummary, ImpactId, Intent, Project, Record, RecordedMetadata, Redacted,
};
use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::failure::{Failure, moves, one_line, say};

/// What is printed of a row.
pub(crate) trait Row: Serialize {
    /// The columns of CSV, and what stands in them.
    const COLUMNS: &'static [&'static str];

    fn cells(&self) -> Vec<String>;

    /// The columns of a table, and what a person wants to see in them.
    const HEADINGS: &'static [&'static str];

    fn told(&self) -> Vec<String>;
}

impl Row for Record {
    const COLUMNS: &'static [&'static str] =
        &["user_id", "time_utc", "kind", "amount", "category", "metadata"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.user_id.to_string(),
            self.time_utc.to_string(),
            self.impact.kind.to_string(),
            self.impact.amount.to_string(),
            text(self.category.as_ref()),
            json_text(&self.metadata),
        ]
    }

    const HEADINGS: &'static [&'static str] = &["id", "impact", "category", "metadata"];

    fn told(&self) -> Vec<String> {
        vec![
            ImpactId::from(self).to_string(),
            self.impact.to_string(),
            text(self.category.as_ref()),
            pairs(&self.metadata),
        ]
    }
}

impl Row for CustomerRecord {
    const COLUMNS: &'static [&'static str] = &[
        "user_id",
        "time_utc",
        "kind",
        "amount",
        "customer_id",
        "customer_email",
        "customer_name",
        "category",
        "metadata",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.user_id.to_string(),
            self.time_utc.to_string(),
            self.impact.kind.to_string(),
            self.impact.amount.to_string(),
            self.customer.customer_id.clone(),
            self.customer.customer_email.as_str().to_owned(),
            personal(self.customer.customer_name.as_ref()),
            text(self.category.as_ref()),
            json_text(&self.metadata),
        ]
    }

    const HEADINGS: &'static [&'static str] =
        &["id", "impact", "customer", "name", "category", "metadata"];

    fn told(&self) -> Vec<String> {
        vec![
            ImpactId::from(self).to_string(),
            self.impact.to_string(),
            self.customer.customer_email.as_str().to_owned(),
            personal(self.customer.customer_name.as_ref()),
            text(self.category.as_ref()),
            pairs(&self.metadata),
        ]
    }
}

impl Row for CustomerSummary {
    const COLUMNS: &'static [&'static str] =
        &["customer_id", "customer_email", "customer_name", "onboarded_on"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.customer_id.clone(),
            self.customer_email.as_str().to_owned(),
            personal(self.customer_name.as_ref()),
            self.onboarded_on.to_string(),
        ]
    }

    const HEADINGS: &'static [&'static str] = &["id", "customer", "name", "since"];

    fn told(&self) -> Vec<String> {
        self.cells()
    }
}

impl Row for Project {
    const COLUMNS: &'static [&'static str] =
        &["project_id", "name", "type", "location", "organization", "available"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.project_id.clone(),
            self.name.clone(),
            self.project_type.to_string(),
            self.location.clone(),
            self.organization.clone(),
            self.available.to_string(),
        ]
    }

    const HEADINGS: &'static [&'static str] = &["id", "name", "type", "location"];

    fn told(&self) -> Vec<String> {
        let mut cells = self.cells();
        cells.truncate(4);
        cells
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn personal(value: Option<&Redacted>) -> String {
    value.map(|text| text.as_str().to_owned()).unwrap_or_default()
}

/// Metadata as JSON, or nothing if there is none.
fn json_text(metadata: &RecordedMetadata) -> String {
    if metadata.is_empty() {
        return String::new();
    }
    serde_json::to_string(metadata).unwrap_or_default()
}

/// Metadata for a reader, without the marker of an intent.
fn pairs(metadata: &RecordedMetadata) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = metadata.iter().filter(|(key, _)| *key != Intent::METADATA_KEY);
    pairs.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
}

/// Prints rows as they come, so that a long list needs little memory.
pub(crate) struct Rows {
    format: Format,
    output: BufWriter<StdoutLock<'static>>,
    /// Whether a terminal shows it.
    terminal: bool,
    /// Whether something was printed.
    begun: bool,
    /// How many rows cannot be read, and stand on standard error instead.
    missing: usize,
}

impl Rows {
    pub(crate) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self { format, output: BufWriter::new(stdout.lock()), terminal, begun: false, missing: 0 }
    }

    /// Prints the rows of a page, and has them arrive before it returns. A row that cannot
    /// be read stands as it is among the others of JSON, and elsewhere on standard error.
    pub(crate) fn print<R: Row>(&mut self, rows: &[R], malformed: &[Value]) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                if !rows.is_empty() {
                    print_table(&mut self.output, &table(rows, !self.begun))?;
                }
                self.begun = true;
            }
            Format::JsonLines | Format::Json => {
                rows.iter().try_for_each(|row| self.print_json(row))?;
                malformed.iter().try_for_each(|row| self.print_json(row))?;
            }
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(&mut self.output);
                if !std::mem::replace(&mut self.begun, true) {
                    csv.write_record(R::COLUMNS)?;
                }
                for row in rows {
                    let cells = row.cells().into_iter();
                    csv.write_record(cells.map(|cell| csv_cell(cell, self.terminal)))?;
                }
                csv.flush()?;
            }
        }
        self.output.flush()?;
        if matches!(self.format, Format::Table | Format::Csv) {
            self.missing += malformed.len();
            tell_malformed(malformed);
        }
        Ok(())
    }

    fn print_json(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        let before = match self.format {
            Format::Json if self.begun => ",\n",
            Format::Json => "[\n",
            _ => "",
        };
        let after = if self.format == Format::JsonLines { "\n" } else { "" };
        self.begun = true;
        let json = plain_json(serde_json::to_string(row))?;
        Ok(write!(self.output, "{before}{json}{after}")?)
    }

    /// Ends the list; a failure if a row is missing in it.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        if self.format == Format::Json {
            self.output.write_all(if self.begun { b"\n]\n" } else { b"[]\n" })?;
        }
        self.output.flush()?;
        none_missing(self.missing)
    }
}

/// Shows rows that cannot be read on standard error, even if quiet.
pub(crate) fn tell_malformed(rows: &[Value]) {
    for row in rows {
        say(&one_line(&format!("this row cannot be read: {row}")));
    }
}

/// What a list ends with in which so many rows are missing.
pub(crate) fn none_missing(rows: usize) -> Result<(), Failure> {
    if rows == 0 { Ok(()) } else { Err(Failure::MissingRows(rows)) }
}

/// A cell of CSV: as it is for a program that reads it, and at a terminal without what
/// that would obey. Names and metadata come from strangers.
fn csv_cell(cell: String, terminal: bool) -> String {
    if terminal { one_line(&cell) } else { cell }
}

fn table<R: Row>(rows: &[R], first: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    if first {
        table.set_header(R::HEADINGS);
    }
    for row in rows {
        // Names and metadata come from strangers.
        table.add_row(row.told().iter().map(|cell| one_line(cell)));
    }
    table
}

/// Prints names and what belongs to them, one below the other.
pub(crate) fn pairs_below(pairs: &[(&str, String)]) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for (name, value) in pairs {
        table.add_row([(*name).to_owned(), one_line(value)]);
    }
    print_table(&mut io::stdout(), &table)
}

/// Without the edges.
fn print_table(output: &mut impl Write, table: &Table) -> Result<(), Failure> {
    for line in table.lines() {
        let line = line.trim_end();
        writeln!(output, "{}", line.strip_prefix(' ').unwrap_or(line))?;
    }
    Ok(())
}

/// Prints text of this program's own.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    Ok(stdout.flush()?)
}

/// Prints a line.
pub(crate) fn line_out(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{}", one_line(line))?)
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = plain_json(serde_json::to_string_pretty(value))?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// The same JSON, with those characters escaped that JSON itself lets stand and a
/// terminal may obey. They stand in strings alone, so it is the same value, and is
/// printed so wherever it goes.
fn plain_json(text: serde_json::Result<String>) -> Result<String, Failure> {
    let text = text.map_err(|error| Failure::machine("the answer as JSON", error))?;
    // Between the values, line feeds are JSON's own.
    let obeyed = |char: char| char != '\n' && moves(char);
    if !text.contains(obeyed) {
        return Ok(text);
    }
    let escaped = |char: char| match char {
        char if obeyed(char) => format!("\\u{:04x}", u32::from(char)),
        char => char.to_string(),
    };
    Ok(text.chars().map(escaped).collect())
}

/// Something that turns on standard error, if that is a terminal.
pub(crate) fn spinner(quiet: bool, text: impl Into<String>) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text.into());
    if quiet {
        spinner.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// Tells something on standard error.
pub(crate) fn tell(quiet: bool, text: &str) {
    if !quiet {
        say(&one_line(text));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// What a terminal obeys: C0, DEL, C1, separators of lines, turns of direction.
    const OBEYED: &str = "\u{0}\t\n\r\u{1b}\u{7f}\u{80}\u{9b}\u{9f}\u{61c}\u{200e}\u{200f}\
                          \u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";

    #[test]
    fn json_is_the_same_value_without_anything_that_a_terminal_obeys() {
        let value = serde_json::json!({ "name": OBEYED, OBEYED: ["محمد 👩\u{200d}🌾"] });
        for text in [serde_json::to_string(&value), serde_json::to_string_pretty(&value)] {
            let plain = plain_json(text).unwrap();
            assert!(!plain.chars().any(|char| char != '\n' && moves(char)), "{plain}");
            assert!(plain.contains("\\u202e") && plain.contains("\\u009b"), "{plain}");
            assert!(plain.contains("محمد 👩\u{200d}🌾"), "{plain}");
            assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
        }
    }

    #[test]
    fn csv_is_byte_for_byte_the_data_but_at_a_terminal() {
        assert_eq!(csv_cell(OBEYED.to_owned(), false), OBEYED);
        let shown = csv_cell(OBEYED.to_owned(), true);
        assert!(shown.chars().all(|char| char == '\u{fffd}'), "{shown:?}");
        assert_eq!(shown.chars().count(), OBEYED.chars().count());
        let name = "Ada, 👩\u{200d}🌾";
        assert_eq!(csv_cell(name.to_owned(), true), name);
    }
}
