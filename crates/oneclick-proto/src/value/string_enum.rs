//! Enums of names that the API may extend: an unknown name is kept as text.

use std::fmt;

/// A name that this version does not know, kept as the API wrote it.
///
/// Only the conversions of the enums create one, so it never holds a known name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherName(Box<str>);

impl OtherName {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OtherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The server chooses the text: show it only if it looks like a name and not like a key.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let key = self.0.contains("test_") || self.0.contains("live_");
        if self.0.len() <= 40 && self.0.bytes().all(plain) && !key {
            write!(f, "{:?}", &self.0)
        } else {
            f.write_str("..")
        }
    }
}

/// Declares an enum of names that the API may extend.
macro_rules! string_enum {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A name that this version does not know.
            Other($crate::value::OtherName),
        }

        impl $name {
            /// All variants that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the API.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name.as_str(),
                }
            }

            /// The variant with this name; `None` if this version does not know it, where
            /// `From` returns `Other`.
            #[must_use]
            pub fn known(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::known(name)
                    .unwrap_or_else(|| Self::Other($crate::value::OtherName::new(name)))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self::from(&*name)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Ok(Self::from(name))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Ok(Self::from(&*name))
            }
        }
    };
}
