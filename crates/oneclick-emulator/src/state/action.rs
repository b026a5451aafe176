//! The five actions: each buys an impact and responds with a receipt.

use std::str::FromStr;

use oneclick_proto::{
    Category, Cents, Fragments, ImpactKind, InvalidValue, Pounds, RecordedMetadata, Trees,
};

use super::account::{Account, Purchase};
use super::fields::Fields;
use super::problem::Problem;
use super::query::{Query, email};
use super::view::View;
use super::{Input, Operation, Parsed};

// Every amount fits an `i64`.
const _: () = assert!(Cents::MAX <= i64::MAX as u64);

/// How one action differs from the others.
struct Action {
    kind: ImpactKind,
    /// Reads `amount` and checks its range.
    amount: fn(&Fields) -> Result<u64, Problem>,
    /// Reads `category`, if the action has this field.
    category: Option<ReadCategory>,
}

type ReadCategory = fn(&str) -> Result<Category, Problem>;

/// `POST /v1/plant_tree`.
pub(super) fn plant_tree(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Trees::get);
    parse(input, &Action { kind: ImpactKind::TreePlanted, amount, category: Some(food) })
}

/// `POST /v1/clean_ocean`.
pub(super) fn clean_ocean(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Pounds::get);
    parse(input, &Action { kind: ImpactKind::WasteRemoved, amount, category: None })
}

/// `POST /v1/capture_carbon`.
pub(super) fn capture_carbon(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Pounds::get);
    parse(input, &Action { kind: ImpactKind::CarbonCaptured, amount, category: None })
}

/// `POST /v1/restore_coral`.
pub(super) fn restore_coral(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Fragments::get);
    parse(input, &Action { kind: ImpactKind::CoralRestored, amount, category: None })
}

/// `POST /v1/donate_money`.
pub(super) fn donate_money(input: &Input<'_>) -> Parsed {
    let amount = |fields: &Fields| amount(fields, Cents::get);
    parse(input, &Action { kind: ImpactKind::MoneyDonated, amount, category: Some(cause) })
}

fn amount<T: FromStr<Err = InvalidValue>>(
    fields: &Fields,
    get: fn(T) -> u64,
) -> Result<u64, Problem> {
    fields.whole_number("amount").map(get)
}

fn parse(input: &Input<'_>, action: &Action) -> Parsed {
    Query::parse(input, &[])?;
    let fields = Fields::parse("body", input.body, r#"{"amount":5}"#)?;
    let mut known = vec!["amount", "customer_email", "customer_name", "notify", "metadata"];
    if action.category.is_some() {
        known.push("category");
    }
    if !input.lenient {
        fields.only(input.path, &known)?;
    }

    let amount = (action.amount)(&fields)?;
    let customer = match (fields.text("customer_email")?, fields.text("customer_name")?) {
        (Some(address), name) => Some((email(address)?, name.map(str::to_owned))),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Problem::invalid(
                "`customer_name` was sent without `customer_email`: send both, or leave it out",
            ));
        }
    };
    let category = match action.category {
        Some(read) => fields.text("category")?.map(read).transpose()?,
        None => None,
    };
    let metadata = fields.metadata(input.body)?;
    // Only checked: the emulator notifies nobody.
    fields.boolean("notify")?;

    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    let kind = action.kind.clone();
    Ok(Box::new(Purchase { kind, amount, category, customer, metadata }))
}

/// The only category of `plant_tree`.
fn food(name: &str) -> Result<Category, Problem> {
    match Category::from(name) {
        Category::Food => Ok(Category::Food),
        _ => Err(Problem::invalid("`category` must be food, or left out")),
    }
}

/// The cause of a donation: any string but an empty one.
fn cause(name: &str) -> Result<Category, Problem> {
    if name.is_empty() {
        return Err(Problem::invalid(
            "`category` is empty: send a cause, such as climate, or leave it out",
        ));
    }
    Ok(Category::from(name))
}

impl Operation for Purchase {
    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem> {
        let mut receipt = account.buy(*self, view.now, view.hides_for);
        // Records show metadata. No source says that receipts do.
        receipt.metadata = RecordedMetadata::default();
        Ok(view.receipt(account, receipt))
    }

    fn apply_later(self: Box<Self>, account: &mut Account, view: &View<'_>, millis: u64) {
        account.buy_later(*self, view.now, millis, view.hides_for);
    }

    fn purchase(&self) -> Option<&Purchase> {
        Some(self)
    }
}
