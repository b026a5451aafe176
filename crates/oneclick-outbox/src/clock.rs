//! The clock of a store on one machine: it counts while the machine sleeps, and no correction
//! of the time of day moves it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The time since the machine started, and an id of that start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// An id of this start of the machine: another start has another id.
    pub boot: String,
    /// The time since that start, including the time for which the machine was suspended.
    pub since_boot: Duration,
}

/// A source of [`Now`]: the system's, or a test's own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    /// The clock of the system. Where it has none that counts suspended time (anything but
    /// Linux and Android), this is the time of day, and a correction of that time by more than
    /// a lease can let two workers take one row.
    #[must_use]
    pub fn system() -> Self {
        Self::new(system)
    }

    /// A clock of your own, for tests on a virtual time.
    pub fn new(now: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Now {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn system() -> Now {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    // Without the file, each boot has the same name; a deadline of an earlier one may then be
    // far in the future, and its row waits.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Now { boot: boot.trim().to_owned(), since_boot: Duration::new(seconds, nanos) }
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn system() -> Now {
    let time = std::time::SystemTime::now();
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Now { boot: String::new(), since_boot: since }
}
