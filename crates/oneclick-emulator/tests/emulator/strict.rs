use http::{Method, Request};
use serde_json::json;

use super::world::{World, message};

const TREES: &str = "/v1/plant_tree";

#[test]
fn a_wrong_body_is_refused_with_how_to_fix_it() {
    let mut world = World::new();
    for (body, words) in [
        ("", vec!["empty", "amount"]),
        ("{", vec!["not JSON", "line 1"]),
        ("amount=5", vec!["not JSON"]),
        ("{'amount':5}", vec!["not JSON"]),
        (r#"{"amount":5}x"#, vec!["not JSON"]),
        (r#"{"amount":5,}"#, vec!["not JSON"]),
        ("[]", vec!["JSON object"]),
        ("5", vec!["JSON object"]),
        ("null", vec!["JSON object"]),
        (r#""secret""#, vec!["JSON object"]),
        ("{}", vec!["`amount` is missing"]),
        (r#"{"amount":5,"amount":6}"#, vec!["twice", "`amount`"]),
        (r#"{"amount":5,"\u0061mount":6}"#, vec!["twice", "`amount`"]),
        (r#"{"amount":"5"}"#, vec!["`amount`", "without quotes", "a string"]),
        (r#"{"amount":true}"#, vec!["`amount`", "got true"]),
        (r#"{"amount":null}"#, vec!["`amount` is null"]),
        (r#"{"amount":[5]}"#, vec!["`amount`", "an array"]),
        (r#"{"amount":{}}"#, vec!["`amount`", "an object"]),
        (r#"{"amount":5.0}"#, vec!["`amount`", "whole number"]),
        (r#"{"amount":-3.5}"#, vec!["`amount`", "whole number"]),
        (r#"{"amount":1e3}"#, vec!["`amount`", "whole number"]),
        (r#"{"amount":0}"#, vec!["`amount`", "between 1 and 10,000,000"]),
        (r#"{"amount":-1}"#, vec!["`amount`", "-1", "between 1 and 10,000,000"]),
        (r#"{"amount":10000001}"#, vec!["`amount`", "10,000,001", "between 1 and 10,000,000"]),
        (r#"{"amount":99999999999999999999999}"#, vec!["`amount`"]),
        (r#"{"amount":1e999}"#, vec!["not JSON"]),
        (r#"{"Amount":5}"#, vec!["`Amount`", "did you mean `amount`"]),
        (r#"{"quantity":5}"#, vec!["`quantity`", "did you mean `amount`"]),
        (r#"{"amount":5,"customerEmail":"secret@x"}"#, vec!["did you mean `customer_email`"]),
        (
            r#"{"amount":5,"customerEmail":"secret@x","customerName":"Secret"}"#,
            vec!["did you mean `customer_email`", "did you mean `customer_name`"],
        ),
        (r#"{"amount":5,"email":"secret@x"}"#, vec!["`email`", "did you mean `customer_email`"]),
        (r#"{"amount":5,"tags":{}}"#, vec!["`tags`", "did you mean `metadata`", "takes amount"]),
        (r#"{"amount":5,"metadata":"secret"}"#, vec!["`metadata`", "an object", "a string"]),
        (r#"{"amount":5,"metadata":["secret"]}"#, vec!["`metadata`", "an object", "an array"]),
        (r#"{"amount":5,"metadata":null}"#, vec!["`metadata` is null"]),
        (r#"{"amount":5,"metadata":{"a":1}}"#, vec!["`metadata`", "strings", "a number"]),
        (r#"{"amount":5,"metadata":{"a":null}}"#, vec!["`metadata`", "strings", "null"]),
        (r#"{"amount":5,"metadata":{"a":{"b":"secret"}}}"#, vec!["`metadata`", "got an object"]),
        (r#"{"amount":5,"metadata":{"":"secret"}}"#, vec!["`metadata`", "a key is empty"]),
        (r#"{"amount":5,"metadata":{"gift":"secret"}}"#, vec!["`metadata`", "reserved"]),
        (r#"{"amount":5,"metadata":{"widgetID":"secret"}}"#, vec!["`metadata`", "reserved"]),
        (r#"{"amount":5,"metadata":{"a":"1","\u0061":"2"}}"#, vec!["`metadata`", "given twice"]),
        (r#"{"amount":5,"secret@x":1}"#, vec!["unknown field"]),
        (r#"{"amount":5,"customer_name":"Secret"}"#, vec!["without `customer_email`"]),
        (r#"{"amount":5,"customer_email":null}"#, vec!["`customer_email` is null"]),
        (r#"{"amount":5,"customer_email":5}"#, vec!["`customer_email`", "a string"]),
        (r#"{"amount":5,"customer_email":""}"#, vec!["`customer_email`"]),
        (r#"{"amount":5,"customer_email":"secret"}"#, vec!["`customer_email`", "no @"]),
        (r#"{"amount":5,"customer_email":"secret @x"}"#, vec!["`customer_email`", "space"]),
        (
            r#"{"amount":5,"customer_email":"a@x","customer_name":["Secret"]}"#,
            vec!["`customer_name`", "a string"],
        ),
        (r#"{"amount":5,"notify":"no"}"#, vec!["`notify`", "true or false"]),
        (r#"{"amount":5,"category":"fruit"}"#, vec!["`category`", "food"]),
        (r#"{"amount":5,"category":"Food"}"#, vec!["`category`", "food"]),
        (r#"{"amount":5,"category":1}"#, vec!["`category`", "a string"]),
        (r#"{"amount":5,"category":null}"#, vec!["`category` is null"]),
        (r#"{"amount":5,"customer_name":"\ud800"}"#, vec!["not JSON"]),
    ] {
        let message = world.refused_post(400, TREES, body);
        for word in words {
            assert!(message.contains(word), "{body}: {message}");
        }
        assert!(!message.to_lowercase().contains("secret"), "{message}");
    }
    let long = |chars| "secret".repeat(100).chars().take(chars).collect::<String>();
    for (metadata, words) in [
        (json!({ long(41): "" }), ["key must", "40 characters (got 41)"]),
        (json!({ "a": long(501) }), ["value must", "500 characters (got 501)"]),
        ((0..21).map(|at| (at.to_string(), json!(""))).collect(), ["more than 20", "pairs"]),
    ] {
        let body = json!({ "amount": 5, "metadata": metadata }).to_string();
        let message = world.refused_post(400, TREES, &body);
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let most: serde_json::Value =
        (0..20).map(|at| (format!("{at:02}{}", "ß".repeat(38)), json!("🌳".repeat(500)))).collect();
    world.post(TREES, &json!({ "amount": 5, "metadata": most }).to_string());
    for path in ["/v1/clean_ocean", "/v1/capture_carbon", "/v1/restore_coral"] {
        let message = world.refused_post(400, path, r#"{"amount":5,"category":"food"}"#);
        assert!(message.contains("`category`") && message.contains(path), "{message}");
    }
    let many: Vec<_> = (0..1000).map(|at| format!(r#""field{at}":0"#)).collect();
    let message = world.refused_post(400, TREES, &format!("{{{}}}", many.join(",")));
    assert!(message.contains("and more") && message.len() < 1000, "{message}");
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    world.refused_post(400, TREES, &format!(r#"{{"amount":{nested}}}"#));
}

#[test]
fn a_body_needs_the_right_type_size_and_method() {
    let mut world = World::new();
    let body = r#"{"amount":5}"#;

    let mut request = world.request(&Method::POST, TREES, body);
    for good in ["application/json; charset=utf-8", "Application/JSON"] {
        request.headers_mut().insert("content-type", good.parse().unwrap());
        assert_eq!(world.respond(&request).0, 200, "{good}");
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        request.headers_mut().insert("content-type", bad.parse().unwrap());
        let message = message(415, world.respond(&request), bad);
        assert!(message.contains("Content-Type: application/json"), "{message}");
    }
    request.headers_mut().remove("content-type");
    message(415, world.respond(&request), "no content type");

    let mut request = world.request(&Method::POST, TREES, "");
    *request.body_mut() = b"{\"amount\":5,\"customer_name\":\"\xff\"}".to_vec();
    assert!(message(400, world.respond(&request), "latin").contains("UTF-8"));

    let fits = format!("{body}{}", " ".repeat(oneclick_emulator::MAX_BODY_BYTES - body.len()));
    world.post(TREES, &fits);
    let message = world.refused_post(413, TREES, &format!("{fits} "));
    assert!(message.contains("1048576"), "{message}");

    world.refused_post(400, "/v1/plant_tree?amount=5", body);
    let message = super::world::message(
        400,
        world.respond(&world.request(&Method::GET, "/v1/records", r#"{"limit":5}"#)),
        "GET with a body",
    );
    assert!(message.contains("query"), "{message}");
}

#[test]
fn a_wrong_query_is_refused_with_how_to_fix_it() {
    let mut world = World::new();
    for (uri, words) in [
        ("/v1/records?limit=0", vec!["`limit`", "between 1 and 1,000"]),
        ("/v1/records?limit=1001", vec!["`limit`", "1,001", "between 1 and 1,000"]),
        ("/v1/records?limit=-1", vec!["`limit`", "between 1 and 1,000"]),
        ("/v1/records?limit=abc", vec!["`limit`", "whole number"]),
        ("/v1/records?limit=", vec!["`limit`", "whole number"]),
        ("/v1/records?limit=1.5", vec!["`limit`", "whole number"]),
        ("/v1/records?limit=5&limit=5", vec!["`limit`", "twice"]),
        ("/v1/records?limit=5&limit=1000@x.com", vec!["`limit`", "twice"]),
        ("/v1/records?pageSize=5", vec!["`pageSize`", "did you mean `limit`"]),
        ("/v1/records?startDate=2025-01-01", vec!["did you mean `start_date`"]),
        ("/v1/records?filter_by[]=tree_planted", vec!["did you mean `filter_by`"]),
        ("/v1/records?secret@x.com", vec!["unknown parameter"]),
        ("/v1/records?customer_email=secret@x", vec!["`customer_email`", "/v1/records takes"]),
        ("/v1/records?filter_by=trees", vec!["`filter_by`", "tree_planted", "money_donated"]),
        ("/v1/records?filter_by=tree_planted,waste_removed", vec!["repeat it"]),
        ("/v1/records?filter_by=", vec!["`filter_by`"]),
        ("/v1/records?sort_order=descending", vec!["`sort_order`", "asc or desc"]),
        ("/v1/records?sort_order=DESC", vec!["`sort_order`", "asc or desc"]),
        ("/v1/records?start_date=01.02.2025", vec!["`start_date`", "YYYY-MM-DD"]),
        ("/v1/records?start_date=2025-02-30", vec!["`start_date`", "YYYY-MM-DD"]),
        ("/v1/records?end_date=2025-1-1", vec!["`end_date`", "YYYY-MM-DD"]),
        ("/v1/records?end_date=2025-01-01T00:00:00Z", vec!["`end_date`", "YYYY-MM-DD"]),
        (
            "/v1/records?start_date=2025-02-01&end_date=2025-01-01",
            vec!["ends before it starts", "2025-02-01"],
        ),
        (
            "/v1/impact/daily?start_date=2025-02-01&end_date=2025-01-01",
            vec!["ends before it starts"],
        ),
        ("/v1/impact/daily?limit=5", vec!["`limit`", "takes start_date, end_date"]),
        ("/v1/customer_records?customer_email=secret", vec!["`customer_email`"]),
        ("/v1/customer_records?customer_email=secret+b@x.com", vec!["space", "%2B"]),
        ("/v1/customers?filter_by=tree_planted", vec!["`filter_by`", "/v1/customers takes"]),
        ("/v1/customers?customer_email=", vec!["`customer_email`"]),
        ("/v1/customers?cursor=%FF", vec!["UTF-8"]),
        ("/v1/impact?start_date=2025-01-01", vec!["`start_date`", "takes none"]),
        ("/v1/whoami?user_id=U1", vec!["`user_id`"]),
        ("/v1/projects?type=kelp", vec!["`type`", "trees, ocean, carbon"]),
        ("/v1/projects?type=", vec!["`type`"]),
        ("/v1/projects?type=trees&type=ocean", vec!["`type`", "twice"]),
        ("/v1/projects?projectType=trees", vec!["did you mean `type`"]),
        ("/v1/projects?locale=it", vec!["`locale`", "en, de, es, fr, nl"]),
        ("/v1/projects?language=de", vec!["did you mean `locale`"]),
        ("/v1/projects/emulator-clean-bay?locale=EN", vec!["`locale`"]),
        ("/v1/projects/emulator-clean-bay?type=ocean", vec!["`type`", "takes locale"]),
        ("/v1/projects/%FF", vec!["UTF-8"]),
    ] {
        let message = world.refused_get(400, uri);
        for word in words {
            assert!(message.contains(word), "{uri}: {message}");
        }
        assert!(!message.contains("secret"), "{message}");
    }
    world.get("/v1/records?limit=1&sort_order=desc");
    world.get("/v1/records?limit=1000");
    world.get("/v1/records?");
}

#[test]
fn a_wrong_or_misplaced_key_is_refused() {
    let mut world = World::new();
    for key in ["live_secret", "secret", "Test_secret", " test_", "tes"] {
        world.key = key;
        assert_eq!(world.refused_get(401, "/v1/whoami"), "API Key does not exist");
        assert_eq!(world.refused_post(401, TREES, "rubbish"), "API Key does not exist");
    }
    let mut get = |headers: &[(&str, &str)]| {
        let mut request = Request::get("/v1/whoami");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = world.respond(&request.body(Vec::new()).unwrap());
        let message = message(401, response, "no key");
        assert!(message.contains("x-api-key") && !message.contains("secret"), "{message}");
        message
    };
    get(&[]);
    get(&[("x-api-key", "")]);
    get(&[("x-api-key", "test_a"), ("x-api-key", "test_b")]);
    assert!(get(&[("authorization", "Bearer test_secret")]).contains("authorization"));
}

#[test]
fn a_wrong_method_is_refused_with_the_allowed_ones() {
    let mut world = World::new();
    let mut call = |method: Method, path: &str| {
        let response = world.emulator.respond(&world.request(&method, path, ""), world.now);
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        let response = (response.status().as_u16(), super::world::json(&response));
        (allow, message(405, response, path))
    };
    let (allow, message) = call(Method::POST, "/v1/impact");
    assert_eq!(allow, "GET, HEAD");
    assert!(message.contains("send a POST to /v1/plant_tree"), "{message}");
    assert_eq!(call(Method::GET, TREES).0, "POST");
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        assert_eq!(call(method.clone(), TREES).0, "POST");
        assert_eq!(call(method, "/v1/track").0, "GET, HEAD");
    }
}

#[test]
fn a_wrong_path_is_refused_with_the_one_that_was_meant() {
    let mut world = World::new();
    for (path, meant) in [
        ("/v1/plant_trees", "POST /v1/plant_tree"),
        ("/v1/trees", "POST /v1/plant_tree"),
        ("/donations", "POST /v1/donate_money"),
        ("/plant_tree", "POST /v1/plant_tree"),
        ("/v1/records/", "GET /v1/records"),
        ("/v1/refund", "POST /v1/cancel_impact"),
        ("/v1/coral", "POST /v1/restore_coral"),
        ("/", "GET /v1/whoami"),
        ("/v1", "GET /v1/whoami"),
    ] {
        for message in
            [world.refused_get(404, path), world.refused_post(404, path, r#"{"amount":5}"#)]
        {
            assert!(message.contains(meant), "{path}: {message}");
        }
    }
    let message = world.refused_get(404, "/v1/secret@x.com?secret");
    assert!(!message.contains("secret"), "{message}");
    // The path is checked before the key.
    world.key = "live_x";
    world.refused_get(404, "/v1/trees");
}

#[test]
fn no_request_makes_the_emulator_panic() {
    let mut world = World::new();
    let texts = ["", "\u{0}", "%", "%F", "+", "&&==", "\u{FFFD}", "9".repeat(400).as_str()]
        .map(str::to_owned);
    for text in &texts {
        let value: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for name in ["limit", "cursor", "start_date", "user_id", "time_utc", "filter_by", ""] {
            for path in ["/v1/records", "/v1/track", "/v1/customers", "/v1/impact/daily"] {
                let request = world.request(&Method::GET, &format!("{path}?{name}={value}"), "");
                let (status, _) = world.respond(&request);
                assert!((400..500).contains(&status));
            }
        }
        for body in [text.clone(), json!({ "amount": text }).to_string(), json!([text]).to_string()]
        {
            world.refused_post(400, TREES, &body);
        }
    }
}
