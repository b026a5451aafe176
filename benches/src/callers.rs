//! Makes the same call over each transport, bare and through the client.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oneclick_proto::{
    Api, AsyncClient, AsyncTransport, BlockingClient, BlockingTransport, Customer, GetAccount,
    InvalidValue, Limit, ListRecords, PlantTree, TransportOptions, Trees,
};
use tokio::runtime::Runtime;

/// The error of a failed call.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A timeout, because any careful caller sets one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP library that carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// hyper, with the connection pool of hyper-util.
    Hyper,
    /// reqwest.
    Reqwest,
    /// ureq.
    Ureq,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::Hyper, Self::Reqwest, Self::Ureq];

    /// The name of the transport in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Reqwest => "reqwest",
            Self::Ureq => "ureq",
        }
    }
}

/// An API call to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET /v1/whoami`, with a small response.
    Whoami,
    /// `POST /v1/plant_tree` for a customer, with a small response.
    PlantTree,
    /// `GET /v1/records`, with a page of 1,000 records.
    Page,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 3] = [Self::Whoami, Self::PlantTree, Self::Page];

    /// The name of the call in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whoami => "GET whoami",
            Self::PlantTree => "POST plant_tree",
            Self::Page => "GET records, 1,000 of them",
        }
    }
}

/// Makes calls one after another over one connection.
pub struct Caller(Box<dyn FnMut(Call, usize) -> Result<(), Failure>>);

impl Caller {
    /// Makes a call the given number of times.
    ///
    /// # Errors
    /// Returns the error of the first call that fails.
    pub fn run(&mut self, call: Call, times: usize) -> Result<(), Failure> {
        self.0(call, times)
    }

    fn new(run: impl FnMut(Call, usize) -> Result<(), Failure> + 'static) -> Self {
        Self(Box::new(run))
    }
}

/// Returns a caller that uses the client of this project over a transport.
///
/// # Errors
/// Fails if the client cannot be built.
pub fn ours(transport: Transport, url: &str) -> Result<Caller, Failure> {
    const KEY: &str = "test_benches";
    Ok(match transport {
        Transport::Hyper => asynchronous(oneclick_hyper::Client::with_base_url(url, KEY)?)?,
        Transport::Reqwest => asynchronous(oneclick_reqwest::Client::with_base_url(url, KEY)?)?,
        Transport::Ureq => blocking(oneclick_ureq::Client::with_base_url(url, KEY)?)?,
    })
}

/// Returns a caller that uses the transport alone. It sends and receives the same bytes
/// but decodes nothing.
///
/// # Errors
/// Fails if the transport cannot be built.
pub fn bare(transport: Transport, url: &str) -> Result<Caller, Failure> {
    let requests = Requests::new(url)?;
    match transport {
        Transport::Hyper => bare_hyper(requests),
        Transport::Reqwest => bare_reqwest(requests),
        Transport::Ureq => Ok(bare_ureq(requests, Some(TIMEOUT))),
    }
}

/// Returns a caller that uses ureq alone and without a timeout. With a timeout, ureq
/// starts a thread for each call to resolve the host name.
///
/// # Errors
/// Fails if `url` is not a valid base URL.
pub fn ureq_without_timeout(url: &str) -> Result<Caller, Failure> {
    Ok(bare_ureq(Requests::new(url)?, None))
}

fn plant_tree() -> Result<PlantTree, InvalidValue> {
    let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
    Ok(PlantTree::new(Trees::of::<5>()).customer(ada))
}

fn records() -> ListRecords {
    ListRecords::new().limit(Limit::of::<1000>())
}

fn asynchronous<T: AsyncTransport + 'static>(client: AsyncClient<T>) -> Result<Caller, Failure> {
    let (runtime, plant_tree) = (runtime()?, plant_tree()?);
    Ok(Caller::new(move |call, times| {
        runtime.block_on(async {
            for _ in 0..times {
                match call {
                    Call::Whoami => drop(client.send(GetAccount).await?),
                    Call::PlantTree => drop(client.send(plant_tree.clone()).await?),
                    Call::Page => drop(client.send(records()).await?),
                }
            }
            Ok(())
        })
    }))
}

fn blocking<T: BlockingTransport + 'static>(client: BlockingClient<T>) -> Result<Caller, Failure> {
    let plant_tree = plant_tree()?;
    Ok(Caller::new(move |call, times| {
        for _ in 0..times {
            match call {
                Call::Whoami => drop(client.send(GetAccount)?),
                Call::PlantTree => drop(client.send(plant_tree.clone())?),
                Call::Page => drop(client.send(records())?),
            }
        }
        Ok(())
    }))
}

fn bare_hyper(requests: Requests) -> Result<Caller, Failure> {
    let runtime = runtime()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: HyperClient<_, Full<Bytes>> =
        HyperClient::builder(TokioExecutor::new()).build(connector);
    Ok(Caller::new(move |call, times| {
        runtime.block_on(async {
            for _ in 0..times {
                let request = requests.of(call).map(|body| Full::new(body.into()));
                tokio::time::timeout(TIMEOUT, async {
                    let response = client.request(request).await?;
                    drop(response.into_body().collect().await?.to_bytes());
                    Ok::<_, Failure>(())
                })
                .await??;
            }
            Ok(())
        })
    }))
}

fn bare_reqwest(requests: Requests) -> Result<Caller, Failure> {
    let runtime = runtime()?;
    // reqwest needs a TLS provider, so its client comes from the adapter's builder, which
    // only configures reqwest.
    let client = oneclick_reqwest::Transport::builder(&requests.api, &TransportOptions::new())?
        .timeout(TIMEOUT)
        .build()?;
    Ok(Caller::new(move |call, times| {
        runtime.block_on(async {
            for _ in 0..times {
                let request = reqwest::Request::try_from(requests.of(call))?;
                drop(client.execute(request).await?.bytes().await?);
            }
            Ok(())
        })
    }))
}

fn bare_ureq(requests: Requests, timeout: Option<Duration>) -> Caller {
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(timeout).build();
    let agent = ureq::Agent::from(config);
    Caller::new(move |call, times| {
        for _ in 0..times {
            let request = requests.of(call);
            let mut response = if call == Call::PlantTree {
                agent.run(request)?
            } else {
                agent.run(request.map(|_| ()))?
            };
            drop(response.body_mut().read_to_vec()?);
        }
        Ok(())
    })
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The requests that the client sends, encoded once.
struct Requests {
    api: Api,
    requests: [Request<Vec<u8>>; 3],
}

impl Requests {
    fn new(url: &str) -> Result<Self, oneclick_proto::Error> {
        let api = Api::with_base_url(url, "test_benches")?;
        let requests =
            [api.encode(&GetAccount)?, api.encode(&plant_tree()?)?, api.encode(&records())?];
        Ok(Self { api, requests })
    }

    fn of(&self, call: Call) -> Request<Vec<u8>> {
        self.requests[call as usize].clone()
    }
}
