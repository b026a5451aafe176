//! The 1ClickImpact API without I/O: typed requests, responses, paging, and
//! the truth about whether money moved.
//!
//! One call plants a tree, takes plastic out of the ocean, captures carbon,
//! restores coral or donates money. Each of them is a purchase, and the API has no idempotency
//! key: what this crate is for is that no purchase is malformed, none is made
//! twice, and a failure says whether it was made.
//!
//! Nothing here opens a socket, reads a clock or spawns a task. If you want a
//! client, take the adapter of your runtime: `oneclick-reqwest` (async),
//! `oneclick-ureq` (blocking) or `oneclick-hyper` (low-level). If you have a
//! transport of your own, you are in the right place.
//!
//! # One call from beginning to end
//!
//! ```
//! use std::time::Duration;
//! use oneclick_proto::{
//!     Api, Call, Customer, Execution, Machine, PlantTree, RetryPolicy, Step, TransportError, Trees,
//! };
//!
//! // 1. Values are checked when they are made.
//! let trees = Trees::new(5)?;
//! let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
//!
//! // 2. An endpoint is a struct. A call of it begins with a request.
//! let api = Api::sandbox("test_key")?;
//! let call = Call::new(PlantTree::new(trees).customer(customer));
//! let Step::Send(request, sent) = call.start(&api, RetryPolicy::STANDARD, 7, Duration::ZERO) else {
//!     unreachable!("a call sends first");
//! };
//! assert_eq!(request.uri(), "https://sandbox.1clickimpact.com/v1/plant_tree");
//!
//! // 3. Your transport carries it; here it loses the response.
//! let outcome: Result<http::Response<Vec<u8>>, _> =
//!     Err(TransportError::exchange("connection reset by peer"));
//!
//! // 4. The outcome is exchanged for the next step.
//! let Step::Done(result) = sent.finish(outcome, Duration::from_millis(80)) else {
//!     unreachable!("a purchase that may have been made is not sent again");
//! };
//! let error = result.unwrap_err();
//! assert_eq!(error.execution(), Execution::Unknown);
//! assert_eq!(
//!     error.to_string(),
//!     "POST /v1/plant_tree: the connection failed before a response arrived; \
//!      whether it was executed is not known",
//! );
//! # Ok::<(), oneclick_proto::Error>(())
//! ```
//!
//! # Where to look
//!
//! * [`Api`]: base URL and key; writes requests, reads responses.
//! * [`Endpoint`]: what an endpoint is, and how to add your own;
//!   [`endpoint`]: those there are, one a module.
//! * [`value`]: amounts, e-mail addresses, days, timestamps, kinds of impact,
//!   metadata, ids.
//! * [`Machine`]: the one loop that drives a [`Call`], a [`VerifiedPurchase`] or a
//!   [`Settlement`] over any transport. [`RetryPolicy`]: how often a request is
//!   sent. [`Pager`]: one list, page by page.
//! * [`Purchase`]: any of the actions as a value, to be stored and sent later.
//! * [`Error`] and [`Execution`]: what went wrong, and whether money moved.
//! * [`guide`]: write your own transport in fifteen minutes.
//! * [`Client`]: all of it driven over an [`AsyncTransport`] or a
//!   [`BlockingTransport`], which is `send`, `sleep` and a clock.
//!
//! # Other crates
//!
//! Dates and times are those of `chrono`, requests and responses those of `http`. Both
//! crates are re-exported, as `oneclick_proto::chrono` and `oneclick_proto::http`, and
//! from each adapter likewise.
//!
//! # Features
//!
//! * `proptest`: the module `strategies`, to test code of your own with every
//!   request, value and answer, hostile ones among them.
//! * `tracing`: an event of level DEBUG and target `oneclick` for each attempt
//!   at a call, with the names of OpenTelemetry's HTTP client conventions:
//!   method, path template, server, status, resend count, error type, and how
//!   long until the next attempt. Never a key, an address or a name.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod api;
mod conversions;
mod machine;
mod mend;
mod pager;
mod purchase;
mod retry;
mod setters;
mod trace;
mod transport;
mod verify;

#[cfg(feature = "proptest")]
pub mod strategies;
#[macro_use]
pub mod value;
pub mod client;
pub mod endpoint;
mod error;
pub mod guide;

pub use api::{Api, ApiKey, BaseUrl};
pub use client::{AsyncClient, BlockingClient, Client};
pub use endpoint::cancel_impact::{CancelImpact, CancelMessage, Cancellation};
pub use endpoint::capture_carbon::CaptureCarbon;
pub use endpoint::clean_ocean::CleanOcean;
pub use endpoint::customer_records::{CustomerRecord, ListCustomerRecords};
pub use endpoint::customers::{CustomerSummary, ListCustomers};
pub use endpoint::daily_impact::{DailyTotals, Day, GetDailyTotals};
pub use endpoint::donate_money::DonateMoney;
pub use endpoint::impact::{GetImpactTotals, ImpactTotals};
pub use endpoint::plant_tree::PlantTree;
pub use endpoint::project_by_id::GetProject;
pub use endpoint::projects::{Goal, ListProjects, Locale, Project, ProjectList, ProjectType};
pub use endpoint::records::{ListRecords, Record};
pub use endpoint::restore_coral::RestoreCoral;
pub use endpoint::track::{TrackImpact, Tracking};
pub use endpoint::whoami::{Account, GetAccount};
pub use endpoint::{Action, Endpoint, List, ListItem, Page, Receipt};
pub use error::{Error, ErrorBody, ErrorKind, ErrorType, Execution};
pub use machine::{Call, Machine, Sent, Settled, Settlement, Step, VerifiedPurchase, Waiting};
pub use pager::Pager;
pub use purchase::Purchase;
pub use retry::RetryPolicy;
pub use transport::{
    AsyncTransport, BlockingTransport, BodyGate, BodyReader, Connect, Gunzip, Phase, Proxy,
    ProxyError, ProxyScheme, TransportError, TransportOptions, Withdrawn, accept_encoding,
};
pub use value::{
    Category, Cents, Cursor, Customer, DateRange, Email, Extra, Fragments, Impact, ImpactId,
    ImpactKind, InvalidValue, Limit, Metadata, OtherName, Pounds, Reason, RecordCustomer,
    RecordedMetadata, Redacted, SortOrder, Timestamp, Totals, TreeCategory, Trees, UserId,
};
pub use verify::{
    Intent, NotBought, Outcome, Pending, PurchaseState, Unresolved, UnresolvedReason, VerifyPolicy,
};
#[doc(no_inline)]
pub use {chrono, http};
