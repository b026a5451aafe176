//! `oneclick outbox work`: a worker in the foreground.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oneclick_outbox::{Counts, Entry, Outbox, OutboxError, Status, Worker};

use super::{Opened, Place, told};
use crate::args::{Global, WorkArgs};
use crate::buy;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::probe::Known;
use crate::session::Session;

/// How often it is seen whether workers are paused, and whether the worker has ended.
const WATCH: Duration = Duration::from_millis(200);

pub(super) fn run(
    global: &Global,
    database: Option<Place>,
    args: &WorkArgs,
) -> Result<(), Failure> {
    let session = Session::open(global)?;
    buy::check_settle(&session, args.settle)?;
    let account = session.client.whoami()?;
    let Opened { outbox, place } = match database {
        Some(place) => Opened::named(place)?,
        None => Opened::of(&session, &account)?,
    };
    let failed = |error| place.failure(error);
    let counts = outbox.counts().map_err(failed)?;
    let waiting = counts.ready + counts.open + counts.cancelling;
    let what = format!("carry out the intents in {place} ({waiting} now)");
    buy::confirm(&session, args.yes, &what, &account)?;
    let known = Known::load(&session, &account).policy();
    let settle = args.settle.map(|settle| Duration::from_secs(settle.into()));
    let policy = known.absence_after(settle.unwrap_or(known.absence_after));

    let told = Arc::new(Told::default());
    let (quiet, jsonl) = (session.quiet, args.jsonl);
    let on_outcome = {
        let told = Arc::clone(&told);
        move |entry: &Entry| told.tell(entry, quiet, jsonl)
    };
    let worker = Worker::new(&outbox, session.client.clone()).policy(policy).on_outcome(on_outcome);
    let stop = worker.stop_handle();
    interrupt::call({
        let stop = stop.clone();
        move || {
            // The terminal has shown `^C`.
            output::notice(quiet, "");
            output::notice(quiet, "finishing what is under way; a second interruption ends it");
            stop.stop();
        }
    });
    let unfinished = interrupt::set_unfinished(
        "purchases may be under way; the next `oneclick outbox work` finds out what became of them",
    );
    if args.once {
        worker.run_until_idle().map_err(failed)?;
    } else {
        let text = format!("working on {place}; intents to carry out: {waiting}");
        output::notice(quiet, &text);
        run_watched(&worker, &outbox).map_err(failed)?;
    }
    drop(unfinished);
    let counts = outbox.counts().map_err(failed)?;
    told.say(&counts, quiet);
    told.result(counts, args.once)
}

/// Runs the worker, and says when workers are paused. It keeps silent about an outage, which
/// ends by itself.
fn run_watched(worker: &AnyWorker, outbox: &Outbox) -> Result<(), OutboxError> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut paused = None;
            while !ended.load(Ordering::Relaxed) {
                // If this fails, so does the worker, which says why.
                let now = outbox.paused().unwrap_or_else(|_| paused.clone());
                if now != paused {
                    output::notice(
                        false,
                        &now.as_ref()
                            .map_or_else(|| "no longer paused".to_owned(), |why| paused_text(why)),
                    );
                    paused = now;
                }
                thread::park_timeout(WATCH);
            }
        });
        let result = worker.run();
        ended.store(true, Ordering::Relaxed);
        result
    })
}

type AnyWorker = Worker<oneclick_ureq::BlockingClient<crate::session::AnyTransport>>;

fn paused_text(why: &str) -> String {
    format!("paused ({why}); nothing is sent until `oneclick outbox resume`")
}

/// What this worker has told so far.
#[derive(Default)]
struct Told {
    bought: AtomicU64,
    refused: AtomicU64,
    unresolved: AtomicU64,
    /// Those of which an audit found more than one.
    surplus: AtomicU64,
    others: AtomicU64,
    /// Why a line could not be printed.
    unprinted: Mutex<Option<Failure>>,
}

impl Told {
    fn tell(&self, entry: &Entry, quiet: bool, jsonl: bool) {
        let status = entry.status;
        let counter = match status {
            _ if !entry.surplus.is_empty() => &self.surplus,
            Status::Bought => &self.bought,
            Status::Refused => &self.refused,
            Status::Unresolved => &self.unresolved,
            _ => &self.others,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let needs_a_person =
            matches!(status, Status::Refused | Status::Unresolved) || !entry.surplus.is_empty();
        output::notice(quiet && !needs_a_person, &line(entry));
        if jsonl {
            if let Err(failure) = output::json_line(entry) {
                *self.unprinted.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            }
        }
    }

    /// Says what was done, and what is left.
    fn say(&self, counts: &Counts, quiet: bool) {
        let told = [
            (&self.bought, "bought"),
            (&self.refused, "refused"),
            (&self.unresolved, "unresolved"),
            (&self.surplus, "bought more than once"),
            (&self.others, "cancelled or dropped"),
        ];
        let told = told.map(|(counter, what)| (counter.load(Ordering::Relaxed), what));
        let left = [
            (counts.ready, "waiting"),
            (counts.open, "open"),
            (counts.cancelling, "to be cancelled"),
        ];
        let all = told.into_iter().chain(left).filter(|(count, _)| *count > 0);
        let all: Vec<_> = all.map(|(count, what)| format!("{count} {what}")).collect();
        let nothing = || "nothing to do".to_owned();
        output::notice(quiet, &if all.is_empty() { nothing() } else { all.join(", ") });
    }

    /// Whether a run failed. A run that was to go on for ever has done what it could.
    fn result(&self, counts: Counts, once: bool) -> Result<(), Failure> {
        let unprinted = self.unprinted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(failure) = unprinted {
            return Err(failure);
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        match (counts.paused, count(&self.unresolved), count(&self.refused)) {
            _ if !once => Ok(()),
            (Some(why), ..) => {
                Err(Failure::Machine(format!("the outbox is {}", paused_text(&why))))
            }
            (None, 1.., _) => Err(Failure::Unknown(
                "a person has to look at the unresolved intents: `oneclick outbox list --status \
                 unresolved` lists them, and `oneclick outbox show KEY` says what to do"
                    .to_owned(),
                None,
            )),
            (None, 0, 1..) => Err(Failure::Refused(
                "the API refused purchases: `oneclick outbox list --status refused` lists them"
                    .to_owned(),
            )),
            (None, 0, 0) => Ok(()),
        }
    }
}

/// The line of a log for an intent that is done.
fn line(entry: &Entry) -> String {
    let at = entry.done_at.as_deref().unwrap_or_default();
    format!("{at}  {}", told(entry))
}
