//! What one request sees of an account, and in which form.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use oneclick_proto::{
    CustomerSummary, DateRange, Day, ImpactId, ImpactTotals, Receipt, Timestamp, Totals,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::account::{Account, Cancelled, Fact};
use super::behaviour::{
    Behaviour, ReceiptForm, RecordUserId, TimeForm, TrackBy, Visibility, millis,
};
use super::hash::hash;
use super::problem::json;

/// The time of a request, and the switches as they are for it.
pub(super) struct View<'a> {
    pub(super) behaviour: &'a Behaviour,
    /// Whether all switches have their default, so that indexes answer.
    pub(super) is_kind: bool,
    pub(super) now: DateTime<Utc>,
    /// How long readers do not see what this request buys, in milliseconds.
    pub(super) hides: Option<u64>,
    /// Until when the replica that answers has seen what happened, in
    /// milliseconds since 1970; `None` if it has seen everything.
    seen_until: Option<i64>,
    /// The form in which this request shows the times of records.
    time_form: TimeForm,
}

/// What an impact is looked for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
    Track,
    Cancel,
}

impl<'a> View<'a> {
    /// The view of the request of a number. Which replica answers it and how times
    /// are written is drawn from the seed.
    pub(super) fn new(
        behaviour: &'a Behaviour,
        is_kind: bool,
        now: DateTime<Utc>,
        seed: u64,
        number: u64,
    ) -> Self {
        let draw = |what: &[u8]| hash(&[what, &seed.to_be_bytes(), &number.to_be_bytes()]);
        let seen_until = match behaviour.visibility {
            Visibility::Replicas { millis: lag } if draw(b"replica") % 2 == 1 => {
                Some(now.timestamp_millis().saturating_sub(millis(lag)))
            }
            _ => None,
        };
        let time_form = match behaviour.time_utc.forms() {
            [one] => *one,
            forms => forms[usize::try_from(draw(b"time form") % 100).unwrap_or(0) % forms.len()],
        };
        let hides = behaviour.visibility.hides();
        Self { behaviour, is_kind, now, hides, seen_until, time_form }
    }

    /// Whether the replica that answers has seen what happened at a time.
    pub(super) fn sees(&self, time: DateTime<Utc>) -> bool {
        self.seen_until.is_none_or(|until| time.timestamp_millis() <= until)
    }

    /// The position of the impact with this id: one that a receipt showed, or a
    /// record. The first one, if several have it.
    pub(super) fn find(&self, account: &Account, id: &ImpactId, to: Purpose) -> Option<u32> {
        if self.is_kind {
            return account.find(id);
        }
        let time = id.time_utc.to_string();
        account.near(id.time_utc.datetime()).find(|position| {
            let receipt = account.receipt(*position);
            let made = receipt.time_utc.datetime();
            let mut forms = self.behaviour.time_utc.forms().iter().chain(&[TimeForm::Same]);
            (to == Purpose::Cancel || self.sees(made))
                && self.is_named(&receipt, id.user_id.as_str(), to)
                && forms.any(|form| form.shown(made) == time)
        })
    }

    /// Whether the `user_id` of an id belongs to this purchase.
    fn is_named(&self, receipt: &Receipt, user_id: &str, to: Purpose) -> bool {
        let Behaviour { user_id: form, track_by, .. } = self.behaviour;
        let customer = receipt.customer.as_ref().map(|customer| customer.customer_id.as_str());
        let by_record = *form != RecordUserId::Same && form.shown(receipt) == user_id;
        let by_customer = *track_by == TrackBy::Customer && customer == Some(user_id);
        let only_by_customer =
            to == Purpose::Track && *track_by == TrackBy::Customer && customer.is_some();
        by_record || by_customer || (receipt.user_id.as_str() == user_id && !only_by_customer)
    }

    /// What the replica has seen and has not seen cancelled.
    fn standing<'c>(&self, account: &'c Account) -> impl Iterator<Item = Fact<'c>> {
        let cancelled = |fact: &Fact<'_>| {
            fact.cancelled.is_some_and(|cancelled| self.sees(cancelled.on.datetime()))
        };
        account.facts().filter(move |fact| self.sees(fact.time) && !cancelled(fact))
    }

    /// When and why an impact was cancelled, if the replica has seen it.
    pub(super) fn cancelled<'c>(
        &self,
        account: &'c Account,
        position: u32,
    ) -> Option<&'c Cancelled> {
        account.cancelled(position).filter(|cancelled| self.sees(cancelled.on.datetime()))
    }

    /// What `GET /v1/impact` answers.
    pub(super) fn totals(&self, account: &Account) -> ImpactTotals {
        if self.is_kind {
            return account.totals();
        }
        let (mut own, mut customers) = (Totals::zeros(), Totals::zeros());
        for fact in self.standing(account) {
            let totals = if fact.address.is_some() { &mut customers } else { &mut own };
            totals.add(fact.kind, fact.amount);
        }
        ImpactTotals::new(account.user_id().clone(), own, customers)
    }

    /// The days of `GET /v1/impact/daily`.
    pub(super) fn days(&self, account: &Account, dates: DateRange) -> Vec<Day> {
        if self.is_kind {
            return account.days(dates);
        }
        let mut days = BTreeMap::new();
        for fact in self.standing(account) {
            let day = self.behaviour.day(fact.time);
            if self.behaviour.includes(dates, day) {
                days.entry(day).or_insert_with(Totals::zeros).add(fact.kind, fact.amount);
            }
        }
        days.into_iter().map(|(day, totals)| Day::new(day, totals)).collect()
    }

    /// The response to a purchase.
    pub(super) fn receipt(&self, account: &Account, receipt: Receipt) -> Vec<u8> {
        if self.is_kind {
            return json(&receipt);
        }
        let form = self.behaviour.receipt;
        let receipt = match form {
            ReceiptForm::Crossed => account.latest_other(&receipt).unwrap_or(receipt),
            _ => receipt,
        };
        let mut fields = object(&receipt);
        // Receipts are not known to show it.
        fields.remove("metadata");
        self.store_address(fields.get_mut("customer"));
        match form {
            ReceiptForm::Bare => {
                fields.remove("customer");
                fields.remove("category");
            }
            ReceiptForm::Fraction => {
                let kind = receipt.impact.kind.as_str();
                // Amounts are far below the numbers that have no exact `f64`.
                #[expect(clippy::cast_precision_loss, reason = "see above")]
                fields.insert(kind.to_owned(), (receipt.impact.amount as f64).into());
            }
            ReceiptForm::Own | ReceiptForm::Crossed => {}
        }
        json(&fields)
    }

    /// A record as JSON: one of `/v1/records` if `own`, otherwise one of
    /// `/v1/customer_records`.
    pub(super) fn record(&self, account: &Account, position: u32, own: bool) -> String {
        let mut fields = match account.customer_record(position) {
            Some(record) if !own => object(&record),
            _ => object(&account.record(position)),
        };
        let receipt = account.receipt(position);
        let time = self.time_form.shown(receipt.time_utc.datetime());
        fields.insert("user_id".to_owned(), self.behaviour.user_id.shown(&receipt).into());
        fields.insert("time_utc".to_owned(), time.into());
        self.store_address(fields.get_mut("customer"));
        let metadata = match fields.remove("metadata") {
            Some(Value::Object(pairs)) => self.behaviour.metadata.shown(&pairs, own),
            _ => None,
        };
        let fields = Value::from(fields).to_string();
        match metadata {
            // As text, since the order of its keys counts.
            Some(metadata) => format!("{{\"metadata\":{metadata},{}", &fields[1..]),
            None => fields,
        }
    }

    /// A row of no purchase, if the switches want one.
    pub(super) fn other_row(&self, account: &Account, time: DateTime<Utc>) -> Option<String> {
        let time = Timestamp::from(time).to_string();
        self.behaviour.other_rows.shown(account.user_id().as_str(), &time)
    }

    /// A customer as JSON.
    pub(super) fn customer(&self, customer: &CustomerSummary) -> String {
        let mut customer = Value::from(object(customer));
        self.store_address(Some(&mut customer));
        customer.to_string()
    }

    /// Puts the stored form of the address into a customer.
    fn store_address(&self, customer: Option<&mut Value>) {
        if let Some(Value::String(address)) = customer.and_then(|c| c.get_mut("customer_email")) {
            *address = self.behaviour.address.shown(address);
        }
    }
}

/// The fields of what is answered.
fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        // All that gets here is written as an object.
        _ => Map::new(),
    }
}
