//! Something to be bought exactly once.

use std::fmt::Write;

/// Something to be bought exactly once, such as the tree for an order.
///
/// The purchase carries the intent's marker in its [metadata](crate::Metadata), so it
/// can be found in the records.
///
/// ```
/// use oneclick_proto::Intent;
///
/// let intent = Intent::new("shop.example", "order-123:tree");
/// let again = Intent::new("shop.example", "order-123:tree");
/// assert_eq!(intent.marker(), again.marker());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    marker: String,
}

impl Intent {
    /// The metadata key that holds the marker.
    pub const METADATA_KEY: &'static str = "oneclick_intent";

    /// An intent with a key that is unique within its namespace. Use a namespace for
    /// each shop that shares the account.
    #[must_use]
    pub fn new(namespace: &str, key: &str) -> Self {
        Self { marker: digest(namespace, key, 16) }
    }

    /// The marker that the purchase carries: 32 hexadecimal digits, the first half of
    /// the SHA-256 digest of namespace and key. It names nobody, but anyone who guesses
    /// both can compute it.
    #[must_use]
    pub fn marker(&self) -> &str {
        &self.marker
    }
}

/// The first `bytes` of the SHA-256 digest of two texts, as hexadecimal digits.
pub(super) fn digest(one: &str, other: &str, bytes: usize) -> String {
    let mut hash = hmac_sha256::Hash::new();
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    hash.update((one.len() as u64).to_be_bytes());
    hash.update(one);
    hash.update(other);
    let mut digits = String::with_capacity(2 * bytes);
    for byte in hash.finalize().iter().take(bytes) {
        // Writing to a `String` cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(namespace: &str, key: &str) -> String {
        Intent::new(namespace, key).marker
    }

    #[test]
    fn a_marker_stays_the_same_in_every_version() {
        // printf '\0\0\0\0\0\0\0\4shoporder-1' | sha256sum
        assert_eq!(marker("shop", "order-1"), "1eccac8f9ea6039e0e21dd62b2285a8d");
    }

    #[test]
    fn the_boundary_between_namespace_and_key_matters() {
        assert_ne!(marker("a", "bc"), marker("ab", "c"));
        assert_ne!(marker("", "abc"), marker("abc", ""));
        assert_eq!(marker("", "").len(), 32);
    }
}
