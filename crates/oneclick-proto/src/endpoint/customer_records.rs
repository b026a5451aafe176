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
    /// `GET /v1/customer_records`: the account's customers' impacts, one by one.
    ///
    /// Impacts made for a customer are here and not in [`ListRecords`](super::records::ListRecords).
    ///
    /// The purchases of one customer, newest first; that of an order is found by
    /// its metadata:
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
    /// let answer = r#"{"customer_records":[{"user_id":"U123","tree_planted":10,
    ///     "customer":{"customer_id":"U1234","customer_email":"a+b@x.com"},
    ///     "time_utc":"2024-06-12T15:22:14.753Z","metadata":{"order":"A-1001"}}]}"#;
    /// let page = api.decode(&list, http::Response::new(answer))?;
    /// let mut records = page.items.iter();
    /// assert!(records.any(|record| record.metadata.get("order") == Some("A-1001")));
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    ListCustomerRecords {
        /// Only the records of this customer; of all if `None`.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_email: Option<Email> = None,
        /// Only records of these kinds, each a `filter_by` of the query; all if empty.
        filter_by: Vec<ImpactKind> = Vec::new(),
        /// Only records of these days, both ends included: `start_date` and
        /// `end_date`.
        #[serde(flatten)]
        dates: DateRange = DateRange::ALL,
    }
    GET "/v1/customer_records" => CustomerRecord
}

impl ListCustomerRecords {
    /// Only records of this kind; call it again for further kinds.
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

/// One impact made on behalf of a customer, of `customer_records` in the answer
/// of `GET /v1/customer_records`.
///
/// It does not say whether it was cancelled since:
/// [`Tracking::cancelled_on`](super::track::Tracking::cancelled_on) does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
#[non_exhaustive]
pub struct CustomerRecord {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// The customer on whose behalf it was made.
    pub customer: RecordCustomer,
    /// When it was made, in UTC to the millisecond; with `user_id` the handle of
    /// the impact.
    pub time_utc: Timestamp,
    /// What was done, and how much, in the unit of its kind. A kind that this version does not know is
    /// kept with its name; the name is empty if no field holds an amount.
    pub impact: Impact,
    /// The category; `None` if there is none.
    pub category: Option<Category>,
    /// What was stored with the purchase; empty if nothing was.
    pub metadata: RecordedMetadata,
    /// Fields that this version does not know.
    pub extra: Extra,
}

impl CustomerRecord {
    /// A record without category and metadata.
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

    /// Two may be equal in all they show if their time is in whole seconds.
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
