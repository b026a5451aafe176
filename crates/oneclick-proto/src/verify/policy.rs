//! How long to look for a purchase, and what to assume about the server.

use std::time::Duration;

use crate::setters::setters;

/// How long to look for a purchase, and what to assume about the server.
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
    /// How long to look before a purchase that is still unknown ends as
    /// [`Pending`](super::Outcome::Pending). [`STANDARD`](Self::STANDARD): one minute.
    pub patience: Duration,
    /// How long after a purchase was given up a missing record means that it was not
    /// made. This must be longer than the longest delay of a request plus the longest
    /// delay until its record is listed. [`STANDARD`](Self::STANDARD): 15 minutes, which is
    /// too short off Linux and through a proxy: see
    /// [`TCP_USER_TIMEOUT`](crate::TransportOptions::TCP_USER_TIMEOUT).
    pub absence_after: Duration,
    /// The largest difference between the server's `Date` and the times of its records.
    /// [`STANDARD`](Self::STANDARD): one minute.
    pub clock_tolerance: Duration,
    /// How many pages of up to 1,000 records to read from each list at most.
    /// [`STANDARD`](Self::STANDARD): 100.
    pub max_pages: u64,
    /// Whether a receipt confirms a purchase. If `false`, only its record does, so the
    /// receipt of another purchase that arrives by mistake cannot.
    /// [`STANDARD`](Self::STANDARD): `true`.
    pub confirm_by_receipt: bool,
}

impl VerifyPolicy {
    /// The default policy. Each field documents its value.
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
