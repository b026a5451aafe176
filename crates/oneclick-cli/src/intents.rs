//! What this machine remembers of the purchases that it began.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fs4::FileExt;
use oneclick_ureq::{ImpactId, Purchase, PurchaseState};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// One intent, in a file of its own.
pub(crate) struct Intents {
    file: PathBuf,
    /// Locked until it is dropped.
    _lock: Option<fs::File>,
}

/// What is kept of an intent.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) intent: String,
    /// What was asked for.
    pub(crate) purchase: Purchase,
    pub(crate) stage: Stage,
}

/// How far it has come.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It may have been sent; nobody knows yet what came of it.
    Open(PurchaseState),
    /// It was bought.
    Bought(ImpactId),
    /// It was bought and cancelled since.
    TakenBack(Vec<ImpactId>),
}

impl Intents {
    /// The intent with this marker, in this folder. One that has a name waits
    /// until no other command works on it.
    pub(crate) fn open(folder: &Path, marker: &str, named: bool) -> Result<Self, Failure> {
        let intents = Self { file: folder.join(format!("{marker}.json")), _lock: None };
        if !named {
            return Ok(intents);
        }
        let lock = || -> io::Result<fs::File> {
            fs::create_dir_all(folder)?;
            // Beside the entry, which is replaced by another file when it changes.
            let lock = fs::File::create(intents.file.with_extension("lock"))?;
            FileExt::lock(&lock)?;
            Ok(lock)
        };
        let lock = lock().map_err(|error| intents.failure(error))?;
        Ok(Self { _lock: Some(lock), ..intents })
    }

    /// Whether this folder remembers an intent of this name, of whichever account: the
    /// account of a key is not known while the API cannot be asked. An entry that cannot
    /// be read may be the one.
    pub(crate) fn remember(folder: &Path, name: &str) -> bool {
        #[derive(Deserialize)]
        struct Named {
            intent: String,
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.any(|path| {
            let Ok(path) = path else { return true };
            if path.extension().is_none_or(|extension| extension != "json") {
                return false;
            }
            match fs::read(&path) {
                Ok(text) => serde_json::from_slice::<Named>(&text)
                    .map_or(true, |entry| entry.intent == name),
                // It was forgotten meanwhile.
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            }
        })
    }

    /// What is remembered of it.
    pub(crate) fn load(&self) -> Result<Option<Entry>, Failure> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failure(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| self.failure(error))
    }

    /// Remembers it. Whatever happens meanwhile, the file holds the old entry
    /// or the new one.
    pub(crate) fn save(&self, entry: &Entry) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let folder = self.file.parent().unwrap_or_else(|| Path::new("."));
            fs::create_dir_all(folder)?;
            let new = self.file.with_extension("new");
            let mut file = create_private(&new)?;
            serde_json::to_writer(&mut file, entry)?;
            file.sync_all()?;
            fs::rename(new, &self.file)?;
            sync_folder(folder)
        };
        write().map_err(|error| self.failure(error))
    }

    /// Forgets it: nothing was bought.
    pub(crate) fn forget(&self) {
        // What stays is looked up in the records, should it be tried again.
        let _ = fs::remove_file(&self.file);
    }

    fn failure(&self, error: impl std::fmt::Display) -> Failure {
        Failure::machine(self.file.display(), error)
    }
}

/// Creates a file that its owner alone can read: it holds personal data.
fn create_private(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a rename in this folder last.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file.
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
