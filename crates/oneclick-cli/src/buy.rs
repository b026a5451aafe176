//! The purchases: each made once, and verified.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use oneclick_ureq::{
    Account, BlockingTransport, Error, ImpactId, Intent, InvalidValue, Machine, Metadata,
    NotBought, Outcome, Pending, Purchase, PurchaseState, Receipt, Step, Unresolved,
    VerifiedPurchase, VerifyPolicy,
};
use serde::Serialize;

use crate::args::PurchaseArgs;
use crate::failure::{Failure, explain, intent_option};
use crate::intents::{Entry, Intents, Stage};
use crate::interrupt;
use crate::output;
use crate::session::Session;

/// How much later than its own clock says a server may know that time has passed: its
/// `Date` has whole seconds, and either reading of it is off by one.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// Buys it once, with the metadata of the command line.
pub(crate) fn run(
    session: &Session,
    purchase: Purchase,
    args: &PurchaseArgs,
) -> Result<(), Failure> {
    let purchase = purchase.with_metadata(Metadata::from_pairs(args.metadata.iter().cloned())?);
    let key = args.intent.clone().unwrap_or_else(random_key);
    let account = session.client.whoami().map_err(|error| account_unknown(session, args, error))?;
    if !args.only_looks() {
        ask(session, args.yes, &in_short(&purchase), &account)?;
    }
    // An account's intents are its own.
    let intent = Intent::new(account.user_id.as_str(), &key);
    let intents = Intents::open(&session.intents, intent.marker(), args.intent.is_some())?;
    let entry = intents.load()?;
    let buying = Buying { session, args, key, intents, purchase };
    let purchase = buying.purchase.clone();
    let state = match entry {
        None if args.looks() => {
            Some(VerifiedPurchase::recover(&intent, purchase.clone())?.state().clone())
        }
        None => None,
        Some(entry) => match buying.check(entry)? {
            Stage::Open(state) => Some(state),
            Stage::Bought(id) => return buying.bought_before(id),
            Stage::TakenBack(ids) => return Err(buying.taken_back(&ids)),
        },
    };
    let Some(mut state) = state else {
        return buying.finish(VerifiedPurchase::new(&intent, purchase)?, None);
    };
    let saved = state.clone();
    if args.buy_anyway && !state.may_send() {
        state.allow_another();
    }
    buying.finish(VerifiedPurchase::resume(&intent, purchase, state)?, Some(saved))
}

/// The API could not be asked whose key it is, and so which of the intents with this
/// name is meant.
fn account_unknown(session: &Session, args: &PurchaseArgs, error: Error) -> Failure {
    let known = |key: &String| args.looks() || Intents::remember(&session.intents, key);
    let Some(key) = args.intent.as_ref().filter(|key| known(key)) else {
        return Failure::NotBought(error);
    };
    let find_out = find_out(args, key);
    let why = format!(
        "the intent {key} may have been bought before: {}; later, {find_out}",
        explain(&error),
    );
    Failure::Unknown(why, Some(error))
}

/// What the same command is good for.
fn find_out(args: &PurchaseArgs, key: &str) -> String {
    format!("run {} to find out", same_command(args, key))
}

/// The command that finds out, and buys no more than this one did.
fn same_command(args: &PurchaseArgs, key: &str) -> String {
    let without = match (args.buy_anyway, args.look_first) {
        (false, _) => "",
        (true, false) => " and without `--buy-anyway`",
        (true, true) => " and without `--look-first --buy-anyway`",
    };
    format!("the same command with `{}`{without}", intent_option(key))
}

/// A purchase, and what is remembered of its intent.
struct Buying<'a> {
    session: &'a Session,
    args: &'a PurchaseArgs,
    /// The name of the intent.
    key: String,
    intents: Intents,
    purchase: Purchase,
}

impl Buying<'_> {
    /// How far the intent has come, if it stands for this purchase.
    fn check(&self, entry: Entry) -> Result<Stage, Failure> {
        if entry.intent != self.key {
            return Err(InvalidValue::OtherPurchase { part: "intent" }.into());
        }
        if entry.purchase != self.purchase {
            return Err(Failure::Usage(format!(
                "this run bought nothing; intent {} stands for {}; choose another key",
                self.key,
                in_words(&entry.purchase),
            )));
        }
        Ok(entry.stage)
    }

    /// It was bought by an earlier run: does it stand still?
    fn bought_before(&self, id: ImpactId) -> Result<(), Failure> {
        let tracked = self.session.client.track(id.clone());
        // An id that names another impact as well says nothing of this one.
        let named = id.time_utc.datetime().timestamp_subsec_nanos() != 0;
        let unknown = match tracked {
            Ok(tracking) if named && tracking.impact == self.purchase.impact() => {
                if tracking.cancelled_on.is_some() {
                    let ids = vec![id];
                    let failure = self.taken_back(&ids);
                    self.remember(Stage::TakenBack(ids));
                    return Err(failure);
                }
                None
            }
            Ok(_) => Some("its id names another impact".to_owned()),
            Err(error) => Some(explain(&error)),
        };
        let unknown = unknown.map_or_else(String::new, |why| {
            format!("; whether it was taken back since is not known: {why}")
        });
        let text = format!("{} was bought before; nothing is bought now{unknown}", self.key);
        output::tell(self.session.quiet, &text);
        print(&id, &in_short(&self.purchase), &id, self.args.json.json)
    }

    fn taken_back(&self, ids: &[ImpactId]) -> Failure {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        Failure::TakenBack(format!(
            "{} was bought as {}, and taken back since; nothing is bought now; to buy it again, \
             choose another key",
            self.key,
            ids.join(" and "),
        ))
    }

    /// Buys it, or finds out about it, from the state that is remembered.
    fn finish(
        &self,
        machine: VerifiedPurchase,
        saved: Option<PurchaseState>,
    ) -> Result<(), Failure> {
        let policy = VerifyPolicy::STANDARD
            .patience(Duration::from_secs(self.args.wait.into()))
            .absence_after(Duration::from_secs(self.args.settle.into()));
        let Driven { outcome, sent } = self.drive(machine.policy(policy), saved)?;
        let Some(outcome) = outcome else { return Err(self.unsent()) };
        match outcome {
            Outcome::Confirmed(receipt) => self.confirmed(&receipt),
            Outcome::Cancelled(ids) => {
                let failure = self.taken_back(&ids);
                self.remember(Stage::TakenBack(ids));
                Err(failure)
            }
            Outcome::Refused(error) => {
                self.intents.forget();
                Err(Failure::NotBought(error))
            }
            Outcome::NotBought(not_bought) => Err(self.not_bought(not_bought, sent)),
            Outcome::Pending(pending) => Err(self.pending(pending)),
            Outcome::Unresolved(unresolved) => Err(self.unresolved(unresolved)),
        }
    }

    /// Drives the purchase to its end. No purchase leaves before the file holds its
    /// state.
    fn drive(
        &self,
        machine: VerifiedPurchase,
        mut saved: Option<PurchaseState>,
    ) -> Result<Driven, Failure> {
        let what = self.purchase.impact().to_string();
        let find_out = find_out(self.args, &self.key);
        let text = format!("{what} may have been bought: {find_out}");
        let open = interrupt::leaves_open(text.clone());
        let spinner = output::spinner(self.session.quiet, what.clone());
        let transport = self.session.client.transport();
        let mut sent_any = false;
        let mut step = self.session.client.start(machine);
        let outcome = loop {
            step = match step {
                Step::Send(request, sent) => {
                    let buys = sent.may_buy();
                    if buys && self.args.only_looks() {
                        break None;
                    }
                    let state = sent.state();
                    if state.sends() > 0 && saved.as_ref() != Some(state) {
                        let entry = self.entry(Stage::Open(state.clone()));
                        self.intents.save(&entry).map_err(|failure| match failure {
                            Failure::Machine(error) if saved.is_some() => {
                                Failure::Unknown(format!("{error}; {text}"), None)
                            }
                            failure => failure,
                        })?;
                        saved = Some(state.clone());
                    }
                    sent_any |= buys;
                    let next = sent.finish(transport.send(request), transport.now());
                    // A purchase that waits is sent again: it was refused, not lost.
                    if matches!((&next, buys), (Step::Send(..), _) | (Step::Wait(..), false)) {
                        spinner.set_message(format!("{what}: not known yet, looking for it"));
                    }
                    next
                }
                Step::Wait(wait, waiting) => {
                    transport.sleep(wait);
                    waiting.wake(transport.now())
                }
                Step::Done(outcome) => break Some(outcome),
            };
        };
        spinner.finish_and_clear();
        drop(open);
        Ok(Driven { outcome, sent: sent_any })
    }

    fn confirmed(&self, receipt: &Receipt) -> Result<(), Failure> {
        let id = ImpactId::from(receipt);
        self.remember(Stage::Bought(id.clone()));
        let told = format!("{}{}", receipt.impact, for_whom(&self.purchase));
        print(receipt, &told, &id, self.args.json.json)
    }

    /// It is not there, and would be sent now.
    fn unsent(&self) -> Failure {
        let option =
            if self.args.look_only { "without `--look-only`" } else { "with `--buy-anyway`" };
        Failure::NotFound(format!(
            "nothing of the intent {} is found, and this run sent nothing; the same command \
             {option} buys it",
            self.key,
        ))
    }

    fn not_bought(&self, NotBought { error, state, .. }: NotBought, sent: bool) -> Failure {
        let (sends, may_send) = (state.sends(), state.may_send());
        if sends == 0 {
            self.intents.forget();
        } else {
            // It counts the purchases that left.
            self.remember(Stage::Open(state));
        }
        if let (Some(error), true) = (error, may_send) {
            return Failure::NotBought(error);
        }
        let this_run = if sent { "no other one is sent" } else { "this run sent nothing" };
        let instead = if self.args.look_only { " instead of `--look-only`" } else { "" };
        Failure::NotFound(format!(
            "{sends} purchases of the intent {} may have been sent, and none is found; {this_run}; \
             if you are sure that no other machine is working on it, run the same command with \
             `{} --buy-anyway`{instead}",
            self.key,
            intent_option(&self.key),
        ))
    }

    fn pending(&self, Pending { after, error, state, .. }: Pending) -> Failure {
        let then = if state.may_send() && !self.args.only_looks() {
            "will tell, and buys it if it is not found then"
        } else {
            "will tell, and sends nothing"
        };
        self.remember(Stage::Open(state));
        let because =
            error.as_ref().map_or_else(String::new, |error| format!(": {}", explain(error)));
        let why = format!(
            "it is not known yet whether it was bought{because}; from {} on, {} {then}",
            clock_time(after),
            same_command(self.args, &self.key),
        );
        Failure::Unknown(why, error)
    }

    fn unresolved(&self, Unresolved { reason, found, error, state, .. }: Unresolved) -> Failure {
        self.remember(Stage::Open(state));
        let because =
            error.as_ref().map_or_else(String::new, |error| format!(": {}", explain(error)));
        let find_out = find_out(self.args, &self.key);
        if found.is_empty() {
            let why =
                format!("whether it was bought is not known: {reason}{because}; later, {find_out}");
            return Failure::Unknown(why, error);
        }
        let why = format!(
            "{reason}{because}; see each of these with `oneclick track ID`, take back what should \
             not stand with `oneclick cancel ID`, then {find_out}:"
        );
        Failure::Unresolved(why, found, error)
    }

    /// Remembers how far it has come. That is no failure of the purchase: run again, it
    /// is found in the records.
    fn remember(&self, stage: Stage) {
        let open = matches!(stage, Stage::Open(_));
        if !open && self.args.intent.is_none() {
            return self.intents.forget();
        }
        if let Err(Failure::Machine(text)) = self.intents.save(&self.entry(stage)) {
            let what =
                if open { "this is not remembered" } else { "it was bought, but not remembered" };
            output::tell(false, &format!("{what}: {text}"));
        }
    }

    fn entry(&self, stage: Stage) -> Entry {
        Entry { intent: self.key.clone(), purchase: self.purchase.clone(), stage }
    }
}

/// How driving a purchase ended.
struct Driven {
    /// `None` if it is not there, and the command was to send nothing.
    outcome: Option<Outcome>,
    /// Whether this run sent a purchase.
    sent: bool,
}

/// When something can be known, by this machine's clock, and in how many minutes.
fn clock_time(after: Duration) -> String {
    let after = after.saturating_add(CLOCK_SLACK);
    let time = DateTime::<Utc>::from(SystemTime::now() + after).format("%Y-%m-%d %H:%M:%S UTC");
    match (after.as_secs() + 30) / 60 {
        0 | 1 => format!("{time} (in 1 minute)"),
        minutes => format!("{time} (in {minutes} minutes)"),
    }
}

/// What is bought, and for whom.
fn in_short(purchase: &Purchase) -> String {
    format!("{}{}", purchase.impact(), for_whom(purchase))
}

fn for_whom(purchase: &Purchase) -> String {
    let customer = purchase.customer();
    customer
        .map_or_else(String::new, |customer| format!(" for {}", customer.customer_email.as_str()))
}

/// All that was asked for.
fn in_words(purchase: &Purchase) -> String {
    // The body, in which all actions name these alike.
    let body = serde_json::to_value(purchase).unwrap_or_default();
    let name = body["customer_name"].as_str().map(|name| format!(" ({name})"));
    let category = body["category"].as_str().map(|category| format!(", category {category}"));
    let metadata = purchase.metadata().iter().map(|(key, value)| format!(", {key}={value}"));
    let silent = (body["notify"] == false).then(|| ", silent".to_owned());
    let parts = name.into_iter().chain(category).chain(metadata).chain(silent);
    std::iter::once(in_short(purchase)).chain(parts).collect()
}

/// Prints what was bought: the value as JSON, or in words with the id.
fn print(value: &impl Serialize, what: &str, id: &ImpactId, json: bool) -> Result<(), Failure> {
    let printed = if json {
        output::json(value)
    } else {
        output::line_out(what).and_then(|()| output::line_out(&id.to_string()))
    };
    if printed.is_err() {
        // The id is all that it can be followed or taken back by.
        output::tell(false, &format!("it was bought as {id}"));
    }
    printed
}

/// In production money moves: asks whether it should.
pub(crate) fn ask(
    session: &Session,
    yes: bool,
    what: &str,
    account: &Account,
) -> Result<(), Failure> {
    if !session.production || yes {
        return Ok(());
    }
    let owner = account.email.as_str();
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{what}, paid by {owner}: this is production; say --yes to go on"
        )));
    }
    let question = crate::failure::one_line(&format!("{what}, paid by {owner}. Go on? [y/N] "));
    // Unread, it is not answered.
    let _ = write!(io::stderr(), "{question}");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::machine("standard input", error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("not confirmed; nothing was sent".to_owned())),
    }
}

/// A key that nobody else has, for an intent that was not named.
fn random_key() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's hasher is seeded by the system.
    format!("{:016x}", RandomState::new().hash_one(SystemTime::now()))
}
