//! The ledger: purchases and customers as the server stores them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Address, Cancel, Dice, Metadata, MetadataChanged, UnkindServer, Visibility, time_utc};

/// The metadata key that holds the marker of an intent.
pub(crate) const MARKER_KEY: &str = "oneclick_intent";

/// The domain names that [`Address::Punycode`] changes.
pub(super) const DOMAINS: &[(&str, &str)] = &[
    ("bücher", "xn--bcher-kva"),
    ("müller", "xn--mller-kva"),
    ("españa", "xn--espaa-rta"),
    ("café", "xn--caf-dma"),
];

/// The letters that [`Address::Decomposed`] changes.
pub(super) const LETTERS: &[(&str, &str)] = &[
    ("ä", "a\u{308}"),
    ("ö", "o\u{308}"),
    ("ü", "u\u{308}"),
    ("é", "e\u{301}"),
    ("ñ", "n\u{303}"),
];

/// A kind of impact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tree,
    Waste,
    Carbon,
    Money,
    Coral,
}

impl Kind {
    pub(crate) const ALL: &[Self] =
        &[Self::Tree, Self::Waste, Self::Carbon, Self::Money, Self::Coral];

    /// The name of the field for the amount, and of the filter.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Tree => "tree_planted",
            Self::Waste => "waste_removed",
            Self::Carbon => "carbon_captured",
            Self::Money => "money_donated",
            Self::Coral => "coral_restored",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Tree => "/v1/plant_tree",
            Self::Waste => "/v1/clean_ocean",
            Self::Carbon => "/v1/capture_carbon",
            Self::Money => "/v1/donate_money",
            Self::Coral => "/v1/restore_coral",
        }
    }

    pub(super) fn most(self) -> u64 {
        if self == Self::Money { 1_000_000_000 } else { 10_000_000 }
    }
}

/// The content of a request to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) kind: Kind,
    pub(crate) amount: u64,
    /// The customer's address as it was sent.
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) category: Option<String>,
    /// The metadata as they were sent.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Order {
    pub(crate) fn new(kind: Kind, amount: u64) -> Self {
        let metadata = BTreeMap::new();
        Self { kind, amount, email: None, name: None, category: None, metadata }
    }

    pub(crate) fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    pub(crate) fn marker(mut self, marker: impl Into<String>) -> Self {
        self.metadata.insert(MARKER_KEY.to_owned(), marker.into());
        self
    }
}

/// A purchase that was made, or that nothing can stop any more.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    /// Its index in the ledger.
    pub(crate) number: usize,
    pub(crate) order: Order,
    /// Whether it was bought by [`UnkindServer::buy_for_others`] or by the server itself.
    pub(crate) of_others: bool,
    /// When it is made; may be in the future.
    pub(crate) made_at: Duration,
    /// When the first cancellation was requested.
    pub(crate) cancel_requested_at: Option<Duration>,
    /// When the cancellation takes effect; may be in the future.
    pub(crate) cancelled_at: Option<Duration>,
    /// The time in its receipt.
    pub(crate) time_utc: String,
    /// `time_utc` in milliseconds; no other purchase has the same.
    pub(super) stamp: i64,
    /// The index of the customer.
    pub(super) customer: Option<usize>,
    pub(super) cancelled_on: Option<String>,
    pub(super) cancel_reason: Option<String>,
    /// How the metadata were changed on write.
    pub(super) written: Option<Metadata>,
    /// The time from `made_at` until lists show it, if that takes a while.
    pub(super) lag: Duration,
    /// Determines random properties of this purchase that never change.
    pub(super) luck: u64,
}

impl Purchase {
    /// The marker as it was sent.
    pub(crate) fn marker(&self) -> Option<&str> {
        self.order.metadata.get(MARKER_KEY).map(String::as_str)
    }

    /// Whether it was made and not cancelled at this time.
    pub(crate) fn is_active(&self, now: Duration) -> bool {
        self.made_at <= now && self.cancelled_at.is_none_or(|at| at > now)
    }

    /// The microseconds below its millisecond.
    pub(super) fn micros(&self) -> i64 {
        i64::try_from((self.luck >> 16) % 1000).expect("a small number")
    }
}

/// A customer; one for each stored address.
#[derive(Clone, Debug)]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: Option<String>,
    pub(super) onboarded_at: Duration,
    pub(super) onboarded_on: String,
    pub(super) stamp: i64,
    pub(super) luck: u64,
}

impl UnkindServer {
    /// Adds a purchase to the ledger.
    pub(super) fn make(&mut self, order: &Order, made_at: Duration, of_others: bool) -> usize {
        let time = self.server_time(made_at);
        let mut stamp = time.timestamp_millis();
        while !self.stamps.insert(stamp) {
            stamp += 1;
        }
        let time = chrono::DateTime::from_timestamp_millis(stamp).expect("a valid time");
        let time_utc = time_utc(time);
        let customer =
            order.email.is_some().then(|| self.onboard(order, made_at, stamp, &time_utc));
        let number = self.ledger.len();
        let lag = self.dice.up_to(super::LAG);
        let luck = self.dice.number();
        let before = of_others && !self.serving && unlucky(luck, 2);
        let written = match self.dimensions.metadata_changed {
            MetadataChanged::OnRead => None,
            MetadataChanged::OnWrite if before => Some(Metadata::Kept),
            MetadataChanged::OnWrite => Some(self.dimensions.metadata),
        };
        self.ledger.push(Purchase {
            number,
            order: order.clone(),
            of_others,
            made_at,
            cancel_requested_at: None,
            cancelled_at: None,
            time_utc,
            stamp,
            customer,
            cancelled_on: None,
            cancel_reason: None,
            written,
            lag,
            luck,
        });
        number
    }

    fn onboard(&mut self, order: &Order, at: Duration, stamp: i64, time_utc: &str) -> usize {
        let email = stored(self.dimensions.address, order.email.as_deref().unwrap_or_default());
        let known = self.customers.iter().position(|customer| customer.email == email);
        if let Some(customer) = known {
            return customer;
        }
        let number = self.customers.len();
        self.customers.push(Customer {
            id: format!("U{}", 1234 + number),
            email,
            name: order.name.clone(),
            onboarded_at: at,
            onboarded_on: time_utc.to_owned(),
            stamp,
            luck: self.dice.number(),
        });
        number
    }

    pub(super) fn customer(&self, purchase: &Purchase) -> Option<&Customer> {
        purchase.customer.map(|customer| &self.customers[customer])
    }

    /// Cancels a purchase if it is not cancelled yet.
    pub(super) fn cancel(&mut self, number: usize, reason: Option<String>, now: Duration) {
        let late = match self.dimensions.cancel {
            Cancel::Later => self.dice.up_to(super::CANCEL_LATE),
            Cancel::AtOnce | Cancel::Refused => Duration::ZERO,
        };
        let on = time_utc(self.server_time(now));
        let purchase = &mut self.ledger[number];
        if purchase.cancel_requested_at.is_none() {
            purchase.cancel_requested_at = Some(now);
            purchase.cancelled_at = Some(now + late);
            purchase.cancelled_on = Some(on);
            purchase.cancel_reason = reason;
        }
    }

    /// Chooses the replica that responds.
    pub(super) fn replica(&mut self) -> Replica {
        Replica { lags: self.dimensions.visibility, dice: self.dice.index(2) }
    }
}

/// The replica that responds to an exchange.
pub(super) struct Replica {
    lags: Visibility,
    dice: usize,
}

impl Replica {
    pub(super) fn shows(&self, purchase: &Purchase, at: Duration) -> bool {
        let lagging = match self.lags {
            Visibility::AtOnce => false,
            Visibility::Later => true,
            Visibility::Replicas => self.dice == 1,
        };
        let lag = if lagging { purchase.lag } else { Duration::ZERO };
        purchase.made_at + lag <= at
    }
}

/// An address as a server stores it.
fn stored(address: Address, email: &str) -> String {
    match address {
        Address::Kept => email.to_owned(),
        Address::LowerCase => email.to_lowercase(),
        Address::TagRemoved => without_tag(email),
        Address::Punycode if email.contains("xn--") => respelt(email, DOMAINS, false),
        Address::Punycode => respelt(email, DOMAINS, true),
        Address::Decomposed => respelt(email, LETTERS, true),
    }
}

/// The common form of all spellings of an address.
pub(super) fn folded(email: &str) -> String {
    let composed = respelt(&email.to_lowercase(), LETTERS, false);
    without_tag(&respelt(&composed, DOMAINS, true))
}

fn without_tag(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain)) => {
            format!("{}@{domain}", local.split_once('+').map_or(local, |(local, _)| local))
        }
        None => email.to_owned(),
    }
}

/// Replaces the first of each pair by the second if `right`, else the second by the first.
fn respelt(text: &str, forms: &[(&str, &str)], right: bool) -> String {
    forms.iter().fold(text.to_owned(), |text, (from, to)| {
        if right { text.replace(from, to) } else { text.replace(to, from) }
    })
}

/// The metadata of a record as JSON; `None` if they are left out.
pub(super) fn shown_metadata(
    metadata: &BTreeMap<String, String>,
    way: Metadata,
    cap: usize,
) -> Option<String> {
    use super::json::{object, text};

    if metadata.is_empty() {
        return None;
    }
    let pairs = || metadata.iter().map(|(key, value)| (key.as_str(), text(value)));
    Some(match way {
        Metadata::Dropped => return None,
        Metadata::Kept | Metadata::NotInRecords | Metadata::NotInCustomerRecords => object(pairs()),
        Metadata::KeysRespelt => {
            let keys: Vec<_> = metadata.keys().map(|key| camel_case(key)).collect();
            object(keys.iter().map(String::as_str).zip(metadata.values().map(|value| text(value))))
        }
        Metadata::ValuesRespelt => {
            object(metadata.iter().map(|(key, value)| (key.as_str(), text(&value.to_uppercase()))))
        }
        Metadata::CutShort => {
            let cut = |value: &str| value.chars().take(cap).collect::<String>();
            object(metadata.iter().map(|(key, value)| (key.as_str(), text(&cut(value)))))
        }
        Metadata::Reordered => object(pairs().rev()),
        Metadata::JsonText => text(&object(pairs())),
        Metadata::Nulled => object(metadata.keys().map(|key| (key.as_str(), "null".to_owned()))),
    })
}

fn camel_case(key: &str) -> String {
    let mut words = key.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Whether a rule for half of the purchases applies to this one. Each rule has its own bit.
pub(super) fn unlucky(luck: u64, bit: u32) -> bool {
    luck >> bit & 1 == 1
}

/// One of several values, always the same for a purchase.
pub(super) fn pick_by_luck<T: Copy>(luck: u64, from: &[T]) -> T {
    from[Dice::new(luck).index(from.len())]
}
