//! Finds out whether a purchase that was seen still stands (R10).

use http::StatusCode;

use super::rules::{Fate, Row};
use crate::machine::{Answer, Ask};
use crate::purchase::Purchase;
use crate::value::{ImpactId, UserId};
use crate::{Error, ErrorKind, GetAccount, TrackImpact};

/// Tracks one row: by its own id, by the account's and by the customer's, until one
/// of them names it.
#[derive(Debug)]
pub(super) struct Tracker {
    row: Row,
    /// The ids that are still to be tried, the next one last.
    ids: Vec<UserId>,
    account: Option<UserId>,
    /// Whether the account's id is asked for.
    asking: bool,
    asked: bool,
    /// The latest failure that says nothing about the purchase.
    failure: Option<Error>,
}

impl Tracker {
    pub(super) fn new(row: Row, account: Option<UserId>) -> Self {
        let customer = row.receipt.customer.as_ref();
        let mut ids: Vec<_> =
            customer.map(|shown| shown.customer_id.as_str().into()).into_iter().collect();
        ids.push(row.receipt.user_id.clone());
        Self { row, ids, account, asking: false, asked: false, failure: None }
    }

    /// What names the row among the evidence.
    pub(super) fn id(&self) -> ImpactId {
        ImpactId::from(&self.row.receipt)
    }

    /// What is known if nothing names it, and why that is no more.
    pub(super) fn end(&mut self) -> (Fate, Option<Error>) {
        let failure = self.failure.take();
        (if failure.is_some() { Fate::Unanswered } else { Fate::Unknown }, failure)
    }

    pub(super) fn account(&self) -> Option<UserId> {
        self.account.clone()
    }

    /// The next question; `None` if nothing names it.
    pub(super) fn next(&mut self) -> Option<Ask> {
        if self.ids.is_empty() && !std::mem::replace(&mut self.asked, true) {
            self.ids.extend(self.account.clone());
            self.asking = self.ids.is_empty();
        }
        if self.asking {
            return Some(Ask::of(&GetAccount));
        }
        let id = ImpactId::new(self.ids.last()?.clone(), self.row.receipt.time_utc.clone());
        Some(Ask::of(&TrackImpact::new(id)))
    }

    /// Takes the answer; `None` if there is more to ask.
    pub(super) fn take(
        &mut self,
        answer: Answer<'_>,
        personal: &dyn Fn() -> Vec<String>,
        purchase: &Purchase,
    ) -> Option<Fate> {
        if std::mem::take(&mut self.asking) {
            match answer.read::<GetAccount>(personal) {
                Ok(account) => {
                    self.ids.push(account.user_id.clone());
                    self.account = Some(account.user_id);
                }
                Err(error) => self.failure = Some(error),
            }
            return None;
        }
        self.ids.pop();
        match answer.read::<TrackImpact>(personal) {
            Ok(tracking) if tracking.impact != purchase.impact() => None,
            Ok(tracking) if tracking.cancelled_on.is_some() => Some(Fate::TakenBack),
            Ok(_) => Some(Fate::Stands),
            Err(error) => {
                // An id that arrived damaged is not even asked for.
                let refused = matches!(error.kind(), ErrorKind::Invalid(_));
                if !refused && !error.status().is_some_and(is_of_the_id) {
                    self.failure = Some(error);
                }
                None
            }
        }
    }
}

/// Whether a status refuses the id that was tracked, and not the call.
fn is_of_the_id(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 410 | 422)
}
