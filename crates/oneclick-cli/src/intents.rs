//! The files in which this machine remembers its purchases.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fs4::FileExt;
use oneclick_ureq::{ImpactId, Purchase, PurchaseState, Receipt};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file of one intent.
pub(crate) struct IntentFile {
    path: PathBuf,
    /// Locked until it is dropped.
    _lock: Option<fs::File>,
}

/// The content of the file.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// The name of the intent.
    pub(crate) intent: String,
    pub(crate) purchase: Purchase,
    pub(crate) stage: Stage,
}

/// How far an intent has come.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// A purchase may have been sent, and its outcome is not known yet.
    Open(PurchaseState),
    Bought {
        receipt: Receipt,
        /// With it, the purchase can be looked for once more.
        state: PurchaseState,
    },
    /// Bought, and cancelled since.
    Cancelled(Vec<ImpactId>),
}

impl IntentFile {
    /// The file of the intent with this marker. If the intent was `named` by the user, it
    /// is locked: this waits until no other command works on it.
    pub(crate) fn open(folder: &Path, marker: &str, named: bool) -> Result<Self, Failure> {
        let file = Self { path: folder.join(format!("{marker}.json")), _lock: None };
        if !named {
            return Ok(file);
        }
        let lock = || -> io::Result<fs::File> {
            fs::create_dir_all(folder)?;
            // Not the file itself, which each change replaces by another one.
            let lock = fs::File::create(file.path.with_extension("lock"))?;
            FileExt::lock(&lock)?;
            Ok(lock)
        };
        let lock = lock().map_err(|error| file.failure(error))?;
        Ok(Self { _lock: Some(lock), ..file })
    }

    /// Whether the folder may have a file for an intent with this name, of any account: a
    /// key's account is not known while the API cannot be called. A file that cannot be
    /// read may be the one.
    pub(crate) fn may_exist(folder: &Path, name: &str) -> bool {
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
                // Another command has removed it meanwhile.
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            }
        })
    }

    pub(crate) fn load(&self) -> Result<Option<Entry>, Failure> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failure(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            Failure::Machine(format!(
                "{} is damaged: {error}; the intent may have been bought, so move the file away \
                 and add --look-first",
                self.path.display(),
            ))
        })
    }

    /// Replaces the entry. Whatever happens meanwhile, the file holds the old entry or the
    /// new one.
    pub(crate) fn save(&self, entry: &Entry) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
            fs::create_dir_all(folder)?;
            let new = self.path.with_extension("new");
            let mut file = create_private(&new)?;
            serde_json::to_writer(&mut file, entry)?;
            file.sync_all()?;
            fs::rename(new, &self.path)?;
            sync_folder(folder)
        };
        write().map_err(|error| self.failure(error))
    }

    /// Removes the file: nothing was bought.
    pub(crate) fn remove(&self) {
        // If it stays, the next run looks for the purchase before it buys.
        let _ = fs::remove_file(&self.path);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failure(&self, error: impl std::fmt::Display) -> Failure {
        Failure::machine(self.path.display(), error)
    }
}

/// Creates a file that only its owner can read: it holds personal data.
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

/// Makes a rename in this folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows cannot open a folder as a file.
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
