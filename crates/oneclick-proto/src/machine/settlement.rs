//! Many purchases, looked up in one walk.

use std::time::Duration;

use super::verified_purchase::{MAX_FAILED_LOOKS, outcome};
use super::{Answer, Machine, Next, VerifiedPurchase};
use crate::Error;
use crate::verify::{Conclusion, Outcome, Reading, Search, Sought, UnresolvedReason};

/// How long to wait after a look that failed.
const WAIT: Duration = Duration::from_secs(2);

/// Looks many open purchases up at once: a [`Machine`] that reads each list once for
/// all of them, however many they are, and tracks those that it finds. It ends with a
/// [`Settled`] for each, in their order.
///
/// It only reads: nothing is sent before all conclusions are drawn, since an unmarked
/// new purchase would look like one of the others.
///
/// ```
/// use oneclick_proto::{
///     BlockingClient, BlockingTransport, Outcome, Settled, Settlement, VerifiedPurchase,
/// };
///
/// /// After an outage: what became of all purchases whose response was lost?
/// fn settle<T: BlockingTransport>(client: &BlockingClient<T>, open: Vec<VerifiedPurchase>) {
///     for settled in client.run(Settlement::new(open)) {
///         match settled {
///             Settled::Done(outcome) => println!("{outcome}"),
///             Settled::Absent(purchase) => println!("{}", client.run(*purchase)), // sends it
///         }
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until the settlement is driven to its end"]
pub struct Settlement {
    sought: Vec<Sought>,
    search: Option<Search>,
    failed_looks: u32,
}

/// What became of one of the purchases.
#[derive(Debug)]
pub enum Settled {
    /// How it ended, or that it is not known yet.
    Done(Box<Outcome>),
    /// It was not made, and may be sent once more: run it to do so.
    Absent(Box<VerifiedPurchase>),
}

impl Settlement {
    /// The purchases that are to be looked up, each made with
    /// [`VerifiedPurchase::resume`] or [`recover`](VerifiedPurchase::recover).
    pub fn new(purchases: impl IntoIterator<Item = VerifiedPurchase>) -> Self {
        let sought = purchases.into_iter().map(VerifiedPurchase::into_sought).collect();
        Self { sought, search: None, failed_looks: 0 }
    }
}

/// What one of them ends with.
fn settled(sought: Sought, conclusion: Conclusion, error: Option<Error>, now: Duration) -> Settled {
    match conclusion {
        // What was never sent is absent without a wait.
        Conclusion::NotYet if sought.state.sends() == 0 => {
            Settled::Absent(Box::new(VerifiedPurchase::cleared(sought)))
        }
        Conclusion::Absent if sought.state.may_send() => {
            Settled::Absent(Box::new(VerifiedPurchase::cleared(sought)))
        }
        conclusion => Settled::Done(Box::new(outcome(sought, conclusion, error, now))),
    }
}

impl Machine for Settlement {
    /// What became of each, in their order. If the lists cannot be read, the failure is
    /// with the first of them.
    type Output = Vec<Settled>;
    type State = ();

    fn state(&self) -> &() {
        &()
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        if self.sought.is_empty() {
            return Next::Done(Vec::new());
        }
        let mut search = self.search.take().unwrap_or_else(|| Search::new(&mut self.sought, now));
        match search.next(&mut self.sought) {
            Reading::Ask(ask) => Next::Ask(ask, Self { search: Some(search), ..self }),
            Reading::Wait(wait) => Next::Wait(wait, Self { search: Some(search), ..self }),
            Reading::Done => {
                let conclude = |mut sought: Sought| {
                    let conclusion = sought.conclude(search.look());
                    settled(sought, conclusion, None, now)
                };
                Next::Done(self.sought.into_iter().map(conclude).collect())
            }
        }
    }

    fn answered(mut self, answer: Answer<'_>, now: Duration) -> Next<Self> {
        let Some(mut search) = self.search.take() else { return self.proceed(now) };
        let error = match search.take(answer, &Vec::new, &mut self.sought, now) {
            Ok(()) => return Self { search: Some(search), ..self }.proceed(now),
            Err(error) => error,
        };
        self.failed_looks += 1;
        if self.failed_looks < MAX_FAILED_LOOKS {
            return Next::Wait(WAIT, self);
        }
        let mut error = Some(error);
        let unreadable = |sought: Sought| {
            let conclusion = if sought.is_late(now) {
                Conclusion::Unresolved(UnresolvedReason::Unreadable, Vec::new())
            } else {
                Conclusion::NotYet
            };
            settled(sought, conclusion, error.take(), now)
        };
        Next::Done(self.sought.into_iter().map(unreadable).collect())
    }

    fn personal(&self) -> Vec<String> {
        Vec::new()
    }
}
