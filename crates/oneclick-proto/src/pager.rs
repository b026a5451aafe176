//! Walks a list page by page: a state machine without I/O.

use std::fmt;

use crate::Error;
use crate::endpoint::{List, Page};
use crate::value::{Cursor, Limit};

/// Walks a list page by page.
///
/// [`request`](Self::request) says what to send next; the answer goes into
/// [`accept`](Self::accept), a failure into [`fail`](Self::fail). The walk ends
/// after the last page, at a cap, and after an error; then `request` is `None`
/// for good.
///
/// ```
/// use oneclick_proto::{Api, Pager, Records};
///
/// let api = Api::sandbox("test_key")?;
/// let mut answers = [
///     r#"{"user_records":[{"user_id":"U1","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":1}],"cursor":"a+/="}"#,
///     r#"{"user_records":[]}"#,
/// ].into_iter();
///
/// let mut pager = Pager::new(Records::new());
/// let mut queries = Vec::new();
/// while let Some(request) = pager.request() {
///     queries.push(api.encode(&request)?.uri().query().map(str::to_owned));
///     let page = api.decode(&request, http::Response::new(answers.next().unwrap()))?;
///     let page = pager.accept(page)?;
///     assert!(page.items.len() <= 1);
/// }
/// assert_eq!(queries, [None, Some("cursor=a%2B%2F%3D".to_owned())]);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone)]
pub struct Pager<L> {
    list: L,
    next: State,
    pages_left: Option<u64>,
    items_left: Option<u64>,
    /// A cursor met earlier, to notice a walk in circles in constant memory
    /// (Brent's algorithm): it is replaced after 1, 2, 4, 8 … pages.
    landmark: Option<Cursor>,
    since_landmark: u64,
    landmark_lasts: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The page at the cursor of `list` comes next.
    More,
    /// The list has ended, or a cap was reached.
    Ended,
    /// A page could not be read.
    Failed,
}

impl<L: List> Pager<L> {
    /// Starts where the request says: at its cursor if it has one.
    pub fn new(list: L) -> Self {
        let landmark = list.get_cursor().cloned();
        Self {
            list,
            next: State::More,
            pages_left: None,
            items_left: None,
            landmark,
            since_landmark: 0,
            landmark_lasts: 1,
        }
    }

    /// Ends the walk after this many pages more.
    #[must_use]
    pub fn max_pages(mut self, pages: u64) -> Self {
        self.pages_left = Some(pages);
        self
    }

    /// Ends the walk after this many items more. The last page is asked for
    /// with a limit that fits, so that its cursor stands right behind.
    #[must_use]
    pub fn max_items(mut self, items: u64) -> Self {
        self.items_left = Some(items);
        self
    }

    /// The request of the next page; `None` once the walk has ended.
    pub fn request(&self) -> Option<L> {
        let capped = self.pages_left == Some(0) || self.items_left == Some(0);
        if self.next != State::More || capped {
            return None;
        }
        let list = self.list.clone();
        let Some(left) = self.items_left else { return Some(list) };
        // Without a limit a page is ten: asking for fewer needs one.
        let size = list.get_limit().map_or(10, Limit::get);
        match Limit::new(left) {
            Ok(limit) if left < size => Some(list.limit(limit)),
            _ => Some(list),
        }
    }

    /// Takes the page that answered [`request`](Self::request), and gives it
    /// back, shortened if it holds more than the cap allows.
    ///
    /// # Errors
    /// [`ErrorKind::CursorRepeated`](crate::ErrorKind::CursorRepeated) if the
    /// page leads to one that was read before; the walk has then ended.
    pub fn accept(&mut self, mut page: Page<L::Item>) -> Result<Page<L::Item>, Error> {
        let fits = self.items_left.is_none_or(|left| page.items.len() as u64 <= left);
        match &page.cursor {
            // A server that ignores the limit: a later walk reads this page again.
            _ if !fits => {}
            None => self.next = State::Ended,
            Some(cursor) => {
                if self.list.get_cursor() == Some(cursor) || self.landmark.as_ref() == Some(cursor)
                {
                    self.next = State::Failed;
                    return Err(Error::cursor_repeated().of::<L>());
                }
                self.since_landmark += 1;
                if self.since_landmark >= self.landmark_lasts {
                    self.landmark = Some(cursor.clone());
                    self.since_landmark = 0;
                    self.landmark_lasts = self.landmark_lasts.saturating_mul(2);
                }
                self.list = self.list.clone().cursor(cursor.clone());
            }
        }
        if let Some(pages) = &mut self.pages_left {
            *pages = pages.saturating_sub(1);
        }
        if let Some(left) = &mut self.items_left {
            page.items.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= page.items.len() as u64;
        }
        Ok(page)
    }

    /// Ends the walk: the page could not be read.
    pub fn fail(&mut self) {
        self.next = State::Failed;
    }

    /// Takes what became of [`request`](Self::request), page or failure.
    ///
    /// # Errors
    /// The failure itself, and as [`accept`](Self::accept).
    pub fn take(&mut self, outcome: Result<Page<L::Item>, Error>) -> Result<Page<L::Item>, Error> {
        match outcome {
            Ok(page) => self.accept(page),
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }

    /// Where a later walk goes on: the cursor of the page that comes next, or
    /// of the one that failed. `None` at the start, and once the list is read
    /// to its end.
    pub fn cursor(&self) -> Option<&Cursor> {
        match self.next {
            State::More | State::Failed => self.list.get_cursor(),
            State::Ended => None,
        }
    }

    /// Whether the list was read to its end, without a cap or an error.
    pub fn is_complete(&self) -> bool {
        self.next == State::Ended
    }
}

impl<L> fmt::Debug for Pager<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("next", &self.next)
            .field("pages_left", &self.pages_left)
            .field("items_left", &self.items_left)
            .finish_non_exhaustive()
    }
}
