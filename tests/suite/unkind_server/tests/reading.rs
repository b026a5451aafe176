//! The dimensions of reads.

use super::*;

/// Buys one tree with two metadata and returns the body of a list that shows it.
fn listed(dimensions: Dimensions, list: &str) -> String {
    let mut world = World::new(dimensions);
    let mut body = json!({"amount": 1, "metadata": {"order": "7", MARKER_KEY: MARKER}});
    if list == "/v1/customer_records" {
        body["customer_email"] = "a@example.com".into();
    }
    world.tree(&body);
    String::from_utf8(world.response(list).into_body()).unwrap()
}

#[test]
fn metadata_take_every_form() {
    for &metadata in Metadata::ALL {
        let dimensions = Dimensions { metadata, ..Dimensions::default() };
        let body = listed(dimensions, "/v1/records");
        let of_customer = listed(dimensions, "/v1/customer_records");
        let kept = format!(r#""metadata":{{"oneclick_intent":"{MARKER}","order":"7"}}"#);
        let expected = match metadata {
            Metadata::Kept | Metadata::NotInCustomerRecords => kept.clone(),
            Metadata::Dropped | Metadata::NotInRecords => String::new(),
            Metadata::KeysRespelt => kept.replace("oneclick_intent", "oneclickIntent"),
            Metadata::ValuesRespelt => kept.replace(MARKER, &MARKER.to_uppercase()),
            Metadata::CutShort => {
                let row: Value = serde_json::from_str(&body).unwrap();
                let cut = row["user_records"][0]["metadata"][MARKER_KEY].as_str().unwrap();
                assert!((16..32).contains(&cut.len()), "{cut}");
                kept.replace(MARKER, &MARKER[..cut.len()])
            }
            Metadata::Reordered => {
                format!(r#""metadata":{{"order":"7","oneclick_intent":"{MARKER}"}}"#)
            }
            Metadata::JsonText => {
                format!(r#""metadata":"{{\"oneclick_intent\":\"{MARKER}\",\"order\":\"7\"}}""#)
            }
            Metadata::Nulled => r#""metadata":{"oneclick_intent":null,"order":null}"#.to_owned(),
        };
        assert!(body.contains(&expected), "{metadata:?}: {body}");
        assert_eq!(body.contains("metadata"), !expected.is_empty(), "{metadata:?}: {body}");
        match metadata {
            Metadata::NotInRecords => assert!(of_customer.contains(&kept)),
            Metadata::NotInCustomerRecords => assert!(!of_customer.contains("metadata")),
            _ => assert!(of_customer.contains(&expected)),
        }
    }
}

#[test]
fn metadata_change_on_read_or_on_write() {
    for &metadata_changed in MetadataChanged::ALL {
        let metadata = Metadata::Dropped;
        let dimensions = Dimensions { metadata, metadata_changed, ..Dimensions::default() };
        let mut world = World::new(dimensions);
        for _ in 0..30 {
            world.server.buy_for_others(&Order::new(Kind::Tree, 1).marker(MARKER), SECOND);
        }
        world.tree(&json!({"amount": 2, "metadata": {MARKER_KEY: MARKER}}));
        let intact = |world: &mut World| {
            let rows = world.rows("/v1/records?limit=1000");
            let (ours, others): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| row["tree_planted"] == 2);
            let intact =
                |rows: &[Value]| rows.iter().filter(|it| it["metadata"].is_object()).count();
            (intact(&ours), intact(&others))
        };
        let before = intact(&mut world);
        world.server.become_kind();
        let after = intact(&mut world);
        match metadata_changed {
            MetadataChanged::OnRead => assert_eq!((before, after), ((0, 0), (1, 30))),
            MetadataChanged::OnWrite => {
                assert_eq!(before, after);
                assert_eq!(before.0, 0);
                assert!((1..30).contains(&before.1), "some of the old ones: {}", before.1);
            }
        }
        world.tree(&json!({"amount": 2, "metadata": {MARKER_KEY: MARKER}}));
        assert_eq!(intact(&mut world).0, after.0 + 1);
    }
}

#[test]
fn addresses_are_stored_in_every_form() {
    let stored = |address, email: &str| {
        let mut world = World::new(Dimensions { address, ..Dimensions::default() });
        let receipt = world.tree(&json!({"amount": 1, "customer_email": email}));
        let shown = world.rows("/v1/customer_records")[0]["customer"].clone();
        assert_eq!(shown, receipt["customer"]);
        assert_eq!(shown["customer_email"], world.rows("/v1/customers")[0]["customer_email"]);
        assert_eq!(world.server.ledger()[0].order.email.as_deref(), Some(email));
        shown["customer_email"].as_str().unwrap().to_owned()
    };
    for &address in Address::ALL {
        let expected = match address {
            Address::Kept => "Ada+1@bücher.example",
            Address::LowerCase => "ada+1@bücher.example",
            Address::TagRemoved => "Ada@bücher.example",
            Address::Punycode => "Ada+1@xn--bcher-kva.example",
            Address::Decomposed => "Ada+1@bu\u{308}cher.example",
        };
        assert_eq!(stored(address, "Ada+1@bücher.example"), expected);
    }
    assert_eq!(stored(Address::Punycode, "a@xn--bcher-kva.example"), "a@bücher.example");
}

#[test]
fn addresses_are_compared_exactly_or_loosely() {
    for &address_filter in AddressFilter::ALL {
        for &address in Address::ALL {
            let mut world =
                World::new(Dimensions { address, address_filter, ..Dimensions::default() });
            let email = "Ada+1@bücher.example";
            world.tree(&json!({"amount": 1, "customer_email": email}));
            let encoded: String = form_urlencoded::byte_serialize(email.as_bytes()).collect();
            let found = match address_filter {
                AddressFilter::Exact => usize::from(address == Address::Kept),
                AddressFilter::Loose => 1,
            };
            for list in ["customer_records", "customers"] {
                let rows = world.rows(&format!("/v1/{list}?customer_email={encoded}"));
                assert_eq!(rows.len(), found, "{address:?} {address_filter:?}");
                assert!(world.rows(&format!("/v1/{list}?customer_email=bob@b.example")).is_empty());
            }
        }
    }
}

#[test]
fn a_record_shows_every_user_id() {
    for &user_id in UserId::ALL {
        let mut world = World::new(Dimensions { user_id, ..Dimensions::default() });
        let receipt = world.tree(&json!({"amount": 1, "customer_email": "a@example.com"}));
        assert_eq!(receipt["user_id"], ACCOUNT);
        let row = world.rows("/v1/customer_records").remove(0);
        let expected = match user_id {
            UserId::Same => "U123",
            UserId::OtherCase => "u123",
            UserId::OfCustomer => "U1234",
            UserId::Other => "ORG-77",
        };
        assert_eq!(row["user_id"], expected);
        let tracked = world.get(&track(&row["user_id"], &row["time_utc"])).0;
        assert_eq!(tracked, if user_id == UserId::OfCustomer { 404 } else { 200 });
        assert_eq!(world.get(&track(&json!(ACCOUNT), &row["time_utc"])).0, 200);
    }
}

#[test]
fn a_record_shows_its_time_in_every_form() {
    for &time_form in TimeForm::ALL {
        let mut world = World::new(Dimensions { time_form, ..Dimensions::default() });
        let mut forms = BTreeSet::new();
        for _ in 0..20 {
            let receipt = world.tree(&json!({"amount": 1}));
            let row = world.rows("/v1/records?sort_order=desc&limit=1").remove(0);
            let (sent, shown) = (&receipt["time_utc"], &row["time_utc"]);
            let (sent_text, shown_text) = (sent.as_str().unwrap(), shown.as_str().unwrap());
            let apart = (time(shown) - time(sent)).num_microseconds().unwrap();
            match time_form {
                TimeForm::Same => assert_eq!(sent, shown),
                TimeForm::Micros => {
                    assert_eq!(shown_text.len(), sent_text.len() + 3);
                    assert!((0..1000).contains(&apart));
                }
                TimeForm::Rounded => {
                    assert_eq!(shown_text.len(), "2024-09-16T20:34:04Z".len());
                    assert!((-500_000..=500_000).contains(&apart));
                }
                TimeForm::Cut => {
                    assert!(shown_text[19..] == *".000Z");
                    assert!((-999_000..=0).contains(&apart));
                }
                TimeForm::Offset => {
                    assert_eq!(shown_text, sent_text.replace('Z', "+00:00"));
                }
                TimeForm::Alternating => {}
            }
            forms.insert((shown_text.len(), shown_text[19..] == *".000Z"));
            for time_utc in [sent, shown] {
                let (status, tracked) = world.get(&track(&receipt["user_id"], time_utc));
                assert_eq!((status, &tracked["tree_planted"]), (200, &json!(1)));
            }
        }
        assert_eq!(forms.len() > 3, time_form == TimeForm::Alternating, "{forms:?}");
    }
}

#[test]
fn a_customers_purchase_is_listed_in_every_place() {
    for &place in Place::ALL {
        let mut world = World::new(Dimensions { place, ..Dimensions::default() });
        world.tree(&json!({"amount": 1}));
        world.tree(&json!({"amount": 2, "customer_email": "a@example.com"}));
        let records = amounts(&world.rows("/v1/records"));
        let of_customers = amounts(&world.rows("/v1/customer_records"));
        let expected: (&[u64], &[u64]) = match place {
            Place::CustomerRecords => (&[1], &[2]),
            Place::Records => (&[1, 2], &[]),
            Place::Both => (&[1, 2], &[2]),
        };
        assert_eq!((&records[..], &of_customers[..]), expected);
    }
}

#[test]
fn an_unknown_filter_has_every_effect() {
    for &unknown_filter in UnknownFilter::ALL {
        let mut world = World::new(Dimensions { unknown_filter, ..Dimensions::default() });
        world.tree(&json!({"amount": 1}));
        world.post(Kind::Coral.path(), &json!({"amount": 1}));
        let (status, body) = world.get("/v1/records?filter_by=coral_restored");
        let found = body["user_records"].as_array().map(Vec::len);
        let expected = match unknown_filter {
            UnknownFilter::Honoured => (200, Some(1)),
            UnknownFilter::EmptyList => (200, Some(0)),
            UnknownFilter::Everything => (200, Some(2)),
            UnknownFilter::BadRequest => (400, None),
        };
        assert_eq!((status, found), expected);
        assert_eq!(world.rows("/v1/records?filter_by=tree_planted").len(), 1);
    }
}

#[test]
fn sort_order_has_every_effect() {
    for &sort_order in SortOrder::ALL {
        let mut world = World::new(Dimensions { sort_order, ..Dimensions::default() });
        world.trees(12);
        let pages = world.pages("/v1/records?sort_order=desc&limit=6");
        let [first, second] = [amounts(&pages[0]), amounts(&pages[1])];
        let descending = |page: &[u64]| page.is_sorted_by(|a, b| a > b);
        let mut all = [&first[..], &second[..]].concat();
        match sort_order {
            SortOrder::Honoured => assert!(descending(&all), "{all:?}"),
            SortOrder::Ascending => assert!(all.is_sorted(), "{all:?}"),
            SortOrder::Unordered => {
                assert!(!all.is_sorted() && !descending(&first), "{all:?}");
            }
            SortOrder::PagesOfAscending => assert_eq!(first, [6, 5, 4, 3, 2, 1]),
            SortOrder::PagesOfUnordered => {
                assert!(descending(&first) && descending(&second));
                assert!(!descending(&all) && first != [6, 5, 4, 3, 2, 1], "{all:?}");
            }
        }
        all.sort_unstable();
        assert_eq!(all, (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn dates_are_inclusive_or_exclusive_and_days_begin_in_any_zone() {
    // The hours of a day whose purchases are found if exactly this day is requested.
    let found = |dimensions: Dimensions, start: i64, end: i64| {
        let mut world = World::new(dimensions);
        let right = world.server.right_time(world.now);
        let midnight = right.date_naive().succ_opt().unwrap();
        let wait = midnight.and_hms_opt(1, 0, 0).unwrap().and_utc() - right;
        for hour in 0..24 {
            let at = world.now + wait.to_std().unwrap() + Duration::from_secs(hour * 3600);
            world.server.buy_for_others(&Order::new(Kind::Tree, hour + 1), at);
        }
        world.now += Duration::from_secs(3 * 86_400);
        let day = |days: i64| midnight + TimeDelta::days(days);
        let query = format!("start_date={}&end_date={}&limit=99", day(start), day(end));
        amounts(&world.rows(&format!("/v1/records?{query}")))
    };
    for &dates in Dates::ALL {
        let dimensions = Dimensions { dates, ..Dimensions::default() };
        // The last purchase is at midnight of the next day.
        let hours = |least: u64, most: u64| (least..=most).collect::<Vec<_>>();
        match dates {
            Dates::Inclusive => assert_eq!(found(dimensions, 0, 0), hours(1, 23)),
            Dates::Exclusive => {
                assert!(found(dimensions, 0, 0).is_empty());
                assert_eq!(found(dimensions, -1, 1), hours(1, 23));
            }
        }
    }
    for &day_zone in DayZone::ALL {
        let dimensions = Dimensions { day_zone, ..Dimensions::default() };
        let expected = match day_zone {
            DayZone::Utc => 1..=23,
            DayZone::East => 1..=9,
            DayZone::West => 12..=24,
        };
        assert_eq!(found(dimensions, 0, 0), expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_limit_is_honoured_or_capped() {
    for &limit in Limit::ALL {
        let mut world = World::new(Dimensions { limit, ..Dimensions::default() });
        world.trees(30);
        let pages = world.pages("/v1/records?limit=1000");
        match limit {
            Limit::Honoured => assert_eq!(pages.len(), 1),
            Limit::Capped => assert!([3, 4, 10, 25].contains(&pages[0].len())),
        }
        assert_eq!(amounts(&pages.concat()), (1..=30).collect::<Vec<_>>());
        assert_eq!(world.rows("/v1/records?limit=2").len(), 2);
    }
}

#[test]
fn cursors_last_expire_or_shift() {
    for &cursors in Cursors::ALL {
        let mut world = World::new(Dimensions { cursors, ..Dimensions::default() });
        world.trees(4);
        let list = "/v1/records?sort_order=desc&limit=2";
        let (_, first) = world.get(list);
        assert_eq!(amounts(&rows(&first)), [4, 3]);
        let cursor = first["cursor"].as_str().unwrap().replace('+', "%2B");
        world.tree(&json!({"amount": 5}));
        world.now += Duration::from_secs(365 * 86_400);
        let mut expired = 0;
        for _ in 0..20 {
            let (status, second) = world.get(&format!("{list}&cursor={cursor}"));
            match (cursors, status) {
                (Cursors::Expiring, 400) => expired += 1,
                (Cursors::Shifting, 200) => assert_eq!(amounts(&rows(&second)), [3, 2]),
                (_, 200) => assert_eq!(amounts(&rows(&second)), [2, 1]),
                _ => panic!("{cursors:?} {status}"),
            }
        }
        match cursors {
            Cursors::Expiring => assert!((1..20).contains(&expired), "{expired}"),
            Cursors::Lasting | Cursors::Shifting => assert_eq!(expired, 0),
        }
    }
}

#[test]
fn a_purchase_is_visible_at_once_or_later_or_on_one_replica() {
    for &visibility in Visibility::ALL {
        let mut world = World::new(Dimensions { visibility, ..Dimensions::default() });
        for amount in 1..=9 {
            world.server.buy_for_others(&Order::new(Kind::Tree, amount), BEGINNING);
        }
        let seen: Vec<_> = (0..20).map(|_| world.rows("/v1/records").len()).collect();
        let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        match visibility {
            Visibility::AtOnce => assert_eq!((*least, *most), (9, 9)),
            Visibility::Later => assert!(*most < 9 && seen.is_sorted(), "{seen:?}"),
            Visibility::Replicas => assert!(*least < 9 && *most == 9, "{seen:?}"),
        }
        let mut kind = World { server: world.server.clone(), now: world.now };
        kind.server.become_kind();
        assert_eq!(kind.rows("/v1/records").len(), 9);
        world.now = BEGINNING + LAG;
        assert!((0..20).all(|_| world.rows("/v1/records").len() == 9));
    }
}

#[test]
fn the_servers_clock_is_right_or_days_off() {
    for &clock in Clock::ALL {
        let mut world = World::new(Dimensions { clock, ..Dimensions::default() });
        let receipt = world.tree(&json!({"amount": 1}));
        let off = time(&receipt["time_utc"]) - world.server.right_time(world.now);
        let days = match clock {
            Clock::Same => 0,
            Clock::Ahead => 3,
            Clock::Behind => -3,
        };
        assert!((off - TimeDelta::days(days)).abs() < TimeDelta::seconds(1), "{clock:?} {off}");
        let right = world.server.server_time(world.now);
        world.server.become_kind();
        assert_eq!(world.server.server_time(world.now), right);
    }
}

#[test]
fn the_date_header_matches_differs_or_is_missing() {
    for &date_header in DateHeader::ALL {
        let mut world = World::new(Dimensions { date_header, ..Dimensions::default() });
        let mut apart = Vec::new();
        for _ in 0..20 {
            let response = world.response("/v1/whoami");
            let server = world.server.server_time(world.now);
            apart.extend(response.headers().get("date").map(|date| {
                let date = DateTime::parse_from_rfc2822(date.to_str().unwrap()).unwrap();
                (server - date.to_utc()).num_milliseconds()
            }));
        }
        let same = |apart: &i64| (0..1000).contains(apart);
        match date_header {
            DateHeader::Same => assert!(apart.len() == 20 && apart.iter().all(same)),
            DateHeader::Apart => {
                let within = |apart: &i64| (-20_000..21_000).contains(apart) && !same(apart);
                assert!(apart.len() == 20 && apart.iter().all(within), "{apart:?}");
            }
            DateHeader::Missing => assert!(apart.is_empty()),
            DateHeader::Sometimes => {
                assert!((1..20).contains(&apart.len()) && apart.iter().all(same));
            }
        }
    }
}

/// Requests the cancellation of a receipt's purchase.
fn cancel(world: &mut World, receipt: &Value) -> (u16, Value) {
    let (user_id, time_utc) = (&receipt["user_id"], &receipt["time_utc"]);
    let body = json!({"user_id": user_id, "time_utc": time_utc, "reason": "returned"});
    parsed(&whole(world.post("/v1/cancel_impact", &body)))
}

#[test]
fn a_cancellation_takes_effect_at_once_later_or_never() {
    for &mode in Cancel::ALL {
        let mut world = World::new(Dimensions { cancel: mode, ..Dimensions::default() });
        let receipts: Vec<_> = (0..20).map(|_| world.tree(&json!({"amount": 1}))).collect();
        let statuses: Vec<_> = receipts.iter().map(|it| cancel(&mut world, it).0).collect();
        let again: Vec<_> = receipts.iter().map(|it| cancel(&mut world, it).0).collect();
        assert_eq!(statuses, again);
        let cancelled = statuses.iter().filter(|status| **status == 200).count();
        let standing = |world: &mut World| world.get("/v1/impact").1["tree_planted"].clone();
        let tracked = |world: &mut World| {
            let tracked = world.get(&track(&receipts[19]["user_id"], &receipts[19]["time_utc"])).1;
            tracked["cancelled_on"].is_string() && tracked["cancellation_reason"] == "returned"
        };
        match mode {
            Cancel::AtOnce => assert!(standing(&mut world) == 0 && tracked(&mut world)),
            Cancel::Later => {
                assert!(standing(&mut world).as_u64() > Some(0));
                world.now += CANCEL_LATE;
                assert!(standing(&mut world) == 0 && tracked(&mut world));
            }
            Cancel::Refused => {
                assert!((1..20).contains(&cancelled), "{statuses:?}");
                assert_eq!(standing(&mut world), 20 - cancelled);
            }
        }
        assert_eq!(world.rows("/v1/records?limit=99").len(), 20, "records do not show it");
    }
}

#[test]
fn a_repeated_cancellation_returns_all_fields_or_four() {
    for &cancel_repeat in CancelRepeat::ALL {
        let mut world = World::new(Dimensions { cancel_repeat, ..Dimensions::default() });
        let receipt = world.tree(&json!({"amount": 3, "category": "food"}));
        let (_, first) = cancel(&mut world, &receipt);
        assert_eq!(first["message"], "impact cancelled");
        world.now += SECOND;
        let (_, again) = cancel(&mut world, &receipt);
        let mut expected = json!({
            "user_id": receipt["user_id"], "time_utc": receipt["time_utc"],
            "cancelled_on": first["cancelled_on"], "message": "impact was already cancelled",
        });
        if cancel_repeat == CancelRepeat::AllFields {
            expected["tree_planted"] = 3.into();
            expected["category"] = "food".into();
            expected["reason"] = "returned".into();
        }
        assert_eq!(again, expected);
    }
}

#[test]
fn a_refused_cancellation_has_every_status() {
    for &cancel_refusal in CancelRefusal::ALL {
        let mut world = World::new(Dimensions { cancel_refusal, ..Dimensions::default() });
        let unknown = json!({"user_id": "U123", "time_utc": "2025-03-12T15:22:14.753Z"});
        let expected = match cancel_refusal {
            CancelRefusal::BadRequest => 400,
            CancelRefusal::NotFound => 404,
            CancelRefusal::Conflict => 409,
            CancelRefusal::Unprocessable => 422,
        };
        assert_eq!(cancel(&mut world, &unknown).0, expected);
    }
}

#[test]
fn a_customers_impact_is_tracked_by_the_accounts_id_or_by_the_customers() {
    for &track_by in TrackBy::ALL {
        let mut world = World::new(Dimensions { track_by, ..Dimensions::default() });
        let own = world.tree(&json!({"amount": 1}));
        let receipt = world.tree(&json!({"amount": 2, "customer_email": "a@example.com"}));
        let mut status =
            |id: &Value, receipt: &Value| world.get(&track(id, &receipt["time_utc"])).0;
        let customer = &receipt["customer"]["customer_id"];
        let expected = match track_by {
            TrackBy::Account => (200, 404),
            TrackBy::Customer => (404, 200),
        };
        assert_eq!((status(&receipt["user_id"], &receipt), status(customer, &receipt)), expected);
        assert_eq!(status(&own["user_id"], &own), 200);
    }
}

#[test]
fn an_impact_is_tracked_at_once_or_when_it_is_visible() {
    for &track_from in TrackFrom::ALL {
        let visibility = Visibility::Later;
        let mut world = World::new(Dimensions { visibility, track_from, ..Dimensions::default() });
        let receipt = world.tree(&json!({"amount": 1}));
        let target = track(&receipt["user_id"], &receipt["time_utc"]);
        let expected = match track_from {
            TrackFrom::AtOnce => 200,
            TrackFrom::Visible => 404,
        };
        assert!(world.rows("/v1/records").is_empty());
        assert_eq!(world.get(&target).0, expected);
        world.now += LAG;
        assert_eq!(world.get(&target).0, 200);
    }
}

#[test]
fn rows_of_other_software_are_malformed_in_every_way() {
    for &other_rows in OtherRows::ALL {
        let mut world = World::new(Dimensions { other_rows, ..Dimensions::default() });
        for _ in 0..40 {
            world.server.buy_for_others(&Order::new(Kind::Tree, 1), SECOND);
        }
        let ours = world.tree(&json!({"amount": 1}));
        let bytes = world.response("/v1/records?limit=1000").into_body();
        let text = String::from_utf8(bytes).unwrap();
        let whole =
            format!(r#"{{"user_id":"U123","time_utc":{},"tree_planted":1}}"#, ours["time_utc"]);
        assert!(text.contains(&whole), "our own row is well formed");
        let surrogates = text.matches(r#""category":"\ud83d""#).count();
        let kelp = text.matches("kelp_planted").count();
        let quoted = text.matches(r#""tree_planted":"1""#).count();
        let null = text.matches("null").count();
        let without = text.matches(r#"{"time_utc""#).count();
        let counts = [null, without, quoted, surrogates, kelp];
        let malformed = match other_rows {
            OtherRows::WellFormed => None,
            OtherRows::Null => Some(0),
            OtherRows::WithoutUserId => Some(1),
            OtherRows::AmountAsText => Some(2),
            OtherRows::HalfSurrogate => Some(3),
            OtherRows::UnknownKind => Some(4),
            OtherRows::Mixed => {
                assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
                continue;
            }
        };
        for (harm, count) in counts.iter().enumerate() {
            let expected = if malformed == Some(harm) { 5..=35 } else { 0..=0 };
            assert!(expected.contains(count), "{other_rows:?} {counts:?}");
        }
    }
}
