//! Reconciles a shop's orders with the API's records: which order has no trees, which has
//! them twice or in another number, and which trees belong to no order.
//!
//! The shop writes the order's number into each purchase's metadata. The program reads and
//! buys nothing.
//!
//! ```sh
//! cargo run --example reconcile
//! cargo test --example reconcile
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use oneclick_emulator::Server;
use oneclick_examples::Failure;
use oneclick_ureq::{
    Client, Customer, ImpactKind, ListCustomerRecords, ListRecords, Metadata, PlantTree, Receipt,
    Trees,
};
use serde::Deserialize;

const ORDERS: &str = "\
order,trees
A-1001,5
A-1002,1
A-1003,1
A-1004,2
A-1005,1
";

fn main() -> Result<(), Failure> {
    // In your program: `Client::from_env()?`, and a file of yours.
    let server = Server::start()?;
    let client = Client::with_base_url(server.base_url(), "test_reconcile")?;
    buy_with_mistakes(&client)?;
    for finding in reconcile(&client, ORDERS.as_bytes())? {
        println!("{finding}");
    }
    Ok(())
}

/// Order A-1002 is forgotten, A-1003 bought twice, A-1004 in another number, A-1005
/// cancelled, and A-9999 belongs to nobody.
fn buy_with_mistakes(client: &Client) -> Result<(), Failure> {
    let buy = |order: &str, trees: u64| -> Result<Receipt, Failure> {
        let plant = PlantTree::new(Trees::new(trees)?)
            .customer(Customer::new("ada@example.com")?)
            .metadata(Metadata::from_pairs([("order", order)])?);
        Ok(client.plant_tree(plant)?)
    };
    for (order, trees) in [("A-1001", 5), ("A-1003", 1), ("A-1003", 1), ("A-1004", 3)] {
        buy(order, trees)?;
    }
    client.cancel_impact(&buy("A-1005", 1)?)?;
    buy("A-9999", 1)?;
    client.plant_tree(Trees::of::<7>())?;
    Ok(())
}

/// A row of the shop's file.
#[derive(Deserialize)]
struct Order {
    order: String,
    trees: i64,
}

/// Something that a person has to look at.
#[derive(Debug, PartialEq)]
enum Finding {
    Missing { order: String },
    Twice { order: String, ids: Vec<String> },
    OtherNumber { order: String, expected: i64, found: i64 },
    NoOrder { order: Option<String>, id: String, trees: i64 },
}

/// Compares the orders with the trees that stand.
fn reconcile(client: &Client, orders: impl io::Read) -> Result<Vec<Finding>, Failure> {
    // One list has the purchases for customers, the other those without.
    let own = ListRecords::new().filter_by(ImpactKind::TreePlanted);
    let customers = ListCustomerRecords::new().filter_by(ImpactKind::TreePlanted);
    let own = client.records(own).map(|record| record.map(Receipt::from));
    let customers = client.customer_records(customers).map(|record| record.map(Receipt::from));

    let mut by_order: BTreeMap<String, Vec<Receipt>> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut with_order = 0;
    for receipt in own.chain(customers) {
        let receipt = receipt?;
        // A filter may be understood otherwise, and a record does not say whether it was
        // cancelled.
        if receipt.impact.kind != ImpactKind::TreePlanted
            || client.track(&receipt)?.cancelled_on.is_some()
        {
            continue;
        }
        if let Some(order) = receipt.metadata.get("order") {
            with_order += 1;
            by_order.entry(order.to_owned()).or_default().push(receipt);
        } else {
            findings.push(Finding::no_order(None, &receipt));
        }
    }
    if with_order == 0 && !findings.is_empty() {
        return Err(Failure::new("no record shows an order, so nothing can be compared"));
    }

    for order in csv::Reader::from_reader(orders).deserialize() {
        let Order { order, trees } = order?;
        match by_order.remove(&order).as_deref() {
            None | Some([]) => findings.push(Finding::Missing { order }),
            Some([receipt]) if receipt.impact.amount == trees => {}
            Some([receipt]) => {
                let (expected, found) = (trees, receipt.impact.amount);
                findings.push(Finding::OtherNumber { order, expected, found });
            }
            Some(receipts) => {
                findings.push(Finding::Twice { order, ids: receipts.iter().map(id).collect() });
            }
        }
    }
    for (order, receipts) in by_order {
        let no_order = |receipt| Finding::no_order(Some(order.clone()), receipt);
        findings.extend(receipts.iter().map(no_order));
    }
    Ok(findings)
}

fn id(receipt: &Receipt) -> String {
    oneclick_ureq::ImpactId::from(receipt).to_string()
}

impl Finding {
    fn no_order(order: Option<String>, receipt: &Receipt) -> Self {
        Self::NoOrder { order, id: id(receipt), trees: receipt.impact.amount }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { order } => write!(f, "{order}: not bought, or cancelled"),
            Self::Twice { order, ids } => {
                write!(f, "{order}: bought {} times: {}", ids.len(), ids.join(" "))
            }
            Self::OtherNumber { order, expected, found } => {
                write!(f, "{order}: {found} trees instead of {expected}")
            }
            Self::NoOrder { order: Some(order), id, trees } => {
                write!(f, "{order}: unknown order, {trees} trees: {id}")
            }
            Self::NoOrder { order: None, id, trees } => {
                write!(f, "no order: {trees} trees: {id}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oneclick_emulator::Behaviour;
    use oneclick_emulator::behaviour::MetadataForm;

    use super::*;

    fn findings(behaviour: Behaviour) -> Result<Vec<String>, Failure> {
        let server = Server::builder().behaviour(behaviour).start()?;
        let client = Client::with_base_url(server.base_url(), "test_reconcile")?;
        buy_with_mistakes(&client)?;
        let findings = reconcile(&client, ORDERS.as_bytes())?;
        // Without the ids, which hold the time.
        let line = |finding: &Finding| {
            let line = finding.to_string();
            line.rsplit_once(": ")
                .filter(|(head, _)| head.contains(':'))
                .map_or_else(|| line.clone(), |(head, _)| head.to_owned())
        };
        Ok(findings.iter().map(line).collect())
    }

    #[test]
    fn every_difference_is_found() {
        let found = findings(Behaviour::new()).unwrap();
        assert_eq!(
            found,
            [
                "no order: 7 trees",
                "A-1002: not bought, or cancelled",
                "A-1003: bought 2 times",
                "A-1004: 3 trees instead of 2",
                "A-1005: not bought, or cancelled",
                "A-9999: unknown order, 1 trees",
            ]
        );
    }

    #[test]
    fn records_without_metadata_are_not_mistaken_for_missing_orders() {
        let failure = findings(Behaviour::new().metadata(MetadataForm::Dropped)).unwrap_err();
        assert!(format!("{failure:?}").starts_with("no record shows an order"));
    }
}
