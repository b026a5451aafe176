//! The API key, which is sent and never shown.

use std::fmt;

use http::HeaderValue;

use super::ConfigError;

/// An API key. `Debug` hides it, there is no `Display` and no `Serialize`, and its header
/// is marked sensitive.
///
/// ```
/// use oneclick_proto::ApiKey;
///
/// let key = ApiKey::new("live_0123456789")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(..)");
/// assert!(ApiKey::new("live_0123\n").is_err());
/// # Ok::<(), oneclick_proto::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// Checks that a key can be sent in a header.
    ///
    /// # Errors
    /// [`ConfigError::Key`] if it is empty, or contains a quotation mark or anything other
    /// than visible ASCII characters, such as the line feed at the end of a file.
    pub fn new(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        let key = key.as_ref();
        if key.is_empty() {
            return Err(ConfigError::Key { reason: "it is empty" });
        }
        if key.contains(['"', '\'']) {
            return Err(ConfigError::Key { reason: "it contains a quotation mark" });
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "it contains a space, a line break or another character that is not \
                          visible ASCII";
            return Err(ConfigError::Key { reason });
        }
        let mut header = HeaderValue::from_str(key)
            .map_err(|_| ConfigError::Key { reason: "it cannot be sent in a header" })?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The key itself, to be compared and never shown.
    pub(super) fn expose(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}
