//! Intents are stored with the order, once.

use std::thread;

use chrono::{SecondsFormat, TimeDelta, Utc};
use oneclick_outbox::{OutboxError, enqueue};
use oneclick_proto::{Customer, Metadata};

use crate::*;

#[test]
fn an_intent_exists_exactly_if_the_order_does() {
    let world = World::new("transaction");
    let Some(path) = world.file() else { return };
    let mut shop = Connection::open(path).unwrap();
    shop.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
    for (order, commits) in [(1, true), (2, false)] {
        let tx = shop.transaction().unwrap();
        tx.execute("INSERT INTO orders VALUES (?1)", [order]).unwrap();
        enqueue(&tx, "shop", &format!("order-{order}"), trees(1)).unwrap();
        if commits {
            tx.commit().unwrap();
        }
    }
    let outbox = Outbox::open(path).unwrap();
    assert_eq!(outbox.counts().unwrap().ready, 1);
    assert!(outbox.find("shop", "order-2").unwrap().is_none());
}

#[test]
fn a_key_stands_for_one_purchase() {
    let world = World::new("key");
    let outbox = world.process();
    let first = outbox.enqueue("shop", "order-1", trees(5)).unwrap();
    let again = outbox.enqueue("shop", "order-1", trees(5)).unwrap();
    assert!(first.is_new && !again.is_new);
    assert_eq!(first.id, again.id);

    let ada = Customer::new("ada@example.com").unwrap();
    let tagged = Metadata::from_pairs([("order", "1")]).unwrap();
    for other in [trees(6), trees(5).customer(ada), trees(5).metadata(tagged)] {
        let error = outbox.enqueue("shop", "order-1", other).unwrap_err();
        assert!(matches!(error, OutboxError::OtherPurchase { .. }), "{error}");
    }
    assert!(outbox.enqueue("other shop", "order-1", trees(6)).unwrap().is_new);
}

#[test]
fn an_erased_request_is_still_told_from_another() {
    let world = World::new("erased");
    let outbox = world.process();
    let ada = || trees(5).customer(Customer::new("ada@example.com").unwrap());
    outbox.enqueue("shop", "order-1", ada()).unwrap();
    let has_address = || {
        let file = fs::read(world.file()?).unwrap();
        Some(file.windows(15).any(|part| part == b"ada@example.com"))
    };
    assert_ne!(has_address(), Some(false));
    world.settle(&outbox);
    let before = entry(&outbox, "order-1").answer.unwrap();
    assert!(before.body["customer"].is_object(), "{}", before.body);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(outbox.erase_requests(Duration::ZERO).unwrap(), 1);
    let answer = entry(&outbox, "order-1").answer.unwrap();
    assert!(answer.body["customer"].is_null(), "{}", answer.body);
    for field in ["user_id", "time_utc", "tree_planted"] {
        assert_eq!(answer.body[field], before.body[field]);
    }

    assert_ne!(has_address(), Some(true));
    let sql = "SELECT count(*) FROM intent WHERE request IS NULL";
    assert_eq!(world.sql(sql).as_deref(), Some("1"));

    assert_eq!(entry(&outbox, "order-1").purchase, None);
    assert!(!outbox.enqueue("shop", "order-1", ada()).unwrap().is_new);
    assert!(outbox.enqueue("shop", "order-1", trees(5)).is_err());
    world.settle(&outbox);
    assert_eq!(world.bought(), 1);
}

/// As the page for operators says.
#[test]
fn an_order_that_a_backup_lacks_is_looked_for_back_to_the_backup() {
    let page = include_str!("../../../../docs/outbox.md");
    let section = page.split_once("\n## Restore a backup\n").unwrap().1;
    let statement = section.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    let statement = statement.replace(" oneclick.intent ", " intent ");
    let [backup, restore] = ["2026-11-27T02:00:00.000Z", "2026-11-27T09:30:00.000Z"];
    assert!(statement.contains(backup) && statement.contains(restore));

    let world = World::new("lacking");
    let before = world.process();
    before.enqueue("shop", "order-1", trees(1)).unwrap();
    world.worker(&before).run_until_idle().unwrap();
    assert_eq!((status(&before, "order-1"), world.bought()), (Status::Bought, 1));
    world.advance(Duration::from_secs(3_600));

    // The backup has neither of the orders, and the second was never sent.
    world.sql("DELETE FROM event WHERE true");
    world.sql("DELETE FROM intent WHERE true");
    for (key, number) in [("order-1", 1), ("order-2", 2)] {
        before.enqueue("shop", key, trees(number)).unwrap();
    }
    let time = |ago: TimeDelta| (Utc::now() - ago).to_rfc3339_opts(SecondsFormat::Millis, true);
    let statement = statement
        .replace(backup, &time(TimeDelta::hours(2)))
        .replace(restore, &time(TimeDelta::minutes(10)));
    world.sql(&statement);
    let after = world.process();
    world.settle(&after);
    for key in ["order-1", "order-2"] {
        assert_eq!(status(&after, key), Status::Bought, "{key}");
    }
    assert_eq!(world.bought(), 2);
}

#[test]
fn many_processes_create_the_tables_at_once() {
    let path = env::temp_dir().join(format!("oneclick-outbox-{}-migrate.db", process::id()));
    let _ = fs::remove_file(&path);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| Outbox::open(&path).unwrap());
        }
    });
    Outbox::open(&path).unwrap().enqueue("shop", "order-1", trees(1)).unwrap();
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_database_without_tables_or_of_a_newer_version_is_refused() {
    let mut empty = Connection::open_in_memory().unwrap();
    let tx = empty.transaction().unwrap();
    let error = enqueue(&tx, "shop", "order-1", trees(1)).unwrap_err();
    assert!(matches!(error, OutboxError::NoTables), "{error}");
    drop(tx);
    assert!(matches!(Outbox::new(empty).unwrap_err(), OutboxError::NoTables));

    let world = World::new("newer");
    let Some(path) = world.file() else { return };
    let newer = Connection::open(path).unwrap();
    let set = "UPDATE oneclick_outbox_meta SET value = '9' WHERE name = 'schema_version'";
    newer.execute(set, []).unwrap();
    let error = Outbox::open(path).unwrap_err();
    assert!(matches!(error, OutboxError::NewerTables { version: 9, .. }), "{error}");
}
