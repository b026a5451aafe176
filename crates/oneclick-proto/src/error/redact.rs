//! Keeps keys, e-mail addresses and names out of error messages.

/// How many characters of a server's text a message shows.
const MAX_SHOWN: usize = 300;

/// How many characters of a server's text are searched, since a hostile server may send many.
const MAX_SEARCHED: usize = 4096;

/// Replaces a text that must not be shown.
const WITHHELD: &str = "(withheld: it repeats what was sent)";

/// A server's text on one line, or a note that it is withheld.
///
/// The API may echo what it refuses, in any case, order or encoding. So a text that
/// contains any word of the `hidden` texts is not shown at all. In other texts, words that
/// look like an address or a key are replaced.
pub(super) fn redact(text: &str, hidden: &[String]) -> String {
    // Cut at a space, since a part of a word might not be recognised.
    let text = match text.char_indices().nth(MAX_SEARCHED) {
        Some((end, _)) => text[..end].rsplit_once(char::is_whitespace).map_or("", |(text, _)| text),
        None => text,
    };
    if repeats(&text.to_lowercase(), hidden) {
        return WITHHELD.to_owned();
    }
    let words = text.split(char::is_whitespace).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| if is_private(word) { ".." } else { word }).collect();
    let line = words.join(" ");
    line.chars().filter(|character| !character.is_control()).take(MAX_SHOWN).collect()
}

/// Whether a text, in lower case, contains a word of the `hidden` texts.
fn repeats(text: &str, hidden: &[String]) -> bool {
    // In `"ada l"@example.com` no single word looks like an address.
    if text.contains("\"@") {
        return true;
    }
    // Text beyond ASCII has many spellings (composed, escaped, damaged) and may have no
    // spaces, so a text that could contain one is not shown.
    let escaped = |character: char| !character.is_ascii() || "%\\&=".contains(character);
    if hidden.iter().any(|hidden| !hidden.is_ascii()) && text.contains(escaped) {
        return true;
    }
    // Several words may come back joined into one. A text of fewer than six characters
    // would be found by chance across the words of many messages.
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
    let text_words = words(text);
    hidden.iter().flat_map(|hidden| words(&hidden.to_lowercase())).any(|word| {
        // A key may come back shortened, so its start counts. A short word is part of many
        // others, so it counts only as a whole, unless an escape may be right before it.
        let start: String = word.chars().take(6).collect();
        let short = word.chars().count() < 4 && !text.contains(['%', '\\', '&']);
        if short { text_words.contains(&word) } else { text.contains(&start) }
    })
}

/// The description of a JSON error, without the data that it quotes. `hidden` is as for
/// [`redact`].
pub(super) fn decode_detail(error: &serde_json::Error, body: &[u8], hidden: &[String]) -> String {
    // A value that was parsed before has no lines.
    let place = match (error.line(), error.column()) {
        (0, _) => String::new(),
        (line, column) => format!(" at line {line} column {column}"),
    };
    if body.is_empty() {
        return "it is empty".to_owned();
    }
    if error.is_eof() {
        return format!("its JSON ends too early{place}");
    }
    if error.is_syntax() {
        return format!("it is not valid JSON{place}");
    }
    // The field after `missing field` and the text after the last `expected` come from this
    // crate. Everything else may quote the response.
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    if text.starts_with("missing field `") {
        return format!("{}{place}", redact(text, hidden));
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {}{place}", redact(expected, hidden)),
        None => format!("it has an unexpected value{place}"),
    }
}

/// Whether a word looks like an e-mail address or a key.
fn is_private(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    // The at sign in its usual encodings, and the prefixes of keys.
    let signs = ["@", "＠", "﹫", "%40", "%2540", "&#64;", "&#x40;", "\\u0040", "test_", "live_"];
    signs.iter().any(|sign| word.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_repeats_the_request_in_any_spelling_is_withheld() {
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
    fn a_long_text_is_cut_between_words() {
        let hidden = ["Lovelace".to_owned()];
        // Spaces are collapsed, so a word behind many of them would still be shown.
        let cut = format!("unknown{}Lovelace", " ".repeat(MAX_SEARCHED - 7 - 5));
        assert_eq!(redact(&cut, &hidden), "unknown");
        let whole = format!("unknown{}Lovelace", " ".repeat(MAX_SEARCHED - 7 - 8));
        assert_eq!(redact(&whole, &hidden), WITHHELD);
        assert_eq!(redact(&"x".repeat(MAX_SEARCHED), &hidden).len(), MAX_SHOWN);
        assert_eq!(redact(&"x".repeat(MAX_SEARCHED + 1), &hidden), "");
    }

    #[test]
    fn words_that_look_private_are_replaced_and_the_rest_is_one_short_line() {
        assert_eq!(redact("no ada@x.y\r\nfaked log line", &[]), "no .. faked log line");
        assert_eq!(redact("key 'live_abc' is wrong", &[]), "key .. is wrong");
        assert_eq!(redact("a＠b %40 \u{1b}[2J", &[]), ".. .. [2J");
        assert_eq!(redact("a%2540x.y a&#64;x.y a\\u0040x.y a﹫x.y", &[]), ".. .. .. ..");
        assert_eq!(redact(&"x".repeat(1000), &[]).len(), 300);
    }

    #[test]
    fn a_decode_error_shows_place_and_expectation_but_not_the_data() {
        let detail = |json: &str| {
            let error = serde_json::from_str::<Vec<u32>>(json).unwrap_err();
            decode_detail(&error, json.as_bytes(), &[])
        };
        assert_eq!(detail("[\"ada@example.com\"]"), "expected u32 at line 1 column 18");
        assert_eq!(detail("[\"x, expected Ada at line 9\"]"), "expected u32 at line 1 column 28");
        assert_eq!(detail("[1,"), "its JSON ends too early at line 1 column 3");
        assert_eq!(detail("<html>"), "it is not valid JSON at line 1 column 1");
        assert_eq!(detail(""), "it is empty");
    }
}
