//! Mends JSON that a server cut inside a character.

/// Replaces the escapes of halves of surrogate pairs, which no text can hold, by that of
/// U+FFFD; `None` if there are none.
pub(super) fn surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let mut mended = body.to_vec();
    let mut changed = false;
    let mut at = 0;
    while let Some(found) = body.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\\')) {
        at += found;
        let unit = unit(body, at);
        let pair =
            unit.is_some_and(is_leading) && self::unit(body, at + 6).is_some_and(is_trailing);
        if !pair && unit.is_some_and(|unit| is_leading(unit) || is_trailing(unit)) {
            mended[at + 2..at + 6].copy_from_slice(b"fffd");
            changed = true;
        }
        // An escape has two bytes, or six.
        at += match unit {
            Some(_) if pair => 12,
            Some(_) => 6,
            None => 2,
        };
    }
    changed.then_some(mended)
}

/// The number in the escape `\uXXXX` at a place.
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
    fn halves_are_replaced_and_pairs_are_kept() {
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
}
