//! Everything that is printed: tables, JSON, CSV, notices and progress.
//!
//! Names, metadata and messages come from strangers, so nothing that a terminal would
//! obey is printed on one.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::columns::Listed;
use crate::failure::Failure;

/// Prints rows as they arrive, so that a long list needs little memory.
pub(crate) struct Printer {
    format: Format,
    output: BufWriter<StdoutLock<'static>>,
    /// Whether standard output is a terminal.
    terminal: bool,
    /// Whether anything was printed.
    begun: bool,
    /// How many rows could not be read, and are on standard error instead.
    missing: usize,
    form: CsvForm,
}

/// The columns and cells of CSV.
#[derive(Clone, Debug, Default)]
pub(crate) struct CsvForm {
    /// The keys of the metadata that have a column.
    pub(crate) metadata: Vec<String>,
    /// Whether cells that a spreadsheet would run as a formula are left as they are.
    pub(crate) raw: bool,
}

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        Self {
            format,
            terminal: stdout.is_terminal(),
            output: BufWriter::new(stdout.lock()),
            begun: false,
            missing: 0,
            form: CsvForm::default(),
        }
    }

    /// Sets the columns and cells of CSV.
    pub(crate) fn csv_form(self, form: CsvForm) -> Self {
        Self { form, ..self }
    }

    /// Prints and flushes the rows of a page. A row that could not be read is printed as it
    /// came: with the others in JSON, otherwise on standard error.
    pub(crate) fn print<I: Listed>(
        &mut self,
        rows: &[I],
        malformed: &[Value],
    ) -> Result<(), Failure> {
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
                let mut columns = I::columns(&self.form.metadata);
                columns.retain(|column| column.csv.is_some());
                let cell = |cell: String| {
                    let cell = if self.form.raw { cell } else { guarded(&cell).into_owned() };
                    csv_cell(cell, self.terminal)
                };
                if !std::mem::replace(&mut self.begun, true) {
                    let names = columns.iter().filter_map(|column| column.csv.as_deref());
                    csv.write_record(names.map(|name| cell(name.to_owned())))?;
                }
                for row in rows {
                    csv.write_record(columns.iter().map(|column| cell((column.cell)(row))))?;
                }
                csv.flush()?;
            }
        }
        self.output.flush()?;
        if matches!(self.format, Format::Table | Format::Csv) {
            self.missing += malformed.len();
            warn_of_malformed(malformed);
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
        let json = escape_controls(serde_json::to_string(row))?;
        Ok(write!(self.output, "{before}{json}{after}")?)
    }

    /// Ends the list. Fails if a row is missing from it.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        if self.format == Format::Json {
            self.output.write_all(if self.begun { b"\n]\n" } else { b"[]\n" })?;
        }
        self.output.flush()?;
        check_complete(self.missing)
    }
}

/// Prints rows that could not be read on standard error, even if quiet.
pub(crate) fn warn_of_malformed(rows: &[Value]) {
    for row in rows {
        notice(false, &format!("could not read this row: {row}"));
    }
}

/// Fails if rows are missing from a list.
pub(crate) fn check_complete(missing: usize) -> Result<(), Failure> {
    if missing == 0 { Ok(()) } else { Err(Failure::MissingRows(missing)) }
}

/// A cell of CSV: unchanged for a program, and made printable for a terminal.
fn csv_cell(cell: String, terminal: bool) -> String {
    if terminal { printable(&cell) } else { cell }
}

/// A cell of CSV as a text, if a spreadsheet would take it for a formula. A negative number is none.
pub(crate) fn guarded(cell: &str) -> Cow<'_, str> {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_number = || {
        cell.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_formula && !is_number() { format!("'{cell}").into() } else { cell.into() }
}

/// Cents as dollars, without a sign of the currency.
pub(crate) fn dollars(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

fn table<I: Listed>(rows: &[I], first: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let mut columns = I::columns(&[]);
    columns.retain(|column| column.table.is_some());
    if first {
        table.set_header(columns.iter().filter_map(|column| column.table));
    }
    for row in rows {
        table.add_row(columns.iter().map(|column| printable(&(column.cell)(row))));
    }
    table
}

/// Prints names and their values, one pair a line.
pub(crate) fn name_value_table(pairs: &[(&str, String)]) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for (name, value) in pairs {
        table.add_row([(*name).to_owned(), printable(value)]);
    }
    print_table(&mut io::stdout(), &table)
}

/// Prints rows under these titles; at a terminal, no wider than it.
pub(crate) fn table_of<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(titles);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    print_table(&mut io::stdout(), &table)
}

/// Prints a table without its empty borders.
fn print_table(output: &mut impl Write, table: &Table) -> Result<(), Failure> {
    for line in table.lines() {
        let line = line.trim_end();
        writeln!(output, "{}", line.strip_prefix(' ').unwrap_or(line))?;
    }
    Ok(())
}

/// Prints bytes as they are: a script, or a page of the manual.
pub(crate) fn raw(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    Ok(stdout.flush()?)
}

/// Prints a line on standard output.
pub(crate) fn line(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{}", printable(line))?)
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = escape_controls(serde_json::to_string_pretty(value))?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Prints a value as JSON on a line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = escape_controls(serde_json::to_string(value))?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Escapes what a terminal would obey and JSON allows unescaped. Such characters occur in
/// strings only, so the value is the same, and it is printed so wherever it goes.
fn escape_controls(text: serde_json::Result<String>) -> Result<String, Failure> {
    let text =
        text.map_err(|error| Failure::machine("could not write the response as JSON", error))?;
    // JSON itself has line feeds between values.
    let obeyed = |char: char| char != '\n' && is_terminal_control(char);
    if !text.contains(obeyed) {
        return Ok(text);
    }
    let escaped = |char: char| match char {
        char if obeyed(char) => format!("\\u{:04x}", u32::from(char)),
        char => char.to_string(),
    };
    Ok(text.chars().map(escaped).collect())
}

/// A progress indicator on standard error, if that is a terminal.
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

/// A progress bar on standard error, if that is a terminal.
pub(crate) fn progress(quiet: bool, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = "{wide_bar} {human_pos} of {human_len} {msg} {elapsed}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Prints a notice on standard error, unless `quiet`.
pub(crate) fn notice(quiet: bool, text: &str) {
    if !quiet {
        stderr_line(&printable(text));
    }
}

/// Prints a line on standard error.
pub(crate) fn stderr_line(line: &str) {
    // If it cannot be printed, there is no other place to report that.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Replaces what a terminal would obey with U+FFFD.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if is_terminal_control(char) { '\u{fffd}' } else { char }).collect()
}

/// Whether a terminal obeys this character instead of showing it: a control character, a
/// line separator, or a change of the writing direction.
pub(crate) fn is_terminal_control(char: char) -> bool {
    const DIRECTIONS: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
        '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') || DIRECTIONS.contains(&char)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// C0, DEL and C1 controls, line separators, changes of direction.
    const CONTROLS: &str = "\u{0}\t\n\r\u{1b}\u{7f}\u{80}\u{9b}\u{9f}\u{61c}\u{200e}\u{200f}\
                          \u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";

    #[test]
    fn escaping_controls_leaves_the_json_value_unchanged() {
        let value = serde_json::json!({ "name": CONTROLS, CONTROLS: ["محمد 👩\u{200d}🌾"] });
        for text in [serde_json::to_string(&value), serde_json::to_string_pretty(&value)] {
            let escaped = escape_controls(text).unwrap();
            assert!(
                !escaped.chars().any(|char| char != '\n' && is_terminal_control(char)),
                "{escaped}"
            );
            assert!(escaped.contains("\\u202e") && escaped.contains("\\u009b"), "{escaped}");
            assert!(escaped.contains("محمد 👩\u{200d}🌾"), "{escaped}");
            assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
        }
    }

    #[test]
    fn csv_is_unchanged_for_a_program_and_printable_at_a_terminal() {
        assert_eq!(csv_cell(CONTROLS.to_owned(), false), CONTROLS);
        let shown = csv_cell(CONTROLS.to_owned(), true);
        assert!(shown.chars().all(|char| char == '\u{fffd}'), "{shown:?}");
        assert_eq!(shown.chars().count(), CONTROLS.chars().count());
        let name = "Ada, 👩\u{200d}🌾";
        assert_eq!(csv_cell(name.to_owned(), true), name);
    }

    #[test]
    fn printable_text_neither_moves_the_cursor_nor_changes_direction() {
        let text = printable("a\u{1b}b\u{9b}c\u{202e}d\u{2028}e");
        assert_eq!(text, "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e");
        // A joined emoji and a name in Arabic are left alone.
        assert_eq!(printable("👩\u{200d}🌾 محمد"), "👩\u{200d}🌾 محمد");
    }
}
