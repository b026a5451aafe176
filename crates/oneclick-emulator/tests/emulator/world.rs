//! An emulator function with a key and a fixed time, for tests.

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, Response};
use oneclick_emulator::{Config, Emulator};
use serde_json::Value;

/// The paths of the actions.
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

    /// Sends a POST that must succeed.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Value {
        let (status, json) = self.respond(&self.request(&Method::POST, path, body));
        assert_eq!(status, 200, "POST {path} {body}: {json}");
        json
    }

    /// Sends a GET that must succeed.
    pub(crate) fn get(&mut self, uri: &str) -> Value {
        let (status, json) = self.respond(&self.request(&Method::GET, uri, ""));
        assert_eq!(status, 200, "GET {uri}: {json}");
        json
    }

    /// Sends a POST that must be refused, and returns the message.
    pub(crate) fn refused_post(&mut self, status: u16, path: &str, body: &str) -> String {
        let response = self.respond(&self.request(&Method::POST, path, body));
        message(status, response, &format!("POST {path} {body}"))
    }

    /// Sends a GET that must be refused, and returns the message.
    pub(crate) fn refused_get(&mut self, status: u16, uri: &str) -> String {
        let response = self.respond(&self.request(&Method::GET, uri, ""));
        message(status, response, &format!("GET {uri}"))
    }
}

pub(crate) fn json(response: &Response<Vec<u8>>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

/// Checks the status and shape of an error, and returns its message.
pub(crate) fn message(status: u16, response: (u16, Value), what: &str) -> String {
    let (got, body) = response;
    assert_eq!(got, status, "{what}: {body}");
    let fields = body.as_object().unwrap();
    assert_eq!(fields.len(), 2, "{body}");
    let expected = if status == 401 { "key_error" } else { "invalid_request_error" };
    assert_eq!(fields["type"], expected, "{what}");
    fields["message"].as_str().unwrap().to_owned()
}

/// A field of each element of a list, as a string.
pub(crate) fn column(list: &Value, field: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.as_array().unwrap().iter().map(|item| text(&item[field])).collect()
}
