//! Error responses, whose messages say what to fix.

use std::fmt;

use chrono::{DateTime, Utc};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use oneclick_proto::{ErrorBody, ErrorType};
use serde::Serialize;
use serde_json::Value;

/// Why a request was refused. The message shows no value that can be an e-mail address, a
/// name or a key.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    error_type: ErrorType,
    message: String,
    allow: Option<String>,
}

impl Problem {
    /// A 400 `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: ErrorType::InvalidRequestError,
            message: message.into(),
            allow: None,
        }
    }

    /// A 401 `key_error`.
    pub(crate) fn key(message: impl Into<String>) -> Self {
        Self { error_type: ErrorType::KeyError, ..Self::invalid(message) }
            .status(StatusCode::UNAUTHORIZED)
    }

    /// `user_id` or `time_utc` is missing.
    pub(crate) fn id_part_missing(name: &str) -> Self {
        Self::invalid(format!(
            "`{name}` is missing: send `user_id` and `time_utc` exactly as a receipt or a record \
             shows them",
        ))
    }

    /// The same with another status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A 405 for a path that takes only these methods. A path that takes GET also takes HEAD.
    pub(crate) fn method<'m>(path: &str, methods: impl Iterator<Item = &'m str>) -> Self {
        let with_head = methods.map(|method| if method == "GET" { "GET, HEAD" } else { method });
        let methods = with_head.collect::<Vec<_>>().join(", ");
        let problem = Self::invalid(format!("{path} takes only {methods}"));
        Self { allow: Some(methods), ..problem }.status(StatusCode::METHOD_NOT_ALLOWED)
    }

    /// Adds to the message how to fix it.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.message.push_str(hint);
        self
    }

    pub(crate) fn response(self) -> Response<Vec<u8>> {
        let body = ErrorBody::new(self.error_type, self.message);
        let mut response = json_response(self.status, &body);
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A response whose body is this value as JSON.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    response(status, json(body))
}

/// A response whose body is this JSON.
pub(crate) fn response(status: StatusCode, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The response to a HEAD: the headers of the response to the GET, and no body.
pub(crate) fn without_body(mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
    let length = std::mem::take(response.body_mut()).len();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// GET for a HEAD, which is handled as a GET without the body of its response.
pub(crate) fn head_as_get(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

/// A time in the form of HTTP headers (RFC 9110, 5.6.7).
pub(crate) fn http_date(moment: DateTime<Utc>) -> Option<HeaderValue> {
    HeaderValue::try_from(moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // Only a map whose keys are not strings can fail, and there is none.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The type of a JSON value, or the value if it is a number or a boolean.
pub(crate) fn got(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A name as the client wrote it. One that does not look like a name may be a misplaced
/// value, such as an e-mail address, and is not shown.
pub(crate) fn shown(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    if (1..=40).contains(&name.len()) && name.bytes().all(plain) {
        format!("`{name}`")
    } else {
        "a name that may be private and is not shown".to_owned()
    }
}

/// Refuses unknown names: suggests the one that was probably meant, and lists the known
/// ones. `taker` is what takes those, such as a path.
pub(crate) fn unknown(what: &str, names: &[&str], taker: &str, known: &[&str]) -> Problem {
    // A body can have a hundred thousand of them, and the first few are enough.
    let few = names.iter().take(5);
    let few: Vec<_> = few
        .map(|name| match meant(name, known) {
            Some(meant) => format!("{} (did you mean `{meant}`?)", shown(name)),
            None => shown(name),
        })
        .collect();
    let (few, more) = (few.join(", "), if names.len() > 5 { ", and more" } else { "" });
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Problem::invalid(format!("unknown {what}: {few}{more}; {taker} takes {known}"))
}

/// Names that integrators have used, as [`letters`], with the API's own name.
const ALIASES: &[(&[&str], &str)] = &[
    (&["email", "customer", "useremail", "recipient"], "customer_email"),
    (&["name", "username", "displayname"], "customer_name"),
    (&["quantity", "count", "trees", "value", "number", "pounds", "lbs", "cents"], "amount"),
    (&["sendemail", "notification"], "notify"),
    (&["filter", "kind", "type"], "filter_by"),
    (&["start", "from", "since"], "start_date"),
    (&["end", "to", "until"], "end_date"),
    (&["pagesize", "perpage", "size"], "limit"),
    (&["page", "offset", "after", "next"], "cursor"),
    (&["sort", "order", "sortby"], "sort_order"),
    (&["meta", "tags", "attributes"], "metadata"),
    (&["cause", "donationcategory"], "category"),
    (&["cancellationreason", "note", "comment"], "reason"),
    (&["language", "lang"], "locale"),
    (&["projecttype", "kind"], "type"),
    (&["time", "timestamp"], "time_utc"),
    (&["user", "id"], "user_id"),
];

/// The known name that was probably meant.
fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = letters(name);
    // An alias can stand for several names, of which one is known here.
    let alias = |known: &&&str| {
        ALIASES.iter().any(|(names, meant)| meant == *known && names.contains(&&*name))
    };
    let same = |known: &&&str| letters(known) == name;
    known.iter().find(same).or_else(|| known.iter().find(alias)).copied()
}

/// The letters and digits of a name in lower case: the same for `customerEmail` and
/// `customer_email`.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
