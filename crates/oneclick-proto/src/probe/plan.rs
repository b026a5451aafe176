//! What a probe buys and asks, in order.

use std::collections::VecDeque;
use std::time::Duration;

use crate::value::ImpactKind;

/// The address with capital letters and a tag, to see how an address is stored.
pub(super) const TAGGED: &str = "Probe.Ada+Tag@example.com";
/// The address with an internationalized domain.
pub(super) const INTERNATIONAL: &str = "probe@bücher.example.com";
/// An ordinary address.
pub(super) const ORDINARY: &str = "probe@example.com";

/// A purchase of the probe. Kind and amount together occur once.
pub(super) struct Order {
    pub(super) kind: ImpactKind,
    pub(super) amount: u16,
    pub(super) customer: Option<&'static str>,
}

const fn order(kind: ImpactKind, amount: u16, customer: Option<&'static str>) -> Order {
    Order { kind, amount, customer }
}

/// One purchase of each kind, three for customers, and then the cheapest ones, to measure how
/// long a record takes to show.
pub(super) static ORDERS: [Order; 20] = [
    order(ImpactKind::TreePlanted, 1, None),
    order(ImpactKind::WasteRemoved, 1, None),
    order(ImpactKind::CarbonCaptured, 1, None),
    order(ImpactKind::CoralRestored, 1, None),
    order(ImpactKind::MoneyDonated, 1, None),
    order(ImpactKind::TreePlanted, 2, Some(TAGGED)),
    order(ImpactKind::TreePlanted, 3, Some(INTERNATIONAL)),
    order(ImpactKind::TreePlanted, 4, Some(ORDINARY)),
    order(ImpactKind::MoneyDonated, 2, None),
    order(ImpactKind::MoneyDonated, 3, None),
    order(ImpactKind::MoneyDonated, 4, None),
    order(ImpactKind::MoneyDonated, 5, None),
    order(ImpactKind::MoneyDonated, 6, None),
    order(ImpactKind::MoneyDonated, 7, None),
    order(ImpactKind::MoneyDonated, 8, None),
    order(ImpactKind::MoneyDonated, 9, None),
    order(ImpactKind::MoneyDonated, 10, None),
    order(ImpactKind::MoneyDonated, 11, None),
    order(ImpactKind::MoneyDonated, 12, None),
    order(ImpactKind::MoneyDonated, 13, None),
];

/// The first and the last order of each part of the plan.
const OWN: std::ops::Range<usize> = 0..5;
const FOR_CUSTOMERS: std::ops::Range<usize> = 5..8;
const CHEAPEST: std::ops::Range<usize> = 8..ORDERS.len();
/// The order whose address has capital letters and a tag.
pub(super) const TAGGED_ORDER: usize = 5;
/// The order that is tracked, and cancelled twice.
pub(super) const FIRST: usize = 0;

/// How long to wait before each purchase, so that their times differ.
const PAUSE: Duration = Duration::from_millis(400);

/// A request of the probe, or a wait between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Wait(Duration),
    /// A wait that the server asked for.
    RetryAfter(Duration),
    Account,
    Buy(usize),
    Own(View),
    ForCustomers(View),
    Customers(Address),
    DaysBefore,
    DaysAfter,
    Track(usize, TrackedBy),
    Cancel(usize),
    CancelAgain,
    Wrong(Wrong),
}

/// A page of a list of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As many rows as possible, newest first.
    Newest,
    /// The newest two, and with the cursor of these two, later and at the end, the next two.
    FirstTwo,
    NextTwoLater,
    NextTwoAtTheEnd,
    /// The first pages in either order.
    Descending,
    DescendingNext,
    Ascending,
    AscendingNext,
    /// A single row.
    One,
    /// Only one kind: that of an order, or one that does not exist.
    Kind(usize),
    UnknownKind,
    /// From the day of the purchases on, and until it.
    Since,
    Until,
    /// Of the customer with capital letters and a tag, as it was sent.
    OfTagged,
    /// After the cancellations.
    Afterwards,
}

/// How the list of customers is filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Any,
    /// As the API shows the address with capital letters and a tag.
    AsStored,
    /// The same with upper and lower case exchanged.
    OtherCase,
}

/// The `user_id` by which an impact is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrackedBy {
    Account,
    Customer,
}

/// A request that is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Value,
    Limit,
    Key,
    Path,
    Method,
}

impl Wrong {
    pub(super) const ALL: [Self; 5] =
        [Self::Value, Self::Limit, Self::Key, Self::Path, Self::Method];

    /// The status that it is expected to get.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Value | Self::Limit => 400,
            Self::Key => 401,
            Self::Path => 404,
            Self::Method => 405,
        }
    }
}

/// The purchases, and what is asked between them.
pub(super) fn purchases() -> VecDeque<Question> {
    use Question::{Account, Buy, DaysBefore, ForCustomers, Own, Track, Wait};
    let mut plan = vec![Account, DaysBefore];
    for order in OWN {
        plan.extend([Wait(PAUSE), Buy(order)]);
        if order == FIRST {
            plan.extend([Track(order, TrackedBy::Account), Own(View::Newest)]);
        }
    }
    plan.extend([Own(View::Newest), Own(View::FirstTwo)]);
    for order in FOR_CUSTOMERS {
        plan.extend([Wait(PAUSE), Buy(order)]);
    }
    plan.push(ForCustomers(View::Newest));
    for order in CHEAPEST {
        plan.extend([Wait(PAUSE), Buy(order), Own(View::Newest)]);
    }
    plan.push(Own(View::NextTwoLater));
    plan.into()
}

/// What is asked once the records show, up to the cancellations.
pub(super) fn questions() -> Vec<Question> {
    use Question::{Customers, DaysAfter, ForCustomers, Own, Track};
    let mut plan = vec![
        Own(View::Descending),
        Own(View::DescendingNext),
        Own(View::Ascending),
        Own(View::AscendingNext),
        Own(View::One),
    ];
    plan.extend(OWN.map(|order| Own(View::Kind(order))));
    plan.extend([
        Own(View::UnknownKind),
        Customers(Address::Any),
        Customers(Address::AsStored),
        Customers(Address::OtherCase),
        ForCustomers(View::OfTagged),
        DaysAfter,
        Own(View::Since),
        Own(View::Until),
        Track(TAGGED_ORDER, TrackedBy::Account),
        Track(TAGGED_ORDER, TrackedBy::Customer),
        ForCustomers(View::Newest),
        // Where the other list shows a customer's purchase, this one would show it, too.
        Own(View::Newest),
    ]);
    plan.extend(Wrong::ALL.map(Question::Wrong));
    plan.push(Own(View::NextTwoAtTheEnd));
    plan
}
