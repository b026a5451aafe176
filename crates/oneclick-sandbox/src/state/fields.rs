//! The body of a POST: a JSON object, read field by field.

use std::fmt;
use std::str::FromStr;

use oneclick_proto::InvalidValue;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Problem, shown, unknown};

/// The fields of a body, in the order in which they were sent.
pub(super) struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            // Not into a map: the second of two equal names would win silently.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_any(Object)
    }
}

impl Fields {
    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Err(Problem::invalid("the body is empty: send a JSON object with `amount`"));
        }
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::invalid("the body is not UTF-8: send JSON in UTF-8"))?;
        // serde_json's own words can quote the body.
        let fields: Self = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Problem::invalid(if error.is_data() {
                "the body must be a JSON object, such as {\"amount\":5}".to_owned()
            } else {
                format!("the body is not JSON: it goes wrong at line {line}, column {column}")
            })
        })?;
        let mut names: Vec<_> = fields.0.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(Problem::invalid(format!("the body has a field twice: {}", shown(pair[0]))))
            }
            None => Ok(fields),
        }
    }

    /// Refuses fields that the path does not take.
    pub(super) fn only(&self, path: &str, known: &[&str]) -> Result<(), Problem> {
        let names = self.0.iter().map(|(name, _)| name.as_str());
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

    /// A truth value that may be there.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.get(name)?
            .map(|value| value.as_bool().ok_or_else(|| wrong(name, "true or false", value)))
            .transpose()
    }

    fn get(&self, name: &str) -> Result<Option<&Value>, Problem> {
        match self.0.iter().find(|(field, _)| field == name) {
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
