//! A simulated server that varies everything that the API leaves unstated.
//!
//! It imports no crate of this workspace, so client and server cannot share a mistake. It
//! has no socket and no clock: an exchange is a function of the request, the time and the
//! seed. [`UnkindServer::ledger`] shows what was really bought. Each
//! [dimension](Dimensions) has a kind value, with which the server follows the published
//! contract, and other values that a real server, or a gateway in front of it, may have.

mod api_response;
mod buy;
mod dice;
mod dimensions;
mod json;
mod ledger;
mod list;
mod read;
mod request;
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{HeaderValue, Request, Response, header};

use api_response::ApiResponse;
pub(crate) use dice::Dice;
pub(crate) use dimensions::*;
use ledger::Customer;
pub(crate) use ledger::{Kind, MARKER_KEY, Order, Purchase};
use list::Walk;
use request::Endpoint;

/// The one API key that this server knows.
pub(crate) const KEY: &str = "test_unkind";
/// The `user_id` of the account.
pub(crate) const ACCOUNT: &str = "U123";
/// The longest time until lists show a purchase.
pub(crate) const LAG: Duration = Duration::from_secs(12);
/// The longest time from the end of an exchange until its purchase is made late.
pub(crate) const LATE: Duration = Duration::from_secs(12);
/// The longest time until a cancellation takes effect.
pub(crate) const CANCEL_LATE: Duration = Duration::from_secs(20);
/// How long a client waits for a silent server.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// What a client sees of an exchange, which takes `after`.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Response {
        after: Duration,
        response: Response<Vec<u8>>,
    },
    /// The connection ended in the middle of the body.
    CutBody {
        after: Duration,
        response: Response<Vec<u8>>,
    },
    /// The request was sent; then the connection broke or the client timed out.
    Lost {
        after: Duration,
    },
    /// No byte of the request was sent.
    NeverConnected {
        after: Duration,
    },
}

impl Reply {
    /// How long the exchange took.
    pub(crate) fn after(&self) -> Duration {
        match self {
            Self::Response { after, .. }
            | Self::CutBody { after, .. }
            | Self::Lost { after }
            | Self::NeverConnected { after } => *after,
        }
    }
}

/// The API with one account, as unkind as its [`Dimensions`].
///
/// Every time is a [`Duration`] since the world began. Start a history some days later, so
/// that others can have bought before it.
#[derive(Clone, Debug)]
pub(crate) struct UnkindServer {
    dimensions: Dimensions,
    dice: Dice,
    /// The correct time when the world begins.
    began: DateTime<Utc>,
    /// `Date` minus the server's clock, if the two differ.
    date_skew: TimeDelta,
    /// The maximum number of rows of a page, if the limit is capped.
    page_cap: usize,
    /// How many characters of a truncated value are left.
    value_cap: usize,
    ledger: Vec<Purchase>,
    customers: Vec<Customer>,
    walks: Vec<Walk>,
    /// Every `time_utc` in use, in milliseconds.
    stamps: BTreeSet<i64>,
    /// Whether an exchange has begun.
    serving: bool,
}

impl UnkindServer {
    /// A server without purchases; `seed` determines every random choice.
    pub(crate) fn new(seed: u64, dimensions: Dimensions) -> Self {
        let mut dice = Dice::new(seed);
        // Half of the worlds begin close to midnight.
        let noon = 12 * 3600;
        let second = *dice.pick(&[noon, noon, 30, 86_390]);
        let skew = *dice.pick(&[-20, -7, -3, 3, 7, 20]);
        Self {
            dimensions,
            began: DateTime::from_timestamp(1_740_787_200 + second, 0).expect("a valid time"),
            date_skew: TimeDelta::seconds(skew),
            page_cap: *dice.pick(&[3, 4, 10, 25]),
            value_cap: 16 + dice.index(16),
            dice,
            ledger: Vec::new(),
            customers: Vec::new(),
            walks: Vec::new(),
            stamps: BTreeSet::new(),
            serving: false,
        }
    }

    pub(crate) fn dimensions(&self) -> &Dimensions {
        &self.dimensions
    }

    /// An exchange that begins at `now`.
    pub(crate) fn exchange(&mut self, request: &Request<Vec<u8>>, now: Duration) -> Reply {
        self.serving = true;
        let after = self.dice.millis(20, 80);
        let endpoint = match Endpoint::of(request) {
            Ok(Endpoint::Buy(kind)) => {
                return match Order::read(kind, request.body()) {
                    Ok(order) => self.buy(&order, now),
                    Err(refusal) => self.reply(refusal, after, now),
                };
            }
            Ok(endpoint) => endpoint,
            Err(refusal) => return self.reply(refusal, after, now),
        };
        let lost = self.dice.percent(self.dimensions.odds.read_lost);
        if lost && self.dice.percent(50) {
            return self.fail_before(after, now);
        }
        let response = self.respond(&endpoint, request, now + after / 2);
        if lost { self.fail_after(response, after, now) } else { self.reply(response, after, now) }
    }

    /// All purchases, by number. A purchase whose `made_at` is in the future has left its
    /// caller, and nothing can stop it.
    pub(crate) fn ledger(&self) -> &[Purchase] {
        &self.ledger
    }

    /// The account's owner cancels a purchase.
    pub(crate) fn cancel_by_hand(&mut self, number: usize, now: Duration) {
        self.cancel(number, None, now);
    }

    /// Makes a purchase of other software on the same account; returns its number.
    ///
    /// Make purchases of the past before the first exchange, because lists that were read
    /// earlier lack rows that are inserted later.
    pub(crate) fn buy_for_others(&mut self, order: &Order, at: Duration) -> usize {
        self.make(order, at, true)
    }

    /// Switches to the kind values, without losses.
    ///
    /// Stored data stay as they are: metadata that were changed on write, customers'
    /// addresses, and purchases in flight. The server's clock stays as well, since a jump of
    /// the clock would not be kind.
    pub(crate) fn become_kind(&mut self) {
        let Dimensions { clock, date_header, .. } = self.dimensions;
        let date_header = match date_header {
            DateHeader::Apart => DateHeader::Apart,
            _ => DateHeader::Same,
        };
        self.dimensions = Dimensions { clock, date_header, ..Dimensions::default() };
    }

    /// The correct time.
    pub(crate) fn right_time(&self, now: Duration) -> DateTime<Utc> {
        self.began + TimeDelta::from_std(now).expect("a time within centuries")
    }

    /// The time of the server's clock.
    pub(crate) fn server_time(&self, now: Duration) -> DateTime<Utc> {
        let off = match self.dimensions.clock {
            Clock::Same => 0,
            Clock::Ahead => 3,
            Clock::Behind => -3,
        };
        self.right_time(now) + TimeDelta::days(off)
    }

    fn date(&mut self, now: Duration) -> Option<HeaderValue> {
        let mut date = self.server_time(now);
        match self.dimensions.date_header {
            DateHeader::Same => {}
            DateHeader::Apart => date += self.date_skew,
            DateHeader::Sometimes if self.dice.percent(50) => {}
            DateHeader::Missing | DateHeader::Sometimes => return None,
        }
        date.format("%a, %d %b %Y %H:%M:%S GMT").to_string().try_into().ok()
    }

    fn response(&mut self, response: ApiResponse, end: Duration) -> Response<Vec<u8>> {
        let mut response = response.into_response();
        if let Some(date) = self.date(end) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }

    fn reply(&mut self, response: ApiResponse, after: Duration, now: Duration) -> Reply {
        Reply::Response { after, response: self.response(response, now + after) }
    }

    /// A response whose body is truncated within its first `longest` bytes.
    fn cut(
        &mut self,
        response: ApiResponse,
        longest: usize,
        after: Duration,
        now: Duration,
    ) -> Reply {
        let mut response = self.response(response, now + after);
        let body = response.body_mut();
        let longest = longest.min(body.len());
        body.truncate(self.dice.index(longest.max(1)));
        // A gateway can also forward a truncated body as a complete one.
        if self.dice.percent(50) {
            Reply::CutBody { after, response }
        } else {
            Reply::Response { after, response }
        }
    }

    /// No response: the connection breaks soon, or the client times out.
    fn lost(&mut self) -> Reply {
        Reply::Lost { after: *self.dice.pick(&[Duration::from_millis(200), TIMEOUT]) }
    }

    fn fail_before(&mut self, after: Duration, now: Duration) -> Reply {
        match self.dice.index(3) {
            0 => self.lost(),
            1 => Reply::NeverConnected { after },
            _ => {
                let status = *self.dice.pick(&[429, 500, 502, 503, 504]);
                let response = ApiResponse::of_a_gateway(status, &mut self.dice);
                self.reply(response, after, now)
            }
        }
    }

    fn fail_after(&mut self, response: ApiResponse, after: Duration, now: Duration) -> Reply {
        match self.dice.index(3) {
            0 => self.lost(),
            1 => self.cut(response, usize::MAX, after, now),
            _ => {
                let status = *self.dice.pick(&[500, 502, 503, 504]);
                let response = ApiResponse::of_a_gateway(status, &mut self.dice);
                self.reply(response, after, now)
            }
        }
    }
}

/// A time as the API writes it: RFC 3339 in UTC with milliseconds.
fn time_utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl UnkindServer {
    /// Whether the marker of a purchase is stored as it was sent.
    pub(crate) fn marker_is_intact(&self, number: usize) -> bool {
        let written = self.ledger[number].written.unwrap_or_default();
        matches!(written, Metadata::Kept | Metadata::Reordered)
    }

    /// Whether the records show the marker of a purchase in any form.
    pub(crate) fn marker_is_readable(&self, number: usize) -> bool {
        let customers = self.ledger[number].order.email.is_some();
        match self.ledger[number].written.unwrap_or_default() {
            Metadata::Dropped | Metadata::Nulled => false,
            Metadata::NotInRecords => customers,
            Metadata::NotInCustomerRecords => !customers,
            _ => true,
        }
    }
}
