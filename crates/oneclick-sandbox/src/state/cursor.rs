//! Cursors: a position in one list, with the list's identity and a checksum.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::hash;
use super::problem::Problem;

/// The first bytes: the version, chosen so that every cursor begins with `+/`
/// and thus tries whether the client percent-encodes it.
const VERSION: [u8; 2] = [0xfb, 0xf1];

/// Where a list goes on: after this position.
///
/// `list` is a digest of what was asked: account, path, filters, order.
pub(super) fn encode(list: u64, position: u32) -> String {
    STANDARD.encode(bytes(list, position))
}

/// The position of a cursor that this list gave.
pub(super) fn decode(list: u64, cursor: &str) -> Result<u32, Problem> {
    // A client that does not percent-encode makes a space of `+`. The official
    // Python SDK is one, and has to be served.
    let cursor = cursor.replace(' ', "+");
    let position = STANDARD.decode(cursor).ok().and_then(|given| {
        let position = u32::from_be_bytes(given.get(2..6)?.try_into().ok()?);
        let owner = u64::from_be_bytes(given.get(6..14)?.try_into().ok()?);
        (given == bytes(owner, position)).then_some((owner, position))
    });
    match position {
        Some((owner, position)) if owner == list => Ok(position),
        Some(_) => Err(Problem::invalid(
            "`cursor` belongs to another request: send it with the key, the path, the filters, \
             the dates, the customer and the order of the request that answered it",
        )),
        None => Err(Problem::invalid(
            "`cursor` is not one that was given here: send it as it was received, percent-encoded, \
             and leave it out for the first page",
        )),
    }
}

fn bytes(list: u64, position: u32) -> Vec<u8> {
    let mut bytes = VERSION.to_vec();
    bytes.extend(position.to_be_bytes());
    bytes.extend(list.to_be_bytes());
    bytes.extend(hash(&[&bytes]).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_tries_the_clients_encoding() {
        let cursor = encode(7, 42);
        assert!(cursor.starts_with("+/") && cursor.ends_with('='));
        assert_eq!(decode(7, &cursor).unwrap(), 42);
        assert_eq!(decode(7, &cursor.replace('+', " ")).unwrap(), 42);
    }

    #[test]
    fn a_cursor_with_any_byte_changed_is_refused() {
        let cursor = encode(7, 42);
        assert!(decode(8, &cursor).is_err());
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(decode(7, std::str::from_utf8(&changed).unwrap()).is_err(), "{at}");
        }
        for garbage in ["", "=", "AAAA", "%", "ü"] {
            assert!(decode(7, garbage).is_err());
        }
    }
}
