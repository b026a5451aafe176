//! A shop that stores an intent in the transaction of its order, with tokio-postgres.
//!
//! See README.md beside this file for how to run it.

use std::error::Error;

use oneclick_outbox::postgres::request;
use oneclick_proto::{Customer, PlantTree, Trees};
use tokio_postgres::{Client, NoTls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let (mut shop, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let table = "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, email text NOT NULL)";
    shop.batch_execute(table).await?;
    for (number, trees, is_paid) in [
        ("A-1001", 3, true),
        ("A-1001", 3, true),  // again: the same intent
        ("A-1001", 4, true),  // another purchase under the same key
        ("A-1002", 0, true),  // a request that could not be sent
        ("A-1003", 1, false), // an order that is rolled back
    ] {
        match order(&mut shop, number, trees, is_paid).await {
            Ok(Some(intent)) => println!("{number}: intent {intent}"),
            Ok(None) => println!("{number}: not paid"),
            Err(error) => println!("{number}: {}", message(&*error)),
        }
    }
    Ok(())
}

/// Stores an order and the intent to plant its trees: both, or neither.
async fn order(
    shop: &mut Client,
    number: &str,
    trees: u64,
    is_paid: bool,
) -> Result<Option<i64>, Box<dyn Error>> {
    let tx = shop.transaction().await?;
    let insert = "INSERT INTO orders VALUES ($1, 'ada@example.com') ON CONFLICT DO NOTHING";
    tx.execute(insert, &[&number]).await?;
    // The core refuses what cannot be sent. So does the function, for any other program.
    let tree = PlantTree::new(Trees::new(trees)?).customer(Customer::new("ada@example.com")?);
    let enqueue = "SELECT oneclick.enqueue('shop.example', $1, $2::text::jsonb)";
    let intent = tx.query_one(enqueue, &[&number, &request(tree)?]).await?.get(0);
    if !is_paid {
        return Ok(None); // `tx` is dropped, which rolls back
    }
    tx.commit().await?;
    Ok(Some(intent))
}

/// What the database says, or any other error.
fn message(error: &(dyn Error + 'static)) -> String {
    let database = error.downcast_ref().and_then(tokio_postgres::Error::as_db_error);
    database.map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
