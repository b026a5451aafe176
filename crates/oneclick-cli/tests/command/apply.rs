//! `oneclick apply`: a file of orders.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use oneclick_emulator::{Fault, FaultRule, GatewayBody, RetryAfter, Server};
use oneclick_outbox::rusqlite::Connection;
use oneclick_outbox::{Outbox, Status};
use rexpect::session::spawn_command;
use serde_json::Value;
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Finished, Setup, as_production, bought};

/// An empty home directory with a file of orders.
struct Orders {
    setup: Setup,
    file: PathBuf,
}

impl Orders {
    fn at(server: &Server) -> Self {
        Self::with(Setup::at(server))
    }

    fn with(setup: Setup) -> Self {
        let file = setup.home.join("orders.csv");
        Self { setup, file }
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
    }

    /// Lines of which each plants another number of trees.
    fn plant(&self, keys: impl Iterator<Item = u64>) {
        let lines = keys.map(|number| format!("order-{number},plant_tree,{number}\n"));
        self.write(&("key,action,amount\n".to_owned() + &lines.collect::<String>()));
    }

    fn arguments<'a>(&'a self, options: &[&'a str]) -> Vec<&'a str> {
        [&["apply", self.file.to_str().unwrap()], options].concat()
    }

    fn run(&self, options: &[&str]) -> Finished {
        self.setup.run(&self.arguments(options))
    }

    /// Runs it with `--json`, and returns its exit code and what it printed.
    fn json(&self, options: &[&str]) -> (i32, Value) {
        let done = self.run(&[options, &["--json"]].concat());
        let json = serde_json::from_str(&done.stdout);
        (done.code, json.unwrap_or_else(|_| panic!("{}", done.stderr)))
    }

    /// The result file as the status of each key.
    fn results(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.setup.home.join("orders.results.csv")).unwrap();
        let line = |line: &str| {
            let cells: Vec<_> = line.split(',').collect();
            (cells[1].to_owned(), cells[2].to_owned())
        };
        text.lines().skip(1).map(line).collect()
    }

    fn status(&self, key: &str) -> Status {
        let found = self.setup.intents().into_iter().find(|entry| entry.key == key);
        found.unwrap().status
    }

    /// As if the time were over for which a killed run claims its lines.
    fn end_leases(&self) {
        for path in self.setup.outboxes() {
            let database = Connection::open(path).unwrap();
            let sql = "UPDATE oneclick_outbox_intent SET due = 0 WHERE held <> 0";
            database.execute(sql, []).unwrap();
        }
    }

    fn start(&self, options: &[&str]) -> Child {
        let mut command = self.setup.command(&self.arguments(options));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }
}

/// How often each amount was bought.
fn amounts(server: &Server) -> BTreeMap<i64, usize> {
    let mut amounts = BTreeMap::new();
    let emulator = server.emulator();
    let Some(account) = emulator.account("test_command") else { return amounts };
    for entry in account.ledger() {
        *amounts.entry(entry.receipt.impact.amount).or_default() += 1;
    }
    amounts
}

/// Each of these amounts, once.
fn once(amounts: std::ops::RangeInclusive<i64>) -> BTreeMap<i64, usize> {
    amounts.map(|amount| (amount, 1)).collect()
}

#[track_caller]
fn wait_until(server: &Server, number: usize) {
    for _ in 0..10_000 {
        if bought(server) >= number {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    panic!("{} were bought, and not {number}", bought(server));
}

fn plant(fault: Fault) -> FaultRule {
    FaultRule::new(fault).on("/v1/plant_tree")
}

#[test]
fn every_action_is_bought_with_everything_that_its_line_says() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.write(
        "\u{feff}email,name,key,action,amount,category,metadata.order,date\r\n\
         ada@example.com,Ada,a,plant_tree,\"1,000 trees\",food,A-1,2020-01-01\r\n\
         grace@example.com,,b,donate,$5.25,climate,,\r\n\
         ,,c,clean,10 lb,,,\r\n\
         ada@example.com,Ada,d,capture_carbon,7,,\"two\r\nlines\",\r\n\
         \r\n\
         ,,e,restore,3 fragments,,,\r\n",
    );
    let done = orders.run(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_data_eq!(
        done.stdout,
        str![[r#"
bought          5 (7 lbs of CO2 captured, 3 coral fragments restored, $5.25 donated, 1000 trees planted, 10 lbs of plastic out of the ocean)
already bought  0
refused         0
pending         0
unresolved      0

"#]],
    );
    let results = fs::read_to_string(orders.setup.home.join("orders.results.csv")).unwrap();
    assert_data_eq!(
        results,
        str![[r#"
line,key,status,id,kind,amount,time,problem
2,a,bought,U[..]Z,tree_planted,1000,20[..]Z,
3,b,bought,U[..]Z,money_donated,525,20[..]Z,
4,c,bought,U[..]Z,waste_removed,10,20[..]Z,
5,d,bought,U[..]Z,carbon_captured,7,20[..]Z,
8,e,bought,U[..]Z,coral_restored,3,20[..]Z,

"#]],
    );
    let rows = orders.setup.run_ok(&["customer-records", "--all", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let ada = rows.iter().find(|row| row["tree_planted"] == 1000).unwrap();
    assert_eq!(ada["customer"]["customer_name"], "Ada");
    assert_eq!((&ada["category"], &ada["metadata"]["order"]), (&"food".into(), &"A-1".into()));
    let carbon = rows.iter().find(|row| row["carbon_captured"] == 7).unwrap();
    assert_eq!(carbon["metadata"]["order"], "two\r\nlines");
    assert_eq!(bought(&server), 5);
}

#[test]
fn the_same_file_buys_nothing_twice_and_a_longer_one_buys_the_rest() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=20);
    let (code, first) = orders.json(&[]);
    assert_eq!(
        (code, &first["bought"], &first["totals"]["tree_planted"]),
        (0, &20.into(), &210.into())
    );
    let (code, again) = orders.json(&[]);
    assert_eq!((code, &again["bought"], &again["already_bought"]), (0, &0.into(), &20.into()));
    orders.plant((1..=23).rev());
    let (code, longer) = orders.json(&[]);
    assert_eq!((code, &longer["bought"], &longer["already_bought"]), (0, &3.into(), &20.into()));
    assert_eq!(amounts(&server), once(1..=23));
    // A line and an intent with its name are one.
    let known = orders.setup.run(&["plant", "5", "--intent", "order-5"]);
    assert!(known.code == 0 && known.stderr.contains("was bought by an earlier run"));
    orders.setup.run_ok(&["plant", "24", "--intent", "order-24"]);
    orders.plant(24..=24);
    assert_eq!(orders.json(&[]).1["already_bought"], 1);
    assert_eq!(amounts(&server), once(1..=24));
}

#[test]
fn a_changed_line_is_refused_with_its_number_before_anything_is_sent() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=3);
    assert_eq!(orders.run(&[]).code, 0);
    orders.write("key,action,amount\norder-1,plant,1\norder-9,plant,9\norder-2,plant,20\n");
    for options in [&[][..], &["--silent"], &["--dry-run"]] {
        let changed = orders.run(options);
        assert_eq!(changed.code, 2);
        let text = changed.stdout + &changed.stderr;
        let line = "line 4: key: it stands for another purchase: 2 trees planted";
        assert!(text.contains(line) && text.contains("because of 1 bad line"), "{text}");
    }
    // Also once what was bought for it was erased.
    for path in orders.setup.outboxes() {
        Outbox::open(path).unwrap().erase_requests(Duration::ZERO).unwrap();
    }
    let erased = orders.run(&[]);
    assert!(erased.stderr.contains("whose details were erased"), "{}", erased.stderr);
    assert_eq!(amounts(&server), once(1..=3));
}

#[test]
fn bad_lines_are_all_named_and_nothing_is_sent() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.write(
        "key,action,amount,email\n\
         a,plant,5,\n\
         a,plant,6,\n\
         b\u{1b}[2J,plant,1,\n\
         c,pla\u{1b}]0;x\u{7}nt,1,\n\
         d,plant,0,\n\
         e,plant,1,ada\n",
    );
    let done = orders.run(&[]);
    assert_eq!((done.code, &*done.stdout), (2, ""));
    assert_data_eq!(
        done.stderr,
        str![[r#"
line 3: key: line 2 has the same one
line 4: key: expected a name without U+001B, which is invisible: remove it
line 5: action: expected plant_tree, clean_ocean, capture_carbon, donate_money or restore_coral, or plant, clean, capture, donate or restore (got pla�]0;x�nt)
line 6: amount: expected a whole number of trees from 1 to 10,000,000 (got 0)
line 7: email: [..]
error: nothing was sent, because of 5 bad lines

"#]],
    );
    let (code, dry) = orders.json(&["--dry-run"]);
    let lines: Vec<_> =
        dry["bad"].as_array().unwrap().iter().map(|bad| bad["line"].as_u64().unwrap()).collect();
    assert_eq!((code, &lines[..]), (2, &[3, 4, 5, 6, 7][..]), "{dry}");
    assert_eq!((bought(&server), orders.setup.intents().len()), (0, 0));
    orders.write("key,action,amount,email,e-mail\n");
    let unknown = orders.run(&[]);
    assert!(unknown.stderr.contains("the column e-mail is not known"), "{}", unknown.stderr);
}

#[test]
fn a_dry_run_shows_what_would_be_bought_and_leaves_no_trace() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.write(
        "key,action,amount,email,date\n\
         a,plant,5,ada@example.com,\n\
         b,plant,6,ada@example.com,\n\
         c,donate,2.50,grace@example.com,\n\
         d,plant,100,,2999-12-31\n",
    );
    let dry = orders.setup.run_ok(&orders.arguments(&["--dry-run"]));
    assert_data_eq!(
        dry,
        str![[r#"
purchases       3
customers       2
total           $2.50 donated
total           11 trees planted
already bought  0
later           1

"#]],
    );
    let names =
        || fs::read_dir(&orders.setup.home).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names().collect::<Vec<_>>(), ["orders.csv"]);

    // Beside an outbox, it counts what was bought and changes no byte.
    orders.setup.run_ok(&["plant", "5", "--for", "ada@example.com", "--intent", "a"]);
    let path = &orders.setup.outboxes()[0];
    let before = fs::read(path).unwrap();
    let (code, dry) = orders.json(&["--dry-run"]);
    assert_eq!((code, &dry["purchases"], &dry["already_bought"]), (0, &2.into(), &1.into()));
    assert_eq!(dry["totals"]["tree_planted"], 6);
    assert!(fs::read(path).unwrap() == before);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_line_is_not_bought_before_its_date() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    let lines = |date| format!("key,action,amount,date\na,plant,1,2020-02-29\nb,plant,2,{date}\n");
    orders.write(&lines("2999-12-31"));
    let (code, first) = orders.json(&[]);
    assert_eq!((code, &first["bought"], &first["later"]), (0, &1.into(), &1.into()));
    assert_eq!(orders.results()["b"], "later");
    orders.write(&lines("2021-01-01"));
    assert_eq!(orders.json(&[]).1["bought"], 1);
    assert_eq!(amounts(&server), once(1..=2));
}

#[test]
fn a_ceiling_counts_what_this_run_may_buy() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    let all = "key,action,amount\na,plant,6\nb,plant,5\nc,donate,2.50\nd,donate,2.51\n\
               e,clean,3\nf,capture,4\ng,restore,2\n";
    orders.write(all);
    for (option, ceiling, words) in [
        ("--max-trees", "10", "come to 11 trees planted, and --max-trees is 10:"),
        ("--max-dollars", "5", "come to $5.01 donated, and --max-dollars is 5.00:"),
        (
            "--max-plastic",
            "2",
            "come to 3 lbs of plastic out of the ocean, and --max-plastic is 2:",
        ),
        ("--max-carbon", "0", "come to 4 lbs of CO2 captured, and --max-carbon is 0:"),
        ("--max-coral", "1", "come to 2 coral fragments restored, and --max-coral is 1:"),
    ] {
        for dry in [&["--dry-run"][..], &[]] {
            let over = orders.run(&[&[option, ceiling], dry].concat());
            assert_eq!(over.code, 2, "{option}");
            assert!(over.stderr.contains(words), "{}", over.stderr);
        }
    }
    assert_eq!((bought(&server), orders.setup.intents().len()), (0, 0));
    orders.write("key,action,amount\na,plant,6\n");
    assert_eq!(orders.json(&["--max-trees", "6"]).0, 0);
    // What was bought before does not count.
    orders.write(all);
    let ceilings = ["--max-trees", "5", "--max-dollars", "5.01", "--max-coral", "1,000"];
    assert_eq!(orders.json(&ceilings).1["bought"], 6);
}

#[test]
fn what_was_made_is_confirmed_by_one_walk_at_the_end() {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lists);
    let server = Server::builder()
        .fault(plant(Fault::ApplyThenDrop).times(7))
        .on_request(move |request| {
            count.fetch_add(usize::from(request.path == "/v1/records"), Ordering::Relaxed);
        })
        .start()
        .unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=25);
    let (code, done) = orders.json(&[]);
    assert_eq!((code, &done["bought"], &done["pending"]), (0, &25.into(), &0.into()));
    assert_eq!((amounts(&server), lists.load(Ordering::Relaxed)), (once(1..=25), 1));
}

#[test]
fn what_is_pending_is_listed_with_the_time_and_the_same_command_finds_out() {
    let late = Fault::DropThenApply { millis: 6_000 };
    let server = Server::builder().fault(plant(late).times(2)).start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=8);
    let done = orders.run(&["--wait", "1"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stdout.contains("\npending         2\n"), "{}", done.stdout);
    assert_data_eq!(
        done.stderr,
        str![[r#"
line [..], order-[..]: pending; from 20[..]Z on, the same command finds out
line [..], order-[..]: pending; from 20[..]Z on, the same command finds out
the ids are in [..]orders.results.csv
error: 2 pending: run the same command from 20[..]Z on, or with a longer --wait

"#]],
    );
    assert_eq!(orders.results().values().filter(|status| *status == "pending").count(), 2);
    let (code, done) = orders.json(&[]);
    assert_eq!((code, &done["bought"], &done["already_bought"]), (0, &2.into(), &6.into()));
    assert_eq!(amounts(&server), once(1..=8));
}

#[test]
fn a_request_that_was_lost_is_sent_again_within_the_wait() {
    let server = Server::builder().fault(plant(Fault::DropBefore).times(3)).start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=8);
    let (code, done) = orders.json(&["--settle", "2"]);
    assert_eq!((code, &done["bought"]), (0, &8.into()));
    assert_eq!(amounts(&server), once(1..=8));
}

#[test]
fn a_rate_limit_and_an_outage_are_waited_for() {
    let limited = Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(1)) };
    let server = Server::builder()
        .fault(plant(limited).times(3))
        .fault(plant(Fault::ServerError).times(2))
        .start()
        .unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=12);
    let (code, done) = orders.json(&["--settle", "2"]);
    assert_eq!((code, &done["bought"]), (0, &12.into()));
    assert_eq!(amounts(&server), once(1..=12));
}

#[test]
fn a_refused_line_stops_no_other() {
    let refused = Fault::Gateway { status: 400, applied: false, body: GatewayBody::ApiError };
    let server = Server::builder().fault(plant(refused).times(1)).start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=6);
    let done = orders.run(&["--parallel", "1"]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(done.stderr.contains("line 2, order-1: refused: "), "{}", done.stderr);
    assert_eq!((&*orders.results()["order-1"], bought(&server)), ("refused", 5));
    // It stays refused until a person wants it to be tried again.
    assert_eq!(orders.json(&[]).0, 3);
    orders.setup.run_ok(&["outbox", "retry", "order-1"]);
    let (code, done) = orders.json(&["--settle", "2"]);
    assert_eq!((code, &done["bought"]), (0, &1.into()));
    assert_eq!(amounts(&server), once(1..=6));
}

#[test]
fn a_killed_run_is_completed_by_the_next_one() {
    let kill_at = |point| {
        let late = plant(Fault::LateResponse { millis: 40 });
        let server = Server::builder().fault(late).start().unwrap();
        let orders = Orders::at(&server);
        orders.plant(1..=15);
        let mut run = orders.start(&[]);
        wait_until(&server, point);
        // As `kill -9` does.
        run.kill().unwrap();
        run.wait().unwrap();
        orders.end_leases();
        let (code, done) = orders.json(&["--settle", "2"]);
        assert_eq!(code, 0, "killed after {point}: {done}");
        assert_eq!(amounts(&server), once(1..=15), "killed after {point}");
    };
    // The second runs wait, so they do so at the same time.
    thread::scope(|scope| {
        for point in [1, 5, 9, 14] {
            scope.spawn(move || kill_at(point));
        }
    });
}

#[test]
fn an_interruption_finishes_what_is_under_way_and_the_same_command_goes_on() {
    let late = plant(Fault::LateResponse { millis: 300 });
    let server = Server::builder().fault(late).start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=40);
    let mut run = orders.start(&[]);
    wait_until(&server, 3);
    let pid = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let results = orders.results();
    let count = |status: &str| results.values().filter(|other| *other == status).count();
    assert_eq!(results.len(), 40);
    assert_eq!(count("bought"), bought(&server), "{results:?}");
    assert!(count("not_sent") > 0 && count("pending") == 0, "{results:?}");
    // Nothing is left that has to be looked for first.
    let (code, done) = orders.json(&["--wait", "0"]);
    assert_eq!((code, &done["pending"]), (0, &0.into()));
    assert_eq!(amounts(&server), once(1..=40));
}

#[test]
fn a_paused_outbox_and_a_refused_key_stop_the_run() {
    let revoked = Fault::Gateway { status: 401, applied: false, body: GatewayBody::ApiError };
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=2);
    assert_eq!(orders.run(&[]).code, 0);
    orders.plant(1..=9);
    server.emulator().inject(plant(revoked));
    let refused = orders.run(&[]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("the outbox is paused (the API refuses the key"));
    server.emulator().clear_faults();
    let paused = orders.run(&[]);
    assert_eq!(paused.code, 1, "{}", paused.stderr);
    assert!(paused.stderr.contains("and 7 lines not sent"), "{}", paused.stderr);
    assert_eq!(bought(&server), 2);
    orders.setup.run_ok(&["outbox", "resume"]);
    assert_eq!(orders.json(&["--settle", "2"]).0, 0);
    assert_eq!(amounts(&server), once(1..=9));
}

#[test]
fn an_api_that_cannot_be_reached_leaves_open_what_earlier_runs_bought() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=2);
    server.emulator().inject(FaultRule::new(Fault::DropBefore).on("/v1/whoami"));
    let first = orders.run(&[]);
    assert_eq!(first.code, 5, "{}", first.stderr);
    assert!(first.stderr.contains("nothing was bought"), "{}", first.stderr);
    server.emulator().clear_faults();
    assert_eq!(orders.run(&[]).code, 0);
    server.emulator().inject(FaultRule::new(Fault::DropBefore).on("/v1/whoami"));
    let later = orders.run(&[]);
    assert_eq!(later.code, 4, "{}", later.stderr);
    assert!(later.stderr.contains("may have bought lines of the file"), "{}", later.stderr);
    // Whatever the API says, nothing was bought with a database that cannot be used.
    fs::write(orders.setup.home.join("empty.db"), "").unwrap();
    let empty = orders.setup.home.join("empty.db");
    let unusable = orders.run(&["--database", empty.to_str().unwrap()]);
    assert_eq!(unusable.code, 2, "{}", unusable.stderr);
}

#[test]
fn the_result_file_replaces_no_other_file_and_holds_no_formula() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.write("key,action,amount\n=1+1,plant,1\n@x,plant,2\n\"a,b\",plant,3\n");
    let path = orders.setup.home.join("orders.results.csv");
    fs::write(&path, "mine\n").unwrap();
    let refused = orders.run(&[]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("is no result file of this command"), "{}", refused.stderr);
    assert_eq!((fs::read_to_string(&path).unwrap(), bought(&server)), ("mine\n".to_owned(), 0));
    let own = orders.run(&["--results", orders.file.to_str().unwrap()]);
    assert!(own.code == 2 && bought(&server) == 0, "{}", own.stderr);
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        assert_eq!(orders.run(&[]).code, 0);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\n2,'=1+1,") && text.contains("\n3,'@x,"), "{text}");
        assert!(text.contains("\n4,\"a,b\","), "{text}");
    }
    let names = fs::read_dir(&orders.setup.home).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{names:?}");
    let unwritable = orders.run(&["--results", "/nowhere/results.csv"]);
    assert_eq!(unwritable.code, 1, "{}", unwritable.stderr);
}

#[test]
fn the_outbox_of_a_shop_is_used_in_its_namespace() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    let path = orders.setup.home.join("shop.db");
    let missing = orders.setup.home.join("missing.db");
    let shop = Outbox::open(&path).unwrap();
    orders.plant(1..=4);
    let text = fs::read_to_string(&orders.file).unwrap();
    let in_shop = ["--database", path.to_str().unwrap(), "--namespace", "shop"];
    assert_eq!(orders.json(&in_shop).1["bought"], 4);
    assert_eq!(shop.find("shop", "order-3").unwrap().unwrap().status, Status::Bought);
    // Other intents of the shop are left alone.
    let other: oneclick_ureq::PlantTree =
        oneclick_ureq::PlantTree::new(oneclick_ureq::Trees::of::<9>());
    shop.enqueue("shop", "other", other).unwrap();
    orders.write(&(text + "order-5,plant,5\n"));
    assert_eq!(orders.json(&in_shop).1["bought"], 1);
    assert_eq!(shop.find("shop", "other").unwrap().unwrap().status, Status::Ready);
    assert_eq!(orders.run(&["--database", missing.to_str().unwrap()]).code, 1);
    assert!(!missing.exists());
    assert_eq!(amounts(&server), once(1..=5));
}

/// As `docs/outbox.md` says: the outbox has forgotten what was bought since the backup.
#[test]
fn a_file_is_bought_once_also_with_a_restored_outbox() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=2);
    assert_eq!(orders.run(&[]).code, 0);
    let path = orders.setup.outboxes().remove(0);
    let backup = fs::read(&path).unwrap();
    let backed_up = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    orders.plant(1..=4);
    assert_eq!(orders.run(&[]).code, 0);
    fs::write(&path, backup).unwrap();
    let restored = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);

    orders.plant(1..=5);
    orders.setup.run_ok(&["outbox", "pause"]);
    let (code, stored) = orders.json(&["--store-only"]);
    assert_eq!((code, &stored["already_bought"], &stored["not_sent"]), (0, &2.into(), &3.into()));
    let database = Connection::open(&path).unwrap();
    let sql = "UPDATE oneclick_outbox_intent SET enqueued = -1, enqueued_at = ?1
               WHERE status = 'ready' AND enqueued_at > ?2";
    assert_eq!(database.execute(sql, [&backed_up, &restored]).unwrap(), 3);
    orders.setup.run_ok(&["outbox", "resume"]);
    let (code, settled) = orders.json(&["--settle", "2"]);
    assert_eq!((code, &settled["bought"]), (0, &3.into()), "{settled}");
    assert_eq!(amounts(&server), once(1..=5));
}

#[test]
fn cancelled_lines_are_not_bought_again() {
    let server = Server::start().unwrap();
    let orders = Orders::at(&server);
    orders.plant(1..=3);
    assert_eq!(orders.run(&[]).code, 0);
    orders.setup.run_ok(&["outbox", "cancel", "order-2"]);
    orders.setup.run_ok(&["outbox", "work", "--once", "--quiet"]);
    let (code, done) = orders.json(&[]);
    assert_eq!((code, &done["cancelled"], &done["already_bought"]), (0, &1.into(), &2.into()));
    assert_eq!((orders.status("order-2"), bought(&server)), (Status::Cancelled, 3));
}

#[test]
fn production_asks_with_the_totals_and_a_terminal_shows_the_progress() {
    let server =
        Server::builder().fault(plant(Fault::LateResponse { millis: 400 })).start().unwrap();
    let mut setup = Setup::of(&as_production(&server));
    setup.key = "live_command";
    let orders = Orders::with(setup);
    let lines = (1..=6).map(|number| format!("order-{number},plant,{number},ada@example.com\n"));
    orders.write(&("key,action,amount,email\n".to_owned() + &lines.collect::<String>()));
    let refused = orders.run(&[]);
    assert!(refused.code == 2 && refused.stderr.contains("add --yes to "), "{}", refused.stderr);
    for (reply, expected, code) in [("n", "not confirmed", 2), ("y", "bought", 0)] {
        let mut command = orders.setup.command(&orders.arguments(&[]));
        command.env("TERM", "xterm");
        let mut terminal = spawn_command(command, Some(30_000)).unwrap();
        terminal
            .exp_regex(
                "buy 21 trees planted, in 6 purchases for 1 customer, with the account of .*",
            )
            .unwrap();
        terminal.send_line(reply).unwrap();
        if code == 0 {
            terminal.exp_regex("[1-6] of 6").unwrap();
        }
        terminal.exp_string(expected).unwrap();
        terminal.exp_eof().unwrap();
        let status = terminal.process.wait().unwrap();
        assert!(format!("{status:?}").contains(&format!(", {code})")), "{status:?}");
    }
    assert_eq!(amounts(&server), once(1..=6));
    // Nothing is left to ask for.
    assert_eq!(orders.run(&[]).code, 0);
    orders.plant(7..=9);
    let quiet = orders.arguments(&["--quiet", "--yes"]);
    let mut quiet = spawn_command(orders.setup.command(&quiet), Some(30_000)).unwrap();
    let all = quiet.exp_eof().unwrap();
    assert!(!all.contains(" of 3") && all.contains("bought"), "{all}");
}
