//! Requests, checked as strictly as the contract allows.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use http::{Method, Request, header};
use serde_json::Value;

use super::api_response::ApiResponse;
use super::list::List;
use super::{KEY, Kind, Order};

pub(super) enum Endpoint {
    Buy(Kind),
    Cancel,
    Whoami,
    Impact,
    DailyImpact,
    List(List),
    Track,
}

impl Endpoint {
    /// The endpoint of a request with a valid key, or a refusal.
    pub(super) fn of(request: &Request<Vec<u8>>) -> Result<Self, ApiResponse> {
        if request.headers().get("x-api-key").is_none_or(|key| key != KEY) {
            return Err(ApiResponse::refusal(401, "API Key does not exist"));
        }
        let path = request.uri().path();
        let endpoint = match path {
            "/v1/cancel_impact" => Self::Cancel,
            "/v1/whoami" => Self::Whoami,
            "/v1/impact" => Self::Impact,
            "/v1/impact/daily" => Self::DailyImpact,
            "/v1/records" => Self::List(List::Records),
            "/v1/customer_records" => Self::List(List::CustomerRecords),
            "/v1/customers" => Self::List(List::Customers),
            "/v1/track" => Self::Track,
            _ => match Kind::ALL.iter().find(|kind| kind.path() == path) {
                Some(kind) => Self::Buy(*kind),
                None => return Err(ApiResponse::refusal(404, "There is no such path")),
            },
        };
        let post = matches!(endpoint, Self::Buy(_) | Self::Cancel);
        let method = if post { Method::POST } else { Method::GET };
        if request.method() != method {
            return Err(ApiResponse::refusal(405, "This path has another method"));
        }
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let json = content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
        if post && !json {
            return Err(bad("the Content-Type is not application/json"));
        }
        Ok(endpoint)
    }
}

pub(super) fn bad(message: &str) -> ApiResponse {
    ApiResponse::refusal(400, message)
}

/// The fields of a body; unknown fields are refused.
pub(super) struct Fields(serde_json::Map<String, Value>);

impl Fields {
    pub(super) fn read(body: &[u8], known: &[&str]) -> Result<Self, ApiResponse> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Err(bad("the body is not a JSON object"));
        };
        match fields.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(bad(&format!("{key} is no field"))),
            None => Ok(Self(fields)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ApiResponse> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(bad(&format!("{name} is not a string"))),
        }
    }

    fn metadata(&self) -> Result<BTreeMap<String, String>, ApiResponse> {
        let Some(value) = self.0.get("metadata") else { return Ok(BTreeMap::new()) };
        let Ok(pairs) = serde_json::from_value::<BTreeMap<String, String>>(value.clone()) else {
            return Err(bad("metadata are not strings"));
        };
        let fits = |(key, value): (&String, &String)| {
            key.chars().count() <= 40
                && value.chars().count() <= 500
                && !["gift", "widgetID"].contains(&key.as_str())
        };
        if pairs.len() > 20 || !pairs.iter().all(fits) {
            return Err(bad("metadata are out of bounds"));
        }
        Ok(pairs)
    }
}

impl Order {
    /// Reads the body of a purchase.
    pub(super) fn read(kind: Kind, body: &[u8]) -> Result<Self, ApiResponse> {
        let known = ["amount", "customer_email", "customer_name", "notify", "category", "metadata"];
        let fields = Fields::read(body, &known)?;
        let amount = fields.0.get("amount").and_then(Value::as_u64);
        let Some(amount) = amount.filter(|amount| (1..=kind.most()).contains(amount)) else {
            return Err(bad("the amount is not an integer in its range"));
        };
        if fields.0.get("notify").is_some_and(|notify| !notify.is_boolean()) {
            return Err(bad("notify is not a boolean"));
        }
        let (email, name) = (fields.text("customer_email")?, fields.text("customer_name")?);
        if email.is_none() && name.is_some() {
            return Err(bad("customer_name needs customer_email"));
        }
        if email.as_ref().is_some_and(|email| !email.contains('@')) {
            return Err(bad("customer_email is no address"));
        }
        let category = fields.text("category")?;
        let known = match (kind, category.as_deref()) {
            (Kind::Tree, Some(category)) => category == "food",
            (Kind::Money, Some(_)) | (_, None) => true,
            _ => false,
        };
        if !known {
            return Err(bad("there is no such category"));
        }
        Ok(Self { kind, amount, email, name, category, metadata: fields.metadata()? })
    }
}

/// The query of a read; unknown parameters are refused.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn read(request: &Request<Vec<u8>>, known: &[&str]) -> Result<Self, ApiResponse> {
        let query = request.uri().query().unwrap_or_default();
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(bad(&format!("{name} is no parameter"))),
            None => Ok(Self { pairs }),
        }
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let pairs = self.pairs.iter().filter(|(other, _)| other == name);
        pairs.map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, ApiResponse> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(bad(&format!("{name} is given more than once"))),
        }
    }

    /// A date, as days since 1970.
    pub(super) fn day(&self, name: &str) -> Result<Option<i64>, ApiResponse> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
        match date {
            Ok(date) if text.len() == 10 => {
                Ok(Some(date.signed_duration_since(NaiveDate::default()).num_days()))
            }
            _ => Err(bad(&format!("{name} is not YYYY-MM-DD"))),
        }
    }

    /// The parameters that all pages of a list share.
    pub(super) fn of_walk(&self) -> Vec<(String, String)> {
        let pairs = self.pairs.iter().filter(|(name, _)| name != "cursor" && name != "limit");
        let mut pairs: Vec<_> = pairs.cloned().collect();
        pairs.sort();
        pairs
    }
}
