//! Text in the quotes of a shell, so that what is printed can be pasted.

use std::fmt::Write as _;

use crate::output::is_terminal_control;

/// Quotes `text` for a shell. A server chooses cursors, so it may be anything.
pub(crate) fn quoted(text: &str) -> String {
    if !text.contains(is_terminal_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    // The shell turns the escapes back into what must not be printed.
    let mut quoted = "$'".to_owned();
    for char in text.chars() {
        if is_terminal_control(char) {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\{byte:03o}");
            }
        } else {
            quoted.extend(matches!(char, '\'' | '\\').then_some('\\'));
            quoted.push(char);
        }
    }
    quoted + "'"
}

/// One word of a shell, in quotes if it needs them.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@%,".contains(&byte);
    // Some shells take `=ls` for the path of `ls`.
    let plain = !text.starts_with('=') && !text.is_empty() && text.bytes().all(plain);
    if plain { text.to_owned() } else { quoted(text) }
}

/// The option `--intent` as it can be typed, even if the name begins with a hyphen.
pub(crate) fn intent_option(name: &str) -> String {
    let separator = if name.starts_with('-') { '=' } else { ' ' };
    format!("--intent{separator}{}", word(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::output::printable;

    #[test]
    fn a_word_is_quoted_only_if_it_must_be() {
        assert_eq!(quoted("a+/="), "'a+/='");
        for (text, expected) in [
            ("order-123", "order-123"),
            ("a+/=", "a+/="),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(touch x)", "'$(touch x)'"),
            ("=ls", "'=ls'"),
            ("a\u{1b}'\\\u{202e}b", r"$'a\033\'\\\342\200\256b'"),
        ] {
            assert_eq!(word(text), expected);
            assert_eq!(printable(expected), expected);
        }
        assert_eq!(intent_option("order-1"), "--intent order-1");
        assert_eq!(intent_option("-v 1"), "--intent='-v 1'");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_quoted_text_back_unchanged() {
        let text = "-v\u{1b}[2J'\\\u{9b}\u{202e}\u{2028}\n x";
        let script = format!("printf %s {}", quoted(text));
        // Not every system has bash.
        let Ok(shell) = std::process::Command::new("bash").args(["-c", &script]).output() else {
            return;
        };
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), text);
    }
}
