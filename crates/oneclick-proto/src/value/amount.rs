//! Amounts and limits: whole numbers, each a type with one range.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{InvalidValue, whole};

/// Declares a whole number with a range, checked when it is built.
macro_rules! bounded {
    ($(#[$meta:meta])* $name:ident, $what:literal, $min:literal..=$max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The smallest that can be sent.
            pub const MIN: u64 = $min;
            /// The largest that can be sent.
            pub const MAX: u64 = $max;

            /// Checks a number.
            ///
            /// # Errors
            #[doc = concat!("[`InvalidValue::OutOfRange`] unless it is ", $min, "..=", $max, ".")]
            pub const fn new(value: u64) -> Result<Self, InvalidValue> {
                if value < Self::MIN || value > Self::MAX {
                    return Err(out_of_range($what, value as i128, Self::MIN, Self::MAX));
                }
                Ok(Self(value))
            }

            /// A literal, checked when the program is compiled.
            #[must_use]
            pub const fn of<const VALUE: u64>() -> Self {
                const { assert!(VALUE >= Self::MIN && VALUE <= Self::MAX, "out of range") };
                Self(VALUE)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            fn check(value: i128) -> Result<Self, InvalidValue> {
                u64::try_from(value)
                    .map_err(|_| out_of_range($what, value, Self::MIN, Self::MAX))
                    .and_then(Self::new)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        /// Reads decimal digits, after a sign or none, without spaces or separators. Fails as
        /// [`new`](Self::new), and with [`InvalidValue::NotANumber`].
        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                let value: i128 = text
                    .parse()
                    .map_err(|_| InvalidValue::NotANumber { what: $what })?;
                Self::check(value)
            }
        }

        /// Takes a JSON number that is whole; 5.0 is 5. Fails as [`new`](Self::new),
        /// and with [`InvalidValue::NotANumber`].
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = serde_json::Number::deserialize(deserializer)?;
                let value = whole(&number.into()).ok_or(InvalidValue::NotANumber { what: $what });
                value.and_then(|value| Self::check(value.into())).map_err(de::Error::custom)
            }
        }

        bounded!(@try_from $name, $what, u32 u64 usize i32 i64);
    };
    (@try_from $name:ident, $what:literal, $($integer:ty)*) => {$(
        /// Fails as [`new`](Self::new).
        impl TryFrom<$integer> for $name {
            type Error = InvalidValue;

            #[allow(clippy::cast_lossless, reason = "`usize` has no `From` into `i128`")]
            fn try_from(value: $integer) -> Result<Self, InvalidValue> {
                Self::check(value as i128)
            }
        }
    )*};
}

const fn out_of_range(what: &'static str, value: i128, min: u64, max: u64) -> InvalidValue {
    InvalidValue::OutOfRange { what, value, min, max }
}

bounded! {
    /// A number of trees, 1..=10,000,000: `amount` of `POST /v1/plant_tree`.
    ///
    /// ```
    /// use oneclick_proto::Trees;
    ///
    /// let from_a_literal = Trees::of::<5>();
    /// let from_input: Trees = "5".parse().unwrap();
    /// assert_eq!(from_a_literal, from_input);
    /// assert!(Trees::new(10_000_001).is_err());
    /// ```
    ///
    /// A literal out of range does not compile, and no fraction does:
    /// ```compile_fail
    /// let none = oneclick_proto::Trees::of::<0>();
    /// ```
    /// ```compile_fail
    /// let less = oneclick_proto::Trees::try_from(-3.5);
    /// ```
    Trees, "trees", 1..=10_000_000
}

bounded! {
    /// A weight in whole pounds (lbs), 1..=10,000,000: `amount` of
    /// `POST /v1/clean_ocean`, of ocean plastic, and of `POST /v1/capture_carbon`,
    /// of CO2.
    ///
    /// ```
    /// use oneclick_proto::Pounds;
    ///
    /// assert_eq!(Pounds::of::<5>().get(), 5);
    /// assert_eq!(
    ///     Pounds::try_from(-3_i64).unwrap_err().to_string(),
    ///     "-3 pounds are out of range: 1 to 10000000 can be sent",
    /// );
    /// ```
    Pounds, "pounds", 1..=10_000_000
}

bounded! {
    /// A number of coral fragments, 1..=10,000,000: `amount` of
    /// `POST /v1/restore_coral`.
    ///
    /// ```
    /// use oneclick_proto::Fragments;
    ///
    /// assert_eq!("3".parse(), Ok(Fragments::of::<3>()));
    /// ```
    Fragments, "coral fragments", 1..=10_000_000
}

bounded! {
    /// A sum of money in US cents, 1..=1,000,000,000, so 500 is $5.00: `amount` of
    /// `POST /v1/donate_money`.
    ///
    /// ```
    /// use oneclick_proto::Cents;
    ///
    /// assert_eq!(Cents::new(500).unwrap(), Cents::of::<500>());
    /// ```
    ///
    /// Pounds cannot be passed where money is meant:
    /// ```compile_fail
    /// let donation: oneclick_proto::Cents = oneclick_proto::Pounds::of::<5>();
    /// ```
    Cents, "cents", 1..=1_000_000_000
}

bounded! {
    /// The number of items on a page, 1..=1000: `limit` of `GET /v1/records`,
    /// `/v1/customer_records` and `/v1/customers`. The API's default is 10.
    ///
    /// ```
    /// use oneclick_proto::Limit;
    ///
    /// assert!(Limit::new(0).is_err());
    /// assert_eq!(Limit::of::<1000>().get(), Limit::MAX);
    /// ```
    Limit, "items on a page", 1..=1000
}
