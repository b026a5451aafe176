//! Donate money: `POST /v1/donate_money`.

use http::Method;
use serde::Serialize;

use super::action::action_setters;
use super::{Action, Endpoint, Receipt};
use crate::value::{Cents, Customer, ImpactKind};

/// `POST /v1/donate_money`: donates money, in US cents, to the cause of the account (tree planting, unless 1ClickImpact set up another).
///
/// Each call is a purchase of its own; the API has no idempotency key.
///
/// ```
/// use oneclick_proto::{Api, Customer, DonateMoney, Cents};
///
/// let api = Api::sandbox("test_key")?;
/// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
/// let request = api.encode(&DonateMoney::new(Cents::of::<500>()).customer(customer))?;
/// assert_eq!(request.uri().path(), "/v1/donate_money");
/// assert_eq!(
///     request.body(),
///     br#"{"amount":500,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
/// );
///
/// let answer = http::Response::new(
///     r#"{"user_id":"U123","money_donated":500,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// );
/// let receipt = api.decode(&DonateMoney::new(Cents::of::<500>()), answer)?;
/// assert_eq!(receipt.impact.amount, 500);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DonateMoney {
    /// How much, in US cents: 1..=1,000,000,000.
    pub amount: Cents,
    /// On whose behalf; your own account's if `None`.
    #[serde(flatten)]
    pub customer: Option<Customer>,
    /// Whether the customer is told by e-mail; the API's default is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<bool>,
}

impl DonateMoney {
    /// A purchase for your own account.
    #[must_use]
    pub const fn new(amount: Cents) -> Self {
        Self { amount, customer: None, notify: None }
    }

    action_setters!();
}

impl From<Cents> for DonateMoney {
    fn from(amount: Cents) -> Self {
        Self::new(amount)
    }
}

impl Endpoint for DonateMoney {
    type Response = Receipt;
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/donate_money";
    const IDEMPOTENT: bool = false;
}

impl Action for DonateMoney {
    const KIND: ImpactKind = ImpactKind::MoneyDonated;
}
