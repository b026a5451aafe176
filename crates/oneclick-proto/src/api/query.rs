//! Writes an endpoint's fields as a query, straight into the URI's buffer.

use std::error::Error;
use std::fmt::{self, Display, Write};

use serde::ser::{self, Impossible, Serialize, Serializer};

use crate::value::InvalidValue;

/// A path, and the query that grows behind it.
///
/// Lists become repeated parameters; what is `None` leaves no trace.
pub(super) struct Query {
    target: Vec<u8>,
    /// Where the parameter at hand begins, with the mark before it.
    parameter: usize,
    /// Where its value begins.
    value: usize,
    /// Whether its value is written.
    written: bool,
    /// Whether a parameter is complete.
    started: bool,
}

impl Query {
    /// Begins behind a path.
    pub(super) fn new(path: Vec<u8>) -> Self {
        Self { target: path, parameter: 0, value: 0, written: false, started: false }
    }

    /// Writes the fields of a struct.
    pub(super) fn write(mut self, fields: &impl Serialize) -> Result<Vec<u8>, InvalidValue> {
        fields.serialize(Fields(&mut self)).map_err(|Unwritable(invalid)| invalid)?;
        Ok(self.target)
    }

    fn begin(&mut self, name: &str) {
        self.parameter = self.target.len();
        self.target.push(if self.started { b'&' } else { b'?' });
        push_encoded(&mut self.target, name);
        self.target.push(b'=');
        (self.value, self.written) = (self.target.len(), false);
    }

    /// Begins another parameter of the same name.
    fn repeat(&mut self) {
        let name = self.parameter + 1..self.value;
        self.parameter = self.target.len();
        self.target.push(b'&');
        self.target.extend_from_within(name);
        (self.value, self.written) = (self.target.len(), false);
    }

    fn end(&mut self) {
        (self.written, self.started) = (true, true);
    }

    /// Takes the parameter at hand back.
    fn drop(&mut self) {
        self.target.truncate(self.parameter);
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that any
/// decoder of forms or URIs gives back the same text.
pub(super) fn push_encoded(target: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|byte| is_unreserved(**byte)).count();
        target.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        if let [byte, after @ ..] = rest {
            let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
            target.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
            rest = after;
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Percent-encodes what is formatted into it.
struct Encoded<'q>(&'q mut Vec<u8>);

impl Write for Encoded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_encoded(self.0, text);
        Ok(())
    }
}

/// Why something cannot stand in a query.
#[derive(Debug)]
struct Unwritable(InvalidValue);

const NO_STRUCT: Unwritable = unwritable("it is not a struct of fields");
const NESTED: Unwritable = unwritable("a query or a path cannot hold a map or a nested list");

const fn unwritable(reason: &'static str) -> Unwritable {
    Unwritable(InvalidValue::Unserializable { reason })
}

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: Display>(_: T) -> Self {
        // The words of somebody's `Serialize` may repeat what it writes.
        unwritable("its fields cannot be serialised")
    }
}

/// Methods of a serializer that take something it does not.
macro_rules! refuse {
    ($error:expr; $($method:ident($($type:ty),*) -> $ok:ty,)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$ok, Unwritable> {
            Err($error)
        }
    )*};
}

/// The same for those that are generic.
macro_rules! refuse_variants {
    ($error:expr) => {
        fn serialize_newtype_variant<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Unwritable> {
            Err($error)
        }

        type SerializeTuple = Impossible<(), Unwritable>;
        type SerializeTupleStruct = Impossible<(), Unwritable>;
        type SerializeTupleVariant = Impossible<(), Unwritable>;
        type SerializeStructVariant = Impossible<(), Unwritable>;
        type Ok = ();
        type Error = Unwritable;

        refuse! { $error;
            serialize_bytes(&[u8]) -> (),
            serialize_tuple(usize) -> Self::SerializeTuple,
            serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct,
            serialize_tuple_variant(&'static str, u32, &'static str, usize)
                -> Self::SerializeTupleVariant,
            serialize_struct_variant(&'static str, u32, &'static str, usize)
                -> Self::SerializeStructVariant,
        }
    };
}

/// Takes a struct or a map.
struct Fields<'q>(&'q mut Query);

impl Serializer for Fields<'_> {
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeSeq = Impossible<(), Unwritable>;

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Unwritable> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unwritable> {
        Ok(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    refuse_variants!(NO_STRUCT);

    refuse! { NO_STRUCT;
        serialize_bool(bool) -> (),
        serialize_i8(i8) -> (),
        serialize_i16(i16) -> (),
        serialize_i32(i32) -> (),
        serialize_i64(i64) -> (),
        serialize_u8(u8) -> (),
        serialize_u16(u16) -> (),
        serialize_u32(u32) -> (),
        serialize_u64(u64) -> (),
        serialize_f32(f32) -> (),
        serialize_f64(f64) -> (),
        serialize_char(char) -> (),
        serialize_str(&str) -> (),
        serialize_unit_variant(&'static str, u32, &'static str) -> (),
        serialize_seq(Option<usize>) -> Self::SerializeSeq,
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        self.0.begin(name);
        value.serialize(Parameter { query: self.0, in_list: false })
    }

    fn end(self) -> Result<(), Unwritable> {
        Ok(())
    }
}

impl ser::SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, name: &T) -> Result<(), Unwritable> {
        // Written as a value would be, which completes no parameter yet.
        let started = self.0.started;
        self.0.begin("");
        self.0.target.pop();
        name.serialize(Parameter { query: self.0, in_list: true })?;
        if !self.0.written {
            return Err(NO_STRUCT);
        }
        self.0.target.push(b'=');
        (self.0.value, self.0.written, self.0.started) = (self.0.target.len(), false, started);
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unwritable> {
        value.serialize(Parameter { query: self.0, in_list: false })
    }

    fn end(self) -> Result<(), Unwritable> {
        Ok(())
    }
}

/// Takes the value of the parameter at hand.
struct Parameter<'q> {
    query: &'q mut Query,
    in_list: bool,
}

impl Parameter<'_> {
    fn display(self, value: impl Display) -> Result<(), Unwritable> {
        write!(Encoded(&mut self.query.target), "{value}").map_err(ser::Error::custom)?;
        self.query.end();
        Ok(())
    }
}

/// Values that are written as they are displayed.
macro_rules! display {
    ($($method:ident($type:ty),)*) => {$(
        fn $method(self, value: $type) -> Result<(), Unwritable> {
            self.display(value)
        }
    )*};
}

impl<'q> Serializer for Parameter<'q> {
    type SerializeMap = Impossible<(), Unwritable>;
    type SerializeStruct = Impossible<(), Unwritable>;
    type SerializeSeq = List<'q>;

    display! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
    }

    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Result<(), Unwritable> {
        self.display(value)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<(), Unwritable> {
        self.display(name)
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        // A list has use for the name yet.
        if !self.in_list {
            self.query.drop();
        }
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        self.serialize_none()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'q>, Unwritable> {
        if self.in_list {
            return Err(NESTED);
        }
        Ok(List(self.query))
    }

    refuse_variants!(NESTED);

    refuse! { NESTED;
        serialize_map(Option<usize>) -> Self::SerializeMap,
        serialize_struct(&'static str, usize) -> Self::SerializeStruct,
    }
}

/// Takes the values of a parameter that is repeated.
struct List<'q>(&'q mut Query);

impl ser::SerializeSeq for List<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unwritable> {
        if self.0.written {
            self.0.repeat();
        }
        value.serialize(Parameter { query: self.0, in_list: true })
    }

    fn end(self) -> Result<(), Unwritable> {
        if !self.0.written {
            self.0.drop();
        }
        Ok(())
    }
}
