//! The standard conversions of the crate's text and collection types.

use std::collections::btree_map;
use std::convert::Infallible;
use std::str::FromStr;
use std::{iter, vec};

use serde_json::{Value, map};

use crate::api::{ApiKey, BaseUrl, ConfigError};
use crate::endpoint::Page;
use crate::value::{
    Cursor, Email, Extra, ImpactKind, InvalidValue, Metadata, OtherName, Reason, Totals, UserId,
};

/// Text that `new` checks.
macro_rules! checked {
    ($($type:ty: $error:ty,)*) => {$(
        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                Self::new(text)
            }
        }
    )*};
}

checked! {
    ApiKey: ConfigError,
    BaseUrl: ConfigError,
    Email: InvalidValue,
    Reason: InvalidValue,
}

/// Text that `new` takes as it is.
macro_rules! unchecked {
    ($($type:ty)*) => {$(
        impl FromStr for $type {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Infallible> {
                Ok(Self::new(text))
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }
    )*};
}

unchecked!(Cursor UserId);

/// Text that is not personal. Personal text only has `as_str`, so that it does not reach a
/// log through a conversion.
macro_rules! as_ref {
    ($($type:ty)*) => {$(
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

as_ref!(Cursor OtherName UserId);

/// The items of a page, without its malformed rows.
impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Page<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// A last page.
impl<T> FromIterator<T> for Page<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::new(Vec::from_iter(items), None)
    }
}

impl<T> Extend<T> for Page<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.items.extend(items);
    }
}

/// Every kind that is mentioned, with its amount; known kinds first.
impl<'a> IntoIterator for &'a Totals {
    type Item = (&'a ImpactKind, i64);
    type IntoIter = iter::Map<
        btree_map::Iter<'a, ImpactKind, i64>,
        fn((&'a ImpactKind, &'a i64)) -> (&'a ImpactKind, i64),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.amounts.iter().map(|(kind, amount)| (kind, *amount))
    }
}

/// Every kind that is mentioned, with its amount; known kinds first.
impl IntoIterator for Totals {
    type Item = (ImpactKind, i64);
    type IntoIter = btree_map::IntoIter<ImpactKind, i64>;

    fn into_iter(self) -> Self::IntoIter {
        self.amounts.into_iter()
    }
}

/// Amounts of the same kind are added up.
impl FromIterator<(ImpactKind, i64)> for Totals {
    fn from_iter<I: IntoIterator<Item = (ImpactKind, i64)>>(amounts: I) -> Self {
        let mut totals = Self::default();
        totals.extend(amounts);
        totals
    }
}

/// Amounts of the same kind are added up.
impl Extend<(ImpactKind, i64)> for Totals {
    fn extend<I: IntoIterator<Item = (ImpactKind, i64)>>(&mut self, amounts: I) {
        for (kind, amount) in amounts {
            self.add(&kind, amount);
        }
    }
}

/// Every pair, in the order of the keys' bytes.
impl IntoIterator for Metadata {
    type Item = (String, String);
    type IntoIter = btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a String, &'a String);
    type IntoIter = btree_map::Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Extra {
    type Item = (String, Value);
    type IntoIter = map::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(|fields| *fields).unwrap_or_default().into_iter()
    }
}

impl FromIterator<(String, Value)> for Extra {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        let mut extra = Self::default();
        extra.extend(fields);
        extra
    }
}

impl Extend<(String, Value)> for Extra {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, fields: I) {
        for (field, value) in fields {
            self.insert(field, value);
        }
    }
}
