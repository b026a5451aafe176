//! The examples of the API's reference, read and written.

use oneclick_proto::{
    Account, Api, CaptureCarbon, Category, Cents, CleanOcean, Customer, CustomerEntry,
    CustomerRecord, DailyTotals, DonateMoney, Endpoint, Impact, ImpactKind, ImpactTotals, Page,
    PlantTree, Pounds, Receipt, Record, Totals, Tracking, TreeCategory, Trees,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/", $name, ".json"))
    };
}

/// Reads an example and checks that writing it gives the same JSON.
fn both_ways<T: DeserializeOwned + Serialize>(golden: &str) -> T {
    let value: T = serde_json::from_str(golden).unwrap();
    let expected: Value = serde_json::from_str(golden).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), expected);
    let written = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
    value
}

fn body_is<E: Endpoint>(endpoint: &E, path: &str, golden: &str) {
    let request = Api::sandbox("test_key").unwrap().encode(endpoint).unwrap();
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri().path(), path);
    assert_eq!(request.uri().query(), None);
    assert_eq!(request.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body, serde_json::from_str::<Value>(golden).unwrap());
}

fn customer() -> Customer {
    Customer::new("optional@email.com").unwrap().name("Optional Name")
}

#[test]
fn the_requests_of_the_actions_are_those_of_the_reference() {
    let trees = PlantTree::new(Trees::of::<5>())
        .customer(customer())
        .category(TreeCategory::Food)
        .notify(true);
    body_is(&trees, "/v1/plant_tree", golden!("plant_tree.request"));
    let ocean = CleanOcean::new(Pounds::of::<5>()).customer(customer()).notify(true);
    body_is(&ocean, "/v1/clean_ocean", golden!("clean_ocean.request"));
    let carbon = CaptureCarbon::new(Pounds::of::<5>()).customer(customer()).notify(true);
    body_is(&carbon, "/v1/capture_carbon", golden!("capture_carbon.request"));
    let money = DonateMoney::new(Cents::of::<500>()).customer(customer()).notify(true);
    body_is(&money, "/v1/donate_money", golden!("donate_money.request"));
}

#[test]
fn the_receipts_of_the_actions_are_read_and_written() {
    for (golden, kind, amount) in [
        (golden!("plant_tree.response"), ImpactKind::TreePlanted, 5),
        (golden!("clean_ocean.response"), ImpactKind::WasteRemoved, 5),
        (golden!("capture_carbon.response"), ImpactKind::CarbonCaptured, 5),
        (golden!("donate_money.response"), ImpactKind::MoneyDonated, 500),
    ] {
        let receipt: Receipt = both_ways(golden);
        assert_eq!(receipt.user_id.as_str(), "U123");
        assert_eq!(receipt.time_utc.to_string(), "2024-09-16T20:34:04.429Z");
        assert_eq!(receipt.impact, Impact::new(kind, amount));
        assert_eq!(receipt.customer, None);
        assert!(receipt.extra.is_empty());
    }
}

#[test]
fn the_account_is_read_and_written() {
    let account: Account = both_ways(golden!("whoami.response"));
    assert_eq!(account.user_id.as_str(), "U123");
    assert_eq!(account.email.as_str(), "my-email@email.com");
}

#[test]
fn the_totals_are_read_and_written() {
    let impact: ImpactTotals = both_ways(golden!("impact.response"));
    let amounts =
        |totals: &Totals| ImpactKind::KNOWN.iter().map(|kind| totals.get(kind)).collect::<Vec<_>>();
    assert_eq!(amounts(&impact.total), [100, 50, 75, 25000]);
    assert_eq!(amounts(&impact.user_impact), [60, 30, 45, 15000]);
    assert_eq!(amounts(&impact.customer_impact), [40, 20, 30, 10000]);
    assert!(impact.extra.is_empty());
    let again = ImpactTotals::new(
        impact.user_id.clone(),
        impact.user_impact.clone(),
        impact.customer_impact.clone(),
    );
    assert_eq!(again, impact);
}

#[test]
fn the_days_are_read_and_written() {
    let daily: DailyTotals = both_ways(golden!("impact_daily.response"));
    assert_eq!(daily.daily_impact.len(), 2);
    assert_eq!(daily.daily_impact[1].date.to_string(), "2025-01-21");
    assert_eq!(daily.daily_impact[1].totals.get(&ImpactKind::MoneyDonated), 500);
}

#[test]
fn the_pages_are_read_and_written() {
    let records: Page<Record> = both_ways(golden!("records.response"));
    assert_eq!(records.items[1].impact, Impact::new(ImpactKind::WasteRemoved, 15));
    assert_eq!(records.cursor.unwrap().as_str(), "fNJjcmV32dGVkTiOi...");

    let records: Page<CustomerRecord> = both_ways(golden!("customer_records.response"));
    let customer = &records.items[0].customer;
    assert_eq!(customer.customer_id, "U1234");
    assert_eq!(customer.customer_email.as_str(), "sample-customer@email.com");
    assert_eq!(customer.customer_name.as_ref().unwrap().as_str(), "Sample Customer");

    let customers: Page<CustomerEntry> = both_ways(golden!("customers.response"));
    assert_eq!(customers.items[0].onboarded_on.to_string(), "2024-06-12T15:22:14.753Z");
}

#[test]
fn the_tracking_is_read_and_written() {
    let tracking: Tracking = both_ways(golden!("track.response"));
    assert_eq!(tracking.tracking_id, "U1234-2025-03-12T15:22:14.753Z");
    assert_eq!(tracking.impact, Impact::new(ImpactKind::TreePlanted, 10));
    assert_eq!(tracking.category, Some(Category::Food));
    assert_eq!(tracking.donation_sent.unwrap().to_string(), "2025-03-26T20:11:17.707Z");
    assert_eq!(tracking.assigned_agent.as_deref(), Some("Planting On Demand"));
    assert_eq!(tracking.is_test_transaction, None);
    assert!(tracking.extra.is_empty());
}
