//! The account of a key: `GET /v1/whoami`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use crate::value::{Extra, Redacted, UserId};

/// `GET /v1/whoami`: checks the key and returns its account.
///
/// ```
/// use oneclick_proto::{Api, GetAccount};
///
/// let api = Api::sandbox("test_key")?;
/// assert_eq!(api.encode(&GetAccount)?.uri(), "https://sandbox.1clickimpact.com/v1/whoami");
///
/// let body = r#"{"user_id":"U123","email":"my-email@email.com"}"#;
/// assert_eq!(api.decode(&GetAccount, http::Response::new(body))?.user_id.as_str(), "U123");
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GetAccount;

impl Endpoint for GetAccount {
    type Response = Account;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/whoami";
    const IDEMPOTENT: bool = true;
}

/// The account that a key belongs to: the response of `GET /v1/whoami`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// The account's id.
    pub user_id: UserId,
    /// The account's e-mail address.
    pub email: Redacted,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Account {
    /// An account.
    pub fn new(user_id: UserId, email: impl Into<Redacted>) -> Self {
        Self { user_id, email: email.into(), extra: Extra::default() }
    }
}
