//! What the lists have in common: pages, cursors and limits.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::Endpoint;
use crate::value::{Cursor, Extra, Limit};

/// An endpoint that answers a list in pages; [`Pager`](crate::Pager) walks it.
pub trait List: Endpoint<Response = Page<Self::Item>> + Clone {
    /// What the list holds.
    type Item: ListItem;

    /// Sets where to go on: the cursor of the page before.
    #[must_use]
    fn with_cursor(self, cursor: Cursor) -> Self;

    /// Sets the number of items on a page, 1..=1000.
    #[must_use]
    fn with_limit(self, limit: Limit) -> Self;

    /// The cursor to go on from; `None` for the first page.
    fn cursor(&self) -> Option<&Cursor>;

    /// The number of items on a page; `None` for the API's default, 10.
    fn limit(&self) -> Option<Limit>;
}

/// An item of a list.
pub trait ListItem: Serialize + de::DeserializeOwned {
    /// The name of the field that holds the items of a page.
    const FIELD: &'static str;
}

/// One page of a list: the answer of `GET /v1/records`, `/v1/customer_records`
/// and `/v1/customers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the order that was asked for. A page may hold fewer than the
    /// limit, even none, and still have a cursor.
    pub items: Vec<T>,
    /// Where the list goes on; `None` on the last page.
    pub cursor: Option<Cursor>,
    /// Fields that this version does not know.
    pub extra: Extra,
}

impl<T> Page<T> {
    /// A page.
    #[must_use]
    pub fn new(items: Vec<T>, cursor: Option<Cursor>) -> Self {
        Self { items, cursor, extra: Extra::default() }
    }
}

impl<T: ListItem> Serialize for Page<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(T::FIELD, &self.items)?;
        if let Some(cursor) = &self.cursor {
            map.serialize_entry("cursor", cursor)?;
        }
        for (field, value) in self.extra.iter() {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

impl<'de, T: ListItem> Deserialize<'de> for Page<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: ListItem> de::Visitor<'de> for Visitor<T> {
            type Value = Page<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a page with {}", T::FIELD)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page<T>, A::Error> {
                let (mut items, mut cursor, mut extra) = (None, None, Extra::default());
                while let Some(field) = map.next_key::<String>()? {
                    if field == T::FIELD {
                        if items.is_some() {
                            return Err(de::Error::duplicate_field(T::FIELD));
                        }
                        items = Some(map.next_value()?);
                    } else if field == "cursor" {
                        cursor = map.next_value::<Option<Cursor>>()?;
                    } else {
                        extra.insert(field, map.next_value::<Value>()?);
                    }
                }
                // An empty cursor would ask for the first page again.
                let cursor = cursor.filter(|cursor| !cursor.as_str().is_empty());
                let items = items.ok_or_else(|| de::Error::missing_field(T::FIELD))?;
                Ok(Page { items, cursor, extra })
            }
        }

        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// The paging half of a list: its two setters, and [`List`].
macro_rules! list_setters {
    () => {
        /// The number of items on a page, 1..=1000; the API's default is 10.
        #[must_use]
        pub fn limit(mut self, limit: $crate::value::Limit) -> Self {
            self.limit = Some(limit);
            self
        }

        /// Where to go on: the cursor of an earlier page. The other fields
        /// must be those of the request that answered it.
        #[must_use]
        pub fn cursor(mut self, cursor: $crate::value::Cursor) -> Self {
            self.cursor = Some(cursor);
            self
        }

        /// The order; the API's default is ascending.
        #[must_use]
        pub fn sort_order(mut self, order: $crate::value::SortOrder) -> Self {
            self.sort_order = Some(order);
            self
        }
    };
    (impl List<$item:ty> for $name:ident) => {
        impl $crate::endpoint::List for $name {
            type Item = $item;

            fn with_cursor(self, cursor: $crate::value::Cursor) -> Self {
                self.cursor(cursor)
            }

            fn with_limit(self, limit: $crate::value::Limit) -> Self {
                self.limit(limit)
            }

            fn cursor(&self) -> Option<&$crate::value::Cursor> {
                self.cursor.as_ref()
            }

            fn limit(&self) -> Option<$crate::value::Limit> {
                self.limit
            }
        }
    };
}

pub(super) use list_setters;
