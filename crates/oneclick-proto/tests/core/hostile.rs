//! Hostile responses: an error keeps what arrived, and nothing panics.

use http::{Response, StatusCode};
use oneclick_proto::{
    Api, CancelImpact, Endpoint, Error, ErrorKind, ErrorType, Execution, GetAccount,
    GetDailyTotals, GetImpactTotals, GetProject, ImpactId, ListCustomerRecords, ListCustomers,
    ListProjects, ListRecords, PlantTree, TrackImpact, Tracking, Trees,
};
use proptest::prelude::*;

fn response(status: u16, body: &[u8]) -> Response<&[u8]> {
    Response::builder().status(status).body(body).unwrap()
}

fn decode<E: Endpoint>(endpoint: &E, status: u16, body: &[u8]) -> Result<E::Response, Error> {
    Api::sandbox("test_key").unwrap().decode(endpoint, response(status, body))
}

fn plant() -> PlantTree {
    PlantTree::new(Trees::of::<5>())
}

#[test]
fn a_body_that_cannot_be_decoded_is_an_error_with_status_and_body() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested_in_extra = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        b"".as_slice(),
        b"<html><body>502 Bad Gateway</body></html>",
        br#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_pl"#,
        b"\xff\xfe\x00",
        b"{\"user_id\":\"\xff\"}",
        b"null",
        b"[]",
        br#"{"user_id":"U1","time_utc":"yesterday","tree_planted":5}"#,
        br#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1e400}"#,
        br#"{"user_id":1,"time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}"#,
        nested.as_bytes(),
        nested_in_extra.as_bytes(),
    ] {
        let error = decode(&plant(), 200, body).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Decode), "{error:?}");
        assert_eq!(error.status(), Some(StatusCode::OK));
        assert_eq!(error.body(), &body[..body.len().min(Error::MAX_BODY_BYTES)]);
        // The 2xx may come from a gateway: only a part of a receipt proves the purchase.
        let shows = body.starts_with(br#"{"user_id":"U1","time_utc":"yesterday""#)
            || body.starts_with(br#"{"user_id":1"#);
        let execution = if shows { Execution::Executed } else { Execution::Unknown };
        assert_eq!(error.execution(), execution);
        assert_eq!(error.endpoint(), Some("/v1/plant_tree"));
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn an_error_response_keeps_status_type_message_and_body() {
    let body = br#"{"type":"invalid_request_error","message":"amount is missing","hint":"x"}"#;
    let error = decode(&plant(), 400, body).unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
    assert_eq!(error.error_type(), Some(&ErrorType::InvalidRequestError));
    assert_eq!(error.message(), Some("amount is missing"));
    assert_eq!(error.body(), body);
    assert_eq!(
        error.to_string(),
        "POST /v1/plant_tree: the server responded with 400 Bad Request: invalid_request_error: \
         amount is missing; the request was not executed",
    );
}

#[test]
fn an_error_response_in_another_form_keeps_its_status_and_body() {
    let error = decode(&plant(), 502, b"<html>Bad Gateway</html>").unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!((error.error_type(), error.message()), (None, None));
    assert_eq!(error.body(), b"<html>Bad Gateway</html>");

    let error = decode(&plant(), 403, br#"{"message":"Forbidden","type":7}"#).unwrap_err();
    assert_eq!((error.error_type(), error.message()), (None, Some("Forbidden")));

    let error = decode(&plant(), 418, br#"{"type":"teapot_error","message":5}"#).unwrap_err();
    assert_eq!(error.error_type().unwrap().as_str(), "teapot_error");
    assert_eq!(error.execution(), Execution::Unknown);
}

#[test]
fn a_message_cannot_fake_a_line_of_a_log() {
    let body = br#"{"type":"api_error","message":"a\r\nERROR money gone\u001b[2J"}"#;
    let error = decode(&plant(), 500, body).unwrap_err();
    assert!(!error.to_string().contains(char::is_control), "{error}");
}

#[test]
fn an_invalid_tracking_id_is_an_error_before_anything_is_sent() {
    for id in
        ["", "-", "U1", "U1-", "-2024-09-16T20:34:04.429Z", "U1-yesterday", &"-9".repeat(9999)]
    {
        let tracking = serde_json::json!({
            "tracking_id": id, "impact_initiated": "2024-09-16T20:34:04.429Z", "tree_planted": 1,
        });
        let tracking: Tracking = serde_json::from_value(tracking).unwrap();
        assert!(TrackImpact::try_from(&tracking).is_err(), "{id}");
        assert!(CancelImpact::try_from(&tracking).is_err(), "{id}");
        let error = TrackImpact::try_from(id).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid impact id: expected a user id, a hyphen and a timestamp, such as \
             U123-2024-09-16T20:34:04.429Z",
        );
    }
}

/// Decodes a body as every response, without a panic.
fn decode_as_everything(status: u16, body: &[u8]) {
    fn check<E: Endpoint>(endpoint: &E, status: u16, body: &[u8]) {
        if let Err(error) = decode(endpoint, status, body) {
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert!(error.body().len() <= body.len());
            let _ = format!("{error} {error:?}");
        }
    }
    let id = ImpactId::new("U1", "2024-09-16T20:34:04.429Z".parse().unwrap());
    check(&GetAccount, status, body);
    check(&plant(), status, body);
    check(&GetImpactTotals, status, body);
    check(&GetDailyTotals::new(), status, body);
    check(&ListRecords::new(), status, body);
    check(&ListCustomerRecords::new(), status, body);
    check(&ListCustomers::new(), status, body);
    check(&TrackImpact::new(&id), status, body);
    check(&CancelImpact::new(&id), status, body);
    check(&ListProjects::new(), status, body);
    check(&GetProject::new("x"), status, body);
}

/// JSON with the known names in the wrong places.
fn near_miss() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "2024-09-16T20:34:04.429Z".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let names = proptest::sample::select(vec![
        "user_id",
        "time_utc",
        "tree_planted",
        "customer",
        "customer_id",
        "customer_email",
        "user_records",
        "customer_records",
        "customers",
        "cursor",
        "user_impact",
        "customer_impact",
        "daily_impact",
        "date",
        "tracking_id",
        "impact_initiated",
        "category",
        "email",
        "type",
        "message",
        "kelp_grown",
        "metadata",
        "cancelled_on",
        "reason",
        "projects",
        "project_id",
        "name",
        "sdgs",
        "latitude",
        "available",
        "",
    ]);
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(status in 100u16..1000, body in prop::collection::vec(any::<u8>(), 0..512)) {
        decode_as_everything(status, &body);
    }

    #[test]
    fn no_json_panics(status in prop_oneof![Just(200u16), 100u16..1000], body in near_miss()) {
        decode_as_everything(status, body.to_string().as_bytes());
    }
}
