//! The body of a POST: a JSON object, read field by field.

use std::fmt;
use std::str::FromStr;

use oneclick_proto::{InvalidValue, Metadata};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Problem, shown, unknown};

/// The fields of a body.
pub(super) struct Fields<'a> {
    text: &'a str,
    pairs: Vec<(String, Value)>,
}

/// The fields of an object, in the order in which they were sent.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            // Not into a map: the second of two equal names would win silently.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_any(Pairs)
    }
}

impl<'a> Fields<'a> {
    /// Reads a body; `example` is one, for those who sent something else.
    pub(super) fn parse(body: &'a [u8], example: &str) -> Result<Self, Problem> {
        if body.is_empty() {
            return Err(Problem::invalid(format!(
                "the body is empty: send a JSON object, such as {example}",
            )));
        }
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::invalid("the body is not UTF-8: send JSON in UTF-8"))?;
        // serde_json's own words can quote the body.
        let Object(pairs) = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Problem::invalid(if error.is_data() {
                format!("the body must be a JSON object, such as {example}")
            } else {
                format!("the body is not JSON: it goes wrong at line {line}, column {column}")
            })
        })?;
        let mut names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(Problem::invalid(format!("the body has a field twice: {}", shown(pair[0]))))
            }
            None => Ok(Self { text, pairs }),
        }
    }

    /// Refuses fields that the path does not take.
    pub(super) fn only(&self, path: &str, known: &[&str]) -> Result<(), Problem> {
        let names = self.pairs.iter().map(|(name, _)| name.as_str());
        let others: Vec<_> = names.filter(|name| !known.contains(name)).collect();
        if others.is_empty() { Ok(()) } else { Err(unknown("field", &others, path, known)) }
    }

    /// A whole number that must be there.
    pub(super) fn whole<T: FromStr<Err = InvalidValue>>(&self, name: &str) -> Result<T, Problem> {
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

    /// Text that may be there.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        self.get(name)?
            .map(|value| value.as_str().ok_or_else(|| wrong(name, "a string", value)))
            .transpose()
    }

    /// Half of the id of an impact.
    pub(super) fn half(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?.ok_or_else(|| Problem::half_missing(name))
    }

    /// `metadata`, empty if there is none.
    pub(super) fn metadata(&self) -> Result<Metadata, Problem> {
        /// Once more for this field, so that a key that was sent twice shows.
        #[derive(Deserialize)]
        struct Body {
            metadata: Object,
        }

        let Some(value) = self.get("metadata")? else { return Ok(Metadata::new()) };
        let Body { metadata: Object(pairs) } = serde_json::from_str(self.text)
            .map_err(|_| wrong("metadata", "an object of strings", value))?;
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => Ok((key, text)),
            other => Err(wrong("metadata", "an object of strings", &other)),
        };
        let pairs = pairs.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        Metadata::from_pairs(pairs)
            .map_err(|error| Problem::invalid(format!("`metadata`: {error}")))
    }

    /// A truth value that may be there.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.get(name)?
            .map(|value| value.as_bool().ok_or_else(|| wrong(name, "true or false", value)))
            .transpose()
    }

    fn get(&self, name: &str) -> Result<Option<&Value>, Problem> {
        match self.pairs.iter().find(|(field, _)| field == name) {
            Some((_, Value::Null)) => {
                Err(Problem::invalid(format!("`{name}` is null: send a value or leave it out")))
            }
            Some((_, value)) => Ok(Some(value)),
            None => Ok(None),
        }
    }
}

fn wrong(name: &str, expected: &str, value: &Value) -> Problem {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Problem::invalid(format!("`{name}` must be {expected}; {found} was sent"))
}
