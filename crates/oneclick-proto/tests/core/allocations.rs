//! The number of allocations for a request and for a page, the same on every machine.

use http::Response;
use oneclick_proto::{
    Api, Cursor, Customer, DateRange, Endpoint, GetAccount, ImpactKind, Limit, List,
    ListCustomerRecords, ListRecords, Page, PlantTree, SortOrder, Trees,
};
use serde_json::json;

const RECORDS: usize = 1_000;

/// A page as the API writes it, optionally with a customer in each record.
fn page(field: &str, customers: bool) -> String {
    let record = |number: usize| {
        let kinds = ["tree_planted", "waste_removed", "carbon_captured", "money_donated"];
        let mut record = json!({
            "user_id": "U1234567890",
            "time_utc": format!("2024-09-16T20:34:04.{number:03}Z"),
            kinds[number % 4]: number + 1,
        });
        if customers {
            record["customer"] = json!({
                "customer_id": format!("U{number}"),
                "customer_email": format!("customer-{number}@example.com"),
                "customer_name": format!("Customer {number}"),
            });
        }
        record
    };
    json!({ field: (0..RECORDS).map(record).collect::<Vec<_>>(), "cursor": "next" }).to_string()
}

/// The number of allocations for decoding a page.
fn allocations<L: List + Default>(body: &str) -> usize {
    let api = Api::sandbox("test_key").unwrap();
    let decode =
        || -> Page<L::Item> { api.decode(&L::default(), Response::new(body.as_bytes())).unwrap() };
    // The first page initializes what later pages share.
    assert_eq!(decode().items.len(), RECORDS);
    let count = allocation_counter::measure(|| drop(decode())).count_total;
    usize::try_from(count).unwrap()
}

/// The number of allocations for encoding a request.
fn to_write<E: Endpoint>(endpoint: &E) -> u64 {
    let api = Api::sandbox("test_key").unwrap();
    allocation_counter::measure(|| drop(api.encode(endpoint).unwrap())).count_total
}

#[test]
fn a_request_allocates_its_headers_and_its_body_or_query() {
    let customer = Customer::new("ada@example.com").unwrap().name("Ada Lovelace");
    // Two of them are for the headers.
    assert_eq!(to_write(&PlantTree::new(Trees::of::<5>()).customer(customer)), 3);
    assert_eq!(to_write(&GetAccount), 5);
    let day = |day| chrono::NaiveDate::from_ymd_opt(2025, 1, day);
    let records = ListRecords::new()
        .filter_by(ImpactKind::TreePlanted)
        .dates(DateRange::new(day(1), day(31)).unwrap())
        .limit(Limit::of::<1000>())
        .cursor(Cursor::new("fNJjcmV32dGVkTiOi+/="))
        .sort_order(SortOrder::Desc);
    // A query is built from JSON values. A list needs one per thousand records.
    assert_eq!(to_write(&records), 20);
}

#[test]
fn a_record_allocates_nothing() {
    let count = allocations::<ListRecords>(&page("user_records", false));
    assert!(count <= RECORDS / 20, "{count} allocations for {RECORDS} records");
}

#[test]
fn a_customers_record_allocates_its_three_texts() {
    let count = allocations::<ListCustomerRecords>(&page("customer_records", true));
    assert!(count <= 3 * RECORDS + RECORDS / 20, "{count} allocations for {RECORDS} records");
}
