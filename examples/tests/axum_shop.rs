//! The shop on axum, killed while it buys.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use oneclick_emulator::{Fault, FaultRule, Server};
use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

const KEY: &str = "test_axum_shop";

/// A shop that is killed when it is dropped.
struct Shop {
    process: Child,
    url: String,
}

impl Shop {
    fn start(database: &Path, api: &Server) -> Self {
        // `cargo test` builds the examples beside the tests.
        let tests = env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("examples/axum_shop");
        let mut process = Command::new(program)
            .arg(database)
            .env("ONECLICK_API_KEY", KEY)
            .env("ONECLICK_BASE_URL", api.base_url())
            .stdout(Stdio::piped())
            .spawn()
            .expect("run all tests of the package, which builds the example");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url =
            lines.find_map(|line| Some(line.unwrap().strip_prefix("listening on ")?.to_owned()));
        // The rest is read, so that the shop can go on writing.
        thread::spawn(move || lines.for_each(drop));
        Self { process, url: url.unwrap() }
    }

    fn order(&self, id: u32) -> Value {
        let body = format!(r#"{{"id":{id},"email":"ada@example.com"}}"#);
        let request = ureq::post(&self.url).header("content-type", "application/json");
        parsed(request.send(body).unwrap())
    }

    fn refund(&self, id: u32) -> Value {
        parsed(ureq::post(format!("{}/{id}/refund", self.url)).send_empty().unwrap())
    }

    /// Waits up to a minute until an order has this status.
    fn wait(&self, id: u32, status: &str) {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = parsed(ureq::get(format!("{}/{id}", self.url)).call().unwrap());
            if last["status"] == status {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("not {status}: {last}");
    }

    fn kill(&mut self) {
        // On Unix this is SIGKILL.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn parsed(response: Response<Body>) -> Value {
    serde_json::from_str(&response.into_body().read_to_string().unwrap()).unwrap()
}

fn bought(api: &Server) -> usize {
    api.emulator().account(KEY).map_or(0, oneclick_emulator::Account::impacts)
}

#[test]
fn a_shop_that_is_killed_while_it_buys_plants_one_tree() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axum-shop");
    // It may be there from the last run.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let database = folder.join("shop.db");
    let api = Server::start().unwrap();
    // The tree is planted at once, and the response would take longer than the shop lives.
    let late = Fault::LateResponse { millis: 20_000 };
    api.emulator().inject(FaultRule::new(late).on("/v1/plant_tree").times(1));

    let mut shop = Shop::start(&database, &api);
    shop.order(1);
    for _ in 0..600 {
        if bought(&api) == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    shop.kill();
    assert_eq!(bought(&api), 1);

    let shop = Shop::start(&database, &api);
    // The customer is impatient.
    shop.order(1);
    shop.wait(1, "bought");
    shop.order(2);
    shop.wait(2, "bought");
    assert_eq!(bought(&api), 2);
    assert_eq!(shop.refund(1)["status"], "cancelling");
    shop.wait(1, "cancelled");
    let emulator = api.emulator();
    let ledger = emulator.account(KEY).unwrap();
    assert_eq!(ledger.ledger().filter(|entry| entry.cancelled_on.is_none()).count(), 1);
}
