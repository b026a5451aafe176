//! Lists: formats, pages, cursors and rows that cannot be read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use oneclick_emulator::{Fault, FaultRule, Server};
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::{Setup, responding};

/// An emulator with three records and two customers.
fn filled() -> (Server, Setup) {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    setup.run_ok(&["plant", "5", "--metadata", "order=A-1001"]);
    setup.run_ok(&["clean", "10"]);
    setup.run_ok(&["donate", "1.00"]);
    setup.run_ok(&["plant", "1", "--for", "ada@example.com", "--name", "Ada, of \"Lovelace\""]);
    setup.run_ok(&["capture", "2", "--for", "bob@example.com"]);
    (server, setup)
}

#[test]
fn a_list_is_a_table_json_json_lines_or_csv() {
    let (_server, setup) = filled();
    assert_data_eq!(
        setup.run_ok(&["records", "--order", "oldest"]),
        str![[r#"
id[..]impact[..]category[..]metadata
U[..]Z[..]5 trees planted[..]order=A-1001
U[..]Z[..]10 lbs of plastic out of the ocean
U[..]Z[..]$1.00 donated

"#]],
    );
    assert_data_eq!(
        setup.run_ok(&["customer-records", "--csv", "--order", "oldest"]),
        str![[r#"
id,user_id,time_utc,kind,amount,unit,dollars,customer_id,customer_email,customer_name,category,metadata
U[..]Z,U[..],[..]Z,tree_planted,1,trees,,[..],ada@example.com,"Ada, of ""Lovelace""",,
U[..]Z,U[..],[..]Z,carbon_captured,2,lbs of CO2,,[..],bob@example.com,,,

"#]],
    );
    let json: Vec<serde_json::Value> =
        serde_json::from_str(&setup.run_ok(&["customers", "--json"])).unwrap();
    assert_eq!(json.len(), 2);
    let lines = setup.run_ok(&["customers", "--jsonl"]);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json, lines);
    assert_eq!(
        setup.run_ok(&["customers", "--email", "ada@example.com", "--jsonl"]).lines().count(),
        1
    );
    assert_eq!(setup.run_ok(&["records", "--kind", "waste_removed", "--jsonl"]).lines().count(), 1);
    for format in ["--json", "--jsonl", "--csv"] {
        let none = setup.run(&["records", "--to", "2000-01-01", format]);
        assert_eq!((none.code, &*none.stderr), (0, "no rows found\n"));
    }
}

#[test]
fn strangers_write_nothing_on_the_terminal() {
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let evil = "\u{1b}[2J\r\u{9b}31m\u{7}Ada\n";
    let metadata = format!("order={evil}");
    let buy = ["plant", "1", "--for", "ada@example.com", "--name", evil, "--metadata", &metadata];
    setup.run_ok(&buy);
    for list in ["customer-records", "customers"] {
        let table = setup.run_ok(&[list]);
        assert!(table.contains("Ada"), "{table}");
        assert!(!table.chars().any(|char| char.is_control() && char != '\n'), "{table:?}");
        assert_eq!(table.lines().count(), 2);
        // JSON holds the data unchanged, in escapes.
        let json: Vec<serde_json::Value> =
            serde_json::from_str(&setup.run_ok(&[list, "--json"])).unwrap();
        assert!(json[0].to_string().contains("\\u001b[2J"), "{json:?}");
        for format in ["--json", "--jsonl"] {
            let json = setup.run_ok(&[list, format]);
            assert!(!json.chars().any(|char| char.is_control() && char != '\n'), "{json:?}");
        }
    }
    let id = setup.run_ok(&["plant", "1"]).lines().nth(1).unwrap().to_owned();
    setup.run_ok(&["cancel", &id, "--reason", evil]);
    let shown = setup.run_ok(&["track", &id]);
    assert!(!shown.chars().any(|char| char.is_control() && char != '\n'), "{shown:?}");
}

#[test]
fn all_prints_every_page_and_cursor_continues_where_a_run_stopped() {
    let (server, setup) = filled();
    let all = setup.run_ok(&["records", "--all", "--limit", "1", "--jsonl"]);
    assert_eq!(all.lines().count(), 3);
    let json = setup.run_ok(&["records", "--all", "--limit", "1", "--json"]);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&json).unwrap().len(), 3);
    let csv = setup.run_ok(&["records", "--all", "--limit", "1", "--csv"]);
    assert_eq!(csv.lines().filter(|line| line.starts_with("id,user_id,")).count(), 1);

    let page = setup.run(&["records", "--limit", "1", "--jsonl"]);
    let cursor = page.stderr.split('\'').nth(1).unwrap();
    let rest = setup.run_ok(&["records", "--limit", "1", "--jsonl", "--all", "--cursor", cursor]);
    assert_eq!(page.stdout + &rest, all);

    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/records"));
    let failed = setup.run(&["records", "--all", "--jsonl", "--cursor", cursor]);
    assert_eq!((failed.code, &*failed.stdout), (5, ""));
    assert_data_eq!(
        failed.stderr,
        str![[r#"
error: GET /v1/records: the server responded with 500 Internal Server Error[..]; try again later

"#]],
    );
}

#[test]
fn a_printed_cursor_works_when_it_is_typed() {
    let mut cursors = vec!["-v1", "--all", "=ls", "a'b $(touch x) \\"];
    // Only some shells know the escapes for control characters.
    let bash = Command::new("bash").args(["-c", ":"]).output().is_ok();
    cursors.extend(bash.then_some("-\u{1b}[2J'\u{202e}\n"));
    for cursor in cursors {
        let (server, queries) = two_pages(cursor);
        let setup = Setup::of(&server);
        let page = setup.run(&["records", "--limit", "1"]);
        assert!(!page.stderr.chars().any(|char| char.is_control() && char != '\n'), "{page:?}");
        let option = page.stderr.strip_prefix("there are more rows: continue with ").unwrap();
        let option = option.strip_suffix(" and the same options\n").unwrap();
        let shell = if cursor.contains('\u{1b}') { "bash" } else { "sh" };
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_oneclick")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::split_paths(&path);
        let path = std::env::join_paths(std::iter::once(program.to_owned()).chain(path)).unwrap();
        let rest = Command::new(shell)
            .args(["-c", &format!("oneclick records --limit 1 {option}")])
            .env("PATH", path)
            .env("HOME", &setup.home)
            .env("ONECLICK_BASE_URL", &setup.url)
            .env("ONECLICK_API_KEY", setup.key)
            .output()
            .unwrap();
        assert!(rest.status.success(), "{option}: {}", String::from_utf8_lossy(&rest.stderr));
        let query = queries.iter().nth(1).unwrap();
        assert_eq!(
            query,
            format!("limit=1&cursor={}&sort_order=desc", encoded(cursor)),
            "{option}"
        );
    }
}

/// A server whose list has two pages, the first with this cursor, and the queries that it
/// receives.
fn two_pages(cursor: &str) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cursor = serde_json::to_string(cursor).unwrap();
    let (sender, queries) = mpsc::channel();
    thread::spawn(move || {
        for (connection, cursor) in listener.incoming().zip([cursor, "null".to_owned()]) {
            let mut connection = connection.unwrap();
            let mut line = String::new();
            let mut lines = BufReader::new(connection.try_clone().unwrap());
            lines.read_line(&mut line).unwrap();
            let query = line.split(' ').nth(1).unwrap().split_once('?').unwrap().1;
            sender.send(query.to_owned()).unwrap();
            while lines.read_line(&mut line).unwrap() > 2 {}
            let row = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}"#;
            let body = format!(r#"{{"user_records":[{row}],"cursor":{cursor}}}"#);
            let length = body.len();
            write!(
                connection,
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            )
            .unwrap();
        }
    });
    (url, queries)
}

#[test]
fn a_row_that_cannot_be_read_is_always_reported() {
    let setup = Setup::of(&responding(
        r#"{"user_records":[{"user_id":"U1","tree_planted":"many \u001b"},null,
            {"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}]}"#,
    ));
    let bad = r#"{"tree_planted":"many \u001b","user_id":"U1"}"#;
    for form in ["--csv", "--order=newest"] {
        let done = setup.run(&["records", form]);
        assert_eq!((done.code, done.stdout.lines().count()), (5, 2), "{done:?}");
        assert_eq!(
            done.stderr,
            format!(
                "could not read this row: {bad}\ncould not read this row: null\nerror: 2 rows could \
                 not be read and are missing here; --json prints them as they came\n",
            ),
        );
    }
    let lines = setup.run_ok(&["records", "--jsonl"]);
    assert_eq!(lines.lines().skip(1).collect::<Vec<_>>(), [bad, "null"]);
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&setup.run_ok(&["records", "--json"])).unwrap();
    assert_eq!(list.len(), 3);

    let setup = Setup::of(&responding(
        r#"{"user_id":"U1","daily_impact":[{"date":"2025-01-01","tree_planted":1},{"date":"?"}]}"#,
    ));
    let done = setup.run(&["daily"]);
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.stdout.starts_with("1 tree"), "{done:?}");
    assert!(done.stderr.contains(r#"could not read this row: {"date":"?"}"#), "{done:?}");
    assert!(setup.run_ok(&["daily", "--json"]).contains(r#""date": "?""#));
    let setup = Setup::of(&responding(r#"{"projects":[{"name":7}]}"#));
    let done = setup.run(&["projects"]);
    assert!(done.stderr.contains("error: 1 row could not be read"), "{done:?}");
    assert_eq!(done.code, 5, "{done:?}");
}

/// Percent-encodes as the client does.
fn encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let byte = |byte| {
        if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

#[test]
fn closing_standard_output_ends_the_command_without_a_message() {
    let server = endless();
    let setup = Setup::of(&server);
    let mut child = setup
        .command(&["records", "--all", "--csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), &*err), (Some(141), ""));
}

#[test]
fn an_interrupted_list_says_where_to_continue() {
    let server = endless();
    let setup = Setup::of(&server);
    let mut child = setup
        .command(&["records", "--all", "--csv", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.by_ref().take(3_000).count(), 3_000);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let rest = lines.count();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_data_eq!(
        &err,
        str![[r#"

error: interrupted; [..] rows printed; continue with --cursor='[..]' and the same options

"#]],
    );
    // At most one page more was printed than it says. The header is a line.
    let said: usize = err.trim().split([' ']).nth(2).unwrap().parse().unwrap();
    let printed = 3_000 + rest - 1;
    assert!((said..=said + 1_000).contains(&printed), "{said} of {printed}");
}

#[test]
fn a_long_list_takes_little_memory() {
    let server = endless();
    let setup = Setup::of(&server);
    let mut child =
        setup.command(&["records", "--all", "--csv"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let peak = |id: u32| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    assert_eq!(lines.by_ref().take(5_000).count(), 5_000);
    let early = peak(child.id());
    assert_eq!(lines.by_ref().take(100_000).count(), 100_000);
    let late = peak(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    // Only Linux shows this.
    if let (Some(early), Some(late)) = (early, late) {
        assert!(late < early + 8 * 1024, "{early} KiB, then {late} KiB");
    }
}

/// A server whose list of records does not end, with a thousand on each page.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let record = |number: u32| {
        format!(
            r#"{{"user_id":"U123","time_utc":"2024-09-16T20:34:04.{number:03}Z","tree_planted":1}}"#
        )
    };
    let records = (0..1_000).map(record).collect::<Vec<_>>().join(",");
    thread::spawn(move || {
        for connection in listener.incoming().take(2) {
            let Ok(mut connection) = connection else { break };
            // Bounded, in case the client does not stop.
            for page in 0..10_000 {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    match connection.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                let body = format!(r#"{{"user_records":[{records}],"cursor":"{page}"}}"#);
                let response = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len(),
                );
                if connection.write_all(response.as_bytes()).is_err() {
                    return;
                }
            }
        }
    });
    url
}

/// A sum over a column of amounts adds trees to cents, and a spreadsheet runs formulas.
#[test]
fn csv_has_units_dollars_and_the_metadata_that_are_asked_for_and_no_formula() {
    let (_server, setup) = filled();
    let formula = "=HYPERLINK(\"http://evil.example\")";
    let metadata = format!("order={formula}");
    let buy = ["plant", "1", "--for", "-ada@example.com", "--name", formula, "--metadata"];
    setup.run_ok(&[&buy[..], &[&metadata, "--metadata", "shop=a,b"]].concat());

    let read = |arguments: &[&str]| -> Vec<std::collections::BTreeMap<String, String>> {
        let csv = setup.run_ok(&[arguments, &["--csv"]].concat());
        csv::Reader::from_reader(csv.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap()
    };
    let own = read(&["records", "--order", "oldest", "--metadata", "order", "--metadata", "shop"]);
    let cells = |name: &str| own.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(cells("amount"), ["5", "10", "100"]);
    assert_eq!(cells("unit"), ["trees", "lbs of ocean plastic", "US cents"]);
    assert_eq!(cells("dollars"), ["", "", "1.00"]);
    assert_eq!(cells("metadata.order"), ["A-1001", "", ""]);
    assert_eq!(cells("metadata.shop"), ["", "", ""]);
    assert_eq!(cells("metadata"), ["{\"order\":\"A-1001\"}", "", ""]);
    // What `track` and `cancel` take.
    setup.run_ok(&["track", &cells("id")[0]]);

    let newest = ["customer-records", "--all", "--metadata", "order"];
    let guarded = &read(&newest)[0];
    assert_eq!(guarded["customer_name"], format!("'{formula}"));
    assert_eq!(guarded["customer_email"], "'-ada@example.com");
    assert_eq!(guarded["metadata.order"], format!("'{formula}"));
    let raw = &read(&[&newest[..], &["--raw"]].concat())[0];
    assert_eq!((&*raw["customer_name"], &*raw["metadata.order"]), (formula, formula));

    let refused = setup.run(&["records", "--metadata", "order"]);
    assert!(refused.code == 2 && refused.stderr.contains("--csv"), "{}", refused.stderr);
}

#[test]
fn days_months_and_years_can_be_named() {
    let (_server, setup) = filled();
    let rows = |from: &str, to: &str| {
        setup.run(&["records", "--jsonl", "--from", from, "--to", to]).stdout.lines().count()
    };
    // The day may end while this runs.
    assert_eq!(rows("yesterday", "today"), 3);
    assert_eq!((rows("last month", "this-month"), rows("last year", "this year")), (3, 3));
    assert_eq!((rows("2000", "2001"), rows("2000-02", "2001-03")), (0, 0));
    let refused = setup.run(&["records", "--from", "tomorrow"]);
    assert!(refused.code == 2 && refused.stderr.contains("'last month'"), "{}", refused.stderr);
}
