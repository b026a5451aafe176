//! Where an outbox is, and opening it.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fs4::FileExt;
use oneclick_outbox::rusqlite::{Connection, ErrorCode, OpenFlags};
use oneclick_outbox::{Outbox, OutboxError};
use oneclick_ureq::Account;

use crate::args::Global;
use crate::failure::{Failure, explain};
use crate::intents;
use crate::output;
use crate::session::Session;

/// Where an outbox is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In an SQLite file.
    File(PathBuf),
    /// In PostgreSQL, at this URL.
    Server(String),
}

impl Place {
    /// What `--database` names.
    pub(crate) fn from_argument(text: &OsStr) -> Self {
        match text.to_str() {
            Some(url) if ["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it)) => {
                Self::Server(url.to_owned())
            }
            _ => Self::File(text.into()),
        }
    }

    /// Refuses a file name that was meant to be a URL, without showing it: it can have a password.
    fn check(&self) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        let name = path.to_string_lossy().to_lowercase();
        let name = name.trim_start_matches([' ', '"', '\'']);
        let starts = ["postgres:", "postgresql:", "jdbc:", "host=", "user=", "dbname=", "service="];
        let is_meant = ["://", "password="].iter().any(|part| name.contains(part))
            || starts.iter().any(|start| name.starts_with(start));
        if is_meant {
            return Err(Failure::Usage(
                "--database, or ONECLICK_DATABASE, is no file and no URL that begins with \
                 postgres://: expected a file or postgres://USER@HOST/DATABASE, without quotation \
                 marks and spaces"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// A failure of the outbox here.
    pub(crate) fn failure(&self, error: OutboxError) -> Failure {
        match error {
            OutboxError::Account(error) => Failure::Call(*error),
            OutboxError::NoTables if matches!(self, Self::Server(_)) => Failure::Usage(format!(
                "{self} has no outbox: `oneclick outbox migrations --run` creates one in the \
                 database that --database names",
            )),
            OutboxError::Database(_)
            | OutboxError::Postgres(_)
            | OutboxError::Closed
            | OutboxError::NoTables
            | OutboxError::NewerTables { .. }
            | OutboxError::Unreadable { .. } => Failure::machine(self, error),
            error => Failure::Usage(error.to_string()),
        }
    }
}

/// Without the password of a URL.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => f.write_str(&without_password(url)),
        }
    }
}

/// A URL with a word in place of whatever could be a password.
fn without_password(url: &str) -> String {
    const SHOWN: [&str; 6] = ["dbname", "host", "port", "sslmode", "sslrootcert", "user"];
    let (start, rest) = url.split_once("://").unwrap_or(("", url));
    // A password may have all of these characters.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => {
            let name = user.split(':').next().unwrap_or_default();
            let hidden = if name.len() == user.len() { "" } else { ":PASSWORD" };
            (format!("{name}{hidden}@"), rest)
        }
        None => (String::new(), rest),
    };
    let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, database) = place.split_once('/').unwrap_or((place, ""));
    let host = match host.rsplit_once(':') {
        Some((host, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{host}:PASSWORD")
        }
        _ => host.to_owned(),
    };
    let slash = if place.contains('/') { "/" } else { "" };
    let settings: Vec<_> = settings
        .split('&')
        .filter(|setting| !setting.is_empty())
        .map(|setting| match setting.split_once('=') {
            Some((name, _)) if SHOWN.contains(&name) => setting,
            _ => "HIDDEN",
        })
        .collect();
    let mark = if settings.is_empty() { "" } else { "?" };
    format!("{start}://{user}{host}{slash}{database}{mark}{}", settings.join("&"))
}

/// An outbox, and where it is.
pub(crate) struct Opened {
    pub(crate) outbox: Outbox,
    pub(crate) place: Place,
}

impl Opened {
    /// Opens what was named, or else the outbox of the API and the account.
    pub(super) fn open(global: &Global, database: Option<Place>) -> Result<Self, Failure> {
        match database {
            Some(place) => Self::named(place),
            None => Self::find(&Session::open(global)?),
        }
    }

    /// Opens that of the API and the account of the key.
    pub(super) fn find(session: &Session) -> Result<Self, Failure> {
        match session.client.whoami() {
            Ok(account) => Self::of(session, &account),
            // An operator may need the outbox because the API is down.
            Err(error) => {
                let reason = explain(&error);
                let mut paths = outboxes(&session.intents).into_iter();
                match (paths.next(), paths.next()) {
                    (Some(path), None) => {
                        let text = format!(
                            "warning: the account of the API key is not known ({reason}); using the \
                             only outbox of this API: {}",
                            path.display(),
                        );
                        output::notice(false, &text);
                        Self::named(Place::File(path))
                    }
                    (None, _) => Err(Failure::Call(error)),
                    (Some(_), Some(_)) => Err(Failure::Usage(format!(
                        "the account of the API key is not known ({reason}), and {} has several \
                         outboxes: choose one with --database FILE",
                        session.intents.display(),
                    ))),
                }
            }
        }
    }

    /// Opens an outbox that is there. A mistyped name creates nothing.
    pub(crate) fn named(place: Place) -> Result<Self, Failure> {
        place.check()?;
        let opened = match &place {
            Place::Server(url) => Outbox::postgres(url),
            Place::File(path) => {
                if let Err(error) = fs::metadata(path) {
                    let subject = format!("could not open the database {place}");
                    return Err(Failure::machine(subject, error));
                }
                match open(path) {
                    Err(OutboxError::NoTables) => {
                        return Err(Failure::Usage(format!(
                            "{place} has no outbox: give --database a file that has one",
                        )));
                    }
                    opened => opened,
                }
            }
        };
        match opened {
            Ok(outbox) => Ok(Self { outbox, place }),
            Err(error) => Err(place.failure(error)),
        }
    }

    /// Opens the outbox of an account in the user's folder, and creates it if it is missing.
    pub(crate) fn of(session: &Session, account: &Account) -> Result<Self, Failure> {
        let path = session.outbox_of(account);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| could_not_create(&path, error))?;
        }
        create(&path)?;
        let opened = open(&path);
        let place = Place::File(path);
        match opened {
            Ok(outbox) => {
                intents::take_over(&outbox, &session.intents, account.user_id.as_str());
                Ok(Self { outbox, place })
            }
            Err(error) if is_damaged(&error) => {
                let problem = match error {
                    OutboxError::NoTables => "it has no tables of an outbox".to_owned(),
                    error => error.to_string(),
                };
                Err(Failure::Machine(format!("{place} is damaged: {problem}; {DAMAGED_ADVICE}")))
            }
            Err(error) => Err(place.failure(error)),
        }
    }

    /// Opens the outbox at a place that may be a shop's. Creates a file, and the tables in it, if
    /// they are missing; those of a server are made by whoever owns its database.
    pub(super) fn create(place: Place) -> Result<Self, Failure> {
        place.check()?;
        let Place::File(path) = &place else { return Self::named(place) };
        create(path)?;
        match Outbox::open(path) {
            Ok(outbox) => Ok(Self { outbox, place }),
            Err(error) => Err(place.failure(error)),
        }
    }

    /// A failure of this outbox.
    pub(crate) fn failure(&self, error: OutboxError) -> Failure {
        self.place.failure(error)
    }
}

/// What to do about a damaged outbox of the command's own: it has all intents of the account.
const DAMAGED_ADVICE: &str = "restore it; or end all `oneclick outbox` commands, move it away \
                              together with the file that has its name and `-journal`, and from \
                              then on add --look-first to every intent that it may have";

/// Whether the file is no database or has no outbox, and not only busy, full or forbidden.
fn is_damaged(error: &OutboxError) -> bool {
    match error {
        OutboxError::NoTables => true,
        OutboxError::Database(error) => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
        _ => false,
    }
}

fn could_not_create(path: &Path, error: impl fmt::Display) -> Failure {
    Failure::machine(format!("could not create {}", path.display()), error)
}

/// Opens a database that is there.
fn open(path: &Path) -> Result<Outbox, OutboxError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Outbox::new(Connection::open_with_flags(path, flags)?)
}

/// The outboxes of an API, of all accounts.
fn outboxes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "db")).collect()
}

/// Creates an outbox, unless there is a file. A file with this name is never empty, so an empty
/// one is damaged and not new.
fn create(path: &Path) -> Result<(), Failure> {
    let exists = || fs::symlink_metadata(path).is_ok();
    if exists() {
        return Ok(());
    }
    let prepare = || -> io::Result<fs::File> {
        let lock = fs::File::create(path.with_extension("lock"))?;
        FileExt::lock(&lock)?;
        Ok(lock)
    };
    let _lock = prepare().map_err(|error| could_not_create(path, error))?;
    if exists() {
        return Ok(());
    }
    // SQLite would apply it to the new database.
    for ending in ["-journal", "-wal"] {
        let mut left = path.as_os_str().to_owned();
        left.push(ending);
        if fs::symlink_metadata(&left).is_ok() {
            let problem = format!(
                "{} belongs to an outbox that is not there any more: move it to where that is",
                Path::new(&left).display(),
            );
            return Err(could_not_create(path, problem));
        }
    }
    let new = path.with_extension("new");
    create_private(&new).map_err(|error| could_not_create(path, error))?;
    Outbox::open(&new).map_err(|error| could_not_create(path, error))?;
    let named = fs::rename(&new, path).and_then(|()| sync_folder(path));
    named.map_err(|error| could_not_create(path, error))
}

/// Creates a file that only its owner can read: it holds personal data.
fn create_private(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// Makes a new name of this file durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows cannot open a folder as a file.
    match path.parent() {
        Some(folder) if cfg!(unix) && folder != Path::new("") => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://shop:5ecret@db/shop", "postgres://shop:PASSWORD@db/shop"),
            ("postgresql://shop:a?b=c@db/shop?port=1", "postgresql://shop:PASSWORD@db/shop?port=1"),
            ("postgres://shop:a@b/c@db:5/shop", "postgres://shop:PASSWORD@db:5/shop"),
            ("postgres://shop:5ecret", "postgres://shop:PASSWORD"),
            (
                "postgres:///shop?host=/run&pass%77ord=5ecret&user=shop",
                "postgres:///shop?host=/run&HIDDEN&user=shop",
            ),
            ("postgres://shop@db", "postgres://shop@db"),
        ] {
            assert_eq!(super::without_password(url), shown);
        }
    }
}
