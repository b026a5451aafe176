//! Totals by day: `GET /v1/impact/daily`.

use chrono::NaiveDate;
use http::Method;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::Endpoint;
use super::list::RowByRow;
use crate::value::{DateRange, Extra, Totals, UserId, read_day, split_amounts, write_day};

/// `GET /v1/impact/daily`: the totals of each day.
///
/// ```
/// use chrono::NaiveDate;
/// use oneclick_proto::{Api, GetDailyTotals, DateRange, ImpactKind};
///
/// let api = Api::sandbox("test_key")?;
/// let first = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap();
/// let january = GetDailyTotals::from(DateRange::between(first, first + chrono::Days::new(30))?);
/// assert_eq!(
///     api.encode(&january)?.uri().path_and_query().unwrap(),
///     "/v1/impact/daily?start_date=2025-01-01&end_date=2025-01-31",
/// );
///
/// let body = r#"{"user_id":"U123","daily_impact":[
///     {"date":"2025-01-21","tree_planted":0,"waste_removed":10,"money_donated":500}]}"#;
/// let days = api.decode(&january, http::Response::new(body))?.daily_impact;
/// assert_eq!(days[0].totals.get(&ImpactKind::MoneyDonated), 500); // US cents
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GetDailyTotals {
    /// The days to list, `start_date` and `end_date`, both included.
    #[serde(flatten)]
    pub dates: DateRange,
}

impl GetDailyTotals {
    /// Every day with an impact.
    #[must_use]
    pub const fn new() -> Self {
        Self { dates: DateRange::ALL }
    }

    /// Lists only these days.
    #[must_use]
    pub const fn dates(mut self, dates: DateRange) -> Self {
        self.dates = dates;
        self
    }
}

impl From<DateRange> for GetDailyTotals {
    fn from(dates: DateRange) -> Self {
        Self { dates }
    }
}

impl Endpoint for GetDailyTotals {
    type Response = DailyTotals;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/impact/daily";
    const IDEMPOTENT: bool = true;

    fn read(body: &[u8]) -> serde_json::Result<DailyTotals> {
        RowByRow::read(body)
    }
}

impl RowByRow for DailyTotals {
    type Row = Day;
    const FIELD: &'static str = "daily_impact";

    fn rows(&mut self) -> (&mut Vec<Day>, &mut Vec<Value>) {
        (&mut self.daily_impact, &mut self.malformed)
    }
}

/// The days on which an account had an impact: the response of `GET /v1/impact/daily`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DailyTotals {
    /// The account's id.
    pub user_id: UserId,
    /// The days, without those that had no impact.
    pub daily_impact: Vec<Day>,
    /// Days that could not be decoded, as the API wrote them.
    #[serde(skip)]
    pub malformed: Vec<Value>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl DailyTotals {
    /// The days of an account.
    #[must_use]
    pub fn new(user_id: UserId, daily_impact: Vec<Day>) -> Self {
        Self { user_id, daily_impact, malformed: Vec::new(), extra: Extra::default() }
    }
}

/// The totals of a day, from `daily_impact` in the response of `GET /v1/impact/daily`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Day {
    /// The day. The API does not state its time zone; UTC is assumed.
    #[serde(serialize_with = "write_day")]
    pub date: NaiveDate,
    /// The totals, each amount in the unit of its kind.
    #[serde(flatten)]
    pub totals: Totals,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Day {
    /// The totals of a day.
    #[must_use]
    pub fn new(date: NaiveDate, totals: Totals) -> Self {
        Self { date, totals, extra: Extra::default() }
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(deserialize_with = "read_day")]
            date: NaiveDate,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }

        let wire = Wire::deserialize(deserializer)?;
        let (totals, extra) = split_amounts(wire.rest).map_err(de::Error::custom)?;
        Ok(Self { date: wire.date, totals, extra })
    }
}
