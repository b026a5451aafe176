//! Strategies for proptest: requests, values and responses that are valid but awkward.
//!
//! All public requests, values and responses are [`Arbitrary`]. `any::<PlantTree>()` is a
//! purchase that the API accepts, with addresses and names that careless programs mishandle.
//! [`hostile_response`] generates responses that no server should send.
//!
//! Enable the feature `proptest` of this crate for your tests, with any adapter. From a
//! checkout:
//!
//! ```sh
//! cargo add --dev oneclick-proto --path ../oneclick/crates/oneclick-proto --features proptest
//! cargo add --dev proptest
//! ```
//!
//! `Debug` hides addresses, names and metadata, also in counterexamples: put what you need
//! into the message of the assertion.
//!
//! ```
//! use oneclick_proto::strategies::hostile_response;
//! use oneclick_proto::{Api, PlantTree, Receipt};
//! use proptest::prelude::*;
//!
//! /// A line of a shop's log.
//! fn line(receipt: &Receipt) -> String {
//!     format!("{} at {}", receipt.impact, receipt.time_utc)
//! }
//!
//! let api = Api::sandbox("test_key")?;
//! proptest!(|(plant in any::<PlantTree>(), receipt in any::<Receipt>())| {
//!     prop_assert!(api.encode(&plant).is_ok());
//!     let line = line(&receipt);
//!     prop_assert_eq!(line.lines().count(), 1, "{:?}", line);
//! });
//! proptest!(|(plant in any::<PlantTree>(), response in hostile_response())| {
//!     let _ = api.decode(&plant, response); // must not panic
//! });
//! # Ok::<(), oneclick_proto::Error>(())
//! ```

mod requests;
mod responses;
mod values;

use http::Response;
use proptest::arbitrary::Arbitrary;
use proptest::prelude::*;
use serde_json::Value;

use crate::{CustomerRecord, Page, Receipt, Record, Tracking};

/// Implements `Arbitrary` for types, each with a strategy.
macro_rules! arbitrary {
    ($($type:ty = $strategy:expr;)*) => {$(
        impl proptest::arbitrary::Arbitrary for $type {
            type Parameters = ();
            type Strategy = proptest::strategy::BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                proptest::strategy::Strategy::boxed($strategy)
            }
        }
    )*};
}

use arbitrary;

/// Any text, and often one that programs mishandle: empty, long, in other scripts or
/// directions, with markup, code or control characters.
pub fn hostile_text() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 14] = [
        "",
        " ",
        "null",
        "O'Brien \"Bobby\" <b>&amp;</b>",
        "'; DROP TABLE orders; --",
        "=HYPERLINK(\"http://example.com\")",
        "../../etc/passwd",
        "%00%2e%2e",
        "a\r\nx-api-key: live_other",
        "\u{1b}[2J\u{7}",
        "\u{202e}gnirts",
        "Zoë 张伟 محمد 👩‍🌾",
        "e\u{301}\u{301}\u{301}",
        "\u{0}\u{7f}\u{9b}\u{feff}",
    ];
    prop_oneof![
        3 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        3 => any::<String>(),
        1 => "[a-z]{1000,2000}",
    ]
}

/// Any status with any body: bytes, JSON, or the truncated or damaged response of another
/// endpoint.
pub fn hostile_response() -> impl Strategy<Value = Response<Vec<u8>>> {
    let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
    let valid = prop_oneof![
        any::<Receipt>().prop_map(move |value| json(serde_json::to_vec(&value))),
        any::<Tracking>().prop_map(move |value| json(serde_json::to_vec(&value))),
        any::<Page<Record>>().prop_map(move |value| json(serde_json::to_vec(&value))),
        any::<Page<CustomerRecord>>().prop_map(move |value| json(serde_json::to_vec(&value))),
    ];
    let damage = proptest::option::of(any::<u8>());
    let cut = (valid, any::<prop::sample::Index>(), damage).prop_map(|(mut body, at, damage)| {
        let at = at.index(body.len().max(1));
        match (damage, body.get_mut(at)) {
            (Some(byte), Some(place)) => *place = byte,
            _ => body.truncate(at),
        }
        body
    });
    let bytes = proptest::collection::vec(any::<u8>(), 0..512);
    let value = hostile_json().prop_map(|value| value.to_string().into_bytes());
    (100_u16..1000, prop_oneof![cut, bytes, value]).prop_map(|(status, body)| {
        let mut response = Response::new(body);
        if let Ok(status) = http::StatusCode::from_u16(status) {
            *response.status_mut() = status;
        }
        response
    })
}

/// Any JSON; objects often have field names of the API.
pub fn hostile_json() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 12] = [
        "user_id",
        "time_utc",
        "tree_planted",
        "money_donated",
        "customer",
        "customer_email",
        "metadata",
        "category",
        "user_records",
        "cursor",
        "type",
        "message",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        hostile_text().prop_map(Value::from),
        Just(Value::from("2024-09-16T20:34:04.429Z")),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let field = prop_oneof![
            4 => proptest::sample::select(&FIELDS[..]).prop_map(str::to_owned),
            1 => hostile_text(),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((field, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// An optional value.
fn maybe<T: Arbitrary + 'static>() -> BoxedStrategy<Option<T>> {
    proptest::option::of(any::<T>()).boxed()
}

/// An optional text.
fn maybe_text() -> BoxedStrategy<Option<String>> {
    proptest::option::of(hostile_text()).boxed()
}
