//! A purchase that is looked for, and all that is known of it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::rules::{Conclusion, Evidence, Fate, conclude, span};
use super::{Look, PurchaseState, VerifyPolicy};
use crate::Error;
use crate::purchase::Purchase;
use crate::value::{ImpactId, UserId};

/// A purchase that is looked for, and all that is known of it.
#[derive(Debug)]
pub(crate) struct Sought {
    /// With the marker.
    pub(crate) purchase: Purchase,
    pub(crate) state: PurchaseState,
    pub(crate) policy: VerifyPolicy,
    pub(crate) clock: Option<ServerClock>,
    /// The account's id, once it is known.
    pub(crate) account: Option<UserId>,
    /// When this process began to look.
    pub(crate) looking: Option<Duration>,
    /// When the latest purchase of this process was given up.
    pub(crate) given_up: Option<Duration>,
    /// Whether a look showed the marker.
    pub(crate) seen_before: bool,
    /// What tracking said since the latest look began.
    pub(crate) fates: HashMap<ImpactId, Fate>,
    /// Why tracking said nothing.
    pub(crate) untracked: Option<Error>,
}

impl Sought {
    pub(crate) fn new(purchase: Purchase, state: PurchaseState) -> Self {
        Self {
            purchase,
            state,
            policy: VerifyPolicy::STANDARD,
            clock: None,
            account: None,
            looking: None,
            given_up: None,
            seen_before: false,
            fates: HashMap::new(),
            untracked: None,
        }
    }

    /// Takes the server's time. A purchase at an unknown time counts as given up now.
    pub(crate) fn hear(&mut self, date: Option<DateTime<Utc>>, now: Duration) {
        let Some(clock) = ServerClock::heard(date, now) else { return };
        self.clock = Some(clock);
        if self.state.sends > 0 && self.state.until.is_none() {
            self.state.until = Some(clock.latest(now).into());
        }
    }

    /// No purchase was made before this; `None` if that is not known.
    pub(super) fn earliest(&self) -> Option<DateTime<Utc>> {
        self.state.from()?.checked_sub_signed(span(self.policy.clock_tolerance))
    }

    /// None was made after this.
    pub(super) fn latest(&self) -> Option<DateTime<Utc>> {
        self.state.until()?.checked_add_signed(span(self.policy.absence_after))
    }

    /// How long until absence counts (R13).
    pub(crate) fn until_late(&self, now: Duration) -> Duration {
        let stored = self.state.until().zip(self.clock).filter(|_| self.given_up.is_none());
        let passed = match stored {
            Some((until, clock)) => (clock.earliest(now) - until).to_std().unwrap_or_default(),
            None => now.saturating_sub(self.given_up.or(self.looking).unwrap_or(now)),
        };
        self.policy.absence_after.saturating_sub(passed)
    }

    pub(crate) fn is_late(&self, now: Duration) -> bool {
        self.until_late(now).is_zero()
    }

    /// Whether the newest pages do not do.
    pub(super) fn wants_more(&self, look: &Look) -> bool {
        self.is_late(look.began())
            && !look.is_whole()
            && !look.rows().show_in_full(self.state.marker())
    }

    pub(crate) fn conclude(&mut self, look: &Look) -> Conclusion {
        let evidence = Evidence {
            rows: look.rows(),
            whole: look.is_whole(),
            readable: look.is_readable(),
            late: self.is_late(look.began()),
            seen_before: self.seen_before,
            fates: &self.fates,
        };
        let conclusion = conclude(&self.purchase, &self.state, &evidence, &self.policy);
        self.seen_before |= look.rows().show(self.state.marker());
        conclusion
    }
}

/// The server's clock: its latest `Date`, and when that was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    date: DateTime<Utc>,
    heard: Duration,
}

impl ServerClock {
    fn heard(date: Option<DateTime<Utc>>, heard: Duration) -> Option<Self> {
        date.map(|date| Self { date, heard })
    }

    /// The server's time at a moment, to about a second.
    fn at(&self, now: Duration) -> DateTime<Utc> {
        let time = self.date.checked_add_signed(span(now.saturating_sub(self.heard)));
        let time =
            time.and_then(|time| time.checked_sub_signed(span(self.heard.saturating_sub(now))));
        time.unwrap_or(self.date)
    }

    /// Not later than the server's time (R1).
    pub(crate) fn earliest(&self, now: Duration) -> DateTime<Utc> {
        self.at(now) - TimeDelta::seconds(1)
    }

    /// Not earlier than the server's time.
    pub(crate) fn latest(&self, now: Duration) -> DateTime<Utc> {
        self.at(now) + TimeDelta::seconds(1)
    }
}
