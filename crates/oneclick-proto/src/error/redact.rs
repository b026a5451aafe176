//! Keeps keys, e-mail addresses and names out of messages.

/// The most of somebody else's text that a message shows, in characters.
const LONGEST: usize = 300;

/// Somebody else's text without the hidden ones, on one line.
///
/// An API may echo what it refuses. So the texts that were sent are taken out
/// wherever they stand, and whatever looks like an address or a key as well.
pub(super) fn redact(text: &str, hidden: &[String]) -> String {
    let mut text: String = text.chars().take(LONGEST).collect();
    let mut hidden: Vec<_> = hidden.iter().filter(|hidden| !hidden.trim().is_empty()).collect();
    // A name may be part of an address: the longer one first.
    hidden.sort_by_key(|hidden| std::cmp::Reverse(hidden.len()));
    for hidden in hidden {
        text = replace_words(&text, hidden);
    }
    let words = text.split(char::is_whitespace).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| if is_private(word) { ".." } else { word }).collect();
    words.join(" ").chars().filter(|character| !character.is_control()).collect()
}

/// What a JSON error says beyond the data that it stumbled over.
pub(super) fn decode_detail(error: &serde_json::Error, body: &[u8]) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    if body.is_empty() {
        return "it is empty".to_owned();
    }
    if error.is_eof() {
        return format!("its JSON ends too early, at {place}");
    }
    if error.is_syntax() {
        return format!("it is not JSON at {place}");
    }
    // `missing field` names a field of ours, what stands behind the last
    // `expected` is ours as well; all else may quote the answer.
    let text = error.to_string();
    let text = text.split_once(" at line ").map_or(&*text, |(text, _)| text);
    if text.starts_with("missing field `") {
        return format!("{text} at {place}");
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected} at {place}"),
        None => format!("a value does not fit at {place}"),
    }
}

/// Replaces `hidden` where it is not part of a longer word; a long one anywhere.
fn replace_words(text: &str, hidden: &str) -> String {
    let inside = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(hidden) {
        let (before, after) = (&rest[..at], &rest[at + hidden.len()..]);
        let part_of_word = inside(before.chars().next_back()) || inside(after.chars().next());
        left.push_str(before);
        left.push_str(if part_of_word && hidden.len() < 4 { hidden } else { ".." });
        rest = after;
    }
    left.push_str(rest);
    left
}

fn is_private(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["@", "%40", "test_", "live_"].iter().any(|sign| word.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_taken_out_of_what_comes_back() {
        let hidden = ["Ada Lovelace".to_owned(), "A".to_owned(), "k-123".to_owned()];
        assert_eq!(
            redact("Ada Lovelace's \"ada@example.com\" A API k-123\r\nfaked log line", &hidden),
            "..'s .. .. API .. faked log line",
        );
        assert_eq!(redact("key=live_abc is wrong", &[]), ".. is wrong");
        assert_eq!(redact("key 'live_abc' is wrong", &[]), "key .. is wrong");
        assert_eq!(redact(&"x".repeat(1000), &[]).len(), 300);
    }

    #[test]
    fn a_decode_error_says_where_and_what_but_not_the_data() {
        let detail = |json: &str| {
            let error = serde_json::from_str::<Vec<u32>>(json).unwrap_err();
            decode_detail(&error, json.as_bytes())
        };
        assert_eq!(detail("[\"ada@example.com\"]"), "expected u32 at line 1 column 18");
        assert_eq!(detail("[1,"), "its JSON ends too early, at line 1 column 3");
        assert_eq!(detail("<html>"), "it is not JSON at line 1 column 1");
        assert_eq!(detail(""), "it is empty");
    }
}
