//! `oneclick outbox serve`: the API's own paths on this machine, with idempotency keys.

mod headers;
mod shop;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use oneclick_emulator::{HostName, LocalServer};
use oneclick_outbox::{OutboxError, Worker};
use oneclick_ureq::BlockingClient;

use self::shop::{Shop, Trouble};
use super::Opened;
use crate::failure::Failure;
use crate::probe::Known;
use crate::session::{AnyTransport, Session};
use crate::{buy, interrupt, output, values};

pub(crate) const EXAMPLE: &str = "\
Example:
  oneclick --local outbox serve &
  curl -H 'idempotency-key: \"order-123\"' -H 'content-type: application/json' \\
    -d '{\"amount\":5}' http://127.0.0.1:8788/v1/plant_tree";

/// How often an idle worker looks for purchases: a shop waits for its receipt.
const POLL: Duration = Duration::from_millis(100);
/// How long to wait before the API is asked again for the account of the key.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The address and port to listen on; port 0 picks a free one
    ///
    /// There are no passwords: whoever can reach the address can buy.
    #[arg(long, default_value = "127.0.0.1:8788", value_name = "ADDRESS:PORT")]
    #[arg(value_parser = values::socket_address)]
    listen: SocketAddr,
    /// Another host name to answer to, such as that of a container; may be given
    /// several times
    ///
    /// In the Host header, only names of this machine (localhost, 127.0.0.1) and those
    /// given here are accepted.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<HostName>,
    /// The namespace of the keys, such as the name of the shop
    ///
    /// In one namespace, a key stands for one purchase. Shops that share an account and
    /// may use the same keys each need a namespace of their own.
    #[arg(long, value_name = "NAME", default_value = "shop")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// Pass on purchases without an idempotency key; repeating one may buy twice.
    #[arg(long)]
    allow_unkeyed: bool,
    /// After how long a purchase without a record counts as not made
    ///
    /// As for `oneclick plant --intent`.
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = values::seconds, allow_negative_numbers = true)]
    settle: Option<u32>,
}

/// Serves until it is interrupted.
pub(super) fn run(session: Session, opened: &Opened, args: &Args) -> Result<(), Failure> {
    let outbox = &opened.outbox;
    buy::check_settle(&session, args.settle)?;
    let client = session.client.clone();
    let worker = Worker::new(outbox, client.clone()).poll(POLL);
    let shop = Shop::new(outbox.clone(), client, args.namespace.clone(), args.allow_unkeyed);
    let (ends, end) = mpsc::channel();

    // Before the URL is printed: whoever reads it may interrupt at once.
    let (interrupted, handle, told) = (ends.clone(), worker.stop_handle(), shop.clone());
    interrupt::call(move || {
        told.stop();
        handle.stop();
        // The command may have ended meanwhile.
        let _ = interrupted.send(Ok(()));
    });
    let (listen, asked) = (args.listen, shop.clone());
    let server =
        LocalServer::start(listen, args.allow_host.clone(), move |request| asked.respond(&request));
    let server = server.map_err(|error| {
        Failure::machine(
            format!("could not listen on {listen}"),
            format!("{error}; --listen chooses another address and port"),
        )
    })?;
    if session.production {
        output::notice(session.quiet, "this is production: each purchase costs money");
    }
    if !listen.ip().is_loopback() {
        output::notice(session.quiet, "others on the network can buy here: it has no passwords");
    }
    let (settle, worked_for) = (args.settle, shop.clone());
    let works = thread::spawn(move || {
        let failed = work(&session, &worker, settle, &worked_for);
        let _ = ends.send(failed);
    });
    output::line(server.base_url())?;

    let ended = end.recv().unwrap_or(Ok(()));
    shop.stop();
    // The requests that have arrived get their responses, and what was sent is written down.
    drop(server);
    let _ = works.join();
    ended.map_err(|error| opened.failure(error))
}

/// Carries out what is stored until the worker is stopped. What can be mended from elsewhere
/// ends nothing: purchases are stored meanwhile.
fn work(
    session: &Session,
    worker: &Worker<BlockingClient<AnyTransport>>,
    settle: Option<u32>,
    shop: &Shop,
) -> Result<(), OutboxError> {
    let mut wait = Duration::from_secs(1);
    while !shop.is_stopping() {
        let ended = match session.client.whoami() {
            Ok(account) => {
                let mut policy = Known::load(session, &account).policy();
                if let Some(settle) = settle {
                    policy = policy.absence_after(Duration::from_secs(settle.into()));
                }
                shop.set_trouble(None);
                worker.clone().policy(policy).run()
            }
            Err(error) => Err(OutboxError::Account(Box::new(error))),
        };
        match ended {
            Ok(()) => wait = Duration::from_secs(1),
            Err(error @ OutboxError::OtherAccount { .. }) => return Err(error),
            Err(error) => {
                let text = error.to_string();
                output::notice(session.quiet, &format!("no purchase is sent: {text}"));
                shop.set_trouble(Some(Trouble(text)));
                shop.sleep(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
    Ok(())
}
