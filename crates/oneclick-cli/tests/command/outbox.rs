//! `oneclick outbox`, over the database of a shop.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use oneclick_emulator::behaviour::MetadataForm;
use oneclick_emulator::{Behaviour, Fault, FaultRule, GatewayBody, Server};
use oneclick_outbox::rusqlite::Connection;
use oneclick_outbox::{Outbox, Status};
use oneclick_ureq::{Customer, Email, PlantTree, Trees};
use serde_json::Value;
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Finished, Setup, as_production, bought, wait_until_bought};

/// The database of a shop, and the command beside it.
struct Shop {
    setup: Setup,
    path: PathBuf,
    outbox: Outbox,
}

impl Shop {
    fn at(server: &Server) -> Self {
        Self::with(Setup::at(server))
    }

    fn with(setup: Setup) -> Self {
        let path = setup.home.join("shop.db");
        let outbox = Outbox::open(&path).unwrap();
        Self { setup, path, outbox }
    }

    fn order(&self, key: &str) -> i64 {
        let mut plant = PlantTree::new(Trees::of::<5>());
        plant.customer = Some(Customer::from("ada@example.com".parse::<Email>().unwrap()));
        self.outbox.enqueue("shop", key, plant).unwrap().id
    }

    fn status(&self, key: &str) -> Status {
        self.outbox.find("shop", key).unwrap().unwrap().status
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let first = ["outbox", "--database", self.path.to_str().unwrap()];
        first.iter().chain(arguments).copied().collect()
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.setup.run(&self.arguments(arguments))
    }

    #[track_caller]
    fn run_ok(&self, arguments: &[&str]) -> String {
        let Finished { code, stdout, stderr } = self.run(arguments);
        assert_eq!((code, &*stderr), (0, ""), "{arguments:?}: {stdout}");
        stdout
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32, words: &str) {
        let done = self.run(arguments);
        assert_eq!((done.code, &*done.stdout), (code, ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }

    /// A worker that keeps running, once it has begun.
    fn work(&self) -> (Child, BufReader<impl Read>) {
        let mut command = self.setup.command(&self.arguments(&["work", "--settle", "2"]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        assert!(line.starts_with("working on "), "{line}");
        (child, log)
    }

    /// Runs a worker every second, as cron would every minute, until the intent is done.
    fn settle(&self, key: &str) {
        for _ in 0..60 {
            let done = self.run(&["work", "--once", "--settle", "2"]);
            if self.status(key).is_final() {
                return;
            }
            assert_eq!(done.code, 0, "{}", done.stderr);
            sleep(Duration::from_secs(1));
        }
        panic!("not settled: {:?}", self.outbox.find("shop", key));
    }

    /// As if the time were over for which a worker claims an intent.
    fn end_leases(&self) {
        let database = Connection::open(&self.path).unwrap();
        database.execute("UPDATE oneclick_outbox_intent SET due = 0", []).unwrap();
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// A server that loses the response of one purchase and hides its marker.
fn with_a_candidate() -> Server {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unmarked = Behaviour::new().metadata(MetadataForm::Dropped);
    Server::builder().fault(lost).behaviour(unmarked).start().unwrap()
}

#[test]
fn a_worker_carries_out_what_is_stored_and_finishes_when_it_is_ended() {
    let late = FaultRule::new(Fault::LateResponse { millis: 1_000 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late).start().unwrap();
    let shop = Shop::at(&server);
    let (mut worker, mut log) = shop.work();
    shop.order("order-1");
    wait_until_bought(&server);
    // Its response is not there yet. Some programs send a signal twice.
    signal(&worker, "-TERM");
    signal(&worker, "-TERM");
    assert_eq!(worker.wait().unwrap().code(), Some(0));
    let mut told = String::new();
    log.read_to_string(&mut told).unwrap();
    assert_data_eq!(
        told,
        str![[r#"

finishing what is under way; a second interruption ends it
20[..]Z  order-1: bought 5 trees planted as U[..]Z
1 bought

"#]],
    );
    assert_eq!((shop.status("order-1"), bought(&server)), (Status::Bought, 1));
}

#[test]
fn a_second_interruption_ends_a_worker_that_waits_for_a_response() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true }).on("/v1/plant_tree");
    let server = Server::builder().fault(never).start().unwrap();
    let shop = Shop::at(&server);
    let (mut worker, _log) = shop.work();
    shop.order("order-1");
    wait_until_bought(&server);
    signal(&worker, "-INT");
    // Together, the signals would be one interruption.
    sleep(Duration::from_secs(2));
    signal(&worker, "-INT");
    assert_eq!(worker.wait().unwrap().code(), Some(130));
    assert_eq!(shop.status("order-1"), Status::Open);
}

#[test]
fn what_a_killed_worker_bought_is_found_and_not_bought_again() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let shop = Shop::at(&server);
    let (mut worker, _log) = shop.work();
    shop.order("order-1");
    wait_until_bought(&server);
    // As `kill -9` does.
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(shop.status("order-1"), Status::Open);

    // Another worker leaves it alone until the claim of the first one is over.
    let early = shop.run(&["work", "--once"]);
    assert_eq!((early.code, &*early.stderr), (0, "1 open\n"));
    shop.end_leases();
    let found = shop.run(&["work", "--once", "--jsonl"]);
    assert_eq!(found.code, 0, "{}", found.stderr);
    let entry: Value = serde_json::from_str(found.stdout.trim_end()).unwrap();
    assert_eq!((&entry["key"], &entry["status"]), (&"order-1".into(), &"bought".into()));
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_a_killed_worker_did_not_buy_is_bought_once() {
    let never =
        FaultRule::new(Fault::NeverRespond { applied: false }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let shop = Shop::at(&server);
    let (mut worker, _log) = shop.work();
    shop.order("order-1");
    for _ in 0..10_000 {
        // Once it has arrived: the next one is not lost.
        if server.emulator().faults().is_empty() {
            break;
        }
        sleep(Duration::from_millis(1));
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!((shop.status("order-1"), bought(&server)), (Status::Open, 0));
    shop.end_leases();
    shop.settle("order-1");
    assert_eq!((shop.status("order-1"), bought(&server)), (Status::Bought, 1));
}

#[test]
fn an_unresolved_intent_shows_what_was_found_and_how_to_decide_it() {
    let server = with_a_candidate();
    let shop = Shop::at(&server);
    shop.order("order-1");
    shop.settle("order-1");
    let shown = shop.run_ok(&["show", "order-1"]);
    assert_data_eq!(
        shown.replace(shop.path.to_str().unwrap(), "shop.db"),
        str![[r#"
intent     order-1
namespace  shop
number     1
purchase   5 trees planted for ada@example.com
status     unresolved: a person has to look at it
problem    not known: records that do not show their intent may be the purchase

when                      what happened
20[..]Z  stored
...
20[..]Z  permit: the purchase may be sent
...
20[..]Z  not known: records that do not show their intent may be the purchase

Found, and may be it:
  U[..]Z

To look at one of them:
  oneclick track ID
If one of them is the purchase:
  oneclick outbox --database shop.db resolve order-1 --bought-as ID
If you have made sure that none of them is, to buy it:
  oneclick outbox --database shop.db retry order-1
To drop it; what was bought for it stays bought:
  oneclick outbox --database shop.db drop order-1

"#]],
    );

    let list = shop.run_ok(&["list", "--status", "unresolved"]);
    assert!(list.contains("order-1") && list.contains("records that do not show"), "{list}");
    let shown: Value = serde_json::from_str(&shop.run_ok(&["show", "order-1", "--json"])).unwrap();
    assert_eq!(shown["events"][0]["what"], "stored");
    let id = &shown["found"][0];
    let id = format!("{}-{}", id["user_id"].as_str().unwrap(), id["time_utc"].as_str().unwrap());
    let resolved = shop.run_ok(&["resolve", "order-1", "--bought-as", &id]);
    assert_eq!(resolved, format!("order-1: bought 5 trees planted as {id}\n"));
    assert_eq!(bought(&server), 1);

    shop.fails(&["retry", "order-1"], 2, "only one that is unresolved or refused can be");
    shop.fails(&["drop", "order-1"], 2, "only one that is ready or unresolved can be dropped");
    shop.fails(&["resolve", "order-1", "--bought-as", &id], 2, "only one that is unresolved can");
}

#[test]
fn an_intent_of_which_a_person_says_that_nothing_was_bought_is_bought() {
    let server = with_a_candidate();
    let shop = Shop::at(&server);
    shop.order("order-1");
    shop.settle("order-1");
    assert_eq!(shop.status("order-1"), Status::Unresolved);
    shop.run_ok(&["retry", "order-1"]);
    shop.settle("order-1");
    assert_eq!((shop.status("order-1"), bought(&server)), (Status::Bought, 2));
}

#[test]
fn an_intent_that_was_bought_twice_is_not_tried_again() {
    let server = Server::start().unwrap();
    let shop = Shop::at(&server);
    // Two shops that do not know each other's databases.
    for _ in 0..2 {
        let other = Shop::at(&server);
        let (mut child, _log) = other.work();
        let before = bought(&server);
        other.order("order-1");
        for _ in 0..10_000 {
            if other.status("order-1") == Status::Bought {
                break;
            }
            sleep(Duration::from_millis(1));
        }
        assert_eq!(bought(&server), before + 1);
        signal(&child, "-TERM");
        child.wait().unwrap();
        sleep(Duration::from_secs(2));
    }
    shop.order("order-1");
    let twice = shop.run(&["work", "--once", "--settle", "2"]);
    assert_eq!(twice.code, 4, "{}", twice.stderr);
    shop.fails(&["retry", "order-1"], 2, "was bought, so it is not tried again: not known: it was");
    let shown = shop.run_ok(&["show", "order-1"]);
    assert!(shown.contains("Keep one of them. To cancel each of the others:\n"), "{shown}");
    assert!(!shown.contains(" retry "), "{shown}");
    assert_eq!(bought(&server), 2);
}

#[test]
fn while_it_is_paused_nothing_is_sent() {
    let server = Server::start().unwrap();
    let shop = Shop::at(&server);
    shop.order("order-1");
    let paused = shop.run_ok(&["pause", "--reason", "the shop is being moved"]);
    assert!(paused.contains("paused      the shop is being moved\n"), "{paused}");
    let words = "the outbox is paused (the shop is being moved); nothing is sent until";
    let done = shop.run(&["work", "--once", "--settle", "0"]);
    assert!(done.code == 1 && done.stderr.contains(words), "{}", done.stderr);
    let counts: Value = serde_json::from_str(&shop.run_ok(&["counts", "--json"])).unwrap();
    assert_eq!((&counts["ready"], bought(&server)), (&1.into(), 0));
    shop.run_ok(&["resume"]);
    shop.settle("order-1");
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_running_worker_says_that_it_is_paused() {
    let server = Server::start().unwrap();
    let shop = Shop::at(&server);
    let (mut worker, mut log) = shop.work();
    let mut next = || {
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        line
    };
    shop.run_ok(&["pause"]);
    assert!(next().starts_with("paused (a person paused it); "));
    shop.run_ok(&["resume"]);
    assert_eq!(next(), "no longer paused\n");
    signal(&worker, "-INT");
    assert_eq!(worker.wait().unwrap().code(), Some(0));
}

#[test]
fn a_refused_intent_is_3_and_can_be_tried_again() {
    let server = Server::start().unwrap();
    let refused = Fault::Gateway { status: 422, applied: false, body: GatewayBody::ApiError };
    server.emulator().inject(FaultRule::new(refused).on("/v1/plant_tree"));
    let shop = Shop::at(&server);
    let (mut worker, mut log) = shop.work();
    shop.order("order-1");
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("order-1: refused: not bought, because it was refused"), "{line}");
    signal(&worker, "-TERM");
    worker.wait().unwrap();
    let shown = shop.run_ok(&["show", "order-1"]);
    assert!(shown.contains("\nTo try it again, once the reason is gone:\n"), "{shown}");
    server.emulator().clear_faults();
    shop.run_ok(&["retry", "order-1"]);
    shop.settle("order-1");
    assert_eq!(bought(&server), 1);
}

#[test]
fn an_intent_is_named_by_its_key_its_namespace_or_its_number() {
    let setup = Setup::of("http://127.0.0.1:1");
    let shop = Shop::with(setup);
    let number = shop.order("order-1").to_string();
    let plant = PlantTree::new(Trees::of::<1>());
    shop.outbox.enqueue("other shop", "order-1", plant.clone()).unwrap();
    shop.outbox.enqueue("shop", "-x", plant).unwrap();
    shop.fails(
        &["show", "order-1"],
        2,
        "2 intents have the key order-1: add --namespace with one of shop 'other shop'",
    );
    for named in [&["order-1", "--namespace", "shop"][..], &["--number", &number]] {
        let dropped = shop.run_ok(&[&["drop"][..], named, &["--json"]].concat());
        let dropped: Value = serde_json::from_str(&dropped).unwrap();
        assert_eq!(dropped["status"], "dropped");
        assert_eq!(dropped["namespace"], "shop");
        let back = "UPDATE oneclick_outbox_intent SET status = 'ready' WHERE status = 'dropped'";
        Connection::open(&shop.path).unwrap().execute(back, []).unwrap();
    }
    shop.fails(&["show", "order-2"], 2, "has the key order-2: `oneclick outbox --database ");
    shop.fails(&["show", "--number", "9"], 2, "has the number 9");
    shop.run_ok(&["show", "--", "-x"]);
    assert_eq!(shop.run(&["show"]).code, 2);
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let shop = Shop::with(Setup::of("http://127.0.0.1:1"));
    for order in 1..=5 {
        shop.order(&format!("order-{order}"));
    }
    let part = shop.run(&["list", "--limit", "2", "--csv", "--after", "1"]);
    assert_eq!(part.stdout.lines().count(), 3, "{}", part.stdout);
    assert!(part.stdout.contains("\n2,shop,order-2,ready,5 trees planted,20"), "{}", part.stdout);
    assert_eq!(part.stderr, "there are more rows: continue with --after 3 and the same options\n");
    let rest = shop.run_ok(&["list", "--limit", "2", "--jsonl", "--after", "3"]);
    assert_eq!(rest.lines().count(), 2, "{rest}");
    assert_eq!(shop.run_ok(&["list", "--all"]).lines().count(), 6);
    assert_eq!(shop.run(&["list", "--status", "bought"]).stderr, "no rows found\n");
}

#[test]
fn a_database_without_an_outbox_stays_as_it_is() {
    let setup = Setup::of("http://127.0.0.1:1");
    let shop = setup.home.join("shop.db");
    let run =
        |path: &PathBuf| setup.run(&["outbox", "counts", "--database", path.to_str().unwrap()]);
    let missing = run(&shop);
    assert_eq!((missing.code, shop.exists()), (1, false), "{}", missing.stderr);
    Connection::open(&shop).unwrap().execute_batch("CREATE TABLE orders (number)").unwrap();
    let before = std::fs::read(&shop).unwrap();
    let none = run(&shop);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("shop.db has no outbox: give --database"), "{}", none.stderr);
    assert_eq!(std::fs::read(&shop).unwrap(), before);
    std::fs::write(&shop, "no database at all, but a text that is long enough").unwrap();
    assert_eq!(run(&shop).code, 1);
}

#[test]
fn production_asks_before_it_works() {
    let server = Server::start().unwrap();
    let mut setup = Setup::of(&as_production(&server));
    setup.key = "live_command";
    let shop = Shop::with(setup);
    shop.order("order-1");
    shop.fails(&["work", "--once"], 2, "add --yes to carry out the intents in ");
    assert_eq!(shop.status("order-1"), Status::Ready);
    let looked = shop.run(&["work", "--once", "--yes"]);
    assert_eq!((looked.code, &*looked.stderr), (0, "1 open\n"));
}

#[test]
fn a_key_of_another_account_does_not_work_on_it() {
    let server = Server::start().unwrap();
    let mut shop = Shop::at(&server);
    assert_eq!(shop.run(&["work", "--once"]).code, 0);
    shop.setup.key = "test_another";
    shop.fails(&["work", "--once"], 2, "the outbox belongs to the account ");
    shop.fails(&["work", "--once", "--settle", "x"], 2, "--settle");
}

#[test]
fn without_a_database_it_is_the_outbox_of_the_account() {
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    assert_eq!(setup.run(&["outbox", "work", "--once"]).stderr, "nothing to do\n");
    setup.run_ok(&["outbox", "pause"]);
    let counts = setup.run_ok(&["outbox", "counts"]);
    assert!(counts.contains("paused      a person paused it\n"), "{counts}");
    // The only outbox of an API is used even if nobody can say whose it is.
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/whoami"));
    let blind = setup.run(&["outbox", "counts"]);
    assert_eq!((blind.code, blind.stdout), (0, counts.clone()), "{}", blind.stderr);
    assert!(blind.stderr.contains("using the only outbox of this API: "), "{}", blind.stderr);
    server.emulator().clear_faults();

    setup.key = "test_another";
    let other = setup.run_ok(&["outbox", "counts"]);
    assert!(other.contains("paused      no\n"), "{other}");
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/whoami"));
    let blind = setup.run(&["outbox", "counts"]);
    assert_eq!(blind.code, 2);
    assert!(blind.stderr.contains("has several outboxes: choose one"), "{}", blind.stderr);

    let local = setup.run_ok(&["--local", "outbox", "counts"]);
    assert!(local.contains("paused      no\n"), "{local}");
}

#[test]
fn an_order_is_taken_back() {
    let server = Server::start().unwrap();
    let shop = Shop::at(&server);
    shop.order("order-1");
    shop.settle("order-1");
    assert_eq!(shop.status("order-1"), Status::Bought);
    shop.order("order-2");
    assert_eq!(
        shop.run_ok(&["cancel", "order-2"]),
        "order-2: dropped: nothing is sent for it any more\n"
    );
    let cancelling = shop.run_ok(&["cancel", "order-1"]);
    assert_eq!(cancelling, "order-1: cancelling: the next worker cancels it\n");
    shop.settle("order-1");
    assert_eq!(shop.status("order-1"), Status::Cancelled);
    let emulator = server.emulator();
    let mut ledger = emulator.account("test_command").unwrap().ledger();
    assert!(ledger.next().unwrap().cancelled_on.is_some());
}

#[test]
fn what_stands_twice_is_shown_with_the_command_that_cancels_it() {
    let server = Server::start().unwrap();
    let shop = Shop::at(&server);
    assert_eq!(shop.run_ok(&["audit"]), "no audit has found anything bought more than once\n");
    shop.order("order-1");
    shop.settle("order-1");
    // As an audit stores it.
    let surplus = r#"[{"user_id":"U1","time_utc":"2026-11-28T12:00:00.001Z"},
        {"user_id":"U1","time_utc":"2026-11-28T12:20:00.001Z"}]"#;
    let database = Connection::open(&shop.path).unwrap();
    database.execute("UPDATE oneclick_outbox_intent SET surplus = ?1", [surplus]).unwrap();
    let audit = shop.run_ok(&["audit"]);
    let ids = ["  U1-2026-11-28T12:00:00.001Z", "  U1-2026-11-28T12:20:00.001Z"];
    let lines: Vec<_> = audit.lines().collect();
    assert_eq!(
        lines[..3],
        ["order-1: bought, and these impacts are not cancelled:", ids[0], ids[1]]
    );
    assert_eq!(lines[3], "To cancel all but one of them:");
    assert!(lines[4].ends_with(" cancel ID"), "{audit}");
    let json: Value = serde_json::from_str(&shop.run_ok(&["audit", "--json"])).unwrap();
    assert_eq!(json[0]["surplus"].as_array().unwrap().len(), 2);
    assert!(shop.run_ok(&["counts"]).contains("surplus     1"));
}
