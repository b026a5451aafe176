//! An emulator of one's own, kept in a file.
//!
//! The emulator is a function of what it was sent and when, so the file is a
//! journal of that: a heading, then a line for each POST that was accepted. A
//! command replays it in memory. It locks the file for one exchange at a time
//! and first replays what others have added, so a command that waits for its
//! reader keeps nobody else waiting.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fs4::FileExt;
use http::header::DATE;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use oneclick_emulator::{Clock, Emulator};
use oneclick_ureq::{Api, BlockingTransport, PlantTree, Timestamp, TransportError, Trees};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output;

/// The first line of a journal of this version.
const HEADING: &str = "{\"oneclick_local_emulator\":1}\n";

/// The only key that the emulator is used with.
const KEY: &str = "test_local";

/// Opens the emulator of a file.
pub(crate) fn open(path: &Path) -> Result<(Api, Transport), Failure> {
    open_at(path, Clock::System)
}

fn open_at(path: &Path, clock: Clock) -> Result<(Api, Transport), Failure> {
    // Nothing listens there: the base URL is a name.
    let api = Api::with_base_url("http://localhost", KEY)?;
    // What the client sends along with every POST.
    let headers = api.encode(&PlantTree::new(Trees::of::<1>()))?.headers().clone();
    let journal = || {
        let file = open_file(path)?;
        let mut journal = Journal { file, clock, headers, replayed: Replayed::default() };
        journal.locked(Journal::catch_up)??;
        Ok(journal)
    };
    let journal = journal().map_err(|error: io::Error| Failure::machine(path.display(), error))?;
    if journal.replayed.cut {
        let path = path.display();
        output::tell(false, &format!("{path}: its last line was cut short, and is left out"));
    }
    let name = path.display().to_string().into();
    Ok((api, Transport { journal: Arc::new(Mutex::new(journal)), name, opened: Instant::now() }))
}

fn open_file(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // It holds e-mail addresses.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // A pipe, for one, has no end.
    if file.metadata()?.is_file() { Ok(file) } else { Err(unusable("it is not a file")) }
}

/// The emulator as a transport: no socket, no process.
#[derive(Clone)]
pub(crate) struct Transport {
    journal: Arc<Mutex<Journal>>,
    /// Of the file.
    name: Arc<str>,
    opened: Instant,
}

impl BlockingTransport for Transport {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let file = |error: &io::Error| FileFailure::new(&self.name, error);
        let unsent = |error: io::Error| TransportError::connect(file(&error));
        let exchange = |journal: &mut Journal| {
            journal.catch_up().map_err(unsent)?;
            journal.exchange(&request).map_err(|failed| match failed {
                Append::Unwritten(error) => unsent(error),
                Append::Unsynced(error) => TransportError::exchange(file(&error)),
            })
        };
        journal.locked(exchange).map_err(unsent)?
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// The file of the emulator could not be read or written. Nothing is wrong with any
/// connection.
#[derive(Debug)]
pub(crate) struct FileFailure(String);

impl FileFailure {
    fn new(name: &str, error: &io::Error) -> Self {
        Self(format!("{name}: {error}"))
    }
}

impl fmt::Display for FileFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FileFailure {}

/// How adding an entry failed.
enum Append {
    /// There is no whole line of it.
    Unwritten(io::Error),
    /// Other commands see it already, and it may not last.
    Unsynced(io::Error),
}

/// A POST that was accepted.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    time: Timestamp,
    path: String,
    body: String,
}

/// The file, and what was made of it.
struct Journal {
    file: File,
    clock: Clock,
    /// Of every POST.
    headers: HeaderMap,
    replayed: Replayed,
}

/// The emulator, and how much of the file is in it.
#[derive(Default)]
struct Replayed {
    emulator: Emulator,
    /// Where the last whole line ends.
    end: u64,
    /// How many entries there are.
    entries: u64,
    /// When the last of them was made.
    last: DateTime<Utc>,
    /// Whether a line that was cut short comes behind them.
    cut: bool,
}

impl Journal {
    /// Does something while no other command does.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> io::Result<T> {
        FileExt::lock(&self.file)?;
        let done = work(self);
        // If this fails, the end of the program unlocks it.
        let _ = FileExt::unlock(&self.file);
        Ok(done)
    }

    /// Replays what was added to the file since the last time.
    fn catch_up(&mut self) -> io::Result<()> {
        let replayed = &mut self.replayed;
        self.file.seek(SeekFrom::Start(replayed.end))?;
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        if replayed.end == 0 {
            // Whatever else the file may be, no more of it is read.
            reader.by_ref().take(HEADING.len() as u64).read_to_end(&mut line)?;
            if !HEADING.as_bytes().starts_with(&line) {
                return Err(unusable("it is no journal of this version's local emulator"));
            }
            if line.len() == HEADING.len() {
                replayed.end = HEADING.len() as u64;
                line.clear();
            }
        }
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            replayed.replay(&line, &self.headers)?;
            replayed.end += line.len() as u64;
            line.clear();
        }
        // It was being written when a command ended, which so got no answer.
        replayed.cut = !line.is_empty();
        Ok(())
    }

    /// Has the emulator answer, and writes down what it accepted.
    fn exchange(&mut self, request: &Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Append> {
        // Time does not go back, whatever the machine's clock does.
        let next = self.replayed.last + TimeDelta::milliseconds(1);
        let time = Timestamp::from(self.clock.now().max(next));
        let mut response = self.replayed.emulator.respond(request, time.datetime());
        // What a lost purchase is looked up by.
        let date = time.datetime().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response.headers_mut().extend(HeaderValue::try_from(date).map(|date| (DATE, date)));
        if request.method() == Method::POST && response.status().is_success() {
            let path = request.uri().path().to_owned();
            let body = String::from_utf8_lossy(request.body()).into_owned();
            if let Err(error) = self.append(&Entry { time, path, body }) {
                // What counts is in the file.
                self.replayed = Replayed::default();
                return Err(error);
            }
        }
        Ok(response)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Append> {
        let heading = if self.replayed.end == 0 { HEADING } else { "" };
        let entry_text = serde_json::to_string(entry);
        let entry_text = entry_text.map_err(|error| Append::Unwritten(error.into()))?;
        let text = format!("{heading}{entry_text}\n");
        // A line without its end does not count.
        self.write(&text).map_err(Append::Unwritten)?;
        self.file.sync_data().map_err(Append::Unsynced)?;
        let replayed = &mut self.replayed;
        replayed.end += text.len() as u64;
        replayed.entries += 1;
        replayed.last = entry.time.datetime();
        Ok(())
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.replayed.cut {
            self.file.set_len(self.replayed.end)?;
        }
        self.file.seek(SeekFrom::Start(self.replayed.end))?;
        self.file.write_all(text.as_bytes())
    }
}

impl Replayed {
    fn replay(&mut self, line: &[u8], headers: &HeaderMap) -> io::Result<()> {
        // The heading is the first line.
        let number = self.entries + 2;
        let unreadable = || unusable(&format!("its line {number} cannot be read"));
        let entry: Entry = serde_json::from_slice(line).map_err(|_| unreadable())?;
        let mut request =
            Request::post(entry.path).body(entry.body.into_bytes()).map_err(|_| unreadable())?;
        request.headers_mut().clone_from(headers);
        let time = entry.time.datetime();
        let status = self.emulator.respond(&request, time).status();
        if !status.is_success() {
            let code = status.as_u16();
            return Err(unusable(&format!("the emulator refuses its line {number} with {code}")));
        }
        self.entries += 1;
        self.last = self.last.max(time);
        Ok(())
    }
}

/// Why a file is no journal, and what to do about it.
fn unusable(reason: &str) -> io::Error {
    let text = format!("{reason}; move it away, or name another file with --state");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
