//! What is looked up, taken back, and printed about the command itself.

use oneclick_emulator::Server;
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Place, ran};

#[test]
fn account_totals_and_the_life_of_an_impact_are_shown() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    assert_data_eq!(
        place.prints(&["whoami"]),
        str![[r#"
account  U[..]
email    [..]@example.com
API      http://127.0.0.1:[..]

"#]],
    );
    let planted = place.prints(&["plant", "60"]);
    place.prints(&["donate", "5.00", "--for", "ada@example.com"]);
    assert_data_eq!(
        place.prints(&["impact"]),
        str![[r#"
own         60 trees planted
customers'  $5.00 donated
all         60 trees planted, $5.00 donated

"#]],
    );
    let id = planted.lines().nth(1).unwrap();
    assert_data_eq!(
        place.prints(&["track", id]),
        str![[r#"
60 trees planted

initiated  [..]Z
next       donation available

"#]],
    );
    let cancelled = place.prints(&["cancel", id, "--reason", "refunded"]);
    assert_data_eq!(
        &cancelled,
        str![
            "impact cancelled: 60 trees planted, on [..]Z

"
        ]
    );
    let again = place.prints(&["cancel", id]);
    assert_data_eq!(
        &again,
        str![
            "impact was already cancelled: 60 trees planted, on [..]Z

"
        ]
    );
    assert_data_eq!(
        place.prints(&["track", id]),
        str![[r#"
60 trees planted

initiated  [..]Z
cancelled  [..]Z, refunded

"#]],
    );
    for arguments in [
        &["whoami", "--json"][..],
        &["impact", "--json"],
        &["track", id, "--json"],
        &["cancel", id, "--json"],
        &["projects", "--json"],
        &["projects", "emulator-food-forest", "--json"],
    ] {
        serde_json::from_str::<serde_json::Value>(&place.prints(arguments)).unwrap();
    }
    assert!(place.prints(&["projects", "--type", "ocean"]).contains("Emulator Clean Bay"));
    let unknown = place.run(&["track", "U1-2025-03-12T15:22:14.753Z"]);
    assert_eq!(unknown.code, 3);
}

#[test]
fn every_command_has_help_with_an_example_and_the_manual_names_them_all() {
    let place = Place::of("http://127.0.0.1:1");
    let help = place.prints(&["--help"]);
    let manual = place.prints(&["man"]);
    let commands = [
        "whoami",
        "plant",
        "clean",
        "capture",
        "donate",
        "restore",
        "cancel",
        "track",
        "impact",
        "daily",
        "records",
        "customer-records",
        "customers",
        "projects",
        "emulator",
        "doctor",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(help.contains(command), "{command}");
        let help = place.prints(&[command, "--help"]);
        assert!(help.contains("Example:\n  oneclick"), "{help}");
        assert!(manual.contains(&command.replace('-', "\\-")), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(place.prints(&["completions", shell]).contains("customer-records"), "{shell}");
    }
}

#[test]
fn days_are_bars_and_a_picture() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let nothing = place.run(&["daily"]);
    assert_eq!((nothing.code, &*nothing.stdout), (0, ""));
    assert_eq!(nothing.stderr, "nothing was done on these days\n");
    place.prints(&["plant", "40"]);
    assert_data_eq!(
        place.prints(&["daily"]),
        str![[r#"
40 trees planted, [..] to [..]
20[..]-[..]-[..]  ################################################################  40

"#]],
    );
    let svg = place.home.join("chart.svg");
    place.prints(&["daily", "--kind", "tree_planted", "--chart", svg.to_str().unwrap()]);
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    serde_json::from_str::<serde_json::Value>(&place.prints(&["daily", "--json"])).unwrap();
    let long = place.run(&["daily", "--from", "0001-01-01", "--to", "9999-12-31"]);
    assert_eq!(long.code, 2, "{}", long.stderr);
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let server = Server::start().unwrap();
    let mut place = Place::at(&server);
    assert_data_eq!(
        place.prints(&["doctor"]),
        str![[r#"
ok     the key: from ONECLICK_API_KEY, of the sandbox (test_)
ok     the environment: a URL of one's own, http://127.0.0.1:[..]
ok     the proxy: none, since the key would be shown to it without TLS
ok     the connection: answered in [..] ms
ok     the clock: as the API's, to within some seconds
ok     the account: U[..]

"#]],
    );
    place.key = "nobodys_key";
    let unknown = place.run(&["doctor"]);
    assert_eq!((unknown.code, &*unknown.stderr), (1, "oneclick: one thing is wrong\n"));
    assert!(unknown.stdout.contains("\nwrong  the account: the API does not know the key"));

    place.url = "http://127.0.0.1:1".to_owned();
    let refused = place.run(&["doctor"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.contains("nothing listens there"), "{}", refused.stdout);

    for (key, arguments, expected) in [
        ("", &["doctor"][..], "wrong  there is no key"),
        ("test_key", &["doctor", "--production"], "wrong  the environment: the key does not begin"),
        (
            "live_key",
            &["doctor", "--base-url", "https://sandbox.1clickimpact.com"],
            "wrong  the environment",
        ),
        (
            "test_key",
            &["doctor", "--base-url", "http://example.com"],
            "wrong  the environment: invalid base URL",
        ),
    ] {
        place.key = key;
        let wrong = place.run(arguments);
        assert_eq!(wrong.code, 1, "{}{}", wrong.stdout, wrong.stderr);
        assert!(wrong.stdout.contains(expected), "{}", wrong.stdout);
    }
}

/// It reads the environment as the client does, which goes past no proxy.
#[test]
fn the_doctor_says_which_proxy_is_used() {
    let api = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    api.set_nonblocking(true).unwrap();
    let place = Place::of(&format!("https://{}", api.local_addr().unwrap()));
    for (vars, expected) in [
        (
            &[("HTTPS_PROXY", "socks5://ada:s3cret@127.0.0.1:1")][..],
            "ok     the proxy: HTTPS_PROXY names socks5://127.0.0.1:1; it sees no more than",
        ),
        (
            &[("all_proxy", "foo://ada:s3cret@127.0.0.1:1")],
            "wrong  the proxy in all_proxy cannot be used: its scheme must be",
        ),
        (&[("https_proxy", "http://ada:s3cret@[::1")], "wrong  the proxy in https_proxy cannot"),
    ] {
        let output = place.command(&["doctor"]).envs(vars.iter().copied()).output().unwrap();
        let doctor = ran(&output);
        assert_eq!(doctor.code, 1, "{}", doctor.stdout);
        assert!(doctor.stdout.contains(expected), "{}", doctor.stdout);
        let shown = doctor.stdout + &doctor.stderr;
        assert!(!shown.contains("s3cret") && !shown.contains("ada"), "{shown}");
        assert!(api.accept().is_err(), "{expected}: it went past the proxy");
    }
    // A lone HTTP_PROXY, and one that the API is excepted from, are none.
    drop(api);
    for vars in [
        &[("HTTP_PROXY", "http://127.0.0.1:1")][..],
        &[("https_proxy", "foo://"), ("no_proxy", "x, 127.0.0.0/8")],
    ] {
        let output = place.command(&["doctor"]).envs(vars.iter().copied()).output().unwrap();
        let shown = ran(&output).stdout;
        assert!(shown.contains("\nok     the proxy: none\n"), "{shown}");
    }
}

#[test]
fn the_doctor_compares_the_clocks() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let _ = connection.read(&mut [0; 4096]).unwrap();
        let body = r#"{"user_id":"U1","email":"shop@example.com"}"#;
        write!(
            connection,
            "HTTP/1.1 200 OK\r\ndate: Mon, 03 Feb 2020 10:00:00 GMT\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len(),
        )
        .unwrap();
    });
    let skewed = Place::of(&url).run(&["doctor"]);
    answers.join().unwrap();
    assert_eq!(skewed.code, 1);
    assert!(skewed.stdout.contains("\nwrong  the clock: "), "{}", skewed.stdout);
}

#[test]
fn a_local_emulator_needs_no_key_and_remembers() {
    let mut place = Place::of("http://127.0.0.1:1");
    place.key = "";
    let planted =
        place.prints(&["--local", "plant", "5", "--for", "ada@example.com", "--intent", "o1"]);
    let again = place.run(&["plant", "5", "--for", "ada@example.com", "--intent", "o1", "--local"]);
    assert_eq!(again.stdout.lines().nth(1), planted.lines().nth(1));
    place.prints(&["--local", "donate", "1.50"]);
    assert_data_eq!(
        place.prints(&["--local", "impact"]),
        str![[r#"
own         $1.50 donated
customers'  5 trees planted
all         5 trees planted, $1.50 donated

"#]],
    );
    assert!(place.prints(&["--local", "doctor"]).contains("the local emulator in "));
    let other = place.home.join("other");
    let empty = place.prints(&["--local", "--state", other.to_str().unwrap(), "impact"]);
    assert!(empty.contains("nothing yet"));
    // What has no end is no journal, and no key.
    for endless in
        [&["--local", "--state", "/dev/zero", "impact"][..], &["--key-file", "/dev/zero", "impact"]]
    {
        let wrong = place.run(endless);
        assert!([1, 2].contains(&wrong.code), "{}", wrong.stderr);
    }
    let wrong = place.run(&["--local", "--sandbox", "impact"]);
    assert_eq!(wrong.code, 2);
}

#[test]
fn the_emulator_runs_until_it_is_interrupted_and_logs_no_address() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let mut place = Place::of("");
    let fault = r#"{"fault":"server_error","path":"/v1/plant_tree","times":1}"#;
    let mut child = place
        .command(&["emulator", "--listen", "127.0.0.1:0", "--seed", "7", "--fault", fault])
        .args(["--allow-host", "emulator", "--allow-host", "other.test"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    place.url = line.trim().to_owned();
    let failed = place.run(&["plant", "5", "--for", "ada@example.com", "--settle", "0"]);
    place.prints(&["customer-records", "--email", "ada@example.com", "--jsonl"]);
    for (host, status) in [("emulator:8787", 200), ("other.test", 200), ("evil.example", 421)] {
        let address = place.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!("GET /_emulator/clock HTTP/1.1\r\nhost: {host}\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {line}");
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{log}");
    assert_eq!(failed.code, 0, "{}", failed.stderr);
    assert!(log.contains(r#"500  POST /v1/plant_tree  U"#), "{log}");
    assert!(log.contains(r#"fault "server_error""#), "{log}");
    assert!(log.contains("200  GET /v1/customer_records?customer_email"), "{log}");
    assert!(!log.contains("ada") && !log.contains("test_command"), "{log}");

    for name in ["emulator:8787", "*", ""] {
        let wrong = place.run(&["emulator", "--listen", "127.0.0.1:0", "--allow-host", name]);
        assert_eq!(wrong.code, 2);
        assert!(wrong.stderr.contains("without a port"), "{}", wrong.stderr);
    }
    let wrong = place.run(&["emulator", "--listen", "127.0.0.1:0", "--fault", "{}"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("fault 1: "), "{}", wrong.stderr);
}

#[test]
fn the_commands_of_both_readmes_do_what_they_say() {
    use std::process::Command;

    let both = concat!(include_str!("../../../../README.md"), include_str!("../../README.md"));
    let local = |line: &&str| line.starts_with("oneclick --local ");
    let commands: Vec<_> = both.lines().filter(local).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    let place = Place::of("http://127.0.0.1:1");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_oneclick"));
    for command in commands {
        let output = Command::new("/bin/sh")
            .args(["-ec", command])
            .env_clear()
            .env("HOME", &place.home)
            .env("PATH", program.parent().unwrap())
            .current_dir(&place.home)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let read = |file| std::fs::read_to_string(place.home.join(file)).unwrap();
    assert!(read("impact.svg").contains("<svg"));
    assert!(read("customers.csv").contains("tree_planted,5,"), "{}", read("customers.csv"));
}

/// A disk that is full, for every command that prints. Not every system has one.
#[test]
fn output_that_cannot_be_written_is_a_failure_and_none_of_the_connection() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let planted = place.prints(&["plant", "1", "--for", "ada@example.com"]);
    let id = planted.lines().nth(1).unwrap();
    place.prints(&["plant", "1"]);
    for command in [
        &["--help"][..],
        &["plant", "--help"],
        &["help"],
        &["--version"],
        &["whoami"],
        &["whoami", "--json"],
        &["impact"],
        &["daily"],
        &["track", id],
        &["cancel", id],
        &["records"],
        &["records", "--json"],
        &["records", "--all", "--csv"],
        &["customer-records", "--csv"],
        &["customers", "--jsonl"],
        &["projects", "--jsonl"],
        &["projects", "emulator-food-forest"],
        &["emulator", "--listen", "127.0.0.1:0"],
        &["doctor"],
        &["man"],
        &["completions", "bash"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let Ok(full) = full else { return };
        let failed = ran(&place.command(command).stdout(full).output().unwrap());
        assert_eq!(failed.code, 1, "{command:?}: {}", failed.stderr);
        let words = "oneclick: standard output could not be written: ";
        assert!(failed.stderr.starts_with(words), "{command:?}: {}", failed.stderr);
        assert!(!failed.stderr.contains("connection"), "{}", failed.stderr);
    }
}

/// As the command prints them, and as a shell passes them on.
#[test]
fn values_may_begin_with_a_hyphen() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    let planted = [
        &["plant", "1", "--for", "ada@example.com", "--name", "-Ada", "--intent", "-order"][..],
        &["plant", "1", "--for", "ada@example.com", "--metadata", "-a=-b"],
    ];
    for command in planted {
        let done = place.run(command);
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    let customers = place.prints(&["customers", "--jsonl"]);
    assert!(customers.contains("-Ada"), "{customers}");
    let records = place.prints(&["customer-records", "--jsonl"]);
    assert!(records.contains(r#""-a":"-b""#), "{records}");
    for cursor in [&["--cursor", "-v1"][..], &["--cursor=-v1"]] {
        let refused = place.run(&[&["records"], cursor].concat());
        // It was sent: only the API knows its cursors.
        assert!(refused.stderr.contains("GET /v1/records"), "{}", refused.stderr);
    }
}

#[test]
fn a_local_emulator_on_a_full_disk_is_no_matter_of_the_connection() {
    let place = Place::of("http://127.0.0.1:1");
    let journal = place.home.join("shop");
    let local = ["--local", "--state", journal.to_str().unwrap()];
    let metadata = format!("note={}", "x".repeat(400));
    for _ in 0..10 {
        place.prints(&[&local[..], &["plant", "1", "--metadata", &metadata]].concat());
    }
    // More than the 1.5 or 3 KiB that a file may have: the intent's still fits.
    let before = std::fs::metadata(&journal).unwrap().len();
    assert!(before > 4_096, "{before}");
    let small_files = "trap '' XFSZ; ulimit -f 3; exec \"$0\" \"$@\"";
    for command in [&["plant", "1"][..], &["plant", "1", "--intent", "order-1"]] {
        let failed = std::process::Command::new("sh")
            .args(["-c", small_files, env!("CARGO_BIN_EXE_oneclick")])
            .args(local)
            .args(command)
            .env("HOME", &place.home)
            .output()
            .unwrap();
        let failed = ran(&failed);
        assert_eq!((failed.code, &*failed.stdout), (1, ""), "{}", failed.stderr);
        let words = format!("oneclick: nothing was bought: {}: ", journal.display());
        assert!(failed.stderr.starts_with(&words), "{}", failed.stderr);
        assert!(!failed.stderr.contains("connect"), "{}", failed.stderr);
    }
    let records = place.prints(&[&local[..], &["records", "--limit", "100", "--jsonl"]].concat());
    assert_eq!(records.lines().count(), 10);
}

#[test]
fn an_option_is_not_taken_for_the_text_before_it() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    // A shell leaves a variable out that is empty.
    for arguments in [
        &["plant", "1", "--intent", "--yes"][..],
        &["plant", "1", "--intent", "-y"],
        &["plant", "1", "--intent", "--settle=5"],
        &["plant", "1", "--for", "ada@example.com", "--name", "--silent"],
        &["plant", "1", "--metadata", "--wait=5"],
        &["donate", "1", "--cause", "--yes"],
        &["cancel", "U1-2025-03-12T15:22:14.753Z", "--reason", "--yes"],
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("is an option of this command"), "{}", ran.stderr);
    }
    assert!(server.emulator().account("test_command").is_none());
}

#[test]
fn clear_text_to_another_host_takes_a_variable() {
    // Connecting to 0.0.0.0 reaches this machine.
    let server = Server::builder().allow_host("0.0.0.0".parse().unwrap()).start().unwrap();
    let url = server.base_url().replace("127.0.0.1", "0.0.0.0");
    let place = Place::of(&url);
    let run = |arguments: &[&str], insecure: Option<&str>| {
        let mut command = place.command(arguments);
        command.envs(insecure.map(|value| ("ONECLICK_INSECURE", value)));
        ran(&command.output().unwrap())
    };
    let option = ["whoami", "--base-url", &url];
    for arguments in [&["whoami"][..], &option] {
        for other in [None, Some(""), Some("0"), Some("true")] {
            let refused = run(arguments, other);
            assert_eq!(refused.code, 2, "{other:?}: {}", refused.stderr);
            assert!(refused.stderr.contains("set ONECLICK_INSECURE=1"), "{}", refused.stderr);
        }
        assert!(server.emulator().account("test_command").is_none());
    }
    for arguments in [&["whoami"][..], &option] {
        let done = run(arguments, Some("1"));
        assert_eq!((done.code, &*done.stderr), (0, ""), "{}", done.stdout);
    }
    // An empty option is none of the environment's.
    assert_eq!(run(&["whoami", "--base-url", ""], Some("1")).code, 2);
}
