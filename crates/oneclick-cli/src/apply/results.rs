//! The result file of `oneclick apply`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output;

/// The columns.
const HEADER: [&str; 8] = ["line", "key", "status", "id", "kind", "amount", "time", "problem"];

/// A result file that is being written. It gets its name when it is complete.
pub(super) struct Results {
    path: PathBuf,
    temporary: PathBuf,
    writer: Option<csv::Writer<File>>,
}

/// What became of a line.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) line: u64,
    pub(super) key: String,
    pub(super) status: &'static str,
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) amount: String,
    pub(super) time: String,
    pub(super) problem: String,
}

impl Results {
    /// Begins a result file. Refuses to replace any file that is not a result file.
    pub(super) fn create(path: PathBuf) -> Result<Self, Failure> {
        match is_result_file(&path) {
            Ok(true) => {}
            Ok(false) => {
                return Err(Failure::Usage(format!(
                    "{} is no result file of this command, so it is not replaced: choose another \
                     name with --results",
                    path.display(),
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::machine(format!("could not read {}", path.display()), error));
            }
        }
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".{}.new", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let could_not = |error: csv::Error| could_not_write(&path, &error);
        let file = File::create(&temporary).map_err(|error| could_not(error.into()))?;
        let mut writer = csv::Writer::from_writer(file);
        let begun = writer.write_record(HEADER).map_err(could_not);
        let this = Self { path, temporary, writer: Some(writer) };
        begun.map(|()| this)
    }

    pub(super) fn write(&mut self, cells: &Cells) -> Result<(), Failure> {
        let Cells { line, key, status, id, kind, amount, time, problem } = cells;
        let line = line.to_string();
        let cells = [&*line, key, status, id, kind, amount, time, problem]
            .map(|cell| output::guarded(cell));
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer
            .write_record(cells.iter().map(|cell| cell.as_bytes()))
            .map_err(|error| could_not_write(&self.path, &error))
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let named = writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.path));
        named.map_err(|error| could_not_write(&self.path, &error.into()))
    }
}

/// Removes the file that has no name yet.
impl Drop for Results {
    fn drop(&mut self) {
        // Once it has its name, there is nothing to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn could_not_write(path: &Path, error: &csv::Error) -> Failure {
    Failure::machine(format!("could not write {}", path.display()), error)
}

fn is_result_file(path: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    let file = BufReader::new(File::open(path)?);
    // A line of another file may have no end.
    io::Read::take(file, 1_000).read_until(b'\n', &mut first)?;
    Ok(first.trim_ascii_end() == HEADER.join(",").as_bytes())
}
