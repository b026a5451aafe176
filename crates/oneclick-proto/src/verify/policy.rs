//! How long and how far back a purchase is looked for.

use std::time::Duration;

use crate::setters::setters;

/// How long and how far back a purchase is looked for.
///
/// ```
/// use std::time::Duration;
/// use oneclick_proto::VerifyPolicy;
///
/// let patient = VerifyPolicy::STANDARD.settle(Duration::from_secs(120));
/// assert_eq!(patient.look_back, Duration::from_secs(86_400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyPolicy {
    /// How long after it was made a purchase may stay out of the records. Only
    /// after this without a trace is it sent once more. 30 seconds in [`STANDARD`](Self::STANDARD).
    pub settle: Duration,
    /// How far before [`Intent::since`](super::Intent::since) the records are read, in which the
    /// clocks of both sides may differ. A day.
    pub look_back: Duration,
    /// The most pages of a thousand records that are read at a time. 100.
    pub max_pages: u64,
}

impl VerifyPolicy {
    /// Thirty seconds, a day, and a hundred pages.
    pub const STANDARD: Self = Self {
        settle: Duration::from_secs(30),
        look_back: Duration::from_secs(24 * 60 * 60),
        max_pages: 100,
    };

    setters! { const
        settle: Duration,
        look_back: Duration,
        max_pages: u64,
    }
}

impl Default for VerifyPolicy {
    fn default() -> Self {
        Self::STANDARD
    }
}
