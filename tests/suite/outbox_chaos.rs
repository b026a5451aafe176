//! Workers of an outbox that are killed and stopped at random.

use std::process::Command;

/// `cargo run --release -p oneclick-tests --bin outbox-chaos -- --minutes 15` runs for longer.
#[test]
fn killed_and_stopped_workers_buy_each_intent_once() {
    run(&["--workers", "3"]).unwrap();
}

/// The same with four workers and a server that crashes and stops, behind PgBouncer if there is
/// one.
#[test]
fn killed_and_stopped_workers_buy_each_intent_once_on_a_server_that_crashes() {
    for database in ["--pgbouncer", "--postgres"] {
        match run(&[database]) {
            Ok(report) => {
                let disturbed = number(&report, "crashed ") + number(&report, "was stopped ");
                assert!(disturbed > 0, "{report}");
                return;
            }
            Err(missing) => println!("left out: {missing}"),
        }
    }
}

/// Runs the program for a while, and returns its report, or what it misses on this machine.
fn run(arguments: &[&str]) -> Result<String, String> {
    let chaos = Command::new(env!("CARGO_BIN_EXE_outbox-chaos"))
        .args(["--seconds", "15"])
        .args(arguments)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&chaos.stdout).into_owned();
    let errors = String::from_utf8_lossy(&chaos.stderr);
    if let Some((_, missing)) = errors.split_once("outbox-chaos: this machine has no ") {
        return Err(format!("this machine has no {missing}"));
    }
    assert!(chaos.status.success(), "{report}\n{errors}");
    println!("{report}");
    let [killed, bought] = ["killed ", "bought once: "].map(|before| number(&report, before));
    assert!(killed > 0 && bought > 5, "{report}");
    assert!(number(&report, "stopped ") > 0 || cfg!(not(unix)), "{report}");
    Ok(report)
}

/// The number after this text.
fn number(report: &str, before: &str) -> u32 {
    let (_, rest) = report.split_once(before).expect(report);
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
