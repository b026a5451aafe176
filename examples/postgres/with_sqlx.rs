//! A shop that stores an intent in the transaction of its order, with SQLx.
//!
//! See README.md beside this file for how to run it.

use serde_json::json;
use sqlx::{Connection, PgConnection};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut shop = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
    let table = "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, email text NOT NULL)";
    sqlx::query(table).execute(&mut shop).await?;
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
            Err(sqlx::Error::Database(error)) => println!("{number}: {}", error.message()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Stores an order and the intent to plant its trees: both, or neither.
async fn order(
    shop: &mut PgConnection,
    number: &str,
    trees: i64,
    is_paid: bool,
) -> Result<Option<i64>, sqlx::Error> {
    let mut tx = shop.begin().await?;
    sqlx::query("INSERT INTO orders VALUES ($1, 'ada@example.com') ON CONFLICT DO NOTHING")
        .bind(number)
        .execute(&mut *tx)
        .await?;
    let request = json!({
        "v": 1, "action": "plant_tree", "amount": trees, "customer_email": "ada@example.com",
    });
    let intent = sqlx::query_scalar("SELECT oneclick.enqueue('shop.example', $1, $2)")
        .bind(number)
        .bind(request)
        .fetch_one(&mut *tx)
        .await?;
    if !is_paid {
        return Ok(None); // `tx` is dropped, which rolls back
    }
    tx.commit().await?;
    Ok(Some(intent))
}
