//! The customers of the account: `GET /v1/customers`.

use serde::{Deserialize, Serialize};

use super::ListItem;
use super::list::list;
use crate::setters::setters;
use crate::value::{Email, Extra, Redacted, Timestamp};
list! {
    /// `GET /v1/customers`: the customers on whose behalf an impact was made, in the order of
    /// their first one.
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
    /// let body = r#"{"customers":[{"customer_id":"U1234","customer_email":"ada@example.com",
    ///     "customer_name":"Ada","onboarded_on":"2024-06-12T15:22:14.753Z"}],"cursor":"fNJj"}"#;
    /// let page = api.decode(&latest, http::Response::new(body))?;
    /// assert_eq!(page.items[0].customer_email.as_str(), "ada@example.com");
    /// assert!(page.cursor.is_some(), "there is a next page");
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    ListCustomers {
        /// Only the customer with this e-mail address; all if `None`.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_email: Option<Email> = None,
    }
    GET "/v1/customers" => CustomerSummary
}

impl ListCustomers {
    setters! {
        customer_email: Email as Option,
    }
}

/// A customer of the account, from `customers` in the response of `GET /v1/customers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerSummary {
    /// The id of the customer, such as `U1234`.
    pub customer_id: String,
    /// The customer's e-mail address.
    pub customer_email: Redacted,
    /// The customer's name, if one was sent.
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
