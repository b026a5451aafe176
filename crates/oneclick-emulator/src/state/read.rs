//! Reading the account and its totals.

use oneclick_proto::{Account as AccountAnswer, DailyTotals, DateRange};

use super::account::Account;
use super::problem::{Problem, json};
use super::query::Query;
use super::view::View;
use super::{Input, Operation, Parsed};

struct Whoami;
struct TotalImpact;
struct DailyImpact(DateRange);

/// `GET /v1/whoami`.
pub(super) fn whoami(input: &Input<'_>) -> Parsed {
    Query::parse(input, &[])?;
    Ok(Box::new(Whoami))
}

/// `GET /v1/impact`.
pub(super) fn impact(input: &Input<'_>) -> Parsed {
    Query::parse(input, &[])?;
    Ok(Box::new(TotalImpact))
}

/// `GET /v1/impact/daily`.
pub(super) fn daily_impact(input: &Input<'_>) -> Parsed {
    let query = Query::parse(input, &["start_date", "end_date"])?;
    Ok(Box::new(DailyImpact(query.dates()?)))
}

impl Operation for Whoami {
    fn apply(self: Box<Self>, account: &mut Account, _: &View<'_>) -> Result<Vec<u8>, Problem> {
        let user_id = account.user_id().clone();
        let email = format!("{}@example.com", user_id.as_str().to_ascii_lowercase());
        Ok(json(&AccountAnswer::new(user_id, email)))
    }
}

impl Operation for TotalImpact {
    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem> {
        Ok(json(&view.totals(account)))
    }
}

impl Operation for DailyImpact {
    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem> {
        Ok(json(&DailyTotals::new(account.user_id().clone(), view.days(account, self.0))))
    }
}
