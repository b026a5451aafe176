//! Transports over clients that the caller configured keep the guarantees.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use oneclick_emulator::Server;
use oneclick_hyper::{Connection, Pool, RequestBody};
use oneclick_proto::{Api, AsyncClient, Client, Execution, ListRecords, Phase, TransportOptions};
use tower_service::Service;

use crate::adapter::{
    Adapter, KEY, Reqwest, Ureq, check_private, impatient, phase, plant, secret_in,
};
use crate::raw_server::{RECEIPT, RawServer, response};

fn ureq(url: &str, agent: ureq::Agent) -> Ureq {
    ureq_within(&TransportOptions::new(), url, agent)
}

fn ureq_within(options: &TransportOptions, url: &str, agent: ureq::Agent) -> Ureq {
    let transport = oneclick_ureq::Transport::from_agent(agent, options).unwrap();
    Ureq { client: Client::with_transport(Api::with_base_url(url, KEY).unwrap(), transport) }
}

#[test]
fn an_agent_that_follows_redirects_does_not_follow_them_here() {
    let elsewhere = RawServer::responding(response("200 OK", "", RECEIPT));
    let location = format!("location: {}/\r\n", elsewhere.url());
    let server = RawServer::responding(response("307 X", &location, ""));
    let agent = ureq::Agent::config_builder().max_redirects(9).build().into();
    let error = ureq(&server.url(), agent).fails(plant());
    assert_eq!(error.status().unwrap(), 307);
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_agent_gets_our_timeouts_and_keeps_its_pool() {
    let silent = RawServer::start(|_, wire| wire.silence());
    let client = ureq_within(&impatient(), &silent.url(), ureq::Agent::new_with_defaults());
    assert!(client.fails(plant()).is_timeout());
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let client = ureq(&server.url(), ureq::Agent::new_with_defaults());
    for _ in 0..5 {
        client.send(plant()).unwrap();
    }
    assert_eq!(server.connections(), 1);
}

/// A client that follows redirects.
fn following(server: &RawServer) -> Reqwest {
    let api = Api::with_base_url(server.url(), KEY).unwrap();
    let options = TransportOptions::new();
    let own = oneclick_reqwest::Transport::builder(&api, &options)
        .unwrap()
        .redirect(reqwest::redirect::Policy::limited(5))
        .build()
        .unwrap();
    let transport = oneclick_reqwest::Transport::from_client(own, &options).unwrap();
    Reqwest::from_client(Client::with_transport(api, transport))
}

#[test]
fn a_client_that_follows_redirects_repeats_no_purchase_and_fails() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = RawServer::responding(response("200 OK", "", RECEIPT));
        let location = format!("location: {}/\r\n", elsewhere.url());
        let server = RawServer::responding(response(&format!("{status} X"), &location, ""));
        following(&server).fails(plant());
        assert_eq!(server.requests().len(), 1);
        assert!(elsewhere.requests().iter().all(|request| request.starts_with("GET")));
    }
}

#[test]
fn a_failed_redirect_does_not_make_a_sent_purchase_unsent() {
    let gone = RawServer::responding("").url();
    let server = RawServer::responding(response("303 X", &format!("location: {gone}/\r\n"), ""));
    let error = following(&server).fails(plant());
    assert_eq!(server.requests().len(), 1);
    assert_eq!(error.execution(), Execution::Unknown, "{error:?}");
}

#[test]
fn plain_http_never_uses_the_proxy_of_an_agent() {
    let proxy = RawServer::responding(response("200 OK", "", RECEIPT));
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let through = ureq::Proxy::new(&proxy.url()).unwrap();
    let agent = ureq::Agent::config_builder().proxy(Some(through)).build().into();
    ureq(&server.url(), agent).send(plant()).unwrap();
    assert_eq!((proxy.connections(), server.connections()), (0, 1));
}

async fn connect(url: &str) -> AsyncClient<oneclick_hyper::Transport<Connection>> {
    let address = url.strip_prefix("http://").unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, driver) =
        hyper::client::conn::http1::handshake::<_, RequestBody>(TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(driver);
    let service = Connection::new(sender);
    let transport =
        oneclick_hyper::Transport::from_service(service, &TransportOptions::new()).unwrap();
    Client::with_transport(Api::with_base_url(url, KEY).unwrap(), transport)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn one_connection_carries_one_call_at_a_time() {
    let emulator = Server::start().unwrap();
    runtime().block_on(async {
        let client = connect(emulator.base_url()).await;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.plant_tree(plant()).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let mut records = client.customer_records(oneclick_proto::ListCustomerRecords::new());
        let mut count = 0;
        while let Some(record) = records.next().await {
            record.unwrap();
            count += 1;
        }
        assert_eq!(count, 20);
        assert!(client.records(ListRecords::new()).next().await.is_none());
    });
}

#[test]
fn a_call_on_a_closed_connection_executes_nothing() {
    let server = RawServer::start(|_, wire| {
        wire.request();
    });
    runtime().block_on(async {
        let client = connect(&server.url()).await;
        let error = client.plant_tree(plant()).await.unwrap_err();
        assert_eq!(error.execution(), Execution::Unknown);
        // The driver needs a moment to notice the end.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let error = client.plant_tree(plant()).await.unwrap_err();
        check_private(&error);
        assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
        assert_eq!(phase(&error), Some(Phase::Connect));
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_pool_can_be_wrapped_in_layers() {
    /// A layer that counts calls.
    #[derive(Clone)]
    struct Counted(Pool, std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl Service<http::Request<RequestBody>> for Counted {
        type Response = http::Response<hyper::body::Incoming>;
        type Error = <Pool as Service<http::Request<RequestBody>>>::Error;
        type Future = <Pool as Service<http::Request<RequestBody>>>::Future;

        fn poll_ready(
            &mut self,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            self.0.poll_ready(context)
        }

        fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
            self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // A layer may log the request.
            assert_eq!(secret_in(&format!("{request:?}")), None);
            self.0.call(request)
        }
    }

    let emulator = Server::start().unwrap();
    let api = Api::with_base_url(emulator.base_url(), KEY).unwrap();
    let options = TransportOptions::new();
    let pool = Pool::new(&api, &options).unwrap();
    let layer = Counted(pool, std::sync::Arc::default());
    let transport = oneclick_hyper::Transport::from_service(layer.clone(), &options).unwrap();
    let client = AsyncClient::with_transport(api, transport);
    runtime().block_on(client.plant_tree(plant())).unwrap();
    assert_eq!(layer.1.load(std::sync::atomic::Ordering::SeqCst), 1);
}
