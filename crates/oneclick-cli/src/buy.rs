//! The purchases: each is verified, and made exactly once.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use oneclick_outbox::Status;
use oneclick_ureq::{
    Account, BlockingTransport, Error, ImpactId, Intent, InvalidValue, Metadata, NotBought,
    Outcome, Pending, Purchase, PurchaseState, Receipt, Step, Tracking, Unresolved,
    UnresolvedReason, VerifiedPurchase, VerifyPolicy,
};
use serde::Serialize;

use crate::args::PurchaseArgs;
use crate::failure::{Failure, explain};
use crate::intents::{self, Bought, Remembered, Stage};
use crate::interrupt;
use crate::output;
use crate::probe::Known;
use crate::session::Session;
use crate::shell::{self, intent_option};

/// Added to the time until an outcome can be known: a server's `Date` has whole seconds,
/// so either reading of it is off by up to one.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// The smallest `--settle`, in seconds, for an API on another machine.
const MIN_SETTLE: u32 = 60;
/// How many of the impacts that were found are looked at.
const MAX_TRACKED: usize = 10;
/// How much longer than `--settle` a run should wait that finds out by itself, in seconds.
const SETTLE_SLACK: u32 = 60;

/// Makes the purchase once, with the metadata of the command line.
pub(crate) fn run(
    session: &Session,
    purchase: Purchase,
    args: &PurchaseArgs,
) -> Result<(), Failure> {
    let metadata = Metadata::from_pairs(args.metadata.iter().cloned());
    let metadata = metadata.map_err(|invalid| {
        Failure::Usage(match invalid {
            InvalidValue::Metadata { reason, .. } => format!("--metadata cannot be used: {reason}"),
            invalid => format!("--metadata cannot be used: {invalid}"),
        })
    })?;
    let purchase = purchase.with_metadata(metadata);
    check_settle(session, args.settle)?;
    let name = args.intent.clone().unwrap_or_else(random_name);
    let account = session.client.whoami().map_err(|error| account_unknown(session, args, error))?;
    let open = |named| Remembered::open(session, &account, &name, &purchase, named);
    let unnamed = args.intent.is_none().then(|| open(false)).transpose()?;
    for name in unnamed.iter().flat_map(Remembered::open_with) {
        // Even if quiet: this run may buy it a second time.
        output::notice(
            false,
            &format!(
                "warning: an earlier run may have bought the same ({}): the same command with \
                 `{} --look-only` finds out; this run buys it as well",
                summary(&purchase),
                intent_option(&name),
            ),
        );
    }
    if !args.never_buys() {
        confirm(session, args.yes, &format!("buy {}", summary(&purchase)), &account)?;
    }
    // Two accounts can use the same name for different intents.
    let intent = Intent::new(account.user_id.as_str(), &name);
    let remembered = unnamed.map_or_else(|| open(true), Ok)?;
    let known_stage = remembered.load()?;
    let known = Known::load(session, &account);
    let buying = Buying { session, args, name: name.clone(), remembered, purchase, known };
    let purchase = buying.purchase.clone();
    let state = match known_stage {
        None if args.looks_first() => Some(buying.remembered.looked_for()?),
        None => None,
        Some(Stage::Open(state)) => Some(state),
        Some(Stage::Stored(existed)) if !args.looks_first() => {
            let machine = VerifiedPurchase::look_first(&intent, purchase, existed)?;
            return buying.finish(machine, None);
        }
        Some(Stage::Stored(_)) => Some(buying.remembered.looked_for()?),
        Some(Stage::Bought(bought)) => return buying.bought_before(&intent, bought),
        Some(Stage::Cancelled(ids)) => return Err(buying.cancelled(&ids)),
    };
    let Some(mut state) = state else {
        return buying.finish(VerifiedPurchase::new(&intent, purchase)?, None);
    };
    let saved = state.clone();
    if args.buy_anyway {
        // Also where sends are left: this dismisses what an unresolved outcome showed.
        state.allow_another();
    }
    let resumed = VerifiedPurchase::resume(&intent, purchase, state);
    let resumed = resumed.map_err(|invalid| buying.invalid(invalid))?;
    buying.finish(resumed, Some(saved))
}

/// Refuses a `--settle` by which a purchase could be made twice.
pub(crate) fn check_settle(session: &Session, settle: Option<u32>) -> Result<(), Failure> {
    match settle.filter(|settle| *settle < MIN_SETTLE && !session.on_this_machine) {
        None => Ok(()),
        Some(settle) => Err(Failure::Usage(format!(
            "--settle must be at least {MIN_SETTLE} seconds (got {settle}): a request can take \
             that long to arrive, and the purchase could be made twice; only an API on this \
             machine allows less",
        ))),
    }
}

/// The API could not be asked for the account, so its outbox is not known.
fn account_unknown(session: &Session, args: &PurchaseArgs, error: Error) -> Failure {
    // The same API may have another URL now, such as that of a proxy.
    let may_be_bought =
        |name: &String| args.looks_first() || intents::may_exist(&session.all_intents, name);
    let Some(name) = args.intent.as_ref().filter(|name| may_be_bought(name)) else {
        return Failure::NotBought(error);
    };
    let text = format!(
        "intent {name} may have been bought before: {}; run {} later to find out",
        explain(&error),
        same_command(args, name),
    );
    Failure::Unknown(text, Some(error))
}

/// The command that finds out about this purchase and buys no more than this one.
fn same_command(args: &PurchaseArgs, name: &str) -> String {
    let without = match (args.buy_anyway, args.look_first) {
        (false, _) => "",
        (true, false) => " and without `--buy-anyway`",
        (true, true) => " and without `--look-first --buy-anyway`",
    };
    format!("the same command with `{}`{without}", intent_option(name))
}

/// A purchase, and what is remembered of its intent.
struct Buying<'a> {
    session: &'a Session,
    args: &'a PurchaseArgs,
    /// The name of the intent.
    name: String,
    remembered: Remembered,
    purchase: Purchase,
    /// What a probe found out about the API.
    known: Known,
}

impl Buying<'_> {
    /// The state that is remembered cannot be used.
    fn invalid(&self, invalid: InvalidValue) -> Failure {
        match invalid {
            InvalidValue::OtherPurchase { part, .. } => Failure::Usage(format!(
                "what {} remembers of intent {} has another {part}: somebody changed it; this run \
                 bought nothing; use another --intent",
                self.remembered.place(),
                self.name,
            )),
            invalid => invalid.into(),
        }
    }

    /// An earlier run bought it; it may have been cancelled since.
    fn bought_before(&self, intent: &Intent, mut bought: Bought) -> Result<(), Failure> {
        let by_earlier = format!("intent {} was bought by an earlier run", self.name);
        match self.standing(intent, &bought)? {
            Standing::Active(shown) => {
                if let Some(shown) = shown {
                    *bought.receipt = shown;
                    self.remembered.correct(&bought);
                }
                let since = if bought.is_to_be_cancelled {
                    "; a person cancelled it, and `oneclick outbox work` does so"
                } else {
                    " and not cancelled since"
                };
                let text = format!("{by_earlier}{since}; this run bought nothing");
                output::notice(self.session.quiet && !bought.is_to_be_cancelled, &text);
            }
            Standing::Cancelled(ids) => {
                self.remembered.cancelled(&bought, &ids);
                return Err(self.cancelled(&ids));
            }
            // It may have been cancelled, so this is printed even if quiet.
            Standing::Unknown(problem) => output::notice(
                false,
                &format!(
                    "warning: {by_earlier}, but it is not known whether it was cancelled since: \
                     {problem}; this run bought nothing",
                ),
            ),
        }
        let receipt = &*bought.receipt;
        let id = ImpactId::from(receipt);
        print(receipt, &summary(&self.purchase), &id, self.args.json.json)
    }

    /// Whether a purchase still stands that an earlier run made.
    fn standing(&self, intent: &Intent, bought: &Bought) -> Result<Standing, Failure> {
        let id = ImpactId::from(&*bought.receipt);
        let problem = match self.session.client.track(id.clone()) {
            Ok(Tracking { impact, cancelled_on, .. }) if impact == self.purchase.impact() => {
                // In whole seconds, the time may be that of several impacts.
                let exact = id.time_utc.datetime().timestamp_subsec_nanos() != 0;
                match cancelled_on {
                    Some(_) if exact => return Ok(Standing::Cancelled(vec![id])),
                    None if exact => return Ok(Standing::Active(None)),
                    cancelled_on => format!(
                        "its time is in whole seconds, so its id may be that of another impact as \
                         well; the API shows one of the same kind and amount, {}",
                        cancelled_on.map_or_else(
                            || "which is not cancelled".to_owned(),
                            |time| format!("cancelled on {time}"),
                        ),
                    ),
                }
            }
            Ok(tracking) => format!("its id is that of another impact: {}", tracking.impact),
            Err(error) if error.is_unknown_impact() => explain(&error),
            Err(error) => return Ok(Standing::Unknown(explain(&error))),
        };
        // The lists show it as well, and it may be tracked by another user id.
        Ok(match self.look(intent, &bought.state)? {
            Some(Outcome::Confirmed(receipt)) => Standing::Active(Some(receipt)),
            Some(Outcome::Cancelled(ids)) => Standing::Cancelled(ids),
            _ => Standing::Unknown(problem),
        })
    }

    /// Looks once for a purchase that was made, and sends none.
    fn look(&self, intent: &Intent, state: &PurchaseState) -> Result<Option<Outcome>, Failure> {
        let machine = VerifiedPurchase::resume(intent, self.purchase.clone(), state.clone());
        let machine = machine.map_err(|invalid| self.invalid(invalid))?;
        let policy = self.policy().patience(Duration::ZERO);
        let spinner = output::spinner(self.session.quiet, self.looking_for());
        let transport = self.session.client.transport();
        let mut step = self.session.client.start(machine.policy(policy));
        let outcome = loop {
            step = match step {
                Step::Send(_, sent) if sent.may_buy() => break None,
                Step::Send(request, sent) => sent.finish(transport.send(request), transport.now()),
                Step::Wait(wait, waiting) => {
                    transport.sleep(wait);
                    waiting.wake(transport.now())
                }
                Step::Done(outcome) => break Some(outcome),
            };
        };
        spinner.finish_and_clear();
        Ok(outcome)
    }

    fn cancelled(&self, ids: &[ImpactId]) -> Failure {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let named =
            if ids.is_empty() { String::new() } else { format!(" as {}", ids.join(" and ")) };
        Failure::Cancelled(format!(
            "intent {} was bought{named} and cancelled since; this run bought nothing; to buy it \
             again, use another --intent",
            self.name,
        ))
    }

    /// Buys it, or finds out about it, and remembers the outcome.
    fn finish(
        &self,
        machine: VerifiedPurchase,
        saved: Option<PurchaseState>,
    ) -> Result<(), Failure> {
        let driven = self.drive(machine.policy(self.policy()), saved)?;
        let Driven { outcome, saved, sent, responded } = driven;
        let Some(outcome) = outcome else { return Err(self.not_sent(saved.as_ref())) };
        let status = self.remembered.finish(&outcome);
        match outcome {
            Outcome::Confirmed(receipt) => self.confirmed(&receipt, status),
            Outcome::Cancelled(ids) => Err(self.cancelled(&ids)),
            Outcome::Refused(error) => Err(Failure::NotBought(error)),
            Outcome::NotBought(not_bought) => Err(self.not_bought(not_bought, sent)),
            Outcome::Pending(pending) => Err(self.pending(pending, responded)),
            Outcome::Unresolved(unresolved) => Err(self.unresolved(unresolved)),
        }
    }

    fn policy(&self) -> VerifyPolicy {
        self.known
            .policy()
            .patience(Duration::from_secs(self.args.wait.into()))
            .absence_after(Duration::from_secs(self.settle().into()))
    }

    /// After how many seconds a purchase without a record counts as not made.
    fn settle(&self) -> u32 {
        let known = self.known.policy().absence_after.as_secs();
        self.args.settle.unwrap_or_else(|| u32::try_from(known).unwrap_or(u32::MAX))
    }

    /// Drives the purchase to its outcome. Its state is in the outbox before each purchase is
    /// sent.
    fn drive(
        &self,
        machine: VerifiedPurchase,
        mut saved: Option<PurchaseState>,
    ) -> Result<Driven, Failure> {
        let text = format!(
            "the purchase ({}) may have been made; run {} to find out",
            self.purchase.impact(),
            same_command(self.args, &self.name),
        );
        let unfinished = interrupt::set_unfinished(text.clone());
        let spinner = output::spinner(self.session.quiet, "");
        let transport = self.session.client.transport();
        let (mut sent_any, mut responded) = (false, false);
        let mut step = self.session.client.start(machine);
        let outcome = loop {
            step = match step {
                Step::Send(mut request, sent) => {
                    let buys = sent.may_buy();
                    if buys && self.args.never_buys() {
                        break None;
                    }
                    let state = sent.state();
                    self.remembered.renew(Duration::ZERO)?;
                    if buys || state.sends() > 0 && saved.as_ref() != Some(state) {
                        let purchase = buys.then_some(&mut request);
                        let remembered = self.remembered.save(state, purchase);
                        remembered.map_err(|failure| match failure {
                            Failure::Machine(error) | Failure::Usage(error) if saved.is_some() => {
                                Failure::Unknown(format!("{error}; {text}"), None)
                            }
                            failure => failure,
                        })?;
                        saved = Some(state.clone());
                    }
                    sent_any |= buys;
                    // The first purchase asks for the server's time before it is sent.
                    spinner.set_message(if buys || state.sends() == 0 {
                        format!("buying ({})", self.purchase.impact())
                    } else {
                        self.looking_for()
                    });
                    let result = transport.send(request);
                    responded |= result.is_ok();
                    if let (true, Ok(response)) = (buys, &result) {
                        self.known.compare(&self.purchase, response);
                    }
                    sent.finish(result, transport.now())
                }
                Step::Wait(wait, waiting) => {
                    self.remembered.renew(wait)?;
                    transport.sleep(wait);
                    waiting.wake(transport.now())
                }
                Step::Done(outcome) => break Some(outcome),
            };
        };
        spinner.finish_and_clear();
        drop(unfinished);
        Ok(Driven { outcome, saved, sent: sent_any, responded })
    }

    fn confirmed(&self, receipt: &Receipt, status: Option<Status>) -> Result<(), Failure> {
        let id = ImpactId::from(receipt);
        match status {
            // The responses to two purchases were swapped.
            Some(Status::Open | Status::Unresolved) => {
                let text = format!(
                    "the API answered with the impact {id}, which is that of another intent; run \
                     {} to find out whether it was bought",
                    same_command(self.args, &self.name),
                );
                return Err(Failure::Unknown(text, None));
            }
            Some(Status::Cancelling) => {
                let text =
                    "warning: a person cancelled it meanwhile; `oneclick outbox work` does so";
                output::notice(false, text);
            }
            _ => {}
        }
        let text = format!("{}{}", receipt.impact, for_customer(&self.purchase));
        print(receipt, &text, &id, self.args.json.json)
    }

    /// It was not found, and an option keeps it from being sent.
    fn not_sent(&self, saved: Option<&PurchaseState>) -> Failure {
        let absent = saved.map_or_else(String::new, |state| self.absent(state) + "; ");
        let option =
            if self.args.look_only { "without `--look-only`" } else { "with `--buy-anyway`" };
        Failure::NotFound(format!(
            "{absent}this run sent nothing; to buy it, run the same command {option}",
        ))
    }

    fn not_bought(&self, NotBought { error, state, .. }: NotBought, sent: bool) -> Failure {
        let error = match error {
            Some(error) if state.sends() == 0 => return Failure::NotBought(error),
            error => error,
        };
        let absent = self.absent(&state);
        let next = if let (Some(error), true) = (&error, state.may_send()) {
            let again = same_command(self.args, &self.name);
            format!("sending it once more failed: {}; run {again} later to buy it", explain(error))
        } else {
            let this_run = if sent { "it is not sent again" } else { "this run sent nothing" };
            format!(
                "{this_run}; if you are sure that no other machine is working on it, {} buys it",
                self.with_buy_anyway(),
            )
        };
        Failure::NotFound(format!("{absent}; {next}"))
    }

    /// Says what may have been sent and when, and since when its absence counts.
    fn absent(&self, state: &PurchaseState) -> String {
        let times = match state.sends() {
            1 => "may have been sent once".to_owned(),
            sends => format!("may have been sent {sends} times"),
        };
        let (first, last) = (state.earliest_send().map(time_text), state.latest_send());
        let sent = match (first, last.map(time_text)) {
            (Some(first), Some(last)) => format!("{times} between {first} and {last}"),
            (Some(first), None) => format!("{times} after {first}"),
            // Nothing is known of it.
            (None, Some(last)) => format!("may have been sent by another machine before {last}"),
            (None, None) => "may have been sent by another machine".to_owned(),
        };
        let settle = TimeDelta::seconds(self.settle().into());
        let shown = last.map(|last| last.checked_add_signed(settle).map(time_text));
        let shown = shown.map_or_else(|| "now".to_owned(), Option::unwrap_or_default);
        format!(
            "intent {} {sent}; its record should have appeared by \
             {shown}, but there is none",
            self.name,
        )
    }

    fn pending(&self, pending: Pending, responded: bool) -> Failure {
        let Pending { after, error, state, .. } = pending;
        let then = if state.may_send() && !self.args.never_buys() {
            "and buys it if it is not found then"
        } else {
            "and sends nothing"
        };
        let settle = self.settle();
        let again = same_command(self.args, &self.name);
        let when = if state.latest_send().is_some() {
            format!("from {} on, {again} finds out, {then}", clock_time(after))
        } else if responded {
            format!(
                "the API's responses have no Date header, so a run finds out only if its --wait is \
                 longer than its --settle: {again}, and with `--wait {}`, finds out, {then}",
                settle.saturating_add(SETTLE_SLACK),
            )
        } else {
            format!(
                "run {again} once the API responds; a run at least {settle} seconds after its first \
                 response finds out, {then}",
            )
        };
        let because = because(error.as_ref());
        let unnamed = if self.args.intent.is_none() && state.may_send() {
            let name = shell::word(&self.name);
            format!(
                "; so does a worker of this outbox, unless `oneclick outbox cancel {name}` gives \
                 it up"
            )
        } else {
            String::new()
        };
        let text = format!("it is not known yet whether it was bought{because}; {when}{unnamed}");
        Failure::Unknown(text, error)
    }

    fn unresolved(&self, Unresolved { reason, found, error, .. }: Unresolved) -> Failure {
        let because = because(error.as_ref());
        let again = same_command(self.args, &self.name);
        let anyway = self.with_buy_anyway();
        let done = "if one of these is the purchase, you are done: do not cancel it";
        let look = || self.look_at(&found);
        let text = match reason {
            UnresolvedReason::Malformed => format!(
                "{reason}{because}; do not buy it again; run {again} later to find out its id",
            ),
            _ if found.is_empty() => format!(
                "it is not known whether it was bought: {reason}{because}; run {again} later to \
                 find out; if you have made sure that it was not bought, {anyway} buys it",
            ),
            UnresolvedReason::Candidates => {
                format!("{reason}{because}; {}; {done}; if none is, {anyway} buys it:", look())
            }
            UnresolvedReason::BoughtTwice => format!(
                "{reason}{because}; {}; keep one of them, cancel the others with `oneclick cancel \
                 ID`, then run {again} to confirm it:",
                look(),
            ),
            UnresolvedReason::OtherPurchase => format!(
                "{reason}{because}; {}; {done}; if none is, cancel them with `oneclick cancel \
                 ID`, and buy it with another --intent:",
                look(),
            ),
            // Neither command can be used with the id: it names no impact, or another one.
            UnresolvedReason::Untrackable => format!(
                "{reason}{because}; the API does not find it by its id, so do not buy it again, \
                 and ask the API's support whether it was cancelled:"
            ),
            UnresolvedReason::SameTime => format!(
                "{reason}{because}; its id may be that of another impact, so do not cancel it by \
                 this id, and ask the API's support whether it was cancelled:"
            ),
            _ => format!("{reason}{because}; {}; {done}; run {again} later to find out:", look()),
        };
        Failure::Unresolved(text, found, error)
    }

    /// How to look at the impacts that were found. The id of a record need not be one that
    /// the API tracks and cancels.
    fn look_at(&self, found: &[ImpactId]) -> String {
        let is_unknown = |id: &&ImpactId| {
            let tracked = self.session.client.track((*id).clone());
            tracked.is_err_and(|error| error.is_unknown_impact())
        };
        let look = "look at each of these with `oneclick track ID`";
        match found.iter().take(MAX_TRACKED).filter(is_unknown).count() {
            0 => look.to_owned(),
            unknown => format!(
                "{look}, or in `oneclick records` and `oneclick customer-records` (the API does \
                 not know {unknown} of the ids: only its support can cancel these)",
            ),
        }
    }

    /// The command that buys it although it may have been sent.
    fn with_buy_anyway(&self) -> String {
        let instead = if self.args.look_only { " instead of `--look-only`" } else { "" };
        format!("the same command with `{} --buy-anyway`{instead}", intent_option(&self.name))
    }

    fn looking_for(&self) -> String {
        format!("looking for the purchase ({})", self.purchase.impact())
    }
}

/// Whether a purchase still stands.
enum Standing {
    /// It was not cancelled; the receipt has the id that the API tracks, if that is another.
    Active(Option<Receipt>),
    Cancelled(Vec<ImpactId>),
    /// It is not known, and why.
    Unknown(String),
}

/// How driving a purchase ended.
struct Driven {
    /// `None` if it was not found and an option keeps it from being sent.
    outcome: Option<Outcome>,
    /// The state that is stored.
    saved: Option<PurchaseState>,
    /// Whether this run sent a purchase.
    sent: bool,
    /// Whether any response arrived.
    responded: bool,
}

/// The last failure, as the end of a message.
fn because(error: Option<&Error>) -> String {
    error.map_or_else(String::new, |error| format!(": {}", explain(error)))
}

/// The time `after` from now by this machine's clock, and how long that is.
fn clock_time(after: Duration) -> String {
    let after = after.saturating_add(CLOCK_SLACK);
    let time = time_text(DateTime::<Utc>::from(SystemTime::now() + after));
    match (after.as_secs(), (after.as_secs() + 30) / 60) {
        (seconds @ ..60, _) => format!("{time} (in {seconds} seconds)"),
        (_, 1) => format!("{time} (in 1 minute)"),
        (_, minutes) => format!("{time} (in {minutes} minutes)"),
    }
}

fn time_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The impact and the customer.
fn summary(purchase: &Purchase) -> String {
    format!("{}{}", purchase.impact(), for_customer(purchase))
}

fn for_customer(purchase: &Purchase) -> String {
    let customer = purchase.customer();
    customer
        .map_or_else(String::new, |customer| format!(" for {}", customer.customer_email.as_str()))
}

/// Everything that the purchase asks for.
pub(crate) fn full_summary(purchase: &Purchase) -> String {
    // In the body, these fields have one name for all actions.
    let body = serde_json::to_value(purchase).unwrap_or_default();
    let name = body["customer_name"].as_str().map(|name| format!(" ({name})"));
    let category = body["category"].as_str().map(|category| format!(", category {category}"));
    let metadata = purchase.metadata().iter().map(|(key, value)| format!(", {key}={value}"));
    let silent = (body["notify"] == false).then(|| ", silent".to_owned());
    let parts = name.into_iter().chain(category).chain(metadata).chain(silent);
    std::iter::once(summary(purchase)).chain(parts).collect()
}

/// Prints a purchase: `value` as JSON, or `text` and the id.
fn print(value: &impl Serialize, text: &str, id: &ImpactId, json: bool) -> Result<(), Failure> {
    let printed = if json {
        output::json(value)
    } else {
        output::line(text).and_then(|()| output::line(&id.to_string()))
    };
    if printed.is_err() {
        // Nothing but the id can track or cancel it.
        output::notice(false, &format!("it was bought as {id}"));
    }
    printed
}

/// Asks for confirmation in production, unless `yes`.
pub(crate) fn confirm(
    session: &Session,
    yes: bool,
    action: &str,
    account: &Account,
) -> Result<(), Failure> {
    if !session.production || yes {
        return Ok(());
    }
    let owner = account.email.as_str();
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "this is production, and nothing was sent: add --yes to {action}, with the account of \
             {owner}"
        )));
    }
    let question = format!("this is production: {action}, with the account of {owner}? [y/N] ");
    let question = output::printable(&question);
    // If it cannot be printed, nobody answers it.
    let _ = write!(io::stderr(), "{question}");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::machine("could not read standard input", error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("not confirmed; nothing was sent".to_owned())),
    }
}

/// The name of an intent that the user did not name.
fn random_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's hasher is seeded by the system.
    format!("{:016x}", RandomState::new().hash_one(SystemTime::now()))
}
