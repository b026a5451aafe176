//! No `Debug` and no message contains a key, an e-mail address or a name.

use std::error::Error as _;
use std::time::Duration;

use http::{Method, Response};
use oneclick_proto::{
    Account, Api, ApiKey, BaseUrl, BodyReader, Call, CancelImpact, Cancellation, Client, Cursor,
    Customer, CustomerRecord, CustomerSummary, Email, Endpoint, Error, ErrorBody, ErrorKind,
    ErrorType, GetAccount, ImpactId, Intent, ListCustomerRecords, ListCustomers, Machine, Metadata,
    Outcome, Page, Pager, PlantTree, Reason, Receipt, Record, Redacted, RetryPolicy, Settlement,
    Step, Tracking, TransportError, Trees, UserId, VerifiedPurchase,
};
use serde_json::json;

const KEY: &str = "test_5ecretKey";
const EMAIL: &str = "ada.lovelace@example.com";
const NAME: &str = "Ada Lovelace";

#[track_caller]
fn check(shown: &str) {
    for secret in [KEY, "5ecret", EMAIL, "ada.lovelace", "%40example", NAME, "Lovelace"] {
        assert!(!shown.contains(secret), "{secret} is in: {shown}");
        // A body could be printed as numbers, too.
        let numbers = format!("{:?}", secret.as_bytes());
        assert!(!shown.contains(numbers.trim_matches(['[', ']'])), "{secret} is in: {shown}");
    }
}

fn check_error(error: &Error) {
    check(&format!("{error}\n{error:#}\n{error:?}\n{error:#?}"));
    let mut source = error.source();
    while let Some(cause) = source {
        check(&format!("{cause}\n{cause:?}"));
        source = cause.source();
    }
}

fn api() -> Api {
    Api::sandbox(KEY).unwrap()
}

fn plant() -> PlantTree {
    let metadata = Metadata::from_pairs([("for", NAME), ("order", "A-1001")]).unwrap();
    let customer = Customer::new(EMAIL).unwrap().name(NAME);
    PlantTree::new(Trees::of::<1>()).customer(customer).metadata(metadata)
}

/// The first step of a call that is sent once.
fn start<E: Endpoint>(endpoint: E) -> Step<Call<E>> {
    Call::new(endpoint).start(&api(), RetryPolicy::NEVER, 0, Duration::ZERO)
}

/// A cancellation whose reason contains a name.
fn cancel() -> CancelImpact {
    let id: ImpactId = "U1-2024-09-16T20:34:04.429Z".parse().unwrap();
    CancelImpact::new(id).reason(Reason::new(NAME).unwrap())
}

#[test]
fn requests_and_values_hide_them() {
    let email = Email::new(EMAIL).unwrap();
    check(&format!("{:?} {:?} {:?}", api(), ApiKey::new(KEY), BaseUrl::sandbox()));
    check(&format!("{:?} {:?} {email:?}", plant(), cancel()));
    check(&format!("{:?}", ListCustomerRecords::new().customer_email(email.clone())));
    let customers = ListCustomers::new().customer_email(email).cursor(Cursor::new(EMAIL));
    check(&format!("{:?} {:?}", customers, Pager::new(customers.clone())));
    let Step::Send(request, sent) = start(plant()) else { panic!("a call sends first") };
    check(&format!("{sent:?} {:?}", request.headers()));
    let intent = Intent::new("shop", "order-1");
    let purchase = VerifiedPurchase::new(&intent, plant()).unwrap();
    check(&format!("{purchase:?} {:?}", purchase.purchase()));
    let mut step = purchase.start(&api(), RetryPolicy::STANDARD, 0, Duration::ZERO);
    let account = || Ok(Response::new(r#"{"user_id":"U1","email":"x@y.z"}"#.as_bytes().to_vec()));
    for number in 0..4 {
        let Step::Send(_, sent) = step else { panic!("a request") };
        let state = sent.state().clone();
        check(&format!("{sent:?} {state:?} {}", serde_json::to_string(&state).unwrap()));
        let lost = || Err(TransportError::exchange("reset"));
        step = sent.finish(if number == 0 { account() } else { lost() }, Duration::ZERO);
        check(&format!("{step:?}"));
        if let Step::Wait(_, waiting) = step {
            check(&format!("{waiting:?}"));
            step = waiting.wake(Duration::ZERO);
        }
    }
    let open = VerifiedPurchase::recover(&intent, plant()).unwrap();
    let settlement = Settlement::new([open]);
    check(&format!("{settlement:?}"));
    let Step::Send(_, sent) = settlement.start(&api(), RetryPolicy::NEVER, 0, Duration::ZERO)
    else {
        panic!("it reads a list")
    };
    let row = json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 1,
        "customer": {"customer_id": "U2", "customer_name": NAME, "customer_email": EMAIL},
        "metadata": {"for": NAME}});
    let page = json!({"customer_records": [row]}).to_string().into_bytes();
    let Step::Send(_, sent) = sent.finish(Ok(Response::new(page)), Duration::ZERO) else {
        panic!("it reads the other list")
    };
    check(&format!("{sent:?}"));
    let client: oneclick_proto::BlockingClient<()> = Client::with_transport(api(), ());
    check(&format!("{client:?}"));
}

fn shown<T: serde::de::DeserializeOwned + std::fmt::Debug>(value: serde_json::Value) {
    check(&format!("{:?}", serde_json::from_value::<T>(value).unwrap()));
}

#[test]
fn debug_forms_name_their_types() {
    let client: oneclick_proto::BlockingClient<()> = Client::with_transport(api(), ());
    let (head, ()) = Response::new(()).into_parts();
    for (shown, name) in [
        (format!("{:?}", ApiKey::new(KEY).unwrap()), "ApiKey"),
        (format!("{:?}", start(plant())), "Send(POST /v1/plant_tree"),
        (
            format!("{:?}", VerifiedPurchase::new(&Intent::new("a", "b"), plant()).unwrap()),
            "VerifiedPurchase { purchase",
        ),
        (format!("{client:?}"), "Client { base_url: https://sandbox.1clickimpact.com"),
        (format!("{:?}", Pager::new(ListCustomers::new())), "Pager { next: More"),
        (
            format!("{:?}", BodyReader::new(&Method::GET, head, 7)),
            "BodyReader { status: 200, bytes: 0, limit: 7",
        ),
        (format!("{:?}", TransportError::connect("x")), "TransportError { phase: Connect"),
        (format!("{:?}", Email::new(EMAIL).unwrap()), "Email("),
        (format!("{:?}", Cursor::new(EMAIL)), "Cursor("),
        (format!("{:?}", Redacted::new(NAME)), "Redacted("),
        (format!("{:?}", UserId::from("U1")), r#"UserId("U1")"#),
        (format!("{:?}", cancel().impact.time_utc), "2024-09-16T20:34:04.429Z"),
    ] {
        assert!(shown.starts_with(name), "{shown}");
    }
}

#[test]
fn responses_hide_them() {
    let customer =
        json!({"customer_id": "U2", "customer_email": EMAIL, "customer_name": NAME, "x": EMAIL});
    let row = json!({
        "user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 1,
        "customer": customer, "note": NAME, EMAIL: 1, "category": EMAIL,
        "metadata": {"for": NAME, EMAIL: "x"}, "cancelled_on": "2024-09-16T20:34:04.429Z",
        "message": NAME, "reason": NAME, "cancellation_reason": NAME,
        "tracking_id": "x", "impact_initiated": "2024-09-16T20:34:04.429Z",
    });
    shown::<Cancellation>(row.clone());
    shown::<Tracking>(row.clone());
    shown::<Receipt>(row.clone());
    shown::<Record>(row.clone());
    shown::<CustomerRecord>(row.clone());
    shown::<Page<CustomerRecord>>(json!({"customer_records": [row], "cursor": EMAIL}));
    shown::<Account>(json!({"user_id": "U1", "email": EMAIL}));
    let mut entry = customer;
    entry["onboarded_on"] = "2024-09-16T20:34:04.429Z".into();
    shown::<CustomerSummary>(entry);
    shown::<ErrorBody>(json!({"type": ErrorType::ApiError, "message": EMAIL}));
}

/// Bodies in which a server repeats the request, in all kinds of quotation marks.
fn echoes() -> Vec<String> {
    let message =
        format!("no {EMAIL}, '{NAME}' <{EMAIL}> {NAME} key={KEY} ada.lovelace%40example.com");
    vec![
        json!({"type": "invalid_request_error", "message": message}).to_string(),
        json!({"type": EMAIL, "message": KEY}).to_string(),
        json!({"type": NAME}).to_string(),
        json!({"user_id": [EMAIL]}).to_string(),
        json!({"user_id": EMAIL, "time_utc": NAME}).to_string(),
        json!({"user_id": EMAIL, "time_utc": KEY, "tree_planted": EMAIL}).to_string(),
        format!("<html>{message}</html>"),
        format!("\"{EMAIL}, expected {NAME}\""),
    ]
}

#[test]
fn errors_hide_what_the_server_echoes() {
    for body in echoes() {
        for status in [200, 302, 400, 401, 500] {
            let response = Response::builder().status(status).header("location", EMAIL);
            let response = response.body(body.as_bytes()).unwrap();
            check_error(&api().decode(&plant(), response.clone()).unwrap_err());
        }
    }
}

#[test]
fn errors_hide_metadata_and_reasons() {
    let only = Metadata::from_pairs([("for", NAME)]).unwrap();
    let only = PlantTree::new(Trees::of::<1>()).metadata(only);
    let body = json!({"type": "api_error", "message": format!("so much for {NAME}")}).to_string();
    let response = || Response::builder().status(400).body(body.as_bytes()).unwrap();
    check_error(&api().decode(&only, response()).unwrap_err());
    check_error(&api().decode(&cancel(), response()).unwrap_err());
}

/// Each word is the only one in its request, so that no other word can hide it.
#[test]
fn each_personal_word_is_hidden_and_others_are_shown() {
    fn message<E: Endpoint>(request: &E, word: &str) -> String
    where
        E::Response: std::fmt::Debug,
    {
        let body = json!({"type": "api_error", "message": format!("no {word} today")}).to_string();
        let response = Response::builder().status(400).body(body).unwrap();
        api().decode(request, response).unwrap_err().to_string()
    }

    /// An endpoint without a personal field.
    #[derive(serde::Serialize)]
    struct Own {
        filter: std::collections::BTreeMap<&'static str, &'static str>,
    }

    impl Endpoint for Own {
        type Response = serde_json::Value;
        const METHOD: Method = Method::POST;
        const PATH: &'static str = "/v1/own";
        const IDEMPOTENT: bool = true;
    }

    let tree = || PlantTree::new(Trees::of::<1>());
    let customer = Customer::new("x@localhost.example").unwrap();
    let metadata = Metadata::from_pairs([("for", "Wren")]).unwrap();
    for (request, word) in [
        (tree().customer(customer.clone().name("Wren")), "Wren"),
        (tree().customer(customer.clone()), "localhost.example"),
        (tree().metadata(metadata), "Wren"),
    ] {
        let message = message(&request, word);
        assert!(!message.contains(word), "{message}");
    }
    // A short word must match as a whole, a longer one only at its start.
    let named = |name: &str| tree().customer(customer.clone().name(name));
    assert!(!message(&named("Wren"), "Wrensong").contains("Wren"));
    assert!(!message(&named("Ada"), "Ada").contains("Ada"));
    assert!(message(&named("Ada"), "adage").contains("adage"));
    let shown = message(&Own { filter: [("by", "height")].into() }, "height");
    assert!(shown.contains("height"), "{shown}");
    // A cursor comes from the API.
    let shown = message(&ListCustomers::new().cursor(Cursor::new("page-two")), "page-two");
    assert!(shown.contains("page-two"), "{shown}");
}

#[test]
fn errors_of_the_transport_hide_the_partial_response() {
    fn finish<E: Endpoint>(endpoint: E, error: TransportError) {
        check(&format!("{error} {error:?}"));
        let Step::Send(_, sent) = start(endpoint) else { panic!("a call sends first") };
        let outcome: Result<Response<Vec<u8>>, _> = Err(error);
        match sent.finish(outcome, Duration::ZERO) {
            Step::Done(Err(error)) => {
                check_error(&error);
                let ErrorKind::Transport(source) = error.kind() else { panic!("{error}") };
                assert!(source.status().is_some() && source.status() == error.status());
            }
            _ => panic!("an error is an error"),
        }
    }
    for body in echoes() {
        for status in [200, 400, 500] {
            let head = || {
                let response = Response::builder().status(status).header("x-echo", EMAIL);
                response.body(()).unwrap().into_parts().0
            };
            let reader =
                BodyReader::new(&Method::GET, head(), 10_000).push(body.as_bytes()).unwrap();
            check(&format!("{reader:?}"));
            finish(plant(), reader.cut("eof"));
            let reader =
                BodyReader::new(&Method::GET, head(), body.len()).push(body.as_bytes()).unwrap();
            if let Err(error) = reader.push(b"x") {
                finish(plant(), error);
            }
        }
    }
}

/// The requests for the records do not contain the customer's name, but the server may know
/// it.
#[test]
fn errors_of_a_verified_purchase_hide_all_data_of_the_purchase() {
    let intent = Intent::new("shop", "order-1");
    for body in echoes() {
        for status in [200, 400, 500] {
            let echo = || -> Result<Response<Vec<u8>>, TransportError> {
                Ok(Response::builder().status(status).body(body.clone().into_bytes()).unwrap())
            };
            for purchase in [
                VerifiedPurchase::new(&intent, plant()).unwrap(),
                VerifiedPurchase::recover(&intent, plant()).unwrap(),
            ] {
                let mut now = Duration::ZERO;
                let mut step = purchase.start(&api(), RetryPolicy::NEVER, 0, now);
                let outcome = loop {
                    step = match step {
                        Step::Send(_, sent) => sent.finish(echo(), now),
                        Step::Wait(wait, waiting) => {
                            now += wait;
                            waiting.wake(now)
                        }
                        Step::Done(outcome) => break outcome,
                    };
                };
                check(&format!("{outcome} {outcome:?}"));
                match &outcome {
                    Outcome::Refused(error) => check_error(error),
                    Outcome::NotBought(not) => not.error.iter().for_each(check_error),
                    Outcome::Pending(pending) => pending.error.iter().for_each(check_error),
                    outcome => panic!("{outcome:?}"),
                }
            }
        }
    }
}

#[test]
fn errors_of_values_hide_them() {
    let pairs = [(NAME.repeat(9), 1), ("k".to_owned(), 99), (String::new(), 1)];
    for (key, times) in pairs {
        let error = Metadata::from_pairs([(key, NAME.repeat(times))]).unwrap_err();
        check(&format!("{error} {error:?}"));
    }
    let error = Reason::new(NAME.repeat(99)).unwrap_err();
    check(&format!("{error} {error:?} {:?}", NAME.parse::<ImpactId>().unwrap_err()));
    check(&format!("{:?}", Api::production(KEY).unwrap_err()));
    check(&Api::production(KEY).unwrap_err().to_string());
    check(&format!("{:?}", ApiKey::new(format!("{KEY}\n")).unwrap_err()));
    check(&format!("{:?}", Email::new(format!("{EMAIL}@{EMAIL}")).unwrap_err()));
    check(&format!("{:?}", BaseUrl::new(format!("https://{KEY}@example.com")).unwrap_err()));
    let vars = |name: &str| (name == "ONECLICK_API_KEY").then(|| "5ecret".to_owned());
    check(&format!("{0:?} {0}", Api::from_vars(vars).unwrap_err()));
}

#[test]
fn a_key_of_short_parts_is_hidden_too() {
    for key in [
        "ab1c.de2f.gh3i",
        "test_k3y-a1-b2-c3",
        "abcde-fghij-klmno",
        "test_abcde-fghij",
        "live_a-bc-def",
    ] {
        let api = Api::with_base_url("https://example.com", key).unwrap();
        let echo = key.trim_start_matches("test_").trim_start_matches("live_");
        let body = format!(r#"{{"type":"key_error","message":"the key {echo} is unknown"}}"#);
        let response = Response::builder().status(401).body(body).unwrap();
        let error = api.decode(&GetAccount, response).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(echo), "{error}");
    }
}

/// Other parts may be ordinary words.
#[test]
fn long_parts_of_a_key_and_parts_with_digits_are_hidden() {
    let api = Api::sandbox("test_abc_7_x9_secret").unwrap();
    let shown = |word: &str| {
        let body = json!({"type": "api_error", "message": format!("no {word} today")}).to_string();
        let response = Response::builder().status(400).body(body).unwrap();
        api.decode(&GetAccount, response).unwrap_err().to_string().contains(word)
    };
    for word in ["secret", "x9"] {
        assert!(!shown(word), "{word}");
    }
    for word in ["abc", "7", "test"] {
        assert!(shown(word), "{word}");
    }
    let api = Api::sandbox("test_key").unwrap();
    let body = r#"{"type":"key_error","message":"API Key does not exist"}"#;
    let response = Response::builder().status(401).body(body).unwrap();
    assert!(api.decode(&GetAccount, response).unwrap_err().to_string().contains("API Key"));
}
