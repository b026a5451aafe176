//! The purchases: each made once, and verified.

use std::io::{self, BufRead, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use oneclick_ureq::{
    Account, Action, CaptureCarbon, CleanOcean, Customer, DonateMoney, Impact, ImpactId, Intent,
    Metadata, Once, OncePolicy, Outcome, PlantTree, Receipt, RestoreCoral,
};

use crate::args::Purchase;
use crate::failure::{Failure, word};
use crate::intents::{Entry, Intents, Stage};
use crate::interrupt;
use crate::output;
use crate::session::Session;

/// A command for each action: sets what they have in common, and buys it.
macro_rules! actions {
    ($($name:ident($action:ty),)*) => {$(
        pub(crate) fn $name(
            session: &Session,
            mut action: $action,
            purchase: Purchase,
        ) -> Result<(), Failure> {
            if let Some(email) = &purchase.customer {
                let customer = Customer::from(email.clone());
                action.customer = Some(match &purchase.name {
                    Some(name) => customer.name(name),
                    None => customer,
                });
                action.notify = purchase.silent.then_some(false);
            }
            action.metadata = Metadata::from_pairs(purchase.metadata.iter().cloned())?;
            let amount = i64::try_from(action.amount.get()).unwrap_or(i64::MAX);
            buy(session, action, amount, &purchase)
        }
    )*};
}

actions! {
    plant_tree(PlantTree),
    clean_ocean(CleanOcean),
    capture_carbon(CaptureCarbon),
    donate_money(DonateMoney),
    restore_coral(RestoreCoral),
}

fn buy<A: Action>(
    session: &Session,
    action: A,
    amount: i64,
    purchase: &Purchase,
) -> Result<(), Failure> {
    let what = Impact::new(A::KIND, amount).to_string();
    let for_whom = match &purchase.customer {
        Some(customer) => format!(" for {}", customer.as_str()),
        None => String::new(),
    };
    let account = session.client.whoami().map_err(Failure::NotBought)?;
    ask(session, purchase.yes, &format!("{what}{for_whom}"), &account)?;

    let key = purchase.intent.clone().unwrap_or_else(random_key);
    // An account's intents are its own.
    let since = if purchase.look_first { long_ago() } else { SystemTime::now() };
    let intent = Intent::new(account.user_id.as_str(), &key, since);
    let named = purchase.intent.is_some();
    let intents = Intents::open(&session.intents, intent.marker(), named)?;
    let same = |entry: &Entry| entry.what == what;
    let stored = intents.load()?;
    let taken_up = stored.is_some();
    let mut once = match stored {
        Some(entry) if !same(&entry) => {
            return Err(Failure::Usage(format!(
                "the intent {key} stands for another purchase: {}; choose another key",
                entry.what,
            )));
        }
        Some(Entry { stage: Stage::Bought(id), .. }) => {
            output::tell(session.quiet, &format!("{key} was bought before; nothing is bought now"));
            return already_bought(&what, &id, purchase.json.json);
        }
        Some(Entry { stage: Stage::Open(state), .. }) => Once::resume(state, action)?,
        None if purchase.look_first => Once::recover(&intent, action)?,
        None => Once::new(&intent, action)?,
    };
    let settle = Duration::from_secs(purchase.settle.into());
    once = once.policy(OncePolicy::STANDARD.settle(settle));

    let find_out = format!("run the same command with `--intent {}` to find out", word(&key));
    let open = interrupt::leaves_open(format!("{what} may have been bought: {find_out}"));
    let spinner = output::spinner(session.quiet, what.clone());
    // Of a purchase that is taken up, an earlier process may have sent it.
    let mut sent = taken_up;
    let outcome = loop {
        let stage = Stage::Open(once.state().clone());
        intents.save(&Entry { what: what.clone(), stage }).map_err(|failure| match failure {
            Failure::Machine(text) if sent => {
                Failure::Unknown(format!("{text}; {what} may have been bought: {find_out}"), None)
            }
            failure => failure,
        })?;
        sent = true;
        match session.client.advance(once) {
            ControlFlow::Continue(next) => {
                spinner.set_message(format!("{what}: its answer was lost, looking for it"));
                once = next;
            }
            ControlFlow::Break(outcome) => break outcome,
        }
    };
    spinner.finish_and_clear();
    drop(open);
    match outcome {
        Outcome::Confirmed(receipt) => {
            if named {
                let stage = Stage::Bought(ImpactId::from(&receipt));
                // It was bought all the same; run again, it is found in the records.
                if let Err(Failure::Machine(text)) = intents.save(&Entry { what, stage }) {
                    output::tell(false, &format!("it was bought, but not remembered: {text}"));
                }
            } else {
                intents.forget();
            }
            let told = bought(&receipt, &for_whom, purchase.json.json);
            if told.is_err() {
                // The id is all that it can be followed or taken back by.
                output::tell(false, &format!("it was bought as {}", ImpactId::from(&receipt)));
            }
            told
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

fn bought(receipt: &Receipt, for_whom: &str, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(receipt);
    }
    output::line_out(&format!("{}{for_whom}", receipt.impact))?;
    output::line_out(&ImpactId::from(receipt).to_string())
}

fn already_bought(what: &str, id: &ImpactId, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(id);
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
