//! Lifetime totals: `GET /v1/impact`.

use http::Method;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::Endpoint;
use crate::value::{Extra, Totals, UserId, split_amounts};

/// `GET /v1/impact`: the lifetime totals of the account and of its customers.
///
/// ```
/// use oneclick_proto::{Api, ImpactKind, GetImpactTotals};
///
/// let api = Api::sandbox("test_key")?;
/// assert_eq!(api.encode(&GetImpactTotals)?.uri().path(), "/v1/impact");
///
/// let body = r#"{"user_id":"U123","tree_planted":100,"money_donated":25000,
///     "user_impact":{"tree_planted":60,"money_donated":15000},
///     "customer_impact":{"tree_planted":40,"money_donated":10000}}"#;
/// let impact = api.decode(&GetImpactTotals, http::Response::new(body))?;
/// assert_eq!(impact.total.to_string(), "100 trees planted, $250.00 donated");
/// assert_eq!(impact.customer_impact.get(&ImpactKind::TreePlanted), 40);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GetImpactTotals;

impl Endpoint for GetImpactTotals {
    type Response = ImpactTotals;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/impact";
    const IDEMPOTENT: bool = true;
}

/// The lifetime totals of an account: the response of `GET /v1/impact`.
///
/// Each amount is in the unit of its kind. Cancelled impacts are not included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImpactTotals {
    /// The account's id.
    pub user_id: UserId,
    /// The sum of the two parts.
    #[serde(flatten)]
    pub total: Totals,
    /// The impacts that the account made for itself.
    pub user_impact: Totals,
    /// The impacts made on behalf of customers.
    pub customer_impact: Totals,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImpactTotals {
    /// Totals from their two parts. The sums saturate at the bounds of `i64`.
    #[must_use]
    pub fn new(user_id: UserId, user_impact: Totals, customer_impact: Totals) -> Self {
        let mut total = user_impact.clone();
        for (kind, amount) in customer_impact.iter() {
            total.add(kind, amount);
        }
        Self { user_id, total, user_impact, customer_impact, extra: Extra::default() }
    }
}

impl<'de> Deserialize<'de> for ImpactTotals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            user_id: UserId,
            user_impact: Totals,
            customer_impact: Totals,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }

        let wire = Wire::deserialize(deserializer)?;
        let (total, extra) = split_amounts(wire.rest).map_err(de::Error::custom)?;
        Ok(Self {
            user_id: wire.user_id,
            total,
            user_impact: wire.user_impact,
            customer_impact: wire.customer_impact,
            extra,
        })
    }
}
