//! The state that all connections of a server share.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Request;

use crate::clock::Clock;
use crate::log::{Log, Logged};
use crate::state::{Delivered, Emulator};

/// The emulator, its clock and the log.
pub(crate) struct Shared {
    emulator: Mutex<Emulator>,
    clock: Clock,
    /// How many milliseconds are added to the system's clock.
    offset: AtomicI64,
    log: Mutex<Log>,
    watch: Option<Watch>,
}

/// Called with each API request.
pub(crate) type Watch = Arc<dyn Fn(&Logged) + Send + Sync>;

impl Shared {
    pub(crate) fn new(emulator: Emulator, clock: Clock, watch: Option<Watch>) -> Self {
        let (emulator, log) = (Mutex::new(emulator), Mutex::default());
        Self { emulator, clock, offset: AtomicI64::new(0), log, watch }
    }

    pub(crate) fn emulator(&self) -> MutexGuard<'_, Emulator> {
        // A test that panicked while it held the lock has left nothing half done.
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The emulator after everything due by now has happened, and the time.
    pub(crate) fn caught_up(&self) -> (MutexGuard<'_, Emulator>, DateTime<Utc>) {
        let mut emulator = self.emulator();
        let now = self.now();
        emulator.catch_up(now);
        (emulator, now)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::milliseconds(self.offset.load(Ordering::SeqCst));
        self.clock.now().checked_add_signed(offset).unwrap_or(LAST)
    }

    /// Sets the clock. The system's clock goes on from there.
    pub(crate) fn set_clock(&self, to: DateTime<Utc>) {
        match &self.clock {
            Clock::Manual(clock) => clock.set(to),
            Clock::System => {
                let offset = (to - Utc::now()).num_milliseconds();
                self.offset.store(offset, Ordering::SeqCst);
            }
        }
    }

    pub(crate) fn advance_clock(&self, by: Duration) {
        match &self.clock {
            Clock::Manual(clock) => clock.advance(by),
            Clock::System => {
                let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
                self.set_clock(self.now().checked_add_signed(by).unwrap_or(LAST));
            }
        }
    }

    /// Restores the state at the start, but without the fault rules and switch settings that
    /// the server was started with.
    pub(crate) fn reset(&self) {
        let mut emulator = self.emulator();
        *emulator = Emulator::new(emulator.config());
        *self.log() = Log::default();
        self.offset.store(0, Ordering::SeqCst);
    }

    /// Executes an API request, logs it, and calls the callback.
    pub(crate) fn exchange(&self, request: &Request<Vec<u8>>) -> Delivered {
        let mut emulator = self.emulator();
        // Read under the lock, so that later requests have later times.
        let now = self.now();
        let delivered = emulator.exchange(request, now);
        let user_id = emulator.user_id(request.headers());
        let (status, fault) = (delivered.response.status(), delivered.fault.clone());
        // The callback may lock the emulator.
        drop(emulator);
        let mut log = self.log();
        let logged = log.add(now, request, user_id, status, fault);
        if let Some(watch) = &self.watch {
            watch(logged);
        }
        delivered
    }
}

/// The latest time that a clock can show.
pub(crate) const LAST: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;
