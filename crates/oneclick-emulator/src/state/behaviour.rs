//! Switches for what no source says about the API.
//!
//! Each switch is an enum, whose first value is the default and the easiest for a client.
//! [`Behaviour`] has a field for each, and the
//! [crate's documentation](crate#behaviour) has a table of them all.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Timelike, Utc};
use http::StatusCode;
use oneclick_proto::{DateRange, ImpactKind, Metadata, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::Purchase;
use super::hash::hash;
use super::problem::{Problem, got, unknown};
use super::punycode;

/// A switch: an enum with an example of each of its values.
trait Switch: Sized + 'static {
    const VALUES: &'static [Self];
}

/// Declares a switch. Its first value is the default. The number beside a field is its value
/// in the example.
macro_rules! switch {
    (
        $(#[$doc:meta])*
        $name:ident {
            $(#[$first_doc:meta])* $first:ident,
            $(
                $(#[$value_doc:meta])*
                $value:ident $({ $(#[$field_doc:meta])* $field:ident: $type:ty = $example:expr })?,
            )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        #[non_exhaustive]
        pub enum $name {
            $(#[$first_doc])* #[default] $first,
            $($(#[$value_doc])* $value $({ $(#[$field_doc])* $field: $type })?,)*
        }

        impl Switch for $name {
            const VALUES: &'static [Self] =
                &[Self::$first, $(Self::$value $({ $field: $example })?),*];
        }
    };
}

/// Declares [`Behaviour`] with a setter for each field, and how the control paths read and
/// write it.
macro_rules! behaviour {
    ($(#[$meta:meta])* Behaviour { $($(#[$doc:meta])* $field:ident: $type:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Behaviour {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Behaviour {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub const fn $field(mut self, value: $type) -> Self {
                    self.$field = value;
                    self
                }
            )*

            /// Every switch, with its value and its possible values.
            pub(crate) fn switches(&self) -> Value {
                json!({
                    $(stringify!($field): {
                        "value": self.$field,
                        "values": <$type as Switch>::VALUES,
                    },)*
                })
            }

            fn set_one(&mut self, name: &str, value: &Value) -> Result<(), Problem> {
                match name {
                    $(stringify!($field) => self.$field = read(name, value)?,)*
                    _ => return Err(unknown("switch", &[name], PATH, Self::NAMES)),
                }
                Ok(())
            }
        }
    };
}

/// The control path of the switches.
const PATH: &str = "/_emulator/behaviour";

behaviour! {
    /// How the emulator behaves where no source says how the API does.
    ///
    /// The defaults are the easiest for a client. Switches change what is shown and accepted;
    /// [`Account::ledger`](crate::Account::ledger) always shows what was really bought.
    ///
    /// ```
    /// use oneclick_emulator::behaviour::{AddressForm, MetadataForm};
    /// use oneclick_emulator::{Behaviour, Server};
    ///
    /// let unkind = Behaviour::new().metadata(MetadataForm::Dropped).address(AddressForm::LowerCase);
    /// let json = r#"{"metadata":"dropped","address":"lower_case"}"#;
    /// assert_eq!(serde_json::from_str::<Behaviour>(json)?, unkind);
    ///
    /// let server = Server::builder().behaviour(unkind).start()?;
    /// assert_eq!(server.emulator().behaviour(), unkind);
    /// server.emulator().set_behaviour(Behaviour::new());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Behaviour {
        /// How records show the metadata that was sent.
        metadata: MetadataForm,
        /// How a customer's address is stored, and then shown in records, customers and
        /// receipts.
        address: AddressForm,
        /// How the filter `customer_email` is compared with the stored address.
        address_filter: AddressFilter,
        /// The `user_id` of a record, compared with its receipt.
        user_id: RecordUserId,
        /// The `time_utc` of a record, compared with its receipt.
        time_utc: TimeForm,
        /// Which list shows a purchase for a customer.
        listed_in: ListedIn,
        /// The effect of a `filter_by` that the reference does not list: `coral_restored`, or a
        /// name that is no kind of impact.
        unknown_filter: UnknownFilter,
        /// Whether `sort_order` is honoured.
        sort_order: SortOrders,
        /// Whether `start_date` and `end_date` are part of the range.
        dates: DateBounds,
        /// When the days of `start_date`, `end_date` and `/v1/impact/daily` begin.
        days: DayZone,
        /// Whether `limit` is honoured.
        limit: Limits,
        /// How long a cursor is valid, and what it points to.
        cursors: Cursors,
        /// When readers see a purchase.
        visibility: Visibility,
        /// The server's clock, compared with the emulator's.
        clock: ServerClock,
        /// The `Date` header, compared with the server's clock.
        date: DateHeader,
        /// What the response to a purchase shows.
        receipt: ReceiptForm,
        /// When a cancellation takes effect.
        cancel: CancelEffect,
        /// The response to a repeated cancellation.
        cancel_repeat: CancelRepeat,
        /// The status of the response if an impact can no longer be cancelled.
        cancel_refusal: CancelRefusal,
        /// The `user_id` by which `/v1/track` finds a customer's impact.
        track_by: TrackBy,
        /// An additional row on each page of `/v1/records` and `/v1/customer_records`.
        other_rows: OtherRows,
        /// What other software buys on the same account.
        other_software: OtherSoftware,
    }
}

impl Behaviour {
    /// The default of every switch, which is the easiest for a client.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets some switches by name. If one of them is wrong, none is set.
    pub(crate) fn set<'a>(
        &mut self,
        switches: impl IntoIterator<Item = (&'a String, &'a Value)>,
    ) -> Result<(), Problem> {
        let mut changed = *self;
        for (name, value) in switches {
            changed.set_one(name, value)?;
        }
        *self = changed;
        Ok(())
    }

    /// The time of the `Date` header; `None` if the HTTP server decides.
    pub(super) fn date_header(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.date {
            DateHeader::Apart { seconds } => Some(later(now, TimeDelta::try_seconds(seconds))),
            DateHeader::Usual if self.clock != ServerClock::Same => Some(now),
            DateHeader::Usual | DateHeader::Absent => None,
        }
    }

    /// The day of a time.
    pub(super) fn day(&self, moment: DateTime<Utc>) -> NaiveDate {
        let offset = match self.days {
            DayZone::Utc => 0,
            DayZone::Offset { hours } => hours,
        };
        later(moment, Some(TimeDelta::hours(offset.into()))).date_naive()
    }

    /// Whether a day is within a range.
    pub(super) fn includes(&self, dates: DateRange, day: NaiveDate) -> bool {
        let (start, end) = match self.dates {
            DateBounds::Inclusive => (true, true),
            DateBounds::Exclusive => (false, false),
            DateBounds::StartExclusive => (false, true),
            DateBounds::EndExclusive => (true, false),
        };
        let from = dates.start_date().is_none_or(|first| first < day || (start && first == day));
        let until = dates.end_date().is_none_or(|last| day < last || (end && last == day));
        from && until
    }

    /// The purchase that other software makes just before a purchase.
    pub(super) fn others(&self, purchase: &Purchase) -> Option<Purchase> {
        let same = || Purchase { metadata: Metadata::new(), ..purchase.clone() };
        match self.other_software {
            OtherSoftware::None => None,
            OtherSoftware::BuysTheSame => Some(same()),
            OtherSoftware::BuysForItself => Some(Purchase { customer: None, ..same() }),
        }
    }

    /// Whether the filter `customer_email` matches the customer with this address.
    pub(super) fn finds(&self, address: &str, filter: &str) -> bool {
        match self.address_filter {
            AddressFilter::Exact => self.address.shown(address) == filter,
            AddressFilter::Loose => folded(address) == folded(filter),
        }
    }
}

/// Reads the value of a switch.
fn read<T: Switch + Serialize + for<'de> Deserialize<'de>>(
    name: &str,
    value: &Value,
) -> Result<T, Problem> {
    T::deserialize(value).map_err(|_| {
        let values: Vec<_> = T::VALUES.iter().map(|value| json!(value).to_string()).collect();
        let values = values.join(", ");
        Problem::invalid(format!("`{name}` must be one of {values}, got {}", got(value)))
    })
}

/// A time moved by a duration, or the time itself if the result would be out of range.
pub(super) fn later(moment: DateTime<Utc>, by: Option<TimeDelta>) -> DateTime<Utc> {
    by.and_then(|by| moment.checked_add_signed(by)).unwrap_or(moment)
}

/// Milliseconds as an `i64`, at most its maximum.
pub(super) fn millis(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

switch! {
    /// How records show the metadata that was sent.
    MetadataForm {
        /// Unchanged.
        Kept,
        /// Not at all.
        Dropped,
        /// Keys in camel case: `order_id` becomes `orderId`.
        KeysCamelCase,
        /// Keys in upper case.
        KeysUpperCase,
        /// Values in upper case.
        ValuesUpperCase,
        /// Each value is cut short.
        CutShort {
            /// How many characters of a value are left.
            chars: usize = 16
        },
        /// Keys in descending order.
        Reordered,
        /// As one string that contains the object as JSON.
        OneText,
        /// Every value is `null`.
        Nulls,
        /// Unchanged in `/v1/records`, not at all in `/v1/customer_records`.
        RecordsOnly,
        /// Unchanged in `/v1/customer_records`, not at all in `/v1/records`.
        CustomerRecordsOnly,
    }
}

impl MetadataForm {
    /// The metadata of a record as JSON; `None` if the field is left out.
    pub(super) fn shown(self, pairs: &Map<String, Value>, own: bool) -> Option<String> {
        let change = |key: &dyn Fn(&str) -> String, value: &dyn Fn(&Value) -> Value| {
            let pairs: Map<_, _> = pairs.iter().map(|(k, v)| (key(k), value(v))).collect();
            Some(Value::from(pairs).to_string())
        };
        let text = |change: &dyn Fn(&str) -> String, value: &Value| {
            value.as_str().map_or(Value::Null, |text| change(text).into())
        };
        let (same_key, same_value) = (|key: &str| key.to_owned(), Value::clone);
        match self {
            Self::Dropped => None,
            Self::RecordsOnly if !own => None,
            Self::CustomerRecordsOnly if own => None,
            Self::Kept | Self::RecordsOnly | Self::CustomerRecordsOnly => {
                change(&same_key, &same_value)
            }
            Self::KeysCamelCase => change(&camel_case, &same_value),
            Self::KeysUpperCase => change(&|key| key.to_uppercase(), &same_value),
            Self::ValuesUpperCase => {
                change(&same_key, &|value| text(&|text| text.to_uppercase(), value))
            }
            Self::CutShort { chars } => {
                change(&same_key, &|value| text(&|text| text.chars().take(chars).collect(), value))
            }
            Self::Reordered => {
                let pair = |(key, value): (&String, &Value)| format!("{}:{value}", json!(key));
                let pairs: Vec<_> = pairs.iter().rev().map(pair).collect();
                Some(format!("{{{}}}", pairs.join(",")))
            }
            Self::OneText => change(&same_key, &same_value).map(|text| json!(text).to_string()),
            Self::Nulls => change(&same_key, &|_| Value::Null),
        }
    }
}

fn camel_case(key: &str) -> String {
    let mut words = key.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.extend(letters);
    }
    name
}

switch! {
    /// How a customer's address is stored, and then shown in records, customers and receipts.
    AddressForm {
        /// As it was sent.
        Kept,
        /// In lower case.
        LowerCase,
        /// Without a plus sign before the `@` and the text after it.
        TagRemoved,
        /// With its domain in the other form: `müller.de` as `xn--mller-kva.de`, and vice
        /// versa.
        OtherDomainForm,
    }
}

impl AddressForm {
    pub(super) fn shown(self, address: &str) -> String {
        match self {
            Self::Kept => address.to_owned(),
            Self::LowerCase => address.to_lowercase(),
            Self::TagRemoved => without_tag(address),
            Self::OtherDomainForm => match address.rsplit_once('@') {
                Some((local, domain)) => format!("{local}@{}", punycode::other_form(domain)),
                None => address.to_owned(),
            },
        }
    }
}

fn without_tag(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => match local.split_once('+') {
            Some((name, _)) if !name.is_empty() => format!("{name}@{domain}"),
            _ => address.to_owned(),
        },
        None => address.to_owned(),
    }
}

switch! {
    /// How the filter `customer_email` is compared with the stored address.
    AddressFilter {
        /// Byte by byte.
        Exact,
        /// Ignoring case, the text after a plus sign, and the form of the domain.
        Loose,
    }
}

/// An address in the form in which [`AddressFilter::Loose`] compares it.
fn folded(address: &str) -> String {
    let address = without_tag(&address.to_lowercase());
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", punycode::to_ascii(domain)),
        None => address,
    }
}

switch! {
    /// The `user_id` of a record.
    RecordUserId {
        /// The account's id, as in the receipt.
        Same,
        /// The account's id in lower case.
        OtherCase,
        /// The customer's id, if there is a customer.
        Customers,
        /// An id that appears nowhere else.
        Another,
    }
}

impl RecordUserId {
    /// The `user_id` of the record of a purchase.
    pub(super) fn shown(self, receipt: &Receipt) -> String {
        let account = receipt.user_id.as_str();
        match self {
            Self::Same => account.to_owned(),
            Self::OtherCase => account.to_lowercase(),
            Self::Customers => receipt
                .customer
                .as_ref()
                .map_or_else(|| account.to_owned(), |customer| customer.customer_id.clone()),
            Self::Another => {
                let number = hash(&[b"another id", account.as_bytes()]);
                format!("U{}", 1_000_000_000 + number % 9_000_000_000)
            }
        }
    }
}

switch! {
    /// The `time_utc` of a record.
    TimeForm {
        /// As in the receipt: `2025-03-12T15:22:14.753Z`.
        Same,
        /// With microseconds, which the receipt does not show: `…14.753218Z`.
        Microseconds,
        /// Cut to seconds: `…14Z`.
        SecondsCut,
        /// Rounded to seconds: `…15Z`.
        SecondsRounded,
        /// With an offset instead of `Z`: `…14.753+00:00`.
        Offset,
        /// In any of these forms, which changes from request to request.
        Changing,
    }
}

impl TimeForm {
    /// The forms in which a record can be shown. Each request uses one of them.
    pub(super) fn forms(self) -> &'static [Self] {
        match self {
            Self::Same => &[Self::Same],
            Self::Microseconds => &[Self::Microseconds],
            Self::SecondsCut => &[Self::SecondsCut],
            Self::SecondsRounded => &[Self::SecondsRounded],
            Self::Offset => &[Self::Offset],
            Self::Changing => &[
                Self::Same,
                Self::Microseconds,
                Self::SecondsCut,
                Self::SecondsRounded,
                Self::Offset,
            ],
        }
    }

    pub(super) fn shown(self, time: DateTime<Utc>) -> String {
        let text = |time: DateTime<Utc>, format, z| time.to_rfc3339_opts(format, z);
        match self {
            Self::Same | Self::Changing => text(time, SecondsFormat::Millis, true),
            Self::Microseconds => {
                let digits = hash(&[b"microseconds", &time.timestamp_millis().to_be_bytes()]);
                let digits = i64::try_from(1 + digits % 999).unwrap_or(1);
                let time = later(time, Some(TimeDelta::microseconds(digits)));
                text(time, SecondsFormat::Micros, true)
            }
            Self::SecondsCut => text(time, SecondsFormat::Secs, true),
            Self::SecondsRounded => {
                let up = i64::from(time.nanosecond() >= 500_000_000);
                text(later(time, Some(TimeDelta::seconds(up))), SecondsFormat::Secs, true)
            }
            Self::Offset => text(time, SecondsFormat::Millis, false),
        }
    }
}

switch! {
    /// Which list shows a purchase for a customer.
    ListedIn {
        /// `/v1/customer_records`.
        CustomerRecords,
        /// `/v1/records`, which does not show who the customer is.
        Records,
        /// Both.
        Both,
    }
}

switch! {
    /// The effect of a `filter_by` that the reference does not list.
    UnknownFilter {
        /// `coral_restored` filters like the other kinds; an unknown name gets a 400.
        Honoured,
        /// No record passes it.
        Empty,
        /// The list is not filtered at all.
        Everything,
        /// It gets a 400.
        Refused,
    }
}

impl UnknownFilter {
    /// Whether the reference lists a kind.
    pub(super) fn is_listed(kind: &ImpactKind) -> bool {
        *kind != ImpactKind::CoralRestored
    }
}

switch! {
    /// Whether `sort_order` is honoured.
    SortOrders {
        /// It is honoured.
        Honoured,
        /// It is ignored: every list is ascending.
        Ignored,
        /// The pages are those of the ascending list, and each page is sorted as requested.
        WithinPage,
    }
}

switch! {
    /// Whether `start_date` and `end_date` are part of the range.
    DateBounds {
        /// Both are part of it.
        Inclusive,
        /// Neither is part of it.
        Exclusive,
        /// Only `end_date` is part of it.
        StartExclusive,
        /// Only `start_date` is part of it.
        EndExclusive,
    }
}

switch! {
    /// When days begin.
    DayZone {
        /// At midnight in UTC.
        Utc,
        /// At midnight in another time zone.
        Offset {
            /// How many hours the zone is ahead of UTC, or behind it if negative.
            hours: i8 = -8
        },
    }
}

switch! {
    /// Whether `limit` is honoured.
    Limits {
        /// It is honoured.
        Honoured,
        /// Pages are shorter than requested.
        Capped {
            /// The maximum number of rows on a page; 0 counts as 1.
            at: usize = 5
        },
    }
}

impl Limits {
    pub(super) fn of(self, asked: usize) -> usize {
        match self {
            Self::Honoured => asked,
            Self::Capped { at } => asked.min(at.max(1)),
        }
    }
}

switch! {
    /// How long a cursor is valid, and what it points to.
    Cursors {
        /// It is valid forever, and points to a row.
        Last,
        /// It expires, and then gets a 400.
        Expire {
            /// After how long, in milliseconds of the emulator's clock.
            millis: u64 = 1_000
        },
        /// It points to a place counted from the beginning of the list: if rows are added
        /// before that place, a row appears twice or another is missed.
        Shift,
    }
}

switch! {
    /// When readers see a purchase.
    Visibility {
        /// At once.
        AtOnce,
        /// Later. A purchase stays hidden even if the switch is changed.
        After {
            /// How much later, in milliseconds of the emulator's clock.
            millis: u64 = 5_000
        },
        /// At once on one replica, later on the other. The seed decides which of the two
        /// handles a request.
        Replicas {
            /// How far the second replica lags behind, in milliseconds.
            millis: u64 = 5_000
        },
    }
}

impl Visibility {
    /// For how many milliseconds a purchase is hidden.
    pub(super) fn hides_for(self) -> Option<u64> {
        match self {
            Self::After { millis } => Some(millis),
            Self::AtOnce | Self::Replicas { .. } => None,
        }
    }
}

switch! {
    /// The server's clock, compared with the emulator's. It determines every `time_utc` and
    /// the `Date` header.
    ///
    /// The times of an account's purchases always ascend. After a change back in time, each
    /// purchase is a millisecond later than the one before.
    ServerClock {
        /// The same.
        Same,
        /// Ahead of it.
        Ahead {
            /// How many days.
            days: u32 = 2
        },
        /// Behind it.
        Behind {
            /// How many days.
            days: u32 = 2
        },
    }
}

impl ServerClock {
    /// The time of the server's clock.
    pub(super) fn shifted(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Same => now,
            Self::Ahead { days } => later(now, TimeDelta::try_days(days.into())),
            Self::Behind { days } => later(now, TimeDelta::try_days(-i64::from(days))),
        }
    }
}

switch! {
    /// The `Date` header.
    DateHeader {
        /// A [`Server`](crate::Server) sends the system's time, and
        /// [`InMemory`](crate::InMemory) the emulator's. An [`Emulator`](crate::Emulator)
        /// sets no header. If the switch `clock` is set, all three send its time.
        Usual,
        /// Ahead of the server's clock, from an `Emulator` too.
        Apart {
            /// How many seconds ahead, or behind if negative.
            seconds: i64 = 30
        },
        /// There is none. A [`Server`](crate::Server) then closes each connection after its
        /// response.
        Absent,
    }
}

switch! {
    /// What the response to a purchase shows.
    ReceiptForm {
        /// The purchase.
        Own,
        /// The account's latest other purchase, as if two responses had been swapped; the
        /// purchase itself if there is no other.
        Crossed,
        /// The purchase without its customer and category.
        Bare,
        /// The purchase, with an amount such as `5.0`.
        Fraction,
    }
}

switch! {
    /// When a cancellation takes effect.
    CancelEffect {
        /// At once.
        AtOnce,
        /// Later, although the response says that it has taken effect.
        Later {
            /// How much later, in milliseconds of the emulator's clock.
            millis: u64 = 5_000
        },
    }
}

switch! {
    /// The response to a repeated cancellation.
    CancelRepeat {
        /// All fields of the first response.
        AllFields,
        /// Only `user_id`, `time_utc`, `cancelled_on` and `message`.
        FourFields,
    }
}

switch! {
    /// The status of the response if an impact can no longer be cancelled.
    CancelRefusal {
        /// 400.
        BadRequest,
        /// 404.
        NotFound,
        /// 409.
        Conflict,
        /// 422.
        UnprocessableContent,
    }
}

impl CancelRefusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::UnprocessableContent => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

switch! {
    /// The `user_id` by which `/v1/track` finds a customer's impact.
    TrackBy {
        /// The account's id.
        Account,
        /// The customer's id; the account's id gets a 404.
        Customer,
    }
}

switch! {
    /// An additional row on each page of `/v1/records` and `/v1/customer_records`. It comes
    /// first, belongs to no purchase, and counts for the limit.
    OtherRows {
        /// There is none.
        WellFormed,
        /// `null`.
        Null,
        /// A record without `user_id`.
        WithoutUserId,
        /// A record whose amount is a string.
        AmountAsText,
        /// A record with half of a surrogate pair in a string.
        HalfSurrogate,
        /// A record of an unknown kind of impact.
        UnknownKind,
    }
}

impl OtherRows {
    /// How many records fit on a page with this limit.
    pub(super) fn room(self, limit: usize) -> usize {
        match self {
            Self::WellFormed => limit,
            // A cursor needs at least one record on its page.
            _ => (limit - 1).max(1),
        }
    }

    /// The row as JSON, with this `user_id` and `time_utc`; `None` if there is none.
    pub(super) fn shown(self, user_id: &str, time_utc: &str) -> Option<String> {
        let (user_id, time_utc) = (json!(user_id), json!(time_utc));
        let handle = format!(r#""user_id":{user_id},"time_utc":{time_utc}"#);
        match self {
            Self::WellFormed => None,
            Self::Null => Some("null".to_owned()),
            Self::WithoutUserId => Some(format!(r#"{{"time_utc":{time_utc},"tree_planted":1}}"#)),
            Self::AmountAsText => Some(format!(r#"{{{handle},"tree_planted":"1"}}"#)),
            // A `Value` cannot contain it, so rows are written as text.
            Self::HalfSurrogate => {
                Some(format!(r#"{{{handle},"tree_planted":1,"category":"\ud83c"}}"#))
            }
            Self::UnknownKind => Some(format!(r#"{{{handle},"kelp_grown":1}}"#)),
        }
    }
}

switch! {
    /// What other software buys on the same account.
    OtherSoftware {
        /// Nothing.
        None,
        /// Just before each requested purchase, even if a fault prevents that, it buys the
        /// same for the same customer, without metadata.
        BuysTheSame,
        /// It does so without a customer.
        BuysForItself,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read_back_as_written() {
        let switches = Behaviour::new().switches();
        let switches = switches.as_object().unwrap();
        assert_eq!(switches.len(), Behaviour::NAMES.len());
        for (name, switch) in switches {
            let values = switch["values"].as_array().unwrap();
            assert_eq!(switch["value"], values[0], "{name}: the first value is the default");
            for value in values {
                let mut behaviour = Behaviour::new();
                behaviour.set(&Map::from_iter([(name.clone(), value.clone())])).unwrap();
                assert_eq!(behaviour.switches()[name]["value"], *value);
                assert_eq!(behaviour == Behaviour::new(), *value == values[0]);
            }
        }
    }

    #[test]
    fn the_documentation_lists_every_switch_and_value() {
        let table = include_str!("../lib.rs");
        for (name, switch) in Behaviour::new().switches().as_object().unwrap() {
            let values = switch["values"].as_array().unwrap().iter();
            let value = |value: &Value| match value.as_str() {
                Some(value) => format!("`{value}`"),
                None => format!("`{value}`"),
            };
            let row =
                format!("| `{name}` | {} |", values.map(value).collect::<Vec<_>>().join(", "));
            assert!(table.contains(&row), "{row}");
        }
    }

    #[test]
    fn if_one_switch_is_wrong_none_is_set() {
        let mut behaviour = Behaviour::new();
        let switches = json!({ "address": "lower_case", "metadata": "lost" });
        assert!(behaviour.set(switches.as_object().unwrap()).is_err());
        assert_eq!(behaviour, Behaviour::new());
    }

    #[test]
    fn addresses_are_compared_loosely() {
        assert_eq!(folded("Ada+Trees@MÜLLER.de"), folded("ada@xn--mller-kva.de"));
        assert_ne!(folded("ada@example.com"), folded("ada@example.org"));
        assert_eq!(folded("+tag@x.de"), "+tag@x.de");
        assert_eq!(camel_case("order_item_id"), "orderItemId");
    }
}
