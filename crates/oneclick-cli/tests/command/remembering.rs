//! The files in which this machine remembers its purchases.

use std::fs;
use std::process::Stdio;

use oneclick_emulator::{Fault, FaultRule, Server};

use super::support::{Setup, bought, finished, wait_until_bought};

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

#[test]
fn with_a_file_that_cannot_be_used_the_intent_may_have_been_bought() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let first = setup.run_ok(&INTENT);
    let file = setup.entries().remove(0);
    let entry = fs::read_to_string(&file).unwrap();
    let fails = |words: &str| {
        for option in [&[][..], &["--look-only"], &["--look-first"], &["--buy-anyway"]] {
            let done = setup.run(&[&INTENT[..], option].concat());
            assert_eq!((done.code, &*done.stdout), (4, ""), "{}", done.stderr);
            assert!(done.stderr.contains("the intent may have been bought before, and "));
            assert!(done.stderr.contains(words), "{}", done.stderr);
        }
    };
    for damaged in
        ["", &entry[..entry.len() / 2], &entry.replace(r#""version":1"#, "\"version\":2")]
    {
        assert_ne!(damaged, entry);
        fs::write(&file, damaged).unwrap();
        fails("move it away and add --look-first");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fails("cannot be read: ");

    fs::remove_dir(&file).unwrap();
    assert_eq!(setup.run_ok(&[&INTENT[..], &["--look-first"]].concat()), first);
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
    assert!(setup.entries().is_empty());
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
