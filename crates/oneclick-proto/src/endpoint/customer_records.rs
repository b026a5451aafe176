//! The records of customers: `GET /v1/customer_records`.

use serde::Serialize;

use super::ListItem;
use super::list::list;
use super::row::CustomerRecord;
use crate::setters::setters;
use crate::value::{DateRange, Email, ImpactKind};
list! {
    /// `GET /v1/customer_records`: the impacts made on behalf of customers.
    ///
    /// They are not in [`ListRecords`](super::records::ListRecords). The records of one
    /// customer, newest first, searched for an order number in the metadata:
    ///
    /// ```
    /// use oneclick_proto::{Api, ListCustomerRecords, Email, SortOrder};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let list = ListCustomerRecords::new().customer_email(Email::new("a+b@x.com")?);
    /// let list = list.sort_order(SortOrder::Desc);
    /// assert_eq!(
    ///     api.encode(&list)?.uri().path_and_query().unwrap(),
    ///     "/v1/customer_records?customer_email=a%2Bb%40x.com&sort_order=desc",
    /// );
    ///
    /// let body = r#"{"customer_records":[{"user_id":"U123","tree_planted":10,
    ///     "customer":{"customer_id":"U1234","customer_email":"a+b@x.com"},
    ///     "time_utc":"2024-06-12T15:22:14.753Z","metadata":{"order":"A-1001"}}]}"#;
    /// let page = api.decode(&list, http::Response::new(body))?;
    /// let mut records = page.items.iter();
    /// assert!(records.any(|record| record.metadata.get("order") == Some("A-1001")));
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    ListCustomerRecords {
        /// Only records of this customer; of all customers if `None`.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_email: Option<Email> = None,
        /// Only records of these kinds, each a `filter_by` of the query; all kinds if empty.
        filter_by: Vec<ImpactKind> = Vec::new(),
        /// Only records of these days, `start_date` and `end_date`, both included.
        #[serde(flatten)]
        dates: DateRange = DateRange::ALL,
    }
    GET "/v1/customer_records" => CustomerRecord
}

impl ListCustomerRecords {
    /// Adds a kind to the filter: only records of the added kinds are listed.
    #[must_use]
    pub fn filter_by(mut self, kind: ImpactKind) -> Self {
        self.filter_by.push(kind);
        self
    }

    setters! {
        dates: DateRange,
        customer_email: Email as Option,
    }
}

impl ListItem for CustomerRecord {
    const FIELD: &'static str = "customer_records";

    fn is_unique(&self) -> bool {
        self.has_unique_time()
    }
}
