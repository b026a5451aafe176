//! The lists: a page, or every page.

use oneclick_ureq::client::blocking::Items;
use oneclick_ureq::{Email, Limit, List, ListCustomerRecords, ListCustomers, ListRecords};

use crate::args::{Dates, Kinds, Listing};
use crate::failure::{Failure, quoted};
use crate::interrupt;
use crate::output::{self, Row, Rows};
use crate::session::{Session, Wire};

pub(crate) fn records(
    session: &Session,
    kinds: Kinds,
    dates: &Dates,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut request = ListRecords::new().dates(dates.range()?);
    request.filter_by = kinds.kind;
    request.sort_order = Some(listing.order.into());
    let request = page(request, listing);
    walk(session, session.client.records(request), listing)
}

pub(crate) fn customer_records(
    session: &Session,
    email: Option<Email>,
    kinds: Kinds,
    dates: &Dates,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut request = ListCustomerRecords::new().dates(dates.range()?);
    request.customer_email = email;
    request.filter_by = kinds.kind;
    request.sort_order = Some(listing.order.into());
    let request = page(request, listing);
    walk(session, session.client.customer_records(request), listing)
}

pub(crate) fn customers(
    session: &Session,
    email: Option<Email>,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut request = ListCustomers::new();
    request.customer_email = email;
    request.sort_order = Some(listing.order.into());
    let request = page(request, listing);
    walk(session, session.client.customers(request), listing)
}

/// The page to begin with.
fn page<L: List>(mut request: L, listing: &Listing) -> L {
    if let Some(limit) = listing.limit.or_else(|| listing.all.then(Limit::of::<1000>)) {
        request = request.with_limit(limit);
    }
    match &listing.cursor {
        Some(cursor) => request.with_cursor(cursor.clone()),
        None => request,
    }
}

/// Prints a page, or with `--all` every one, each before the next is asked for.
fn walk<L: List<Item: Row>>(
    session: &Session,
    items: Items<Wire, L>,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut pages = items.into_pages();
    let mut rows = Rows::new(listing.format.into());
    let mut count = 0;
    let progress = output::spinner(session.quiet || !listing.all, "rows");
    let mut open = interrupt::leaves_open("no page was printed completely");
    let go_on =
        |cursor: &str| format!("continue with --cursor={} and the same options", quoted(cursor));
    while let Some(page) = pages.next() {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                progress.finish_and_clear();
                if let Some(cursor) = pages.cursor() {
                    // Even if quiet: it belongs to what went wrong.
                    output::tell(false, &format!("{count} rows; {}", go_on(cursor.as_str())));
                }
                return Err(error.into());
            }
        };
        count += page.items.len() + page.malformed.len();
        progress.suspend(|| rows.print(&page.items, &page.malformed))?;
        progress.set_message(format!("{count} rows"));
        let cursor = pages.cursor();
        drop(open);
        open = interrupt::leaves_open(match cursor {
            Some(cursor) => format!("{count} rows; {}", go_on(cursor.as_str())),
            None => format!("{count} rows, which is all"),
        });
        if !listing.all {
            if let Some(cursor) = cursor {
                output::tell(
                    session.quiet,
                    &format!("there are more rows: {}", go_on(cursor.as_str())),
                );
            }
            break;
        }
    }
    drop(open);
    progress.finish_and_clear();
    if count == 0 {
        output::tell(session.quiet, "no rows found");
    }
    rows.end()
}
