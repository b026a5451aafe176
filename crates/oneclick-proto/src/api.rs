//! The base URL and key of an API; writes requests and reads responses.

mod base_url;
mod config_error;
mod encode;
mod key;

use std::ffi::OsString;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use serde::de::Error as _;

pub use base_url::BaseUrl;
pub use config_error::ConfigError;
pub(crate) use encode::{Encoded, personal_texts};
pub use key::ApiKey;

use crate::error::Operation;
use crate::value::InvalidValue;
use crate::{Endpoint, Error, mend};

/// The header with the key.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const JSON: &str = "application/json";
const AGENT: &str = concat!("oneclick-proto/", env!("CARGO_PKG_VERSION"));

/// The base URL of the API and a key for it. Cheap to clone.
///
/// It writes requests and reads responses, and does no I/O.
///
/// ```
/// use oneclick_proto::{Api, PlantTree, Trees};
///
/// let api = Api::sandbox("test_key")?;
/// let request = api.encode(&PlantTree::new(Trees::of::<5>()))?;
/// assert_eq!(request.method(), "POST");
/// assert_eq!(request.uri(), "https://sandbox.1clickimpact.com/v1/plant_tree");
/// assert_eq!(request.headers()["x-api-key"], "test_key");
/// assert_eq!(request.body(), br#"{"amount":5}"#);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
///
/// A key of one environment is refused with the host of the other:
///
/// ```
/// use oneclick_proto::Api;
///
/// let error = Api::production("test_key").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "a test_ key does not work with api.1clickimpact.com: use a live_ key or another host",
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base_url: BaseUrl,
    key: ApiKey,
    /// The headers of a GET, and those of other methods, which have a content type too.
    headers: [HeaderMap; 2],
}

impl Api {
    /// Combines a base URL and a key.
    ///
    /// # Errors
    /// [`ConfigError::KeyEnvironment`] for a `test_` key with the production host or a
    /// `live_` key with the sandbox host. A key with neither prefix is accepted for both,
    /// since old keys may have none.
    pub fn new(base_url: BaseUrl, key: ApiKey) -> Result<Self, ConfigError> {
        base_url.check(&key)?;
        let mut get = HeaderMap::with_capacity(4);
        get.insert(X_API_KEY, key.header());
        get.insert(ACCEPT, HeaderValue::from_static(JSON));
        get.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let mut other = get.clone();
        other.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        Ok(Self(Arc::new(Inner { base_url, key, headers: [get, other] })))
    }

    /// The sandbox environment, `https://sandbox.1clickimpact.com`.
    ///
    /// # Errors
    /// [`ConfigError`] for a malformed key or one that starts with `live_`.
    pub fn sandbox(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::new(BaseUrl::sandbox(), ApiKey::new(key)?)
    }

    /// The production environment, `https://api.1clickimpact.com`, where purchases cost
    /// money.
    ///
    /// # Errors
    /// [`ConfigError`] for a malformed key or one that starts with `test_`.
    pub fn production(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::new(BaseUrl::production(), ApiKey::new(key)?)
    }

    /// An API at another URL, such as that of a local emulator or a proxy.
    ///
    /// # Errors
    /// [`ConfigError`] for a malformed key or URL; see [`BaseUrl::new`].
    pub fn with_base_url(
        base_url: impl AsRef<str>,
        key: impl AsRef<str>,
    ) -> Result<Self, ConfigError> {
        Self::new(BaseUrl::new(base_url)?, ApiKey::new(key)?)
    }

    /// Reads the API's key and base URL from variables. `var` looks one up, for instance
    /// `|name| std::env::var_os(name)`.
    ///
    /// * `ONECLICK_API_KEY`: the key. Its prefix, `test_` or `live_`, selects the
    ///   environment.
    /// * `ONECLICK_BASE_URL`: the base URL to use instead, as for [`BaseUrl::new`]. It is
    ///   required if the key has neither prefix.
    /// * `ONECLICK_INSECURE`: with the value `1`, the base URL is read by
    ///   [`BaseUrl::insecure`], so it may be `http://` for any host, such as an emulator in
    ///   another container. The key then travels in clear text. Other values have no
    ///   effect.
    ///
    /// ```
    /// use oneclick_proto::Api;
    ///
    /// let var = |name: &str| match name {
    ///     "ONECLICK_API_KEY" => Some("test_doc".to_owned()),
    ///     "ONECLICK_BASE_URL" => Some("http://emulator:8787".to_owned()),
    ///     "ONECLICK_INSECURE" => Some("1".to_owned()),
    ///     _ => None,
    /// };
    /// assert_eq!(Api::from_vars(var)?.base_url().to_string(), "http://emulator:8787");
    /// # Ok::<(), oneclick_proto::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] if a variable is missing, empty, not Unicode or cannot be used.
    pub fn from_vars<V: Into<OsString>>(
        var: impl Fn(&str) -> Option<V>,
    ) -> Result<Self, ConfigError> {
        const KEY: &str = "ONECLICK_API_KEY";
        const BASE_URL: &str = "ONECLICK_BASE_URL";
        // An unusable variable must not be ignored, or the key could go to another host.
        let var = |name: &str| var(name).map(Into::<OsString>::into);
        let text = |name| match var(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) if !text.is_empty() => Ok(Some(text)),
            Some(Ok(_)) => Err(ConfigError::Variable { name, reason: "is set but empty" }),
            Some(Err(_)) => Err(ConfigError::Variable { name, reason: "is not valid Unicode" }),
        };
        let key = text(KEY)?.ok_or(ConfigError::Variable {
            name: KEY,
            reason: "is not set: set it to your API key",
        })?;
        let key = ApiKey::new(key)?;
        let base_url = match text(BASE_URL)? {
            Some(url) if var("ONECLICK_INSECURE").is_some_and(|value| value == "1") => {
                BaseUrl::insecure(url)?
            }
            Some(url) => BaseUrl::new(url)?,
            None => BaseUrl::of(&key).ok_or(ConfigError::Variable {
                name: KEY,
                reason: "begins with neither test_ nor live_: set ONECLICK_BASE_URL to \
                         select the environment",
            })?,
        };
        Self::new(base_url, key)
    }

    /// The base URL of the API.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.0.base_url
    }

    /// Whether the key or the host is one of production.
    pub(crate) fn is_production(&self) -> bool {
        self.0.key.expose().starts_with("live_") || self.base_url().is_production()
    }

    /// Writes the request of an endpoint.
    ///
    /// Do not log the request. Its `Debug` hides the key but shows the URI, whose query can
    /// contain an e-mail address.
    ///
    /// # Errors
    /// [`InvalidValue::PathSegment`] for a field that cannot be a path segment;
    /// [`InvalidValue::Damaged`] for an id or cursor that lost characters;
    /// [`InvalidValue::Unserializable`] for a query of more than 65,534 bytes, and for your
    /// own endpoint if it cannot be written.
    pub fn encode<E: Endpoint>(&self, endpoint: &E) -> Result<Request<Vec<u8>>, InvalidValue> {
        self.request(E::METHOD, Encoded::of(endpoint)?)
    }

    /// Adds the base URL and the headers to the parts of a request.
    #[inline]
    pub(crate) fn request(
        &self,
        method: Method,
        encoded: Encoded,
    ) -> Result<Request<Vec<u8>>, InvalidValue> {
        let Inner { base_url, headers: [get, other], .. } = &*self.0;
        let mut request = Request::new(encoded.body);
        *request.uri_mut() = base_url.uri(encoded.path_and_query)?;
        *request.headers_mut() = if method == Method::GET { get } else { other }.clone();
        *request.method_mut() = method;
        Ok(request)
    }

    /// Reads the response to the request of `endpoint`.
    ///
    /// # Errors
    /// [`Error`] for a status other than 2xx, and for a body that cannot be decoded. The
    /// error keeps the status and the body.
    pub fn decode<E: Endpoint>(
        &self,
        endpoint: &E,
        response: Response<impl AsRef<[u8]>>,
    ) -> Result<E::Response, Error> {
        let (head, body) = response.into_parts();
        let (body, personal) = (body.as_ref(), || personal_texts(endpoint));
        let response = if head.status.is_success() {
            self.read::<E>(&head, body, personal)
        } else {
            Err(Error::unsuccessful(&head, body, &self.hidden(personal())))
        };
        response.map_err(|error| error.of(Operation::of::<E>()))
    }

    /// Decodes the body of a 2xx response; if that fails, once more after mending it.
    pub(crate) fn read<E: Endpoint>(
        &self,
        head: &Parts,
        body: &[u8],
        personal: impl FnOnce() -> Vec<String>,
    ) -> Result<E::Response, Error> {
        // No request asks for a part (RFC 9110, 15.3.7), and a part of a list hides records.
        let partial = head.status == StatusCode::PARTIAL_CONTENT && E::METHOD == Method::GET;
        let read = if partial {
            let text = "206, expected a whole response, got a part of one (206 Partial Content)";
            Err(serde_json::Error::custom(text))
        } else {
            E::read(body).or_else(|error| {
                let mended = mend::value(body).and_then(|value| serde_json::to_vec(&value).ok());
                mended.and_then(|mended| E::read(&mended).ok()).ok_or(error)
            })
        };
        read.map_err(|error| Error::decode(head, body, &error, &self.hidden(personal())))
    }

    /// The texts that no message may show although a response may contain them: personal
    /// ones and the parts of the key.
    pub(crate) fn hidden(&self, personal: Vec<String>) -> Vec<String> {
        let mut hidden = personal;
        // A short part of a key without a digit, such as its prefix, may be an ordinary word
        // in a message. The parts joined together are not.
        let key = self.0.key.expose();
        let bare = key.strip_prefix("test_").or_else(|| key.strip_prefix("live_")).unwrap_or(key);
        let bare: String = bare.chars().filter(|character| character.is_alphanumeric()).collect();
        let parts = key.split(|character: char| !character.is_alphanumeric()).chain([&*bare]);
        let digit = |part: &str| part.len() > 1 && part.bytes().any(|byte| byte.is_ascii_digit());
        hidden.extend(parts.filter(|part| part.len() >= 6 || digit(part)).map(str::to_owned));
        hidden
    }
}
