//! Measures the wall time of each part by itself. Run it with
//! `cargo bench -p oneclick-benches --features times`. The program of this package
//! makes the side-by-side comparison.
#![allow(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use std::time::Duration;

use criterion::{Criterion, Throughput};
use http::Response;
use oneclick_benches::bodies::{RECORDS, Shape, page};
use oneclick_benches::callers::{Call, Transport, bare, ours};
use oneclick_benches::{requests, server};
use oneclick_proto::{ListCustomerRecords, ListRecords};

fn main() {
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    encode(&mut criterion);
    decode(&mut criterion);
    call(&mut criterion);
    criterion.final_summary();
}

fn encode(criterion: &mut Criterion) {
    let api = requests::api().unwrap();
    let (plant_tree, records) = (requests::plant_tree().unwrap(), requests::records().unwrap());
    let mut group = criterion.benchmark_group("encode");
    group.bench_function("plant_tree", |bencher| bencher.iter(|| api.encode(&plant_tree)));
    group.bench_function("records", |bencher| bencher.iter(|| api.encode(&records)));
}

fn decode(criterion: &mut Criterion) {
    let api = requests::api().unwrap();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (name, shape) in [("records", Shape::Records), ("every_field", Shape::EveryField)] {
        let body = page(shape, Some("next"));
        group.bench_function(name, |bencher| {
            bencher.iter(|| api.decode(&ListRecords::new(), Response::new(body.as_bytes())));
        });
    }
    let body = page(Shape::CustomerRecords, Some("next"));
    group.bench_function("customer_records", |bencher| {
        bencher.iter(|| api.decode(&ListCustomerRecords::new(), Response::new(body.as_bytes())));
    });
}

fn call(criterion: &mut Criterion) {
    let url = server::start().unwrap();
    for call in Call::ALL {
        let mut group = criterion.benchmark_group(call.name());
        for transport in Transport::ALL {
            for (whose, caller) in
                [("bare", bare(transport, &url)), ("ours", ours(transport, &url))]
            {
                let mut caller = caller.unwrap();
                group.bench_function(format!("{} {whose}", transport.name()), |bencher| {
                    bencher.iter(|| caller.run(call, 1).unwrap());
                });
            }
        }
    }
}
