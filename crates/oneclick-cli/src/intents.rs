//! What this machine remembers of its purchases, in the outbox of the account.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use oneclick_outbox::{Entry, Hold, Outbox, OutboxError, Permit, Status, Stored};
use oneclick_ureq::http::Request;
use oneclick_ureq::{
    Account, ImpactId, Intent, Machine, Outcome, Purchase, PurchaseState, Receipt, VerifiedPurchase,
};
use serde::Deserialize;

use crate::buy::full_summary;
use crate::failure::Failure;
use crate::outbox::{Opened, Place};
use crate::output;
use crate::session::Session;

/// How often it is seen whether another process has finished with an intent.
const POLL: Duration = Duration::from_millis(50);
/// How many intents are read at a time.
const PAGE: u32 = 1_000;

/// What to do about the file of one intent.
const FILE_ADVICE: &str = "move it away and add --look-first";

/// One intent of an account, as this run remembers it.
pub(crate) struct Remembered {
    opened: Opened,
    /// The namespace of the account's intents.
    account: String,
    name: String,
    purchase: Purchase,
    quiet: bool,
    hold: RefCell<Option<Hold>>,
    /// Locked until it is dropped, if the user named the intent: no other run works on it then.
    lock: Option<fs::File>,
}

/// How far an intent has come.
pub(crate) enum Stage {
    /// A purchase may have been sent, and its outcome is not known yet.
    Open(PurchaseState),
    /// It was stored this long ago, at least, and nothing was noted since: the outbox may have
    /// been restored from a backup.
    Stored(Duration),
    Bought(Bought),
    /// Bought, and cancelled since.
    Cancelled(Vec<ImpactId>),
}

/// A purchase that an earlier run, or a worker, made.
pub(crate) struct Bought {
    number: i64,
    pub(crate) receipt: Box<Receipt>,
    /// With it, the purchase can be looked for once more.
    pub(crate) state: PurchaseState,
    /// Whether a worker is to cancel it.
    pub(crate) is_to_be_cancelled: bool,
}

/// Why a purchase must not leave.
enum Denied {
    Paused(String),
    /// A person has cancelled the intent.
    Cancelled,
    /// A worker has the intent.
    Taken,
    /// Another process has stored the intent since this run began.
    Changed,
}

impl Remembered {
    /// The intent with this name. If the user `named` it, it is locked: this waits until no
    /// other run works on it.
    pub(crate) fn open(
        session: &Session,
        account: &Account,
        name: &str,
        purchase: &Purchase,
        named: bool,
    ) -> Result<Self, Failure> {
        let path = session.outbox_of(account);
        let existed = fs::symlink_metadata(&path).is_ok();
        let opened = Opened::of(session, account).map_err(|failure| match failure {
            Failure::Machine(problem) if named && existed => unusable(&problem, ""),
            failure => failure,
        })?;
        let bound = opened.outbox.bind(session.client.api().base_url(), account);
        bound.map_err(|error| opened.failure(error))?;
        let account = account.user_id.as_str().to_owned();
        let intent = Intent::new(&account, name);
        let file = session.intents.join(format!("{}.json", intent.marker()));
        // Beside the database itself, which may be shared under several names.
        let folder = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let locked = folder.with_file_name(format!("{}.lock", intent.marker()));
        let lock = named.then(|| lock(&locked, session.quiet)).transpose()?;
        let this = Self {
            opened,
            account,
            name: name.to_owned(),
            purchase: purchase.clone(),
            quiet: session.quiet,
            hold: RefCell::default(),
            lock,
        };
        if named {
            this.take_over_file(&file)?;
        }
        Ok(this)
    }

    /// Takes over the file in which an earlier version remembered this intent.
    fn take_over_file(&self, path: &Path) -> Result<(), Failure> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let problem = format!("{} cannot be read: {error}", path.display());
                return Err(unusable(&problem, FILE_ADVICE));
            }
        };
        let problem = |problem: &dyn fmt::Display| {
            let path = path.display();
            let problem = format!("{path} is damaged or of another version: {problem}");
            unusable(&problem, FILE_ADVICE)
        };
        let file: File = serde_json::from_slice(&text).map_err(|error| problem(&error))?;
        if file.intent != self.name {
            return Err(Failure::Usage(format!(
                "{} is not the file of intent {}: it has another intent; this run bought nothing; \
                 put the right file back, or use another --intent",
                path.display(),
                self.name,
            )));
        }
        let imported = file.import(&self.opened.outbox, &self.account);
        imported.map_err(|error| problem(&error))?;
        remove(path);
        Ok(())
    }

    /// The names of the account's other intents with this purchase that may have been bought.
    pub(crate) fn open_with(&self) -> Vec<String> {
        let mut names = Vec::new();
        for status in [Status::Open, Status::Unresolved] {
            let mut after = 0;
            // What cannot be read warns of nothing.
            while let Ok(page) = self.opened.outbox.list(status, after, PAGE) {
                let Some(last) = page.last() else { break };
                after = last.id;
                let same = |entry: &Entry| {
                    entry.namespace == self.account
                        && entry.purchase.as_ref() == Some(&self.purchase)
                };
                names.extend(page.into_iter().filter(same).map(|entry| entry.key));
            }
        }
        names
    }

    /// How far the intent has come. Takes it, unless it is bought or cancelled; waits while a
    /// worker or another run has it.
    pub(crate) fn load(&self) -> Result<Option<Stage>, Failure> {
        let outbox = &self.opened.outbox;
        let mut said = false;
        loop {
            let entry = outbox.find(&self.account, &self.name);
            let Some(entry) = entry.map_err(|error| self.unknown(error))? else { return Ok(None) };
            // Also once the purchase was erased.
            match outbox.enqueue(&self.account, &self.name, self.purchase.clone()) {
                Err(OutboxError::OtherPurchase { .. }) => return Err(self.other_purchase(&entry)),
                result => result.map_err(|error| self.unknown(error))?,
            };
            match entry.status {
                Status::Bought | Status::Cancelling => return self.bought(entry).map(Some),
                Status::Cancelled => {
                    let bought = entry.bought.map(|bought| bought.id);
                    let found = Some(entry.found).filter(|found| !found.is_empty());
                    let ids = found.unwrap_or_else(|| bought.into_iter().collect());
                    return Ok(Some(Stage::Cancelled(ids)));
                }
                Status::Dropped => {
                    return Err(Failure::Usage(format!(
                        "intent {} was dropped by a person; this run bought nothing; to buy it, \
                         use another --intent",
                        self.name,
                    )));
                }
                _ => {}
            }
            match self.take() {
                Ok(true) => {
                    let hold = self.hold.borrow();
                    return Ok(hold.as_ref().map(|hold| match hold.state() {
                        Some(state) => Stage::Open(state.clone()),
                        None => Stage::Stored(hold.existed()),
                    }));
                }
                // It may have been bought meanwhile.
                Ok(false) | Err(OutboxError::WrongStatus { .. }) => {}
                Err(error) => return Err(self.unknown(error)),
            }
            if !std::mem::replace(&mut said, true) {
                waits(self.quiet);
            }
            thread::sleep(POLL);
        }
    }

    fn bought(&self, entry: Entry) -> Result<Stage, Failure> {
        let receipt = entry.receipt().ok_or_else(|| self.unknown("it has no receipt"))?;
        let state = match entry.state {
            Some(state) => state,
            None => self.looked_for()?,
        };
        Ok(Stage::Bought(Bought {
            number: entry.id,
            receipt: Box::new(receipt),
            state,
            is_to_be_cancelled: entry.status == Status::Cancelling,
        }))
    }

    /// The state of a purchase that another process may have made.
    pub(crate) fn looked_for(&self) -> Result<PurchaseState, Failure> {
        let intent = Intent::new(&self.account, &self.name);
        Ok(VerifiedPurchase::recover(&intent, self.purchase.clone())?.state().clone())
    }

    /// Takes the intent, and stores it if it is missing; `false` while another process has it.
    fn take(&self) -> Result<bool, OutboxError> {
        let alone = self.lock.is_some();
        let hold = self.opened.outbox.hold(&self.account, &self.name, &self.purchase, alone)?;
        let taken = hold.is_some();
        *self.hold.borrow_mut() = hold;
        Ok(taken)
    }

    /// Remembers the state before a request. A `purchase` may leave only if this succeeds.
    pub(crate) fn save(
        &self,
        state: &PurchaseState,
        purchase: Option<&mut Request<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let saved = || -> Result<Result<(), Denied>, OutboxError> {
            if self.hold.borrow().is_none() {
                match self.take() {
                    Ok(true) => {}
                    Ok(false) => return Ok(Err(Denied::Taken)),
                    Err(OutboxError::WrongStatus { .. }) => return Ok(Err(Denied::Changed)),
                    Err(error) => return Err(error),
                }
                // Nothing was stored when this run began, so it knows of nothing.
                if self.hold.borrow().as_ref().is_some_and(|hold| !hold.is_new()) {
                    return Ok(Err(Denied::Changed));
                }
            }
            let mut hold = self.hold.borrow_mut();
            let Some(hold) = hold.as_mut() else { return Ok(Err(Denied::Taken)) };
            let Some(purchase) = purchase else {
                return Ok(if hold.keep(state)? { Ok(()) } else { Err(Denied::Taken) });
            };
            Ok(match hold.permit(state, purchase)? {
                Permit::Granted => Ok(()),
                Permit::Closed => {
                    let reason = self.opened.outbox.paused()?;
                    Err(Denied::Paused(reason.unwrap_or_default()))
                }
                Permit::Cancelled => Err(Denied::Cancelled),
                _ => Err(Denied::Taken),
            })
        };
        match saved() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Denied::Paused(why))) => Err(Failure::Machine(format!(
                "the outbox is paused ({why}), so this run sent nothing; `oneclick outbox resume` \
                 lets it go on",
            ))),
            Ok(Err(Denied::Cancelled)) if state.sends() > 1 => Err(Failure::Unknown(
                format!(
                    "intent {} was not found, and a person cancelled it: this run sent nothing; \
                     if it was bought after all, `oneclick outbox work` finds that out and \
                     cancels it",
                    self.name,
                ),
                None,
            )),
            Ok(Err(Denied::Cancelled)) => Err(Failure::Usage(format!(
                "a person cancelled intent {}, so this run sent nothing; to buy it, use another \
                 --intent",
                self.name,
            ))),
            Ok(Err(Denied::Changed)) => Err(Failure::Unknown(
                format!(
                    "another process has worked on intent {} since this run began, so this run \
                     sent nothing; run the same command again to find out",
                    self.name,
                ),
                None,
            )),
            Ok(Err(Denied::Taken)) => Err(self.taken()),
            Err(error) => Err(self.opened.failure(error)),
        }
    }

    /// Called before each request and each wait: keeps the intent from workers until after it.
    pub(crate) fn renew(&self, wait: Duration) -> Result<(), Failure> {
        match self.hold.borrow_mut().as_mut().map(|hold| hold.renew(wait)) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(self.taken()),
            // The outcome is not known then, if something was sent.
            Some(Err(error)) => Err(self.unknown(error)),
        }
    }

    fn taken(&self) -> Failure {
        let text = format!(
            "a worker of the outbox has intent {} now, and may buy it; run the same command again \
             to find out",
            self.name,
        );
        Failure::Unknown(text, None)
    }

    /// Writes what became of the purchase, and returns the status of the intent then. If that
    /// fails, the purchase has not: the next run looks for it in the records.
    pub(crate) fn finish(&self, outcome: &Outcome) -> Option<Status> {
        let hold = self.hold.take()?;
        let (nothing, done) = match outcome {
            Outcome::Refused(_) => (true, false),
            Outcome::NotBought(not_bought) => {
                (not_bought.error.is_some() && not_bought.state.sends() == 0, false)
            }
            Outcome::Confirmed(_) | Outcome::Cancelled(_) => (false, true),
            _ => (false, false),
        };
        // Nobody asks for what the user did not name, once it is known. If it stays, the next run
        // looks for the purchase before it buys.
        let is_over = nothing || done && self.lock.is_none();
        if is_over && hold.forget().unwrap_or(true) {
            return None;
        }
        let finished = hold.finish(outcome);
        finished.map_err(|error| self.not_remembered(done, error)).ok()
    }

    /// Remembers another receipt of a purchase that was made.
    pub(crate) fn correct(&self, bought: &Bought) {
        let corrected = self.opened.outbox.correct_receipt(bought.number, &bought.receipt);
        corrected.unwrap_or_else(|error| self.not_remembered(true, error));
    }

    /// Remembers that a purchase was cancelled.
    pub(crate) fn cancelled(&self, bought: &Bought, ids: &[ImpactId]) {
        let cancelled = self.opened.outbox.cancelled_since(bought.number, ids);
        cancelled.unwrap_or_else(|error| self.not_remembered(true, error));
    }

    fn not_remembered(&self, bought: bool, error: OutboxError) {
        if let Failure::Machine(error) = self.opened.failure(error) {
            let what = if bought { "it was bought, but this could" } else { "this could" };
            output::notice(false, &format!("{what} not be remembered: {error}"));
        }
    }

    fn other_purchase(&self, entry: &Entry) -> Failure {
        let erased = || "its details were erased".to_owned();
        Failure::Usage(format!(
            "intent {} belongs to another purchase: {}; this run bought nothing; use another \
             --intent for this purchase",
            self.name,
            entry.purchase.as_ref().map_or_else(erased, full_summary),
        ))
    }

    /// The intent is there and cannot be used.
    fn unknown(&self, error: impl fmt::Display) -> Failure {
        unusable(&format!("{}: {error}", self.opened.place), "")
    }

    /// Where it is remembered.
    pub(crate) fn place(&self) -> &Place {
        &self.opened.place
    }
}

/// Lets the intent go as it is.
impl Drop for Remembered {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        let is_unsent = hold.is_new() && hold.state().is_none();
        if is_unsent && hold.forget().unwrap_or(false) {
            return;
        }
        if let Err(error) = hold.let_go() {
            self.not_remembered(false, error);
        }
    }
}

/// What remembers the intent cannot be used, so the intent may have been bought.
fn unusable(problem: &str, advice: &str) -> Failure {
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    let text = format!("the intent may have been bought before, and {problem}{advice}");
    Failure::Unknown(text, None)
}

fn waits(quiet: bool) {
    output::notice(quiet, "waiting for another run that works on the same intent");
}

/// Locks an intent for this run, and waits until no other run has it.
fn lock(path: &Path, quiet: bool) -> Result<fs::File, Failure> {
    let lock = || -> io::Result<fs::File> {
        let lock = fs::File::create(path)?;
        for _ in 0..20 {
            match FileExt::try_lock(&lock) {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => thread::sleep(POLL),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        waits(quiet);
        FileExt::lock(&lock)?;
        Ok(lock)
    };
    lock().map_err(|error| {
        unusable(&format!("{} cannot be locked: {error}", path.display()), "make it writable")
    })
}

/// Whether the folder, or one in it, may have an intent with this name, of any account: a key's
/// account is not known while the API cannot be called. What cannot be read may have it.
pub(crate) fn may_exist(folder: &Path, name: &str) -> bool {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return !is_missing(&error),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.any(|path| {
        let Ok(path) = path else { return true };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => match fs::read(&path) {
                Ok(text) => {
                    serde_json::from_slice::<Named>(&text).map_or(true, |file| file.intent == name)
                }
                // Another run has taken it over meanwhile.
                Err(error) => !is_missing(&error),
            },
            Some("db") => Opened::named(Place::File(path)).map_or(true, |opened| {
                opened.outbox.find_all(name).map_or(true, |found| !found.is_empty())
            }),
            _ => path.is_dir() && may_exist(&path, name),
        }
    })
}

/// Whether an error means that there is no such file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Fails if no file can be written in the folder.
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let file = folder.join("check.new");
    fs::write(&file, "")?;
    fs::remove_file(file)
}

/// The file in which an earlier version remembered an intent.
#[derive(Deserialize)]
struct File {
    intent: String,
    purchase: Purchase,
    stage: FileStage,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileStage {
    Open(PurchaseState),
    Bought { receipt: Box<Receipt>, state: PurchaseState },
    Cancelled(Vec<ImpactId>),
}

/// The name in such a file.
#[derive(Deserialize)]
struct Named {
    intent: String,
}

impl File {
    fn import(self, outbox: &Outbox, account: &str) -> Result<bool, OutboxError> {
        let stored = match self.stage {
            FileStage::Open(state) => Stored::Open(state),
            FileStage::Bought { receipt, state } => Stored::Bought(receipt, state),
            FileStage::Cancelled(ids) => Stored::Cancelled(ids),
        };
        outbox.import(account, &self.intent, &self.purchase, stored)
    }
}

/// Takes over the files of the account's intents. One that cannot be used stays, and so does one
/// on which a run of an earlier version works.
pub(crate) fn take_over(outbox: &Outbox, folder: &Path, account: &str) {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    for path in files {
        let Ok(lock) = fs::File::create(path.with_extension("lock")) else { continue };
        if FileExt::try_lock(&lock).is_err() {
            continue;
        }
        let file = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let Some(file) = file.filter(|file: &File| {
            let marker = Intent::new(account, &file.intent).marker().to_owned();
            path.file_stem().is_some_and(|stem| *stem == *marker)
        }) else {
            continue;
        };
        if file.import(outbox, account).is_ok() {
            remove(&path);
        }
    }
}

/// Removes a file whose intent is in the outbox.
fn remove(path: &Path) {
    // If it stays, the next run finds the intent in the outbox and removes it then.
    let _ = fs::remove_file(path);
}
