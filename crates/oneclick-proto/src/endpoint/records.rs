//! The account's own records: `GET /v1/records`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::list::list_setters;
use super::row::{Row, row};
use super::{Endpoint, Listed, Page};
use crate::value::{
    Category, Cursor, DateRange, Extra, Impact, ImpactKind, Limit, RecordedMetadata, SortOrder,
    Timestamp, UserId,
};

/// `GET /v1/records`: the account's own impacts, one by one.
///
/// Impacts made for a customer are in
/// [`CustomerRecords`](super::customer_records::CustomerRecords) instead.
///
/// ```
/// use oneclick_proto::{Api, ImpactKind, Limit, Records, SortOrder};
///
/// let api = Api::sandbox("test_key")?;
/// let newest = Records::new()
///     .filter_by(ImpactKind::CarbonCaptured)
///     .filter_by(ImpactKind::WasteRemoved)
///     .sort_order(SortOrder::Desc)
///     .limit(Limit::of::<100>());
/// assert_eq!(
///     api.encode(&newest)?.uri().query(),
///     Some("filter_by=carbon_captured&filter_by=waste_removed&limit=100&sort_order=desc"),
/// );
///
/// let answer = http::Response::new(
///     r#"{"user_records":[{"user_id":"U123","time_utc":"2024-09-16T20:34:04.429Z","waste_removed":15}]}"#,
/// );
/// let page = api.decode(&newest, answer)?;
/// assert_eq!(page.items[0].impact.kind, ImpactKind::WasteRemoved);
/// assert!(page.cursor.is_none());
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Records {
    /// Only records of these kinds; all if empty.
    pub filter_by: Vec<ImpactKind>,
    /// Only records of these days, both ends included.
    #[serde(flatten)]
    pub dates: DateRange,
    /// The number of records on a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The order by `time_utc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_order: Option<SortOrder>,
}

impl Records {
    /// Every record.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            filter_by: Vec::new(),
            dates: DateRange::ALL,
            limit: None,
            cursor: None,
            sort_order: None,
        }
    }

    /// Only records of this kind; call it again for further kinds.
    #[must_use]
    pub fn filter_by(mut self, kind: ImpactKind) -> Self {
        self.filter_by.push(kind);
        self
    }

    /// Only records of these days.
    #[must_use]
    pub fn dates(mut self, dates: DateRange) -> Self {
        self.dates = dates;
        self
    }

    list_setters!();
}

impl Endpoint for Records {
    type Response = Page<Record>;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/records";
    const IDEMPOTENT: bool = true;
}

list_setters!(impl List<Record> for Records);

/// One impact of the account's own.
///
/// It does not say whether it was cancelled since:
/// [`Tracking::cancelled_on`](super::track::Tracking::cancelled_on) does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
#[non_exhaustive]
pub struct Record {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When it was made; with `user_id` the handle of the impact.
    pub time_utc: Timestamp,
    /// What was done, and how much. A kind that this version does not know is
    /// kept with its name; the name is empty if no field holds an amount.
    pub impact: Impact,
    /// The category, if there is one.
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

impl Listed for Record {
    const FIELD: &'static str = "user_records";
}

row!(Record, |_| None);

impl TryFrom<Row> for Record {
    type Error = serde_json::Error;

    fn try_from(mut row: Row) -> Result<Self, Self::Error> {
        // No customer belongs here; if one is, it is not lost.
        if let Some(customer) = row.customer {
            row.extra.insert("customer", serde_json::to_value(customer)?);
        }
        Ok(Self {
            user_id: row.user_id,
            time_utc: row.time_utc,
            impact: row.impact,
            category: row.category,
            metadata: row.metadata,
            extra: row.extra,
        })
    }
}
