//! `oneclick apply`: buys what a file says, a purchase for each line, through an outbox.

mod orders;
mod results;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use oneclick_outbox::{Entry, Outbox, OutboxError, Status, Worker};
use oneclick_ureq::{
    Account, BlockingClient, Impact, ImpactKind, Intent, InvalidValue, VerifiedPurchase,
    VerifyPolicy,
};
use serde::Serialize;

use self::orders::{Line, Orders, Problem};
use self::results::{Cells, Results};
use crate::args::{ApplyArgs, Ceilings, Global};
use crate::buy;
use crate::failure::{Failure, explain};
use crate::interrupt;
use crate::outbox::{Opened, Place};
use crate::output;
use crate::probe::Known;
use crate::session::{AnyTransport, Session};
use crate::values::grouped;

/// How many lines of one kind are named on standard error. The result file names them all.
const NAMED: usize = 20;
/// The longest wait between two looks for what is pending.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How often it is seen whether the command is interrupted.
const SLICE: Duration = Duration::from_millis(100);

pub(crate) fn run(global: &Global, args: &ApplyArgs) -> Result<(), Failure> {
    let session = Session::open(global)?;
    buy::check_settle(&session, args.settle)?;
    let mut orders = Orders::read(&args.file, args.silent)?;
    // A database that cannot be used is an error, whatever the API responds.
    let named = args.database.clone().map(Opened::named).transpose()?;
    let account = match session.client.whoami() {
        Ok(account) => account,
        Err(_) if !orders.problems.is_empty() => return Err(refuse(&orders.problems)),
        Err(error) if args.dry_run => return Err(Failure::Call(error)),
        Err(error) => return Err(account_unknown(&session, args, named.as_ref(), &orders, error)),
    };
    let namespace = args.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| account.user_id.as_str().to_owned());
    let opened = match named {
        Some(opened) => Some(opened),
        None => open(&session, &account, args.dry_run)?,
    };
    let batch = Batch::new(&mut orders, opened.as_ref(), &namespace)?;
    let plan = Plan::of(&batch);
    if args.dry_run {
        plan.print(&orders.problems, args.json.json)?;
        if !orders.problems.is_empty() {
            return Err(refused(orders.problems.len()));
        }
        return plan.check(&args.ceilings);
    }
    if !orders.problems.is_empty() {
        return Err(refuse(&orders.problems));
    }
    plan.check(&args.ceilings)?;
    let path = args.results.clone().unwrap_or_else(|| args.file.with_extension("results.csv"));
    // It is written at the end, and must not fail only then.
    drop(Results::create(path.clone())?);
    if plan.purchases > 0 {
        buy::confirm(&session, args.yes, &format!("buy {plan}"), &account)?;
    }
    // Only a dry run has no outbox.
    let Some(opened) = opened else { return Ok(()) };
    let bound = opened.outbox.bind(session.client.api().base_url(), &account);
    bound.map_err(|error| opened.failure(error))?;
    let known = Known::load(&session, &account).policy();
    let settle = args.settle.map(|settle| Duration::from_secs(settle.into()));
    let policy = known.absence_after(settle.unwrap_or(known.absence_after));
    Run { args, session: &session, namespace, opened, batch, policy }.all(&plan, &path)
}

/// The outbox of the account. A dry run creates none.
fn open(session: &Session, account: &Account, dry_run: bool) -> Result<Option<Opened>, Failure> {
    let path = session.outbox_of(account);
    match path.exists() {
        _ if !dry_run => Opened::of(session, account).map(Some),
        true => Opened::named(Place::File(path)).map(Some),
        false => Ok(None),
    }
}

/// The API could not be asked for the account, which is the namespace unless one is given.
fn account_unknown(
    session: &Session,
    args: &ApplyArgs,
    named: Option<&Opened>,
    orders: &Orders,
    error: oneclick_ureq::Error,
) -> Failure {
    let is_new = match (named, &args.namespace) {
        (None, _) => !session.all_intents.exists(),
        (Some(opened), Some(namespace)) => orders
            .lines
            .iter()
            .all(|line| matches!(opened.outbox.find(namespace, &line.key), Ok(None))),
        (Some(_), None) => false,
    };
    if is_new {
        return Failure::NotBought(error);
    }
    let text = format!(
        "this run bought nothing, but an earlier one may have bought lines of the file: {}; run \
         the same command later",
        explain(&error),
    );
    Failure::Unknown(text, Some(error))
}

/// Names each bad line.
fn refuse(problems: &[Problem]) -> Failure {
    for Problem { line, problem } in problems {
        output::notice(false, &format!("line {line}: {problem}"));
    }
    refused(problems.len())
}

fn refused(problems: usize) -> Failure {
    let text = format!("nothing was sent, because of {}", counted(problems, "bad line"));
    Failure::Usage(text)
}

/// A line, and what the outbox has of it.
struct Item {
    line: Line,
    /// The id of its intent, once that is stored.
    id: OnceLock<i64>,
    /// The status of the intent before this run.
    before: Option<Status>,
}

impl Item {
    /// Whether this run is to buy it, or to find out whether it was bought.
    fn is_to_do(&self, today: NaiveDate) -> bool {
        match self.before {
            None => self.line.date.is_none_or(|date| date <= today),
            Some(status) => !status.is_final() && status != Status::Cancelling,
        }
    }
}

/// The lines of a file without problems.
struct Batch {
    items: Vec<Item>,
    today: NaiveDate,
}

impl Batch {
    /// Finds each line in the outbox. One that the outbox has with another purchase is a problem.
    fn new(orders: &mut Orders, opened: Option<&Opened>, namespace: &str) -> Result<Self, Failure> {
        let mut items = Vec::with_capacity(orders.lines.len());
        for line in std::mem::take(&mut orders.lines) {
            let mut before = None;
            let id = OnceLock::new();
            let intent = Intent::new(namespace, &line.key);
            let mut problem = match VerifiedPurchase::new(&intent, line.purchase.clone()) {
                Ok(_) => None,
                Err(InvalidValue::Metadata { reason, .. }) => Some(format!("metadata: {reason}")),
                Err(invalid) => Some(invalid.to_string()),
            };
            if let (Some(opened), None) = (opened, &problem) {
                match stored(&opened.outbox, namespace, &line) {
                    Ok(Some(entry)) => {
                        before = Some(entry.status);
                        id.get_or_init(|| entry.id);
                    }
                    Ok(None) => {}
                    Err(OutboxError::OtherPurchase { .. }) => {
                        let was = "key: it stands for another purchase";
                        problem = Some(match opened.outbox.find(namespace, &line.key) {
                            Ok(Some(Entry { purchase: Some(purchase), .. })) => {
                                format!("{was}: {}", buy::full_summary(&purchase))
                            }
                            _ => format!("{was}, whose details were erased"),
                        });
                    }
                    Err(error) => return Err(opened.failure(error)),
                }
            }
            match problem {
                None => items.push(Item { line, id, before }),
                Some(problem) => orders.problems.push(Problem { line: line.number, problem }),
            }
        }
        orders.problems.sort_by_key(|problem| problem.line);
        Ok(Self { items, today: Utc::now().date_naive() })
    }

    fn to_do(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_to_do(self.today))
    }
}

/// The intent of a line, if the outbox has it.
fn stored(outbox: &Outbox, namespace: &str, line: &Line) -> Result<Option<Entry>, OutboxError> {
    let Some(entry) = outbox.find(namespace, &line.key)? else { return Ok(None) };
    if entry.purchase.as_ref() != Some(&line.purchase) {
        // It was erased, or is another one. The outbox knows which.
        outbox.enqueue(namespace, &line.key, line.purchase.clone())?;
    }
    Ok(Some(entry))
}

/// What a run is to buy, at most.
#[derive(Serialize)]
struct Plan {
    purchases: usize,
    customers: usize,
    totals: Totals,
    already_bought: usize,
    /// Lines with a date in the future.
    later: usize,
}

/// Amounts by kind, each in the unit of its kind.
#[derive(Default, Serialize)]
struct Totals(BTreeMap<String, i64>);

impl Totals {
    fn add(&mut self, impact: &Impact) {
        let total = self.0.entry(impact.kind.to_string()).or_default();
        *total = total.saturating_add(impact.amount);
    }

    fn get(&self, kind: &ImpactKind) -> u64 {
        self.0.get(kind.as_str()).map_or(0, |total| total.unsigned_abs())
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .map(|(kind, amount)| Impact::new(ImpactKind::from(kind.as_str()), *amount).to_string())
    }
}

impl Plan {
    fn of(batch: &Batch) -> Self {
        let mut totals = Totals::default();
        let mut customers = HashSet::new();
        let mut purchases = 0;
        for Item { line, .. } in batch.to_do() {
            purchases += 1;
            totals.add(&line.purchase.impact());
            let customer = line.purchase.customer();
            customers.extend(customer.map(|customer| customer.customer_email.as_str()));
        }
        let is_bought = |item: &&Item| item.before == Some(Status::Bought);
        let is_later = |item: &&Item| item.before.is_none() && !item.is_to_do(batch.today);
        Self {
            purchases,
            customers: customers.len(),
            totals,
            already_bought: batch.items.iter().filter(is_bought).count(),
            later: batch.items.iter().filter(is_later).count(),
        }
    }

    /// Fails if a total is above its ceiling.
    fn check(&self, ceilings: &Ceilings) -> Result<(), Failure> {
        let Ceilings { trees, plastic, carbon, cents, coral } = ceilings;
        for (option, kind, ceiling) in [
            ("--max-trees", ImpactKind::TreePlanted, trees),
            ("--max-plastic", ImpactKind::WasteRemoved, plastic),
            ("--max-carbon", ImpactKind::CarbonCaptured, carbon),
            ("--max-dollars", ImpactKind::MoneyDonated, cents),
            ("--max-coral", ImpactKind::CoralRestored, coral),
        ] {
            let total = self.totals.get(&kind);
            let Some(ceiling) = ceiling.filter(|ceiling| total > *ceiling) else { continue };
            let total = Impact::new(kind.clone(), i64::try_from(total).unwrap_or(i64::MAX));
            let ceiling = match kind {
                ImpactKind::MoneyDonated => {
                    format!("{}.{:02}", grouped(ceiling / 100), ceiling % 100)
                }
                _ => grouped(ceiling),
            };
            return Err(Failure::Usage(format!(
                "the lines to buy come to {total}, and {option} is {ceiling}: nothing was sent",
            )));
        }
        Ok(())
    }

    fn print(&self, problems: &[Problem], json: bool) -> Result<(), Failure> {
        if json {
            #[derive(Serialize)]
            struct Shown<'a> {
                #[serde(flatten)]
                plan: &'a Plan,
                bad: &'a [Problem],
            }
            return output::json(&Shown { plan: self, bad: problems });
        }
        let customers = grouped(self.customers as u64);
        let mut pairs =
            vec![("purchases", grouped(self.purchases as u64)), ("customers", customers)];
        pairs.extend(self.totals.texts().map(|text| ("total", text)));
        pairs.push(("already bought", grouped(self.already_bought as u64)));
        if self.later > 0 {
            pairs.push(("later", grouped(self.later as u64)));
        }
        output::name_value_table(&pairs)?;
        for Problem { line, problem } in problems {
            output::line(&format!("line {line}: {problem}"))?;
        }
        Ok(())
    }
}

/// The totals on one line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals: Vec<_> = self.totals.texts().collect();
        write!(f, "{}, in {}", totals.join(", "), counted(self.purchases, "purchase"))?;
        match self.customers {
            0 => Ok(()),
            customers => write!(f, " for {}", counted(customers, "customer")),
        }
    }
}

/// A number of things.
fn counted(count: usize, one: &str) -> String {
    let several = if count == 1 { "" } else { "s" };
    format!("{} {one}{several}", grouped(count as u64))
}

/// A run that buys.
struct Run<'a> {
    args: &'a ApplyArgs,
    session: &'a Session,
    namespace: String,
    opened: Opened,
    batch: Batch,
    policy: VerifyPolicy,
}

impl Run<'_> {
    fn all(&self, plan: &Plan, path: &Path) -> Result<(), Failure> {
        let quiet = self.session.quiet;
        let bar = output::progress(quiet, plan.purchases as u64);
        let worker = Worker::new(&self.opened.outbox, self.session.client.clone())
            .policy(self.policy)
            .concurrency(self.args.parallel)
            .on_outcome({
                let bar = bar.clone();
                move |_| bar.inc(1)
            });
        let interrupted = Arc::new(AtomicBool::new(false));
        interrupt::call({
            let (stop, interrupted) = (worker.stop_handle(), Arc::clone(&interrupted));
            move || {
                interrupted.store(true, Ordering::Relaxed);
                // The terminal has shown `^C`.
                output::notice(quiet, "");
                output::notice(quiet, "finishing what is under way; a second interruption ends it");
                stop.stop();
            }
        });
        let unfinished = interrupt::set_unfinished(
            "purchases may be under way; the same command finds out what became of them",
        );
        let result = self.work(&worker, &interrupted, &bar);
        bar.finish_and_clear();
        drop(unfinished);

        let failed = result.map_err(|error| self.opened.failure(error)).err();
        let paused = self.opened.outbox.paused().ok().flatten();
        let paused = paused.filter(|_| !self.args.store_only);
        let (report, written) = self.report(path.to_owned())?;
        report.print(path, self.args.json.json, quiet || written.is_err())?;
        let result = report.result(interrupted.load(Ordering::Relaxed), failed, paused);
        match written {
            Err(failure) if result.is_err() => {
                failure.print(false);
                result
            }
            written => result.and(written),
        }
    }

    /// Sends what is new, then looks for everything whose outcome is not known.
    fn work(
        &self,
        worker: &Worker<BlockingClient<AnyTransport>>,
        interrupted: &AtomicBool,
        bar: &indicatif::ProgressBar,
    ) -> Result<(), OutboxError> {
        let to_do: Vec<_> = self.batch.to_do().collect();
        if to_do.is_empty() {
            return Ok(());
        }
        if self.args.store_only {
            return to_do.iter().try_for_each(|item| self.store(item).map(drop));
        }
        // Each is stored right before it is sent. The next run looks first for lines that a killed
        // one had stored and not sent, so there should be few of them.
        worker.drive_all(to_do.iter().map(|item| self.store(item)))?;
        let mut open: Vec<_> = to_do.iter().filter_map(|item| item.id.get().copied()).collect();
        let until = Instant::now() + Duration::from_secs(self.args.wait.into());
        let mut pause = Duration::from_secs(1);
        loop {
            open = self.unfinished(open)?;
            if open.is_empty() || interrupted.load(Ordering::Relaxed) || self.is_paused()? {
                return Ok(());
            }
            bar.set_message(format!("looking for {}", open.len()));
            let is_over = Instant::now() >= until;
            match worker.settle(&open) {
                // The API may be back before the time is over.
                Err(OutboxError::Account(_)) if !is_over => {}
                result => result?,
            }
            open = self.unfinished(open)?;
            if open.is_empty() || is_over {
                return Ok(());
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            let next = (Instant::now() + pause).min(until);
            while Instant::now() < next && !interrupted.load(Ordering::Relaxed) {
                thread::sleep(SLICE.min(next.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// Those of these intents that have no final status yet.
    fn unfinished(&self, ids: Vec<i64>) -> Result<Vec<i64>, OutboxError> {
        let mut unfinished = Vec::new();
        for id in ids {
            let entry = self.opened.outbox.entry(id)?;
            unfinished.extend(entry.filter(|entry| !entry.status.is_final()).map(|_| id));
        }
        Ok(unfinished)
    }

    fn is_paused(&self) -> Result<bool, OutboxError> {
        Ok(self.opened.outbox.paused()?.is_some())
    }

    /// The id of the intent of a line, which is stored if it is missing.
    fn store(&self, item: &Item) -> Result<i64, OutboxError> {
        if let Some(id) = item.id.get() {
            return Ok(*id);
        }
        let Line { key, purchase, .. } = &item.line;
        let id = self.opened.outbox.enqueue(&self.namespace, key, purchase.clone())?.id;
        Ok(*item.id.get_or_init(|| id))
    }

    /// Counts what became of each line, and writes it into the result file. Also returns whether
    /// that could be written.
    fn report(&self, path: PathBuf) -> Result<(Report, Result<(), Failure>), Failure> {
        let mut report = Report::default();
        let mut results = Results::create(path);
        for item in &self.batch.items {
            let entry = item.id.get().map(|id| self.opened.outbox.entry(*id)).transpose();
            let entry = entry.map_err(|error| self.opened.failure(error))?.flatten();
            let end = End::of(item, entry.as_ref(), self.batch.today);
            let cells = self.cells(item, entry.as_ref(), end);
            results = results.and_then(|mut results| results.write(&cells).map(|()| results));
            report.add(end, &item.line, entry.as_ref(), cells);
        }
        Ok((report, results.and_then(Results::finish)))
    }

    fn cells(&self, item: &Item, entry: Option<&Entry>, end: End) -> Cells {
        let Line { number, key, date, .. } = &item.line;
        let mut cells =
            Cells { line: *number, key: key.clone(), status: end.name(), ..Cells::default() };
        if let Some(bought) = entry.and_then(|entry| entry.bought.as_ref()) {
            cells.id = bought.id.to_string();
            cells.kind = bought.kind.to_string();
            cells.amount = bought.amount.to_string();
            cells.time = bought.id.time_utc.to_string();
        }
        let problem = entry.and_then(|entry| entry.problem.clone());
        cells.problem = match end {
            End::Bought | End::AlreadyBought | End::Cancelled => String::new(),
            End::Later => date.map(|date| format!("not before {date}")).unwrap_or_default(),
            End::Pending => {
                let known = entry.and_then(|entry| self.known_from(entry));
                cells.time = known.map(rfc3339).unwrap_or_default();
                let is_taken = entry.is_some_and(|entry| entry.status == Status::Claimed);
                if is_taken { "another process has it" } else { "not known yet" }.to_owned()
            }
            End::Refused | End::Unresolved | End::Dropped | End::NotSent => {
                problem.unwrap_or_default()
            }
        };
        cells
    }

    /// From when on a look tells whether a pending intent was bought.
    fn known_from(&self, entry: &Entry) -> Option<DateTime<Utc>> {
        let sent = entry.state.as_ref()?.latest_send()?;
        let after = self.policy.absence_after.saturating_add(buy::CLOCK_SLACK);
        sent.checked_add_signed(TimeDelta::from_std(after).ok()?)
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Bought,
    AlreadyBought,
    Refused,
    Pending,
    Unresolved,
    Cancelled,
    Dropped,
    /// Its date is in the future.
    Later,
    /// It was not its turn: the run was interrupted, or the outbox is paused.
    NotSent,
}

impl End {
    fn of(item: &Item, entry: Option<&Entry>, today: NaiveDate) -> Self {
        match entry.map(|entry| entry.status) {
            None if !item.is_to_do(today) => Self::Later,
            None | Some(Status::Ready) => Self::NotSent,
            Some(Status::Bought) if item.before == Some(Status::Bought) => Self::AlreadyBought,
            Some(Status::Bought) => Self::Bought,
            Some(Status::Refused) => Self::Refused,
            Some(Status::Cancelling | Status::Cancelled) => Self::Cancelled,
            Some(Status::Dropped) => Self::Dropped,
            Some(Status::Claimed | Status::Open) => Self::Pending,
            Some(_) => Self::Unresolved,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bought => "bought",
            Self::AlreadyBought => "already_bought",
            Self::Refused => "refused",
            Self::Pending => "pending",
            Self::Unresolved => "unresolved",
            Self::Cancelled => "cancelled",
            Self::Dropped => "dropped",
            Self::Later => "later",
            Self::NotSent => "not_sent",
        }
    }
}

/// How a run ended.
#[derive(Default)]
struct Report {
    counts: BTreeMap<End, usize>,
    /// What this run bought.
    totals: Totals,
    /// The lines that a person or a later run has to look at: the first ones of each end.
    named: Vec<(End, Cells)>,
    /// When all that is pending is known.
    known_from: Option<String>,
}

impl Report {
    fn add(&mut self, end: End, line: &Line, entry: Option<&Entry>, cells: Cells) {
        let count = self.counts.entry(end).or_default();
        *count += 1;
        match end {
            End::Bought => {
                let bought = entry.and_then(|entry| entry.bought.as_ref());
                let bought = bought.map(|bought| Impact::new(bought.kind.clone(), bought.amount));
                self.totals.add(&bought.unwrap_or_else(|| line.purchase.impact()));
            }
            End::Refused | End::Pending | End::Unresolved => {
                if end == End::Pending {
                    self.known_from =
                        self.known_from.take().into_iter().chain([cells.time.clone()]).max();
                }
                if *count <= NAMED {
                    self.named.push((end, cells));
                }
            }
            _ => {}
        }
    }

    fn count(&self, end: End) -> usize {
        self.counts.get(&end).copied().unwrap_or_default()
    }

    fn print(&self, path: &Path, json: bool, quiet: bool) -> Result<(), Failure> {
        for (end, cells) in &self.named {
            let Cells { line, key, time, problem, .. } = cells;
            let text = match (end, &**time) {
                (End::Pending, "") => "pending; the same command finds out later".to_owned(),
                (End::Pending, time) => {
                    format!("pending; from {time} on, the same command finds out")
                }
                (end, _) => format!("{}: {problem}", end.name()),
            };
            output::notice(false, &format!("line {line}, {key}: {text}"));
        }
        for (end, count) in &self.counts {
            let named = self.named.iter().filter(|(named, _)| named == end).count();
            if named > 0 && *count > named {
                let more = count - named;
                output::notice(
                    false,
                    &format!("{more} more are {}: see {}", end.name(), path.display()),
                );
            }
        }
        if json {
            #[derive(Serialize)]
            struct Shown<'a> {
                #[serde(flatten)]
                counts: BTreeMap<&'static str, usize>,
                totals: &'a Totals,
                known_from: Option<&'a str>,
                results: String,
            }
            let ends = [
                End::Bought,
                End::AlreadyBought,
                End::Refused,
                End::Pending,
                End::Unresolved,
                End::Cancelled,
                End::Dropped,
                End::Later,
                End::NotSent,
            ];
            let counts = ends.into_iter().map(|end| (end.name(), self.count(end))).collect();
            let known_from = self.known_from.as_deref().filter(|time| !time.is_empty());
            let results = path.display().to_string();
            return output::json(&Shown { counts, totals: &self.totals, known_from, results });
        }
        let always = [End::Bought, End::AlreadyBought, End::Refused, End::Pending, End::Unresolved];
        let others = self.counts.keys().filter(|end| !always.contains(end));
        let mut pairs = Vec::new();
        for end in always.iter().chain(others) {
            let mut text = grouped(self.count(*end) as u64);
            if *end == End::Bought && !self.totals.0.is_empty() {
                let totals: Vec<_> = self.totals.texts().collect();
                text = format!("{text} ({})", totals.join(", "));
            }
            pairs.push((end.name(), text));
        }
        let pairs: Vec<_> =
            pairs.into_iter().map(|(name, text)| (name.replace('_', " "), text)).collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, text)| (&**name, text.clone())).collect();
        output::name_value_table(&pairs)?;
        output::notice(quiet, &format!("the ids are in {}", path.display()));
        Ok(())
    }

    fn result(
        &self,
        interrupted: bool,
        failed: Option<Failure>,
        paused: Option<String>,
    ) -> Result<(), Failure> {
        let (pending, unresolved) = (self.count(End::Pending), self.count(End::Unresolved));
        let refused = self.count(End::Refused);
        let not_sent = self.count(End::NotSent);
        if interrupted {
            return Err(Failure::Interrupted("the same command goes on".to_owned()));
        }
        if pending + unresolved > 0 {
            let mut parts = Vec::new();
            if pending > 0 {
                let from = self.known_from.as_deref().filter(|time| !time.is_empty());
                let from =
                    from.map_or_else(|| "later".to_owned(), |time| format!("from {time} on"));
                parts.push(format!(
                    "{pending} pending: run the same command {from}, or with a longer --wait"
                ));
            }
            if unresolved > 0 {
                parts.push(format!(
                    "{unresolved} unresolved: `oneclick outbox show KEY` says what to do"
                ));
            }
            if let Some(failed) = failed {
                failed.print(false);
            }
            return Err(Failure::Unknown(parts.join("; "), None));
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
        if let (Some(why), 1..) = (paused, not_sent) {
            return Err(Failure::Machine(format!(
                "the outbox is paused ({why}), and {} not sent; after `oneclick outbox resume`, \
                 the same command goes on",
                counted(not_sent, "line"),
            )));
        }
        if refused > 0 {
            return Err(Failure::Refused(format!(
                "the API refused {}: correct each under a new key, or let the same command try it \
                 again with `oneclick outbox retry KEY`",
                counted(refused, "line"),
            )));
        }
        Ok(())
    }
}
