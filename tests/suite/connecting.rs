//! Failures before the first byte of HTTP, which prove that nothing was executed.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oneclick_emulator::{Account, Server};
use oneclick_proto::{
    Api, AsyncClient, AsyncTransport, Call, Connect, Execution, GetAccount, ListCustomers, Machine,
    Phase, RetryPolicy, SendBy, Step, TransportOptions,
};
use socket2::{Domain, Socket, Type};
use tokio::runtime::{Builder, Runtime};

use crate::adapter::{Adapter, KEY, phase, plant};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_timeout_while_connecting_executed_nothing
    a_timeout_in_the_handshake_executed_nothing
    a_purchase_whose_time_is_over_is_not_sent
}

/// Shorter than `connect_timeout`, which is ten seconds.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Asserts that a read and a purchase time out before they are sent.
fn assert_unsent<S: Adapter>(url: &str) {
    let client = S::at(url, &TransportOptions::new().timeout(TIMEOUT));
    let start = Instant::now();
    for error in [client.fails(plant()), client.fails(GetAccount)] {
        assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
        assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
        assert!(error.is_timeout(), "{error:?}");
    }
    assert!(start.elapsed() < 5 * TIMEOUT, "{:?}", start.elapsed());
}

/// A listener that accepts no more connections, and the connections that fill it.
fn full() -> (Socket, SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the backlog has no end");
    }
    (socket, address, waiting)
}

fn a_timeout_while_connecting_executed_nothing<S: Adapter>() {
    let (_listener, address, _waiting) = full();
    assert_unsent::<S>(&format!("http://{address}"));
    assert_unsent::<S>(&format!("https://{address}"));
}

fn a_timeout_in_the_handshake_executed_nothing<S: Adapter>() {
    let server = RawServer::start(|_, wire| wire.silence());
    assert_unsent::<S>(&server.url().replace("http://", "https://"));
}

/// The process may be stopped at any time, so the transport itself looks at the clock.
fn a_purchase_whose_time_is_over_is_not_sent<S: Adapter>() {
    let server = Server::start().unwrap();
    let client = S::new(server.base_url());
    let purchase = |send_by| {
        let api = Api::with_base_url(server.base_url(), KEY).unwrap();
        let call = Call::new(plant()).start(&api, RetryPolicy::NEVER, 0, Duration::ZERO);
        let Step::Send(mut request, _) = call else { panic!("{call:?}") };
        request.extensions_mut().insert(send_by);
        client.exchange(request)
    };
    let bought = || server.emulator().account(KEY).map_or(0, Account::impacts);
    // On a new connection, and on one that is idle.
    for _ in 0..2 {
        let error = purchase(SendBy::new(|| false)).unwrap_err();
        assert_eq!((error.phase(), bought()), (Phase::Connect, 0), "{error:?}");
        client.send(GetAccount).unwrap();
    }
    // It is over as soon as the transport has looked.
    let looks = AtomicUsize::new(0);
    let once = SendBy::new(move || looks.fetch_add(1, Ordering::Relaxed) == 0);
    assert_eq!(purchase(once).unwrap().status(), 200);
    assert_eq!(bought(), 1);
}

/// The task that drives an idle connection lives in the runtime that opened it.
fn outlives_its_runtime<T: AsyncTransport + Connect>(end: fn(Runtime) -> Option<Runtime>) {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let api = Api::with_base_url(server.url(), KEY).unwrap();
    let options = TransportOptions::new().connect_timeout(TIMEOUT);
    let client = AsyncClient::<T>::with_options(api, &options).unwrap();
    let client = client.with_retry(RetryPolicy::NEVER);
    // One connection for each of the calls below.
    let first = runtime();
    first.block_on(async {
        let (a, b) = tokio::join!(client.send(plant()), client.send(plant()));
        assert!(a.is_ok() && b.is_ok());
    });
    let first = end(first);
    let (second, before) = (runtime(), server.requests().len());
    let start = Instant::now();
    let purchase = second.block_on(client.send(plant())).map(drop);
    let read = second.block_on(client.send(ListCustomers::new())).map(drop);
    for outcome in [purchase, read] {
        match outcome {
            Err(error) if phase(&error).is_some() => {
                assert!(first.is_some(), "a new connection can be made: {error:?}");
                assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
                assert!(error.is_timeout(), "{error:?}");
            }
            // The call was sent; a read then fails to decode the receipt.
            _ => assert!(server.requests().len() > before),
        }
    }
    assert!(start.elapsed() < 5 * TIMEOUT, "{:?}", start.elapsed());
    // A withdrawn request is not sent when the first runtime continues.
    let sent = server.requests().len();
    if let Some(first) = first {
        first.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    }
    assert_eq!(server.requests().len(), sent);
    second.block_on(client.send(plant())).unwrap();
}

#[test]
fn a_client_connects_again_if_its_first_runtime_is_gone() {
    outlives_its_runtime::<oneclick_reqwest::Transport>(|_| None);
    outlives_its_runtime::<oneclick_hyper::Transport>(|_| None);
}

#[test]
fn a_connection_whose_runtime_is_not_driven_executes_nothing() {
    outlives_its_runtime::<oneclick_reqwest::Transport>(Some);
    outlives_its_runtime::<oneclick_hyper::Transport>(Some);
}

/// hyper returns such a request with the error "canceled". (Under reqwest, hyper-util then
/// sends it over another connection.)
#[test]
fn a_request_that_hyper_returns_unsent_executed_nothing() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let client = oneclick_hyper::Client::with_base_url(server.url(), KEY).unwrap();
    let client = client.with_retry(RetryPolicy::NEVER);
    let first = runtime();
    first.block_on(client.send(plant())).unwrap();
    // The request waits for the task of its connection, and that ends with its runtime.
    let ending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(first);
    });
    let error = runtime().block_on(client.send(plant())).unwrap_err();
    ending.join().unwrap();
    assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
    assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
    assert!(!error.is_timeout() && format!("{error:?}").contains("Canceled"), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

/// ureq resolves names in a thread if there is a timeout. Threads are numbered per process,
/// so this test runs its own process.
#[test]
fn a_ureq_call_on_an_idle_connection_starts_no_thread() {
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let url = server.url().replace("127.0.0.1", "localhost");
    let mut child = Command::new(env!("CARGO_BIN_EXE_threads-of-ureq"));
    child.env("ONECLICK_API_KEY", KEY).env("ONECLICK_BASE_URL", url);
    let child = child.output().unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(String::from_utf8_lossy(&child.stdout), "0 started\n", "{said}");
    assert_eq!((server.requests().len(), server.connections()), (101, 1));
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::OwnedFd;

    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use socket2::SockRef;

    use super::*;

    behaviours! {
        unacknowledged_bytes_time_out_in_the_kernel
    }

    /// The sockets of this process that are connected to an address.
    fn sockets_to(address: SocketAddr) -> Vec<OwnedFd> {
        let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
        let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let sockets = numbers.filter_map(|fd| pidfd_getfd(&me, fd, PidfdGetfdFlags::empty()).ok());
        let peer_of = |fd: &OwnedFd| SockRef::from(fd).peer_addr().ok()?.as_socket();
        sockets.filter(|fd| peer_of(fd) == Some(address)).collect()
    }

    fn unacknowledged_bytes_time_out_in_the_kernel<S: Adapter>() {
        let server = RawServer::responding(response("200 OK", "", RECEIPT));
        let client = S::new(&server.url());
        client.send(plant()).unwrap();
        let sockets = sockets_to(server.address());
        assert_eq!(sockets.len(), 1, "{client:?}");
        let timeout = SockRef::from(&sockets[0]).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(TransportOptions::TCP_USER_TIMEOUT));
    }
}
