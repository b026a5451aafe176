//! Keeps keys, e-mail addresses and names out of messages.

/// The most of somebody else's text that a message shows, in characters.
const LONGEST: usize = 300;

/// The most of it that is looked at, in characters: a hostile server may send much.
const READ: usize = 4096;

/// What stands for a text that is not shown.
const WITHHELD: &str = "(withheld: it repeats what was sent)";

/// Somebody else's text on one line, or a note that it is withheld.
///
/// An API may echo what it refuses, in any case, order or encoding. So a text
/// with any word of what was sent in it is not shown at all; of the others,
/// what looks like an address or a key is taken out.
pub(super) fn redact(text: &str, hidden: &[String]) -> String {
    // Up to the end of a word: a part of one might not be known again.
    let text = match text.char_indices().nth(READ) {
        Some((end, _)) => text[..end].rsplit_once(char::is_whitespace).map_or("", |(text, _)| text),
        None => text,
    };
    if repeats(&text.to_lowercase(), hidden) {
        return WITHHELD.to_owned();
    }
    let words = text.split(char::is_whitespace).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| if is_private(word) { ".." } else { word }).collect();
    let line = words.join(" ");
    line.chars().filter(|character| !character.is_control()).take(LONGEST).collect()
}

fn repeats(text: &str, hidden: &[String]) -> bool {
    // `"ada l"@example.com`: no single word of it looks like an address.
    if text.contains("\"@") {
        return true;
    }
    // Beyond ASCII a text has many spellings, composed, escaped or damaged, and
    // words without spaces between them: what may be one of them is not shown.
    let escaped = |character: char| !character.is_ascii() || "%\\&=".contains(character);
    if hidden.iter().any(|hidden| !hidden.is_ascii()) && text.contains(escaped) {
        return true;
    }
    // What is sent as several words may come back as one. Anything shorter would be
    // found across the words of many a message.
    let joined = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let text_joined = joined(text);
    let whole = hidden.iter().map(|hidden| joined(&hidden.to_lowercase()));
    if whole.filter(|whole| whole.len() >= 6).any(|whole| text_joined.contains(&whole)) {
        return true;
    }
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|character: char| !character.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let shown = words(text);
    hidden.iter().flat_map(|hidden| words(&hidden.to_lowercase())).any(|word| {
        // A key may come back shortened; a short word is part of many others, and
        // an escape may stand right before it.
        let start: String = word.chars().take(6).collect();
        let short = word.chars().count() < 4 && !text.contains(['%', '\\', '&']);
        if short { shown.contains(&word) } else { text.contains(&start) }
    })
}

/// What a JSON error says beyond the data that it stumbled over.
///
/// `hidden` is what was sent, as for [`redact`].
pub(super) fn decode_detail(error: &serde_json::Error, body: &[u8], hidden: &[String]) -> String {
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
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    if text.starts_with("missing field `") {
        return format!("{} at {place}", redact(text, hidden));
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {} at {place}", redact(expected, hidden)),
        None => format!("a value does not fit at {place}"),
    }
}

fn is_private(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    // The sign of an address in its usual encodings, and the prefixes of keys.
    let signs = ["@", "＠", "﹫", "%40", "%2540", "&#64;", "&#x40;", "\\u0040", "test_", "live_"];
    signs.iter().any(|sign| word.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_repeats_what_was_sent_is_withheld_however_it_is_written() {
        let hidden = ["Ada Lovelace", "Al", "ada@shop.example", "k3ySECRETs", "Al Anne", "abcdef"];
        let hidden = hidden.map(str::to_owned);
        for text in [
            "Ada Lovelace's order",
            "ADA  LOVELACE",
            "Ada\u{a0}Lovelace",
            "Ada%20Lovelace",
            "Lovelace, A.",
            "al is short",
            "ada (at) shop.example",
            "key k3ySECRETs",
            "key k3ysecre... is wrong",
            "bad \"so so\"@x.y",
            "al=%22Al%22",
            r"\u0022Al\u0022",
            "&quotAl",
            "AdaLovelace",
            "no A-l-a-n-n-e here",
            "the key abc-def",
            &format!("{} Lovelace", "x".repeat(290)),
        ] {
            assert_eq!(redact(text, &hidden), WITHHELD, "{text}");
        }
        for text in ["API Key does not exist", "also alas", "a test of a live api"] {
            assert_eq!(redact(text, &hidden), text);
        }
    }

    #[test]
    fn a_name_beyond_ascii_is_withheld_in_every_spelling() {
        for (name, text) in [
            ("Zoë", "customer Zoe\u{308} is unknown"),
            ("张伟", "客户张伟不存在"),
            ("Jürgen Müller", "bad name J%C3%BCrgen%20M%C3%BCller"),
            ("Jürgen Müller", r"bad name J\u00fcrgen M\u00fcller"),
            ("Jürgen Müller", "bad name J&uuml;rgen M&uuml;ller"),
            ("Jürgen Müller", "bad name J=C3=BCrgen"),
            ("Jürgen Müller", "bad name JÃ¼rgen"),
        ] {
            assert_eq!(redact(text, &[name.to_owned()]), WITHHELD, "{text}");
        }
        let plain = "`amount` must be 1 or more";
        assert_eq!(redact(plain, &["Jürgen".to_owned()]), plain);
    }

    #[test]
    fn of_a_long_text_whole_words_are_read() {
        let hidden = ["Lovelace".to_owned()];
        // Spaces are not shown, so what stands behind many of them would be.
        let cut = format!("unknown{}Lovelace", " ".repeat(READ - 7 - 5));
        assert_eq!(redact(&cut, &hidden), "unknown");
        let whole = format!("unknown{}Lovelace", " ".repeat(READ - 7 - 8));
        assert_eq!(redact(&whole, &hidden), WITHHELD);
        assert_eq!(redact(&"x".repeat(READ), &hidden).len(), LONGEST);
        assert_eq!(redact(&"x".repeat(READ + 1), &hidden), "");
    }

    #[test]
    fn what_looks_private_is_taken_out_and_the_rest_is_one_short_line() {
        assert_eq!(redact("no ada@x.y\r\nfaked log line", &[]), "no .. faked log line");
        assert_eq!(redact("key 'live_abc' is wrong", &[]), "key .. is wrong");
        assert_eq!(redact("a＠b %40 \u{1b}[2J", &[]), ".. .. [2J");
        assert_eq!(redact("a%2540x.y a&#64;x.y a\\u0040x.y a﹫x.y", &[]), ".. .. .. ..");
        assert_eq!(redact(&"x".repeat(1000), &[]).len(), 300);
    }

    #[test]
    fn a_decode_error_says_where_and_what_but_not_the_data() {
        let detail = |json: &str| {
            let error = serde_json::from_str::<Vec<u32>>(json).unwrap_err();
            decode_detail(&error, json.as_bytes(), &[])
        };
        assert_eq!(detail("[\"ada@example.com\"]"), "expected u32 at line 1 column 18");
        assert_eq!(detail("[\"x, expected Ada at line 9\"]"), "expected u32 at line 1 column 28");
        assert_eq!(detail("[1,"), "its JSON ends too early, at line 1 column 3");
        assert_eq!(detail("<html>"), "it is not JSON at line 1 column 1");
        assert_eq!(detail(""), "it is empty");
    }
}
