//! The values that requests and responses are made of.
//!
//! Values to send are checked when they are built; [`InvalidValue`] says what is wrong
//! with one. Values from a response are kept whatever they are: unknown names as
//! [`OtherName`], unknown fields as [`Extra`].

#[macro_use]
mod string_enum;

mod amount;
mod customer;
mod date_range;
mod email;
mod extra;
mod impact;
mod impact_id;
mod invalid;
mod metadata;
mod opaque;
mod reason;
mod timestamp;

pub use amount::{Cents, Fragments, Limit, Pounds, Trees};
pub use customer::{Customer, RecordCustomer};
pub use date_range::DateRange;
pub use email::Email;
pub use extra::Extra;
pub use impact::{Category, Impact, ImpactKind, SortOrder, Totals, TreeCategory};
pub use impact_id::ImpactId;
pub use invalid::InvalidValue;
pub(crate) use metadata::MetadataField;
pub use metadata::{Metadata, RecordedMetadata};
pub use opaque::{Cursor, Redacted, UserId};
pub use reason::Reason;
pub use string_enum::OtherName;
pub use timestamp::Timestamp;

pub(crate) use date_range::{read_day, write_day};
pub(crate) use extra::{split_amounts, whole};
pub(crate) use impact::ImpactFinder;
pub(crate) use invalid::grouped;
