//! Reads the records, round after round, until it is clear what was bought.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};

use super::{Intent, PurchaseState, UnresolvedReason, VerifyPolicy};
use crate::endpoint::{List, Receipt};
use crate::machine::{Answer, Ask};
use crate::value::{DateRange, Email, ImpactId, ImpactKind, Limit, SortOrder, Timestamp};
use crate::{Error, ListCustomerRecords, ListRecords, Pager};

/// How many whole rounds show that nothing was bought.
const MIN_ROUNDS: u32 = 2;

/// How many whole rounds there are at most, should the clock stand still.
const MAX_ROUNDS: u32 = 100;

/// How many rounds may fail, each of them after the retries of its requests.
const MAX_FAILED_ROUNDS: u32 = 3;

/// What is known of one intent.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) state: PurchaseState,
    /// The receipt of a purchase that was sent once more.
    pub(crate) receipt: Option<Receipt>,
    /// What any of the rounds showed, each impact once.
    found: Vec<Receipt>,
    seen: HashSet<ImpactId>,
    /// Whether one page showed two impacts of one time.
    same_time: bool,
}

impl Evidence {
    pub(crate) fn new(state: PurchaseState) -> Self {
        let (found, seen) = (Vec::new(), HashSet::new());
        Self { state, receipt: None, found, seen, same_time: false }
    }

    /// The impacts known to carry the marker.
    pub(crate) fn ids(&self) -> Vec<ImpactId> {
        let mut ids: Vec<_> = self.found.iter().map(ImpactId::from).collect();
        let answered = self.receipt.as_ref().map(ImpactId::from);
        ids.extend(answered.filter(|id| !ids.contains(id)));
        ids
    }

    /// Adds a page's rows with the marker.
    fn add(&mut self, rows: Vec<Receipt>) {
        let mut page = HashSet::new();
        for row in rows {
            // A row that moved to the next page while that was asked for is no
            // other one; two on one page are two, and there is no way to cancel
            // just one of them.
            let id = ImpactId::from(&row);
            self.same_time |= !page.insert(id.clone());
            if self.seen.insert(id) {
                self.found.push(row);
            }
        }
        // Should a later round not show it any more, it was bought all the same.
        self.state.executed |= !self.found.is_empty();
    }
}

/// What may be concluded of one intent after a whole round.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// Nothing yet: read again.
    NotYet,
    Confirmed(Receipt),
    /// The earliest purchase, and the others.
    Several(Receipt, Vec<ImpactId>),
    /// Nothing was bought.
    Absent,
    Unresolved(UnresolvedReason),
}

/// What comes next in a reconciliation.
pub(crate) enum Reading {
    Ask(Ask),
    Wait(Duration),
    /// The records cannot be read to the end.
    Failed(UnresolvedReason, Option<Error>),
}

/// Reads the lists for all intents at once, again and again until the settle time
/// has passed.
pub(crate) struct Reconciliation {
    policy: VerifyPolicy,
    /// The places of the intents by marker.
    places: HashMap<String, Vec<usize>>,
    /// Nothing that is older can be one of the purchases.
    first: DateTime<Utc>,
    lists: Vec<Box<dyn Walk>>,
    /// How many lists of this round are still to be read.
    left: usize,
    walk: Option<Box<dyn Walk>>,
    began: Duration,
    /// When the round at hand began: a response that comes late shows what there
    /// was then.
    round_began: Duration,
    order: Order,
    rounds: u32,
    failed_rounds: u32,
    /// Whether a wait comes before the next round.
    wait: bool,
}

/// Whether the times of a list have fallen yet from one row to the next.
#[derive(Default)]
struct Order {
    last: Option<Timestamp>,
    falls: bool,
}

impl Reconciliation {
    /// Begins to read for these intents. `email` is the customer of the only one.
    pub(crate) fn new(
        intents: &[Evidence],
        email: Option<&Email>,
        policy: VerifyPolicy,
        now: Duration,
    ) -> Self {
        let states = || intents.iter().map(|evidence| &evidence.state);
        let back = TimeDelta::from_std(policy.look_back).unwrap_or(TimeDelta::MAX);
        let since = states().map(PurchaseState::since).min().unwrap_or(Timestamp::LAST);
        let first = since.checked_sub_signed(back).unwrap_or(Timestamp::FIRST);
        let first = first.max(Timestamp::FIRST);
        let dates = DateRange::new(first.date_naive().checked_sub_days(Days::new(1)), None);
        let dates = dates.unwrap_or(DateRange::ALL);
        let (order, limit) = (SortOrder::Desc, Limit::of::<1000>());
        let kinds = |customer: bool| {
            let mut kinds: Vec<ImpactKind> = Vec::new();
            for state in states().filter(|state| state.has_customer() == customer) {
                if !kinds.contains(state.kind()) {
                    kinds.push(state.kind().clone());
                }
            }
            kinds
        };
        let mut lists: Vec<Box<dyn Walk>> = Vec::new();
        let (own, customers) = (kinds(false), kinds(true));
        if !own.is_empty() {
            let mut list = ListRecords::new().dates(dates).sort_order(order).limit(limit);
            list.filter_by = own;
            lists.push(Box::new(Pager::new(list).max_pages(policy.max_pages)));
        }
        if !customers.is_empty() {
            let mut list = ListCustomerRecords::new().dates(dates).sort_order(order).limit(limit);
            (list.filter_by, list.customer_email) = (customers, email.cloned());
            lists.push(Box::new(Pager::new(list).max_pages(policy.max_pages)));
        }
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        for (place, state) in states().enumerate() {
            places.entry(state.marker().to_owned()).or_default().push(place);
        }
        Self {
            policy,
            places,
            first,
            left: lists.len(),
            lists,
            walk: None,
            began: now,
            round_began: now,
            order: Order::default(),
            rounds: 0,
            failed_rounds: 0,
            wait: false,
        }
    }

    /// The next page of the round at hand, the first one of a new round, or the
    /// wait before it.
    pub(crate) fn next(&mut self, now: Duration) -> Reading {
        if std::mem::take(&mut self.wait) {
            return Reading::Wait(self.wait_before_next(now));
        }
        if self.walk.is_none() {
            if self.left == self.lists.len() {
                self.round_began = now;
            }
            self.order = Order::default();
            self.left = self.left.saturating_sub(1);
            self.walk = self.lists.get(self.left).map(|list| list.restarted());
        }
        match self.walk.as_mut().and_then(|walk| walk.ask()) {
            Some(Ok(ask)) => Reading::Ask(ask),
            Some(Err(error)) => Reading::Failed(UnresolvedReason::Unreadable, Some(error)),
            None => Reading::Failed(UnresolvedReason::TooManyRecords, None),
        }
    }

    /// Takes the answer to [`Reading::Ask`]. `Ok(true)` ends a round.
    pub(crate) fn take(
        &mut self,
        answer: Answer<'_>,
        personal: &dyn Fn() -> Vec<String>,
        intents: &mut [Evidence],
    ) -> Result<bool, Error> {
        let Some(walk) = &mut self.walk else { return Ok(false) };
        let rows = match walk.take(answer, personal) {
            Ok(rows) => rows,
            Err(error) => {
                self.end_round();
                self.failed_rounds += 1;
                let last = self.failed_rounds == MAX_FAILED_ROUNDS;
                return if last { Err(error) } else { Ok(false) };
            }
        };
        // A list in another order than was asked for is read to its end.
        let newest_first = self.order.is_newest_first(&rows);
        let oldest = rows.last().map(|row| row.time_utc.datetime());
        let passed = newest_first && oldest.is_some_and(|oldest| oldest < self.first);
        let ended = passed || walk.is_complete();
        let mut marked: HashMap<usize, Vec<Receipt>> = HashMap::new();
        for row in rows {
            let own = row.metadata.get(Intent::METADATA_KEY);
            for place in own.and_then(|own| self.places.get(own)).into_iter().flatten() {
                marked.entry(*place).or_default().push(row.clone());
            }
        }
        for (place, rows) in marked {
            intents[place].add(rows);
        }
        if !ended {
            return Ok(false);
        }
        self.walk = None;
        if self.left > 0 {
            return Ok(false);
        }
        self.end_round();
        self.rounds += 1;
        Ok(true)
    }

    fn end_round(&mut self) {
        (self.walk, self.left, self.wait) = (None, self.lists.len(), true);
    }

    /// What may be concluded of one intent after a whole round.
    pub(crate) fn decide(&self, evidence: &Evidence) -> Conclusion {
        let waited = self.round_began.saturating_sub(self.began);
        let settled = self.rounds >= MIN_ROUNDS && waited >= self.policy.settle;
        let given_up = self.rounds >= MAX_ROUNDS;
        // Of several that were sent an earlier one may show up later.
        let certain = settled || given_up || evidence.state.sends == 1;
        let mut found = evidence.found.clone();
        // It was bought, whether its record shows already or not.
        found.extend(evidence.receipt.clone());
        found.sort_by(|a, b| a.time_utc.cmp(&b.time_utc));
        // By the moment: should receipts write it otherwise than records do, one
        // purchase is not two, of which one is cancelled.
        found.dedup_by_key(|receipt| (receipt.user_id.clone(), receipt.time_utc.datetime()));
        if evidence.same_time {
            return Conclusion::Unresolved(UnresolvedReason::SameTime);
        }
        let mut found = found.into_iter();
        match (found.next(), found.len()) {
            (Some(kept), 0) if certain => Conclusion::Confirmed(kept),
            (Some(_), 0) => Conclusion::NotYet,
            (Some(kept), _) => Conclusion::Several(kept, found.map(ImpactId::from).collect()),
            (None, _) if settled => Conclusion::Absent,
            (None, _) if given_up => Conclusion::Unresolved(UnresolvedReason::NotFound),
            (None, _) => Conclusion::NotYet,
        }
    }

    /// The waits double, and the last one ends when the settle time does.
    fn wait_before_next(&self, now: Duration) -> Duration {
        let settle = self.policy.settle;
        let before = (self.rounds + self.failed_rounds).saturating_sub(1);
        let shortest = settle / 32;
        let left = settle.saturating_sub(now.saturating_sub(self.began));
        shortest.saturating_mul(2_u32.saturating_pow(before)).min(left).max(shortest)
    }
}

impl Order {
    /// Whether a page's rows come newest first. One row alone has no order, so
    /// nothing is believed before the times have fallen once.
    fn is_newest_first(&mut self, rows: &[Receipt]) -> bool {
        for row in rows {
            let last = self.last.replace(row.time_utc.clone());
            self.falls |= last.is_some_and(|last| last > row.time_utc);
        }
        self.falls && rows.windows(2).all(|pair| pair[0].time_utc >= pair[1].time_utc)
    }
}

/// A walk of one list, whatever its items are.
trait Walk: Send + Sync {
    fn restarted(&self) -> Box<dyn Walk>;
    fn ask(&mut self) -> Option<Result<Ask, Error>>;
    fn take(
        &mut self,
        answer: Answer<'_>,
        personal: &dyn Fn() -> Vec<String>,
    ) -> Result<Vec<Receipt>, Error>;
    fn is_complete(&self) -> bool;
}

impl<L: List<Item: Into<Receipt>> + Send + Sync + 'static> Walk for Pager<L> {
    /// A walk that begins where this one, which has not begun, would.
    fn restarted(&self) -> Box<dyn Walk> {
        Box::new(self.clone())
    }

    fn ask(&mut self) -> Option<Result<Ask, Error>> {
        self.request().map(|list| list.map(|list| Ask::of(&list)))
    }

    fn take(
        &mut self,
        answer: Answer<'_>,
        personal: &dyn Fn() -> Vec<String>,
    ) -> Result<Vec<Receipt>, Error> {
        let page = self.take(answer.read(personal))?;
        Ok(page.items.into_iter().map(Into::into).collect())
    }

    fn is_complete(&self) -> bool {
        self.is_complete()
    }
}
