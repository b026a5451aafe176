//! Answers that tell a developer what to fix.

use chrono::{DateTime, Utc};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use oneclick_proto::{ErrorBody, ErrorType};
use serde::Serialize;

/// Why a request was refused. Its message never repeats a value that can be
/// an e-mail address, a name or a key.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    error_type: ErrorType,
    message: String,
    allow: Option<String>,
}

impl Problem {
    /// Something is wrong with the request: 400 `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: ErrorType::InvalidRequestError,
            message: message.into(),
            allow: None,
        }
    }

    /// Something is wrong with the key: 401 `key_error`.
    pub(crate) fn key(message: impl Into<String>) -> Self {
        Self { error_type: ErrorType::KeyError, ..Self::invalid(message) }
            .status(StatusCode::UNAUTHORIZED)
    }

    /// Half of the id of an impact is missing.
    pub(crate) fn half_missing(name: &str) -> Self {
        Self::invalid(format!(
            "`{name}` is missing: `user_id` and `time_utc` are both required, as a receipt or a \
             record gave them",
        ))
    }

    /// Another status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The path does not take the method: 405. What takes GET takes HEAD too.
    pub(crate) fn method<'m>(path: &str, methods: impl Iterator<Item = &'m str>) -> Self {
        let with_head = methods.map(|method| if method == "GET" { "GET, HEAD" } else { method });
        let methods = with_head.collect::<Vec<_>>().join(", ");
        let problem = Self::invalid(format!("{path} takes {methods} only"));
        Self { allow: Some(methods), ..problem }.status(StatusCode::METHOD_NOT_ALLOWED)
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.message.push_str(hint);
        self
    }

    /// The answer.
    pub(crate) fn answer(self) -> Response<Vec<u8>> {
        let mut response =
            answer(self.status, json(&ErrorBody::new(self.error_type, self.message)));
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }
}

/// An answer with a JSON body.
pub(crate) fn answer(status: StatusCode, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The response to the HEAD of what was answered: its headers, and no body.
pub(crate) fn without_body(mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
    let length = std::mem::take(response.body_mut()).len();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// The method that decides about a request: a HEAD is a GET without the body of its
/// response.
pub(crate) fn without_head(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

/// A moment as HTTP headers have it (RFC 9110, 5.6.7).
pub(super) fn http_date(moment: DateTime<Utc>) -> Option<HeaderValue> {
    HeaderValue::try_from(moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

/// What is answered, as JSON.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are no text can fail, and there are none.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A field's name as the client wrote it, unless it does not look like one:
/// then it may be a value that lost its place, such as an e-mail address.
pub(crate) fn shown(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    if (1..=40).contains(&name.len()) && name.bytes().all(plain) {
        format!("`{name}`")
    } else {
        "one whose name is not shown here".to_owned()
    }
}

/// What is unknown, what was probably meant, and what there is.
pub(crate) fn unknown(what: &str, names: &[&str], path: &str, known: &[&str]) -> Problem {
    // A body can have a hundred thousand of them; the first few tell the story.
    let few = names.iter().take(5);
    let few: Vec<_> = few
        .map(|name| match meant(name, known) {
            Some(meant) => format!("{} (did you mean `{meant}`?)", shown(name)),
            None => shown(name),
        })
        .collect();
    let (few, more) = (few.join(", "), if names.len() > 5 { ", and more" } else { "" });
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Problem::invalid(format!("unknown {what}: {few}{more}; {path} takes {known}"))
}

/// Names that integrators use, in lower-case letters, and the API's own.
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

fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = letters(name);
    // One name can be used for several things, of which the path takes one.
    let alias = |known: &&&str| {
        ALIASES.iter().any(|(names, meant)| meant == *known && names.contains(&&*name))
    };
    let same = |known: &&&str| letters(known) == name;
    known.iter().find(same).or_else(|| known.iter().find(alias)).copied()
}

/// A name without case and punctuation: `customerEmail` is `customer_email`.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
