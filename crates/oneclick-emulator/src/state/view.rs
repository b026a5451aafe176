//! The view that a request has of an account: what it sees, and in which form.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use oneclick_proto::{
    CustomerSummary, DateRange, Day, ImpactId, ImpactTotals, Receipt, Timestamp, Totals,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::account::{Account, Cancelled, VisibleImpact};
use super::behaviour::{
    Behaviour, ReceiptForm, RecordUserId, TimeForm, TrackBy, Visibility, millis,
};
use super::hash::hash;
use super::problem::json;

/// The time of a request, and the behaviour for it.
pub(super) struct View<'a> {
    pub(super) behaviour: &'a Behaviour,
    /// Whether all switches have their defaults, so that the indexes can be used.
    pub(super) is_default: bool,
    pub(super) now: DateTime<Utc>,
    /// For how many milliseconds readers do not see what this request buys.
    pub(super) hides_for: Option<u64>,
    /// The replica that handles this request has seen everything up to this time, in
    /// milliseconds since 1970; `None` if it does not lag behind.
    seen_until: Option<i64>,
    /// The form in which this request shows the times of records.
    time_form: TimeForm,
}

/// Why an impact is looked up.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
    Track,
    Cancel,
}

impl<'a> View<'a> {
    /// The view of the request with this number. The seed decides which replica handles it
    /// and how times are written.
    pub(super) fn new(
        behaviour: &'a Behaviour,
        is_default: bool,
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
        let hides_for = behaviour.visibility.hides_for();
        Self { behaviour, is_default, now, hides_for, seen_until, time_form }
    }

    /// Whether the replica has seen what happened at a time.
    pub(super) fn sees(&self, time: DateTime<Utc>) -> bool {
        self.seen_until.is_none_or(|until| time.timestamp_millis() <= until)
    }

    /// The position of the impact with this id, as a receipt or a record shows it. If
    /// several impacts share the id, the first one.
    pub(super) fn find(&self, account: &Account, id: &ImpactId, to: Purpose) -> Option<u32> {
        if self.is_default {
            return account.find(id);
        }
        let time = id.time_utc.to_string();
        account.near(id.time_utc.datetime()).find(|position| {
            let receipt = account.receipt(*position);
            let made = receipt.time_utc.datetime();
            let mut forms = self.behaviour.time_utc.forms().iter().chain(&[TimeForm::Same]);
            (to == Purpose::Cancel || self.sees(made))
                && self.has_user_id(&receipt, id.user_id.as_str(), to)
                && forms.any(|form| form.shown(made) == time)
        })
    }

    /// Whether a `user_id` refers to this purchase.
    fn has_user_id(&self, receipt: &Receipt, user_id: &str, to: Purpose) -> bool {
        let Behaviour { user_id: form, track_by, .. } = self.behaviour;
        let customer = receipt.customer.as_ref().map(|customer| customer.customer_id.as_str());
        let by_record = *form != RecordUserId::Same && form.shown(receipt) == user_id;
        let by_customer = *track_by == TrackBy::Customer && customer == Some(user_id);
        let only_by_customer =
            to == Purpose::Track && *track_by == TrackBy::Customer && customer.is_some();
        by_record || by_customer || (receipt.user_id.as_str() == user_id && !only_by_customer)
    }

    /// The impacts that the replica has seen, except those that it has seen cancelled.
    fn not_cancelled<'c>(&self, account: &'c Account) -> impl Iterator<Item = VisibleImpact<'c>> {
        let cancelled = |impact: &VisibleImpact<'_>| {
            impact.cancelled.is_some_and(|cancelled| self.sees(cancelled.on.datetime()))
        };
        account.visible_impacts().filter(move |impact| self.sees(impact.time) && !cancelled(impact))
    }

    /// When and why an impact was cancelled, if the replica has seen that.
    pub(super) fn cancelled<'c>(
        &self,
        account: &'c Account,
        position: u32,
    ) -> Option<&'c Cancelled> {
        account.cancelled(position).filter(|cancelled| self.sees(cancelled.on.datetime()))
    }

    /// The totals of `GET /v1/impact`.
    pub(super) fn totals(&self, account: &Account) -> ImpactTotals {
        if self.is_default {
            return account.totals();
        }
        let (mut own, mut customers) = (Totals::zeros(), Totals::zeros());
        for impact in self.not_cancelled(account) {
            let totals = if impact.address.is_some() { &mut customers } else { &mut own };
            totals.add(impact.kind, impact.amount);
        }
        ImpactTotals::new(account.user_id().clone(), own, customers)
    }

    /// The days of `GET /v1/impact/daily`.
    pub(super) fn days(&self, account: &Account, dates: DateRange) -> Vec<Day> {
        if self.is_default {
            return account.days(dates);
        }
        let mut days = BTreeMap::new();
        for impact in self.not_cancelled(account) {
            let day = self.behaviour.day(impact.time);
            if self.behaviour.includes(dates, day) {
                days.entry(day).or_insert_with(Totals::zeros).add(impact.kind, impact.amount);
            }
        }
        days.into_iter().map(|(day, totals)| Day::new(day, totals)).collect()
    }

    /// The receipt of a purchase, as JSON.
    pub(super) fn receipt(&self, account: &Account, receipt: Receipt) -> Vec<u8> {
        if self.is_default {
            return json(&receipt);
        }
        let form = self.behaviour.receipt;
        let receipt = match form {
            ReceiptForm::Crossed => account.latest_other(&receipt).unwrap_or(receipt),
            _ => receipt,
        };
        let mut fields = object(&receipt);
        // No source says that receipts show metadata.
        fields.remove("metadata");
        self.store_address(fields.get_mut("customer"));
        match form {
            ReceiptForm::Bare => {
                fields.remove("customer");
                fields.remove("category");
            }
            ReceiptForm::Fraction => {
                let kind = receipt.impact.kind.as_str();
                // Amounts are small enough to be exact as `f64`.
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
            // Inserted as text, because a `Map` would sort the keys again.
            Some(metadata) => format!("{{\"metadata\":{metadata},{}", &fields[1..]),
            None => fields,
        }
    }

    /// The additional row of a page, if the switches ask for one.
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

    /// Replaces the address of a customer with its stored form.
    fn store_address(&self, customer: Option<&mut Value>) {
        if let Some(Value::String(address)) = customer.and_then(|c| c.get_mut("customer_email")) {
            *address = self.behaviour.address.shown(address);
        }
    }
}

/// The fields of a value that is serialized as an object.
fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        // Every caller passes a struct or a map.
        _ => Map::new(),
    }
}
