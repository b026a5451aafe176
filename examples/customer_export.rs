//! An export of one customer's data: everything that the API shows of a customer, as JSON,
//! such as the customer may ask for under the GDPR.
//!
//! ```sh
//! cargo run --example customer_export
//! cargo test --example customer_export
//! ```

use std::io::{self, Write};

use oneclick_emulator::Server;
use oneclick_examples::Failure;
use oneclick_ureq::{
    CancelImpact, Cents, Client, Customer, CustomerRecord, CustomerSummary, DonateMoney, Email,
    ListCustomerRecords, ListCustomers, PlantTree, Reason, Tracking, Trees,
};
use serde::Serialize;

fn main() -> Result<(), Failure> {
    // In your program: `Client::from_env()?`.
    let server = Server::start()?;
    let client = Client::with_base_url(server.base_url(), "test_export")?;
    buy_for_two_customers(&client)?;
    let export = export(&client, &Email::new("ada@example.com")?)?;
    let mut output = io::stdout().lock();
    serde_json::to_writer_pretty(&mut output, &export)?;
    writeln!(output)?;
    Ok(())
}

fn buy_for_two_customers(client: &Client) -> Result<(), Failure> {
    let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
    let grace = Customer::new("grace@example.com")?;
    client.plant_tree(PlantTree::new(Trees::of::<5>()).customer(ada.clone()))?;
    client.plant_tree(PlantTree::new(Trees::of::<1>()).customer(grace))?;
    let donation = client.donate_money(DonateMoney::new(Cents::of::<250>()).customer(ada))?;
    client.cancel_impact(CancelImpact::new(&donation).reason(Reason::new("refunded")?))?;
    Ok(())
}

/// Everything that the API shows of one customer.
#[derive(Serialize)]
struct Export {
    customer: Vec<CustomerSummary>,
    purchases: Vec<Purchase>,
}

#[derive(Serialize)]
struct Purchase {
    record: CustomerRecord,
    /// Its history, and whether it was cancelled: a record does not say that.
    tracking: Tracking,
}

/// Fails rather than leave something out: an export that looks whole has to be whole.
fn export(client: &Client, email: &Email) -> Result<Export, Failure> {
    // The API's documents do not say how it compares addresses. Whatever the filter lets
    // through, nobody else's data may be in here.
    let same = |other: &str| other.eq_ignore_ascii_case(email.as_str());

    let mut customer = Vec::new();
    for entry in client.customers(ListCustomers::new().customer_email(email.clone())) {
        let entry = entry?;
        if same(entry.customer_email.as_str()) {
            customer.push(entry);
        }
    }
    let mut purchases = Vec::new();
    for record in client.customer_records(ListCustomerRecords::new().customer_email(email.clone()))
    {
        let record = record?;
        if same(record.customer.customer_email.as_str()) {
            let tracking = client.track(&record)?;
            purchases.push(Purchase { record, tracking });
        }
    }
    Ok(Export { customer, purchases })
}

#[cfg(test)]
mod tests {
    use oneclick_emulator::Behaviour;
    use oneclick_emulator::behaviour::AddressFilter;

    use super::*;

    #[test]
    fn the_export_holds_all_of_one_customer_and_nothing_of_another() {
        for filter in [AddressFilter::Exact, AddressFilter::Loose] {
            let behaviour = Behaviour::new().address_filter(filter);
            let server = Server::builder().behaviour(behaviour).start().unwrap();
            let client = Client::with_base_url(server.base_url(), "test_export").unwrap();
            buy_for_two_customers(&client).unwrap();
            let export = export(&client, &Email::new("ada@example.com").unwrap()).unwrap();
            let cancelled: Vec<_> = export
                .purchases
                .iter()
                .map(|purchase| purchase.tracking.cancelled_on.is_some())
                .collect();
            assert_eq!(cancelled, [false, true]);
            let json = serde_json::to_string(&export).unwrap();
            assert!(json.contains("ada@example.com") && json.contains("Ada Lovelace"), "{json}");
            assert!(json.contains("refunded") && !json.contains("grace"), "{json}");
        }
    }
}
