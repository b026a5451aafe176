//! A purchase whose outcome is not known yet.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::rules::{Conclusion, Evidence, TrackResult, conclude, span};
use super::{Look, PurchaseState, VerifyPolicy};
use crate::Error;
use crate::purchase::Purchase;
use crate::value::{ImpactId, Timestamp, UserId};

/// A purchase whose outcome is not known yet, and all that is known about it.
#[derive(Debug)]
pub(crate) struct OpenPurchase {
    /// The purchase, with the marker in its metadata.
    pub(crate) purchase: Purchase,
    pub(crate) state: PurchaseState,
    pub(crate) policy: VerifyPolicy,
    pub(crate) clock: Option<ServerClock>,
    /// The account's id, once it is known.
    pub(crate) account: Option<UserId>,
    /// For how long the intent had existed when this process began to look for it, if its
    /// purchase may have been sent without a trace in the state.
    pub(crate) existed: Option<Duration>,
    /// When this process began to look for it.
    pub(crate) looking: Option<Duration>,
    /// When this process gave up its latest request to buy.
    pub(crate) given_up: Option<Duration>,
    /// Whether a look found the marker.
    pub(crate) seen_before: bool,
    /// The results of tracking since the latest look began.
    pub(crate) tracked: HashMap<ImpactId, TrackResult>,
    /// The latest failure of tracking.
    pub(crate) tracking_failure: Option<Error>,
}

impl OpenPurchase {
    pub(crate) fn new(purchase: Purchase, state: PurchaseState) -> Self {
        Self {
            purchase,
            state,
            policy: VerifyPolicy::STANDARD,
            clock: None,
            account: None,
            existed: None,
            looking: None,
            given_up: None,
            seen_before: false,
            tracked: HashMap::new(),
            tracking_failure: None,
        }
    }

    /// Stores the server's time from a response. A purchase that was sent at an unknown
    /// time counts as given up now. One that was given up in this process gets the latest
    /// time that any response shows for that moment, since a cache may have returned an
    /// old response with an old `Date`.
    pub(crate) fn note_date(&mut self, date: Option<DateTime<Utc>>, now: Duration) {
        let Some(clock) = ServerClock::new(date, now) else { return };
        self.clock = Some(clock);
        if let Some(existed) = self.existed.take() {
            let passed = now.saturating_sub(self.looking.unwrap_or(now));
            let since =
                clock.earliest(now).checked_sub_signed(span(existed.saturating_add(passed)));
            self.state.from = since.map(Timestamp::from);
        }
        let until = clock.latest(self.given_up.unwrap_or(now));
        if self.state.sends > 0 {
            let (known, until) = (self.state.latest_send(), Some(until));
            let latest = if self.given_up.is_some() { known.max(until) } else { known.or(until) };
            self.state.until = latest.map(Timestamp::from);
        }
    }

    /// The purchase was not made before this time; `None` if that is not known.
    pub(super) fn earliest(&self) -> Option<DateTime<Utc>> {
        self.state.earliest_send()?.checked_sub_signed(span(self.policy.clock_tolerance))
    }

    /// The purchase was not made after this time; `None` if that is not known.
    pub(super) fn latest(&self) -> Option<DateTime<Utc>> {
        self.state.latest_send()?.checked_add_signed(span(self.policy.absence_after))
    }

    /// How long until a missing record counts as absence (R13).
    pub(crate) fn until_late(&self, now: Duration) -> Duration {
        self.policy.absence_after.saturating_sub(self.passed(now))
    }

    pub(crate) fn is_late(&self, now: Duration) -> bool {
        self.until_late(now).is_zero()
    }

    /// Whether a look shows the lists of so late a time that absence counts: a page from a
    /// cache is as old as it was there.
    fn is_late_in(&self, look: &Look) -> bool {
        self.passed(look.began()).saturating_sub(look.age()) >= self.policy.absence_after
    }

    /// How long ago the purchase was given up.
    fn passed(&self, now: Duration) -> Duration {
        let stored = self.state.latest_send().zip(self.clock).filter(|_| self.given_up.is_none());
        match stored {
            Some((until, clock)) => (clock.earliest(now) - until).to_std().unwrap_or_default(),
            None => now.saturating_sub(self.given_up.or(self.looking).unwrap_or(now)),
        }
    }

    /// Whether the newest pages are not enough for a conclusion.
    pub(super) fn wants_more(&self, look: &Look) -> bool {
        self.is_late_in(look)
            && !look.is_whole()
            && !look.rows().has_precise_marked_row(self.state.marker())
    }

    pub(crate) fn conclude(&mut self, look: &Look) -> Conclusion {
        let evidence = Evidence {
            rows: look.rows(),
            whole: look.is_whole(),
            late: self.is_late_in(look),
            seen_before: self.seen_before,
            tracked: &self.tracked,
        };
        let conclusion = conclude(&self.purchase, &self.state, &evidence, &self.policy);
        self.seen_before |= look.rows().has_marker(self.state.marker());
        conclusion
    }
}

/// The server's clock: its latest `Date`, and when that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    date: DateTime<Utc>,
    received_at: Duration,
}

impl ServerClock {
    fn new(date: Option<DateTime<Utc>>, received_at: Duration) -> Option<Self> {
        date.map(|date| Self { date, received_at })
    }

    /// The server's time at `now`, to within a second.
    fn at(&self, now: Duration) -> DateTime<Utc> {
        let time = self.date.checked_add_signed(span(now.saturating_sub(self.received_at)));
        let time = time
            .and_then(|time| time.checked_sub_signed(span(self.received_at.saturating_sub(now))));
        time.unwrap_or(self.date)
    }

    /// A lower bound of the server's time (R1).
    pub(crate) fn earliest(&self, now: Duration) -> DateTime<Utc> {
        self.at(now) - TimeDelta::seconds(1)
    }

    /// An upper bound of the server's time.
    pub(crate) fn latest(&self, now: Duration) -> DateTime<Utc> {
        self.at(now) + TimeDelta::seconds(1)
    }
}
