//! TLS, with certificates made here.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use oneclick_proto::{Api, Execution, Phase, TransportOptions};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::adapter::{Adapter, KEY, Reqwest, Ureq, impatient, phase, plant};
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer, response};

behaviours! {
    a_certificate_that_nobody_trusts_is_refused_before_the_request
    a_server_that_never_answers_the_hello_is_waited_for_no_longer_than_the_connect_timeout
    a_server_that_speaks_no_tls_executed_nothing
    a_server_that_hangs_up_on_the_hello_executed_nothing
}

/// A TLS server with a certificate of its own for 127.0.0.1 and localhost.
pub(crate) struct Secure {
    port: u16,
    certificate: rcgen::Certificate,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Secure {
    /// Answers with a receipt, and closes as TLS does.
    pub(crate) fn start() -> Self {
        Self::answering(response("200 OK", "connection: close\r\n", RECEIPT), true)
    }

    /// Answers with these bytes and closes, with a `close_notify` or without.
    fn answering(answer: Vec<u8>, notify: bool) -> Self {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let serving = std::thread::spawn({
            let (stop, connections) = (stop.clone(), connections.clone());
            let requests = requests.clone();
            move || {
                for stream in listener.incoming().take(100) {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    connections.fetch_add(1, Ordering::SeqCst);
                    if let Some(mut stream) = request(stream.unwrap(), config.clone()) {
                        requests.fetch_add(1, Ordering::SeqCst);
                        drop(stream.write_all(&answer));
                        if notify {
                            stream.conn.send_close_notify();
                        }
                        drop(stream.flush());
                    }
                }
            }
        });
        Self { port, certificate: cert, connections, requests, stop, serving: Some(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn api(&self) -> Api {
        Api::with_base_url(self.url(), KEY).unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// What a caller who trusts the certificate sets up.
    fn trusting(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.certificate.der().to_vec())).unwrap();
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap();
        }
    }
}

/// Takes one request.
fn request(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    // The body of a purchase ends with a brace; nothing else here does.
    while !request.ends_with(b"}") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => request.extend(&piece[..length]),
            _ => return None,
        }
    }
    Some(stream)
}

#[test]
fn a_transport_of_the_callers_own_is_trusted_with_what_it_trusts() {
    let server = Secure::start();
    let options = TransportOptions::new();

    let own = oneclick_reqwest::Transport::builder(&server.api(), &options)
        .unwrap()
        .no_proxy()
        .tls_backend_preconfigured(server.trusting())
        .build()
        .unwrap();
    let transport = oneclick_reqwest::Transport::from_client(own, &options).unwrap();
    let client = oneclick_reqwest::Client::with_transport(server.api(), transport);
    Reqwest::from_client(client).send(plant()).unwrap();

    let der = server.certificate.der().to_vec();
    let roots = [::ureq::tls::Certificate::from_der(&der).to_owned()];
    let tls = ::ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
        .root_certs(::ureq::tls::RootCerts::new_with_certs(&roots))
        .build();
    let own = ::ureq::Agent::config_builder().tls_config(tls).proxy(None).build().into();
    let transport = oneclick_ureq::Transport::from_agent(own, &options).unwrap();
    let client = oneclick_ureq::Client::with_transport(server.api(), transport);
    Ureq { client }.send(plant()).unwrap();

    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(server.trusting())
        .https_only()
        .enable_http1()
        .build();
    let own = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .retry_canceled_requests(false)
        .build(connector);
    let transport = oneclick_hyper::Transport::from_service(own, &options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = oneclick_hyper::AsyncClient::with_transport(server.api(), transport);
    runtime.block_on(client.send(plant())).unwrap();

    assert_eq!(server.requests(), 3);
}

/// The program with the one-line clients, without the machine's own settings.
fn default_clients() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_default-clients"));
    program.env_remove("SSL_CERT_DIR").env("ONECLICK_API_KEY", KEY);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        program.env_remove(name).env_remove(name.to_uppercase());
    }
    program
}

/// Runs the one-line clients, which trust the server's certificate.
pub(crate) fn run_trusting(server: &Secure, program: impl FnOnce(&mut Command)) -> Output {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let name = format!("oneclick-{}-{number}.pem", std::process::id());
    let store = std::env::temp_dir().join(name);
    let der = base64::engine::general_purpose::STANDARD.encode(server.certificate.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
    std::fs::write(&store, pem).unwrap();
    let mut child = default_clients();
    child.env("ONECLICK_BASE_URL", server.url()).env("SSL_CERT_FILE", &store);
    program(&mut child);
    let output = child.output().unwrap();
    std::fs::remove_file(&store).unwrap();
    output
}

#[test]
fn the_default_clients_trust_what_the_system_trusts() {
    let server = Secure::start();
    let child = run_trusting(&server, |_| {});
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(server.requests(), 3);
}

/// The one-line clients call a host that is not this machine's loopback without TLS if
/// `ONECLICK_INSECURE=1` says so. Connecting to 0.0.0.0 reaches this machine on Unix.
#[cfg(unix)]
#[test]
fn clear_text_to_another_host_takes_a_variable() {
    let server = RawServer::answering(response("200 OK", "", RECEIPT));
    let url = server.url().replace("127.0.0.1", "0.0.0.0");
    let run = |insecure: Option<&str>| {
        let mut child = default_clients();
        child.env("ONECLICK_BASE_URL", &url).env_remove("ONECLICK_INSECURE");
        if let Some(insecure) = insecure {
            child.env("ONECLICK_INSECURE", insecure);
        }
        child.output().unwrap()
    };
    for refused in [None, Some("0"), Some("true")] {
        let child = run(refused);
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        assert!(!child.status.success() && said.contains("ONECLICK_INSECURE=1"), "{said}");
        assert_eq!(server.connections(), 0);
    }
    let child = run(Some("1"));
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(server.requests().len(), 3);
}

/// A connection that anybody can cut does not show where an answer without a length ends.
#[test]
fn an_answer_cut_without_a_close_notify_is_whole_if_it_is_json() {
    let ends_with_connection = |body: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
        Secure::answering(answer.into_bytes(), false)
    };
    let server = ends_with_connection(RECEIPT);
    let child = run_trusting(&server, |_| {});
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(server.requests(), 3);

    for body in ["", &RECEIPT[..RECEIPT.len() - 1], "<html></html>"] {
        let server = ends_with_connection(body);
        let child = run_trusting(&server, |_| {});
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(said.matches("the response was cut short").count(), 3, "{body}: {said}");
        assert_eq!(said.matches("(Unknown)").count(), 3, "{body}: {said}");
        // None of them bought twice.
        assert_eq!(server.requests(), 3, "{body}");
    }
    // With a length, what is there may be JSON and is cut all the same.
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{RECEIPT}");
    let server = Secure::answering(answer.into_bytes(), false);
    let child = run_trusting(&server, |_| {});
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(said.matches("the response was cut short").count(), 3, "{said}");
}

#[test]
fn a_machine_without_a_trust_store_is_told_so() {
    let empty = std::env::temp_dir().join(format!("oneclick-empty-{}.pem", std::process::id()));
    std::fs::write(&empty, "").unwrap();
    let child = default_clients()
        .env("ONECLICK_BASE_URL", "https://127.0.0.1:1")
        .env("SSL_CERT_FILE", &empty)
        .output()
        .unwrap();
    std::fs::remove_file(&empty).unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(1), "{said}");
    for adapter in ["reqwest", "ureq", "hyper"] {
        let line = format!("{adapter}: the transport could not be set up: ");
        assert!(said.contains(&line), "{said}");
    }
    assert!(!said.contains(KEY));
}

fn a_certificate_that_nobody_trusts_is_refused_before_the_request<S: Adapter>() {
    let server = Secure::start();
    let error = S::new(&server.url()).fails(plant());
    assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
    assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
    assert_eq!(server.requests(), 0);
}

fn secure(server: &RawServer) -> String {
    server.url().replace("http://", "https://")
}

fn a_server_that_never_answers_the_hello_is_waited_for_no_longer_than_the_connect_timeout<
    S: Adapter,
>() {
    let server = RawServer::start(|_, wire| wire.silence());
    let options = impatient().timeout(Duration::from_secs(60));
    let start = Instant::now();
    let error = S::at(&secure(&server), &options).fails(plant());
    assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
    assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
    assert!(error.is_timeout(), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

fn a_server_that_speaks_no_tls_executed_nothing<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        wire.write(&response("400 Bad Request", "", "TLS please"));
    });
    let error = S::new(&secure(&server)).fails(plant());
    assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
    assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
}

fn a_server_that_hangs_up_on_the_hello_executed_nothing<S: Adapter>() {
    let server = RawServer::start(|_, _| {});
    let error = S::new(&secure(&server)).fails(plant());
    assert_eq!(error.execution(), Execution::NotExecuted, "{error:?}");
    assert_eq!(phase(&error), Some(Phase::Connect), "{error:?}");
}
