//! Writes an endpoint's fields into path, query and body.

use std::fmt;

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};

use super::query::{Query, push_encoded};
use crate::Endpoint;
use crate::value::InvalidValue;

/// What an endpoint's fields are written into: the parts of a request that do not
/// depend on the base URL and the key.
#[derive(Clone)]
pub(crate) struct Encoded {
    pub(super) path_and_query: Bytes,
    pub(super) body: Vec<u8>,
}

/// A query or a body can hold an e-mail address.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoded(..)")
    }
}

impl Encoded {
    pub(crate) fn of<E: Endpoint>(endpoint: &E) -> Result<Self, InvalidValue> {
        let in_body = E::METHOD != Method::GET;
        if E::PATH.contains('{') {
            // Some fields go into the path: they are taken apart first.
            let mut fields = fields(endpoint)?;
            let path = path(E::PATH, &mut fields)?;
            let fields = Value::Object(fields);
            return if in_body {
                Ok(Self { path_and_query: path.into(), body: fields.to_string().into_bytes() })
            } else {
                let path_and_query = Query::new(path).write(&fields)?.into();
                Ok(Self { path_and_query, body: Vec::new() })
            };
        }
        if in_body {
            let body = serde_json::to_vec(endpoint)
                .map_err(|_| unserializable("its fields are no JSON object"))?;
            return Ok(Self { path_and_query: Bytes::from_static(E::PATH.as_bytes()), body });
        }
        // More than nearly every query needs.
        let mut path = Vec::with_capacity(256);
        path.extend_from_slice(E::PATH.as_bytes());
        Ok(Self { path_and_query: Query::new(path).write(endpoint)?.into(), body: Vec::new() })
    }
}

/// What may be personal among the fields, to be kept out of messages: e-mail
/// addresses and names, and what callers write in their own words.
pub(crate) fn personal_texts<E: Endpoint>(endpoint: &E) -> Vec<String> {
    let personal = |field: &str| {
        field.contains("email") || field.contains("name") || ["metadata", "reason"].contains(&field)
    };
    let mut texts = Vec::new();
    for (field, value) in fields(endpoint).unwrap_or_default() {
        match value {
            Value::String(text) if personal(&field) => texts.push(text),
            Value::Object(pairs) if personal(&field) => {
                texts.extend(pairs.values().filter_map(|text| text.as_str().map(str::to_owned)));
            }
            _ => {}
        }
    }
    texts
}

fn fields<E: Endpoint>(endpoint: &E) -> Result<Map<String, Value>, InvalidValue> {
    match serde_json::to_value(endpoint) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        _ => Err(unserializable("it is not a struct of fields")),
    }
}

/// Fills the segments that the path names in braces, and takes those fields.
fn path(template: &'static str, fields: &mut Map<String, Value>) -> Result<Vec<u8>, InvalidValue> {
    let mut path = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) =
            after.split_once('}').ok_or_else(|| unserializable("its path misses a brace"))?;
        let value = fields.remove(field).unwrap_or_default();
        // A URL parser takes `.` and `..` for steps, even percent-encoded.
        let segment = text(&value)?
            .filter(|text| !matches!(text.as_str(), "" | "." | ".."))
            .ok_or(InvalidValue::PathSegment { field })?;
        path.extend_from_slice(before.as_bytes());
        push_encoded(&mut path, &segment);
        rest = after;
    }
    path.extend_from_slice(rest.as_bytes());
    Ok(path)
}

fn text(value: &Value) -> Result<Option<String>, InvalidValue> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            Err(unserializable("a query or a path cannot hold a map or a nested list"))
        }
    }
}

const fn unserializable(reason: &'static str) -> InvalidValue {
    InvalidValue::Unserializable { reason }
}
