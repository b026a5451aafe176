//! Consuming setters, named after their fields.

/// Defines setters for these fields. They are `const fn`s after the word `const`. A setter
/// marked `as Option` takes a value or an option.
macro_rules! setters {
    (const $($field:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        #[must_use]
        pub const fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
    ($($(#[$meta:meta])* $field:ident: $type:ty $(as $option:ident)?,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        $(#[$meta])*
        #[must_use]
        pub fn $field(mut self, $field: $crate::setters::argument!($type $(, $option)?)) -> Self {
            self.$field = $crate::setters::value!($field $(, $option)?);
            self
        }
    )*};
}

/// The type that a setter takes.
macro_rules! argument {
    ($type:ty) => {
        $type
    };
    ($type:ty, Option) => {
        impl Into<Option<$type>>
    };
}

/// The value that a setter stores.
macro_rules! value {
    ($value:ident) => {
        $value
    };
    ($value:ident, Option) => {
        $value.into()
    };
}

pub(crate) use {argument, setters, value};
