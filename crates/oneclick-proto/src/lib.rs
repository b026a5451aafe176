//! The 1ClickImpact API without I/O: typed requests and responses, paging, and errors that
//! say whether money moved.
//!
//! A call plants trees, removes plastic from the ocean, captures carbon, restores coral or
//! donates money. Each such call is a purchase, and the API has no idempotency key. So this
//! crate makes sure that a purchase is well-formed, that it is not made twice, and that a
//! failure says whether it was made.
//!
//! Nothing in this crate opens a socket, reads a clock or spawns a task. If you want a
//! client, use the adapter for your runtime: `oneclick-reqwest` (async), `oneclick-ureq`
//! (blocking) or `oneclick-hyper` (low-level). Use this crate with your own transport.
//!
//! # A call from start to finish
//!
//! ```
//! use std::time::Duration;
//! use oneclick_proto::{
//!     Api, Call, Customer, Execution, Machine, PlantTree, RetryPolicy, Step, TransportError,
//!     Trees,
//! };
//!
//! // 1. Values are checked when they are created.
//! let trees = Trees::new(5)?;
//! let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
//!
//! // 2. An endpoint is a struct. Its call starts with a request.
//! let api = Api::sandbox("test_key")?;
//! let call = Call::new(PlantTree::new(trees).customer(customer));
//! let first = call.start(&api, RetryPolicy::STANDARD, 7, Duration::ZERO);
//! let Step::Send(request, sent) = first else {
//!     unreachable!("a call sends first");
//! };
//! assert_eq!(request.uri(), "https://sandbox.1clickimpact.com/v1/plant_tree");
//!
//! // 3. Your transport sends it. In this example the response is lost.
//! let outcome: Result<http::Response<Vec<u8>>, _> =
//!     Err(TransportError::exchange("connection reset by peer"));
//!
//! // 4. The outcome leads to the next step.
//! let Step::Done(result) = sent.finish(outcome, Duration::from_millis(80)) else {
//!     unreachable!("a purchase that may have been made is not sent again");
//! };
//! let error = result.unwrap_err();
//! assert_eq!(error.execution(), Execution::Unknown);
//! assert_eq!(
//!     error.to_string(),
//!     "POST /v1/plant_tree: the connection failed before a response arrived; \
//!      the request may have been executed, so check before sending it again",
//! );
//! # Ok::<(), oneclick_proto::Error>(())
//! ```
//!
//! # Overview
//!
//! * [`Api`]: base URL and key; writes requests and reads responses.
//! * [`endpoint`]: the endpoints, one per module. [`Endpoint`]: their trait, which you can
//!   implement for others.
//! * [`value`]: amounts, e-mail addresses, dates, timestamps, kinds of impact, metadata and
//!   ids.
//! * [`Machine`]: the loop that drives a [`Call`], a [`VerifiedPurchase`] or a
//!   [`Settlement`] over any transport. [`RetryPolicy`]: how often a request is sent.
//!   [`Pager`]: a list, page by page.
//! * [`Purchase`]: any of the actions as one type, to be stored and sent later.
//! * [`Probe`]: asks a server what the API's reference leaves unstated.
//! * [`Error`] and [`Execution`]: why a call failed, and whether money moved.
//! * [`Client`]: all of this over an [`AsyncTransport`] or a [`BlockingTransport`].
//! * [`guide`]: how to write a transport in fifteen minutes.
//!
//! # Other crates
//!
//! Dates and times are those of `chrono`, requests and responses those of `http`. Both
//! crates are re-exported, as `oneclick_proto::chrono` and `oneclick_proto::http`, and
//! from each adapter likewise.
//!
//! # Features
//!
//! * `proptest`: the module `strategies`, to test your own code with any request, value and
//!   response, including hostile ones.
//! * `tracing`: an event of level DEBUG and target `oneclick` for each attempt of a call. Its
//!   fields have the names of OpenTelemetry's HTTP client conventions: method, path
//!   template, server, status, resend count, error type, and the wait until the next
//!   attempt. They contain no key, e-mail address or name.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod api;
mod conversions;
mod machine;
mod mend;
mod pager;
mod purchase;
mod reexports;
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
pub mod probe;

pub use api::{Api, ApiKey, BaseUrl, ConfigError};
pub use client::{AsyncClient, BlockingClient, Client};
pub use endpoint::cancel_impact::{CancelImpact, CancelMessage, Cancellation};
pub use endpoint::capture_carbon::CaptureCarbon;
pub use endpoint::clean_ocean::CleanOcean;
pub use endpoint::customer_records::ListCustomerRecords;
pub use endpoint::customers::{CustomerSummary, ListCustomers};
pub use endpoint::daily_impact::{DailyTotals, Day, GetDailyTotals};
pub use endpoint::donate_money::DonateMoney;
pub use endpoint::impact::{GetImpactTotals, ImpactTotals};
pub use endpoint::plant_tree::PlantTree;
pub use endpoint::project_by_id::GetProject;
pub use endpoint::projects::{Goal, ListProjects, Locale, Project, ProjectList, ProjectType};
pub use endpoint::records::ListRecords;
pub use endpoint::restore_coral::RestoreCoral;
pub use endpoint::track::{TrackImpact, Tracking};
pub use endpoint::whoami::{Account, GetAccount};
pub use endpoint::{
    Action, CustomerRecord, Endpoint, List, ListItem, NoCustomer, Page, Receipt, Record, Row,
};
pub use error::{Error, ErrorBody, ErrorKind, ErrorType, Execution};
pub use machine::{Call, Machine, Sent, Settled, Settlement, Step, VerifiedPurchase, Waiting};
pub use pager::Pager;
pub use probe::{Probe, ProbeReport};
pub use purchase::Purchase;
pub use retry::RetryPolicy;
pub use transport::{
    AsyncTransport, BlockingTransport, BodyGate, BodyReader, Connect, Gunzip, Phase, Proxy,
    ProxyError, ProxyScheme, SendBy, TransportError, TransportOptions, Withdrawn, accept_encoding,
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
