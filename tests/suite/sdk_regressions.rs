//! Mistakes of the API's official clients that ours must not repeat: one test for each, over
//! every adapter. (The core's tests check that a timestamp is sent back byte for byte, and
//! that a customer cannot have a name without an address.)

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
    a_cursor_in_a_query_stays_unchanged
    several_kinds_can_be_filtered_at_once
    an_error_keeps_its_status_and_its_type
    a_proxys_error_page_is_not_a_parse_error
    a_silent_server_does_not_hang_the_caller
    a_transient_failure_is_retried
    retry_after_is_obeyed
    many_calls_share_a_connection
    a_record_with_zeros_has_the_kind_that_is_not_zero
    a_record_of_an_unknown_kind_is_kept
    a_customers_name_is_kept
    an_invalid_amount_cannot_be_sent
    a_list_is_read_to_its_end
    a_base_url_can_be_given
}

/// The query of the only request that arrives, as a form decoder reads it.
fn query<S: Adapter, L>(list: L) -> Vec<(String, String)>
where
    L: oneclick_proto::List<Item: Send> + Send + Sync + 'static,
{
    let empty = r#"{"user_records":[],"customer_records":[],"customers":[]}"#;
    let server = RawServer::responding(response("200 OK", "", empty));
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

fn a_cursor_in_a_query_stays_unchanged<S: Adapter>() {
    let cursor = "a+b/c==&limit=1000 %2B";
    let expected = vec![("cursor".to_owned(), cursor.to_owned())];
    assert_eq!(query::<S, _>(ListRecords::new().cursor(Cursor::new(cursor))), expected);
}

fn several_kinds_can_be_filtered_at_once<S: Adapter>() {
    let both = ListRecords::new()
        .filter_by(ImpactKind::CoralRestored)
        .filter_by(ImpactKind::from("kelp_grown"));
    let kind = |name: &str| ("filter_by".to_owned(), name.to_owned());
    assert_eq!(query::<S, _>(both), [kind("coral_restored"), kind("kelp_grown")]);
}

fn an_error_keeps_its_status_and_its_type<S: Adapter>() {
    let body = r#"{"type":"invalid_request_error","message":"no"}"#;
    for status in [400, 401, 429, 500] {
        let server = RawServer::responding(response(&format!("{status} X"), "", body));
        let error = S::new(&server.url()).fails(GetAccount);
        assert_eq!(error.status().unwrap(), status);
        assert_eq!(error.error_type(), Some(&ErrorType::InvalidRequestError));
        assert_eq!(error.message(), Some("no"));
    }
}

fn a_proxys_error_page_is_not_a_parse_error<S: Adapter>() {
    let html = "<html><h1>502 Bad Gateway</h1></html>";
    let server =
        RawServer::responding(response("502 Bad Gateway", "content-type: text/html\r\n", html));
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
    // Ten times the timeout is enough for a busy machine.
    assert!(start.elapsed() < 10 * options.timeout, "{:?}", start.elapsed());
}

/// Responds with 429 and these headers once, then with 200.
fn busy_once(headers: &'static str) -> RawServer {
    RawServer::start(move |_, wire| {
        let busy = response("429 Too Many Requests", headers, "");
        let responses = [busy, response("200 OK", "", r#"{"user_id":"U1","email":"a@b"}"#)];
        for bytes in responses {
            if wire.request().is_none() || !wire.write(&bytes) {
                return;
            }
        }
    })
}

fn a_transient_failure_is_retried<S: Adapter>() {
    let server = busy_once("");
    S::new(&server.url()).with_retry(soon()).send(GetAccount).unwrap();
    assert_eq!(server.requests().len(), 2);
}

fn retry_after_is_obeyed<S: Adapter>() {
    let server = busy_once("retry-after: 1\r\n");
    let start = Instant::now();
    S::new(&server.url()).with_retry(soon()).send(GetAccount).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

fn many_calls_share_a_connection<S: Adapter>() {
    let body = r#"{"user_id":"U1","email":"a@b"}"#;
    let server = RawServer::responding(response("200 OK", "", body));
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
    let server = RawServer::responding(response("200 OK", "", &page));
    let mut page = S::new(&server.url()).send(ListRecords::new()).unwrap();
    assert_eq!(page.items.len(), 1);
    page.items.remove(0)
}

fn a_record_with_zeros_has_the_kind_that_is_not_zero<S: Adapter>() {
    let amounts = r#""tree_planted":0,"waste_removed":0,"coral_restored":9,"money_donated":0"#;
    let record = record::<S>(amounts);
    assert_eq!((record.impact.kind, record.impact.amount), (ImpactKind::CoralRestored, 9));
}

fn a_record_of_an_unknown_kind_is_kept<S: Adapter>() {
    let record = record::<S>(r#""tree_planted":0,"kelp_grown":9"#);
    assert_eq!(record.impact.to_string(), "kelp_grown: 9");
}

fn a_customers_name_is_kept<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let receipt = S::new(emulator.base_url()).send(plant()).unwrap();
    assert_eq!(receipt.customer.unwrap().customer_name.unwrap().as_str(), NAME);
}

fn an_invalid_amount_cannot_be_sent<S: Adapter>() {
    // The values cannot even be built.
    for text in ["-3.5", "3.5", "5.0", "1e3", "NaN", ""] {
        assert!(matches!(text.parse::<Trees>(), Err(InvalidValue::NotANumber { .. })), "{text}");
    }
    for number in [i64::MIN, -3, 0, 10_000_001, i64::MAX] {
        assert!(matches!(Pounds::try_from(number), Err(InvalidValue::OutOfRange { .. })));
    }
}

fn a_list_is_read_to_its_end<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    for _ in 0..12 {
        client.send(plant()).unwrap();
    }
    let two = ListCustomerRecords::new().limit(Limit::of::<5>());
    assert_eq!(client.walk(two, u64::MAX).len(), 12);
}

fn a_base_url_can_be_given<S: Adapter>() {
    let server = RawServer::responding(response("200 OK", "", r#"{"user_id":"U1","email":"a@b"}"#));
    let below = format!("{}/proxied", server.url());
    S::new(&below).send(GetAccount).unwrap();
    assert!(server.requests()[0].starts_with("GET /proxied/v1/whoami HTTP/1.1\r\n"));
}
