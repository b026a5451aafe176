//! Everything over three transports: buy, cancel, read the totals, walk the records,
//! track a purchase.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

use oneclick_examples::{Failure, Place};
use oneclick_proto::{
    AsyncClient, AsyncTransport, BlockingClient, BlockingTransport, CancelImpact, Cancellation,
    Customer, CustomerRecord, Error, Fragments, Impact, ImpactTotals, Limit, ListCustomerRecords,
    ListRecords, Metadata, PlantTree, Pounds, Project, ProjectType, Reason, Receipt, Record,
    SortOrder, Tracking, Trees,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("One account buys impact, for itself and for a customer, over three transports.");
    println!("Against {place}.");

    // The methods are the same over every transport. In your own program,
    // `Client::from_env()?` reads the key.
    let client = oneclick_reqwest::Client::new(place.api())?;
    print("reqwest (async)", &walk(&client).await?);

    let client = oneclick_hyper::Client::new(place.api())?;
    print("hyper (async, low-level)", &walk(&client).await?);

    // A blocking client would stop all other tasks of this thread.
    let client = oneclick_ureq::Client::new(place.api())?;
    let seen = tokio::task::spawn_blocking(move || walk_blocking(&client)).await??;
    print("ureq (blocking)", &seen);

    println!("\nAll three transports did the same.");
    Ok(())
}

/// What one walk through the API returned.
struct Seen {
    for_us: Receipt,
    for_customer: Receipt,
    cancelled: Cancellation,
    totals: ImpactTotals,
    newest: Vec<Record>,
    tracking: Tracking,
    of_customer: Option<CustomerRecord>,
    projects: Vec<Project>,
}

async fn walk<T: AsyncTransport>(client: &AsyncClient<T>) -> Result<Seen, Error> {
    let for_us = client.clean_ocean(Pounds::of::<10>()).await?;
    let for_customer = client.plant_tree(gift()?).await?;
    let by_mistake = client.restore_coral(Fragments::of::<3>()).await?;
    let cancelled = client.cancel_impact(refund(&by_mistake)?).await?;
    let totals = client.impact().await?;

    // Asks for the next page when it needs one.
    let mut records = client.records(newest_first()).max_items(5);
    let mut newest = Vec::new();
    while let Some(record) = records.next().await {
        newest.push(record?);
    }

    let tracking = client.track(&for_customer).await?;
    let mut of_customer = client.customer_records(newest_gift());
    let of_customer = of_customer.next().await.transpose()?;
    let projects = client.projects(ProjectType::Trees).await?.projects;
    Ok(Seen { for_us, for_customer, cancelled, totals, newest, tracking, of_customer, projects })
}

/// The same without a runtime; the list is an ordinary iterator.
fn walk_blocking<T: BlockingTransport>(client: &BlockingClient<T>) -> Result<Seen, Error> {
    let for_us = client.clean_ocean(Pounds::of::<10>())?;
    let for_customer = client.plant_tree(gift()?)?;
    let by_mistake = client.restore_coral(Fragments::of::<3>())?;
    let cancelled = client.cancel_impact(refund(&by_mistake)?)?;
    let totals = client.impact()?;
    let newest = client.records(newest_first()).max_items(5).collect::<Result<_, _>>()?;
    let tracking = client.track(&for_customer)?;
    let of_customer = client.customer_records(newest_gift()).next().transpose()?;
    let projects = client.projects(ProjectType::Trees)?.projects;
    Ok(Seen { for_us, for_customer, cancelled, totals, newest, tracking, of_customer, projects })
}

fn gift() -> Result<PlantTree, Error> {
    let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
    // Its record will show which order it was for.
    let metadata = Metadata::from_pairs([("order", "A-1001")])?;
    // `notify` asks the API not to send her an e-mail.
    Ok(PlantTree::new(Trees::of::<5>()).customer(ada).metadata(metadata).notify(false))
}

fn refund(receipt: &Receipt) -> Result<CancelImpact, Error> {
    Ok(CancelImpact::new(receipt).reason(Reason::new("bought by mistake")?))
}

fn newest_gift() -> ListCustomerRecords {
    ListCustomerRecords::new().sort_order(SortOrder::Desc).limit(Limit::of::<1>())
}

fn newest_first() -> ListRecords {
    // Two on a page, so that even a short list has pages to walk.
    ListRecords::new().sort_order(SortOrder::Desc).limit(Limit::of::<2>())
}

fn print(transport: &str, seen: &Seen) {
    println!("\n{transport}");
    println!("  bought for ourselves   {}", seen.for_us.impact);
    println!("  bought for a customer  {}", seen.for_customer.impact);
    println!("  {}       {}", seen.cancelled.message, seen.cancelled.impact);
    println!("  the account so far");
    for (kind, amount) in seen.totals.total.iter().filter(|(_, amount)| *amount != 0) {
        println!("    {}", Impact::new(kind.clone(), amount));
    }
    println!("  its own newest records");
    for record in &seen.newest {
        println!("    {}  {}", record.time_utc, record.impact);
    }
    let state = match (&seen.tracking.impact_completed, &seen.tracking.donation_sent) {
        (Some(time), _) => format!("done at {time}"),
        (None, Some(time)) => format!("donation sent at {time}"),
        (None, None) => "the donation is not sent yet".into(),
    };
    println!("  the customer's trees   bought at {}; {state}", seen.tracking.impact_initiated);
    let order = seen.of_customer.as_ref().and_then(|record| record.metadata.get("order"));
    println!("  they are for order     {}", order.unwrap_or("unknown"));
    let names: Vec<_> = seen.projects.iter().map(|project| project.name.as_str()).collect();
    println!("  projects with trees    {}", names.join(", "));
}
