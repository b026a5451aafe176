use serde_json::Value;

use super::world::{World, column};

fn ids(list: &Value) -> Vec<String> {
    column(&list["projects"], "project_id")
}

#[test]
fn every_project_in_the_list_is_also_available_by_id() {
    let mut world = World::new();
    let list = world.get("/v1/projects");
    assert!(ids(&list).len() >= 5);
    for project in list["projects"].as_array().unwrap() {
        let id = project["project_id"].as_str().unwrap();
        assert_eq!(world.get(&format!("/v1/projects/{id}")), *project);
        // The official Python SDK requires these fields.
        for field in ["project_id", "name", "type", "location", "description", "organization"] {
            assert!(!project[field].as_str().unwrap().is_empty());
        }
        assert!(project["latitude"].is_f64() && project["longitude"].is_f64());
        assert!(project["available"].is_boolean() && project["country_code"].is_string());
        assert!(project["about"].is_array() && project["image_urls"].is_array());
        for goal in project["sdgs"].as_array().unwrap() {
            assert!((1..=17).contains(&goal["number"].as_i64().unwrap()));
            for field in ["id", "title", "description", "color", "link", "icon_url"] {
                assert!(!goal[field].as_str().unwrap().is_empty());
            }
        }
    }
}

#[test]
fn a_type_selects_its_projects() {
    let mut world = World::new();
    let all = ids(&world.get("/v1/projects"));
    let mut picked = Vec::new();
    for project_type in ["trees", "ocean", "carbon"] {
        let list = world.get(&format!("/v1/projects?type={project_type}"));
        assert!(column(&list["projects"], "type").iter().all(|text| text == project_type));
        assert!(!ids(&list).is_empty());
        picked.extend(ids(&list));
    }
    assert_eq!(picked, all);
}

#[test]
fn only_texts_depend_on_the_language() {
    let mut world = World::new();
    let english = world.get("/v1/projects/emulator-mountain-forest");
    assert_eq!(world.get("/v1/projects/emulator-mountain-forest?locale=en"), english);
    for locale in ["de", "es", "fr", "nl"] {
        let project = world.get(&format!("/v1/projects/emulator-mountain-forest?locale={locale}"));
        for field in ["name", "location", "description"] {
            assert_ne!(project[field], english[field], "{locale} {field}");
        }
        assert_ne!(project["sdgs"][0]["title"], english["sdgs"][0]["title"]);
        for field in ["project_id", "type", "organization", "latitude", "available"] {
            assert_eq!(project[field], english[field], "{locale} {field}");
        }
        let list = world.get(&format!("/v1/projects?locale={locale}"));
        assert_eq!(list["projects"][0], project);
    }
    assert_eq!(
        world.get("/v1/projects/emulator-mountain-forest?locale=de")["sdgs"][1]["title"],
        "Leben an Land",
    );
}

#[test]
fn an_id_is_one_percent_encoded_segment() {
    let mut world = World::new();
    world.get("/v1/projects/emulator%2Dclean%2dbay");
    for id in ["..%2Fwhoami%3Fx=1", "..", "%2e%2e", "secret@x.com", "emulator-clean-bay%20", "%00"]
    {
        let message = world.refused_get(404, &format!("/v1/projects/{id}"));
        assert!(message.contains("no project"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}
