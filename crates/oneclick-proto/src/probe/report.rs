//! What a probe found, as a document.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::consequences::consequences;
use crate::{ImpactId, Purchase, Receipt, VerifyPolicy};

/// The value of `receipt` with which no receipt confirms.
const OF_ANOTHER_PURCHASE: &str = "of_another_purchase";
/// The largest tolerance, whatever a single `Date` says: with a larger one, a look would read
/// the records of more than a week.
const MAX_TOLERANCE: Duration = Duration::from_secs(7 * 86_400);

/// What a [`Probe`](super::Probe) found: a table of findings, and what follows from them.
///
/// Its JSON names no key, address or id, so it can be published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProbeReport {
    /// The version of the document: [`VERSION`](Self::VERSION).
    pub version: u32,
    /// One finding for each point that the API's reference leaves unstated.
    pub findings: Vec<Finding>,
    /// What was measured.
    pub measured: Measured,
    /// What follows for a verified purchase, in sentences.
    pub consequences: Vec<String>,
    /// How many requests were made.
    pub requests: u32,
    /// How many purchases were made, as far as that is known.
    pub bought: u32,
    /// How many of them may remain: their cancellation failed, or their id is not known.
    pub remaining: u32,
    /// The ids of those that could not be cancelled. They are not part of the document.
    #[serde(skip)]
    pub not_cancelled: Vec<ImpactId>,
    /// Ids of receipts that may be those of purchases of others, so they were not cancelled.
    /// They are not part of the document.
    #[serde(skip)]
    pub doubtful: Vec<ImpactId>,
}

/// The value that a server takes where the reference is silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was asked, such as `metadata_in_records`.
    pub subject: String,
    /// The value, such as `kept`; [`UNKNOWN`](Self::UNKNOWN) if it could not be seen.
    pub value: String,
    /// How sure it is.
    pub certainty: Certainty,
    /// What it rests on, or why it could not be seen.
    pub basis: String,
}

impl Finding {
    /// The value of a point that could not be seen.
    pub const UNKNOWN: &'static str = "unknown";
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Certainty {
    /// A response showed it.
    Seen,
    /// Responses agree with it, and would also agree with rarer values.
    Likely,
    /// No response showed it.
    Unknown,
}

/// What a probe measured. A value is `None` if it could not be measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured {
    /// How many purchases the delays are from.
    pub delays: u32,
    /// Until when half of the records could be read, in milliseconds after the receipt.
    pub median_delay_ms: Option<u64>,
    /// Until when the last record could be read, in milliseconds after the receipt.
    pub worst_delay_ms: Option<u64>,
    /// How many records did not show while they were looked for.
    pub missing: u32,
    /// How long the first of those was looked for, in milliseconds.
    pub looked_for_ms: Option<u64>,
    /// How far the server's times are ahead of the client's clock, in seconds.
    pub clock_ahead_seconds: Option<i64>,
    /// How far `Date` is ahead of `time_utc` where they differ most, in seconds.
    pub date_ahead_seconds: Option<i64>,
    /// The largest number of rows on a page.
    pub largest_page: Option<u64>,
    /// The greatest age of a cursor that was still valid, in seconds.
    pub cursor_age_seconds: Option<u64>,
}

impl ProbeReport {
    /// The version of the document that this crate writes.
    pub const VERSION: u32 = 1;

    /// The finding about a subject.
    #[must_use]
    pub fn finding(&self, subject: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.subject == subject)
    }

    /// Corrects what the successful response to a later purchase contradicts: its receipt is
    /// of something else, or its time is further from `Date` than the policy tolerates. From
    /// then on, no receipt confirms. Returns the subjects that were corrected.
    pub fn correct(
        &mut self,
        purchase: &Purchase,
        receipt: &Receipt,
        date: Option<DateTime<Utc>>,
    ) -> Vec<&'static str> {
        // A far time is that of an old receipt, or of a clock that jumped. A wider tolerance
        // would let the next old receipt confirm, so the tolerance stays.
        let tolerance = self.policy().clock_tolerance;
        let is_far = |date: DateTime<Utc>| {
            let apart = date.signed_duration_since(receipt.time_utc.datetime()).num_seconds();
            apart.unsigned_abs() > tolerance.as_secs()
        };
        let contradicted = receipt.impact != purchase.impact() || date.is_some_and(is_far);
        if !contradicted || self.is("receipt", OF_ANOTHER_PURCHASE) {
            return Vec::new();
        }
        self.findings.retain(|finding| finding.subject != "receipt");
        self.findings.push(Finding {
            subject: "receipt".to_owned(),
            value: OF_ANOTHER_PURCHASE.to_owned(),
            certainty: Certainty::Seen,
            basis: "the response to a later purchase".to_owned(),
        });
        self.consequences = consequences(self);
        vec!["receipt"]
    }

    fn is(&self, subject: &str, value: &str) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.subject == subject && finding.value == value)
    }

    /// The policy for verified purchases at this server. It is never less careful than
    /// [`VerifyPolicy::STANDARD`]: a probe cannot see how long a request can be under way.
    #[must_use]
    pub fn policy(&self) -> VerifyPolicy {
        let standard = VerifyPolicy::STANDARD;
        // Under load, a record may take far longer than in a probe.
        let Measured { worst_delay_ms, looked_for_ms, .. } = self.measured;
        let delay = worst_delay_ms.max(looked_for_ms).unwrap_or_default().saturating_mul(10);
        let apart = self.measured.date_ahead_seconds.unwrap_or_default().unsigned_abs();
        let apart = Duration::from_secs(apart.saturating_mul(3)).min(MAX_TOLERANCE);
        let tolerance = standard.clock_tolerance.max(apart);
        // A wider tolerance finds more records, and would also accept older receipts.
        let is_wider = tolerance > standard.clock_tolerance;
        standard
            .absence_after(standard.absence_after.saturating_add(Duration::from_millis(delay)))
            .clock_tolerance(tolerance)
            .confirm_by_receipt(!is_wider && !self.is("receipt", OF_ANOTHER_PURCHASE))
    }
}
