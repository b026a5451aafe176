//! Writes an endpoint's fields into path, query and body.

use http::Method;
use serde_json::{Map, Value};

use crate::Endpoint;
use crate::value::InvalidValue;

pub(super) struct Parts {
    pub(super) path_and_query: String,
    pub(super) body: Option<Vec<u8>>,
}

pub(super) fn parts<E: Endpoint>(endpoint: &E) -> Result<Parts, InvalidValue> {
    let in_body = E::METHOD != Method::GET;
    if in_body && !E::PATH.contains('{') {
        let body = serde_json::to_vec(endpoint)
            .map_err(|_| unserializable("its fields are no JSON object"))?;
        return Ok(Parts { path_and_query: E::PATH.to_owned(), body: Some(body) });
    }
    let mut fields = fields(endpoint)?;
    let mut path_and_query = path(E::PATH, &mut fields)?;
    if in_body {
        let body = Value::Object(fields).to_string().into_bytes();
        return Ok(Parts { path_and_query, body: Some(body) });
    }
    let mut separator = '?';
    for (name, value) in &fields {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let Some(text) = text(value)? else { continue };
            path_and_query.push(separator);
            push_encoded(&mut path_and_query, name);
            path_and_query.push('=');
            push_encoded(&mut path_and_query, &text);
            separator = '&';
        }
    }
    Ok(Parts { path_and_query, body: None })
}

/// What may be personal among the fields, to be kept out of messages: e-mail
/// addresses and names, and what callers write in their own words.
pub(super) fn personal_texts<E: Endpoint>(endpoint: &E) -> Vec<String> {
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
fn path(template: &'static str, fields: &mut Map<String, Value>) -> Result<String, InvalidValue> {
    let mut path = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) =
            after.split_once('}').ok_or_else(|| unserializable("its path misses a brace"))?;
        let value = fields.remove(field).unwrap_or_default();
        // A URL parser takes `.` and `..` for steps, even percent-encoded.
        let segment = text(&value)?
            .filter(|text| !matches!(text.as_str(), "" | "." | ".."))
            .ok_or(InvalidValue::PathSegment { field })?;
        path.push_str(before);
        push_encoded(&mut path, &segment);
        rest = after;
    }
    path.push_str(rest);
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

/// Percent-encodes all but the unreserved characters of RFC 3986, so that any
/// decoder of forms or URIs gives back the same text.
fn push_encoded(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
            target.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

const fn unserializable(reason: &'static str) -> InvalidValue {
    InvalidValue::Unserializable { reason }
}
