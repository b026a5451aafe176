//! Which path and method lead where, and what to say to those who are lost.

use http::{Method, StatusCode};

use super::problem::{Problem, letters};
use super::{Input, Parsed, action, list, read, track};

/// One thing that can be asked for.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) parse: fn(&Input<'_>) -> Parsed,
}

const fn get(path: &'static str, parse: fn(&Input<'_>) -> Parsed) -> Route {
    Route { method: Method::GET, path, parse }
}

const fn post(path: &'static str, parse: fn(&Input<'_>) -> Parsed) -> Route {
    Route { method: Method::POST, path, parse }
}

/// Everything that can be asked for.
static ROUTES: &[Route] = &[
    get("/v1/whoami", read::whoami),
    post("/v1/plant_tree", action::plant_tree),
    post("/v1/clean_ocean", action::clean_ocean),
    post("/v1/capture_carbon", action::capture_carbon),
    post("/v1/donate_money", action::donate_money),
    get("/v1/impact", read::impact),
    get("/v1/impact/daily", read::daily_impact),
    get("/v1/records", list::records),
    get("/v1/customer_records", list::customer_records),
    get("/v1/customers", list::customers),
    get("/v1/track", track::track),
];

/// What integrators have been seen to call, in the letters of the path without
/// its version and plural, and what they were looking for.
const ALIASES: &[(&[&str], &str)] = &[
    (&["tree", "plant", "treeplanted"], "/v1/plant_tree"),
    (&["ocean", "waste", "cleanup", "wasteremoved", "plastic"], "/v1/clean_ocean"),
    (&["capture", "carboncapture", "carboncaptured", "offset", "co2"], "/v1/capture_carbon"),
    (&["donate", "donation", "money", "moneydonated"], "/v1/donate_money"),
    (&["total", "aggregatedimpact"], "/v1/impact"),
    (&["dailyimpact", "daily"], "/v1/impact/daily"),
    (&["userrecord", "history"], "/v1/records"),
    (&["me", "account", "user"], "/v1/whoami"),
    (&["tracking"], "/v1/track"),
];

/// The route of a method and a path.
pub(super) fn find(method: &Method, path: &str) -> Result<&'static Route, Problem> {
    let here: Vec<_> = ROUTES.iter().filter(|route| route.path == path).collect();
    if here.is_empty() {
        return Err(lost(path));
    }
    here.iter().find(|route| route.method == *method).copied().ok_or_else(|| {
        let methods: Vec<_> = here.iter().map(|route| route.method.as_str()).collect();
        let allow = methods.join(", ");
        let actions = ROUTES.iter().filter(|route| route.method == Method::POST);
        let hint = if method == Method::POST {
            let actions: Vec<_> = actions.map(|route| route.path).collect();
            format!("; impacts are made by POST to {}", actions.join(", "))
        } else {
            String::new()
        };
        let message = format!("{path} takes {allow} only{hint}");
        Problem::invalid(message).status(StatusCode::METHOD_NOT_ALLOWED).allow(allow)
    })
}

/// The path is not repeated: it can hold anything.
fn lost(path: &str) -> Problem {
    let name = |route: &Route| format!("{} {}", route.method, route.path);
    let routes = || ROUTES.iter().map(name).collect::<Vec<_>>().join(", ");
    let hint = meant(path).map_or_else(
        || format!("there are {}", routes()),
        |route| format!("did you mean {}?", name(route)),
    );
    let message = format!("there is no such path; {hint}");
    Problem::invalid(message).status(StatusCode::NOT_FOUND)
}

fn meant(path: &str) -> Option<&'static Route> {
    let core = core(path);
    let alias = || {
        let (_, path) = ALIASES.iter().find(|(names, _)| names.contains(&core.as_str()))?;
        ROUTES.iter().find(|route| route.path == *path)
    };
    ROUTES.iter().find(|route| self::core(route.path) == core).or_else(alias)
}

/// The letters of a path without version and plural: those of `/v1/plant_tree`
/// and of `/api/plantTrees/` are the same.
fn core(path: &str) -> String {
    let segments = path.split('/').map(letters);
    let prefix = |segment: &String| matches!(segment.as_str(), "" | "api" | "v1" | "v2");
    let core: String = segments.skip_while(prefix).collect();
    core.trim_end_matches('s').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_mistakes_are_led_to_the_right_path() {
        for (path, meant) in [
            ("/v1/plant_trees", "POST /v1/plant_tree"),
            ("/v1/plant_tree/", "POST /v1/plant_tree"),
            ("/v1/plantTree", "POST /v1/plant_tree"),
            ("/v1/plant-tree", "POST /v1/plant_tree"),
            ("/V1/PLANT_TREE", "POST /v1/plant_tree"),
            ("//v1//plant_tree", "POST /v1/plant_tree"),
            ("/plant_tree", "POST /v1/plant_tree"),
            ("/v2/plant_tree", "POST /v1/plant_tree"),
            ("/v1/trees", "POST /v1/plant_tree"),
            ("/donations", "POST /v1/donate_money"),
            ("/v1/donate", "POST /v1/donate_money"),
            ("/impact", "GET /v1/impact"),
            ("/v1/daily_impact", "GET /v1/impact/daily"),
            ("/v1/record", "GET /v1/records"),
            ("/v1/customerRecords", "GET /v1/customer_records"),
            ("/v1/customer", "GET /v1/customers"),
            ("/api/whoami", "GET /v1/whoami"),
        ] {
            let answer = find(&Method::GET, path).err().unwrap().answer();
            assert_eq!(answer.status(), 404);
            let body = String::from_utf8(answer.into_body()).unwrap();
            assert!(body.contains(&format!("did you mean {meant}?")), "{path}: {body}");
        }
    }

    #[test]
    fn aliases_lead_to_routes_and_do_not_hide_them() {
        for (names, path) in ALIASES {
            assert!(ROUTES.iter().any(|route| route.path == *path));
            for name in *names {
                assert_eq!(core(name), *name);
                assert!(ROUTES.iter().all(|route| core(route.path) != *name), "{name}");
            }
        }
    }

    #[test]
    fn a_path_that_reminds_of_nothing_gets_all_of_them_and_is_not_repeated() {
        let answer = find(&Method::GET, "/ada@example.com").err().unwrap().answer();
        let body = String::from_utf8(answer.into_body()).unwrap();
        assert!(body.contains("POST /v1/plant_tree") && !body.contains("ada"), "{body}");
    }
}
