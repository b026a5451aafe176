//! Writes the fields of an endpoint into the path, query and body of a request.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::Method;
use serde::de::{self, MapAccess};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::Endpoint;
use crate::value::InvalidValue;

/// The parts of a request that do not depend on the base URL and the key.
#[derive(Clone)]
pub(crate) struct Encoded {
    pub(super) path_and_query: Bytes,
    pub(super) body: Vec<u8>,
}

impl Encoded {
    pub(crate) fn of<E: Endpoint>(endpoint: &E) -> Result<Self, InvalidValue> {
        endpoint.check()?;
        let json = serde_json::to_vec(endpoint)
            .map_err(|_| InvalidValue::unserializable("its fields cannot be written as JSON"))?;
        let in_body = E::METHOD != Method::GET;
        if in_body && !E::PATH.contains('{') {
            let path_and_query = Bytes::from_static(E::PATH.as_bytes());
            return Ok(Self { path_and_query, body: json });
        }
        let mut fields = Fields::read(&json)?;
        let mut target = path(E::PATH, &mut fields)?;
        let mut body = Vec::new();
        if in_body {
            let fields = fields.0.into_iter().map(|(name, value)| (name.into_owned(), value));
            let fields: Map<String, Value> = fields.collect();
            body = Value::Object(fields).to_string().into_bytes();
        } else {
            push_query(&mut target, fields)?;
        }
        Ok(Self { path_and_query: target.into(), body })
    }
}

/// Hides everything, since a query or a body can contain an e-mail address.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoded(..)")
    }
}

/// The fields that may hold personal data and must not appear in messages: e-mail
/// addresses, names, metadata and reasons.
pub(crate) fn personal_texts<E: Endpoint>(endpoint: &E) -> Vec<String> {
    let personal = |field: &str| {
        field.contains("email") || field.contains("name") || ["metadata", "reason"].contains(&field)
    };
    let json = serde_json::to_vec(endpoint).unwrap_or_default();
    let mut texts = Vec::new();
    for (field, value) in Fields::read(&json).unwrap_or_default().0 {
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

/// The fields of an endpoint, in the order in which they are declared.
#[derive(Default)]
struct Fields<'a>(Vec<(Cow<'a, str>, Value)>);

impl<'a> Fields<'a> {
    fn read(json: &'a [u8]) -> Result<Self, InvalidValue> {
        serde_json::from_slice(json).map_err(|_| {
            InvalidValue::unserializable("the endpoint is not a struct with named fields")
        })
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A name, borrowed unless it has an escape.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Fields<'de>, E> {
                Ok(Fields::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.0.push((name, value));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Fills in the segments that the path names in braces, and removes their fields.
fn path(template: &'static str, fields: &mut Fields<'_>) -> Result<Vec<u8>, InvalidValue> {
    let mut path = Vec::with_capacity(256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after
            .split_once('}')
            .ok_or_else(|| InvalidValue::unserializable("its path has an unclosed brace"))?;
        let index = fields.0.iter().position(|(name, _)| name == field);
        let value = index.map(|index| fields.0.remove(index).1).unwrap_or_default();
        // URL parsers resolve `.` and `..`, even percent-encoded.
        let segment = text(value)?
            .filter(|text| !matches!(text.as_str(), "" | "." | ".."))
            .ok_or(InvalidValue::PathSegment { field })?;
        path.extend_from_slice(before.as_bytes());
        push_encoded(&mut path, &segment);
        rest = after;
    }
    path.extend_from_slice(rest.as_bytes());
    Ok(path)
}

/// Writes lists as repeated parameters, and leaves null values out.
fn push_query(target: &mut Vec<u8>, fields: Fields<'_>) -> Result<(), InvalidValue> {
    let mut separator = b'?';
    for (name, value) in fields.0 {
        let values = if let Value::Array(values) = value { values } else { vec![value] };
        for value in values {
            let Some(text) = text(value)? else { continue };
            target.push(std::mem::replace(&mut separator, b'&'));
            push_encoded(target, &name);
            target.push(b'=');
            push_encoded(target, &text);
        }
    }
    Ok(())
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that form decoders
/// and URI decoders read the same text.
fn push_encoded(target: &mut Vec<u8>, text: &str) {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    for piece in text.as_bytes().chunk_by(|one, other| plain(one) && plain(other)) {
        match piece {
            [byte] if !plain(byte) => target.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
            plain => target.extend_from_slice(plain),
        }
    }
}

/// The text of a value in a path or a query; `None` for null.
fn text(value: Value) -> Result<Option<String>, InvalidValue> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(InvalidValue::unserializable(
            "its path or query cannot contain a map or a nested list",
        )),
    }
}
