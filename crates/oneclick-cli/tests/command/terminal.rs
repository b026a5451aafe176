//! At a terminal: production asks, and what is asked is answered.

use oneclick_emulator::{Fault, FaultRule, Server};
use rexpect::session::spawn_command;

use super::support::{Place, as_production, bought};

fn in_production(server: &Server) -> Place {
    let mut place = Place::of(&as_production(server));
    place.key = "live_command";
    place
}

#[test]
fn production_shows_what_is_bought_and_who_pays_and_asks() {
    let server = Server::start().unwrap();
    for (answer, expected, code) in [
        ("n", "not confirmed; nothing was sent", 2),
        ("", "not confirmed", 2),
        ("y", "5 trees planted", 0),
    ] {
        let before = bought(&server);
        let place = in_production(&server);
        let mut terminal = spawn_command(place.command(&["plant", "5"]), Some(30_000)).unwrap();
        terminal.exp_regex("5 trees planted, paid by .*@example.com. Go on\\? \\[y/N\\] ").unwrap();
        terminal.send_line(answer).unwrap();
        terminal.exp_string(expected).unwrap();
        let status = terminal.process.wait().unwrap();
        assert!(format!("{status:?}").contains(&format!(", {code})")), "{status:?}");
        assert_eq!(bought(&server) - before, usize::from(code == 0));
    }
}

#[test]
fn without_a_terminal_production_wants_yes() {
    let server = Server::start().unwrap();
    let place = in_production(&server);
    let refused = place.run(&["plant", "5"]);
    assert_eq!((refused.code, &*refused.stdout), (2, ""));
    assert!(refused.stderr.contains("this is production; say --yes"), "{}", refused.stderr);
    assert_eq!(bought(&server), 0);
    place.prints(&["plant", "5", "--yes"]);
    assert_eq!(bought(&server), 1);
    for wrong in [&["whoami", "--sandbox"][..], &["whoami", "--production", "--sandbox"]] {
        assert_eq!(place.run(wrong).code, 2);
    }
}

#[test]
fn a_long_walk_shows_how_far_it_is_and_a_quiet_one_does_not() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    for _ in 0..5 {
        place.prints(&["plant", "1"]);
    }
    let late = FaultRule::new(Fault::AnswerLate { millis: 500 }).on("/v1/records");
    server.emulator().inject(late);
    let walk = ["records", "--all", "--limit", "1", "--jsonl"];
    let at_a_terminal = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("TERM", "xterm");
        spawn_command(command, Some(30_000)).unwrap()
    };
    let mut terminal = at_a_terminal(&walk);
    terminal.exp_regex("[1-5] rows").unwrap();
    terminal.exp_eof().unwrap();
    let mut quiet =
        spawn_command(place.command(&[&walk[..], &["--quiet"]].concat()), Some(30_000)).unwrap();
    let all = quiet.exp_eof().unwrap();
    assert!(!all.contains("rows"), "{all}");
    assert_eq!(all.lines().count(), 5, "{all}");
}

#[test]
fn strangers_write_nothing_on_the_terminal_and_every_byte_into_a_file() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let evil = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}\u{2066}Ada\r\n\u{2028}\u{7f}";
    let metadata = format!("order={evil}");
    place.prints(&[
        "plant",
        "1",
        "--for",
        "ada@example.com",
        "--name",
        evil,
        "--metadata",
        &metadata,
    ]);
    let obeyed = |char: char| {
        // The terminal writes \r before each \n.
        (char.is_control() && !"\r\n".contains(char)) || "\u{202e}\u{2066}\u{2028}".contains(char)
    };
    for list in ["customer-records", "customers"] {
        for format in ["--csv", "--json", "--jsonl"] {
            let command = place.command(&[list, format]);
            let shown = spawn_command(command, Some(30_000)).unwrap().exp_eof().unwrap();
            assert!(shown.contains("Ada"), "{shown}");
            assert!(!shown.contains(obeyed), "{list} {format}: {shown:?}");
            let rows = if format == "--csv" { 2 } else { 1 };
            let lines = shown.trim().lines().filter(|line| line.len() > 1).count();
            assert_eq!(lines, rows, "{list} {format}: {shown:?}");
        }
        // A program gets the data.
        assert!(place.prints(&[list, "--csv"]).contains(evil));
    }
    // A script may have from strangers what it looks for.
    let command = place.command(&["track", evil]);
    let shown = spawn_command(command, Some(30_000)).unwrap().exp_eof().unwrap();
    assert!(shown.contains("invalid impact id") && !shown.contains(obeyed), "{shown:?}");
}
