use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oneclick_emulator::behaviour::{DateHeader, Visibility};
use oneclick_emulator::{
    Account, Behaviour, Config, Emulator, Fault, FaultRule, GatewayBody, InMemory, RetryAfter,
};
use oneclick_proto::{
    Api, AsyncClient, BlockingClient, BlockingTransport, Error, ErrorKind, Execution, Intent,
    ListRecords, Outcome, Phase, PlantTree, RetryPolicy, TransportOptions, Trees,
};

const KEY: &str = "test_memory";

/// The output of a future that never has to wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn client() -> BlockingClient<InMemory> {
    BlockingClient::sandbox(KEY).unwrap()
}

fn bought(transport: &InMemory) -> usize {
    transport.emulator().account(KEY).map_or(0, Account::impacts)
}

fn phase(error: &Error) -> Option<Phase> {
    match error.kind() {
        ErrorKind::Transport(failure) => Some(failure.phase()),
        _ => None,
    }
}

#[test]
fn both_kinds_of_client_share_an_emulator_and_its_clock() {
    let blocking = client();
    let transport = blocking.transport().clone();
    let other = AsyncClient::with_transport(blocking.api().clone(), transport.clone());
    let first = blocking.plant_tree(Trees::of::<5>()).unwrap();
    transport.advance(Duration::from_secs(60));
    let second = ready(other.plant_tree(Trees::of::<7>())).unwrap();
    assert_eq!(first.time_utc.to_string(), "2025-01-01T00:00:00.001Z");
    assert_eq!(second.time_utc.to_string(), "2025-01-01T00:01:00.002Z");
    assert_eq!(blocking.records(ListRecords::new()).count(), 2);
    assert_eq!(bought(&transport), 2);
    // Another client has an emulator of its own.
    assert_eq!(bought(client().transport()), 0);
    // A future that is dropped before it is polled sends nothing.
    drop(other.plant_tree(Trees::of::<1>()));
    assert_eq!(bought(&transport), 2);
}

#[test]
fn each_fault_fails_in_the_phase_of_a_socket() {
    const TIMEOUT: u64 = 30_000;
    // Whether it is applied; the phase and whether it is a timeout; how many milliseconds pass
    // beside the one that a request takes.
    for (fault, applied, failure, passes) in [
        (Fault::DropBefore, 0, Some((Phase::Exchange, false)), 0),
        (Fault::ApplyThenDrop, 1, Some((Phase::Exchange, false)), 0),
        (Fault::DropThenApply { millis: 1_000 }, 0, Some((Phase::Exchange, false)), 0),
        (Fault::NotHttp, 1, Some((Phase::Exchange, false)), 0),
        (Fault::NeverRespond { applied: false }, 0, Some((Phase::Exchange, true)), TIMEOUT),
        (Fault::NeverRespond { applied: true }, 1, Some((Phase::Exchange, true)), TIMEOUT),
        (Fault::LateResponse { millis: TIMEOUT }, 1, Some((Phase::Exchange, true)), TIMEOUT),
        (Fault::LateResponse { millis: TIMEOUT - 1 }, 1, None, TIMEOUT - 1),
        (Fault::SlowBytes { millis: 500 }, 1, Some((Phase::Body, true)), TIMEOUT),
        (Fault::SlowBytes { millis: u64::MAX }, 1, Some((Phase::Body, true)), TIMEOUT),
        (Fault::SlowBytes { millis: 0 }, 1, None, 0),
        (Fault::CutResponse { at: 0 }, 1, Some((Phase::Body, false)), 0),
        (Fault::CutResponse { at: 20 }, 1, Some((Phase::Body, false)), 0),
        (Fault::CutResponse { at: 10_000 }, 1, None, 0),
        (Fault::WrongLength { by: 1 }, 1, Some((Phase::Body, false)), 0),
        (Fault::NoLength { at: Some(20) }, 1, Some((Phase::Body, false)), 0),
        (Fault::NoLength { at: None }, 1, None, 0),
        (Fault::Hidden { millis: 1 }, 1, None, 0),
    ] {
        let client = client().with_retry(RetryPolicy::NEVER);
        client.transport().emulator().inject(FaultRule::new(fault.clone()));
        let result = client.plant_tree(Trees::of::<5>());
        let seen = result.err().map(|error| {
            assert_eq!(error.execution(), Execution::Unknown);
            (phase(&error).unwrap(), error.is_timeout())
        });
        assert_eq!(seen, failure, "{fault:?}");
        assert_eq!(bought(client.transport()), applied, "{fault:?}");
        let passed = BlockingTransport::now(client.transport());
        assert_eq!(passed, Duration::from_millis(passes + 1), "{fault:?}");
    }
    // A body that is longer than announced is read up to its announced length.
    for by in [-1, i32::MIN] {
        let client = client();
        client.transport().emulator().inject(FaultRule::new(Fault::WrongLength { by }));
        let error = client.plant_tree(Trees::of::<5>()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Decode), "{error}");
    }
}

#[test]
fn every_other_fault_is_a_response() {
    let gateway = Fault::Gateway { status: 504, applied: true, body: GatewayBody::Html };
    for (fault, status, execution) in [
        (Fault::RateLimited { retry_after: None }, 429, Execution::NotExecuted),
        (Fault::ServerError, 500, Execution::Unknown),
        (Fault::Unavailable, 503, Execution::Unknown),
        (Fault::ApplyThenError, 500, Execution::Unknown),
        (gateway, 504, Execution::Unknown),
    ] {
        let client = client().with_retry(RetryPolicy::NEVER);
        client.transport().emulator().inject(FaultRule::new(fault));
        let error = client.plant_tree(Trees::of::<5>()).unwrap_err();
        assert_eq!((error.status().unwrap().as_u16(), error.execution()), (status, execution));
    }
}

#[test]
fn waiting_takes_virtual_time_only() {
    let client = client();
    let busy = Fault::RateLimited { retry_after: Some(RetryAfter::Date(30)) };
    client.transport().emulator().inject(FaultRule::new(busy).times(1));
    let receipt = client.plant_tree(Trees::of::<5>()).unwrap();
    assert!(receipt.time_utc.to_string().as_str() >= "2025-01-01T00:00:30.000Z");
    assert_eq!(bought(client.transport()), 1);

    // What is applied later shows without another request.
    let later = Fault::DropThenApply { millis: 5_000 };
    client.transport().emulator().inject(FaultRule::new(later).times(1));
    client.plant_tree(Trees::of::<5>()).unwrap_err();
    assert_eq!(bought(client.transport()), 1);
    client.transport().advance(Duration::from_secs(5));
    assert_eq!(bought(client.transport()), 2);
}

#[test]
fn a_lost_purchase_is_looked_for_and_confirmed() {
    let client = client();
    let unkind = Behaviour::new().visibility(Visibility::After { millis: 20_000 });
    client.transport().emulator().set_behaviour(unkind);
    let rule = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    client.transport().emulator().inject(rule);
    let intent = Intent::new("shop", "order-1");
    let outcome = client.buy_verified(&intent, PlantTree::new(Trees::of::<5>()));
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
    assert_eq!(bought(client.transport()), 1);
    assert!(BlockingTransport::now(client.transport()) >= Duration::from_secs(20));
}

#[test]
fn its_time_can_be_set_and_date_headers_follow() {
    let transport = InMemory::from(Emulator::new(Config::new().seed(7)));
    transport.set_time("2001-02-03T04:05:06Z".parse().unwrap());
    let api = Api::sandbox(KEY).unwrap();
    let send = || {
        let request = api.encode(&PlantTree::new(Trees::of::<1>())).unwrap();
        BlockingTransport::send(&transport, request).unwrap()
    };
    assert_eq!(send().headers()["date"], "Sat, 03 Feb 2001 04:05:06 GMT");
    assert_eq!(BlockingTransport::now(&transport), Duration::from_millis(1));
    let apart = Behaviour::new().date(DateHeader::Apart { seconds: 4 });
    transport.emulator().set_behaviour(apart);
    assert_eq!(send().headers()["date"], "Sat, 03 Feb 2001 04:05:10 GMT");
    transport.emulator().set_behaviour(Behaviour::new().date(DateHeader::Absent));
    assert!(!send().headers().contains_key("date"));

    transport.advance(Duration::MAX);
    transport.set_time(transport.time());
    send();
    let seeds = [&transport, &transport, &InMemory::from(Emulator::new(Config::new().seed(7)))]
        .map(BlockingTransport::seed);
    assert!(seeds[0] != seeds[1] && seeds[0] == seeds[2]);
}

#[test]
fn its_options_limit_time_and_size() {
    let options = TransportOptions::new().timeout(Duration::from_secs(2)).max_response_bytes(10);
    let client =
        BlockingClient::<InMemory>::with_options(Api::sandbox(KEY).unwrap(), &options).unwrap();
    assert_eq!(phase(&client.whoami().unwrap_err()), Some(Phase::TooLarge));
    let never = Fault::NeverRespond { applied: false };
    client.transport().emulator().inject(FaultRule::new(never));
    let client = client.with_retry(RetryPolicy::NEVER);
    let before = BlockingTransport::now(client.transport());
    assert!(client.whoami().unwrap_err().is_timeout());
    let after = BlockingTransport::now(client.transport());
    assert_eq!(after, before + Duration::from_millis(2_001));
}
