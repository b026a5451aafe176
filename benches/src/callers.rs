//! The same call over each transport: bare, and through the client.

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

/// Why a call failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What any careful caller sets.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// hyper, with the pool of hyper-util.
    Hyper,
    /// reqwest.
    Reqwest,
    /// ureq.
    Ureq,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hyper, Self::Reqwest, Self::Ureq];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Reqwest => "reqwest",
            Self::Ureq => "ureq",
        }
    }
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET /v1/whoami`: a small answer.
    Whoami,
    /// `POST /v1/plant_tree` for a customer: a small answer.
    PlantTree,
    /// `GET /v1/records`: a page of 1,000 records.
    Page,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whoami, Self::PlantTree, Self::Page];

    /// Its method and path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whoami => "GET whoami",
            Self::PlantTree => "POST plant_tree",
            Self::Page => "GET records, 1,000 of them",
        }
    }
}

/// Makes calls one after the other, over one connection.
pub struct Caller(Box<dyn FnMut(Call, usize) -> Result<(), Failure>>);

impl Caller {
    /// Makes a call some times.
    ///
    /// # Errors
    /// That of the first call that fails.
    pub fn run(&mut self, call: Call, times: usize) -> Result<(), Failure> {
        self.0(call, times)
    }

    fn new(run: impl FnMut(Call, usize) -> Result<(), Failure> + 'static) -> Self {
        Self(Box::new(run))
    }
}

/// The client of this project over a transport.
///
/// # Errors
/// If the client cannot be built.
pub fn ours(transport: Transport, url: &str) -> Result<Caller, Failure> {
    const KEY: &str = "test_benches";
    Ok(match transport {
        Transport::Hyper => asynchronous(oneclick_hyper::Client::with_base_url(url, KEY)?)?,
        Transport::Reqwest => asynchronous(oneclick_reqwest::Client::with_base_url(url, KEY)?)?,
        Transport::Ureq => blocking(oneclick_ureq::Client::with_base_url(url, KEY)?)?,
    })
}

/// The transport alone: the same bytes, sent and received, and nothing read in
/// them.
///
/// # Errors
/// If the transport cannot be built.
pub fn bare(transport: Transport, url: &str) -> Result<Caller, Failure> {
    let requests = Requests::new(url)?;
    match transport {
        Transport::Hyper => bare_hyper(requests),
        Transport::Reqwest => bare_reqwest(requests),
        Transport::Ureq => Ok(bare_ureq(requests, Some(TIMEOUT))),
    }
}

/// ureq alone and without a timeout: with one, it starts a thread for each call
/// that looks the name up.
///
/// # Errors
/// None: the requests are some.
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
                    let answer = client.request(request).await?;
                    drop(answer.into_body().collect().await?.to_bytes());
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
    // Bare but for its settings: reqwest wants to be told of a TLS provider.
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
            let mut answer = if call == Call::PlantTree {
                agent.run(request)?
            } else {
                agent.run(request.map(|_| ()))?
            };
            drop(answer.body_mut().read_to_vec()?);
        }
        Ok(())
    })
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The requests as the client writes them, made once.
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
