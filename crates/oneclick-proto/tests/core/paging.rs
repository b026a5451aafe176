//! Walks through lists, ended by the list, by caps and by errors.

use oneclick_proto::{
    Api, Cursor, Error, ErrorKind, ImpactKind, Limit, List, ListRecords, Page, Pager, Record,
};
use proptest::prelude::*;

/// A list of `items` records on pages of the limit that is asked for.
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
        let page = pager.take(Ok(serve(&request.unwrap(), items))).unwrap();
        seen.extend(page.items.iter().map(|record| record.impact.amount));
    }
    seen
}

proptest! {
    #[test]
    fn a_walk_sees_every_item_once_and_in_order(items in 0usize..300, limit in 1u64..40) {
        let mut pager = Pager::new(ListRecords::new().limit(Limit::new(limit).unwrap()));
        let seen = walk(&mut pager, items);
        prop_assert_eq!(seen, (0..i64::try_from(items).unwrap()).collect::<Vec<_>>());
        prop_assert!(pager.is_complete());
        prop_assert!(pager.cursor().is_none() && pager.request().is_none());
    }

    #[test]
    fn a_walk_with_a_cap_goes_on_where_it_stopped(
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
    fn a_walk_in_circles_ends_with_an_error(lead in 0u32..40, circle in 1u32..40) {
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
fn a_cap_on_pages_ends_the_walk() {
    let mut pager = Pager::new(ListRecords::new()).max_pages(3);
    assert_eq!(walk(&mut pager, 100).len(), 30);
    assert_eq!(pager.cursor().unwrap().as_str(), "30");
    assert!(!pager.is_complete());
}

#[test]
fn a_failed_walk_ends_and_knows_where_it_failed() {
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
fn a_server_that_ignores_the_limit_loses_nothing() {
    let mut pager = Pager::new(ListRecords::new()).max_items(5);
    let request = pager.request().unwrap().unwrap();
    assert_eq!(request.limit, Some(Limit::of::<5>()));
    let page = pager.take(Ok(serve(&ListRecords::new(), 100))).unwrap();
    assert_eq!(page.items.len(), 5);
    // The page is read again, rather than its second half skipped.
    assert_eq!(pager.cursor(), None);
    assert!(pager.request().is_none() && !pager.is_complete());
}

#[test]
fn filters_go_with_every_page() {
    let api = Api::sandbox("test_key").unwrap();
    let mut pager = Pager::new(ListRecords::new().filter_by(ImpactKind::TreePlanted));
    let first = pager.request().unwrap().unwrap();
    pager.take(Ok(serve(&first, 100))).unwrap();
    let second = api.encode(&pager.request().unwrap().unwrap()).unwrap();
    assert_eq!(second.uri().query(), Some("filter_by=tree_planted&cursor=10"));
}

#[test]
fn empty_pages_without_end_end_with_an_error() {
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

/// A limit is only asked for where it makes the last page smaller.
#[test]
fn a_cap_asks_for_no_more_than_is_left() {
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
