//! The async client over hyper: several purchases at once over one pool, and
//! an API that refuses one.
//!
//! `Transport::from_service` takes a connection or a tower-style service of
//! your own instead of the pool.

use oneclick_examples::{Failure, Place};
use oneclick_hyper::{Cents, Client, Error, Execution, Pounds, Trees};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("hyper, against {place}");
    // In your own program: `Client::from_env()?` or `Client::production(key)?`.
    let client = Client::new(place.api())?;

    // Not `try_join!`: after the first failure it drops the others, which may have bought
    // something.
    let (trees, carbon, money) = tokio::join!(
        client.plant_tree(Trees::of::<5>()),
        client.capture_carbon(Pounds::of::<20>()),
        client.donate_money(Cents::of::<250>()),
    );
    for receipt in [trees?, carbon?, money?] {
        println!("{} at {}", receipt.impact, receipt.time_utc);
    }

    let stranger = Client::with_base_url(place.api().base_url().to_string(), "nobodys_key")?;
    if let Err(error) = stranger.plant_tree(Trees::of::<5>()).await {
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
