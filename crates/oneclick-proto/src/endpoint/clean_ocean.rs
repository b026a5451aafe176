//! Clean the ocean: `POST /v1/clean_ocean`.

use http::Method;
use serde::Serialize;

use super::action::action_setters;
use super::{Action, Endpoint, Receipt};
use crate::value::{Customer, ImpactKind, Pounds};

/// `POST /v1/clean_ocean`: takes plastic out of the ocean, in pounds.
///
/// Each call is a purchase of its own; the API has no idempotency key.
///
/// ```
/// use oneclick_proto::{Api, Customer, CleanOcean, Pounds};
///
/// let api = Api::sandbox("test_key")?;
/// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
/// let request = api.encode(&CleanOcean::new(Pounds::of::<5>()).customer(customer))?;
/// assert_eq!(request.uri().path(), "/v1/clean_ocean");
/// assert_eq!(
///     request.body(),
///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
/// );
///
/// let answer = http::Response::new(
///     r#"{"user_id":"U123","waste_removed":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// );
/// let receipt = api.decode(&CleanOcean::new(Pounds::of::<5>()), answer)?;
/// assert_eq!(receipt.impact.amount, 5);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CleanOcean {
    /// How much plastic, in pounds: 1..=10,000,000.
    pub amount: Pounds,
    /// On whose behalf; your own account's if `None`.
    #[serde(flatten)]
    pub customer: Option<Customer>,
    /// Whether the customer is told by e-mail; the API's default is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<bool>,
}

impl CleanOcean {
    /// A purchase for your own account.
    #[must_use]
    pub const fn new(amount: Pounds) -> Self {
        Self { amount, customer: None, notify: None }
    }

    action_setters!();
}

impl From<Pounds> for CleanOcean {
    fn from(amount: Pounds) -> Self {
        Self::new(amount)
    }
}

impl Endpoint for CleanOcean {
    type Response = Receipt;
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/clean_ocean";
    const IDEMPOTENT: bool = false;
}

impl Action for CleanOcean {
    const KIND: ImpactKind = ImpactKind::WasteRemoved;
}
