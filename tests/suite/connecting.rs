//! What comes before the first byte of HTTP: whatever goes wrong there executed nothing.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use oneclick_proto::{
    Api, AsyncClient, AsyncTransport, Connect, Execution, GetAccount, ListCustomers, Phase,
    RetryPolicy, TransportOptions,
};
use socket2::{Domain, Socket, Type};
use tokio::runtime::{Builder, Runtime};

use crate::adapter::{Adapter, KEY, phase, plant};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_timeout_that_is_over_while_connecting_executed_nothing
    a_timeout_that_is_over_in_the_handshake_executed_nothing
}

/// Shorter than `connect_timeout`, which is ten seconds.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A read and a purchase that time out before they were sent.
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

/// A listener that takes no more connections, and what fills it.
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

fn a_timeout_that_is_over_while_connecting_executed_nothing<S: Adapter>() {
    let (_listener, address, _waiting) = full();
    assert_unsent::<S>(&format!("http://{address}"));
    assert_unsent::<S>(&format!("https://{address}"));
}

fn a_timeout_that_is_over_in_the_handshake_executed_nothing<S: Adapter>() {
    let server = RawServer::start(|_, wire| wire.silence());
    assert_unsent::<S>(&server.url().replace("http://", "https://"));
}

/// What drives a kept connection lives in the runtime that it was made in.
fn outlives_its_runtime<T: AsyncTransport + Connect>(end: fn(Runtime) -> Option<Runtime>) {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let server = RawServer::answering(response("200 OK", "", RECEIPT));
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
            // Or a receipt that is no list.
            _ => assert!(server.requests().len() > before),
        }
    }
    assert!(start.elapsed() < 5 * TIMEOUT, "{:?}", start.elapsed());
    // What was withdrawn stays so once the first runtime goes on.
    let sent = server.requests().len();
    if let Some(first) = first {
        first.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    }
    assert_eq!(server.requests().len(), sent);
    second.block_on(client.send(plant())).unwrap();
}

#[test]
fn a_client_whose_first_runtime_is_gone_connects_anew() {
    outlives_its_runtime::<oneclick_reqwest::Transport>(|_| None);
    outlives_its_runtime::<oneclick_hyper::Transport>(|_| None);
}

#[test]
fn a_client_whose_first_runtime_stands_still_executed_nothing() {
    outlives_its_runtime::<oneclick_reqwest::Transport>(Some);
    outlives_its_runtime::<oneclick_hyper::Transport>(Some);
}

/// hyper hands such a request back, and says that it was canceled. (reqwest has the same
/// request sent over another connection.)
#[test]
fn a_request_that_hyper_hands_back_unsent_executed_nothing() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let server = RawServer::answering(response("200 OK", "", RECEIPT));
    let client = oneclick_hyper::Client::with_base_url(server.url(), KEY).unwrap();
    let client = client.with_retry(RetryPolicy::NEVER);
    let first = runtime();
    first.block_on(client.send(plant())).unwrap();
    // The request waits for the task of its connection, which ends with its runtime.
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

/// ureq resolves names in a thread as soon as there is a timeout. The numbers of threads
/// are those of a process, so this takes one of its own.
#[test]
fn a_call_of_ureq_on_a_kept_connection_starts_no_thread() {
    let server = RawServer::answering(response("200 OK", "", RECEIPT));
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
        the_kernel_gives_up_what_nobody_acknowledges
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

    fn the_kernel_gives_up_what_nobody_acknowledges<S: Adapter>() {
        let server = RawServer::answering(response("200 OK", "", RECEIPT));
        let client = S::new(&server.url());
        client.send(plant()).unwrap();
        let sockets = sockets_to(server.address());
        assert_eq!(sockets.len(), 1, "{client:?}");
        let timeout = SockRef::from(&sockets[0]).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(TransportOptions::TCP_USER_TIMEOUT));
    }
}
