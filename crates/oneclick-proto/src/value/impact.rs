//! Kinds of impact, their amounts, categories and totals.
//!
//! To add a kind, add a line to `impact_kinds!`: its name, its unit and its wording.
//! Receipts, records, filters, totals and tracking follow.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Extra;

/// Declares the kinds of impact, each with its name, its unit, and its wording for an
/// amount of one and of several.
macro_rules! impact_kinds {
    ($(
        $(#[$meta:meta])*
        $variant:ident = $name:literal in $unit:literal, $one:literal or $several:literal,
    )*) => {
        string_enum! {
            /// A kind of impact. Its name is that of the field with its amount in receipts,
            /// records and totals, and the value of `filter_by`.
            ///
            /// ```
            /// use oneclick_proto::ImpactKind;
            ///
            /// assert_eq!(ImpactKind::from("waste_removed"), ImpactKind::WasteRemoved);
            /// assert_eq!(ImpactKind::from("kelp_grown").as_str(), "kelp_grown");
            /// ```
            ImpactKind {
                $(
                    $(#[$meta])*
                    #[doc = concat!("The amount is in ", $unit, ".")]
                    $variant = $name,
                )*
            }
        }

        impl ImpactKind {
            /// The unit of an amount of this kind; `None` for a kind that this version
            /// does not know.
            ///
            /// ```
            /// use oneclick_proto::ImpactKind;
            ///
            /// assert_eq!(ImpactKind::MoneyDonated.unit(), Some("US cents"));
            /// assert_eq!(ImpactKind::from("kelp_grown").unit(), None);
            /// ```
            #[must_use]
            pub const fn unit(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($unit),)*
                    Self::Other(_) => None,
                }
            }

            /// The wording for an amount of one, and of several.
            const fn words(&self) -> Option<[&'static str; 2]> {
                match self {
                    $(Self::$variant => Some([$one, $several]),)*
                    Self::Other(_) => None,
                }
            }
        }
    };
}

impact_kinds! {
    /// Trees planted.
    TreePlanted = "tree_planted" in "trees", "tree planted" or "trees planted",
    /// Plastic removed from the ocean.
    WasteRemoved = "waste_removed" in "lbs of ocean plastic",
        "lb of plastic out of the ocean" or "lbs of plastic out of the ocean",
    /// Carbon captured.
    CarbonCaptured = "carbon_captured" in "lbs of CO2",
        "lb of CO2 captured" or "lbs of CO2 captured",
    /// Coral reef restored.
    CoralRestored = "coral_restored" in "coral fragments",
        "coral fragment restored" or "coral fragments restored",
    /// Money donated.
    MoneyDonated = "money_donated" in "US cents", "US cent donated" or "US cents donated",
}

string_enum! {
    /// A kind of tree or the cause of a donation: `category` of `POST /v1/donate_money`,
    /// and of every response about an impact.
    Category {
        /// Trees that bear food.
        Food = "food",
        /// A donation to veterans.
        Veterans = "veterans",
        /// A donation to animals.
        Animals = "animals",
        /// A donation to the climate.
        Climate = "climate",
    }
}

/// The kind of trees to plant: `category` of `POST /v1/plant_tree`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TreeCategory {
    /// Trees that bear food, for the nutrition and income of local communities. They come
    /// with access to live planting sessions.
    Food,
}

/// The order of a list by time: `sort_order` of `GET /v1/records`,
/// `/v1/customer_records` and `/v1/customers`. The API's default is ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// An amount of one kind of impact.
///
/// `Display` writes it in words, and money in dollars although its unit is US cents.
///
/// ```
/// use oneclick_proto::{Impact, ImpactKind};
///
/// let words = |kind, amount| Impact::new(kind, amount).to_string();
/// assert_eq!(words(ImpactKind::TreePlanted, 1), "1 tree planted");
/// assert_eq!(words(ImpactKind::CarbonCaptured, 12), "12 lbs of CO2 captured");
/// assert_eq!(words(ImpactKind::MoneyDonated, 505), "$5.05 donated");
/// assert_eq!(words("kelp_grown".into(), 9), "kelp_grown: 9");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Impact {
    /// The kind.
    pub kind: ImpactKind,
    /// The amount in the [`unit`](ImpactKind::unit) of the kind. It is as the API wrote it,
    /// so it may be zero or negative.
    pub amount: i64,
}

impl Impact {
    /// An amount of a kind, in its unit.
    #[must_use]
    pub const fn new(kind: ImpactKind, amount: i64) -> Self {
        Self { kind, amount }
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, amount } = self;
        if *kind == ImpactKind::MoneyDonated {
            let sign = if *amount < 0 { "-" } else { "" };
            let cents = amount.unsigned_abs();
            return write!(f, "{sign}${}.{:02} donated", cents / 100, cents % 100);
        }
        match kind.words() {
            Some([one, _]) if *amount == 1 => write!(f, "1 {one}"),
            Some([_, several]) => write!(f, "{amount} {several}"),
            None => write!(f, "{kind}: {amount}"),
        }
    }
}

/// Amounts by kind, each in the [`unit`](ImpactKind::unit) of its kind, as in the responses
/// of `GET /v1/impact` and `GET /v1/impact/daily`. A missing kind counts as zero.
///
/// `Display` lists the amounts that are not zero, in words.
///
/// ```
/// use oneclick_proto::{ImpactKind, Totals};
///
/// let totals: Totals = serde_json::from_str(r#"{"tree_planted":60,"kelp_grown":7}"#).unwrap();
/// assert_eq!(totals.get(&ImpactKind::TreePlanted), 60);
/// assert_eq!(totals.get(&ImpactKind::WasteRemoved), 0);
/// assert_eq!(totals.get(&"kelp_grown".into()), 7);
/// assert_eq!(totals.to_string(), "60 trees planted, kelp_grown: 7");
/// assert_eq!(Totals::zeros().to_string(), "nothing yet");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    #[serde(flatten)]
    pub(crate) amounts: BTreeMap<ImpactKind, i64>,
    #[serde(flatten)]
    extra: Extra,
}

impl Totals {
    /// Totals with every known kind at zero.
    #[must_use]
    pub fn zeros() -> Self {
        let amounts = ImpactKind::KNOWN.iter().map(|kind| (kind.clone(), 0)).collect();
        Self { amounts, extra: Extra::default() }
    }

    /// The amount of a kind, in its unit; zero if it is missing.
    #[must_use]
    pub fn get(&self, kind: &ImpactKind) -> i64 {
        self.amounts.get(kind).copied().unwrap_or_default()
    }

    /// Sets the amount of a kind, in its unit.
    pub fn set(&mut self, kind: ImpactKind, amount: i64) {
        self.amounts.insert(kind, amount);
    }

    /// Adds to the amount of a kind, in its unit. The sum saturates at the bounds of `i64`.
    pub fn add(&mut self, kind: &ImpactKind, amount: i64) {
        let total = self.amounts.entry(kind.clone()).or_default();
        *total = total.saturating_add(amount);
    }

    /// Fields that this version does not know.
    #[must_use]
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// The kinds and their amounts, known kinds first.
    pub fn iter(&self) -> impl Iterator<Item = (&ImpactKind, i64)> {
        self.amounts.iter().map(|(kind, amount)| (kind, *amount))
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut impacts = self.iter().filter(|(_, amount)| *amount != 0);
        let Some((kind, amount)) = impacts.next() else { return f.write_str("nothing yet") };
        write!(f, "{}", Impact::new(kind.clone(), amount))?;
        impacts.try_for_each(|(kind, amount)| write!(f, ", {}", Impact::new(kind.clone(), amount)))
    }
}

impl<'de> Deserialize<'de> for Totals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = serde_json::Map::deserialize(deserializer)?;
        let (totals, extra) = super::split_amounts(fields).map_err(de::Error::custom)?;
        Ok(Self { extra, ..totals })
    }
}

/// Finds the one impact among the fields of a row.
///
/// The API's public examples have two shapes: only the amount of the impact, or all
/// amounts with zeros for the other kinds. So the first amount that is not zero is the
/// impact, and known kinds go before unknown ones; if all are zero, it is the first of a
/// known kind. Amounts that are not chosen are returned, so that nothing is lost.
#[derive(Default)]
pub(crate) struct ImpactFinder {
    known: Option<Impact>,
    unknown: Option<Impact>,
}

impl ImpactFinder {
    /// Takes an amount, and returns one that the caller must keep elsewhere.
    pub(crate) fn take(&mut self, kind: ImpactKind, amount: i64) -> Option<Impact> {
        let chosen = match kind {
            ImpactKind::Other(_) => &mut self.unknown,
            _ => &mut self.known,
        };
        let new = Impact { kind, amount };
        // A zero of a known kind can be dropped once there is another amount.
        match chosen {
            // A duplicate field: the last value wins.
            Some(old) if old.kind == new.kind => {
                *old = new;
                None
            }
            Some(old) if old.amount != 0 || new.amount == 0 => {
                (new.amount != 0 || is_other(&new)).then_some(new)
            }
            _ => chosen.replace(new).filter(is_other),
        }
    }

    /// The impact, whose kind has an empty name if the row had no amount, and an amount of
    /// an unknown kind that was not chosen.
    pub(crate) fn finish(self) -> (Impact, Option<Impact>) {
        match (self.known, self.unknown) {
            (Some(known), Some(unknown)) if known.amount == 0 && unknown.amount != 0 => {
                (unknown, None)
            }
            (Some(known), unknown) => (known, unknown),
            (None, Some(unknown)) => (unknown, None),
            (None, None) => (Impact::new(ImpactKind::from(""), 0), None),
        }
    }
}

fn is_other(impact: &Impact) -> bool {
    matches!(impact.kind, ImpactKind::Other(_))
}
