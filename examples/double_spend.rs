//! What a lost answer costs: ten thousand orders against a sandbox that
//! executes every purchase and loses three of ten answers, once with a loop that
//! tries again and once with purchases that are verified.
//!
//! ```sh
//! cargo run --release --example double_spend
//! ```

use std::collections::HashMap;
use std::time::SystemTime;

use indicatif::{ProgressBar, ProgressStyle};
use oneclick_examples::Failure;
use oneclick_sandbox::{Fault, FaultRule, Server};
use oneclick_ureq::{Cents, Client, Customer, DonateMoney, Intent, Outcome, RetryPolicy};

const ORDERS: u32 = 10_000;
const DOLLAR: Cents = Cents::of::<100>();

fn main() -> Result<(), Failure> {
    println!("{ORDERS} orders donate a dollar each; of ten answers three are lost.");
    let naive = run("tried again", |client, order| {
        let donation = donation(order)?;
        // What many a shop does: not answered, so not bought, so once more.
        Ok((0..5).any(|_| client.donate_money(donation.clone()).is_ok()))
    })?;
    let verified = run("verified", |client, order| {
        let key = format!("order-{order}:dollar");
        let intent = Intent::new("double_spend", &key, SystemTime::now());
        Ok(matches!(client.buy_verified(&intent, donation(order)?), Outcome::Confirmed(_)))
    })?;

    println!("\n{:<16}{:>12}{:>12}", "", "tried again", "verified");
    for (name, figure) in FIGURES {
        println!("{name:<16}{:>12}{:>12}", figure(&naive), figure(&verified));
    }
    Ok(())
}

fn donation(order: u32) -> Result<DonateMoney, Failure> {
    let customer = Customer::new(format!("customer-{order}@example.com"))?;
    Ok(DonateMoney::new(DOLLAR).customer(customer).notify(false))
}

/// What was bought for how many orders.
struct Figures {
    confirmed: u64,
    bought: u64,
    bought_twice: u64,
    lost: u64,
    cents_wasted: u64,
}

/// A line of the table.
type Figure = (&'static str, fn(&Figures) -> u64);

const FIGURES: [Figure; 6] = [
    ("orders", |_| ORDERS.into()),
    ("confirmed", |figures| figures.confirmed),
    ("bought", |figures| figures.bought),
    ("bought twice", |figures| figures.bought_twice),
    ("lost", |figures| figures.lost),
    ("cents wasted", |figures| figures.cents_wasted),
];

/// Puts all orders through, and counts in the sandbox's own books.
fn run(
    name: &'static str,
    buy: impl Fn(&Client, u32) -> Result<bool, Failure>,
) -> Result<Figures, Failure> {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/donate_money").probability(0.3)?;
    let sandbox = Server::builder().fault(lost).start()?;
    let client = Client::with_base_url(sandbox.base_url(), "test_orders")?;
    // What is safe to repeat would be repeated anyway; here each try is counted.
    let client = client.with_retry(RetryPolicy::NEVER);

    let style = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len}")?;
    let progress = ProgressBar::new(ORDERS.into()).with_style(style).with_message(name);
    let mut confirmed = 0;
    for order in 0..ORDERS {
        confirmed += u64::from(buy(&client, order)?);
        progress.inc(1);
    }
    progress.finish();

    let mut donations: HashMap<String, u64> = HashMap::new();
    if let Some(account) = sandbox.sandbox().account("test_orders") {
        for entry in account.ledger().filter(|entry| entry.cancelled_on.is_none()) {
            let customer = entry.receipt.customer.map(|customer| customer.customer_id);
            *donations.entry(customer.unwrap_or_default()).or_default() += 1;
        }
    }
    let bought: u64 = donations.values().sum();
    let paid = u64::try_from(donations.len()).unwrap_or_default();
    Ok(Figures {
        confirmed,
        bought,
        bought_twice: donations.values().filter(|times| **times > 1).count() as u64,
        lost: u64::from(ORDERS) - paid,
        cents_wasted: (bought - paid) * DOLLAR.get(),
    })
}
