//! Purchases: made once, whatever happens, and never without saying so.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use oneclick_emulator::{Fault, FaultRule, Server};
use oneclick_ureq::{Account, Api, Intent, Metadata, PlantTree, Trees};
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Place, Ran, as_production, bought, ran, wait_until_bought};

#[test]
fn each_action_prints_what_was_bought_and_its_id() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    for (arguments, told) in [
        (&["plant", "5", "--food"][..], "5 trees planted"),
        (&["plant", "1"], "1 tree planted"),
        (&["clean", "10"], "10 lbs of plastic out of the ocean"),
        (&["capture", "25"], "25 lbs of CO2 captured"),
        (&["donate", "5.25", "--cause", "climate"], "$5.25 donated"),
        (&["restore", "3"], "3 coral fragments restored"),
    ] {
        let printed = place.prints(arguments);
        let [what, id] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
        assert_eq!(what, told);
        assert!(id.starts_with('U') && id.ends_with('Z'), "{id}");
    }
    assert_eq!(bought(&server), 6);
    assert_data_eq!(
        place.prints(&[
            "plant",
            "2",
            "--for",
            "ada@example.com",
            "--name",
            "Ada",
            "--metadata",
            "order=A-1001",
        ]),
        str![[r#"
2 trees planted for ada@example.com
U[..]-[..]Z

"#]],
    );
    let receipt = place.prints(&["plant", "2", "--json"]);
    assert!(receipt.contains(r#""tree_planted": 2"#), "{receipt}");
}

#[test]
fn each_action_is_for_the_customer_that_is_named() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    for action in ["plant", "clean", "capture", "donate", "restore"] {
        let customer = ["--for", "ada@example.com", "--name", "Ada", "--silent"];
        let printed = place.prints(&[&[action, "1"][..], &customer].concat());
        assert!(printed.contains(" for ada@example.com\n"), "{printed}");
    }
    let records = place.prints(&["customer-records", "--email", "ada@example.com", "--jsonl"]);
    assert_eq!(records.lines().count(), 5, "{records}");
    assert!(records.lines().all(|line| line.contains(r#""Ada""#)), "{records}");
}

#[test]
fn an_intent_is_bought_once_however_often_the_command_is_run() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let first = place.prints(&["plant", "5", "--intent", "order-1"]);
    for _ in 0..3 {
        let again = place.run(&["plant", "5", "--intent", "order-1"]);
        assert_eq!((again.code, &again.stdout), (0, &first));
        assert_eq!(again.stderr, "order-1 was bought before; nothing is bought now\n");
    }
    assert_eq!(bought(&server), 1);

    let other = place.run(&["plant", "6", "--intent", "order-1"]);
    assert_eq!(other.code, 2);
    assert_data_eq!(
        other.stderr,
        str![[r#"
oneclick: this run bought nothing; intent order-1 stands for 5 trees planted; choose another key

"#]],
    );

    // Another machine knows nothing of it, and finds it in the records.
    let elsewhere = Place::at(&server);
    let found =
        elsewhere.prints(&["plant", "5", "--intent", "order-1", "--look-first", "--settle", "1"]);
    assert_eq!(found, first);
    assert_eq!(bought(&server), 1);
}

#[test]
fn commands_at_the_same_time_buy_an_intent_once() {
    let late = FaultRule::new(Fault::AnswerLate { millis: 200 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late).start().unwrap();
    let place = Place::at(&server);
    let start = || {
        let mut command = place.command(&["plant", "5", "--intent", "order-1"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..5).map(|_| start()).collect();
    let mut printed: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().stdout).collect();
    printed.dedup();
    assert_eq!(printed.len(), 1);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_lost_answer_is_found_in_the_records() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let printed = place.prints(&["plant", "5"]);
    assert!(printed.starts_with("5 trees planted\nU"), "{printed}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_is_not_known_says_what_to_do_and_the_same_command_finds_out() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let command = ["plant", "5", "--intent", "order-1", "--settle", "0"];
    let unknown = place.run(&command);
    assert_eq!((unknown.code, &*unknown.stdout), (4, ""), "{}", unknown.stderr);
    assert_data_eq!(
        unknown.stderr,
        str![[r#"
oneclick: whether it was bought is not known: the records could not be read: [..]; later, run the same command with `--intent order-1` to find out

"#]],
    );
    assert_eq!(bought(&server), 1);

    server.emulator().clear_faults();
    let found = place.prints(&command);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn what_is_refused_or_does_not_get_through_says_that_nothing_was_bought() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::DropBefore).on("/v1/whoami"))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let unreached = place.run(&["plant", "5"]);
    assert_eq!((unreached.code, &*unreached.stdout), (5, ""));
    assert!(unreached.stderr.starts_with("oneclick: nothing was bought: "), "{}", unreached.stderr);
    assert_eq!(unreached.stderr.lines().count(), 1);

    let mut place = Place::at(&Server::start().unwrap());
    let gone = place.run(&["-v", "plant", "5"]);
    assert_eq!(gone.code, 5);
    assert_data_eq!(
        gone.stderr,
        str![[r#"
oneclick: nothing was bought: GET /v1/whoami: could not connect (after 3 attempts): [..]onnection refused[..]; check the connection with `oneclick doctor`
  because: [..]onnection refused[..]
...
"#]],
    );

    let server = Server::start().unwrap();
    place.url = server.base_url().to_owned();
    place.key = "wrong_key";
    let refused = place.run(&["plant", "5"]);
    assert_eq!(refused.code, 3);
    assert_data_eq!(
        refused.stderr,
        str![[r#"
oneclick: nothing was bought: GET /v1/whoami: the server responded with 401 Unauthorized: key_error: API Key does not exist; check the key with `oneclick doctor`

"#]],
    );
}

#[test]
fn a_wrong_command_line_sends_nothing() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    for arguments in [
        &["plant", "0"][..],
        &["plant", "-5"],
        &["plant", "1.5"],
        &["plant", "10000001"],
        &["plant"],
        &["plant", "5", "--for", "nobody"],
        &["plant", "5", "--name", "Ada"],
        &["plant", "5", "--metadata", "order"],
        &["plant", "5", "--metadata", "gift=yes"],
        &["plant", "5", "--metadata", "a=1", "--metadata", "a=2"],
        // An order's number that is not set would make all orders one.
        &["plant", "5", "--intent", ""],
        &["donate", "5.001"],
        &["donate", "$5"],
        &["donate", "0"],
        &["cancel", "U1"],
        &["track", "yesterday"],
        &["records", "--kind", "trees"],
        &["records", "--from", "2025-02-30"],
        &["records", "--from", "2025-02-02", "--to", "2025-02-01"],
        &["records", "--limit", "1001"],
        &["records", "--json", "--csv"],
        &["daily", "--chart", "chart.png"],
        &["frobnicate"],
        &[],
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
    assert_eq!(bought(&server), 0);
}

#[test]
fn the_key_comes_from_the_environment_a_file_or_standard_input_and_is_never_printed() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let whoami = place.prints(&["whoami"]);

    let file = place.home.join("key");
    fs::write(&file, "test_command\n").unwrap();
    let mut command = place.command(&["whoami", "--key-file", file.to_str().unwrap()]);
    let read = command.env_remove("ONECLICK_API_KEY").output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), whoami);

    let mut command = place.command(&["whoami", "--key-file", "-"]);
    let stdin = fs::File::open(&file).unwrap();
    let read = command.env_remove("ONECLICK_API_KEY").stdin(stdin).output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), whoami);

    let none = place.command(&["whoami"]).env_remove("ONECLICK_API_KEY").output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert_data_eq!(
        String::from_utf8(none.stderr).unwrap(),
        str![[r#"
oneclick: there is no key: set ONECLICK_API_KEY, or give --key-file FILE, or try --local, which needs none

"#]],
    );
    for arguments in
        [&["whoami"][..], &["-v", "plant", "5"], &["doctor"], &["impact", "--production"]]
    {
        let ran = place.run(arguments);
        assert!(!ran.stdout.contains("test_command") && !ran.stderr.contains("test_command"));
    }
}

#[test]
fn an_interrupted_purchase_says_what_is_open() {
    let never = FaultRule::new(Fault::NeverAnswer { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let place = Place::at(&server);
    let mut child = place
        .command(&["plant", "5", "--intent", "order-1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_bought(&server);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), &*out), (Some(130), ""));
    assert_data_eq!(
        err,
        str![[r#"

oneclick: interrupted; 5 trees planted may have been bought: run the same command with `--intent order-1` to find out

"#]],
    );
    let found = place.prints(&["plant", "5", "--intent", "order-1", "--settle", "1"]);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn an_intent_is_for_one_customer() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/customer_records"))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let intent = ["plant", "1", "--intent", "order-1", "--settle", "0"];
    let ada = [&intent[..], &["--for", "ada@example.com"]].concat();
    assert_eq!(place.run(&ada).code, 4);
    server.emulator().clear_faults();
    // Their records do not show what was bought for Ada.
    for other in [&[][..], &["--for", "bob@example.com"]] {
        let refused = place.run(&[&intent[..], other].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let words = "this run bought nothing; intent order-1 stands for 1 tree planted for ada@";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert_eq!(bought(&server), 1);
    }
    place.prints(&ada);
    assert_eq!(bought(&server), 1);
}

#[test]
fn the_stored_state_of_another_purchase_is_refused_and_nothing_is_bought() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::DropBefore).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/customer_records"))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let run = |order, customer| {
        place.run(&["plant", "1", "--settle", "0", "--intent", order, "--for", customer])
    };
    assert_eq!(run("order-1", "ada@example.com").code, 4);
    let first = place.entries();
    assert_eq!(run("order-2", "ada@example.com").code, 4);
    let second = place.entries().into_iter().find(|path| !first.contains(path)).unwrap();
    server.emulator().clear_faults();

    let is_refused = |ran: Ran, words: &str| {
        assert_eq!((ran.code, &*ran.stdout), (2, ""));
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert_eq!(bought(&server), 0);
    };
    is_refused(run("order-1", "bob@example.com"), "this run bought nothing; intent order-1 stands");
    fs::copy(&first[0], &second).unwrap();
    let words =
        "the stored state belongs to another purchase: its intent differs from the one given";
    is_refused(run("order-2", "ada@example.com"), words);
    // Even if the file says that it is the other one's.
    let entry = fs::read_to_string(&second).unwrap();
    fs::write(&second, entry.replace("order-1", "order-2")).unwrap();
    is_refused(run("order-2", "ada@example.com"), words);

    // The refusal changed nothing: the state serves its own purchase still.
    assert_eq!(run("order-1", "ada@example.com").code, 0);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_purchase_that_is_killed_while_it_is_sent_once_more_is_bought_once() {
    let never = FaultRule::new(Fault::NeverAnswer { applied: true });
    let server = Server::builder()
        .fault(FaultRule::new(Fault::DropBefore).on("/v1/plant_tree").times(1))
        .fault(never.on("/v1/plant_tree").times(1))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let intent = ["plant", "5", "--intent", "order-1", "--settle", "0"];
    let mut child = place.command(&intent).stdout(Stdio::null()).spawn().unwrap();
    wait_until_bought(&server);
    // The same as kill -9.
    child.kill().unwrap();
    child.wait().unwrap();
    let entry = fs::read_to_string(&place.entries()[0]).unwrap();
    assert!(entry.contains(r#""sends":2"#), "{entry}");

    let found = place.prints(&intent);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_first_finds_what_another_machine_bought_long_ago() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let account = place.prints(&["whoami", "--json"]);
    let account: Account = serde_json::from_str(&account).unwrap();
    let intent = Intent::new(account.user_id.as_str(), "order-1");
    let mut metadata = Metadata::default();
    metadata.insert(Intent::METADATA_KEY, intent.marker()).unwrap();
    let plant = PlantTree::new(Trees::of::<1>()).metadata(metadata);
    let request = Api::sandbox("test_command").unwrap().encode(&plant).unwrap();
    let then = "2024-03-12T15:22:14.753Z".parse().unwrap();
    assert_eq!(server.emulator().respond(&request, then).status(), 200);

    let found = place.prints(&["plant", "1", "--intent", "order-1", "--look-first"]);
    assert!(found.ends_with("-2024-03-12T15:22:14.753Z\n"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn an_intent_of_the_sandbox_is_none_of_production() {
    // It gives both keys the same account.
    let server = Server::start().unwrap();
    let mut place = Place::at(&server);
    place.prints(&["plant", "1", "--intent", "order-1"]);
    place.url = as_production(&server);
    place.key = "live_command";
    place.prints(&["plant", "1", "--intent", "order-1", "--yes"]);
    assert_eq!(bought(&server), 2);
}

#[test]
fn what_cannot_be_remembered_or_printed_was_bought_all_the_same() {
    let late = FaultRule::new(Fault::AnswerLate { millis: 3_000 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late).start().unwrap();
    let place = Place::at(&server);
    let mut command = place.command(&["plant", "1", "--intent", "order-1"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_bought(&server);
    // Nothing can be written beside its entry now.
    fs::create_dir(place.entries()[0].with_extension("new")).unwrap();
    let done = ran(&child.wait_with_output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.starts_with("1 tree planted\nU"), "{}", done.stdout);
    assert!(done.stderr.starts_with("it was bought, but not remembered: "), "{}", done.stderr);

    server.emulator().clear_faults();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    // Not every system has one.
    let Ok(full) = full else { return };
    let unprinted = ran(&place.command(&["plant", "1"]).stdout(full).output().unwrap());
    assert_eq!(unprinted.code, 1);
    assert!(unprinted.stderr.starts_with("it was bought as U"), "{}", unprinted.stderr);
}

#[test]
fn two_local_emulators_remember_intents_of_their_own() {
    let place = Place::of("http://127.0.0.1:1");
    for file in ["shop.a", "shop.b"] {
        let state = place.home.join(file);
        let local = ["--local", "--state", state.to_str().unwrap()];
        place.prints(&[&local[..], &["plant", "1", "--intent", "order-1"]].concat());
        let records = place.prints(&[&local[..], &["records", "--jsonl"]].concat());
        assert_eq!(records.lines().count(), 1);
    }
}

#[test]
fn what_is_printed_of_an_intent_works_when_it_is_typed() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    let place = Place::at(&server);
    let unknown = place.run(&["plant", "5", "--intent", "-v it's 1", "--settle", "0"]);
    assert_eq!(unknown.code, 4, "{}", unknown.stderr);
    let option = unknown.stderr.split('`').nth(1).unwrap();
    assert_eq!(option, r"--intent='-v it'\''s 1'");
    server.emulator().clear_faults();
    let typed = Command::new("sh")
        .args(["-c", &format!("exec \"$0\" plant 5 --settle 0 {option}")])
        .arg(env!("CARGO_BIN_EXE_oneclick"))
        .envs(place.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let found = ran(&typed);
    assert_eq!(found.code, 0, "{}", found.stderr);
    assert!(found.stdout.starts_with("5 trees planted\nU"), "{}", found.stdout);
    assert_eq!(bought(&server), 1);
}
