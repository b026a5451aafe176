//! The life of one impact: `GET /v1/track`.

use http::Method;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::Endpoint;
use super::action::Receipt;
use super::customer_records::CustomerRecord;
use super::records::Record;
use crate::value::{
    Category, Extra, Impact, ImpactFinder, ImpactKind, Timestamp, UserId, split_amounts,
};

/// `GET /v1/track`: how far an impact has come, from the purchase to the field.
///
/// A receipt or a record turns into the request that tracks it:
///
/// ```
/// use oneclick_proto::{Api, Receipt, Track};
///
/// let api = Api::sandbox("test_key")?;
/// let receipt: Receipt = serde_json::from_str(
///     r#"{"user_id":"U1234","tree_planted":10,"time_utc":"2025-03-12T15:22:14.753Z"}"#,
/// ).unwrap();
/// let request = api.encode(&Track::from(&receipt))?;
/// assert_eq!(
///     request.uri().query(),
///     Some("time_utc=2025-03-12T15%3A22%3A14.753Z&user_id=U1234"),
/// );
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
///
/// To track it in another process, store the two halves of its handle as text:
///
/// ```
/// use oneclick_proto::Track;
///
/// let (user_id, time_utc) = ("U1234".to_owned(), "2025-03-12T15:22:14.753Z");
/// let track = Track::new(user_id, time_utc.parse()?);
/// assert_eq!(track.time_utc.to_string(), time_utc);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Track {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When it was made, as the receipt or the record says.
    pub time_utc: Timestamp,
}

impl Track {
    /// Tracks the impact with this handle.
    pub fn new(user_id: impl Into<UserId>, time_utc: Timestamp) -> Self {
        Self { user_id: user_id.into(), time_utc }
    }
}

macro_rules! tracked {
    ($($row:ident)*) => {$(
        impl From<&$row> for Track {
            fn from(row: &$row) -> Self {
                Self { user_id: row.user_id.clone(), time_utc: row.time_utc.clone() }
            }
        }

        impl From<$row> for Track {
            fn from(row: $row) -> Self {
                Self { user_id: row.user_id, time_utc: row.time_utc }
            }
        }
    )*};
}

tracked!(Receipt Record CustomerRecord);

impl Endpoint for Track {
    type Response = Tracking;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/track";
    const IDEMPOTENT: bool = true;
}

/// How far an impact has come. What has not happened yet is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tracking {
    /// `{user_id}-{time_utc}`.
    pub tracking_id: String,
    /// When the impact was initiated.
    pub impact_initiated: Timestamp,
    /// What is done, and how much; as in [`Record`].
    #[serde(flatten, serialize_with = "as_field", deserialize_with = "impact_of")]
    pub impact: Impact,
    /// The category, such as food-bearing trees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// When the donation became available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation_available: Option<Timestamp>,
    /// When the donation was sent to the non-profit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation_sent: Option<Timestamp>,
    /// The non-profit or agent that does the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_agent: Option<String>,
    /// Where the project is and with whom it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_location: Option<String>,
    /// URL of a map to embed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_map: Option<String>,
    /// When the impact was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact_completed: Option<Timestamp>,
    /// What the donation paid for (`donate_money` only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donation_category: Option<String>,
    /// URL of the certificate (production only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// URL of a recording or of a live session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact_video: Option<String>,
    /// When a live session is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_session_date: Option<Timestamp>,
    /// Whether this was a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_test_transaction: Option<bool>,
    /// Whether this was a bonus of a subscription plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_bonus_impact: Option<bool>,
    /// Fields that this version does not know.
    #[serde(flatten, deserialize_with = "rest_of")]
    pub extra: Extra,
}

impl Tracking {
    /// An impact of which nothing is known but that it was initiated.
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
            impact_completed: None,
            donation_category: None,
            certificate: None,
            impact_video: None,
            live_session_date: None,
            is_test_transaction: None,
            is_bonus_impact: None,
            extra: Extra::default(),
        }
    }
}

fn as_field<S: Serializer>(impact: &Impact, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if !impact.kind.as_str().is_empty() {
        map.serialize_entry(impact.kind.as_str(), &impact.amount)?;
    }
    map.end()
}

fn impact_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Impact, D::Error> {
    unnamed(deserializer).map(|(impact, _)| impact)
}

fn rest_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Extra, D::Error> {
    unnamed(deserializer).map(|(_, extra)| extra)
}

/// The impact and the rest, of the fields that the struct does not name.
fn unnamed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Impact, Extra), D::Error> {
    let fields = Map::<String, Value>::deserialize(deserializer)?;
    let (totals, mut extra) = split_amounts(fields).map_err(de::Error::custom)?;
    let mut finder = ImpactFinder::default();
    let mut left: Vec<Impact> =
        totals.iter().filter_map(|(kind, amount)| finder.take(kind.clone(), amount)).collect();
    let (impact, unknown) = finder.finish();
    left.extend(unknown);
    for impact in left {
        extra.insert(impact.kind.as_str(), impact.amount.into());
    }
    Ok((impact.unwrap_or_else(|| Impact::new(ImpactKind::from(""), 0)), extra))
}
