//! The whole job over three transports: buy, take back, read the totals, walk
//! the records, track one.
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

    // Three libraries, one API: what a client can do does not depend on what
    // carries it. In your own program, `Client::from_env()?` reads the key.
    let client = oneclick_reqwest::Client::new(place.api())?;
    tell("reqwest (async)", &walk(&client).await?);

    let client = oneclick_hyper::Client::new(place.api())?;
    tell("hyper (async, low-level)", &walk(&client).await?);

    // A blocking client would hold up every other task of this thread.
    let client = oneclick_ureq::Client::new(place.api())?;
    let story = tokio::task::spawn_blocking(move || walk_blocking(&client)).await??;
    tell("ureq (blocking)", &story);

    println!("\nAll three transports did the same.");
    Ok(())
}

/// What came of one walk through the API.
struct Story {
    for_us: Receipt,
    for_customer: Receipt,
    taken_back: Cancellation,
    totals: ImpactTotals,
    newest: Vec<Record>,
    tracking: Tracking,
    of_customer: Option<CustomerRecord>,
    projects: Vec<Project>,
}

async fn walk<T: AsyncTransport>(client: &AsyncClient<T>) -> Result<Story, Error> {
    let for_us = client.clean_ocean(Pounds::of::<10>()).await?;
    let for_customer = client.plant_tree(gift()?).await?;
    let by_mistake = client.restore_coral(Fragments::of::<3>()).await?;
    let taken_back = client.cancel_impact(refund(&by_mistake)?).await?;
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
    Ok(Story { for_us, for_customer, taken_back, totals, newest, tracking, of_customer, projects })
}

/// The same without a runtime; the list is an ordinary iterator.
fn walk_blocking<T: BlockingTransport>(client: &BlockingClient<T>) -> Result<Story, Error> {
    let for_us = client.clean_ocean(Pounds::of::<10>())?;
    let for_customer = client.plant_tree(gift()?)?;
    let by_mistake = client.restore_coral(Fragments::of::<3>())?;
    let taken_back = client.cancel_impact(refund(&by_mistake)?)?;
    let totals = client.impact()?;
    let newest = client.records(newest_first()).max_items(5).collect::<Result<_, _>>()?;
    let tracking = client.track(&for_customer)?;
    let of_customer = client.customer_records(newest_gift()).next().transpose()?;
    let projects = client.projects(ProjectType::Trees)?.projects;
    Ok(Story { for_us, for_customer, taken_back, totals, newest, tracking, of_customer, projects })
}

fn gift() -> Result<PlantTree, Error> {
    let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
    // Its record will show which order it was for.
    let metadata = Metadata::from_pairs([("order", "A-1001")])?;
    // The API would tell her by e-mail, were this not an emulator.
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

fn tell(transport: &str, story: &Story) {
    println!("\n{transport}");
    println!("  bought for ourselves   {}", story.for_us.impact);
    println!("  bought for a customer  {}", story.for_customer.impact);
    println!("  {}       {}", story.taken_back.message, story.taken_back.impact);
    println!("  the account so far");
    for (kind, amount) in story.totals.total.iter().filter(|(_, amount)| *amount != 0) {
        println!("    {}", Impact::new(kind.clone(), amount));
    }
    println!("  its own newest records");
    for record in &story.newest {
        println!("    {}  {}", record.time_utc, record.impact);
    }
    let state = match (&story.tracking.impact_completed, &story.tracking.donation_sent) {
        (Some(time), _) => format!("done at {time}"),
        (None, Some(time)) => format!("donation sent at {time}"),
        (None, None) => "the donation is not sent yet".into(),
    };
    println!("  the customer's trees   bought at {}; {state}", story.tracking.impact_initiated);
    let order = story.of_customer.as_ref().and_then(|record| record.metadata.get("order"));
    println!("  they are for order     {}", order.unwrap_or("unknown"));
    let names: Vec<_> = story.projects.iter().map(|project| project.name.as_str()).collect();
    println!("  projects with trees    {}", names.join(", "));
}
