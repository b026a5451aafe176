//! Responses of every status, and invalid bodies.

use oneclick_proto::{ErrorKind, ErrorType, Execution, GetAccount};

use crate::adapter::{Adapter, EMAIL, KEY, NAME, plant};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_response_is_read
    an_error_has_status_type_message_body_and_execution
    a_body_that_is_not_json_is_kept
    only_the_apis_own_error_proves_that_nothing_was_executed
    a_2xx_counts_as_executed_only_with_a_field_of_the_receipt
    no_message_shows_what_the_server_echoes
    a_chunked_response_is_read
    a_1xx_response_is_not_taken_for_the_final_one
}

fn a_response_is_read<S: Adapter>() {
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let receipt = S::new(&server.url()).send(plant()).unwrap();
    assert_eq!(receipt.impact.amount, 5);
    let [request] = &server.requests()[..] else { panic!("one request") };
    let lower = request.to_ascii_lowercase();
    assert!(request.starts_with("POST /v1/plant_tree HTTP/1.1\r\n"), "{request}");
    assert!(lower.contains(&format!("\r\nhost: {}\r\n", server.address())), "{request}");
    assert!(lower.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    assert!(request.contains(&format!(": {KEY}\r\n")), "{request}");
    // Without the header, a server may choose an encoding.
    let encoding = if cfg!(feature = "gzip") { "gzip" } else { "identity" };
    assert!(lower.contains(&format!("\r\naccept-encoding: {encoding}\r\n")), "{request}");
    assert_eq!(lower.matches("accept-encoding").count(), 1, "{request}");
    assert!(!lower.contains("transfer-encoding"), "{request}");
    assert_eq!(lower.matches("\r\nuser-agent:").count(), 1, "{request}");
    assert_eq!(lower.matches("\r\naccept:").count(), 1, "{request}");
}

fn an_error_has_status_type_message_body_and_execution<S: Adapter>() {
    use Execution::{NotExecuted, Unknown};
    for (status, execution) in [
        (300, Unknown),
        (304, Unknown),
        (400, NotExecuted),
        (401, NotExecuted),
        (403, NotExecuted),
        (404, NotExecuted),
        (405, NotExecuted),
        (408, Unknown),
        (409, NotExecuted),
        (413, NotExecuted),
        (414, NotExecuted),
        (415, NotExecuted),
        (418, Unknown),
        (422, NotExecuted),
        (425, NotExecuted),
        (429, NotExecuted),
        (500, Unknown),
        (502, Unknown),
        (503, Unknown),
        (504, Unknown),
        (599, Unknown),
    ] {
        // A 304 has no body, whatever its headers say.
        let body = if status == 304 { "" } else { r#"{"type":"api_error","message":"no"}"# };
        let server =
            RawServer::responding(response(&format!("{status} X"), "retry-after: 1\r\n", body));
        let error = S::new(&server.url()).fails(plant());
        assert!(matches!(error.kind(), ErrorKind::Status(_)), "{error:?}");
        assert_eq!(error.status().unwrap(), status);
        assert_eq!(error.execution(), execution, "{status}");
        assert_eq!(error.body(), body.as_bytes());
        if !body.is_empty() {
            assert_eq!(error.error_type(), Some(&ErrorType::ApiError));
            assert_eq!(error.message(), Some("no"));
        }
        assert_eq!(error.attempts(), 1);
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

fn a_body_that_is_not_json_is_kept<S: Adapter>() {
    let html = "<html><h1>502 Bad Gateway</h1></html>";
    let server =
        RawServer::responding(response("502 Bad Gateway", "content-type: text/html\r\n", html));
    let error = S::new(&server.url()).fails(plant());
    assert_eq!((error.error_type(), error.message()), (None, None));
    assert_eq!(error.body(), html.as_bytes());
}

fn only_the_apis_own_error_proves_that_nothing_was_executed<S: Adapter>() {
    for status in [400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 425, 429] {
        for body in ["", "<html></html>", r#"{"message":"no"}"#, r#"{"type":"api_error"}"#] {
            let server = RawServer::responding(response(&format!("{status} X"), "", body));
            let error = S::new(&server.url()).fails(plant());
            assert_eq!(error.execution(), Execution::Unknown, "{status} {body}");
        }
    }
}

fn a_2xx_counts_as_executed_only_with_a_field_of_the_receipt<S: Adapter>() {
    use Execution::{Executed, Unknown};
    for (body, execution) in [
        ("", Unknown),
        ("null", Unknown),
        ("<html></html>", Unknown),
        ("{\"user_id\":\"U1\"", Unknown),
        ("{}", Unknown),
        ("\u{0}", Unknown),
        (r#"{"type":"api_error","message":"no"}"#, Unknown),
        (r#"{"time_utc":"2024-09-16T20:34:04.429Z"}"#, Executed),
        (r#"{"user_id":"U1","tree_planted":5}"#, Executed),
    ] {
        for status in ["200 OK", "201 Created"] {
            let server = RawServer::responding(response(status, "", body));
            let error = S::new(&server.url()).fails(plant());
            assert!(matches!(error.kind(), ErrorKind::Decode), "{error:?}");
            assert_eq!(error.execution(), execution, "{body}");
            assert_eq!(error.body(), body.as_bytes());
        }
    }
    let server = RawServer::responding("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(S::new(&server.url()).fails(plant()).execution(), Unknown);
}

fn no_message_shows_what_the_server_echoes<S: Adapter>() {
    let body = format!(r#"{{"type":"{NAME}","message":"{KEY} {EMAIL} {NAME}"}}"#);
    for status in ["200 OK", "302 Found", "400 Bad Request", "500 X"] {
        let headers = format!("location: http://127.0.0.1/{EMAIL}\r\nx-echo: {KEY}\r\n");
        let server = RawServer::responding(response(status, &headers, &body));
        // `fails` checks everything that the error shows.
        S::new(&server.url()).fails(plant());
    }
}

fn a_chunked_response_is_read<S: Adapter>() {
    let (first, second) = RECEIPT.split_at(20);
    let server = RawServer::responding(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len(),
    ));
    assert_eq!(S::new(&server.url()).send(plant()).unwrap().impact.amount, 5);
}

fn a_1xx_response_is_not_taken_for_the_final_one<S: Adapter>() {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec();
    bytes.extend(response("200 OK", "", r#"{"user_id":"U1","email":"a@b"}"#));
    let server = RawServer::responding(bytes);
    // A transport may skip it or fail, but must not return it.
    match S::new(&server.url()).send(GetAccount) {
        Ok(account) => assert_eq!(account.user_id.as_str(), "U1"),
        Err(error) => assert_eq!(error.execution(), Execution::Unknown),
    }
    assert_eq!(server.requests().len(), 1);
}
