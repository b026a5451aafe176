//! The lists, page by page.

use chrono::{DateTime, Utc};
use oneclick_proto::{Cursor, DateRange, Email, ImpactKind, InvalidValue, Limit, Page, SortOrder};

use super::account::{Account, Whose};
use super::cursor;
use super::hash::hash;
use super::problem::{Problem, json};
use super::query::Query;
use super::scan::Selection;
use super::{Input, Operation, Parsed};

/// The API's default number of items on a page.
const DEFAULT_LIMIT: usize = 10;

/// One page of one list.
struct Listing {
    list: List,
    customer: Option<Email>,
    kinds: Vec<ImpactKind>,
    dates: DateRange,
    order: SortOrder,
    limit: usize,
    cursor: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum List {
    Records,
    CustomerRecords,
    Customers,
}

/// `GET /v1/records`.
pub(super) fn records(input: &Input<'_>) -> Parsed {
    let known = ["filter_by", "start_date", "end_date", "limit", "cursor", "sort_order"];
    parse(&Query::parse(input, &known)?, List::Records)
}

/// `GET /v1/customer_records`.
pub(super) fn customer_records(input: &Input<'_>) -> Parsed {
    let known =
        ["customer_email", "filter_by", "start_date", "end_date", "limit", "cursor", "sort_order"];
    parse(&Query::parse(input, &known)?, List::CustomerRecords)
}

/// `GET /v1/customers`.
pub(super) fn customers(input: &Input<'_>) -> Parsed {
    let known = ["customer_email", "limit", "cursor", "sort_order"];
    parse(&Query::parse(input, &known)?, List::Customers)
}

/// What a list does not take is not in its query.
fn parse(query: &Query<'_>, list: List) -> Parsed {
    let mut kinds = query.all("filter_by").map(kind).collect::<Result<Vec<_>, _>>()?;
    kinds.sort();
    kinds.dedup();
    Ok(Box::new(Listing {
        list,
        customer: query.customer_email()?,
        kinds,
        dates: query.dates()?,
        order: order(query.get("sort_order"))?,
        limit: limit(query.get("limit"))?,
        cursor: query.get("cursor").map(str::to_owned),
    }))
}

fn kind(name: &str) -> Result<ImpactKind, Problem> {
    ImpactKind::known(name).ok_or_else(|| {
        let known: Vec<_> = ImpactKind::KNOWN.iter().map(ImpactKind::as_str).collect();
        let known = known.join(", ");
        Problem::invalid(format!("`filter_by` must be one of {known}; repeat it for several, as in filter_by=tree_planted&filter_by=waste_removed"))
    })
}

fn order(name: Option<&str>) -> Result<SortOrder, Problem> {
    match name {
        None | Some("asc") => Ok(SortOrder::Asc),
        Some("desc") => Ok(SortOrder::Desc),
        Some(_) => Err(Problem::invalid("`sort_order` must be asc or desc")),
    }
}

fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(DEFAULT_LIMIT) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::invalid(format!(
            "`limit` must be a whole number from {} to {}",
            Limit::MIN,
            Limit::MAX,
        )));
    }
    let limit: Limit = text
        .parse()
        .map_err(|error: InvalidValue| Problem::invalid(format!("`limit`: {error}")))?;
    Ok(usize::try_from(limit.get()).unwrap_or(usize::MAX))
}

impl Operation for Listing {
    fn check(&self, account: &Account, _: DateTime<Utc>) -> Result<(), Problem> {
        self.after(self.identity(account)).map(drop)
    }

    fn apply(self: Box<Self>, account: &mut Account, _: DateTime<Utc>) -> Result<Vec<u8>, Problem> {
        let identity = self.identity(account);
        let after = self.after(identity)?;
        let selection = self.select(account, after);
        let cursor = selection.positions.last().filter(|_| selection.more);
        let cursor = cursor.map(|last| Cursor::new(cursor::encode(identity, *last)));
        let positions = selection.positions.into_iter();
        Ok(match self.list {
            List::Records => {
                json(&Page::new(positions.map(|at| account.record(at)).collect(), cursor))
            }
            List::CustomerRecords => {
                let records = positions.filter_map(|at| account.customer_record(at));
                json(&Page::new(records.collect(), cursor))
            }
            List::Customers => {
                json(&Page::new(positions.map(|at| account.customer_entry(at)).collect(), cursor))
            }
        })
    }
}

impl Listing {
    /// The position after which the page begins.
    fn after(&self, identity: u64) -> Result<Option<u32>, Problem> {
        self.cursor.as_deref().map(|cursor| cursor::decode(identity, cursor)).transpose()
    }

    fn select(&self, account: &Account, after: Option<u32>) -> Selection {
        let customer = self.customer.as_ref();
        let whose = match (self.list, customer) {
            (List::Customers, _) => {
                return account.select_customers(customer, self.order, after, self.limit);
            }
            (List::Records, _) => Whose::Own,
            (List::CustomerRecords, None) => Whose::Customers,
            (List::CustomerRecords, Some(email)) => Whose::Customer(email),
        };
        account.select(whose, &self.kinds, self.dates, self.order, after, self.limit)
    }

    /// Everything that a cursor must not change, in one number; the limit may.
    fn identity(&self, account: &Account) -> u64 {
        let day =
            |day: Option<_>| day.map_or(String::new(), |day: chrono::NaiveDate| day.to_string());
        let kinds: Vec<_> = self.kinds.iter().map(ImpactKind::as_str).collect();
        hash(&[
            account.user_id().as_str().as_bytes(),
            &[self.list as u8, self.order as u8],
            self.customer.as_ref().map_or("", Email::as_str).as_bytes(),
            kinds.join(",").as_bytes(),
            day(self.dates.start_date()).as_bytes(),
            day(self.dates.end_date()).as_bytes(),
        ])
    }
}
