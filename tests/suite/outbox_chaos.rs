//! Workers of an outbox that are killed and stopped at random.

use std::process::Command;

/// `cargo run --release -p oneclick-tests --bin outbox-chaos -- --minutes 15` runs for longer.
#[test]
fn killed_and_stopped_workers_buy_each_intent_once() {
    let chaos = Command::new(env!("CARGO_BIN_EXE_outbox-chaos"))
        .args(["--seconds", "15", "--workers", "3"])
        .output()
        .unwrap();
    let (report, errors) =
        (String::from_utf8_lossy(&chaos.stdout), String::from_utf8_lossy(&chaos.stderr));
    assert!(chaos.status.success(), "{report}\n{errors}");
    let number = |before: &str| -> u32 {
        let (_, rest) = report.split_once(before).expect(&report);
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    println!("{report}");
    assert!(number("killed ") > 0 && number("bought once: ") > 20, "{report}");
    assert!(number("stopped ") > 0 || cfg!(not(unix)), "{report}");
}
