//! Many purchases, looked up in one walk.

use std::fmt;
use std::time::Duration;

use super::{Answer, Machine, Next};
use crate::Error;
use crate::verify::{
    Conclusion, Evidence, Outcome, PurchaseState, Reading, Reconciliation, Unresolved,
    UnresolvedReason, VerifyPolicy,
};

/// Looks many open purchases up at once: a [`Machine`] that reads each list once
/// for all of them, however many they are, and ends with an [`Outcome`] for each
/// state, in their order.
///
/// It only reads. What it cannot confirm is [`Outcome::Unresolved`], with the
/// purchases that were found; [`VerifiedPurchase::resume`](crate::VerifiedPurchase::resume)
/// takes such a state up and acts on it.
///
/// ```
/// use oneclick_proto::{
///     BlockingClient, BlockingTransport, Outcome, PurchaseState, Settlement,
/// };
///
/// /// After an outage: what became of all purchases whose response was lost?
/// fn settle<T: BlockingTransport>(client: &BlockingClient<T>, open: Vec<PurchaseState>) {
///     for outcome in client.run(Settlement::new(open)) {
///         match outcome {
///             Outcome::Confirmed(receipt) => println!("bought at {}", receipt.time_utc),
///             other => println!("still open: {other}"),
///         }
///     }
/// }
/// ```
#[must_use = "nothing is read until the settlement is driven to its end"]
pub struct Settlement {
    policy: VerifyPolicy,
    intents: Vec<Evidence>,
    /// By intent, once it is concluded.
    outcomes: Vec<Option<Outcome>>,
    reading: Option<Reconciliation>,
}

impl Settlement {
    /// The purchases with these states, in any order.
    pub fn new(states: impl IntoIterator<Item = PurchaseState>) -> Self {
        let intents: Vec<_> = states.into_iter().map(Evidence::new).collect();
        let outcomes = intents.iter().map(|_| None).collect();
        Self { policy: VerifyPolicy::STANDARD, intents, outcomes, reading: None }
    }

    /// Sets how long and how far back the purchases are looked for.
    pub fn policy(mut self, policy: VerifyPolicy) -> Self {
        self.policy = policy;
        self
    }
}

impl Settlement {
    /// Draws what conclusions there are after a whole round.
    fn conclude(&mut self) {
        let Some(reading) = &self.reading else { return };
        for (evidence, outcome) in self.intents.iter().zip(&mut self.outcomes) {
            let conclusion = || reading.decide(evidence);
            *outcome = outcome.take().or_else(|| match conclusion() {
                Conclusion::NotYet => None,
                Conclusion::Confirmed(receipt) => Some(Outcome::Confirmed(receipt)),
                Conclusion::Several(..) => {
                    Some(unresolved(evidence, UnresolvedReason::BoughtTwice, None))
                }
                Conclusion::Absent => Some(unresolved(evidence, UnresolvedReason::NotFound, None)),
                Conclusion::Unresolved(reason) => Some(unresolved(evidence, reason, None)),
            });
        }
    }

    /// Ends where the records cannot be read: the first of what is open gets the
    /// failure.
    fn give_up(mut self, reason: UnresolvedReason, mut error: Option<Error>) -> Next<Self> {
        for (evidence, outcome) in self.intents.iter().zip(&mut self.outcomes) {
            outcome.get_or_insert_with(|| unresolved(evidence, reason, error.take()));
        }
        Next::Done(self.outcomes.into_iter().flatten().collect())
    }
}

fn unresolved(evidence: &Evidence, reason: UnresolvedReason, error: Option<Error>) -> Outcome {
    let (found, state) = (evidence.ids(), evidence.state.clone());
    Outcome::Unresolved(Unresolved { reason, found, error, state })
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settlement({} purchases)", self.intents.len())
    }
}

impl Machine for Settlement {
    /// An outcome for each state, in their order. If the lists cannot be read, the
    /// failure is with the first of those that are unresolved for it.
    type Output = Vec<Outcome>;
    type State = ();

    fn state(&self) -> &() {
        &()
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        if self.outcomes.iter().all(Option::is_some) {
            return Next::Done(self.outcomes.into_iter().flatten().collect());
        }
        let new = || Reconciliation::new(&self.intents, None, self.policy, now);
        match self.reading.get_or_insert_with(new).next(now) {
            Reading::Ask(ask) => Next::Ask(ask, self),
            Reading::Wait(wait) => Next::Wait(wait, self),
            Reading::Failed(reason, error) => self.give_up(reason, error),
        }
    }

    fn answered(mut self, answer: Answer<'_>, now: Duration) -> Next<Self> {
        let Some(reading) = &mut self.reading else { return self.proceed(now) };
        match reading.take(answer, &Vec::new, &mut self.intents) {
            Ok(ended) => {
                if ended {
                    self.conclude();
                }
                self.proceed(now)
            }
            Err(error) => self.give_up(UnresolvedReason::Unreadable, Some(error)),
        }
    }

    fn personal(&self) -> Vec<String> {
        Vec::new()
    }
}
