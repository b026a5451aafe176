//! The actions: each makes an impact and answers a receipt.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use oneclick_proto::{Category, Cents, ImpactKind, InvalidValue, Pounds, Trees};

use super::account::{Account, Purchase};
use super::fields::Fields;
use super::problem::{Problem, json};
use super::query::{Query, email};
use super::{Input, Operation, Parsed};

// Every amount fits an `i64`.
const _: () = assert!(Cents::MAX <= i64::MAX as u64);

/// What one action is about.
struct Spec {
    kind: ImpactKind,
    /// Reads `amount` and checks its range.
    amount: fn(&Fields) -> Result<u64, Problem>,
    /// The values that `category` can have; no such field if empty.
    categories: &'static [Category],
}

/// `POST /v1/plant_tree`.
pub(super) fn plant_tree(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Trees::get);
    parse(input, Spec { kind: ImpactKind::TreePlanted, amount, categories: &[Category::Food] })
}

/// `POST /v1/clean_ocean`.
pub(super) fn clean_ocean(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Pounds::get);
    parse(input, Spec { kind: ImpactKind::WasteRemoved, amount, categories: &[] })
}

/// `POST /v1/capture_carbon`.
pub(super) fn capture_carbon(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Pounds::get);
    parse(input, Spec { kind: ImpactKind::CarbonCaptured, amount, categories: &[] })
}

/// `POST /v1/donate_money`.
pub(super) fn donate_money(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Cents::get);
    parse(input, Spec { kind: ImpactKind::MoneyDonated, amount, categories: &[] })
}

fn amount<T: FromStr<Err = InvalidValue>>(
    fields: &Fields,
    get: fn(T) -> u64,
) -> Result<u64, Problem> {
    fields.whole("amount").map(get)
}

fn parse(input: &Input<'_>, spec: Spec) -> Parsed {
    Query::parse(input, &[])?;
    let fields = Fields::parse(input.body)?;
    let mut known = vec!["amount", "customer_email", "customer_name", "notify"];
    if !spec.categories.is_empty() {
        known.push("category");
    }
    if !input.lenient {
        fields.only(input.path, &known)?;
    }

    let amount = (spec.amount)(&fields)?;
    let customer = match (fields.text("customer_email")?, fields.text("customer_name")?) {
        (Some(address), name) => Some((email(address)?, name.map(str::to_owned))),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Problem::invalid(
                "`customer_name` was sent without `customer_email`: the customer would be lost",
            ));
        }
    };
    let category = match spec.categories {
        [] => None,
        categories => {
            fields.text("category")?.map(|name| category(name, categories)).transpose()?
        }
    };
    // Read for its type alone: nobody is ever notified in a sandbox.
    fields.flag("notify")?;

    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    Ok(Box::new(Purchase { kind: spec.kind, amount, category, customer }))
}

fn category(name: &str, categories: &[Category]) -> Result<Category, Problem> {
    categories.iter().find(|category| category.as_str() == name).cloned().ok_or_else(|| {
        let names: Vec<_> = categories.iter().map(Category::as_str).collect();
        Problem::invalid(format!("`category` can be {} or left out", names.join(", ")))
    })
}

impl Operation for Purchase {
    fn apply(
        self: Box<Self>,
        account: &mut Account,
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, Problem> {
        Ok(json(&account.buy(*self, now)))
    }
}
