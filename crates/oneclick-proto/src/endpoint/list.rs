//! Lists in pages: cursors, limits, and rows that cannot be decoded.

use std::fmt;
use std::marker::PhantomData;
use std::vec;

use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Endpoint, json};
use crate::Error;
use crate::error::Operation;
use crate::value::{Cursor, Extra, Limit};

/// An endpoint that returns a list in pages. [`Pager`](crate::Pager) walks through it.
pub trait List: Endpoint<Response = Page<Self::Item>> + Clone {
    /// The items of the list.
    type Item: ListItem;

    /// Sets the cursor, which the page before returned.
    #[must_use]
    fn with_cursor(self, cursor: Cursor) -> Self;

    /// Sets the number of items per page, 1..=1000.
    #[must_use]
    fn with_limit(self, limit: Limit) -> Self;

    /// The cursor; `None` for the first page.
    fn cursor(&self) -> Option<&Cursor>;

    /// The number of items per page; `None` uses the API's default, 10.
    fn limit(&self) -> Option<Limit>;
}

/// An item of a list.
pub trait ListItem: Clone + PartialEq + Serialize + de::DeserializeOwned {
    /// The name of the field with the items of a page.
    const FIELD: &'static str;

    /// Whether no other item can be equal to this one. A [`Pager`](crate::Pager) returns such
    /// an item only once, even if it moved to the next page in the meantime.
    fn is_unique(&self) -> bool {
        true
    }
}

/// A page of a list: the response of `GET /v1/records`, `/v1/customer_records` and
/// `/v1/customers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the requested order. A page can have fewer items than the limit, or
    /// none, and not be the last one.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last page.
    pub cursor: Option<Cursor>,
    /// Rows that could not be decoded, as the API wrote them.
    pub malformed: Vec<Value>,
    /// Fields that this version does not know.
    pub extra: Extra,
}

impl<T> Page<T> {
    /// A page.
    #[must_use]
    pub fn new(items: Vec<T>, cursor: Option<Cursor>) -> Self {
        Self { items, cursor, malformed: Vec::new(), extra: Extra::default() }
    }

    /// The items, without the malformed rows.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }
}

/// The items of a page, and then an error for each of its malformed rows.
pub(crate) struct PageItems<L: List> {
    items: vec::IntoIter<L::Item>,
    malformed: vec::IntoIter<Value>,
}

impl<L: List> PageItems<L> {
    pub(crate) fn new(page: Page<L::Item>) -> Self {
        Self { items: page.items.into_iter(), malformed: page.malformed.into_iter() }
    }
}

impl<L: List> Iterator for PageItems<L> {
    type Item = Result<L::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next().map(Ok).or_else(|| {
            let row = self.malformed.next()?;
            Some(Err(Error::malformed_row(&row).of(Operation::of::<L>())))
        })
    }
}

/// Whether a field of a response says why rows are missing in it. Empty values say nothing.
fn reports_error(field: &str, value: &Value) -> bool {
    let empty = match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(errors) => errors.is_empty(),
        Value::Object(errors) => errors.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    matches!(field, "error" | "errors") && !empty
}

/// A response with a list of rows, of which some may be malformed.
pub(crate) trait RowByRow: de::DeserializeOwned {
    type Row: de::DeserializeOwned;
    const FIELD: &'static str;

    fn rows(&mut self) -> (&mut Vec<Self::Row>, &mut Vec<Value>);

    /// Decodes it row by row if it cannot be decoded as a whole, and sets malformed rows
    /// aside. `null` instead of the list is an empty list.
    fn read(body: &[u8]) -> serde_json::Result<Self> {
        json(body).or_else(|error: serde_json::Error| {
            let Ok(mut fields) = json::<Map<String, Value>>(body) else { return Err(error) };
            let values = match fields.insert(Self::FIELD.to_owned(), Value::Array(Vec::new())) {
                Some(Value::Array(rows)) => rows,
                Some(Value::Null) if !fields.iter().any(|(name, it)| reports_error(name, it)) => {
                    Vec::new()
                }
                _ => return Err(error),
            };
            let mut response = Self::deserialize(Value::Object(fields))?;
            let (rows, malformed) = response.rows();
            for value in values {
                match Self::Row::deserialize(&value) {
                    Ok(row) => rows.push(row),
                    Err(_) => malformed.push(value),
                }
            }
            Ok(response)
        })
    }
}

impl<T: ListItem> RowByRow for Page<T> {
    type Row = T;
    const FIELD: &'static str = T::FIELD;

    fn rows(&mut self) -> (&mut Vec<T>, &mut Vec<Value>) {
        (&mut self.items, &mut self.malformed)
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
                        items = Some(map.next_value()?);
                    } else if field == "cursor" {
                        cursor = map.next_value::<Option<Cursor>>()?;
                    } else {
                        let value: Value = map.next_value()?;
                        if reports_error(&field, &value) {
                            let text = format!("there is an `{field}`, expected rows alone");
                            return Err(de::Error::custom(text));
                        }
                        extra.insert(field, value);
                    }
                }
                // An empty cursor would request the first page again.
                let cursor = cursor.filter(|cursor| !cursor.as_str().is_empty());
                let items = items.ok_or_else(|| de::Error::missing_field(T::FIELD))?;
                Ok(Page { items, cursor, malformed: Vec::new(), extra })
            }
        }

        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// Declares the request of a list: its own fields, and those of all lists.
macro_rules! list {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)* }
        GET $path:literal => $item:ty
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// The number of items per page, 1..=1000; `None` uses the API's default, 10.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub limit: Option<$crate::value::Limit>,
            /// The cursor that an earlier page returned; `None` for the first page.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub cursor: Option<$crate::value::Cursor>,
            /// The order by time; `None` uses the API's default, oldest first.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub sort_order: Option<$crate::value::SortOrder>,
        }

        impl $name {
            /// The whole list.
            #[must_use]
            pub const fn new() -> Self {
                Self { $($field: $default,)* limit: None, cursor: None, sort_order: None }
            }

            $crate::setters::setters! {
                limit: $crate::value::Limit as Option,
                /// The other fields must be the same as in the request that returned it.
                cursor: $crate::value::Cursor as Option,
                sort_order: $crate::value::SortOrder as Option,
            }
        }

        impl $crate::endpoint::Endpoint for $name {
            type Response = $crate::endpoint::Page<$item>;
            const METHOD: http::Method = http::Method::GET;
            const PATH: &'static str = $path;
            const IDEMPOTENT: bool = true;

            fn check(&self) -> Result<(), $crate::value::InvalidValue> {
                let cursor = self.cursor.as_ref().map_or("", $crate::value::Cursor::as_str);
                $crate::value::InvalidValue::check_whole("cursor", cursor)
            }

            fn read(body: &[u8]) -> serde_json::Result<Self::Response> {
                $crate::endpoint::list::RowByRow::read(body)
            }
        }

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

pub(super) use list;
