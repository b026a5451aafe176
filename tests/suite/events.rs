//! The events of the feature `tracing`: one for each attempt, and nothing private.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Once;

use oneclick_proto::{Customers, Whoami};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::behaviours;
use crate::peer::{Peer, RECEIPT, response};
use crate::subject::{self, Subject, plant, secret_in, soon};

behaviours! {
    every_attempt_is_told_with_the_names_of_the_conventions
    a_success_is_told_too
    nothing_private_is_told
}

type Told = BTreeMap<String, String>;

/// Remembers the fields of our events, for the thread that wants them.
///
/// There is one for the whole program: subscribers that come and go with the
/// tests of other threads switch events off for each other.
struct Memory;

thread_local! {
    static TOLD: RefCell<Option<Vec<Told>>> = const { RefCell::new(None) };
}

impl Subscriber for Memory {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "oneclick"
    }

    fn event(&self, event: &Event<'_>) {
        struct Fields(Told);

        impl Visit for Fields {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name().into(), value.into());
            }

            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.insert(field.name().into(), format!("{value:?}"));
            }
        }

        assert_eq!(*event.metadata().level(), Level::DEBUG);
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        TOLD.with_borrow_mut(|told| told.iter_mut().for_each(|told| told.push(fields.0.clone())));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The events of a call.
fn told(call: impl FnOnce()) -> Vec<Told> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Memory).unwrap());
    TOLD.set(Some(Vec::new()));
    call();
    TOLD.take().unwrap()
}

fn every_attempt_is_told_with_the_names_of_the_conventions<S: Subject>() {
    let peer = Peer::start(|number, wire| {
        // The first connection is cut, the second one busy.
        if wire.request().is_some() && number > 0 {
            wire.write(&response("429 X", "retry-after: 0\r\nconnection: close\r\n", ""));
        }
    });
    let client = S::new(&peer.url()).with_retry(soon());
    let events = told(|| drop(client.fails(Whoami)));
    assert_eq!(events.len(), 3);
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["http.request.method"], "GET");
        assert_eq!(event["url.template"], "/v1/whoami");
        assert_eq!(event["server.address"], "127.0.0.1");
        assert_eq!(event["server.port"], peer.address().port().to_string());
        assert_eq!(event["http.request.resend_count"], at.to_string());
        assert!(event.contains_key("oneclick.elapsed_ms"));
        assert_eq!(event.contains_key("oneclick.retry_in_ms"), at < 2);
    }
    assert_eq!(events[0]["error.type"], "exchange");
    assert_eq!(events[0]["oneclick.execution"], "Unknown");
    assert!(!events[0].contains_key("http.response.status_code"));
    assert_eq!(events[1]["error.type"], "429");
    assert_eq!(events[1]["http.response.status_code"], "429");
    assert_eq!(events[1]["message"], "failed, and will be sent again");
    assert_eq!(events[2]["message"], "failed");
}

fn a_success_is_told_too<S: Subject>() {
    let peer = Peer::answering(response("200 OK", "", RECEIPT));
    let client = S::new(&peer.url());
    let events = told(|| drop(client.send(plant()).unwrap()));
    let [event] = &events[..] else { panic!("one event: {events:?}") };
    assert_eq!(event["message"], "answered");
    assert_eq!(event["http.response.status_code"], "200");
    assert!(!event.contains_key("error.type") && !event.contains_key("oneclick.execution"));
}

fn nothing_private_is_told<S: Subject>() {
    let echo = format!(r#"{{"type":"{0}","message":"{0}"}}"#, subject::EMAIL);
    for answer in [response("400 X", "", &echo), response("200 OK", "", &echo)] {
        let peer = Peer::answering(answer);
        let client = S::new(&peer.url());
        let events = told(|| {
            drop(client.fails(plant()));
            let email = oneclick_proto::Email::new(subject::EMAIL).unwrap();
            drop(client.fails(Customers::new().customer_email(email)));
        });
        assert_eq!(events.len(), 2);
        assert_eq!(secret_in(&format!("{events:?}")), None);
    }
}
