use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use oneclick_emulator::{
    DONATION_SENT_AFTER, Delivery, Fault, FaultRule, GatewayBody, ManualClock, RetryAfter, Server,
    ServerBuilder, When,
};
use serde_json::json;

use super::world::World;

const TREES: &str = "/v1/plant_tree";
const TREE: &str = r#"{"amount":1}"#;

/// Sends a purchase on a new connection, and returns the bytes of the response and whether the
/// connection was closed.
fn wire(server: &Server) -> (String, bool) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    write!(
        stream,
        "POST {TREES} HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_wire\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{TREE}",
        TREE.len(),
    )
    .unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (String::from_utf8_lossy(&bytes).into_owned(), true),
            Ok(length) => bytes.extend(&piece[..length]),
            Err(_) => return (String::from_utf8_lossy(&bytes).into_owned(), false),
        }
    }
}

fn server(fault: Fault) -> Server {
    let clock = ManualClock::new("2025-03-12T15:22:14.753Z".parse().unwrap());
    let builder: ServerBuilder = Server::builder().clock(clock);
    builder.fault(FaultRule::new(fault).times(1)).start().unwrap()
}

fn bought(server: &Server) -> usize {
    server.emulator().account("test_wire").map_or(0, |account| account.ledger().count())
}

/// Injects a fault once, checks whether the purchase was applied and that the next request gets
/// its usual response, and returns what [`wire`] does.
fn hit(fault: Fault, applied: bool) -> (String, bool) {
    let server = server(fault);
    let (bytes, closed) = wire(&server);
    assert_eq!(bought(&server), usize::from(applied), "{bytes}");
    assert!(server.emulator().faults().is_empty());
    let (after, _) = wire(&server);
    assert!(after.starts_with("HTTP/1.1 200 OK\r\n") && after.ends_with('}'), "{after}");
    (bytes, closed)
}

#[test]
fn faults_before_a_purchase_is_applied_buy_nothing() {
    let (bytes, _) = hit(Fault::RateLimited { retry_after: None }, false);
    assert!(bytes.starts_with("HTTP/1.1 429 "), "{bytes}");
    assert!(!bytes.to_lowercase().contains("retry-after"), "{bytes}");
    let seconds = Some(RetryAfter::Seconds(7));
    let (bytes, _) = hit(Fault::RateLimited { retry_after: seconds }, false);
    assert!(bytes.contains("\r\nretry-after: 7\r\n"), "{bytes}");
    let date = Some(RetryAfter::Date(60));
    let (bytes, _) = hit(Fault::RateLimited { retry_after: date }, false);
    assert!(bytes.contains("\r\nretry-after: Wed, 12 Mar 2025 15:23:14 GMT\r\n"), "{bytes}");
    assert!(bytes.contains("\r\ndate: Wed, 12 Mar 2025 15:22:14 GMT\r\n"), "{bytes}");
    assert_eq!(bytes.matches("date: ").count(), 1, "{bytes}");

    let (bytes, _) = hit(Fault::ServerError, false);
    assert!(bytes.starts_with("HTTP/1.1 500 ") && bytes.contains("api_error"), "{bytes}");
    let (bytes, _) = hit(Fault::Unavailable, false);
    assert!(bytes.starts_with("HTTP/1.1 503 ") && bytes.contains("text/html"), "{bytes}");
    assert_eq!(hit(Fault::DropBefore, false), (String::new(), true));
    assert_eq!(hit(Fault::NeverRespond { applied: false }, false), (String::new(), false));
}

#[test]
fn faults_after_a_purchase_is_applied_buy_it() {
    assert_eq!(hit(Fault::ApplyThenDrop, true), (String::new(), true));
    assert_eq!(hit(Fault::NeverRespond { applied: true }, true), (String::new(), false));
    let (bytes, _) = hit(Fault::ApplyThenError, true);
    assert!(bytes.starts_with("HTTP/1.1 500 ") && bytes.contains("api_error"), "{bytes}");
    let (bytes, _) = hit(Fault::Garbage, true);
    assert!(bytes.starts_with("HTTP/1.1 200 OK\r\n") && bytes.ends_with("garbage"), "{bytes}");
    let (bytes, closed) = hit(Fault::NotHttp, true);
    assert!(closed && !bytes.contains("HTTP/1.1"), "{bytes}");
}

/// The announced length of a body, and how many bytes of it arrived.
fn lengths(bytes: &str) -> (usize, usize) {
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    (announced.parse().unwrap(), body.len())
}

#[test]
fn a_response_can_be_cut_mislabelled_slow_and_late() {
    let (whole, _) = hit(Fault::LateResponse { millis: 0 }, true);
    let (length, arrived) = lengths(&whole);
    assert_eq!(length, arrived);
    let body = &whole[whole.len() - length..];
    for (at, cut) in [(0, 0), (10, 10), (10_000, length)] {
        let (bytes, closed) = hit(Fault::CutResponse { at }, true);
        assert!(closed && bytes.ends_with(&body[..cut]));
        assert_eq!(lengths(&bytes), (length, cut));
    }
    for (by, announced) in [(5, length + 5), (-5, length - 5), (i32::MIN, 0)] {
        let (bytes, closed) = hit(Fault::WrongLength { by }, true);
        assert!(closed && bytes.ends_with(body));
        assert_eq!(lengths(&bytes), (announced, length));
    }
    let start = Instant::now();
    let (bytes, _) = hit(Fault::SlowBytes { millis: 2 }, true);
    assert!(bytes.starts_with("HTTP/1.1 200 OK\r\n") && bytes.ends_with(body));
    assert_eq!(lengths(&bytes), (length, length));
    assert!(start.elapsed() >= Duration::from_millis(2) * u32::try_from(length).unwrap());
    let start = Instant::now();
    hit(Fault::LateResponse { millis: 100 }, true);
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_body_without_a_length_can_be_cut_without_a_trace() {
    let (whole, closed) = hit(Fault::NoLength { at: None }, true);
    assert!(closed && whole.starts_with("HTTP/1.0 200 OK\r\n"), "{whole}");
    assert!(whole.ends_with('}') && !whole.to_lowercase().contains("length"), "{whole}");
    let (cut, closed) = hit(Fault::NoLength { at: Some(20) }, true);
    assert!(closed && cut.split_once("\r\n\r\n").unwrap().1.len() == 20, "{cut}");
}

#[test]
fn a_gateway_responds_with_any_status_and_body() {
    let respond = |status, applied, body| {
        let mut world = World::new();
        world.emulator.inject(FaultRule::new(Fault::Gateway { status, applied, body }));
        let request = world.request(&http::Method::POST, TREES, TREE);
        let exchange = world.emulator.exchange(&request, world.now);
        assert_eq!(exchange.delivery, Delivery::Whole);
        let bought = world.emulator.account("test_key").unwrap().ledger().count();
        assert_eq!(bought, usize::from(applied));
        let (head, body) = exchange.response.into_parts();
        (head, String::from_utf8(body).unwrap())
    };
    for status in [
        200, 201, 202, 204, 205, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 413,
        422, 425, 429, 500, 502, 503, 504, 599,
    ] {
        for applied in [false, true] {
            let (head, body) = respond(status, applied, GatewayBody::Html);
            assert_eq!(head.status, status);
            let bare = [204, 205, 304].contains(&status);
            assert_eq!(body.is_empty(), bare, "{body}");
            let header = |name| head.headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("content-type"), (!bare).then_some("text/html"));
            let leads_on = [301, 302, 303, 307, 308].contains(&status);
            assert_eq!(header("location"), leads_on.then_some(TREES));
        }
    }
    let (_, message) = respond(429, true, GatewayBody::Message);
    assert!(message.starts_with(r#"{"message":"#) && !message.contains("type"), "{message}");
    for applied in [false, true] {
        assert!(respond(200, applied, GatewayBody::ApiError).1.contains("api_error"));
        assert_eq!(respond(200, applied, GatewayBody::Empty).1, "");
    }
    assert!(respond(201, true, GatewayBody::Own).1.contains(r#""tree_planted":1"#));
    assert!(respond(201, false, GatewayBody::Own).1.contains("api_error"));
    // A number that is not the status of a response counts as 502.
    assert_eq!(respond(99, false, GatewayBody::Html).0.status, 502);
    let rule = r#"{"fault":{"gateway":{"status":99,"applied":true}}}"#;
    assert!(rule.parse::<FaultRule>().is_err());
    assert!(serde_json::from_str::<FaultRule>(&rule.replace("99", "504")).is_ok());

    for status in [204, 205, 304, 307, 504] {
        let gateway = Fault::Gateway { status, applied: true, body: GatewayBody::Html };
        let (bytes, _) = hit(gateway, true);
        assert!(bytes.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes}");
    }
}

#[test]
fn a_purchase_can_be_applied_after_its_connection_was_dropped() {
    let later = || FaultRule::new(Fault::DropThenApply { millis: 5_000 }).times(1);
    let mut world = World::new();
    world.emulator.inject(later());
    let request = world.request(&http::Method::POST, TREES, r#"{"amount":7}"#);
    let asked = world.now;
    let exchange = world.emulator.exchange(&request, asked);
    assert_eq!((exchange.delivery, exchange.response.status().as_u16()), (Delivery::Dropped, 500));
    let bought = |world: &World| world.emulator.account("test_key").unwrap().ledger().count();
    world.pass(TimeDelta::milliseconds(4_999));
    world.emulator.catch_up(world.now);
    assert_eq!(bought(&world), 0);
    world.pass(TimeDelta::days(1));
    world.emulator.catch_up(world.now);
    assert_eq!(bought(&world), 1);
    let record = world.get("/v1/records")["user_records"][0].clone();
    assert_eq!(record["time_utc"], "2025-03-12T15:22:19.753Z");
    assert_eq!(world.get("/v1/impact")["tree_planted"], 7);

    // A cancellation is also applied later; a request that only reads has no effect.
    world.now = asked + TimeDelta::seconds(10);
    let id = json!({ "user_id": record["user_id"], "time_utc": record["time_utc"] }).to_string();
    for (method, path, body) in
        [(http::Method::POST, "/v1/cancel_impact", &*id), (http::Method::GET, "/v1/records", "")]
    {
        world.emulator.inject(later());
        let request = world.request(&method, path, body);
        assert_eq!(world.emulator.exchange(&request, world.now).delivery, Delivery::Dropped);
    }
    assert_eq!(world.get("/v1/impact")["tree_planted"], 7);
    world.pass(TimeDelta::milliseconds(5_000));
    assert_eq!(world.get("/v1/impact")["tree_planted"], 0);
    let cancelled = world.post("/v1/cancel_impact", &id);
    assert_eq!(cancelled["cancelled_on"], "2025-03-12T15:22:29.753Z");
    assert_eq!(cancelled["message"], "impact was already cancelled");
}

#[test]
fn a_server_shows_a_delayed_purchase_without_another_request() {
    let clock = ManualClock::new("2025-03-12T15:22:14.753Z".parse().unwrap());
    let rule = FaultRule::new(Fault::DropThenApply { millis: 5_000 });
    let server = Server::builder().clock(clock.clone()).fault(rule).start().unwrap();
    assert_eq!(wire(&server), (String::new(), true));
    assert_eq!(bought(&server), 0);
    clock.advance(Duration::from_secs(5));
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_server_with_hanging_connections_stops() {
    for fault in [
        Fault::NeverRespond { applied: true },
        Fault::SlowBytes { millis: 60_000 },
        Fault::LateResponse { millis: 60_000 },
    ] {
        let server = server(fault);
        let (bytes, closed) = wire(&server);
        assert!(!closed && !bytes.contains('}'));
        assert_eq!(bought(&server), 1);
        let start = Instant::now();
        drop(server);
        // The grace period is a second; allow for a busy machine.
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_rule_hits_its_path_as_often_as_asked_and_the_first_rule_counts() {
    let mut world = World::new();
    let error = |fault| FaultRule::new(fault).on(TREES);
    world.emulator.inject(error(Fault::ServerError).times(2));
    world.emulator.inject(error(Fault::Unavailable).times(1));
    // Neither requests to other paths nor refused requests count for a rule.
    world.post("/v1/clean_ocean", TREE);
    world.refused_post(400, TREES, "{}");
    world.key = "live_x";
    world.refused_post(401, TREES, TREE);
    world.key = "test_key";
    let request = world.request(&http::Method::POST, TREES, TREE);
    let left =
        |world: &World| -> Vec<_> { world.emulator.faults().iter().map(FaultRule::when).collect() };
    for (status, rest) in [
        (500, vec![When::Times(1), When::Times(1)]),
        (500, vec![When::Times(1)]),
        (503, vec![]),
        (200, vec![]),
    ] {
        assert_eq!(world.emulator.respond(&request, world.now).status(), status);
        assert_eq!(left(&world), rest);
    }
    world.emulator.inject(FaultRule::new(Fault::ServerError).on("/v1/projects/{project_id}"));
    let project = world.request(&http::Method::GET, "/v1/projects/emulator-clean-bay", "");
    assert_eq!(world.emulator.respond(&project, world.now).status(), 500);
    assert_eq!(world.emulator.respond(&project, world.now).status(), 500);
    world.emulator.clear_faults();
    assert_eq!(world.emulator.respond(&project, world.now).status(), 200);
}

#[test]
fn a_request_that_the_api_refuses_does_not_count_for_a_rule() {
    let mut world = World::new();
    let receipt = world.post(TREES, TREE);
    let user_id = receipt["user_id"].as_str().unwrap();
    world.pass(DONATION_SENT_AFTER);
    for fault in [Fault::ServerError, Fault::ApplyThenDrop, Fault::DropBefore, Fault::Garbage] {
        world.emulator.inject(FaultRule::new(fault).times(1));
    }
    let handle = |time_utc| json!({ "user_id": user_id, "time_utc": time_utc }).to_string();
    let unknown = "2001-01-01T00:00:00.000Z";
    world.refused_get(404, &format!("/v1/track?user_id={user_id}&time_utc={unknown}"));
    world.refused_get(404, "/v1/projects/none");
    world.refused_get(400, "/v1/records?cursor=none");
    world.refused_post(404, "/v1/cancel_impact", &handle(unknown));
    let late = handle(receipt["time_utc"].as_str().unwrap());
    world.refused_post(400, "/v1/cancel_impact", &late);
    assert_eq!(world.emulator.faults().len(), 4);
}

#[test]
fn a_request_that_is_not_applied_never_has_a_successful_response() {
    for fault in [Fault::DropBefore, Fault::NeverRespond { applied: false }] {
        let mut world = World::new();
        world.emulator.inject(FaultRule::new(fault.clone()));
        let request = world.request(&http::Method::POST, TREES, TREE);
        let exchange = world.emulator.exchange(&request, world.now);
        assert_eq!(exchange.response.status(), 500);
        assert_ne!(exchange.delivery, Delivery::Whole);
        assert_eq!(exchange.fault, Some(fault));
        assert_eq!(world.emulator.account("test_key").unwrap().ledger().count(), 0);
    }
}

#[test]
fn the_debug_output_of_a_delivered_response_hides_it() {
    let mut world = World::new();
    let ada = r#"{"amount":1,"customer_email":"ada@example.com"}"#;
    let request = world.request(&http::Method::POST, TREES, ada);
    let exchange = world.emulator.exchange(&request, world.now);
    let body = format!("{:?}", exchange.response.body());
    assert!(!format!("{exchange:?}").contains(&body[1..9]), "{exchange:?}");
}

#[test]
fn the_seed_decides_which_requests_a_probability_hits() {
    let draws = |seed| -> Vec<bool> {
        let mut world = World::of(oneclick_emulator::Config::new().seed(seed));
        let rule = FaultRule::new(Fault::ApplyThenDrop).probability(0.3);
        world.emulator.inject(rule);
        let request = world.request(&http::Method::POST, TREES, TREE);
        let mut delivery = || world.emulator.exchange(&request, world.now).delivery;
        (0..2_000).map(|_| delivery() == Delivery::Dropped).collect()
    };
    let first = draws(1);
    assert_eq!(first, draws(1));
    assert_ne!(first, draws(2));
    let hits = first.iter().filter(|hit| **hit).count();
    assert!((500..700).contains(&hits), "{hits} of 2000");

    let mut world = World::new();
    world.emulator.inject(FaultRule::new(Fault::ServerError).probability(1.0));
    for _ in 0..100 {
        let request = world.request(&http::Method::POST, TREES, TREE);
        assert!(world.emulator.exchange(&request, world.now).fault.is_some());
    }
}

#[test]
fn a_rule_that_can_never_hit_panics() {
    fn rule() -> FaultRule {
        FaultRule::new(Fault::ServerError)
    }
    let panics = |make: fn() -> FaultRule, words: &str| {
        let panic = std::panic::catch_unwind(make).unwrap_err();
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        assert!(message.as_ref().unwrap().contains(words), "{message:?}");
    };
    panics(|| rule().times(0), "`times` must be 1 or more, got 0");
    panics(|| rule().on("/v1/trees"), "did you mean /v1/plant_tree?");
    panics(|| rule().probability(0.0), "above 0 and at most 1, got 0");
    panics(|| rule().probability(-0.1), "got -0.1");
    panics(|| rule().probability(1.1), "got 1.1");
    panics(|| rule().probability(f64::NAN), "got NaN");
}

#[test]
fn every_fault_has_one_json_form_with_defaults() {
    let read = |json: &str| json.parse::<FaultRule>().map_err(|error| error.to_string());
    for (name, fault) in [
        ("rate_limited", Fault::RateLimited { retry_after: None }),
        ("server_error", Fault::ServerError),
        ("unavailable", Fault::Unavailable),
        ("gateway", Fault::Gateway { status: 502, applied: true, body: GatewayBody::Html }),
        ("drop_before", Fault::DropBefore),
        ("drop_then_apply", Fault::DropThenApply { millis: 5_000 }),
        ("apply_then_drop", Fault::ApplyThenDrop),
        ("apply_then_error", Fault::ApplyThenError),
        ("late_response", Fault::LateResponse { millis: 5_000 }),
        ("cut_response", Fault::CutResponse { at: 10 }),
        ("no_length", Fault::NoLength { at: None }),
        ("garbage", Fault::Garbage),
        ("not_http", Fault::NotHttp),
        ("wrong_length", Fault::WrongLength { by: 10 }),
        ("slow_bytes", Fault::SlowBytes { millis: 100 }),
        ("never_respond", Fault::NeverRespond { applied: true }),
        ("hidden", Fault::Hidden { millis: 5_000 }),
    ] {
        let rule = FaultRule::new(fault.clone());
        // As a bare name, as a name in a rule, and as an object without fields.
        assert_eq!(read(name).as_ref(), Ok(&rule));
        assert_eq!(read(&json!({ "fault": name }).to_string()).as_ref(), Ok(&rule));
        assert_eq!(read(&json!({ "fault": { name: {} } }).to_string()).as_ref(), Ok(&rule));
        // With all of its fields, as it is serialized.
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(read(&json).as_ref(), Ok(&rule));
        assert_eq!(serde_json::from_str::<FaultRule>(&json).unwrap(), rule);
        assert_eq!(serde_json::from_value::<Fault>(json!(fault)).unwrap(), fault);

        let wrong = json!({ "fault": name, "times": "once" }).to_string();
        let error = read(&wrong).unwrap_err();
        let example = &error[error.find("for example ").unwrap() + 12..];
        assert_eq!(read(example).unwrap().fault(), rule.fault(), "{error}");
        let error = read(&json!({ "fault": { name: { "x": 1 } } }).to_string()).unwrap_err();
        let example = &error[error.find("for example ").unwrap() + 12..];
        let shown = json!(read(example).unwrap().fault()).to_string();
        assert!(shown.contains(name), "{error}");
    }
    assert!(read("never").unwrap_err().contains("unknown fault: `never`"));
    assert!(read("").unwrap_err().contains("the rule is empty"));
    assert!(read("{").unwrap_err().contains("the rule is not JSON"));
}

#[test]
fn a_hidden_purchase_is_invisible_until_its_time() {
    let mut world = World::new();
    world.post(TREES, r#"{"amount":1,"customer_email":"a@b"}"#);
    let lists = [
        "/v1/impact",
        "/v1/impact/daily",
        "/v1/records",
        "/v1/customer_records",
        "/v1/customers",
        "/v1/customers?customer_email=c@d",
    ];
    let before = lists.map(|list| world.get(list));
    world.emulator.inject(FaultRule::new(Fault::Hidden { millis: 5_000 }).times(2));
    let own = world.post(TREES, r#"{"amount":2}"#);
    world.post("/v1/clean_ocean", r#"{"amount":3,"customer_email":"c@d"}"#);
    let handle = |receipt: &serde_json::Value| {
        json!({ "user_id": receipt["user_id"], "time_utc": receipt["time_utc"] }).to_string()
    };
    let track = format!(
        "/v1/track?user_id={}&time_utc={}",
        own["user_id"].as_str().unwrap(),
        own["time_utc"].as_str().unwrap(),
    );
    // A later purchase becomes visible earlier.
    world.pass(TimeDelta::milliseconds(4_999));
    assert_eq!(lists.map(|list| world.get(list)), before);
    world.refused_get(404, &track);
    world.refused_post(404, "/v1/cancel_impact", &handle(&own));
    let account = world.emulator.account("test_key").unwrap();
    assert_eq!(account.ledger().filter(|entry| entry.hidden).count(), 2);
    world.post(TREES, r#"{"amount":4}"#);
    world.pass(TimeDelta::milliseconds(1));

    assert_eq!(world.get("/v1/impact")["tree_planted"], 7);
    assert_eq!(world.get("/v1/impact")["waste_removed"], 3);
    let amounts = super::world::column(&world.get("/v1/records")["user_records"], "tree_planted");
    assert_eq!(amounts, ["2", "4"]);
    let newest = world.get("/v1/records?sort_order=desc&limit=1");
    assert_eq!(newest["user_records"][0]["tree_planted"], 4);
    let customers = world.get("/v1/customers");
    let emails = super::world::column(&customers["customers"], "customer_email");
    assert_eq!(emails, ["a@b", "c@d"]);
    assert_eq!(
        world.get("/v1/customers?customer_email=c@d")["customers"][0]["customer_email"],
        "c@d"
    );
    world.get(&track);
    // What was visible stays visible when the clock is set back.
    world.pass(TimeDelta::days(-1));
    world.get(&track);
    world.post("/v1/cancel_impact", &handle(&own));
}

#[test]
fn the_name_in_a_hidden_purchase_is_invisible_until_its_time() {
    let mut world = World::new();
    let buy = |world: &mut World, name: &str| {
        let body = json!({ "amount": 1, "customer_email": "a@b", "customer_name": name });
        let receipt = world.post(TREES, &body.to_string());
        assert_eq!(receipt["customer"]["customer_name"], name);
    };
    let seen = |world: &mut World| {
        let record = world.get("/v1/customer_records")["customer_records"][0].clone();
        let customer = world.get("/v1/customers")["customers"][0].clone();
        assert_eq!(record["customer"]["customer_name"], customer["customer_name"]);
        customer["customer_name"].as_str().unwrap().to_owned()
    };
    buy(&mut world, "Ada");
    for millis in [1_000, 2_000] {
        world.emulator.inject(FaultRule::new(Fault::Hidden { millis }).on(TREES).times(1));
    }
    buy(&mut world, "Ada L.");
    buy(&mut world, "Ada K.");
    assert_eq!(seen(&mut world), "Ada");
    world.pass(TimeDelta::milliseconds(1_000));
    assert_eq!(seen(&mut world), "Ada L.");
    buy(&mut world, "Lovelace");
    // That purchase is older than the one with the last name.
    world.pass(TimeDelta::milliseconds(1_000));
    assert_eq!(world.get("/v1/impact")["tree_planted"], 4);
    assert_eq!(seen(&mut world), "Lovelace");
}

#[test]
fn no_fault_panics_at_the_earliest_and_latest_times() {
    let faults = [
        Fault::RateLimited { retry_after: Some(RetryAfter::Date(u32::MAX)) },
        Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(u32::MAX)) },
        Fault::Hidden { millis: u64::MAX },
        Fault::LateResponse { millis: u64::MAX },
        Fault::SlowBytes { millis: u64::MAX },
        Fault::CutResponse { at: usize::MAX },
    ];
    for now in [chrono::DateTime::<chrono::Utc>::MIN_UTC, chrono::DateTime::<chrono::Utc>::MAX_UTC]
    {
        for fault in &faults {
            let mut world = World::new();
            world.now = now;
            world.emulator.inject(FaultRule::new(fault.clone()));
            for uri in ["/v1/records", "/v1/impact"] {
                let tree = world.request(&http::Method::POST, TREES, TREE);
                world.emulator.exchange(&tree, now);
                world.emulator.exchange(&world.request(&http::Method::GET, uri, ""), now);
            }
        }
    }
}
