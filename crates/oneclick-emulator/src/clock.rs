//! The clock of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The clock of a server.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The machine's clock, but never a whole second. A time without a fraction looks rounded,
    /// and such a purchase cannot be identified for a quarter of an hour if its response is
    /// lost. By chance that would be one in a thousand, and would make a test slow at random.
    #[default]
    System,
    /// A clock that a test sets.
    Manual(ManualClock),
}

impl Clock {
    /// The current time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => past_whole_second(Utc::now()),
            Self::Manual(clock) => clock.now(),
        }
    }
}

fn past_whole_second(now: DateTime<Utc>) -> DateTime<Utc> {
    if now.timestamp_subsec_millis() == 0 { now + TimeDelta::milliseconds(1) } else { now }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

/// A clock that a test sets and advances. Clones share one time.
///
/// Its resolution is a millisecond, like that of the API.
///
/// ```
/// use std::time::Duration;
/// use oneclick_emulator::ManualClock;
///
/// let clock = ManualClock::new("2025-01-01T00:00:00Z".parse().unwrap());
/// let same = clock.clone();
/// same.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().to_rfc3339(), "2025-01-01T00:01:00+00:00");
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(now.timestamp_millis())))
    }

    /// The time that it shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        moment(self.0.load(Ordering::SeqCst))
    }

    /// Sets it, forward or back.
    pub fn set(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp_millis(), Ordering::SeqCst);
    }

    /// Advances it, at most to the latest time that can be shown.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let last = DateTime::<Utc>::MAX_UTC.timestamp_millis();
        let later = |now: i64| Some(now.saturating_add(by).min(last));
        // The closure always returns a value, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }
}

fn moment(millis: i64) -> DateTime<Utc> {
    // Each number comes from a time or is no later than the latest one.
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_is_never_at_a_whole_second() {
        for (millis, expected) in [(0, 1), (1, 1), (2, 2), (999, 999), (1_000, 1_001)] {
            assert_eq!(past_whole_second(moment(millis)), moment(expected));
        }
    }
}
