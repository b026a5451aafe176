//! The records of the account itself: `GET /v1/records`.

use serde::Serialize;

use super::ListItem;
use super::list::list;
use super::row::Record;
use crate::setters::setters;
use crate::value::{DateRange, ImpactKind};
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

impl ListItem for Record {
    const FIELD: &'static str = "user_records";

    fn is_unique(&self) -> bool {
        self.has_unique_time()
    }
}
