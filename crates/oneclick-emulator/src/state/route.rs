//! Which path and method lead where, and what to say to those who are lost.

use http::{Method, StatusCode};

use super::problem::{Problem, letters, without_head};
use super::{Input, Parsed, action, cancel, list, project, read, track};

/// One thing that can be asked for.
pub(super) struct Route {
    pub(super) method: Method,
    /// The path, or its beginning and the name of its last segment in braces.
    pub(super) path: &'static str,
    pub(super) parse: fn(&Input<'_>) -> Parsed,
}

impl Route {
    /// What a path of this route has for the segment in braces, still encoded;
    /// `None` for a path that is not of this route.
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

/// Everything that can be asked for.
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

/// What integrators have been seen to call, in the letters of the path without
/// its version and plural, and what they were looking for.
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

/// The route of a method and a path, and what the path has for the segment
/// in the route's braces.
pub(super) fn find<'p>(
    method: &Method,
    path: &'p str,
) -> Result<(&'static Route, &'p str), Problem> {
    let method = without_head(method);
    let here = ROUTES.iter().filter_map(|route| Some((route, route.segment(path)?)));
    let here: Vec<_> = here.collect();
    if here.is_empty() {
        return Err(lost(path));
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

/// Whether this is the path of a route, braces and all.
pub(crate) fn check_path(path: &str) -> Result<(), Problem> {
    let known = ROUTES.iter().any(|route| route.path == path);
    if known { Ok(()) } else { Err(lost(path).status(StatusCode::BAD_REQUEST)) }
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
            ("/v1/coral", "POST /v1/restore_coral"),
            ("/v1/restoreCorals", "POST /v1/restore_coral"),
            ("/v1/refunds", "POST /v1/cancel_impact"),
            ("/v1/impact/cancel", "POST /v1/cancel_impact"),
            ("/v1/project", "GET /v1/projects"),
            ("/v1/projects/", "GET /v1/projects"),
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

    #[test]
    fn a_segment_in_braces_takes_one_segment_and_no_more() {
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
