//! The three clients behind one blocking interface, and a check of every error for private
//! data.

use std::error::Error as _;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use http::{Request, Response};
use oneclick_proto::{
    Api, AsyncTransport as _, BlockingClient, BlockingTransport as _, Customer, Email, Endpoint,
    Error, List, Machine, Phase, PlantTree, RetryPolicy, TransportError, TransportOptions, Trees,
};

use crate::plain_socket::PlainSocket;

/// Private data that no message may show.
pub(crate) const KEY: &str = "test_5ecretKey";
pub(crate) const EMAIL: &str = "ada.lovelace@example.com";
pub(crate) const NAME: &str = "Ada Lovelace";

/// A purchase with all kinds of private data.
pub(crate) fn plant() -> PlantTree {
    PlantTree::new(Trees::of::<5>()).customer(Customer::new(EMAIL).unwrap().name(NAME))
}

/// A read with an e-mail address in its query.
pub(crate) fn customer() -> oneclick_proto::ListCustomers {
    oneclick_proto::ListCustomers::new().customer_email(Email::new(EMAIL).unwrap())
}

/// Timeouts that are short enough for a test and long enough for a busy machine.
pub(crate) fn impatient() -> TransportOptions {
    TransportOptions::new()
        .timeout(Duration::from_secs(1))
        .connect_timeout(Duration::from_millis(500))
}

/// The standard policy with waits that are short enough for a test.
pub(crate) fn soon() -> RetryPolicy {
    RetryPolicy::STANDARD.base(Duration::from_millis(5))
}

/// An adapter's client, without retries by default.
pub(crate) trait Adapter: Debug + Sized {
    fn with_options(api: Api, options: &TransportOptions) -> Result<Self, Error>;

    fn with_retry(self, retry: RetryPolicy) -> Self;

    fn send_unchecked<E: Endpoint>(&self, endpoint: E) -> Result<E::Response, Error>;

    /// Sends one request over the transport alone.
    fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError>;

    fn run<M: Machine>(&self, machine: M) -> M::Output;

    /// Reads a list to its end, an error, or a cap on items.
    fn walk<L>(&self, list: L, cap: u64) -> Vec<Result<L::Item, Error>>
    where
        L: List<Item: Send> + Send + Sync + 'static;

    fn new(base_url: &str) -> Self {
        Self::at(base_url, &TransportOptions::new())
    }

    fn at(base_url: &str, options: &TransportOptions) -> Self {
        watch_logs();
        let api = Api::with_base_url(base_url, KEY).unwrap();
        Self::with_options(api, options).unwrap().with_retry(RetryPolicy::NEVER)
    }

    fn send<E: Endpoint>(&self, endpoint: E) -> Result<E::Response, Error> {
        let result = self.send_unchecked(endpoint).inspect_err(check_private);
        let logged = LEAKS.lock().unwrap();
        assert!(logged.is_empty(), "logged: {logged:?}");
        result
    }

    /// The error of a call that must fail.
    fn fails<E: Endpoint>(&self, endpoint: E) -> Error {
        match self.send(endpoint) {
            Ok(_) => panic!("{self:?} succeeded"),
            Err(error) => error,
        }
    }
}

/// Panics if an error shows a key, an address or a name, in any form or cause.
pub(crate) fn check_private(error: &Error) {
    let mut shown = vec![format!("{error}\n{error:#}\n{error:?}\n{error:#?}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push(format!("{error}\n{error:?}"));
        cause = error.source();
    }
    let shown = shown.join("\n");
    if let Some(secret) = secret_in(&shown) {
        panic!("{secret} is in {shown}");
    }
}

pub(crate) fn secret_in(text: &str) -> Option<&'static str> {
    let secrets = [KEY, "5ecret", EMAIL, "ada.lovelace", "%40example", NAME, "Lovelace"];
    secrets.into_iter().find(|secret| text.contains(secret))
}

/// Log lines of the HTTP libraries that show private data.
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Watches the logs of the HTTP libraries down to the level `debug`. At `trace`, ureq
/// prints what it sends, as the documentation of its adapter says.
fn watch_logs() {
    struct Watch;

    impl log::Log for Watch {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = format!("{} {}", record.target(), record.args());
            if secret_in(&line).is_some() {
                LEAKS.lock().unwrap().push(line);
            }
        }

        fn flush(&self) {}
    }

    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Watch).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// The phase of a transport error.
pub(crate) fn phase(error: &Error) -> Option<Phase> {
    match error.kind() {
        oneclick_proto::ErrorKind::Transport(error) => Some(error.phase()),
        _ => None,
    }
}

macro_rules! asynchronous {
    ($name:ident, $adapter:ident) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            runtime: tokio::runtime::Runtime,
            pub(crate) client: $adapter::Client,
        }

        impl $name {
            pub(crate) fn from_client(client: $adapter::Client) -> Self {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                Self { runtime, client }
            }

            pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
                self.runtime.block_on(future)
            }
        }

        impl Adapter for $name {
            fn with_options(api: Api, options: &TransportOptions) -> Result<Self, Error> {
                $adapter::Client::with_options(api, options).map(Self::from_client)
            }

            fn with_retry(self, retry: RetryPolicy) -> Self {
                Self { client: self.client.with_retry(retry), ..self }
            }

            fn send_unchecked<E: Endpoint>(&self, endpoint: E) -> Result<E::Response, Error> {
                self.block_on(self.client.send(endpoint))
            }

            fn exchange(
                &self,
                request: Request<Vec<u8>>,
            ) -> Result<Response<Vec<u8>>, TransportError> {
                self.block_on(self.client.transport().send(request))
            }

            fn run<M: Machine>(&self, machine: M) -> M::Output {
                self.block_on(self.client.run(machine))
            }

            fn walk<L>(&self, list: L, cap: u64) -> Vec<Result<L::Item, Error>>
            where
                L: List<Item: Send> + Send + Sync + 'static,
            {
                self.block_on(async {
                    let mut items = self.client.list(list).max_items(cap);
                    let mut seen = Vec::new();
                    while let Some(item) = items.next().await {
                        seen.push(item);
                    }
                    seen
                })
            }
        }
    };
}

asynchronous!(Reqwest, oneclick_reqwest);
asynchronous!(Hyper, oneclick_hyper);

macro_rules! blocking {
    ($name:ident, $client:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            pub(crate) client: $client,
        }

        impl Adapter for $name {
            fn with_options(api: Api, options: &TransportOptions) -> Result<Self, Error> {
                <$client>::with_options(api, options).map(|client| Self { client })
            }

            fn with_retry(self, retry: RetryPolicy) -> Self {
                Self { client: self.client.with_retry(retry) }
            }

            fn send_unchecked<E: Endpoint>(&self, endpoint: E) -> Result<E::Response, Error> {
                self.client.send(endpoint)
            }

            fn exchange(
                &self,
                request: Request<Vec<u8>>,
            ) -> Result<Response<Vec<u8>>, TransportError> {
                self.client.transport().send(request)
            }

            fn run<M: Machine>(&self, machine: M) -> M::Output {
                self.client.run(machine)
            }

            fn walk<L>(&self, list: L, cap: u64) -> Vec<Result<L::Item, Error>>
            where
                L: List<Item: Send> + Send + Sync + 'static,
            {
                self.client.list(list).max_items(cap).collect()
            }
        }
    };
}

blocking!(Ureq, oneclick_ureq::Client);
blocking!(Guide, BlockingClient<PlainSocket>);
