//! Amounts and limits: whole numbers, each a type with its own range.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{InvalidValue, whole};

/// Declares a whole number whose range is checked when it is built.
macro_rules! bounded {
    ($(#[$meta:meta])* $name:ident, $unit:literal, $min:literal..=$max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The smallest number that can be sent.
            pub const MIN: u64 = $min;
            /// The largest number that can be sent.
            pub const MAX: u64 = $max;

            /// Checks that a number is in the range.
            ///
            /// # Errors
            #[doc = concat!("[`InvalidValue::OutOfRange`] unless it is ", $min, "..=", $max, ".")]
            pub const fn new(value: u64) -> Result<Self, InvalidValue> {
                if value < Self::MIN || value > Self::MAX {
                    return Err(out_of_range($unit, value as i128, Self::MIN, Self::MAX));
                }
                Ok(Self(value))
            }

            /// A constant, checked when the program is compiled.
            #[must_use]
            pub const fn of<const VALUE: u64>() -> Self {
                const {
                    assert!(
                        VALUE >= Self::MIN && VALUE <= Self::MAX,
                        concat!($unit, " must be between ", $min, " and ", $max),
                    );
                }
                Self(VALUE)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            fn check(value: i128) -> Result<Self, InvalidValue> {
                u64::try_from(value)
                    .map_err(|_| out_of_range($unit, value, Self::MIN, Self::MAX))
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

        /// Parses decimal digits with an optional sign, without spaces or separators. Fails
        /// like [`new`](Self::new), and with [`InvalidValue::NotANumber`].
        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                let value: i128 = text
                    .parse()
                    .map_err(|_| InvalidValue::NotANumber { unit: $unit })?;
                Self::check(value)
            }
        }

        /// Reads a whole JSON number; `5.0` is 5. Fails like [`new`](Self::new), and with
        /// [`InvalidValue::NotANumber`].
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = serde_json::Number::deserialize(deserializer)?;
                let value = whole(&number.into()).ok_or(InvalidValue::NotANumber { unit: $unit });
                value.and_then(|value| Self::check(value.into())).map_err(de::Error::custom)
            }
        }

        bounded!(@try_from $name, u32 u64 usize i32 i64);
    };
    (@try_from $name:ident, $($integer:ty)*) => {$(
        /// Fails like [`new`](Self::new).
        impl TryFrom<$integer> for $name {
            type Error = InvalidValue;

            #[allow(clippy::cast_lossless, reason = "`usize` has no `From` into `i128`")]
            fn try_from(value: $integer) -> Result<Self, InvalidValue> {
                Self::check(value as i128)
            }
        }
    )*};
}

const fn out_of_range(unit: &'static str, value: i128, min: u64, max: u64) -> InvalidValue {
    InvalidValue::OutOfRange { unit, value, min, max }
}

bounded! {
    /// A number of trees, 1..=10,000,000: `amount` of `POST /v1/plant_tree`.
    ///
    /// ```
    /// use oneclick_proto::Trees;
    ///
    /// let constant = Trees::of::<5>();
    /// let parsed: Trees = "5".parse().unwrap();
    /// assert_eq!(constant, parsed);
    /// assert!(Trees::new(10_000_001).is_err());
    /// ```
    ///
    /// A constant that is out of range does not compile, nor does a fraction:
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
    /// `POST /v1/clean_ocean` (ocean plastic) and of `POST /v1/capture_carbon` (CO2).
    ///
    /// ```
    /// use oneclick_proto::Pounds;
    ///
    /// assert_eq!(Pounds::of::<5>().get(), 5);
    /// assert_eq!(
    ///     Pounds::try_from(-3_i64).unwrap_err().to_string(),
    ///     "pounds must be between 1 and 10,000,000 (got -3)",
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
    /// An amount of money in US cents, 1..=1,000,000,000, so 500 is $5.00: `amount` of
    /// `POST /v1/donate_money`. Error messages show the range in dollars.
    ///
    /// ```
    /// use oneclick_proto::Cents;
    ///
    /// assert_eq!(Cents::new(500).unwrap(), Cents::of::<500>());
    /// ```
    ///
    /// Pounds (lbs) cannot be passed as money:
    /// ```compile_fail
    /// let donation: oneclick_proto::Cents = oneclick_proto::Pounds::of::<5>();
    /// ```
    Cents, "cents", 1..=1_000_000_000
}

bounded! {
    /// The number of items per page, 1..=1000: `limit` of `GET /v1/records`,
    /// `/v1/customer_records` and `/v1/customers`. The API's default is 10.
    ///
    /// ```
    /// use oneclick_proto::Limit;
    ///
    /// assert!(Limit::new(0).is_err());
    /// assert_eq!(Limit::of::<1000>().get(), Limit::MAX);
    /// ```
    Limit, "items per page", 1..=1000
}
