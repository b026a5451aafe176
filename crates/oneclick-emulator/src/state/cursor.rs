//! Cursors: a position in one list, with the list's identity and a checksum.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::hash;
use super::problem::Problem;

/// The first bytes: what the position counts, chosen so that every cursor begins
/// with `+/` and thus tries whether the client percent-encodes it.
const AFTER: [u8; 2] = [0xfb, 0xf1];
const SKIP: [u8; 2] = [0xfb, 0xf2];

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Start,
    /// After this position of the account.
    After(u32),
    /// After so many items of the list.
    Skip(u32),
}

/// Where a list goes on.
///
/// `list` is a digest of what was asked: account, path, filters, order. `given` is
/// the time, for a cursor that may expire.
pub(super) fn encode(list: u64, place: Place, given: Option<i64>) -> String {
    STANDARD.encode(bytes(list, place, given))
}

/// The place of a cursor that this list gave, and the time if it holds one.
pub(super) fn decode(list: u64, cursor: &str) -> Result<(Place, Option<i64>), Problem> {
    // A client that does not percent-encode makes a space of `+`. The official
    // Python SDK is one, and has to be served.
    let cursor = cursor.replace(' ', "+");
    let found = STANDARD.decode(cursor).ok().and_then(|bytes| read(&bytes));
    match found {
        Some((owner, place, given)) if owner == list => Ok((place, given)),
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

fn read(cursor: &[u8]) -> Option<(u64, Place, Option<i64>)> {
    let position = u32::from_be_bytes(cursor.get(2..6)?.try_into().ok()?);
    let owner = u64::from_be_bytes(cursor.get(6..14)?.try_into().ok()?);
    let place = if cursor.starts_with(&SKIP) { Place::Skip } else { Place::After }(position);
    let given = match cursor.get(14..cursor.len().checked_sub(8)?)? {
        [] => None,
        time => Some(i64::from_be_bytes(time.try_into().ok()?)),
    };
    (cursor == bytes(owner, place, given)).then_some((owner, place, given))
}

fn bytes(list: u64, place: Place, given: Option<i64>) -> Vec<u8> {
    let (kind, position) = match place {
        Place::Start => (AFTER, 0),
        Place::After(position) => (AFTER, position),
        Place::Skip(items) => (SKIP, items),
    };
    let mut bytes = kind.to_vec();
    bytes.extend(position.to_be_bytes());
    bytes.extend(list.to_be_bytes());
    bytes.extend(given.into_iter().flat_map(i64::to_be_bytes));
    bytes.extend(hash(&[&bytes]).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_tries_the_clients_encoding() {
        for (place, given) in
            [(Place::After(42), None), (Place::Skip(42), None), (Place::After(1), Some(-5))]
        {
            let cursor = encode(7, place, given);
            assert!(cursor.starts_with("+/"));
            assert_eq!(decode(7, &cursor).unwrap(), (place, given));
            assert_eq!(decode(7, &cursor.replace('+', " ")).unwrap(), (place, given));
        }
        assert!(encode(7, Place::After(42), None).ends_with('='));
    }

    #[test]
    fn a_cursor_with_any_byte_changed_is_refused() {
        let cursor = encode(7, Place::After(42), None);
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
