//! Cancelling an impact, which lowers the totals and keeps the record.

use chrono::TimeDelta;
use oneclick_proto::{CancelMessage, Cancellation, ImpactId, Reason, Redacted};

use super::account::Account;
use super::behaviour::{self, CancelEffect, CancelRepeat, later};
use super::fields::Fields;
use super::problem::{Problem, json};
use super::query::Query;
use super::track::{DONATION_SENT_AFTER, impact_id, no_such_impact};
use super::view::{Purpose, View};
use super::{Input, Operation, Parsed};

struct Cancel {
    id: ImpactId,
    reason: Option<Reason>,
}

/// `POST /v1/cancel_impact`.
pub(super) fn cancel_impact(input: &Input<'_>) -> Parsed {
    Query::parse(input, &[])?;
    let example = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z"}"#;
    let fields = Fields::parse("body", input.body, example)?;
    if !input.lenient {
        fields.only(input.path, &["user_id", "time_utc", "reason"])?;
    }
    let id = impact_id(fields.id_part("user_id")?, fields.id_part("time_utc")?)?;
    let reason = fields.text("reason")?.map(Reason::new).transpose();
    let reason = reason.map_err(|error| Problem::invalid(format!("`reason`: {error}")))?;
    Ok(Box::new(Cancel { id, reason }))
}

impl Operation for Cancel {
    fn check(&self, account: &Account, view: &View<'_>) -> Result<(), Problem> {
        let position = self.position(account, view)?;
        let made = account.receipt(position).time_utc.datetime();
        let sent = view.now >= made + DONATION_SENT_AFTER;
        if sent && account.cancelled(position).is_none() {
            return Err(Problem::invalid(
                "the impact can no longer be cancelled: the non-profit has received its donation",
            )
            .status(view.behaviour.cancel_refusal.status()));
        }
        Ok(())
    }

    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem> {
        let position = self.position(account, view)?;
        let earlier = account.cancelled(position).cloned();
        let message = match earlier {
            Some(_) => CancelMessage::AlreadyCancelled,
            None => CancelMessage::Cancelled,
        };
        let cancelled = earlier
            .unwrap_or_else(|| account.cancellation(position, self.reason.clone(), view.now));
        match view.behaviour.cancel {
            CancelEffect::AtOnce => account.cancel(position, cancelled.clone()),
            CancelEffect::Later { millis } => {
                account.cancel_later(position, cancelled.clone(), view.now, millis);
            }
        }
        let receipt = account.receipt(position);
        let four = view.behaviour.cancel_repeat == CancelRepeat::FourFields;
        if four && message == CancelMessage::AlreadyCancelled {
            return Ok(json(&serde_json::json!({
                "user_id": self.id.user_id,
                "time_utc": self.id.time_utc,
                "cancelled_on": cancelled.on,
                "message": message,
            })));
        }
        let mut cancellation = Cancellation::new(self.id, cancelled.on, message, receipt.impact);
        cancellation.reason =
            cancelled.reason.as_ref().map(|reason| Redacted::from(reason.as_str()));
        cancellation.category = receipt.category;
        Ok(json(&cancellation))
    }

    fn apply_later(self: Box<Self>, account: &mut Account, view: &View<'_>, millis: u64) {
        if let Ok(position) = self.position(account, view) {
            let on = later(view.now, TimeDelta::try_milliseconds(behaviour::millis(millis)));
            let cancelled = account.cancellation(position, self.reason, on);
            account.cancel_later(position, cancelled, view.now, millis);
        }
    }
}

impl Cancel {
    fn position(&self, account: &Account, view: &View<'_>) -> Result<u32, Problem> {
        view.find(account, &self.id, Purpose::Cancel).ok_or_else(no_such_impact)
    }
}
