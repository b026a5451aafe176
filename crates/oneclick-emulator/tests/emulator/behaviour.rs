//! Each value of each behaviour switch, and the ledger, which always shows the truth.

use chrono::TimeDelta;
use http::Method;
use oneclick_emulator::behaviour::{
    AddressFilter, AddressForm, CancelEffect, CancelRefusal, CancelRepeat, Cursors, DateBounds,
    DateHeader, DayZone, Limits, ListedIn, MetadataForm, OtherRows, OtherSoftware, ReceiptForm,
    RecordUserId, ServerClock, SortOrders, TimeForm, TrackBy, UnknownFilter, Visibility,
};
use oneclick_emulator::{Behaviour, Config, DONATION_SENT_AFTER, Fault, FaultRule, Server};
use serde_json::{Value, json};

use super::control::{ok, refused, send};
use super::world::{ACTIONS, World, column};

const TREES: &str = "/v1/plant_tree";
const CANCEL: &str = "/v1/cancel_impact";
const PATH: &str = "/_emulator/behaviour";

fn world(behaviour: Behaviour) -> World {
    let mut world = World::new();
    world.emulator.set_behaviour(behaviour);
    world
}

fn default() -> Behaviour {
    Behaviour::new()
}

/// Buys trees for a customer, and returns the receipt.
fn gift(world: &mut World, amount: u64, address: &str) -> Value {
    let body = json!({ "amount": amount, "customer_email": address });
    world.post(TREES, &body.to_string())
}

fn trees(world: &mut World, amount: u64) -> Value {
    world.post(TREES, &json!({ "amount": amount }).to_string())
}

fn records(world: &mut World) -> Vec<Value> {
    rows(world.get("/v1/records?limit=1000"), "user_records")
}

fn customer_records(world: &mut World) -> Vec<Value> {
    rows(world.get("/v1/customer_records?limit=1000"), "customer_records")
}

fn rows(mut page: Value, name: &str) -> Vec<Value> {
    page[name].as_array_mut().map(std::mem::take).unwrap()
}

fn amounts(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["tree_planted"].as_i64().unwrap()).collect()
}

/// The amounts of trees that were really bought.
fn ledger(world: &World) -> Vec<i64> {
    let Some(account) = world.emulator.account(world.key) else { return Vec::new() };
    account.ledger().map(|entry| entry.receipt.impact.amount).collect()
}

fn handle(user_id: &Value, time_utc: &Value) -> String {
    json!({ "user_id": user_id, "time_utc": time_utc }).to_string()
}

fn track(user_id: &Value, time_utc: &Value) -> String {
    let time_utc = time_utc.as_str().unwrap().replace('+', "%2B");
    format!("/v1/track?user_id={}&time_utc={time_utc}", user_id.as_str().unwrap())
}

/// Reads a list page by page, and returns every row and the number of pages.
fn walk(world: &mut World, uri: &str, name: &str) -> (Vec<Value>, usize) {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for pages in 1.. {
        let page = world.get(&format!("{uri}{cursor}"));
        let next = page["cursor"].as_str().map(str::to_owned);
        all.extend(rows(page, name));
        let Some(next) = next else { return (all, pages) };
        assert!(pages < 100, "the list does not end");
        cursor = next_page(&next);
    }
    unreachable!()
}

fn next_page(cursor: &str) -> String {
    let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
    format!("&cursor={cursor}")
}

/// Makes purchases of every kind, and returns the URI and body of many reads after them.
fn history(world: &mut World) -> Vec<(String, Value)> {
    for (at, path) in ACTIONS.iter().cycle().take(23).enumerate() {
        let mut body = json!({ "amount": at + 1 });
        if at % 3 == 0 {
            let address = ["Ada+Trees@Example.com", "b@müller.de"][at % 2];
            body["customer_email"] = address.into();
            body["customer_name"] = "Ada".into();
        }
        if at % 2 == 0 {
            body["metadata"] = json!({ "order_id": format!("A-{at}"), "shop": "de" });
        }
        let receipt = world.post(path, &body.to_string());
        if at % 5 == 0 {
            world.post(CANCEL, &handle(&receipt["user_id"], &receipt["time_utc"]));
        }
        world.pass(TimeDelta::hours(5));
    }
    let mut uris: Vec<String> = ["/v1/whoami", "/v1/impact", "/v1/projects"].map(Into::into).into();
    uris.extend(
        ["", "?start_date=2025-03-13", "?start_date=2025-03-13&end_date=2025-03-14"]
            .map(|query| format!("/v1/impact/daily{query}")),
    );
    let receipt = world.post(TREES, r#"{"amount":7,"customer_email":"c@d"}"#);
    uris.push(track(&receipt["user_id"], &receipt["time_utc"]));
    for list in ["/v1/records", "/v1/customer_records", "/v1/customers"] {
        for limit in ["limit=1000", "limit=3"] {
            for order in ["", "&sort_order=desc"] {
                let filters: &[&str] = match list {
                    "/v1/customers" => &["", "&customer_email=c@d"],
                    "/v1/records" => &["", "&filter_by=coral_restored", "&end_date=2025-03-14"],
                    _ => &["", "&customer_email=Ada%2BTrees@Example.com", "&start_date=2025-03-14"],
                };
                uris.extend(filters.iter().map(|it| format!("{list}?{limit}{order}{it}")));
            }
        }
    }
    let mut responses = Vec::new();
    for uri in uris {
        let mut cursor = String::new();
        loop {
            let request = world.request(&Method::GET, &format!("{uri}{cursor}"), "");
            let (_, page) = world.respond(&request);
            let next = page["cursor"].as_str().map(next_page);
            responses.push((format!("{uri}{cursor}"), page));
            let Some(next) = next else { break };
            cursor = next;
        }
    }
    responses
}

#[test]
fn the_default_behaviour_has_not_changed_by_a_byte() {
    let mut world = World::new();
    assert_eq!(world.emulator.behaviour(), default());
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for (uri, _) in history(&mut world) {
        let request = world.request(&Method::GET, &uri, "");
        let response = world.emulator.respond(&request, world.now);
        let (head, body) = response.into_parts();
        let head = format!("{uri} {} {:?}", head.status, head.headers);
        for byte in head.as_bytes().iter().chain(&body) {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // Computed before there were switches, and again when projects were renamed.
    assert_eq!(digest, 0x6f1b_b2d5_f610_69a7, "{digest:#x}");
}

#[test]
fn a_switch_changes_only_the_responses_that_it_concerns() {
    let expected = history(&mut World::new());
    for other in [
        default().cancel_refusal(CancelRefusal::Conflict),
        default().receipt(ReceiptForm::Bare),
        default().limit(Limits::Capped { at: 1_000 }),
        default().visibility(Visibility::Replicas { millis: 0 }),
        default().days(DayZone::Offset { hours: 0 }),
    ] {
        assert_eq!(history(&mut world(other)), expected, "{other:?}");
    }
}

#[test]
fn every_switch_is_deterministic_for_a_seed() {
    let unkind = default()
        .time_utc(TimeForm::Changing)
        .visibility(Visibility::Replicas { millis: 86_400_000 })
        .other_software(OtherSoftware::BuysTheSame)
        .other_rows(OtherRows::UnknownKind);
    let of = |seed| {
        let mut world = World::of(Config::new().seed(seed));
        world.emulator.set_behaviour(unkind);
        history(&mut world)
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn metadata_is_shown_in_each_form() {
    let all = json!({ "order_id": "a-1", "shop": "de" });
    let one_text = json!(all.to_string());
    for (form, own, customers) in [
        (MetadataForm::Kept, all.clone(), all.clone()),
        (MetadataForm::Dropped, Value::Null, Value::Null),
        (
            MetadataForm::KeysCamelCase,
            json!({ "orderId": "a-1", "shop": "de" }),
            json!({ "orderId": "a-1", "shop": "de" }),
        ),
        (
            MetadataForm::KeysUpperCase,
            json!({ "ORDER_ID": "a-1", "SHOP": "de" }),
            json!({ "ORDER_ID": "a-1", "SHOP": "de" }),
        ),
        (
            MetadataForm::ValuesUpperCase,
            json!({ "order_id": "A-1", "shop": "DE" }),
            json!({ "order_id": "A-1", "shop": "DE" }),
        ),
        (
            MetadataForm::CutShort { chars: 1 },
            json!({ "order_id": "a", "shop": "d" }),
            json!({ "order_id": "a", "shop": "d" }),
        ),
        (MetadataForm::Reordered, all.clone(), all.clone()),
        (MetadataForm::OneText, one_text.clone(), one_text),
        (
            MetadataForm::Nulls,
            json!({ "order_id": null, "shop": null }),
            json!({ "order_id": null, "shop": null }),
        ),
        (MetadataForm::RecordsOnly, all.clone(), Value::Null),
        (MetadataForm::CustomerRecordsOnly, Value::Null, all.clone()),
    ] {
        let mut world = world(default().metadata(form));
        for customer in [None, Some("a@b")] {
            let mut body = json!({ "amount": 5, "metadata": all });
            if let Some(address) = customer {
                body["customer_email"] = address.into();
            }
            let receipt = world.post(TREES, &body.to_string());
            assert_eq!(receipt.get("metadata"), None);
        }
        let shown = |rows: Vec<Value>| rows[0].get("metadata").cloned().unwrap_or_default();
        assert_eq!(shown(records(&mut world)), own, "{form:?}");
        assert_eq!(shown(customer_records(&mut world)), customers, "{form:?}");
        let account = world.emulator.account("test_key").unwrap();
        for entry in account.ledger() {
            assert_eq!(entry.receipt.metadata.get("order_id"), Some("a-1"), "{form:?}");
        }
        if form == MetadataForm::Reordered {
            let request = world.request(&Method::GET, "/v1/records", "");
            let body = world.emulator.respond(&request, world.now).into_body();
            let body = String::from_utf8(body).unwrap();
            assert!(body.contains(r#""metadata":{"shop":"de","order_id":"a-1"}"#), "{body}");
        }
    }
}

#[test]
fn an_address_is_stored_in_each_form() {
    for (form, sent, stored) in [
        (AddressForm::Kept, "Ada+T@Müller.de", "Ada+T@Müller.de"),
        (AddressForm::LowerCase, "Ada+T@Müller.de", "ada+t@müller.de"),
        (AddressForm::TagRemoved, "Ada+T@Müller.de", "Ada@Müller.de"),
        (AddressForm::OtherDomainForm, "Ada+T@Müller.de", "Ada+T@xn--mller-kva.de"),
        (AddressForm::OtherDomainForm, "Ada@xn--mller-kva.de", "Ada@müller.de"),
    ] {
        let mut world = world(default().address(form));
        let receipt = gift(&mut world, 5, sent);
        assert_eq!(receipt["customer"]["customer_email"], stored);
        assert_eq!(customer_records(&mut world)[0]["customer"]["customer_email"], stored);
        let customers = world.get("/v1/customers");
        assert_eq!(column(&customers["customers"], "customer_email"), [stored]);

        // The filter is compared with the stored form.
        let found = |world: &mut World, address: &str| {
            let address: String = form_urlencoded::byte_serialize(address.as_bytes()).collect();
            let list = world.get(&format!("/v1/customer_records?customer_email={address}"));
            let customers = world.get(&format!("/v1/customers?customer_email={address}"));
            let found = list["customer_records"].as_array().unwrap().len();
            assert_eq!(customers["customers"].as_array().unwrap().len(), found);
            found
        };
        assert_eq!(found(&mut world, stored), 1);
        assert_eq!(found(&mut world, sent), usize::from(sent == stored), "{form:?}");
        let loose = default().address(form).address_filter(AddressFilter::Loose);
        world.emulator.set_behaviour(loose);
        for address in [stored, sent, "ADA@xn--mller-kva.de", "ada+x@müller.de"] {
            assert_eq!(found(&mut world, address), 1, "{form:?} {address}");
        }
        assert_eq!(found(&mut world, "bob@müller.de"), 0);

        let account = world.emulator.account("test_key").unwrap();
        let customer = account.ledger().next().unwrap().receipt.customer.unwrap();
        assert_eq!(customer.customer_email.as_str(), sent);
    }
}

/// Checks that an impact is tracked and cancelled by the ids in its receipt and its record.
fn handles_work(world: &mut World, receipt: &Value, record: &Value) {
    for row in [receipt, record] {
        let (user_id, time_utc) = (&row["user_id"], &row["time_utc"]);
        let tracking = world.get(&track(user_id, time_utc));
        assert_eq!(tracking["tree_planted"], receipt["tree_planted"]);
        let id = format!("{}-{}", user_id.as_str().unwrap(), time_utc.as_str().unwrap());
        assert_eq!(tracking["tracking_id"], id);
        let cancelled = world.post(CANCEL, &handle(user_id, time_utc));
        assert_eq!((&cancelled["user_id"], &cancelled["time_utc"]), (user_id, time_utc));
    }
    let account = world.emulator.account("test_key").unwrap();
    let cancelled = account.ledger().filter(|entry| entry.cancelled_on.is_some());
    assert_eq!(cancelled.count(), 1);
}

#[test]
fn an_impact_is_found_by_each_form_of_its_records_user_id() {
    for form in [
        RecordUserId::Same,
        RecordUserId::OtherCase,
        RecordUserId::Customers,
        RecordUserId::Another,
    ] {
        let mut world = world(default().user_id(form));
        let receipt = gift(&mut world, 5, "a@b");
        let record = customer_records(&mut world)[0].clone();
        let (account, shown) = (receipt["user_id"].as_str().unwrap(), &record["user_id"]);
        match form {
            RecordUserId::Same => assert_eq!(shown, account),
            RecordUserId::OtherCase => assert_eq!(*shown, account.to_lowercase()),
            RecordUserId::Customers => assert_eq!(*shown, record["customer"]["customer_id"]),
            _ => {
                assert_ne!(shown, account);
                assert_ne!(*shown, record["customer"]["customer_id"]);
            }
        }
        handles_work(&mut world, &receipt, &record);
        world.refused_get(404, &track(&json!("U1"), &receipt["time_utc"]));
        // Without a customer there is no customer id to show.
        let receipt = trees(&mut world, 6);
        let own = records(&mut world)[0]["user_id"].clone();
        let same = matches!(form, RecordUserId::Same | RecordUserId::Customers);
        assert_eq!(own == receipt["user_id"], same);
    }
}

#[test]
fn an_impact_is_found_by_each_form_of_its_records_time() {
    for (form, shown) in [
        (TimeForm::Same, "2025-03-12T15:22:14.753Z"),
        (TimeForm::Microseconds, "2025-03-12T15:22:14.753"),
        (TimeForm::SecondsCut, "2025-03-12T15:22:14Z"),
        (TimeForm::SecondsRounded, "2025-03-12T15:22:15Z"),
        (TimeForm::Offset, "2025-03-12T15:22:14.753+00:00"),
    ] {
        let mut world = world(default().time_utc(form));
        let receipt = trees(&mut world, 5);
        assert_eq!(receipt["time_utc"], "2025-03-12T15:22:14.753Z");
        let record = records(&mut world)[0].clone();
        let time = record["time_utc"].as_str().unwrap();
        if form == TimeForm::Microseconds {
            assert!(time.starts_with(shown) && time.len() == shown.len() + 4, "{time}");
            assert!(!time.ends_with("000Z"));
        } else {
            assert_eq!(time, shown);
        }
        assert_eq!(records(&mut world)[0], record);
        handles_work(&mut world, &receipt, &record);
        world.refused_get(404, &track(&record["user_id"], &json!("2025-03-12T15:22:14.754Z")));
    }

    let mut world = world(default().time_utc(TimeForm::Changing));
    let receipt = trees(&mut world, 5);
    let shown = |world: &mut World| records(world)[0].clone();
    let mut forms: Vec<_> = (0..40).map(|_| shown(&mut world)["time_utc"].to_string()).collect();
    assert!(forms.windows(2).any(|pair| pair[0] != pair[1]));
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), 5);
    let record = shown(&mut world);
    handles_work(&mut world, &receipt, &record);
}

#[test]
fn an_id_that_several_records_show_refers_to_the_first_impact() {
    let mut world = world(default().time_utc(TimeForm::SecondsCut));
    trees(&mut world, 1);
    world.pass(TimeDelta::milliseconds(100));
    trees(&mut world, 2);
    let record = records(&mut world)[1].clone();
    assert_eq!(record["tree_planted"], 2);
    let tracking = world.get(&track(&record["user_id"], &record["time_utc"]));
    assert_eq!(tracking["tree_planted"], 1);
}

#[test]
fn a_customers_purchase_is_in_either_list_or_in_both() {
    for (listed, own, customers) in [
        (ListedIn::CustomerRecords, vec![1], vec![2]),
        (ListedIn::Records, vec![1, 2], vec![]),
        (ListedIn::Both, vec![1, 2], vec![2]),
    ] {
        let mut world = world(default().listed_in(listed));
        trees(&mut world, 1);
        gift(&mut world, 2, "a@b");
        let records = records(&mut world);
        assert_eq!(amounts(&records), own);
        assert!(records.iter().all(|record| record.get("customer").is_none()));
        assert_eq!(amounts(&customer_records(&mut world)), customers);
        let of_customer = world.get("/v1/customer_records?customer_email=a@b");
        assert_eq!(amounts(&rows(of_customer, "customer_records")), customers);
        let totals = world.get("/v1/impact");
        assert_eq!(totals["user_impact"]["tree_planted"], 1);
        assert_eq!(totals["customer_impact"]["tree_planted"], 2);
    }
}

#[test]
fn an_unknown_filter_is_honoured_ignored_or_refused() {
    for (unknown, coral, coral_and_trees) in [
        (UnknownFilter::Honoured, 1, 2),
        (UnknownFilter::Empty, 0, 1),
        (UnknownFilter::Everything, 3, 3),
    ] {
        let mut world = world(default().unknown_filter(unknown));
        for path in ["/v1/restore_coral", TREES, "/v1/clean_ocean"] {
            world.post(path, r#"{"amount":1}"#);
        }
        let mut count =
            |query: &str| rows(world.get(&format!("/v1/records?{query}")), "user_records").len();
        assert_eq!(count("filter_by=coral_restored"), coral, "{unknown:?}");
        assert_eq!(count("filter_by=coral_restored&filter_by=tree_planted"), coral_and_trees);
        assert_eq!(count("filter_by=tree_planted"), 1);
        assert_eq!(count(""), 3);
        if unknown == UnknownFilter::Honoured {
            world.refused_get(400, "/v1/records?filter_by=kelp_grown");
        } else {
            assert_eq!(count("filter_by=kelp_grown"), coral);
        }
    }
    let mut world = world(default().unknown_filter(UnknownFilter::Refused));
    let message = world.refused_get(400, "/v1/records?filter_by=coral_restored");
    assert!(message.contains("tree_planted") && !message.contains("coral"), "{message}");
    world.get("/v1/records?filter_by=tree_planted");
}

#[test]
fn the_sort_order_is_honoured_ignored_or_within_the_page() {
    for (order, expected) in [
        (SortOrders::Honoured, [5, 4, 3, 2, 1]),
        (SortOrders::Ignored, [1, 2, 3, 4, 5]),
        (SortOrders::WithinPage, [2, 1, 4, 3, 5]),
    ] {
        let mut world = world(default().sort_order(order));
        (1..=5).for_each(|amount| drop(trees(&mut world, amount)));
        let (walked, pages) =
            walk(&mut world, "/v1/records?limit=2&sort_order=desc", "user_records");
        assert_eq!((amounts(&walked), pages), (expected.into(), 3), "{order:?}");
        assert_eq!(amounts(&records(&mut world)), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn dates_are_part_of_the_range_or_not() {
    for (bounds, expected) in [
        (DateBounds::Inclusive, vec![1, 2, 3]),
        (DateBounds::Exclusive, vec![2]),
        (DateBounds::StartExclusive, vec![2, 3]),
        (DateBounds::EndExclusive, vec![1, 2]),
    ] {
        let mut world = world(default().dates(bounds));
        for amount in 1..=3 {
            trees(&mut world, amount);
            world.pass(TimeDelta::days(1));
        }
        let range = "start_date=2025-03-12&end_date=2025-03-14";
        let list = world.get(&format!("/v1/records?{range}"));
        assert_eq!(amounts(&rows(list, "user_records")), expected, "{bounds:?}");
        let days = world.get(&format!("/v1/impact/daily?{range}"));
        assert_eq!(amounts(&rows(days, "daily_impact")), expected, "{bounds:?}");
        assert_eq!(records(&mut world).len(), 3);
    }
}

#[test]
fn days_begin_in_utc_or_in_another_zone() {
    for (zone, day) in [
        (DayZone::Utc, "2025-03-12"),
        (DayZone::Offset { hours: 9 }, "2025-03-13"),
        (DayZone::Offset { hours: -16 }, "2025-03-11"),
    ] {
        // At 15:22 in UTC.
        let mut world = world(default().days(zone));
        trees(&mut world, 5);
        let days = world.get("/v1/impact/daily");
        assert_eq!(column(&days["daily_impact"], "date"), [day]);
        let list = world.get(&format!("/v1/records?start_date={day}&end_date={day}"));
        assert_eq!(amounts(&rows(list, "user_records")), [5]);
    }
}

#[test]
fn the_limit_is_honoured_or_capped() {
    for (limit, pages) in
        [(Limits::Honoured, 1), (Limits::Capped { at: 3 }, 3), (Limits::Capped { at: 0 }, 8)]
    {
        let mut world = world(default().limit(limit));
        (1..=8).for_each(|amount| drop(gift(&mut world, amount, &format!("c{amount}@d"))));
        for (uri, name) in [
            ("/v1/customer_records?limit=1000", "customer_records"),
            ("/v1/customers?limit=1000", "customers"),
        ] {
            let (walked, walked_pages) = walk(&mut world, uri, name);
            assert_eq!((walked.len(), walked_pages), (8, pages), "{limit:?}");
        }
    }
}

#[test]
fn a_cursor_lasts_expires_or_shifts() {
    let begin = |cursors| {
        let mut world = world(default().cursors(cursors));
        (1..=4).for_each(|amount| drop(trees(&mut world, amount)));
        let page = world.get("/v1/records?limit=2&sort_order=desc");
        assert_eq!(amounts(&rows(page.clone(), "user_records")), [4, 3]);
        let cursor = next_page(page["cursor"].as_str().unwrap());
        (world, format!("/v1/records?limit=2&sort_order=desc{cursor}"))
    };
    let (mut world, second) = begin(Cursors::Last);
    world.pass(TimeDelta::days(1_000));
    trees(&mut world, 5);
    assert_eq!(amounts(&rows(world.get(&second), "user_records")), [2, 1]);

    let (mut world, second) = begin(Cursors::Expire { millis: 1_000 });
    world.pass(TimeDelta::milliseconds(999));
    assert_eq!(amounts(&rows(world.get(&second), "user_records")), [2, 1]);
    world.pass(TimeDelta::milliseconds(1));
    assert!(world.refused_get(400, &second).contains("expired"));
    // The cursor is valid again without the switch.
    world.emulator.set_behaviour(default());
    world.get(&second);

    let (mut world, second) = begin(Cursors::Shift);
    trees(&mut world, 5);
    // 3 appears twice.
    assert_eq!(amounts(&rows(world.get(&second), "user_records")), [3, 2]);
    world.emulator.set_behaviour(default());
    assert_eq!(amounts(&rows(world.get(&second), "user_records")), [3, 2]);

    // A row that becomes visible late, before the place of the cursor, is missed.
    let mut world = self::world(default().cursors(Cursors::Shift));
    world.emulator.inject(FaultRule::new(Fault::Hidden { millis: 1_000 }).times(1));
    (1..=4).for_each(|amount| drop(trees(&mut world, amount)));
    let page = world.get("/v1/records?limit=2");
    assert_eq!(amounts(&rows(page.clone(), "user_records")), [2, 3]);
    world.pass(TimeDelta::seconds(1));
    let second = format!("/v1/records?limit=2{}", next_page(page["cursor"].as_str().unwrap()));
    assert_eq!(amounts(&rows(world.get(&second), "user_records")), [3, 4]);
}

#[test]
fn a_purchase_is_visible_at_once_or_later() {
    let mut world = world(default());
    trees(&mut world, 1);
    assert_eq!(amounts(&records(&mut world)), [1]);

    world.emulator.set_behaviour(default().visibility(Visibility::After { millis: 5_000 }));
    let receipt = trees(&mut world, 2);
    let uri = track(&receipt["user_id"], &receipt["time_utc"]);
    assert_eq!(amounts(&records(&mut world)), [1]);
    assert_eq!(world.get("/v1/impact")["tree_planted"], 1);
    world.refused_get(404, &uri);
    assert_eq!(ledger(&world), [1, 2]);
    world.pass(TimeDelta::seconds(5));
    assert_eq!(amounts(&records(&mut world)), [1, 2]);
    world.get(&uri);
}

#[test]
fn a_purchase_is_visible_on_one_replica_before_the_other() {
    let mut world = world(default());
    gift(&mut world, 1, "a@b");
    world.pass(TimeDelta::seconds(10));
    world.emulator.set_behaviour(default().visibility(Visibility::Replicas { millis: 5_000 }));
    let receipt = gift(&mut world, 2, "c@d");
    let tracking = track(&receipt["user_id"], &receipt["time_utc"]);
    // For each of many requests, whether it shows something.
    let ask = |world: &mut World, uri: &str, what: &str| -> Vec<bool> {
        let request = world.request(&Method::GET, uri, "");
        (0..30).map(|_| world.respond(&request).1.to_string().contains(what)).collect()
    };
    let is_mixed = |shown: &[bool]| shown.windows(2).any(|pair| pair == [true, false]);
    for (uri, what) in [
        ("/v1/customer_records", r#""tree_planted":2"#),
        ("/v1/customer_records?customer_email=c@d", r#""tree_planted":2"#),
        ("/v1/customers", "c@d"),
        ("/v1/impact", r#""tree_planted":3"#),
        ("/v1/impact/daily", r#""tree_planted":3"#),
        (&tracking, r#""tree_planted":2"#),
    ] {
        let shown = ask(&mut world, uri, what);
        assert!(is_mixed(&shown), "{uri}: {shown:?}");
    }
    assert!(!ask(&mut world, "/v1/customers", "a@b").contains(&false));
    assert_eq!(ledger(&world), [1, 2]);

    world.pass(TimeDelta::seconds(5));
    assert!(!ask(&mut world, &tracking, r#""tree_planted":2"#).contains(&false));
    // The same applies to a cancellation.
    world.post(CANCEL, &handle(&receipt["user_id"], &receipt["time_utc"]));
    for (uri, what) in [(&*tracking, "cancelled_on"), ("/v1/impact", r#""tree_planted":1"#)] {
        let shown = ask(&mut world, uri, what);
        assert!(is_mixed(&shown), "{uri}: {shown:?}");
    }
    world.pass(TimeDelta::seconds(5));
    assert!(!ask(&mut world, &tracking, "cancelled_on").contains(&false));
}

/// The `Date` header of a response.
fn date(world: &mut World) -> Option<String> {
    let request = world.request(&Method::GET, "/v1/whoami", "");
    let response = world.emulator.respond(&request, world.now);
    response.headers().get("date").map(|date| date.to_str().unwrap().to_owned())
}

#[test]
fn the_servers_clock_is_the_same_ahead_or_behind() {
    for (clock, day, shown) in [
        (ServerClock::Same, "2025-03-12", None),
        (ServerClock::Ahead { days: 2 }, "2025-03-14", Some("Fri, 14 Mar 2025 15:22:14 GMT")),
        (ServerClock::Behind { days: 2 }, "2025-03-10", Some("Mon, 10 Mar 2025 15:22:14 GMT")),
        (
            ServerClock::Ahead { days: u32::MAX },
            "2025-03-12",
            Some("Wed, 12 Mar 2025 15:22:14 GMT"),
        ),
    ] {
        let mut world = world(default().clock(clock));
        let receipt = trees(&mut world, 5);
        assert_eq!(receipt["time_utc"], format!("{day}T15:22:14.753Z"));
        let list = world.get(&format!("/v1/records?start_date={day}&end_date={day}"));
        assert_eq!(amounts(&rows(list, "user_records")), [5]);
        assert_eq!(date(&mut world).as_deref(), shown);
    }
}

#[test]
fn the_date_header_is_usual_apart_or_absent() {
    for (header, clock, shown) in [
        (DateHeader::Usual, ServerClock::Same, None),
        (DateHeader::Absent, ServerClock::Same, None),
        (DateHeader::Absent, ServerClock::Ahead { days: 1 }, None),
        (
            DateHeader::Apart { seconds: 0 },
            ServerClock::Same,
            Some("Wed, 12 Mar 2025 15:22:14 GMT"),
        ),
        (
            DateHeader::Apart { seconds: 30 },
            ServerClock::Same,
            Some("Wed, 12 Mar 2025 15:22:44 GMT"),
        ),
        (
            DateHeader::Apart { seconds: -15 },
            ServerClock::Ahead { days: 1 },
            Some("Thu, 13 Mar 2025 15:21:59 GMT"),
        ),
    ] {
        let mut world = world(default().date(header).clock(clock));
        assert_eq!(date(&mut world).as_deref(), shown, "{header:?}");
    }
    // An error has one too, and the one of a fault is replaced.
    let mut world = world(default().date(DateHeader::Apart { seconds: 1 }));
    let wrong = world.request(&Method::GET, "/v1/trees", "");
    assert!(world.emulator.respond(&wrong, world.now).headers().contains_key("date"));
    let retry_after = Some(oneclick_emulator::RetryAfter::Seconds(1));
    world.emulator.inject(FaultRule::new(Fault::RateLimited { retry_after }));
    assert_eq!(date(&mut world).as_deref(), Some("Wed, 12 Mar 2025 15:22:15 GMT"));
    world.emulator.set_behaviour(default().date(DateHeader::Absent));
    assert_eq!(date(&mut world), None);
}

#[test]
fn a_server_sends_the_date_that_the_switch_asks_for() {
    let server = Server::start().unwrap();
    let head = || send(&server, "GET", "/v1/whoami", None).0.to_lowercase();
    assert_eq!(head().matches("\r\ndate: ").count(), 1);
    for (header, count) in [(DateHeader::Apart { seconds: 86_400 }, 1), (DateHeader::Absent, 0)] {
        server.emulator().set_behaviour(default().date(header));
        let head = head();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert_eq!(head.matches("\r\ndate: ").count(), count, "{head}");
    }
}

#[test]
fn a_receipt_has_each_form() {
    for form in [ReceiptForm::Own, ReceiptForm::Crossed, ReceiptForm::Bare, ReceiptForm::Fraction] {
        let mut world = world(default().receipt(form));
        // There is no other purchase with which it could be swapped.
        let first = gift(&mut world, 3, "a@b");
        let body = r#"{"amount":5,"category":"food","customer_email":"c@d"}"#;
        let request = world.request(&Method::POST, TREES, body);
        let response = world.emulator.respond(&request, world.now);
        let text = String::from_utf8(response.into_body()).unwrap();
        let receipt: Value = serde_json::from_str(&text).unwrap();
        match form {
            ReceiptForm::Crossed => assert_eq!(receipt, first),
            ReceiptForm::Bare => {
                assert_eq!(receipt.as_object().unwrap().len(), 3, "{text}");
                assert_eq!(receipt["tree_planted"], 5);
            }
            _ => {
                assert_eq!(receipt["customer"]["customer_email"], "c@d");
                assert_eq!(receipt["category"], "food");
                let fraction = form == ReceiptForm::Fraction;
                assert_eq!(text.contains(r#""tree_planted":5.0"#), fraction, "{text}");
            }
        }
        assert_eq!(ledger(&world), [3, 5]);
    }
}

#[test]
fn a_cancellation_takes_effect_at_once_or_later() {
    for (effect, wait) in
        [(CancelEffect::AtOnce, 0), (CancelEffect::Later { millis: 5_000 }, 5_000)]
    {
        let mut world = world(default().cancel(effect));
        let receipt = trees(&mut world, 5);
        let id = handle(&receipt["user_id"], &receipt["time_utc"]);
        let cancelled = world.post(CANCEL, &id);
        assert_eq!(cancelled["message"], "impact cancelled");
        let uri = track(&receipt["user_id"], &receipt["time_utc"]);
        if wait > 0 {
            world.pass(TimeDelta::milliseconds(wait - 1));
            assert_eq!(world.get("/v1/impact")["tree_planted"], 5);
            assert_eq!(world.get(&uri).get("cancelled_on"), None);
            assert_eq!(world.post(CANCEL, &id)["message"], "impact cancelled");
            world.pass(TimeDelta::milliseconds(1));
        }
        assert_eq!(world.get("/v1/impact")["tree_planted"], 0);
        assert_eq!(world.get(&uri)["cancelled_on"], cancelled["cancelled_on"]);
        let again = world.post(CANCEL, &id);
        assert_eq!(again["message"], "impact was already cancelled");
        assert_eq!(again["cancelled_on"], cancelled["cancelled_on"]);
        world.pass(TimeDelta::days(1));
        assert_eq!(world.get("/v1/impact")["tree_planted"], 0);
        assert_eq!(ledger(&world), [5]);
    }
}

#[test]
fn the_response_to_a_repeated_cancellation_has_all_fields_or_four() {
    for (repeat, fields) in [(CancelRepeat::AllFields, 6), (CancelRepeat::FourFields, 4)] {
        let mut world = world(default().cancel_repeat(repeat));
        let receipt = trees(&mut world, 5);
        let mut body = json!({ "user_id": receipt["user_id"], "time_utc": receipt["time_utc"] });
        body["reason"] = "refunded".into();
        let first = world.post(CANCEL, &body.to_string());
        assert_eq!(first.as_object().unwrap().len(), 6);
        let again = world.post(CANCEL, &body.to_string());
        assert_eq!(again.as_object().unwrap().len(), fields, "{again}");
        assert_eq!(again["cancelled_on"], first["cancelled_on"]);
    }
}

#[test]
fn a_late_cancellation_is_refused_with_each_status() {
    for (refusal, status) in [
        (CancelRefusal::BadRequest, 400),
        (CancelRefusal::NotFound, 404),
        (CancelRefusal::Conflict, 409),
        (CancelRefusal::UnprocessableContent, 422),
    ] {
        let mut world = world(default().cancel_refusal(refusal));
        let receipt = trees(&mut world, 5);
        world.now += DONATION_SENT_AFTER;
        let id = handle(&receipt["user_id"], &receipt["time_utc"]);
        let message = world.refused_post(status, CANCEL, &id);
        assert!(message.contains("received"), "{message}");
        assert_eq!(world.get("/v1/impact")["tree_planted"], 5);
    }
}

#[test]
fn a_customers_impact_is_tracked_by_the_id_of_the_account_or_the_customer() {
    for by in [TrackBy::Account, TrackBy::Customer] {
        let mut world = world(default().track_by(by));
        let own = trees(&mut world, 1);
        world.get(&track(&own["user_id"], &own["time_utc"]));
        let receipt = gift(&mut world, 5, "a@b");
        let (account, customer) = (&receipt["user_id"], &receipt["customer"]["customer_id"]);
        let (right, wrong) =
            if by == TrackBy::Account { (account, customer) } else { (customer, account) };
        assert_eq!(world.get(&track(right, &receipt["time_utc"]))["tree_planted"], 5);
        world.refused_get(404, &track(wrong, &receipt["time_utc"]));
        // It can be cancelled by the id by which it is tracked, and by the id of the account.
        let message = |world: &mut World, user_id| {
            world.post(CANCEL, &handle(user_id, &receipt["time_utc"]))["message"].clone()
        };
        assert_eq!(message(&mut world, right), "impact cancelled");
        assert_eq!(message(&mut world, account), "impact was already cancelled");
        assert_eq!(world.get("/v1/impact")["tree_planted"], 1);
    }
}

#[test]
fn each_page_has_an_additional_row() {
    for (rows, shown) in [
        (OtherRows::WellFormed, "{\"user_records\":[{\"user_id\":"),
        (OtherRows::Null, "[null"),
        (OtherRows::WithoutUserId, "[{\"time_utc\":\"2025-03-12T15:22:14.75"),
        (OtherRows::AmountAsText, "\"tree_planted\":\"1\"}"),
        (OtherRows::HalfSurrogate, "\"category\":\"\\ud83c\"}"),
        (OtherRows::UnknownKind, "\"kelp_grown\":1}"),
    ] {
        let mut world = world(default().other_rows(rows));
        (1..=4).for_each(|amount| drop(trees(&mut world, amount)));
        gift(&mut world, 5, "a@b");
        let mut body = |uri: &str| {
            let request = world.request(&Method::GET, uri, "");
            let response = world.emulator.respond(&request, world.now);
            assert_eq!(response.status(), 200);
            String::from_utf8(response.into_body()).unwrap()
        };
        let page = body("/v1/records?limit=3");
        assert!(page.contains(shown), "{page}");
        // It counts for the limit, and reading page by page still ends.
        let room = if rows == OtherRows::WellFormed { 3 } else { 2 };
        assert!(page.contains("\"tree_planted\":2"), "{page}");
        assert_eq!(page.contains("\"tree_planted\":3"), room == 3, "{page}");
        for list in ["/v1/customer_records", "/v1/customer_records?customer_email=x@y"] {
            assert_eq!(body(list).contains(shown), rows != OtherRows::WellFormed);
        }
        assert!(!body("/v1/customers").contains(shown));
        if rows != OtherRows::HalfSurrogate {
            let (walked, pages) = walk(&mut world, "/v1/records?limit=1", "user_records");
            assert_eq!((pages, walked.len()), (4, if room == 3 { 4 } else { 8 }));
        }
        assert_eq!(ledger(&world), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn other_software_buys_the_same_just_before() {
    let body = r#"{"amount":5,"customer_email":"a@b","metadata":{"order":"A-1"}}"#;
    for (software, own, customers) in [
        (OtherSoftware::None, 0, 1),
        (OtherSoftware::BuysTheSame, 0, 2),
        (OtherSoftware::BuysForItself, 1, 1),
    ] {
        let mut world = world(default().other_software(software));
        let receipt = world.post(TREES, body);
        assert_eq!(records(&mut world).len(), own);
        let listed = customer_records(&mut world);
        assert_eq!(listed.len(), customers);
        let marked = listed.iter().filter(|row| row.get("metadata").is_some());
        let marked: Vec<_> = marked.collect();
        assert_eq!(marked.len(), 1);
        assert_eq!(marked[0]["time_utc"], receipt["time_utc"]);
        assert_eq!(ledger(&world), vec![5; own + customers]);

        // Even if a fault prevents the requested purchase.
        world.emulator.inject(FaultRule::new(Fault::ServerError).on(TREES).times(1));
        let request = world.request(&Method::POST, TREES, body);
        assert_eq!(world.emulator.respond(&request, world.now).status(), 500);
        let others = own + customers - 1;
        assert_eq!(ledger(&world).len(), 1 + 2 * others);
        // It does not react to refused requests, nor to those that buy nothing.
        world.refused_post(400, TREES, "{}");
        world.post(CANCEL, &handle(&receipt["user_id"], &receipt["time_utc"]));
        assert_eq!(ledger(&world).len(), 1 + 2 * others);
    }
}

#[test]
fn several_switches_can_be_combined() {
    let unkind = default()
        .metadata(MetadataForm::ValuesUpperCase)
        .address(AddressForm::LowerCase)
        .user_id(RecordUserId::Customers)
        .time_utc(TimeForm::Offset)
        .listed_in(ListedIn::Both)
        .track_by(TrackBy::Customer)
        .clock(ServerClock::Ahead { days: 1 });
    let mut world = world(unkind);
    let body = r#"{"amount":5,"customer_email":"Ada@B","metadata":{"order":"a-1"}}"#;
    let receipt = world.post(TREES, body);
    let record = customer_records(&mut world)[0].clone();
    let expected = json!({
        "user_id": receipt["customer"]["customer_id"],
        "customer": {
            "customer_id": receipt["customer"]["customer_id"],
            "customer_email": "ada@b",
        },
        "time_utc": "2025-03-13T15:22:14.753+00:00",
        "tree_planted": 5,
        "metadata": { "order": "A-1" },
    });
    assert_eq!(record, expected);
    assert_eq!(records(&mut world)[0]["time_utc"], record["time_utc"]);
    let id = &record["user_id"];
    assert_eq!(world.get(&track(id, &record["time_utc"]))["tree_planted"], 5);
    world.post(CANCEL, &handle(id, &record["time_utc"]));
    let entry = world.emulator.account("test_key").unwrap().ledger().next().unwrap();
    assert_eq!(entry.receipt.metadata.get("order"), Some("a-1"));
    assert!(entry.cancelled_on.is_some());
}

#[test]
fn no_switch_panics_at_the_earliest_and_latest_times() {
    let switches = [
        default().time_utc(TimeForm::SecondsRounded).clock(ServerClock::Ahead { days: u32::MAX }),
        default().days(DayZone::Offset { hours: i8::MIN }).clock(ServerClock::Behind { days: 9 }),
        default().days(DayZone::Offset { hours: i8::MAX }).time_utc(TimeForm::Microseconds),
        default().date(DateHeader::Apart { seconds: i64::MAX }),
        default().date(DateHeader::Apart { seconds: i64::MIN }),
        default().visibility(Visibility::After { millis: u64::MAX }),
        default().visibility(Visibility::Replicas { millis: u64::MAX }),
        default().cancel(CancelEffect::Later { millis: u64::MAX }),
        default().cursors(Cursors::Expire { millis: u64::MAX }).limit(Limits::Capped { at: 0 }),
    ];
    for now in [chrono::DateTime::<chrono::Utc>::MIN_UTC, chrono::DateTime::<chrono::Utc>::MAX_UTC]
    {
        for switches in switches {
            let mut world = world(switches);
            world.now = now;
            world
                .emulator
                .inject(FaultRule::new(Fault::DropThenApply { millis: u64::MAX }).times(1));
            for _ in 0..3 {
                let tree = world.request(&Method::POST, TREES, r#"{"amount":1}"#);
                let receipt = world.emulator.respond(&tree, now);
                let receipt: Value = serde_json::from_slice(receipt.body()).unwrap();
                for uri in ["/v1/records?limit=1&start_date=2025-01-01", "/v1/impact/daily"] {
                    world.respond(&world.request(&Method::GET, uri, ""));
                }
                let id = handle(&receipt["user_id"], &receipt["time_utc"]);
                world.respond(&world.request(&Method::POST, CANCEL, &id));
            }
        }
    }
}

#[test]
fn the_control_paths_show_set_and_reset_switches() {
    let server =
        Server::builder().behaviour(default().limit(Limits::Capped { at: 7 })).start().unwrap();
    let shown = ok(&server, "GET", PATH, None)["behaviour"].clone();
    assert_eq!(shown.as_object().unwrap().len(), 22);
    assert_eq!(shown["metadata"]["value"], "kept");
    assert_eq!(shown["limit"]["value"], json!({ "capped": { "at": 7 } }));
    let metadata = shown["metadata"]["values"].as_array().unwrap();
    assert!(metadata.contains(&json!("dropped")));
    assert!(metadata.contains(&json!({ "cut_short": { "chars": 16 } })));

    // Every listed value can be set.
    for (name, switch) in shown.as_object().unwrap() {
        for value in switch["values"].as_array().unwrap() {
            let body = json!({ name: value }).to_string();
            let set = ok(&server, "PATCH", PATH, Some(&body));
            assert_eq!(set["behaviour"][name]["value"], *value);
            assert_eq!(ok(&server, "GET", PATH, None), set);
        }
        ok(&server, "DELETE", PATH, None);
    }
    assert_eq!(server.emulator().behaviour(), default());

    let both = r#"{"metadata":"dropped","address":"lower_case"}"#;
    ok(&server, "POST", PATH, Some(both));
    ok(&server, "PATCH", PATH, Some(r#"{"limit":{"capped":{"at":3}}}"#));
    let expected = default()
        .metadata(MetadataForm::Dropped)
        .address(AddressForm::LowerCase)
        .limit(Limits::Capped { at: 3 });
    assert_eq!(server.emulator().behaviour(), expected);
    let ada = r#"{"amount":1,"customer_email":"Ada@B","metadata":{"order":"A-1"}}"#;
    let receipt = ok(&server, "POST", TREES, Some(ada));
    assert_eq!(receipt["customer"]["customer_email"], "ada@b");
    let list = ok(&server, "GET", "/v1/customer_records", None);
    assert_eq!(list["customer_records"][0].get("metadata"), None);
    let state = ok(&server, "GET", "/_emulator/state", None);
    assert_eq!(state["accounts"][0]["ledger"][0]["metadata"]["order"], "A-1");

    let reset = ok(&server, "DELETE", PATH, None);
    assert_eq!(reset["behaviour"]["metadata"]["value"], "kept");
    assert_eq!(server.emulator().behaviour(), default());
    server.emulator().set_behaviour(expected);
    ok(&server, "POST", "/_emulator/reset", None);
    assert_eq!(server.emulator().behaviour(), default());
}

#[test]
fn a_wrong_switch_is_refused_with_the_possible_values() {
    let server = Server::start().unwrap();
    for (body, words) in [
        (r#"{"metdata":"dropped"}"#, vec!["`metdata`", "metadata, address, address_filter"]),
        (r#"{"userId":"same"}"#, vec!["did you mean `user_id`"]),
        (r#"{"metadata":"lost"}"#, vec!["`metadata`", r#""kept", "dropped""#, r#"{"cut_short":"#]),
        (r#"{"metadata":null}"#, vec!["`metadata`", r#""kept""#]),
        (r#"{"limit":{"capped":{"at":-1}}}"#, vec!["`limit`", r#"{"capped":{"at":5}}"#]),
        (r#"{"limit":{"capped":{"to":1}}}"#, vec!["`limit`", r#""honoured""#]),
        (r#"{"address":"lower_case","metadata":1}"#, vec!["`metadata`"]),
        ("[]", vec!["such as", r#"{"metadata":"dropped""#]),
        ("", vec!["such as"]),
    ] {
        for method in ["PATCH", "POST"] {
            let message = refused(&server, 400, method, PATH, Some(body));
            for word in &words {
                assert!(message.contains(word), "{body}: {message}");
            }
        }
    }
    refused(&server, 415, "PATCH", PATH, None);
    refused(&server, 405, "PUT", PATH, Some("{}"));
    assert_eq!(server.emulator().behaviour(), default());
}
