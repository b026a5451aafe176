//! What all adapters have in common: the names that they re-export, the table of a client's
//! methods, and the gzip decoder.

/// Re-exports what users of a client need. What only authors of a transport need stays in
/// `oneclick_proto`.
#[doc(hidden)]
#[macro_export]
macro_rules! reexport_for_clients {
    () => {
        #[doc(inline)]
        pub use $crate::{
            Account, Action, Api, ApiKey, AsyncClient, AsyncTransport, BaseUrl, BlockingClient,
            BlockingTransport, Call, CancelImpact, CancelMessage, Cancellation, CaptureCarbon,
            Category, Cents, CleanOcean, ConfigError, Connect, Cursor, Customer, CustomerRecord,
            CustomerSummary, DailyTotals, DateRange, Day, DonateMoney, Email, Endpoint, Error,
            ErrorBody, ErrorKind, ErrorType, Execution, Extra, Fragments, GetAccount,
            GetDailyTotals, GetImpactTotals, GetProject, Goal, Impact, ImpactId, ImpactKind,
            ImpactTotals, Intent, InvalidValue, Limit, List, ListCustomerRecords, ListCustomers,
            ListItem, ListProjects, ListRecords, Locale, Machine, Metadata, NoCustomer, NotBought,
            OtherName, Outcome, Page, Pager, Pending, Phase, PlantTree, Pounds, Probe, ProbeReport,
            Project, ProjectList, ProjectType, Proxy, ProxyError, ProxyScheme, Purchase,
            PurchaseState, Reason, Receipt, Record, RecordCustomer, RecordedMetadata, Redacted,
            RestoreCoral, RetryPolicy, Row, Sent, Settled, Settlement, SortOrder, Step, Timestamp,
            Totals, TrackImpact, Tracking, TransportError, TransportOptions, TreeCategory, Trees,
            Unresolved, UnresolvedReason, UserId, VerifiedPurchase, VerifyPolicy, Waiting, client,
            probe,
        };
    };
}

/// The table of a client's methods, for the documentation of an adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! methods_of_a_client {
    () => {
        r"
| to | call on [`Client`] |
|---|---|
| buy | [`plant_tree`], [`clean_ocean`], [`capture_carbon`], [`restore_coral`], [`donate_money`] |
| buy exactly once | [`buy_verified`]; after a crash, [`VerifiedPurchase::resume`] with [`run`] |
| undo a purchase | [`cancel_impact`] |
| read | [`whoami`], [`impact`], [`daily_impact`], [`track`], [`projects`], [`project`] |
| list | [`records`], [`customer_records`], [`customers`] |
| call any other endpoint | [`send`] |

[`buy_verified`]: client::Client::buy_verified
[`cancel_impact`]: client::Client::cancel_impact
[`capture_carbon`]: client::Client::capture_carbon
[`clean_ocean`]: client::Client::clean_ocean
[`customer_records`]: client::Client::customer_records
[`customers`]: client::Client::customers
[`daily_impact`]: client::Client::daily_impact
[`donate_money`]: client::Client::donate_money
[`impact`]: client::Client::impact
[`plant_tree`]: client::Client::plant_tree
[`project`]: client::Client::project
[`projects`]: client::Client::projects
[`records`]: client::Client::records
[`restore_coral`]: client::Client::restore_coral
[`run`]: client::Client::run
[`send`]: client::Client::send
[`track`]: client::Client::track
[`whoami`]: client::Client::whoami
"
    };
}

/// Declares `GUNZIP`, the gzip decoder: `None` without the adapter's feature `gzip`.
#[doc(hidden)]
#[macro_export]
macro_rules! gunzip_of_flate2 {
    () => {
        #[cfg(feature = "gzip")]
        const GUNZIP: Option<$crate::Gunzip> =
            Some(|packed| Box::new(flate2::bufread::MultiGzDecoder::new(packed)));
        #[cfg(not(feature = "gzip"))]
        const GUNZIP: Option<$crate::Gunzip> = None;
    };
}
