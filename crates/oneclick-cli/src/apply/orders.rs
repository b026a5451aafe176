//! The file of `oneclick apply`: each line becomes a purchase, or a problem with its number.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use chrono::NaiveDate;
use csv::{ByteRecord, ReaderBuilder};
use oneclick_ureq::{
    CaptureCarbon, Category, CleanOcean, Customer, DonateMoney, Email, InvalidValue, Metadata,
    PlantTree, Purchase, RestoreCoral, TreeCategory,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::values;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// The most characters of a key, as for `oneclick outbox serve`.
const MAX_KEY: usize = 255;
/// How many characters of a cell a message shows.
const SHOWN: usize = 40;

/// The columns, apart from those that begin with [`METADATA`].
const COLUMNS: [&str; 7] = ["key", "action", "amount", "email", "name", "category", "date"];
/// Those that every file must have.
const REQUIRED: usize = 3;
/// What the name of a column with metadata begins with.
const METADATA: &str = "metadata.";

/// A line of the file.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) key: String,
    pub(super) purchase: Purchase,
    /// The day from which on it may be bought.
    pub(super) date: Option<NaiveDate>,
}

/// What is wrong with a line.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    pub(super) line: u64,
    pub(super) problem: String,
}

/// The lines of a file, in their order.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) lines: Vec<Line>,
    pub(super) problems: Vec<Problem>,
}

impl Orders {
    /// Reads a file. Customers get no e-mails if it is `silent`.
    pub(super) fn read(path: &Path, silent: bool) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    Failure::Usage(format!("there is no {}", path.display()))
                }
                _ => Failure::machine(format!("could not read {}", path.display()), error),
            })?;
        if bytes.len() as u64 > MAX_FILE {
            let megabytes = MAX_FILE >> 20;
            let text = format!("{} is larger than {megabytes} MiB: split it", path.display());
            return Err(Failure::Usage(text));
        }
        let parsed = Self::parse(&bytes, silent);
        parsed.map_err(|problem| Failure::Usage(format!("{}: {problem}", path.display())))
    }

    fn parse(bytes: &[u8], silent: bool) -> Result<Self, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err("it is UTF-16: save it as UTF-8".to_owned());
        }
        let mut records = Records::new(bytes);
        let Some(header) = records.next() else {
            return Err(format!("it is empty: expected the columns {}", known()));
        };
        let header = header.text().map_err(|problem| format!("line 1: {problem}"))?;
        let columns = Columns::of(&header)?;
        let (mut orders, mut keys) = (Self::default(), HashMap::new());
        for record in records {
            let number = record.line;
            let line = record.text().and_then(|cells| columns.line(number, &cells, silent));
            let line = line.and_then(|line| match keys.get(&line.key) {
                Some(first) => Err(format!("key: line {first} has the same one")),
                None => Ok(line),
            });
            match line {
                Ok(line) => {
                    keys.insert(line.key.clone(), number);
                    orders.lines.push(line);
                }
                Err(problem) => orders.problems.push(Problem { line: number, problem }),
            }
        }
        Ok(orders)
    }
}

/// The records of a CSV file that are not empty.
struct Records<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    /// Up to where line breaks were counted, and the number of the line there.
    counted: usize,
    line: u64,
}

/// A record as it stands in the file.
struct Record<'a> {
    /// The number of its first line.
    line: u64,
    raw: &'a [u8],
    cells: ByteRecord,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        Self { bytes, reader, counted: 0, line: 1 }
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    /// The number of the line at this byte. The reader's own number is that of an earlier line
    /// after empty lines and after `\r\n`.
    fn line_at(&mut self, at: usize) -> u64 {
        let passed = self.bytes.get(self.counted..at).unwrap_or_default();
        let breaks = passed.iter().enumerate().filter(|(index, byte)| match byte {
            b'\n' => true,
            b'\r' => self.bytes.get(self.counted + index + 1) != Some(&b'\n'),
            _ => false,
        });
        self.line += breaks.count() as u64;
        self.counted = at;
        self.line
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let (before, mut cells) = (self.offset(), ByteRecord::new());
            // Reading from memory does not fail, and records of any length are allowed.
            if !self.reader.read_byte_record(&mut cells).unwrap_or(false) {
                return None;
            }
            let raw = self.bytes.get(before..self.offset()).unwrap_or_default();
            let breaks = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let line = self.line_at(before + breaks);
            if cells.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                return Some(Record { line, raw, cells });
            }
        }
    }
}

impl Record<'_> {
    /// The cells as text.
    fn text(&self) -> Result<Vec<String>, String> {
        // The rest of the file would be one cell.
        if self.raw.iter().fold(false, |is_open, byte| is_open ^ (*byte == b'"')) {
            return Err("a quotation mark has no counterpart: write \"\" for one in a quoted cell"
                .to_owned());
        }
        if self.raw.contains(&0) {
            return Err("it has a NUL character: remove it".to_owned());
        }
        let text = |cell: &[u8]| String::from_utf8(cell.to_vec());
        let cells: Result<_, _> = self.cells.iter().map(text).collect();
        cells.map_err(|_| "it is not UTF-8: save the file as UTF-8".to_owned())
    }
}

/// Where each column is.
struct Columns {
    at: [Option<usize>; COLUMNS.len()],
    /// The keys of metadata with their columns.
    metadata: Vec<(String, usize)>,
    count: usize,
}

impl Columns {
    fn of(header: &[String]) -> Result<Self, String> {
        let mut columns =
            Self { at: [None; COLUMNS.len()], metadata: Vec::new(), count: header.len() };
        if let [only] = header {
            if let Some(separator) = only.chars().find(|char| matches!(char, ';' | '\t')) {
                let name = if separator == ';' { "semicolons" } else { "tabs" };
                return Err(format!("its columns are separated by {name}: save it with commas"));
            }
        }
        for (at, name) in header.iter().enumerate() {
            let name = name.trim();
            let twice = || format!("the column {} is there twice", shown(name));
            let known = COLUMNS.iter().position(|column| *column == name);
            if let Some(known) = known {
                if columns.at.get_mut(known).and_then(|column| column.replace(at)).is_some() {
                    return Err(twice());
                }
            } else if let Some(key) = name.strip_prefix(METADATA) {
                if columns.metadata.iter().any(|(other, _)| other == key) {
                    return Err(twice());
                }
                columns.metadata.push((key.to_owned(), at));
            } else {
                return Err(format!(
                    "the column {} is not known: expected {}",
                    shown(name),
                    self::known(),
                ));
            }
        }
        let all = COLUMNS.iter().zip(columns.at).take(REQUIRED);
        let missing = all.filter(|(_, at)| at.is_none()).map(|(name, _)| *name);
        match missing.collect::<Vec<_>>().join(" and ") {
            missing if missing.is_empty() => Ok(columns),
            missing => Err(format!("the column {missing} is missing: expected {}", known())),
        }
    }

    /// The purchase of a line.
    fn line(&self, number: u64, cells: &[String], silent: bool) -> Result<Line, String> {
        if cells.len() != self.count {
            return Err(format!("expected {} cells (got {})", self.count, cells.len()));
        }
        let cell = |at: &Option<usize>| at.and_then(|at| cells.get(at)).map_or("", String::as_str);
        let [key, action, amount, email, name, category, date] = self.at.each_ref().map(cell);
        let [action, amount, email, category, date] =
            [action, amount, email, category, date].map(str::trim);

        let characters = key.chars().count();
        if characters > MAX_KEY {
            return Err(format!("key: expected at most {MAX_KEY} characters (got {characters})"));
        }
        let key = values::intent(key).map_err(|problem| format!("key: {problem}"))?;
        let customer = customer(email, name)?;
        let notify = (silent && customer.is_some()).then_some(false);
        let metadata = self.metadata.iter().map(|(key, at)| (key.as_str(), cell(&Some(*at))));
        let metadata = Metadata::from_pairs(metadata.filter(|(_, value)| !value.is_empty()));
        let metadata = metadata.map_err(|invalid| match invalid {
            InvalidValue::Metadata { reason, .. } => format!("metadata: {reason}"),
            invalid => format!("metadata: {invalid}"),
        })?;

        let of_amount = |problem| format!("amount: {problem} (got {})", shown(amount));
        let number_in = |units: &[&str]| number_in(amount, units).map_err(of_amount);
        let no_category = |purchase: Purchase| match category {
            "" => Ok(purchase),
            _ => Err("category: only plant_tree and donate_money take one".to_owned()),
        };
        let purchase = match action {
            "plant" | "plant_tree" => {
                let trees = number_in(&["trees", "tree"])?;
                let mut plant = PlantTree::new(values::trees(trees).map_err(of_amount)?);
                plant.category = match category {
                    "" => None,
                    "food" => Some(TreeCategory::Food),
                    _ => return Err(format!("category: expected food (got {})", shown(category))),
                };
                (plant.customer, plant.notify) = (customer, notify);
                plant.into()
            }
            "clean" | "clean_ocean" => {
                let pounds = values::pounds(number_in(&POUNDS)?).map_err(of_amount)?;
                let mut clean = CleanOcean::new(pounds);
                (clean.customer, clean.notify) = (customer, notify);
                no_category(clean.into())?
            }
            "capture" | "capture_carbon" => {
                let pounds = values::pounds(number_in(&POUNDS)?).map_err(of_amount)?;
                let mut capture = CaptureCarbon::new(pounds);
                (capture.customer, capture.notify) = (customer, notify);
                no_category(capture.into())?
            }
            "donate" | "donate_money" => {
                let dollars = number_in(&["dollars", "dollar", "usd"])?;
                let dollars = dollars.strip_prefix('$').unwrap_or(dollars);
                let mut donate = DonateMoney::new(values::dollars(dollars).map_err(of_amount)?);
                donate.category = (!category.is_empty()).then(|| Category::from(category));
                (donate.customer, donate.notify) = (customer, notify);
                donate.into()
            }
            "restore" | "restore_coral" => {
                let fragments = number_in(&["fragments", "fragment"])?;
                let fragments = values::fragments(fragments).map_err(of_amount)?;
                let mut restore = RestoreCoral::new(fragments);
                (restore.customer, restore.notify) = (customer, notify);
                no_category(restore.into())?
            }
            _ => {
                return Err(format!(
                    "action: expected plant_tree, clean_ocean, capture_carbon, donate_money or \
                     restore_coral, or plant, clean, capture, donate or restore (got {})",
                    shown(action),
                ));
            }
        };
        let date = match date {
            "" => None,
            date => {
                let wrong = |problem| format!("date: {problem} (got {})", shown(date));
                Some(values::day(date).map_err(wrong)?)
            }
        };
        Ok(Line { number, key, purchase: purchase.with_metadata(metadata), date })
    }
}

const POUNDS: [&str; 4] = ["pounds", "pound", "lbs", "lb"];

fn customer(email: &str, name: &str) -> Result<Option<Customer>, String> {
    if email.is_empty() {
        return match name {
            "" => Ok(None),
            _ => Err("name: only a customer with an e-mail address has one".to_owned()),
        };
    }
    let email: Email = email.parse().map_err(|invalid| match invalid {
        InvalidValue::Email { reason, .. } => format!("email: {reason}"),
        invalid => format!("email: {invalid}"),
    })?;
    let customer = Customer::from(email);
    Ok(Some(if name.is_empty() { customer } else { customer.name(name) }))
}

/// The number in an amount, which its unit may follow.
fn number_in<'a>(amount: &'a str, units: &[&str]) -> Result<&'a str, String> {
    let Some(at) = amount.find(|char: char| char.is_ascii_alphabetic()) else { return Ok(amount) };
    let (number, unit) = amount.split_at(at);
    if units.iter().any(|known| unit.eq_ignore_ascii_case(known)) {
        return Ok(number.trim_end());
    }
    Err(format!("expected a number of {}", units.first().unwrap_or(&"units")))
}

/// The known columns, for a message.
fn known() -> String {
    format!("{} and {METADATA}NAME", COLUMNS.join(", "))
}

/// A cell for a message: its beginning, if it is long.
fn shown(cell: &str) -> String {
    match cell.char_indices().nth(SHOWN) {
        _ if cell.is_empty() => "nothing".to_owned(),
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn numbers(text: &str) -> Vec<u64> {
        let orders = Orders::parse(text.as_bytes(), false).unwrap();
        assert!(orders.problems.is_empty(), "{:?}", orders.problems);
        orders.lines.iter().map(|line| line.number).collect()
    }

    fn problems(text: &str) -> Vec<(u64, String)> {
        let orders = Orders::parse(text.as_bytes(), false).unwrap();
        orders.problems.into_iter().map(|problem| (problem.line, problem.problem)).collect()
    }

    #[test]
    fn a_line_has_the_number_that_an_editor_shows() {
        let text = "key,action,amount,metadata.note\n\
                    a,plant,1,\"two\nlines\"\n\
                    \n\
                    b,plant,1,\n\
                    ,,,\n\
                    c,plant,1,x";
        assert_eq!(numbers(text), [2, 5, 7]);
        assert_eq!(numbers(&text.replace('\n', "\r\n")), [2, 5, 7]);
        assert_eq!(numbers(&text.replace('\n', "\r")), [2, 5, 7]);
        assert_eq!(numbers(&format!("\u{feff}\n\n{text}\n\n")), [4, 7, 9]);
    }

    #[test]
    fn a_quotation_mark_without_a_counterpart_swallows_no_line() {
        let text = "key,action,amount,metadata.note\na,plant,1,\"open\nb,plant,1,\n";
        let [(2, problem)] = &problems(text)[..] else { panic!("{:?}", problems(text)) };
        assert!(problem.contains("quotation mark"), "{problem}");
        let closed = "key,action,amount,metadata.note\na,plant,1,\"5\"\" pot\"\nb,plant,1,\n";
        assert_eq!(numbers(closed), [2, 3]);
    }

    #[test]
    fn an_amount_may_have_the_unit_of_its_action() {
        for (action, amount, expected) in [
            ("plant", "\"1,000 trees\"", "1000 trees planted"),
            ("plant_tree", "1 tree", "1 tree planted"),
            ("clean", "5lb", "5 lbs of plastic out of the ocean"),
            ("capture_carbon", "5 Pounds", "5 lbs of CO2 captured"),
            ("donate", "$5.25", "$5.25 donated"),
            ("donate", "5 USD", "$5.00 donated"),
            ("restore", "3 fragments", "3 coral fragments restored"),
        ] {
            let text = format!("key,action,amount\na,{action},{amount}\n");
            let orders = Orders::parse(text.as_bytes(), false).unwrap();
            assert!(orders.problems.is_empty(), "{:?}", orders.problems);
            assert_eq!(orders.lines[0].purchase.impact().to_string(), expected);
        }
        for (action, amount) in [
            ("plant", "5 lb"),
            ("plant", "2.5"),
            ("plant", "$5"),
            ("plant", "5e3"),
            ("plant", "5 trees 6"),
            ("clean", "1.5 lb"),
            ("clean", "2 kg"),
            ("donate", "5 cents"),
            ("donate", "5.255"),
            ("donate", "$$5"),
            ("restore", "0"),
            ("restore", ""),
        ] {
            let text = format!("key,action,amount\na,{action},{amount}\n");
            let [(2, problem)] = &problems(&text)[..] else { panic!("{amount}") };
            assert!(problem.starts_with("amount: expected "), "{problem}");
        }
    }

    #[test]
    fn each_bad_line_is_named_with_its_column() {
        let text = "key,action,amount,email,name,category,date,metadata.a\n\
                    ok,plant,1,,,,,\n\
                    ,plant,1,,,,,\n\
                    ok,plant,1,,,,,\n\
                    b,grow,1,,,,,\n\
                    c,plant,1,ada,,,,\n\
                    d,plant,1,,Ada,,,\n\
                    e,clean,1,,,food,,\n\
                    f,plant,1,,,wood,,\n\
                    g,plant,1,,,,tomorrow,\n\
                    h,plant\n\
                    \u{200b}i,plant,1,,,,,\n";
        let expected = [
            (3, "key: expected a name that is not empty"),
            (4, "key: line 2 has the same one"),
            (5, "action: expected plant_tree"),
            (6, "email: "),
            (7, "name: only a customer"),
            (8, "category: only plant_tree"),
            (9, "category: expected food (got wood)"),
            (10, "date: expected a calendar date"),
            (11, "expected 8 cells (got 2)"),
            (12, "key: expected a name without U+200B"),
        ];
        let problems = problems(text);
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for ((line, problem), (number, begins)) in problems.iter().zip(expected) {
            assert!(*line == number && problem.starts_with(begins), "{line}: {problem}");
        }
        let long = format!("key,action,amount,metadata.a\na,plant,1,{}\n", "x".repeat(501));
        assert!(self::problems(&long)[0].1.starts_with("metadata: "));
        for (characters, expected) in [(255, 0), (256, 1), (5_000_000, 1)] {
            let long = format!("key,action,amount\n{},plant,1\n", "é".repeat(characters));
            assert_eq!(self::problems(&long).len(), expected);
        }
    }

    #[test]
    fn a_file_without_the_right_columns_is_refused() {
        for (text, expected) in [
            ("", "it is empty"),
            ("key,action\n", "the column amount is missing"),
            ("key,action,amount,colour\n", "the column colour is not known: expected key, action"),
            ("key,action,amount,key\n", "the column key is there twice"),
            ("key,action,amount,metadata.a,metadata.a\n", "the column metadata.a is there twice"),
            ("key;action;amount\n", "separated by semicolons"),
            ("key\taction\tamount\n", "separated by tabs"),
        ] {
            let error = Orders::parse(text.as_bytes(), false).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let utf16: Vec<u8> = "\u{feff}key".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(Orders::parse(&utf16, false).unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn bytes_that_are_no_text_are_a_problem_of_their_line() {
        let text = b"key,action,amount\na,plant,1\nb\xff,plant,1\nc\0,plant,1\n";
        let orders = Orders::parse(text, false).unwrap();
        let lines: Vec<_> = orders.problems.iter().map(|problem| problem.line).collect();
        assert_eq!((orders.lines.len(), &lines[..]), (1, &[3, 4][..]));
    }
}
