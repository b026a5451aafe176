//! Property-testing your own code with the core: any order that a shop can
//! take becomes a purchase that is right.
//!
//! No socket: the core writes the request, the sandbox answers it as a function.
//!
//! ```sh
//! cargo run --example property_test    # a thousand orders
//! cargo test --example property_test   # as a test
//! ```

use chrono::Utc;
use oneclick_examples::Failure;
use oneclick_proto::{Api, Customer, PlantTree, Trees};
use oneclick_sandbox::{Config, Sandbox};
use proptest::prelude::*;
use proptest::test_runner::{Config as Settings, TestRunner};
use serde_json::Value;

/// An order as it comes out of a shop's form: anything can be in it.
#[derive(Clone, Debug)]
struct Order {
    total_cents: u64,
    email: String,
    name: String,
}

/// The shop's code, which is under test: a tree for every full ten dollars.
fn purchase(order: &Order) -> Option<PlantTree> {
    let trees = Trees::new((order.total_cents / 1000).min(Trees::MAX)).ok()?;
    let plant = PlantTree::new(trees);
    // A mistyped address must not cost the forest its trees.
    let Ok(customer) = Customer::new(order.email.as_str()) else { return Some(plant) };
    let name = order.name.trim();
    Some(plant.customer(if name.is_empty() { customer } else { customer.name(name) }))
}

fn orders() -> impl Strategy<Value = Order> {
    let email = prop_oneof![any::<String>(), "[a-z+&=\"']{1,9}@[a-zü]{1,9}\\.(com|de)"];
    (any::<u64>(), 0..100_000_u64, any::<bool>(), email, any::<String>()).prop_map(
        |(huge, usual, rare, email, name)| Order {
            total_cents: if rare { huge } else { usual },
            email,
            name,
        },
    )
}

/// What holds for every order.
fn check(order: &Order) -> Result<(), TestCaseError> {
    let Some(purchase) = purchase(order) else {
        prop_assert!(order.total_cents < 1000, "a large order bought nothing");
        return Ok(());
    };
    let api = Api::sandbox("test_property").map_err(fail)?;
    let request = api.encode(&purchase).map_err(fail)?;

    // 1. The body says what the order says, to a parser that knows no order.
    let body: Value = serde_json::from_slice(request.body()).map_err(fail)?;
    let trees = body["amount"].as_u64().unwrap_or_default();
    prop_assert!(trees >= 1 && trees <= order.total_cents / 1000);
    if let Some(email) = body.get("customer_email") {
        prop_assert_eq!(email.as_str(), Some(order.email.as_str()));
    } else {
        prop_assert!(body.get("customer_name").is_none(), "a name without an address");
    }

    // 2. The API takes it, and plants that many.
    let answer = Sandbox::new(Config::new()).respond(&request, Utc::now());
    let receipt = api.decode(&purchase, answer).map_err(fail)?;
    prop_assert_eq!(u64::try_from(receipt.impact.amount), Ok(trees));
    Ok(())
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

fn main() -> Result<(), Failure> {
    let settings = Settings { cases: 1000, failure_persistence: None, ..Settings::default() };
    TestRunner::new(settings).run(&orders(), |order| check(&order))?;
    println!("1000 orders, made up at random: each bought the right number of trees, or none");
    Ok(())
}

proptest! {
    #[test]
    fn every_order_becomes_a_purchase_that_is_right(order in orders()) {
        check(&order)?;
    }
}
