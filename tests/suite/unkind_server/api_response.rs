//! Responses without their `Date`: those of the API itself and those of a gateway.

use http::{HeaderValue, Response, StatusCode, header};

use super::{Dice, json};

pub(super) struct ApiResponse {
    status: u16,
    content_type: Option<&'static str>,
    pub(super) body: String,
}

const JSON: Option<&str> = Some("application/json");
const HTML: Option<&str> = Some("text/html; charset=utf-8");

impl ApiResponse {
    pub(super) fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: JSON, body: body.into() }
    }

    /// An error of the API itself.
    pub(super) fn refusal(status: u16, message: &str) -> Self {
        let kind = match status {
            401 => "key_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        let fields = [("type", json::text(kind)), ("message", json::text(message))];
        Self::json(status, json::object(fields))
    }

    pub(super) fn html(status: u16) -> Self {
        let body = format!("<html><body><h1>{status}</h1></body></html>");
        Self { status, content_type: HTML, body }
    }

    pub(super) fn message(status: u16, message: &str) -> Self {
        Self::json(status, json::object([("message", json::text(message))]))
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, content_type: None, body: String::new() }
    }

    /// An error of a gateway, cache or load balancer.
    pub(super) fn of_a_gateway(status: u16, dice: &mut Dice) -> Self {
        match dice.index(3) {
            _ if status == 304 => Self::empty(status),
            0 => Self::html(status),
            1 => Self::message(status, "The gateway could not help you"),
            _ => Self { status, content_type: HTML, body: String::new() },
        }
    }

    pub(super) fn into_response(self) -> Response<Vec<u8>> {
        let mut response = Response::new(self.body.into_bytes());
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a valid status");
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            let elsewhere = HeaderValue::from_static("https://elsewhere.example/");
            headers.insert(header::LOCATION, elsewhere);
        }
        response
    }
}
