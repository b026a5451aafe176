//! Lists across pages, over every adapter.

use oneclick_emulator::Server;
use oneclick_proto::{Cursor, ErrorKind, Limit, ListRecords, Metadata, Pounds, TransportOptions};

use crate::adapter::{Adapter, check_private};
use crate::behaviours;
use crate::raw_server::{RawServer, response};

behaviours! {
    a_list_is_read_across_its_pages
    a_list_with_a_cap_is_resumed_from_a_cursor
    a_list_whose_cursors_repeat_ends_with_an_error
    a_page_that_is_too_large_is_read_in_smaller_pages
    a_list_ends_after_an_error
    a_malformed_row_is_an_error_and_the_list_continues
}

const ROW: &str = r#"{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}"#;

fn amounts<S: Adapter>(client: &S, list: ListRecords, cap: u64) -> Vec<i64> {
    client.walk(list, cap).into_iter().map(|record| record.unwrap().impact.amount).collect()
}

fn a_list_is_read_across_its_pages<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    for amount in 1..=25 {
        let ocean = oneclick_proto::CleanOcean::new(Pounds::new(amount).unwrap());
        client.send(ocean).unwrap();
    }
    for limit in [1, 4, 5, 25, 26, 1000] {
        let list = ListRecords::new().limit(Limit::new(limit).unwrap());
        assert_eq!(amounts(&client, list, u64::MAX), (1..=25).collect::<Vec<_>>());
    }
    assert_eq!(amounts(&client, ListRecords::new(), u64::MAX).len(), 25);
}

fn a_list_with_a_cap_is_resumed_from_a_cursor<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    for amount in 1..=9 {
        let ocean = oneclick_proto::CleanOcean::new(Pounds::new(amount).unwrap());
        client.send(ocean).unwrap();
    }
    let list = ListRecords::new().limit(Limit::of::<2>());
    assert_eq!(amounts(&client, list.clone(), 5), [1, 2, 3, 4, 5]);
    let page = client.send(list.clone().limit(Limit::of::<5>())).unwrap();
    let rest = list.cursor(page.cursor.unwrap());
    assert_eq!(amounts(&client, rest, u64::MAX), [6, 7, 8, 9]);
}

fn a_malformed_row_is_an_error_and_the_list_continues<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        let first = format!(r#"{{"user_records":[{{"user_id":7}},{ROW},null],"cursor":"next"}}"#);
        let other = ROW.replace(":1}", ":2}");
        let last = format!(r#"{{"user_records":[{other}]}}"#);
        for page in [first, last] {
            wire.request();
            wire.write(&response("200 OK", "", &page));
        }
    });
    let items = S::new(&server.url()).walk(ListRecords::new(), u64::MAX);
    let shown = items.iter().map(|item| match item {
        Ok(record) => record.impact.amount.to_string(),
        Err(error) => {
            check_private(error);
            assert!(matches!(error.kind(), ErrorKind::MalformedRow));
            assert_eq!(
                error.to_string(),
                "GET /v1/records: a row of the list could not be decoded"
            );
            String::from_utf8(error.body().to_vec()).unwrap()
        }
    });
    assert_eq!(shown.collect::<Vec<_>>(), ["1", r#"{"user_id":7}"#, "null", "2"]);
}

fn a_list_whose_cursors_repeat_ends_with_an_error<S: Adapter>() {
    let page = format!(r#"{{"user_records":[{ROW}],"cursor":"again"}}"#);
    let server = RawServer::responding(response("200 OK", "", &page));
    let items = S::new(&server.url()).walk(ListRecords::new(), u64::MAX);
    let error = items.last().unwrap().as_ref().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CursorRepeated));
    // The row of the second page was returned before.
    assert_eq!(items.len(), 2);
    assert_eq!(server.requests().len(), 2);
}

/// A page of a thousand records with large metadata exceeds the default limit.
fn a_page_that_is_too_large_is_read_in_smaller_pages<S: Adapter>() {
    let emulator = Server::start().unwrap();
    let client = S::new(emulator.base_url());
    let pairs = (0..Metadata::MAX_PAIRS).map(|key| (key.to_string(), "x".repeat(400)));
    let metadata = Metadata::from_pairs(pairs).unwrap();
    for amount in 1..=25 {
        let ocean = oneclick_proto::CleanOcean::new(Pounds::new(amount).unwrap());
        client.send(ocean.metadata(metadata.clone())).unwrap();
    }
    let list = ListRecords::new().limit(Limit::of::<1000>());
    let capped =
        |bytes| S::at(emulator.base_url(), &TransportOptions::new().max_response_bytes(bytes));
    assert_eq!(amounts(&capped(100_000), list.clone(), u64::MAX), (1..=25).collect::<Vec<_>>());
    let items = capped(5_000).walk(list, u64::MAX);
    let [Err(error)] = &*items else { panic!("{items:?}") };
    assert!(error.is_too_large() && error.to_string().contains("only one item"), "{error}");
}

fn a_list_ends_after_an_error<S: Adapter>() {
    let server = RawServer::start(|_, wire| {
        while let Some(request) = wire.request() {
            let bytes = if request.contains("cursor=a%2B%2F%3D") {
                response("500 X", "", "")
            } else {
                let page = format!(r#"{{"user_records":[{ROW}],"cursor":"a+/="}}"#);
                response("200 OK", "", &page)
            };
            wire.write(&bytes);
        }
    });
    let items = S::new(&server.url()).walk(ListRecords::new(), u64::MAX);
    assert_eq!(items.len(), 2);
    let error = items[1].as_ref().unwrap_err();
    check_private(error);
    assert_eq!(error.status().unwrap(), 500);
    assert_eq!(server.requests().len(), 2);
    let resumed = ListRecords::new().cursor(Cursor::new("a+/="));
    assert_eq!(S::new(&server.url()).walk(resumed, u64::MAX).len(), 1);
}
