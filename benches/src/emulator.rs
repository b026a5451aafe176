//! Compares the emulator under load with a bare server, and the last page of a long list
//! with the first.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use oneclick_benches::callers::Failure;
use oneclick_benches::{requests, server};
use oneclick_emulator::{Emulator, Server};
use oneclick_proto::{Limit, ListRecords, PlantTree, Trees};

use crate::pin;
use crate::report::{Figure, Row, Table, Target, in_turns, timed};
use crate::worker;

/// The number of connections. Each has one request in flight.
const CONNECTIONS: usize = 64;
/// The number of requests on each connection in a turn.
const BATCHES: usize = 10;

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("The emulator");
    under_load(&mut table)?;
    table.rows.push(last_page()?);
    Ok(table)
}

fn under_load(table: &mut Table) -> Result<(), Failure> {
    let bare = Process::start("bare")?;
    let emulator = Process::start("emulator")?;
    if !pin::to_core(0) {
        table.notes.push("The process could not be pinned to one core: expect noise.".to_owned());
    }
    let body = r#"{"amount":5,"customer_email":"ada@example.com"}"#;
    let whoami = "GET /v1/whoami HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_load\r\n\r\n";
    let plant_tree = format!(
        "POST /v1/plant_tree HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_load\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    );
    for (what, request) in [("GET whoami", whoami), ("POST plant_tree", &plant_tree)] {
        let mut loads = [Load::open(bare.address)?, Load::open(emulator.address)?];
        let mut runs: Vec<Box<dyn FnMut() -> Result<Duration, Failure> + '_>> = Vec::new();
        for load in &mut loads {
            runs.push(Box::new(|| timed(|| load.run(request.as_bytes()))));
        }
        let seconds = in_turns(100, &mut runs)?;
        table.rows.push(Row::ratio(
            format!("{what}: requests a second at {CONNECTIONS} connections ÷ a bare hyper server"),
            Target::AtLeast(0.6),
            Figure::ratio(&seconds[0], &seconds[1]),
        ));
    }
    Ok(())
}

/// Prints the address of a server on the second core and serves until standard input is
/// closed.
pub(crate) fn worker(name: &str) -> Result<(), Failure> {
    pin::to_core(1);
    let kept;
    let url = match name {
        "bare" => server::start()?,
        "emulator" => {
            kept = Server::start()?;
            kept.base_url().to_owned()
        }
        name => return Err(format!("unknown worker {name}: expected bare or emulator").into()),
    };
    println!("{}", url.trim_start_matches("http://"));
    // Standard input is closed when the parent process ends.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A server in a separate process.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(name: &str) -> Result<Self, Failure> {
        let mut child =
            worker::command(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(output) = &mut child.stdout {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok(Self { child, address: line.trim().parse()? })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connections that all send before any of them reads, so that the server is the
/// bottleneck.
struct Load(Vec<TcpStream>);

impl Load {
    fn open(address: SocketAddr) -> Result<Self, Failure> {
        let open = || {
            let connection = TcpStream::connect(address)?;
            connection.set_nodelay(true)?;
            connection.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(connection)
        };
        Ok(Self((0..CONNECTIONS).map(|_| open()).collect::<Result<_, std::io::Error>>()?))
    }

    fn run(&mut self, request: &[u8]) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        for _ in 0..BATCHES {
            for connection in &mut self.0 {
                connection.write_all(request)?;
            }
            for connection in &mut self.0 {
                // A response is small enough to arrive in one read.
                let length = connection.read(&mut buffer)?;
                if !buffer[..length].starts_with(b"HTTP/1.1 200") || buffer[length - 1] != b'}' {
                    let response = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    return Err(format!("expected 200 and JSON, got: {response}").into());
                }
            }
        }
        Ok(())
    }
}

/// Compares the last page of a million records with the first.
fn last_page() -> Result<Row, Failure> {
    const RECORDS: u32 = 1_000_000;
    pin::to_core(0);
    let api = requests::api()?;
    let mut emulator = Emulator::default();
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
    let plant_tree = api.encode(&PlantTree::new(Trees::of::<1>()))?;
    for number in 0..RECORDS {
        let now = start + TimeDelta::milliseconds(i64::from(number));
        if !emulator.respond(&plant_tree, now).status().is_success() {
            return Err("a purchase was refused".into());
        }
    }
    let now = start + TimeDelta::days(1);
    let request = ListRecords::new().limit(Limit::of::<1000>());
    let mut last = request.clone();
    loop {
        let page = api.decode(&last, emulator.respond(&api.encode(&last)?, now))?;
        let Some(next) = page.cursor else { break };
        last = request.clone().cursor(next);
    }
    let (first, last) = (api.encode(&request)?, api.encode(&last)?);
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..100 {
        for (request, seconds) in [&first, &last].into_iter().zip(&mut seconds) {
            let start = Instant::now();
            drop(emulator.respond(request, now));
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(Row::ratio(
        "the last page of 1,000,000 records ÷ the first",
        Target::AtMost(1.2),
        Figure::ratio(&seconds[1], &seconds[0]),
    ))
}
