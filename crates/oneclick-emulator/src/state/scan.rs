//! Selects a page from sorted lists of positions. The cost does not grow with the lists.

use std::ops::Range;

use oneclick_proto::SortOrder;

/// A page, in the requested order.
pub(super) struct Selection {
    /// The selected positions.
    pub(super) positions: Vec<u32>,
    /// Whether there are more after them.
    pub(super) more: bool,
    /// How many entries of the lists were read.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests of the cost use it"))]
    pub(super) steps: usize,
}

/// Merges ascending lists of positions within a range, up to a limit.
///
/// It takes two binary searches per list, and then one comparison per list for each item.
pub(super) fn select(
    lists: &[&[u32]],
    range: &Range<u32>,
    order: SortOrder,
    limit: usize,
) -> Selection {
    let mut steps = 0;
    let mut heads: Vec<&[u32]> = lists
        .iter()
        .map(|list| {
            let mut below = |bound: u32| {
                list.partition_point(|position| {
                    steps += 1;
                    *position < bound
                })
            };
            let (start, end) = (below(range.start), below(range.end));
            &list[start..end.max(start)]
        })
        .collect();
    let mut positions = Vec::new();
    while positions.len() < limit {
        steps += heads.len();
        let filled = heads.iter_mut().filter(|list| !list.is_empty());
        let next = match order {
            SortOrder::Asc => filled.min_by_key(|list| list.first().copied()),
            SortOrder::Desc => filled.max_by_key(|list| list.last().copied()),
        };
        let Some(list) = next else { break };
        let split = match order {
            SortOrder::Asc => list.split_first(),
            SortOrder::Desc => list.split_last(),
        };
        if let Some((position, rest)) = split {
            positions.push(*position);
            *list = rest;
        }
    }
    let more = heads.iter().any(|list| !list.is_empty());
    Selection { positions, more, steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_merged_in_both_orders_within_the_range() {
        let lists: [&[u32]; 3] = [&[0, 3, 9], &[1, 2], &[]];
        let select = |range, order, limit| {
            let selection = select(&lists, &range, order, limit);
            (selection.positions, selection.more)
        };
        assert_eq!(select(0..10, SortOrder::Asc, 9), (vec![0, 1, 2, 3, 9], false));
        assert_eq!(select(0..10, SortOrder::Desc, 2), (vec![9, 3], true));
        assert_eq!(select(1..3, SortOrder::Asc, 2), (vec![1, 2], false));
        assert_eq!(select(1..3, SortOrder::Asc, 1), (vec![1], true));
        assert_eq!(select(10..99, SortOrder::Asc, 1), (vec![], false));
    }

    #[test]
    fn an_empty_range_selects_nothing() {
        let range = Range { start: 5, end: 2 };
        assert!(select(&[&[0, 3, 9]], &range, SortOrder::Asc, 9).positions.is_empty());
    }
}
