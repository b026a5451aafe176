//! Capture carbon: `POST /v1/capture_carbon`.

use http::Method;
use serde::Serialize;

use super::action::action_setters;
use super::{Action, Endpoint, Receipt};
use crate::value::{Customer, ImpactKind, Pounds};

/// `POST /v1/capture_carbon`: captures carbon, in pounds of CO2.
///
/// Each call is a purchase of its own; the API has no idempotency key.
///
/// ```
/// use oneclick_proto::{Api, Customer, CaptureCarbon, Pounds};
///
/// let api = Api::sandbox("test_key")?;
/// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
/// let request = api.encode(&CaptureCarbon::new(Pounds::of::<5>()).customer(customer))?;
/// assert_eq!(request.uri().path(), "/v1/capture_carbon");
/// assert_eq!(
///     request.body(),
///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
/// );
///
/// let answer = http::Response::new(
///     r#"{"user_id":"U123","carbon_captured":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// );
/// let receipt = api.decode(&CaptureCarbon::new(Pounds::of::<5>()), answer)?;
/// assert_eq!(receipt.impact.amount, 5);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CaptureCarbon {
    /// How much CO2, in pounds: 1..=10,000,000.
    pub amount: Pounds,
    /// On whose behalf; your own account's if `None`.
    #[serde(flatten)]
    pub customer: Option<Customer>,
    /// Whether the customer is told by e-mail; the API's default is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<bool>,
}

impl CaptureCarbon {
    /// A purchase for your own account.
    #[must_use]
    pub const fn new(amount: Pounds) -> Self {
        Self { amount, customer: None, notify: None }
    }

    action_setters!();
}

impl From<Pounds> for CaptureCarbon {
    fn from(amount: Pounds) -> Self {
        Self::new(amount)
    }
}

impl Endpoint for CaptureCarbon {
    type Response = Receipt;
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/capture_carbon";
    const IDEMPOTENT: bool = false;
}

impl Action for CaptureCarbon {
    const KIND: ImpactKind = ImpactKind::CarbonCaptured;
}
