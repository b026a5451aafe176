//! Looks for any number of purchases and tracks those that it finds.

use std::time::Duration;

use super::look::{Look, Reading};
use super::open_purchase::OpenPurchase;
use super::rules::{Conclusion, is_ours};
use super::tracker::Tracker;
use crate::Error;
use crate::endpoint::Receipt;
use crate::machine::ApiResult;

/// One look for any number of purchases, and the tracking of those that it finds.
#[derive(Debug)]
pub(crate) struct Search {
    look: Look,
    /// The tracking in progress, and the index of its purchase.
    tracking: Option<(usize, Tracker)>,
    /// The index of the first purchase that may still have to be tracked.
    index: usize,
}

impl Search {
    /// Begins a look, and discards the results of earlier tracking.
    pub(crate) fn new(purchases: &mut [OpenPurchase], now: Duration) -> Self {
        for purchase in &mut *purchases {
            purchase.tracked.clear();
            purchase.tracking_failure = None;
            purchase.looking.get_or_insert(now);
        }
        // If the time of any purchase is unknown, the window is open at that end.
        let from = purchases.iter().map(OpenPurchase::earliest).min().flatten();
        let until = purchases.iter().map(OpenPurchase::latest);
        let until = until.reduce(|one, other| Some(one?.max(other?))).flatten();
        let max_pages = purchases.iter().map(|purchase| purchase.policy.max_pages).max();
        let look = Look::new(now, from, until, max_pages.unwrap_or_default());
        Self { look, tracking: None, index: 0 }
    }

    /// The evidence for a conclusion, once the search is done.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    pub(crate) fn next(&mut self, purchases: &mut [OpenPurchase]) -> Reading {
        loop {
            if let Some((index, tracker)) = &mut self.tracking {
                if let Some(request) = tracker.next() {
                    return Reading::Send(request);
                }
                let open = &mut purchases[*index];
                let (tracked, failure) = tracker.end();
                open.tracked.insert(tracker.id(), tracked);
                open.tracking_failure = failure.or_else(|| open.tracking_failure.take());
                self.tracking = None;
            }
            match self.look.next() {
                Reading::Done
                    if purchases.iter().any(|purchase| purchase.wants_more(&self.look)) =>
                {
                    if !self.look.deepen() {
                        return self.track(purchases);
                    }
                }
                Reading::Done => return self.track(purchases),
                reading => return reading,
            }
        }
    }

    /// Tracks the next purchase that was found.
    fn track(&mut self, purchases: &mut [OpenPurchase]) -> Reading {
        while let Some(open) = purchases.get_mut(self.index) {
            if let Conclusion::Track(row) = open.conclude(&self.look) {
                self.tracking = Some((self.index, Tracker::new(row, open.account.clone())));
                return self.next(purchases);
            }
            self.index += 1;
        }
        Reading::Done
    }

    /// Takes the result of the latest request.
    pub(crate) fn take(
        &mut self,
        result: ApiResult<'_>,
        personal: &dyn Fn() -> Vec<String>,
        purchases: &mut [OpenPurchase],
        now: Duration,
    ) -> Result<(), Error> {
        let date = result.date();
        for purchase in &mut *purchases {
            purchase.note_date(date, now);
        }
        let Some((index, tracker)) = &mut self.tracking else {
            let keep = |row: &Receipt| {
                purchases.iter().any(|purchase| is_ours(row, purchase.state.marker()))
            };
            return self.look.take(result, personal, &keep);
        };
        let open = &mut purchases[*index];
        if let Some(tracked) = tracker.take(result, personal) {
            open.tracked.insert(tracker.id(), tracked);
            open.account = tracker.account().or_else(|| open.account.take());
            self.tracking = None;
        }
        Ok(())
    }
}
