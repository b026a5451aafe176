//! What a shop says about a purchase in its headers.

use std::time::Duration;

use oneclick_ureq::http::{HeaderMap, HeaderName};

/// draft-ietf-httpapi-idempotency-key-header
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// RFC 7240
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The longest key, in characters.
const MAX_KEY: usize = 255;
/// The longest time to wait for a receipt.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);

/// The idempotency key; `None` without the header. It is a string of structured fields, such
/// as `"order-123"`, or the bare text that most programs send.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, String> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let wrong = |problem: &str| {
        let expected = "expected one string, such as `Idempotency-Key: \"order-123\"`";
        Err(format!("the Idempotency-Key header {problem}: {expected}"))
    };
    let text = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => return wrong("was sent twice"),
        (Some(value), None) => match value.to_str() {
            Ok(text) => text.trim(),
            Err(_) => return wrong("is not ASCII"),
        },
    };
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted),
        // Neither a list nor a parameter, whose meaning nobody knows.
        None if text.contains(['"', ',', ';', ' ', '\\']) => None,
        None => Some(text.to_owned()),
    };
    match key {
        None => wrong("is not one string"),
        Some(key) if key.trim().is_empty() => wrong("is empty"),
        Some(key) if key.len() > MAX_KEY => wrong(&format!("has more than {MAX_KEY} characters")),
        Some(key) => Ok(Some(key)),
    }
}

/// The string that ends with the last character of `quoted`, which follows its first quote
/// (RFC 9651, 4.2.5).
fn unquoted(quoted: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|next| ['"', '\\'].contains(next))?),
            ' '..='~' => key.push(character),
            _ => return None,
        }
    }
    None
}

/// For how long the shop would rather wait than ask again: `Prefer: wait=20`, at most
/// [`MAX_WAIT`]. What cannot be read is ignored, as the RFC says.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = texts.flat_map(|text| text.split([',', ';']));
    preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs)?;
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.min(MAX_WAIT))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_key_is_a_string_or_what_everybody_sends() {
        let key = |values: &[&str]| idempotency_key(&headers(&IDEMPOTENCY_KEY, values));
        assert_eq!(key(&[]), Ok(None));
        for (text, expected) in [
            ("\"order-123\"", "order-123"),
            (" order-123\t", "order-123"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
            ("orders/7:a=b", "orders/7:a=b"),
            (&*"k".repeat(255), &*"k".repeat(255)),
        ] {
            assert_eq!(key(&[text]), Ok(Some(expected.to_owned())), "{text}");
        }
        let long = "k".repeat(256);
        for wrong in [
            "",
            "\"\"",
            "\" \"",
            "\"a",
            "\"",
            "a\"",
            "\"a\"b",
            "\"a\";b=1",
            "a, b",
            "a b",
            "\"\\a\"",
            "\u{e9}",
            &long,
        ] {
            assert!(key(&[wrong]).is_err(), "{wrong}");
        }
        assert!(key(&["a", "a"]).is_err());
    }

    #[test]
    fn a_preferred_wait_is_capped_and_nonsense_is_ignored() {
        let wait = |values: &[&str]| preferred_wait(&headers(&PREFER, values));
        for (values, seconds) in [
            (&["wait=20"][..], 20),
            (&["respond-async, Wait=\"7\""], 7),
            (&["respond-async", "wait = 0; foo=bar"], 0),
            (&["wait=100000000"], 60),
            (&["wait=5, wait=9"], 5),
        ] {
            assert_eq!(wait(values), Some(Duration::from_secs(seconds)), "{values:?}");
        }
        for values in [&[][..], &["wait"], &["wait=-1"], &["wait=1.5"], &["waiting=5"]] {
            assert_eq!(wait(values), None, "{values:?}");
        }
    }
}
