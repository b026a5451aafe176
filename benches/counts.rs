//! Counts instructions under valgrind. Unlike times, the counts do not depend on the
//! load of the machine.
#![allow(clippy::unwrap_used, reason = "a failure ends the benchmark")]
#![allow(missing_docs, unused_qualifications, reason = "the macros of gungraun generate such code")]

use std::hint::black_box;

use chrono::NaiveDate;
use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group};
use http::{Request, Response};
use oneclick_benches::bodies::{Shape, page};
use oneclick_benches::callers::{Call, Caller, Transport, bare, ours};
use oneclick_benches::{requests, server};
use oneclick_proto::{
    Api, CustomerRecord, Endpoint, ListCustomerRecords, ListRecords, Page, Record,
};
use serde::de::IgnoredAny;

/// Returns an API that has decoded the page once, so that the values which pages share
/// already exist, and the page.
fn warm(shape: Shape) -> (Api, String) {
    let (api, body) = (requests::api().unwrap(), page(shape, Some("next")));
    match shape {
        Shape::CustomerRecords => drop(customer_records((api.clone(), body.clone()))),
        Shape::Records | Shape::EveryField => drop(records((api.clone(), body.clone()))),
    }
    (api, body)
}

fn records((api, body): (Api, String)) -> Page<Record> {
    api.decode(&ListRecords::new(), Response::new(body.as_bytes())).unwrap()
}

fn customer_records((api, body): (Api, String)) -> Page<CustomerRecord> {
    api.decode(&ListCustomerRecords::new(), Response::new(body.as_bytes())).unwrap()
}

#[library_benchmark]
#[bench::records(warm(Shape::Records))]
#[bench::customer_records(warm(Shape::CustomerRecords))]
#[bench::every_field(warm(Shape::EveryField))]
fn skip(page: (Api, String)) -> ((Api, String), IgnoredAny) {
    let skipped = serde_json::from_slice(black_box(page.1.as_bytes())).unwrap();
    (page, skipped)
}

#[library_benchmark]
#[bench::records(warm(Shape::Records))]
#[bench::every_field(warm(Shape::EveryField))]
fn decode_records(page: (Api, String)) -> Page<Record> {
    records(black_box(page))
}

#[library_benchmark]
#[bench::customer_records(warm(Shape::CustomerRecords))]
fn decode_customer_records(page: (Api, String)) -> Page<CustomerRecord> {
    customer_records(black_box(page))
}

/// Encodes the request once, so that the allocator is warm.
fn written<E: Endpoint>(endpoint: E) -> (Api, E) {
    let api = requests::api().unwrap();
    drop((requests::plant_tree_by_hand(5), requests::records_by_hand(requests::days(), 1000)));
    drop(api.encode(&endpoint).unwrap());
    (api, endpoint)
}

#[library_benchmark]
#[bench::by_hand(written(requests::plant_tree().unwrap()), 5)]
fn write_plant_tree<T>(kept: T, amount: u64) -> (T, Vec<u8>) {
    (kept, requests::plant_tree_by_hand(black_box(amount)))
}

#[library_benchmark]
#[bench::by_hand(written(requests::records().unwrap()), requests::days(), 1000)]
fn write_records<T>(kept: T, days: [NaiveDate; 2], limit: u16) -> (T, Vec<u8>) {
    (kept, requests::records_by_hand(black_box(days), black_box(limit)))
}

#[library_benchmark]
#[bench::plant_tree(written(requests::plant_tree().unwrap()))]
#[bench::records(written(requests::records().unwrap()))]
fn encode<E: Endpoint>((api, endpoint): (Api, E)) -> (Api, E, Request<Vec<u8>>) {
    let request = api.encode(black_box(&endpoint)).unwrap();
    (api, endpoint, request)
}

/// The number of calls in one count.
const CALLS: usize = 100;

/// Returns a caller whose connection is open. The server's thread is not counted.
fn connected(caller: fn(Transport, &str) -> Caller, transport: Transport) -> Caller {
    let mut caller = caller(transport, &server::start().unwrap());
    caller.run(Call::Whoami, 10).unwrap();
    caller
}

fn bare_caller(transport: Transport) -> Caller {
    connected(|transport, url| bare(transport, url).unwrap(), transport)
}

fn our_caller(transport: Transport) -> Caller {
    connected(|transport, url| ours(transport, url).unwrap(), transport)
}

#[library_benchmark]
#[bench::bare_hyper(bare_caller(Transport::Hyper))]
#[bench::bare_reqwest(bare_caller(Transport::Reqwest))]
#[bench::bare_ureq(bare_caller(Transport::Ureq))]
#[bench::our_hyper(our_caller(Transport::Hyper))]
#[bench::our_reqwest(our_caller(Transport::Reqwest))]
#[bench::our_ureq(our_caller(Transport::Ureq))]
fn call(mut caller: Caller) -> Caller {
    caller.run(Call::Whoami, CALLS).unwrap();
    caller
}

library_benchmark_group!(
    name = decoding;
    benchmarks = skip, decode_records, decode_customer_records
);
library_benchmark_group!(
    name = encoding;
    benchmarks = write_plant_tree, write_records, encode
);
library_benchmark_group!(name = calling; benchmarks = call);

gungraun::main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = decoding, encoding, calling
);
