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
use crate::{CancelMessage, Cancellation, CustomerSummary, DailyTotals, Intent, Tracking};

/// How far the time of a record may be from that of its receipt.
const SAME_PURCHASE: TimeDelta = TimeDelta::seconds(3);

/// A question and its answer.
pub(super) struct Exchange {
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
    Records(Rows),
    Customers(Page<CustomerSummary>),
    Days(DailyTotals),
    Tracking(Box<Tracking>),
    Cancellation(Cancellation),
    /// A 2xx response of which nothing else matters.
    Accepted,
    Failed(Failure),
}

/// Whether a time has fractions of a second.
fn is_precise(row: &Receipt) -> bool {
    row.time_utc.datetime().timestamp_subsec_nanos() != 0
}

/// Whether two times are the same to the millisecond.
fn same_time(one: &Receipt, other: &Receipt) -> bool {
    let millis = |row: &Receipt| row.time_utc.datetime().timestamp_millis();
    millis(one) == millis(other)
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
pub(super) struct Rows {
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
    pub(super) exchanges: Vec<Exchange>,
    /// Whether receipts of other purchases arrived. Once all is asked, the records count too.
    pub(super) crossed: bool,
    /// The names of headers that tell of limits.
    pub(super) limit_headers: BTreeSet<String>,
    /// What `/v1/records` and `/v1/customer_records` show of the metadata.
    shown: [Shown; 2],
}

impl Evidence {
    pub(super) fn new(client_clock: DateTime<Utc>) -> Self {
        let key = |order| format!("{}:{order}", client_clock.to_rfc3339());
        let intent = |order| Intent::new("oneclick probe", &key(order));
        Self { client_clock, intents: (0..ORDERS.len()).map(intent).collect(), ..Self::default() }
    }

    pub(super) fn add(&mut self, exchange: Exchange) {
        if let Some(page) = exchange.page() {
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
            let list = &mut self.shown[usize::from(page.for_customers)];
            *list = shown.max(*list);
        }
        if let (Question::Buy(order), Answer::Receipt(receipt, _)) =
            (exchange.question, &exchange.answer)
        {
            self.crossed |= !ORDERS[order].is_of(receipt);
        }
        self.exchanges.push(exchange);
    }

    /// Whether a row has the marker of an order, unchanged.
    fn is_marked(&self, order: usize, row: &Receipt) -> bool {
        let marker = row.metadata.get(Intent::METADATA_KEY);
        ORDERS[order].is_of(row) && marker == Some(self.intents[order].marker())
    }

    /// The answers to a question.
    pub(super) fn answers(&self, question: Question) -> impl DoubleEndedIterator<Item = &Exchange> {
        self.exchanges.iter().filter(move |exchange| exchange.question == question)
    }

    /// The page of a list, if it could be read; the latest one.
    pub(super) fn page(&self, question: Question) -> Option<&Rows> {
        self.answers(question).rev().find_map(Exchange::page)
    }

    /// The status of a question that got no page: 400, for instance.
    pub(super) fn failure(&self, question: Question) -> Option<Failure> {
        self.answers(question).find_map(|exchange| match exchange.answer {
            Answer::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// The purchases that may have been made.
    pub(super) fn maybe_bought(&self) -> impl Iterator<Item = usize> {
        self.exchanges.iter().filter_map(|exchange| match (exchange.question, &exchange.answer) {
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
        self.exchanges.iter().filter_map(|exchange| match (exchange.question, &exchange.answer) {
            (Question::Buy(order), Answer::Receipt(receipt, _)) => Some((order, receipt)),
            _ => None,
        })
    }

    /// When the response to an order arrived.
    pub(super) fn bought_at(&self, order: usize) -> Option<Duration> {
        self.answers(Question::Buy(order)).map(|exchange| exchange.answered).next()
    }

    /// The row of an order on a page, if there is no doubt that it is.
    pub(super) fn row<'a>(&self, order: usize, page: &'a Rows) -> Option<&'a Receipt> {
        let mut rows = self.rows(order, page);
        rows.next().filter(|_| rows.next().is_none())
    }

    /// Whether a page shows an order.
    pub(super) fn shows(&self, order: usize, page: &Rows) -> bool {
        self.rows(order, page).next().is_some()
    }

    /// The rows that may be those of an order. Other software may buy the same without
    /// metadata, so if a list shows metadata, a row needs them.
    pub(super) fn rows<'a>(
        &self,
        order: usize,
        page: &'a Rows,
    ) -> impl Iterator<Item = &'a Receipt> + Clone {
        let receipt = self.receipt(order).map(|receipt| receipt.time_utc.datetime());
        let began = self.began();
        let shown = self.shown[usize::from(page.for_customers)];
        page.items.iter().filter(move |row| {
            let time = row.time_utc.datetime();
            let near = match receipt {
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
        times.min().or_else(|| self.exchanges.iter().find_map(|exchange| exchange.date))
    }

    /// All pages of a list that were read newest first, with when they were.
    pub(super) fn newest(&self, question: Question) -> impl Iterator<Item = (&Exchange, &Rows)> {
        self.answers(question).filter_map(|exchange| Some((exchange, exchange.page()?)))
    }

    /// All pages of records.
    pub(super) fn pages(&self) -> impl Iterator<Item = &Rows> {
        self.exchanges.iter().filter_map(Exchange::page)
    }

    /// The id of an order, to cancel it. Without a receipt, or if receipts are those of other
    /// purchases, a record has to show the marker, so that nobody else's purchase is cancelled.
    pub(super) fn id(&self, order: usize) -> Option<ImpactId> {
        let sent = |(sent, receipt): (usize, _)| (sent == order).then_some(receipt);
        let own = self.receipts().filter_map(sent).find(|receipt| ORDERS[order].is_of(receipt));
        // A server that cuts times may find a purchase of others by a whole second.
        let is_safe = |own: &&Receipt| is_precise(own) || !self.has_stranger_in_second_of(own);
        if let Some(own) = own.filter(|_| !self.crossed).filter(is_safe) {
            return Some(ImpactId::from(own));
        }
        let intent = self.intents[order].marker();
        // A time in whole seconds may be that of another purchase.
        let marked =
            |row: &&Receipt| ORDERS[order].is_of(row) && is_precise(row) && is_ours(row, intent);
        let marked = self.pages().flat_map(|page| &page.items).find(marked)?;
        let mut receipts = self.receipts().map(|(_, receipt)| receipt);
        let same = |receipt: &&Receipt| ORDERS[order].is_of(receipt) && same_time(receipt, marked);
        receipts.find(same).or(Some(marked)).map(ImpactId::from)
    }

    /// Whether a list shows a purchase of others in the second of a receipt.
    fn has_stranger_in_second_of(&self, receipt: &Receipt) -> bool {
        let second = |row: &Receipt| row.time_utc.datetime().timestamp();
        self.pages().any(|page| {
            let mut near = page.items.iter().filter(|row| second(row) == second(receipt));
            near.any(|row| {
                let mut orders = 0..ORDERS.len();
                !orders.any(|order| self.rows(order, page).any(|ours| ptr::eq(ours, row)))
            })
        })
    }

    /// Whether the receipt of another purchase arrived: one of another kind or amount, or one
    /// with another time than the record with the marker.
    pub(super) fn has_crossed_receipts(&self) -> bool {
        self.receipts().any(|(order, receipt)| {
            let rows = self.pages().filter_map(|page| self.row(order, page));
            let marked = |row: &&Receipt| is_precise(row) && self.is_marked(order, row);
            !ORDERS[order].is_of(receipt) || rows.filter(marked).any(|row| !same_time(receipt, row))
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
        self.exchanges.iter().find_map(|exchange| match &exchange.answer {
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
            self.answers(question).find_map(|exchange| match &exchange.answer {
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

impl Exchange {
    pub(super) fn page(&self) -> Option<&Rows> {
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

    /// Whether a cancellation is one of this order, and not of another impact.
    pub(super) fn is_cancelled_by(&self, cancellation: &Cancellation) -> bool {
        let unnamed = cancellation.impact.kind.as_str().is_empty();
        let first = cancellation.message == CancelMessage::Cancelled;
        self.is_impact(&cancellation.impact) || (unnamed && first)
    }

    fn is_impact(&self, impact: &Impact) -> bool {
        impact.kind == self.kind && impact.amount == i64::from(self.amount)
    }
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
