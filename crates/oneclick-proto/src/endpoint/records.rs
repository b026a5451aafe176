//! The records of the account itself: `GET /v1/records`.

use serde::{Deserialize, Serialize};

use super::ListItem;
use super::list::list;
use super::row::{Row, row};
use crate::setters::setters;
use crate::value::{
    Category, DateRange, Extra, Impact, ImpactKind, RecordedMetadata, Timestamp, UserId,
};
list! {
    /// `GET /v1/records`: the impacts that the account made for itself.
    ///
    /// [`ListCustomerRecords`](super::customer_records::ListCustomerRecords) lists those
    /// made on behalf of customers. Carbon and plastic since a day, 100 records per page:
    ///
    /// ```
    /// use chrono::NaiveDate;
    /// use oneclick_proto::{Api, DateRange, ImpactKind, Limit, ListRecords};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let list = ListRecords::new()
    ///     .filter_by(ImpactKind::CarbonCaptured)
    ///     .filter_by(ImpactKind::WasteRemoved)
    ///     .dates(DateRange::since(NaiveDate::from_ymd_opt(2024, 9, 1).unwrap())?)
    ///     .limit(Limit::of::<100>());
    /// assert_eq!(
    ///     api.encode(&list)?.uri().path_and_query().unwrap(),
    ///     "/v1/records?filter_by=carbon_captured&filter_by=waste_removed\
    ///      &start_date=2024-09-01&limit=100",
    /// );
    ///
    /// let body = r#"{"user_records":[{"user_id":"U123","waste_removed":15,
    ///     "time_utc":"2024-09-17T13:24:04.429Z"}],"cursor":"fNJj"}"#;
    /// let page = api.decode(&list, http::Response::new(body))?;
    /// assert_eq!(page.items[0].impact.to_string(), "15 lbs of plastic out of the ocean");
    /// let next = list.cursor(page.cursor.unwrap()); // a `Pager` does this for you
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    ListRecords {
        /// Only records of these kinds, each a `filter_by` of the query; all kinds if empty.
        filter_by: Vec<ImpactKind> = Vec::new(),
        /// Only records of these days, `start_date` and `end_date`, both included.
        #[serde(flatten)]
        dates: DateRange = DateRange::ALL,
    }
    GET "/v1/records" => Record
}

impl ListRecords {
    /// Adds a kind to the filter: only records of the added kinds are listed.
    #[must_use]
    pub fn filter_by(mut self, kind: ImpactKind) -> Self {
        self.filter_by.push(kind);
        self
    }

    setters! {
        dates: DateRange,
    }
}

/// An impact that the account made for itself, from `user_records` in the response of
/// `GET /v1/records`.
///
/// It does not show whether the impact was cancelled;
/// [`Tracking::cancelled_on`](super::track::Tracking::cancelled_on) does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
#[non_exhaustive]
pub struct Record {
    /// The account that the impact belongs to.
    pub user_id: UserId,
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

impl Record {
    /// A record without category or metadata.
    #[must_use]
    pub fn new(user_id: UserId, time_utc: Timestamp, impact: Impact) -> Self {
        Self {
            user_id,
            time_utc,
            impact,
            category: None,
            metadata: RecordedMetadata::default(),
            extra: Extra::default(),
        }
    }
}

impl ListItem for Record {
    const FIELD: &'static str = "user_records";

    /// Two records can be equal in all fields if their time is in whole seconds.
    fn is_unique(&self) -> bool {
        self.time_utc.datetime().timestamp_subsec_nanos() != 0
    }
}

row!(Record, |_| None);

impl TryFrom<Row> for Record {
    type Error = serde_json::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let Row { user_id, time_utc, impact, category, customer, metadata, mut extra } = row;
        // A customer is not expected here, but must not be lost.
        if let Some(customer) = customer {
            extra.insert("customer", serde_json::to_value(customer)?);
        }
        Ok(Self { user_id, time_utc, impact, category, metadata, extra })
    }
}
