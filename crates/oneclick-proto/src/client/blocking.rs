//! The client for transports that block the thread.

use std::fmt;

use super::{Blocking as Mode, Client, endpoint_methods, items_methods, pages_methods};
use crate::endpoint::PageItems;
use crate::pager::Pager;
use crate::transport::BlockingTransport;
use crate::value::Cursor;
use crate::{
    Account, Call, CancelImpact, Cancellation, CaptureCarbon, CleanOcean, DailyTotals, DonateMoney,
    Endpoint, Error, GetAccount, GetDailyTotals, GetImpactTotals, GetProject, ImpactTotals, Intent,
    InvalidValue, List, ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Machine,
    Outcome, Page, PlantTree, Project, ProjectList, Purchase, Receipt, RestoreCoral, Step,
    TrackImpact, Tracking, VerifiedPurchase,
};

impl<T: BlockingTransport> Client<T, Mode> {
    /// Calls an endpoint: sends its request and waits for the response. A failed request
    /// is retried as [`RetryPolicy`](crate::RetryPolicy) says, but a purchase only if the
    /// failure proves that nothing was bought.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::execution`] tells whether something may have been bought.
    pub fn send<E: Endpoint>(&self, endpoint: E) -> Result<E::Response, Error> {
        self.run(Call::new(endpoint))
    }

    /// Drives a [`Machine`] to completion.
    pub fn run<M: Machine>(&self, machine: M) -> M::Output {
        let mut step = self.start(machine);
        loop {
            step = match step {
                Step::Send(request, sent) => {
                    let outcome = self.transport.send(request);
                    sent.finish(outcome, self.transport.now())
                }
                Step::Wait(wait, waiting) => {
                    self.transport.sleep(wait);
                    waiting.wake(self.transport.now())
                }
                Step::Done(output) => return output,
            };
        }
    }

    endpoint_methods!([] [] Items);
}

/// The pages of a list. It ends after an error, as of [`Client::send`] or
/// [`Pager::request`].
#[must_use = "nothing is sent until the first page is requested"]
pub struct Pages<T, L: List> {
    client: Client<T, Mode>,
    pager: Pager<L>,
}

impl<T: BlockingTransport, L: List> Pages<T, L> {
    fn new(client: Client<T, Mode>, pager: Pager<L>) -> Self {
        Self { client, pager }
    }

    pages_methods!();
}

impl<T: BlockingTransport, L: List> Iterator for Pages<T, L> {
    type Item = Result<Page<L::Item>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let outcome = self.pager.request()?.and_then(|request| self.client.send(request));
            if let Some(page) = self.pager.take(outcome).transpose() {
                return Some(page);
            }
        }
    }
}

impl<T, L: List> fmt::Debug for Pages<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("pager", &self.pager).finish_non_exhaustive()
    }
}

/// The items of a list across all its pages.
///
/// A row that cannot be decoded yields an error of
/// [`ErrorKind::MalformedRow`](crate::ErrorKind) after the items of its page. More items
/// may follow that error; any other error, as of [`Client::send`] or
/// [`Pager::request`], is the last item.
#[must_use = "nothing is sent until the first item is requested"]
pub struct Items<T, L: List> {
    pages: Pages<T, L>,
    items: Option<PageItems<L>>,
}

impl<T: BlockingTransport, L: List> Items<T, L> {
    items_methods!(Pages<T, L>);
}

impl<T: BlockingTransport, L: List> Iterator for Items<T, L> {
    type Item = Result<L::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.as_mut().and_then(Iterator::next) {
                return Some(item);
            }
            match self.pages.next()? {
                Ok(page) => self.items = Some(PageItems::new(page)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<T, L: List> fmt::Debug for Items<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}
