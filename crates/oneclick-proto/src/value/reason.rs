//! Why an impact is cancelled, in the caller's words.

use std::fmt;

use serde::{Serialize, Serializer};

use super::InvalidValue;

/// The reason of a cancellation, `reason` of `POST /v1/cancel_impact`: at most
/// 200 characters, counted as Unicode scalar values.
///
/// It comes back when the impact is tracked. Hidden in `Debug`, since it may
/// name a customer; use [`as_str`](Self::as_str).
///
/// ```
/// use oneclick_proto::Reason;
///
/// assert!(Reason::new("refunded").is_ok());
/// assert_eq!(
///     Reason::new("ä".repeat(201)).unwrap_err().to_string(),
///     "the reason has 201 characters: 200 can be sent",
/// );
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reason(String);

impl Reason {
    /// The longest reason, in characters.
    pub const MAX_CHARS: usize = 200;

    /// Checks a reason.
    ///
    /// # Errors
    /// [`InvalidValue::TooLong`], which does not repeat it.
    pub fn new(reason: impl Into<String>) -> Result<Self, InvalidValue> {
        let reason = reason.into();
        InvalidValue::check_length("reason", &reason, Self::MAX_CHARS)?;
        Ok(Self(reason))
    }

    /// The reason.
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
