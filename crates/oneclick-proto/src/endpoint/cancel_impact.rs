//! Cancel an impact: `POST /v1/cancel_impact`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use super::row::{as_field, by_id, identified, impact_of, rest_of};
use crate::setters::setters;
use crate::value::{
    Category, Extra, Impact, ImpactId, InvalidValue, Reason, Redacted, Timestamp, UserId,
};

/// `POST /v1/cancel_impact`: takes an impact back, such as for a refund.
///
/// Idempotent: to cancel once more changes nothing and is answered with the
/// first cancellation. The record stays, the totals fall by its amount, and
/// tracking shows when and why. An impact whose donation a non-profit has
/// received already cannot be cancelled. An e-mail to the customer that was
/// sent stays sent.
///
/// A receipt, a record, a tracking answer or a stored [`ImpactId`] says which.
/// The answer is the same to whoever asks again, but for its message:
///
/// ```
/// use oneclick_proto::{Api, CancelImpact, CancelMessage, ImpactId, Reason};
///
/// let api = Api::sandbox("test_key")?;
/// let id: ImpactId = "U1234-2025-03-12T15:22:14.753Z".parse()?;
/// let cancel = CancelImpact::new(id).reason(Reason::new("refunded")?);
/// let request = api.encode(&cancel)?;
/// assert_eq!(request.uri().path(), "/v1/cancel_impact");
/// assert_eq!(
///     request.body(),
///     br#"{"user_id":"U1234","time_utc":"2025-03-12T15:22:14.753Z","reason":"refunded"}"#,
/// );
///
/// let answer = r#"{"user_id":"U1234","time_utc":"2025-03-12T15:22:14.753Z","tree_planted":10,
///     "cancelled_on":"2025-03-14T09:00:00.000Z","message":"impact was already cancelled"}"#;
/// let cancellation = api.decode(&cancel, http::Response::new(answer))?;
/// assert_eq!(cancellation.message, CancelMessage::AlreadyCancelled);
/// assert_eq!(cancellation.impact.amount, 10);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CancelImpact {
    /// Which impact.
    #[serde(flatten)]
    pub impact: ImpactId,
    /// Why, in at most 200 characters; `None` to say nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl CancelImpact {
    /// Cancels this impact. What may hold no id, such as text or a
    /// [`Tracking`](super::track::Tracking), goes through `try_from`.
    pub fn new(impact: impl Into<ImpactId>) -> Self {
        Self { impact: impact.into(), reason: None }
    }

    setters! {
        reason: Reason as Option,
    }
}

by_id!(CancelImpact);

impl Endpoint for CancelImpact {
    type Response = Cancellation;
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/cancel_impact";
    const IDEMPOTENT: bool = true;

    fn check(&self) -> Result<(), InvalidValue> {
        InvalidValue::check_whole("user id", self.impact.user_id.as_str())
    }
}

string_enum! {
    /// What the API says of a cancellation: `message` in the answer of
    /// `POST /v1/cancel_impact`.
    CancelMessage {
        /// The impact was cancelled by this request.
        Cancelled = "impact cancelled",
        /// It was cancelled before, and is as it was then.
        AlreadyCancelled = "impact was already cancelled",
    }
}

/// An impact that is cancelled: the answer of `POST /v1/cancel_impact`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cancellation {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When it was made, in UTC to the millisecond; with `user_id` the handle of
    /// the impact.
    pub time_utc: Timestamp,
    /// When it was cancelled for the first time, in UTC to the millisecond.
    pub cancelled_on: Timestamp,
    /// Whether this request did it or an earlier one.
    pub message: CancelMessage,
    /// Why; `None` if no reason was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Redacted>,
    /// What was taken back, and how much, in the unit of its kind; as in
    /// [`Record`](super::records::Record).
    #[serde(flatten, serialize_with = "as_field", deserialize_with = "impact_of")]
    pub impact: Impact,
    /// The category; `None` if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Fields that this version does not know.
    #[serde(flatten, deserialize_with = "rest_of")]
    pub extra: Extra,
}

impl Cancellation {
    /// A cancellation without reason and category.
    #[must_use]
    pub fn new(
        id: ImpactId,
        cancelled_on: Timestamp,
        message: CancelMessage,
        impact: Impact,
    ) -> Self {
        Self {
            user_id: id.user_id,
            time_utc: id.time_utc,
            cancelled_on,
            message,
            reason: None,
            impact,
            category: None,
            extra: Extra::default(),
        }
    }
}

identified!(Cancellation);
