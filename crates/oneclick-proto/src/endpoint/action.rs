//! What the actions have in common: they buy something and answer a receipt.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Endpoint;
use super::row::{Row, RowRef};
use crate::value::{Category, CustomerInfo, Extra, Impact, ImpactKind, Timestamp, UserId};

/// An endpoint that buys an impact: each call is a purchase of its own.
pub trait Action: Endpoint<Response = Receipt> {
    /// The kind of impact that it makes.
    const KIND: ImpactKind;
}

/// The answer of every action: what was bought, and the handle to track it by.
///
/// ```
/// use oneclick_proto::{ImpactKind, Receipt};
///
/// let receipt: Receipt = serde_json::from_str(
///     r#"{"user_id":"U123","tree_planted":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// ).unwrap();
/// assert_eq!(receipt.impact.kind, ImpactKind::TreePlanted);
/// assert_eq!(receipt.impact.amount, 5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The account that the impact belongs to.
    pub user_id: UserId,
    /// When it was made; with `user_id` the handle of the impact.
    pub time_utc: Timestamp,
    /// What was bought, and how much.
    pub impact: Impact,
    /// The category, if one was sent.
    pub category: Option<Category>,
    /// The customer on whose behalf it was made, if there is one.
    pub customer: Option<CustomerInfo>,
    /// Fields that this version does not know.
    pub extra: Extra,
}

impl Receipt {
    /// A receipt without category and customer.
    #[must_use]
    pub fn new(user_id: UserId, time_utc: Timestamp, impact: Impact) -> Self {
        Self { user_id, time_utc, impact, category: None, customer: None, extra: Extra::default() }
    }
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RowRef {
            user_id: &self.user_id,
            time_utc: &self.time_utc,
            impact: &self.impact,
            category: self.category.as_ref(),
            customer: self.customer.as_ref(),
            extra: &self.extra,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Receipt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = Row::deserialize(deserializer)?;
        Ok(Self {
            user_id: row.user_id,
            time_utc: row.time_utc,
            // A receipt that does not say what was bought proves nothing.
            impact: row.impact.ok_or_else(|| de::Error::missing_field("amount"))?,
            category: row.category,
            customer: row.customer,
            extra: row.extra,
        })
    }
}

/// The setters that every action has.
macro_rules! action_setters {
    () => {
        /// Makes the impact on behalf of a customer, who is told by e-mail
        /// unless [`notify`](Self::notify) says otherwise.
        #[must_use]
        pub fn customer(mut self, customer: impl Into<$crate::value::Customer>) -> Self {
            self.customer = Some(customer.into());
            self
        }

        /// Whether the customer is told by e-mail; the API's default is yes.
        /// No e-mail is ever sent in the sandbox environment.
        #[must_use]
        pub fn notify(mut self, notify: bool) -> Self {
            self.notify = Some(notify);
            self
        }
    };
}

pub(super) use action_setters;
