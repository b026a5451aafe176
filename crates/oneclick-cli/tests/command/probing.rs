//! `oneclick probe`, what it keeps, and what later purchases make of it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use oneclick_emulator::behaviour::{DateHeader, MetadataForm, ReceiptForm};
use oneclick_emulator::{Behaviour, Fault, FaultRule, GatewayBody, Server};
use serde_json::Value;

use super::support::{Setup, as_production, finished, wait_until_bought};

const PURCHASES: [&str; 5] = [
    "/v1/plant_tree",
    "/v1/clean_ocean",
    "/v1/capture_carbon",
    "/v1/restore_coral",
    "/v1/donate_money",
];

fn report(setup: &Setup) -> Value {
    let output = setup.run(&["probe", "--json", "--quiet"]);
    assert_eq!((output.code, &*output.stderr), (0, ""), "{}", output.stdout);
    serde_json::from_str(&output.stdout).unwrap()
}

fn value<'a>(report: &'a Value, subject: &str) -> &'a str {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    finding["value"].as_str().unwrap()
}

fn active(server: &Server) -> usize {
    let emulator = server.emulator();
    let account = emulator.account("test_command").unwrap();
    account.ledger().filter(|entry| entry.cancelled_on.is_none()).count()
}

fn bought(server: &Server) -> usize {
    server.emulator().account("test_command").unwrap().ledger().count()
}

fn saved(setup: &Setup) -> Option<PathBuf> {
    let mut files = fs::read_dir(setup.home.join(".config/oneclick/probes")).ok()?;
    Some(files.next()?.unwrap().path())
}

#[test]
fn a_probe_says_what_the_server_does_and_leaves_nothing() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let shown = setup.run(&["probe"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(
        shown.stderr.starts_with("this buys 20 impacts at http://127.0.0.1"),
        "{}",
        shown.stderr
    );
    assert!(shown.stdout.contains("\nThe values of "), "{}", shown.stdout);
    let line = |start: &str| shown.stdout.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("metadata_in_records").contains(" kept "), "{}", shown.stdout);
    assert!(line("wrong_key").contains("401 with a type and a message"), "{}", shown.stdout);
    assert!(line("For verified purchases").contains("a receipt confirms"), "{}", shown.stdout);
    assert_eq!((active(&server), saved(&setup)), (0, None));
}

#[test]
fn a_probe_as_json_names_no_secret() {
    let server = Server::start().unwrap();
    server.emulator().set_behaviour(Behaviour::new().metadata(MetadataForm::Dropped));
    let setup = Setup::at(&server);
    let report = report(&setup);
    assert_eq!(
        (report["version"].as_u64(), value(&report, "metadata_in_records")),
        (Some(1), "dropped")
    );
    let text = report.to_string();
    assert!(!text.contains("test_command") && !text.contains('@'), "{text}");
}

#[test]
fn a_live_key_is_refused_and_a_key_without_a_prefix_asks() {
    let server = Server::start().unwrap();
    let mut setup = Setup::of(&as_production(&server));
    setup.key = "live_command";
    for arguments in [&["probe"][..], &["probe", "--yes"], &["probe", "--yes", "--production"]] {
        let refused = setup.run(arguments);
        assert_eq!((refused.code, &*refused.stdout), (2, ""), "{arguments:?}");
        assert!(refused.stderr.contains("use a test_ key"), "{}", refused.stderr);
    }
    assert!(server.emulator().account("test_command").is_none());
}

/// The responses to the requests before the first purchase, and a person, may take long.
#[test]
fn the_clock_is_compared_with_the_time_at_which_the_probe_begins() {
    let server = Server::start().unwrap();
    let slow = FaultRule::new(Fault::LateResponse { millis: 3_000 });
    server.emulator().inject(slow.on("/v1/whoami").times(1));
    let report = report(&Setup::at(&server));
    let ahead = report["measured"]["clock_ahead_seconds"].as_i64().unwrap();
    assert!(ahead < 2, "{ahead} s");
}

#[test]
fn what_could_not_be_cancelled_is_said_with_its_id() {
    let server = Server::start().unwrap();
    server.emulator().inject(
        FaultRule::new(Fault::Gateway { status: 403, applied: false, body: GatewayBody::Html })
            .on("/v1/cancel_impact"),
    );
    let setup = Setup::at(&server);
    let left = setup.run(&["probe", "--quiet"]);
    assert_eq!(left.code, 4);
    assert_eq!(left.stderr.lines().count(), 21, "{}", left.stderr);
    assert!(
        left.stderr.starts_with(
            "error: 20 of the 20 purchases may remain; cancel the first 20 below with `oneclick \
             cancel ID`:\n"
        ),
        "{}",
        left.stderr
    );
    assert_eq!(active(&server), 20);
}

#[test]
fn what_has_no_known_id_is_said_without_a_list() {
    let server = Server::start().unwrap();
    server.emulator().set_behaviour(Behaviour::new().metadata(MetadataForm::Dropped));
    for path in PURCHASES {
        server.emulator().inject(FaultRule::new(Fault::ApplyThenDrop).on(path));
    }
    let left = Setup::at(&server).run(&["probe", "--quiet"]);
    assert_eq!(left.code, 4);
    assert_eq!(left.stderr.lines().count(), 1, "{}", left.stderr);
    let text = "have no known id: look for them with `oneclick records`\n";
    assert!(left.stderr.ends_with(text), "{}", left.stderr);
}

#[test]
fn a_saved_report_is_shown_and_forgotten() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let nothing = "error: no report is saved for this API and account; `oneclick probe --save` \
                   saves one\n";
    for option in ["--saved", "--forget"] {
        let missing = setup.run(&["probe", option]);
        assert_eq!((missing.code, &*missing.stderr), (5, nothing), "{option}");
    }
    assert!(!setup.run_ok(&["doctor"]).contains("probe:"));
    let made = setup.run(&["probe", "--save"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let (path, bought) = (saved(&setup).unwrap(), bought(&server));

    let shown = setup.run(&["probe", "--saved"]);
    assert_eq!((shown.code, &shown.stdout), (0, &made.stdout), "{}", shown.stderr);
    let line = format!("saved less than a day ago as {}", path.display());
    assert_eq!(shown.stderr, format!("{line}\n"));
    let json = setup.run_ok(&["probe", "--saved", "--json", "--quiet"]);
    let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), file);
    assert!(setup.run_ok(&["doctor"]).contains(&format!("\nok     probe: {line}; purchases use")));
    let days_ago = SystemTime::now() - Duration::from_secs(3 * 86_400 + 3_600);
    fs::File::options().write(true).open(&path).unwrap().set_modified(days_ago).unwrap();
    assert!(setup.run(&["probe", "--saved"]).stderr.starts_with("saved 3 days ago as "));

    fs::write(&path, "{}").unwrap();
    let damaged = setup.run(&["probe", "--saved"]);
    assert_eq!((damaged.code, &*damaged.stdout), (1, ""), "{}", damaged.stderr);
    assert!(damaged.stderr.contains("`oneclick probe --forget`"), "{}", damaged.stderr);
    let doctor = setup.run_ok(&["doctor"]);
    assert!(doctor.contains("\nnote   probe: ") && doctor.contains("is ignored"), "{doctor}");
    let forgotten = setup.run(&["probe", "--forget"]);
    assert_eq!(forgotten.code, 0);
    assert_eq!(forgotten.stderr, format!("removed {}\n", path.display()));
    assert_eq!((saved(&setup), self::bought(&server)), (None, bought));
}

#[test]
fn an_interrupted_probe_says_what_is_left() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let child = setup.command(&["probe"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    wait_until_bought(&server);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let interrupted = finished(&child.wait_with_output().unwrap());
    assert_eq!(interrupted.code, 130);
    let id = {
        let emulator = server.emulator();
        let mut ledger = emulator.account("test_command").unwrap().ledger();
        oneclick_ureq::ImpactId::from(&ledger.next().unwrap().receipt).to_string()
    };
    // The response may not have arrived yet.
    let said = interrupted.stderr.contains(&id)
        || interrupted.stderr.contains("1 more may have been bought");
    assert!(said, "{id}: {}", interrupted.stderr);
}

#[test]
fn later_purchases_use_what_was_saved_until_a_response_contradicts_it() {
    let server = Server::start().unwrap();
    let date = DateHeader::Apart { seconds: 200 };
    server.emulator().set_behaviour(Behaviour::new().date(date));
    let setup = Setup::at(&server);
    let probe = setup.run(&["probe", "--save"]);
    assert_eq!(probe.code, 0, "{}", probe.stderr);
    let path = saved(&setup).unwrap();
    assert!(probe.stderr.contains(path.to_str().unwrap()), "{}", probe.stderr);
    let report = || serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(value(&report(), "date"), "apart");
    // A Date that far from the receipt's time is within what the probe found.
    let bought = setup.run(&["plant", "5"]);
    assert_eq!((bought.code, &*bought.stderr), (0, ""));

    let crossed = Behaviour::new().date(date).receipt(ReceiptForm::Crossed);
    server.emulator().set_behaviour(crossed);
    let bought = setup.run(&["clean", "3"]);
    assert_eq!(bought.code, 0, "{}", bought.stderr);
    assert!(bought.stderr.contains("was corrected (receipt)"), "{}", bought.stderr);
    assert_eq!(value(&report(), "receipt"), "of_another_purchase");

    fs::write(&path, "{}").unwrap();
    server.emulator().set_behaviour(Behaviour::new());
    let bought = setup.run(&["plant", "5"]);
    assert_eq!(bought.code, 0, "{}", bought.stderr);
    assert!(bought.stderr.contains("is not a report of this version"), "{}", bought.stderr);
}

/// A server that refuses everything on a path.
fn refuse(server: &Server, path: &str, status: u16) {
    let refusal = Fault::Gateway { status, applied: false, body: GatewayBody::ApiError };
    server.emulator().inject(FaultRule::new(refusal).on(path));
}

#[test]
fn what_is_left_is_named_where_nothing_can_be_printed() {
    let server = Server::start().unwrap();
    refuse(&server, "/v1/cancel_impact", 409);
    let setup = Setup::at(&server);
    for arguments in [&["probe", "--quiet"][..], &["probe", "--quiet", "--json"]] {
        let mut child = setup.command(arguments);
        child.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        // Its other end is closed at once.
        drop(child.stdout.take());
        let left = finished(&child.wait_with_output().unwrap());
        assert_eq!(left.code, 4, "{}", left.stderr);
        assert_eq!(left.stderr.lines().count(), 21, "{}", left.stderr);
    }
}

#[test]
fn what_is_left_is_named_where_the_report_cannot_be_saved() {
    let server = Server::start().unwrap();
    refuse(&server, "/v1/cancel_impact", 409);
    let setup = Setup::at(&server);
    let child = setup.command(&["probe", "--save", "--quiet"]).stderr(Stdio::piped()).spawn();
    wait_until_bought(&server);
    // It was writable before the first purchase.
    let folder = setup.home.join(".config/oneclick/probes");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    let left = finished(&child.unwrap().wait_with_output().unwrap());
    assert_eq!(left.code, 4, "{}", left.stderr);
    assert!(left.stderr.contains("20 of the 20 purchases may remain"), "{}", left.stderr);
    assert_eq!(left.stderr.lines().count(), 22, "{}", left.stderr);
}

#[test]
fn nothing_is_bought_where_the_report_cannot_be_saved() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    fs::write(setup.home.join(".config"), "a file").unwrap();
    let refused = setup.run(&["probe", "--save"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("probes"), "{}", refused.stderr);
    let emulator = server.emulator();
    assert!(emulator.account("test_command").is_none_or(|account| account.ledger().count() == 0));
}

#[test]
fn a_probe_that_saw_nothing_keeps_an_earlier_report() {
    let server = Server::start().unwrap();
    server.emulator().set_behaviour(Behaviour::new().receipt(ReceiptForm::Crossed));
    let setup = Setup::at(&server);
    let first = setup.run(&["probe", "--save"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let path = saved(&setup).unwrap();
    let careful = fs::read_to_string(&path).unwrap();
    for (status, code) in [(400, 5), (503, 4)] {
        for path in PURCHASES {
            refuse(&server, path, status);
        }
        let failed = setup.run(&["probe", "--save", "--quiet"]);
        assert_eq!(failed.code, code, "{status}: {}", failed.stderr);
        assert!(failed.stderr.contains("was not saved"), "{status}: {}", failed.stderr);
        assert_eq!(fs::read_to_string(&path).unwrap(), careful, "{status}");
        server.emulator().clear_faults();
    }
}

#[test]
fn a_failure_that_looks_like_a_receipt_corrects_nothing() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    assert_eq!(setup.run(&["probe", "--save", "--quiet"]).code, 0);
    let path = saved(&setup).unwrap();
    let report = fs::read_to_string(&path).unwrap();
    // The receipt of something else, with a status that makes it none.
    server.emulator().set_behaviour(Behaviour::new().receipt(ReceiptForm::Crossed));
    let failure = Fault::Gateway { status: 500, applied: true, body: GatewayBody::Own };
    server.emulator().inject(FaultRule::new(failure).on("/v1/plant_tree").times(1));
    let bought = setup.run(&["plant", "5", "--wait", "5"]);
    assert!(!bought.stderr.contains("was corrected"), "{}", bought.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), report);
}

#[test]
fn a_report_that_cannot_be_read_is_warned_of() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    assert_eq!(setup.run(&["probe", "--save", "--quiet"]).code, 0);
    let path = saved(&setup).unwrap();
    fs::write(&path, b"{\"version\":1,\xff}").unwrap();
    let warned = setup.run(&["plant", "1"]);
    assert!(warned.stderr.contains("is ignored"), "{}", warned.stderr);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let warned = setup.run(&["plant", "1"]);
    assert!(warned.stderr.contains("could not be read"), "{}", warned.stderr);
}

#[test]
fn a_report_belongs_to_a_server_in_any_spelling_and_to_one_environment() {
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    let spelled = format!("{}/", server.base_url().replace("http://", "HTTP://"));
    assert_eq!(setup.run(&["probe", "--save", "--quiet"]).code, 0);
    let path = saved(&setup).unwrap();
    fs::write(&path, "{}").unwrap();
    setup.url = spelled;
    let warned = setup.run(&["plant", "1"]);
    assert!(warned.stderr.contains("is ignored"), "{}", warned.stderr);
    // The same server and account behind a proxy, with a key of either environment.
    setup.url = as_production(&server);
    assert_eq!(setup.run(&["probe", "--save", "--quiet"]).code, 0);
    let files = fs::read_dir(setup.home.join(".config/oneclick/probes")).unwrap();
    for file in files {
        fs::write(file.unwrap().path(), "{}").unwrap();
    }
    assert!(setup.run(&["plant", "1"]).stderr.contains("is ignored"));
    setup.key = "live_command";
    let live = setup.run(&["plant", "1", "--yes"]);
    assert_eq!((live.code, &*live.stderr), (0, ""));
}
