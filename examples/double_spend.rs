//! What a lost response costs: ten thousand orders against an emulator that executes
//! every purchase and loses three of ten responses. Three runs: a loop that tries again,
//! verified purchases, and verified purchases on an unkind server, which drops metadata
//! and writes addresses in lower case.
//!
//! ```sh
//! cargo run --release --example double_spend
//! ```

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use oneclick_emulator::behaviour::{AddressForm, DateHeader, MetadataForm};
use oneclick_emulator::{Behaviour, Fault, FaultRule, ManualClock, Server};
use oneclick_examples::Failure;
use oneclick_ureq::{
    Cents, Client, Customer, DonateMoney, Intent, Outcome, RetryPolicy, Settled, Settlement,
    VerifiedPurchase, VerifyPolicy,
};

/// A debug build is slow, so it makes fewer.
const ORDERS: u32 = if cfg!(debug_assertions) { 500 } else { 10_000 };
const DOLLAR: Cents = Cents::of::<100>();
/// By the emulator's clock.
const BETWEEN_ORDERS: Duration = Duration::from_millis(1_003);
/// A purchase that is not found at once is looked up after the last order.
const POLICY: VerifyPolicy = VerifyPolicy::STANDARD.patience(Duration::ZERO);

fn main() -> Result<(), Failure> {
    println!("{ORDERS} orders donate a dollar each; of ten responses three are lost.");
    // `Date` is written by the emulator's clock too.
    let kind = Behaviour::new().date(DateHeader::Apart { seconds: 0 });
    let unkind = kind.metadata(MetadataForm::Dropped).address(AddressForm::LowerCase);
    let columns = [
        ("tried again", run("tried again", kind, try_again)?),
        ("verified", run("verified", kind, verify)?),
        ("on an unkind one", run("unkind", unkind, verify)?),
    ];

    println!();
    let titles = columns.iter().map(|(title, _)| format!("{title:>18}"));
    println!("{:<14}{}", "", titles.collect::<String>());
    for (name, figure) in FIGURES {
        let figures = columns.iter().map(|(_, figures)| format!("{:>18}", figure(figures)));
        println!("{name:<14}{}", figures.collect::<String>());
    }
    Ok(())
}

/// What the shop knows of an order.
enum Known {
    Bought,
    NotBought,
    /// It may have been bought.
    Pending(Box<VerifiedPurchase>),
    /// A person has to look at it.
    Unresolved,
}

/// A common mistake: takes a purchase without a response for one that was not made.
fn try_again(client: &Client, order: u32) -> Result<Known, Failure> {
    let donation = donation(order)?;
    let bought = (0..5).any(|_| client.donate_money(donation.clone()).is_ok());
    Ok(if bought { Known::Bought } else { Known::NotBought })
}

fn verify(client: &Client, order: u32) -> Result<Known, Failure> {
    let intent = Intent::new("double_spend", &format!("order-{order}:dollar"));
    let purchase = VerifiedPurchase::new(&intent, donation(order)?)?.policy(POLICY);
    Ok(match client.run(purchase) {
        Outcome::Pending(pending) => {
            let purchase = VerifiedPurchase::resume(&intent, donation(order)?, pending.state)?;
            Known::Pending(Box::new(purchase.policy(POLICY)))
        }
        outcome => known(&outcome),
    })
}

fn known(outcome: &Outcome) -> Known {
    match outcome {
        Outcome::Confirmed(_) => Known::Bought,
        Outcome::Refused(_) | Outcome::NotBought(_) | Outcome::Cancelled(_) => Known::NotBought,
        Outcome::Pending(_) | Outcome::Unresolved(_) => Known::Unresolved,
    }
}

fn donation(order: u32) -> Result<DonateMoney, Failure> {
    let customer = Customer::new(format!("Customer-{order}@example.com"))?;
    Ok(DonateMoney::new(DOLLAR).customer(customer).notify(false))
}

/// What the orders led to.
#[derive(Default)]
struct Figures {
    confirmed: u64,
    unresolved: u64,
    bought: u64,
    bought_twice: u64,
    lost: u64,
    cents_wasted: u64,
}

/// A line of the table.
type Figure = (&'static str, fn(&Figures) -> u64);

const FIGURES: [Figure; 7] = [
    ("orders", |_| ORDERS.into()),
    ("confirmed", |figures| figures.confirmed),
    ("unresolved", |figures| figures.unresolved),
    ("bought", |figures| figures.bought),
    ("bought twice", |figures| figures.bought_twice),
    ("lost", |figures| figures.lost),
    ("cents wasted", |figures| figures.cents_wasted),
];

/// Buys for all orders, and counts the purchases in the emulator's ledger.
fn run(
    name: &'static str,
    behaviour: Behaviour,
    buy: impl Fn(&Client, u32) -> Result<Known, Failure>,
) -> Result<Figures, Failure> {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/donate_money").probability(0.3);
    let clock = ManualClock::new(Utc::now());
    let server = Server::builder().clock(clock.clone()).behaviour(behaviour).fault(lost).start()?;
    let client = Client::with_base_url(server.base_url(), "test_orders")?;
    // One attempt for each call, so that the lost responses can be counted.
    let client = client.with_retry(RetryPolicy::NEVER);

    let style = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len}")?;
    let progress = ProgressBar::new(ORDERS.into()).with_style(style).with_message(name);
    let mut orders = Vec::new();
    for order in 0..ORDERS {
        orders.push(buy(&client, order)?);
        clock.advance(BETWEEN_ORDERS);
        progress.inc(1);
    }
    progress.finish();

    let mut figures = Figures::default();
    let mut pending = Vec::new();
    let mut count = |order: Known| match order {
        Known::Bought => figures.confirmed += 1,
        Known::NotBought => {}
        Known::Unresolved => figures.unresolved += 1,
        Known::Pending(purchase) => pending.push(*purchase),
    };
    orders.into_iter().for_each(&mut count);
    // After an hour, a purchase that was not made will not be made.
    clock.advance(Duration::from_secs(3_600));
    for settled in client.run(Settlement::new(pending)) {
        let outcome = match settled {
            Settled::Done(outcome) => *outcome,
            Settled::Absent(purchase) => client.run(*purchase),
        };
        match known(&outcome) {
            Known::Bought => figures.confirmed += 1,
            Known::Unresolved => figures.unresolved += 1,
            Known::NotBought | Known::Pending(_) => {}
        }
    }

    let mut donations: HashMap<String, u64> = HashMap::new();
    if let Some(account) = server.emulator().account("test_orders") {
        for entry in account.ledger().filter(|entry| entry.cancelled_on.is_none()) {
            let customer = entry.receipt.customer.map(|customer| customer.customer_id);
            *donations.entry(customer.unwrap_or_default()).or_default() += 1;
        }
    }
    figures.bought = donations.values().sum();
    let paid = u64::try_from(donations.len()).unwrap_or_default();
    figures.bought_twice = donations.values().filter(|times| **times > 1).count() as u64;
    figures.lost = u64::from(ORDERS) - paid;
    figures.cents_wasted = (figures.bought - paid) * DOLLAR.get();
    Ok(figures)
}
