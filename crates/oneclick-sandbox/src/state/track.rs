//! The life of one impact, on the sandbox's clock.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use oneclick_proto::{Category, ImpactKind, Receipt, Timestamp, Tracking};

use super::account::Account;
use super::problem::{Problem, json};
use super::query::Query;
use super::{Input, Operation, Parsed};

/// After an impact was made, the donation is available: one minute.
pub const DONATION_AVAILABLE_AFTER: TimeDelta = TimeDelta::minutes(1);
/// After an impact was made, the donation is sent: two minutes.
pub const DONATION_SENT_AFTER: TimeDelta = TimeDelta::minutes(2);
/// After an impact was made, it is completed: five minutes.
pub const IMPACT_COMPLETED_AFTER: TimeDelta = TimeDelta::minutes(5);

struct Track {
    user_id: String,
    time_utc: Timestamp,
}

/// `GET /v1/track`.
pub(super) fn track(input: &Input<'_>) -> Parsed {
    let query = Query::parse(input, &["user_id", "time_utc"])?;
    let user_id = query.required("user_id")?.to_owned();
    let time_utc = query.required("time_utc")?.parse().map_err(|_| {
        Problem::invalid("`time_utc` must be a time such as 2024-09-16T20:34:04.429Z, as received")
    })?;
    Ok(Box::new(Track { user_id, time_utc }))
}

impl Operation for Track {
    fn apply(
        self: Box<Self>,
        account: &mut Account,
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, Problem> {
        // Compared as text: another way to write the same time is another handle.
        let receipt = (self.user_id == account.user_id().as_str())
            .then(|| account.at(self.time_utc.datetime()))
            .flatten()
            .filter(|receipt| receipt.time_utc == self.time_utc);
        match receipt {
            Some(receipt) => Ok(json(&tracking(receipt, now))),
            None => Err(Problem::invalid(
                "this account has no impact with this `user_id` and `time_utc`: send both \
                 exactly as a receipt or a record gave them",
            )
            .status(StatusCode::NOT_FOUND)),
        }
    }
}

fn tracking(receipt: Receipt, now: DateTime<Utc>) -> Tracking {
    let Receipt { user_id, time_utc, impact, category, .. } = receipt;
    let made = time_utc.datetime();
    let stage = |after: TimeDelta| (now >= made + after).then(|| Timestamp::from(made + after));
    let live = impact.kind == ImpactKind::TreePlanted && category == Some(Category::Food);
    let place = place(&impact.kind);

    let mut tracking = Tracking::new(format!("{user_id}-{time_utc}"), time_utc, impact);
    tracking.category = category;
    tracking.is_test_transaction = Some(true);
    tracking.donation_available = stage(DONATION_AVAILABLE_AFTER);
    tracking.donation_sent = stage(DONATION_SENT_AFTER);
    if tracking.donation_sent.is_some() {
        tracking.assigned_agent = Some(place.agent.to_owned());
        tracking.project_location = Some(place.location.to_owned());
        tracking.location_map = Some(place.map.to_owned());
        tracking.donation_category = place.donation_category.map(str::to_owned);
        tracking.live_session_date = live.then(|| Timestamp::from(made + IMPACT_COMPLETED_AFTER));
    }
    tracking.impact_completed = stage(IMPACT_COMPLETED_AFTER);
    if tracking.impact_completed.is_some() {
        let video = format!("https://video.example.com/sandbox/{}", tracking.tracking_id);
        tracking.impact_video = Some(video);
    }
    tracking
}

/// Where an impact happens. All of it is invented, and says so.
struct Place {
    agent: &'static str,
    location: &'static str,
    map: &'static str,
    /// What a donation of money pays for.
    donation_category: Option<&'static str>,
}

fn place(kind: &ImpactKind) -> Place {
    let (agent, location, map) = match kind {
        ImpactKind::TreePlanted | ImpactKind::MoneyDonated => (
            "Sandbox Tree Planters",
            "Sandbox Mountains, a place that does not exist, with Sandbox Tree Planters.",
            "https://maps.example.com/embed?place=sandbox-mountains",
        ),
        ImpactKind::WasteRemoved => (
            "Sandbox Ocean Cleaners",
            "Sandbox Bay, a place that does not exist, with Sandbox Ocean Cleaners.",
            "https://maps.example.com/embed?place=sandbox-bay",
        ),
        ImpactKind::CarbonCaptured => (
            "Sandbox Carbon Catchers",
            "Sandbox Plains, a place that does not exist, with Sandbox Carbon Catchers.",
            "https://maps.example.com/embed?place=sandbox-plains",
        ),
        _ => (
            "Sandbox Agent",
            "Sandbox Island, a place that does not exist, with Sandbox Agent.",
            "https://maps.example.com/embed?place=sandbox-island",
        ),
    };
    let donation_category = (*kind == ImpactKind::MoneyDonated).then_some("planting trees");
    Place { agent, location, map, donation_category }
}
