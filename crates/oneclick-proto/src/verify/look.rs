//! Reads both lists for the rows that a conclusion needs.

use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};

use super::rules::{ListName, Rows};
use crate::endpoint::{Page, Receipt};
use crate::machine::{Answer, Ask};
use crate::value::{Cursor, DateRange, Limit, SortOrder};
use crate::{Error, ListCustomerRecords, ListRecords};

/// How many rows in order, over a page's end, show that a list is sorted (R14).
const PROOF: usize = 40;
/// How far an ascending list may fall back where times are written in whole seconds.
const ROUNDING: TimeDelta = TimeDelta::milliseconds(1_010);
/// How long to wait between the first page of a list and the second. Every replica then
/// shows what the first page showed, so that a cursor which is a position leads to rows
/// of that page once more, and is known by it.
const CATCH_UP: Duration = Duration::from_secs(30);

/// One look at both lists: the newest page of each, and on demand the rest of what may
/// hold the purchases.
#[derive(Debug)]
pub(crate) struct Look {
    /// When it began.
    began: Duration,
    /// No purchase was made before this moment; `None` if that is not known.
    from: Option<DateTime<Utc>>,
    /// None was made after this one.
    until: Option<DateTime<Utc>>,
    max_pages: u64,
    lists: [List; 2],
    /// Whether more than the newest page of each list is read.
    deep: bool,
    waited: bool,
    /// Whether a row could not be read.
    malformed: bool,
    rows: Rows,
}

#[derive(Debug)]
struct List {
    name: ListName,
    stage: Stage,
    pages: u64,
    limit: Limit,
    cursor: Option<Cursor>,
    /// The first of its times, and the furthest from it in the order asked for.
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    /// Whether the rows came in that order, and how many.
    ordered: bool,
    rows: usize,
}

/// How far the reading of a list has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NewestFirst,
    OldestFirst,
    Whole,
    /// It cannot be read so that nothing may be missed.
    Partly,
}

/// What comes next in a look.
pub(crate) enum Reading {
    Ask(Ask),
    Wait(Duration),
    Done,
}

impl Look {
    /// Begins with the newest page of each list.
    pub(crate) fn new(
        now: Duration,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        max_pages: u64,
    ) -> Self {
        let list = |name| List {
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
            malformed: false,
            rows: Rows::default(),
        }
    }

    /// Reads on, beyond the newest pages, unless it did so before.
    pub(crate) fn deepen(&mut self) -> bool {
        !std::mem::replace(&mut self.deep, true)
    }

    pub(crate) fn began(&self) -> Duration {
        self.began
    }

    /// Whether both lists were read whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.lists.iter().all(|list| list.stage == Stage::Whole)
    }

    /// Whether every row could be read.
    pub(crate) fn is_readable(&self) -> bool {
        !self.malformed
    }

    pub(crate) fn rows(&self) -> &Rows {
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
        Reading::Ask(list.ask(self.days(), order))
    }

    /// From two days before the first moment (R15), whatever zone days are counted in.
    fn days(&self) -> DateRange {
        let first = self.from.and_then(|from| from.date_naive().checked_sub_days(Days::new(2)));
        DateRange::new(first, None).unwrap_or(DateRange::ALL)
    }

    /// Takes the answer to what was asked; `keep` says of an older row whether it is
    /// needed all the same.
    pub(crate) fn take(
        &mut self,
        answer: Answer<'_>,
        personal: &dyn Fn() -> Vec<String>,
        keep: &dyn Fn(&Receipt) -> bool,
    ) -> Result<(), Error> {
        let deep = self.deep;
        let Some(list) = self.lists.iter_mut().find(|list| list.is_open(deep)) else {
            return Ok(());
        };
        let name = list.name;
        let page = match read(name, answer, personal) {
            Err(error) if error.is_too_large() && list.halve() => return Ok(()),
            page => page?,
        };
        self.malformed |= !page.malformed.is_empty();
        list.cursor = page.cursor;
        let times: Vec<_> = page.items.iter().map(|row| row.time_utc.datetime()).collect();
        let recent = |row: &Receipt| self.from.is_none_or(|from| row.time_utc.datetime() >= from);
        let repeated = self.rows.add(name, page.items, |row| recent(row) || keep(row));
        if list.stage == Stage::OldestFirst {
            list.take_oldest_first(&times, self.until, self.max_pages);
        } else {
            // Where rows move from page to page, some may move past the reader.
            list.ordered &= !repeated;
            list.take_newest_first(&times, self.from, self.max_pages);
        }
        Ok(())
    }
}

impl List {
    /// Whether another page of it is read.
    fn is_open(&self, deep: bool) -> bool {
        match self.stage {
            Stage::Whole | Stage::Partly => false,
            _ => deep || self.pages == 0,
        }
    }

    /// Its next page, without any filter (R15).
    fn ask(&self, dates: DateRange, order: SortOrder) -> Ask {
        let (limit, cursor) = (self.limit, self.cursor.clone());
        match self.name {
            ListName::Own => {
                let list = ListRecords::new().dates(dates).limit(limit).sort_order(order);
                Ask::of(&ListRecords { cursor, ..list })
            }
            ListName::Customers => {
                let list = ListCustomerRecords::new().dates(dates).limit(limit).sort_order(order);
                Ask::of(&ListCustomerRecords { cursor, ..list })
            }
        }
    }

    /// Asks for half as many rows from now on, after a page that was too large.
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
            Some(_) if self.ordered && self.pages >= max_pages => Stage::Partly,
            Some(_) if self.ordered => Stage::NewestFirst,
            _ => {
                (self.pages, self.rows, self.cursor, self.last) = (0, 0, None, None);
                self.first = None;
                Stage::OldestFirst
            }
        };
    }

    /// Older rows show on every replica and move no more, so that nothing is missed
    /// between two pages, whatever cursors are.
    fn take_oldest_first(
        &mut self,
        times: &[DateTime<Utc>],
        until: Option<DateTime<Utc>>,
        max_pages: u64,
    ) {
        self.pages += 1;
        for &time in times {
            if self.last.is_some_and(|last| time < last - ROUNDING) {
                self.stage = Stage::Partly;
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
            Some(_) if self.pages >= max_pages => self.stage = Stage::Partly,
            Some(_) => {}
        }
    }
}

fn read(
    name: ListName,
    answer: Answer<'_>,
    personal: &dyn Fn() -> Vec<String>,
) -> Result<Page<Receipt>, Error> {
    fn receipts<T: Into<Receipt>>(page: Page<T>) -> Page<Receipt> {
        let items = page.items.into_iter().map(Into::into).collect();
        Page { malformed: page.malformed, ..Page::new(items, page.cursor) }
    }
    match name {
        ListName::Own => answer.read::<ListRecords>(personal).map(receipts),
        ListName::Customers => answer.read::<ListCustomerRecords>(personal).map(receipts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: i64 = 30;

    fn moment(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    /// What becomes of a list that is asked for with the oldest first, after three pages
    /// of these seconds, where no purchase was made after second 20.
    fn read(second_of: impl Fn(i64) -> i64) -> Stage {
        let look = Look::new(Duration::ZERO, None, None, 100);
        let [mut list, _] = look.lists;
        (list.stage, list.cursor) = (Stage::OldestFirst, Some(Cursor::new("next")));
        for page in 0..3 {
            let times = (page * PAGE..(page + 1) * PAGE).map(|row| moment(second_of(row)));
            list.take_oldest_first(&times.collect::<Vec<_>>(), Some(moment(20)), 100);
            if list.stage != Stage::OldestFirst {
                break;
            }
        }
        list.stage
    }

    #[test]
    fn a_walk_ends_early_only_in_the_order_that_was_asked_for() {
        assert_eq!(read(|row| row), Stage::Whole);
        assert_eq!(read(|row| row / 4), Stage::Whole);
        // The newest first all the same: old rows may be to come.
        assert_eq!(read(|row| 1_000 - row), Stage::Partly);
        assert_eq!(read(|row| 1_000 - row / 4), Stage::Partly);
        // One that fell among those that are past.
        assert_eq!(read(|row| if row == 25 { 3 } else { row }), Stage::Partly);
        // All of one time: in no order yet.
        assert_eq!(read(|_| 1_000), Stage::OldestFirst);
        // Rounding is no disorder.
        assert_eq!(read(|row| row + (row + 1) % 2), Stage::Whole);
    }
}
