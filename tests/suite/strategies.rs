//! The strategies of the core: requests that the API takes, answers that read
//! back as what they are, and hostile ones that make nothing panic.

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

/// Checks something of many values of a type.
fn of_any<T: Arbitrary>(check: impl Fn(T) -> Result<(), TestCaseError>) {
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&any::<T>(), check).unwrap();
}

fn api() -> Api {
    Api::sandbox("test_strategies").unwrap()
}

/// The emulator refuses what the API would: its status is not 400.
fn is_taken<E: Endpoint + Arbitrary>(statuses: &[u16]) {
    of_any(|endpoint: E| {
        let request =
            api().encode(&endpoint).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let answer = Emulator::default().respond(&request, Utc::now());
        let status = answer.status().as_u16();
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        prop_assert!(statuses.contains(&status), "{} {}", status, body);
        Ok(())
    });
}

#[test]
fn every_request_is_one_that_the_api_takes() {
    is_taken::<GetAccount>(&[200]);
    is_taken::<PlantTree>(&[200]);
    is_taken::<CleanOcean>(&[200]);
    is_taken::<CaptureCarbon>(&[200]);
    is_taken::<DonateMoney>(&[200]);
    is_taken::<RestoreCoral>(&[200]);
    is_taken::<GetImpactTotals>(&[200]);
    is_taken::<GetDailyTotals>(&[200]);
    // No such impact, no such project, a cursor of nobody's.
    is_taken::<CancelImpact>(&[404]);
    is_taken::<TrackImpact>(&[404]);
    is_taken::<ListRecords>(&[200, 400]);
    is_taken::<ListCustomerRecords>(&[200, 400]);
    is_taken::<ListCustomers>(&[200, 400]);
    is_taken::<ListProjects>(&[200]);
    is_taken::<GetProject>(&[200, 404]);
}

fn reads_back<T: Arbitrary + Clone + Debug + PartialEq + Serialize + DeserializeOwned>() {
    of_any(|answer: T| {
        let text = serde_json::to_string(&answer).unwrap();
        let read = serde_json::from_str::<T>(&text)
            .map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert!(
            read == answer,
            "{} came back as {}",
            text,
            serde_json::to_string(&read).unwrap()
        );
        Ok(())
    });
}

#[test]
fn every_answer_reads_back_as_what_it_is() {
    reads_back::<Account>();
    reads_back::<Receipt>();
    reads_back::<Record>();
    reads_back::<CustomerRecord>();
    reads_back::<CustomerSummary>();
    reads_back::<Page<Record>>();
    reads_back::<Page<CustomerRecord>>();
    reads_back::<Page<CustomerSummary>>();
    reads_back::<ImpactTotals>();
    reads_back::<DailyTotals>();
    reads_back::<Cancellation>();
    reads_back::<Tracking>();
    reads_back::<Project>();
    reads_back::<ProjectList>();
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_hostile_answer_makes_nothing_panic(answer in hostile_response()) {
        let answer = || answer.clone();
        let _ = api().decode(&GetAccount, answer());
        let _ = api().decode(&PlantTree::new(oneclick_proto::Trees::of::<1>()), answer());
        let _ = api().decode(&ListRecords::new(), answer());
        let _ = api().decode(&ListCustomerRecords::new(), answer());
        let _ = api().decode(&ListCustomers::new(), answer());
        let _ = api().decode(&GetImpactTotals, answer());
        let _ = api().decode(&GetDailyTotals::new(), answer());
        let _ = api().decode(&ListProjects::new(), answer());
    }

    #[test]
    fn hostile_json_reads_back_after_it_was_taken_for_a_record(json in hostile_json()) {
        let Ok(record) = serde_json::from_value::<Record>(json) else { return Ok(()) };
        let again = serde_json::from_value(serde_json::to_value(&record).unwrap()).unwrap();
        prop_assert_eq!(record, again);
    }
}
