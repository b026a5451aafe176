//! Reads a list page by page, without I/O.

use std::fmt;

use crate::endpoint::{List, ListItem, Page};
use crate::error::Operation;
use crate::value::{Cursor, Limit};
use crate::{Error, ErrorKind};

/// Reads a list page by page.
///
/// [`request`](Self::request) returns the next request, and [`take`](Self::take) takes its
/// result. The list ends after the last page, at a cap, or after an error; from then on
/// `request` returns `None`. If a list would never end, because its cursors repeat or its
/// pages are empty, `request` returns an error. A page that is
/// [too large](Error::is_too_large) is requested again with half the limit.
///
/// If the server's cursor is a position, new items shift the others towards later pages.
/// Up to 20 items that shifted to the next page are not returned again. If more shifted,
/// or if their times are in whole seconds, they are returned twice; if items are removed,
/// some are missed. If that matters, read in ascending order, or up to a date in the past.
///
/// ```
/// use oneclick_proto::{Api, Pager, ListRecords};
///
/// let api = Api::sandbox("test_key")?;
/// let mut bodies = [
///     r#"{"user_records":[{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}],"cursor":"a+/="}"#,
///     r#"{"user_records":[]}"#,
/// ].into_iter();
///
/// let mut pager = Pager::new(ListRecords::new());
/// let mut queries = Vec::new();
/// while let Some(request) = pager.request() {
///     let request = request?;
///     queries.push(api.encode(&request)?.uri().query().map(str::to_owned));
///     let response = http::Response::new(bodies.next().unwrap());
///     if let Some(page) = pager.take(api.decode(&request, response))? {
///         assert!(page.items.len() <= 1);
///     }
/// }
/// assert_eq!(queries, [None, Some("cursor=a%2B%2F%3D".to_owned())]);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone)]
pub struct Pager<L: List> {
    list: L,
    /// The items that were returned last, up to [`MAX_SHIFTED`].
    latest: Vec<L::Item>,
    next: State,
    pages_left: Option<u64>,
    items_left: Option<u64>,
    /// An earlier cursor, to detect repeated cursors in constant memory (Brent's
    /// algorithm). It is replaced after 1, 2, 4, 8 … pages.
    landmark: Option<Cursor>,
    since_landmark: u64,
    landmark_lasts: u64,
    empty_pages: u32,
}

/// How many items may shift to the next page between two requests.
const MAX_SHIFTED: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The page at the cursor of `list` comes next.
    More,
    /// The cursor of the next page is a repeated one.
    Circling,
    /// The list has ended, or a cap was reached.
    Ended,
    /// A page could not be read.
    Failed,
}

impl<L: List> Pager<L> {
    /// How many empty pages in a row are accepted: 1,000.
    pub const MAX_EMPTY_PAGES: u32 = 1_000;

    /// Starts at the cursor of the request, or at the beginning if it has none.
    pub fn new(list: L) -> Self {
        let landmark = list.cursor().cloned();
        Self {
            list,
            latest: Vec::new(),
            next: State::More,
            pages_left: None,
            items_left: None,
            landmark,
            since_landmark: 0,
            landmark_lasts: 1,
            empty_pages: 0,
        }
    }

    /// Ends the list after this many more pages.
    #[must_use]
    pub fn max_pages(mut self, pages: u64) -> Self {
        self.pages_left = Some(pages);
        self
    }

    /// Ends the list after this many more items. The last request has a limit that fits,
    /// so that its cursor points to the next item.
    #[must_use]
    pub fn max_items(mut self, items: u64) -> Self {
        self.items_left = Some(items);
        self
    }

    /// The request for the next page; `None` once the list has ended.
    ///
    /// # Errors
    /// [`ErrorKind::CursorRepeated`] if the next page was read before,
    /// [`ErrorKind::EmptyPages`] after [`MAX_EMPTY_PAGES`](Self::MAX_EMPTY_PAGES) pages
    /// without an item. The list has then ended.
    pub fn request(&mut self) -> Option<Result<L, Error>> {
        if self.pages_left == Some(0) || self.items_left == Some(0) {
            return None;
        }
        let endless = match self.next {
            State::Ended | State::Failed => return None,
            State::Circling => Some(ErrorKind::CursorRepeated),
            State::More if self.empty_pages >= Self::MAX_EMPTY_PAGES => Some(ErrorKind::EmptyPages),
            State::More => None,
        };
        if let Some(kind) = endless {
            self.next = State::Failed;
            return Some(Err(Error::endless(kind).of(Operation::of::<L>())));
        }
        let list = self.list.clone();
        let Some(left) = self.items_left else { return Some(Ok(list)) };
        match Limit::new(left) {
            Ok(limit) if left < self.size() => Some(Ok(list.with_limit(limit))),
            _ => Some(Ok(list)),
        }
    }

    /// The largest number of items on a page.
    fn size(&self) -> u64 {
        // The API's default limit is ten.
        self.list.limit().map_or(10, Limit::get)
    }

    /// Takes the result of [`request`](Self::request) and returns the page, shortened if it
    /// holds more items than the cap allows. `None` means that the page was too large, and
    /// the next request asks for it again with half the limit.
    ///
    /// # Errors
    /// The failure that was passed in; the list has then ended.
    pub fn take(
        &mut self,
        outcome: Result<Page<L::Item>, Error>,
    ) -> Result<Option<Page<L::Item>>, Error> {
        let error = match outcome {
            Ok(page) => return Ok(Some(self.accept(page))),
            Err(error) => error,
        };
        let size = self.size();
        let asked = self.items_left.map_or(size, |left| left.min(size));
        if let Some(half) = Limit::new(asked / 2).ok().filter(|_| error.is_too_large()) {
            self.list = self.list.clone().with_limit(half);
            // A list that the caller defined may ignore the limit.
            if self.size() < asked {
                return Ok(None);
            }
        }
        self.next = State::Failed;
        Err(error.of_one_item(asked))
    }

    fn accept(&mut self, mut page: Page<L::Item>) -> Page<L::Item> {
        // Drop items that shifted to this page, since they were returned before.
        let most = self.latest.len().min(page.items.len());
        let shifted = |items: &[L::Item]| {
            self.latest.ends_with(items) && items.iter().all(ListItem::is_unique)
        };
        let shifted = (1..=most).rev().find(|count| shifted(&page.items[..*count]));
        page.items.drain(..shifted.unwrap_or(0));
        self.latest.extend_from_slice(&page.items[page.items.len().saturating_sub(MAX_SHIFTED)..]);
        self.latest.drain(..self.latest.len().saturating_sub(MAX_SHIFTED));
        let fits = self.items_left.is_none_or(|left| page.items.len() as u64 <= left);
        match &page.cursor {
            // The server ignored the limit. Resuming reads this page again.
            _ if !fits => {}
            None => self.next = State::Ended,
            Some(cursor) => self.go_on(cursor),
        }
        self.empty_pages = if page.items.is_empty() { self.empty_pages + 1 } else { 0 };
        if let Some(pages) = &mut self.pages_left {
            *pages = pages.saturating_sub(1);
        }
        if let Some(left) = &mut self.items_left {
            page.items.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= page.items.len() as u64;
        }
        page
    }

    fn go_on(&mut self, cursor: &Cursor) {
        let here = self.list.cursor();
        if here == Some(cursor) || self.landmark.as_ref() == Some(cursor) {
            self.next = State::Circling;
            return;
        }
        self.since_landmark += 1;
        if self.since_landmark >= self.landmark_lasts {
            self.landmark = Some(cursor.clone());
            self.since_landmark = 0;
            self.landmark_lasts = self.landmark_lasts.saturating_mul(2);
        }
        self.list = self.list.clone().with_cursor(cursor.clone());
    }

    /// The cursor to resume from: that of the next page, or of the page that failed.
    /// `None` at the start, and once the list was read to its end.
    pub fn cursor(&self) -> Option<&Cursor> {
        match self.next {
            State::More | State::Circling | State::Failed => self.list.cursor(),
            State::Ended => None,
        }
    }

    /// Whether the list was read to its end, without a cap or an error.
    pub fn is_complete(&self) -> bool {
        self.next == State::Ended
    }
}

impl<L: List> fmt::Debug for Pager<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("next", &self.next)
            .field("pages_left", &self.pages_left)
            .field("items_left", &self.items_left)
            .finish_non_exhaustive()
    }
}
