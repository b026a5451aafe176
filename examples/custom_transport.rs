//! The whole client over a custom transport: HTTP/1.1 on a plain socket.
//!
//! The transport is the one that the guide of `oneclick-proto` builds. It has three
//! methods, and the core does the rest: requests, validation, paging, retries, errors. The
//! test below compares what the client says with the emulator's ledger under each fault.
//! Put your own transport in its place.
//!
//! ```sh
//! cargo run --example custom_transport
//! cargo test --example custom_transport
//! ```

#[path = "../crates/oneclick-proto/guide/plain_socket.rs"]
mod plain_socket;

use oneclick_examples::{Failure, Place};
use oneclick_proto::{BlockingClient, Limit, ListRecords, Trees};
use plain_socket::PlainSocket;

fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("A plain socket, against {place}");
    let client = BlockingClient::<PlainSocket>::new(place.api())?;

    for _ in 0..3 {
        let receipt = client.plant_tree(Trees::of::<2>())?;
        println!("{} at {}", receipt.impact, receipt.time_utc);
    }
    let records = client.records(ListRecords::new().limit(Limit::of::<2>())).max_items(5);
    let records: Vec<_> = records.collect::<Result<_, _>>()?;
    println!("{} records read, page by page", records.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oneclick_emulator::{Fault, FaultRule, Server};
    use oneclick_proto::{Endpoint, Execution, PlantTree, RetryPolicy, TransportOptions};

    use super::*;

    const KEY: &str = "test_transport";

    #[test]
    fn whatever_goes_wrong_the_client_does_not_contradict_the_ledger() {
        for fault in [
            Fault::RateLimited { retry_after: None },
            Fault::ServerError,
            Fault::DropBefore,
            Fault::ApplyThenDrop,
            Fault::ApplyThenError,
            Fault::LateResponse { millis: 2000 },
            Fault::CutResponse { at: 20 },
            Fault::Garbage,
            Fault::NotHttp,
            Fault::WrongLength { by: 7 },
            Fault::NeverRespond { applied: false },
            Fault::NeverRespond { applied: true },
        ] {
            let server = Server::start().unwrap();
            let bought =
                || server.emulator().account(KEY).map_or(0, |account| account.ledger().len());
            let options = TransportOptions::new().timeout(Duration::from_millis(500));
            let api = oneclick_proto::Api::with_base_url(server.base_url(), KEY).unwrap();
            let client = BlockingClient::<PlainSocket>::with_options(api, &options)
                .unwrap()
                .with_retry(RetryPolicy::NEVER);

            // If there is a pool, it now has an idle connection.
            client.plant_tree(Trees::of::<1>()).unwrap();
            let rule = FaultRule::new(fault.clone()).on(PlantTree::PATH);
            server.emulator().inject(rule.times(1));
            let result = client.plant_tree(Trees::of::<1>());
            let bought = bought() - 1;
            match result.map_err(|error| error.execution()) {
                Ok(_) | Err(Execution::Executed) => assert_eq!(bought, 1, "{fault:?}"),
                Err(Execution::NotExecuted) => assert_eq!(bought, 0, "{fault:?}"),
                Err(Execution::Unknown) => assert!(bought <= 1, "{fault:?}: {bought}"),
            }
        }
    }
}
