//! `oneclick.enqueue`, as shops in any language call it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::thread;

use oneclick_proto::{Email, Intent, InvalidValue, Purchase, VerifiedPurchase};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Error, NoTls};

use super::postgres::world;
use super::server::Server;
use crate::*;

/// A connection of a shop.
struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    fn open(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls)).unwrap();
        runtime.spawn(connection);
        Self { runtime, client }
    }

    fn of(world: &World) -> Self {
        let Database::Postgres(database) = &world.database else { unreachable!() };
        Self::open(&database.server.url(&database.name))
    }

    /// Runs statements that return nothing.
    fn run(&self, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(self.client.batch_execute(sql))
    }

    /// The first column of the only row, as text.
    fn text(&self, sql: &str, parameters: &[&str]) -> Result<Option<String>, Error> {
        let parameters: Vec<_> = parameters.iter().map(|text| text as _).collect();
        let row = self.runtime.block_on(self.client.query_one(sql, &parameters))?;
        Ok(row.get(0))
    }

    /// What `oneclick.enqueue` returns.
    fn enqueue(&self, key: &str, request: &str) -> Result<i64, Error> {
        let sql = "SELECT oneclick.enqueue('shop', $1, $2::text::jsonb)::text";
        Ok(self.text(sql, &[key, request])?.unwrap().parse().unwrap())
    }

    /// The request as it would be stored.
    fn checked(&self, request: &str) -> Result<String, Error> {
        Ok(self.text("SELECT oneclick.checked($1::text::jsonb)::text", &[request])?.unwrap())
    }
}

/// The message of the database.
fn message(error: &Error) -> &str {
    error.as_db_error().unwrap().message()
}

/// A request as the crate reads it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stored {
    v: u32,
    #[serde(flatten)]
    purchase: Purchase,
}

/// Reads a request as a worker does, with the core's checks.
fn core(request: &str) -> Result<Stored, String> {
    let stored: Stored = serde_json::from_str(request).map_err(|error| error.to_string())?;
    if stored.v != 1 {
        return Err("it is left to a newer worker".to_owned());
    }
    let sendable = VerifiedPurchase::new(&Intent::new("shop", "order-1"), stored.purchase.clone());
    sendable.map(|_| stored).map_err(|error| error.to_string())
}

#[test]
fn the_function_refuses_a_request_in_the_words_of_the_core() {
    let Some(world) = world("refusals") else { return };
    let session = Session::of(&world);
    let of = |action: &str, amount: &str, more: &str| {
        format!(r#"{{"v":1,"action":"{action}","amount":{amount}{more}}}"#)
    };
    let tree = |more: &str| of("plant_tree", "1", more);
    let pairs: Vec<_> = (0..20).map(|pair| format!(r#""k{pair}":"v""#)).collect();
    let (long, longer) = ("v".repeat(501), "9".repeat(3_000));
    for request in [
        of("plant_tree", "0", ""),
        of("plant_tree", "10000001", ""),
        of("clean_ocean", "-1234567", ""),
        of("capture_carbon", "9223372036854775807", ""),
        of("restore_coral", "-9223372036854775807", ""),
        of("donate_money", "0", ""),
        of("donate_money", "-5", ""),
        of("donate_money", "123456789012", ""),
        of("clean_ocean", "1.5", ""),
        of("plant_tree", "9223372036854775808", ""),
        of("donate_money", "1e300", ""),
        tree(r#","customer_email":"ada.example.com""#),
        tree(r#","customer_email":"Ada <ada@example.com>""#),
        tree(&format!(r#","metadata":{{{}}}"#, pairs.join(","))),
        tree(r#","metadata":{"":"1"}"#),
        tree(r#","metadata":{"gift":"1"}"#),
        tree(r#","metadata":{"oneclick_intent":"1"}"#),
        tree(&format!(r#","metadata":{{"{}":"1"}}"#, &long[..41])),
        tree(&format!(r#","metadata":{{"a":"{long}"}}"#)),
    ] {
        let error = session.checked(&request).unwrap_err();
        let expected = core(&request).unwrap_err();
        assert!(expected.starts_with(message(&error)), "{request}: {error:?}, not {expected}");
    }
    // What the core leaves to the library that reads JSON.
    for (request, expected) in [
        ("[]", "the request must be a JSON object"),
        ("null", "the request must be a JSON object"),
        (r#"{"action":"plant_tree","amount":1}"#, "must be 1 (got none)"),
        (r#"{"v":2,"action":"plant_tree","amount":1}"#, "must be 1 (got 2)"),
        (r#"{"v":1,"amount":1}"#, "unknown action none: expected plant_tree"),
        (&of("buy", "1", ""), "unknown action buy: expected plant_tree"),
        (r#"{"v":1,"action":"plant_tree"}"#, "expected a whole number of trees, such as 5"),
        (&of("plant_tree", "\"1\"", ""), "expected a whole number of trees, such as 5"),
        (&of("plant_tree", &longer, ""), "expected a whole number of trees, such as 5"),
        (
            &tree(r#","amounts":1"#),
            "unknown field amounts: plant_tree takes amount, customer_email",
        ),
        (&of("clean_ocean", "1", r#","category":"food""#), "unknown field category"),
        (&tree(r#","category":"gold""#), "unknown category: expected food"),
        (&of("donate_money", "1", r#","category":5"#), "\"category\" must be a text"),
        (&tree(r#","notify":1"#), "\"notify\" must be true or false"),
        (&tree(r#","customer_name":"Ada""#), "\"customer_name\" needs \"customer_email\""),
        (&tree(r#","customer_name":1,"customer_email":"a@b""#), "must be a text"),
        (&tree(r#","customer_email":1"#), "\"customer_email\" must be a text"),
        (&tree(r#","metadata":[]"#), "\"metadata\" must be an object"),
        (&tree(r#","metadata":{"a":1}"#), "\"metadata\" must be an object with texts"),
        (&tree(&format!(r#","{longer}":1"#)), "unknown field 9999"),
    ] {
        assert!(core(request).is_err(), "{request}");
        let error = session.checked(request).unwrap_err();
        assert!(message(&error).contains(expected), "{request}: {error:?}");
        assert!(message(&error).len() < 200, "{error:?}");
    }
    // Neither the message nor what the server adds to it shows who the customer is.
    let nameless = "SELECT oneclick.enqueue('shop', NULL, $1::text::jsonb)::text";
    let request = tree(r#","customer_email":"grace@example.com","customer_name":"Grace""#);
    let error = session.text(nameless, &[&request]).unwrap_err();
    assert_eq!(message(&error), "the namespace and the key of an intent must not be NULL");
    for wrong in [r#","metadata":1"#, r#","notify":"a""#, r#","customer_email":"grace""#] {
        let request = request.replace('}', &format!("{wrong}}}"));
        let error = session.enqueue("order-1", &request).unwrap_err();
        assert!(!format!("{error:?}").to_lowercase().contains("grace"), "{error:?}");
    }
    assert_eq!(world.sql("SELECT count(*) FROM intent ").as_deref(), Some("0"));
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Any value of a field, right or wrong.
fn value() -> impl Strategy<Value = Value> {
    let email = Just(json!("ada@example.com"));
    let name = prop::sample::select(&["food", "climate", "gold", "", "plant_tree"][..]);
    let lengths = prop::sample::select(&[0, 1, 18, 19, 20, 21][..]);
    let pairs = move |(pairs, key): (usize, String)| {
        let keys = (1..pairs).map(|pair| format!("key-{pair}")).chain([key]);
        Value::Object(keys.take(pairs).map(|key| (key, json!("v"))).collect())
    };
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        email,
        name.prop_map(Value::from),
        prop::sample::select(&[0, 1, 5, 10_000_000, 10_000_001, 1_000_000_000, i64::MAX, -1][..])
            .prop_map(Value::from),
        prop::sample::select(&[0.0, 1.5, 5.0, 1e7, 1e9, 1e12, 1e13, 1e300, -5.0][..])
            .prop_map(Value::from),
        (lengths, "gift|widgetID|oneclick_intent|key|é{40}|é{41}|").prop_map(pairs),
        prop::sample::select(&[500_usize, 501][..])
            .prop_map(|length| json!({ "key": "é".repeat(length) })),
        Just(json!({ "key": 1 })),
        Just(json!({ "key": null })),
        Just(json!([])),
    ]
}

/// A request that the core made, of which some fields were changed.
fn request() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 8] = [
        "action",
        "amount",
        "customer_email",
        "customer_name",
        "notify",
        "category",
        "metadata",
        "amounts",
    ];
    let field = prop::sample::select(&FIELDS[..]);
    let changes = prop::collection::vec((field, prop::option::weighted(0.8, value())), 0..3);
    (any::<Purchase>(), changes).prop_map(|(purchase, changes)| {
        let mut request = json!(Stored { v: 1, purchase });
        let fields = request.as_object_mut().unwrap();
        for (field, value) in changes {
            match value {
                // The library that reads JSON for the core takes the number of a name for the name.
                Some(Value::Number(_)) if field == "action" || field == "category" => None,
                Some(value) => fields.insert(field.to_owned(), value),
                None => fields.remove(field),
            };
        }
        request
    })
}

#[test]
fn the_function_takes_exactly_what_the_core_takes() {
    let Some(world) = world("the-core") else { return };
    let session = Session::of(&world);
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(config(256));
    let agrees = |request: Value| {
        // PostgreSQL has no text with a NUL.
        let request = request.to_string().replace("\\u0000", "0");
        match (core(&request), session.checked(&request)) {
            (Ok(expected), Ok(stored)) => {
                // A worker reads the same purchase.
                let read = core(&stored);
                prop_assert_eq!(read.as_ref(), Ok(&expected));
                // If the crate stored the purchase, it would be the same request.
                let own = session.checked(&serde_json::to_string(&expected).unwrap());
                prop_assert_eq!(own.unwrap(), stored);
                taken.set(taken.get() + 1);
            }
            (Err(_), Err(_)) => refused.set(refused.get() + 1),
            (core, function) => {
                let function = function.map_err(|error| message(&error).to_owned());
                prop_assert!(false, "{}: {:?}, but {:?}", request, core, function);
            }
        }
        Ok(())
    };
    runner.run(&request(), agrees).unwrap();
    let (taken, refused) = (taken.get(), refused.get());
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}

/// What the function says of many addresses, in one statement.
fn faults(session: &Session, addresses: &[String]) -> Vec<Option<String>> {
    let sql = "SELECT oneclick.email_fault(address)
               FROM unnest($1::text[]) WITH ORDINALITY AS a (address, place) ORDER BY place";
    let rows = session.runtime.block_on(session.client.query(sql, &[&addresses])).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn the_function_judges_addresses_as_the_core_does() {
    let Some(world) = world("addresses") else { return };
    let session = Session::of(&world);
    let check = |addresses: &[String]| {
        let mut count = 0;
        for (address, fault) in addresses.iter().zip(faults(&session, addresses)) {
            let expected = match Email::new(address) {
                Ok(_) => None,
                Err(InvalidValue::Email { reason, .. }) => Some(reason),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(fault.as_deref(), expected, "{address:?}");
            count += usize::from(fault.is_none());
        }
        count
    };
    // Each character in both parts, of the planes that have characters of each kind.
    let characters = ('\u{1}'..='\u{ffff}').chain('\u{e0000}'..='\u{e00ff}');
    let addresses: Vec<_> = characters
        .flat_map(|char| [format!("a{char}b@x.com"), format!("a@x{char}y.com")])
        .collect();
    assert!(check(&addresses) > 100_000);

    let mut runner = TestRunner::new(config(20));
    let part = prop_oneof![
        "[a-z@.\"\\[\\]\\\\<> é,_-]{0,6}",
        "\"[a-z@.\" é]{0,5}\"",
        "\\[[0-9.]{1,9}\\]",
        "a{60,250}",
    ];
    let part = part.boxed();
    let address =
        (part.clone(), "@|@|@|", part).prop_map(|(local, at, domain)| local + &at + &domain);
    runner
        .run(&prop::collection::vec(address, 100), |addresses| {
            check(&addresses);
            Ok(())
        })
        .unwrap();
}

#[test]
fn requests_are_compared_as_json_values() {
    let Some(world) = world("json") else { return };
    let session = Session::of(&world);
    let request = r#"{"v":1,"action":"plant_tree","amount":5,"customer_email":"ada@example.com"}"#;
    let id = session.enqueue("order-1", request).unwrap();
    for same in [
        r#"{"customer_email":"ada@example.com","amount":5.0,"action":"plant_tree","v":1}"#,
        r#"{"v":1.0,"action":"plant_tree","amount":5e0,"customer_email":"ada@example.com"}"#,
        r#"{"v":1,"action":"plant_tree","amount":0.5e1,"customer_email":"\u0061da@example.com"}"#,
        // The last of two fields with one name counts.
        r#"{"v":1,"action":"plant_tree","amount":6,"amount":5,"customer_email":"ada@example.com"}"#,
        // As in the core, `null` is a missing field, and no metadata are no metadata.
        r#"{"v":1,"action":"plant_tree","amount":5,"customer_email":"ada@example.com",
            "customer_name":null,"notify":null,"category":null,"metadata":{}}"#,
    ] {
        assert_eq!(session.enqueue("order-1", same).unwrap(), id, "{same}");
    }
    for other in [
        r#"{"v":1,"action":"plant_tree","amount":5,"customer_email":"Ada@example.com"}"#,
        r#"{"v":1,"action":"plant_tree","amount":5}"#,
        r#"{"v":1,"action":"plant_tree","amount":5,"customer_email":"ada@example.com",
            "notify":true}"#,
    ] {
        let error = session.enqueue("order-1", other).unwrap_err();
        assert!(message(&error).contains("stands for another purchase"), "{error:?}");
        assert_eq!(error.code().unwrap().code(), "23505");
    }
    for nul in [r#""\u0000""#, r#""\ud800""#] {
        let request =
            format!(r#"{{"v":1,"action":"plant_tree","amount":5,"metadata":{{"note":{nul}}}}}"#);
        assert!(session.enqueue("order-2", &request).is_err());
    }
    // A worker reads what was stored.
    let purchase = entry(&world.process(), "order-1").purchase.unwrap();
    assert_eq!(purchase, core(request).unwrap().purchase);
}

#[test]
fn two_transactions_with_one_key_store_one_intent() {
    let Some(world) = world("concurrent") else { return };
    let request = r#"{"v":1,"action":"plant_tree","amount":5}"#;
    let other = r#"{"v":1,"action":"plant_tree","amount":6}"#;
    let mut number = 0;
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        for (end, second) in [("COMMIT", request), ("COMMIT", other), ("ROLLBACK", request)] {
            number += 1;
            let key = &format!("order-{number}");
            let (first, later) = (Session::of(&world), Session::of(&world));
            let begin = format!("BEGIN ISOLATION LEVEL {isolation}");
            first.run(&begin).unwrap();
            let id = first.enqueue(key, request).unwrap();
            // Its snapshot is older than the commit.
            later.run(&begin).unwrap();
            later.text("SELECT 'a'", &[]).unwrap();
            let outcome = thread::scope(|scope| {
                let waits = scope.spawn(|| later.enqueue(key, second));
                wait_for_lock(&world);
                first.run(end).unwrap();
                waits.join().unwrap()
            });
            let again = |request| {
                later.run("ROLLBACK").unwrap();
                later.enqueue(key, request)
            };
            match (end, isolation) {
                ("ROLLBACK", _) => {
                    assert_ne!(outcome.unwrap(), id);
                    later.run("COMMIT").unwrap();
                }
                (_, "READ COMMITTED") if second == request => assert_eq!(outcome.unwrap(), id),
                (_, "READ COMMITTED") => {
                    let error = outcome.unwrap_err();
                    assert!(message(&error).contains("another purchase"), "{error:?}");
                }
                // The whole transaction is to be run again.
                _ => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
                    let outcome = again(second);
                    assert_eq!(outcome.is_ok(), second == request, "{outcome:?}");
                    assert!(outcome.is_err() || outcome.unwrap() == id);
                }
            }
            assert_eq!(status(&world.process(), key), Status::Ready);
        }
        // A key that was committed before the snapshot is simply found, and one that was committed
        // since is not.
        let session = Session::of(&world);
        let found = format!("order-{number}");
        let id = entry(&world.process(), &found).id;
        session.run(&format!("BEGIN ISOLATION LEVEL {isolation}")).unwrap();
        assert_eq!(session.enqueue(&found, request).unwrap(), id);
        let since = format!("since-{number}");
        let id = Session::of(&world).enqueue(&since, request).unwrap();
        match session.enqueue(&since, request) {
            Ok(same) => assert_eq!((isolation, same), ("READ COMMITTED", id)),
            Err(error) => {
                assert_ne!(isolation, "READ COMMITTED");
                assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
            }
        }
    }
    assert_eq!(world.sql("SELECT count(*) FROM intent ").as_deref(), Some("12"));
}

/// Waits until a session of this database waits for another one.
fn wait_for_lock(world: &World) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..1_000 {
        if world.sql(waiting).as_deref() == Some("1") {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("no session waits");
}

/// A server with roles that its other databases must not have.
fn with_roles(roles: &str) -> Option<(Server, Session)> {
    env::var_os(ON_POSTGRES)?;
    let server = Server::start();
    let owner = Session::open(&server.url("postgres"));
    let mut sql = String::new();
    for role in roles.split_whitespace() {
        write!(sql, "CREATE ROLE {role} LOGIN;").unwrap();
    }
    owner.run(&sql).unwrap();
    Some((server, owner))
}

fn url_of(server: &Server, role: &str) -> String {
    server.url("postgres").replace("user=outbox", &format!("user={role}"))
}

/// The statements of the page for operators, below a heading.
fn sql_of_the_page(heading: &str) -> &'static str {
    let page = include_str!("../../../../docs/outbox.md");
    let section = page.split_once(&format!("\n{heading}\n")).unwrap().1;
    section.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_function_calls_nothing_of_the_caller() {
    let Some((server, owner)) = with_roles("shop") else { return };
    owner
        .run(
            "GRANT USAGE ON SCHEMA oneclick TO shop;
             GRANT EXECUTE ON FUNCTION oneclick.enqueue TO shop;
             CREATE SCHEMA trap AUTHORIZATION shop",
        )
        .unwrap();
    let shop = Session::open(&url_of(&server, "shop"));
    // If one of them is called, it leaves a row: each name that the functions use.
    shop.run(
        "CREATE TABLE trap.intent (LIKE pg_catalog.pg_class);
         CREATE TABLE trap.called (what text);
         CREATE FUNCTION trap.spring(what text) RETURNS text LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO trap.called VALUES (what || ' as ' || current_user);
             RETURN what; END $$;
         CREATE FUNCTION trap.sha256(bytea) RETURNS bytea LANGUAGE sql AS
             $$ SELECT trap.spring('sha256')::bytea $$;
         CREATE FUNCTION trap.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS
             $$ BEGIN PERFORM trap.spring('jsonb_typeof'); RETURN pg_catalog.jsonb_typeof($1); END $$;
         CREATE FUNCTION trap.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
             $$ BEGIN PERFORM trap.spring('clock_timestamp'); RETURN pg_catalog.now(); END $$;
         CREATE FUNCTION trap.times(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS
             $$ BEGIN PERFORM trap.spring('*'); RETURN 0; END $$;
         CREATE OPERATOR trap.* (FUNCTION = trap.times, LEFTARG = numeric, RIGHTARG = integer);
         CREATE FUNCTION trap.unlike(text, text) RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM trap.spring('<>'); RETURN false; END $$;
         CREATE OPERATOR trap.<> (FUNCTION = trap.unlike, LEFTARG = text, RIGHTARG = text);
         SET search_path = trap, pg_catalog, public",
    )
    .unwrap();
    let request = r#"{"v":1,"action":"plant_tree","amount":5,"customer_email":"ada@example.com"}"#;
    let id = shop.enqueue("order-1", request).unwrap();
    assert_eq!(shop.enqueue("order-1", request).unwrap(), id);
    let other = shop.enqueue("order-1", r#"{"v":1,"action":"plant_tree","amount":6}"#);
    assert!(message(&other.unwrap_err()).contains("another purchase"));
    let called = shop.text("SELECT string_agg(what, ', ') FROM trap.called", &[]).unwrap();
    assert_eq!(called, None);
    let stored = owner.text("SELECT count(*)::text FROM oneclick.intent", &[]).unwrap();
    assert_eq!(stored.as_deref(), Some("1"));
}

/// Before PostgreSQL 15, everybody may create functions in `public`, and what fits the types better
/// is called in place of what PostgreSQL has.
#[test]
fn a_worker_calls_nothing_that_others_put_into_its_search_path() {
    let Some((server, owner)) = with_roles("stranger") else { return };
    owner.run("GRANT CREATE ON SCHEMA public TO PUBLIC").unwrap();
    let stranger = Session::open(&url_of(&server, "stranger"));
    stranger
        .run(
            "CREATE TABLE public.called (what text);
             CREATE FUNCTION public.times(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO public.called VALUES ('*'); RETURN 0; END $$;
             CREATE OPERATOR public.* (
                 FUNCTION = public.times, LEFTARG = numeric, RIGHTARG = integer);
             CREATE FUNCTION public.concat_ws(text, bigint, text, timestamptz) RETURNS text
                 LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO public.called VALUES ('concat_ws'); RETURN ''; END $$",
        )
        .unwrap();
    let outbox = Outbox::postgres(&server.url("postgres")).unwrap();
    outbox.enqueue("shop", "order-1", trees(1)).unwrap();
    let working = Worker::new(&outbox, World::client(InMemory::new())).concurrency(1);
    working.run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-1"), Status::Bought);
    let called = owner.text("SELECT string_agg(what, ', ') FROM public.called", &[]).unwrap();
    assert_eq!(called, None);
}

#[test]
fn the_rights_of_the_page_are_enough_and_no_more() {
    let Some((server, owner)) = with_roles("shop worker monitor stranger") else { return };
    owner.run(sql_of_the_page("## Rights on PostgreSQL")).unwrap();
    let [shop, worker, monitor, stranger] =
        ["shop", "worker", "monitor", "stranger"].map(|role| url_of(&server, role));
    let forbidden = |role: &str, sql: &str| {
        let error = Session::open(role).run(sql).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}: {error:?}");
    };
    let enqueue = r#"SELECT oneclick.enqueue('shop', 'order-1',
        '{"v":1,"action":"plant_tree","amount":1}')"#;

    Session::open(&shop).run(enqueue).unwrap();
    for sql in [
        "SELECT * FROM oneclick.intent",
        "UPDATE oneclick.intent SET status = 'dropped'",
        "SELECT oneclick.store('shop', 'order-2', '{}', 0)",
        "SELECT oneclick.checked('{}')",
    ] {
        forbidden(&shop, sql);
    }
    Session::open(&monitor).run(sql_of_the_page("## Watch it")).unwrap();
    for sql in [enqueue, "SELECT request FROM oneclick.intent", "DELETE FROM oneclick.intent"] {
        forbidden(&monitor, sql);
    }
    for sql in [enqueue, "SELECT status FROM oneclick.intent"] {
        forbidden(&stranger, sql);
    }

    let outbox = Outbox::postgres(&worker).unwrap();
    outbox.enqueue("shop", "order-2", trees(2)).unwrap();
    let emulator = InMemory::new();
    let working = Worker::new(&outbox, World::client(emulator)).concurrency(1);
    working.run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-2"), Status::Bought);
    outbox.cancel(entry(&outbox, "order-2").id).unwrap();
    working.run_until_idle().unwrap();
    assert_eq!(status(&outbox, "order-2"), Status::Cancelled);
    outbox.pause("a test").unwrap();
    outbox.resume().unwrap();
    outbox.erase_requests(Duration::ZERO).unwrap();
    assert_eq!(outbox.purge(Duration::ZERO).unwrap().len(), 1);
}

#[test]
fn the_page_shows_who_holds_a_lock_for_which_a_worker_waits() {
    let Some(world) = world("who-blocks") else { return };
    let outbox = world.process();
    let id = outbox.enqueue("shop", "order-1", trees(1)).unwrap().id;
    let person = Session::of(&world);
    let own = person.text("SELECT pg_backend_pid()::text", &[]).unwrap().unwrap();
    person.run("BEGIN; SELECT * FROM oneclick.intent FOR UPDATE").unwrap();
    let cancelled = thread::scope(|scope| {
        let waits = scope.spawn(|| outbox.cancel(id));
        wait_for_lock(&world);
        let session = Session::of(&world);
        let blockers = sql_of_the_page("### The database is busy");
        let rows = session.runtime.block_on(session.client.simple_query(blockers)).unwrap();
        let pids = rows.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        assert!(pids.collect::<Vec<_>>().contains(&&*own));
        session.run(&format!("SELECT pg_terminate_backend({own})")).unwrap();
        waits.join().unwrap()
    });
    assert_eq!(cancelled.unwrap(), Status::Dropped);
}
