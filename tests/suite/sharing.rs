//! Clients that are shared by threads and tasks, and calls that are dropped.

use std::sync::{Barrier, Condvar, Mutex};
use std::time::Duration;

use oneclick_proto::{GetAccount, Intent, TransportOptions};

use crate::adapter::{Adapter, Hyper, Reqwest, plant};
use crate::raw_server::{RawServer, response};

const CALLERS: usize = 64;
const ROUNDS: usize = 4;

fn account() -> Vec<u8> {
    response("200 OK", "", r#"{"user_id":"U1","email":"a@b"}"#)
}

/// A server that responds only after all callers of a round have sent their request, so
/// that all their calls are in flight at once.
fn patient() -> RawServer {
    let asked = Mutex::new(0);
    let all = Condvar::new();
    RawServer::start(move |_, wire| {
        while wire.request().is_some() {
            let mut count = asked.lock().unwrap();
            *count += 1;
            let round = (*count - 1) / CALLERS + 1;
            all.notify_all();
            let waiting = |count: &mut usize| *count < round * CALLERS;
            let (count, timeout) =
                all.wait_timeout_while(count, Duration::from_secs(20), waiting).unwrap();
            drop(count);
            assert!(!timeout.timed_out(), "a caller is missing");
            wire.write(&account());
        }
    })
}

#[test]
fn clients_are_sync_and_their_futures_are_send() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send>(_: &T) {}
    shared::<oneclick_reqwest::Client>();
    shared::<oneclick_ureq::Client>();
    shared::<oneclick_hyper::Client>();
    let server = RawServer::responding(account());
    let reqwest = Reqwest::new(&server.url());
    sent(&reqwest.client.whoami());
    sent(&reqwest.client.plant_tree(plant()));
    let hyper = Hyper::new(&server.url());
    sent(&hyper.client.whoami());
    let intent = Intent::new("shop", "order-1");
    sent(&hyper.client.buy_verified(&intent, plant()));
    sent(&hyper.client.records(oneclick_proto::ListRecords::new()));
}

#[test]
fn ureq_opens_no_more_sockets_than_there_are_callers() {
    let server = patient();
    let client = oneclick_ureq::Client::with_base_url(server.url(), "test_x").unwrap();
    let barrier = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    barrier.wait();
                    client.whoami().unwrap();
                }
            });
        }
    });
    assert_eq!(server.requests().len(), CALLERS * ROUNDS);
    assert!(server.connections() <= CALLERS, "{} sockets", server.connections());
}

macro_rules! asynchronous {
    ($test:ident, $given_up:ident, $adapter:ident) => {
        #[test]
        fn $test() {
            let server = patient();
            let adapter = $adapter::new(&server.url());
            adapter.block_on(async {
                for _ in 0..ROUNDS {
                    let calls: Vec<_> = (0..CALLERS)
                        .map(|_| {
                            let client = adapter.client.clone();
                            tokio::spawn(async move { client.whoami().await.unwrap() })
                        })
                        .collect();
                    for call in calls {
                        call.await.unwrap();
                    }
                }
            });
            assert_eq!(server.requests().len(), CALLERS * ROUNDS);
            assert!(server.connections() <= CALLERS, "{} sockets", server.connections());
        }

        #[test]
        fn $given_up() {
            let server = RawServer::start(|number, wire| {
                wire.request();
                if number == 0 {
                    wire.silence();
                } else {
                    wire.write(&account());
                }
            });
            let adapter = $adapter::at(&server.url(), &TransportOptions::new());
            adapter.block_on(async {
                let call = adapter.client.send(plant());
                assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
                assert_eq!(adapter.client.send(GetAccount).await.unwrap().user_id.as_str(), "U1");
            });
            assert_eq!(server.requests().len(), 2);
        }
    };
}

asynchronous!(
    reqwest_opens_no_more_sockets_than_there_are_callers,
    a_dropped_reqwest_call_leaves_the_client_usable,
    Reqwest
);
asynchronous!(
    hyper_opens_no_more_sockets_than_there_are_callers,
    a_dropped_hyper_call_leaves_the_client_usable,
    Hyper
);
