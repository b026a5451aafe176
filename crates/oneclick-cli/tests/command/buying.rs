//! Purchases: each is made once, whatever goes wrong.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use oneclick_emulator::{Fault, FaultRule, Server};
use oneclick_outbox::rusqlite::Connection;
use oneclick_ureq::{Account, Api, Intent, Metadata, PlantTree, Trees};
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Finished, Setup, as_production, bought, finished, wait_until_bought};

#[test]
fn each_action_prints_what_was_bought_and_its_id() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    for (arguments, expected) in [
        (&["plant", "5", "--food"][..], "5 trees planted"),
        (&["plant", "1"], "1 tree planted"),
        (&["clean", "10"], "10 lbs of plastic out of the ocean"),
        (&["capture", "25"], "25 lbs of CO2 captured"),
        (&["donate", "5.25", "--cause", "climate"], "$5.25 donated"),
        (&["restore", "3"], "3 coral fragments restored"),
    ] {
        let printed = setup.run_ok(arguments);
        let [what, id] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
        assert_eq!(what, expected);
        assert!(id.starts_with('U') && id.ends_with('Z'), "{id}");
    }
    assert_eq!(bought(&server), 6);
    assert_data_eq!(
        setup.run_ok(&[
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
    let receipt = setup.run_ok(&["plant", "2", "--json"]);
    assert!(receipt.contains(r#""tree_planted": 2"#), "{receipt}");
}

#[test]
fn each_action_is_for_the_customer_that_is_named() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    for action in ["plant", "clean", "capture", "donate", "restore"] {
        let customer = ["--for", "ada@example.com", "--name", "Ada", "--silent"];
        let printed = setup.run_ok(&[&[action, "1"][..], &customer].concat());
        assert!(printed.contains(" for ada@example.com\n"), "{printed}");
    }
    let records = setup.run_ok(&["customer-records", "--email", "ada@example.com", "--jsonl"]);
    assert_eq!(records.lines().count(), 5, "{records}");
    assert!(records.lines().all(|line| line.contains(r#""Ada""#)), "{records}");
}

#[test]
fn an_intent_is_bought_once_however_often_the_command_is_run() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let first = setup.run_ok(&["plant", "5", "--intent", "order-1"]);
    for _ in 0..3 {
        let again = setup.run(&["plant", "5", "--intent", "order-1"]);
        assert_eq!((again.code, &again.stdout), (0, &first));
        assert_eq!(
            again.stderr,
            "intent order-1 was bought by an earlier run and not cancelled since; this run bought \
             nothing\n"
        );
    }
    let json = ["plant", "1", "--intent", "order-2", "--for", "ada@example.com", "--json"];
    let first_json = setup.run_ok(&json);
    assert!(first_json.contains(r#""customer_email": "ada@example.com""#), "{first_json}");
    assert_eq!(setup.run(&json).stdout, first_json);
    assert_eq!(bought(&server), 2);

    let other = setup.run(&["plant", "6", "--intent", "order-1"]);
    assert_eq!(other.code, 2);
    assert_data_eq!(
        other.stderr,
        str![[r#"
error: intent order-1 belongs to another purchase: 5 trees planted; this run bought nothing; use another --intent for this purchase

"#]],
    );

    // Another machine does not know the intent, and finds it in the records.
    let elsewhere = Setup::at(&server);
    let found =
        elsewhere.run_ok(&["plant", "5", "--intent", "order-1", "--look-first", "--settle", "1"]);
    assert_eq!(found, first);
    assert_eq!(bought(&server), 2);
}

#[test]
fn commands_at_the_same_time_buy_an_intent_once() {
    let late = FaultRule::new(Fault::LateResponse { millis: 200 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late).start().unwrap();
    let setup = Setup::at(&server);
    let start = || {
        let mut command = setup.command(&["plant", "5", "--intent", "order-1"]);
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
fn a_purchase_whose_response_is_lost_is_found_in_the_records() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let printed = setup.run_ok(&["plant", "5"]);
    assert!(printed.starts_with("5 trees planted\nU"), "{printed}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn an_unknown_outcome_says_what_to_do_and_the_same_command_finds_out() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let command = ["plant", "5", "--intent", "order-1", "--settle", "0"];
    let unknown = setup.run(&command);
    assert_eq!((unknown.code, &*unknown.stdout), (4, ""), "{}", unknown.stderr);
    assert_data_eq!(
        unknown.stderr,
        str![[r#"
error: it is not known whether it was bought: the records could not be read: [..]; run the same command with `--intent order-1` later to find out; if you have made sure that it was not bought, the same command with `--intent order-1 --buy-anyway` buys it

"#]],
    );
    assert_eq!(bought(&server), 1);

    server.emulator().clear_faults();
    let found = setup.run_ok(&command);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_purchase_that_is_refused_or_does_not_arrive_says_that_nothing_was_bought() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::DropBefore).on("/v1/whoami"))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let unreached = setup.run(&["plant", "5"]);
    assert_eq!((unreached.code, &*unreached.stdout), (5, ""));
    assert!(unreached.stderr.starts_with("error: nothing was bought: "), "{}", unreached.stderr);
    assert_eq!(unreached.stderr.lines().count(), 1);

    let mut setup = Setup::at(&Server::start().unwrap());
    let gone = setup.run(&["-v", "plant", "5"]);
    assert_eq!(gone.code, 5);
    assert_data_eq!(
        gone.stderr,
        str![[r#"
error: nothing was bought: GET /v1/whoami: could not connect (after 3 attempts): [..]onnection refused[..]; check the connection with `oneclick doctor`
  caused by: [..]onnection refused[..]
...
"#]],
    );

    let server = Server::start().unwrap();
    setup.url = server.base_url().to_owned();
    setup.key = "wrong_key";
    let refused = setup.run(&["plant", "5"]);
    assert_eq!(refused.code, 3);
    assert_data_eq!(
        refused.stderr,
        str![[r#"
error: nothing was bought: GET /v1/whoami: the server responded with 401 Unauthorized: key_error: API Key does not exist; check the key with `oneclick doctor`

"#]],
    );
}

#[test]
fn an_invalid_command_line_sends_nothing() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    for arguments in [
        &["plant", "0"][..],
        &["plant", "-5"],
        &["plant", "1.5"],
        &["plant", "10000001"],
        &["plant"],
        &["plant", "5", "--for", "nobody"],
        &["plant", "5", "--name", "Ada"],
        &["plant", "1,00"],
        &["plant", "5", "--metadata", "order"],
        &["plant", "5", "--metadata", "gift=yes"],
        &["plant", "5", "--metadata", "a=1", "--metadata", "a=2"],
        // With an empty variable, all orders would be one intent.
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
        &["projects", "--type", "coral"],
        &["projects", ".."],
        &["frobnicate"],
        &[],
    ] {
        let done = setup.run(arguments);
        assert_eq!((done.code, &*done.stdout), (2, ""), "{arguments:?}: {}", done.stderr);
        assert!(!done.stderr.is_empty());
    }
    assert_eq!(bought(&server), 0);
}

#[test]
fn the_key_comes_from_the_environment_a_file_or_standard_input_and_is_never_printed() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let whoami = setup.run_ok(&["whoami"]);

    let file = setup.home.join("key");
    fs::write(&file, "test_command\n").unwrap();
    let mut command = setup.command(&["whoami", "--key-file", file.to_str().unwrap()]);
    let read = command.env_remove("ONECLICK_API_KEY").output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), whoami);

    let mut command = setup.command(&["whoami", "--key-file", "-"]);
    let stdin = fs::File::open(&file).unwrap();
    let read = command.env_remove("ONECLICK_API_KEY").stdin(stdin).output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), whoami);

    let none = setup.command(&["whoami"]).env_remove("ONECLICK_API_KEY").output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert_data_eq!(
        String::from_utf8(none.stderr).unwrap(),
        str![[r#"
error: there is no API key: set ONECLICK_API_KEY or use --key-file FILE; --local needs no key

"#]],
    );
    for arguments in
        [&["whoami"][..], &["-v", "plant", "5"], &["doctor"], &["impact", "--production"]]
    {
        let done = setup.run(arguments);
        assert!(!done.stdout.contains("test_command") && !done.stderr.contains("test_command"));
    }
}

#[test]
fn a_key_file_that_holds_something_else_is_not_sent() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let long = format!("test_{}", "x".repeat(4_096));
    for (content, words) in [
        ("OTHER=test_secret\n", "or one that begins with ONECLICK_API_KEY="),
        ("export OTHER = 'test_secret'", "or one that begins with ONECLICK_API_KEY="),
        (&long, "its file is longer than 4,096 bytes"),
    ] {
        let file = setup.home.join("key");
        fs::write(&file, content).unwrap();
        let refused = setup.run(&["whoami", "--key-file", file.to_str().unwrap()]);
        assert_eq!((refused.code, &*refused.stdout), (2, ""), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
    assert!(server.emulator().accounts().is_empty());
}

/// Without the variable, the key would go to the host of its prefix.
#[test]
fn a_variable_that_cannot_be_used_is_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;

    let setup = Setup::of("http://127.0.0.1:1");
    for (name, value, words) in [
        ("ONECLICK_BASE_URL", &b"http://127.0.0.1:1/\xff"[..], "is not valid Unicode"),
        ("ONECLICK_BASE_URL", b"", "ONECLICK_BASE_URL is set but empty"),
        ("ONECLICK_API_KEY", b"test_\xff", "the key cannot be used: it is not UTF-8 text"),
    ] {
        let value = std::ffi::OsStr::from_bytes(value);
        for arguments in [&["plant", "5"][..], &["doctor"]] {
            let mut command = setup.command(arguments);
            let refused = finished(&command.env(name, value).output().unwrap());
            assert_eq!(refused.code, if arguments[0] == "doctor" { 1 } else { 2 });
            let shown = refused.stdout + &refused.stderr;
            assert!(shown.contains(words), "{shown}");
            assert!(!shown.contains("connection"), "{shown}");
        }
    }
}

#[test]
fn an_interrupted_purchase_says_how_to_find_out() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true }).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(never).start().unwrap();
    let setup = Setup::at(&server);
    let mut child = setup
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

error: interrupted; the purchase (5 trees planted) may have been made; run the same command with `--intent order-1` to find out

"#]],
    );
    let found = setup.run_ok(&["plant", "5", "--intent", "order-1", "--settle", "1"]);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn an_intent_belongs_to_one_customer() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/customer_records"))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let intent = ["plant", "1", "--intent", "order-1", "--settle", "0"];
    let ada = [&intent[..], &["--for", "ada@example.com"]].concat();
    assert_eq!(setup.run(&ada).code, 4);
    server.emulator().clear_faults();
    // The records of these customers do not show Ada's purchase.
    for other in [&[][..], &["--for", "bob@example.com"]] {
        let refused = setup.run(&[&intent[..], other].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let words = "intent order-1 belongs to another purchase: 1 tree planted for ada@";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert_eq!(bought(&server), 1);
    }
    setup.run_ok(&ada);
    assert_eq!(bought(&server), 1);
}

#[test]
fn the_stored_state_of_another_purchase_is_refused_and_nothing_is_bought() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::DropBefore).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/customer_records"))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let run = |order, customer| {
        setup.run(&["plant", "1", "--settle", "0", "--intent", order, "--for", customer])
    };
    assert_eq!(run("order-1", "ada@example.com").code, 4);
    assert_eq!(run("order-2", "ada@example.com").code, 4);
    server.emulator().clear_faults();

    let is_refused = |done: Finished, words: &str| {
        assert_eq!((done.code, &*done.stdout), (2, ""));
        assert!(done.stderr.contains(words), "{}", done.stderr);
        assert_eq!(bought(&server), 0);
    };
    is_refused(run("order-1", "bob@example.com"), "intent order-1 belongs to another purchase");
    let database = Connection::open(&setup.outboxes()[0]).unwrap();
    let copy = "UPDATE oneclick_outbox_intent SET state =
                (SELECT state FROM oneclick_outbox_intent WHERE key = 'order-1')";
    database.execute(copy, []).unwrap();
    let words = "remembers of intent order-2 has another intent: somebody changed it; this run \
                 bought nothing";
    is_refused(run("order-2", "ada@example.com"), words);

    // The refusals changed nothing: the first intent still is its own purchase.
    assert_eq!(run("order-1", "ada@example.com").code, 0);
    assert_eq!(bought(&server), 1);
}

#[test]
fn a_command_that_is_killed_while_it_sends_again_buys_once() {
    let never = FaultRule::new(Fault::NeverRespond { applied: true });
    let server = Server::builder()
        .fault(FaultRule::new(Fault::DropBefore).on("/v1/plant_tree").times(1))
        .fault(never.on("/v1/plant_tree").times(1))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let intent = ["plant", "5", "--intent", "order-1", "--settle", "0"];
    let mut child = setup.command(&intent).stdout(Stdio::null()).spawn().unwrap();
    wait_until_bought(&server);
    // As `kill -9` does.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(setup.intents()[0].sends, 2);

    let found = setup.run_ok(&intent);
    assert!(found.starts_with("5 trees planted\nU"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn look_first_finds_what_another_machine_bought_long_ago() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let account = setup.run_ok(&["whoami", "--json"]);
    let account: Account = serde_json::from_str(&account).unwrap();
    let intent = Intent::new(account.user_id.as_str(), "order-1");
    let mut metadata = Metadata::default();
    metadata.insert(Intent::METADATA_KEY, intent.marker()).unwrap();
    let plant = PlantTree::new(Trees::of::<1>()).metadata(metadata);
    let request = Api::sandbox("test_command").unwrap().encode(&plant).unwrap();
    let then = "2024-03-12T15:22:14.753Z".parse().unwrap();
    assert_eq!(server.emulator().respond(&request, then).status(), 200);

    let found = setup.run_ok(&["plant", "1", "--intent", "order-1", "--look-first"]);
    assert!(found.ends_with("-2024-03-12T15:22:14.753Z\n"), "{found}");
    assert_eq!(bought(&server), 1);
}

#[test]
fn sandbox_and_production_have_separate_intents() {
    // Both keys have the same account here.
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    setup.run_ok(&["plant", "1", "--intent", "order-1"]);
    setup.url = as_production(&server);
    setup.key = "live_command";
    setup.run_ok(&["plant", "1", "--intent", "order-1", "--yes"]);
    assert_eq!(bought(&server), 2);
}

#[test]
fn a_purchase_that_cannot_be_remembered_or_printed_was_still_made() {
    let late = FaultRule::new(Fault::LateResponse { millis: 3_000 }).on("/v1/plant_tree");
    let server = Server::builder().fault(late).start().unwrap();
    let setup = Setup::at(&server);
    let mut command = setup.command(&["plant", "1", "--intent", "order-1"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_bought(&server);
    // A folder is in the way of the database's journal.
    let mut journal = setup.outboxes()[0].clone().into_os_string();
    journal.push("-journal");
    fs::create_dir(&journal).unwrap();
    let done = finished(&child.wait_with_output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.starts_with("1 tree planted\nU"), "{}", done.stdout);
    assert!(
        done.stderr.starts_with("it was bought, but this could not be remembered: "),
        "{}",
        done.stderr
    );

    fs::remove_dir(&journal).unwrap();
    server.emulator().clear_faults();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    // Not every system has this device.
    let Ok(full) = full else { return };
    let unprinted = finished(&setup.command(&["plant", "1"]).stdout(full).output().unwrap());
    assert_eq!(unprinted.code, 1);
    assert!(unprinted.stderr.contains("\nit was bought as U"), "{}", unprinted.stderr);
}

#[test]
fn each_local_emulator_has_its_own_intents() {
    let setup = Setup::of("http://127.0.0.1:1");
    for file in ["shop.a", "shop.b"] {
        let state = setup.home.join(file);
        let local = ["--local", "--state", state.to_str().unwrap()];
        setup.run_ok(&[&local[..], &["plant", "1", "--intent", "order-1"]].concat());
        let records = setup.run_ok(&[&local[..], &["records", "--jsonl"]].concat());
        assert_eq!(records.lines().count(), 1);
    }
}

#[test]
fn a_printed_intent_option_works_when_it_is_typed() {
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    let setup = Setup::at(&server);
    let unknown = setup.run(&["plant", "5", "--intent", "-v it's 1", "--settle", "0"]);
    assert_eq!(unknown.code, 4, "{}", unknown.stderr);
    let option = unknown.stderr.split('`').nth(1).unwrap();
    assert_eq!(option, r"--intent='-v it'\''s 1'");
    server.emulator().clear_faults();
    let typed = Command::new("sh")
        .args(["-c", &format!("exec \"$0\" plant 5 --settle 0 {option}")])
        .arg(env!("CARGO_BIN_EXE_oneclick"))
        .envs(setup.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let found = finished(&typed);
    assert_eq!(found.code, 0, "{}", found.stderr);
    assert!(found.stdout.starts_with("5 trees planted\nU"), "{}", found.stdout);
    assert_eq!(bought(&server), 1);
}
