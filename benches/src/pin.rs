//! Pins threads to one core where the system allows it.

/// Pins this thread, and those that it starts afterwards, to the core with index `which`
/// among those that it may use. Returns whether it succeeded.
#[cfg(target_os = "linux")]
pub(crate) fn to_core(which: usize) -> bool {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return false };
    let Some(core) = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).nth(which) else {
        return false;
    };
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn to_core(_: usize) -> bool {
    false
}
