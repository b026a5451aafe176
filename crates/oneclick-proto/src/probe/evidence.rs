//! What the server responded.

use std::collections::BTreeSet;
use std::ptr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::Value;

use super::plan::{ORDERS, Order, Question, TAGGED, TAGGED_ORDER, View};
use crate::endpoint::{Page, Receipt};
use crate::value::{Cursor, Impact, ImpactId, UserId};
use crate::verify::is_ours;
use crate::{Cancellation, CustomerSummary, DailyTotals, Intent, Tracking};

/// How far the time of a record may be from that of its receipt.
const SAME_PURCHASE: TimeDelta = TimeDelta::seconds(3);
/// How far a receipt may be dated before its request: a `Date` is in whole seconds, and the
/// servers of an API need not agree to the second.
const BEFORE_REQUEST: TimeDelta = TimeDelta::seconds(2);
/// How many receipts with fractions of a second show that a server counts them.
const FRACTIONS_EXPECTED: usize = 10;

/// A question and its answer.
pub(super) struct Reply {
    pub(super) question: Question,
    /// When it was asked and answered.
    pub(super) asked: Duration,
    pub(super) answered: Duration,
    /// The `Date` of the response.
    pub(super) date: Option<DateTime<Utc>>,
    /// The `Content-Type` of the response.
    pub(super) content_type: &'static str,
    pub(super) answer: Answer,
}

pub(super) enum Answer {
    /// A receipt, and whether its amount was written as a fraction.
    Receipt(Receipt, bool),
    Records(RecordsPage),
    Customers(Page<CustomerSummary>),
    Days(DailyTotals),
    Tracking(Box<Tracking>),
    Cancellation(Cancellation),
    /// A 2xx response of which nothing else matters.
    Accepted,
    Failed(Failure),
}

/// Whether a time has fractions of a second.
fn has_fraction_of_second(row: &Receipt) -> bool {
    row.time_utc.datetime().timestamp_subsec_nanos() != 0
}

/// Whether two times may be those of one purchase: the same to the millisecond, or to the
/// second if one of them is in whole seconds.
fn same_time(one: &Receipt, other: &Receipt) -> bool {
    let millis = |row: &Receipt| row.time_utc.datetime().timestamp_millis();
    let apart = millis(one).abs_diff(millis(other));
    apart == 0 || (apart < 1_000 && !(has_fraction_of_second(one) && has_fraction_of_second(other)))
}

/// What a list shows of the metadata of this run.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    #[default]
    Nothing,
    Altered,
    Marker,
}

fn has_metadata(row: &Receipt) -> bool {
    !row.metadata.is_empty() || row.extra.get("metadata").is_some()
}

/// A page of either list of records.
pub(super) struct RecordsPage {
    pub(super) for_customers: bool,
    pub(super) items: Vec<Receipt>,
    pub(super) malformed: Vec<Value>,
    pub(super) cursor: Option<Cursor>,
}

#[derive(Clone, Copy)]
pub(super) struct Failure {
    /// The status; `None` if no response arrived.
    pub(super) status: Option<u16>,
    /// Whether the body has the `type` of the API's errors, and whether it is JSON.
    pub(super) has_type: bool,
    pub(super) is_json: bool,
    /// Whether the request may have been executed.
    pub(super) may_be_executed: bool,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
}

/// Everything that is known so far.
#[derive(Default)]
pub(super) struct Evidence {
    /// The time of the client's clock when the probe began.
    pub(super) client_clock: DateTime<Utc>,
    /// The intent of each order, whose marker its metadata carry.
    pub(super) intents: Vec<Intent>,
    pub(super) replies: Vec<Reply>,
    /// Why receipts of other purchases must have arrived, if they did. Once all is asked, the
    /// records count too.
    pub(super) crossed: Option<&'static str>,
    /// The names of headers that tell of limits.
    pub(super) limit_headers: BTreeSet<&'static str>,
    /// What `/v1/records` and `/v1/customer_records` show of the metadata.
    shown: [Shown; 2],
    /// The row with the marker of each order in any spelling. A row in whole seconds is the
    /// second choice, since its time decides.
    marked: Vec<Option<Receipt>>,
}

impl Evidence {
    pub(super) fn new(client_clock: DateTime<Utc>) -> Self {
        let key = |order| format!("{}:{order}", client_clock.to_rfc3339());
        let intent = |order| Intent::new("oneclick probe", &key(order));
        let intents = (0..ORDERS.len()).map(intent).collect();
        Self { client_clock, intents, marked: vec![None; ORDERS.len()], ..Self::default() }
    }

    pub(super) fn add(&mut self, reply: Reply) {
        if let Some(page) = reply.page() {
            let rows = || {
                (0..ORDERS.len()).flat_map(|order| page.items.iter().map(move |row| (order, row)))
            };
            let shown = if rows().any(|(order, row)| self.is_marked(order, row)) {
                Shown::Marker
            } else if rows().any(|(order, row)| ORDERS[order].is_of(row) && has_metadata(row)) {
                Shown::Altered
            } else {
                Shown::Nothing
            };
            let ours = rows().filter(|(order, row)| self.is_of_this_run(*order, row));
            let ours: Vec<_> = ours.map(|(order, row)| (order, row.clone())).collect();
            let list = &mut self.shown[usize::from(page.for_customers)];
            *list = shown.max(*list);
            for (order, row) in ours {
                let known = &mut self.marked[order];
                if known.as_ref().is_none_or(|known| {
                    !has_fraction_of_second(known) && has_fraction_of_second(&row)
                }) {
                    *known = Some(row);
                }
            }
        }
        if let (Question::Buy(order), Answer::Receipt(receipt, _)) = (reply.question, &reply.answer)
        {
            if !ORDERS[order].is_of(receipt) {
                self.crossed = Some("a receipt of another kind or amount");
            }
        }
        self.replies.push(reply);
    }

    /// Whether a row has the marker of an order, unchanged.
    fn is_marked(&self, order: usize, row: &Receipt) -> bool {
        let marker = row.metadata.get(Intent::METADATA_KEY);
        ORDERS[order].is_of(row) && marker == Some(self.intents[order].marker())
    }

    /// Whether a row has the marker of an order in any spelling.
    fn is_of_this_run(&self, order: usize, row: &Receipt) -> bool {
        ORDERS[order].is_of(row) && is_ours(row, self.intents[order].marker())
    }

    /// The answers to a question.
    pub(super) fn answers(&self, question: Question) -> impl DoubleEndedIterator<Item = &Reply> {
        self.replies.iter().filter(move |reply| reply.question == question)
    }

    /// The page of a list, if it could be read; the latest one.
    pub(super) fn page(&self, question: Question) -> Option<&RecordsPage> {
        self.answers(question).rev().find_map(Reply::page)
    }

    /// The status of a question that got no page: 400, for instance.
    pub(super) fn failure(&self, question: Question) -> Option<Failure> {
        self.answers(question).find_map(|reply| match reply.answer {
            Answer::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// The purchases that may have been made.
    pub(super) fn maybe_bought(&self) -> impl Iterator<Item = usize> {
        self.replies.iter().filter_map(|reply| match (reply.question, &reply.answer) {
            (Question::Buy(_), Answer::Failed(failure)) if !failure.may_be_executed => None,
            (Question::Buy(order), _) => Some(order),
            _ => None,
        })
    }

    /// The receipt of an order, with whichever response it came: the latest one, since an
    /// earlier purchase of others may be equal.
    pub(super) fn receipt(&self, order: usize) -> Option<&Receipt> {
        let receipts = self.receipts().map(|(_, receipt)| receipt);
        let equal = receipts.filter(|receipt| ORDERS[order].is_of(receipt));
        equal.max_by_key(|receipt| receipt.time_utc.datetime())
    }

    /// The receipts, with the order that was sent.
    pub(super) fn receipts(&self) -> impl Iterator<Item = (usize, &Receipt)> {
        self.replies.iter().filter_map(|reply| match (reply.question, &reply.answer) {
            (Question::Buy(order), Answer::Receipt(receipt, _)) => Some((order, receipt)),
            _ => None,
        })
    }

    /// When the response to an order arrived.
    pub(super) fn bought_at(&self, order: usize) -> Option<Duration> {
        self.answers(Question::Buy(order)).map(|reply| reply.answered).next()
    }

    /// The row of an order on a page, if there is no doubt that it is.
    pub(super) fn row<'a>(&self, order: usize, page: &'a RecordsPage) -> Option<&'a Receipt> {
        let mut rows = self.rows(order, page);
        rows.next().filter(|_| rows.next().is_none())
    }

    /// Whether a page shows an order.
    pub(super) fn shows(&self, order: usize, page: &RecordsPage) -> bool {
        self.rows(order, page).next().is_some()
    }

    /// The rows that may be those of an order. Other software may buy the same without
    /// metadata, so if a list shows metadata, a row needs them.
    pub(super) fn rows<'a>(
        &self,
        order: usize,
        page: &'a RecordsPage,
    ) -> impl Iterator<Item = &'a Receipt> + Clone {
        let receipt = self.receipt(order).map(|receipt| receipt.time_utc.datetime());
        let began = self.began();
        let shown = self.shown[usize::from(page.for_customers)];
        page.items.iter().filter(move |row| {
            let time = row.time_utc.datetime();
            let near = match receipt {
                // The marker is enough, and the receipt may be that of another purchase.
                _ if shown == Shown::Marker => true,
                Some(receipt) => (time - receipt).abs() <= SAME_PURCHASE,
                None => began.is_some_and(|began| time >= began - SAME_PURCHASE),
            };
            let ours = match shown {
                Shown::Marker => self.is_marked(order, row),
                Shown::Altered => has_metadata(row),
                Shown::Nothing => true,
            };
            near && ours && ORDERS[order].is_of(row) && is_undamaged(row)
        })
    }

    /// The time of the first purchase, by the server's clock.
    pub(super) fn began(&self) -> Option<DateTime<Utc>> {
        let times = self.receipts().map(|(_, receipt)| receipt.time_utc.datetime());
        times.min().or_else(|| self.replies.iter().find_map(|reply| reply.date))
    }

    /// All pages of a list that were read newest first, with when they were.
    pub(super) fn newest(
        &self,
        question: Question,
    ) -> impl Iterator<Item = (&Reply, &RecordsPage)> {
        self.answers(question).filter_map(|reply| Some((reply, reply.page()?)))
    }

    /// All pages of records.
    pub(super) fn pages(&self) -> impl Iterator<Item = &RecordsPage> {
        self.replies.iter().filter_map(Reply::page)
    }

    /// The id by which an order may be cancelled. Nothing else decides that.
    ///
    /// A receipt may be that of another purchase: other software buys the same, and a cache
    /// returns an old one. A cancellation cannot be taken back, so in doubt there is no id:
    /// - Where the lists show our markers, only the row with the marker counts, and a receipt
    ///   of the same time, since its form of the id is the one that the API knows.
    /// - Where they do not, only the receipt counts that came in response to the order. It may
    ///   not be older than its request, and no record may be a second candidate.
    /// - An id in whole seconds may be that of any purchase in that second.
    pub(super) fn id(&self, order: usize) -> Option<ImpactId> {
        let names_one =
            |id: &&Receipt| has_fraction_of_second(id) || !self.has_stranger_in_second_of(id);
        let id = if self.shows_markers_like(order) {
            let marked = self.marked[order].as_ref()?;
            let mut receipts = self.receipts().map(|(_, receipt)| receipt);
            let same =
                |receipt: &&Receipt| ORDERS[order].is_of(receipt) && same_time(receipt, marked);
            if self.is_precise(marked) {
                receipts.find(same).filter(names_one).or(Some(marked))
            } else {
                self.only_receipt(order).filter(same)
            }
        } else {
            self.only_receipt(order)
        };
        id.filter(names_one).map(ImpactId::from)
    }

    /// Whether a time names its millisecond. One in a thousand has no fraction by chance, so
    /// a single one among the receipts is no sign of a server that counts in whole seconds.
    fn is_precise(&self, row: &Receipt) -> bool {
        let receipts = self.receipts().map(|(_, receipt)| receipt);
        let (fractions, whole): (Vec<_>, Vec<_>) =
            receipts.partition(|receipt| has_fraction_of_second(receipt));
        let is_only = |only: &Receipt| only.time_utc.datetime() == row.time_utc.datetime();
        has_fraction_of_second(row)
            || (fractions.len() >= FRACTIONS_EXPECTED && matches!(*whole, [only] if is_only(only)))
    }

    /// Whether the lists show the markers of such orders: for a customer or not.
    pub(super) fn shows_markers_like(&self, order: usize) -> bool {
        let alike = |other: &usize| is_for_customer(*other) == is_for_customer(order);
        (0..ORDERS.len()).filter(alike).any(|other| self.marked[other].is_some())
    }

    /// The receipt in response to an order, if no other purchase can have got it.
    fn only_receipt(&self, order: usize) -> Option<&Receipt> {
        let receipt = self.receipt_in_response(order)?;
        let is_only = |page: &RecordsPage| {
            let mut rows = page.items.iter().filter(|row| self.may_be_of(order, row));
            let in_doubt = |row: &Receipt| !self.is_precise(row) && self.is_in_both_lists(order);
            rows.next().is_none_or(|row| same_time(row, receipt) && !in_doubt(row))
                && rows.next().is_none()
        };
        let is_safe = self.crossed.is_none()
            && (self.is_precise(receipt) || !self.is_in_both_lists(order))
            && !self.is_older_than_its_request(order, receipt)
            && self.pages().all(is_only);
        is_safe.then_some(receipt)
    }

    /// The receipt in response to an order, if it is of the same kind and amount.
    pub(super) fn receipt_in_response(&self, order: usize) -> Option<&Receipt> {
        let mut receipts = self.receipts().filter(|(sent, _)| *sent == order);
        receipts.find_map(|(_, receipt)| ORDERS[order].is_of(receipt).then_some(receipt))
    }

    /// Whether both lists show what can be an order: one purchase in both, or two.
    fn is_in_both_lists(&self, order: usize) -> bool {
        let shows = |page: &&RecordsPage| page.items.iter().any(|row| self.may_be_of(order, row));
        let mut pages = self.pages().filter(shows).map(|page| page.for_customers);
        let Some(first) = pages.next() else { return false };
        pages.any(|list| list != first)
    }

    /// Whether a row of this time, kind and amount can be that of an order.
    fn may_be_of(&self, order: usize, row: &Receipt) -> bool {
        let since = |began| row.time_utc.datetime() >= began - SAME_PURCHASE;
        ORDERS[order].is_of(row) && self.began().is_none_or(since)
    }

    /// Whether a receipt is dated before its order left, by the latest `Date` or the latest
    /// receipt before it.
    fn is_older_than_its_request(&self, order: usize, receipt: &Receipt) -> bool {
        let bought = |reply: &Reply| reply.question == Question::Buy(order);
        let Some(at) = self.replies.iter().position(bought) else { return false };
        let (before, left) = (&self.replies[..at], &self.replies[at]);
        let since = |reply: &Reply| {
            TimeDelta::from_std(left.asked.saturating_sub(reply.answered)).unwrap_or_default()
        };
        let by_date = |reply: &Reply| reply.date?.checked_add_signed(since(reply));
        let by_receipt = |reply: &Reply| match &reply.answer {
            Answer::Receipt(earlier, _) => Some(earlier.time_utc.datetime()),
            _ => None,
        };
        let latest =
            [before.iter().rev().find_map(by_date), before.iter().rev().find_map(by_receipt)];
        let time = receipt.time_utc.datetime();
        latest.into_iter().flatten().any(|known| known - time > BEFORE_REQUEST)
    }

    /// Whether a list shows a purchase of others in the second of a receipt, or one that may be.
    fn has_stranger_in_second_of(&self, receipt: &Receipt) -> bool {
        let millis = |row: &Receipt| row.time_utc.datetime().timestamp_millis();
        self.pages().any(|page| {
            let near = |row: &&Receipt| millis(row).abs_diff(millis(receipt)) < 1_000;
            page.items.iter().filter(near).any(|row| {
                let mut orders = 0..ORDERS.len();
                !orders.any(|order| {
                    let is_ours = self.row(order, page).is_some_and(|ours| ptr::eq(ours, row));
                    is_ours && !self.is_in_both_lists(order)
                })
            })
        })
    }

    /// Why receipts of other purchases must have arrived: one is of another kind or amount, or
    /// has another time than the record with the marker or than its response.
    pub(super) fn crossed_receipts(&self) -> Option<&'static str> {
        let of_another_record = |(order, receipt): (usize, &Receipt)| {
            self.marked[order].as_ref().is_some_and(|row| !same_time(receipt, row))
        };
        if self.crossed.is_some() {
            self.crossed
        } else if self.receipts().any(of_another_record) {
            Some("a record with the marker has another time")
        } else if self.has_receipt_out_of_step() {
            Some("a receipt has another time than its response")
        } else {
            None
        }
    }

    /// Whether the time of a receipt is far from that of its response, compared with the
    /// others. The clocks of the server and the client need not agree for that.
    fn has_receipt_out_of_step(&self) -> bool {
        let ahead = |reply: &Reply| match &reply.answer {
            Answer::Receipt(receipt, _) => {
                let answered = i64::try_from(reply.answered.as_millis()).unwrap_or(i64::MAX);
                let took = reply.answered.saturating_sub(reply.asked);
                let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
                let time = receipt.time_utc.datetime().timestamp_millis();
                Some((time.saturating_sub(answered), took))
            }
            _ => None,
        };
        let ahead: Vec<_> = self.replies.iter().filter_map(ahead).collect();
        let mut sorted: Vec<_> = ahead.iter().map(|(ahead, _)| *ahead).collect();
        sorted.sort_unstable();
        let Some(median) = sorted.get(sorted.len() / 2) else { return false };
        let tolerated = SAME_PURCHASE.num_milliseconds();
        ahead.iter().any(|(ahead, took)| {
            let apart = ahead.saturating_sub(*median);
            apart > tolerated || apart < -took.saturating_add(tolerated)
        })
    }

    /// The address of the customer with capital letters and a tag, as the API shows it.
    pub(super) fn stored_address(&self, sent: &str) -> Option<&str> {
        let order = ORDERS.iter().position(|order| order.customer == Some(sent))?;
        let of = |receipt: &'_ Receipt| receipt.customer.is_some();
        let listed = self.newest(Question::ForCustomers(View::Newest));
        let row = listed.filter_map(|(_, page)| self.row(order, page)).find(|row| of(row));
        let customer = row.or_else(|| self.receipt(order).filter(|receipt| of(receipt)))?;
        customer.customer.as_ref().map(|customer| customer.customer_email.as_str())
    }

    /// The customer's id of the order with the tagged address, if a response showed it.
    pub(super) fn customer_id(&self) -> Option<UserId> {
        let shown =
            |row: &Receipt| row.customer.as_ref().map(|customer| customer.customer_id.clone());
        let listed = self.newest(Question::ForCustomers(View::Newest));
        let mut rows = listed.filter_map(|(_, page)| self.row(TAGGED_ORDER, page));
        let receipt = self.receipt(TAGGED_ORDER).and_then(shown);
        receipt.or_else(|| rows.find_map(shown)).or_else(|| self.listed_id()).map(UserId::new)
    }

    /// The customer's id in the list of customers.
    fn listed_id(&self) -> Option<String> {
        self.replies.iter().find_map(|reply| match &reply.answer {
            Answer::Customers(page) => page
                .items
                .iter()
                .find(|customer| {
                    customer.customer_email.as_str().eq_ignore_ascii_case(TAGGED)
                        || customer.customer_email.as_str().to_lowercase()
                            == "probe.ada@example.com"
                })
                .map(|customer| customer.customer_id.clone()),
            _ => None,
        })
    }

    /// The cursor of the page with the newest two rows.
    pub(super) fn cursor(&self, of: View) -> Option<Cursor> {
        self.page(Question::Own(of))?.cursor.clone()
    }

    /// The day of the purchases in UTC, by the server's clock.
    pub(super) fn utc_day(&self) -> Option<NaiveDate> {
        self.began().map(|began| began.date_naive())
    }

    /// The day under which the server counts the purchases.
    pub(super) fn server_day(&self) -> Option<NaiveDate> {
        let days = |question| {
            self.answers(question).find_map(|reply| match &reply.answer {
                Answer::Days(days) => Some(days),
                _ => None,
            })
        };
        let before = days(Question::DaysBefore)?;
        let after = days(Question::DaysAfter)?;
        let total = |days: &DailyTotals, date: NaiveDate| {
            let day = days.daily_impact.iter().find(|day| day.date == date);
            day.map_or(0, |day| {
                day.totals.iter().fold(0, |sum, (_, it)| i64::saturating_add(sum, it))
            })
        };
        let grew = |date: &NaiveDate| total(after, *date) > total(before, *date);
        let mut grown = after.daily_impact.iter().map(|day| day.date).filter(grew);
        grown.next().filter(|_| grown.next().is_none())
    }
}

impl Reply {
    pub(super) fn page(&self) -> Option<&RecordsPage> {
        match &self.answer {
            Answer::Records(page) => Some(page),
            _ => None,
        }
    }
}

impl Order {
    /// Whether an impact has the kind and amount of this order.
    pub(super) fn is_of(&self, row: &Receipt) -> bool {
        self.is_impact(&row.impact)
    }

    /// Whether a cancellation names this order; `None` if it names no impact.
    pub(super) fn is_named_by(&self, cancellation: &Cancellation) -> Option<bool> {
        let impact = &cancellation.impact;
        (!impact.kind.as_str().is_empty()).then(|| self.is_impact(impact))
    }

    fn is_impact(&self, impact: &Impact) -> bool {
        impact.kind == self.kind && impact.amount == i64::from(self.amount)
    }
}

/// Whether a cancellation is that of an id.
pub(super) fn is_of_id(cancellation: &Cancellation, id: &ImpactId) -> bool {
    let (shown, asked) = (cancellation.user_id.as_str(), id.user_id.as_str());
    let time = |time: DateTime<Utc>| time.timestamp_millis();
    shown.eq_ignore_ascii_case(asked)
        && time(cancellation.time_utc.datetime()) == time(id.time_utc.datetime())
}

/// Whether an order is for a customer, whose purchases may be in another list.
pub(super) fn is_for_customer(order: usize) -> bool {
    ORDERS[order].customer.is_some()
}

/// Whether no text of a row lost characters.
pub(super) fn is_undamaged(row: &Receipt) -> bool {
    let category = row.category.as_ref().map_or("", |category| category.as_str());
    !category.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether an amount is written as a fraction, such as `5.0`.
pub(super) fn has_fraction(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    value.as_object().is_some_and(|fields| fields.values().any(Value::is_f64))
}
