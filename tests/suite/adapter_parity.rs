//! All three adapters return the same error for the same failure. For a test of one behaviour
//! over all of them, see `behaviours!` in `main.rs`.

use oneclick_emulator::Server;
use oneclick_proto::{Api, Error, TransportOptions};

use crate::adapter::{Adapter, Hyper, Reqwest, Ureq, impatient, plant};
use crate::raw_server::{RawServer, response};

/// Everything about an error except its elapsed time.
fn shown(error: &Error) -> String {
    let parts = (error.status(), error.error_type(), error.message(), error.body());
    format!("{error} {:?} {parts:?} {:?}", error.execution(), error.endpoint())
}

/// Buys over each adapter from a server that responds with these bytes.
#[track_caller]
pub(crate) fn all_fail_alike(bytes: Vec<u8>) {
    let server = RawServer::start(move |_, wire| {
        wire.request();
        wire.write(&bytes);
    });
    let url = server.url();
    same([
        Reqwest::new(&url).fails(plant()),
        Ureq::new(&url).fails(plant()),
        Hyper::new(&url).fails(plant()),
    ]);
}

#[track_caller]
pub(crate) fn same(errors: [Error; 3]) {
    let [reqwest, ureq, hyper] = errors.map(|error| shown(&error));
    assert_eq!(reqwest, ureq);
    assert_eq!(reqwest, hyper);
}

#[test]
fn invalid_values_give_the_same_error() {
    macro_rules! errors {
        ($constructor:ident($($argument:expr),*)) => {
            same([
                oneclick_reqwest::Client::$constructor($($argument),*).unwrap_err(),
                oneclick_ureq::Client::$constructor($($argument),*).unwrap_err(),
                oneclick_hyper::Client::$constructor($($argument),*).unwrap_err(),
            ])
        };
    }
    errors!(sandbox("live_x"));
    errors!(production("test_x"));
    errors!(sandbox(""));
    errors!(sandbox("test_x\n"));
    errors!(with_base_url("http://example.com", "test_x"));
    errors!(with_base_url("https://api.1clickimpact.com/", "test_x"));
    errors!(with_base_url("ftp://127.0.0.1", "test_x"));
}

#[test]
fn error_responses_give_the_same_error() {
    for bytes in [
        response(
            "400 X",
            "",
            r#"{"type":"invalid_request_error","message":"`amount` is missing"}"#,
        ),
        response("401 X", "", r#"{"type":"key_error","message":"API Key does not exist"}"#),
        response("429 X", "retry-after: 7\r\n", ""),
        response("502 X", "", "<html></html>"),
        response("302 X", "location: http://127.0.0.1:1/\r\n", ""),
        response("200 OK", "", "{\"user_id\":7}"),
        response("200 OK", "", ""),
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec(),
        b"HTTP/1.1 401 X\r\ncontent-length: 50\r\n\r\n{".to_vec(),
        b"not http\r\n\r\n".to_vec(),
    ] {
        all_fail_alike(bytes);
    }
}

#[test]
fn timeouts_and_large_responses_give_the_same_error() {
    let server = RawServer::start(|_, wire| wire.silence());
    let options = impatient();
    same([
        Reqwest::at(&server.url(), &options).fails(plant()),
        Ureq::at(&server.url(), &options).fails(plant()),
        Hyper::at(&server.url(), &options).fails(plant()),
    ]);
    let server = RawServer::responding(response("200 OK", "", &" ".repeat(1000)));
    let options = TransportOptions::new().max_response_bytes(10);
    let without_body = |mut shown: String| {
        shown.truncate(shown.find(" (status").unwrap());
        shown
    };
    let [reqwest, ureq, hyper] = [
        Reqwest::at(&server.url(), &options).fails(plant()),
        Ureq::at(&server.url(), &options).fails(plant()),
        Hyper::at(&server.url(), &options).fails(plant()),
    ]
    .map(|error| without_body(shown(&error)));
    assert_eq!((&reqwest, &reqwest), (&ureq, &hyper));
}

#[test]
fn a_refusal_by_the_emulator_gives_the_same_error() {
    let emulator = Server::start().unwrap();
    let api = || Api::with_base_url(emulator.base_url(), "old_key").unwrap();
    let options = TransportOptions::new();
    same([
        Reqwest::with_options(api(), &options).unwrap().fails(plant()),
        Ureq::with_options(api(), &options).unwrap().fails(plant()),
        Hyper::with_options(api(), &options).unwrap().fails(plant()),
    ]);
}
