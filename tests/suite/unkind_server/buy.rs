//! Purchases and their responses.

use std::time::Duration;

use super::api_response::ApiResponse;
use super::ledger::folded;
use super::{
    ACCOUNT, LATE, Late, Made, NotMade, Odds, Order, OtherSoftware, Receipt, Reply, UnkindServer,
    json,
};

/// The largest age of a purchase whose receipt may be returned for another purchase.
const RECENT: Duration = Duration::from_secs(600);
/// The smallest age of such a purchase if only its time differs: more than twice the
/// default clock tolerance of clients.
const TOLERANCE: Duration = Duration::from_secs(150);

/// A response that is not a receipt.
#[derive(Clone, Copy)]
enum Fault {
    Nothing,
    ServerError,
    Redirect,
    ClientError,
    OtherSuccess,
    ErrorBody,
    Html,
    Empty,
    CutReceipt,
}

impl UnkindServer {
    pub(super) fn buy(&mut self, order: &Order, now: Duration) -> Reply {
        self.let_others_buy(order, now);
        let Odds { fault, made, lost, .. } = self.dimensions.odds;
        if !self.dice.percent(fault) {
            let after = self.dice.millis(50, 1000);
            let number = self.make(order, now + after / 2, false);
            let receipt = match self.crossed(order, now).filter(|_| self.dice.percent(30)) {
                Some(crossed) => crossed,
                None => number,
            };
            let response = ApiResponse::json(200, self.receipt(receipt));
            return self.reply(response, after, now);
        }
        let made = self.dice.percent(made);
        let crossed = self.crossed(order, now).filter(|_| self.dice.percent(50));
        if let Some(crossed) = crossed {
            let after = self.dice.millis(50, 1000);
            if made {
                self.make(order, now + after / 2, false);
            }
            let response = ApiResponse::json(200, self.receipt(crossed));
            return self.reply(response, after, now);
        }
        let lost = self.dice.percent(lost);
        if made { self.make_badly(order, lost, now) } else { self.fail(lost, now) }
    }

    /// Makes a purchase, and responds as its dimension says.
    fn make_badly(&mut self, order: &Order, lost: bool, now: Duration) -> Reply {
        let mut made = if lost { Made::Nothing } else { self.dimensions.made };
        if made == Made::Any {
            // All values except a receipt and `Any`.
            made = *self.dice.pick(&Made::ALL[1..Made::ALL.len() - 1]);
        }
        let fault = match made {
            Made::Receipt | Made::Any => {
                let after = self.dice.millis(50, 1000);
                let number = self.make(order, now + after / 2, false);
                let response = ApiResponse::json(200, self.receipt(number));
                return self.reply(response, after, now);
            }
            Made::Nothing => Fault::Nothing,
            Made::ServerError => Fault::ServerError,
            Made::Redirect => Fault::Redirect,
            Made::ClientError => Fault::ClientError,
            Made::OtherSuccess => Fault::OtherSuccess,
            Made::ErrorBody => Fault::ErrorBody,
            Made::Html => Fault::Html,
            Made::Empty => Fault::Empty,
            Made::CutReceipt => Fault::CutReceipt,
        };
        let waits = matches!(fault, Fault::Nothing | Fault::ServerError | Fault::OtherSuccess);
        if waits && self.dimensions.late == Late::Within && self.dice.percent(60) {
            let reply = self.fault(fault, None, false, now);
            let late = self.dice.up_to(LATE);
            self.make(order, now + reply.after() + late, false);
            return reply;
        }
        // The purchase is made before the response is sent.
        let working = self.dice.millis(1, 40);
        let number = self.make(order, now + working, false);
        self.fault(fault, Some(number), false, now)
    }

    /// Responds as the dimension says, without a purchase.
    fn fail(&mut self, lost: bool, now: Duration) -> Reply {
        let mut not_made = if lost { NotMade::Nothing } else { self.dimensions.not_made };
        if not_made == NotMade::Any {
            not_made = *self.dice.pick(&NotMade::ALL[..NotMade::ALL.len() - 1]);
        }
        let statuses: &[u16] = match not_made {
            NotMade::Error | NotMade::Any => &[500, 503],
            NotMade::Refusal => &[400, 401, 403, 404, 405, 413, 422],
            NotMade::RateLimit => &[425, 429],
            NotMade::NeverConnected => {
                let after = *self.dice.pick(&[Duration::from_millis(50), super::TIMEOUT]);
                return Reply::NeverConnected { after };
            }
            NotMade::Nothing => return self.fault(Fault::Nothing, None, true, now),
            NotMade::ServerError => return self.fault(Fault::ServerError, None, true, now),
            NotMade::Redirect => return self.fault(Fault::Redirect, None, true, now),
            NotMade::ClientError => return self.fault(Fault::ClientError, None, true, now),
            NotMade::OtherSuccess => return self.fault(Fault::OtherSuccess, None, true, now),
            NotMade::ErrorBody => return self.fault(Fault::ErrorBody, None, true, now),
            NotMade::Html => return self.fault(Fault::Html, None, true, now),
            NotMade::Empty => return self.fault(Fault::Empty, None, true, now),
            NotMade::CutReceipt => return self.fault(Fault::CutReceipt, None, true, now),
        };
        let after = self.dice.millis(50, 300);
        let status = *self.dice.pick(statuses);
        self.reply(ApiResponse::refusal(status, "The impact was not created"), after, now)
    }

    /// `own` is the purchase whose receipt may be shown. `nothing_made` means that nothing
    /// was made and nothing will be.
    fn fault(
        &mut self,
        fault: Fault,
        own: Option<usize>,
        nothing_made: bool,
        now: Duration,
    ) -> Reply {
        let after = self.dice.millis(50, 300);
        let dice = &mut self.dice;
        let response = match fault {
            Fault::Nothing => return self.lost(),
            Fault::ServerError => {
                let status = *dice.pick(&[408, 500, 502, 503, 504]);
                match dice.index(3) {
                    0 if status >= 500 => ApiResponse::refusal(status, "Internal server error"),
                    _ => ApiResponse::of_a_gateway(status, dice),
                }
            }
            // 307 and 308 ask for the same purchase at another address.
            Fault::Redirect if nothing_made => {
                let status = *dice.pick(&[301, 302, 303, 304, 307, 308]);
                ApiResponse::of_a_gateway(status, dice)
            }
            Fault::Redirect => {
                let status = *dice.pick(&[301, 302, 303, 304]);
                ApiResponse::of_a_gateway(status, dice)
            }
            Fault::ClientError => {
                let status = *dice.pick(&[400, 401, 403, 404, 405, 413, 422, 425, 429]);
                ApiResponse::of_a_gateway(status, dice)
            }
            Fault::OtherSuccess => match (*dice.pick(&[201, 202, 204, 205]), own) {
                (201, Some(number)) if dice.percent(50) => {
                    ApiResponse::json(201, self.receipt(number))
                }
                (status @ (201 | 202), _) if dice.percent(50) => {
                    ApiResponse::message(status, "The request was accepted")
                }
                (status, _) => ApiResponse::empty(status),
            },
            Fault::ErrorBody if dice.percent(50) => {
                let ApiResponse { body, .. } = ApiResponse::refusal(500, "Internal server error");
                ApiResponse::json(200, body)
            }
            Fault::ErrorBody => ApiResponse::message(200, "The upstream failed"),
            Fault::Html => ApiResponse::html(200),
            Fault::Empty => ApiResponse::empty(200),
            Fault::CutReceipt => {
                let (receipt, longest) = match own {
                    Some(number) => (self.receipt(number), usize::MAX),
                    None => (json::object([("user_id", json::text(ACCOUNT))]), 16),
                };
                return self.cut(ApiResponse::json(200, receipt), longest, after, now);
            }
        };
        self.reply(response, after, now)
    }

    /// The receipt of a purchase in the form of its dimension.
    fn receipt(&self, number: usize) -> String {
        let purchase = &self.ledger[number];
        let way = self.dimensions.receipt;
        let mut amount = purchase.order.amount.to_string();
        if way == Receipt::FloatAmount {
            amount.push_str(".0");
        }
        let mut fields = vec![
            ("user_id", json::text(ACCOUNT)),
            (purchase.order.kind.field(), amount),
            ("time_utc", json::text(&purchase.time_utc)),
        ];
        if !matches!(way, Receipt::Bare | Receipt::CrossedBare) {
            if let Some(category) = &purchase.order.category {
                fields.push(("category", json::text(category)));
            }
            if let Some(customer) = self.customer(purchase) {
                fields.push(("customer", customer.shown()));
            }
        }
        json::object(fields)
    }

    /// A purchase of other software whose receipt may be returned for this order.
    fn crossed(&mut self, order: &Order, now: Duration) -> Option<usize> {
        let bare = match self.dimensions.receipt {
            Receipt::Crossed => false,
            Receipt::CrossedBare => true,
            Receipt::Own | Receipt::Bare | Receipt::FloatAmount => return None,
        };
        let wanted = order.email.as_deref().map(folded);
        let candidates = self.ledger.iter().filter(|purchase| {
            let other = &purchase.order;
            let shown = other.email.as_deref().filter(|_| !bare).map(folded);
            let equal = (other.kind, other.amount) == (order.kind, order.amount)
                && (shown.is_none() || shown == wanted);
            purchase.of_others
                && purchase.made_at <= now
                && purchase.made_at + RECENT >= now
                && (!equal || self.dimensions.equals_cross || purchase.made_at + TOLERANCE < now)
        });
        let candidates: Vec<_> = candidates.map(|purchase| purchase.number).collect();
        (!candidates.is_empty()).then(|| *self.dice.pick(&candidates))
    }

    fn let_others_buy(&mut self, order: &Order, now: Duration) {
        if self.dimensions.other_software == OtherSoftware::None || self.dice.percent(50) {
            return;
        }
        for _ in 0..=self.dice.index(2) {
            let mut other = Order::new(order.kind, order.amount);
            other.email = match self.dice.index(4) {
                0 => Some("bob@example.com".to_owned()),
                1 => order.email.clone(),
                _ => None,
            };
            let at = now + self.dice.millis(0, 5000);
            self.make(&other, at, true);
        }
    }
}
