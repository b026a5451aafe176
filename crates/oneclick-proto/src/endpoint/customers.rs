//! The customers of the account: `GET /v1/customers`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::list::list_setters;
use super::{Endpoint, ListItem, Page};
use crate::value::{Cursor, Email, Extra, Limit, Redacted, SortOrder, Timestamp};

/// `GET /v1/customers`: everybody on whose behalf an impact was made, by the
/// time of the first one.
///
/// ```
/// use oneclick_proto::{Api, ListCustomers, Limit, SortOrder};
///
/// let api = Api::sandbox("test_key")?;
/// let latest = ListCustomers::new().sort_order(SortOrder::Desc).limit(Limit::of::<1>());
/// assert_eq!(
///     api.encode(&latest)?.uri().path_and_query().unwrap(),
///     "/v1/customers?limit=1&sort_order=desc",
/// );
///
/// let answer = r#"{"customers":[{"customer_id":"U1234","customer_email":"ada@example.com",
///     "customer_name":"Ada","onboarded_on":"2024-06-12T15:22:14.753Z"}],"cursor":"fNJj"}"#;
/// let page = api.decode(&latest, http::Response::new(answer))?;
/// assert_eq!(page.items[0].customer_email.as_str(), "ada@example.com");
/// assert!(page.cursor.is_some(), "there are more");
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ListCustomers {
    /// Only the customer with this address; all if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<Email>,
    /// The number of customers on a page, 1..=1000; with `None` the API's default, 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where to go on: the cursor of an earlier page; `None` for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The order by `onboarded_on`; with `None` the API's default, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_order: Option<SortOrder>,
}

impl ListCustomers {
    /// Every customer.
    #[must_use]
    pub const fn new() -> Self {
        Self { customer_email: None, limit: None, cursor: None, sort_order: None }
    }

    /// Only the customer with this address.
    #[must_use]
    pub fn customer_email(mut self, email: Email) -> Self {
        self.customer_email = Some(email);
        self
    }

    list_setters!();
}

impl Endpoint for ListCustomers {
    type Response = Page<CustomerSummary>;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/customers";
    const IDEMPOTENT: bool = true;
}

list_setters!(impl List<CustomerSummary> for ListCustomers);

/// One customer of the account, of `customers` in the answer of
/// `GET /v1/customers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerSummary {
    /// The API's name for the customer, such as `U1234`.
    pub customer_id: String,
    /// The customer's e-mail address.
    pub customer_email: Redacted,
    /// The customer's name; `None` if none was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<Redacted>,
    /// When the first impact was made for the customer, in UTC to the millisecond.
    pub onboarded_on: Timestamp,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CustomerSummary {
    /// A customer without a name.
    pub fn new(
        customer_id: impl Into<String>,
        customer_email: impl Into<Redacted>,
        onboarded_on: Timestamp,
    ) -> Self {
        Self {
            customer_id: customer_id.into(),
            customer_email: customer_email.into(),
            customer_name: None,
            onboarded_on,
            extra: Extra::default(),
        }
    }
}

impl ListItem for CustomerSummary {
    const FIELD: &'static str = "customers";
}
