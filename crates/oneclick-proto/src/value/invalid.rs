//! Why a value cannot be sent.

use std::error::Error;
use std::fmt;

use chrono::NaiveDate;

/// A value that cannot be sent, refused before a request exists.
///
/// The message names the value and its range. It never repeats a key, an
/// e-mail address or a name.
///
/// ```
/// use oneclick_proto::Trees;
///
/// let error = Trees::new(0).unwrap_err();
/// assert_eq!(error.to_string(), "0 trees are out of range: 1 to 10000000 can be sent");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidValue {
    /// A number outside its range.
    OutOfRange {
        /// What the number counts, such as `trees`.
        what: &'static str,
        /// The number.
        value: i128,
        /// The smallest that can be sent.
        min: u64,
        /// The largest that can be sent.
        max: u64,
    },
    /// Text that is not a whole number.
    NotANumber {
        /// What the number would have counted.
        what: &'static str,
    },
    /// An e-mail address that is certainly wrong.
    Email {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A range of days that ends before it starts.
    DateOrder {
        /// The first day.
        start: NaiveDate,
        /// The last day.
        end: NaiveDate,
    },
    /// A day outside the years 0 to 9999, which `YYYY-MM-DD` cannot write.
    DateYear {
        /// The day.
        date: NaiveDate,
    },
    /// A key that cannot be a header value.
    Key {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key of one environment for the other environment's host.
    KeyEnvironment {
        /// The prefix of the key: `live_` or `test_`.
        prefix: &'static str,
        /// The host that it was meant for.
        host: &'static str,
    },
    /// A base URL that cannot be used.
    BaseUrl {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An environment variable that is missing or does not help.
    Variable {
        /// The name of the variable.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A field that fills a segment of the path and cannot.
    PathSegment {
        /// The name of the field.
        field: &'static str,
    },
    /// An endpoint whose fields cannot be written into a request.
    ///
    /// The endpoints of this crate never end here; one of your own does if it
    /// puts a map or a nested list into a query.
    Unserializable {
        /// What does not work.
        reason: &'static str,
    },
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { what, value, min, max } => {
                write!(f, "{value} {what} are out of range: {min} to {max} can be sent")
            }
            Self::NotANumber { what } => write!(f, "not a whole number of {what}"),
            Self::Email { reason } => write!(f, "not an e-mail address: {reason}"),
            Self::DateOrder { start, end } => {
                write!(f, "the date range ends before it starts: {start} to {end}")
            }
            Self::DateYear { date } => {
                write!(f, "the year of {date} is out of range: 0 to 9999 can be sent")
            }
            Self::Key { reason } => write!(f, "not an API key: {reason}"),
            Self::KeyEnvironment { prefix, host } => {
                write!(f, "a key that begins with {prefix} does not belong to {host}")
            }
            Self::BaseUrl { reason } => write!(f, "not a base URL: {reason}"),
            Self::Variable { name, reason } => write!(f, "{name} {reason}"),
            Self::PathSegment { field } => {
                write!(f, "{field} cannot be part of a path: it is empty, `.` or `..`")
            }
            Self::Unserializable { reason } => write!(f, "the endpoint cannot be sent: {reason}"),
        }
    }
}

impl Error for InvalidValue {}
