//! The stored state of a purchase, with which another process can resume it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::intent::{Intent, digest};
use crate::purchase::Purchase;
use crate::value::{Customer, ImpactKind, InvalidValue, Timestamp};

/// The state of a purchase, to be stored so that another process can resume it.
/// [`VerifiedPurchase::resume`](crate::VerifiedPurchase::resume) needs this and the
/// [`Purchase`].
///
/// It serializes to less than 300 bytes of JSON and holds no personal data. A state with
/// an unknown version cannot be deserialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseState {
    version: Version,
    marker: String,
    kind: ImpactKind,
    /// In the unit of the kind.
    amount: i64,
    /// Part of a digest, which tells customers apart without naming them; `None` without
    /// a customer.
    customer: Option<String>,
    /// How many requests may have bought something, including one that is about to
    /// leave.
    pub(crate) sends: u32,
    /// How many such requests are allowed before a person is asked.
    allowed: u32,
    /// The server's time before the first of them left; `None` if it is not known.
    pub(crate) from: Option<Timestamp>,
    /// The server's time when the latest of them was given up or, before that, left; `None` if
    /// it is not known.
    pub(crate) until: Option<Timestamp>,
    review: Review,
}

/// How far a person has reviewed an unresolved outcome since the latest send (R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Review {
    None,
    /// The person was shown the outcome, with the rows that may be the purchase.
    Shown,
    /// The person decided that none of those rows is the purchase.
    Dismissed,
}

impl PurchaseState {
    /// How often a purchase may be sent for an intent, unless a person allows more.
    pub const MAX_SENDS: u32 = 2;

    pub(crate) fn new(intent: &Intent, purchase: &Purchase) -> Self {
        let impact = purchase.impact();
        Self {
            version: Version::One,
            marker: intent.marker().to_owned(),
            kind: impact.kind,
            amount: impact.amount,
            customer: purchase.customer().map(|customer| customer_mark(intent, customer)),
            sends: 0,
            allowed: Self::MAX_SENDS,
            from: None,
            until: None,
            review: Review::None,
        }
    }

    /// The state of an intent that another process may have worked on without storing
    /// its state (R2).
    pub(crate) fn unknown(intent: &Intent, purchase: &Purchase) -> Self {
        Self { sends: Self::MAX_SENDS, ..Self::new(intent, purchase) }
    }

    /// The state of an intent that was perhaps sent once, at an unknown time.
    pub(crate) fn maybe_sent(intent: &Intent, purchase: &Purchase) -> Self {
        Self { sends: 1, ..Self::new(intent, purchase) }
    }

    /// Refuses the state of another intent, kind, amount or customer.
    pub(crate) fn check(&self, intent: &Intent, purchase: &Purchase) -> Result<(), InvalidValue> {
        let expected = Self::new(intent, purchase);
        let differs = [
            ("intent", self.marker != expected.marker),
            ("kind of impact", self.kind != expected.kind),
            ("amount", self.amount != expected.amount),
            ("customer", self.customer != expected.customer),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            Some((part, _)) => Err(InvalidValue::OtherPurchase { part }),
            None => Ok(()),
        }
    }

    /// The marker of the intent.
    #[must_use]
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// How many requests may have bought something, including one that is about to
    /// leave.
    #[must_use]
    pub fn sends(&self) -> u32 {
        self.sends
    }

    /// Whether the purchase may be sent again if it is absent.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.sends < self.allowed
    }

    /// Allows one more send if the purchase is absent. Call this only after a person has
    /// made sure that nothing was bought and that no other process works on the intent.
    ///
    /// The state in an [`Unresolved`](super::Unresolved) outcome then counts as absent if
    /// no record has the marker: the person has seen the records that may be the purchase
    /// and has dismissed them, or has cancelled them.
    pub fn allow_another(&mut self) {
        self.allowed = self.allowed.max(self.sends.saturating_add(1));
        if self.review == Review::Shown {
            self.review = Review::Dismissed;
        }
    }

    /// Records that an unresolved outcome is shown to a person.
    pub(crate) fn show(&mut self) {
        self.review = Review::Shown;
    }

    /// Whether a person has dismissed the candidates of an unresolved outcome.
    pub(super) fn is_dismissed(&self) -> bool {
        self.review == Review::Dismissed
    }

    /// Counts one more send, between two bounds of the server's time if it is known (R1).
    pub(crate) fn count_send(&mut self, time: Option<(DateTime<Utc>, DateTime<Utc>)>) {
        // Rows from before a dismissal are no candidates for this send.
        if self.sends == 0 || self.is_dismissed() {
            self.from = time.map(|(earliest, _)| earliest.into()).or_else(|| self.from.take());
        }
        // The time of an earlier send would make this one seem to be given up long ago.
        self.until = time.map(|(_, latest)| latest.into());
        self.sends = self.sends.saturating_add(1);
        self.review = Review::None;
    }

    /// The server's time before the first purchase left; `None` if it is not known.
    #[must_use]
    pub fn earliest_send(&self) -> Option<DateTime<Utc>> {
        self.from.as_ref().map(Timestamp::datetime)
    }

    /// The server's time when the latest purchase was given up or, before that, left.
    /// [`VerifyPolicy::absence_after`](super::VerifyPolicy::absence_after) counts from it.
    ///
    /// `None` if no response since then had a `Date`, and none in the process before it left.
    /// As long as none has one, only a run whose
    /// [`patience`](super::VerifyPolicy::patience) is longer than `absence_after` can find out
    /// that nothing was bought.
    #[must_use]
    pub fn latest_send(&self) -> Option<DateTime<Utc>> {
        self.until.as_ref().map(Timestamp::datetime)
    }
}

/// A digest of four bytes, enough to tell apart two customers of one intent.
fn customer_mark(intent: &Intent, customer: &Customer) -> String {
    digest(intent.marker(), customer.customer_email.as_str(), 4)
}

/// The version of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
enum Version {
    One,
}

impl TryFrom<u32> for Version {
    type Error = &'static str;

    fn try_from(version: u32) -> Result<Self, Self::Error> {
        match version {
            1 => Ok(Self::One),
            _ => Err("unknown version of a stored purchase state"),
        }
    }
}

impl From<Version> for u32 {
    fn from(version: Version) -> Self {
        match version {
            Version::One => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CaptureCarbon, Pounds};

    #[test]
    fn r1_a_send_at_an_unknown_time_has_not_the_time_of_an_earlier_one() {
        let purchase = CaptureCarbon::new(Pounds::of::<1>()).into();
        let mut state = PurchaseState::new(&Intent::new("shop", "order-1"), &purchase);
        let time = DateTime::UNIX_EPOCH;
        state.count_send(Some((time, time)));
        state.count_send(None);
        // The first of them left no earlier than before, but the second was not given up then.
        assert_eq!((state.earliest_send(), state.latest_send()), (Some(time), None));
    }

    #[test]
    fn a_state_is_small_and_another_version_is_refused() {
        let intent = Intent::new("shop", "order-1");
        let ada = Customer::new("ada@example.com").unwrap();
        let carbon = CaptureCarbon::new(Pounds::of::<{ Pounds::MAX }>()).customer(ada);
        let mut state = PurchaseState::new(&intent, &carbon.into());
        (state.from, state.until) =
            (Some(DateTime::UNIX_EPOCH.into()), Some(DateTime::UNIX_EPOCH.into()));
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<PurchaseState>(&json).unwrap(), state);
        assert!(json.len() < 300 && !json.contains("ada"), "{json}");
        for wrong in [
            json.replace("\"version\":1", "\"version\":2"),
            json.replace("\"version\":1,", ""),
            json.replace("\"version\":1,", "\"version\":1,\"new\":1,"),
            json.replace("\"sends\":0", "\"sends\":null"),
        ] {
            assert_ne!(wrong, json);
            assert!(serde_json::from_str::<PurchaseState>(&wrong).is_err(), "{wrong}");
        }
    }
}
