//! Pins the process to one core, where the system lets it.

/// Pins this thread, and those that it starts from now on, to the first or the
/// second core that there is. Says whether it did.
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
