//! E-mail addresses, refused only if they cannot be valid.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::InvalidValue;

/// An e-mail address of a customer: `customer_email` of the actions,
/// `GET /v1/customer_records` and `GET /v1/customers`.
///
/// A purchase must not fail because of an address that works, so only these are refused:
/// an address without `@`, or with nothing before or after it; one of more than 254 bytes;
/// one with a control character, an invisible character or U+FFFD; one with a space or one
/// of `()<>[]:;,\"` outside quotation marks; and one whose domain has an empty label or
/// punctuation. `Debug` hides the address and there is no `Display`: use
/// [`as_str`](Self::as_str).
///
/// ```
/// use oneclick_proto::Email;
///
/// let email: Email = "ada+trees@example.com".parse().unwrap();
/// assert_eq!(email.as_str(), "ada+trees@example.com");
/// assert!(Email::new("ada.example.com").is_err());
/// assert_eq!(format!("{email:?}"), "Email(..)");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    /// The maximum length of an address, in bytes (RFC 5321, 4.5.3.1.3).
    pub const MAX_BYTES: usize = 254;

    /// Checks an address.
    ///
    /// # Errors
    /// [`InvalidValue::Email`], without the address in it.
    pub fn new(address: impl Into<String>) -> Result<Self, InvalidValue> {
        let address = address.into();
        match fault(&address) {
            None => Ok(Self(address)),
            Some(reason) => Err(InvalidValue::Email { reason }),
        }
    }

    /// The text of the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why an address cannot be valid; `None` if it may be.
fn fault(address: &str) -> Option<&'static str> {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Some("it has no @");
    };
    if address.len() > Email::MAX_BYTES {
        return Some("it is longer than 254 bytes");
    }
    if address.chars().any(char::is_control) {
        return Some("it contains a control character");
    }
    if local.is_empty() {
        return Some("there is nothing before the @");
    }
    if domain.is_empty() {
        return Some("there is nothing after the @");
    }
    // `"a b"@example.com` and `"a@b"@example.com` are valid.
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    if !quoted && local.starts_with('"') {
        return Some("its quotation marks are not closed");
    }
    if !quoted && local.contains('@') {
        return Some("it has more than one @");
    }
    if address.chars().any(is_invisible) {
        return Some(
            "it contains an invisible character or U+FFFD, which replaces lost characters",
        );
    }
    if !quoted && local.contains(|char| "()<>[]:;,\\\"".contains(char)) {
        return Some("it contains one of ( ) < > [ ] : ; , \\ \" outside quotation marks");
    }
    if domain.contains(char::is_whitespace) || (!quoted && local.contains(char::is_whitespace)) {
        return Some("it contains a space");
    }
    // `[127.0.0.1]` is a valid domain.
    let literal = domain.starts_with('[') && domain.ends_with(']');
    let wrong =
        |char: char| char.is_ascii() && !char.is_ascii_alphanumeric() && !"-._".contains(char);
    if !literal && domain.contains(wrong) {
        return Some("its domain contains punctuation other than dots, hyphens and underscores");
    }
    if domain.split('.').any(str::is_empty) {
        return Some("its domain starts or ends with a dot, or has two dots in a row");
    }
    None
}

/// Whether a character is invisible, which happens in copied text and not in addresses.
/// The joiners U+200C and U+200D are allowed, since some scripts need them.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}'
    )
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_may_work_is_accepted() {
        for address in [
            "a@b",
            "a+b@x.com",
            "a&limit=1000@x.com",
            "ünï@exämple.de",
            "\"a b\"@x.com",
            "\"a@b\"@x.com",
            "a@[127.0.0.1]",
            "a'b@x.com",
            "a_b@x_y.com",
            "a!#$%&*+-/=?^`{|}~b@x.com",
            "\"<a>,b\"@x.com",
            "نامه\u{200c}ای@example.com",
            "ada@bücher.example",
            "ada@xn--bcher-kva.example",
            "用户@例子.广告",
            ".a.@x.com",
            &format!("{}@x.com", "a".repeat(Email::MAX_BYTES - 6)),
        ] {
            assert_eq!(Email::new(address).unwrap().as_str(), address);
        }
    }

    #[test]
    fn an_address_that_cannot_be_valid_is_refused_without_being_shown() {
        for address in [
            "",
            "secret",
            "@secret.com",
            "secret@",
            "secret@x..com",
            "secret@x.com.",
            "secret @x.com",
            "secret@x.com ",
            "secret@x.com\r\nbcc: y@z.com",
            "secret@a@b",
            "\"@secret.com",
            "secret@example,com",
            "<secret@example.com>",
            "Ada <secret@example.com>",
            "secret@example.com>",
            "mailto:secret@example.com",
            "secret@example.com;bob@example.com",
            "secret,bob@example.com",
            "secret@example/com",
            "secret@[127.0.0.1",
            "secret@127.0.0.1]",
            "secret@exa mple.com",
            "secret\u{200b}@example.com",
            "\u{feff}secret@example.com",
            "secret@example\u{2060}.com",
            "secret@example.com\u{200e}",
            "\u{202e}secret@example.com",
            "\u{2066}secret\u{2069}@example.com",
            "secr\u{ad}et@example.com",
            "secr\u{fffd}t@example.com",
            &format!("{}@secret.com", "a".repeat(Email::MAX_BYTES - 10)),
        ] {
            let error = Email::new(address).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}
