//! Date ranges.

use std::borrow::Cow;

use chrono::{Datelike, NaiveDate};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::InvalidValue;

/// A range of days in the years 0..=9999. Both ends are included, and either may be open.
///
/// It is `start_date` and `end_date` (`YYYY-MM-DD`) of `GET /v1/impact/daily`,
/// `/v1/records` and `/v1/customer_records`. The API does not state the time zone; UTC is
/// assumed.
///
/// ```
/// use chrono::NaiveDate;
/// use oneclick_proto::DateRange;
///
/// let first = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap();
/// let last = NaiveDate::from_ymd_opt(2025, 3, 1).unwrap();
/// assert!(DateRange::between(first, last).is_ok());
/// assert_eq!(
///     DateRange::between(last, first).unwrap_err().to_string(),
///     "the date range ends before it starts: 2025-03-01 to 2025-01-01",
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    start_date: Option<NaiveDate>,
    end_date: Option<NaiveDate>,
}

impl DateRange {
    /// Every day.
    pub const ALL: Self = Self { start_date: None, end_date: None };

    /// From `start` to `end`; `None` leaves that end open.
    ///
    /// # Errors
    /// [`InvalidValue::DateOrder`] if the range ends before it starts,
    /// [`InvalidValue::DateYear`] for a year outside 0..=9999.
    pub fn new(start: Option<NaiveDate>, end: Option<NaiveDate>) -> Result<Self, InvalidValue> {
        for date in [start, end].into_iter().flatten() {
            if !(0..=9999).contains(&date.year()) {
                return Err(InvalidValue::DateYear { date });
            }
        }
        match (start, end) {
            (Some(start), Some(end)) if end < start => Err(InvalidValue::DateOrder { start, end }),
            _ => Ok(Self { start_date: start, end_date: end }),
        }
    }

    /// From `start` to `end`.
    ///
    /// # Errors
    /// The same as [`new`](Self::new).
    pub fn between(start: NaiveDate, end: NaiveDate) -> Result<Self, InvalidValue> {
        Self::new(Some(start), Some(end))
    }

    /// From `start`, without an end.
    ///
    /// # Errors
    /// The same as [`new`](Self::new).
    pub fn since(start: NaiveDate) -> Result<Self, InvalidValue> {
        Self::new(Some(start), None)
    }

    /// Up to `end`, without a start.
    ///
    /// # Errors
    /// The same as [`new`](Self::new).
    pub fn until(end: NaiveDate) -> Result<Self, InvalidValue> {
        Self::new(None, Some(end))
    }

    /// The first day; `None` if the start is open.
    #[must_use]
    pub const fn start_date(&self) -> Option<NaiveDate> {
        self.start_date
    }

    /// The last day; `None` if the end is open.
    #[must_use]
    pub const fn end_date(&self) -> Option<NaiveDate> {
        self.end_date
    }
}

impl Serialize for DateRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, day) in [("start_date", self.start_date), ("end_date", self.end_date)] {
            if let Some(day) = day {
                map.serialize_entry(name, &format_args!("{day}"))?;
            }
        }
        map.end()
    }
}

/// Writes a date as the API does, `YYYY-MM-DD`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")]
pub(crate) fn write_day<S: Serializer>(day: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// Reads a date as the API writes it, `YYYY-MM-DD`.
pub(crate) fn read_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let expected = &"a date in the form YYYY-MM-DD";
    text.parse().map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), expected))
}
