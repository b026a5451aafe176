//! Where the time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// The clock of a server.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// A test's.
    Manual(ManualClock),
}

impl Clock {
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Manual(clock) => clock.now(),
        }
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

/// A clock that stands still until it is moved. Its clones are one clock.
///
/// Milliseconds are its finest step, as they are the API's.
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
    /// A clock that stands at this time.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(now.timestamp_millis())))
    }

    /// What time it shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        moment(self.0.load(Ordering::SeqCst))
    }

    /// Sets it, forward or back, to the millisecond.
    pub fn set(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp_millis(), Ordering::SeqCst);
    }

    /// Moves it forward, no further than to the last time that can be shown.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let last = DateTime::<Utc>::MAX_UTC.timestamp_millis();
        let later = |now: i64| Some(now.saturating_add(by).min(last));
        // The closure never declines, so this never fails.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }
}

fn moment(millis: i64) -> DateTime<Utc> {
    // Every number came from a time, or lies before the last one.
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
