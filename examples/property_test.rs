//! Property tests of your own code with the core's strategies: any text that a customer
//! types, any record of the API, and any response of a server.
//!
//! There is no socket: the client talks to an emulator in memory.
//!
//! ```sh
//! cargo run --example property_test    # a thousand cases of each
//! cargo test --example property_test   # as tests
//! ```

use std::fmt::Debug;

use http::Response;
use oneclick_emulator::InMemory;
use oneclick_examples::Failure;
use oneclick_proto::strategies::{hostile_response, hostile_text};
use oneclick_proto::{
    Api, BlockingClient, Customer, CustomerRecord, Email, Error, Execution, PlantTree, Receipt,
    Trees,
};
use proptest::prelude::*;
use proptest::test_runner::{Config as Settings, TestRunner};
use serde_json::Value;

// The shop's code, which is under test.

/// An order from a web form, with unchecked text.
#[derive(Clone, Debug)]
struct Order {
    total_cents: u64,
    email: String,
    name: String,
}

/// A tree for every full ten dollars.
fn purchase(order: &Order) -> Option<PlantTree> {
    let trees = Trees::new((order.total_cents / 1000).min(Trees::MAX)).ok()?;
    let plant = PlantTree::new(trees);
    // A mistyped address must not prevent the purchase.
    let Ok(customer) = Customer::new(order.email.as_str()) else { return Some(plant) };
    let name = order.name.trim();
    Some(plant.customer(if name.is_empty() { customer } else { customer.name(name) }))
}

/// What the shop does with an order after its purchase.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Planted,
    TryAgain,
    AskSomebody,
}

fn settle(result: &Result<Receipt, Error>) -> Fate {
    match result.as_ref().map_err(Error::execution) {
        Ok(_) => Fate::Planted,
        Err(Execution::NotExecuted) => Fate::TryAgain,
        Err(Execution::Unknown | Execution::Executed) => Fate::AskSomebody,
    }
}

/// A line of the shop's own list, as CSV.
fn line(record: &CustomerRecord) -> String {
    // A spreadsheet takes a text that begins with one of these for a formula.
    let quoted = |text: &str| {
        let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    };
    let customer = &record.customer;
    let name = customer.customer_name.as_ref().map_or("", |name| name.as_str());
    [record.time_utc.to_string().as_str(), name, customer.customer_email.as_str()]
        .map(quoted)
        .join(",")
        + "\n"
}

// The properties.

fn orders() -> impl Strategy<Value = Order> {
    let total = prop_oneof![3 => 0..100_000_u64, 1 => any::<u64>()];
    // Valid but odd addresses, and texts that are no address.
    let email =
        prop_oneof![any::<Email>().prop_map(|email| email.as_str().to_owned()), hostile_text()];
    (total, email, hostile_text()).prop_map(|(total_cents, email, name)| Order {
        total_cents,
        email,
        name,
    })
}

/// Any order becomes the right purchase.
fn an_order_buys_what_it_says(order: &Order) -> Result<(), TestCaseError> {
    let Some(purchase) = purchase(order) else {
        prop_assert!(order.total_cents < 1000, "a large order bought nothing");
        return Ok(());
    };
    let api = Api::sandbox("test_property").map_err(fail)?;
    let request = api.encode(&purchase).map_err(fail)?;

    // 1. The body matches the order, as an independent parser reads it.
    let body: Value = serde_json::from_slice(request.body()).map_err(fail)?;
    let trees = body["amount"].as_u64().unwrap_or_default();
    prop_assert!(trees >= 1 && trees <= order.total_cents / 1000);
    if let Some(email) = body.get("customer_email") {
        prop_assert_eq!(email.as_str(), Some(order.email.as_str()));
    } else {
        prop_assert!(body.get("customer_name").is_none(), "a name without an address");
    }

    // 2. The API accepts it and plants that many.
    let client = BlockingClient::<InMemory>::new(api).map_err(fail)?;
    let receipt = client.plant_tree(purchase).map_err(fail)?;
    prop_assert_eq!(u64::try_from(receipt.impact.amount), Ok(trees));
    Ok(())
}

/// After no response is an order that may have been planted tried again.
fn no_response_makes_it_plant_twice(
    (purchase, response): &(PlantTree, Response<Vec<u8>>),
) -> Result<(), TestCaseError> {
    let api = Api::sandbox("test_property").map_err(fail)?;
    let maybe_planted = response.status().is_success() || response.status().is_server_error();
    let becomes = settle(&api.decode(purchase, response.clone()));
    prop_assert!(!(maybe_planted && becomes == Fate::TryAgain));
    Ok(())
}

/// A line has three fields and no formula, whatever the customer's name is.
fn a_record_is_one_line_of_three_fields(record: &CustomerRecord) -> Result<(), TestCaseError> {
    let line = line(record);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().map_err(fail)?;
    prop_assert_eq!(rows.len(), 1);
    prop_assert_eq!(rows[0].len(), 3);
    prop_assert!(rows[0].iter().all(|field| !field.starts_with(['=', '+', '-', '@'])));
    Ok(())
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

fn thousand<T: Debug + Send + Sync + 'static>(
    what: &str,
    any: &impl Strategy<Value = T>,
    check: fn(&T) -> Result<(), TestCaseError>,
) -> Result<(), Failure> {
    let settings = Settings { cases: 1000, failure_persistence: None, ..Settings::default() };
    TestRunner::new(settings).run(any, |value| check(&value))?;
    println!("1000 random {what}");
    Ok(())
}

fn main() -> Result<(), Failure> {
    let responses = (any::<PlantTree>(), hostile_response());
    thousand("orders: each bought what it says", &orders(), an_order_buys_what_it_says)?;
    thousand("responses: none makes it plant twice", &responses, no_response_makes_it_plant_twice)?;
    let records = any::<CustomerRecord>();
    thousand("records: each is one line of a list", &records, a_record_is_one_line_of_three_fields)
}

proptest! {
    #[test]
    fn every_order_buys_what_it_says(order in orders()) {
        an_order_buys_what_it_says(&order)?;
    }

    #[test]
    fn no_response_at_all_makes_it_plant_twice(case in (any::<PlantTree>(), hostile_response())) {
        no_response_makes_it_plant_twice(&case)?;
    }

    #[test]
    fn every_record_is_one_line_of_three_fields(record in any::<CustomerRecord>()) {
        a_record_is_one_line_of_three_fields(&record)?;
    }
}
