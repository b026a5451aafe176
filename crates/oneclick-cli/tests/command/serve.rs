//! `oneclick outbox serve`, as shops in other languages call it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use oneclick_emulator::behaviour::ReceiptForm;
use oneclick_emulator::{Behaviour, Fault, FaultRule, GatewayBody, Server};
use oneclick_outbox::Outbox;
use oneclick_outbox::rusqlite::Connection;
use serde_json::{Value, json};

use super::support::{Finished, Setup, bought, wait_until_bought};

const ONE_TREE: &str = r#"{"amount":1}"#;

/// The process, which is killed if it is dropped.
pub(super) struct Serve {
    child: Child,
    url: String,
    database: PathBuf,
}

impl Serve {
    fn start(setup: &Setup, more: &[&str]) -> Self {
        Self::start_over(setup, setup.home.join("outbox.db"), more)
    }

    /// The same, over another database: a file or a URL.
    pub(super) fn start_over(setup: &Setup, database: PathBuf, more: &[&str]) -> Self {
        let named = database.to_str().unwrap();
        let arguments =
            ["--quiet", "outbox", "serve", "--listen", "127.0.0.1:0", "--database", named];
        let mut command = setup.command(&[&arguments, more].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, url: line.trim().to_owned(), database }
    }

    /// The outbox of the process, from elsewhere.
    fn outbox(&self) -> Outbox {
        Outbox::open(&self.database).unwrap()
    }

    fn change(&self, sql: &str) {
        assert_eq!(Connection::open(&self.database).unwrap().execute(sql, []).unwrap(), 1);
    }

    /// Kills it with SIGKILL.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same, and lets the time pass for which the dead process holds its purchases.
    fn kill_for_a_minute(self) {
        let database = self.database.clone();
        self.kill();
        let expire = "UPDATE oneclick_outbox_intent SET due = 0";
        Connection::open(database).unwrap().execute(expire, []).unwrap();
    }

    /// Ends it with SIGTERM, and returns its exit code.
    fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    fn get(&self, path: &str) -> Reply {
        call(&self.url, "GET", path, &[], "").unwrap()
    }

    /// A purchase of one tree.
    pub(super) fn plant(&self, key: &str, headers: &[&str]) -> Reply {
        self.plant_body(key, headers, ONE_TREE)
    }

    fn plant_body(&self, key: &str, headers: &[&str], body: &str) -> Reply {
        let key = format!("idempotency-key: {key}");
        self.post(&[&[&*key], headers].concat(), body)
    }

    fn post(&self, headers: &[&str], body: &str) -> Reply {
        call(&self.url, "POST", "/v1/plant_tree", headers, body).unwrap()
    }

    fn wait_until_healthy(&self) {
        for _ in 0..1_000 {
            if self.get("/_outbox/health").status == 200 {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}", self.get("/_outbox/health"));
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    status: u16,
    /// In lower case.
    head: String,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The receipt of a success.
    pub(super) fn receipt(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn send(
    url: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> io::Result<TcpStream> {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let names = |name: &str| headers.iter().any(|header| header.starts_with(name));
    let host = if names("host: ") { String::new() } else { format!("host: {host}\r\n") };
    let about_body = match method {
        "POST" => {
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
        }
        _ => String::new(),
    };
    let lines: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nconnection: close\r\n{host}{about_body}{lines}\r\n{body}"
    )?;
    Ok(stream)
}

fn call(url: &str, method: &str, path: &str, headers: &[&str], body: &str) -> io::Result<Reply> {
    let mut response = String::new();
    send(url, method, path, headers, body)?.read_to_string(&mut response)?;
    let (head, text) = response.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Reply { status, head: head.to_ascii_lowercase(), text: text.to_owned() })
}

/// Has the next purchase be made, and its response come late.
fn delay(server: &Server, millis: u64) {
    inject(server, Fault::LateResponse { millis });
}

fn inject(server: &Server, fault: Fault) {
    server.emulator().inject(FaultRule::new(fault).on("/v1/plant_tree").times(1));
}

/// The times of all purchases that were really made.
fn times(server: &Server) -> Vec<String> {
    let emulator = server.emulator();
    let ledger = emulator.account("test_command").unwrap().ledger();
    ledger.map(|entry| entry.receipt.time_utc.to_string()).collect()
}

#[test]
fn the_same_key_gets_the_same_receipt_also_after_a_restart() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    let ada = r#"{"amount":5,"customer_email":"ada@example.com","notify":false}"#;
    let first = serve.plant_body("\"order-1\"", &[], ada);
    assert_eq!(first.receipt()["time_utc"], *times(&server)[0]);
    assert_eq!(first.receipt()["tree_planted"], 5);
    assert!(first.text.contains("ada@example.com"), "{first:?}");
    assert_eq!(serve.plant_body("order-1", &[], ada).text, first.text);
    serve.kill();

    let serve = Serve::start(&setup, &[]);
    // Other spaces and another order of the fields are the same purchase.
    let same = r#"{ "notify":false, "customer_email":"ada@example.com", "amount":5 }"#;
    assert_eq!(serve.plant_body("order-1", &[], same).text, first.text);
    assert!(serve.outbox().erase_requests(Duration::ZERO).unwrap() == 1);
    let erased = serve.plant_body("order-1", &[], ada);
    assert_eq!(erased.receipt()["time_utc"], first.receipt()["time_utc"]);
    assert!(!erased.text.contains("ada"), "{erased:?}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn concurrent_requests_with_one_key_buy_once() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    let receipts: Vec<_> = thread::scope(|scope| {
        let plant = || scope.spawn(|| serve.plant("order-1", &["prefer: wait=60"]).receipt());
        let handles: Vec<_> = (0..12).map(|_| plant()).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_is_being_settled_is_a_conflict_and_another_body_is_refused() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    delay(&server, 60_000);
    let key = ["idempotency-key: order-1"];
    let _first = send(&serve.url, "POST", "/v1/plant_tree", &key, ONE_TREE).unwrap();
    wait_until_bought(&server);
    let second = serve.plant("order-1", &[]);
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")), "{second:?}");
    assert_eq!(second.json()["type"], "idempotency_error");
    assert_eq!(second.json()["status"], "open");
    let short = serve.plant("order-1", &["prefer: wait=1"]);
    assert_eq!((short.status, short.header("preference-applied")), (409, Some("wait=1")));
    let two = r#"{"amount":2}"#;
    assert_eq!(serve.plant_body("order-1", &[], two).status, 422);
    // Another order is not held up, and its key stands for its body too.
    let other = serve.plant("order-2", &["prefer: wait=60"]);
    assert_eq!(other.header("preference-applied"), Some("wait=60"));
    assert_eq!(other.receipt()["time_utc"], *times(&server)[1]);
    let refused = serve.plant_body("order-2", &[], two);
    assert!(refused.status == 422 && refused.message().contains("another key"), "{refused:?}");
    assert_eq!(bought(&server), 2);
}

#[test]
fn a_process_that_dies_before_it_sends_loses_no_purchase() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    serve.outbox().pause("the shop is being moved").unwrap();
    let stored = serve.plant("order-1", &["prefer: wait=0"]);
    assert_eq!((stored.status, &stored.json()["status"]), (409, &json!("ready")));
    assert!(stored.message().contains("the shop is being moved"), "{stored:?}");
    let health = serve.get("/_outbox/health");
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("paused")));
    assert_eq!(serve.get("/_outbox/counts").receipt()["ready"], 1);
    serve.kill_for_a_minute();
    assert_eq!(bought(&server), 0);

    // It may have been sent, for all that the next process knows: it looks first.
    let serve = Serve::start(&setup, &["--settle", "1"]);
    serve.outbox().resume().unwrap();
    let receipt = serve.plant("order-1", &["prefer: wait=60"]).receipt();
    assert_eq!((&receipt["time_utc"], bought(&server)), (&json!(times(&server)[0]), 1));
    assert_eq!(serve.get("/_outbox/counts").receipt()["bought"], 1);
}

#[test]
fn a_process_that_dies_after_it_sent_buys_nothing_twice() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    delay(&server, 60_000);
    let key = ["idempotency-key: order-1"];
    // The shop is killed too: nobody reads the response.
    let shop = send(&serve.url, "POST", "/v1/plant_tree", &key, ONE_TREE).unwrap();
    wait_until_bought(&server);
    drop(shop);
    serve.kill_for_a_minute();

    let serve = Serve::start(&setup, &["--settle", "1"]);
    let receipt = serve.plant("order-1", &["prefer: wait=60"]).receipt();
    assert_eq!((&receipt["time_utc"], bought(&server)), (&json!(times(&server)[0]), 1));
    // It was found in the records, which show more than a receipt does.
    let fields: Vec<_> = receipt.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["time_utc", "tree_planted", "user_id"]);
}

#[test]
fn the_receipt_of_another_purchase_is_never_the_answer() {
    let server = Server::start().unwrap();
    server.emulator().set_behaviour(Behaviour::new().receipt(ReceiptForm::Crossed));
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &["--settle", "1"]);
    for (order, amount) in [(0, 5), (1, 5), (2, 7), (3, 5)] {
        let body = json!({ "amount": amount }).to_string();
        let key = format!("order-{order}");
        let receipt = serve.plant_body(&key, &["prefer: wait=60"], &body).receipt();
        assert_eq!(receipt["tree_planted"], amount);
        assert_eq!(receipt["time_utc"], *times(&server)[order]);
    }
    assert_eq!(bought(&server), 4);
}

#[test]
fn a_shop_that_hangs_up_loses_no_purchase() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    delay(&server, 500);
    let key = ["idempotency-key: order-1"];
    drop(send(&serve.url, "POST", "/v1/plant_tree", &key, ONE_TREE).unwrap());
    wait_until_bought(&server);
    let receipt = serve.plant("order-1", &["prefer: wait=60"]).receipt();
    assert_eq!((&receipt["time_utc"], bought(&server)), (&json!(times(&server)[0]), 1));
}

#[test]
fn a_purchase_needs_one_key() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    let long = format!("idempotency-key: {}", "k".repeat(256));
    for headers in [
        &[][..],
        &["idempotency-key:"],
        &["idempotency-key: \"\""],
        &["idempotency-key: a", "idempotency-key: a"],
        &["idempotency-key: a, b"],
        &[&*long],
    ] {
        let reply = serve.post(headers, ONE_TREE);
        assert_eq!(reply.status, 400, "{headers:?}: {reply:?}");
        assert!(reply.message().contains("Idempotency-Key"), "{reply:?}");
        assert_eq!(reply.json()["type"], "invalid_request_error");
    }
    // What the API would refuse is refused as the API does, and not stored.
    let reply = serve.plant_body("order-1", &[], r#"{"amount":0}"#);
    assert!(reply.status == 400 && reply.message().contains("trees must be"), "{reply:?}");
    assert_eq!(call(&serve.url, "POST", "/v1/plant_trees", &[], ONE_TREE).unwrap().status, 404);
    assert_eq!(call(&serve.url, "DELETE", "/v1/plant_tree", &[], "").unwrap().status, 405);
    assert_eq!((bought(&server), serve.outbox().list(None, 0, 9).unwrap().len()), (0, 0));
    drop(serve);

    let serve = Serve::start(&setup, &["--allow-unkeyed"]);
    assert_eq!(serve.post(&[], ONE_TREE).receipt()["tree_planted"], 1);
    assert_eq!(serve.post(&["idempotency-key:"], ONE_TREE).status, 400);
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_became_of_a_key_without_a_receipt_is_said_each_time() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    let body = GatewayBody::ApiError;
    inject(&server, Fault::Gateway { status: 422, body, applied: false });
    let refused = serve.plant("refused", &[]);
    assert!(refused.status == 422 && refused.json()["type"].is_string(), "{refused:?}");
    assert_eq!(serve.plant("refused", &[]).text, refused.text);

    let outbox = serve.outbox();
    outbox.pause("for a moment").unwrap();
    for (key, set, status, says) in [
        ("dropped", "status = 'dropped'", 410, "a person has dropped"),
        ("unresolved", "status = 'unresolved', problem = 'twice'", 409, "twice"),
        (
            "cancelled",
            r#"status = 'cancelled', found = '[{"user_id":"U1","time_utc":"2025-01-01T00:00:00.001Z"}]'"#,
            410,
            "bought as U1-2025-01-01T00:00:00.001Z and has been cancelled",
        ),
    ] {
        assert_eq!(serve.plant(key, &["prefer: wait=0"]).status, 409);
        serve.change(&format!("UPDATE oneclick_outbox_intent SET {set} WHERE key = '{key}'"));
        for _ in 0..2 {
            let reply = serve.plant(key, &[]);
            assert!(reply.status == status && reply.message().contains(says), "{reply:?}");
            assert_eq!(reply.json()["status"], key);
        }
    }
    outbox.resume().unwrap();
    assert_eq!(bought(&server), 0);
}

#[test]
fn reads_and_cancellations_are_passed_on_with_the_commands_own_key() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    let receipt = serve.plant("order-1", &["x-api-key: live_not_used"]).receipt();
    let key = ["x-api-key: live_not_used"];
    let totals = call(&serve.url, "GET", "/v1/impact", &key, "").unwrap();
    assert_eq!(totals.receipt()["user_impact"]["tree_planted"], 1);
    assert_eq!(totals.header("content-type"), Some("application/json"));
    let records = serve.get("/v1/records?limit=1&sort_order=desc").receipt();
    assert_eq!(records["user_records"][0]["time_utc"], receipt["time_utc"]);
    let head = call(&serve.url, "HEAD", "/v1/impact", &[], "").unwrap();
    assert_eq!((head.status, &*head.text), (200, ""));
    assert_eq!(serve.get("/v1/nothing").status, 404);
    assert_eq!(serve.get("/v1/records?limit=no").status, 400);
    assert_eq!(serve.get("/_outbox/nothing").status, 404);

    let busy = FaultRule::new(Fault::RateLimited { retry_after: None }).on("/v1/impact").times(1);
    server.emulator().inject(busy);
    assert_eq!(serve.get("/v1/impact").status, 429);
    let lost = FaultRule::new(Fault::DropBefore).on("/v1/impact").times(1);
    server.emulator().inject(lost);
    let lost = serve.get("/v1/impact");
    assert!(lost.status == 502 && lost.json()["type"] == "api_error", "{lost:?}");

    let id = json!({ "user_id": receipt["user_id"], "time_utc": receipt["time_utc"] }).to_string();
    let cancel = call(&serve.url, "POST", "/v1/cancel_impact", &[], &id).unwrap();
    assert_eq!(cancel.receipt()["message"], "impact cancelled");
    assert_eq!(serve.get("/v1/impact").receipt()["user_impact"]["tree_planted"], 0);
}

#[test]
fn web_pages_and_huge_bodies_are_refused() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &["--allow-host", "outbox"]);
    for path in ["/v1/records", "/_outbox/counts"] {
        let host = |host| call(&serve.url, "GET", path, &[host], "").unwrap();
        let evil = host("host: evil.example");
        assert!(evil.status == 421 && evil.message().contains("--allow-host"), "{evil:?}");
        assert_eq!((host("host: outbox:8788").status, host("host: localhost").status), (200, 200));
    }
    assert_eq!(serve.plant("order-1", &["host: evil.example"]).status, 421);
    assert_eq!(serve.plant("order-1", &["origin: https://evil.example"]).status, 403);
    let huge = format!(r#"{{"amount":1,"metadata":{{"a":"{}"}}}}"#, "x".repeat(2_000_000));
    assert_eq!(serve.plant_body("order-1", &[], &huge).status, 413);
    let cancel = call(&serve.url, "POST", "/v1/cancel_impact", &[], &huge).unwrap();
    assert_eq!((cancel.status, bought(&server)), (413, 0));
}

#[test]
fn it_ends_in_order_and_what_waits_is_found_again() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let serve = Serve::start(&setup, &[]);
    delay(&server, 1_000);
    let url = serve.url.clone();
    let headers = ["idempotency-key: order-1", "prefer: wait=60"];
    let waits = thread::spawn(move || call(&url, "POST", "/v1/plant_tree", &headers, ONE_TREE));
    wait_until_bought(&server);
    assert_eq!(serve.terminate(), Some(0));
    // It does not wait for a receipt that may take long, and cuts nobody off.
    let told = waits.join().unwrap().unwrap();
    assert!([200, 409].contains(&told.status), "{told:?}");
    // What was sent was written down before it ended.
    let serve = Serve::start(&setup, &[]);
    let receipt = serve.plant("order-1", &[]).receipt();
    assert_eq!((&receipt["time_utc"], bought(&server)), (&json!(times(&server)[0]), 1));
}

#[test]
fn while_the_api_is_down_purchases_are_stored_and_another_account_is_refused() {
    let setup = Setup::of("http://127.0.0.1:1");
    let serve = Serve::start(&setup, &[]);
    let stored = serve.plant("order-1", &["prefer: wait=0"]);
    assert_eq!(stored.status, 409, "{stored:?}");
    let health = serve.get("/_outbox/health");
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("failing")));
    assert_eq!(serve.terminate(), Some(0));

    let server = Server::start().unwrap();
    let mut setup =
        Setup { url: server.base_url().to_owned(), key: "test_command", home: setup.home.clone() };
    let serve = Serve::start(&setup, &["--settle", "1"]);
    serve.wait_until_healthy();
    assert_eq!(serve.plant("order-1", &["prefer: wait=60"]).status, 200);
    assert_eq!((serve.terminate(), bought(&server)), (Some(0), 1));

    setup.key = "test_other";
    let database = setup.home.join("outbox.db").display().to_string();
    let arguments = ["outbox", "serve", "--listen", "127.0.0.1:0", "--database", &database];
    let Finished { code, stderr, .. } = setup.run(&arguments);
    assert!(code == 2 && stderr.contains("belongs to the account"), "{code}: {stderr}");
}

#[test]
fn the_commands_of_the_guide_do_what_they_say() {
    if Command::new("curl").arg("--version").output().is_err() {
        let _ = writeln!(io::stderr(), "NOT TESTED: curl is missing on this machine");
        return;
    }
    let guide = include_str!("../../../../docs/serve.md");
    let blocks = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<_> = blocks.collect();
    let [serve, buy, read, watch] = &blocks[..] else { panic!("{blocks:?}") };
    let ready = "n=0; until curl -so ready http://127.0.0.1:8788/_outbox/health; do
        n=$((n + 1)); test $n -lt 200; sleep 0.05; done\n";
    let script = [serve, "trap \"kill $!\" EXIT\n", ready, buy, buy, read, watch].concat();
    // A port that another program of this machine is unlikely to take meanwhile.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = script.replace("outbox serve", &format!("outbox serve --listen 127.0.0.1:{port}"));
    let script = script.replace("8788", &port.to_string()).replace("curl ", "curl -sfw '\\n' ");

    let setup = Setup::of("http://127.0.0.1:1");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_oneclick"));
    let path = std::env::var("PATH").unwrap_or_default();
    let done = Command::new("/bin/sh")
        .args(["-ec", &script])
        .env_clear()
        .env("HOME", &setup.home)
        .env("PATH", format!("{}:{path}", program.parent().unwrap().display()))
        .current_dir(&setup.home)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let output = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{script}: {output}{said}");
    let lines: Vec<_> = output.lines().filter(|line| line.starts_with('{')).collect();
    let [first, second, records, impact, health, counts] = &lines[..] else { panic!("{output}") };
    assert_eq!(first, second);
    assert!(first.contains(r#""tree_planted":5"#) && records.contains("ada@example.com"));
    assert!(impact.contains(r#""customer_impact":{"tree_planted":5"#), "{impact}");
    assert!(health.contains("ok") && counts.contains(r#""bought":1"#), "{health} {counts}");
}

/// A shop in another language buys one tree for each of three orders. It and the outbox are
/// killed while the first purchase is under way.
fn a_shop_buys_once(program: &str, script: &str) {
    if Command::new(program).arg("--version").output().is_err() {
        let mut stderr = io::stderr().lock();
        writeln!(stderr, "NOT TESTED: {program} is missing on this machine").unwrap();
        return;
    }
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let orders = setup.home.join("orders.txt");
    fs::write(&orders, "A-1001\nA-1002\nA-1003\n").unwrap();
    let script = format!("{}/../../examples/shops/{script}", env!("CARGO_MANIFEST_DIR"));
    let shop = |url: &str| {
        let mut command = Command::new(program);
        command.args([&*script, url]).arg(&orders).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    delay(&server, 60_000);
    let serve = Serve::start(&setup, &[]);
    let mut killed = shop(&serve.url);
    wait_until_bought(&server);
    killed.kill().unwrap();
    serve.kill_for_a_minute();
    assert!(killed.wait_with_output().unwrap().stdout.is_empty());

    let serve = Serve::start(&setup, &["--settle", "1"]);
    for _ in 0..2 {
        let done = shop(&serve.url).wait_with_output().unwrap();
        assert!(done.status.success());
        let times = times(&server);
        assert_eq!(times.len(), 3);
        let lines: Vec<_> =
            (1_001..).zip(times).map(|(n, time)| format!("A-{n} {time}\n")).collect();
        assert_eq!(String::from_utf8(done.stdout).unwrap(), lines.concat());
    }
}

#[test]
fn a_shop_in_python_buys_once() {
    a_shop_buys_once("python3", "shop.py");
}

#[test]
fn a_shop_in_node_buys_once() {
    a_shop_buys_once("node", "shop.mjs");
}
