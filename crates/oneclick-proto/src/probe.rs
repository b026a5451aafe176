//! Asks a server what the API's reference leaves unstated.

mod consequences;
mod evidence;
mod findings;
mod plan;
mod report;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderName, Method};
use serde::Serialize;
use serde_json::Value;

use self::evidence::{
    Answer, Evidence, Failure, RecordsPage, Reply, has_fraction, is_for_customer, is_of_id,
};
use self::plan::{Address, FIRST, ORDERS, Question, TAGGED, TrackedBy, View, Wrong};
pub use self::report::{Certainty, Finding, Measured, ProbeReport};
use crate::api::{Api, ApiKey, ConfigError};
use crate::endpoint::{Endpoint, Page, Receipt};
use crate::machine::{ApiRequest, ApiResult, Machine, Next};
use crate::retry::retry_after;
use crate::value::{
    Cents, Customer, DateRange, Email, Fragments, ImpactId, ImpactKind, Limit, Metadata, Pounds,
    SortOrder, Trees,
};
use crate::{
    CancelImpact, CancelMessage, Cancellation, CaptureCarbon, CleanOcean, DonateMoney, Error,
    Execution, GetAccount, GetDailyTotals, Intent, ListCustomerRecords, ListCustomers, ListRecords,
    PlantTree, Purchase, Reason, RestoreCoral, TrackImpact,
};

/// The most requests that a probe makes, with retries and cancellations. The program asks for
/// the account before, which takes up to three attempts: together they stay below 100.
const MAX_REQUESTS: usize = 96;
/// The most requests if cancellations must be repeated: one more for each purchase.
const MAX_WITH_REPEATED_CANCELLATIONS: usize = MAX_REQUESTS + ORDERS.len();
/// After how many failures in a row a probe asks nothing more, and repeats no cancellation.
const MAX_FAILURES: u32 = 4;
/// The longest `Retry-After` that is waited for. A longer one ends the probe.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);
/// How long to wait for records that do not show yet, and for a cancellation to take effect.
const PATIENCE: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// Asks a server what the API's reference leaves unstated: a [`Machine`] whose output is a
/// [`ProbeReport`].
///
/// It makes 20 of the smallest purchases, three of them for addresses under `example.com`
/// and none with an e-mail to the customer. It reads the lists, tracks, asks wrongly on
/// purpose, and cancels what it bought. That takes fewer than 100 requests, or up to 20 more
/// if cancellations must be repeated, and about ten seconds at a server that is near and
/// shows records at once.
///
/// [`state`](Machine::state) holds what is not cancelled yet. If you stop the machine, cancel
/// it with [`CancelImpact`].
///
/// ```
/// use oneclick_proto::{BlockingClient, BlockingTransport, ConfigError, Probe};
///
/// fn probe<T: BlockingTransport>(client: &BlockingClient<T>) -> Result<(), ConfigError> {
///     let report = client.run(Probe::new(client.api(), std::time::SystemTime::now().into())?);
///     for finding in &report.findings {
///         println!("{}: {} ({})", finding.subject, finding.value, finding.basis);
///     }
///     Ok(())
/// }
/// ```
#[must_use = "nothing is sent until the probe is started"]
pub struct Probe {
    queue: VecDeque<Question>,
    /// The question in flight, and when it was asked.
    asked: Option<(Question, Duration)>,
    stage: Stage,
    evidence: Evidence,
    requests: u32,
    /// How many answers in a row were failures.
    failures: u32,
    /// How many requests were failures, of which some were repeated.
    all_failures: usize,
    remaining: Remaining,
    cancelled: Vec<usize>,
    /// The order and the id of each attempt at a cancellation.
    attempts: Vec<(usize, ImpactId)>,
    /// How long the latest response asks to wait, although it is no failure.
    asked_wait: Option<Duration>,
    /// The `Content-Type` of the latest response.
    content_type: &'static str,
}

/// What a [`Probe`] has bought and not cancelled yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// The ids of purchases.
    pub ids: Vec<ImpactId>,
    /// Ids of receipts that may be those of purchases of others, so the probe does not cancel
    /// them. Look at each before you do.
    pub doubtful: Vec<ImpactId>,
    /// How many more may have been bought, whose ids no response has shown.
    pub without_id: usize,
}

impl From<&ProbeReport> for Remaining {
    fn from(report: &ProbeReport) -> Self {
        let (ids, doubtful) = (report.not_cancelled.clone(), report.doubtful.clone());
        let remaining = usize::try_from(report.remaining).unwrap_or(usize::MAX);
        let without_id = remaining.saturating_sub(ids.len() + doubtful.len());
        Self { ids, doubtful, without_id }
    }
}

/// What the questions in the queue are for. The number counts the waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Buying,
    WaitingForRecords(usize),
    Asking(usize),
    CancellingFirst(usize),
    Cancelling,
    CancellingAgain,
    /// Whether the cancellations took effect.
    Checking(usize),
    Done,
}

impl Probe {
    /// A probe of this API. `now` is the time of the client's clock, by which the server's is
    /// judged.
    ///
    /// # Errors
    /// [`ConfigError::Production`] for the host of production, and for a key that starts with
    /// `live_`: a probe buys.
    pub fn new(api: &Api, now: DateTime<Utc>) -> Result<Self, ConfigError> {
        if api.is_production() {
            return Err(ConfigError::Production);
        }
        Ok(Self {
            queue: plan::purchases(),
            asked: None,
            stage: Stage::Buying,
            evidence: Evidence::new(now),
            requests: 0,
            failures: 0,
            all_failures: 0,
            remaining: Remaining::default(),
            cancelled: Vec::new(),
            attempts: Vec::new(),
            asked_wait: None,
            content_type: "",
        })
    }

    /// What a probe buys, for a person to read before it starts.
    #[must_use]
    pub fn purchases() -> Vec<Purchase> {
        let evidence = Evidence::new(DateTime::UNIX_EPOCH);
        (0..ORDERS.len()).filter_map(|order| purchase(order, &evidence)).collect()
    }

    /// Puts the questions of the next stage into the queue; `false` if there is none.
    fn advance(&mut self) -> bool {
        let stage = self.stage;
        self.stage = match stage {
            Stage::Buying => Stage::WaitingForRecords(0),
            Stage::WaitingForRecords(waits) if self.wait_for_records(waits) => {
                Stage::WaitingForRecords(waits + 1)
            }
            Stage::WaitingForRecords(waits) => {
                self.queue.extend(plan::questions());
                Stage::Asking(waits)
            }
            // By then, a list may show the markers of some purchases for customers and not of all.
            Stage::Asking(waits) if self.wait_for_records(waits) => Stage::Asking(waits + 1),
            Stage::Asking(_) => {
                self.failures = 0;
                self.evidence.crossed = self.evidence.crossed_receipts();
                self.queue.push_back(Question::Cancel(FIRST));
                self.queue.push_back(Question::Track(FIRST, TrackedBy::Account));
                Stage::CancellingFirst(0)
            }
            Stage::CancellingFirst(waits) => match PATIENCE.get(waits) {
                Some(wait) if self.shows_no_effect() => {
                    self.queue.push_back(Question::Wait(*wait));
                    self.queue.push_back(Question::Track(FIRST, TrackedBy::Account));
                    Stage::CancellingFirst(waits + 1)
                }
                _ => {
                    self.queue.push_back(Question::CancelAgain);
                    let others = (0..ORDERS.len()).filter(|order| *order != FIRST);
                    self.queue.extend(others.map(Question::Cancel));
                    Stage::Cancelling
                }
            },
            Stage::Cancelling => {
                self.failures = 0;
                let orders = 0..ORDERS.len();
                let again: Vec<_> = orders.filter(|order| self.may_cancel_again(*order)).collect();
                self.queue.extend(again.into_iter().map(Question::Cancel));
                self.queue.push_back(Question::Own(View::Afterwards));
                Stage::CancellingAgain
            }
            Stage::CancellingAgain => {
                self.failures = 0;
                let unseen = self.shows_no_effect() || !self.cancelled.contains(&FIRST);
                let witness = self.witness().filter(|_| unseen);
                let track = |order| Question::Track(order, TrackedBy::Account);
                self.queue.extend(witness.map(track));
                // If it is the first one, all the waits have been.
                Stage::Checking(if witness == Some(FIRST) { PATIENCE.len() } else { 0 })
            }
            Stage::Checking(waits) => match (PATIENCE.get(waits), self.witness()) {
                (Some(wait), Some(witness)) if self.shows_no_effect() => {
                    self.queue.push_back(Question::Wait(*wait));
                    self.queue.push_back(Question::Track(witness, TrackedBy::Account));
                    Stage::Checking(waits + 1)
                }
                _ => Stage::Done,
            },
            Stage::Done => return false,
        };
        true
    }

    /// Waits and reads the lists once more if a record does not show yet, and there were not too
    /// many waits; `false` if there is nothing to wait for.
    fn wait_for_records(&mut self, waits: usize) -> bool {
        let given_up = self.failures >= MAX_FAILURES;
        let Some(wait) = PATIENCE.get(waits).filter(|_| !given_up && self.awaits_records()) else {
            return false;
        };
        self.queue.extend([Question::Wait(*wait), Question::Own(View::Newest)]);
        if self.awaits_markers() {
            self.queue.push_back(Question::ForCustomers(View::Newest));
        }
        true
    }

    /// Whether a record does not show yet.
    fn awaits_records(&self) -> bool {
        let newest = Question::Own(View::Newest);
        let seen = |order: usize| {
            self.evidence.newest(newest).any(|(_, page)| self.evidence.shows(order, page))
        };
        let own = |order: &usize| ORDERS[*order].customer.is_none();
        self.evidence.maybe_bought().filter(own).any(|order| !seen(order)) || self.awaits_markers()
    }

    /// Whether the record of a purchase for a customer is needed to cancel it.
    fn awaits_markers(&self) -> bool {
        let evidence = &self.evidence;
        let awaited = |order| evidence.shows_markers_like(order) && evidence.id(order).is_none();
        evidence.maybe_bought().filter(|order| is_for_customer(*order)).any(awaited)
    }

    /// The cancelled purchase that shows whether cancellations take effect.
    fn witness(&self) -> Option<usize> {
        let first = self.cancelled.contains(&FIRST).then_some(FIRST);
        first.or_else(|| self.cancelled.first().copied())
    }

    /// Whether tracking shows the witness, and not that it is cancelled.
    fn shows_no_effect(&self) -> bool {
        let Some(witness) = self.witness() else { return false };
        let cancelled = |reply: &&Reply| matches!(reply.answer, Answer::Cancellation(_));
        let cancelled = self.evidence.answers(Question::Cancel(witness)).find(cancelled);
        let since = cancelled.map_or(Duration::MAX, |reply| reply.answered);
        let tracked = self.evidence.answers(Question::Track(witness, TrackedBy::Account));
        let effects: Vec<_> = tracked
            .filter(|reply| reply.asked >= since)
            .filter_map(|reply| match &reply.answer {
                Answer::Tracking(tracking) => Some(tracking.cancelled_on.is_some()),
                _ => None,
            })
            .collect();
        !effects.is_empty() && !effects.contains(&true)
    }

    /// Whether a question must be left out, so that the cancellations remain possible.
    fn is_left_out(&self, question: Question) -> bool {
        // Each purchase gets one attempt at its cancellation, whatever fails.
        let first_attempt =
            matches!(question, Question::Cancel(_)) && self.stage != Stage::CancellingAgain;
        let given_up = self.failures >= MAX_FAILURES && !first_attempt;
        given_up || !self.can_afford(question)
    }

    /// Whether one more request for a question leaves one for each cancellation that was not
    /// tried yet, and where requests fail, another one for its repetition.
    fn can_afford(&self, question: Question) -> bool {
        let reserve = (0..ORDERS.len()).filter(|order| match question {
            Question::Cancel(this) if this == *order => false,
            Question::Buy(this) if this == *order => true,
            _ => self.awaits_attempt(*order),
        });
        let mut reserve = reserve.count();
        let most = if matches!(question, Question::Cancel(_)) {
            MAX_WITH_REPEATED_CANCELLATIONS
        } else {
            // A few failures promise more of them.
            reserve += reserve.min(self.all_failures.saturating_mul(4));
            MAX_REQUESTS
        };
        (self.requests as usize).saturating_add(reserve) < most
    }

    /// Whether the cancellation of an order is still to be tried.
    fn awaits_attempt(&self, order: usize) -> bool {
        let over = matches!(self.stage, Stage::CancellingAgain | Stage::Checking(_) | Stage::Done);
        let tried = self.attempts.iter().any(|(tried, _)| *tried == order);
        !over && !tried && self.evidence.maybe_bought().any(|bought| bought == order)
    }

    /// Whether a cancellation that failed may succeed when it is repeated.
    fn may_cancel_again(&self, order: usize) -> bool {
        let last = self.evidence.answers(Question::Cancel(order)).next_back();
        let may_succeed = |reply: &Reply| match &reply.answer {
            Answer::Failed(failure) => failure
                .status
                .is_none_or(|status| matches!(status, 200..=299 | 408 | 425 | 429 | 500..)),
            _ => false,
        };
        !self.cancelled.contains(&order) && last.is_none_or(may_succeed)
    }

    /// Whether an order may have been bought and still stands. If one cancellation shows no
    /// effect, none counts.
    fn stands(&self, order: usize) -> bool {
        let mut bought = self.evidence.maybe_bought();
        let cancelled = self.cancelled.contains(&order) && !self.shows_no_effect();
        bought.any(|bought| bought == order) && !cancelled
    }

    /// What is not cancelled yet.
    fn left(&self) -> Remaining {
        let mut left = Remaining::default();
        for order in (0..ORDERS.len()).filter(|order| self.stands(*order)) {
            let doubtful = || self.evidence.receipt_in_response(order).map(ImpactId::from);
            if let Some(id) = self.evidence.id(order) {
                left.ids.push(id);
            } else if let Some(id) = doubtful() {
                left.doubtful.push(id);
            } else {
                left.without_id += 1;
            }
        }
        left
    }

    /// The request of a question; `None` if it needs what no response has shown.
    fn request(&self, question: Question) -> Option<ApiRequest> {
        let evidence = &self.evidence;
        match question {
            Question::Wait(_) | Question::RetryAfter(_) => None,
            Question::Account => Some(ApiRequest::of(&GetAccount)),
            Question::Buy(order) => purchase(order, evidence).map(|purchase| purchase.request()),
            Question::Own(view) => self.own_records(view),
            Question::ForCustomers(view) => self.customer_records(view),
            Question::Customers(address) => {
                let list =
                    ListCustomers::new().limit(Limit::of::<1000>()).sort_order(SortOrder::Desc);
                let stored = || evidence.stored_address(TAGGED);
                let address = match address {
                    Address::Any => return Some(ApiRequest::of(&list)),
                    Address::AsStored => stored()?.to_owned(),
                    Address::OtherCase => other_case(stored()?),
                };
                Some(ApiRequest::of(&list.customer_email(Email::new(address).ok()?)))
            }
            Question::DaysBefore | Question::DaysAfter => {
                Some(ApiRequest::of(&GetDailyTotals::default().dates(self.recent())))
            }
            Question::Track(order, by) => {
                let receipt = || evidence.receipt(order).map(ImpactId::from);
                let mut id = evidence.id(order).or_else(receipt)?;
                if by == TrackedBy::Customer {
                    id = ImpactId::new(evidence.customer_id()?, id.time_utc);
                }
                Some(ApiRequest::of(&TrackImpact::new(id)))
            }
            Question::Cancel(order) => {
                let bought = evidence.maybe_bought().any(|bought| bought == order);
                evidence.id(order).filter(|_| bought).map(cancel)
            }
            Question::CancelAgain => {
                let id = evidence.id(FIRST).filter(|_| self.cancelled.contains(&FIRST))?;
                Some(cancel(id))
            }
            Question::Wrong(wrong) => wrong_request(wrong),
        }
    }

    fn own_records(&self, view: View) -> Option<ApiRequest> {
        let evidence = &self.evidence;
        let list = ListRecords::new().dates(self.recent()).limit(Limit::of::<1000>());
        let list = list.sort_order(SortOrder::Desc);
        let continued = |list: ListRecords, of| Some(list.cursor(evidence.cursor(of)?));
        let three = |order| list.clone().limit(Limit::of::<3>()).sort_order(order);
        let two = || list.clone().limit(Limit::of::<2>());
        let list = match view {
            View::Newest | View::Afterwards | View::OfTagged => list,
            View::FirstTwo => two(),
            View::NextTwoLater | View::NextTwoAtTheEnd => continued(two(), View::FirstTwo)?,
            View::Descending => three(SortOrder::Desc),
            View::DescendingNext => continued(three(SortOrder::Desc), View::Descending)?,
            View::Ascending => three(SortOrder::Asc),
            View::AscendingNext => continued(three(SortOrder::Asc), View::Ascending)?,
            View::One => list.limit(Limit::of::<1>()),
            View::Kind(order) => list.filter_by(ORDERS[order].kind.clone()),
            View::UnknownKind => list.filter_by(ImpactKind::from("oneclick_probe")),
            View::Since => list.dates(DateRange::since(evidence.server_day()?).ok()?),
            View::Until => list.dates(DateRange::until(evidence.server_day()?).ok()?),
        };
        Some(ApiRequest::of(&list))
    }

    fn customer_records(&self, view: View) -> Option<ApiRequest> {
        let list = ListCustomerRecords::new().dates(self.recent()).limit(Limit::of::<1000>());
        let list = list.sort_order(SortOrder::Desc);
        match view {
            View::OfTagged => Some(ApiRequest::of(&list.customer_email(Email::new(TAGGED).ok()?))),
            _ => Some(ApiRequest::of(&list)),
        }
    }

    /// From two days before the purchases: enough for days of any time zone, and a short list.
    fn recent(&self) -> DateRange {
        let since = |day: NaiveDate| day.checked_sub_days(Days::new(2));
        let first = self.evidence.utc_day().and_then(since);
        first.and_then(|first| DateRange::since(first).ok()).unwrap_or(DateRange::ALL)
    }

    /// Reads the response to a question.
    fn read(&self, question: Question, result: ApiResult<'_>) -> Result<Answer, Error> {
        fn rows<T: Into<Receipt>>(for_customers: bool, page: Page<T>) -> Answer {
            let items = page.items.into_iter().map(Into::into).collect();
            let Page { malformed, cursor, .. } = page;
            Answer::Records(RecordsPage { for_customers, items, malformed, cursor })
        }
        let personal = || self.personal();
        match question {
            Question::Wait(_) | Question::RetryAfter(_) | Question::Account => {
                result.read::<GetAccount>(&personal).map(|_| Answer::Accepted)
            }
            Question::Buy(_) => {
                let fraction = result.body().is_some_and(has_fraction);
                // The response of every action is a receipt.
                result
                    .read::<PlantTree>(&personal)
                    .map(|receipt| Answer::Receipt(receipt, fraction))
            }
            Question::Own(_) => result.read::<ListRecords>(&personal).map(|page| rows(false, page)),
            Question::ForCustomers(_) => {
                result.read::<ListCustomerRecords>(&personal).map(|page| rows(true, page))
            }
            Question::Customers(_) => {
                result.read::<ListCustomers>(&personal).map(Answer::Customers)
            }
            Question::DaysBefore | Question::DaysAfter => {
                result.read::<GetDailyTotals>(&personal).map(Answer::Days)
            }
            Question::Track(..) => result
                .read::<TrackImpact>(&personal)
                .map(|tracking| Answer::Tracking(Box::new(tracking))),
            Question::Cancel(_) | Question::CancelAgain => {
                result.read::<CancelImpact>(&personal).map(Answer::Cancellation)
            }
            Question::Wrong(_) => result.read::<NoSuchPath>(&personal).map(|_| Answer::Accepted),
        }
    }

    /// Notes what was cancelled, and whether the server fails.
    fn note(&mut self, question: Question, answer: &Answer) {
        match (question, answer) {
            (Question::Cancel(order), Answer::Cancellation(cancellation))
                if self.is_cancelled_by(order, cancellation) =>
            {
                self.cancelled.push(order);
            }
            _ => {}
        }
        let expected = matches!(question, Question::Wrong(_));
        let failed = match answer {
            // No response, or one that says that the server fails.
            Answer::Failed(failure) => {
                failure.status.is_none_or(|status| status >= 500 || status == 429)
            }
            _ => false,
        };
        let failed = failed && !expected;
        self.failures = if failed { self.failures + 1 } else { 0 };
        self.all_failures += usize::from(failed);
    }

    /// Whether a response says that the latest attempt, or an earlier one of this probe,
    /// cancelled an order.
    fn is_cancelled_by(&self, order: usize, cancellation: &Cancellation) -> bool {
        let Some(attempt) = self.attempts.last() else { return false };
        let id = &attempt.1;
        let tried_before = self.attempts.iter().filter(|earlier| *earlier == attempt).count() > 1;
        let by_us = match cancellation.message {
            CancelMessage::Cancelled => true,
            // On the first attempt, it is a purchase that somebody else cancelled.
            CancelMessage::AlreadyCancelled => tried_before,
            _ => false,
        };
        // Two purchases in one second may have the same id.
        let is_only = || {
            let mut orders = (0..ORDERS.len()).filter(|other| *other != order);
            !orders.any(|other| self.evidence.id(other).as_ref() == Some(id))
        };
        let named = ORDERS[order].is_named_by(cancellation);
        by_us && is_of_id(cancellation, id) && named.unwrap_or_else(is_only)
    }

    /// Ends the probe without another request: the server asks to wait for too long.
    fn stop(&mut self) {
        self.queue.clear();
        self.stage = Stage::Done;
    }

    fn report(mut self) -> ProbeReport {
        self.evidence.crossed = self.evidence.crossed_receipts();
        let mut report = findings::report(&self.evidence);
        report.requests = self.requests;
        let Remaining { ids, doubtful, without_id } = self.left();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        report.bought = count(self.evidence.maybe_bought().count());
        report.remaining = count(ids.len() + doubtful.len() + without_id);
        report.not_cancelled = ids;
        report.doubtful = doubtful;
        report
    }
}

impl Machine for Probe {
    type Output = ProbeReport;
    type State = Remaining;

    fn state(&self) -> &Remaining {
        &self.remaining
    }

    fn proceed(mut self, now: Duration) -> Next<Self> {
        loop {
            let Some(question) = self.queue.pop_front() else {
                if self.advance() {
                    continue;
                }
                return Next::Done(self.report());
            };
            match question {
                Question::RetryAfter(wait) => return Next::Wait(wait, self),
                question if self.is_left_out(question) => continue,
                Question::Wait(wait) => return Next::Wait(wait, self),
                _ => {}
            }
            if let Some(request) = self.request(question) {
                self.requests += 1;
                if let Question::Cancel(order) = question {
                    self.attempts.extend(self.evidence.id(order).map(|id| (order, id)));
                }
                self.asked_wait = None;
                self.asked = Some((question, now));
                self.content_type = "no content-type";
                // Until its response arrives, a purchase has no id.
                self.remaining.without_id += usize::from(matches!(question, Question::Buy(_)));
                return Next::Send(request, self);
            }
        }
    }

    fn handle(mut self, result: ApiResult<'_>, now: Duration) -> Next<Self> {
        let Some((question, asked)) = self.asked.take() else { return self.proceed(now) };
        let date = result.date();
        let answer = self.read(question, result).unwrap_or_else(|error| failed(&error));
        let asked_wait = match &answer {
            Answer::Failed(failure) => failure.retry_after,
            _ => None,
        };
        match asked_wait.or(self.asked_wait) {
            Some(wait) if wait > MAX_RETRY_AFTER => self.stop(),
            Some(wait) if !wait.is_zero() => self.queue.push_front(Question::RetryAfter(wait)),
            _ => {}
        }
        self.note(question, &answer);
        let content_type = self.content_type;
        self.evidence.add(Reply { question, asked, answered: now, date, content_type, answer });
        self.remaining = self.left();
        self.proceed(now)
    }

    fn observe(&mut self, head: &Parts) {
        let names = head.headers.keys().map(HeaderName::as_str).filter_map(limit_header);
        self.evidence.limit_headers.extend(names);
        self.asked_wait = head.status.is_success().then(|| retry_after(&head.headers)).flatten();
        self.content_type = content_type_of(head);
    }

    fn may_resend(&self) -> bool {
        let affordable = self.asked.is_some_and(|(question, _)| self.can_afford(question));
        affordable && self.failures < MAX_FAILURES
    }

    fn before_resend(&mut self, _: Duration) {
        self.requests += 1;
        self.all_failures += 1;
        if let (Some((Question::Cancel(_), _)), Some(attempt)) =
            (self.asked, self.attempts.last().cloned())
        {
            self.attempts.push(attempt);
        }
    }

    fn personal(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Shows no response, which may hold the account's address.
impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("stage", &self.stage)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

fn failed(error: &Error) -> Answer {
    Answer::Failed(Failure {
        status: error.status().map(|status| status.as_u16()),
        has_type: error.error_type().is_some(),
        is_json: serde_json::from_slice::<Value>(error.body()).is_ok(),
        may_be_executed: error.execution() != Execution::NotExecuted,
        retry_after: error.retry_after(),
    })
}

/// What the report calls a header that tells of a limit; `None` for any other header. The name
/// may hold a secret, so it repeats no words of the server.
fn limit_header(name: &str) -> Option<&'static str> {
    const KNOWN: [&str; 14] = [
        "retry-after",
        "ratelimit",
        "ratelimit-limit",
        "ratelimit-policy",
        "ratelimit-remaining",
        "ratelimit-reset",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-rate-limit-limit",
        "x-rate-limit-remaining",
        "x-rate-limit-reset",
        "x-quota-limit",
        "x-quota-remaining",
    ];
    let known = KNOWN.into_iter().find(|known| *known == name);
    let tells = ["ratelimit", "rate-limit", "quota"].iter().any(|word| name.contains(word));
    known.or_else(|| tells.then_some("another header"))
}

/// What the report calls a `Content-Type`. It repeats no words of the server.
fn content_type_of(head: &Parts) -> &'static str {
    let Some(value) = head.headers.get(CONTENT_TYPE) else { return "no content-type" };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "application/problem+json", "text/html", "text/plain"];
    let known = known.into_iter().find(|known| essence.eq_ignore_ascii_case(known));
    known.unwrap_or("another content-type")
}

/// The purchase of an order. Its metadata shows any change of keys and values.
fn purchase(order: usize, evidence: &Evidence) -> Option<Purchase> {
    let intent = evidence.intents.get(order)?;
    let pairs = [
        (Intent::METADATA_KEY, intent.marker()),
        ("probe_order", "Order-0123456789-abcdefghijklmnopqrstuvwxyz-Ordinary-Text"),
    ];
    let metadata = Metadata::from_pairs(pairs).ok()?;
    let order = &ORDERS[order];
    let amount = u64::from(order.amount);
    let purchase: Purchase = match &order.kind {
        ImpactKind::WasteRemoved => CleanOcean::new(Pounds::new(amount).ok()?).into(),
        ImpactKind::CarbonCaptured => CaptureCarbon::new(Pounds::new(amount).ok()?).into(),
        ImpactKind::CoralRestored => RestoreCoral::new(Fragments::new(amount).ok()?).into(),
        ImpactKind::MoneyDonated => DonateMoney::new(Cents::new(amount).ok()?).into(),
        _ => {
            let mut trees = PlantTree::new(Trees::new(amount).ok()?);
            if let Some(address) = order.customer {
                trees = trees.customer(Customer::new(address).ok()?).notify(false);
            }
            trees.into()
        }
    };
    Some(purchase.with_metadata(metadata))
}

fn cancel(id: ImpactId) -> ApiRequest {
    let cancel = CancelImpact::new(id);
    let reason = Reason::new("oneclick probe").ok();
    ApiRequest::of(&CancelImpact { reason, ..cancel })
}

/// An address with upper and lower case exchanged.
fn other_case(address: &str) -> String {
    let other = |letter: char| {
        if letter.is_ascii_lowercase() {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        }
    };
    address.chars().map(other).collect()
}

/// Declares a request that is wrong on purpose.
macro_rules! wrong {
    ($name:ident { $($field:ident: $type:ty)? } GET $path:literal) => {
        #[derive(Serialize)]
        struct $name { $($field: $type)? }

        impl Endpoint for $name {
            type Response = Value;
            const METHOD: Method = Method::GET;
            const PATH: &'static str = $path;
            const IDEMPOTENT: bool = true;
        }
    };
}

wrong! { WrongValue { start_date: &'static str } GET "/v1/records" }
wrong! { WrongLimit { limit: u32 } GET "/v1/records" }
wrong! { WrongMethod {} GET "/v1/plant_tree" }
wrong! { NoSuchPath {} GET "/v1/oneclick_probe_no_such_path" }

fn wrong_request(wrong: Wrong) -> Option<ApiRequest> {
    Some(match wrong {
        Wrong::Value => ApiRequest::of(&WrongValue { start_date: "yesterday" }),
        Wrong::Limit => ApiRequest::of(&WrongLimit { limit: 1_001 }),
        Wrong::Key => {
            let key = ApiKey::new("oneclick_probe_no_such_key").ok()?;
            ApiRequest::of(&GetAccount).with_key(key)
        }
        Wrong::Path => ApiRequest::of(&NoSuchPath {}),
        Wrong::Method => ApiRequest::of(&WrongMethod {}),
    })
}
