//! Text that is carried and not looked into: ids, cursors, personal data.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of an account, such as `U123`: `user_id` of every answer about an
/// impact. Cheap to clone.
///
/// Together with a [`Timestamp`](super::Timestamp) it names one impact.
#[derive(Clone)]
pub struct UserId(Id);

/// One account's id stands in every record of a page: a short one, as they all
/// are, is held in place.
#[derive(Clone)]
enum Id {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<str>),
}

/// The longest id that fits in the room that a long one takes as well.
const SHORT: usize = 22;

impl UserId {
    /// Takes an id as the API gave it.
    pub fn new(id: impl AsRef<str>) -> Self {
        let id = id.as_ref();
        let mut bytes = [0; SHORT];
        match (u8::try_from(id.len()), bytes.get_mut(..id.len())) {
            (Ok(length), Some(room)) => {
                room.copy_from_slice(id.as_bytes());
                Self(Id::Short { length, bytes })
            }
            _ => Self(Id::Long(id.into())),
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Written from text, so it is text.
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

/// Declares text that is out of `Debug`.
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
    /// Where a list goes on: `cursor` of `GET /v1/records`, `/v1/customer_records` and
    /// `/v1/customers`, given by one page, sent for the next, never looked into.
    ///
    /// Store it with [`as_str`](Self::as_str) to resume a walk in another process.
    /// Its text is out of `Debug`, since nobody says what it holds.
    Cursor, "Takes a cursor as the API gave it, of any length."
}

hidden_text! {
    /// Text that is or may hold personal data: an e-mail address, a name, a reason
    /// in free words. Hidden in `Debug`, and there is no `Display`: use
    /// [`as_str`](Self::as_str).
    Redacted, "Takes text as it is."
}

impl<T: Into<String>> From<T> for Redacted {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}
