//! Cancelling an impact: it leaves the totals and stays on record.

use chrono::{DateTime, Utc};
use oneclick_proto::{CancelMessage, Cancellation, ImpactId, Reason, Redacted};

use super::account::Account;
use super::fields::Fields;
use super::problem::{Problem, json};
use super::query::Query;
use super::track::{DONATION_SENT_AFTER, impact_id, no_such_impact};
use super::{Input, Operation, Parsed};

struct Cancel {
    id: ImpactId,
    reason: Option<Reason>,
}

/// `POST /v1/cancel_impact`.
pub(super) fn cancel_impact(input: &Input<'_>) -> Parsed {
    Query::parse(input, &[])?;
    let example = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z"}"#;
    let fields = Fields::parse(input.body, example)?;
    if !input.lenient {
        fields.only(input.path, &["user_id", "time_utc", "reason"])?;
    }
    let id = impact_id(fields.half("user_id")?, fields.half("time_utc")?)?;
    let reason = fields.text("reason")?.map(Reason::new).transpose();
    let reason = reason.map_err(|error| Problem::invalid(format!("`reason`: {error}")))?;
    Ok(Box::new(Cancel { id, reason }))
}

impl Operation for Cancel {
    fn check(&self, account: &Account, now: DateTime<Utc>) -> Result<(), Problem> {
        let position = account.find(&self.id).ok_or_else(no_such_impact)?;
        let sent = now >= self.id.time_utc.datetime() + DONATION_SENT_AFTER;
        if sent && account.cancelled(position).is_none() {
            return Err(Problem::invalid(
                "the impact cannot be cancelled: the non-profit has received its donation",
            ));
        }
        Ok(())
    }

    fn apply(
        self: Box<Self>,
        account: &mut Account,
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, Problem> {
        let position = account.find(&self.id).ok_or_else(no_such_impact)?;
        let message = match account.cancelled(position) {
            Some(_) => CancelMessage::AlreadyCancelled,
            None => CancelMessage::Cancelled,
        };
        account.cancel(position, self.reason, now);
        let cancelled = account.cancelled(position).ok_or_else(no_such_impact)?;
        let receipt = account.receipt(position);
        let mut answer = Cancellation::new(self.id, cancelled.on.clone(), message, receipt.impact);
        answer.reason = cancelled.reason.as_ref().map(|reason| Redacted::from(reason.as_str()));
        answer.category = receipt.category;
        Ok(json(&answer))
    }
}
