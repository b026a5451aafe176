//! The reason for a cancellation.

use std::fmt;

use serde::{Serialize, Serializer};

use super::InvalidValue;

/// The reason for a cancellation, `reason` of `POST /v1/cancel_impact`: at most
/// 200 characters (Unicode scalar values).
///
/// `GET /v1/track` shows it later. `Debug` hides it, since it may name a customer; use
/// [`as_str`](Self::as_str).
///
/// ```
/// use oneclick_proto::Reason;
///
/// assert!(Reason::new("refunded").is_ok());
/// assert_eq!(
///     Reason::new("ä".repeat(201)).unwrap_err().to_string(),
///     "the reason must have at most 200 characters (got 201)",
/// );
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reason(String);

impl Reason {
    /// The maximum length of a reason, in characters.
    pub const MAX_CHARS: usize = 200;

    /// Checks the length of a reason.
    ///
    /// # Errors
    /// [`InvalidValue::TooLong`], without the reason in it.
    pub fn new(reason: impl Into<String>) -> Result<Self, InvalidValue> {
        let reason = reason.into();
        InvalidValue::check_length("reason", &reason, Self::MAX_CHARS)?;
        Ok(Self(reason))
    }

    /// The text of the reason.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reason(..)")
    }
}
