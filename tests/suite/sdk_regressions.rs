//! What the API's official clients get wrong, and ours must not: one test for
//! each mistake, over every adapter. (That a timestamp goes back byte for byte,
//! and that a name without an address cannot be written, is in the core's tests.)

use std::time::{Duration, Instant};

use oneclick_emulator::Server;
use oneclick_proto::{
    Cursor, Email, ErrorType, Execution, GetAccount, ImpactKind, InvalidValue, Limit,
    ListCustomerRecords, ListCustomers, ListRecords, Pounds, Trees,
};

use crate::adapter::{Adapter, NAME, impatient, plant, soon};
use crate::behaviours;
use crate::raw_server::{RawServer, response};

behaviours! {
    an_address_in_a_query_stays_one_address
    a_cursor_in_a_query_stays_as_it_was
    several_kinds_are_asked_for_at_once
    an_error_keeps_its_status_and_its_type
    an_answer_of_a_proxy_is_not_a_parse_error
    a_silent_server_does_not_hang_the_caller
    a_failure_that_may_pass_is_tried_again
    a_wait_that_the_server_asks_for_is_waited
    many_calls_share_a_connection
    a_record_with_zeros_is_of_the_kind_that_is_not_zero
    a_record_of_an_unknown_kind_is_not_dropped
    a_customers_name_is_not_lost
    an_amount_that_makes_no_sense_is_not_sent
    a_list_is_walked_to_its_end
    a_base_url_can_be_given
}

/// The query of the one request that arrives, as a form decoder reads it.
fn query<S: Adapter, L>(list: L) -> Vec<(String, String)>
where
    L: oneclick_proto::List<Item: Send> + Send + Sync + 'static,
{
    let empty = r#"{"user_records":[],"customer_records":[],"customers":[]}"#;
    let server = RawServer::answering(response("200 OK", "", empty));
    assert!(S::new(&server.url()).walk(list, u64::MAX).is_empty());
    let [request] = &server.requests()[..] else { panic!("one request") };
    let target = request.split(' ').nth(1).unwrap();
    let (_, query) = target.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn an_address_in_a_query_stays_one_address<S: Adapter>() {
    for address in ["a+b@x.com", "a&limit=1000@x.com", "a%2Bb@x.com", "a#b@x.com", "ü@x.com"] {
        let email = || Email::new(address).unwrap();
        let expected = vec![("customer_email".to_owned(), address.to_owned())];
        assert_eq!(query::<S, _>(ListCustomers::new().customer_email(email())), expected);
        assert_eq!(query::<S, _>(ListCustomerRecords::new().customer_email(email())), expected);
    }
}

fn a_cursor_in_a_query_stays_as_it_was<S: Adapter>() {
    let cursor = "a+b/c==&limit=1000 %2B";
    let expected = vec![("cursor".to_owned(), cursor.to_owned())];
    assert_eq!(query::<S, _>(ListRecords::new().cursor(Cursor::new(cursor))), expected);
}

fn several_kinds_are_asked_for_at_once<S: Adapter>() {
    let both = ListRecords::new()
        .filter_by(ImpactKind::CoralRestored)
        .filter_by(ImpactKind::from("kelp_grown"));
    let kind = |name: &str| ("filter_by".to_owned(), name.to_owned());
    assert_eq!(query::<S, _>(both), [kind("coral_restored"), kind("kelp_grown")]);
}

fn an_error_keeps_its_status_and_its_type<S: Adapter>() {
    let body = r#"{"type":"invalid_request_error","message":"no"}"#;
    for status in [400, 401, 429, 500] {
        let server = RawServer::answering(response(&format!("{status} X"), "", body));
        let error = S::new(&server.url()).fails(GetAccount);
        assert_eq!(error.status().unwrap(), status);
        assert_eq!(error.error_type(), Some(&ErrorType::InvalidRequestError));
        assert_eq!(error.message(), Some("no"));
    }
}

fn an_answer_of_a_proxy_is_not_a_parse_error<S: Adapter>() {
    let html = "<html><h1>502 Bad Gateway</h1></html>";
    let server =
        RawServer::answering(response("502 Bad Gateway", "content-type: text/html\r\n", html));
    let error = S::new(&server.url()).fails(plant());
    assert_eq!(error.status().unwrap(), 502);
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!(error.body(), html.as_bytes());
    assert!(!error.to_string().to_lowercase().contains("json"), "{error}");
}

fn a_silent_server_does_not_hang_the_caller<S: Adapter>() {
    let server = RawServer::start(|_, wire| wire.silence());
    let (start, options) = (Instant::now(), impatient());
    let error = S::at(&server.url(), &options).fails(plant());
    assert!(error.is_timeout());
    // Ten times what was allowed: enough for a busy machine, not for ever.
    assert!(start.elapsed() < 10 * options.timeout, "{:?}", start.elapsed());
}

/// Fails once with these headers, then answers.
fn busy_once(headers: &'static str) -> RawServer {
    RawServer::start(move |_, wire| {
        let busy = response("429 Too Many Requests", headers, "");
        let answers = [busy, response("200 OK", "", r#"{"user_id":"U1","email":"a@b"}"#)];
        for answer in answers {
            if wire.request().is_none() || !wire.write(&answer) {
                return;
            }
        }
    })
}

fn a_failure_that_may_pass_is_tried_again<S: Adapter>() {
    let server = busy_once("");
    S::new(&server.url()).with_retry(soon()).send(GetAccount).unwrap();
    assert_eq!(server.requests().len(), 2);
}

fn a_wait_that_the_server_asks_for_is_waited<S: Adapter>() {
    let server = busy_once("retry-after: 1\r\n");
    let start = Instant::now();
    S::new(&server.url()).with_retry(soon()).send(GetAccount).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

fn many_calls_share_a_connection<S: Adapter>() {
    let answer = r#"{"user_id":"U1","email":"a@b"}"#;
    let server = RawServer::answering(response("200 OK", "", answer));
    let client = S::new(&server.url());
    for _ in 0..20 {
        client.send(GetAccount).unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

/// The only record of a page.
fn record<S: Adapter>(amounts: &str) -> oneclick_proto::Record {
    let row = format!(r#"{{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z",{amounts}}}"#);
    let page = format!(r#"{{"user_records":[{row}]}}"#);
    let server = RawServer::answering(response("200 OK", "", &page));
    let mut page = S::new(&server.url()).send(ListRecords::new()).unwrap();
    assert_eq!(page.items.len(), 1);
    page.items.remove(0)
}

fn a_record_with_zeros_is_of_the_kind_that_is_not_zero<S: Adapter>() {
    let amounts = r#""tree_planted":0,"waste_removed":0,"coral_restored":9,"money_donated":0"#;
    let record = record::<S>(amounts);
    assert_eq!((record.impact.kind, record.impact.amount), (ImpactKind::CoralRestored, 9));
}

fn a_record_of_an_unknown_kind_is_not_dropped<S: Adapter>() {
    let record = record::<S>(r#""tree_planted":0,"kelp_grown":9"#);
    assert_eq!(record.impact.to_string(), "kelp_grown: 9");
}

fn a_customers_name_is_not_lost<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let receipt = S::new(emulator.base_url()).send(plant()).unwrap();
    assert_eq!(receipt.customer.unwrap().customer_name.unwrap().as_str(), NAME);
}

fn an_amount_that_makes_no_sense_is_not_sent<S: Adapter>() {
    // Nothing to send comes out of them, whatever would carry it.
    for text in ["-3.5", "3.5", "5.0", "1e3", "NaN", ""] {
        assert!(matches!(text.parse::<Trees>(), Err(InvalidValue::NotANumber { .. })), "{text}");
    }
    for number in [i64::MIN, -3, 0, 10_000_001, i64::MAX] {
        assert!(matches!(Pounds::try_from(number), Err(InvalidValue::OutOfRange { .. })));
    }
}

fn a_list_is_walked_to_its_end<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    for _ in 0..12 {
        client.send(plant()).unwrap();
    }
    let two = ListCustomerRecords::new().limit(Limit::of::<5>());
    assert_eq!(client.walk(two, u64::MAX).len(), 12);
}

fn a_base_url_can_be_given<S: Adapter>() {
    let server = RawServer::answering(response("200 OK", "", r#"{"user_id":"U1","email":"a@b"}"#));
    let below = format!("{}/proxied", server.url());
    S::new(&below).send(GetAccount).unwrap();
    assert!(server.requests()[0].starts_with("GET /proxied/v1/whoami HTTP/1.1\r\n"));
}
