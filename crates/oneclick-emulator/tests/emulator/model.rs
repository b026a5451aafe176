//! Random purchases and cancellations, read back through a client and compared with a plain
//! model: a vector that is filtered and summed.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate, TimeDelta};
use oneclick_emulator::{DONATION_SENT_AFTER, InMemory};
use oneclick_proto::{
    BlockingClient, CancelMessage, CaptureCarbon, Cents, CleanOcean, Customer, DateRange,
    DonateMoney, Email, Fragments, Impact, ImpactId, ImpactKind, Limit, List, ListCustomerRecords,
    ListCustomers, ListRecords, Metadata, PlantTree, Pounds, Receipt, RestoreCoral, Row, SortOrder,
    Timestamp, Totals, TrackImpact, TreeCategory, Trees,
};
use proptest::prelude::*;

/// A purchase of a history.
#[derive(Clone, Debug)]
struct Purchase {
    kind: ImpactKind,
    amount: u32,
    /// One of a few customers, or the account itself.
    customer: Option<u8>,
    food: bool,
    /// The number of an order, in its metadata.
    order: Option<u16>,
    /// How far the clock advances before it, in milliseconds, or goes back if negative.
    wait: i64,
    /// A purchase that is cancelled right after it, if any.
    cancels: Option<prop::sample::Index>,
}

/// What the model remembers of a purchase.
#[derive(Clone, Debug, PartialEq)]
struct Bought {
    time_utc: Timestamp,
    impact: Impact,
    customer: Option<u8>,
    order: Option<u16>,
    cancelled: Option<Timestamp>,
}

fn purchase() -> impl Strategy<Value = Purchase> {
    let wait = prop_oneof![
        4 => 0i64..3,
        2 => 0i64..100_000,
        2 => 0i64..200_000_000,
        1 => -100_000_000i64..0,
    ];
    (
        proptest::sample::select(ImpactKind::KNOWN),
        1u32..=10_000_000,
        proptest::option::of(0u8..4),
        any::<bool>(),
        proptest::option::of(any::<u16>()),
        wait,
        proptest::option::of(any::<prop::sample::Index>()),
    )
        .prop_map(|(kind, amount, customer, food, order, wait, cancels)| Purchase {
            kind,
            amount,
            customer,
            food,
            order,
            wait,
            cancels,
        })
}

impl Purchase {
    fn metadata(&self) -> Metadata {
        Metadata::from_pairs(self.order.map(|order| ("order", order.to_string()))).unwrap()
    }
}

type Client = BlockingClient<InMemory>;

fn buy(client: &Client, purchase: &Purchase) -> Receipt {
    let amount = u64::from(purchase.amount);
    let customer = purchase.customer.map(|number| Customer::from(email(number)));
    macro_rules! send {
        ($request:expr) => {{
            let request = $request.metadata(purchase.metadata());
            client.send(match customer {
                Some(customer) => request.customer(customer),
                None => request,
            })
        }};
    }
    let receipt = match purchase.kind {
        ImpactKind::TreePlanted => {
            let plant = PlantTree::new(Trees::new(amount).unwrap());
            send!(if purchase.food { plant.category(TreeCategory::Food) } else { plant })
        }
        ImpactKind::WasteRemoved => send!(CleanOcean::new(Pounds::new(amount).unwrap())),
        ImpactKind::CarbonCaptured => send!(CaptureCarbon::new(Pounds::new(amount).unwrap())),
        ImpactKind::CoralRestored => send!(RestoreCoral::new(Fragments::new(amount).unwrap())),
        ImpactKind::MoneyDonated => send!(DonateMoney::new(Cents::new(amount).unwrap())),
        ref other => panic!("no action makes {other}"),
    };
    receipt.unwrap()
}

/// Cancels an impact and checks the response and the tracking.
fn cancel(client: &Client, bought: &mut Bought) -> Result<(), TestCaseError> {
    let user_id = client.whoami().unwrap().user_id;
    let id = ImpactId::new(user_id.as_str(), bought.time_utc.clone());
    let result = client.cancel_impact(&id);
    let now = client.transport().time();
    let made = bought.time_utc.datetime();
    let (message, on) = match &bought.cancelled {
        Some(before) => (CancelMessage::AlreadyCancelled, before.clone()),
        None if now >= made + DONATION_SENT_AFTER => {
            prop_assert_eq!(result.unwrap_err().status().unwrap(), 400);
            return Ok(());
        }
        None => (CancelMessage::Cancelled, Timestamp::from(now.max(made))),
    };
    let cancellation = result.unwrap();
    prop_assert_eq!(&cancellation.message, &message);
    prop_assert_eq!(&cancellation.cancelled_on, &on);
    prop_assert_eq!(&cancellation.impact, &bought.impact);
    let tracking = client.track(&cancellation).unwrap();
    prop_assert_eq!(tracking.cancelled_on.as_ref(), Some(&on));
    prop_assert_eq!(TrackImpact::try_from(&tracking).unwrap(), TrackImpact::new(id));
    bought.cancelled = Some(on);
    Ok(())
}

/// Walks a list to its end, each page no longer than the limit.
fn walk<L: List>(client: &Client, list: L, limit: Limit) -> Vec<L::Item> {
    let mut items = Vec::new();
    for page in client.list(list.with_limit(limit)).into_pages() {
        let page = page.unwrap();
        assert!(page.items.len() as u64 <= limit.get());
        assert!(page.cursor.is_none() || page.items.len() as u64 == limit.get());
        items.extend(page.items);
    }
    items
}

fn email(number: u8) -> Email {
    // Unless a query encodes these addresses, it finds other customers.
    Email::new(["a+b@x.com", "a_b@x.com", "a&limit=1@x.com", "ü%40@x.com"][usize::from(number)])
        .unwrap()
}

/// A query for the history.
#[derive(Clone, Debug)]
struct Query {
    kinds: Vec<ImpactKind>,
    start: Option<u64>,
    end: Option<u64>,
    order: Option<SortOrder>,
    customer: Option<u8>,
    limit: u64,
}

fn query() -> impl Strategy<Value = Query> {
    (
        prop::collection::vec(proptest::sample::select(ImpactKind::KNOWN), 0..4),
        proptest::option::of(0u64..8),
        proptest::option::of(0u64..8),
        proptest::option::of(prop_oneof![Just(SortOrder::Asc), Just(SortOrder::Desc)]),
        proptest::option::of(0u8..4),
        prop_oneof![1u64..6, 1u64..=1000],
    )
        .prop_map(|(kinds, start, end, order, customer, limit)| Query {
            kinds,
            start,
            end,
            order,
            customer,
            limit,
        })
}

impl Query {
    fn dates(&self) -> DateRange {
        let first = NaiveDate::from_ymd_opt(2025, 1, 28).unwrap();
        let day = |offset: u64| first + Days::new(offset);
        match (self.start, self.end) {
            (Some(a), Some(b)) => DateRange::between(day(a.min(b)), day(a.max(b))).unwrap(),
            (start, end) => DateRange::new(start.map(day), end.map(day)).unwrap(),
        }
    }

    /// The expected rows.
    fn rows(&self, history: &[Bought], own: bool) -> Vec<(Timestamp, Impact, Option<String>)> {
        let dates = self.dates();
        let mut rows: Vec<_> = history
            .iter()
            .filter(|bought| bought.customer.is_none() == own)
            .filter(|bought| own || self.customer.is_none() || bought.customer == self.customer)
            .filter(|bought| self.kinds.is_empty() || self.kinds.contains(&bought.impact.kind))
            .filter(|bought| within(dates, &bought.time_utc))
            .map(|bought| {
                let order = bought.order.map(|order| order.to_string());
                (bought.time_utc.clone(), bought.impact.clone(), order)
            })
            .collect();
        rows.sort_by_key(|(time, _, _)| time.clone());
        if self.order == Some(SortOrder::Desc) {
            rows.reverse();
        }
        rows
    }
}

fn within(dates: DateRange, time: &Timestamp) -> bool {
    let day = time.datetime().date_naive();
    dates.start_date().is_none_or(|start| start <= day)
        && dates.end_date().is_none_or(|end| day <= end)
}

fn sum<'a>(history: impl Iterator<Item = &'a Bought>) -> Totals {
    let mut totals = Totals::zeros();
    for bought in history.filter(|bought| bought.cancelled.is_none()) {
        totals.add(&bought.impact.kind, bought.impact.amount);
    }
    totals
}

/// The fields of a row that the model knows.
fn compared<C>(row: Row<C>) -> (Timestamp, Impact, Option<String>) {
    let order = row.metadata.get("order").map(str::to_owned);
    (row.time_utc, row.impact, order)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn reads_agree_with_a_model_of_all_purchases(
        purchases in prop::collection::vec(purchase(), 0..40),
        querys in prop::collection::vec(query(), 1..6),
    ) {
        let client = Client::sandbox("test_model").unwrap();
        let transport = client.transport();
        transport.set_time("2025-01-30T23:00:00Z".parse().unwrap());
        let mut history: Vec<Bought> = Vec::new();
        for purchase in &purchases {
            transport.set_time(transport.time() + TimeDelta::milliseconds(purchase.wait));
            let receipt = buy(&client, purchase);
            let impact = Impact::new(purchase.kind.clone(), i64::from(purchase.amount));
            prop_assert_eq!(&receipt.impact, &impact);
            let named = receipt.customer.as_ref().map(|customer| customer.customer_email.as_str());
            let sent = purchase.customer.map(email);
            prop_assert_eq!(named, sent.as_ref().map(Email::as_str));
            // The time is unique.
            prop_assert!(history.iter().all(|bought| bought.time_utc != receipt.time_utc));
            let tracking = client.track(&receipt).unwrap();
            prop_assert_eq!(&tracking.impact, &impact);
            prop_assert_eq!(&tracking.impact_initiated, &receipt.time_utc);
            prop_assert_eq!(&tracking.category, &receipt.category);
            history.push(Bought {
                time_utc: receipt.time_utc,
                impact,
                customer: purchase.customer,
                order: purchase.order,
                cancelled: None,
            });
            if let Some(cancels) = &purchase.cancels {
                let at = cancels.index(history.len());
                cancel(&client, &mut history[at])?;
            }
        }

        let totals = client.impact().unwrap();
        prop_assert_eq!(&totals.total, &sum(history.iter()));
        let own = history.iter().filter(|bought| bought.customer.is_none());
        prop_assert_eq!(&totals.user_impact, &sum(own));
        let customers = history.iter().filter(|bought| bought.customer.is_some());
        prop_assert_eq!(&totals.customer_impact, &sum(customers));

        for query in &querys {
            let limit = Limit::new(query.limit).unwrap();
            let dates = query.dates();

            let mut records = ListRecords::new().dates(dates);
            records.filter_by.clone_from(&query.kinds);
            records.sort_order = query.order;
            let rows: Vec<_> = walk(&client, records, limit)
                .into_iter()
                .map(compared)
                .collect();
            prop_assert_eq!(rows, query.rows(&history, true));

            let mut records = ListCustomerRecords::new().dates(dates);
            records.customer_email = query.customer.map(email);
            records.filter_by.clone_from(&query.kinds);
            records.sort_order = query.order;
            let rows: Vec<_> = walk(&client, records, limit)
                .into_iter()
                .map(compared)
                .collect();
            prop_assert_eq!(rows, query.rows(&history, false));

            let mut days: BTreeMap<NaiveDate, Totals> = BTreeMap::new();
            let days_of = |bought: &&Bought| {
                bought.cancelled.is_none() && within(dates, &bought.time_utc)
            };
            for bought in history.iter().filter(days_of) {
                let day = bought.time_utc.datetime().date_naive();
                let totals = days.entry(day).or_insert_with(Totals::zeros);
                totals.add(&bought.impact.kind, bought.impact.amount);
            }
            let daily = client.daily_impact(dates).unwrap().daily_impact;
            let daily: Vec<_> = daily.into_iter().map(|day| (day.date, day.totals)).collect();
            prop_assert_eq!(daily, days.into_iter().collect::<Vec<_>>());

            let mut first: Vec<(Timestamp, u8)> = Vec::new();
            for bought in &history {
                let Some(customer) = bought.customer else { continue };
                if first.iter().all(|(_, known)| *known != customer) {
                    first.push((bought.time_utc.clone(), customer));
                }
            }
            if let Some(wanted) = query.customer {
                first.retain(|(_, customer)| *customer == wanted);
            }
            if query.order == Some(SortOrder::Desc) {
                first.reverse();
            }
            let mut customers = ListCustomers::new();
            customers.customer_email = query.customer.map(email);
            customers.sort_order = query.order;
            let seen: Vec<_> = walk(&client, customers, limit)
                .into_iter()
                .map(|entry| (entry.onboarded_on, entry.customer_email.as_str().to_owned()))
                .collect();
            let expected: Vec<_> = first
                .into_iter()
                .map(|(time, customer)| (time, email(customer).as_str().to_owned()))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
