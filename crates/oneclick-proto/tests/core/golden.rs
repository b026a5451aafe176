//! The examples of the API's reference, read and written.
//!
//! Where the reference is older than the API, the values come from the tests of the official
//! Python SDK 2.0.0, and the fields from its types.

use oneclick_proto::{
    Account, Api, CancelImpact, CancelMessage, Cancellation, CaptureCarbon, Category, Cents,
    CleanOcean, Customer, CustomerRecord, CustomerSummary, DailyTotals, DonateMoney, Endpoint,
    Fragments, Impact, ImpactId, ImpactKind, ImpactTotals, Metadata, Page, PlantTree, Pounds,
    Project, ProjectList, ProjectType, Reason, Receipt, Record, RestoreCoral, Totals, TrackImpact,
    Tracking, TreeCategory, Trees,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/", $name, ".json"))
    };
}

/// Reads an example, and checks that writing it results in the same JSON.
fn round_trip<T: DeserializeOwned + Serialize>(golden: &str) -> T {
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

/// The amounts in the order of `ImpactKind::KNOWN`.
fn amounts(totals: &Totals) -> Vec<i64> {
    ImpactKind::KNOWN.iter().map(|kind| totals.get(kind)).collect()
}

fn id() -> ImpactId {
    ImpactId::new("U1234", "2025-03-12T15:22:14.753Z".parse().unwrap())
}

fn customer() -> Customer {
    Customer::new("optional@email.com").unwrap().name("Optional Name")
}

#[test]
fn the_actions_send_the_bodies_of_the_reference() {
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
fn receipts_round_trip() {
    for (golden, kind, amount) in [
        (golden!("plant_tree.response"), ImpactKind::TreePlanted, 5),
        (golden!("clean_ocean.response"), ImpactKind::WasteRemoved, 5),
        (golden!("capture_carbon.response"), ImpactKind::CarbonCaptured, 5),
        (golden!("donate_money.response"), ImpactKind::MoneyDonated, 500),
    ] {
        let receipt: Receipt = round_trip(golden);
        assert_eq!(receipt.user_id.as_str(), "U123");
        assert_eq!(receipt.time_utc.to_string(), "2024-09-16T20:34:04.429Z");
        assert_eq!(receipt.impact, Impact::new(kind, amount));
        assert_eq!(receipt.customer, None);
        assert!(receipt.extra.is_empty());
    }
}

#[test]
fn an_account_round_trips() {
    let account: Account = round_trip(golden!("whoami.response"));
    assert_eq!(account.user_id.as_str(), "U123");
    assert_eq!(account.email.as_str(), "my-email@email.com");
}

#[test]
fn totals_round_trip() {
    let impact: ImpactTotals = round_trip(golden!("impact.response"));
    assert_eq!(amounts(&impact.total), [100, 50, 75, 0, 25000]);
    assert_eq!(amounts(&impact.user_impact), [60, 30, 45, 0, 15000]);
    assert_eq!(amounts(&impact.customer_impact), [40, 20, 30, 0, 10000]);
    assert!(impact.extra.is_empty());
    let again = ImpactTotals::new(
        impact.user_id.clone(),
        impact.user_impact.clone(),
        impact.customer_impact.clone(),
    );
    assert_eq!(again, impact);
}

#[test]
fn daily_totals_round_trip() {
    let daily: DailyTotals = round_trip(golden!("impact_daily.response"));
    assert_eq!(daily.daily_impact.len(), 2);
    assert_eq!(daily.daily_impact[1].date.to_string(), "2025-01-21");
    assert_eq!(daily.daily_impact[1].totals.get(&ImpactKind::MoneyDonated), 500);
}

#[test]
fn pages_round_trip() {
    let records: Page<Record> = round_trip(golden!("records.response"));
    assert_eq!(records.items[1].impact, Impact::new(ImpactKind::WasteRemoved, 15));
    assert_eq!(records.cursor.unwrap().as_str(), "fNJjcmV32dGVkTiOi...");

    let records: Page<CustomerRecord> = round_trip(golden!("customer_records.response"));
    let customer = &records.items[0].customer;
    assert_eq!(customer.customer_id, "U1234");
    assert_eq!(customer.customer_email.as_str(), "sample-customer@email.com");
    assert_eq!(customer.customer_name.as_ref().unwrap().as_str(), "Sample Customer");

    let customers: Page<CustomerSummary> = round_trip(golden!("customers.response"));
    assert_eq!(customers.items[0].onboarded_on.to_string(), "2024-06-12T15:22:14.753Z");
}

#[test]
fn tracking_round_trips() {
    let tracking: Tracking = round_trip(golden!("track.response"));
    assert_eq!(tracking.tracking_id, "U1234-2025-03-12T15:22:14.753Z");
    assert_eq!(tracking.impact, Impact::new(ImpactKind::TreePlanted, 10));
    assert_eq!(tracking.category, Some(Category::Food));
    assert_eq!(tracking.donation_sent.unwrap().to_string(), "2025-03-26T20:11:17.707Z");
    assert_eq!(tracking.assigned_agent.as_deref(), Some("Planting On Demand"));
    assert_eq!(tracking.is_test_transaction, None);
    assert!(tracking.extra.is_empty());
}

#[test]
fn coral_round_trips_wherever_an_amount_appears() {
    let customer = Customer::new("test@example.com").unwrap().name("Test User");
    let metadata = Metadata::from_pairs([("reefId", "R-9")]).unwrap();
    let coral = RestoreCoral::new(Fragments::of::<50>()).customer(customer).metadata(metadata);
    body_is(&coral, "/v1/restore_coral", golden!("restore_coral.request"));

    let receipt: Receipt = round_trip(golden!("restore_coral.response"));
    assert_eq!(receipt.impact, Impact::new(ImpactKind::CoralRestored, 50));
    assert_eq!(receipt.customer.unwrap().customer_id, "C5678");

    let impact: ImpactTotals = round_trip(golden!("impact_coral.response"));
    assert_eq!(amounts(&impact.total), [10, 20, 30, 40, 50]);
    assert_eq!(amounts(&impact.user_impact), [1, 2, 3, 4, 5]);
    assert_eq!(amounts(&impact.customer_impact), [9, 18, 27, 36, 45]);

    let daily: DailyTotals = round_trip(golden!("impact_daily_coral.response"));
    assert_eq!(amounts(&daily.daily_impact[0].totals), [0, 0, 0, 25, 0]);

    let tracking: Tracking = round_trip(golden!("track_cancelled.response"));
    assert_eq!(tracking.impact, Impact::new(ImpactKind::CoralRestored, 50));
}

#[test]
fn metadata_is_sent_and_read_from_records() {
    let metadata = [("source", "checkout"), ("orderId", "A-1001")];
    let metadata = Metadata::from_pairs(metadata).unwrap();
    let plant = PlantTree::new(Trees::of::<3>()).metadata(metadata.clone());
    body_is(&plant, "/v1/plant_tree", golden!("metadata.request"));

    let records: Page<Record> = round_trip(golden!("records_metadata.response"));
    assert_eq!(records.items[0].impact, Impact::new(ImpactKind::CoralRestored, 25));
    assert!(records.items[0].metadata.is_empty());
    assert_eq!(records.items[1].metadata, metadata.into());
    assert_eq!(records.items[1].metadata.get("orderId"), Some("A-1001"));
    assert!(records.items[1].extra.is_empty());

    let records: Page<CustomerRecord> = round_trip(golden!("customer_records_metadata.response"));
    assert_eq!(records.items[0].metadata.get("reefId"), Some("R-9"));
}

#[test]
fn a_donation_names_its_cause() {
    let money = DonateMoney::new(Cents::of::<500>()).category(Category::Veterans);
    body_is(&money, "/v1/donate_money", golden!("donate_money_category.request"));
    let receipt: Receipt = round_trip(golden!("donate_money_category.response"));
    assert_eq!(receipt.category, Some(Category::Veterans));
}

#[test]
fn cancellations_round_trip() {
    let cancel = CancelImpact::new(id()).reason(Reason::new("order refunded").unwrap());
    body_is(&cancel, "/v1/cancel_impact", golden!("cancel_impact.request"));

    let cancelled: Cancellation = round_trip(golden!("cancel_impact.response"));
    assert_eq!(cancelled.message, CancelMessage::Cancelled);
    assert_eq!(cancelled.cancelled_on.to_string(), "2025-03-13T09:00:00.000Z");
    assert_eq!(cancelled.reason.as_ref().unwrap().as_str(), "order refunded");
    assert_eq!(cancelled.impact, Impact::new(ImpactKind::TreePlanted, 5));
    assert_eq!(cancelled.category, Some(Category::Food));
    assert!(cancelled.extra.is_empty());

    let again: Cancellation = round_trip(golden!("cancel_impact_again.response"));
    assert_eq!(again.message, CancelMessage::AlreadyCancelled);
    assert_eq!(again.impact.kind.as_str(), "");

    let tracking: Tracking = round_trip(golden!("track_cancelled.response"));
    assert_eq!(tracking.project_id.as_deref(), Some("reef-9"));
    assert_eq!(tracking.cancelled_on, Some(cancelled.cancelled_on.clone()));
    assert_eq!(tracking.cancellation_reason, cancelled.reason);
    assert!(tracking.extra.is_empty());
}

#[test]
fn everything_with_the_id_of_an_impact_converts_into_a_request() {
    let receipt: Receipt = round_trip(golden!("restore_coral.response"));
    let records: Page<Record> = round_trip(golden!("records_metadata.response"));
    let customers: Page<CustomerRecord> = round_trip(golden!("customer_records_metadata.response"));
    let cancelled: Cancellation = round_trip(golden!("cancel_impact.response"));
    let tracking: Tracking = round_trip(golden!("track_cancelled.response"));

    let (track, cancel) = (TrackImpact::new(id()), CancelImpact::new(id()));
    macro_rules! check {
        ($($row:expr),*) => {$(
            assert_eq!(TrackImpact::from($row), track);
            assert_eq!(CancelImpact::from($row), cancel);
        )*};
    }
    check!(&receipt, &records.items[0], &customers.items[0], &cancelled, &id());
    assert_eq!(id().to_string(), tracking.tracking_id);
    macro_rules! check_text {
        ($($text:expr),*) => {$(
            assert_eq!(TrackImpact::try_from($text).unwrap(), track);
            assert_eq!(CancelImpact::try_from($text).unwrap(), cancel);
        )*};
    }
    let text = tracking.tracking_id.clone();
    check_text!(&tracking, tracking.clone(), &*text, &text, text.clone());
}

#[test]
fn projects_round_trip() {
    let project: Project = round_trip(golden!("project.response"));
    assert_eq!(project.project_type, ProjectType::Ocean);
    assert_eq!(project.about.len(), 2);
    assert_eq!(project.sdgs[0].number, 14);
    assert_eq!((project.latitude, project.longitude), (Some(-12.25), Some(44.5)));
    assert!(project.available && project.extra.is_empty() && project.sdgs[0].extra.is_empty());

    let list: ProjectList = round_trip(golden!("projects.response"));
    assert_eq!(list.projects[0], project);
    assert!(!list.projects[1].available && list.extra.is_empty());
}
