use chrono::TimeDelta;
use oneclick_emulator::{DONATION_AVAILABLE_AFTER, DONATION_SENT_AFTER, IMPACT_COMPLETED_AFTER};
use serde_json::Value;

use super::world::{ACTIONS, World};

fn uri(receipt: &Value) -> String {
    let text = |field: &str| receipt[field].as_str().unwrap();
    format!("/v1/track?user_id={}&time_utc={}", text("user_id"), text("time_utc"))
}

fn fields(tracking: &Value) -> Vec<&str> {
    tracking.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn an_impact_goes_through_its_stages_by_the_emulators_clock() {
    let mut world = World::new();
    let receipt = world.post("/v1/plant_tree", r#"{"amount":3,"category":"food"}"#);
    let made = world.now;
    let uri = uri(&receipt);

    let first = world.get(&uri);
    assert_eq!(
        first["tracking_id"],
        format!("{}-2025-03-12T15:22:14.753Z", receipt["user_id"].as_str().unwrap()),
    );
    assert_eq!(first["impact_initiated"], receipt["time_utc"]);
    assert_eq!(first["tree_planted"], 3);
    assert_eq!(first["category"], "food");
    assert_eq!(first["is_test_transaction"], true);
    assert_eq!(first.as_object().unwrap().len(), 5);

    world.now = made + DONATION_AVAILABLE_AFTER - TimeDelta::milliseconds(1);
    assert_eq!(world.get(&uri), first);
    world.now = made + DONATION_AVAILABLE_AFTER;
    let available = world.get(&uri);
    assert_eq!(available["donation_available"], "2025-03-12T15:23:14.753Z");
    assert_eq!(available.as_object().unwrap().len(), 6);

    world.now = made + DONATION_SENT_AFTER;
    let sent = world.get(&uri);
    assert_eq!(sent["donation_sent"], "2025-03-12T15:24:14.753Z");
    assert!(sent["assigned_agent"].as_str().unwrap().starts_with("Emulator "), "{sent}");
    assert!(sent["project_location"].as_str().unwrap().contains("does not exist"), "{sent}");
    assert!(sent["location_map"].as_str().unwrap().starts_with("https://maps.example.com/"));
    assert_eq!(sent["live_session_date"], "2025-03-12T15:27:14.753Z");
    assert_eq!(sent.get("impact_completed"), None);

    world.now = made + IMPACT_COMPLETED_AFTER;
    let completed = world.get(&uri);
    assert_eq!(completed["impact_completed"], "2025-03-12T15:27:14.753Z");
    assert!(completed["impact_video"].as_str().unwrap().starts_with("https://video.example.com/"));
    assert!(!fields(&completed).contains(&"certificate"));
    world.pass(TimeDelta::days(365));
    assert_eq!(world.get(&uri), completed);

    world.now = made - TimeDelta::days(1);
    assert_eq!(world.get(&uri), first);
}

#[test]
fn every_kind_can_be_tracked_and_has_its_own_fields() {
    let mut world = World::new();
    for path in ACTIONS {
        for body in [r#"{"amount":1}"#, r#"{"amount":1,"customer_email":"a@b"}"#] {
            let receipt = world.post(path, body);
            world.pass(TimeDelta::hours(1));
            let tracking = world.get(&uri(&receipt));
            assert!(tracking["impact_completed"].is_string());
            let money = path == "/v1/donate_money";
            assert_eq!(fields(&tracking).contains(&"donation_category"), money);
            assert!(!fields(&tracking).contains(&"live_session_date"));
            assert!(!tracking.to_string().contains("a@b"));
            // The project exists, if the impact has one.
            if let Some(project) = tracking.get("project_id") {
                let project = world.get(&format!("/v1/projects/{}", project.as_str().unwrap()));
                assert_eq!(project["organization"], tracking["assigned_agent"]);
                assert_eq!(project["location"], tracking["project_location"]);
            } else {
                assert!(["/v1/restore_coral", "/v1/donate_money"].contains(&path));
            }
        }
    }
}

#[test]
fn an_impact_is_found_only_by_its_exact_id() {
    let mut world = World::new();
    let receipt = world.post("/v1/plant_tree", r#"{"amount":1}"#);
    let good = uri(&receipt);
    world.get(&good);
    let user_id = receipt["user_id"].as_str().unwrap();
    for time in [
        "2025-03-12T15:22:14.752Z",
        "2025-03-12T15:22:14.754Z",
        "2025-03-12T15:22:14.7530Z",
        "2025-03-12T15:22:14.753%2B00:00",
        "2025-03-12t15:22:14.753Z",
    ] {
        let message =
            world.refused_get(404, &format!("/v1/track?user_id={user_id}&time_utc={time}"));
        assert!(message.contains("exactly"), "{message}");
    }
    world.refused_get(404, "/v1/track?user_id=U1&time_utc=2025-03-12T15:22:14.753Z");
    world.key = "test_other";
    world.refused_get(404, &good);
    world.post("/v1/plant_tree", r#"{"amount":1}"#);
    world.refused_get(404, &good);
}

#[test]
fn tracking_requires_both_parts_of_the_id() {
    let mut world = World::new();
    assert!(world.refused_get(400, "/v1/track").contains("`user_id` is missing"));
    assert!(world.refused_get(400, "/v1/track?user_id=U1").contains("`time_utc` is missing"));
    let message = world.refused_get(400, "/v1/track?user_id=U1&time_utc=yesterday");
    assert!(message.contains("`time_utc`"), "{message}");
}
