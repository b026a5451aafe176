//! Everything that is neither a purchase nor a list: what is shown and cancelled, the
//! emulator, the doctor, and the output of every command.

use oneclick_emulator::Server;
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Setup, finished};

#[test]
fn account_totals_and_the_life_of_an_impact_are_shown() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    assert_data_eq!(
        setup.run_ok(&["whoami"]),
        str![[r#"
account  U[..]
email    [..]@example.com
API      http://127.0.0.1:[..]

"#]],
    );
    let planted = setup.run_ok(&["plant", "60"]);
    setup.run_ok(&["donate", "5.00", "--for", "ada@example.com"]);
    assert_data_eq!(
        setup.run_ok(&["impact"]),
        str![[r#"
own         60 trees planted
customers'  $5.00 donated
all         60 trees planted, $5.00 donated

"#]],
    );
    let id = planted.lines().nth(1).unwrap();
    assert_data_eq!(
        setup.run_ok(&["track", id]),
        str![[r#"
60 trees planted

initiated  [..]Z
next       donation available

"#]],
    );
    let cancelled = setup.run_ok(&["cancel", id, "--reason", "refunded"]);
    assert_data_eq!(
        &cancelled,
        str![
            "impact cancelled: 60 trees planted, on [..]Z

"
        ]
    );
    let again = setup.run_ok(&["cancel", id]);
    assert_data_eq!(
        &again,
        str![
            "impact was already cancelled: 60 trees planted, on [..]Z

"
        ]
    );
    assert_data_eq!(
        setup.run_ok(&["track", id]),
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
        serde_json::from_str::<serde_json::Value>(&setup.run_ok(arguments)).unwrap();
    }
    assert!(setup.run_ok(&["projects", "--type", "ocean"]).contains("Emulator Clean Bay"));
    let unknown = setup.run(&["track", "U1-2025-03-12T15:22:14.753Z"]);
    assert_eq!(unknown.code, 3);
}

#[test]
fn daily_prints_bars_and_writes_an_svg_file() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let nothing = setup.run(&["daily"]);
    assert_eq!((nothing.code, &*nothing.stdout), (0, ""));
    assert_eq!(nothing.stderr, "no impact on these days\n");
    setup.run_ok(&["plant", "40"]);
    assert_data_eq!(
        setup.run_ok(&["daily"]),
        str![[r#"
40 trees planted, [..] to [..]
20[..]-[..]-[..]  ################################################################  40

"#]],
    );
    let svg = setup.home.join("chart.svg");
    setup.run_ok(&["daily", "--kind", "tree_planted", "--chart", svg.to_str().unwrap()]);
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    serde_json::from_str::<serde_json::Value>(&setup.run_ok(&["daily", "--json"])).unwrap();
    let long = setup.run(&["daily", "--from", "0001-01-01", "--to", "9999-12-31"]);
    assert_eq!(long.code, 2, "{}", long.stderr);
}

#[test]
fn the_doctor_finds_problems() {
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    assert_data_eq!(
        setup.run_ok(&["doctor"]),
        str![[r#"
ok     key: from ONECLICK_API_KEY, for the sandbox (test_)
ok     environment: a custom URL, http://127.0.0.1:[..]
ok     intents: [..]/.local/state/oneclick/intents/sandbox-http%3A%2F%2F127.0.0.1%3A[..] can be written
ok     proxy: none; for http:// none is used, because it would see the key
ok     connection: got a response in [..] ms
ok     clock: within 5 seconds of the API's
ok     account: U[..]

"#]],
    );
    setup.key = "nobodys_key";
    let unknown = setup.run(&["doctor"]);
    assert_eq!((unknown.code, &*unknown.stderr), (1, "error: found 1 problem\n"));
    assert!(unknown.stdout.contains("\nwrong  account: the API does not know the key"));

    setup.url = "http://127.0.0.1:1".to_owned();
    let refused = setup.run(&["doctor"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.contains("nothing listens there"), "{}", refused.stdout);

    for (key, arguments, expected) in [
        ("", &["doctor"][..], "wrong  key: there is no API key"),
        (
            "test_key",
            &["doctor", "--production"],
            "wrong  environment: --production needs a key that begins with live_",
        ),
        (
            "live_key",
            &["doctor", "--base-url", "https://sandbox.1clickimpact.com"],
            "wrong  environment: a key that begins with live_ does not work with sandbox.1clickimpact.com",
        ),
        (
            "test_key",
            &["doctor", "--base-url", "http://example.com"],
            "wrong  environment: --base-url http://example.com would send the key unencrypted",
        ),
    ] {
        setup.key = key;
        let wrong = setup.run(arguments);
        assert_eq!(wrong.code, 1, "{}{}", wrong.stdout, wrong.stderr);
        assert!(wrong.stdout.contains(expected), "{}", wrong.stdout);
    }
}

/// Neither it nor the client bypasses a proxy that cannot be used.
#[test]
fn the_doctor_says_which_proxy_is_used() {
    let api = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    api.set_nonblocking(true).unwrap();
    let setup = Setup::of(&format!("https://{}", api.local_addr().unwrap()));
    for (vars, expected) in [
        (
            &[("HTTPS_PROXY", "socks5://ada:s3cret@127.0.0.1:1")][..],
            "ok     proxy: socks5://127.0.0.1:1 from HTTPS_PROXY; it sees the API's host and no more",
        ),
        (
            &[("all_proxy", "foo://ada:s3cret@127.0.0.1:1")],
            "wrong  proxy: the proxy in all_proxy cannot be used: its scheme must be",
        ),
        (
            &[("https_proxy", "http://ada:s3cret@[::1")],
            "wrong  proxy: the proxy in https_proxy cannot",
        ),
    ] {
        let output = setup.command(&["doctor"]).envs(vars.iter().copied()).output().unwrap();
        let doctor = finished(&output);
        assert_eq!(doctor.code, 1, "{}", doctor.stdout);
        assert!(doctor.stdout.contains(expected), "{}", doctor.stdout);
        let shown = doctor.stdout + &doctor.stderr;
        assert!(!shown.contains("s3cret") && !shown.contains("ada"), "{shown}");
        assert!(api.accept().is_err(), "{expected}: it bypassed the proxy");
    }
    // Neither HTTP_PROXY nor a proxy that NO_PROXY excepts the API from is used.
    drop(api);
    for vars in [
        &[("HTTP_PROXY", "http://127.0.0.1:1")][..],
        &[("https_proxy", "foo://"), ("no_proxy", "x, 127.0.0.0/8")],
    ] {
        let output = setup.command(&["doctor"]).envs(vars.iter().copied()).output().unwrap();
        let shown = finished(&output).stdout;
        assert!(shown.contains("\nok     proxy: none\n"), "{shown}");
    }
}

#[test]
fn the_doctor_compares_the_clocks() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
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
    let skewed = Setup::of(&url).run(&["doctor"]);
    server.join().unwrap();
    assert_eq!(skewed.code, 1);
    assert!(skewed.stdout.contains("\nwrong  clock: "), "{}", skewed.stdout);
}

#[test]
fn the_local_emulator_needs_no_key_and_keeps_its_state() {
    let mut setup = Setup::of("http://127.0.0.1:1");
    setup.key = "";
    let planted =
        setup.run_ok(&["--local", "plant", "5", "--for", "ada@example.com", "--intent", "o1"]);
    let again = setup.run(&["plant", "5", "--for", "ada@example.com", "--intent", "o1", "--local"]);
    assert_eq!(again.stdout.lines().nth(1), planted.lines().nth(1));
    setup.run_ok(&["--local", "donate", "1.50"]);
    assert_data_eq!(
        setup.run_ok(&["--local", "impact"]),
        str![[r#"
own         $1.50 donated
customers'  5 trees planted
all         5 trees planted, $1.50 donated

"#]],
    );
    assert!(setup.run_ok(&["--local", "doctor"]).contains("the local emulator in "));
    let other = setup.home.join("other");
    let empty = setup.run_ok(&["--local", "--state", other.to_str().unwrap(), "impact"]);
    assert!(empty.contains("nothing yet"));
    // A device without an end is neither a journal nor a key.
    for endless in
        [&["--local", "--state", "/dev/zero", "impact"][..], &["--key-file", "/dev/zero", "impact"]]
    {
        let wrong = setup.run(endless);
        assert!([1, 2].contains(&wrong.code), "{}", wrong.stderr);
    }
    let wrong = setup.run(&["--local", "--sandbox", "impact"]);
    assert_eq!(wrong.code, 2);
}

#[test]
fn the_emulator_runs_until_it_is_interrupted_and_logs_nothing_private() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let mut setup = Setup::of("");
    let fault = r#"{"fault":"server_error","path":"/v1/plant_tree","times":1}"#;
    let mut child = setup
        .command(&["emulator", "--listen", "127.0.0.1:0", "--seed", "7", "--fault", fault])
        .args(["--allow-host", "emulator", "--allow-host", "other.test"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    setup.url = line.trim().to_owned();
    let failed = setup.run(&["plant", "5", "--for", "ada@example.com", "--settle", "0"]);
    setup.run_ok(&["customer-records", "--email", "ada@example.com", "--jsonl"]);
    for (host, status) in [("emulator:8787", 200), ("other.test", 200), ("evil.example", 421)] {
        let address = setup.url.strip_prefix("http://").unwrap();
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
        let wrong = setup.run(&["emulator", "--listen", "127.0.0.1:0", "--allow-host", name]);
        assert_eq!(wrong.code, 2);
        assert!(wrong.stderr.contains("without a port"), "{}", wrong.stderr);
    }
    for (rule, reason) in [
        ("{}", "`fault` is missing"),
        ("explode", "unknown fault: `explode`"),
        (r#"{"fault":"garbage","path":"/v1/trees"}"#, "did you mean /v1/plant_tree?"),
    ] {
        let faults = ["--fault", "never_respond", "--fault", rule];
        let wrong = setup.run(&[&["emulator", "--listen", "127.0.0.1:0"][..], &faults].concat());
        assert_eq!(wrong.code, 2);
        assert!(wrong.stderr.contains(reason), "{rule}: {}", wrong.stderr);
    }
}

#[test]
fn the_commands_of_both_readmes_work() {
    use std::process::Command;

    let both = concat!(include_str!("../../../../README.md"), include_str!("../../README.md"));
    let local = |line: &&str| line.starts_with("oneclick --local ");
    let commands: Vec<_> = both.lines().filter(local).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    let setup = Setup::of("http://127.0.0.1:1");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_oneclick"));
    for command in commands {
        let output = Command::new("/bin/sh")
            .args(["-ec", command])
            .env_clear()
            .env("HOME", &setup.home)
            .env("PATH", program.parent().unwrap())
            .current_dir(&setup.home)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let read = |file| std::fs::read_to_string(setup.home.join(file)).unwrap();
    assert!(read("impact.svg").contains("<svg"));
    assert!(read("customers.csv").contains("tree_planted,5,"), "{}", read("customers.csv"));
}

/// `/dev/full` is a full disk. Not every system has it.
#[test]
fn a_full_disk_is_reported_as_a_problem_of_standard_output() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let planted = setup.run_ok(&["plant", "1", "--for", "ada@example.com"]);
    let id = planted.lines().nth(1).unwrap();
    setup.run_ok(&["plant", "1"]);
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
        let failed = finished(&setup.command(command).stdout(full).output().unwrap());
        assert_eq!(failed.code, 1, "{command:?}: {}", failed.stderr);
        let words = "error: could not write to standard output: ";
        assert!(failed.stderr.starts_with(words), "{command:?}: {}", failed.stderr);
        assert!(!failed.stderr.contains("connection"), "{}", failed.stderr);
    }
}

#[test]
fn values_may_begin_with_a_hyphen() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let planted = [
        &["plant", "1", "--for", "ada@example.com", "--name", "-Ada", "--intent", "-order"][..],
        &["plant", "1", "--for", "ada@example.com", "--metadata", "-a=-b"],
    ];
    for command in planted {
        let done = setup.run(command);
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    let customers = setup.run_ok(&["customers", "--jsonl"]);
    assert!(customers.contains("-Ada"), "{customers}");
    let records = setup.run_ok(&["customer-records", "--jsonl"]);
    assert!(records.contains(r#""-a":"-b""#), "{records}");
    for cursor in [&["--cursor", "-v1"][..], &["--cursor=-v1"]] {
        let refused = setup.run(&[&["records"], cursor].concat());
        // Only the API can tell that this is no cursor, so it was sent.
        assert!(refused.stderr.contains("GET /v1/records"), "{}", refused.stderr);
    }
}

#[test]
fn a_full_disk_is_reported_as_a_problem_of_the_local_emulators_file() {
    let setup = Setup::of("http://127.0.0.1:1");
    let journal = setup.home.join("shop");
    let local = ["--local", "--state", journal.to_str().unwrap()];
    let pairs: Vec<_> = (1..20).map(|pair| format!("{pair}={}", "x".repeat(500))).collect();
    let metadata: Vec<_> = pairs.iter().flat_map(|pair| ["--metadata", pair]).collect();
    for _ in 0..25 {
        setup.run_ok(&[&local[..], &["plant", "1"], &metadata].concat());
    }
    // Larger than the limit of 100 or 200 KiB below, which the outbox stays under.
    let before = std::fs::metadata(&journal).unwrap().len();
    assert!(before > 204_800, "{before}");
    let small_files = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
    for command in [&["plant", "1"][..], &["plant", "1", "--intent", "order-1"]] {
        let failed = std::process::Command::new("sh")
            .args(["-c", small_files, env!("CARGO_BIN_EXE_oneclick")])
            .args(local)
            .args(command)
            .env("HOME", &setup.home)
            .output()
            .unwrap();
        let failed = finished(&failed);
        assert_eq!((failed.code, &*failed.stdout), (1, ""), "{}", failed.stderr);
        let words = format!(
            "error: nothing was bought: the local emulator cannot use {}: ",
            journal.display()
        );
        assert!(failed.stderr.starts_with(&words), "{}", failed.stderr);
        assert!(!failed.stderr.contains("connect"), "{}", failed.stderr);
    }
    let records = setup.run_ok(&[&local[..], &["records", "--limit", "100", "--jsonl"]].concat());
    assert_eq!(records.lines().count(), 25);
}

#[test]
fn an_option_is_not_taken_for_the_text_before_it() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    // As a shell passes them if a variable before them is empty.
    for arguments in [
        &["plant", "1", "--intent", "--yes"][..],
        &["plant", "1", "--intent", "-y"],
        &["plant", "1", "--intent", "--settle=5"],
        &["plant", "1", "--for", "ada@example.com", "--name", "--silent"],
        &["plant", "1", "--metadata", "--wait=5"],
        &["donate", "1", "--cause", "--yes"],
        &["cancel", "U1-2025-03-12T15:22:14.753Z", "--reason", "--yes"],
    ] {
        let done = setup.run(arguments);
        assert_eq!((done.code, &*done.stdout), (2, ""), "{arguments:?}: {}", done.stderr);
        assert!(
            done.stderr.contains(" is an option: is the value before it missing?"),
            "{}",
            done.stderr
        );
    }
    assert!(server.emulator().account("test_command").is_none());
}

#[test]
fn http_to_another_host_needs_a_variable() {
    // Connecting to 0.0.0.0 reaches this machine.
    let server = Server::builder().allow_host("0.0.0.0".parse().unwrap()).start().unwrap();
    let url = server.base_url().replace("127.0.0.1", "0.0.0.0");
    let setup = Setup::of(&url);
    let run = |arguments: &[&str], insecure: Option<&str>| {
        let mut command = setup.command(arguments);
        command.envs(insecure.map(|value| ("ONECLICK_INSECURE", value)));
        finished(&command.output().unwrap())
    };
    let option = ["whoami", "--base-url", &url];
    for arguments in [&["whoami"][..], &option] {
        for other in [None, Some(""), Some("0"), Some("true")] {
            let refused = run(arguments, other);
            assert_eq!(refused.code, 2, "{other:?}: {}", refused.stderr);
            assert!(refused.stderr.contains("or set ONECLICK_INSECURE=1"), "{}", refused.stderr);
        }
        assert!(server.emulator().account("test_command").is_none());
    }
    for arguments in [&["whoami"][..], &option] {
        let done = run(arguments, Some("1"));
        assert_eq!((done.code, &*done.stderr), (0, ""), "{}", done.stdout);
    }
    let doctor = run(&["doctor"], Some("1"));
    assert_eq!(doctor.code, 0, "{}", doctor.stdout);
    let note = "\nnote   encryption: none, because ONECLICK_INSECURE=1 is set: ";
    assert!(doctor.stdout.contains(note), "{}", doctor.stdout);
    let loopback = Setup::at(&server);
    assert!(
        !finished(&loopback.command(&["doctor"]).env("ONECLICK_INSECURE", "1").output().unwrap())
            .stdout
            .contains("encryption")
    );
    // An empty option does not mean the environment's URL.
    assert_eq!(run(&["whoami", "--base-url", ""], Some("1")).code, 2);
}
