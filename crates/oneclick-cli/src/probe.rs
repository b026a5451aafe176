//! `oneclick probe`: asks the API what its reference leaves unstated.

use std::cell::RefCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::{DateTime, Utc};
use http::Response;
use http::header::DATE;
use oneclick_ureq::probe::{Certainty, Finding, Remaining};
use oneclick_ureq::{
    Account, BlockingTransport, Intent, Probe, ProbeReport, Purchase, Receipt, Step, VerifyPolicy,
};

use crate::args::ProbeArgs;
use crate::buy;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::session::{self, Session};

pub(crate) fn run(session: &Session, args: &ProbeArgs) -> Result<(), Failure> {
    let probe = Probe::new(session.client.api(), Utc::now())?;
    let account = session.client.whoami()?;
    announce(session);
    buy::confirm(session, args.yes, "buy and cancel this", &account)?;
    let report = drive(session, probe);
    if args.save {
        save(session, &account, &report)?;
    }
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    remaining(&report)
}

/// Says what will be bought.
fn announce(session: &Session) {
    let purchases = Probe::purchases();
    let customers = purchases.iter().filter(|purchase| purchase.customer().is_some()).count();
    let mut impacts: Vec<_> = purchases.iter().map(Purchase::impact).collect();
    impacts.sort_by_key(|impact| impact.kind.as_str().to_owned());
    let kinds = impacts.chunk_by(|one, other| one.kind == other.kind).map(|impacts| {
        let mut total = impacts[0].clone();
        total.amount = impacts.iter().map(|impact| impact.amount).sum();
        total.to_string()
    });
    output::notice(
        session.quiet,
        &format!(
            "this buys {} impacts at {} and cancels them: {}; {customers} of them are for \
             addresses under example.com, and no e-mails are sent",
            purchases.len(),
            session.api_name,
            kinds.collect::<Vec<_>>().join(", "),
        ),
    );
}

/// Runs the probe. An interruption says what is left.
fn drive(session: &Session, probe: Probe) -> ProbeReport {
    let spinner = output::spinner(session.quiet, "asking");
    let transport = session.client.transport();
    let mut step = session.client.start(probe);
    let mut requests = 0_u32;
    let mut unfinished = None;
    loop {
        step = match step {
            Step::Send(request, sent) => {
                requests += 1;
                spinner.set_message(format!("request {requests}"));
                unfinished = Some(interrupt::set_unfinished(left(sent.state())));
                sent.finish(transport.send(request), transport.now())
            }
            Step::Wait(wait, waiting) => {
                transport.sleep(wait);
                waiting.wake(transport.now())
            }
            Step::Done(report) => break report,
        };
        drop(unfinished.take());
        if let Step::Wait(_, waiting) = &step {
            unfinished = Some(interrupt::set_unfinished(left(waiting.state())));
        }
    }
}

/// What is not cancelled yet.
fn left(remaining: &Remaining) -> String {
    let ids: Vec<_> = remaining.ids.iter().map(ToString::to_string).collect();
    let mut text = match &*ids {
        [] => "no impact that is known is left".to_owned(),
        ids => format!(
            "{} impacts are not cancelled; cancel each with `oneclick cancel ID`: {}",
            ids.len(),
            ids.join(" "),
        ),
    };
    if remaining.without_id > 0 {
        let more = remaining.without_id;
        write!(text, "; {more} more may have been bought: look for them with `oneclick records`")
            .unwrap_or_default();
    }
    text
}

fn print(report: &ProbeReport) -> Result<(), Failure> {
    let rows = report.findings.iter().map(|finding| {
        let value = match finding.certainty {
            Certainty::Likely => format!("{} (likely)", finding.value),
            _ => finding.value.clone(),
        };
        [finding.subject.clone(), value, finding.basis.clone()]
    });
    let known = |finding: &&Finding| finding.certainty != Certainty::Unknown;
    output::table_of(["subject", "value", "what it rests on"], rows)?;
    output::line("")?;
    for sentence in &report.consequences {
        output::line(sentence)?;
    }
    let policy = report.policy();
    output::line("")?;
    output::line(&format!(
        "For verified purchases at this server: a missing record counts after {} s, {} s between \
         Date and time_utc are tolerated, and {}.",
        policy.absence_after.as_secs(),
        policy.clock_tolerance.as_secs(),
        if policy.confirm_by_receipt { "a receipt confirms" } else { "only a record confirms" },
    ))?;
    output::line(&format!(
        "{} of {} points are known, from {} requests.",
        report.findings.iter().filter(known).count(),
        report.findings.len(),
        report.requests,
    ))
}

/// Fails if something that was bought may remain.
fn remaining(report: &ProbeReport) -> Result<(), Failure> {
    if report.remaining == 0 {
        return Ok(());
    }
    let ids = report.not_cancelled.clone();
    let text = format!(
        "{} of the {} purchases may remain; cancel each of these with `oneclick cancel ID`, and \
         look for others with `oneclick records`",
        report.remaining, report.bought,
    );
    Err(Failure::Unresolved(text, ids, None))
}

/// What a saved report says of this API and account.
pub(crate) struct Known {
    /// Its file and what it says.
    report: Option<(PathBuf, RefCell<ProbeReport>)>,
}

impl Known {
    /// Reads the report. One that cannot be read counts as missing, with a warning.
    pub(crate) fn load(session: &Session, account: &Account) -> Self {
        let none = Self { report: None };
        let Some(path) = path(session, account) else { return none };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return none,
            Err(error) => {
                warn(&path, &format!("could not be read ({error}) and is ignored"));
                return none;
            }
        };
        match serde_json::from_slice::<ProbeReport>(&bytes) {
            Ok(report) if report.version == ProbeReport::VERSION => {
                Self { report: Some((path, RefCell::new(report))) }
            }
            _ => {
                warn(&path, "is not a report of this version and is ignored");
                none
            }
        }
    }

    pub(crate) fn policy(&self) -> VerifyPolicy {
        self.report.as_ref().map_or(VerifyPolicy::STANDARD, |(_, report)| report.borrow().policy())
    }

    /// Corrects the report if the response to a purchase contradicts it.
    pub(crate) fn compare(&self, purchase: &Purchase, response: &Response<Vec<u8>>) {
        let Some((path, report)) = &self.report else { return };
        // The body of a failure is no receipt, whatever it looks like.
        if !response.status().is_success() {
            return;
        }
        let Ok(receipt) = serde_json::from_slice::<Receipt>(response.body()) else { return };
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let mut report = report.borrow_mut();
        let corrected = report.correct(purchase, &receipt, date.map(|date| date.to_utc()));
        if corrected.is_empty() {
            return;
        }
        let subjects = corrected.join(", ");
        warn(path, &format!("was corrected ({subjects}), because a response contradicts it"));
        if let Err(failure) = write(path, &report) {
            failure.print(false);
        }
    }
}

fn warn(path: &Path, problem: &str) {
    let text = format!("warning: {} {problem}; run `oneclick probe --save` again", path.display());
    output::notice(false, &text);
}

/// Keeps the report for later purchases.
fn save(session: &Session, account: &Account, report: &ProbeReport) -> Result<(), Failure> {
    let path = path(session, account).ok_or_else(|| session::no_home(session::CONFIG_HOME))?;
    write(&path, report)?;
    output::notice(session.quiet, &format!("saved as {}", path.display()));
    Ok(())
}

fn write(path: &Path, report: &ProbeReport) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report).map_err(io::Error::from);
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    // The rename leaves either the old report or the new one.
    let new = path.with_extension("new");
    folder
        .and(json)
        .and_then(|json| fs::write(&new, json))
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| Failure::machine(path.display(), error))
}

/// The file of the report for an API, its environment and an account; `None` without a folder
/// of the user.
fn path(session: &Session, account: &Account) -> Option<PathBuf> {
    // As with the intents: one name for all spellings of a URL, and another one for production.
    let server = session.intents.strip_prefix(&session.all_intents).ok();
    let server = server.and_then(Path::to_str).filter(|name| !name.is_empty());
    // Both are texts of servers, which need not be file names.
    let name = Intent::new(server.unwrap_or(&session.api_name), account.user_id.as_str());
    Some(session.probes.as_ref()?.join(format!("probes/{}.json", name.marker())))
}
