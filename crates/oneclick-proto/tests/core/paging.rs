//! The pager: ends, caps, errors, pages that are too large, and items that shift.

use std::time::Duration;

use oneclick_proto::{
    Api, BodyReader, Call, Cursor, Endpoint, Error, ErrorKind, ImpactKind, Limit, List,
    ListRecords, Machine, Page, Pager, Record, RetryPolicy, Step,
};
use proptest::prelude::*;

/// A page of a list of `items` records, as long as the requested limit.
fn serve(request: &ListRecords, items: usize) -> Page<Record> {
    let start: usize = request.cursor().map_or(0, |cursor| cursor.as_str().parse().unwrap());
    let limit = usize::try_from(request.limit().map_or(10, Limit::get)).unwrap();
    let end = (start + limit).min(items);
    let rows: Vec<Record> = (start..end)
        .map(|at| {
            serde_json::from_value(serde_json::json!({
                "user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": at,
            }))
            .unwrap()
        })
        .collect();
    Page::new(rows, (end < items).then(|| Cursor::new(end.to_string())))
}

fn walk(pager: &mut Pager<ListRecords>, items: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    while let Some(request) = pager.request() {
        let page = pager.take(Ok(serve(&request.unwrap(), items))).unwrap().unwrap();
        seen.extend(page.items.iter().map(|record| record.impact.amount));
    }
    seen
}

proptest! {
    #[test]
    fn a_pager_returns_every_item_once_and_in_order(items in 0usize..300, limit in 1u64..40) {
        let mut pager = Pager::new(ListRecords::new().limit(Limit::new(limit).unwrap()));
        let seen = walk(&mut pager, items);
        prop_assert_eq!(seen, (0..i64::try_from(items).unwrap()).collect::<Vec<_>>());
        prop_assert!(pager.is_complete());
        prop_assert!(pager.cursor().is_none() && pager.request().is_none());
    }

    #[test]
    fn a_pager_with_a_cap_can_be_resumed_where_it_stopped(
        items in 0usize..200, limit in 1u64..40, cap in 0u64..100,
    ) {
        let request = ListRecords::new().limit(Limit::new(limit).unwrap());
        let mut first = Pager::new(request.clone()).max_items(cap);
        let mut seen = walk(&mut first, items);
        prop_assert_eq!(seen.len(), items.min(usize::try_from(cap).unwrap()));
        if !first.is_complete() {
            let mut rest = Pager::new(match first.cursor() {
                Some(cursor) => request.cursor(cursor.clone()),
                None => request,
            });
            seen.extend(walk(&mut rest, items));
        }
        prop_assert_eq!(seen, (0..i64::try_from(items).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn cursors_that_repeat_end_with_an_error(lead in 0u32..40, circle in 1u32..40) {
        let mut pager = Pager::new(ListRecords::new());
        let mut pages = 0;
        let error: Error = loop {
            let request = match pager.request().expect("circles do not end by themselves") {
                Ok(request) => request,
                Err(error) => break error,
            };
            let at: u32 = request.cursor.as_ref().map_or(0, |c| c.as_str().parse().unwrap());
            let next = if at + 1 < lead + circle { at + 1 } else { lead };
            pages += 1;
            prop_assert!(pages <= 3 * (lead + circle) + 3, "noticed late");
            pager.take(Ok(Page::new(Vec::new(), Some(Cursor::new(next.to_string()))))).unwrap();
        };
        prop_assert!(matches!(error.kind(), ErrorKind::CursorRepeated));
        prop_assert!(pager.request().is_none(), "ended after the error");
    }
}

#[test]
fn a_pager_ends_at_its_cap_on_pages() {
    let mut pager = Pager::new(ListRecords::new()).max_pages(3);
    assert_eq!(walk(&mut pager, 100).len(), 30);
    assert_eq!(pager.cursor().unwrap().as_str(), "30");
    assert!(!pager.is_complete());
}

#[test]
fn a_pager_ends_after_a_failure_and_keeps_its_cursor() {
    let mut pager = Pager::new(ListRecords::new());
    let request = pager.request().unwrap().unwrap();
    pager.take(Ok(serve(&request, 100))).unwrap();
    pager.request().unwrap().unwrap();
    let failed = Api::production("test_x").map(|_| Page::new(Vec::new(), None));
    assert!(pager.take(failed.map_err(Error::from)).is_err());
    assert!(pager.request().is_none());
    assert_eq!(pager.cursor().unwrap().as_str(), "10");
}

#[test]
fn no_item_is_lost_if_the_server_ignores_the_limit() {
    let mut pager = Pager::new(ListRecords::new()).max_items(5);
    let request = pager.request().unwrap().unwrap();
    assert_eq!(request.limit, Some(Limit::of::<5>()));
    let page = pager.take(Ok(serve(&ListRecords::new(), 100))).unwrap().unwrap();
    assert_eq!(page.items.len(), 5);
    // Resuming reads the page again instead of skipping its second half.
    assert_eq!(pager.cursor(), None);
    assert!(pager.request().is_none() && !pager.is_complete());
}

#[test]
fn every_page_is_requested_with_the_filters() {
    let api = Api::sandbox("test_key").unwrap();
    let mut pager = Pager::new(ListRecords::new().filter_by(ImpactKind::TreePlanted));
    let first = pager.request().unwrap().unwrap();
    pager.take(Ok(serve(&first, 100))).unwrap();
    let second = api.encode(&pager.request().unwrap().unwrap()).unwrap();
    assert_eq!(second.uri().query(), Some("filter_by=tree_planted&cursor=10"));
}

#[test]
fn endless_empty_pages_end_with_an_error() {
    let mut pager = Pager::new(ListRecords::new());
    let mut count = 0;
    let error = loop {
        match pager.request().expect("it does not end by itself") {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        let next = Cursor::new(count.to_string());
        pager.take(Ok(Page::new(Vec::new(), Some(next)))).unwrap();
    };
    assert!(matches!(error.kind(), ErrorKind::EmptyPages));
    assert_eq!(count, Pager::<ListRecords>::MAX_EMPTY_PAGES);
    assert!(pager.request().is_none());
}

/// The limit is only set if it makes the last page smaller.
#[test]
fn the_last_request_before_a_cap_has_a_smaller_limit() {
    for (limit, cap, asked) in [
        (None, 9, Some(9)),
        (None, 10, None),
        (None, 11, None),
        (Some(5), 4, Some(4)),
        (Some(5), 6, Some(5)),
    ] {
        let mut list = ListRecords::new();
        if let Some(limit) = limit {
            list = list.limit(Limit::new(limit).unwrap());
        }
        let request = Pager::new(list).max_items(cap).request().unwrap().unwrap();
        assert_eq!(request.limit.map(Limit::get), asked, "{limit:?} {cap}");
    }
}

fn too_large() -> Error {
    let (head, ()) = http::Response::new(()).into_parts();
    let error = BodyReader::new(&http::Method::GET, head, 0).push(b"x").unwrap_err();
    let api = Api::sandbox("test_key").unwrap();
    let call = Call::new(ListRecords::new());
    let Step::Send(_, sent) = call.start(&api, RetryPolicy::NEVER, 0, Duration::ZERO) else {
        panic!("a call sends first");
    };
    match sent.finish::<Vec<u8>>(Err(error), Duration::ZERO) {
        Step::Done(result) => result.unwrap_err(),
        step => panic!("{step:?}"),
    }
}

/// Reads a list if at most `fit` items fit into a response. Returns the items and the
/// requested limits.
fn walk_of_large_items(pager: &mut Pager<ListRecords>, fit: u64) -> (Vec<i64>, Vec<u64>) {
    let (mut seen, mut limits) = (Vec::new(), Vec::new());
    while let Some(request) = pager.request() {
        let request = request.unwrap();
        let limit = request.limit.map_or(10, Limit::get);
        limits.push(limit);
        let page = if limit > fit { Err(too_large()) } else { Ok(serve(&request, 30)) };
        if let Ok(Some(page)) = pager.take(page) {
            seen.extend(page.items.iter().map(|record| record.impact.amount));
        }
    }
    (seen, limits)
}

#[test]
fn a_page_that_is_too_large_is_requested_with_half_the_limit() {
    let all: Vec<i64> = (0..30).collect();
    let list = || ListRecords::new().limit(Limit::of::<1000>());
    let (seen, limits) = walk_of_large_items(&mut Pager::new(list()), 20);
    assert_eq!(seen, all);
    assert_eq!(limits, [1000, 500, 250, 125, 62, 31, 15, 15]);
    // The default limit is ten.
    let (seen, limits) = walk_of_large_items(&mut Pager::new(ListRecords::new()), 5);
    assert_eq!((seen, &limits[..3]), (all, &[10, 5, 5][..]));
    // A limit that comes from a cap is halved too.
    let mut capped = Pager::new(list()).max_items(8);
    let (seen, limits) = walk_of_large_items(&mut capped, 6);
    assert_eq!((seen.len(), &*limits), (8, &[8, 4, 4][..]));
    assert_eq!(capped.cursor().unwrap().as_str(), "8");
}

#[test]
fn a_single_item_that_is_too_large_is_an_error() {
    let mut pager = Pager::new(ListRecords::new().limit(Limit::of::<3>()));
    let (seen, limits) = walk_of_large_items(&mut pager, 0);
    assert_eq!((&*seen, &*limits), (&[][..], &[3, 1][..]));
    let mut pager = Pager::new(ListRecords::new().limit(Limit::of::<1>()));
    let error = pager.take(Err(too_large())).unwrap_err();
    assert!(error.is_too_large());
    assert!(error.to_string().contains("the page has only one item"), "{error}");
    let longer = Pager::new(ListRecords::new()).take(Err(too_large())).unwrap();
    assert!(longer.is_none());
    // Another failure ends the list without a smaller limit.
    for limit in [1, 2] {
        let mut pager = Pager::new(ListRecords::new().limit(Limit::new(limit).unwrap()));
        let other = pager.take(Err(Limit::new(0).unwrap_err().into())).unwrap_err();
        assert!(!other.is_too_large() && pager.request().is_none());
        assert!(!other.to_string().contains("only one item"), "{other}");
    }
}

/// A list that the caller defined may ignore `with_limit`.
#[test]
fn a_list_that_ignores_limits_fails_once() {
    #[derive(Clone, Debug, serde::Serialize)]
    struct Fixed;

    impl Endpoint for Fixed {
        const METHOD: http::Method = http::Method::GET;
        const PATH: &'static str = "/v1/records";
        const IDEMPOTENT: bool = true;
        type Response = Page<Record>;
    }

    impl List for Fixed {
        type Item = Record;

        fn with_cursor(self, _: Cursor) -> Self {
            self
        }

        fn with_limit(self, _: Limit) -> Self {
            self
        }

        fn cursor(&self) -> Option<&Cursor> {
            None
        }

        fn limit(&self) -> Option<Limit> {
            None
        }
    }

    let mut pager = Pager::new(Fixed);
    assert!(pager.take(Err(too_large())).is_err());
    assert!(pager.request().is_none());
}

fn record(second: u32, fraction: &str) -> Record {
    serde_json::from_value(serde_json::json!({"user_id": "U1", "tree_planted": 1,
        "time_utc": format!("2024-09-16T20:34:{second:02}{fraction}Z")}))
    .unwrap()
}

/// How many items the pager returns for each of these pages, whose items have these
/// seconds.
fn returned(fraction: &str, pages: &[&[u32]]) -> Vec<usize> {
    let mut walk = Pager::new(ListRecords::new());
    let take = |(number, page): (usize, &&[u32])| {
        walk.request().unwrap().unwrap();
        let items = page.iter().map(|second| record(*second, fraction)).collect();
        let cursor = Some(Cursor::new(format!("after {number}")));
        walk.take(Ok(Page::new(items, cursor))).unwrap().unwrap().items.len()
    };
    pages.iter().enumerate().map(take).collect()
}

#[test]
fn items_that_shifted_to_the_next_page_are_not_returned_again() {
    // Nothing, one item and two items were added before the second page was read.
    assert_eq!(returned(".001", &[&[9, 8, 7], &[6, 5, 4]]), [3, 3]);
    assert_eq!(returned(".001", &[&[9, 8, 7], &[7, 6, 5], &[4, 3]]), [3, 2, 2]);
    assert_eq!(returned(".001", &[&[9, 8, 7], &[8, 7, 6]]), [3, 1]);
    // Among them is an item that was not returned before, so nothing shifted.
    assert_eq!(returned(".001", &[&[9, 8, 7], &[8, 6, 7]]), [3, 3]);
    // Shifts across a short page are recognized, and shifts of up to twenty items.
    assert_eq!(returned(".001", &[&[9, 8, 7], &[6], &[8, 7, 6, 5]]), [3, 1, 1]);
    let page: Vec<u32> = (0..30).rev().collect();
    assert_eq!(returned(".001", &[&page, &page[10..]]), [30, 0]);
    assert_eq!(returned(".001", &[&page, &page[9..]]), [30, 21]);
    // A page of only repeated items does not end the list.
    assert_eq!(returned(".001", &[&[9, 8, 7], &[9, 8, 7], &[7, 6, 5]]), [3, 0, 2]);
    // Two purchases in the same second may look equal.
    assert_eq!(returned("", &[&[9, 8, 7], &[7, 6, 5]]), [3, 3]);
    // A unique item does not make the one after it unique.
    let mut pager = Pager::new(ListRecords::new());
    for (items, fresh) in [
        (vec![record(9, ".001")], 1),
        (vec![record(8, "")], 1),
        (vec![record(9, ".001"), record(8, "")], 2),
    ] {
        let page = Page::new(items, Some(Cursor::new("next")));
        assert_eq!(pager.take(Ok(page)).unwrap().unwrap().items.len(), fresh);
    }
}
