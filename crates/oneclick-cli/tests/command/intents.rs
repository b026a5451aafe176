//! Intents: what an earlier run, or another machine, may have bought.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use oneclick_emulator::behaviour::{DateHeader, MetadataForm, TimeForm, TrackBy};
use oneclick_emulator::{Behaviour, Fault, FaultRule, GatewayBody, Server};
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Finished, Setup, bought, cancel_latest, finished, wait_until_bought};

const INTENT: [&str; 4] = ["plant", "5", "--intent", "order-1"];
/// A port on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// The command with more options.
fn with<'a>(command: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    [command, options].concat()
}

#[track_caller]
fn fails_with(done: &Finished, code: i32, words: &[&str]) {
    assert_eq!((done.code, &*done.stdout), (code, ""), "{}", done.stderr);
    for words in words {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    // Only these codes say that no run bought it.
    let denied = ["nothing was bought", "error: not found: "];
    let denied = denied.iter().any(|words| done.stderr.contains(words));
    assert_eq!(denied, [3, 5].contains(&code), "{}", done.stderr);
}

/// Drops every request to this path before it is applied.
fn dropped(path: &str) -> FaultRule {
    FaultRule::new(Fault::DropBefore).on(path)
}

#[test]
fn while_an_earlier_run_may_have_bought_it_every_failure_is_4() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let setup = Setup::at(&server);
    let mut child = setup.command(&INTENT).stdout(Stdio::null()).spawn().unwrap();
    wait_until_bought(&server);
    // As `kill -9` does.
    child.kill().unwrap();
    child.wait().unwrap();

    let other = ["plant", "5", "--intent", "order-2"];
    let words =
        ["intent order-1 may have been bought before: ", "`--intent order-1` later to find out"];
    server.emulator().inject(dropped("/v1/whoami"));
    fails_with(&setup.run(&INTENT), 4, &words);
    fails_with(&setup.run(&other), 5, &[]);
    server.emulator().clear_faults();
    let revoked = Fault::Gateway { status: 401, applied: false, body: GatewayBody::ApiError };
    server.emulator().inject(FaultRule::new(revoked).on("/v1/whoami"));
    fails_with(&setup.run(&INTENT), 4, &words);
    fails_with(&setup.run(&other), 3, &[]);
    server.emulator().clear_faults();
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/records"));
    fails_with(&setup.run(&with(&INTENT, &["--wait", "1"])), 4, &["it is not known yet"]);
    server.emulator().clear_faults();
    assert!(setup.run_ok(&INTENT).starts_with("5 trees planted\nU"));

    // Also once it is known to be bought: it may have been cancelled.
    server.emulator().inject(dropped("/v1/whoami"));
    fails_with(&setup.run(&INTENT), 4, &words);
    assert_eq!(bought(&server), 1);
}

#[test]
fn while_the_api_is_down_a_purchase_of_another_machine_is_not_denied() {
    let setup = Setup::of(NOWHERE);
    for look in ["--look-only", "--look-first"] {
        let done = setup.run(&with(&INTENT, &[look]));
        fails_with(&done, 4, &["intent order-1 may have been bought before: "]);
    }
}

#[test]
fn an_intent_belongs_to_every_detail_of_its_purchase() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree");
    let unread = FaultRule::new(Fault::ServerError).on("/v1/customer_records");
    let server = Server::builder().fault(lost).fault(unread).start().unwrap();
    let setup = Setup::at(&server);
    let ada = ["--for", "ada@example.com", "--name", "Ada", "--metadata", "order=A-1", "--food"];
    let first = with(&INTENT, &with(&ada, &["--wait", "1"]));
    assert_eq!(setup.run(&first).code, 4);
    let mode = fs::metadata(&setup.outboxes()[0]).unwrap().permissions().mode();
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
            let refused = setup.run(&with(other, &["--intent", "order-1"]));
            assert_eq!((refused.code, &*refused.stdout), (2, ""), "{other:?}: {}", refused.stderr);
            assert_data_eq!(
                refused.stderr,
                str![[r#"
error: intent order-1 belongs to another purchase: 5 trees planted for ada@example.com (Ada), category food, order=A-1; this run bought nothing; use another --intent for this purchase

"#]],
            );
        }
        assert_eq!(bought(&server), 1);
    };
    are_refused();
    server.emulator().clear_faults();
    setup.run_ok(&first);
    are_refused();
    assert_eq!(fs::metadata(&setup.outboxes()[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn each_account_has_its_own_intents() {
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    let first = setup.run_ok(&INTENT);
    setup.key = "test_another";
    assert_ne!(setup.run_ok(&INTENT), first);
    setup.key = "test_command";
    assert_eq!(setup.run(&INTENT).stdout, first);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_cancelled_purchase_is_6() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let printed = setup.run_ok(&INTENT);
    // It is known that it was bought, and not whether it was cancelled since.
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/track"));
    let untracked = setup.run(&INTENT);
    assert_eq!((untracked.code, &untracked.stdout), (0, &printed));
    let words = "warning: intent order-1 was bought by an earlier run, but it is not known \
                 whether it was cancelled since: GET /v1/track";
    assert!(untracked.stderr.starts_with(words), "{}", untracked.stderr);
    assert_eq!(setup.run(&with(&INTENT, &["--quiet"])).stderr, untracked.stderr);
    server.emulator().clear_faults();

    let id = cancel_latest(&server, &setup);
    let words = format!(
        "error: intent order-1 was bought as {id} and cancelled since; this run bought nothing"
    );
    fails_with(&setup.run(&INTENT), 6, &[&words]);
    // This is remembered.
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/track"));
    fails_with(&setup.run(&INTENT), 6, &[&words]);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_cancelled_purchase_is_6_even_if_the_api_tracks_it_by_the_customers_id() {
    let by_customer = Behaviour::new().track_by(TrackBy::Customer);
    let server = Server::builder().behaviour(by_customer).start().unwrap();
    let setup = Setup::at(&server);
    let ada = with(&INTENT, &["--for", "ada@example.com"]);
    let first = setup.run_ok(&ada);
    let again = setup.run(&ada);
    let words = "intent order-1 was bought by an earlier run and not cancelled since; this run \
                 bought nothing\n";
    assert_eq!((again.code, &*again.stderr), (0, words));
    // The id is now the one that can be tracked.
    assert_ne!(again.stdout, first);
    setup.run_ok(&["track", again.stdout.lines().nth(1).unwrap()]);

    cancel_latest(&server, &setup);
    for options in [&["--look-only"][..], &["--quiet"], &[]] {
        fails_with(&setup.run(&with(&ada, options)), 6, &["cancelled since"]);
    }
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_time_in_whole_seconds_does_not_hide_a_cancellation() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let seconds = Behaviour::new().time_utc(TimeForm::SecondsCut);
    let server = Server::builder().fault(lost).behaviour(seconds).start().unwrap();
    let setup = Setup::at(&server);
    let short = with(&INTENT, &["--wait", "10", "--settle", "2"]);
    let printed = setup.run_ok(&short);
    assert!(!printed.contains('.'), "{printed}");
    sleep(Duration::from_secs(5));
    let again = setup.run(&short);
    assert_eq!((again.code, again.stdout), (0, printed));
    assert!(again.stderr.contains(" and not cancelled since"), "{}", again.stderr);

    cancel_latest(&server, &setup);
    // Another purchase of the same second may not be listed yet.
    let early = setup.run(&INTENT);
    assert_eq!(early.code, 0);
    let words = "its time is in whole seconds, so its id may be that of another impact as well; \
                 the API shows one of the same kind and amount, cancelled on 20";
    assert!(early.stderr.contains(words), "{}", early.stderr);
    fails_with(&setup.run(&short), 6, &["cancelled since"]);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_purchase_whose_response_is_lost_and_that_is_cancelled_is_6() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    fails_with(&setup.run(&with(&INTENT, &["--wait", "1"])), 4, &[]);
    server.emulator().clear_faults();
    let id = cancel_latest(&server, &setup);
    for _ in 0..2 {
        fails_with(&setup.run(&INTENT), 6, &[&id, "cancelled since"]);
    }
    let elsewhere = Setup::at(&server);
    fails_with(&elsewhere.run(&with(&INTENT, &["--look-only"])), 6, &[&id]);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_pending_purchase_says_when_the_same_command_finds_out_and_then_it_does() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(1)).start().unwrap();
    let setup = Setup::at(&server);
    let long = setup.run(&with(&INTENT, &["--wait", "1"]));
    fails_with(&long, 4, &[]);
    assert_data_eq!(
        long.stderr,
        str![[r#"
error: it is not known yet whether it was bought: POST /v1/plant_tree: [..]; from 20[..]-[..]-[..] [..]:[..]:[..] UTC (in 15 minutes) on, the same command with `--intent order-1` finds out, and buys it if it is not found then

"#]],
    );
    // It is not sent again before that time.
    fails_with(&setup.run(&with(&INTENT, &["--wait", "1"])), 4, &["(in 15 minutes) on"]);
    assert_eq!(bought(&server), 0);
    sleep(Duration::from_secs(5));
    let found = setup.run_ok(&with(&INTENT, &["--wait", "1", "--settle", "2"]));
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_record_that_shows_late_is_found_and_not_bought_again() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::Hidden { millis: 4_000 }).on("/v1/plant_tree").times(1))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&INTENT);
    // Another machine looks, and does not see it at first.
    let elsewhere = Setup::at(&server);
    fails_with(
        &elsewhere.run(&with(&INTENT, &["--look-first", "--wait", "1"])),
        4,
        &["not known yet"],
    );
    let found = elsewhere.run_ok(&INTENT);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn with_a_longer_wait_the_command_finds_out_and_buys_again_by_itself() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(1)).start().unwrap();
    let setup = Setup::at(&server);
    let found = setup.run_ok(&with(&INTENT, &["--wait", "10", "--settle", "2"]));
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_pending_purchase_without_an_intent_prints_one() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unread = FaultRule::new(Fault::ServerError).on("/v1/records");
    let server = Server::builder().fault(lost).fault(unread).start().unwrap();
    let setup = Setup::at(&server);
    let pending = setup.run(&["plant", "5", "--wait", "1"]);
    fails_with(&pending, 4, &["the same command with `--intent "]);
    server.emulator().clear_faults();
    let key = pending.stderr.split("--intent ").nth(1).unwrap().split('`').next().unwrap();
    let found = setup.run_ok(&["plant", "5", "--intent", key]);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_only_finds_what_was_bought_and_sends_nothing_otherwise() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let look = with(&INTENT, &["--look-only", "--wait", "1", "--settle", "2"]);
    let words = "finds out, and sends nothing";
    let pending = setup.run(&look);
    fails_with(&pending, 4, &["it is not known yet whether it was bought; from ", words]);
    assert!(pending.stderr.contains(" seconds) on, "), "{}", pending.stderr);
    sleep(Duration::from_secs(5));
    let words = [
        "error: not found: intent order-1 may have been sent by another machine before 20",
        " UTC; its record should have appeared by 20",
        "UTC, but there is none; this run sent nothing; if you are sure that no other machine is \
         working on it, the same command with `--intent order-1 --buy-anyway` instead of \
         `--look-only` buys it",
    ];
    fails_with(&setup.run(&look), 5, &words);
    assert_eq!(bought(&server), 0);

    let printed = Setup::at(&server).run_ok(&INTENT);
    assert_eq!(setup.run_ok(&look), printed);
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_only_does_not_send_what_the_same_command_would_send_again() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(1)).start().unwrap();
    let setup = Setup::at(&server);
    let short = with(&INTENT, &["--wait", "1", "--settle", "2"]);
    fails_with(&setup.run(&short), 4, &[]);
    sleep(Duration::from_secs(5));
    let words = [
        "error: not found: intent order-1 may have been sent once between 20",
        "but there is none; this run sent nothing; to buy it, run the same command without \
         `--look-only`",
    ];
    for _ in 0..2 {
        fails_with(&setup.run(&with(&short, &["--look-only"])), 5, &words);
    }
    let words = "to buy it, run the same command with `--buy-anyway`";
    fails_with(&setup.run(&with(&short, &["--look-first"])), 5, &[words]);
    assert_eq!(bought(&server), 0);
    setup.run_ok(&with(&short, &["--look-first", "--buy-anyway"]));
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_first_sends_nothing_without_buy_anyway() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let short = with(&INTENT, &["--wait", "1", "--settle", "2"]);
    let look = with(&short, &["--look-first"]);
    fails_with(&setup.run(&look), 4, &["finds out, and sends nothing"]);
    sleep(Duration::from_secs(5));
    let words = [
        "error: not found: intent order-1 may have been sent by another machine before 20",
        "this run sent nothing; if you are sure that no other machine is working on it, the same \
         command with `--intent order-1 --buy-anyway` buys it",
    ];
    fails_with(&setup.run(&look), 5, &words);
    // Nor without the option: another machine may have bought the intent.
    fails_with(&setup.run(&short), 5, &words);
    assert_eq!(bought(&server), 0);
    let printed = setup.run_ok(&with(&short, &["--buy-anyway"]));
    assert!(printed.starts_with("5 trees planted\nU"), "{printed}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_first_with_buy_anyway_waits_until_absence_counts() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let both = with(&INTENT, &["--look-first", "--buy-anyway", "--settle", "2"]);
    let pending = setup.run(&with(&both, &["--wait", "1"]));
    let words = "the same command with `--intent order-1` and without `--look-first --buy-anyway` \
                 finds out, and buys it if it is not found then";
    fails_with(&pending, 4, &[words]);
    assert_eq!(bought(&server), 0);
    setup.run_ok(&with(&both, &["--wait", "10"]));
    assert_eq!(bought(&server), 1);
}

#[test]
fn after_two_purchases_that_are_not_found_buy_anyway_is_needed() {
    let server = Server::builder().fault(dropped("/v1/plant_tree").times(3)).start().unwrap();
    let setup = Setup::at(&server);
    let at_once = with(&INTENT, &["--settle", "0"]);
    let two = "error: not found: intent order-1 may have been sent 2 times between 20";
    fails_with(
        &setup.run(&at_once),
        5,
        &[two, "it is not sent again", "`--intent order-1 --buy-anyway`"],
    );
    sleep(Duration::from_secs(3));
    fails_with(&setup.run(&at_once), 5, &[two, "this run sent nothing", "--buy-anyway`"]);
    let anyway = with(&at_once, &["--buy-anyway"]);
    fails_with(&setup.run(&anyway), 5, &["intent order-1 may have been sent 3 times"]);
    assert_eq!(bought(&server), 0);
    sleep(Duration::from_secs(3));
    setup.run_ok(&anyway);
    assert_eq!(bought(&server), 1);
}

#[test]
fn the_ids_of_an_intent_that_was_bought_twice_are_printed() {
    let server = Server::start().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        // Two machines that do not know each other's files.
        let printed = Setup::at(&server).run_ok(&INTENT);
        ids.push(printed.lines().nth(1).unwrap().to_owned());
        sleep(Duration::from_secs(2));
    }
    let setup = Setup::at(&server);
    let twice = setup.run(&with(&INTENT, &["--look-first"]));
    fails_with(&twice, 4, &[]);
    let (line, found) = twice.stderr.split_once('\n').unwrap();
    assert_eq!(
        line,
        "error: it was bought more than once; look at each of these with `oneclick track ID`; keep \
         one of them, cancel the others with `oneclick cancel ID`, then run the same command with \
         `--intent order-1` to confirm it:",
    );
    assert_eq!(found.lines().collect::<Vec<_>>(), ids);
    assert_eq!(bought(&server), 2);

    // Once one is cancelled, the other one is the purchase.
    setup.run_ok(&["cancel", &ids[0]]);
    assert!(setup.run_ok(&INTENT).ends_with(&format!("{}\n", ids[1])));
}

#[test]
fn buy_anyway_buys_what_none_of_the_candidates_is() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unmarked = Behaviour::new().metadata(MetadataForm::Dropped);
    let server = Server::builder().fault(lost).behaviour(unmarked).start().unwrap();
    let setup = Setup::at(&server);
    let short = with(&INTENT, &["--wait", "1", "--settle", "2"]);
    fails_with(&setup.run(&short), 4, &["it is not known yet"]);
    sleep(Duration::from_secs(5));
    let advice = "look at each of these with `oneclick track ID`; if one of these is the \
                  purchase, you are done: do not cancel it; if none is, the same command with \
                  `--intent order-1 --buy-anyway` buys it:\nU";
    fails_with(&setup.run(&short), 4, &["records that do not show their intent", advice]);
    assert_eq!(bought(&server), 1);
    // It was cancelled, and the same command still does not know whose it was.
    cancel_latest(&server, &setup);
    fails_with(&setup.run(&short), 4, &[advice]);
    setup.run_ok(&with(&short, &["--buy-anyway"]));
    assert_eq!(bought(&server), 2);
}

#[test]
fn ids_of_records_that_the_api_does_not_know_are_not_all_there_is() {
    let unkind = Behaviour::new().metadata(MetadataForm::Dropped).track_by(TrackBy::Customer);
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(lost).behaviour(unkind).start().unwrap();
    let setup = Setup::at(&server);
    let ada = with(&INTENT, &["--for", "ada@example.com", "--wait", "1", "--settle", "2"]);
    setup.run(&ada);
    sleep(Duration::from_secs(5));
    let words = "with `oneclick track ID`, or in `oneclick records` and `oneclick \
                 customer-records` (the API does not know 1 of the ids: only its support can \
                 cancel these); if one of these is the purchase, you are done";
    fails_with(&setup.run(&ada), 4, &[words]);
}

#[test]
fn an_id_that_the_api_does_not_know_is_not_advised() {
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unknown = Fault::Gateway { status: 404, applied: false, body: GatewayBody::ApiError };
    let unknown = FaultRule::new(unknown).on("/v1/track");
    let server = Server::builder().fault(lost).fault(unknown).start().unwrap();
    let setup = Setup::at(&server);
    let short = with(&INTENT, &["--wait", "1", "--settle", "2"]);
    setup.run(&short);
    sleep(Duration::from_secs(5));
    let done = setup.run(&short);
    fails_with(&done, 4, &["the API cannot track it", "do not buy it again", ":\nU"]);
    assert!(!done.stderr.contains("oneclick "), "{}", done.stderr);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_second_purchase_that_is_refused_does_not_deny_the_first() {
    let limited = FaultRule::new(Fault::RateLimited { retry_after: None }).on("/v1/plant_tree");
    let lost = dropped("/v1/plant_tree").times(1);
    let server = Server::builder().fault(lost).fault(limited).start().unwrap();
    let setup = Setup::at(&server);
    let words = [
        "error: not found: intent order-1 may have been sent once between 20",
        "sending it once more failed: POST /v1/plant_tree: ",
        "; run the same command with `--intent order-1` later to buy it",
    ];
    fails_with(&setup.run(&with(&INTENT, &["--settle", "0"])), 5, &words);
    server.emulator().clear_faults();
    sleep(Duration::from_secs(3));
    setup.run_ok(&with(&INTENT, &["--settle", "0"]));
    assert_eq!(bought(&server), 1);
}

#[test]
fn without_a_date_only_a_longer_wait_finds_out() {
    let dateless = Behaviour::new().date(DateHeader::Absent);
    let lost = dropped("/v1/plant_tree").times(1);
    let server = Server::builder().behaviour(dateless).fault(lost).start().unwrap();
    let setup = Setup::at(&server);
    let words = "the API's responses have no Date header, so a run finds out only if its --wait is \
                 longer than its --settle: the same command with `--intent order-1`, and with `--wait \
                 62`, finds out, and buys it if it is not found then";
    for _ in 0..2 {
        let pending = setup.run(&with(&INTENT, &["--wait", "1", "--settle", "2"]));
        fails_with(&pending, 4, &[words]);
        assert!(!pending.stderr.contains("UTC"), "{}", pending.stderr);
    }
    assert_eq!(bought(&server), 0);
    setup.run_ok(&with(&INTENT, &["--wait", "62", "--settle", "2"]));
    assert_eq!(bought(&server), 1);
    let doctor = setup.run_ok(&["doctor"]);
    let words =
        "\nnote   clock: not checked, because the response has no Date header; after a lost ";
    assert!(doctor.contains(words), "{doctor}");
}

#[test]
fn while_no_time_of_the_api_is_known_none_is_named() {
    let server = Server::builder()
        .fault(dropped("/v1/records"))
        .fault(dropped("/v1/customer_records"))
        .start()
        .unwrap();
    let look = with(&INTENT, &["--look-only", "--wait", "1", "--settle", "2"]);
    let unreached = Setup::at(&server).run(&look);
    let words = "run the same command with `--intent order-1` once the API responds; ";
    fails_with(&unreached, 4, &[words]);
    assert!(!unreached.stderr.contains("UTC"), "{}", unreached.stderr);
}

#[test]
fn a_short_settle_is_for_this_machine_alone() {
    // Connecting to 0.0.0.0 reaches this machine.
    let server = Server::builder().allow_host("0.0.0.0".parse().unwrap()).start().unwrap();
    let setup = Setup::of(&server.base_url().replace("127.0.0.1", "0.0.0.0"));
    let run = |seconds| {
        let mut command = setup.command(&with(&INTENT, &["--settle", seconds]));
        finished(&command.env("ONECLICK_INSECURE", "1").output().unwrap())
    };
    fails_with(&run("59"), 2, &["--settle must be at least 60 seconds (got 59)"]);
    assert_eq!(bought(&server), 0);
    assert_eq!(run("60").code, 0);
}

#[test]
fn an_intent_has_no_invisible_characters() {
    let setup = Setup::of(NOWHERE);
    for (name, words) in [
        (" order-1", "neither begins nor ends with a space"),
        ("order-1 ", "neither begins nor ends with a space"),
        ("order-1\t", "without U+0009"),
        ("order-1\r", "without U+000D"),
        ("order\n1", "without U+000A"),
        ("order-1\u{200b}", "without U+200B"),
        ("order\u{a0}1", "without U+00A0"),
        ("\u{feff}order-1", "without U+FEFF"),
        ("order\u{202e}-1", "without U+202E"),
    ] {
        fails_with(&setup.run(&["plant", "5", "--intent", name]), 2, &[words]);
    }
    setup.run_ok(&["--local", "plant", "5", "--intent", "Bestellung 1 für Zoë 🌳"]);
}

#[test]
fn a_refused_intent_is_bought_by_the_next_run() {
    let limited = Fault::RateLimited { retry_after: None };
    let server =
        Server::builder().fault(FaultRule::new(limited).on("/v1/plant_tree")).start().unwrap();
    let setup = Setup::at(&server);
    for _ in 0..3 {
        fails_with(
            &setup.run(&INTENT),
            3,
            &["429 Too Many Requests", "; wait a minute and try again"],
        );
    }
    assert!(setup.intents().is_empty());
    server.emulator().clear_faults();
    setup.run_ok(&INTENT);
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_options_need_an_intent_and_exclude_each_other() {
    let setup = Setup::of(NOWHERE);
    for options in [
        &["--look-only"][..],
        &["--look-first"],
        &["--buy-anyway"],
        &["--look-only", "--look-first", "--intent", "a"],
        &["--look-only", "--buy-anyway", "--intent", "a"],
    ] {
        assert_eq!(setup.run(&with(&["plant", "5"], options)).code, 2, "{options:?}");
    }
}

#[test]
fn with_the_local_emulator_absence_counts_from_run_to_run() {
    let setup = Setup::of(NOWHERE);
    let look = with(&INTENT, &["--local", "--look-only", "--wait", "1", "--settle", "2"]);
    fails_with(&setup.run(&look), 4, &[]);
    sleep(Duration::from_secs(5));
    fails_with(&setup.run(&look), 5, &[]);
}
