//! The events of the feature `tracing`: one for each attempt, without private data.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Once;
use std::time::Duration;

use http::{Method, Response};
use oneclick_proto::{
    Api, BodyReader, Call, Customer, Email, Endpoint, GetAccount, ListCustomers, Machine,
    PlantTree, RetryPolicy, Step, TransportError, Trees,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const URL: &str = "http://127.0.0.1:8787";
const EMAIL: &str = "ada@example.com";

type Outcome = Result<Response<&'static str>, TransportError>;
type Fields = BTreeMap<String, String>;

/// Records the fields of our events for the current thread.
///
/// This is the global subscriber, because subscribers that tests on other threads install
/// and remove would disable events for each other.
struct Memory;

thread_local! {
    static EVENTS: RefCell<Option<Vec<Fields>>> = const { RefCell::new(None) };
}

impl Subscriber for Memory {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "oneclick"
    }

    fn event(&self, event: &Event<'_>) {
        struct Visitor(Fields);

        impl Visit for Visitor {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name().into(), value.into());
            }

            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.insert(field.name().into(), format!("{value:?}"));
            }
        }

        assert_eq!(*event.metadata().level(), Level::DEBUG);
        let mut fields = Visitor(BTreeMap::new());
        event.record(&mut fields);
        EVENTS.with_borrow_mut(|events| {
            if let Some(events) = events {
                events.push(fields.0);
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The events of a call, given the outcome of each attempt.
fn emitted<E: Endpoint>(
    url: &str,
    endpoint: E,
    outcomes: impl IntoIterator<Item = Outcome>,
) -> Vec<Fields> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Memory).unwrap());
    EVENTS.set(Some(Vec::new()));
    let api = Api::with_base_url(url, "test_5ecretKey").unwrap();
    let mut elapsed = Duration::ZERO;
    let mut step = Call::new(endpoint).start(&api, RetryPolicy::STANDARD, 7, elapsed);
    for outcome in outcomes {
        let Step::Send(_, sent) = step else { panic!("a call sends first") };
        elapsed += Duration::from_millis(70);
        step = match sent.finish(outcome, elapsed) {
            Step::Wait(_, waiting) => waiting.wake(elapsed),
            Step::Send(..) => panic!("a call waits before it sends again"),
            Step::Done(_) => break,
        };
    }
    EVENTS.take().unwrap()
}

fn plant() -> PlantTree {
    PlantTree::new(Trees::of::<5>()).customer(Customer::new(EMAIL).unwrap())
}

fn response(status: u16, body: &'static str) -> Outcome {
    Ok(Response::builder().status(status).header("retry-after", 0).body(body).unwrap())
}

fn lost() -> Outcome {
    Err(TransportError::exchange("reset"))
}

#[test]
fn every_attempt_emits_an_event_with_opentelemetry_names() {
    let events = emitted(URL, GetAccount, [lost(), response(429, ""), response(429, "")]);
    assert_eq!(events.len(), 3);
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["http.request.method"], "GET");
        assert_eq!(event["url.template"], "/v1/whoami");
        assert_eq!(event["server.address"], "127.0.0.1");
        assert_eq!(event["server.port"], "8787");
        assert_eq!(event["http.request.resend_count"], at.to_string());
        assert_eq!(event["oneclick.elapsed_ms"], (70 * (at + 1)).to_string());
        assert_eq!(event.contains_key("oneclick.retry_in_ms"), at < 2);
    }
    assert_eq!(events[0]["error.type"], "exchange");
    assert_eq!(events[0]["oneclick.execution"], "Unknown");
    assert!(!events[0].contains_key("http.response.status_code"));
    assert_eq!(events[1]["error.type"], "429");
    assert_eq!(events[1]["http.response.status_code"], "429");
    assert_eq!(events[1]["message"], "request failed and will be retried");
    assert_eq!(events[2]["message"], "request failed");
}

#[test]
fn a_success_emits_an_event() {
    let receipt = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":5}"#;
    let events = emitted(URL, plant(), [response(200, receipt)]);
    let [event] = &events[..] else { panic!("one event: {events:?}") };
    assert_eq!(event["message"], "request succeeded");
    assert_eq!(event["http.response.status_code"], "200");
    assert!(!event.contains_key("error.type") && !event.contains_key("oneclick.execution"));
}

#[test]
fn the_type_of_an_error_is_one_of_a_few_words() {
    let head = || Response::new(()).into_parts().0;
    let outcomes = [
        (lost(), "exchange"),
        (Err(TransportError::exchange("slow").timed_out(true)), "timeout"),
        (Err(TransportError::connect("refused")), "connect"),
        (Err(BodyReader::new(&Method::GET, head(), 9).cut("eof")), "body"),
        (Err(BodyReader::new(&Method::GET, head(), 1).push(b"12").unwrap_err()), "too_large"),
        (response(200, "what?"), "decode"),
        (response(404, ""), "404"),
    ];
    for (outcome, word) in outcomes {
        assert_eq!(emitted(URL, plant(), [outcome])[0]["error.type"], word);
    }
}

#[test]
fn an_event_has_the_default_port_of_the_scheme() {
    for (url, host, port) in [
        ("https://shop.example", "shop.example", "443"),
        ("http://127.0.0.1", "127.0.0.1", "80"),
        ("https://[::1]:99", "[::1]", "99"),
    ] {
        let event = &emitted(url, GetAccount, [response(404, "")])[0];
        assert_eq!((&*event["server.address"], &*event["server.port"]), (host, port));
    }
}

#[test]
fn events_hold_no_private_data() {
    let echo = r#"{"type":"ada@example.com","message":"ada@example.com test_5ecretKey"}"#;
    for status in [400, 200] {
        let customers = ListCustomers::new().customer_email(Email::new(EMAIL).unwrap());
        let mut events = emitted(URL, plant(), [response(status, echo)]);
        events.extend(emitted(URL, customers, [response(status, echo)]));
        events.extend(emitted(URL, plant(), [Err(TransportError::exchange(EMAIL))]));
        assert_eq!(events.len(), 3);
        let shown = format!("{events:?}");
        assert!(!shown.contains("ada") && !shown.contains("5ecret"), "{shown}");
    }
}
