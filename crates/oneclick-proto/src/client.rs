//! The client: every endpoint and every list over a transport.
//!
//! It drives the machines and reads the lists page by page; the transport sends the
//! requests. Each adapter crate defines a transport and the client over it as a type
//! alias.

pub mod asynchronous;
pub mod blocking;

use std::fmt;
use std::marker::PhantomData;

use crate::transport::{Connect, TransportOptions};
use crate::{Api, Error, RetryPolicy};

/// Marks a client whose calls are futures.
#[derive(Clone, Copy, Debug)]
pub struct Async;

/// Marks a client whose calls block the thread.
#[derive(Clone, Copy, Debug)]
pub struct Blocking;

/// A client over an [`AsyncTransport`](crate::AsyncTransport).
pub type AsyncClient<T> = Client<T, Async>;

/// A client over a [`BlockingTransport`](crate::BlockingTransport).
pub type BlockingClient<T> = Client<T, Blocking>;

/// A client of the API over a transport. It is cheap to clone and can be shared between
/// threads and tasks.
///
/// Every endpoint has a method, and [`send`](Self::send) takes any
/// [`Endpoint`](crate::Endpoint), including your own.
#[derive(Clone)]
pub struct Client<T, Mode> {
    api: Api,
    transport: T,
    retry: RetryPolicy,
    mode: PhantomData<Mode>,
}

impl<T: Connect, Mode> Client<T, Mode> {
    /// A client for the sandbox environment, `https://sandbox.1clickimpact.com`.
    ///
    /// # Errors
    /// The key is invalid or begins with `live_`, or the transport cannot be set up.
    pub fn sandbox(key: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(Api::sandbox(key)?)
    }

    /// A client for production, `https://api.1clickimpact.com`. Purchases cost money.
    ///
    /// # Errors
    /// The key is invalid or begins with `test_`, or the transport cannot be set up.
    pub fn production(key: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(Api::production(key)?)
    }

    /// A client for another base URL, such as that of a local emulator. `http://` is
    /// allowed only for loopback addresses.
    ///
    /// # Errors
    /// As [`Api::with_base_url`], or the transport cannot be set up.
    pub fn with_base_url(base_url: impl AsRef<str>, key: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(Api::with_base_url(base_url, key)?)
    }

    /// A client configured by the environment variables `ONECLICK_API_KEY` and,
    /// optionally, `ONECLICK_BASE_URL` and `ONECLICK_INSECURE`; see [`Api::from_vars`].
    ///
    /// # Errors
    /// As [`Api::from_vars`], or the transport cannot be set up.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Api::from_vars(T::var)?)
    }

    /// A client for this API, with the default [`TransportOptions`].
    ///
    /// # Errors
    /// The transport cannot be set up.
    pub fn new(api: Api) -> Result<Self, Error> {
        Self::with_options(api, &TransportOptions::new())
    }

    /// A client for this API, with these timeouts and limits.
    ///
    /// # Errors
    /// A timeout is zero, or the transport cannot be set up.
    pub fn with_options(api: Api, options: &TransportOptions) -> Result<Self, Error> {
        let transport = T::connect(&api, &options.checked()?).map_err(Error::setup)?;
        Ok(Self::with_transport(api, transport))
    }
}

impl<T, Mode> Client<T, Mode> {
    /// A client over an existing transport.
    pub const fn with_transport(api: Api, transport: T) -> Self {
        Self { api, transport, retry: RetryPolicy::STANDARD, mode: PhantomData }
    }

    /// The same client with another retry policy. A new client has
    /// [`RetryPolicy::STANDARD`].
    ///
    /// For a single call: `client.with_retry(RetryPolicy::NEVER).whoami()`.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self
    where
        T: Clone,
    {
        let (api, transport) = (self.api.clone(), self.transport.clone());
        Self { api, transport, retry, mode: PhantomData }
    }

    /// The retry policy.
    pub const fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// The base URL and the key.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// The transport.
    pub const fn transport(&self) -> &T {
        &self.transport
    }
}

impl<T, Mode> fmt::Debug for Client<T, Mode> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &format_args!("{}", self.api.base_url()))
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// The methods for the endpoints, shared by both kinds of client.
///
/// `$($async)? $($await)*` are `async` and `.await`, or nothing.
macro_rules! endpoint_methods {
    ([$($async:ident)?] [$($await:tt)*] $items:ident) => {
        /// `GET /v1/whoami`: checks the key and returns its account.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn whoami(&self) -> Result<Account, Error> {
            self.send(GetAccount)$($await)*
        }

        /// `POST /v1/plant_tree`: plants trees. Takes [`Trees`](crate::Trees),
        /// or a [`PlantTree`] with a customer and a category.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn plant_tree(
            &self,
            trees: impl Into<PlantTree>,
        ) -> Result<Receipt, Error> {
            self.send(trees.into())$($await)*
        }

        /// `POST /v1/clean_ocean`: removes plastic from the ocean. Takes
        /// [`Pounds`](crate::Pounds), or a [`CleanOcean`] with a customer.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn clean_ocean(
            &self,
            plastic: impl Into<CleanOcean>,
        ) -> Result<Receipt, Error> {
            self.send(plastic.into())$($await)*
        }

        /// `POST /v1/capture_carbon`: captures carbon. Takes
        /// [`Pounds`](crate::Pounds) of CO2, or a [`CaptureCarbon`] with a
        /// customer.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn capture_carbon(
            &self,
            carbon: impl Into<CaptureCarbon>,
        ) -> Result<Receipt, Error> {
            self.send(carbon.into())$($await)*
        }

        /// `POST /v1/restore_coral`: restores coral reefs. Takes
        /// [`Fragments`](crate::Fragments) of coral, or a [`RestoreCoral`] with
        /// a customer.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn restore_coral(
            &self,
            coral: impl Into<RestoreCoral>,
        ) -> Result<Receipt, Error> {
            self.send(coral.into())$($await)*
        }

        /// `POST /v1/donate_money`: donates money. Takes US
        /// [`Cents`](crate::Cents), or a [`DonateMoney`] with a customer.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn donate_money(
            &self,
            money: impl Into<DonateMoney>,
        ) -> Result<Receipt, Error> {
            self.send(money.into())$($await)*
        }

        /// `POST /v1/cancel_impact`: cancels an impact; idempotent. Takes a
        /// receipt, a record, a [`Tracking`] or an
        /// [`ImpactId`](crate::ImpactId), by value or by reference, the text of
        /// an id, or a [`CancelImpact`] with a reason.
        ///
        /// # Errors
        /// As [`send`](Self::send), and if a text or the `tracking_id` of a
        /// [`Tracking`] is not an id.
        pub $($async)? fn cancel_impact(
            &self,
            impact: impl TryInto<CancelImpact, Error: Into<InvalidValue>>,
        ) -> Result<Cancellation, Error> {
            let cancel = impact.try_into().map_err(Into::into)?;
            self.send(cancel)$($await)*
        }

        /// `GET /v1/impact`: the account's lifetime totals.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn impact(&self) -> Result<ImpactTotals, Error> {
            self.send(GetImpactTotals)$($await)*
        }

        /// `GET /v1/impact/daily`: the account's totals by day. Takes a
        /// [`DateRange`](crate::DateRange), or a [`GetDailyTotals`].
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn daily_impact(
            &self,
            days: impl Into<GetDailyTotals>,
        ) -> Result<DailyTotals, Error> {
            self.send(days.into())$($await)*
        }

        /// `GET /v1/track`: the progress of an impact. Takes a receipt, a record,
        /// a [`Tracking`] or an [`ImpactId`](crate::ImpactId), by value or by
        /// reference, the text of an id, or a [`TrackImpact`].
        ///
        /// # Errors
        /// As [`send`](Self::send), and if a text or the `tracking_id` of a
        /// [`Tracking`] is not an id.
        pub $($async)? fn track(
            &self,
            impact: impl TryInto<TrackImpact, Error: Into<InvalidValue>>,
        ) -> Result<Tracking, Error> {
            let track = impact.try_into().map_err(Into::into)?;
            self.send(track)$($await)*
        }

        /// `GET /v1/projects`: the projects that impacts support. Takes a
        /// [`ProjectType`](crate::ProjectType), or a [`ListProjects`] with a
        /// language.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn projects(
            &self,
            request: impl Into<ListProjects>,
        ) -> Result<ProjectList, Error> {
            self.send(request.into())$($await)*
        }

        /// `GET /v1/projects/{project_id}`: one project. Takes its id, or a
        /// [`GetProject`] with a language.
        ///
        /// # Errors
        #[doc = $crate::client::errors!()]
        pub $($async)? fn project(
            &self,
            project_id: impl Into<GetProject>,
        ) -> Result<Project, Error> {
            self.send(project_id.into())$($await)*
        }

        /// `GET /v1/records`: the account's own impacts across all pages.
        /// Impacts for a customer are only in
        /// [`customer_records`](Self::customer_records). For a single page,
        /// [`send`](Self::send) the request.
        pub fn records(&self, request: ListRecords) -> $items<T, ListRecords> {
            self.list(request)
        }

        /// `GET /v1/customer_records`: the impacts for customers across all
        /// pages. The account's own impacts are in [`records`](Self::records).
        /// For a single page, [`send`](Self::send) the request.
        pub fn customer_records(
            &self,
            request: ListCustomerRecords,
        ) -> $items<T, ListCustomerRecords> {
            self.list(request)
        }

        /// `GET /v1/customers`: the customers across all pages. For a single
        /// page, [`send`](Self::send) the request.
        pub fn customers(&self, request: ListCustomers) -> $items<T, ListCustomers> {
            self.list(request)
        }

        /// Buys something once and verifies it: if the response is lost, this
        /// looks for the purchase in the records. [`VerifiedPurchase`] describes
        /// how, with its assumptions, and how to survive a crash.
        ///
        /// Do not call this twice with the same intent: it does not check earlier
        /// calls. If an earlier call is possible, because a handler runs again or
        /// a process died, then [`run`](Self::run)
        /// [`VerifiedPurchase::resume`] or [`VerifiedPurchase::recover`] instead.
        ///
        /// If the response is lost, this takes longer than a call by up to
        /// [`VerifyPolicy::patience`](crate::VerifyPolicy::patience).
        pub $($async)? fn buy_verified(
            &self,
            intent: &Intent,
            purchase: impl Into<Purchase>,
        ) -> Outcome {
            match VerifiedPurchase::new(intent, purchase) {
                Ok(purchase) => self.run(purchase)$($await)*,
                Err(invalid) => Outcome::Refused(invalid.into()),
            }
        }

        /// The first step of a [`Machine`], for your own loop over
        /// [`transport`](Self::transport); [`Machine`] shows that loop.
        pub fn start<M: Machine>(&self, machine: M) -> Step<M> {
            let (seed, now) = (self.transport.seed(), self.transport.now());
            machine.start(&self.api, self.retry, seed, now)
        }

        /// The items of any list, including your own, across all pages.
        pub fn list<L: List>(&self, request: L) -> $items<T, L> {
            $items::new(self.clone(), Pager::new(request))
        }
    };
}

/// The `# Errors` section of the methods above.
macro_rules! errors {
    () => {
        "As [`send`](Self::send)."
    };
}

use endpoint_methods;
pub(crate) use errors;

/// The caps, the cursor and the pages of `Items`, shared by both kinds of client.
macro_rules! items_methods {
    ($pages:ty) => {
        pub(super) fn new(client: Client<T, Mode>, pager: Pager<L>) -> Self {
            Self { pages: Pages::new(client, pager), items: None }
        }

        /// Ends after this many pages.
        pub fn max_pages(mut self, pages: u64) -> Self {
            self.pages.pager = self.pages.pager.max_pages(pages);
            self
        }

        /// Ends after this many items.
        pub fn max_items(mut self, items: u64) -> Self {
            self.pages.pager = self.pages.pager.max_items(items);
            self
        }

        /// The pages instead of their items. Items of the current page that were
        /// not taken yet are dropped.
        pub fn into_pages(self) -> $pages {
            self.pages
        }

        /// The cursor to resume from once the items of the current page are taken:
        /// that of the next page, or of the page that failed. `None` at the start and
        /// after the end.
        pub fn cursor(&self) -> Option<&Cursor> {
            self.pages.cursor()
        }
    };
}

/// The state of `Pages`, shared by both kinds of client.
macro_rules! pages_methods {
    () => {
        /// The cursor to resume from: that of the next page, or of the page that
        /// failed. `None` at the start and after the end.
        pub fn cursor(&self) -> Option<&Cursor> {
            self.pager.cursor()
        }

        /// Whether the list was read to its end, without a cap or an error.
        pub fn is_complete(&self) -> bool {
            self.pager.is_complete()
        }
    };
}

use {items_methods, pages_methods};
