//! The base URL of the API: scheme, host, port and the path before `/v1`.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use super::{ApiKey, ConfigError};
use crate::value::InvalidValue;

const PRODUCTION: &str = "api.1clickimpact.com";
const SANDBOX: &str = "sandbox.1clickimpact.com";

/// The prefix of a key, and the host that it belongs to.
const ENVIRONMENTS: [(&str, &str); 2] = [("live_", PRODUCTION), ("test_", SANDBOX)];

/// The base URL of the API.
///
/// ```
/// use oneclick_proto::BaseUrl;
///
/// assert_eq!(BaseUrl::sandbox().to_string(), "https://sandbox.1clickimpact.com");
/// assert!(BaseUrl::new("http://127.0.0.1:8787").is_ok());
/// assert_eq!(
///     BaseUrl::new("http://example.com").unwrap_err().to_string(),
///     "invalid base URL: http would send the key unencrypted: use https or a loopback \
///      address; on a trusted network set ONECLICK_INSECURE=1 or call BaseUrl::insecure",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// The path before that of the endpoint: empty, or `/…` without a trailing slash.
    prefix: String,
}

impl BaseUrl {
    /// `https://api.1clickimpact.com`.
    #[must_use]
    pub fn production() -> Self {
        Self::of_host(PRODUCTION)
    }

    /// `https://sandbox.1clickimpact.com`.
    #[must_use]
    pub fn sandbox() -> Self {
        Self::of_host(SANDBOX)
    }

    /// Parses `https://host[:port][/path]`. `http` is accepted only for a loopback host
    /// (`localhost`, `127.0.0.0/8`, `[::1]`).
    ///
    /// # Errors
    /// [`ConfigError::BaseUrl`] for anything else, such as a user name, a query, a
    /// fragment, or a path that ends in `/v1`.
    pub fn new(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let base_url = Self::insecure(url)?;
        if !base_url.is_https() && !base_url.is_loopback() {
            return invalid(
                "http would send the key unencrypted: use https or a loopback address; \
                 on a trusted network set ONECLICK_INSECURE=1 or call BaseUrl::insecure",
            );
        }
        Ok(base_url)
    }

    /// Like [`new`](Self::new), but accepts `http` for any host. The key, e-mail addresses
    /// and names then travel in clear text, so use it only on a network that you trust.
    /// [`Api::from_vars`](crate::Api::from_vars) uses it if `ONECLICK_INSECURE` is `1`.
    ///
    /// # Errors
    /// The same as [`new`](Self::new), except for the scheme.
    pub fn insecure(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = url.as_ref();
        if url.contains('#') {
            return invalid("it must not have a fragment");
        }
        let Ok(uri) = url.parse::<Uri>() else {
            return invalid("expected a URL, such as https://example.com");
        };
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return invalid("it must have a scheme and a host, as in https://example.com");
        };
        if scheme != Scheme::HTTPS && scheme != Scheme::HTTP {
            return invalid("its scheme must be https or http");
        }
        if authority.as_str().contains('@') {
            return invalid("it must not have a user name");
        }
        if authority.host().is_empty() {
            return invalid("it must have a host");
        }
        let port = authority.as_str().strip_prefix(authority.host());
        let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port =
            port.and_then(|port| if port.is_empty() { Some("0") } else { port.strip_prefix(':') });
        if !port.is_some_and(|port| digits(port) && port.parse::<u16>().is_ok()) {
            return invalid("its port must be a number from 0 to 65535");
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return invalid("it must not have a query");
        }
        if !path.path().is_ascii() {
            return invalid("its path must be ASCII: percent-encode it");
        }
        // Some URL parsers resolve these, others do not.
        let is_dots = |segment: &str| matches!(segment.replace("%2e", ".").as_str(), "." | "..");
        if path.path().contains('\\') || path.path().to_lowercase().split('/').any(is_dots) {
            return invalid("its path must not contain a segment `.` or `..`, or a backslash");
        }
        let prefix = path.path().trim_end_matches('/').to_owned();
        if prefix.ends_with("/v1") {
            return invalid("it must not end in /v1, which every request adds");
        }
        Ok(Self { scheme, authority, prefix })
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether the host is a loopback one: `localhost`, `127.0.0.0/8` or `[::1]`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        host.eq_ignore_ascii_case("localhost")
            || address.unwrap_or(host).parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// One text for all spellings of the URL: with the port, and with the host in small letters
    /// and without the dot of the root. Use it to tell servers apart, not as a URL.
    #[must_use]
    pub fn normalized(&self) -> String {
        let (_, port) = self.host_and_port();
        format!("{}://{}:{port}{}", self.scheme, self.plain_host(), self.prefix)
    }

    /// The host and the port, by default that of the scheme.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        let usual = if self.is_https() { 443 } else { 80 };
        (self.authority.host(), self.authority.port_u16().unwrap_or(usual))
    }

    /// The base URL of the environment that a key's prefix names.
    pub(super) fn of(key: &ApiKey) -> Option<Self> {
        ENVIRONMENTS
            .iter()
            .find(|(prefix, _)| key.expose().starts_with(prefix))
            .map(|(_, host)| Self::of_host(host))
    }

    /// The host, which may be written in upper case and end in a dot.
    fn plain_host(&self) -> String {
        self.authority.host().trim_end_matches('.').to_ascii_lowercase()
    }

    /// Whether the host is that of production.
    pub(super) fn is_production(&self) -> bool {
        self.plain_host() == PRODUCTION
    }

    /// Refuses a key of one environment with the host of the other.
    pub(super) fn check(&self, key: &ApiKey) -> Result<(), ConfigError> {
        let host = self.plain_host();
        let Some(at) = ENVIRONMENTS.iter().position(|(_, known)| *known == host) else {
            return Ok(());
        };
        for (prefix, known) in ENVIRONMENTS {
            if known != ENVIRONMENTS[at].1 && key.expose().starts_with(prefix) {
                return Err(ConfigError::KeyEnvironment { prefix, host: ENVIRONMENTS[at].1 });
            }
        }
        Ok(())
    }

    /// The URI of a path and query below this base URL.
    pub(super) fn uri(&self, path_and_query: Bytes) -> Result<Uri, InvalidValue> {
        let path_and_query = match self.prefix.as_bytes() {
            [] => path_and_query,
            prefix => [prefix, &path_and_query].concat().into(),
        };
        let path_and_query = PathAndQuery::from_maybe_shared(path_and_query).map_err(|_| {
            InvalidValue::unserializable(
                "its path and query must be a valid URI of at most 65,534 bytes",
            )
        })?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).map_err(|_| InvalidValue::unserializable("its path is invalid"))
    }

    fn of_host(host: &'static str) -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static(host),
            prefix: String::new(),
        }
    }
}

fn invalid<T>(reason: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::BaseUrl { reason })
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::Api;

    #[test]
    fn http_is_accepted_only_for_loopback() {
        for url in [
            "http://127.0.0.1:8787",
            "http://127.9.9.9",
            "http://localhost:1/",
            "http://LOCALHOST",
            "http://[::1]:80/prefix/",
            "https://example.com",
        ] {
            assert!(BaseUrl::new(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://[::2]",
            "http://0x7f000001",
            "HTTP://EXAMPLE.COM",
        ] {
            assert!(BaseUrl::new(url).is_err(), "{url}");
        }
        assert!(BaseUrl::insecure("http://example.com").is_ok());
    }

    #[test]
    fn an_invalid_base_url_is_refused() {
        for url in [
            "",
            "example.com",
            "https://api.1clickimpact.com/v1",
            "http://127.0.0.1:8787/prefix/v1//",
            "/v1",
            "ftp://example.com",
            "https://",
            "https:///v1",
            "https://user:secret@example.com",
            "https://example.com?x=1",
            "https://example.com/#x",
            "https://example.com:99999",
            "https://example.com:",
            "https://exa mple.com",
            "http://127.0.0.1:+80",
            "https://example.com/a/../b",
            "https://example.com/%2E%2e/b",
            "https://example.com/a\\b",
            "https://example.com/ä",
        ] {
            let error = BaseUrl::insecure(url).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn a_key_of_one_environment_is_refused_for_any_spelling_of_the_others_host() {
        for (url, key) in [
            ("https://api.1clickimpact.com", "test_secret"),
            ("https://API.1ClickImpact.com:443/", "test_secret"),
            ("https://api.1clickimpact.com.", "test_secret"),
            ("https://sandbox.1clickimpact.com", "live_secret"),
        ] {
            let error = Api::with_base_url(url, key).unwrap_err();
            assert!(matches!(error, ConfigError::KeyEnvironment { .. }), "{url}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        for (url, key) in [
            ("https://api.1clickimpact.com", "live_x"),
            ("https://api.1clickimpact.com", "0123456789"),
            ("https://example.com", "live_x"),
            ("https://example.com", "test_x"),
        ] {
            assert!(Api::with_base_url(url, key).is_ok(), "{url} {key}");
        }
    }

    #[test]
    fn a_path_before_the_endpoint_is_kept() {
        let base_url = BaseUrl::new("https://example.com/proxy/1click/").unwrap();
        let api = Api::new(base_url.clone(), ApiKey::new("test_key").unwrap()).unwrap();
        let uri = |request: Request<Vec<u8>>| request.uri().to_string();
        let whoami = api.encode(&crate::GetAccount).unwrap();
        assert_eq!(uri(whoami), "https://example.com/proxy/1click/v1/whoami");
        let plant = api.encode(&crate::PlantTree::new(crate::Trees::of::<1>())).unwrap();
        assert_eq!(uri(plant), "https://example.com/proxy/1click/v1/plant_tree");
        let project = api.encode(&crate::GetProject::new("a/b")).unwrap();
        assert_eq!(uri(project), "https://example.com/proxy/1click/v1/projects/a%2Fb");
        assert_eq!(base_url.to_string(), "https://example.com/proxy/1click");
    }
}
