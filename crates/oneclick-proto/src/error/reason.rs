//! Finds the reason in the body of an error response of the API or of a gateway.

use serde_json::Value;

use super::ErrorType;
use crate::mend;

/// The names of fields with a reason, the most specific first.
const NAMES: [&str; 11] = [
    "message",
    "Message",
    "detail",
    "error_description",
    "description",
    "reason",
    "msg",
    "error",
    "errors",
    "title",
    "Error",
];
/// How many levels of JSON are searched.
const DEPTH: u32 = 4;
/// How many reasons of a list are kept.
const MAX_REASONS: usize = 5;

/// The type and reason in an error response.
#[derive(Default)]
pub(super) struct Reason {
    pub(super) error_type: Option<String>,
    pub(super) message: Option<String>,
    /// Whether the body has the form of the API's errors: a JSON object with a `type` that
    /// the API is known to use, and a `message`. No other form proves that a request was
    /// not executed.
    pub(super) from_api: bool,
}

impl Reason {
    pub(super) fn of(body: &[u8]) -> Self {
        let Some(value) = mend::value(body) else {
            return Self { message: of_text(&String::from_utf8_lossy(body)), ..Self::default() };
        };
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let known = text("type").is_some_and(|name| ErrorType::known(&name).is_some());
        let from_api = known && text("message").is_some();
        let message = text("message").or_else(|| of_value(&value, DEPTH));
        Self { error_type: text("type"), message, from_api }
    }
}

fn of_value(value: &Value, depth: u32) -> Option<String> {
    if depth == 0 {
        return None;
    }
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(values) => {
            joined(values.iter().filter_map(|value| of_value(value, depth - 1)))
        }
        Value::Object(fields) => {
            let named = NAMES.iter().filter_map(|name| fields.get(*name));
            let mut named = named.filter_map(|value| of_value(value, depth - 1));
            // An object of the invalid fields, each with its reasons.
            let by_field = || {
                let reason =
                    |(name, value)| Some(format!("{name}: {}", of_value(value, depth - 1)?));
                joined(fields.iter().filter_map(reason))
            };
            named.next().or_else(|| (depth < DEPTH).then(by_field).flatten())
        }
        _ => None,
    }
}

fn joined(reasons: impl Iterator<Item = String>) -> Option<String> {
    let reasons: Vec<_> = reasons.take(MAX_REASONS).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The reason in a body that is not JSON: the text itself, or the title of an HTML page.
/// JSON that was cut short has none.
fn of_text(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let text = match text.chars().next()? {
        '<' => {
            let lower = text.to_ascii_lowercase();
            let start = lower.find("<title>")? + "<title>".len();
            let end = start + lower[start..].find('<')?;
            text[start..end].trim()
        }
        '{' | '[' | '"' => return None,
        _ => text,
    };
    let is_text = !text.contains(|char: char| char.is_control() && !char.is_whitespace());
    (is_text && !text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_in_every_form() {
        for (body, expected) in [
            (r#"{"type":"x","message":"no trees"}"#, Some("no trees")),
            (r#"{"message":"no trees","error":"Bad Request"}"#, Some("no trees")),
            (r#"{"Message":"no trees"}"#, Some("no trees")),
            (r#"{"error":"no trees"}"#, Some("no trees")),
            (r#"{"error":{"code":7,"message":"no trees"}}"#, Some("no trees")),
            (r#"{"error":"invalid","error_description":"no trees"}"#, Some("no trees")),
            (r#"{"errors":["no trees","no soil"]}"#, Some("no trees; no soil")),
            (r#"{"errors":[{"detail":"no trees"},{"msg":"no soil"}]}"#, Some("no trees; no soil")),
            (r#"{"errors":{"amount":["too many","odd"]}}"#, Some("amount: too many; odd")),
            (r#"[{"message":"no trees"}]"#, Some("no trees")),
            (r#"["no trees"]"#, Some("no trees")),
            (r#""no trees""#, Some("no trees")),
            (
                r#"{"type":"about:blank","title":"Bad Request","detail":"no trees"}"#,
                Some("no trees"),
            ),
            (r#"{"type":"about:blank","title":"no trees"}"#, Some("no trees")),
            ("\u{feff}{\"message\":\"no trees\"}", Some("no trees")),
            (r#"{"message":"no tree\ud83c"}"#, Some("no tree\u{fffd}")),
            ("no trees\n", Some("no trees")),
            ("<html><head><TITLE> no trees </TITLE></head>", Some("no trees")),
            ("<html><title>no trees", None),
            ("<html>", None),
            (r#"{"message":"no tr"#, None),
            (r#"{"code":7}"#, None),
            (r#"{"message":"","error":" "}"#, None),
            ("7", None),
            ("\u{0}\u{1}", None),
            (" ", None),
        ] {
            let reason = Reason::of(body.as_bytes());
            let message = reason.message.filter(|message| !message.is_empty());
            assert_eq!(message.as_deref(), expected, "{body}");
        }
        let many: Vec<_> = (0..9).map(|number| number.to_string()).collect();
        let body = serde_json::to_vec(&many).unwrap();
        assert_eq!(Reason::of(&body).message.unwrap(), "0; 1; 2; 3; 4");
        let deep = format!("{}\"no trees\"{}", "[".repeat(4), "]".repeat(4));
        assert_eq!(Reason::of(deep.as_bytes()).message, None);
    }

    #[test]
    fn only_type_and_message_at_the_top_count_as_from_the_api() {
        assert!(Reason::of(br#"{"type":"api_error","message":"no"}"#).from_api);
        for body in [
            r#"{"type":"about:blank","title":"Forbidden","detail":"no"}"#,
            r#"{"message":"no"}"#,
            r#"{"error":{"type":"api_error","message":"no"}}"#,
            r#"[{"type":"api_error","message":"no"}]"#,
            r#"{"type":7,"message":"no"}"#,
            r#"{"type":"api_error","message":null,"detail":"no"}"#,
            "no",
        ] {
            assert!(!Reason::of(body.as_bytes()).from_api, "{body}");
        }
    }
}
