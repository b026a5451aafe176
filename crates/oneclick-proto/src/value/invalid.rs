//! Why a value cannot be sent.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use chrono::{Datelike, NaiveDate};

/// A value that cannot be sent. It is refused before a request is written.
///
/// The message says what is wrong and what is expected. It never contains a key, an
/// e-mail address or a name.
///
/// ```
/// use oneclick_proto::{Cents, Trees};
///
/// let error = Trees::new(0).unwrap_err();
/// assert_eq!(error.to_string(), "trees must be between 1 and 10,000,000 (got 0)");
/// let error = Cents::new(0).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the amount must be between $0.01 and $10,000,000.00 (got $0.00)",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidValue {
    /// A number outside its range.
    #[non_exhaustive]
    OutOfRange {
        /// The unit of the number, such as `trees`. The message shows `cents` in dollars.
        unit: &'static str,
        /// The number, in that unit.
        value: i128,
        /// The smallest number that can be sent.
        min: u64,
        /// The largest number that can be sent.
        max: u64,
    },
    /// Something other than a whole number.
    #[non_exhaustive]
    NotANumber {
        /// The unit of the expected number, such as `trees`.
        unit: &'static str,
    },
    /// Text that cannot be an e-mail address.
    #[non_exhaustive]
    Email {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Text with too many characters.
    #[non_exhaustive]
    TooLong {
        /// The name of the text, such as `reason`.
        name: &'static str,
        /// Its number of characters (Unicode scalar values).
        characters: usize,
        /// The largest number of characters that can be sent.
        max: usize,
    },
    /// Metadata that the API does not accept.
    #[non_exhaustive]
    Metadata {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Text that is not the id of an impact.
    ImpactId,
    /// An id or cursor that lost characters on its way here, so it no longer names anything.
    #[non_exhaustive]
    Damaged {
        /// The name of the text, such as `cursor`.
        name: &'static str,
    },
    /// The stored state of a different purchase.
    #[non_exhaustive]
    OtherPurchase {
        /// The part that differs: `intent`, `kind of impact`, `amount` or `customer`.
        part: &'static str,
    },
    /// A date range that ends before it starts.
    #[non_exhaustive]
    DateOrder {
        /// The first day.
        start: NaiveDate,
        /// The last day.
        end: NaiveDate,
    },
    /// A date outside the years 0 to 9999, which does not fit `YYYY-MM-DD`.
    #[non_exhaustive]
    DateYear {
        /// The date.
        date: NaiveDate,
    },
    /// A field that cannot be a segment of the path.
    #[non_exhaustive]
    PathSegment {
        /// The name of the field.
        field: &'static str,
    },
    /// An endpoint that cannot be written as a request.
    ///
    /// The endpoints of this crate fail like this only for a query that is too long. Your
    /// own [`Endpoint`](crate::Endpoint) also does if its query has a map or a nested list.
    #[non_exhaustive]
    Unserializable {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl InvalidValue {
    /// An endpoint that cannot be written as a request, for
    /// [`Endpoint::check`](crate::Endpoint::check) of your own endpoint.
    #[must_use]
    pub const fn unserializable(reason: &'static str) -> Self {
        Self::Unserializable { reason }
    }

    /// Refuses an id or cursor that lost characters on its way here.
    pub(crate) fn check_whole(name: &'static str, text: &str) -> Result<(), Self> {
        if text.contains(char::REPLACEMENT_CHARACTER) {
            Err(Self::Damaged { name })
        } else {
            Ok(())
        }
    }

    /// Refuses a text of more than `max` characters.
    pub(crate) fn check_length(name: &'static str, text: &str, max: usize) -> Result<(), Self> {
        let characters = text.chars().count();
        if characters > max { Err(Self::TooLong { name, characters, max }) } else { Ok(()) }
    }
}

/// Lets a function take `impl TryInto<Value>` where the conversion may be infallible.
impl From<Infallible> for InvalidValue {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { unit: "cents", value, min, max } => {
                let [min, max, value] = [(*min).into(), (*max).into(), *value].map(dollars);
                write!(f, "the amount must be between {min} and {max} (got {value})")
            }
            Self::OutOfRange { unit, value, min, max } => {
                let [min, max, value] = [(*min).into(), (*max).into(), *value].map(grouped);
                write!(f, "{unit} must be between {min} and {max} (got {value})")
            }
            Self::NotANumber { unit } => {
                write!(f, "expected a whole number of {unit}, such as 5")
            }
            Self::Email { reason } => write!(f, "invalid e-mail address: {reason}"),
            Self::TooLong { name, characters, max } => {
                write!(f, "the {name} must have at most {max} characters (got {characters})")
            }
            Self::Metadata { reason } => write!(f, "invalid metadata: {reason}"),
            Self::ImpactId => f.write_str(
                "invalid impact id: expected a user id, a hyphen and a timestamp, such as \
                 U123-2024-09-16T20:34:04.429Z",
            ),
            Self::Damaged { name } => write!(
                f,
                "the {name} is damaged (it contains U+FFFD, which replaces lost characters): \
                 request it again",
            ),
            Self::OtherPurchase { part } => write!(
                f,
                "the stored state belongs to another purchase: its {part} differs from the one \
                 given",
            ),
            Self::DateOrder { start, end } => {
                write!(f, "the date range ends before it starts: {start} to {end}")
            }
            Self::DateYear { date } => {
                let year = date.year();
                write!(f, "dates are YYYY-MM-DD: the year must be between 0 and 9999 (got {year})")
            }
            Self::PathSegment { field } => write!(
                f,
                "{field} is a segment of the URL's path, so it must not be empty, `.` or `..`",
            ),
            Self::Unserializable { reason } => write!(f, "the request cannot be written: {reason}"),
        }
    }
}

impl Error for InvalidValue {}

/// A number with a comma between its thousands.
pub(crate) fn grouped(number: i128) -> String {
    let mut text = number.to_string();
    let first = text.len() - number.unsigned_abs().to_string().len() + 1;
    for at in (first..text.len()).rev().skip(2).step_by(3) {
        text.insert(at, ',');
    }
    text
}

/// A sum of money in cents, as people write it.
fn dollars(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let whole = grouped((cents / 100).abs());
    format!("{sign}${whole}.{:02}", (cents % 100).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_by_commas() {
        for (number, text) in [
            (0, "0"),
            (-7, "-7"),
            (999, "999"),
            (1_000, "1,000"),
            (-100, "-100"),
            (-1_000, "-1,000"),
            (100_000, "100,000"),
            (-123_456, "-123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
