//! The records of customers: `GET /v1/customer_records`.

use serde::{Deserialize, Serialize};

use super::ListItem;
use super::list::list;
use super::row::{Row, row};
use crate::setters::setters;
use crate::value::{
    Category, DateRange, Email, Extra, Impact, ImpactKind, RecordCustomer, RecordedMetadata,
    Timestamp, UserId,
};
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

/// An impact made on behalf of a customer, from `customer_records` in the response of
/// `GET /v1/customer_records`.
///
/// It does not show whether the impact was cancelled;
/// [`Tracking::cancelled_on`](super::track::Tracking::cancelled_on) does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
#[non_exhaustive]
pub struct CustomerRecord {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// The customer on whose behalf the impact was made.
    pub customer: RecordCustomer,
    /// When the impact was made, in UTC to the millisecond. With `user_id` it is the id of
    /// the impact.
    pub time_utc: Timestamp,
    /// The impact: its kind, and its amount in the unit of the kind. An unknown kind keeps its
    /// name; the name is empty if the record has no amount.
    pub impact: Impact,
    /// The category; `None` if there is none.
    pub category: Option<Category>,
    /// The metadata of the purchase, which may be empty.
    pub metadata: RecordedMetadata,
    /// Fields that this version does not know.
    pub extra: Extra,
}

impl CustomerRecord {
    /// A record without category or metadata.
    #[must_use]
    pub fn new(
        user_id: UserId,
        time_utc: Timestamp,
        impact: Impact,
        customer: RecordCustomer,
    ) -> Self {
        Self {
            user_id,
            customer,
            time_utc,
            impact,
            category: None,
            metadata: RecordedMetadata::default(),
            extra: Extra::default(),
        }
    }
}

impl ListItem for CustomerRecord {
    const FIELD: &'static str = "customer_records";

    /// Two records can be equal in all fields if their time is in whole seconds.
    fn is_unique(&self) -> bool {
        self.time_utc.datetime().timestamp_subsec_nanos() != 0
    }
}

row!(CustomerRecord, |record| Some(&record.customer));

impl TryFrom<Row> for CustomerRecord {
    type Error = &'static str;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let Row { user_id, time_utc, impact, category, customer, metadata, extra } = row;
        let customer = customer.ok_or("missing field `customer`")?;
        Ok(Self { user_id, customer, time_utc, impact, category, metadata, extra })
    }
}
