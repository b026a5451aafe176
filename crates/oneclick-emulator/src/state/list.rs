//! The three lists, page by page.

use oneclick_proto::{
    Cursor, CustomerRecord, CustomerSummary, DateRange, Email, ImpactKind, InvalidValue, Limit,
    ListItem, Page, Record, SortOrder,
};

use super::account::{Account, Owner, VisibleImpact};
use super::behaviour::{Behaviour, Cursors, ListedIn, SortOrders, UnknownFilter, millis};
use super::cursor::{self, Place};
use super::hash::hash;
use super::problem::{Problem, json};
use super::query::Query;
use super::scan::Selection;
use super::view::View;
use super::{Input, Operation, Parsed};

/// The API's default number of items on a page.
const DEFAULT_LIMIT: usize = 10;

/// A request for a page of a list.
struct PageRequest {
    list: WhichList,
    customer: Option<Email>,
    /// The kinds that pass the filter; all kinds if empty.
    kinds: Vec<ImpactKind>,
    /// Whether no record passes the filter.
    is_empty: bool,
    dates: DateRange,
    order: SortOrder,
    limit: usize,
    cursor: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum WhichList {
    Records,
    CustomerRecords,
    Customers,
}

/// `GET /v1/records`.
pub(super) fn records(input: &Input<'_>) -> Parsed {
    let known = ["filter_by", "start_date", "end_date", "limit", "cursor", "sort_order"];
    parse(input, &Query::parse(input, &known)?, WhichList::Records)
}

/// `GET /v1/customer_records`.
pub(super) fn customer_records(input: &Input<'_>) -> Parsed {
    let known =
        ["customer_email", "filter_by", "start_date", "end_date", "limit", "cursor", "sort_order"];
    parse(input, &Query::parse(input, &known)?, WhichList::CustomerRecords)
}

/// `GET /v1/customers`.
pub(super) fn customers(input: &Input<'_>) -> Parsed {
    let known = ["customer_email", "limit", "cursor", "sort_order"];
    parse(input, &Query::parse(input, &known)?, WhichList::Customers)
}

/// Reads a query whose parameters the list is known to take.
fn parse(input: &Input<'_>, query: &Query<'_>, list: WhichList) -> Parsed {
    let names = || query.all("filter_by");
    let mut kinds = names()
        .filter_map(|name| kind(name, input.behaviour.unknown_filter).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    kinds.sort();
    kinds.dedup();
    // Names that the reference does not list may have been ignored.
    let all_ignored = kinds.is_empty() && names().next().is_some();
    let everything = input.behaviour.unknown_filter == UnknownFilter::Everything;
    if everything && names().any(|name| listed(name).is_none()) {
        kinds.clear();
    }
    Ok(Box::new(PageRequest {
        list,
        customer: query.customer_email()?,
        kinds,
        is_empty: all_ignored && !everything,
        dates: query.dates()?,
        order: order(query.get("sort_order"))?,
        limit: limit(query.get("limit"))?,
        cursor: query.get("cursor").map(str::to_owned),
    }))
}

/// The kind of a `filter_by`; `None` if it is ignored.
fn kind(name: &str, unknown: UnknownFilter) -> Result<Option<ImpactKind>, Problem> {
    let kind = match unknown {
        UnknownFilter::Honoured => ImpactKind::known(name),
        _ => listed(name),
    };
    if kind.is_some() || matches!(unknown, UnknownFilter::Empty | UnknownFilter::Everything) {
        return Ok(kind);
    }
    let honoured = unknown == UnknownFilter::Honoured;
    let known = ImpactKind::KNOWN.iter();
    let known = known.filter(|kind| honoured || UnknownFilter::is_listed(kind));
    let known: Vec<_> = known.map(ImpactKind::as_str).collect();
    let known = known.join(", ");
    Err(Problem::invalid(format!(
        "`filter_by` must be one of {known}; repeat it to send several, as in \
         filter_by=tree_planted&filter_by=waste_removed",
    )))
}

/// The kind with this name, if the reference lists it.
fn listed(name: &str) -> Option<ImpactKind> {
    ImpactKind::known(name).filter(UnknownFilter::is_listed)
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
        return Err(Problem::invalid("`limit` must be a whole number between 1 and 1,000"));
    }
    let limit: Limit = text
        .parse()
        .map_err(|error: InvalidValue| Problem::invalid(format!("`limit`: {error}")))?;
    Ok(usize::try_from(limit.get()).unwrap_or(usize::MAX))
}

impl Operation for PageRequest {
    fn check(&self, account: &Account, view: &View<'_>) -> Result<(), Problem> {
        self.place(self.identity(account), view).map(drop)
    }

    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem> {
        let identity = self.identity(account);
        let after = match self.place(identity, view)? {
            Place::Start if view.is_default => None,
            Place::After(position) if view.is_default => Some(position),
            place => return Ok(self.scan(account, view, place)),
        };
        let selection = self.select(account, after);
        let cursor = selection.positions.last().filter(|_| selection.more);
        let cursor = cursor.map(|last| cursor::encode(identity, Place::After(*last), None));
        let cursor = cursor.map(Cursor::new);
        let positions = selection.positions.into_iter();
        Ok(match self.list {
            WhichList::Records => {
                json(&Page::new(positions.map(|at| account.record(at)).collect(), cursor))
            }
            WhichList::CustomerRecords => {
                let records = positions.filter_map(|at| account.customer_record(at));
                json(&Page::new(records.collect(), cursor))
            }
            WhichList::Customers => {
                json(&Page::new(positions.map(|at| account.customer_entry(at)).collect(), cursor))
            }
        })
    }
}

impl PageRequest {
    /// Where the page begins.
    fn place(&self, identity: u64, view: &View<'_>) -> Result<Place, Problem> {
        let Some(cursor) = self.cursor.as_deref() else { return Ok(Place::Start) };
        let (place, issued) = cursor::decode(identity, cursor)?;
        let age = issued.map(|issued| view.now.timestamp_millis().saturating_sub(issued));
        match (view.behaviour.cursors, age) {
            (Cursors::Expire { millis: lifetime }, Some(age)) if age >= millis(lifetime) => {
                Err(Problem::invalid("`cursor` has expired: start again without one"))
            }
            _ => Ok(place),
        }
    }

    /// The page for switches that the indexes do not support, by reading every impact.
    fn scan(&self, account: &Account, view: &View<'_>, place: Place) -> Vec<u8> {
        let Behaviour { sort_order, cursors, limit, other_rows, .. } = view.behaviour;
        let descending = self.order == SortOrder::Desc;
        let reversed = descending && *sort_order == SortOrders::Honoured;
        let mut positions = self.positions(account, view);
        if reversed {
            positions.reverse();
        }
        let start = match place {
            Place::Start => 0,
            Place::After(after) if reversed => positions.partition_point(|at| *at >= after),
            Place::After(after) => positions.partition_point(|at| *at <= after),
            Place::Skip(items) => positions.len().min(items as usize),
        };
        let limit = match self.list {
            WhichList::Customers => limit.of(self.limit),
            _ => other_rows.room(limit.of(self.limit)),
        };
        let end = positions.len().min(start.saturating_add(limit));
        let cursor = (end < positions.len()).then(|| {
            let place = match cursors {
                Cursors::Shift => Place::Skip(u32::try_from(end).unwrap_or(u32::MAX)),
                _ => Place::After(positions[end - 1]),
            };
            let expires = matches!(cursors, Cursors::Expire { .. });
            let issued = expires.then(|| view.now.timestamp_millis());
            cursor::encode(self.identity(account), place, issued)
        });
        let page = &mut positions[start..end];
        if descending && *sort_order == SortOrders::WithinPage {
            page.reverse();
        }
        let (name, rows) = self.rows(account, view, page);
        let cursor = cursor.map(|cursor| format!(",\"cursor\":{}", serde_json::json!(cursor)));
        let cursor = cursor.unwrap_or_default();
        format!("{{\"{name}\":[{}]{cursor}}}", rows.join(",")).into_bytes()
    }

    /// The positions of everything on the list, ascending.
    fn positions(&self, account: &Account, view: &View<'_>) -> Vec<u32> {
        let Behaviour { listed_in, .. } = view.behaviour;
        let filter = self.customer.as_ref().map(Email::as_str);
        let found = |address: Option<&str>| match (filter, address) {
            (None, _) => true,
            (Some(filter), Some(address)) => view.behaviour.finds(address, filter),
            (Some(_), None) => false,
        };
        if self.list == WhichList::Customers {
            let customers = account.visible_customers();
            let seen =
                customers.filter(|(_, address, since)| view.sees(*since) && found(Some(*address)));
            return seen.map(|(position, ..)| position).collect();
        }
        let own = self.list == WhichList::Records;
        let elsewhere = if own { ListedIn::CustomerRecords } else { ListedIn::Records };
        let is_here = |impact: &VisibleImpact<'_>| match impact.address {
            None => own,
            Some(_) => *listed_in != elsewhere,
        };
        let passes = |impact: &VisibleImpact<'_>| {
            !self.is_empty
                && (self.kinds.is_empty() || self.kinds.contains(impact.kind))
                && view.behaviour.includes(self.dates, view.behaviour.day(impact.time))
        };
        let impacts = account.visible_impacts().filter(|impact| {
            is_here(impact) && view.sees(impact.time) && passes(impact) && found(impact.address)
        });
        impacts.map(|impact| impact.position).collect()
    }

    /// The name of the list in the response, and its rows as JSON.
    fn rows(
        &self,
        account: &Account,
        view: &View<'_>,
        positions: &[u32],
    ) -> (&'static str, Vec<String>) {
        let (name, own) = match self.list {
            WhichList::Records => (Record::FIELD, true),
            WhichList::CustomerRecords => (CustomerRecord::FIELD, false),
            WhichList::Customers => {
                let entries = positions.iter().map(|at| account.customer_entry(*at));
                return (
                    CustomerSummary::FIELD,
                    entries.map(|entry| view.customer(&entry)).collect(),
                );
            }
        };
        let first = positions.first().map(|at| account.receipt(*at).time_utc.datetime());
        let other = view.other_row(account, first.unwrap_or(view.now));
        let records = positions.iter().map(|at| view.record(account, *at, own));
        (name, other.into_iter().chain(records).collect())
    }

    fn select(&self, account: &Account, after: Option<u32>) -> Selection {
        let customer = self.customer.as_ref();
        let whose = match (self.list, customer) {
            (WhichList::Customers, _) => {
                return account.select_customers(customer, self.order, after, self.limit);
            }
            (WhichList::Records, _) => Owner::Own,
            (WhichList::CustomerRecords, None) => Owner::Customers,
            (WhichList::CustomerRecords, Some(email)) => Owner::Customer(email),
        };
        account.select(whose, &self.kinds, self.dates, self.order, after, self.limit)
    }

    /// A digest of everything that must stay the same from page to page. The limit may change.
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
