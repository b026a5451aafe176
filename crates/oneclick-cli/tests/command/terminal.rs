//! What differs at a terminal: questions, progress and control characters.

use oneclick_emulator::{Fault, FaultRule, Server};
use rexpect::session::spawn_command;

use super::support::{Setup, as_production, bought};

fn in_production(server: &Server) -> Setup {
    let mut setup = Setup::of(&as_production(server));
    setup.key = "live_command";
    setup
}

#[test]
fn production_shows_the_purchase_and_who_pays_and_asks() {
    let server = Server::start().unwrap();
    for (reply, expected, code) in [
        ("n", "not confirmed; nothing was sent", 2),
        ("", "not confirmed", 2),
        ("y", "5 trees planted", 0),
    ] {
        let before = bought(&server);
        let setup = in_production(&server);
        let mut terminal = spawn_command(setup.command(&["plant", "5"]), Some(30_000)).unwrap();
        terminal
            .exp_regex("buy 5 trees planted, with the account of .*@example.com\\? \\[y/N\\] ")
            .unwrap();
        terminal.send_line(reply).unwrap();
        terminal.exp_string(expected).unwrap();
        let status = terminal.process.wait().unwrap();
        assert!(format!("{status:?}").contains(&format!(", {code})")), "{status:?}");
        assert_eq!(bought(&server) - before, usize::from(code == 0));
    }
}

#[test]
fn without_a_terminal_production_needs_yes() {
    let server = Server::start().unwrap();
    let setup = in_production(&server);
    let refused = setup.run(&["plant", "5"]);
    assert_eq!((refused.code, &*refused.stdout), (2, ""));
    assert!(refused.stderr.contains("add --yes to "), "{}", refused.stderr);
    assert_eq!(bought(&server), 0);
    setup.run_ok(&["plant", "5", "--yes"]);
    assert_eq!(bought(&server), 1);
    for wrong in [&["whoami", "--sandbox"][..], &["whoami", "--production", "--sandbox"]] {
        assert_eq!(setup.run(wrong).code, 2);
    }
}

#[test]
fn a_long_list_shows_its_progress_unless_it_is_quiet() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    for _ in 0..5 {
        setup.run_ok(&["plant", "1"]);
    }
    let late = FaultRule::new(Fault::LateResponse { millis: 500 }).on("/v1/records");
    server.emulator().inject(late);
    let list = ["records", "--all", "--limit", "1", "--jsonl"];
    let at_a_terminal = |arguments: &[&str]| {
        let mut command = setup.command(arguments);
        command.env("TERM", "xterm");
        spawn_command(command, Some(30_000)).unwrap()
    };
    let mut terminal = at_a_terminal(&list);
    terminal.exp_regex("[1-5] rows").unwrap();
    terminal.exp_eof().unwrap();
    let mut quiet =
        spawn_command(setup.command(&[&list[..], &["--quiet"]].concat()), Some(30_000)).unwrap();
    let all = quiet.exp_eof().unwrap();
    assert!(!all.contains("rows"), "{all}");
    assert_eq!(all.lines().count(), 5, "{all}");
}

#[test]
fn a_purchase_shows_what_is_being_done() {
    let late = FaultRule::new(Fault::LateResponse { millis: 1_000 });
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(lost).fault(late).start().unwrap();
    let setup = Setup::at(&server);
    let mut command = setup.command(&["plant", "5"]);
    command.env("TERM", "xterm");
    let mut terminal = spawn_command(command, Some(30_000)).unwrap();
    terminal.exp_string("buying (5 trees planted)").unwrap();
    terminal.exp_string("looking for the purchase (5 trees planted)").unwrap();
    terminal.exp_eof().unwrap();
    assert_eq!(bought(&server), 1);
}

#[test]
fn strangers_write_nothing_on_the_terminal_and_every_byte_into_a_file() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let evil = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}\u{2066}Ada\r\n\u{2028}\u{7f}";
    let metadata = format!("order={evil}");
    setup.run_ok(&[
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
            let command = setup.command(&[list, format]);
            let shown = spawn_command(command, Some(30_000)).unwrap().exp_eof().unwrap();
            assert!(shown.contains("Ada"), "{shown}");
            assert!(!shown.contains(obeyed), "{list} {format}: {shown:?}");
            let rows = if format == "--csv" { 2 } else { 1 };
            let lines = shown.trim().lines().filter(|line| line.len() > 1).count();
            assert_eq!(lines, rows, "{list} {format}: {shown:?}");
        }
        // A program gets every byte.
        assert!(setup.run_ok(&[list, "--csv"]).contains(evil));
    }
    // A script may get an argument from a stranger.
    let command = setup.command(&["track", evil]);
    let shown = spawn_command(command, Some(30_000)).unwrap().exp_eof().unwrap();
    assert!(shown.contains("expected the id") && !shown.contains(obeyed), "{shown:?}");
}
