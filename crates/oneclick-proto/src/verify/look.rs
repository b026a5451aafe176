//! Reads from both lists the rows that a conclusion needs.

use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};

use super::rules::{ListName, ListedRows};
use crate::endpoint::{Page, Receipt};
use crate::machine::{ApiRequest, ApiResult};
use crate::value::{Cursor, DateRange, Limit, SortOrder};
use crate::{Error, ListCustomerRecords, ListRecords};

/// How many rows in order, across the end of a page, prove that a list is sorted (R14).
const PROOF: usize = 40;
/// How far times in an ascending list may go back because of rounding to seconds.
const ROUNDING: TimeDelta = TimeDelta::milliseconds(1_010);
/// How long to wait between the first page of a list and the second. After that, every
/// replica shows the rows of the first page. So if the cursor is a position, new rows
/// make the next page repeat rows instead of skipping some, and that reveals it.
const CATCH_UP: Duration = Duration::from_secs(30);

/// One look at both lists: the newest page of each, and on demand all other pages that
/// may hold the purchases.
#[derive(Debug)]
pub(crate) struct Look {
    began: Duration,
    /// No purchase was made before this time; `None` if that is not known.
    from: Option<DateTime<Utc>>,
    /// No purchase was made after this time; `None` if that is not known.
    until: Option<DateTime<Utc>>,
    max_pages: u64,
    lists: [Reader; 2],
    /// Whether to read more than the newest page of each list.
    deep: bool,
    waited: bool,
    /// The longest time for which a cache had a page.
    age: Duration,
    rows: ListedRows,
}

#[derive(Debug)]
struct Reader {
    name: ListName,
    stage: Stage,
    pages: u64,
    limit: Limit,
    cursor: Option<Cursor>,
    /// The time of the first row.
    first: Option<DateTime<Utc>>,
    /// The time of the last row or, if the oldest come first, the latest time so far.
    last: Option<DateTime<Utc>>,
    /// Whether the rows came in the requested order.
    ordered: bool,
    rows: usize,
}

/// How far a list has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NewestFirst,
    OldestFirst,
    /// All rows that matter were read.
    Whole,
    /// Rows may have been missed.
    Partial,
}

/// What to do next in a look.
pub(crate) enum Reading {
    Send(ApiRequest),
    Wait(Duration),
    Done,
}

impl Look {
    /// A look that begins with the newest page of each list.
    pub(crate) fn new(
        now: Duration,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        max_pages: u64,
    ) -> Self {
        let list = |name| Reader {
            name,
            stage: Stage::NewestFirst,
            pages: 0,
            limit: Limit::of::<1000>(),
            cursor: None,
            first: None,
            last: None,
            ordered: true,
            rows: 0,
        };
        Self {
            began: now,
            from,
            until,
            max_pages,
            lists: [list(ListName::Customers), list(ListName::Own)],
            deep: false,
            waited: false,
            age: Duration::ZERO,
            rows: ListedRows::default(),
        }
    }

    /// Continues beyond the newest pages; returns whether it did not do so before.
    pub(crate) fn deepen(&mut self) -> bool {
        !std::mem::replace(&mut self.deep, true)
    }

    pub(crate) fn began(&self) -> Duration {
        self.began
    }

    /// How much older than the look its pages may be.
    pub(crate) fn age(&self) -> Duration {
        self.age
    }

    /// Whether both lists were read as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.lists.iter().all(|list| list.stage == Stage::Whole)
    }

    pub(crate) fn rows(&self) -> &ListedRows {
        &self.rows
    }

    pub(crate) fn next(&mut self) -> Reading {
        let Some(list) = self.lists.iter().find(|list| list.is_open(self.deep)) else {
            return Reading::Done;
        };
        if self.deep && !std::mem::replace(&mut self.waited, true) {
            return Reading::Wait(CATCH_UP);
        }
        let order = match list.stage {
            Stage::OldestFirst => SortOrder::Asc,
            _ => SortOrder::Desc,
        };
        Reading::Send(list.request(self.days(), order))
    }

    /// From two days before the first purchase (R15), enough for days of any time zone.
    fn days(&self) -> DateRange {
        let first = self.from.and_then(|from| from.date_naive().checked_sub_days(Days::new(2)));
        DateRange::new(first, None).unwrap_or(DateRange::ALL)
    }

    /// Takes the result of the latest request. `keep` decides whether to keep a row that
    /// is older than all purchases.
    pub(crate) fn take(
        &mut self,
        result: ApiResult<'_>,
        personal: &dyn Fn() -> Vec<String>,
        keep: &dyn Fn(&Receipt) -> bool,
    ) -> Result<(), Error> {
        let deep = self.deep;
        let Some(list) = self.lists.iter_mut().find(|list| list.is_open(deep)) else {
            return Ok(());
        };
        let (name, age) = (list.name, result.age());
        let page = match read(name, result, personal) {
            Err(error) if error.is_too_large() && list.halve() => return Ok(()),
            page => page?,
        };
        self.age = self.age.max(age);
        self.rows.add_malformed(page.malformed);
        list.cursor = page.cursor;
        let times: Vec<_> = page.items.iter().map(|row| row.time_utc.datetime()).collect();
        let recent = |row: &Receipt| self.from.is_none_or(|from| row.time_utc.datetime() >= from);
        let repeated = self.rows.add(name, page.items, |row| recent(row) || keep(row));
        if list.stage == Stage::OldestFirst {
            list.take_oldest_first(&times, self.until, self.max_pages);
        } else {
            // If rows move from page to page, some may be skipped.
            list.ordered &= !repeated;
            list.take_newest_first(&times, self.from, self.max_pages);
        }
        Ok(())
    }
}

impl Reader {
    /// Whether to read another page.
    fn is_open(&self, deep: bool) -> bool {
        match self.stage {
            Stage::Whole | Stage::Partial => false,
            _ => deep || self.pages == 0,
        }
    }

    /// The request for the next page, without any filter (R15), past any cache (R13).
    fn request(&self, dates: DateRange, order: SortOrder) -> ApiRequest {
        let (limit, cursor) = (self.limit, self.cursor.clone());
        match self.name {
            ListName::Own => {
                let list = ListRecords::new().dates(dates).limit(limit).sort_order(order);
                ApiRequest::of(&ListRecords { cursor, ..list }).fresh()
            }
            ListName::Customers => {
                let list = ListCustomerRecords::new().dates(dates).limit(limit).sort_order(order);
                ApiRequest::of(&ListCustomerRecords { cursor, ..list }).fresh()
            }
        }
    }

    /// Halves the limit after a page that was too large; `false` if that is impossible.
    fn halve(&mut self) -> bool {
        let half = Limit::new(self.limit.get() / 2);
        self.limit = half.as_ref().copied().unwrap_or(self.limit);
        half.is_ok()
    }

    fn take_newest_first(
        &mut self,
        times: &[DateTime<Utc>],
        from: Option<DateTime<Utc>>,
        max_pages: u64,
    ) {
        self.pages += 1;
        for &time in times {
            self.ordered &= self.last.is_none_or(|last| last >= time);
            self.first = self.first.or(Some(time));
            self.last = Some(time);
        }
        self.rows += times.len();
        let falls = self.first > self.last;
        let sorted = self.ordered && falls && self.rows >= PROOF && self.pages > 1;
        let passed = sorted && from.zip(self.last).is_some_and(|(from, last)| last < from);
        self.stage = match &self.cursor {
            None if self.pages == 1 || self.ordered => Stage::Whole,
            Some(_) if passed => Stage::Whole,
            Some(_) if self.ordered && self.pages >= max_pages => Stage::Partial,
            Some(_) if self.ordered => Stage::NewestFirst,
            _ => {
                (self.pages, self.rows, self.cursor, self.last) = (0, 0, None, None);
                self.first = None;
                Stage::OldestFirst
            }
        };
    }

    /// Every replica shows older rows, and they no longer move. So nothing is missed
    /// between two pages, whatever kind of cursor the server uses.
    fn take_oldest_first(
        &mut self,
        times: &[DateTime<Utc>],
        until: Option<DateTime<Utc>>,
        max_pages: u64,
    ) {
        self.pages += 1;
        for &time in times {
            if self.last.is_some_and(|last| time < last - ROUNDING) {
                self.stage = Stage::Partial;
                return;
            }
            let rises =
                self.first.zip(self.last).is_some_and(|(first, last)| last > first + ROUNDING);
            let sorted = rises && self.rows >= PROOF && self.pages > 1;
            if sorted && until.is_some_and(|until| time > until) {
                self.stage = Stage::Whole;
                return;
            }
            self.first = self.first.or(Some(time));
            self.last = self.last.max(Some(time));
            self.rows += 1;
        }
        match &self.cursor {
            None => self.stage = Stage::Whole,
            Some(_) if self.pages >= max_pages => self.stage = Stage::Partial,
            Some(_) => {}
        }
    }
}

fn read(
    name: ListName,
    result: ApiResult<'_>,
    personal: &dyn Fn() -> Vec<String>,
) -> Result<Page<Receipt>, Error> {
    fn receipts<T: Into<Receipt>>(page: Page<T>) -> Page<Receipt> {
        let items = page.items.into_iter().map(Into::into).collect();
        Page { malformed: page.malformed, ..Page::new(items, page.cursor) }
    }
    match name {
        ListName::Own => result.read::<ListRecords>(personal).map(receipts),
        ListName::Customers => result.read::<ListCustomerRecords>(personal).map(receipts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: i64 = 30;

    fn moment(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap()
    }

    /// The stage of a list after up to three pages, of which every page has a cursor. The
    /// function returns the time of a row in milliseconds.
    fn read(
        stage: Stage,
        time_of: impl Fn(i64) -> i64,
        take: impl Fn(&mut Reader, &[DateTime<Utc>]),
    ) -> Stage {
        let look = Look::new(Duration::ZERO, None, None, 100);
        let [mut list, _] = look.lists;
        (list.stage, list.cursor) = (stage, Some(Cursor::new("next")));
        for page in 0..3 {
            let times = (page * PAGE..(page + 1) * PAGE).map(|row| moment(time_of(row)));
            take(&mut list, &times.collect::<Vec<_>>());
            if list.stage != stage {
                break;
            }
        }
        list.stage
    }

    /// Oldest first, if no purchase was made after `until`.
    fn read_oldest_first(until: i64, time_of: impl Fn(i64) -> i64) -> Stage {
        read(Stage::OldestFirst, time_of, |list, times| {
            list.take_oldest_first(times, Some(moment(until)), 100);
        })
    }

    /// Newest first, if no purchase was made before `from`.
    fn read_newest_first(from: i64, time_of: impl Fn(i64) -> i64) -> Stage {
        read(Stage::NewestFirst, time_of, |list, times| {
            list.take_newest_first(times, Some(moment(from)), 100);
        })
    }

    #[test]
    fn reading_ends_early_only_if_the_rows_come_in_the_requested_order() {
        let read = |second_of: &dyn Fn(i64) -> i64| {
            read_oldest_first(20_000, |row| 1_000 * second_of(row))
        };
        assert_eq!(read(&|row| row), Stage::Whole);
        assert_eq!(read(&|row| row / 4), Stage::Whole);
        // The server returns the newest first anyway: old rows may follow.
        assert_eq!(read(&|row| 1_000 - row), Stage::Partial);
        assert_eq!(read(&|row| 1_000 - row / 4), Stage::Partial);
        // One row with a time of an earlier page.
        assert_eq!(read(&|row| if row == 25 { 3 } else { row }), Stage::Partial);
        // All rows have the same time: that proves no order.
        assert_eq!(read(&|_| 1_000), Stage::OldestFirst);
        // Rounded times still count as sorted.
        assert_eq!(read(&|row| row + (row + 1) % 2), Stage::Whole);
    }

    #[test]
    fn times_may_go_back_as_far_as_rounding_does_and_no_further() {
        let back = |by: i64| move |row| if row == 25 { 24_000 - by } else { 1_000 * row };
        assert_eq!(read_oldest_first(20_000, back(1_010)), Stage::Whole);
        assert_eq!(read_oldest_first(20_000, back(1_011)), Stage::Partial);
    }

    #[test]
    fn a_rise_that_rounding_explains_proves_no_order() {
        let rise = |by: i64| move |row| if row < 45 { 0 } else { by };
        assert_eq!(read_oldest_first(-1, rise(1_010)), Stage::OldestFirst);
        assert_eq!(read_oldest_first(-1, rise(1_011)), Stage::Whole);
    }

    #[test]
    fn rows_at_the_very_time_of_a_purchase_are_still_read() {
        let oldest = |row| 1_000 * row;
        assert_eq!(read_oldest_first(89_000, oldest), Stage::OldestFirst);
        assert_eq!(read_oldest_first(88_000, oldest), Stage::Whole);
        let newest = |row| 1_000 * (89 - row);
        assert_eq!(read_newest_first(0, newest), Stage::NewestFirst);
        assert_eq!(read_newest_first(1, newest), Stage::Whole);
    }
}
