//! A sandbox of one's own, kept in a file.
//!
//! The sandbox is a function of what it was sent and when, so the file is a
//! journal of that: a heading, then a line for each POST, written before it is
//! applied and sent again when the file is opened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fs4::FileExt;
use http::{Method, Request, Response};
use oneclick_sandbox::Sandbox;
use oneclick_ureq::{Api, BlockingTransport, Timestamp, TransportError};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output;

/// The first line of a journal of this version.
const HEADING: &str = r#"{"oneclick_local_sandbox":1}"#;

/// The only key that the sandbox is used with.
const KEY: &str = "test_local";

/// A request that may have changed something.
#[derive(Deserialize, Serialize)]
struct Entry {
    time: Timestamp,
    path: String,
    body: String,
}

/// The sandbox as a transport: no socket, no process.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Mutex<Local>>);

struct Local {
    sandbox: Sandbox,
    /// Locked until it is closed: another command waits.
    file: File,
    /// When the last entry was written.
    last: DateTime<Utc>,
}

/// Opens the sandbox of a file.
pub(crate) fn open(path: &Path) -> Result<(Api, Transport), Failure> {
    let failed = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::InvalidData => "; move it away, or name another with --state",
            _ => "",
        };
        Failure::machine(path.display(), format!("{error}{advice}"))
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let local = options.open(path).and_then(Local::new).map_err(failed)?;
    // Nothing listens there: the base URL is a name.
    let api = Api::with_base_url("http://localhost", KEY)?;
    Ok((api, Transport(Arc::new(Mutex::new(local)))))
}

impl Local {
    fn new(mut file: File) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            return Err(invalid("it is no file"));
        }
        FileExt::lock(&file)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line that was being written when the machine stopped was not applied.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            if whole == 0 && !HEADING.starts_with(&text) {
                return Err(invalid("it is no journal of a local sandbox"));
            }
            output::tell(
                false,
                "the last line of the local sandbox was cut short, and is left out",
            );
            file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
        }
        let mut lines = text[..whole].lines();
        let mut local = Self { sandbox: Sandbox::default(), file, last: DateTime::UNIX_EPOCH };
        match lines.next() {
            None => local.append(HEADING)?,
            Some(HEADING) => {}
            Some(_) => return Err(invalid("it is no journal of a local sandbox")),
        }
        for (number, line) in lines.enumerate() {
            let entry: Entry = serde_json::from_str(line)
                .map_err(|_| invalid(&format!("line {} cannot be read", number + 2)))?;
            local.apply(&entry)?;
        }
        Ok(local)
    }

    fn send(&mut self, request: &Request<Vec<u8>>) -> io::Result<Response<Vec<u8>>> {
        // Time does not go back, whatever the system's clock does.
        let now = Utc::now().max(self.last + TimeDelta::milliseconds(1));
        if request.method() != Method::POST {
            return Ok(self.sandbox.respond(request, now));
        }
        let path = request.uri().path().to_owned();
        let body = String::from_utf8(request.body().clone()).map_err(io::Error::other)?;
        let entry = Entry { time: now.into(), path, body };
        self.append(&serde_json::to_string(&entry)?)?;
        self.apply(&entry)
    }

    fn apply(&mut self, entry: &Entry) -> io::Result<Response<Vec<u8>>> {
        let request = Request::post(&entry.path)
            .header("x-api-key", KEY)
            .header("content-type", "application/json")
            .body(entry.body.clone().into_bytes())
            .map_err(|_| invalid("it holds a path that is none"))?;
        self.last = entry.time.datetime();
        Ok(self.sandbox.respond(&request, self.last))
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.file.sync_data()
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl BlockingTransport for Transport {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        let mut local = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Written before it is applied: what fails has not been executed.
        local.send(&request).map_err(TransportError::connect)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn now(&self) -> Duration {
        let since = Utc::now().signed_duration_since(DateTime::UNIX_EPOCH);
        since.to_std().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::thread;

    use oneclick_ureq::{BlockingClient, ImpactId, ImpactKind, Records, Trees};

    use super::*;

    fn journal(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("oneclick-local-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        path
    }

    fn client(path: &Path) -> BlockingClient<Transport> {
        let (api, transport) = open(path).unwrap();
        BlockingClient::with_transport(api, transport)
    }

    #[test]
    fn what_was_bought_is_there_when_it_is_opened_again() {
        let path = journal("again");
        let bought = client(&path).plant_tree(Trees::of::<5>()).unwrap();
        client(&path).cancel_impact(&bought).unwrap();
        let client = client(&path);
        assert!(client.track(&bought).unwrap().cancelled_on.is_some());
        let later = client.plant_tree(Trees::of::<1>()).unwrap();
        assert!(later.time_utc > bought.time_utc);
        let records: Vec<_> =
            client.records(Records::new()).map(|record| record.unwrap()).collect();
        assert_eq!(ImpactId::from(&records[0]), ImpactId::from(&bought));
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn two_commands_at_once_lose_nothing() {
        let path = journal("two");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        client(&path).plant_tree(Trees::of::<1>()).unwrap();
                    }
                });
            }
        });
        assert_eq!(client(&path).impact().unwrap().total.get(&ImpactKind::TreePlanted), 20);
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_keeps_its_whole_lines() {
        let path = journal("cut");
        for _ in 0..3 {
            client(&path).plant_tree(Trees::of::<1>()).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let lines = whole[..length].split(|byte| *byte == b'\n').count() - 1;
            let planted = i64::try_from(lines.saturating_sub(1)).unwrap();
            let total = || client(&path).impact().unwrap().total.get(&ImpactKind::TreePlanted);
            assert_eq!(total(), planted, "{length}");
            client(&path).plant_tree(Trees::of::<1>()).unwrap();
            assert_eq!(total(), planted + 1, "{length}");
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        let path = journal("none");
        for text in [
            "hello",
            "hello\n",
            "{\"oneclick_local_sandbox\":2}\n",
            "{}\n{}\n",
            "{\"oneclick_local_sandbox\":1}\nnonsense\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let Err(Failure::Machine(error)) = open(&path) else { panic!("{text}") };
            assert!(error.contains("move it away"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
