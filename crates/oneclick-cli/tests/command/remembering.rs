//! What this machine remembers of its purchases.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use oneclick_emulator::{Fault, FaultRule, Server};
use oneclick_outbox::rusqlite::Connection;
use oneclick_outbox::{Outbox, Status};
use oneclick_ureq::{Intent, PlantTree, Trees};
use serde_json::json;

use super::support::{Setup, bought, cancel_latest, finished, wait_until_bought};

const INTENT: [&str; 4] = ["plant", "5", "--intent", "order-1"];

#[test]
fn what_one_server_sold_says_nothing_about_another() {
    // Both give the key the same account.
    let (one, other) = (Server::start().unwrap(), Server::start().unwrap());
    let mut setup = Setup::at(&one);
    let first = setup.run_ok(&INTENT);
    setup.url = other.base_url().to_owned();
    setup.run_ok(&INTENT);
    assert_eq!((bought(&one), bought(&other)), (1, 1));
    // A slash at the end and capitals lead to the same server.
    setup.url = one.base_url().replace("http", "HTTP") + "/";
    assert_eq!(setup.run(&INTENT).stdout, first);
    assert_eq!(bought(&one), 1);
    // While nothing is known of a server, it may be one of them.
    setup.url = "http://127.0.0.1:1".to_owned();
    let unreached = setup.run(&INTENT);
    assert_eq!(unreached.code, 4, "{}", unreached.stderr);
    assert!(unreached.stderr.contains("intent order-1 may have been bought before"));
}

/// What an earlier version remembered, in a file for each intent.
struct OldFile {
    path: PathBuf,
    text: String,
}

/// Puts what the outbox has of an intent into a file of an earlier version, and removes the
/// outbox.
fn as_an_earlier_version(setup: &Setup) -> OldFile {
    let outbox = setup.outboxes().remove(0);
    let entry = setup.intents().remove(0);
    let intent = Intent::new(&entry.namespace, &entry.key);
    let path = outbox.with_file_name(format!("{}.json", intent.marker()));
    let stage = match (entry.status, &entry.receipt()) {
        (Status::Bought, Some(receipt)) => {
            json!({ "bought": { "receipt": receipt, "state": entry.state } })
        }
        (Status::Cancelled, _) => json!({ "cancelled": entry.found }),
        _ => json!({ "open": entry.state }),
    };
    let file = json!({ "intent": entry.key, "purchase": entry.purchase, "stage": stage });
    let old = OldFile { path, text: file.to_string() };
    fs::remove_file(outbox).unwrap();
    fs::write(&old.path, &old.text).unwrap();
    old
}

#[test]
fn an_outbox_that_cannot_be_used_may_have_the_intent() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let first = setup.run_ok(&INTENT);
    let path = setup.outboxes().remove(0);
    let whole = fs::read(&path).unwrap();
    let changed = whole.len() / 2;
    for damaged in [&b""[..], &whole[..changed], b"no database at all, but long enough for one"] {
        fs::write(&path, damaged).unwrap();
        for option in [&[][..], &["--look-only"], &["--look-first"], &["--buy-anyway"]] {
            let done = setup.run(&[&INTENT[..], option].concat());
            assert_eq!((done.code, &*done.stdout), (4, ""), "{}", done.stderr);
            let words = "error: the intent may have been bought before, and ";
            assert!(done.stderr.starts_with(words), "{}", done.stderr);
            assert!(
                done.stderr
                    .contains("; restore it; or end all `oneclick outbox` commands, move it away"),
                "{}",
                done.stderr
            );
        }
    }
    fs::write(&path, &whole).unwrap();
    let changed = "UPDATE oneclick_outbox_intent
                   SET status = 'open', state = replace(state, '\"version\":1', '\"version\":2')";
    Connection::open(&path).unwrap().execute(changed, []).unwrap();
    assert_eq!(setup.run(&INTENT).code, 4);

    fs::remove_file(&path).unwrap();
    assert_eq!(setup.run_ok(&[&INTENT[..], &["--look-first"]].concat()), first);
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_an_earlier_version_bought_is_not_bought_again() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let first = setup.run_ok(&INTENT);
    let old = as_an_earlier_version(&setup);
    let again = setup.run(&INTENT);
    assert_eq!((again.code, &again.stdout), (0, &first));
    assert!(again.stderr.contains("was bought by an earlier run"), "{}", again.stderr);
    assert!(!old.path.exists());

    // The file is back, as after a restored backup.
    fs::write(&old.path, &old.text).unwrap();
    assert_eq!(setup.run(&INTENT).stdout, first);
    assert!(!old.path.exists());

    cancel_latest(&server, &setup);
    assert_eq!(setup.run(&INTENT).code, 6);
    let old = as_an_earlier_version(&setup);
    assert!(old.text.contains("cancelled"), "{}", old.text);
    assert_eq!(setup.run(&INTENT).code, 6);
    assert_eq!((bought(&server), old.path.exists()), (1, false));
}

#[test]
fn what_an_earlier_version_may_have_bought_is_looked_for() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unread = FaultRule::new(Fault::ServerError).on("/v1/records");
    let server = Server::builder().fault(lost).fault(unread).start().unwrap();
    let setup = Setup::at(&server);
    assert_eq!(setup.run(&[&INTENT[..], &["--wait", "1"]].concat()).code, 4);
    let old = as_an_earlier_version(&setup);
    server.emulator().clear_faults();
    // Any purchase takes it over, and then warns of it.
    let other = setup.run(&["plant", "5"]);
    assert!(other.stderr.contains("--intent order-1 --look-only`"), "{}", other.stderr);
    assert!(!old.path.exists());
    assert_eq!(setup.intents()[0].status, Status::Open);
    setup.run_ok(&INTENT);
    assert_eq!(bought(&server), 2);
}

#[test]
fn while_the_api_is_down_an_earlier_version_may_have_bought_it() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&INTENT);
    as_an_earlier_version(&setup);
    server.emulator().inject(FaultRule::new(Fault::DropBefore).on("/v1/whoami"));
    assert_eq!(setup.run(&INTENT).code, 4);
    assert_eq!(setup.run(&["plant", "5", "--intent", "order-2"]).code, 5);
}

#[test]
fn with_a_file_of_an_earlier_version_that_cannot_be_used_it_may_have_been_bought() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let first = setup.run_ok(&INTENT);
    let OldFile { path, text } = as_an_earlier_version(&setup);
    let fails = |code: i32, words: &str| {
        for option in [&[][..], &["--look-only"], &["--look-first"], &["--buy-anyway"]] {
            let done = setup.run(&[&INTENT[..], option].concat());
            assert_eq!((done.code, &*done.stdout), (code, ""), "{}", done.stderr);
            assert!(done.stderr.contains(words), "{}", done.stderr);
        }
    };
    let advice = "move it away and add --look-first";
    for damaged in ["", &text[..text.len() / 2], &text.replace(r#""version":1"#, "\"version\":2")] {
        assert_ne!(damaged, text);
        fs::write(&path, damaged).unwrap();
        fails(4, advice);
    }
    fs::write(&path, text.replace("order-1", "order-2")).unwrap();
    fails(2, "is not the file of intent order-1: it has another intent");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fails(4, "cannot be read: ");
    // Other intents are none of its business.
    setup.run_ok(&["plant", "5", "--intent", "order-2"]);

    fs::remove_dir(&path).unwrap();
    assert_eq!(setup.run_ok(&[&INTENT[..], &["--look-first"]].concat()), first);
    assert_eq!(bought(&server), 2);
}

#[test]
fn a_worker_carries_out_what_a_killed_run_left_and_the_run_prints_it() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let setup = Setup::at(&server);
    let ada = [&INTENT[..], &["--for", "ada@example.com", "--json"]].concat();
    let mut child = setup.command(&ada).stdout(Stdio::null()).spawn().unwrap();
    wait_until_bought(&server);
    // As `kill -9` does.
    child.kill().unwrap();
    child.wait().unwrap();
    // As if the time were over for which a run claims an intent.
    let database = Connection::open(&setup.outboxes()[0]).unwrap();
    database.execute("UPDATE oneclick_outbox_intent SET due = 0", []).unwrap();
    let worked = setup.run(&["outbox", "work", "--once"]);
    assert_eq!(worked.code, 0, "{}", worked.stderr);
    assert!(worked.stderr.contains("order-1: bought 5 trees planted as U"), "{}", worked.stderr);
    let printed = setup.run(&ada);
    assert!(printed.stdout.contains(r#""customer_email": "ada@example.com""#), "{printed:?}");
    assert_eq!((printed.code, bought(&server)), (0, 1));
}

#[test]
fn what_a_person_decided_counts_for_the_next_run() {
    let lost = FaultRule::new(Fault::DropBefore).on("/v1/plant_tree");
    let server = Server::builder().fault(lost).start().unwrap();
    let setup = Setup::at(&server);
    let donate = ["donate", "5.25", "--intent", "order-1", "--settle", "0"];
    assert_eq!(setup.run(&[&INTENT[..], &["--settle", "0"]].concat()).code, 5);
    setup.run_ok(&["outbox", "drop", "order-1"]);
    let dropped = setup.run(&INTENT);
    assert_eq!(dropped.code, 2);
    assert!(dropped.stderr.contains("intent order-1 was dropped by a person"), "{dropped:?}");
    assert_eq!(setup.run(&donate).code, 2);

    let lost = FaultRule::new(Fault::DropBefore).on("/v1/donate_money");
    server.emulator().inject(lost);
    let donate = ["donate", "5.25", "--intent", "order-2", "--settle", "0"];
    assert_eq!(setup.run(&donate).code, 5);
    let id = "U1-2025-01-01T00:00:00.001Z";
    setup.run_ok(&["outbox", "resolve", "order-2", "--bought-as", id]);
    let resolved = setup.run(&donate);
    assert_eq!((resolved.code, resolved.stdout), (0, format!("$5.25 donated\n{id}\n")));
    assert_eq!(bought(&server), 0);
}

#[test]
fn while_the_outbox_is_paused_no_run_buys() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&["outbox", "pause", "--reason", "moving"]);
    for command in [&INTENT[..], &["plant", "5"]] {
        let paused = setup.run(command);
        assert_eq!(paused.code, 1, "{}", paused.stderr);
        let words = "the outbox is paused (moving), so this run sent nothing; ";
        assert!(paused.stderr.contains(words), "{}", paused.stderr);
    }
    // A worker does not buy later what the runs were told was not sent.
    assert!(setup.intents().is_empty());
    setup.run_ok(&["outbox", "resume"]);
    setup.run_ok(&INTENT);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_run_waits_for_a_worker_that_has_the_intent() {
    let lost = FaultRule::new(Fault::DropBefore).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(lost).start().unwrap();
    let setup = Setup::at(&server);
    let pending = setup.run(&[&INTENT[..], &["--wait", "1"]].concat());
    assert_eq!(pending.code, 4);
    let late = FaultRule::new(Fault::LateResponse { millis: 2_000 }).on("/v1/records").times(1);
    server.emulator().inject(late);
    let database = Connection::open(&setup.outboxes()[0]).unwrap();
    database.execute("UPDATE oneclick_outbox_intent SET due = 0", []).unwrap();
    let mut worker = setup.command(&["outbox", "work", "--once"]).spawn().unwrap();
    let held =
        || database.query_row("SELECT held FROM oneclick_outbox_intent", [], |row| row.get(0));
    for _ in 0..10_000 {
        if held() == Ok(1) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(held(), Ok(1));
    let found = setup.run(&[&INTENT[..], &["--settle", "2", "--wait", "10"]].concat());
    let words = "waiting for another run that works on the same intent\n";
    assert!(found.stderr.starts_with(words), "{}", found.stderr);
    assert!(found.code == 0 && worker.wait().unwrap().success(), "{}", found.stderr);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_purchase_without_an_intent_warns_of_an_earlier_one_that_was_killed() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let mut setup = Setup::at(&server);
    let mut child = setup.command(&["plant", "5"]).stdout(Stdio::null()).spawn().unwrap();
    wait_until_bought(&server);
    // As `kill -9` does.
    child.kill().unwrap();
    child.wait().unwrap();

    setup.run_ok(&["plant", "6"]);
    setup.key = "test_another";
    setup.run_ok(&["plant", "5"]);
    setup.key = "test_command";
    let again = setup.run(&["plant", "5", "--quiet"]);
    assert_eq!(again.code, 0);
    let words = "warning: an earlier run may have bought the same (5 trees planted): the same \
                 command with `";
    assert!(again.stderr.starts_with(words), "{}", again.stderr);
    assert!(again.stderr.ends_with("; this run buys it as well\n"), "{}", again.stderr);
    assert_eq!(bought(&server), 3);

    let options = again.stderr.split('`').nth(1).unwrap();
    let look: Vec<_> = ["plant", "5"].into_iter().chain(options.split(' ')).collect();
    assert!(setup.run_ok(&look).starts_with("5 trees planted\nU"));
    // From then on there is nothing to warn of.
    setup.run_ok(&["plant", "5"]);
}

#[test]
fn a_run_that_waits_for_another_one_says_so() {
    let late = FaultRule::new(Fault::LateResponse { millis: 4_000 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late).start().unwrap();
    let setup = Setup::at(&server);
    let child = setup.command(&INTENT).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_bought(&server);
    let second = setup.run(&INTENT);
    let first = finished(&child.wait_with_output().unwrap());
    assert_eq!((second.code, second.stdout), (0, first.stdout));
    let words = "waiting for another run that works on the same intent\n";
    assert!(second.stderr.starts_with(words), "{}", second.stderr);
}

#[test]
fn the_doctor_checks_that_purchases_can_be_remembered() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    assert!(setup.run_ok(&["doctor"]).contains("\nok     intents: "));
    assert!(setup.outboxes().is_empty());
    let folder = setup.home.join(".local/state/oneclick/intents");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    let doctor = setup.run(&["doctor"]);
    assert_eq!((doctor.code, &*doctor.stderr), (1, "error: found 1 problem\n"));
    assert!(doctor.stdout.contains("\nwrong  intents: "), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("\nok     account: "), "{}", doctor.stdout);
    assert_eq!(setup.run(&INTENT).code, 1);
    assert_eq!(bought(&server), 0);
}

/// A worker with the account's own namespace, or a run in another home with the same database.
#[test]
fn an_intent_that_another_process_stores_meanwhile_is_not_bought_as_new() {
    let late = FaultRule::new(Fault::LateResponse { millis: 1_500 }).on("/v1/whoami");
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&["plant", "1", "--intent", "order-0"]);
    let account = setup.intents()[0].namespace.clone();
    server.emulator().inject(late);
    let child = setup.command(&INTENT).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    // It has found no intent, and asks for the server's time.
    thread::sleep(Duration::from_millis(2_200));
    let outbox = Outbox::open(setup.outboxes().remove(0)).unwrap();
    outbox.enqueue(&account, "order-1", PlantTree::new(Trees::of::<5>())).unwrap();
    let done = finished(&child.unwrap().wait_with_output().unwrap());
    assert_eq!((done.code, bought(&server)), (4, 1), "{}", done.stderr);
    assert!(done.stderr.contains("another process has worked on intent order-1"));
}

#[test]
fn a_cancellation_during_a_purchase_is_not_forgotten() {
    let late = FaultRule::new(Fault::LateResponse { millis: 2_000 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late.times(1)).start().unwrap();
    let setup = Setup::at(&server);
    // Without --intent, what was bought is not remembered otherwise.
    let mut command = setup.command(&["plant", "12"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    wait_until_bought(&server);
    setup.run_ok(&["outbox", "cancel", "--number", "1"]);
    let done = finished(&child.unwrap().wait_with_output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("a person cancelled it meanwhile"), "{}", done.stderr);
    assert_eq!(setup.run(&["outbox", "work", "--once"]).code, 0);
    assert_eq!(setup.intents()[0].status, Status::Cancelled);
}

#[test]
fn a_run_says_that_a_worker_is_to_cancel_what_was_bought() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let first = setup.run_ok(&INTENT);
    setup.run_ok(&["outbox", "cancel", "order-1"]);
    let again = setup.run(&INTENT);
    assert_eq!((again.code, again.stdout), (0, first));
    assert!(again.stderr.contains("a person cancelled it, and `oneclick outbox work` does so"));
    assert_eq!(setup.run(&["outbox", "work", "--once"]).code, 0);
    assert_eq!(setup.run(&INTENT).code, 6);
}

/// SQLite would apply it to the new database.
#[test]
fn the_journal_of_an_outbox_that_was_moved_away_is_not_applied_to_a_new_one() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&INTENT);
    let path = setup.outboxes().remove(0);
    let mut journal = path.clone().into_os_string();
    journal.push("-journal");
    fs::write(&journal, "half a transaction").unwrap();
    fs::remove_file(&path).unwrap();
    let done = setup.run(&["plant", "5", "--intent", "order-2"]);
    assert_eq!((done.code, bought(&server)), (1, 1), "{}", done.stderr);
    assert!(done.stderr.contains("-journal belongs to an outbox that is not there any more"));
    assert!(!path.exists());
    fs::remove_file(&journal).unwrap();
    setup.run_ok(&["plant", "5", "--intent", "order-2"]);
}

/// The file is intact, so the message does not advise moving it.
#[test]
fn an_outbox_that_is_only_busy_is_not_called_damaged() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&INTENT);
    let other = Connection::open(setup.outboxes().remove(0)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = setup.run(&INTENT);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stderr.contains("database is locked"), "{}", done.stderr);
    assert!(!done.stderr.contains("damaged"), "{}", done.stderr);
}
