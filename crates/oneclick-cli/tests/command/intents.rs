//! Intents: what an earlier run, or another machine, may have bought.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread::{self, sleep};
use std::time::Duration;

use oneclick_emulator::{Fault, FaultRule, Server};
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Place, Ran, bought, take_back, wait_until_bought};

const INTENT: [&str; 4] = ["plant", "5", "--intent", "order-1"];
/// A port on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// With an option or two.
fn with<'a>(command: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    [command, options].concat()
}

#[track_caller]
fn ends(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!((ran.code, &*ran.stdout), (code, ""), "{}", ran.stderr);
    for words in words {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    let denied = ran.stderr.contains("nothing was bought");
    assert_eq!(denied, [3, 5].contains(&code), "{}", ran.stderr);
}

/// Nothing that is sent on this path arrives.
fn dropped(path: &str) -> FaultRule {
    FaultRule::new(Fault::DropBefore).on(path)
}

/// An API that does not know any key any more.
fn revoked() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming().take(10) {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]).unwrap();
            let body = r#"{"type":"key_error","message":"API Key does not exist"}"#;
            let length = body.len();
            write!(
                connection,
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n\
                 {body}",
            )
            .unwrap();
        }
    });
    url
}

#[test]
fn while_an_earlier_run_may_have_bought_it_every_failure_is_4() {
    let never = FaultRule::new(Fault::NeverAnswer { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let mut place = Place::at(&server);
    let mut child = place.command(&INTENT).stdout(Stdio::null()).spawn().unwrap();
    wait_until_bought(&server);
    // The same as kill -9.
    child.kill().unwrap();
    child.wait().unwrap();

    let other = ["plant", "5", "--intent", "order-2"];
    let words = ["the intent order-1 may have been bought before: ", "`--intent order-1` to find"];
    let url = std::mem::replace(&mut place.url, NOWHERE.to_owned());
    ends(&place.run(&INTENT), 4, &words);
    ends(&place.run(&other), 5, &[]);
    place.url = revoked();
    ends(&place.run(&INTENT), 4, &words);
    ends(&place.run(&other), 3, &[]);
    place.url = url;
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/records"));
    ends(&place.run(&with(&INTENT, &["--wait", "1"])), 4, &["it is not known yet"]);
    server.emulator().clear_faults();
    assert!(place.prints(&INTENT).starts_with("5 trees planted\nU"));

    // It stands.
    place.url = NOWHERE.to_owned();
    ends(&place.run(&INTENT), 4, &words);
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_another_machine_may_have_bought_is_not_denied_while_the_api_is_away() {
    let place = Place::of(NOWHERE);
    for look in ["--look-only", "--look-first"] {
        let ran = place.run(&with(&INTENT, &[look]));
        ends(&ran, 4, &["the intent order-1 may have been bought before: "]);
    }
}

#[test]
fn an_intent_stands_for_all_of_its_purchase_open_or_bought() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree");
    let unread = FaultRule::new(Fault::ServerError).on("/v1/customer_records");
    let server = Server::builder().fault(lost).fault(unread).start().unwrap();
    let place = Place::at(&server);
    let ada = ["--for", "ada@example.com", "--name", "Ada", "--metadata", "order=A-1", "--food"];
    let first = with(&INTENT, &with(&ada, &["--wait", "1"]));
    assert_eq!(place.run(&first).code, 4);
    let mode = fs::metadata(&place.entries()[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let others = [
        vec!["plant", "6", "--food", "--for", "ada@example.com", "--name", "Ada"],
        vec!["clean", "5", "--for", "ada@example.com", "--name", "Ada"],
        with(&["plant", "5"], &ada[..6]),
        vec!["plant", "5"],
        vec!["plant", "5", "--food", "--for", "bob@example.com", "--metadata", "order=A-1"],
        vec!["plant", "5", "--food", "--for", "ada@example.com", "--metadata", "order=A-1"],
        with(&["plant", "5", "--silent"], &ada),
        with(&["plant", "5", "--metadata", "b=2"], &ada),
    ];
    let are_refused = || {
        for other in &others {
            let refused = place.run(&with(other, &["--intent", "order-1"]));
            assert_eq!((refused.code, &*refused.stdout), (2, ""), "{other:?}: {}", refused.stderr);
            assert_data_eq!(
                refused.stderr,
                str![[r#"
oneclick: this run bought nothing; intent order-1 stands for 5 trees planted for ada@example.com (Ada), category food, order=A-1; choose another key

"#]],
            );
        }
        assert_eq!(bought(&server), 1);
    };
    are_refused();
    server.emulator().clear_faults();
    place.prints(&first);
    are_refused();
    assert_eq!(fs::metadata(&place.entries()[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_file_of_another_intent_is_refused_although_that_one_was_bought() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    place.prints(&INTENT);
    let first = place.entries();
    let other = ["plant", "5", "--intent", "order-2"];
    place.prints(&other);
    let second = place.entries().into_iter().find(|path| !first.contains(path)).unwrap();
    fs::copy(&first[0], second).unwrap();
    ends(&place.run(&other), 2, &["its intent differs from the one given"]);
}

#[test]
fn accounts_have_intents_of_their_own() {
    let server = Server::start().unwrap();
    let mut place = Place::at(&server);
    let first = place.prints(&INTENT);
    place.key = "test_another";
    assert_ne!(place.prints(&INTENT), first);
    place.key = "test_command";
    assert_eq!(place.run(&INTENT).stdout, first);
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_was_bought_and_taken_back_is_6() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let printed = place.prints(&INTENT);
    // Whether it stands cannot be found out, but that it was bought is known.
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/track"));
    let untracked = place.run(&INTENT);
    assert_eq!((untracked.code, &untracked.stdout), (0, &printed));
    let words = "order-1 was bought before; nothing is bought now; whether it was taken back since is \
                 not known: GET /v1/track";
    assert!(untracked.stderr.starts_with(words), "{}", untracked.stderr);
    server.emulator().clear_faults();

    let id = take_back(&server, &place);
    let words = format!(
        "oneclick: order-1 was bought as {id}, and taken back since; nothing is bought now"
    );
    ends(&place.run(&INTENT), 6, &[&words]);
    // It stays so, and is remembered.
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/track"));
    ends(&place.run(&INTENT), 6, &[&words]);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_lost_purchase_that_was_taken_back_meanwhile_is_6() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    let place = Place::at(&server);
    ends(&place.run(&with(&INTENT, &["--wait", "1"])), 4, &[]);
    server.emulator().clear_faults();
    let id = take_back(&server, &place);
    for _ in 0..2 {
        ends(&place.run(&INTENT), 6, &[&id, "taken back since"]);
    }
    let elsewhere = Place::at(&server);
    ends(&elsewhere.run(&with(&INTENT, &["--look-only"])), 6, &[&id]);
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_is_pending_says_from_when_the_same_command_will_tell_and_then_it_does() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(1)).start().unwrap();
    let place = Place::at(&server);
    let long = place.run(&with(&INTENT, &["--wait", "1"]));
    ends(&long, 4, &[]);
    assert_data_eq!(
        long.stderr,
        str![[r#"
oneclick: it is not known yet whether it was bought: POST /v1/plant_tree: [..]; from 20[..]-[..]-[..] [..]:[..]:[..] UTC (in 15 minutes) on, the same command with `--intent order-1` will tell, and buys it if it is not found then

"#]],
    );
    // It is not sent again before.
    ends(&place.run(&with(&INTENT, &["--wait", "1"])), 4, &["(in 15 minutes) on"]);
    assert_eq!(bought(&server), 0);
    sleep(Duration::from_secs(5));
    let found = place.prints(&with(&INTENT, &["--wait", "1", "--settle", "2"]));
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_record_that_shows_late_is_found_and_not_bought_again() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::Hidden { millis: 4_000 }).on("/v1/plant_tree").times(1))
        .start()
        .unwrap();
    let place = Place::at(&server);
    place.prints(&INTENT);
    // Another machine looks, and does not see it at first.
    let elsewhere = Place::at(&server);
    ends(&elsewhere.run(&with(&INTENT, &["--look-first", "--wait", "1"])), 4, &["not known yet"]);
    let found = elsewhere.prints(&INTENT);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn within_a_longer_wait_the_command_itself_concludes_and_buys_again() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(1)).start().unwrap();
    let place = Place::at(&server);
    let found = place.prints(&with(&INTENT, &["--wait", "10", "--settle", "2"]));
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_pending_purchase_without_a_name_says_how_to_take_it_up() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unread = FaultRule::new(Fault::ServerError).on("/v1/records");
    let server = Server::builder().fault(lost).fault(unread).start().unwrap();
    let place = Place::at(&server);
    let pending = place.run(&["plant", "5", "--wait", "1"]);
    ends(&pending, 4, &["the same command with `--intent "]);
    server.emulator().clear_faults();
    let key = pending.stderr.split("--intent ").nth(1).unwrap().split('`').next().unwrap();
    let found = place.prints(&["plant", "5", "--intent", key]);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_only_finds_what_was_bought_and_sends_nothing_otherwise() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let look = with(&INTENT, &["--look-only", "--wait", "1", "--settle", "2"]);
    let words = "will tell, and sends nothing";
    ends(&place.run(&look), 4, &["it is not known yet whether it was bought; from ", words]);
    sleep(Duration::from_secs(5));
    let words = "none is found; this run sent nothing; if you are sure that no other machine is \
                 working on it, run the same command with `--intent order-1 --buy-anyway` instead of \
                 `--look-only`";
    ends(&place.run(&look), 5, &[words]);
    assert_eq!(bought(&server), 0);

    let printed = Place::at(&server).prints(&INTENT);
    assert_eq!(place.prints(&look), printed);
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_only_does_not_send_what_the_same_command_would_send_again() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(1)).start().unwrap();
    let place = Place::at(&server);
    let short = with(&INTENT, &["--wait", "1", "--settle", "2"]);
    ends(&place.run(&short), 4, &[]);
    sleep(Duration::from_secs(5));
    let words = "nothing of the intent order-1 is found, and this run sent nothing; the same command \
                 without `--look-only` buys it";
    for _ in 0..2 {
        ends(&place.run(&with(&short, &["--look-only"])), 5, &[words]);
    }
    let words = "the same command with `--buy-anyway` buys it";
    ends(&place.run(&with(&short, &["--look-first"])), 5, &[words]);
    assert_eq!(bought(&server), 0);
    place.prints(&with(&short, &["--look-first", "--buy-anyway"]));
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_first_sends_nothing_until_a_person_says_so() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let short = with(&INTENT, &["--wait", "1", "--settle", "2"]);
    let look = with(&short, &["--look-first"]);
    ends(&place.run(&look), 4, &["will tell, and sends nothing"]);
    sleep(Duration::from_secs(5));
    let words = [
        "2 purchases of the intent order-1 may have been sent, and none is found; this run sent \
         nothing",
        "if you are sure that no other machine is working on it, run the same command with \
         `--intent order-1 --buy-anyway`",
    ];
    ends(&place.run(&look), 5, &words);
    // Nor without the option: the intent is one that may have been bought.
    ends(&place.run(&short), 5, &words);
    assert_eq!(bought(&server), 0);
    let printed = place.prints(&with(&short, &["--buy-anyway"]));
    assert!(printed.starts_with("5 trees planted\nU"), "{printed}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_first_that_may_buy_waits_until_absence_counts() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let both = with(&INTENT, &["--look-first", "--buy-anyway", "--settle", "2"]);
    let pending = place.run(&with(&both, &["--wait", "1"]));
    let words = "the same command with `--intent order-1` and without `--look-first --buy-anyway` \
                 will tell, and buys it if it is not found then";
    ends(&pending, 4, &[words]);
    assert_eq!(bought(&server), 0);
    place.prints(&with(&both, &["--wait", "10"]));
    assert_eq!(bought(&server), 1);
}

#[test]
fn after_two_purchases_that_are_not_found_a_person_is_asked() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(3)).start().unwrap();
    let place = Place::at(&server);
    let at_once = with(&INTENT, &["--settle", "0"]);
    let two = "2 purchases of the intent order-1 may have been sent, and none is found; ";
    ends(
        &place.run(&at_once),
        5,
        &[two, "no other one is sent", "`--intent order-1 --buy-anyway`"],
    );
    sleep(Duration::from_secs(3));
    ends(&place.run(&at_once), 5, &[two, "this run sent nothing", "--buy-anyway`"]);
    let anyway = with(&at_once, &["--buy-anyway"]);
    ends(&place.run(&anyway), 5, &["3 purchases of the intent order-1 may have been sent"]);
    assert_eq!(bought(&server), 0);
    sleep(Duration::from_secs(3));
    place.prints(&anyway);
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_was_bought_twice_is_shown_to_a_person() {
    let server = Server::start().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        // Two machines that know nothing of each other.
        let printed = Place::at(&server).prints(&INTENT);
        ids.push(printed.lines().nth(1).unwrap().to_owned());
        sleep(Duration::from_secs(2));
    }
    let place = Place::at(&server);
    let twice = place.run(&with(&INTENT, &["--look-first"]));
    ends(&twice, 4, &[]);
    let (line, found) = twice.stderr.split_once('\n').unwrap();
    assert_eq!(
        line,
        "oneclick: it was bought more than once; see each of these with `oneclick track ID`, take \
         back what should not stand with `oneclick cancel ID`, then run the same command with \
         `--intent order-1` to find out:",
    );
    assert_eq!(found.lines().collect::<Vec<_>>(), ids);
    assert_eq!(bought(&server), 2);

    // One that is taken back by a person leaves the other one.
    place.prints(&["cancel", &ids[0]]);
    assert!(place.prints(&INTENT).ends_with(&format!("{}\n", ids[1])));
}

#[test]
fn an_intent_that_was_certainly_not_bought_is_bought_by_the_next_run() {
    let limited = Fault::RateLimited { retry_after: None };
    let server =
        Server::builder().fault(FaultRule::new(limited).on("/v1/plant_tree")).start().unwrap();
    let place = Place::at(&server);
    for _ in 0..3 {
        ends(&place.run(&INTENT), 3, &["429 Too Many Requests", "; wait a minute and try again"]);
    }
    assert!(place.entries().is_empty());
    server.emulator().clear_faults();
    place.prints(&INTENT);
    assert_eq!(bought(&server), 1);
}

#[test]
fn the_options_of_looking_need_an_intent_and_exclude_each_other() {
    let place = Place::of(NOWHERE);
    for options in [
        &["--look-only"][..],
        &["--look-first"],
        &["--buy-anyway"],
        &["--look-only", "--look-first", "--intent", "a"],
        &["--look-only", "--buy-anyway", "--intent", "a"],
    ] {
        assert_eq!(place.run(&with(&["plant", "5"], options)).code, 2, "{options:?}");
    }
}

#[test]
fn the_local_emulator_says_what_time_it_is_so_that_absence_counts_from_run_to_run() {
    let place = Place::of(NOWHERE);
    let look = with(&INTENT, &["--local", "--look-only", "--wait", "1", "--settle", "2"]);
    ends(&place.run(&look), 4, &[]);
    sleep(Duration::from_secs(5));
    ends(&place.run(&look), 5, &[]);
}
