//! The comparison of the emulator's ledger with the outbox.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use oneclick_emulator::{Account, Server};
use oneclick_outbox::{Entry, Outbox, Status};
use oneclick_proto::{ImpactId, Intent};

use crate::driver::Stored;
use crate::terms::{KEY, LONGEST_PAUSE, SHOP};

/// How many intents became what.
#[derive(Default)]
pub(crate) struct Tally {
    intents: usize,
    bought_once: usize,
    /// Left to a person: not bought, and bought once.
    unresolved: [usize; 2],
    /// A purchase left longer after its permit than any pause may take.
    twice_after_long_pause: usize,
    twice: usize,
    /// More purchases than permits.
    without_permit: usize,
    lost: usize,
    /// The status is not what the ledger says.
    untrue: usize,
    /// Orders that were rolled back.
    rolled_back: usize,
    /// What happened to each intent that breaks a promise.
    pub(crate) broken: Vec<String>,
}

impl Tally {
    pub(crate) fn new(
        outbox: &Outbox,
        server: &Server,
        stored: &Stored,
    ) -> Result<Self, Box<dyn Error>> {
        let mut ledger: HashMap<String, Vec<ImpactId>> = HashMap::new();
        for bought in server.emulator().account(KEY).into_iter().flat_map(Account::ledger) {
            let marker = bought.receipt.metadata.get(Intent::METADATA_KEY).unwrap_or_default();
            ledger.entry(marker.to_owned()).or_default().push(ImpactId::from(&bought.receipt));
        }
        let mut tally = Self { rolled_back: stored.rolled_back.len(), ..Self::default() };
        for key in stored.committed.iter().chain(&stored.rolled_back) {
            let bought = ledger.remove(Intent::new(SHOP, key).marker()).unwrap_or_default();
            let entry = outbox.find(SHOP, key)?;
            if stored.rolled_back.contains(key) {
                if entry.is_some() || !bought.is_empty() {
                    tally.broken.push(format!("{key} was rolled back: {entry:?}, {bought:?}"));
                }
                continue;
            }
            tally.intents += 1;
            let Some(entry) = entry else {
                tally.lost += 1;
                tally.broken.push(format!("{key} is lost: {bought:?}"));
                continue;
            };
            tally.count(outbox, &entry, &bought)?;
        }
        for (marker, bought) in ledger {
            tally.broken.push(format!("bought for no intent ({marker}): {bought:?}"));
        }
        Ok(tally)
    }

    fn count(
        &mut self,
        outbox: &Outbox,
        entry: &Entry,
        bought: &[ImpactId],
    ) -> Result<(), Box<dyn Error>> {
        let named = entry.bought.as_ref().map(|bought| &bought.id);
        let is_true = match entry.status {
            Status::Bought => named.is_some_and(|id| bought.contains(id)),
            Status::Unresolved => true,
            Status::Refused => bought.is_empty(),
            _ => false,
        };
        let left: Vec<_> = bought.iter().map(|id| id.time_utc.datetime()).collect();
        let permits = permits(outbox, entry.id)?;
        let mut is_broken = true;
        if !is_true {
            self.untrue += 1;
        } else if !are_permitted(&permits, &left, TimeDelta::MAX) {
            self.without_permit += 1;
        } else if left.len() > 1 {
            is_broken = are_permitted(&permits, &left, TimeDelta::from_std(LONGEST_PAUSE)?);
            if is_broken {
                self.twice += 1;
            } else {
                self.twice_after_long_pause += 1;
            }
        } else {
            is_broken = false;
            if entry.status == Status::Bought {
                self.bought_once += 1;
            } else {
                self.unresolved[left.len()] += 1;
            }
        }
        if is_broken {
            let events = outbox.events(entry.id)?;
            self.broken.push(format!("{entry:#?}\nledger: {bought:#?}\nevents: {events:#?}"));
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [absent, made] = self.unresolved;
        writeln!(f, "{} intents, {} more rolled back", self.intents, self.rolled_back)?;
        writeln!(f, "bought once: {}", self.bought_once)?;
        let unresolved = absent + made;
        writeln!(f, "unresolved: {unresolved} ({absent} not bought, {made} bought once)")?;
        writeln!(
            f,
            "twice after a pause too long for `absence_after`: {}",
            self.twice_after_long_pause
        )?;
        writeln!(f, "twice: {}\nwithout a permit: {}", self.twice, self.without_permit)?;
        write!(f, "lost: {}\nuntrue: {}", self.lost, self.untrue)?;
        self.broken.iter().try_for_each(|broken| write!(f, "\nbroken: {broken}"))
    }
}

/// When purchases of an intent were permitted.
fn permits(outbox: &Outbox, id: i64) -> Result<Vec<DateTime<Utc>>, Box<dyn Error>> {
    let events = outbox.events(id)?;
    let permits = events.iter().filter(|event| event.what == "permit: the purchase may be sent");
    Ok(permits.map(|event| event.at.parse()).collect::<Result<_, _>>()?)
}

/// Whether each purchase has a permit of its own, and left no longer than this after it. Both
/// are in order of time.
fn are_permitted(
    permits: &[DateTime<Utc>],
    bought: &[DateTime<Utc>],
    longest_pause: TimeDelta,
) -> bool {
    let mut permits = permits.iter();
    bought.iter().all(|bought| {
        permits.any(|permit| {
            let pause = *bought - *permit;
            pause >= TimeDelta::zero() && pause <= longest_pause
        })
    })
}
