//! Mends a response body that a server or gateway damaged.

use serde_json::Value;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The JSON value of a body after mending it; `None` if it still is not JSON.
///
/// A byte order mark is skipped. Invalid text, such as half of a character that was cut in
/// two, becomes U+FFFD. The last value of a duplicate key wins.
pub(crate) fn value(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(&text)
        .or_else(|_| serde_json::from_slice(&surrogates(text.as_bytes()).unwrap_or_default()))
        .ok()
}

/// Replaces the escapes of unpaired surrogates by that of U+FFFD; `None` if there are none.
fn surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let mut mended = None;
    let mut at = 0;
    while let Some(found) = body.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\\')) {
        at += found;
        let unit = unit(body, at);
        let pair =
            unit.is_some_and(is_leading) && self::unit(body, at + 6).is_some_and(is_trailing);
        if !pair && unit.is_some_and(|unit| is_leading(unit) || is_trailing(unit)) {
            let mended = mended.get_or_insert_with(|| body.to_vec());
            mended[at + 2..at + 6].copy_from_slice(b"fffd");
        }
        // An escape has two bytes, or six if it is `\uXXXX`.
        at += match unit {
            Some(_) if pair => 12,
            Some(_) => 6,
            None => 2,
        };
    }
    mended
}

/// The code unit of the escape `\uXXXX` at an index.
fn unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_leading(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_trailing(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaired_surrogates_are_replaced_and_pairs_are_kept() {
        for (json, mended) in [
            (r#""a\ud83d""#, Some(r#""a\ufffd""#)),
            (r#""\ud83d\ude00""#, None),
            (r#""\ud83d\ud83d\ude00\ude00""#, Some(r#""\ufffd\ud83d\ude00\ufffd""#)),
            (r#""\\ud83d""#, None),
            (r#""\\\ud83d""#, Some(r#""\\\ufffd""#)),
            (r#""\uD83Dx""#, Some(r#""\ufffdx""#)),
            (r#""\u00e4\n\ud8"#, None),
            ("\"\\", None),
        ] {
            let found = surrogates(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(found.as_deref(), mended, "{json}");
        }
    }

    #[test]
    fn json_with_damaged_text_is_read() {
        for (body, mended) in [
            (&b"\xef\xbb\xbf{\"a\":1}"[..], Some(r#"{"a":1}"#)),
            (b"{\"a\":1,\"b\":2,\"a\":{\"c\":3,\"c\":4}}", Some(r#"{"a":{"c":4},"b":2}"#)),
            (b"\"caf\xc3\"", Some("\"caf\u{fffd}\"")),
            (b"[\"\xc3\",\"\\ud83d\"]", Some("[\"\u{fffd}\",\"\u{fffd}\"]")),
            (b"\xef\xbb\xbf", None),
            (b"{\"a\":", None),
            (b"<html>", None),
        ] {
            assert_eq!(value(body).map(|value| value.to_string()).as_deref(), mended);
        }
    }
}
