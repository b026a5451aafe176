//! An account: its impacts, its customers, and indexes for reading them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::{Bound, Range};
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use oneclick_proto::{
    Category, CustomerRecord, CustomerSummary, DateRange, Day, Email, Impact, ImpactId, ImpactKind,
    ImpactTotals, Metadata, NoCustomer, Reason, Receipt, Record, RecordCustomer, Redacted,
    SortOrder, Timestamp, Totals, UserId,
};
use serde::Serialize;

use super::behaviour::millis;
use super::hash::hash;
use super::scan::{Selection, select};

/// The number of kinds of impact.
const KINDS: usize = ImpactKind::KNOWN.len();

/// One value per kind of impact, in the order of [`ImpactKind::KNOWN`].
type ByKind<T> = [T; KINDS];

/// The beginnings of the years 0 and 9999. Times are moved into this range, so that every
/// year has four digits.
const EARLIEST: i64 = -62_167_219_200_000;
const LATEST: i64 = 253_370_764_800_000;

/// The account of a key, from [`Emulator::account`](crate::Emulator::account).
pub struct Account {
    user_id: UserId,
    number: u64,
    /// Every impact, by time. The indexes contain positions in this list.
    events: Vec<Event>,
    /// Details that few impacts have, by position.
    details: HashMap<u32, Details>,
    /// Impacts that readers do not see yet, with the time from which they do.
    hidden: BTreeSet<(i64, u32)>,
    /// Requests that take effect later, with the time at which they do.
    pending: Vec<(i64, Pending)>,
    own: Index,
    customers_own: Index,
    user_impact: ByKind<i64>,
    customer_impact: ByKind<i64>,
    days: BTreeMap<NaiveDate, ByKind<i64>>,
    /// Every customer, by the time of their first impact.
    customers: Vec<Customer>,
    /// The positions of the customers that readers see, ascending.
    shown_customers: Vec<u32>,
    by_email: HashMap<Arc<str>, u32>,
}

/// An impact that was really bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Its receipt, with the metadata.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// When it was cancelled, by the emulator's clock, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_on: Option<Timestamp>,
    /// Whether a fault or a switch still hides it from readers.
    pub hidden: bool,
}

/// An impact. It contains no text, so that a million of them fit into memory.
struct Event {
    /// Milliseconds since 1970.
    time: i64,
    amount: i64,
    customer: Option<u32>,
    kind: u8,
    /// Whether readers see it.
    shown: bool,
}

#[derive(Default)]
struct Details {
    category: Option<Category>,
    metadata: Metadata,
    cancelled: Option<Cancelled>,
    /// The customer's name, until readers see it.
    name: Option<String>,
}

/// An impact that readers see.
pub(super) struct VisibleImpact<'a> {
    pub(super) position: u32,
    pub(super) time: DateTime<Utc>,
    pub(super) kind: &'static ImpactKind,
    pub(super) amount: i64,
    /// The e-mail address of its customer, if it has one.
    pub(super) address: Option<&'a str>,
    pub(super) cancelled: Option<&'a Cancelled>,
}

/// When and why an impact was cancelled.
#[derive(Clone)]
pub(super) struct Cancelled {
    pub(super) on: Timestamp,
    pub(super) reason: Option<Reason>,
}

struct Customer {
    email: Arc<str>,
    name: Option<Box<str>>,
    /// The position of the impact that gave the name.
    named_by: u32,
    onboarded_on: i64,
    index: Index,
}

/// Positions of impacts, ascending, by kind.
#[derive(Default)]
struct Index(ByKind<Vec<u32>>);

/// A request that takes effect later.
enum Pending {
    Purchase(Purchase, Option<u64>),
    Cancellation(u32, Cancelled),
}

/// What an action buys.
#[derive(Clone)]
pub(super) struct Purchase {
    pub(super) kind: ImpactKind,
    pub(super) amount: i64,
    pub(super) category: Option<Category>,
    pub(super) customer: Option<(Email, Option<String>)>,
    pub(super) metadata: Metadata,
}

/// Owner records a list shows.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// The account's own records.
    Own,
    /// The records of every customer.
    Customers,
    /// The records of one customer.
    Customer(&'a Email),
}

impl Account {
    pub(super) fn new(seed: u64, key: &[u8]) -> Self {
        let number = number(seed, key);
        Self {
            user_id: Self::id_of(seed, key),
            number,
            events: Vec::new(),
            details: HashMap::new(),
            hidden: BTreeSet::new(),
            pending: Vec::new(),
            own: Index::default(),
            customers_own: Index::default(),
            user_impact: [0; KINDS],
            customer_impact: [0; KINDS],
            days: BTreeMap::new(),
            customers: Vec::new(),
            shown_customers: Vec::new(),
            by_email: HashMap::new(),
        }
    }

    /// The id of the account of a key.
    pub(super) fn id_of(seed: u64, key: &[u8]) -> UserId {
        UserId::new(id(number(seed, key)))
    }

    /// The account's id.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The lifetime totals of `GET /v1/impact`, each in the unit of its kind, without cancelled
    /// and still hidden impacts.
    #[must_use]
    pub fn totals(&self) -> ImpactTotals {
        let customer_impact = totals(&self.customer_impact);
        ImpactTotals::new(self.user_id.clone(), totals(&self.user_impact), customer_impact)
    }

    /// The customers that readers see, by the time of their first impact.
    #[must_use]
    pub fn customers(&self) -> Vec<CustomerSummary> {
        self.shown_customers.iter().map(|customer| self.customer_entry(*customer)).collect()
    }

    /// The number of impacts that were bought, including cancelled ones and those for
    /// customers.
    #[must_use]
    pub fn impacts(&self) -> usize {
        self.events.len()
    }

    /// Every impact that was really bought, oldest first, whatever responses the client got.
    #[must_use]
    pub fn ledger(&self) -> impl DoubleEndedIterator<Item = LedgerEntry> + ExactSizeIterator {
        (0..self.events.len()).map(|at| {
            let position = position(at);
            LedgerEntry {
                receipt: self.receipt(position),
                cancelled_on: self.cancelled(position).map(|cancelled| cancelled.on.clone()),
                hidden: self.is_hidden(position),
            }
        })
    }

    /// Buys an impact. Its time is that of the clock, or a millisecond after the last impact if
    /// the clock has not advanced since: times are unique and ascending. Readers do not see it
    /// for `hides_for` milliseconds.
    pub(super) fn buy(
        &mut self,
        purchase: Purchase,
        now: DateTime<Utc>,
        hides_for: Option<u64>,
    ) -> Receipt {
        let now = now.timestamp_millis().clamp(EARLIEST, LATEST);
        let time = self.events.last().map_or(now, |last| now.max(last.time + 1));
        let Purchase { kind, amount, category, customer, metadata } = purchase;
        let position = position(self.events.len());
        let (customer, name) = match customer {
            Some((email, name)) => (Some(self.onboard(&email, time)), name),
            None => (None, None),
        };
        let kind = u8::try_from(kind_at(&kind)).unwrap_or_default();

        self.events.push(Event { time, amount, customer, kind, shown: false });
        if category.is_some() || !metadata.is_empty() || name.is_some() {
            let details = Details { category, metadata, cancelled: None, name };
            self.details.insert(position, details);
        }
        match hides_for {
            None => self.show(position),
            Some(hidden) => {
                self.hidden.insert((now.saturating_add(millis(hidden)), position));
            }
        }
        self.receipt(position)
    }

    /// Buys an impact after so many milliseconds.
    pub(super) fn buy_later(
        &mut self,
        purchase: Purchase,
        now: DateTime<Utc>,
        after: u64,
        hides_for: Option<u64>,
    ) {
        let due = now.timestamp_millis().saturating_add(millis(after));
        self.pending.push((due, Pending::Purchase(purchase, hides_for)));
    }

    /// Cancels an impact after so many milliseconds.
    pub(super) fn cancel_later(
        &mut self,
        position: u32,
        cancelled: Cancelled,
        now: DateTime<Utc>,
        after: u64,
    ) {
        let due = now.timestamp_millis().saturating_add(millis(after));
        self.pending.push((due, Pending::Cancellation(position, cancelled)));
    }

    /// Applies what is due by now, and shows impacts that were hidden until now. These stay
    /// visible, even if the clock is set back.
    pub(super) fn catch_up(&mut self, now: DateTime<Utc>) {
        let now = now.timestamp_millis();
        let due = |pending: &[(i64, Pending)]| {
            let due = pending.iter().enumerate().filter(|(_, (due, _))| *due <= now);
            due.min_by_key(|(_, (due, _))| *due).map(|(at, _)| at)
        };
        while let Some(at) = due(&self.pending) {
            match self.pending.remove(at) {
                (due, Pending::Purchase(purchase, hides_for)) => {
                    self.buy(purchase, moment(due), hides_for);
                }
                (_, Pending::Cancellation(position, cancelled)) => {
                    self.cancel(position, cancelled);
                }
            }
        }
        while let Some(first) = self.hidden.first().copied().filter(|(until, _)| *until <= now) {
            self.hidden.remove(&first);
            self.show(first.1);
        }
    }

    /// Adds an impact to the lists and the totals.
    fn show(&mut self, position: u32) {
        let event = &mut self.events[position as usize];
        event.shown = true;
        let (amount, customer, at) = (event.amount, event.customer, usize::from(event.kind));
        if let Some(customer) = customer {
            self.name(customer, position);
            insert(&mut self.customers[customer as usize].index.0[at], position);
            insert(&mut self.customers_own.0[at], position);
            insert(&mut self.shown_customers, customer);
        } else {
            insert(&mut self.own.0[at], position);
        }
        self.count(position, amount);
    }

    /// Gives a customer the name that came with an impact, unless a later
    /// impact gave another.
    fn name(&mut self, customer: u32, position: u32) {
        let Entry::Occupied(mut details) = self.details.entry(position) else { return };
        let name = details.get_mut().name.take();
        if details.get().is_empty() {
            details.remove();
        }
        let customer = &mut self.customers[customer as usize];
        if name.is_some() && customer.named_by <= position {
            customer.name = name.map(Into::into);
            customer.named_by = position;
        }
    }

    /// Removes an impact from the totals, and stores when and why. Has no effect if it was
    /// cancelled before.
    pub(super) fn cancel(&mut self, position: u32, cancelled: Cancelled) {
        if self.cancelled(position).is_some() {
            return;
        }
        self.details.entry(position).or_default().cancelled = Some(cancelled);
        self.count(position, -self.events[position as usize].amount);
    }

    /// The cancellation of an impact at this time.
    pub(super) fn cancellation(
        &self,
        position: u32,
        reason: Option<Reason>,
        now: DateTime<Utc>,
    ) -> Cancelled {
        let time = self.events[position as usize].time;
        // Not before the purchase, even if the clock was set back.
        let on = moment(now.timestamp_millis().clamp(time, LATEST.max(time))).into();
        Cancelled { on, reason }
    }

    /// When and why an impact was cancelled, if it was.
    pub(super) fn cancelled(&self, position: u32) -> Option<&Cancelled> {
        self.details.get(&position)?.cancelled.as_ref()
    }

    /// Adds an amount to the totals to which an impact belongs.
    fn count(&mut self, position: u32, amount: i64) {
        let event = &self.events[position as usize];
        let at = usize::from(event.kind);
        let totals = match event.customer {
            Some(_) => &mut self.customer_impact,
            None => &mut self.user_impact,
        };
        let day = self.days.entry(moment(event.time).date_naive()).or_insert([0; KINDS]);
        for total in [&mut totals[at], &mut day[at]] {
            *total = total.saturating_add(amount);
        }
    }

    /// The customer with this address, who is added if there is none.
    fn onboard(&mut self, email: &Email, time: i64) -> u32 {
        if let Some(customer) = self.customer(email) {
            return customer;
        }
        let customer = position(self.customers.len());
        let email: Arc<str> = email.as_str().into();
        self.by_email.insert(email.clone(), customer);
        self.customers.push(Customer {
            email,
            name: None,
            named_by: 0,
            onboarded_on: time,
            index: Index::default(),
        });
        customer
    }

    /// The position of the impact with this id.
    pub(super) fn find(&self, id: &ImpactId) -> Option<u32> {
        let time = id.time_utc.datetime().timestamp_millis();
        let at = self.events.binary_search_by_key(&time, |event| event.time).ok()?;
        // Compared as text, because the same time in another form is another id.
        let same = id.user_id == self.user_id && id.time_utc == moment(time).into();
        let found = position(at);
        (same && !self.is_hidden(found)).then_some(found)
    }

    /// The days in a range, without those whose totals are all zero.
    pub(super) fn days(&self, dates: DateRange) -> Vec<Day> {
        let start = dates.start_date().map_or(Bound::Unbounded, Bound::Included);
        let end = dates.end_date().map_or(Bound::Unbounded, Bound::Included);
        let days = self.days.range((start, end)).filter(|(_, day)| **day != [0; KINDS]);
        days.map(|(date, day)| Day::new(*date, totals(day))).collect()
    }

    /// Positions of records of these kinds (all if empty) and days, after position `after`.
    pub(super) fn select(
        &self,
        owner: Owner<'_>,
        kinds: &[ImpactKind],
        dates: DateRange,
        order: SortOrder,
        after: Option<u32>,
        limit: usize,
    ) -> Selection {
        let index = match owner {
            Owner::Own => Some(&self.own),
            Owner::Customers => Some(&self.customers_own),
            Owner::Customer(email) => {
                self.customer(email).map(|customer| &self.customers[customer as usize].index)
            }
        };
        let lists: Vec<&[u32]> = match (index, kinds) {
            (None, _) => Vec::new(),
            (Some(index), []) => index.0.iter().map(Vec::as_slice).collect(),
            (Some(index), kinds) => {
                kinds.iter().map(|kind| index.0[kind_at(kind)].as_slice()).collect()
            }
        };
        select(&lists, &resume(self.range(dates), order, after), order, limit)
    }

    /// Positions of customers, after position `after`.
    pub(super) fn select_customers(
        &self,
        email: Option<&Email>,
        order: SortOrder,
        after: Option<u32>,
        limit: usize,
    ) -> Selection {
        let range = match email {
            None => 0..position(self.customers.len()),
            Some(email) => self.customer(email).map_or(0..0, |customer| customer..customer + 1),
        };
        select(&[&self.shown_customers], &resume(range, order, after), order, limit)
    }

    /// Every impact that readers see, oldest first, for queries that no index supports.
    pub(super) fn visible_impacts(&self) -> impl Iterator<Item = VisibleImpact<'_>> {
        let shown = self.events.iter().enumerate().filter(|(_, event)| event.shown);
        shown.map(|(at, event)| {
            let position = position(at);
            VisibleImpact {
                position,
                time: moment(event.time),
                kind: &ImpactKind::KNOWN[usize::from(event.kind)],
                amount: event.amount,
                address: event.customer.map(|customer| &*self.customers[customer as usize].email),
                cancelled: self.cancelled(position),
            }
        })
    }

    /// Positions, addresses and first times of the customers that readers see.
    pub(super) fn visible_customers(&self) -> impl Iterator<Item = (u32, &str, DateTime<Utc>)> {
        self.shown_customers.iter().map(|at| {
            let customer = &self.customers[*at as usize];
            (*at, &*customer.email, moment(customer.onboarded_on))
        })
    }

    /// Positions of the impacts within a second of a time that readers see.
    pub(super) fn near(&self, time: DateTime<Utc>) -> impl Iterator<Item = u32> {
        let time = time.timestamp_millis();
        let start = self.events.partition_point(|event| event.time < time - 1_000);
        let end = self.events.partition_point(|event| event.time <= time + 1_000);
        (start..end).map(position).filter(|at| !self.is_hidden(*at))
    }

    /// The latest impact except the one of a receipt.
    pub(super) fn latest_other(&self, receipt: &Receipt) -> Option<Receipt> {
        let time = receipt.time_utc.datetime().timestamp_millis();
        let at = self.events.iter().rposition(|event| event.time != time)?;
        Some(self.receipt(position(at)))
    }

    /// An impact as a record of `/v1/records`.
    pub(super) fn record(&self, position: u32) -> Record {
        self.receipt(position).with_customer(|_| NoCustomer)
    }

    /// An impact as a record of `/v1/customer_records`; `None` if it has no customer.
    pub(super) fn customer_record(&self, position: u32) -> Option<CustomerRecord> {
        let receipt = self.receipt(position);
        let customer = receipt.customer.clone()?;
        Some(receipt.with_customer(|_| customer))
    }

    /// A customer as `/v1/customers` shows them.
    pub(super) fn customer_entry(&self, position: u32) -> CustomerSummary {
        let onboarded_on = self.customers[position as usize].onboarded_on;
        let RecordCustomer { customer_id, customer_email, customer_name, .. } =
            self.customer_info(position);
        let mut entry =
            CustomerSummary::new(customer_id, customer_email.as_str(), moment(onboarded_on).into());
        entry.customer_name = customer_name;
        entry
    }

    /// The receipt of an impact, with the metadata.
    pub(super) fn receipt(&self, position: u32) -> Receipt {
        let event = &self.events[position as usize];
        let kind = ImpactKind::KNOWN[usize::from(event.kind)].clone();
        let time_utc = Timestamp::from(moment(event.time));
        let impact = Impact::new(kind, event.amount);
        let mut receipt = Receipt::new(self.user_id.clone(), time_utc, impact);
        receipt.customer = event.customer.map(|customer| self.customer_info(customer));
        if let Some(details) = self.details.get(&position) {
            if let (Some(name), Some(customer)) = (&details.name, &mut receipt.customer) {
                customer.customer_name = Some(name.as_str().into());
            }
            receipt.category.clone_from(&details.category);
            receipt.metadata = details.metadata.clone().into();
        }
        receipt
    }

    fn customer_info(&self, position: u32) -> RecordCustomer {
        let customer = &self.customers[position as usize];
        // The step is a prime that does not divide the number of ids, so no id repeats.
        let number = self.number.rotate_left(32) % IDS + u64::from(position) * 2_654_435_761;
        let mut info = RecordCustomer::new(id(number), &*customer.email);
        info.customer_name = customer.name.as_deref().map(Redacted::from);
        info
    }

    fn is_hidden(&self, position: u32) -> bool {
        !self.events[position as usize].shown
    }

    fn customer(&self, email: &Email) -> Option<u32> {
        self.by_email.get(email.as_str()).copied()
    }

    /// The positions of the impacts in a range of days.
    fn range(&self, dates: DateRange) -> Range<u32> {
        let before = |day: Option<NaiveDate>| {
            let day = day?.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
            Some(position(self.events.partition_point(|event| event.time < day)))
        };
        let start = before(dates.start_date()).unwrap_or_default();
        let next = |day: NaiveDate| day.checked_add_days(Days::new(1));
        let end = before(dates.end_date().and_then(next));
        start..end.unwrap_or_else(|| position(self.events.len()))
    }
}

/// Shows no data of the impacts and customers.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user_id", &self.user_id)
            .field("impacts", &self.events.len())
            .field("customers", &self.customers.len())
            .finish_non_exhaustive()
    }
}

/// Inserts into an ascending list, nearly always at its end.
fn insert(positions: &mut Vec<u32>, position: u32) {
    if positions.last().is_none_or(|last| *last < position) {
        positions.push(position);
    } else if let Err(at) = positions.binary_search(&position) {
        positions.insert(at, position);
    }
}

/// The rest of a range after a position, in this order.
fn resume(range: Range<u32>, order: SortOrder, after: Option<u32>) -> Range<u32> {
    match (order, after) {
        (_, None) => range,
        (SortOrder::Asc, Some(after)) => range.start.max(after.saturating_add(1))..range.end,
        (SortOrder::Desc, Some(after)) => range.start..range.end.min(after),
    }
}

impl Details {
    fn is_empty(&self) -> bool {
        let Self { category, metadata, cancelled, name } = self;
        category.is_none() && metadata.is_empty() && cancelled.is_none() && name.is_none()
    }
}

/// The number from which the ids of an account are derived.
fn number(seed: u64, key: &[u8]) -> u64 {
    hash(&[b"account", &seed.to_be_bytes(), key])
}

/// The number of ids with ten digits.
const IDS: u64 = 9_000_000_000;

fn id(number: u64) -> String {
    format!("U{}", 1_000_000_000 + number % IDS)
}

fn kind_at(kind: &ImpactKind) -> usize {
    // Routes and filters use only known kinds.
    ImpactKind::KNOWN.iter().position(|known| known == kind).unwrap_or_default()
}

fn totals(amounts: &ByKind<i64>) -> Totals {
    let mut totals = Totals::zeros();
    for (kind, amount) in ImpactKind::KNOWN.iter().zip(amounts) {
        totals.set(kind.clone(), *amount);
    }
    totals
}

/// A position in a list, which never has four billion entries.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn moment(time: i64) -> DateTime<Utc> {
    // Times are between EARLIEST and LATEST, or a few milliseconds later.
    DateTime::from_timestamp_millis(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account with impacts of all kinds in turn, a second apart. Each third one is for
    /// one of the customers.
    fn history(impacts: u32, customers: u32) -> Account {
        let mut account = Account::new(0, b"test_");
        let start = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        for at in 0..impacts {
            let email = || Email::new(format!("customer-{}@example.com", at % customers)).unwrap();
            let purchase = Purchase {
                kind: ImpactKind::KNOWN[at as usize % KINDS].clone(),
                amount: 1,
                category: None,
                customer: (at % 3 == 0).then(|| (email(), None)),
                metadata: Metadata::new(),
            };
            account.buy(purchase, start + chrono::TimeDelta::seconds(at.into()), None);
        }
        account
    }

    #[test]
    fn a_page_costs_the_same_wherever_it_is_in_a_million_records() {
        const IMPACTS: u32 = 1_000_000;
        const LIMIT: usize = 100;
        let account = history(IMPACTS, 7);
        let email = Email::new("customer-3@example.com").unwrap();
        let last_day = account.days.keys().last().copied();
        let last_days = DateRange::new(last_day, None).unwrap();
        let money = [ImpactKind::MoneyDonated];
        for owner in [Owner::Own, Owner::Customers, Owner::Customer(&email)] {
            for kinds in [&[][..], &money] {
                for dates in [DateRange::ALL, last_days] {
                    for (order, late) in
                        [(SortOrder::Asc, IMPACTS - 20_000), (SortOrder::Desc, 20_000)]
                    {
                        let select =
                            |after| account.select(owner, kinds, dates, order, after, LIMIT);
                        let (first, later) = (select(None), select(Some(late)));
                        assert!(later.positions.len() == LIMIT || order == SortOrder::Desc);
                        // One step per list and item, and two binary searches per list.
                        let most = KINDS * (LIMIT + 2 * 22);
                        for selection in [first, later] {
                            assert!(selection.steps <= most, "{} steps", selection.steps);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_page_of_customers_costs_its_items() {
        let account = history(30_000, 10_000);
        for after in [None, Some(5_000), Some(9_000)] {
            for order in [SortOrder::Asc, SortOrder::Desc] {
                let selection = account.select_customers(None, order, after, 50);
                assert_eq!(selection.positions.len(), 50);
                // One step per item, and two binary searches.
                assert!(selection.steps <= 50 + 2 * 16, "{} steps", selection.steps);
            }
        }
    }

    #[test]
    fn an_impact_is_small() {
        assert!(size_of::<Event>() <= 32);
    }

    #[test]
    fn ids_of_customers_do_not_repeat() {
        let account = history(60_000, 20_000);
        let mut ids: Vec<_> = (0..account.customers.len())
            .map(|at| account.customer_info(position(at)).customer_id)
            .collect();
        ids.push(account.user_id.as_str().to_owned());
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn times_are_unique_and_ascending_whatever_the_clock_does() {
        let mut account = Account::new(0, b"test_");
        let mut last = None;
        for clock in [5, 5, 3, i64::MIN / 4, 6, i64::MAX / 4_000, i64::MAX / 4_000, 0] {
            let now = DateTime::from_timestamp_millis(clock);
            let now = now.unwrap_or(if clock < 0 {
                DateTime::<Utc>::MIN_UTC
            } else {
                DateTime::<Utc>::MAX_UTC
            });
            let purchase = Purchase {
                kind: ImpactKind::TreePlanted,
                amount: i64::MAX,
                category: None,
                customer: None,
                metadata: Metadata::new(),
            };
            let receipt = account.buy(purchase, now, None);
            let time = receipt.time_utc.to_string();
            assert_eq!(time.len(), "2024-09-16T20:34:04.429Z".len(), "{time}");
            assert!(last < Some(receipt.time_utc.clone()));
            let found = account.find(&ImpactId::from(&receipt)).unwrap();
            assert_eq!(account.receipt(found), receipt);
            last = Some(receipt.time_utc);
        }
        assert_eq!(account.totals().total.get(&ImpactKind::TreePlanted), i64::MAX);
    }
}
