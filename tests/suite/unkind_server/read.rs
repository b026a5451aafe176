//! Reads other than lists, and cancellations.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta};
use http::Request;

use super::api_response::ApiResponse;
use super::ledger::{Purchase, unlucky};
use super::list::{OTHER_CASE, OTHER_ID, day, shown_time};
use super::request::{Endpoint, Fields, Query, bad};
use super::{
    ACCOUNT, Cancel, CancelRefusal, CancelRepeat, Kind, TimeForm, TrackBy, TrackFrom, UnkindServer,
    json,
};

impl UnkindServer {
    pub(super) fn respond(
        &mut self,
        endpoint: &Endpoint,
        request: &Request<Vec<u8>>,
        at: Duration,
    ) -> ApiResponse {
        let query = |known| Query::read(request, known);
        let body = match endpoint {
            Endpoint::Whoami => query(&[]).map(|_| whoami()),
            Endpoint::Impact => query(&[]).map(|_| self.impact(at)),
            Endpoint::DailyImpact => {
                query(&["start_date", "end_date"]).and_then(|query| self.daily_impact(&query, at))
            }
            Endpoint::List(list) => {
                query(list.parameters()).and_then(|query| self.list(*list, &query, at))
            }
            Endpoint::Track => {
                query(&["user_id", "time_utc"]).and_then(|query| self.track(&query, at))
            }
            Endpoint::Cancel => self.cancel_impact(request.body(), at),
            Endpoint::Buy(_) => unreachable!("a purchase is not a read"),
        };
        body.map_or_else(|refusal| refusal, |body| ApiResponse::json(200, body))
    }

    fn impact(&self, at: Duration) -> String {
        let standing = || self.ledger.iter().filter(|purchase| purchase.is_active(at));
        let totals = |total: &dyn Fn(&Purchase) -> bool| {
            let mut totals = Totals::default();
            for purchase in standing() {
                totals.add(purchase, total(purchase));
            }
            totals.fields()
        };
        let mut fields = vec![("user_id", json::text(ACCOUNT))];
        fields.extend(totals(&|_| true));
        let own = totals(&|purchase| purchase.customer.is_none());
        let customers = totals(&|purchase| purchase.customer.is_some());
        fields.push(("user_impact", json::object(own)));
        fields.push(("customer_impact", json::object(customers)));
        json::object(fields)
    }

    fn daily_impact(&self, query: &Query, at: Duration) -> Result<String, ApiResponse> {
        let range = self.range(query)?;
        let mut days: BTreeMap<i64, Totals> = BTreeMap::new();
        for purchase in self.ledger.iter().filter(|it| it.is_active(at) && range(it)) {
            days.entry(day(purchase, self.dimensions.day_zone)).or_default().add(purchase, true);
        }
        let days: Vec<_> = days
            .into_iter()
            .map(|(day, totals)| {
                let date = NaiveDate::default() + TimeDelta::days(day);
                let mut fields = vec![("date", json::text(&date.to_string()))];
                fields.extend(totals.fields());
                json::object(fields)
            })
            .collect();
        let fields = [("user_id", json::text(ACCOUNT)), ("daily_impact", json::array(&days))];
        Ok(json::object(fields))
    }

    fn track(&mut self, query: &Query, at: Duration) -> Result<String, ApiResponse> {
        let (user_id, time) = (query.one("user_id")?, query.one("time_utc")?);
        let (Some(user_id), Some(time)) = (user_id, time) else {
            return Err(bad("user_id and time_utc are required"));
        };
        let time = parse_time(time)?;
        let replica = self.replica();
        let from = self.dimensions.track_from;
        let shows = |purchase: &Purchase| match from {
            TrackFrom::AtOnce => purchase.made_at <= at,
            TrackFrom::Visible => replica.shows(purchase, at),
        };
        let form = self.time_form();
        let Some(purchase) = self.named(user_id, time, shows) else {
            return Err(ApiResponse::refusal(404, "There is no such impact"));
        };
        let initiated = shown_time(purchase, form);
        let order = &purchase.order;
        let mut fields = vec![
            ("tracking_id", json::text(&format!("{user_id}-{initiated}"))),
            ("impact_initiated", json::text(&initiated)),
            (order.kind.field(), order.amount.to_string()),
        ];
        fields.extend(order.category.as_deref().map(|it| ("category", json::text(it))));
        if purchase.made_at <= at && !purchase.is_active(at) {
            let (on, reason) = (&purchase.cancelled_on, &purchase.cancel_reason);
            fields.extend(on.as_deref().map(|on| ("cancelled_on", json::text(on))));
            fields.extend(reason.as_deref().map(|it| ("cancellation_reason", json::text(it))));
        }
        Ok(json::object(fields))
    }

    fn cancel_impact(&mut self, body: &[u8], at: Duration) -> Result<String, ApiResponse> {
        let asked = Fields::read(body, &["user_id", "time_utc", "reason"])?;
        let (user_id, time) = (asked.text("user_id")?, asked.text("time_utc")?);
        let (Some(user_id), Some(time)) = (user_id, time) else {
            return Err(bad("user_id and time_utc are required"));
        };
        let reason = asked.text("reason")?;
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > 200) {
            return Err(bad("the reason is longer than 200 characters"));
        }
        let status = match self.dimensions.cancel_refusal {
            CancelRefusal::BadRequest => 400,
            CancelRefusal::NotFound => 404,
            CancelRefusal::Conflict => 409,
            CancelRefusal::Unprocessable => 422,
        };
        let named = self.named(&user_id, parse_time(&time)?, |purchase| purchase.made_at <= at);
        let Some(purchase) = named else {
            return Err(ApiResponse::refusal(status, "There is no such impact"));
        };
        let (number, repeated) = (purchase.number, purchase.cancel_requested_at.is_some());
        let refused = self.dimensions.cancel == Cancel::Refused && unlucky(purchase.luck, 1);
        if refused && !repeated {
            return Err(ApiResponse::refusal(status, "The donation was already received"));
        }
        self.cancel(number, reason, at);
        let purchase = &self.ledger[number];
        let message = if repeated { "impact was already cancelled" } else { "impact cancelled" };
        let on = purchase.cancelled_on.as_deref().unwrap_or_default();
        let mut fields = vec![
            ("user_id", json::text(&user_id)),
            ("time_utc", json::text(&time)),
            ("cancelled_on", json::text(on)),
            ("message", json::text(message)),
        ];
        if !repeated || self.dimensions.cancel_repeat == CancelRepeat::AllFields {
            let order = &purchase.order;
            fields.push((order.kind.field(), order.amount.to_string()));
            fields.extend(order.category.as_deref().map(|it| ("category", json::text(it))));
            let reason = purchase.cancel_reason.as_deref();
            fields.extend(reason.map(|it| ("reason", json::text(it))));
        }
        Ok(json::object(fields))
    }

    /// The purchase with this `user_id` and `time_utc`.
    fn named(
        &self,
        user_id: &str,
        time: DateTime<FixedOffset>,
        shows: impl Fn(&Purchase) -> bool,
    ) -> Option<&Purchase> {
        let asked = time.timestamp_micros();
        let exact = |purchase: &Purchase| {
            let micros = purchase.stamp * 1000;
            asked == micros || asked == micros + purchase.micros()
        };
        let second = |millis: i64| millis.div_euclid(1000) * 1_000_000;
        let form = self.dimensions.time_form;
        // Several purchases can share a whole second; the first one is returned.
        let coarse = |purchase: &Purchase| {
            let cut = matches!(form, TimeForm::Cut | TimeForm::Alternating);
            let rounded = matches!(form, TimeForm::Rounded | TimeForm::Alternating);
            cut && asked == second(purchase.stamp)
                || rounded && asked == second(purchase.stamp + 500)
        };
        let known = || self.ledger.iter().filter(|it| self.is_of(it, user_id) && shows(it));
        known().find(|it| exact(it)).or_else(|| known().find(|it| coarse(it)))
    }

    /// Whether a purchase belongs to this `user_id`.
    fn is_of(&self, purchase: &Purchase, user_id: &str) -> bool {
        match (self.dimensions.track_by, self.customer(purchase)) {
            (TrackBy::Customer, Some(customer)) => customer.id == user_id,
            _ => [ACCOUNT, OTHER_CASE, OTHER_ID].contains(&user_id),
        }
    }
}

fn whoami() -> String {
    let email = json::text("my-email@email.com");
    json::object([("user_id", json::text(ACCOUNT)), ("email", email)])
}

fn parse_time(text: &str) -> Result<DateTime<FixedOffset>, ApiResponse> {
    DateTime::parse_from_rfc3339(text).map_err(|_| bad("time_utc is not RFC 3339"))
}

/// The amounts of each kind, in the order of [`Kind::ALL`].
#[derive(Default)]
struct Totals {
    amounts: [u64; 5],
    /// Whether there are any corals, counted or not.
    coral: bool,
}

impl Totals {
    fn add(&mut self, purchase: &Purchase, counted: bool) {
        let order = &purchase.order;
        self.coral |= order.kind == Kind::Coral;
        for (kind, amount) in Kind::ALL.iter().zip(&mut self.amounts) {
            if counted && *kind == order.kind {
                *amount += order.amount;
            }
        }
    }

    /// The fields of the totals. Corals appear only if there are any, since the reference
    /// does not mention them.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let totals = Kind::ALL.iter().zip(self.amounts);
        let shown = totals.filter(|(kind, _)| **kind != Kind::Coral || self.coral);
        shown.map(|(kind, amount)| (kind.field(), amount.to_string())).collect()
    }
}
