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
    cursor: Option<Cursor>,
    last: Option<DateTime<Utc>>,
    /// Whether the rows came in the order that was asked for, and how many.
    ordered: bool,
    falls: bool,
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
            cursor: None,
            last: None,
            ordered: true,
            falls: false,
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
        Reading::Ask(ask(list.name, self.days(), order, list.cursor.clone()))
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
        let page = read(name, answer, personal)?;
        self.malformed |= !page.malformed.is_empty();
        list.cursor = page.cursor;
        if list.stage == Stage::OldestFirst {
            list.take_oldest_first(&page.items, self.until, self.max_pages);
        } else {
            list.take_newest_first(&page.items, self.from, self.max_pages);
        }
        let recent = |row: &Receipt| self.from.is_none_or(|from| row.time_utc.datetime() >= from);
        self.rows.add(name, page.items, |row| recent(row) || keep(row));
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

    fn take_newest_first(&mut self, rows: &[Receipt], from: Option<DateTime<Utc>>, max_pages: u64) {
        self.pages += 1;
        for row in rows {
            let time = row.time_utc.datetime();
            self.ordered &= self.last.is_none_or(|last| last >= time);
            self.falls |= self.last.is_some_and(|last| last > time);
            self.last = Some(time);
        }
        self.rows += rows.len();
        let sorted = self.ordered && self.falls && self.rows >= PROOF && self.pages > 1;
        let passed = sorted && from.zip(self.last).is_some_and(|(from, last)| last < from);
        self.stage = match &self.cursor {
            None if self.pages == 1 || self.ordered => Stage::Whole,
            Some(_) if passed => Stage::Whole,
            Some(_) if self.ordered && self.pages >= max_pages => Stage::Partly,
            Some(_) if self.ordered => Stage::NewestFirst,
            _ => {
                (self.pages, self.rows, self.cursor, self.last) = (0, 0, None, None);
                Stage::OldestFirst
            }
        };
    }

    /// Older rows show on every replica and move no more, so that nothing is missed
    /// between two pages, whatever cursors are.
    fn take_oldest_first(
        &mut self,
        rows: &[Receipt],
        until: Option<DateTime<Utc>>,
        max_pages: u64,
    ) {
        self.pages += 1;
        self.rows += rows.len();
        for row in rows {
            let time = row.time_utc.datetime();
            let past = until.is_some_and(|until| time > until);
            if past && self.rows >= PROOF && self.pages > 1 {
                self.stage = Stage::Whole;
                return;
            }
            if !past && self.last.is_some_and(|last| time < last - ROUNDING) {
                self.stage = Stage::Partly;
                return;
            }
            self.last = Some(time);
        }
        match &self.cursor {
            None => self.stage = Stage::Whole,
            Some(_) if self.pages >= max_pages => self.stage = Stage::Partly,
            Some(_) => {}
        }
    }
}

/// A page of a list, without any filter (R15).
fn ask(name: ListName, dates: DateRange, order: SortOrder, cursor: Option<Cursor>) -> Ask {
    let limit = Limit::of::<1000>();
    match name {
        ListName::Own => {
            let mut list = ListRecords::new().dates(dates).limit(limit).sort_order(order);
            list.cursor = cursor;
            Ask::of(&list)
        }
        ListName::Customers => {
            let mut list = ListCustomerRecords::new().dates(dates).limit(limit).sort_order(order);
            list.cursor = cursor;
            Ask::of(&list)
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
