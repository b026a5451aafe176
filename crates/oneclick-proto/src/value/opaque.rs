//! Text that is carried and not looked into: ids, cursors, personal data.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of an account, such as `U123`; cheap to clone.
///
/// Together with a [`Timestamp`](super::Timestamp) it names one impact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Takes an id as the API gave it.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self(id.as_ref().into())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for UserId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for UserId {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
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
                Ok(shared(id))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// The id that was read last, if it is this one: one account's id stands in
/// every record of a page.
fn shared(id: &str) -> UserId {
    thread_local! {
        static LAST: RefCell<Option<UserId>> = const { RefCell::new(None) };
    }

    let share = |last: &RefCell<Option<UserId>>| match &mut *last.borrow_mut() {
        Some(last) if last.as_str() == id => last.clone(),
        last => last.insert(UserId::new(id)).clone(),
    };
    // A thread that is ending has no last one any more.
    LAST.try_with(share).unwrap_or_else(|_| UserId::new(id))
}

/// Where a list goes on: given by one page, sent for the next, never looked into.
///
/// Store it with [`as_str`](Self::as_str) to resume a walk in another process.
/// Its text is out of `Debug`, since nobody says what it holds.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Takes a cursor as the API gave it.
    pub fn new(cursor: impl Into<String>) -> Self {
        Self(cursor.into())
    }

    /// The cursor's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

/// Text that is or may hold personal data: an e-mail address, a name, a reason
/// in free words. Hidden in `Debug`, and there is no `Display`: use
/// [`as_str`](Self::as_str).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Personal(String);

impl Personal {
    /// Takes text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Personal {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(..)")
    }
}
