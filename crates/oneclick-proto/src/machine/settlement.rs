//! Looks up many purchases with one reading of the lists.

use std::time::Duration;

use super::verified_purchase::{MAX_FAILED_LOOKS, outcome};
use super::{ApiResult, Machine, Next, VerifiedPurchase};
use crate::Error;
use crate::verify::{Conclusion, OpenPurchase, Outcome, Reading, Search, UnresolvedReason};

/// How long to wait after a look that failed.
const WAIT: Duration = Duration::from_secs(2);

/// Looks up many open purchases at once: a [`Machine`] that reads each list once for
/// all of them and tracks the ones that it finds. Its output is a [`Settled`] for each
/// purchase, in the given order.
///
/// It only reads. A new purchase could be mistaken for one of the others if its
/// metadata were lost, so purchases are sent again only after the settlement is done.
///
/// ```
/// use oneclick_proto::{
///     BlockingClient, BlockingTransport, Outcome, Settled, Settlement, VerifiedPurchase,
/// };
///
/// /// After an outage: finds out which purchases were made although their response was lost.
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
#[must_use = "nothing is read unless the settlement is driven to completion"]
pub struct Settlement {
    purchases: Vec<OpenPurchase>,
    search: Option<Search>,
    failed_looks: u32,
}

/// The result of a [`Settlement`] for one purchase.
#[derive(Debug)]
pub enum Settled {
    /// The outcome, which may be [`Outcome::Pending`].
    Done(Box<Outcome>),
    /// The purchase was not made and may be sent again: run it to do so.
    Absent(Box<VerifiedPurchase>),
}

impl Settlement {
    /// A settlement of these purchases, each built with [`VerifiedPurchase::resume`] or
    /// [`recover`](VerifiedPurchase::recover).
    pub fn new(purchases: impl IntoIterator<Item = VerifiedPurchase>) -> Self {
        let purchases = purchases.into_iter().map(VerifiedPurchase::into_open).collect();
        Self { purchases, search: None, failed_looks: 0 }
    }
}

/// Turns the conclusion for one purchase into its result.
fn settled(
    purchase: OpenPurchase,
    conclusion: Conclusion,
    error: Option<Error>,
    now: Duration,
) -> Settled {
    match conclusion {
        Conclusion::Absent if purchase.state.may_send() => {
            Settled::Absent(Box::new(VerifiedPurchase::cleared(purchase)))
        }
        conclusion => Settled::Done(Box::new(outcome(purchase, conclusion, error, now))),
    }
}

impl Machine for Settlement {
    /// A result for each purchase, in the given order. If the lists cannot be read, the
    /// first of them holds the error.
    type Output = Vec<Settled>;
    type State = ();

    fn state(&self) -> &() {
        &()
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        if self.purchases.is_empty() {
            return Next::Done(Vec::new());
        }
        let mut search =
            self.search.take().unwrap_or_else(|| Search::new(&mut self.purchases, now));
        match search.next(&mut self.purchases) {
            Reading::Send(request) => Next::Send(request, Self { search: Some(search), ..self }),
            Reading::Wait(wait) => Next::Wait(wait, Self { search: Some(search), ..self }),
            Reading::Done => {
                let conclude = |mut purchase: OpenPurchase| {
                    let conclusion = purchase.conclude(search.look());
                    settled(purchase, conclusion, None, now)
                };
                Next::Done(self.purchases.into_iter().map(conclude).collect())
            }
        }
    }

    fn handle(mut self, result: ApiResult<'_>, now: Duration) -> Next<Self> {
        let Some(mut search) = self.search.take() else { return self.proceed(now) };
        let error = match search.take(result, &Vec::new, &mut self.purchases, now) {
            Ok(()) => return Self { search: Some(search), ..self }.proceed(now),
            Err(error) => error,
        };
        self.failed_looks += 1;
        if self.failed_looks < MAX_FAILED_LOOKS {
            return Next::Wait(WAIT, self);
        }
        let mut error = Some(error);
        let unreadable = |purchase: OpenPurchase| {
            let conclusion = if purchase.state.sends() == 0 {
                Conclusion::Absent
            } else if purchase.is_late(now) {
                Conclusion::Unresolved(UnresolvedReason::Unreadable, Vec::new())
            } else {
                Conclusion::NotYet
            };
            settled(purchase, conclusion, error.take(), now)
        };
        Next::Done(self.purchases.into_iter().map(unreadable).collect())
    }

    fn personal(&self) -> Vec<String> {
        Vec::new()
    }
}
