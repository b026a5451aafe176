//! Values of requests and responses.

use chrono::{DateTime, Days, NaiveDate};
use proptest::prelude::*;
use serde_json::Value;

use super::{arbitrary, hostile_text, maybe};
use crate::{
    CancelMessage, Category, Cents, Cursor, Customer, DateRange, Email, Extra, Fragments, Impact,
    ImpactId, ImpactKind, Limit, Locale, Metadata, Pounds, ProjectType, Reason, RecordCustomer,
    RecordedMetadata, Redacted, SortOrder, Timestamp, Totals, TreeCategory, Trees, UserId,
};

arbitrary! {
    Trees = amount(Trees::MAX).prop_filter_map("out of range", |value| Trees::new(value).ok());
    Pounds = amount(Pounds::MAX).prop_filter_map("out of range", |value| Pounds::new(value).ok());
    Cents = amount(Cents::MAX).prop_filter_map("out of range", |value| Cents::new(value).ok());
    Fragments =
        amount(Fragments::MAX).prop_filter_map("out of range", |value| Fragments::new(value).ok());
    Limit = (Limit::MIN..=Limit::MAX)
        .prop_filter_map("out of range", |value| Limit::new(value).ok());
    Email = email();
    Customer = (any::<Email>(), proptest::option::of(hostile_text())).prop_map(|(email, name)| {
        let customer = Self::from(email);
        match name {
            Some(name) => customer.name(name),
            None => customer,
        }
    });
    DateRange = (proptest::option::of(date()), proptest::option::of(date())).prop_map(|(a, b)| {
        let (start, end) = match (a, b) {
            (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
            open => open,
        };
        Self::new(start, end).unwrap_or(Self::ALL)
    });
    ImpactKind = open(Self::KNOWN);
    Category = open(Self::KNOWN);
    ProjectType = open(Self::KNOWN);
    Locale = open(Self::KNOWN);
    CancelMessage = open(Self::KNOWN);
    TreeCategory = Just(Self::Food);
    SortOrder = prop_oneof![Just(Self::Asc), Just(Self::Desc)];
    Cursor = prop_oneof!["[A-Za-z0-9+/]{1,40}={0,2}", whole("\\PC{1,20}")].prop_map(Self::new);
    Metadata = metadata();
    RecordedMetadata = prop_oneof![any::<Metadata>().prop_map(Self::from), recorded()];
    Reason = characters(Reason::MAX_CHARS).prop_filter_map("too long", |reason| Self::new(reason).ok());
    UserId = prop_oneof!["U[0-9]{1,12}", "[a-z0-9-]{1,40}", whole("\\PC{1,12}")].prop_map(Self::from);
    Extra = prop_oneof![3 => Just(Self::default()), 1 => extra()];
    Timestamp = timestamp();
    ImpactId = (any::<UserId>(), any::<Timestamp>()).prop_map(|(id, time)| Self::new(id, time));
    Redacted = hostile_text().prop_map(Self::new);
    RecordCustomer = ("U[0-9]{1,12}", any::<Email>(), maybe::<Redacted>())
        .prop_map(|(id, email, name)| {
            let mut customer = Self::new(id, email.as_str());
            customer.customer_name = name;
            customer
        });
    Impact = (any::<ImpactKind>(), any::<i64>()).prop_map(|(kind, amount)| Self::new(kind, amount));
    Totals = proptest::collection::vec((any::<ImpactKind>(), any::<i64>()), 0..6).prop_map(|all| {
        let mut totals = Self::zeros();
        for (kind, amount) in all {
            totals.set(kind, amount);
        }
        totals
    });
}

/// Small amounts, large ones and the ends of the range.
fn amount(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![1..=20_u64.min(most), 1..=most, Just(1), Just(most)]
}

/// A known value, and sometimes one that this version does not know.
fn open<T>(known: &'static [T]) -> impl Strategy<Value = T>
where
    T: Clone + std::fmt::Debug + for<'a> From<&'a str> + 'static,
{
    prop_oneof![
        4 => proptest::sample::select(known),
        1 => "new_[a-z]{1,12}".prop_map(|name| T::from(name.as_str())),
    ]
}

/// Text without replacement characters.
fn whole(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_map(|text| text.replace(char::REPLACEMENT_CHARACTER, "x"))
}

fn email() -> impl Strategy<Value = Email> {
    const KNOWN: [&str; 8] = [
        "a@b",
        "o'brien+tag=1&limit=1000@example.com",
        "\"a b@c\"@example.com",
        "über@exämple.de",
        "%40@example.com",
        "-@-.example",
        "a.b.c.d@sub.sub.sub.example.museum",
        "👩‍🌾@example.com",
    ];
    let long = format!("{}@{}.example", "a".repeat(64), "b".repeat(60));
    let text = prop_oneof![
        proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        "[a-z0-9.!#$&'*+/=?^_`{|}~-]{1,30}@[a-z0-9-]{1,20}\\.[a-z]{2,6}",
        "[^\\s@\"\\p{Cc}]{1,20}@[^\\s@.\\p{Cc}]{1,10}(\\.[^\\s@.\\p{Cc}]{1,5}){0,2}",
        Just(long),
    ];
    text.prop_filter_map("certainly wrong", |text| Email::new(text).ok())
}

/// Any day of the years 0 to 9999.
pub(super) fn date() -> impl Strategy<Value = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(0, 1, 1).unwrap_or_default();
    prop_oneof![0..3_652_059_u64, 730_000..745_000_u64]
        .prop_map(move |days| first + Days::new(days))
}

/// Text of at most this many characters.
fn characters(most: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        hostile_text(),
        proptest::collection::vec(any::<char>(), most).prop_map(String::from_iter)
    ]
    .prop_map(move |text| text.chars().take(most).collect())
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let key = characters(Metadata::MAX_KEY_CHARS);
    let pair = (key, characters(Metadata::MAX_VALUE_CHARS));
    proptest::collection::vec(pair, 0..=Metadata::MAX_PAIRS).prop_map(|pairs| {
        let mut metadata = Metadata::new();
        for (key, value) in pairs {
            // Empty and reserved keys are left out.
            let _ = metadata.insert(key, value);
        }
        metadata
    })
}

/// Metadata that this library would not send.
fn recorded() -> impl Strategy<Value = RecordedMetadata> {
    let key = prop_oneof![hostile_text(), Just("order".to_owned())];
    let value = prop_oneof![any::<i64>().prop_map(Value::from), other_value()];
    proptest::collection::vec((key, value), 0..4).prop_filter_map("no metadata", |pairs| {
        serde_json::from_value(Value::Object(pairs.into_iter().collect())).ok()
    })
}

/// Fields of a later version. They hold no numbers, since a whole number would be an amount.
fn extra() -> impl Strategy<Value = Extra> {
    proptest::collection::vec(("x_[a-z]{1,9}", other_value()), 1..3).prop_map(|fields| {
        let mut extra = Extra::default();
        for (field, value) in fields {
            extra.insert(field, value);
        }
        extra
    })
}

/// A JSON value that is not a number.
fn other_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => hostile_text().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => hostile_text().prop_map(|text| serde_json::json!({ "nested": [text, null] })),
    ]
}

/// Times as the API writes them, and in other forms of RFC 3339.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    let usual = (0..253_402_300_799_999_i64).prop_filter_map("no time", |milliseconds| {
        DateTime::from_timestamp_millis(milliseconds).map(Timestamp::from)
    });
    let other = "20[0-9]{2}-0[1-9]-1[0-9][Tt]1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?(Z|z|[+-]0[0-9]:30)"
        .prop_filter_map("no time", |text: String| text.parse().ok());
    prop_oneof![3 => usual, 1 => other]
}
