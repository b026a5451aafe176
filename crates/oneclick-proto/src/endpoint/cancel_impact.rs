//! Cancel an impact: `POST /v1/cancel_impact`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use super::row::{as_field, by_id, impact_of, rest_of};
use crate::setters::setters;
use crate::value::{
    Category, Extra, Impact, ImpactId, InvalidValue, Reason, Redacted, Timestamp, UserId,
};

/// `POST /v1/cancel_impact`: cancels an impact, for instance after a refund.
///
/// The request is idempotent: cancelling again changes nothing, and the response is that
/// of the first cancellation but for its message. The totals fall by the amount, the
/// record is kept, and `GET /v1/track` shows when and why the impact was cancelled. An
/// impact cannot be cancelled once a non-profit has received its donation. An e-mail that
/// was sent to the customer is not taken back.
///
/// The request is made from a receipt, a record, a [`Tracking`](super::track::Tracking) or
/// a stored [`ImpactId`]:
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
/// let body = r#"{"user_id":"U1234","time_utc":"2025-03-12T15:22:14.753Z","tree_planted":10,
///     "cancelled_on":"2025-03-14T09:00:00.000Z","message":"impact was already cancelled"}"#;
/// let cancellation = api.decode(&cancel, http::Response::new(body))?;
/// assert_eq!(cancellation.message, CancelMessage::AlreadyCancelled);
/// assert_eq!(cancellation.impact.amount, 10);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CancelImpact {
    /// The impact to cancel.
    #[serde(flatten)]
    pub impact: ImpactId,
    /// The reason, of at most 200 characters; not sent if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl CancelImpact {
    /// Cancels this impact. Use `try_from` for text and for a
    /// [`Tracking`](super::track::Tracking), which may not have a valid id.
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
    /// The result of a cancellation: `message` in the response of
    /// `POST /v1/cancel_impact`.
    CancelMessage {
        /// This request cancelled the impact.
        Cancelled = "impact cancelled",
        /// The impact was already cancelled, and did not change.
        AlreadyCancelled = "impact was already cancelled",
    }
}

/// A cancelled impact: the response of `POST /v1/cancel_impact`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cancellation {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When the impact was made, in UTC to the millisecond. With `user_id` it is the id of
    /// the impact.
    pub time_utc: Timestamp,
    /// When the impact was first cancelled, in UTC to the millisecond.
    pub cancelled_on: Timestamp,
    /// Whether this request or an earlier one cancelled the impact.
    pub message: CancelMessage,
    /// The reason; `None` if no reason was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Redacted>,
    /// The impact that was cancelled: its kind, and its amount in the unit of the kind. The
    /// API may leave it out; the name of the kind is then empty.
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
    /// A cancellation without reason or category.
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

impl From<&Cancellation> for ImpactId {
    fn from(cancellation: &Cancellation) -> Self {
        Self::new(cancellation.user_id.clone(), cancellation.time_utc.clone())
    }
}

impl From<Cancellation> for ImpactId {
    fn from(cancellation: Cancellation) -> Self {
        Self::new(cancellation.user_id, cancellation.time_utc)
    }
}
