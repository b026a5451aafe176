//! The names that an adapter re-exports, listed once for all adapters.

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
