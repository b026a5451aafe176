//! The strategies of the core: valid requests, responses that survive a round trip, and
//! hostile responses that must not cause a panic.

use std::fmt::Debug;

use chrono::Utc;
use oneclick_emulator::Emulator;
use oneclick_proto::strategies::{hostile_json, hostile_response};
use oneclick_proto::{
    Account, Api, CancelImpact, Cancellation, CaptureCarbon, CleanOcean, CustomerRecord,
    CustomerSummary, DailyTotals, DonateMoney, Endpoint, GetAccount, GetDailyTotals,
    GetImpactTotals, GetProject, ImpactTotals, ListCustomerRecords, ListCustomers, ListProjects,
    ListRecords, Page, PlantTree, Project, ProjectList, Receipt, Record, RestoreCoral, TrackImpact,
    Tracking,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Checks many values of a type.
fn check_any<T: Arbitrary>(check: impl Fn(T) -> Result<(), TestCaseError>) {
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&any::<T>(), check).unwrap();
}

fn api() -> Api {
    Api::sandbox("test_strategies").unwrap()
}

/// Asserts that the emulator responds with one of these statuses.
fn is_accepted<E: Endpoint + Arbitrary>(statuses: &[u16]) {
    check_any(|endpoint: E| {
        let request =
            api().encode(&endpoint).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let response = Emulator::default().respond(&request, Utc::now());
        let status = response.status().as_u16();
        let body = String::from_utf8_lossy(response.body()).into_owned();
        prop_assert!(statuses.contains(&status), "{} {}", status, body);
        Ok(())
    });
}

#[test]
fn the_emulator_accepts_every_generated_request() {
    is_accepted::<GetAccount>(&[200]);
    is_accepted::<PlantTree>(&[200]);
    is_accepted::<CleanOcean>(&[200]);
    is_accepted::<CaptureCarbon>(&[200]);
    is_accepted::<DonateMoney>(&[200]);
    is_accepted::<RestoreCoral>(&[200]);
    is_accepted::<GetImpactTotals>(&[200]);
    is_accepted::<GetDailyTotals>(&[200]);
    // The impact, the project or the cursor need not exist.
    is_accepted::<CancelImpact>(&[404]);
    is_accepted::<TrackImpact>(&[404]);
    is_accepted::<ListRecords>(&[200, 400]);
    is_accepted::<ListCustomerRecords>(&[200, 400]);
    is_accepted::<ListCustomers>(&[200, 400]);
    is_accepted::<ListProjects>(&[200]);
    is_accepted::<GetProject>(&[200, 404]);
}

fn survives<T: Arbitrary + Clone + Debug + PartialEq + Serialize + DeserializeOwned>() {
    check_any(|response: T| {
        let text = serde_json::to_string(&response).unwrap();
        let read = serde_json::from_str::<T>(&text)
            .map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert!(
            read == response,
            "{} came back as {}",
            text,
            serde_json::to_string(&read).unwrap()
        );
        Ok(())
    });
}

#[test]
fn every_response_survives_a_round_trip() {
    survives::<Account>();
    survives::<Receipt>();
    survives::<Record>();
    survives::<CustomerRecord>();
    survives::<CustomerSummary>();
    survives::<Page<Record>>();
    survives::<Page<CustomerRecord>>();
    survives::<Page<CustomerSummary>>();
    survives::<ImpactTotals>();
    survives::<DailyTotals>();
    survives::<Cancellation>();
    survives::<Tracking>();
    survives::<Project>();
    survives::<ProjectList>();
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_hostile_response_does_not_panic(response in hostile_response()) {
        let response = || response.clone();
        let _ = api().decode(&GetAccount, response());
        let _ = api().decode(&PlantTree::new(oneclick_proto::Trees::of::<1>()), response());
        let _ = api().decode(&ListRecords::new(), response());
        let _ = api().decode(&ListCustomerRecords::new(), response());
        let _ = api().decode(&ListCustomers::new(), response());
        let _ = api().decode(&GetImpactTotals, response());
        let _ = api().decode(&GetDailyTotals::new(), response());
        let _ = api().decode(&ListProjects::new(), response());
    }

    #[test]
    fn hostile_json_that_is_a_record_survives_a_round_trip(json in hostile_json()) {
        let Ok(record) = serde_json::from_value::<Record>(json) else { return Ok(()) };
        let again = serde_json::from_value(serde_json::to_value(&record).unwrap()).unwrap();
        prop_assert_eq!(record, again);
    }
}
