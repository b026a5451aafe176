//! The files in which this machine remembers its purchases.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use oneclick_ureq::{ImpactId, Intent, Purchase, PurchaseState, Receipt, UserId};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output;

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
        receipt: Box<Receipt>,
        /// With it, the purchase can be looked for once more.
        state: PurchaseState,
    },
    /// Bought, and cancelled since.
    Cancelled(Vec<ImpactId>),
}

impl IntentFile {
    /// The file of the intent with this marker. If the intent was `named` by the user, it
    /// is locked: this waits until no other command works on it.
    pub(crate) fn open(
        folder: &Path,
        marker: &str,
        named: bool,
        quiet: bool,
    ) -> Result<Self, Failure> {
        let file = Self { path: folder.join(format!("{marker}.json")), _lock: None };
        if !named {
            return Ok(file);
        }
        let lock = || -> io::Result<fs::File> {
            fs::create_dir_all(folder)?;
            // Not the file itself, which each change replaces by another one.
            let lock = fs::File::create(file.path.with_extension("lock"))?;
            for _ in 0..20 {
                match FileExt::try_lock(&lock) {
                    Ok(()) => return Ok(lock),
                    Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
            output::notice(quiet, "waiting for another run that works on the same intent");
            FileExt::lock(&lock)?;
            Ok(lock)
        };
        let lock = lock().map_err(|error| match fs::metadata(&file.path) {
            Err(missing) if is_missing(&missing) => file.failure(error),
            _ => file.unreadable("cannot be locked", error),
        })?;
        Ok(Self { _lock: Some(lock), ..file })
    }

    /// Whether the folder, or one in it, may have a file for an intent with this name, of
    /// any account: a key's account is not known while the API cannot be called. A file that
    /// cannot be read may be the one.
    pub(crate) fn may_exist(folder: &Path, name: &str) -> bool {
        #[derive(Deserialize)]
        struct Named {
            intent: String,
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return !is_missing(&error),
        };
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.any(|path| {
            let Ok(path) = path else { return true };
            if path.extension().is_none_or(|extension| extension != "json") {
                return path.is_dir() && Self::may_exist(&path, name);
            }
            match fs::read(&path) {
                Ok(text) => serde_json::from_slice::<Named>(&text)
                    .map_or(true, |entry| entry.intent == name),
                // Another command has removed it meanwhile.
                Err(error) => !is_missing(&error),
            }
        })
    }

    /// The names of the account's intents with this purchase that may have been bought.
    pub(crate) fn open_with(folder: &Path, account: &UserId, purchase: &Purchase) -> Vec<String> {
        let name = |path: &Path| {
            let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            let marker = Intent::new(account.as_str(), &entry.intent).marker().to_owned();
            let open = matches!(entry.stage, Stage::Open(_)) && entry.purchase == *purchase;
            (open && *path == folder.join(marker + ".json")).then_some(entry.intent)
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| name(&entry.path())).collect()
    }

    /// Fails if no file can be written in the folder.
    pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let file = folder.join("check.new");
        create_private(&file)?;
        fs::remove_file(file)
    }

    pub(crate) fn load(&self) -> Result<Option<Entry>, Failure> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unreadable("cannot be read", error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let problem = "is damaged or of another version";
            self.unreadable(problem, format!("{error}; move it away and add --look-first"))
        })
    }

    /// The file is there and cannot be used, so the intent may have been bought.
    fn unreadable(&self, problem: &str, error: impl fmt::Display) -> Failure {
        let path = self.path.display();
        let text = format!("the intent may have been bought before, and {path} {problem}: {error}");
        Failure::Unknown(text, None)
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

    fn failure(&self, error: impl fmt::Display) -> Failure {
        Failure::machine(format!("could not write {}", self.path.display()), error)
    }
}

/// Whether an error means that there is no such file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
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
