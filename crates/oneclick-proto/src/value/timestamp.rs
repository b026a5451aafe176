//! Timestamps that print exactly the text they were parsed from.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A timestamp of the API: RFC 3339 in UTC with milliseconds, such as
/// `2024-09-16T20:34:04.429Z`, in the years 0 to 9999.
///
/// Only a user id and a timestamp together identify an impact. So a timestamp prints
/// exactly the text that it was parsed from, whatever its precision, offset or letter
/// case. Two timestamps are equal if their texts are.
///
/// ```
/// use oneclick_proto::Timestamp;
///
/// for text in ["2024-09-16T20:34:04.429Z", "2024-09-16T20:34:04.429000+00:00"] {
///     let timestamp: Timestamp = text.parse().unwrap();
///     assert_eq!(timestamp.to_string(), text);
///     assert_eq!(timestamp.datetime().timestamp_millis(), 1_726_518_844_429);
/// }
/// ```
#[derive(Clone)]
pub struct Timestamp {
    moment: DateTime<Utc>,
    /// The text, if it differs from the printed moment.
    text: Option<Box<str>>,
}

impl Timestamp {
    /// The moment, to the nanosecond. Further digits are only in the text.
    #[must_use]
    pub fn datetime(&self) -> DateTime<Utc> {
        self.moment
    }
}

/// Truncates to milliseconds, as the API writes them. A year outside 0 to 9999 prints as
/// text that cannot be parsed.
impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        let text = canonical(moment);
        let moment = text.parse().unwrap_or(moment);
        Self { moment, text: None }
    }
}

fn canonical(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Fails for text that is not an RFC 3339 timestamp.
impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, chrono::ParseError> {
        if let Some(moment) = usual_form(text) {
            return Ok(Self { moment, text: None });
        }
        let moment = DateTime::parse_from_rfc3339(text)?.to_utc();
        let kept = (canonical(moment) != text).then(|| text.into());
        Ok(Self { moment, text: kept })
    }
}

/// Parses the form that the API writes, `2024-09-16T20:34:04.429Z`, faster than chrono
/// does; a page holds up to a thousand of them.
fn usual_form(text: &str) -> Option<DateTime<Utc>> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _, b'.', .., b'Z'] =
        bytes
    else {
        return None;
    };
    let digit = |at: usize| bytes[at].is_ascii_digit().then(|| u32::from(bytes[at] - b'0'));
    let two = |at: usize| Some(digit(at)? * 10 + digit(at + 1)?);
    let year = i32::try_from(two(0)? * 100 + two(2)?).ok()?;
    let day = NaiveDate::from_ymd_opt(year, two(5)?, two(8)?)?;
    let milli = digit(20)? * 100 + two(21)?;
    Some(day.and_hms_milli_opt(two(11)?, two(14)?, two(17)?, milli)?.and_utc())
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&canonical(self.moment)),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timestamp {}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.moment, &self.text).hash(state);
    }
}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Orders by moment, then by text.
impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.moment, &self.text).cmp(&(other.moment, &other.text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 timestamp")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_the_text_that_it_was_parsed_from() {
        for text in [
            "2024-09-16T20:34:04.429Z",
            "2024-09-16T20:34:04Z",
            "2024-09-16T20:34:04.4Z",
            "2024-09-16T20:34:04.000Z",
            "2024-09-16T20:34:04.429123456789Z",
            "2024-09-16t20:34:04.429z",
            "2024-09-16T22:34:04.429+02:00",
            "2024-09-16T20:34:04.429-00:00",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.500Z",
            "0000-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
        ] {
            let timestamp: Timestamp = text.parse().unwrap();
            assert_eq!(timestamp.to_string(), text);
            let json = serde_json::to_string(&timestamp).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), timestamp);
        }
    }

    /// Changes each character of the usual form, and compares the result with chrono.
    #[test]
    fn the_usual_form_is_parsed_as_chrono_parses_it() {
        let usual = "2024-02-29T23:59:59.999Z";
        let mut texts = vec![usual.to_owned()];
        for at in 0..usual.len() {
            for byte in b"0123456789-:.TtZz+ x" {
                let mut text = usual.as_bytes().to_vec();
                text[at] = *byte;
                texts.push(String::from_utf8(text).unwrap());
            }
        }
        for text in texts {
            let expected = DateTime::parse_from_rfc3339(&text).map(|moment| moment.to_utc()).ok();
            if let Some(moment) = usual_form(&text) {
                assert_eq!(Some(moment), expected, "{text}");
                assert_eq!(canonical(moment), text);
            }
            let read = text.parse::<Timestamp>().ok();
            assert_eq!(read.as_ref().map(Timestamp::datetime), expected, "{text}");
            assert!(read.is_none_or(|read| read.to_string() == text));
        }
    }

    #[test]
    fn the_usual_form_stores_no_text() {
        let timestamp: Timestamp = "2024-09-16T20:34:04.429Z".parse().unwrap();
        assert!(timestamp.text.is_none());
    }

    #[test]
    fn a_moment_is_truncated_to_milliseconds() {
        let moment = DateTime::parse_from_rfc3339("2024-09-16T20:34:04.429999Z").unwrap();
        let timestamp = Timestamp::from(moment.to_utc());
        assert_eq!(timestamp, "2024-09-16T20:34:04.429Z".parse().unwrap());
    }

    #[test]
    fn timestamps_are_ordered_by_moment() {
        let parse = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(parse("2024-09-16T22:34:04.428+02:00") < parse("2024-09-16T20:34:04.429Z"));
        assert_ne!(parse("2024-09-16T20:34:04.429Z"), parse("2024-09-16T20:34:04.4290Z"));
    }
}
