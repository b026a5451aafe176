//! The progress of an impact: `GET /v1/track`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use super::row::{as_field, by_id, impact_of, rest_of};
use crate::value::{Category, Extra, Impact, ImpactId, InvalidValue, Redacted, Timestamp};

/// `GET /v1/track`: the progress of an impact, from its purchase to its completion.
///
/// A receipt, a record or a cancellation converts into the request that tracks it:
///
/// ```
/// use oneclick_proto::{Api, Receipt, TrackImpact};
///
/// let receipt: Receipt = serde_json::from_str(
///     r#"{"user_id":"U1234","tree_planted":10,"time_utc":"2025-03-12T15:22:14.753Z"}"#,
/// ).unwrap();
/// let request = Api::sandbox("test_key")?.encode(&TrackImpact::from(&receipt))?;
/// assert_eq!(
///     request.uri().path_and_query().unwrap(),
///     "/v1/track?user_id=U1234&time_utc=2025-03-12T15%3A22%3A14.753Z",
/// );
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
///
/// To track it in another process, store its [`ImpactId`] as text, which is the
/// API's `tracking_id`:
///
/// ```
/// use oneclick_proto::TrackImpact;
///
/// let stored = "U1234-2025-03-12T15:22:14.753Z";
/// let track = TrackImpact::try_from(stored)?;
/// assert_eq!(track.impact.to_string(), stored);
/// # Ok::<(), oneclick_proto::InvalidValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TrackImpact {
    /// The impact to track.
    #[serde(flatten)]
    pub impact: ImpactId,
}

impl TrackImpact {
    /// Tracks this impact. Use `try_from` for text and for a [`Tracking`], which may not have
    /// a valid id.
    pub fn new(impact: impl Into<ImpactId>) -> Self {
        Self { impact: impact.into() }
    }
}

by_id!(TrackImpact);

impl Endpoint for TrackImpact {
    type Response = Tracking;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/track";
    const IDEMPOTENT: bool = true;

    fn check(&self) -> Result<(), InvalidValue> {
        InvalidValue::check_whole("user id", self.impact.user_id.as_str())
    }
}

/// The progress of an impact: the response of `GET /v1/track`.
///
/// A field is `None` if its event has not happened yet, if the kind of impact does not have
/// it, or if the API leaves it out. Times are in UTC to the millisecond. URLs are not
/// checked.
///
/// ```
/// use oneclick_proto::Tracking;
///
/// let tracking: Tracking = serde_json::from_str(
///     r#"{"tracking_id":"U1234-2025-03-12T15:22:14.753Z","tree_planted":10,
///         "impact_initiated":"2025-03-12T15:22:14.753Z",
///         "donation_available":"2025-03-22T23:44:02.121Z",
///         "project_location":"Rwenzori Mountains, Uganda"}"#,
/// ).unwrap();
/// assert_eq!(tracking.impact.to_string(), "10 trees planted");
/// assert!(tracking.donation_available.is_some() && tracking.donation_sent.is_none());
/// assert!(tracking.cancelled_on.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tracking {
    /// The id of the impact, `{user_id}-{time_utc}`. [`ImpactId`] parses it.
    pub tracking_id: String,
    /// When the impact was initiated.
    pub impact_initiated: Timestamp,
    /// The impact: its kind, and its amount in the unit of the kind. An unknown kind keeps its
    /// name; the name is empty if the response has no amount.
    #[serde(flatten, serialize_with = "as_field", deserialize_with = "impact_of")]
    pub impact: Impact,
    /// The category: `food` for trees, or the cause of a donation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// When the donation became available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation_available: Option<Timestamp>,
    /// When the donation was sent to the non-profit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation_sent: Option<Timestamp>,
    /// The non-profit or agent that carries out the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_agent: Option<String>,
    /// The location and the partner of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_location: Option<String>,
    /// The URL of a map to embed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_map: Option<String>,
    /// The id of the project, for [`GetProject`](super::project_by_id::GetProject).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// When the impact was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact_completed: Option<Timestamp>,
    /// What the donation paid for; only for donated money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation_category: Option<String>,
    /// The URL of the certificate; always `None` in the sandbox environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The URL of a recording or of a live session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact_video: Option<String>,
    /// When a live session is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_session_date: Option<Timestamp>,
    /// Whether the purchase was a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_test_transaction: Option<bool>,
    /// Whether the impact was a bonus of a subscription plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_bonus_impact: Option<bool>,
    /// When the impact was cancelled; `None` if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_on: Option<Timestamp>,
    /// The reason for the cancellation; `None` if no reason was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<Redacted>,
    /// Fields that this version does not know.
    #[serde(flatten, deserialize_with = "rest_of")]
    pub extra: Extra,
}

impl Tracking {
    /// A newly initiated impact.
    pub fn new(
        tracking_id: impl Into<String>,
        impact_initiated: Timestamp,
        impact: Impact,
    ) -> Self {
        Self {
            tracking_id: tracking_id.into(),
            impact_initiated,
            impact,
            category: None,
            donation_available: None,
            donation_sent: None,
            assigned_agent: None,
            project_location: None,
            location_map: None,
            project_id: None,
            impact_completed: None,
            donation_category: None,
            certificate: None,
            impact_video: None,
            live_session_date: None,
            is_test_transaction: None,
            is_bonus_impact: None,
            cancelled_on: None,
            cancellation_reason: None,
            extra: Extra::default(),
        }
    }
}

/// Fails with [`InvalidValue::ImpactId`] if the `tracking_id` is not
/// `{user_id}-{time_utc}`.
impl TryFrom<&Tracking> for ImpactId {
    type Error = InvalidValue;

    fn try_from(tracking: &Tracking) -> Result<Self, InvalidValue> {
        tracking.tracking_id.parse()
    }
}

/// Fails with [`InvalidValue::ImpactId`] if the `tracking_id` is not
/// `{user_id}-{time_utc}`.
impl TryFrom<Tracking> for ImpactId {
    type Error = InvalidValue;

    fn try_from(tracking: Tracking) -> Result<Self, InvalidValue> {
        tracking.tracking_id.parse()
    }
}
