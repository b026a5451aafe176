//! `oneclick probe`: asks the API what its reference leaves unstated, and keeps what it found.

use std::cell::RefCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::{DateTime, Utc};
use http::Response;
use http::header::DATE;
use oneclick_ureq::probe::{Certainty, Finding, Remaining};
use oneclick_ureq::{
    Account, BlockingTransport, ImpactId, Intent, Probe, ProbeReport, Purchase, Receipt, Step,
    VerifyPolicy,
};

use crate::args::ProbeArgs;
use crate::buy;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::session::{self, Session};

pub(crate) fn run(session: &Session, args: &ProbeArgs) -> Result<(), Failure> {
    if args.saved || args.forget {
        let path = file(session, &session.client.whoami()?)?;
        return if args.forget { forget(session, &path) } else { show(session, &path, args.json) };
    }
    // It refuses production before anything is asked.
    let _ = Probe::new(session.client.api(), Utc::now())?;
    let account = session.client.whoami()?;
    if args.save {
        check_folder(&file(session, &account)?)?;
    }
    announce(session);
    buy::confirm(session, args.yes, "buy and cancel this", &account)?;
    // The clock is compared with the server's, so it is read after the question.
    let report = drive(session, Probe::new(session.client.api(), Utc::now())?);
    let left = Remaining::from(&report);
    // An interruption still names what is left.
    let _unfinished = (report.remaining > 0).then(|| interrupt::set_unfinished(text_of(&left)));
    let saved = if args.save { save(session, &account, &report) } else { Ok(()) };
    let printed = if args.json { output::json(&report) } else { print(&report) };
    // What is left is named whatever else fails, and decides the exit code.
    let results = [remaining(&report, left), saved, printed, bought(&report)];
    let mut failures = results.into_iter().filter_map(Result::err);
    let Some(first) = failures.next() else { return Ok(()) };
    failures.for_each(|failure| failure.print(false));
    Err(first)
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
                unfinished = Some(interrupt::set_unfinished(text_of(sent.state())));
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
            unfinished = Some(interrupt::set_unfinished(text_of(waiting.state())));
        }
    }
}

/// What is not cancelled yet.
fn text_of(left: &Remaining) -> String {
    let text = |ids: &[ImpactId]| {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        ids.join(" ")
    };
    let mut parts = Vec::new();
    if !left.ids.is_empty() {
        parts.push(format!(
            "{} impacts are not cancelled; cancel each with `oneclick cancel ID`: {}",
            left.ids.len(),
            text(&left.ids),
        ));
    }
    if !left.doubtful.is_empty() {
        parts.push(format!("{}: {}", doubtful(left.doubtful.len()), text(&left.doubtful)));
    }
    if left.without_id > 0 {
        let more = left.without_id;
        parts.push(format!(
            "{more} more may have been bought: look for them with `oneclick records`"
        ));
    }
    if parts.is_empty() { "no impact that is known is left".to_owned() } else { parts.join("; ") }
}

/// What to do with ids that may be those of others.
fn doubtful(count: usize) -> String {
    format!(
        "{count} may be those of purchases of others, because no record shows the probe's marker, \
         or others bought the same: look at each with `oneclick track ID` before you cancel it"
    )
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
        "The values of {} of these {} subjects are known, from {} requests.",
        report.findings.iter().filter(known).count(),
        report.findings.len(),
        report.requests,
    ))
}

/// Fails if something that was bought may remain.
fn remaining(report: &ProbeReport, left: Remaining) -> Result<(), Failure> {
    if report.remaining == 0 {
        return Ok(());
    }
    let mut text = format!("{} of the {} purchases may remain", report.remaining, report.bought);
    if left.without_id > 0 {
        let more = left.without_id;
        write!(text, "; {more} have no known id: look for them with `oneclick records`")
            .unwrap_or_default();
    }
    if !left.doubtful.is_empty() {
        let count = left.doubtful.len();
        write!(text, "; {}; these are the last {count} below", doubtful(count)).unwrap_or_default();
    }
    if !left.ids.is_empty() {
        let count = left.ids.len();
        write!(text, "; cancel the first {count} below with `oneclick cancel ID`")
            .unwrap_or_default();
    }
    let ids: Vec<_> = left.ids.into_iter().chain(left.doubtful).collect();
    if !ids.is_empty() {
        text.push(':');
    }
    Err(Failure::Unresolved(text, ids, None))
}

/// Fails if a probe could buy nothing, and so knows next to nothing.
fn bought(report: &ProbeReport) -> Result<(), Failure> {
    if report.bought > 0 {
        return Ok(());
    }
    Err(Failure::NotProbed("nothing could be bought, so nearly nothing is known".to_owned()))
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
        match read(&path) {
            Ok(Some(report)) => Self { report: Some((path, RefCell::new(report))) },
            Ok(None) => none,
            Err(problem) => {
                warn(&path, &format!("{problem} and is ignored"));
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

/// The report in a file; `None` without one. An error says what is wrong with the file.
fn read(path: &Path) -> Result<Option<ProbeReport>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("could not be read ({error})")),
    };
    match serde_json::from_slice::<ProbeReport>(&bytes) {
        Ok(report) if report.version == ProbeReport::VERSION => Ok(Some(report)),
        _ => Err("is not a report of this version".to_owned()),
    }
}

/// Prints the report that is saved.
fn show(session: &Session, path: &Path, json: bool) -> Result<(), Failure> {
    let report = match read(path) {
        Ok(Some(report)) => report,
        Ok(None) => return Err(nothing_saved()),
        Err(problem) => {
            return Err(Failure::Machine(format!(
                "{} {problem}; remove it with `oneclick probe --forget`",
                path.display(),
            )));
        }
    };
    output::notice(session.quiet, &format!("saved {} as {}", age(path), path.display()));
    if json { output::json(&report) } else { print(&report) }
}

/// Removes the report that is saved, even one that cannot be read.
fn forget(session: &Session, path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => {
            output::notice(session.quiet, &format!("removed {}", path.display()));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(nothing_saved()),
        Err(error) => Err(Failure::machine(path.display(), error)),
    }
}

fn nothing_saved() -> Failure {
    Failure::NotProbed(
        "no report is saved for this API and account; `oneclick probe --save` saves one".to_owned(),
    )
}

/// How long ago a file was written.
fn age(path: &Path) -> String {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let passed = written.map(|written| written.elapsed().unwrap_or_default().as_secs());
    match passed.map(|seconds| seconds / (24 * 60 * 60)) {
        Ok(0) => "less than a day ago".to_owned(),
        Ok(1) => "a day ago".to_owned(),
        Ok(days) => format!("{days} days ago"),
        Err(_) => "at an unknown time".to_owned(),
    }
}

/// What `oneclick doctor` says of the report that later purchases use; `None` without one. An
/// error says why they do not use it.
pub(crate) fn saved(
    probes: Option<&Path>,
    server: &str,
    account: &Account,
) -> Option<Result<String, String>> {
    let path = path_in(probes?, server, account);
    let shown = path.display();
    match read(&path) {
        Ok(report) => {
            report.map(|_| Ok(format!("saved {} as {shown}; purchases use it", age(&path))))
        }
        Err(problem) => Some(Err(format!(
            "{shown} {problem} and is ignored; remove it with `oneclick probe --forget`"
        ))),
    }
}

/// Keeps the report for later purchases. A probe that saw no receipt or no record knows less
/// than an earlier one may have known, so it replaces nothing.
fn save(session: &Session, account: &Account, report: &ProbeReport) -> Result<(), Failure> {
    let receipts = report.finding("receipt");
    let saw_receipts = receipts.is_some_and(|found| found.certainty != Certainty::Unknown);
    if !saw_receipts || report.measured.delays == 0 {
        return Err(Failure::NotProbed(
            "the report was not saved, because the probe saw no receipts or no records".to_owned(),
        ));
    }
    let path = file(session, account)?;
    write(&path, report)?;
    output::notice(session.quiet, &format!("saved as {}", path.display()));
    Ok(())
}

/// Fails if a report could not be written, before anything is bought for it.
fn check_folder(path: &Path) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| fs::write(&new, ""))
        .and_then(|()| fs::remove_file(&new))
        .map_err(|error| Failure::machine(path.display(), error))
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

fn file(session: &Session, account: &Account) -> Result<PathBuf, Failure> {
    path(session, account).ok_or_else(|| session::no_home(session::CONFIG_HOME))
}

/// The file of the report for an API, its environment and an account; `None` without a folder
/// of the user.
fn path(session: &Session, account: &Account) -> Option<PathBuf> {
    // As with the intents: one name for all spellings of a URL, and another one for production.
    let server = session.intents.strip_prefix(&session.all_intents).ok();
    let server = server.and_then(Path::to_str).filter(|name| !name.is_empty());
    Some(path_in(session.probes.as_ref()?, server.unwrap_or(&session.api_name), account))
}

fn path_in(probes: &Path, server: &str, account: &Account) -> PathBuf {
    // Both are texts of servers, which need not be file names.
    let name = Intent::new(server, account.user_id.as_str());
    probes.join(format!("probes/{}.json", name.marker()))
}
