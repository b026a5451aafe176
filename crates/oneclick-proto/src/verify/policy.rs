//! How long a purchase is looked for, and what is believed of the server.

use std::time::Duration;

use crate::setters::setters;

/// How long a purchase is looked for, and what is believed of the server.
///
/// ```
/// use std::time::Duration;
/// use oneclick_proto::VerifyPolicy;
///
/// let patient = VerifyPolicy::STANDARD.patience(Duration::from_secs(300));
/// assert_eq!(patient.absence_after, Duration::from_secs(900));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyPolicy {
    /// How long to look, after which an unknown purchase is
    /// [`Pending`](super::Outcome::Pending). One minute in [`STANDARD`](Self::STANDARD).
    pub patience: Duration,
    /// How long after a purchase was given up it counts as not made if it is in no
    /// list: longer than a request may travel and a record may stay hidden, together.
    /// 15 minutes.
    pub absence_after: Duration,
    /// How far the server's `Date` and the times of its records may be apart. One
    /// minute.
    pub clock_tolerance: Duration,
    /// The most pages of a thousand records that are read of a list. 100.
    pub max_pages: u64,
    /// Whether a receipt confirms a purchase. Without that only its record does, which
    /// rules out a receipt of another purchase that crossed on the wire. `true`.
    pub confirm_by_receipt: bool,
}

impl VerifyPolicy {
    /// One minute, 15 minutes, one minute and 100 pages; a receipt confirms.
    pub const STANDARD: Self = Self {
        patience: Duration::from_secs(60),
        absence_after: Duration::from_secs(15 * 60),
        clock_tolerance: Duration::from_secs(60),
        max_pages: 100,
        confirm_by_receipt: true,
    };

    setters! { const
        patience: Duration,
        absence_after: Duration,
        clock_tolerance: Duration,
        max_pages: u64,
        confirm_by_receipt: bool,
    }
}

impl Default for VerifyPolicy {
    fn default() -> Self {
        Self::STANDARD
    }
}
