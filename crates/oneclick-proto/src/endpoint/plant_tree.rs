//! Plant trees: `POST /v1/plant_tree`.

use http::Method;
use serde::Serialize;

use super::action::action_setters;
use super::{Action, Endpoint, Receipt};
use crate::value::{Customer, ImpactKind, TreeCategory, Trees};

/// `POST /v1/plant_tree`: plants trees.
///
/// Each call is a purchase of its own; the API has no idempotency key.
///
/// ```
/// use oneclick_proto::{Api, Customer, PlantTree, Trees};
///
/// let api = Api::sandbox("test_key")?;
/// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
/// let request = api.encode(&PlantTree::new(Trees::of::<5>()).customer(customer))?;
/// assert_eq!(request.uri().path(), "/v1/plant_tree");
/// assert_eq!(
///     request.body(),
///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
/// );
///
/// let answer = http::Response::new(
///     r#"{"user_id":"U123","tree_planted":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
/// );
/// let receipt = api.decode(&PlantTree::new(Trees::of::<5>()), answer)?;
/// assert_eq!(receipt.impact.amount, 5);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlantTree {
    /// How many trees: 1..=10,000,000.
    pub amount: Trees,
    /// On whose behalf; your own account's if `None`.
    #[serde(flatten)]
    pub customer: Option<Customer>,
    /// What kind of trees; standard reforestation trees if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<TreeCategory>,
    /// Whether the customer is told by e-mail; the API's default is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<bool>,
}

impl PlantTree {
    /// A purchase for your own account.
    #[must_use]
    pub const fn new(amount: Trees) -> Self {
        Self { amount, customer: None, category: None, notify: None }
    }

    /// Plants trees of a category instead of standard reforestation trees.
    #[must_use]
    pub fn category(mut self, category: TreeCategory) -> Self {
        self.category = Some(category);
        self
    }

    action_setters!();
}

impl From<Trees> for PlantTree {
    fn from(amount: Trees) -> Self {
        Self::new(amount)
    }
}

impl Endpoint for PlantTree {
    type Response = Receipt;
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/plant_tree";
    const IDEMPOTENT: bool = false;
}

impl Action for PlantTree {
    const KIND: ImpactKind = ImpactKind::TreePlanted;
}
