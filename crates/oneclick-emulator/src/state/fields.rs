//! The fields of a JSON object, such as the body of a POST.

use std::fmt;
use std::str::FromStr;

use oneclick_proto::{InvalidValue, Metadata};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Problem, got, shown, unknown};

/// The fields of a JSON object, in the order in which they were sent.
pub(crate) struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            // Not into a map, which would silently keep the second of two equal names.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_any(Pairs)
    }
}

impl Fields {
    /// An object without fields.
    pub(crate) const NONE: Self = Self(Vec::new());

    /// Reads JSON. `what` names it in messages, which show `example`.
    pub(crate) fn parse(what: &str, json: &[u8], example: &str) -> Result<Self, Problem> {
        if json.is_empty() {
            return Err(Problem::invalid(format!(
                "the {what} is empty: send a JSON object, such as {example}",
            )));
        }
        let text = std::str::from_utf8(json).map_err(|_| {
            Problem::invalid(format!("the {what} is not UTF-8: send JSON encoded as UTF-8"))
        })?;
        // The messages of serde_json can quote the text.
        let fields: Self = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Problem::invalid(if error.is_data() {
                format!("the {what} must be a JSON object, such as {example}")
            } else {
                format!("the {what} is not JSON: the error is at line {line}, column {column}")
            })
        })?;
        let mut names: Vec<_> = fields.pairs().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(Problem::invalid(format!("the {what} has a field twice: {}", shown(pair[0]))))
            }
            None => Ok(fields),
        }
    }

    /// Each name with its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Refuses every field but the known ones. `taker` is what takes those, such as a path.
    pub(crate) fn only(&self, taker: &str, known: &[&str]) -> Result<(), Problem> {
        let names = self.pairs().map(|(name, _)| name.as_str());
        let others: Vec<_> = names.filter(|name| !known.contains(name)).collect();
        if others.is_empty() { Ok(()) } else { Err(unknown("field", &others, taker, known)) }
    }

    /// A required whole number.
    pub(super) fn whole_number<T: FromStr<Err = InvalidValue>>(
        &self,
        name: &str,
    ) -> Result<T, Problem> {
        match self.get(name)? {
            Some(Value::Number(number)) if number.is_f64() => Err(Problem::invalid(format!(
                "`{name}` must be a whole number without a fraction or an exponent, such as 5",
            ))),
            Some(Value::Number(number)) => number
                .to_string()
                .parse()
                .map_err(|error: InvalidValue| Problem::invalid(format!("`{name}`: {error}"))),
            Some(other) => Err(wrong(name, "a whole number without quotes, such as 5", other)),
            None => Err(Problem::invalid(format!("`{name}` is missing: send a whole number"))),
        }
    }

    /// An optional string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        self.get(name)?
            .map(|value| value.as_str().ok_or_else(|| wrong(name, "a string", value)))
            .transpose()
    }

    /// `user_id` or `time_utc`, both of which the id of an impact needs.
    pub(super) fn id_part(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?.ok_or_else(|| Problem::id_part_missing(name))
    }

    /// `metadata`; empty if there is none. `body` is the JSON that the fields were read from.
    pub(super) fn metadata(&self, body: &[u8]) -> Result<Metadata, Problem> {
        /// Read again, because `Value` drops a key that was sent twice.
        #[derive(Deserialize)]
        struct Body {
            metadata: Fields,
        }

        let Some(value) = self.get("metadata")? else { return Ok(Metadata::new()) };
        let Body { metadata: Self(pairs) } = serde_json::from_slice(body)
            .map_err(|_| wrong("metadata", "an object of strings", value))?;
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => Ok((key, text)),
            other => Err(wrong("metadata", "an object of strings", &other)),
        };
        let pairs = pairs.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        Metadata::from_pairs(pairs)
            .map_err(|error| Problem::invalid(format!("`metadata`: {error}")))
    }

    /// An optional boolean.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.get(name)?
            .map(|value| value.as_bool().ok_or_else(|| wrong(name, "true or false", value)))
            .transpose()
    }

    /// An optional value of a control request, whose messages may show a number.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let wrong =
            |value| Problem::invalid(format!("`{name}` must be {expected}, got {}", got(value)));
        self.get(name)?.map(|value| T::deserialize(value).map_err(|_| wrong(value))).transpose()
    }

    /// An optional value. `null` is refused.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&Value>, Problem> {
        match self.pairs().find(|(field, _)| *field == name) {
            Some((_, Value::Null)) => {
                Err(Problem::invalid(format!("`{name}` is null: send a value or leave it out")))
            }
            Some((_, value)) => Ok(Some(value)),
            None => Ok(None),
        }
    }
}

/// The field has a value of the wrong type. The value may be private, so it is not shown.
fn wrong(name: &str, expected: &str, value: &Value) -> Problem {
    let got = if value.is_number() { "a number".to_owned() } else { got(value) };
    Problem::invalid(format!("`{name}` must be {expected}, got {got}"))
}
