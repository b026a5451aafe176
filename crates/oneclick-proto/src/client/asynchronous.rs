//! The client for async transports.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::{Async as Mode, Client, endpoint_methods, items_methods, pages_methods};
use crate::endpoint::PageItems;
use crate::pager::Pager;
use crate::transport::AsyncTransport;
use crate::value::Cursor;
use crate::{
    Account, Call, CancelImpact, Cancellation, CaptureCarbon, CleanOcean, DailyTotals, DonateMoney,
    Endpoint, Error, GetAccount, GetDailyTotals, GetImpactTotals, GetProject, ImpactTotals, Intent,
    InvalidValue, List, ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Machine,
    Outcome, Page, PlantTree, Project, ProjectList, Purchase, Receipt, RestoreCoral, Step,
    TrackImpact, Tracking, VerifiedPurchase,
};

impl<T: AsyncTransport> Client<T, Mode> {
    /// Calls an endpoint: sends its request and waits for the response. A failed request
    /// is retried as [`RetryPolicy`](crate::RetryPolicy) says, but a purchase only if the
    /// failure proves that nothing was bought.
    ///
    /// You may drop the future to give up the call, but then it is not known whether the
    /// request was executed.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::execution`] tells whether something may have been bought.
    pub async fn send<E: Endpoint>(&self, endpoint: E) -> Result<E::Response, Error> {
        self.run(Call::new(endpoint)).await
    }

    /// Drives a [`Machine`] to completion.
    pub async fn run<M: Machine>(&self, machine: M) -> M::Output {
        let mut step = self.start(machine);
        loop {
            step = match step {
                Step::Send(request, sent) => {
                    let outcome = self.transport.send(request).await;
                    sent.finish(outcome, self.transport.now())
                }
                Step::Wait(wait, waiting) => {
                    self.transport.sleep(wait).await;
                    waiting.wake(self.transport.now())
                }
                Step::Done(output) => return output,
            };
        }
    }

    endpoint_methods!([async] [.await] Items);
}

type PageFuture<L> = Pin<Box<dyn Future<Output = Result<<L as Endpoint>::Response, Error>> + Send>>;

/// The pages of a list. It ends after an error.
///
/// This is a [`Stream`], but [`next`](Self::next) works without a stream library.
#[must_use = "nothing is sent until the first page is requested"]
pub struct Pages<T, L: List> {
    client: Client<T, Mode>,
    pager: Pager<L>,
    in_flight: Option<PageFuture<L>>,
}

impl<T: AsyncTransport, L: List> Pages<T, L> {
    fn new(client: Client<T, Mode>, pager: Pager<L>) -> Self {
        Self { client, pager, in_flight: None }
    }

    pages_methods!();
}

impl<T: AsyncTransport, L: List<Item: Send> + Send + Sync + 'static> Pages<T, L> {
    /// The next page; `None` after the last one and after an error.
    ///
    /// # Errors
    /// As [`Client::send`], and as [`Pager::request`].
    pub async fn next(&mut self) -> Option<Result<Page<L::Item>, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T, L: List> Unpin for Pages<T, L> {}

impl<T: AsyncTransport, L: List<Item: Send> + Send + Sync + 'static> Stream for Pages<T, L> {
    type Item = Result<Page<L::Item>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.in_flight.is_none() {
                let request = match this.pager.request() {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(request)) => request,
                };
                let client = this.client.clone();
                this.in_flight = Some(Box::pin(async move { client.send(request).await }));
            }
            let Some(call) = &mut this.in_flight else {
                return Poll::Ready(None);
            };
            let page = ready!(call.as_mut().poll(context));
            this.in_flight = None;
            if let Some(page) = this.pager.take(page).transpose() {
                return Poll::Ready(Some(page));
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
/// may follow that error; any other error is the last item.
///
/// This is a [`Stream`], but [`next`](Self::next) works without a stream library.
#[must_use = "nothing is sent until the first item is requested"]
pub struct Items<T, L: List> {
    pages: Pages<T, L>,
    items: Option<PageItems<L>>,
}

impl<T: AsyncTransport, L: List> Items<T, L> {
    items_methods!(Pages<T, L>);
}

impl<T: AsyncTransport, L: List<Item: Send> + Send + Sync + 'static> Items<T, L> {
    /// The next item; `None` after the last one, and after an error that ended the list.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Pager::request`], which end the list, and
    /// [`ErrorKind::MalformedRow`](crate::ErrorKind), which does not.
    pub async fn next(&mut self) -> Option<Result<L::Item, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T, L: List> Unpin for Items<T, L> {}

impl<T: AsyncTransport, L: List<Item: Send> + Send + Sync + 'static> Stream for Items<T, L> {
    type Item = Result<L::Item, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.items.as_mut().and_then(Iterator::next) {
                return Poll::Ready(Some(item));
            }
            match ready!(Pin::new(&mut this.pages).poll_next(context)) {
                Some(Ok(page)) => this.items = Some(PageItems::new(page)),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T, L: List> fmt::Debug for Items<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}
