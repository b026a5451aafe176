//! Text that is passed on without being interpreted: ids, cursors, personal data.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of an account, such as `U123`: `user_id` of every response about an impact.
/// Cheap to clone.
///
/// Together with a [`Timestamp`](super::Timestamp) it identifies an impact.
#[derive(Clone)]
pub struct UserId(Id);

/// Every record of a page has the id, so a short one is stored inline. All known ids are
/// short.
#[derive(Clone)]
enum Id {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<str>),
}

/// The longest inline id, in bytes: as many as make the enum no larger than it is anyway.
const SHORT: usize = 22;

impl UserId {
    /// Wraps an id from the API.
    pub fn new(id: impl AsRef<str>) -> Self {
        let id = id.as_ref();
        let mut bytes = [0; SHORT];
        match (u8::try_from(id.len()), bytes.get_mut(..id.len())) {
            (Ok(length), Some(inline)) => {
                inline.copy_from_slice(id.as_bytes());
                Self(Id::Short { length, bytes })
            }
            _ => Self(Id::Long(id.into())),
        }
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // The bytes come from a `&str`, so this does not fail.
            Id::Short { length, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default()
            }
            Id::Long(id) => id,
        }
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = UserId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, id: &str) -> Result<UserId, E> {
                Ok(UserId::new(id))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserId").field(&self.as_str()).finish()
    }
}

impl PartialEq for UserId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for UserId {}

impl PartialOrd for UserId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UserId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for UserId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// Declares a text type that `Debug` hides.
macro_rules! hidden_text {
    ($(#[$meta:meta])* $name:ident, $new:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[doc = $new]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

hidden_text! {
    /// The start of the next page of a list: `cursor` of `GET /v1/records`,
    /// `/v1/customer_records` and `/v1/customers`. It is opaque.
    ///
    /// To continue the list in another process, store its text
    /// ([`as_str`](Self::as_str)). `Debug` hides it, since it may encode personal data.
    Cursor, "Wraps a cursor from the API, of any length."
}

hidden_text! {
    /// Text that may hold personal data, such as an e-mail address, a name or a reason.
    /// `Debug` hides it and there is no `Display`: use [`as_str`](Self::as_str).
    Redacted, "Wraps any text."
}

impl<T: Into<String>> From<T> for Redacted {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}
