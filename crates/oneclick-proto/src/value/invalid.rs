//! Why a value cannot be sent.

use std::convert::Infallible;
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
    /// Text with more characters than can be sent.
    TooLong {
        /// What the text is, such as `reason`.
        what: &'static str,
        /// How many characters it has.
        characters: usize,
        /// How many can be sent.
        max: usize,
    },
    /// Metadata that the API does not take.
    Metadata {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Text that is not the id of an impact.
    ImpactId,
    /// A text of a response that arrived damaged, and names nothing any more.
    Damaged {
        /// What it would have been, such as `cursor`.
        what: &'static str,
    },
    /// The stored state of a purchase that is another one.
    OtherPurchase {
        /// What differs: `intent`, `kind of impact`, `amount` or `customer`.
        what: &'static str,
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
    /// A timeout of zero, in which nothing can be sent.
    ZeroTimeout {
        /// Which timeout: `timeout` or `connect_timeout`.
        name: &'static str,
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

impl InvalidValue {
    /// Checks that a text which the API gave arrived whole.
    pub(crate) fn check_whole(what: &'static str, text: &str) -> Result<(), Self> {
        if text.contains(char::REPLACEMENT_CHARACTER) {
            Err(Self::Damaged { what })
        } else {
            Ok(())
        }
    }

    /// Checks how many characters a text has.
    pub(crate) fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), Self> {
        let characters = text.chars().count();
        if characters > max { Err(Self::TooLong { what, characters, max }) } else { Ok(()) }
    }
}

/// For arguments that are converted, where nothing can go wrong.
impl From<Infallible> for InvalidValue {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { what, value, min, max } => {
                write!(f, "{value} {what} are out of range: {min} to {max} can be sent")
            }
            Self::NotANumber { what } => write!(f, "not a whole number of {what}"),
            Self::Email { reason } => write!(f, "not an e-mail address: {reason}"),
            Self::TooLong { what, characters, max } => {
                write!(f, "the {what} has {characters} characters: {max} can be sent")
            }
            Self::Metadata { reason } => write!(f, "not metadata: {reason}"),
            Self::ImpactId => f.write_str(
                "not the id of an impact: a user id, a hyphen and a timestamp, such as \
                     U123-2024-09-16T20:34:04.429Z",
            ),
            Self::Damaged { what } => write!(
                f,
                "the {what} is damaged: it contains U+FFFD, which stands for text that was lost",
            ),
            Self::OtherPurchase { what } => write!(
                f,
                "the stored state belongs to another purchase: its {what} is not the one given",
            ),
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
            Self::ZeroTimeout { name } => {
                write!(f, "{name} is zero: it must be longer, or nothing can be sent")
            }
            Self::PathSegment { field } => {
                write!(f, "{field} cannot be part of a path: it is empty, `.` or `..`")
            }
            Self::Unserializable { reason } => write!(f, "the endpoint cannot be sent: {reason}"),
        }
    }
}

impl Error for InvalidValue {}
