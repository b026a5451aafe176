//! What this machine remembers of the purchases that it began.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fs4::FileExt;
use oneclick_ureq::{ImpactId, PurchaseState};
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
    /// What it buys, in words.
    pub(crate) what: String,
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
            if let Some(folder) = self.file.parent() {
                fs::create_dir_all(folder)?;
            }
            let new = self.file.with_extension("new");
            let mut file = fs::File::create(&new)?;
            serde_json::to_writer(&mut file, entry)?;
            file.sync_all()?;
            fs::rename(new, &self.file)
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
