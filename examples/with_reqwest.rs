//! The async client over reqwest: plants trees for a customer, and says what a
//! failure means.

use oneclick_examples::{Failure, Place};
use oneclick_reqwest::{Client, Customer, Error, Execution, PlantTree, Trees};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("reqwest, against {place}");
    // In your own program: `Client::from_env()?` or `Client::production(key)?`.
    let client = Client::new(place.api())?;

    let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
    let purchase = PlantTree::new(Trees::of::<5>()).customer(ada);
    let receipt = client.plant_tree(purchase.clone()).await?;
    println!("{} at {}", receipt.impact, receipt.time_utc);

    // Nothing listens on port 1, so this fails. An error prints no key, no e-mail address
    // and no name, so it may be logged.
    let nobody = Client::with_base_url("http://127.0.0.1:1", "test_example")?;
    if let Err(error) = nobody.plant_tree(purchase).await {
        println!("{error}\n  -> {}", advice(&error));
    }
    Ok(())
}

fn advice(error: &Error) -> &'static str {
    match error.execution() {
        Execution::NotExecuted => "nothing was bought, it may be sent again",
        Execution::Unknown => "look it up before you send it again",
        Execution::Executed => "it was bought, only the receipt is lost",
    }
}
