//! The lists: one page, or every page.

use oneclick_ureq::client::blocking::Items;
use oneclick_ureq::{Email, Limit, List, ListCustomerRecords, ListCustomers, ListRecords};

use crate::args::{Listing, Selected};
use crate::columns::Listed;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{self, CsvForm, Printer};
use crate::session::{AnyTransport, Session};
use crate::shell;

pub(crate) fn records(
    session: &Session,
    selected: Selected,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut request = ListRecords::new().dates(selected.dates.range()?);
    request.filter_by = selected.kind;
    request.sort_order = Some(listing.order.into());
    let request = first_page(request, listing);
    print_pages(session, session.client.records(request), listing, selected.csv.into())
}

pub(crate) fn customer_records(
    session: &Session,
    email: Option<Email>,
    selected: Selected,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut request = ListCustomerRecords::new().dates(selected.dates.range()?);
    request.customer_email = email;
    request.filter_by = selected.kind;
    request.sort_order = Some(listing.order.into());
    let request = first_page(request, listing);
    print_pages(session, session.client.customer_records(request), listing, selected.csv.into())
}

pub(crate) fn customers(
    session: &Session,
    email: Option<Email>,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut request = ListCustomers::new();
    request.customer_email = email;
    request.sort_order = Some(listing.order.into());
    let request = first_page(request, listing);
    print_pages(session, session.client.customers(request), listing, CsvForm::default())
}

/// Sets the limit and the cursor of the first page.
fn first_page<L: List>(mut request: L, listing: &Listing) -> L {
    if let Some(limit) = listing.limit.or_else(|| listing.all.then(Limit::of::<1000>)) {
        request = request.with_limit(limit);
    }
    match &listing.cursor {
        Some(cursor) => request.with_cursor(cursor.clone()),
        None => request,
    }
}

/// Prints one page, or with `--all` every page, each before the next is requested.
fn print_pages<L: List<Item: Listed>>(
    session: &Session,
    items: Items<AnyTransport, L>,
    listing: &Listing,
    form: CsvForm,
) -> Result<(), Failure> {
    let mut pages = items.into_pages();
    let mut rows = Printer::new(listing.format.into()).csv_form(form);
    let mut count = 0;
    let progress = output::spinner(session.quiet || !listing.all, "rows");
    let mut unfinished = interrupt::set_unfinished("no page was printed completely");
    let continuation = |cursor: &str| {
        format!("continue with --cursor={} and the same options", shell::quoted(cursor))
    };
    while let Some(page) = pages.next() {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                progress.finish_and_clear();
                // Unless the same command does the same. Even if quiet: this belongs to the error.
                if let Some(cursor) =
                    pages.cursor().filter(|at| Some(*at) != listing.cursor.as_ref())
                {
                    let text = format!("{count} rows printed; {}", continuation(cursor.as_str()));
                    output::notice(false, &text);
                }
                return Err(error.into());
            }
        };
        count += page.items.len() + page.malformed.len();
        progress.suspend(|| rows.print(&page.items, &page.malformed))?;
        progress.set_message(format!("{count} rows"));
        let cursor = pages.cursor();
        drop(unfinished);
        unfinished = interrupt::set_unfinished(match cursor {
            Some(cursor) => format!("{count} rows printed; {}", continuation(cursor.as_str())),
            None => format!("all {count} rows were printed"),
        });
        if !listing.all {
            if let Some(cursor) = cursor {
                let text = format!("there are more rows: {}", continuation(cursor.as_str()));
                output::notice(session.quiet, &text);
            }
            break;
        }
    }
    drop(unfinished);
    progress.finish_and_clear();
    if count == 0 {
        output::notice(session.quiet, "no rows found");
    }
    rows.end()
}
