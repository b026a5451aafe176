//! Compares the outbox on PostgreSQL with the bare server: the same statements under pgbench.

use std::env;
use std::time::Duration;

use oneclick_benches::callers::Failure;
use oneclick_emulator::InMemory;
use oneclick_outbox::{Outbox, Worker};
use oneclick_proto::{Api, BlockingClient};

use crate::report::{Figure, Row, Table, Target, in_turns, timed};
use crate::server::{self, Server};

const ROUNDS: usize = 12;
/// How many intents each client carries out in a turn; pgbench's script has two.
const EACH: u32 = 60;
/// How many orders each client stores in a turn. A connection plans the function once.
const ORDERS: u32 = 200;
/// How many connections an outbox has.
const CONNECTIONS: u32 = 4;
/// How many intents wait while others are claimed.
const WAITING: u32 = 560_000;
/// How many finished intents a long-lived outbox has.
const FINISHED: u32 = 1_000_000;
/// How many rows a claim takes, and how many claims there are in a turn.
const CLAIMED: u32 = 10;
const CLAIMS: u32 = 50;

/// On the disk of temporary files, where each commit is synced.
const SETTINGS: &[&str] = &["shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=1h"];

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("The outbox, over PostgreSQL with `synchronous_commit = on`");
    if !server::is_possible() {
        table.notes.push("This machine has no PostgreSQL.".to_owned());
        return Ok(table);
    }
    let server = Server::start_in(&env::temp_dir(), ("", 5432), SETTINGS);
    for clients in [1, 4, 8] {
        carrying_out(&mut table, &server, clients)?;
    }
    for clients in [1, 8] {
        enqueueing(&mut table, &server, clients)?;
    }
    claiming(&mut table, &server)?;
    Ok(table)
}

/// Claim, permit and finish of one intent at a time.
fn carrying_out(table: &mut Table, server: &Server, clients: u32) -> Result<(), Failure> {
    let (bare, ours) = (server.take(), server.take());
    let line = Line::new(server, &ours, clients)?;
    // The first one shows what the crate stores.
    store(server, &ours, 1);
    line.carry_out()?;
    let script = script(server, &ours)?;
    let intents = EACH * clients;
    // pgbench's clients pass over what another one has locked.
    store(server, &bare, clients);
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure>>; 2] = [
        Box::new(|| {
            store(server, &bare, intents);
            pgbench(server, &bare, &script, clients, EACH / 2)
        }),
        Box::new(|| {
            store(server, &ours, intents);
            line.carry_out()
        }),
    ];
    let seconds = in_turns(ROUNDS, &mut runs)?;
    let who = if clients == 1 { "one client".to_owned() } else { format!("{clients} clients") };
    let what = format!("claim, permit and finish ÷ the same statements under pgbench, {who}");
    let figure = Figure::ratio(&seconds[0], &seconds[1]);
    table.rows.push(Row::ratio(what, Target::AtLeast(0.7), figure));
    let rate = seconds[1].iter().map(|seconds| f64::from(intents) / seconds).collect();
    let what = format!("intents carried out a second, {who}");
    table.rows.push(Row { what, target: Target::None, figure: Figure::of(rate), unit: "" });
    Ok(())
}

/// An outbox for every four clients, and the workers of an emulator.
struct Line {
    outboxes: Vec<Outbox>,
    workers: Vec<Worker<BlockingClient<InMemory>>>,
}

impl Line {
    fn new(server: &Server, database: &str, clients: u32) -> Result<Self, Failure> {
        let (mut outboxes, mut workers) = (Vec::new(), Vec::new());
        let emulator = InMemory::new();
        for _ in 0..clients.div_ceil(CONNECTIONS) {
            let outbox = Outbox::postgres(&server.url(database))?;
            let api = Api::sandbox("test_benches")?;
            let client = BlockingClient::with_transport(api, emulator.clone());
            let worker = Worker::new(&outbox, client)
                .concurrency(usize::try_from(clients.min(CONNECTIONS))?)
                // With a rate, a worker claims one intent at a time.
                .rate(1_000_000_000, Duration::from_secs(1));
            outboxes.push(outbox);
            workers.push(worker);
        }
        Ok(Self { outboxes, workers })
    }

    fn carry_out(&self) -> Result<Duration, Failure> {
        let run = || {
            std::thread::scope(|scope| {
                let runs: Vec<_> = self
                    .workers
                    .iter()
                    .map(|worker| scope.spawn(|| worker.run_until_idle()))
                    .collect();
                runs.into_iter().try_for_each(|run| match run.join() {
                    Ok(result) => Ok(result?),
                    Err(_) => Err("a worker panicked".into()),
                })
            })
        };
        let took = timed(run)?;
        let counts = self.outboxes[0].counts()?;
        if counts.ready + counts.open > 0 {
            return Err(format!("not carried out: {counts:?}").into());
        }
        Ok(took)
    }
}

/// Stores intents.
fn store(server: &Server, database: &str, intents: u32) {
    let sql = format!(
        r#"SELECT count(oneclick.enqueue('shop', 'order-' || gen_random_uuid(),
            '{{"v":1,"action":"plant_tree","amount":1}}')) FROM generate_series(1, {intents})"#
    );
    server.sql(database, &sql);
}

/// Runs a script under pgbench, which does not count the time for connecting.
fn pgbench(
    server: &Server,
    database: &str,
    script: &str,
    clients: u32,
    times: u32,
) -> Result<Duration, Failure> {
    let report = server.pgbench(database, script, clients, times);
    let rate = report.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate: f64 = rate.and_then(|line| line.split(' ').next()).ok_or("no tps")?.parse()?;
    Ok(Duration::from_secs_f64(f64::from(clients * times) / rate))
}

/// How each transaction begins, and asks for the time, the server's identity and the gate.
const BEGIN: &str = r"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE \;
    SET LOCAL synchronous_commit = on \; SET LOCAL statement_timeout = '10s';
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
        concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_postmaster_start_time()) AS name
    \gset
    SELECT not_before, failures, paused FROM oneclick.gate;
    ";

/// Selects rows that are due.
fn due(columns: &str, statuses: &str, most: u32) -> String {
    format!(
        "SELECT {columns} FROM oneclick.intent WHERE status IN ({statuses}) AND due <= :now
        ORDER BY due, id LIMIT {most} FOR UPDATE SKIP LOCKED"
    )
}

/// Claims rows.
fn hold(ids: &str) -> String {
    format!(
        "UPDATE oneclick.intent
        SET status = CASE status WHEN 'ready' THEN 'claimed' ELSE status END, held = 1,
            due = :now + 60000, epoch = epoch + 1
        WHERE id = ANY ('{ids}');\nCOMMIT;\n"
    )
}

/// What the crate sends for two intents, one statement after the other. Before each second one, it
/// looks whether any are open.
fn script(server: &Server, database: &str) -> Result<String, Failure> {
    let open = due("*", "'open', 'cancelling'", 10_000);
    let ready = due("*", "'ready', 'claimed'", 1);
    let claim = hold("{:id}");
    let row = "SELECT * FROM oneclick.intent WHERE id = :id FOR UPDATE;\n";
    let note = |what: &str| {
        format!(
            "INSERT INTO oneclick.event (intent, at, epoch, what)
            VALUES (:id, '2026-11-28T00:00:00.000Z', 1, '{what}');\nCOMMIT;\n"
        )
    };
    // What the crate has stored of an intent.
    let stored = |column: &str| {
        let sql = format!(
            "SELECT quote_nullable({column}) FROM oneclick.intent WHERE status = 'bought' LIMIT 1"
        );
        server.sql(database, &sql).ok_or("nothing was bought")
    };
    let (state, bought, answer) = (stored("state")?, stored("bought")?, stored("answer")?);
    // Each intent has an impact of its own.
    let bought = bought.replacen('{', "{\"of\":\":id\",", 1);
    let update = |status: &str, held: u32, bought: &str, answer: &str, done: &str| {
        format!(
            "UPDATE oneclick.intent SET request = CASE WHEN true THEN request END,
            status = '{status}', due = :now + 60000, held = {held}, epoch = 1, tries = 0,
            state = {state}, bought = {bought}, looked = false, answer = {answer}, problem = NULL,
            found = NULL, done_at = {done}, cancel = false, audit_at = NULL, audits = 0,
            surplus = NULL WHERE id = :id;\n"
        )
    };
    let permitted = update("open", 1, "NULL", "NULL", "NULL");
    let finished = update("bought", 0, &bought, &answer, "'2026-11-28T00:00:00.000Z'");
    let other = format!(
        "SELECT pg_advisory_xact_lock(hashtextextended({bought}, 722018));
        SELECT * FROM oneclick.intent WHERE bought = {bought} AND id <> :id LIMIT 1 FOR UPDATE;\n"
    );
    let [may, was] = ["a purchase may leave now", "bought as 8a4d9a58@2026-11-28T00:00:00.000Z"];
    let (may, was) = (note(may), note(was));
    let gate = "SELECT not_before, failures, paused FROM oneclick.gate;\n";
    let one = |open: &str| {
        format!(
            "{BEGIN}{open}{ready} \\gset\n{claim}\
             {BEGIN}{row}{permitted}{may}\
             {BEGIN}{row}{other}{finished}{was}{gate}"
        )
    };
    Ok(one("") + &one(&format!("{open};\n")))
}

/// Orders with an intent in their transaction.
fn enqueueing(table: &mut Table, server: &Server, clients: u32) -> Result<(), Failure> {
    let database = server.take();
    // A table of the same form, without the function's checks.
    server.sql(
        &database,
        "CREATE TABLE IF NOT EXISTS orders (number bigint PRIMARY KEY, name text NOT NULL);
         DROP SCHEMA IF EXISTS bare CASCADE;
         CREATE SCHEMA bare;
         CREATE TABLE bare.intent (LIKE oneclick.intent INCLUDING ALL);
         CREATE TABLE bare.event (LIKE oneclick.event INCLUDING ALL);
         ALTER TABLE bare.event ADD FOREIGN KEY (intent) REFERENCES bare.intent",
    );
    let request = r#"{"v":1,"action":"plant_tree","amount":1,"customer_email":"ada@example.com"}"#;
    let order = r"\set n random(1, 1000000000000000)
        BEGIN;
        INSERT INTO orders (number, name) VALUES (:n, 'order');
        ";
    let digest = "0123456789abcdef".repeat(4);
    let inserted = format!(
        "WITH new AS (INSERT INTO bare.intent
            (namespace, key, request, digest, enqueued_at, enqueued, due)
            VALUES ('shop', 'order-' || :n, '{request}', '{digest}', '2026-11-28T00:00:00.000Z',
                1790000000000, 1790000000000) RETURNING id)
        INSERT INTO bare.event (intent, at, epoch, what)
        SELECT id, '2026-11-28T00:00:00.000Z', 0, 'stored' FROM new;\n"
    );
    let enqueued = format!("SELECT oneclick.enqueue('shop', 'order-' || :n, '{request}');\n");
    let scripts = ["", &inserted, &enqueued].map(|intent| format!("{order}{intent}COMMIT;\n"));
    let mut runs = scripts.each_ref().map(|script| {
        let run = || pgbench(server, &database, script, clients, ORDERS);
        Box::new(run) as Box<dyn FnMut() -> Result<Duration, Failure>>
    });
    let seconds = in_turns(ROUNDS, &mut runs)?;
    let who = if clients == 1 { "one client".to_owned() } else { format!("{clients} clients") };
    for (what, than, target) in [
        ("the same rows inserted without a function", 1, Target::AtLeast(0.85)),
        ("orders alone", 0, Target::None),
    ] {
        let what = format!("orders a second with `oneclick.enqueue` ÷ {what}, {who}");
        table.rows.push(Row::ratio(what, target, Figure::ratio(&seconds[than], &seconds[2])));
    }
    Ok(())
}

/// Claims of ten beside many that wait, and beside many that are finished.
fn claiming(table: &mut Table, server: &Server) -> Result<(), Failure> {
    let (few, many) = (server.take(), server.take());
    finish_many(server, &many);
    let outboxes = [&few, &many].map(|database| Outbox::postgres(&server.url(database)));
    let [few_outbox, many_outbox] = outboxes;
    let (few_outbox, many_outbox) = (few_outbox?, many_outbox?);
    // Stored after the outboxes were opened, and therefore sent at once.
    for database in [&few, &many] {
        wait_many(server, database);
    }
    let ids = due("*", "'ready', 'claimed'", CLAIMED);
    let ids = format!("SELECT array_agg(id) AS ids FROM ({ids}) AS due");
    let script = format!("{BEGIN}{ids} \\gset\n{}", hold(":ids"));
    let mut runs: [Box<dyn FnMut() -> Result<Duration, Failure>>; 4] = [
        Box::new(|| claim(&few_outbox, 1)),
        Box::new(|| claim(&few_outbox, CONNECTIONS)),
        Box::new(|| claim(&many_outbox, 1)),
        Box::new(|| pgbench(server, &few, &script, 1, CLAIMS)),
    ];
    let seconds = in_turns(ROUNDS, &mut runs)?;
    for (which, clients, who) in [(0, 1, "one client"), (1, CONNECTIONS, "4 clients")] {
        let rows = f64::from(CLAIMED * CLAIMS * clients);
        table.rows.push(Row {
            what: format!("rows a second in claims of ten, beside 560,000 that wait, {who}"),
            target: Target::AtLeast(5_000.0),
            figure: Figure::of(seconds[which].iter().map(|seconds| rows / seconds).collect()),
            unit: "",
        });
    }
    for (what, above, below, target) in [
        ("with 1,000,000 finished ones ÷ without", 0, 2, Target::AtLeast(0.8)),
        ("÷ the same statements under pgbench", 3, 0, Target::None),
    ] {
        let figure = Figure::ratio(&seconds[above], &seconds[below]);
        table.rows.push(Row::ratio(format!("claims of ten, one client, {what}"), target, figure));
    }
    Ok(())
}

fn claim(outbox: &Outbox, clients: u32) -> Result<Duration, Failure> {
    let claims = || {
        (0..CLAIMS).try_for_each(|_| match outbox.claim_for_benchmarks(CLAIMED) {
            Ok(10) => Ok(()),
            other => Err(format!("{other:?}")),
        })
    };
    timed(|| {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..clients).map(|_| scope.spawn(claims)).collect();
            all.into_iter().try_for_each(|claims| match claims.join() {
                Ok(result) => Ok(result?),
                Err(_) => Err("a claim panicked".into()),
            })
        })
    })
}

/// Stores intents that wait.
fn wait_many(server: &Server, database: &str) {
    let sql = format!(
        r#"INSERT INTO oneclick.intent (namespace, key, request, digest, enqueued_at, enqueued, due)
        SELECT 'shop', 'order-' || number, '{{"v":1,"action":"plant_tree","amount":1}}',
            md5(number::text), '2026-11-28T00:00:00.000Z', now, now
        FROM generate_series(1, {WAITING}) AS number,
            (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock"#
    );
    server.sql(database, &sql);
    server.sql(database, "VACUUM ANALYZE oneclick.intent");
}

/// Stores intents that were carried out long ago, with their events.
fn finish_many(server: &Server, database: &str) {
    let sql = format!(
        r#"INSERT INTO oneclick.intent
            (namespace, key, request, digest, status, enqueued_at, enqueued, due, done_at)
        SELECT 'old', 'order-' || number, '{{"v":1,"action":"plant_tree","amount":1}}',
            md5(number::text), 'bought', '2025-01-01T00:00:00.000Z', 0, 0,
            '2025-01-01T00:00:01.000Z'
        FROM generate_series(1, {FINISHED}) AS number;
        INSERT INTO oneclick.event (intent, at, epoch, what)
        SELECT id, done_at, 1, what FROM oneclick.intent,
            (VALUES ('stored'), ('a purchase may leave now'), ('bought')) AS events (what)"#
    );
    server.sql(database, &sql);
    server.sql(database, "VACUUM ANALYZE");
}
