//! `oneclick outbox`: manages stored purchases, and carries them out.

mod opened;
pub(crate) mod serve;
mod work;

use oneclick_outbox::{Bought, Counts, Entry, Event, OutboxError, Status, postgres};
use oneclick_ureq::{Impact, ImpactId, UnresolvedReason};
use serde::Serialize;

pub(crate) use self::opened::{Opened, Place};
use crate::args::{Database, Format, FormatArgs, Global, Named, OutboxCommand};
use crate::buy;
use crate::failure::Failure;
use crate::output::{self, Printer};
use crate::session::Session;
use crate::shell;

/// How many rows are read at a time.
const PAGE: u32 = 1_000;

/// Runs one of the commands.
pub(crate) fn run(
    global: &Global,
    command: OutboxCommand,
    Database { database }: Database,
) -> Result<(), Failure> {
    let operator = || -> Result<_, Failure> {
        let opened = Opened::open(global, database.clone())?;
        Ok(Operator { global, given: database.as_ref(), opened })
    };
    match command {
        OutboxCommand::List { status, limit, all, after, format } => {
            let limit = (!all).then(|| u32::try_from(limit.get()).unwrap_or(PAGE));
            operator()?.list(status, after, limit, format)
        }
        OutboxCommand::Show { intent, json } => operator()?.show(&intent, json.json),
        OutboxCommand::Resolve { intent, bought_as, json } => {
            operator()?.resolve(&intent, &bought_as, json.json)
        }
        OutboxCommand::Retry { intent, json } => operator()?.retry(&intent, json.json),
        OutboxCommand::Drop { intent, json } => operator()?.drop(&intent, json.json),
        OutboxCommand::Pause { reason, json } => operator()?.pause(Some(&reason), json.json),
        OutboxCommand::Resume(json) => operator()?.pause(None, json.json),
        OutboxCommand::Counts(json) => operator()?.counts(json.json),
        OutboxCommand::Cancel { intent, json } => operator()?.cancel(&intent, json.json),
        OutboxCommand::Audit(json) => operator()?.audit(json.json),
        OutboxCommand::Migrations { after, run } => migrations(database, after, run),
        OutboxCommand::Work(args) => work::run(global, database, &args),
        OutboxCommand::Serve(args) => {
            let session = Session::open(global)?;
            let opened = match database {
                Some(place) => Opened::create(place)?,
                None => Opened::find(&session)?,
            };
            serve::run(session, &opened, &args)
        }
    }
}

/// Prints the migrations of PostgreSQL, or runs those that are missing.
fn migrations(database: Option<Place>, after: usize, run: bool) -> Result<(), Failure> {
    if run {
        return match database {
            Some(Place::Server(url)) => {
                let migrated = postgres::migrate(&url);
                migrated.map_err(|error| Place::Server(url).failure(error))
            }
            _ => Err(Failure::Usage(
                "--run needs --database postgres://USER@HOST/DATABASE; in an SQLite file, the \
                 tables are made when `oneclick outbox serve` opens it"
                    .to_owned(),
            )),
        };
    }
    for (step, sql) in postgres::MIGRATIONS.iter().enumerate().skip(after) {
        output::raw(
            format!("-- Migration {} of {}\n", step + 1, postgres::MIGRATIONS.len()).as_bytes(),
        )?;
        output::raw(sql.as_bytes())?;
    }
    Ok(())
}

/// An intent and what happened to it, as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    events: &'a [Event],
}

/// The commands of those who operate an outbox.
struct Operator<'a> {
    global: &'a Global,
    /// The database that the command line names.
    given: Option<&'a Place>,
    opened: Opened,
}

impl Operator<'_> {
    fn failed(&self) -> impl Fn(OutboxError) -> Failure + '_ {
        |error| self.opened.failure(error)
    }

    /// The intent that the command line names.
    fn find(&self, named: &Named) -> Result<Entry, Failure> {
        let outbox = &self.opened.outbox;
        let path = &self.opened.place;
        if let Some(number) = named.number {
            let entry = outbox.entry(number).map_err(self.failed())?;
            return entry.ok_or_else(|| {
                Failure::Usage(format!("no intent in {path} has the number {number}"))
            });
        }
        let key = named.key.as_deref().unwrap_or_default();
        let mut all = match &named.namespace {
            Some(namespace) => outbox.find(namespace, key).map(Vec::from_iter),
            None => outbox.find_all(key),
        }
        .map_err(self.failed())?;
        match (all.pop(), all.is_empty()) {
            (Some(entry), true) => Ok(entry),
            (Some(last), false) => {
                let spaces = all.iter().chain([&last]).map(|entry| shell::word(&entry.namespace));
                Err(Failure::Usage(format!(
                    "{} intents have the key {key}: add --namespace with one of {}",
                    all.len() + 1,
                    spaces.collect::<Vec<_>>().join(" "),
                )))
            }
            (None, _) => Err(Failure::Usage(format!(
                "no intent in {path} has the key {key}{}: `{}` shows them all",
                named.namespace.as_ref().map_or_else(String::new, |name| format!(" in {name}")),
                self.command("list --all"),
            ))),
        }
    }

    fn list(
        &self,
        status: Option<Status>,
        mut after: i64,
        limit: Option<u32>,
        format: FormatArgs,
    ) -> Result<(), Failure> {
        let mut printed = Printer::new(Format::from(format));
        let outbox = &self.opened.outbox;
        let mut any = false;
        loop {
            let page = outbox.list(status, after, limit.unwrap_or(PAGE)).map_err(self.failed())?;
            printed.print(&page, &[])?;
            let Some(last) = page.last() else { break };
            (any, after) = (true, last.id);
            if limit.is_some() {
                break;
            }
        }
        printed.end()?;
        if !any {
            output::notice(self.global.quiet, "no rows found");
        } else if limit.is_some()
            && !outbox.list(status, after, 1).map_err(self.failed())?.is_empty()
        {
            let text =
                format!("there are more rows: continue with --after {after} and the same options");
            output::notice(self.global.quiet, &text);
        }
        Ok(())
    }

    fn show(&self, named: &Named, json: bool) -> Result<(), Failure> {
        let entry = &self.find(named)?;
        let events = self.opened.outbox.events(entry.id).map_err(self.failed())?;
        if json {
            return output::json(&Shown { entry, events: &events });
        }
        let purchase = entry.purchase.as_ref();
        let erased = || "erased, or of a newer version".to_owned();
        let mut pairs = vec![
            ("intent", entry.key.clone()),
            ("namespace", entry.namespace.clone()),
            ("number", entry.id.to_string()),
            ("purchase", purchase.map_or_else(erased, buy::full_summary)),
            ("status", format!("{}: {}", entry.status, meaning(entry.status))),
        ];
        pairs.extend(entry.bought.as_ref().map(|bought| ("bought", bought_text(bought))));
        pairs.extend(entry.problem.clone().map(|problem| ("problem", problem)));
        output::name_value_table(&pairs)?;
        output::line("")?;
        let line = |event: &Event| [event.at.clone(), event.what.clone()];
        output::table_of(["when", "what happened"], events.iter().map(line))?;
        for line in self.next(entry) {
            output::line(&line)?;
        }
        Ok(())
    }

    /// What was found for an intent, and the commands that decide it.
    fn next(&self, entry: &Entry) -> Vec<String> {
        let mut lines = Vec::new();
        let mut say = |text: &str, command: Option<String>| {
            lines.push(text.to_owned());
            lines.extend(command.map(|command| format!("  {command}")));
        };
        let retry = self.decision("retry", entry);
        match entry.status {
            Status::Unresolved => {}
            Status::Refused => {
                say("", None);
                say("To try it again, once the reason is gone:", Some(retry));
                return lines;
            }
            _ => return lines,
        }
        let bought = is_bought(entry);
        say("", None);
        if !entry.found.is_empty() {
            say(if bought { "Found for it:" } else { "Found, and may be it:" }, None);
            entry.found.iter().for_each(|id| say(&format!("  {id}"), None));
            say("", None);
            let look = format!("oneclick{} track ID", self.global.connection_words());
            say("To look at one of them:", Some(look));
        }
        if problem_is(entry, UnresolvedReason::BoughtTwice) {
            let cancel = format!("oneclick{} cancel ID", self.global.connection_words());
            say("Keep one of them. To cancel each of the others:", Some(cancel));
        }
        let resolve = self.decision("resolve", entry) + " --bought-as ID";
        let resolve_text = match (bought, entry.found.is_empty()) {
            (true, _) => "Once you know which impact is its purchase:",
            (false, true) => "If it was bought:",
            (false, false) => "If one of them is the purchase:",
        };
        say(resolve_text, Some(resolve));
        if !bought {
            let text = if entry.found.is_empty() {
                "If you have made sure that it was not bought, to buy it:"
            } else {
                "If you have made sure that none of them is, to buy it:"
            };
            say(text, Some(retry));
        }
        let text = "To drop it; what was bought for it stays bought:";
        say(text, Some(self.decision("drop", entry)));
        lines
    }

    /// A command about an intent, as it can be typed.
    fn decision(&self, command: &str, entry: &Entry) -> String {
        let alone = self.opened.outbox.find_all(&entry.key).is_ok_and(|found| found.len() == 1);
        // A key can look like an option.
        let name = match &*entry.key {
            key if alone && !key.starts_with('-') => shell::word(key),
            _ => format!("--number {}", entry.id),
        };
        self.command(&format!("{command} {name}"))
    }

    /// A command about this outbox, as it can be typed.
    fn command(&self, command: &str) -> String {
        let database = self.given.map_or_else(String::new, |place| {
            format!(" --database {}", shell::word(&place.to_string()))
        });
        format!("oneclick{} outbox{database} {command}", self.global.connection_words())
    }

    fn resolve(&self, named: &Named, impact: &ImpactId, json: bool) -> Result<(), Failure> {
        let entry = &self.find(named)?;
        Self::check(entry, &[Status::Unresolved], "be resolved")?;
        self.opened.outbox.bought_as(entry.id, impact).map_err(self.failed())?;
        if !entry.found.is_empty() && !entry.found.contains(impact) {
            let text = format!(
                "warning: {impact} is not one of the impacts that were found for the intent"
            );
            output::notice(false, &text);
        }
        self.decided(entry, json)
    }

    fn retry(&self, named: &Named, json: bool) -> Result<(), Failure> {
        let entry = &self.find(named)?;
        Self::check(entry, &[Status::Unresolved, Status::Refused], "be tried again")?;
        if is_bought(entry) {
            return Err(Failure::Usage(format!(
                "intent {} was bought, so it is not tried again: {}; `{}` says how to decide it",
                entry.key,
                entry.problem.as_deref().unwrap_or_default(),
                self.decision("show", entry),
            )));
        }
        self.opened.outbox.retry(entry.id).map_err(self.failed())?;
        self.decided(entry, json)
    }

    fn drop(&self, named: &Named, json: bool) -> Result<(), Failure> {
        let entry = &self.find(named)?;
        Self::check(entry, &[Status::Ready, Status::Unresolved], "be dropped")?;
        self.opened.outbox.drop_intent(entry.id).map_err(self.failed())?;
        self.decided(entry, json)
    }

    /// Fails if the status of an intent does not allow this.
    fn check(entry: &Entry, from: &[Status], done: &str) -> Result<(), Failure> {
        if from.contains(&entry.status) {
            return Ok(());
        }
        let names: Vec<_> = from.iter().map(|status| status.as_str()).collect();
        Err(Failure::Usage(format!(
            "intent {} is {} ({}); only one that is {} can {done}",
            entry.key,
            entry.status,
            meaning(entry.status),
            names.join(" or "),
        )))
    }

    /// Prints an intent after a decision about it.
    fn decided(&self, entry: &Entry, json: bool) -> Result<(), Failure> {
        let entry = self.opened.outbox.entry(entry.id).map_err(self.failed())?;
        let Some(entry) = entry else { return Ok(()) };
        if json {
            return output::json(&entry);
        }
        output::line(&told(&entry))
    }

    fn cancel(&self, named: &Named, json: bool) -> Result<(), Failure> {
        let entry = &self.find(named)?;
        if entry.status == Status::Unresolved {
            return Err(Failure::Usage(format!(
                "intent {} is unresolved ({}), so it is not known what to cancel: `{}` says how to \
                 decide it",
                entry.key,
                meaning(entry.status),
                self.decision("show", entry),
            )));
        }
        self.opened.outbox.cancel(entry.id).map_err(self.failed())?;
        self.decided(entry, json)
    }

    /// Shows the intents with more impacts than they should have.
    fn audit(&self, json: bool) -> Result<(), Failure> {
        let surplus = self.opened.outbox.surplus().map_err(self.failed())?;
        if json {
            output::json(&surplus)?;
        } else if surplus.is_empty() {
            output::line("no audit has found anything bought more than once")?;
        }
        for entry in surplus.iter().filter(|_| !json) {
            output::line(&format!(
                "{}: {}, and these impacts are not cancelled:",
                entry.key, entry.status
            ))?;
            for id in &entry.surplus {
                output::line(&format!("  {id}"))?;
            }
            let one = if entry.status == Status::Cancelled { "each" } else { "all but one" };
            let words = self.global.connection_words();
            output::line(&format!("To cancel {one} of them:"))?;
            output::line(&format!("  oneclick{words} cancel ID"))?;
        }
        Ok(())
    }

    /// Pauses all workers, or lets them go on.
    fn pause(&self, reason: Option<&str>, json: bool) -> Result<(), Failure> {
        let outbox = &self.opened.outbox;
        let done = reason.map_or_else(|| outbox.resume(), |reason| outbox.pause(reason));
        done.map_err(self.failed())?;
        self.counts(json)
    }

    fn counts(&self, json: bool) -> Result<(), Failure> {
        let counts = self.opened.outbox.counts().map_err(self.failed())?;
        if json {
            return output::json(&counts);
        }
        let Counts { ready, oldest, open, bought, refused, cancelled, unresolved, dropped, .. } =
            &counts;
        let Counts { pending, cancelling, surplus, .. } = &counts;
        let since = oldest.as_ref().map_or_else(String::new, |oldest| format!(", since {oldest}"));
        let mut pairs = vec![("ready", format!("{ready}{since}"))];
        let others = [
            ("open", open),
            ("pending", pending),
            ("bought", bought),
            ("surplus", surplus),
            ("refused", refused),
            ("cancelling", cancelling),
            ("cancelled", cancelled),
            ("unresolved", unresolved),
            ("dropped", dropped),
        ];
        pairs.extend(others.map(|(name, count)| (name, count.to_string())));
        pairs.push(("paused", counts.paused.clone().unwrap_or_else(|| "no".to_owned())));
        output::name_value_table(&pairs)
    }
}

/// An intent and its status, on one line.
fn told(entry: &Entry) -> String {
    let Entry { key, status, .. } = entry;
    let problem = entry.problem.as_deref();
    match (status, &entry.bought) {
        _ if !entry.surplus.is_empty() => {
            let ids: Vec<_> = entry.surplus.iter().map(ToString::to_string).collect();
            let ids = ids.join(" and ");
            format!("{key}: {status}, and these impacts are not cancelled: {ids}")
        }
        (Status::Bought, Some(bought)) => format!("{key}: bought {}", bought_text(bought)),
        (Status::Ready, _) => format!("{key}: ready: the next worker sends it"),
        (Status::Open, _) if entry.is_to_be_cancelled => {
            format!("{key}: open: a worker finds out whether it was bought, and then cancels it")
        }
        (Status::Open, _) => {
            format!("{key}: open: the next worker looks for it before sending it again")
        }
        (Status::Cancelling, _) => format!("{key}: cancelling: the next worker cancels it"),
        (Status::Cancelled, _) => format!("{key}: cancelled: {}", meaning(*status)),
        (Status::Dropped, _) => format!("{key}: dropped: nothing is sent for it any more"),
        (status, _) => match problem {
            Some(problem) => format!("{key}: {status}: {problem}"),
            None => format!("{key}: {status}"),
        },
    }
}

fn bought_text(bought: &Bought) -> String {
    format!("{} as {}", Impact::new(bought.kind.clone(), bought.amount), bought.id)
}

/// What a status means.
fn meaning(status: Status) -> &'static str {
    match status {
        Status::Ready => "it waits for a worker; nothing has been sent",
        Status::Claimed => "a worker has it; nothing has been sent",
        Status::Open => "a purchase may have been sent, and the outcome is not known yet",
        Status::Bought => "it was bought",
        Status::Refused => "the API refused it; nothing was bought",
        Status::Cancelling => "it was bought, and the next worker cancels it",
        Status::Cancelled => "it was bought and has been cancelled since",
        Status::Unresolved => "a person has to look at it",
        Status::Dropped => "a person dropped it; nothing is sent any more",
        _ => "this version does not know this status",
    }
}

/// Whether it is certain that an unresolved intent was bought.
fn is_bought(entry: &Entry) -> bool {
    let bought = [
        UnresolvedReason::Malformed,
        UnresolvedReason::Untrackable,
        UnresolvedReason::SameTime,
        UnresolvedReason::BoughtTwice,
    ];
    bought.into_iter().any(|reason| problem_is(entry, reason))
}

fn problem_is(entry: &Entry, reason: UnresolvedReason) -> bool {
    let problem = entry.problem.as_deref().filter(|_| entry.status == Status::Unresolved);
    problem.is_some_and(|problem| problem.contains(&reason.to_string()))
}
