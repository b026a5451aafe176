//! The whole client over a transport of our own: HTTP/1.1 on a plain socket.
//!
//! The transport is the one that the guide of `oneclick-proto` builds. It has
//! three methods, and the core does the rest: requests, validation, paging,
//! retries, errors.

#[path = "../crates/oneclick-proto/src/guide/plain_socket.rs"]
mod plain_socket;

use oneclick_examples::{Failure, Place};
use oneclick_proto::{BlockingClient, Limit, Records, Trees};
use plain_socket::PlainSocket;

fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("A plain socket, against {place}");
    let client = BlockingClient::<PlainSocket>::new(place.api())?;

    for _ in 0..3 {
        let receipt = client.plant_tree(Trees::of::<2>())?;
        println!("{} at {}", receipt.impact, receipt.time_utc);
    }
    let records = client.records(Records::new().limit(Limit::of::<2>())).max_items(5);
    let records: Vec<_> = records.collect::<Result<_, _>>()?;
    println!("{} records read, page by page", records.len());
    Ok(())
}
