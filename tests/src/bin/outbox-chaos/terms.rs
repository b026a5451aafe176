//! What the workers, the emulator and the comparison agree on: all times are short, so that
//! what takes a quarter of an hour elsewhere takes seconds here.

use std::time::Duration;

use oneclick_proto::VerifyPolicy;

pub(crate) const KEY: &str = "test_chaos";
pub(crate) const SHOP: &str = "chaos";
/// For how long a worker claims an intent.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long after its permit a purchase may leave.
pub(crate) const SEND_BY: Duration = Duration::from_millis(300);
/// How long a request may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// How long after it was given up a missing purchase is believed absent.
pub(crate) const ABSENCE: Duration = Duration::from_secs(10);
/// How much later the emulator applies a lost request or shows a purchase, at most.
pub(crate) const LAG: Duration = Duration::from_secs(3);

pub(crate) fn policy() -> VerifyPolicy {
    VerifyPolicy::STANDARD.absence_after(ABSENCE).clock_tolerance(Duration::from_secs(2))
}

/// For how long a worker may stop after its last look at the clock. What passed between the
/// server's `Date` and the permit, a lease at most, counts as absence too.
pub(crate) const LONGEST_PAUSE: Duration = ABSENCE.saturating_sub(LAG).saturating_sub(LEASE);
