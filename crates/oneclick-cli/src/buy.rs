//! The purchases: each made once, and verified.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use oneclick_ureq::{
    Account, BlockingTransport, ImpactId, Intent, Metadata, Outcome, Purchase, Step,
    VerifiedPurchase, VerifyPolicy,
};
use serde::Serialize;

use crate::args::PurchaseArgs;
use crate::failure::{Failure, word};
use crate::intents::{Entry, Intents, Stage};
use crate::interrupt;
use crate::output;
use crate::session::Session;

/// Buys it once, with the metadata of the command line.
pub(crate) fn run(
    session: &Session,
    purchase: Purchase,
    args: &PurchaseArgs,
) -> Result<(), Failure> {
    let purchase = purchase.with_metadata(Metadata::from_pairs(args.metadata.iter().cloned())?);
    let what = purchase.impact().to_string();
    let for_whom = purchase
        .customer()
        .map(|customer| format!(" for {}", customer.customer_email.as_str()))
        .unwrap_or_default();
    let account = session.client.whoami().map_err(Failure::NotBought)?;
    ask(session, args.yes, &format!("{what}{for_whom}"), &account)?;

    let key = args.intent.clone().unwrap_or_else(random_key);
    // An account's intents are its own.
    let since = if args.look_first { long_ago() } else { SystemTime::now() };
    let intent = Intent::new(account.user_id.as_str(), &key, since);
    let named = args.intent.is_some();
    let intents = Intents::open(&session.intents, intent.marker(), named)?;
    // What the file holds. If there is a state, the purchase may have been sent, by
    // this process or an earlier one.
    let mut saved = None;
    let machine = match intents.load()? {
        Some(entry) if entry.what != what => {
            return Err(Failure::Usage(format!(
                "the intent {key} stands for another purchase: {}; choose another key",
                entry.what,
            )));
        }
        Some(Entry { stage: Stage::Bought(id), .. }) => {
            output::tell(session.quiet, &format!("{key} was bought before; nothing is bought now"));
            return print(&id, &what, &id, args.json.json);
        }
        Some(Entry { stage: Stage::Open(state), .. }) => {
            saved = Some(state.clone());
            VerifiedPurchase::resume(&intent, purchase, state)?
        }
        None if args.look_first => VerifiedPurchase::recover(&intent, purchase)?,
        None => VerifiedPurchase::new(&intent, purchase)?,
    };
    let settle = Duration::from_secs(args.settle.into());
    let machine = machine.policy(VerifyPolicy::STANDARD.settle(settle));

    let find_out = format!("run the same command with `--intent {}` to find out", word(&key));
    let open = interrupt::leaves_open(format!("{what} may have been bought: {find_out}"));
    let spinner = output::spinner(session.quiet, what.clone());
    let transport = session.client.transport();
    let mut step = session.client.start(machine);
    let outcome = loop {
        step = match step {
            Step::Send(request, sent) => {
                // No request leaves before the file holds its state; it has that of
                // a retry already.
                if saved.as_ref() != Some(sent.state()) {
                    let state = sent.state().clone();
                    let entry = Entry { what: what.clone(), stage: Stage::Open(state.clone()) };
                    intents.save(&entry).map_err(|failure| match failure {
                        Failure::Machine(text) if saved.is_some() => {
                            let why = format!("{text}; {what} may have been bought: {find_out}");
                            Failure::Unknown(why, None)
                        }
                        failure => failure,
                    })?;
                    saved = Some(state);
                }
                let buys = sent.may_buy();
                let next = sent.finish(transport.send(request), transport.now());
                // A purchase that waits is sent again: it was refused, not lost.
                if matches!((&next, buys), (Step::Send(..), _) | (Step::Wait(..), false)) {
                    spinner.set_message(format!("{what}: its answer was lost, looking for it"));
                }
                next
            }
            Step::Wait(wait, waiting) => {
                transport.sleep(wait);
                waiting.wake(transport.now())
            }
            Step::Done(outcome) => break outcome,
        };
    };
    spinner.finish_and_clear();
    drop(open);
    match outcome {
        Outcome::Confirmed(receipt) => {
            let id = ImpactId::from(&receipt);
            if named {
                let entry = Entry { what, stage: Stage::Bought(id.clone()) };
                // It was bought all the same; run again, it is found in the records.
                if let Err(Failure::Machine(text)) = intents.save(&entry) {
                    output::tell(false, &format!("it was bought, but not remembered: {text}"));
                }
            } else {
                intents.forget();
            }
            let told = format!("{}{for_whom}", receipt.impact);
            let printed = print(&receipt, &told, &id, args.json.json);
            if printed.is_err() {
                // The id is all that it can be followed or taken back by.
                output::tell(false, &format!("it was bought as {id}"));
            }
            printed
        }
        Outcome::Rejected(error) | Outcome::NotSent(error) => {
            intents.forget();
            Err(Failure::NotBought(error))
        }
        Outcome::Unresolved(unresolved) => {
            let why = format!("whether it was bought is {unresolved}; later, {find_out}");
            Err(Failure::Unknown(why, unresolved.error))
        }
    }
}

/// Prints what was bought: the value as JSON, or in words with the id.
fn print(value: &impl Serialize, what: &str, id: &ImpactId, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(value);
    }
    output::line_out(what)?;
    output::line_out(&id.to_string())
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

/// Before any purchase: when another machine made one, this one does not know.
fn long_ago() -> SystemTime {
    const YEAR_2000: Duration = Duration::from_secs(946_684_800);
    SystemTime::UNIX_EPOCH + YEAR_2000
}

/// A key that nobody else has, for an intent that was not named.
fn random_key() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's hasher is seeded by the system.
    format!("{:016x}", RandomState::new().hash_one(SystemTime::now()))
}
