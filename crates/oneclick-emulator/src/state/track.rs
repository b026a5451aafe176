//! Tracking an impact through its stages, by the emulator's clock.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use oneclick_proto::{Category, ImpactId, ImpactKind, Receipt, Timestamp, Tracking};

use super::account::{Account, Cancelled};
use super::problem::{Problem, json};
use super::project;
use super::query::Query;
use super::view::{Purpose, View};
use super::{Input, Operation, Parsed};

/// How long after an impact its donation is available: one minute.
pub const DONATION_AVAILABLE_AFTER: TimeDelta = TimeDelta::minutes(1);
/// How long after an impact its donation is sent: two minutes.
pub const DONATION_SENT_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How long after its purchase an impact is completed: five minutes.
pub const IMPACT_COMPLETED_AFTER: TimeDelta = TimeDelta::minutes(5);

struct Track(ImpactId);

/// `GET /v1/track`.
pub(super) fn track(input: &Input<'_>) -> Parsed {
    let query = Query::parse(input, &["user_id", "time_utc"])?;
    let id = impact_id(query.id_part("user_id")?, query.id_part("time_utc")?)?;
    Ok(Box::new(Track(id)))
}

/// The id of an impact.
pub(super) fn impact_id(user_id: &str, time_utc: &str) -> Result<ImpactId, Problem> {
    let time_utc = time_utc.parse().map_err(|_| {
        Problem::invalid(
            "`time_utc` must be a time such as 2024-09-16T20:34:04.429Z, exactly as received",
        )
    })?;
    Ok(ImpactId::new(user_id, time_utc))
}

/// No impact of the account has the id.
pub(super) fn no_such_impact() -> Problem {
    Problem::invalid(
        "this account has no impact with this `user_id` and `time_utc`: send both exactly as a \
         receipt or a record shows them",
    )
    .status(StatusCode::NOT_FOUND)
}

impl Operation for Track {
    fn check(&self, account: &Account, view: &View<'_>) -> Result<(), Problem> {
        view.find(account, &self.0, Purpose::Track).map(drop).ok_or_else(no_such_impact)
    }

    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem> {
        let position = view.find(account, &self.0, Purpose::Track).ok_or_else(no_such_impact)?;
        let cancelled = view.cancelled(account, position);
        Ok(json(&tracking(&self.0, account.receipt(position), cancelled, view.now)))
    }
}

fn tracking(
    id: &ImpactId,
    receipt: Receipt,
    cancelled: Option<&Cancelled>,
    now: DateTime<Utc>,
) -> Tracking {
    let Receipt { time_utc, impact, category, .. } = receipt;
    let made = time_utc.datetime();
    // A cancelled impact reaches no further stage.
    let now = cancelled.map_or(now, |cancelled| now.min(cancelled.on.datetime()));
    let stage = |after: TimeDelta| (now >= made + after).then(|| Timestamp::from(made + after));
    let food = category == Some(Category::Food);
    let live = impact.kind == ImpactKind::TreePlanted && food;
    let place = Place::of(&impact.kind, food);
    let paid_for = (impact.kind == ImpactKind::MoneyDonated)
        .then(|| category.as_ref().map_or("planting trees", Category::as_str).to_owned());

    let mut tracking = Tracking::new(id.to_string(), time_utc, impact);
    tracking.category = category;
    tracking.is_test_transaction = Some(true);
    tracking.donation_available = stage(DONATION_AVAILABLE_AFTER);
    tracking.donation_sent = stage(DONATION_SENT_AFTER);
    if tracking.donation_sent.is_some() {
        tracking.assigned_agent = Some(place.agent);
        tracking.project_location = Some(place.location);
        tracking.location_map = Some(place.map);
        tracking.project_id = place.project_id;
        tracking.donation_category = paid_for;
        tracking.live_session_date = live.then(|| Timestamp::from(made + IMPACT_COMPLETED_AFTER));
    }
    tracking.impact_completed = stage(IMPACT_COMPLETED_AFTER);
    if tracking.impact_completed.is_some() {
        let video = format!("https://video.example.com/emulator/{}", tracking.tracking_id);
        tracking.impact_video = Some(video);
    }
    if let Some(Cancelled { on, reason }) = cancelled {
        tracking.cancelled_on = Some(on.clone());
        tracking.cancellation_reason = reason.as_ref().map(|reason| reason.as_str().into());
    }
    tracking
}

/// Where an impact happens: invented, and labelled so.
struct Place {
    agent: String,
    location: String,
    map: String,
    project_id: Option<String>,
}

impl Place {
    fn of(kind: &ImpactKind, food: bool) -> Self {
        let (agent, location, project_id) = match (project::of(kind, food), kind) {
            (Some(project), _) => {
                (project.organization, project.location, Some(project.project_id))
            }
            (None, ImpactKind::CoralRestored) => (
                "Emulator Coral Gardeners".to_owned(),
                "Emulator Reef, a place that does not exist.".to_owned(),
                None,
            ),
            (None, _) => (
                "Emulator Agent".to_owned(),
                "Emulator Island, a place that does not exist.".to_owned(),
                None,
            ),
        };
        let place = project_id.as_deref().unwrap_or(kind.as_str());
        let map = format!("https://maps.example.com/embed?place={place}");
        Self { agent, location, map, project_id }
    }
}
