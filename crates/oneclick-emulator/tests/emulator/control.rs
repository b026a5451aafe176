use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use oneclick_emulator::{Fault, ManualClock, Server};
use serde_json::{Value, json};

/// Sends one request on a new connection; the head and the JSON of the response.
pub(crate) fn send(
    server: &Server,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> (String, Value) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let typed = body.map_or("", |_| "content-type: application/json\r\n");
    let body = body.unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_control\r\nconnection: close\r\n\
         {typed}content-length: {}\r\n\r\n{body}",
        body.len(),
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    (head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

pub(crate) fn ok(server: &Server, method: &str, path: &str, body: Option<&str>) -> Value {
    let (head, json) = send(server, method, path, body);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{method} {path}: {head} {json}");
    json
}

#[track_caller]
pub(crate) fn refused(
    server: &Server,
    status: u16,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> String {
    let (head, json) = send(server, method, path, body);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {head} {json}");
    assert_eq!(json["type"], "invalid_request_error");
    json["message"].as_str().unwrap().to_owned()
}

const TREE: Option<&str> = Some(r#"{"amount":1,"metadata":{"order":"A-1"}}"#);

#[test]
fn fault_rules_are_added_listed_and_removed() {
    let server = Server::start().unwrap();
    let once = r#"{"fault":"apply_then_drop","path":"/v1/plant_tree","times":1}"#;
    let cut = r#"{"fault":{"cut_response":{"at":10}},"probability":0.5}"#;
    let busy = r#"{"fault":{"rate_limited":{"retry_after":{"seconds":7}}}}"#;
    for rule in [once, cut, busy] {
        ok(&server, "POST", "/_emulator/faults", Some(rule));
    }
    let rules = [once, cut, busy].map(|rule| serde_json::from_str::<Value>(rule).unwrap());
    assert_eq!(ok(&server, "GET", "/_emulator/faults", None), json!({ "faults": rules }));

    assert_eq!(send(&server, "POST", "/v1/plant_tree", TREE).0, "");
    assert_eq!(ok(&server, "GET", "/_emulator/faults", None), json!({ "faults": rules[1..] }));
    assert_eq!(ok(&server, "DELETE", "/_emulator/faults", None), json!({ "faults": [] }));
    ok(&server, "POST", "/v1/plant_tree", TREE);
    let known = r#"{"fault":"garbage","path":"/v1/projects/{project_id}"}"#;
    let faults = ok(&server, "POST", "/_emulator/faults", Some(known));
    assert_eq!(faults["faults"].as_array().unwrap().len(), 1);
}

#[test]
fn a_wrong_fault_rule_is_refused_with_an_example_of_its_fault() {
    let server = Server::start().unwrap();
    let any = r#" {"fault":"apply_then_drop","path":"/v1/plant_tree","times":1}"#;
    let cut = r#"for example {"fault":{"cut_response":{"at":10}}}"#;
    let never = r#"for example {"fault":{"never_respond":{"applied":true}}}"#;
    let limited = r#"for example {"fault":{"rate_limited":{"retry_after":{"seconds":7}}}}"#;
    let gateway =
        r#"for example {"fault":{"gateway":{"applied":true,"body":"html","status":502}}}"#;
    let garbage = r#"for example {"fault":"garbage","path":"/v1/plant_tree","times":1}"#;
    for (rule, reason, example) in [
        ("", "the body is empty", any),
        ("5", "the body must be a JSON object", any),
        ("{}", "`fault` is missing", any),
        (r#"{"fault":null}"#, "`fault` is null", any),
        (r#"{"fault":"explode"}"#, "unknown fault: `explode`; a rule takes rate_limited, ", any),
        (r#"{"fault":"DropBefore"}"#, "did you mean `drop_before`?", any),
        (r#"{"fault":"garbage","often":1}"#, "unknown field: `often`", any),
        (r#"{"fault":7}"#, "`fault` must be the name of a fault, or an object", "for example {"),
        (r#"{"fault":{"cut_response":1}}"#, "got an object", "for example {"),
        (
            r#"{"fault":{"cut_response":{"to":1}}}"#,
            "unknown field: `to`; cut_response takes at",
            cut,
        ),
        (r#"{"fault":{"cut_response":{"at":-1}}}"#, "`at` of cut_response cannot be -1", cut),
        (r#"{"fault":{"never_respond":{"applied":"yes"}}}"#, "cannot be a string", never),
        (r#"{"fault":{"rate_limited":{"retry_after":7}}}"#, "cannot be 7", limited),
        (r#"{"fault":{"gateway":{"status":99}}}"#, "from 200 to 599, got 99", gateway),
        (r#"{"fault":"garbage","times":1,"probability":0.5}"#, "not both", garbage),
        (r#"{"fault":"garbage","times":-1}"#, "between 1 and 4,294,967,295, got -1", garbage),
        (r#"{"fault":"garbage","times":1.5}"#, "a whole number", garbage),
        (r#"{"fault":"garbage","probability":2}"#, "at most 1, got 2", garbage),
        (r#"{"fault":"garbage","probability":"often"}"#, "a number, got a string", garbage),
    ] {
        let message = refused(&server, 400, "POST", "/_emulator/faults", Some(rule));
        assert!(message.contains(reason) && message.contains(example), "{rule}: {message}");
    }
    let message = refused(&server, 415, "POST", "/_emulator/faults", None);
    assert!(message.contains("Content-Type: application/json"), "{message}");
    assert!(server.emulator().faults().is_empty());
}

#[test]
fn a_fault_rule_that_can_never_hit_is_refused_with_the_reason() {
    let server = Server::start().unwrap();
    for (rule, reason) in [
        (r#"{"fault":"garbage","times":0}"#, "between 1 and 4,294,967,295, got 0"),
        (r#"{"fault":"garbage","probability":0}"#, "above 0 and at most 1, got 0"),
        (r#"{"fault":"garbage","path":"/v1/plant_trees"}"#, "did you mean /v1/plant_tree?"),
        (r#"{"fault":"garbage","path":"/v1/plant_tree?x"}"#, "the API has no such path"),
        (
            r#"{"fault":"garbage","path":"/v1/projects/x"}"#,
            "did you mean /v1/projects/{project_id}?",
        ),
        (
            r#"{"fault":"garbage","path":"a b"}"#,
            "so the rule would never hit; its paths are /v1/who",
        ),
    ] {
        let message = refused(&server, 400, "POST", "/_emulator/faults", Some(rule));
        assert!(message.contains(reason), "{rule}: {message}");
    }
    // An earlier rule hits all of its requests.
    let trees = r#"{"fault":"server_error","path":"/v1/plant_tree"}"#;
    let ocean = r#"{"fault":"garbage","path":"/v1/clean_ocean","times":1}"#;
    for rule in [trees, ocean, ocean] {
        ok(&server, "POST", "/_emulator/faults", Some(rule));
    }
    let more_trees = r#"{"fault":"garbage","path":"/v1/plant_tree","times":1}"#;
    let message = refused(&server, 409, "POST", "/_emulator/faults", Some(more_trees));
    assert!(message.contains(trees) && message.contains("DELETE /_emulator/faults"), "{message}");
    ok(&server, "POST", "/_emulator/faults", Some(r#"{"fault":"garbage"}"#));
    refused(&server, 409, "POST", "/_emulator/faults", Some(ocean));
    assert_eq!(server.emulator().faults().len(), 4);
}

#[test]
fn the_index_lists_every_control_request_with_an_example_that_works() {
    let server = Server::start().unwrap();
    let index = ok(&server, "GET", "/_emulator/", None);
    assert_eq!(ok(&server, "GET", "/_emulator", None), index);
    let requests = index["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 14);
    for request in requests {
        let text = |field: &str| request[field].as_str().unwrap();
        assert!(text("does").len() > 10, "{request}");
        let body = request.get("body").map(Value::to_string);
        ok(&server, text("method"), text("path"), body.as_deref());
    }
    let faults = index["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 17);
    for fault in faults {
        let rule = json!({ "fault": fault, "times": 1 });
        let added = ok(&server, "POST", "/_emulator/faults", Some(&rule.to_string()));
        assert_eq!(added["faults"].as_array().unwrap().last(), Some(&rule));
    }
}

#[test]
fn the_clock_is_read_set_and_advanced() {
    let time = "2025-03-12T15:22:14.753Z";
    let clock = ManualClock::new(time.parse().unwrap());
    for server in [Server::start().unwrap(), Server::builder().clock(clock).start().unwrap()] {
        let set = json!({ "now": time }).to_string();
        ok(&server, "PUT", "/_emulator/clock", Some(&set));
        ok(&server, "POST", "/_emulator/clock/advance", Some(r#"{"millis":86400000}"#));
        let now = ok(&server, "GET", "/_emulator/clock", None)["now"].clone();
        assert!(now.as_str().unwrap().starts_with("2025-03-13T15:2"), "{now}");
        let receipt = ok(&server, "POST", "/v1/plant_tree", TREE);
        assert!(receipt["time_utc"].as_str().unwrap().starts_with("2025-03-13T15:2"));

        ok(&server, "POST", "/_emulator/clock/advance", Some(r#"{"millis":18446744073709551615}"#));
        // The latest possible time.
        let last = ok(&server, "GET", "/_emulator/clock", None)["now"].clone();
        assert!(!last.as_str().unwrap().starts_with("20"), "{last}");
        for (method, path, body, words) in [
            ("PUT", "", r#"{"now":"tomorrow"}"#, "`now` must be a time such as 2025-01-31T12"),
            ("PUT", "", "{}", "`now` is missing: send a time"),
            ("PUT", "", r#"{"time":1}"#, "unknown field: `time`; /_emulator/clock takes now"),
            ("POST", "/advance", r#"{"millis":-1}"#, "`millis` must be a whole number of mil"),
            ("POST", "/advance", r#"{"millis":"60"}"#, "such as 60000, 0 or more, got a string"),
        ] {
            let message =
                refused(&server, 400, method, &format!("/_emulator/clock{path}"), Some(body));
            assert!(message.contains(words), "{body}: {message}");
        }
    }
}

#[test]
fn a_reset_removes_everything() {
    let server = Server::start().unwrap();
    ok(&server, "POST", "/v1/plant_tree", TREE);
    ok(&server, "POST", "/_emulator/faults", Some(r#"{"fault":"garbage"}"#));
    ok(&server, "PUT", "/_emulator/clock", Some(r#"{"now":"2001-01-01T00:00:00Z"}"#));
    ok(&server, "POST", "/_emulator/reset", None);
    let state = ok(&server, "GET", "/_emulator/state", None);
    assert_eq!((&state["accounts"], &state["faults"]), (&json!([]), &json!([])));
    assert!(!state["now"].as_str().unwrap().starts_with("2001"));
    assert_eq!(ok(&server, "GET", "/_emulator/requests", None), json!({ "requests": [] }));
}

#[test]
fn requests_are_logged_without_keys() {
    let server = Server::start().unwrap();
    refused(&server, 400, "POST", "/v1/plant_tree", Some("{}"));
    ok(&server, "POST", "/v1/plant_tree", TREE);
    ok(&server, "GET", "/v1/records?limit=5", None);
    refused(&server, 404, "GET", "/v1/trees", None);
    ok(&server, "POST", "/_emulator/faults", Some(r#"{"fault":"apply_then_drop","times":1}"#));
    send(&server, "POST", "/v1/plant_tree", TREE);
    let log = ok(&server, "GET", "/_emulator/requests", None);
    assert!(!log.to_string().contains("test_control"));
    let log = log["requests"].as_array().unwrap();
    let user_id = ok(&server, "GET", "/v1/whoami", None)["user_id"].clone();
    let [wrong, tree, records, lost, dropped] = &log[..] else { panic!("{log:?}") };
    assert_eq!((&wrong["number"], &wrong["status"]), (&json!(1), &json!(400)));
    assert!(wrong["time"].is_string());
    assert!(log.iter().all(|entry| entry["user_id"] == user_id));
    assert_eq!((&tree["method"], &tree["body"]), (&json!("POST"), &json!(TREE)));
    assert_eq!((&tree["number"], &tree["status"]), (&json!(2), &json!(200)));
    assert_eq!((&records["path"], &records["query"]), (&json!("/v1/records"), &json!("limit=5")));
    assert_eq!((&lost["status"], &lost["fault"]), (&json!(404), &Value::Null));
    assert_eq!((&dropped["status"], &dropped["fault"]), (&json!(200), &json!("apply_then_drop")));
}

#[test]
fn on_request_is_called_once_for_each_logged_request() {
    let (sender, receiver) = mpsc::channel();
    let server = Server::builder()
        .on_request(move |logged| sender.send(logged.clone()).unwrap())
        .start()
        .unwrap();
    ok(&server, "POST", "/v1/plant_tree", TREE);
    ok(&server, "POST", "/_emulator/reset", None);
    ok(&server, "POST", "/_emulator/faults", Some(r#"{"fault":"apply_then_drop","times":1}"#));
    send(&server, "POST", "/v1/plant_tree", TREE);
    refused(&server, 404, "GET", "/v1/ada@example.com?ada@example.com", None);

    let log = ok(&server, "GET", "/_emulator/requests", None);
    drop(server);
    let requests: Vec<_> = receiver.iter().collect();
    // The reset clears the log, and keeps the callback.
    assert_eq!(json!(requests[1..]), log["requests"]);
    let numbers: Vec<_> = requests.iter().map(|logged| logged.number).collect();
    assert_eq!(numbers, [1, 1, 2]);
    assert_eq!(requests[1].fault, Some(Fault::ApplyThenDrop));
    let debug = format!("{requests:?}");
    assert!(debug.contains("404") && !debug.contains("ada") && !debug.contains("A-1"), "{debug}");
}

#[test]
fn on_request_may_lock_the_emulator() {
    let (sender, receiver) = mpsc::channel();
    let place = Arc::new(Mutex::new(None::<Server>));
    let watched = place.clone();
    let server = Server::builder()
        .on_request(move |_| {
            let server = watched.lock().unwrap();
            sender.send(server.as_ref().unwrap().emulator().accounts().len()).unwrap();
        })
        .start()
        .unwrap();
    let mut client = TcpStream::connect(server.address()).unwrap();
    *place.lock().unwrap() = Some(server);
    write!(client, "GET /v1/whoami HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_a\r\n\r\n")
        .unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok(1));
    let server = place.lock().unwrap().take();
    drop(server);
}

#[test]
fn the_state_shows_what_was_really_bought() {
    let server = Server::start().unwrap();
    let own = ok(&server, "POST", "/v1/plant_tree", TREE);
    let gift = r#"{"amount":2,"customer_email":"a@b"}"#;
    ok(&server, "POST", "/_emulator/faults", Some(r#"{"fault":"apply_then_drop","times":1}"#));
    send(&server, "POST", "/v1/restore_coral", Some(gift));
    let handle = json!({ "user_id": own["user_id"], "time_utc": own["time_utc"] }).to_string();
    ok(&server, "POST", "/v1/cancel_impact", Some(&handle));

    let state = ok(&server, "GET", "/_emulator/state", None);
    let [account] = &state["accounts"].as_array().unwrap()[..] else { panic!("{state}") };
    assert_eq!(account["user_id"], own["user_id"]);
    assert_eq!(account["totals"]["coral_restored"], 2);
    assert_eq!(account["customers"][0]["customer_email"], "a@b");
    let ledger = account["ledger"].as_array().unwrap();
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger[0]["metadata"], json!({ "order": "A-1" }));
    assert!(ledger[0]["cancelled_on"].is_string() && ledger[1].get("cancelled_on").is_none());
    assert_eq!((&ledger[1]["coral_restored"], &ledger[1]["hidden"]), (&json!(2), &json!(false)));
}

#[test]
fn a_wrong_path_or_method_gets_a_hint() {
    let server = Server::start().unwrap();
    let message = refused(&server, 404, "GET", "/_emulator/fault", None);
    assert!(message.contains("/_emulator/faults") && message.contains("/_emulator/state"));
    for (method, path, allow) in [
        ("POST", "/_emulator/", "GET, HEAD"),
        ("PUT", "/_emulator/faults", "GET, HEAD, POST, DELETE"),
        ("DELETE", "/_emulator/clock", "GET, HEAD, PUT"),
        ("GET", "/_emulator/clock/advance", "POST"),
        ("GET", "/_emulator/reset", "POST"),
        ("DELETE", "/_emulator/requests", "GET, HEAD"),
        ("POST", "/_emulator/state", "GET, HEAD"),
    ] {
        let (head, _) = send(&server, method, path, None);
        assert!(head.starts_with("HTTP/1.1 405 "), "{method} {path}: {head}");
        assert!(head.contains(&format!("\r\nallow: {allow}\r\n")), "{method} {path}: {head}");
    }
}

#[test]
fn web_pages_of_other_origins_cannot_control_it() {
    let server = Server::start().unwrap();
    ok(&server, "POST", "/v1/plant_tree", TREE);
    let page = "/_emulator/reset HTTP/1.1\r\norigin: http://example.com\r\nx-rest:";
    let (head, body) = send(&server, "POST", page, None);
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(body["message"].as_str().unwrap().contains("Origin"), "{body}");
    assert!(!head.to_lowercase().contains("access-control"), "{head}");
    assert!(server.emulator().account("test_control").is_some());
}
