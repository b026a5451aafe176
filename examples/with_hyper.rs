//! The async client over hyper: several purchases at once over one pool, and
//! an API that refuses one.
//!
//! `Transport::from_service` takes a connection or a tower-style service of
//! your own instead of the pool.

use oneclick_examples::{Failure, Place, describe};
use oneclick_hyper::{Cents, Client, Error, Execution, Pounds, Receipt, Trees};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("hyper, against {place}");
    // In your own program: `Client::from_env()?` or `Client::production(key)?`.
    let client = Client::new(place.api())?;

    // Not `try_join!`: after the first failure it drops the others, and nobody
    // would know what became of them.
    let (trees, carbon, money) = tokio::join!(
        client.plant_tree(Trees::of::<5>()),
        client.capture_carbon(Pounds::of::<20>()),
        client.donate_money(Cents::of::<250>()),
    );
    [trees, carbon, money].into_iter().for_each(report);

    let stranger = Client::with_base_url(place.api().base_url().to_string(), "nobodys_key")?;
    report(stranger.plant_tree(Trees::of::<5>()).await);
    Ok(())
}

fn report(result: Result<Receipt, Error>) {
    match result {
        Ok(receipt) => println!("{} at {}", describe(&receipt.impact), receipt.time_utc),
        Err(error) => match error.execution() {
            Execution::NotExecuted => println!("Not bought, mend it and send it again: {error}"),
            Execution::Unknown => println!("Look it up before you send it again: {error}"),
            Execution::Executed => println!("Bought, only the receipt is lost: {error}"),
        },
    }
}
