//! One worker process.

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use oneclick_outbox::{Outbox, Worker};
use oneclick_proto::{Api, TransportOptions};

use crate::terms::{KEY, LEASE, SEND_BY, TIMEOUT, policy};

/// The first argument of a worker; its database, its API and its adapter follow.
pub(crate) const COMMAND: &str = "worker";

pub(crate) const ADAPTERS: [&str; 3] = ["ureq", "reqwest", "hyper"];

/// Works until standard input ends.
pub(crate) fn work(file: &str, url: &str, adapter: &str) -> Result<(), Box<dyn Error>> {
    // The driver may have been killed itself.
    std::thread::spawn(|| {
        let _ends = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let outbox = Outbox::open(file)?;
    let api = Api::with_base_url(url, KEY)?;
    let options = TransportOptions::new().timeout(TIMEOUT);
    if adapter == "ureq" {
        let client = oneclick_ureq::Client::with_options(api, &options)?;
        return Ok(configured(Worker::new(&outbox, client)).run()?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if adapter == "hyper" {
            let client = oneclick_hyper::Client::with_options(api, &options)?;
            return Ok(configured(Worker::new(&outbox, client)).run().await?);
        }
        let client = oneclick_reqwest::Client::with_options(api, &options)?;
        Ok(configured(Worker::new(&outbox, client)).run().await?)
    })
}

fn configured<C>(worker: Worker<C>) -> Worker<C> {
    // A look at more than one page waits for half a minute, and its worker with it.
    let worker = worker.concurrency(64).poll(Duration::from_millis(50));
    worker.policy(policy()).lease(LEASE).send_by(SEND_BY)
}
