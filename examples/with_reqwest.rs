//! The async client over reqwest: plants trees for a customer, and says what a
//! failure means.

use oneclick_examples::{Failure, Place, describe};
use oneclick_reqwest::{Client, Customer, Error, Execution, PlantTree, Receipt, Trees};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("reqwest, against {place}");
    // In your own program: `Client::from_env()?` or `Client::production(key)?`.
    let client = Client::new(place.api())?;

    let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
    let purchase = PlantTree::new(Trees::of::<5>()).customer(ada);
    report(client.plant_tree(purchase.clone()).await);

    // Nobody listens on port 1, so this one fails.
    let nobody = Client::with_base_url("http://127.0.0.1:1", "test_example")?;
    report(nobody.plant_tree(purchase).await);
    Ok(())
}

fn report(result: Result<Receipt, Error>) {
    match result {
        Ok(receipt) => println!("{} at {}", describe(&receipt.impact), receipt.time_utc),
        // An error prints no key, no e-mail address and no name: it may be logged.
        Err(error) => match error.execution() {
            Execution::NotExecuted => println!("Not bought, may be sent again: {error}"),
            Execution::Unknown => println!("Look it up before you send it again: {error}"),
            Execution::Executed => println!("Bought, only the receipt is lost: {error}"),
        },
    }
}
