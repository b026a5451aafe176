//! Every endpoint over every adapter, against the emulator.

use oneclick_emulator::Server;
use oneclick_proto::{
    CancelImpact, CancelMessage, CaptureCarbon, Category, Cents, CleanOcean, Customer, DonateMoney,
    Email, Endpoint, Fragments, GetAccount, GetDailyTotals, GetImpactTotals, GetProject,
    ImpactKind, Limit, ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Locale,
    Metadata, PlantTree, Pounds, ProjectType, Reason, RestoreCoral, SortOrder, TrackImpact,
    TreeCategory, Trees,
};

use crate::adapter::{Adapter, EMAIL, NAME, plant};
use crate::behaviours;
use crate::raw_server::{RawServer, response};

behaviours! {
    purchases_can_be_read_back
    features_newer_than_the_reference_work
    a_projects_id_stays_in_its_segment_on_the_wire
    unusual_text_survives_a_round_trip
    a_custom_endpoint_can_be_called
    a_wrong_key_is_refused
}

fn purchases_can_be_read_back<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    let account = client.send(GetAccount).unwrap();

    let food = PlantTree::new(Trees::of::<7>()).category(TreeCategory::Food).notify(false);
    let trees = client.send(food).unwrap();
    assert_eq!(trees.user_id, account.user_id);
    let for_ada = client.send(plant()).unwrap();
    let named = for_ada.customer.as_ref().unwrap();
    assert_eq!(named.customer_email.as_str(), EMAIL);
    assert_eq!(named.customer_name.as_ref().unwrap().as_str(), NAME);
    client.send(CleanOcean::new(Pounds::of::<3>())).unwrap();
    client.send(CaptureCarbon::new(Pounds::of::<4>())).unwrap();
    client.send(RestoreCoral::new(Fragments::of::<9>())).unwrap();
    client.send(DonateMoney::new(Cents::of::<500>())).unwrap();

    let totals = client.send(GetImpactTotals).unwrap();
    let total: Vec<_> = ImpactKind::KNOWN.iter().map(|kind| totals.total.get(kind)).collect();
    assert_eq!(total, [12, 3, 4, 9, 500]);
    assert_eq!(totals.user_impact.get(&ImpactKind::TreePlanted), 7);
    assert_eq!(totals.customer_impact.get(&ImpactKind::TreePlanted), 5);
    let days = client.send(GetDailyTotals::new()).unwrap().daily_impact;
    let trees_by_day = days.iter().map(|day| day.totals.get(&ImpactKind::TreePlanted));
    assert_eq!(trees_by_day.sum::<i64>(), 12);

    let newest = ListRecords::new().sort_order(SortOrder::Desc).limit(Limit::of::<2>());
    let records: Vec<_> =
        client.walk(newest, u64::MAX).into_iter().map(|record| record.unwrap().impact).collect();
    let kinds: Vec<_> = records.iter().map(|impact| impact.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["money_donated", "coral_restored", "carbon_captured", "waste_removed", "tree_planted"],
    );

    let of_ada = ListCustomerRecords::new().customer_email(Email::new(EMAIL).unwrap());
    let of_ada = client.walk(of_ada, u64::MAX);
    assert_eq!(of_ada.len(), 1);
    let record = of_ada[0].as_ref().unwrap();
    assert_eq!((&record.user_id, &record.time_utc), (&for_ada.user_id, &for_ada.time_utc));
    let customers = client.walk(ListCustomers::new(), u64::MAX);
    assert_eq!(customers[0].as_ref().unwrap().customer_email.as_str(), EMAIL);

    let tracking = client.send(TrackImpact::from(record)).unwrap();
    assert_eq!(tracking.impact, for_ada.impact);
    assert_eq!(tracking.impact_initiated, for_ada.time_utc);
}

fn features_newer_than_the_reference_work<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    let metadata = Metadata::from_pairs([("order", "A-1001"), ("ünï", "🌳 \"&\\")]).unwrap();

    let coral = RestoreCoral::new(Fragments::of::<9>()).metadata(metadata.clone());
    let receipt = client.send(coral).unwrap();
    let donation = DonateMoney::new(Cents::of::<500>()).category(Category::Climate);
    assert_eq!(client.send(donation).unwrap().category, Some(Category::Climate));
    client.send(plant().metadata(metadata.clone())).unwrap();

    let corals = ListRecords::new().filter_by(ImpactKind::CoralRestored);
    let record = client.walk(corals, u64::MAX).remove(0).unwrap();
    assert_eq!(record.metadata, metadata.clone().into());
    let for_ada = client.walk(ListCustomerRecords::new(), u64::MAX).remove(0).unwrap();
    assert_eq!(for_ada.metadata, metadata.into());

    // A record, a receipt and a `Tracking` can be passed on directly.
    let tracking = client.send(TrackImpact::from(&record)).unwrap();
    assert_eq!(tracking.impact, receipt.impact);
    let reason = Reason::new("order refunded").unwrap();
    let cancelled = client.send(CancelImpact::new(&receipt).reason(reason)).unwrap();
    assert_eq!(cancelled.message, CancelMessage::Cancelled);
    let again = client.send(CancelImpact::try_from(&tracking).unwrap()).unwrap();
    assert_eq!(again.message, CancelMessage::AlreadyCancelled);
    assert_eq!(again.cancelled_on, cancelled.cancelled_on);
    let tracking = client.send(TrackImpact::try_from(&tracking).unwrap()).unwrap();
    assert_eq!(tracking.cancelled_on, Some(cancelled.cancelled_on));
    assert_eq!(tracking.cancellation_reason.unwrap().as_str(), "order refunded");
    let totals = client.send(GetImpactTotals).unwrap();
    assert_eq!(totals.total.get(&ImpactKind::CoralRestored), 0);
    assert_eq!(totals.total.get(&ImpactKind::MoneyDonated), 500);

    let oceans = ListProjects::from(ProjectType::Ocean).locale(Locale::Fr);
    let oceans = client.send(oceans).unwrap().projects;
    assert!(oceans.iter().all(|project| project.project_type == ProjectType::Ocean));
    let id = oceans[0].project_id.as_str();
    let project = client.send(GetProject::new(id).locale(Locale::Fr)).unwrap();
    assert_eq!(project, oceans[0]);
    assert_ne!(client.send(GetProject::new(id)).unwrap().description, project.description);
}

fn a_projects_id_stays_in_its_segment_on_the_wire<S: Adapter>() {
    let project = response(
        "200 OK",
        "",
        include_str!("../../crates/oneclick-proto/tests/golden/project.response.json"),
    );
    let server = RawServer::responding(project);
    let client = S::new(&server.url());
    for (id, target) in [
        ("../whoami?x=1", "/v1/projects/..%2Fwhoami%3Fx%3D1"),
        ("a/../b", "/v1/projects/a%2F..%2Fb"),
        ("%2e%2e", "/v1/projects/%252e%252e"),
        ("é#;=", "/v1/projects/%C3%A9%23%3B%3D"),
    ] {
        client.send(GetProject::new(id)).unwrap();
        let sent = server.requests().pop().unwrap();
        assert!(sent.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{sent}");
    }
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    assert_eq!(client.fails(GetProject::new("../whoami?x=1")).status().unwrap(), 404);
    assert!(client.fails(GetProject::new("..")).status().is_none());
}

fn unusual_text_survives_a_round_trip<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    for email in ["a+b@x.com", "a&limit=1000@x.com", "ü#?%41@exämple.com"] {
        let customer = Customer::new(email).unwrap().name("Zoë \"&\\\u{0}\n漢字 🌳");
        let receipt = client.send(PlantTree::new(Trees::of::<1>()).customer(customer)).unwrap();
        let only = ListCustomers::new().customer_email(Email::new(email).unwrap());
        let found = client.send(only).unwrap();
        assert_eq!(found.items.len(), 1);
        assert_eq!(found.items[0].customer_email.as_str(), email);
        assert_eq!(found.items[0].customer_name, receipt.customer.unwrap().customer_name);
    }
}

fn a_custom_endpoint_can_be_called<S: Adapter>() {
    #[derive(serde::Serialize)]
    struct Own;

    impl Endpoint for Own {
        type Response = serde_json::Value;
        const METHOD: http::Method = http::Method::GET;
        const PATH: &'static str = "/v1/whoami";
        const IDEMPOTENT: bool = true;
    }

    let emulator = Server::start().unwrap();
    let account = S::new(emulator.base_url()).send(Own).unwrap();
    assert!(account["user_id"].is_string());
}

fn a_wrong_key_is_refused<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let api = oneclick_proto::Api::with_base_url(emulator.base_url(), "old_key").unwrap();
    let client = S::with_options(api, &oneclick_proto::TransportOptions::new()).unwrap();
    let error = client.fails(GetAccount);
    assert_eq!(error.status().unwrap(), 401);
    assert_eq!(error.message(), Some("API Key does not exist"));
}
