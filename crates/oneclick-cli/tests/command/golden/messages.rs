//! Runs the command into each kind of failure.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use oneclick_emulator::behaviour::{DateHeader, MetadataForm, TimeForm};
use oneclick_emulator::{Behaviour, Fault, FaultRule, GatewayBody, Server};

use crate::command::support::{
    Finished, Setup, as_production, cancel_latest, finished, responding, wait_until_bought,
};

const HEAD: &str = "\
Messages of the command, as it prints them: the command line, the exit code and
standard error. ONECLICK_API_KEY is test_command and ONECLICK_BASE_URL is URL,
an emulator, unless the command line or the heading says otherwise.
";

/// A port on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// All messages. The sections take seconds each, so they run at the same time.
pub(super) fn all() -> String {
    const SECTIONS: [fn(&mut Messages); 17] = [
        amounts,
        values,
        options,
        keys_and_urls,
        failed_calls,
        faults,
        failed_purchases,
        intents,
        outboxes,
        unknown_outcomes,
        lost_purchases,
        bought_twice,
        orders,
        production,
        lists,
        files,
        emulator_and_doctor,
    ];
    let run = |section: fn(&mut Messages)| {
        let mut messages = Messages { text: String::new(), start: Utc::now() };
        section(&mut messages);
        messages.text
    };
    thread::scope(|scope| {
        let threads = SECTIONS.map(|section| scope.spawn(move || run(section)));
        let texts = threads.map(|thread| thread.join().unwrap());
        HEAD.to_owned() + &texts.concat()
    })
}

fn amounts(messages: &mut Messages) {
    messages.heading("Amounts");
    let setup = Setup::of(NOWHERE);
    for arguments in [
        &["plant"][..],
        &["plant", "0"],
        &["plant", "-5"],
        &["plant", "1.5"],
        &["plant", "10,00"],
        &["plant", "five"],
        &["plant", "10000001"],
        &["clean", "1kg"],
        &["capture", "10,000,001"],
        &["restore", "0"],
        &["donate", "0"],
        &["donate", "-1"],
        &["donate", "5.5"],
        &["donate", "$5"],
        &["donate", "10000000.01"],
    ] {
        messages.run(&setup, arguments);
    }
}

fn values(messages: &mut Messages) {
    messages.heading("Other values");
    let setup = Setup::of(NOWHERE);
    let long_key = format!("{}=1", "x".repeat(41));
    for arguments in [
        &["plant", "5", "--for", "ada"][..],
        &["plant", "5", "--metadata", "order"],
        &["plant", "5", "--metadata", "gift=yes"],
        &["plant", "5", "--metadata", "a=1", "--metadata", "a=2"],
        &["plant", "5", "--metadata", &long_key],
        &["plant", "5", "--intent", ""],
        &["plant", "5", "--intent", "order-1 "],
        &["plant", "5", "--intent", "order-1\t"],
        &["plant", "5", "--intent", "--yes"],
        &["plant", "5", "--wait", "soon"],
        &["plant", "5", "--settle", "-1"],
        &["cancel", "U1"],
        &["cancel", "U1-2025-03-12T15:22:14.753Z", "--reason", &"x".repeat(201)],
        &["track", "yesterday"],
        &["records", "--limit", "1001"],
        &["records", "--from", "31.1.2025"],
        &["records", "--from", "2025-02-30"],
        &["records", "--from", "2025-02-02", "--to", "2025-02-01"],
        &["records", "--kind", "trees"],
        &["records", "--order", "up"],
        &["daily", "--chart", "chart.png"],
        &["projects", "--type", "coral"],
        &["projects", "--language", "it"],
        &["projects", ".."],
        &["completions", "tcsh"],
        &["emulator", "--listen", "localhost"],
        &["emulator", "--allow-host", "emulator:8787"],
        &["emulator", "--seed", "x"],
        &["emulator", "--fault", "{}"],
        &["emulator", "--fault", r#"{"fault":"explode"}"#],
        &["emulator", "--fault", r#"{"fault":"garbage","path":"/v1/plant_trees"}"#],
        &["emulator", "--fault", r#"{"fault":"garbage","path":"a b"}"#],
    ] {
        messages.run(&setup, arguments);
    }
}

fn options(messages: &mut Messages) {
    messages.heading("Commands and options");
    let setup = Setup::of(NOWHERE);
    for arguments in [
        &["plants", "5"][..],
        &["plant", "5", "6"],
        &["plant", "5", "--jsn"],
        &["plant", "5", "--format", "json"],
        &["records", "--output=csv"],
        &["emulator", "--format", "json"],
        &["plant", "5", "--name", "Ada"],
        &["plant", "5", "--silent"],
        &["plant", "5", "--look-only"],
        &["plant", "5", "--intent", "order-1", "--look-only", "--buy-anyway"],
        &["records", "--json", "--csv"],
        &["projects", "forest-1", "--type", "trees"],
        &["whoami", "--key-file"],
        &["--local", "--sandbox", "whoami"],
        &["--state", "shop", "whoami"],
        &["--local", "--state", "shop", "emulator"],
        &["--sandbox", "completions", "bash"],
        &["--base-url", "https://example.com", "man"],
    ] {
        messages.run(&setup, arguments);
    }
}

fn keys_and_urls(messages: &mut Messages) {
    messages.heading("Keys, environments and URLs");
    let setup = Setup::of(NOWHERE);
    let whoami = &["whoami"];
    let key = "ONECLICK_API_KEY";
    messages.run_with(&setup, &[(key, None)], whoami);
    messages.run_with(&setup, &[(key, Some("test key"))], whoami);
    messages.run_with(&setup, &[(key, Some("\"test_key"))], whoami);
    messages.run_with(&setup, &[(key, Some("0123")), ("ONECLICK_BASE_URL", None)], whoami);
    messages.run_with(&setup, &[(key, Some("live_key"))], &["whoami", "--sandbox"]);
    messages.run(&setup, &["whoami", "--production"]);
    messages.run(&setup, &["whoami", "--base-url", "https://api.1clickimpact.com"]);
    messages.run(&setup, &["whoami", "--key-file", "missing"]);
    for (name, content) in [
        ("two-lines", &b"test_one\ntest_two\n"[..]),
        ("other", b"OTHER=secret\n"),
        ("binary", b"\xc3"),
        ("long", &[b'x'; 4_097]),
    ] {
        let path = setup.home.join(name);
        fs::write(&path, content).unwrap();
        messages.run(&setup, &["whoami", "--key-file", path.to_str().unwrap()]);
    }
    for url in [
        "http://example.com",
        "ftp://example.com",
        "example.com",
        "https://ada:1815@example.com",
        "https://example.com/v1",
        "https://example.com?a=b",
        "",
    ] {
        messages.run(&setup, &["whoami", "--base-url", url]);
    }
    for url in ["http://example.com", ""] {
        messages.run_with(&setup, &[("ONECLICK_BASE_URL", Some(url))], whoami);
    }
    messages.run_with(&setup, &[("HOME", None)], whoami);
    let proxy = [
        ("ONECLICK_BASE_URL", Some("https://127.0.0.1:1")),
        ("HTTPS_PROXY", Some("foo://ada:1815@127.0.0.1:1")),
    ];
    messages.run_with(&setup, &proxy, whoami);
}

fn failed_calls(messages: &mut Messages) {
    messages.heading("Calls that fail");
    messages.note("nothing listens there");
    messages.run(&Setup::of(NOWHERE), &["whoami"]);
    messages.run(&Setup::of(NOWHERE), &["whoami", "--verbose"]);
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    setup.key = "wrong_key";
    messages.note("the key is wrong");
    messages.run(&setup, &["whoami"]);
    setup.key = "test_command";
    messages.note("the API refuses a value");
    messages.run(&setup, &["track", "U1-2025-03-12T15:22:14.753Z"]);
    messages.run(&setup, &["cancel", "U1-2025-03-12T15:22:14.753Z"]);
    messages.run(&setup, &["projects", "nowhere"]);
    messages.run(&setup, &["records", "--cursor", "abc"]);
}

fn faults(messages: &mut Messages) {
    messages.heading("Responses that cannot be used");
    let gateway = |status, body| Fault::Gateway { status, body, applied: false };
    let faults = [
        Fault::RateLimited { retry_after: None },
        Fault::ServerError,
        gateway(502, GatewayBody::Html),
        gateway(301, GatewayBody::Empty),
        gateway(200, GatewayBody::Html),
        Fault::CutResponse { at: 10 },
        Fault::DropBefore,
        Fault::NotHttp,
    ];
    let run = |fault: &Fault| {
        let server = Server::builder().fault(FaultRule::new(fault.clone())).start().unwrap();
        let setup = Setup::at(&server);
        let finished = setup.run(&["impact"]);
        (setup, finished)
    };
    thread::scope(|scope| {
        let threads = faults.each_ref().map(|fault| scope.spawn(move || run(fault)));
        for (fault, thread) in faults.iter().zip(threads) {
            let (setup, finished) = thread.join().unwrap();
            messages.note(&format!("fault: {}", serde_json::to_string(fault).unwrap()));
            messages.add(&setup, "", &["impact"], &finished);
        }
    });
}

fn failed_purchases(messages: &mut Messages) {
    messages.heading("Purchases that fail");
    messages.note("nothing listens there");
    messages.run(&Setup::of(NOWHERE), &["plant", "5"]);
    let server = Server::start().unwrap();
    let mut setup = Setup::at(&server);
    setup.key = "wrong_key";
    messages.note("the key is wrong");
    messages.run(&setup, &["plant", "5"]);
    setup.key = "test_command";
    let fault = Fault::RateLimited { retry_after: None };
    server.emulator().inject(FaultRule::new(fault).on("/v1/plant_tree"));
    messages.note("fault: \"rate_limited\"");
    messages.run(&setup, &["plant", "5"]);
    server.emulator().clear_faults();

    let never = Fault::NeverRespond { applied: true };
    server.emulator().inject(FaultRule::new(never).on("/v1/plant_tree").times(1));
    messages.note("interrupted while it waits for the response");
    let arguments = ["plant", "5", "--intent", "order-1"];
    let mut command = setup.command(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_bought(&server);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let finished = finished(&child.wait_with_output().unwrap());
    messages.add(&setup, "", &arguments, &finished);
}

fn intents(messages: &mut Messages) {
    messages.heading("Intents");
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let order = ["plant", "5", "--intent", "order-1"];
    messages.run(&setup, &order);
    messages.run(&setup, &order);
    messages.run(&setup, &["plant", "6", "--intent", "order-1"]);
    messages.note("/v1/whoami does not respond");
    server.emulator().inject(FaultRule::new(Fault::DropBefore).on("/v1/whoami"));
    messages.run(&setup, &order);
    messages.run(&setup, &["plant", "5", "--intent", "order-2"]);
    server.emulator().clear_faults();
    messages.note("/v1/track fails");
    server.emulator().inject(FaultRule::new(Fault::ServerError).on("/v1/track"));
    messages.run(&setup, &order);
    server.emulator().clear_faults();
    cancel_latest(&server, &setup);
    messages.note("the purchase was cancelled");
    messages.run(&setup, &order);

    fs::write(&setup.outboxes()[0], "{").unwrap();
    messages.note("the outbox is damaged");
    messages.run(&setup, &["plant", "5", "--intent", "order-2"]);
    messages.run(&setup, &["plant", "5"]);
}

fn outboxes(messages: &mut Messages) {
    messages.heading("The outbox");
    let never = FaultRule::new(Fault::DropBefore).on("/v1/plant_tree");
    let server = Server::builder().fault(never).start().unwrap();
    let setup = Setup::at(&server);
    let order = ["plant", "5", "--intent", "order-1", "--settle", "0"];
    setup.run(&order);
    messages.note("twice, it was sent and not found");
    messages.run_printing(&setup, &[], &["outbox", "list"]);
    messages.run(&setup, &["outbox", "drop", "order-2"]);
    messages.run(&setup, &["outbox", "resolve", "order-1", "--bought-as", "U1"]);
    messages.run_printing(&setup, &[], &["outbox", "drop", "order-1"]);
    messages.run(&setup, &["outbox", "retry", "order-1"]);
    messages.run(&setup, &order);
    messages.run_printing(&setup, &[], &["outbox", "pause", "--reason", "moving"]);
    messages.run(&setup, &["plant", "1", "--intent", "order-2"]);
    messages.run(&setup, &["outbox", "work", "--once"]);
    messages.run(&setup, &["outbox", "list", "--database", "/nowhere.db"]);
}

fn unknown_outcomes(messages: &mut Messages) {
    messages.heading("Unknown outcomes");
    let at_once = ["plant", "5", "--intent", "order-1", "--settle", "0"];

    messages.note("the response is lost, and /v1/records fails");
    let server = Server::builder()
        .fault(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree"))
        .fault(FaultRule::new(Fault::ServerError).on("/v1/records"))
        .start()
        .unwrap();
    messages.run(&Setup::at(&server), &at_once);

    messages.note("the record shows no metadata, and no response has a Date");
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let unkind = Behaviour::new().metadata(MetadataForm::Dropped).date(DateHeader::Absent);
    let server = Server::builder().fault(lost).behaviour(unkind).start().unwrap();
    let setup = Setup::at(&server);
    let order = ["plant", "5", "--intent", "order-1"];
    messages.run(&setup, &[&order[..], &["--wait", "1"]].concat());
    messages.run(&setup, &at_once);
    messages.note("a purchase without an intent, in between");
    server.emulator().set_behaviour(Behaviour::new());
    messages.run(&setup, &["plant", "5"]);

    messages.note("the record has a time in whole seconds");
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let seconds = Behaviour::new().time_utc(TimeForm::SecondsCut);
    let server = Server::builder().fault(lost).behaviour(seconds).start().unwrap();
    let setup = Setup::at(&server);
    messages.run(&setup, &at_once);
    messages.run(&setup, &order);

    messages.note("two purchases are lost");
    let server = Server::builder().fault(lose(2)).start().unwrap();
    messages.run(&Setup::at(&server), &at_once);

    messages.note("a purchase is lost, and the next one is refused");
    let limited = FaultRule::new(Fault::RateLimited { retry_after: None }).on("/v1/plant_tree");
    let server = Server::builder().fault(lose(1)).fault(limited).start().unwrap();
    messages.run(&Setup::at(&server), &at_once);

    messages.note("URL is http://0.0.0.0");
    let setup = Setup::of("http://0.0.0.0:1");
    messages.run_with(&setup, &[("ONECLICK_INSECURE", Some("1"))], &at_once);
}

fn lost_purchases(messages: &mut Messages) {
    messages.heading("Lost purchases, now and later");
    let order = ["plant", "5", "--intent", "order-1"];
    let with = |options: &[&'static str]| [&order[..], options].concat();
    let quick = ["--wait", "1", "--settle", "2"];
    messages.note("the purchase is lost");
    let lost_once = Server::builder().fault(lose(1)).start().unwrap();
    let lost = Setup::at(&lost_once);
    messages.run(&lost, &with(&["--wait", "1"]));
    messages.note("nothing was sent, or only by another machine");
    let server = Server::start().unwrap();
    let unsent = Setup::at(&server);
    messages.run(&unsent, &with(&[&["--look-only"], &quick[..]].concat()));
    let other = Setup::at(&server);
    let both = ["--look-first", "--buy-anyway", "--wait", "1"];
    messages.run(&other, &with(&both));

    // Until the absence counts.
    sleep(Duration::from_secs(5));
    messages.note("the lost purchase, later");
    messages.run(&lost, &with(&[&["--look-only"], &quick[..]].concat()));
    messages.run(&lost, &with(&[&["--look-first"], &quick[..]].concat()));
    messages.note("the purchase that was not sent, later");
    messages.run(&unsent, &with(&[&["--look-only"], &quick[..]].concat()));
    messages.run(&unsent, &with(&quick));
}

fn bought_twice(messages: &mut Messages) {
    messages.heading("An intent that two machines bought");
    let server = Server::start().unwrap();
    let order = ["plant", "5", "--intent", "order-1"];
    Setup::at(&server).run_ok(&order);
    sleep(Duration::from_secs(2));
    Setup::at(&server).run_ok(&order);
    messages.run(&Setup::at(&server), &[&order[..], &["--look-first"]].concat());
}

fn production(messages: &mut Messages) {
    messages.heading("Production, without a terminal (ONECLICK_API_KEY=live_command)");
    let server = Server::start().unwrap();
    let mut setup = Setup::of(&as_production(&server));
    setup.key = "live_command";
    messages.run(&setup, &["plant", "5", "--for", "ada@example.com"]);
    messages.run(&setup, &["cancel", "U1-2025-03-12T15:22:14.753Z"]);
}

fn lists(messages: &mut Messages) {
    messages.heading("Lists");
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    messages.run(&setup, &["records"]);
    messages.run(&setup, &["daily"]);
    setup.run_ok(&["plant", "1"]);
    setup.run_ok(&["plant", "1"]);
    messages.run(&setup, &["daily", "--from", "0001-01-01", "--to", "9999-12-31"]);
    messages.run(&setup, &["records", "--limit", "1"]);
    messages.note("rows that cannot be read");
    let malformed = r#"{"user_records":[{"user_id":"U1","tree_planted":"many"},null]}"#;
    messages.run(&Setup::of(&responding(malformed)), &["records"]);
    messages.run(&Setup::of(&responding(r#"{"projects":[{"name":7}]}"#)), &["projects", "--csv"]);
}

fn files(messages: &mut Messages) {
    messages.heading("The file of the local emulator");
    let setup = Setup::of(NOWHERE);
    let file = setup.home.join("shop");
    let local = ["--local", "--state", file.to_str().unwrap(), "plant", "1"];
    setup.run_ok(&local);
    let journal = fs::read_to_string(&file).unwrap();
    for (note, content) in [
        ("it is something else", "hello\n".to_owned()),
        ("a line is damaged", journal.clone() + "damaged\n"),
        ("a line is one that the emulator refuses", journal.replace("amount", "trees")),
        ("the last line is incomplete", journal + "{"),
    ] {
        fs::write(&file, content).unwrap();
        messages.note(note);
        messages.run(&setup, &local);
    }
    messages.run(&setup, &["--local", "--state", "/dev/null", "impact"]);
    messages.run(&setup, &["--local", "--state", "/", "impact"]);
    messages.run_with(&setup, &[("HOME", None)], &["--local", "impact"]);
}

fn orders(messages: &mut Messages) {
    messages.heading("A file of orders");
    let server = Server::start().unwrap();
    let setup = Setup::at(&server);
    let file = setup.home.join("orders.csv");
    let apply =
        ["apply", file.to_str().unwrap(), "--parallel", "1", "--wait", "0", "--settle", "2"];
    let head = "key,action,amount,email\n";
    let write = |lines: &str| fs::write(&file, head.to_owned() + lines).unwrap();
    messages.run(&setup, &apply);
    for text in ["", "key;action;amount\n", "key,action\n", "key,action,amount,colour\n"] {
        fs::write(&file, text).unwrap();
        messages.run(&setup, &apply);
    }
    write("a,grow,1,\nb,plant,5 lb,\nc,plant,1,ada\nd,donate,\"1,00\",\nd,plant\n,plant,1,\n");
    messages.run(&setup, &apply);
    write("a,plant,5,\n");
    messages.run(&setup, &[&apply[..], &["--max-trees", "4"]].concat());
    messages.run(&setup, &[&apply[..2], &["--parallel", "0"]].concat());
    messages.run(&setup, &[&apply[..], &["--results", file.to_str().unwrap()]].concat());
    messages.run(&setup, &[&apply[..], &["--database", "/nowhere/shop.db"]].concat());
    setup.run_ok(&["plant", "6", "--intent", "a"]);
    messages.run(&setup, &apply);

    let refused = Fault::Gateway { status: 400, applied: false, body: GatewayBody::ApiError };
    server.emulator().inject(FaultRule::new(refused).on("/v1/plant_tree").times(1));
    write("b,plant,5,\nc,plant,6,\n");
    messages.run(&setup, &apply);
    server.emulator().inject(FaultRule::new(Fault::DropBefore).on("/v1/plant_tree"));
    write("d,plant,5,\ne,plant,6,\n");
    messages.run(&setup, &apply);
    setup.run_ok(&["outbox", "pause"]);
    write("f,plant,5,\n");
    messages.run(&setup, &apply);
    messages.run(&setup, &[&apply[..], &["--base-url", NOWHERE]].concat());
}

fn emulator_and_doctor(messages: &mut Messages) {
    messages.heading("The emulator and the doctor, whose findings are on standard output");
    // Connecting to 0.0.0.0 reaches this machine.
    let server = Server::builder().allow_host("0.0.0.0".parse().unwrap()).start().unwrap();
    let mut setup = Setup::at(&server);
    messages.run(&setup, &["emulator", "--listen", &server.address().to_string()]);
    messages.run_printing(&setup, &[], &["doctor"]);
    messages.run_printing(&setup, &[("ONECLICK_API_KEY", None)], &["doctor"]);
    messages.run_printing(&setup, &[("ONECLICK_API_KEY", Some("wrong_key"))], &["doctor"]);
    messages.run_printing(&setup, &[], &["doctor", "--production"]);
    messages.run_printing(&setup, &[], &["doctor", "--base-url", "http://example.com"]);
    messages.run_printing(&setup, &[], &["doctor", "--base-url", NOWHERE]);
    messages.run_printing(&setup, &[], &["doctor", "--local"]);
    let proxy = [
        ("ONECLICK_BASE_URL", Some("https://127.0.0.1:1")),
        ("HTTPS_PROXY", Some("http://127.0.0.1:1")),
    ];
    messages.run_printing(&setup, &proxy, &["doctor"]);
    setup.url = setup.url.replace("127.0.0.1", "0.0.0.0");
    messages.note("URL is http://0.0.0.0");
    messages.run_printing(&setup, &[], &["doctor"]);
    messages.run_printing(&setup, &[("ONECLICK_INSECURE", Some("1"))], &["doctor"]);
}

/// Loses the next requests to plant trees.
fn lose(times: u32) -> FaultRule {
    FaultRule::new(Fault::DropBefore).on("/v1/plant_tree").times(times)
}

/// A variable and its value, or `None` to unset it.
type Var<'a> = (&'a str, Option<&'a str>);

struct Messages {
    text: String,
    start: DateTime<Utc>,
}

impl Messages {
    fn heading(&mut self, heading: &str) {
        self.text.extend(["\n\n# ", heading, "\n"]);
    }

    /// Says how the next commands come to fail.
    fn note(&mut self, note: &str) {
        self.text.extend(["\n# ", note, "\n"]);
    }

    fn run(&mut self, setup: &Setup, arguments: &[&str]) {
        self.run_with(setup, &[], arguments);
    }

    fn run_with(&mut self, setup: &Setup, vars: &[Var], arguments: &[&str]) {
        let (shown, mut finished) = execute(setup, vars, arguments);
        finished.stdout.clear();
        self.add(setup, &shown, arguments, &finished);
    }

    /// Adds standard output as well.
    fn run_printing(&mut self, setup: &Setup, vars: &[Var], arguments: &[&str]) {
        let (shown, finished) = execute(setup, vars, arguments);
        self.add(setup, &shown, arguments, &finished);
    }

    fn add(&mut self, setup: &Setup, vars: &str, arguments: &[&str], finished: &Finished) {
        let command: Vec<_> = arguments.iter().map(|argument| quoted(argument)).collect();
        let Finished { code, stdout, stderr } = finished;
        let command = command.join(" ");
        let text = format!("\n$ {vars}oneclick {command}\n(exit code {code})\n{stdout}{stderr}");
        self.text += &self.without_details(&text, setup);
    }

    /// Replaces what differs from run to run, and from system to system.
    fn without_details(&self, text: &str, setup: &Setup) -> String {
        let address = setup.url.strip_prefix("http://").unwrap();
        let mut text = text.replace(setup.home.to_str().unwrap(), "HOME");
        if setup.url != NOWHERE {
            text = text.replace(&setup.url, "URL").replace(address, "ADDRESS");
            // In the name of a folder.
            text = text.replace(&address.replace(':', "%3A"), "ADDRESS");
        }
        // Midnight may pass during the run, or before a time that a message names.
        for day in [self.start, Utc::now(), Utc::now() + TimeDelta::days(1)] {
            let day = day.format("%Y-%m-%d").to_string();
            replace_between(&mut text, &format!("{day}T"), "Z", "TIME");
            replace_between(&mut text, &format!("{day} "), " UTC", "TIME");
        }
        replace_between(&mut text, "(os error ", ")", "(os error N)");
        replace_between(&mut text, "--cursor='", "'", "--cursor='CURSOR'");
        replace_between(&mut text, "(in ", " seconds)", "(in N seconds)");
        replace_between(&mut text, "response in ", " ms", "response in N ms");
        text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

fn execute(setup: &Setup, vars: &[Var], arguments: &[&str]) -> (String, Finished) {
    let mut command = setup.command(arguments);
    let mut shown = String::new();
    for (name, value) in vars {
        if let Some(value) = value {
            command.env(name, value);
            shown.extend([name, "=", &quoted(value), " "]);
        } else {
            command.env_remove(name);
            shown = format!("env -u {name} {shown}");
        }
    }
    (shown, finished(&command.stdin(Stdio::null()).output().unwrap()))
}

/// An argument as a shell reads it.
fn quoted(argument: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_.:/+=@%,".contains(char);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// Replaces each `start`, and what follows it up to `end`.
fn replace_between(text: &mut String, start: &str, end: &str, replacement: &str) {
    let mut from = 0;
    while let Some(at) = text[from..].find(start).map(|at| from + at) {
        let rest = at + start.len();
        let Some(length) = text[rest..].find(end) else { return };
        text.replace_range(at..rest + length + end.len(), replacement);
        from = at + replacement.len();
    }
}
