//! Finds out whether a purchase that was found is still active (R10).

use super::rules::{ListedRow, TrackResult};
use crate::machine::{ApiRequest, ApiResult};
use crate::value::{ImpactId, UserId};
use crate::{Error, ErrorKind, GetAccount, TrackImpact};

/// Tracks one row by its own user id, then by the account's and the customer's, until
/// the API knows one of them.
#[derive(Debug)]
pub(super) struct Tracker {
    row: ListedRow,
    /// The ids still to try, the next one last.
    ids: Vec<UserId>,
    account: Option<UserId>,
    /// Whether the latest request was for the account's id.
    asking_account: bool,
    asked_account: bool,
    /// The latest failure that says nothing about the purchase.
    failure: Option<Error>,
}

impl Tracker {
    pub(super) fn new(row: ListedRow, account: Option<UserId>) -> Self {
        let customer = row.receipt.customer.as_ref();
        let mut ids: Vec<_> =
            customer.map(|shown| shown.customer_id.as_str().into()).into_iter().collect();
        ids.push(row.receipt.user_id.clone());
        Self { row, ids, account, asking_account: false, asked_account: false, failure: None }
    }

    /// The id of the row in the evidence.
    pub(super) fn id(&self) -> ImpactId {
        ImpactId::from(&self.row.receipt)
    }

    /// The result if the API knows none of the ids, with the failure if there was one.
    pub(super) fn end(&mut self) -> (TrackResult, Option<Error>) {
        let failure = self.failure.take();
        (if failure.is_some() { TrackResult::Failed } else { TrackResult::NotFound }, failure)
    }

    pub(super) fn account(&self) -> Option<UserId> {
        self.account.clone()
    }

    /// The next request; `None` if no id is left to try.
    pub(super) fn next(&mut self) -> Option<ApiRequest> {
        if self.ids.is_empty() && !std::mem::replace(&mut self.asked_account, true) {
            self.ids.extend(self.account.clone());
            self.asking_account = self.ids.is_empty();
        }
        if self.asking_account {
            return Some(ApiRequest::of(&GetAccount).fresh());
        }
        let id = ImpactId::new(self.ids.last()?.clone(), self.row.receipt.time_utc.clone());
        Some(ApiRequest::of(&TrackImpact::new(id)).fresh())
    }

    /// Takes the result of the latest request; `None` if more requests are needed.
    pub(super) fn take(
        &mut self,
        result: ApiResult<'_>,
        personal: &dyn Fn() -> Vec<String>,
    ) -> Option<TrackResult> {
        if std::mem::take(&mut self.asking_account) {
            match result.read::<GetAccount>(personal) {
                Ok(account) => {
                    self.ids.push(account.user_id.clone());
                    self.account = Some(account.user_id);
                }
                Err(error) => self.failure = Some(error),
            }
            return None;
        }
        let id = self.ids.pop()?;
        match result.read::<TrackImpact>(personal) {
            Ok(tracking) if tracking.impact != self.row.receipt.impact => None,
            Ok(tracking) if tracking.cancelled_on.is_some() => Some(TrackResult::Cancelled),
            Ok(_) => Some(TrackResult::Active(id)),
            Err(error) => {
                // A damaged id from the list cannot be sent at all.
                let refused = matches!(error.kind(), ErrorKind::Invalid(_));
                if !refused && !error.is_unknown_impact() {
                    self.failure = Some(error);
                }
                None
            }
        }
    }
}
