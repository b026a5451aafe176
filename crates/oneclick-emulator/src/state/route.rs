//! The routes of the API, and hints for requests that match none.

use http::{Method, StatusCode};

use super::problem::{Problem, head_as_get, letters};
use super::{Input, Parsed, action, cancel, list, project, read, track};

/// An endpoint of the API.
pub(super) struct Route {
    pub(super) method: Method,
    /// The path; its last segment can be a parameter in braces.
    pub(super) path: &'static str,
    pub(super) parse: fn(&Input<'_>) -> Parsed,
}

impl Route {
    /// The parameter of a path, still percent-encoded, or `""` if the route has none.
    /// `None` if the path does not match.
    fn segment<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.split_once('{') {
            None => (path == self.path).then_some(""),
            Some((beginning, _)) => {
                let segment = path.strip_prefix(beginning)?;
                (!segment.is_empty() && !segment.contains('/')).then_some(segment)
            }
        }
    }
}

const fn get(path: &'static str, parse: fn(&Input<'_>) -> Parsed) -> Route {
    Route { method: Method::GET, path, parse }
}

const fn post(path: &'static str, parse: fn(&Input<'_>) -> Parsed) -> Route {
    Route { method: Method::POST, path, parse }
}

static ROUTES: &[Route] = &[
    get("/v1/whoami", read::whoami),
    post("/v1/plant_tree", action::plant_tree),
    post("/v1/clean_ocean", action::clean_ocean),
    post("/v1/capture_carbon", action::capture_carbon),
    post("/v1/restore_coral", action::restore_coral),
    post("/v1/donate_money", action::donate_money),
    post("/v1/cancel_impact", cancel::cancel_impact),
    get("/v1/impact", read::impact),
    get("/v1/impact/daily", read::daily_impact),
    get("/v1/records", list::records),
    get("/v1/customer_records", list::customer_records),
    get("/v1/customers", list::customers),
    get("/v1/track", track::track),
    get("/v1/projects", project::projects),
    get("/v1/projects/{project_id}", project::project_by_id),
];

/// Paths that integrators have used, as [`core`], with the path that they needed.
const ALIASES: &[(&[&str], &str)] = &[
    (&["tree", "plant", "treeplanted"], "/v1/plant_tree"),
    (&["ocean", "waste", "cleanup", "wasteremoved", "plastic"], "/v1/clean_ocean"),
    (&["capture", "carboncapture", "carboncaptured", "offset", "co2"], "/v1/capture_carbon"),
    (&["coral", "reef", "coralrestored", "coralrestoration"], "/v1/restore_coral"),
    (&["donate", "donation", "money", "moneydonated"], "/v1/donate_money"),
    (&["cancel", "refund", "reverse", "cancellation", "impactcancel"], "/v1/cancel_impact"),
    (&["total", "aggregatedimpact"], "/v1/impact"),
    (&["dailyimpact", "daily"], "/v1/impact/daily"),
    (&["userrecord", "history"], "/v1/records"),
    (&["me", "account", "user"], "/v1/whoami"),
    (&["tracking"], "/v1/track"),
];

/// The route of a method and a path, and the parameter in the path.
pub(super) fn find<'p>(
    method: &Method,
    path: &'p str,
) -> Result<(&'static Route, &'p str), Problem> {
    let method = head_as_get(method);
    let here: Vec<_> = matching(path).collect();
    if here.is_empty() {
        return Err(not_found(path));
    }
    here.iter().find(|(route, _)| route.method == *method).copied().ok_or_else(|| {
        let methods = here.iter().map(|(route, _)| route.method.as_str());
        let problem = Problem::method(here[0].0.path, methods);
        if method != Method::POST {
            return problem;
        }
        let posts = ROUTES.iter().filter(|route| route.method == Method::POST);
        let posts: Vec<_> = posts.map(|route| route.path).collect();
        problem.hint(&format!("; send a POST to {}", posts.join(", ")))
    })
}

/// The routes that match a path, each with the parameter in it.
fn matching(path: &str) -> impl Iterator<Item = (&'static Route, &str)> {
    ROUTES.iter().filter_map(move |route| Some((route, route.segment(path)?)))
}

/// Checks that a path is one of the API's, with its parameter in braces.
pub(crate) fn check_path(path: &str) -> Result<&'static str, Problem> {
    if let Some(route) = ROUTES.iter().find(|route| route.path == path) {
        return Ok(route.path);
    }
    let meant = matching(path).map(|(route, _)| route).next().or_else(|| meant(path));
    let hint = hint(meant, |route| route.path.to_owned());
    Err(Problem::invalid(format!("the API has no such path, so the rule would never hit; {hint}")))
}

/// A 404 with a hint. The path itself can hold anything, so it is not shown.
fn not_found(path: &str) -> Problem {
    let hint = hint(meant(path), |route| format!("{} {}", route.method, route.path));
    let message = format!("the API has no such path; {hint}");
    Problem::invalid(message).status(StatusCode::NOT_FOUND)
}

/// Suggests the route that was probably meant, or all of them.
fn hint(meant: Option<&Route>, name: fn(&Route) -> String) -> String {
    meant.map_or_else(
        || format!("its paths are {}", ROUTES.iter().map(name).collect::<Vec<_>>().join(", ")),
        |route| format!("did you mean {}?", name(route)),
    )
}

/// The route that was probably meant.
fn meant(path: &str) -> Option<&'static Route> {
    let core = core(path);
    let alias = || {
        let (_, path) = ALIASES.iter().find(|(names, _)| names.contains(&core.as_str()))?;
        ROUTES.iter().find(|route| route.path == *path)
    };
    ROUTES.iter().find(|route| self::core(route.path) == core).or_else(alias)
}

/// The letters of a path without its version and plural: the same for `/v1/plant_tree` and
/// `/api/plantTrees/`.
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
    fn a_known_mistake_gets_a_hint_at_the_right_path() {
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
            ("/v1/coral", "POST /v1/restore_coral"),
            ("/v1/restoreCorals", "POST /v1/restore_coral"),
            ("/v1/refunds", "POST /v1/cancel_impact"),
            ("/v1/impact/cancel", "POST /v1/cancel_impact"),
            ("/v1/project", "GET /v1/projects"),
            ("/v1/projects/", "GET /v1/projects"),
        ] {
            let response = find(&Method::GET, path).err().unwrap().response();
            assert_eq!(response.status(), 404);
            let body = String::from_utf8(response.into_body()).unwrap();
            assert!(body.contains(&format!("did you mean {meant}?")), "{path}: {body}");
        }
    }

    #[test]
    fn each_alias_names_a_route_and_hides_none() {
        for (names, path) in ALIASES {
            assert!(ROUTES.iter().any(|route| route.path == *path));
            for name in *names {
                assert_eq!(core(name), *name);
                assert!(ROUTES.iter().all(|route| core(route.path) != *name), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_path_gets_the_list_of_paths_and_is_not_shown() {
        let response = find(&Method::GET, "/ada@example.com").err().unwrap().response();
        let body = String::from_utf8(response.into_body()).unwrap();
        assert!(body.contains("POST /v1/plant_tree") && !body.contains("ada"), "{body}");
    }

    #[test]
    fn a_parameter_matches_exactly_one_segment() {
        let segment = |path| find(&Method::GET, path).ok().map(|(route, text)| (route.path, text));
        let project = "/v1/projects/{project_id}";
        assert_eq!(segment("/v1/projects/x"), Some((project, "x")));
        assert_eq!(segment("/v1/projects/..%2Fwhoami"), Some((project, "..%2Fwhoami")));
        assert_eq!(segment("/v1/projects"), Some(("/v1/projects", "")));
        for path in ["/v1/projects/", "/v1/projects/x/", "/v1/projects/x/y", "/v1/projectsx"] {
            assert_eq!(segment(path), None, "{path}");
        }
    }
}
