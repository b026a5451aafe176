//! Cursors: a place in one list, with a digest of the list and a checksum.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::hash;
use super::problem::Problem;

/// The first bytes say how the place is counted. They make every cursor begin with `+/`, which
/// tests whether the client percent-encodes it.
const AFTER: [u8; 2] = [0xfb, 0xf1];
const SKIP: [u8; 2] = [0xfb, 0xf2];

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Start,
    /// After the impact or customer at this position of the account.
    After(u32),
    /// After this many items of the list.
    Skip(u32),
}

/// The cursor for a place in a list.
///
/// `list` is a digest of the request: account, path, filters and order. `issued` is the time
/// in milliseconds since 1970, for a cursor that can expire.
pub(super) fn encode(list: u64, place: Place, issued: Option<i64>) -> String {
    STANDARD.encode(bytes(list, place, issued))
}

/// The place in a cursor of this list, and the time at which it was issued if it has one.
pub(super) fn decode(list: u64, cursor: &str) -> Result<(Place, Option<i64>), Problem> {
    // Without percent-encoding `+` arrives as a space. The official Python SDK sends it so,
    // and has to work.
    let cursor = cursor.replace(' ', "+");
    let read = STANDARD.decode(cursor).ok().and_then(|bytes| read(&bytes));
    match read {
        Some((owner, place, issued)) if owner == list => Ok((place, issued)),
        Some(_) => Err(Problem::invalid(
            "`cursor` belongs to another request: send it with the same key, path, filters, \
             dates, customer and order as the request whose response contained it",
        )),
        None => Err(Problem::invalid(
            "`cursor` is not a cursor of this emulator: send it exactly as received and \
             percent-encoded, or leave it out for the first page",
        )),
    }
}

fn read(cursor: &[u8]) -> Option<(u64, Place, Option<i64>)> {
    let position = u32::from_be_bytes(cursor.get(2..6)?.try_into().ok()?);
    let owner = u64::from_be_bytes(cursor.get(6..14)?.try_into().ok()?);
    let place = if cursor.starts_with(&SKIP) { Place::Skip } else { Place::After }(position);
    let issued = match cursor.get(14..cursor.len().checked_sub(8)?)? {
        [] => None,
        time => Some(i64::from_be_bytes(time.try_into().ok()?)),
    };
    (cursor == bytes(owner, place, issued)).then_some((owner, place, issued))
}

fn bytes(list: u64, place: Place, issued: Option<i64>) -> Vec<u8> {
    let (kind, position) = match place {
        Place::Start => (AFTER, 0),
        Place::After(position) => (AFTER, position),
        Place::Skip(items) => (SKIP, items),
    };
    let mut bytes = kind.to_vec();
    bytes.extend(position.to_be_bytes());
    bytes.extend(list.to_be_bytes());
    bytes.extend(issued.into_iter().flat_map(i64::to_be_bytes));
    bytes.extend(hash(&[&bytes]).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_decoded_with_and_without_percent_encoding() {
        for (place, issued) in
            [(Place::After(42), None), (Place::Skip(42), None), (Place::After(1), Some(-5))]
        {
            let cursor = encode(7, place, issued);
            assert!(cursor.starts_with("+/"));
            assert_eq!(decode(7, &cursor).unwrap(), (place, issued));
            assert_eq!(decode(7, &cursor.replace('+', " ")).unwrap(), (place, issued));
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
