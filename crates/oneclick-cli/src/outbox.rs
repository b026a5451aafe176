//! `oneclick outbox`: purchases that are stored before they are sent, and bought once.

mod serve;

use std::fs::{self, OpenOptions};
use std::path::Path;

use clap::Subcommand;
use oneclick_outbox::{Outbox, OutboxError};

use crate::failure::Failure;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API's own paths on this machine, with an idempotency key for each purchase
    ///
    /// A shop in any language sends its purchases here instead of to the API, with a
    /// header such as `Idempotency-Key: "order-123"`. A purchase is stored before
    /// anything leaves, bought once whatever dies, and answered with its receipt,
    /// also when it is sent again. Reads and cancellations are passed on. The shop
    /// needs no API key. It prints its URL, then runs until it is interrupted.
    #[command(after_help = serve::EXAMPLE)]
    Serve(serve::Args),
}

pub(crate) fn run(session: Session, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(session, args),
    }
}

/// Opens the outbox in this file, or the user's own for this API.
fn open(session: &Session, database: Option<&Path>) -> Result<Outbox, Failure> {
    let usual = session.intents.join("outbox.db");
    let path = database.unwrap_or(&usual);
    let subject = || format!("could not open the outbox {}", path.display());
    let create = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Only its owner can read it: it holds e-mail addresses.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    };
    create().map_err(|error| Failure::machine(subject(), error))?;
    Outbox::open(path).map_err(|error| failure(subject(), &error))
}

fn failure(subject: impl std::fmt::Display, error: &OutboxError) -> Failure {
    match error {
        OutboxError::OtherAccount { .. } => Failure::Usage(format!("{subject}: {error}")),
        _ => Failure::machine(subject, error),
    }
}
