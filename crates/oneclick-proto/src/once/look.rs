//! Reading the records until it is clear whether a purchase is among them.

use std::collections::HashSet;
use std::time::Duration;

use super::Intent;
use crate::endpoint::Receipt;
use crate::value::{ImpactId, Timestamp};
use crate::{ListCustomerRecords, ListRecords, Pager};

/// How many whole reads show that there is no trace.
pub(super) const MIN_READS: u32 = 2;

/// How many whole reads there are at most, should the clock stand still.
pub(super) const MAX_READS: u32 = 100;

/// How many reads may fail, each of them after the client's own retries.
pub(super) const MAX_FAILED_READS: u32 = 3;

/// Reading the records, again and again until the settle time has passed.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) began: Duration,
    /// When the read at hand began: an answer that comes late shows what there
    /// was then.
    pub(super) read_began: Duration,
    pub(super) walk: Option<Walk>,
    /// What any of the reads showed, each once.
    pub(super) found: Vec<Receipt>,
    seen: HashSet<ImpactId>,
    pub(super) same_time: bool,
    pub(super) order: Order,
    pub(super) reads: u32,
    pub(super) failed_reads: u32,
    /// Whether a wait comes before the next read.
    pub(super) wait: bool,
}

/// Whether the times of a read have fallen yet from one row to the next.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Option<Timestamp>,
    falls: bool,
}

/// One read of the list in which the purchase would be.
#[derive(Debug)]
pub(super) enum Walk {
    Own(Pager<ListRecords>),
    ListCustomers(Pager<ListCustomerRecords>),
}

impl Look {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            began: now,
            read_began: now,
            walk: None,
            found: Vec::new(),
            seen: HashSet::new(),
            same_time: false,
            order: Order::default(),
            reads: 0,
            failed_reads: 0,
            wait: false,
        }
    }

    /// Whether a page's rows come newest first. One row alone has no order, so
    /// nothing is believed before the times have fallen once.
    pub(super) fn is_newest_first(&mut self, rows: &[Receipt]) -> bool {
        let order = &mut self.order;
        for row in rows {
            let last = order.last.replace(row.time_utc.clone());
            order.falls |= last.is_some_and(|last| last > row.time_utc);
        }
        order.falls && rows.windows(2).all(|pair| pair[0].time_utc >= pair[1].time_utc)
    }

    /// Adds the matches of a page.
    pub(super) fn add(&mut self, rows: Vec<Receipt>, marker: &str) {
        let mut page = HashSet::new();
        for row in rows {
            if row.metadata.get(Intent::METADATA_KEY) != Some(marker) {
                continue;
            }
            // A row that moved to the next page while that was asked for is no
            // other one; two on one page are two, and there is no way to cancel
            // just one of them.
            let id = ImpactId::from(&row);
            self.same_time |= !page.insert(id.clone());
            if self.seen.insert(id) {
                self.found.push(row);
            }
        }
    }

    /// The waits double, and the last one ends when the settle time does.
    pub(super) fn wait_before_next(&self, settle: Duration, now: Duration) -> Duration {
        let reads = (self.reads + self.failed_reads).saturating_sub(1);
        let shortest = settle / 32;
        let left = settle.saturating_sub(now.saturating_sub(self.began));
        shortest.saturating_mul(2_u32.saturating_pow(reads)).min(left).max(shortest)
    }
}
