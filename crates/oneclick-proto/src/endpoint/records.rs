//! The account's own records: `GET /v1/records`.

use serde::{Deserialize, Serialize};

use super::ListItem;
use super::list::list;
use super::row::{Row, row};
use crate::setters::setters;
use crate::value::{
    Category, DateRange, Extra, Impact, ImpactKind, RecordedMetadata, Timestamp, UserId,
};
list! {
    /// `GET /v1/records`: the account's own impacts, one by one.
    ///
    /// Impacts made for a customer are in
    /// [`ListCustomerRecords`](super::customer_records::ListCustomerRecords) instead.
    ///
    /// Carbon and plastic since a day, a hundred records a page:
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
    /// let answer = r#"{"user_records":[{"user_id":"U123","waste_removed":15,
    ///     "time_utc":"2024-09-17T13:24:04.429Z"}],"cursor":"fNJj"}"#;
    /// let page = api.decode(&list, http::Response::new(answer))?;
    /// assert_eq!(page.items[0].impact.to_string(), "15 lbs of plastic out of the ocean");
    /// let next = list.cursor(page.cursor.unwrap()); // or let a `Pager` do it
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    ListRecords {
        /// Only records of these kinds, each a `filter_by` of the query; all if empty.
        filter_by: Vec<ImpactKind> = Vec::new(),
        /// Only records of these days, both ends included: `start_date` and
        /// `end_date`.
        #[serde(flatten)]
        dates: DateRange = DateRange::ALL,
    }
    GET "/v1/records" => Record
}

impl ListRecords {
    /// Only records of this kind; call it again for further kinds.
    #[must_use]
    pub fn filter_by(mut self, kind: ImpactKind) -> Self {
        self.filter_by.push(kind);
        self
    }

    setters! {
        dates: DateRange,
    }
}

/// One impact of the account's own, of `user_records` in the answer of
/// `GET /v1/records`.
///
/// It does not say whether it was cancelled since:
/// [`Tracking::cancelled_on`](super::track::Tracking::cancelled_on) does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
#[non_exhaustive]
pub struct Record {
    /// The account that the impact belongs to.
    pub user_id: UserId,
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

impl Record {
    /// A record without category and metadata.
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

    /// Two may be equal in all they show if their time is in whole seconds.
    fn is_unique(&self) -> bool {
        self.time_utc.datetime().timestamp_subsec_nanos() != 0
    }
}

row!(Record, |_| None);

impl TryFrom<Row> for Record {
    type Error = serde_json::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let Row { user_id, time_utc, impact, category, customer, metadata, mut extra } = row;
        // No customer belongs here; if one is, it is not lost.
        if let Some(customer) = customer {
            extra.insert("customer", serde_json::to_value(customer)?);
        }
        Ok(Self { user_id, time_utc, impact, category, metadata, extra })
    }
}
