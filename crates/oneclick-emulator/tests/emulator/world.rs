//! An emulator, a key and a time that stands still, for the tests of the function.

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, Response};
use oneclick_emulator::{Config, Emulator};
use serde_json::Value;

/// The paths that make impacts.
pub(crate) const ACTIONS: [&str; 5] = [
    "/v1/plant_tree",
    "/v1/clean_ocean",
    "/v1/capture_carbon",
    "/v1/restore_coral",
    "/v1/donate_money",
];

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) now: DateTime<Utc>,
    pub(crate) key: &'static str,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Config::new())
    }

    pub(crate) fn of(config: Config) -> Self {
        let now = "2025-03-12T15:22:14.753Z".parse().unwrap();
        Self { emulator: Emulator::new(config), now, key: "test_key" }
    }

    pub(crate) fn pass(&mut self, time: TimeDelta) {
        self.now += time;
    }

    pub(crate) fn request(&self, method: &Method, uri: &str, body: &str) -> Request<Vec<u8>> {
        let builder = Request::builder().method(method).uri(uri).header("x-api-key", self.key);
        let builder = match *method {
            Method::POST => builder.header("content-type", "application/json"),
            _ => builder,
        };
        builder.body(body.as_bytes().to_vec()).unwrap()
    }

    pub(crate) fn respond(&mut self, request: &Request<Vec<u8>>) -> (u16, Value) {
        let response = self.emulator.respond(request, self.now);
        (response.status().as_u16(), json(&response))
    }

    /// A POST that has to succeed.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Value {
        let (status, answer) = self.respond(&self.request(&Method::POST, path, body));
        assert_eq!(status, 200, "POST {path} {body}: {answer}");
        answer
    }

    /// A GET that has to succeed.
    pub(crate) fn get(&mut self, uri: &str) -> Value {
        let (status, answer) = self.respond(&self.request(&Method::GET, uri, ""));
        assert_eq!(status, 200, "GET {uri}: {answer}");
        answer
    }

    /// A POST that has to be refused; its message.
    pub(crate) fn refused_post(&mut self, status: u16, path: &str, body: &str) -> String {
        let answer = self.respond(&self.request(&Method::POST, path, body));
        message(status, answer, &format!("POST {path} {body}"))
    }

    /// A GET that has to be refused; its message.
    pub(crate) fn refused_get(&mut self, status: u16, uri: &str) -> String {
        let answer = self.respond(&self.request(&Method::GET, uri, ""));
        message(status, answer, &format!("GET {uri}"))
    }
}

pub(crate) fn json(response: &Response<Vec<u8>>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

/// The message of an error, after a look at its status and shape.
pub(crate) fn message(status: u16, answer: (u16, Value), what: &str) -> String {
    let (got, body) = answer;
    assert_eq!(got, status, "{what}: {body}");
    let fields = body.as_object().unwrap();
    assert_eq!(fields.len(), 2, "{body}");
    let expected = if status == 401 { "key_error" } else { "invalid_request_error" };
    assert_eq!(fields["type"], expected, "{what}");
    fields["message"].as_str().unwrap().to_owned()
}

/// The position of each element in a list, as one string per element.
pub(crate) fn column(list: &Value, field: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.as_array().unwrap().iter().map(|item| text(&item[field])).collect()
}
