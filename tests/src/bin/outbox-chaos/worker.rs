//! One worker process.

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use oneclick_outbox::Worker;
use oneclick_proto::{Api, TransportOptions};

use crate::database::{is_postgres, open, retried};
use crate::terms::{KEY, LEASE, SEND_BY, TIMEOUT, policy};

/// The first argument of a worker; its database, its API and its adapter follow.
pub(crate) const COMMAND: &str = "worker";

pub(crate) const ADAPTERS: [&str; 3] = ["ureq", "reqwest", "hyper"];

/// Works until standard input ends.
pub(crate) fn work(database: &str, url: &str, adapter: &str) -> Result<(), Box<dyn Error>> {
    // The driver may have been killed itself.
    std::thread::spawn(|| {
        let _ends = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let outbox = retried(|| open(database))?;
    let api = Api::with_base_url(url, KEY)?;
    let options = TransportOptions::new().timeout(TIMEOUT);
    if adapter == "ureq" {
        let client = oneclick_ureq::Client::with_options(api, &options)?;
        return Ok(configured(Worker::new(&outbox, client), database).run()?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if adapter == "hyper" {
            let client = oneclick_hyper::Client::with_options(api, &options)?;
            return Ok(configured(Worker::new(&outbox, client), database).run().await?);
        }
        let client = oneclick_reqwest::Client::with_options(api, &options)?;
        Ok(configured(Worker::new(&outbox, client), database).run().await?)
    })
}

fn configured<C>(worker: Worker<C>, database: &str) -> Worker<C> {
    // A look at more than one page waits for half a minute, and its worker with it. The server is
    // asked less often, since it shares the machine with everything else.
    let (concurrency, poll) = if is_postgres(database) { (32, 200) } else { (64, 50) };
    let worker = worker.concurrency(concurrency).poll(Duration::from_millis(poll));
    worker.policy(policy()).lease(LEASE).send_by(SEND_BY)
}
