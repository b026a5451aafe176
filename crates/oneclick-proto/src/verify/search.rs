//! One look for any number of purchases, and the tracking of those that it shows.

use std::time::Duration;

use super::look::{Look, Reading};
use super::rules::{Conclusion, is_ours};
use super::sought::Sought;
use super::tracker::Tracker;
use crate::Error;
use crate::endpoint::Receipt;
use crate::machine::Answer;

/// One look for any number of purchases, and the tracking of those that it shows.
#[derive(Debug)]
pub(crate) struct Search {
    look: Look,
    /// What is tracked, and for which purchase.
    tracking: Option<(usize, Tracker)>,
    /// The first purchase that may still have to be tracked.
    place: usize,
}

impl Search {
    /// Begins a look; what tracking said before counts no more.
    pub(crate) fn new(sought: &mut [Sought], now: Duration) -> Self {
        for sought in &mut *sought {
            sought.fates.clear();
            sought.untracked = None;
            sought.looking.get_or_insert(now);
        }
        // A purchase at an unknown time opens that end of the window.
        let from = sought.iter().map(Sought::earliest).min().flatten();
        let until = sought.iter().map(Sought::latest);
        let until = until.reduce(|one, other| Some(one?.max(other?))).flatten();
        let max_pages = sought.iter().map(|sought| sought.policy.max_pages).max();
        let look = Look::new(now, from, until, max_pages.unwrap_or_default());
        Self { look, tracking: None, place: 0 }
    }

    /// What a conclusion is drawn from, once the search is done.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    pub(crate) fn next(&mut self, sought: &mut [Sought]) -> Reading {
        loop {
            if let Some((place, tracker)) = &mut self.tracking {
                if let Some(ask) = tracker.next() {
                    return Reading::Ask(ask);
                }
                let open = &mut sought[*place];
                let (fate, failure) = tracker.end();
                open.fates.insert(tracker.id(), fate);
                open.untracked = failure.or_else(|| open.untracked.take());
                self.tracking = None;
            }
            match self.look.next() {
                Reading::Done if sought.iter().any(|sought| sought.wants_more(&self.look)) => {
                    if !self.look.deepen() {
                        return self.track(sought);
                    }
                }
                Reading::Done => return self.track(sought),
                reading => return reading,
            }
        }
    }

    /// Tracks the next purchase that was seen.
    fn track(&mut self, sought: &mut [Sought]) -> Reading {
        while let Some(open) = sought.get_mut(self.place) {
            if let Conclusion::Track(row) = open.conclude(&self.look) {
                self.tracking = Some((self.place, Tracker::new(row, open.account.clone())));
                return self.next(sought);
            }
            self.place += 1;
        }
        Reading::Done
    }

    /// Takes the answer to what was asked.
    pub(crate) fn take(
        &mut self,
        answer: Answer<'_>,
        personal: &dyn Fn() -> Vec<String>,
        sought: &mut [Sought],
        now: Duration,
    ) -> Result<(), Error> {
        let date = answer.date();
        for sought in &mut *sought {
            sought.hear(date, now);
        }
        let Some((place, tracker)) = &mut self.tracking else {
            let keep =
                |row: &Receipt| sought.iter().any(|sought| is_ours(row, sought.state.marker()));
            return self.look.take(answer, personal, &keep);
        };
        let open = &mut sought[*place];
        if let Some(fate) = tracker.take(answer, personal, &open.purchase) {
            open.fates.insert(tracker.id(), fate);
            open.account = tracker.account().or_else(|| open.account.take());
            self.tracking = None;
        }
        Ok(())
    }
}
