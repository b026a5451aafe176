//! A shop that stores an intent in the transaction of its order, with Diesel.
//!
//! See README.md beside this file for how to run it.

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Jsonb, Text};
use serde_json::json;

diesel::table! {
    orders (number) {
        number -> Text,
        email -> Text,
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    #[sql_name = "oneclick.enqueue"]
    fn enqueue(namespace: Text, key: Text, request: Jsonb) -> BigInt;
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut shop = PgConnection::establish(&std::env::var("DATABASE_URL")?)?;
    let table = "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, email text NOT NULL)";
    diesel::sql_query(table).execute(&mut shop)?;
    for (number, trees, is_paid) in [
        ("A-1001", 3, true),
        ("A-1001", 3, true),  // again: the same intent
        ("A-1001", 4, true),  // another purchase under the same key
        ("A-1002", 0, true),  // a request that could not be sent
        ("A-1003", 1, false), // an order that is rolled back
    ] {
        match order(&mut shop, number, trees, is_paid) {
            Ok(intent) => println!("{number}: intent {intent}"),
            Err(Error::RollbackTransaction) => println!("{number}: not paid"),
            Err(Error::DatabaseError(_, error)) => println!("{number}: {}", error.message()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Stores an order and the intent to plant its trees: both, or neither.
fn order(shop: &mut PgConnection, number: &str, trees: i64, is_paid: bool) -> Result<i64, Error> {
    shop.transaction(|shop| {
        diesel::insert_into(orders::table)
            .values((orders::number.eq(number), orders::email.eq("ada@example.com")))
            .on_conflict_do_nothing()
            .execute(shop)?;
        let request = json!({
            "v": 1, "action": "plant_tree", "amount": trees, "customer_email": "ada@example.com",
        });
        let intent = diesel::select(enqueue("shop.example", number, request)).get_result(shop)?;
        if is_paid { Ok(intent) } else { Err(Error::RollbackTransaction) }
    })
}
