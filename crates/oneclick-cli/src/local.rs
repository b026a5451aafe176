//! The local emulator of `--local`, whose state is a file.
//!
//! The emulator is a function of the requests and their times, so the file is a
//! journal: a heading, then a line for each POST that was accepted. A command
//! replays it in memory. For each exchange it locks the file, replays what other
//! commands have added, and unlocks it, so no command waits for another one's user.

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

/// The only key that is used with the emulator.
const KEY: &str = "test_local";

/// Opens the emulator whose state is in this file; creates the file if it is missing.
pub(crate) fn open(path: &Path) -> Result<(Api, Transport), Failure> {
    open_at(path, Clock::System)
}

fn open_at(path: &Path, clock: Clock) -> Result<(Api, Transport), Failure> {
    // Never connected to.
    let api = Api::with_base_url("http://localhost", KEY)?;
    // The same for every POST, so the journal leaves them out.
    let headers = api.encode(&PlantTree::new(Trees::of::<1>()))?.headers().clone();
    let journal = || {
        let file = open_file(path)?;
        let mut journal = Journal { file, clock, headers, replayed: Replayed::default() };
        journal.locked(Journal::catch_up)??;
        Ok(journal)
    };
    let journal = journal().map_err(|error: io::Error| {
        Failure::Machine(FileError::new(&path.display().to_string(), &error).to_string())
    })?;
    if journal.replayed.cut {
        let path = path.display();
        output::notice(false, &format!("{path}: ignoring the last line, which was cut short"));
    }
    let file_name = path.display().to_string().into();
    let journal = Arc::new(Mutex::new(journal));
    Ok((api, Transport { journal, file_name, opened: Instant::now() }))
}

fn open_file(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // Only its owner can read it: it holds e-mail addresses.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // A pipe or a device may have no end.
    if file.metadata()?.is_file() { Ok(file) } else { Err(unusable("not a regular file")) }
}

/// The emulator as a transport, without a socket.
#[derive(Clone)]
pub(crate) struct Transport {
    journal: Arc<Mutex<Journal>>,
    file_name: Arc<str>,
    opened: Instant,
}

impl BlockingTransport for Transport {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let file = |error: &io::Error| FileError::new(&self.file_name, error);
        let unsent = |error: io::Error| TransportError::connect(file(&error));
        let exchange = |journal: &mut Journal| {
            journal.catch_up().map_err(unsent)?;
            journal.exchange(&request).map_err(|failed| match failed {
                AppendError::Unwritten(error) => unsent(error),
                AppendError::Unsynced(error) => TransportError::exchange(file(&error)),
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

/// The file of the emulator could not be read or written. It is the cause of a transport
/// error, which says that "the connection" failed.
#[derive(Debug)]
pub(crate) struct FileError(String);

impl FileError {
    fn new(file_name: &str, error: &io::Error) -> Self {
        Self(format!("the local emulator cannot use {file_name}: {error}"))
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FileError {}

/// Why an entry could not be added.
enum AppendError {
    /// The journal does not hold the whole line, so the entry does not count.
    Unwritten(io::Error),
    /// Other commands see the entry, but it may be lost in a crash of the machine.
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

/// The file, and the state that was replayed from it.
struct Journal {
    file: File,
    clock: Clock,
    /// The headers of every POST.
    headers: HeaderMap,
    replayed: Replayed,
}

/// The emulator, and how much of the file it has seen.
#[derive(Default)]
struct Replayed {
    emulator: Emulator,
    /// Where the last complete line ends, in bytes.
    end: u64,
    /// The number of entries.
    entries: u64,
    /// The time of the last entry.
    last: DateTime<Utc>,
    /// Whether an incomplete line follows.
    cut: bool,
}

impl Journal {
    /// Does `work` with the file locked.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> io::Result<T> {
        FileExt::lock(&self.file)?;
        let done = work(self);
        // If this fails, the file is unlocked when the program ends.
        let _ = FileExt::unlock(&self.file);
        Ok(done)
    }

    /// Replays what was added to the file since the last call.
    fn catch_up(&mut self) -> io::Result<()> {
        let replayed = &mut self.replayed;
        self.file.seek(SeekFrom::Start(replayed.end))?;
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        if replayed.end == 0 {
            // Read no more than this of a file that is no journal.
            reader.by_ref().take(HEADING.len() as u64).read_to_end(&mut line)?;
            if !HEADING.as_bytes().starts_with(&line) {
                return Err(unusable("not a file of this version's local emulator"));
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
        // A command ended while it wrote this line, and got no response.
        replayed.cut = !line.is_empty();
        Ok(())
    }

    /// Lets the emulator respond, and records the request if it was accepted.
    fn exchange(&mut self, request: &Request<Vec<u8>>) -> Result<Response<Vec<u8>>, AppendError> {
        // Times ascend even if the machine's clock is set back.
        let next = self.replayed.last + TimeDelta::milliseconds(1);
        let time = Timestamp::from(self.clock.now().max(next));
        let mut response = self.replayed.emulator.respond(request, time.datetime());
        // A purchase whose response is lost is looked up by the server's time.
        let date = time.datetime().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response.headers_mut().extend(HeaderValue::try_from(date).map(|date| (DATE, date)));
        if request.method() == Method::POST && response.status().is_success() {
            let path = request.uri().path().to_owned();
            let body = String::from_utf8_lossy(request.body()).into_owned();
            if let Err(error) = self.append(&Entry { time, path, body }) {
                // The emulator in memory has gone further than the file: replay it anew.
                self.replayed = Replayed::default();
                return Err(error);
            }
        }
        Ok(response)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), AppendError> {
        let heading = if self.replayed.end == 0 { HEADING } else { "" };
        let entry_text = serde_json::to_string(entry);
        let entry_text = entry_text.map_err(|error| AppendError::Unwritten(error.into()))?;
        let text = format!("{heading}{entry_text}\n");
        self.write(&text).map_err(AppendError::Unwritten)?;
        self.file.sync_data().map_err(AppendError::Unsynced)?;
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
        // The first line is the heading.
        let number = self.entries + 2;
        let unreadable = || unusable(&format!("line {number} cannot be read"));
        let entry: Entry = serde_json::from_slice(line).map_err(|_| unreadable())?;
        let mut request =
            Request::post(entry.path).body(entry.body.into_bytes()).map_err(|_| unreadable())?;
        request.headers_mut().clone_from(headers);
        let time = entry.time.datetime();
        let status = self.emulator.respond(&request, time).status();
        if !status.is_success() {
            let code = status.as_u16();
            return Err(unusable(&format!(
                "the emulator refuses line {number} with status {code}"
            )));
        }
        self.entries += 1;
        self.last = self.last.max(time);
        Ok(())
    }
}

/// Why a file cannot be used, and what to do about it.
fn unusable(reason: &str) -> io::Error {
    let text = format!("{reason}; move it away, or name another file with --state");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
