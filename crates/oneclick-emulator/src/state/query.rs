//! The query of a request: known parameters, each sent once.

use std::borrow::Cow;

use chrono::NaiveDate;
use oneclick_proto::{DateRange, Email, InvalidValue};

use super::Input;
use super::problem::{Problem, unknown};

/// The only parameter that may be repeated.
const REPEATABLE: &str = "filter_by";

/// The parameters of a query, decoded.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads a query, and refuses parameters that the path does not take.
    pub(super) fn parse(input: &Input<'a>, known: &[&str]) -> Result<Self, Problem> {
        let raw = input.query;
        let pairs: Vec<_> = form_urlencoded::parse(raw.as_bytes()).collect();
        let replaced = |text: &str| text.contains('\u{FFFD}');
        let sent = replaced(raw) || raw.to_ascii_uppercase().contains("%EF%BF%BD");
        if !sent && pairs.iter().any(|(name, value)| replaced(name) || replaced(value)) {
            return Err(Problem::invalid("the query must be percent-encoded UTF-8"));
        }
        let names = pairs.iter().map(|(name, _)| &**name);
        let others: Vec<_> = names.filter(|name| !known.contains(name)).collect();
        if !others.is_empty() {
            return Err(unknown("parameter", &others, input.path, known));
        }
        for (at, (name, _)) in pairs.iter().enumerate() {
            if name != REPEATABLE && pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::invalid(format!(
                    "`{name}` was sent twice: send it once; only `{REPEATABLE}` can be repeated",
                )));
            }
        }
        Ok(Self(pairs))
    }

    /// An optional parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// `user_id` or `time_utc`, both of which the id of an impact needs.
    pub(super) fn id_part(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::id_part_missing(name))
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// `start_date` and `end_date`.
    pub(super) fn dates(&self) -> Result<DateRange, Problem> {
        DateRange::new(self.day("start_date")?, self.day("end_date")?)
            .map_err(|error| Problem::invalid(format!("`start_date`, `end_date`: {error}")))
    }

    /// `customer_email`.
    pub(super) fn customer_email(&self) -> Result<Option<Email>, Problem> {
        self.get("customer_email").map(email).transpose()
    }

    fn day(&self, name: &str) -> Result<Option<NaiveDate>, Problem> {
        self.get(name)
            .map(|text| {
                day(text).ok_or_else(|| {
                    Problem::invalid(format!(
                        "`{name}` must be a date of the form YYYY-MM-DD, such as 2025-01-31",
                    ))
                })
            })
            .transpose()
    }
}

/// Checks a `customer_email`.
pub(super) fn email(text: &str) -> Result<Email, Problem> {
    Email::new(text).map_err(|error: InvalidValue| {
        // A plus sign that was not percent-encoded is read as a space.
        let hint = if text.contains(' ') { "; send + in a query as %2B" } else { "" };
        Problem::invalid(format!("`customer_email`: {error}{hint}"))
    })
}

fn day(text: &str) -> Option<NaiveDate> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let [year, month, day]: [&str; 3] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let shape = year.len() == 4 && month.len() == 2 && day.len() == 2;
    if !shape || ![year, month, day].into_iter().all(digits) {
        return None;
    }
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::Behaviour;
    use super::*;

    #[test]
    fn a_date_has_exactly_one_form() {
        assert!(day("2024-02-29").is_some());
        assert!(day("0000-01-01").is_some());
        for text in
            ["", "2024", "2023-02-29", "2024-2-9", "24-02-09", "+024-02-09", "2024-02-09T00:00:00Z"]
        {
            assert_eq!(day(text), None, "{text}");
        }
    }

    #[test]
    fn invalid_utf_8_is_refused_and_a_replacement_character_is_not() {
        let parse = |query| {
            Query::parse(
                &Input {
                    path: "/",
                    segment: "",
                    query,
                    body: b"",
                    lenient: false,
                    behaviour: &Behaviour::new(),
                },
                &["cursor"],
            )
            .is_ok()
        };
        assert!(!parse("cursor=%FF"));
        assert!(parse("cursor=%ef%bf%bd"));
        assert!(parse(""));
    }
}
