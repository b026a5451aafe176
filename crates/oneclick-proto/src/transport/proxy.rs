//! Reads the proxy settings of the environment as curl does.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use http::HeaderValue;

use crate::BaseUrl;

/// A proxy for connections to an `https://` API.
///
/// `Debug` and errors do not show its user name and password.
///
/// ```
/// use oneclick_proto::{BaseUrl, Proxy, ProxyScheme};
///
/// let vars = |name: &str| (name == "all_proxy").then(|| "socks5h://ada:1815@10.0.0.1".into());
/// let proxy = Proxy::from_vars(&BaseUrl::production(), vars)?.unwrap();
/// assert_eq!((proxy.scheme, &*proxy.host, proxy.port), (ProxyScheme::Socks5h, "10.0.0.1", 1080));
/// # Ok::<(), oneclick_proto::ProxyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// The protocol.
    pub scheme: ProxyScheme,
    /// The host name or address; an IPv6 address is in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// User name and password, percent-decoded.
    pub credentials: Option<(String, String)>,
    /// The environment variable that names the proxy.
    pub variable: &'static str,
}

/// The protocol of a proxy. Exhaustive by design: the protocols that curl supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyScheme {
    /// HTTP CONNECT.
    Http,
    /// HTTP CONNECT over TLS.
    Https,
    /// SOCKS 4; the client resolves the API's host.
    Socks4,
    /// SOCKS 4a; the proxy resolves the API's host.
    Socks4a,
    /// SOCKS 5; the client resolves the API's host.
    Socks5,
    /// SOCKS 5; the proxy resolves the API's host.
    Socks5h,
}

impl Proxy {
    /// Reads the variables `https_proxy`, `all_proxy` and `no_proxy`; of each, the name in
    /// lower case comes first. `None` means a direct connection. An `http://` API always
    /// gets a direct connection, since a proxy could read its key, so `http_proxy` is not
    /// read.
    ///
    /// `var` reads a variable, as `std::env::var_os` does. A value that is not Unicode is
    /// an error.
    ///
    /// As in curl, an empty variable counts as unset, a proxy without a scheme is an HTTP
    /// proxy, and the default port is 1080, or 443 for `https://`. `no_proxy` is a list of
    /// hosts, separated by commas or spaces. A host in it also excludes its subdomains,
    /// with or without a leading dot. Addresses are compared by value, and may have a
    /// prefix length (`10.0.0.0/8`). Two forms that curl ignores are supported as well:
    /// a `*`, in a longer list or as `*.host`, and `host:port`.
    ///
    /// # Errors
    /// The proxy setting is invalid, and `no_proxy` does not exclude the API.
    pub fn from_vars(
        base_url: &BaseUrl,
        mut var: impl FnMut(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, ProxyError> {
        if !base_url.is_https() {
            return Ok(None);
        }
        let mut first = |names: [&'static str; 2]| {
            let set = |name| Some((name, var(name).filter(|value| !value.is_empty())?));
            let (name, value) = names.into_iter().find_map(set)?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        let Some((variable, url)) =
            first(["https_proxy", "HTTPS_PROXY"]).or_else(|| first(["all_proxy", "ALL_PROXY"]))
        else {
            return Ok(None);
        };
        let (host, port) = base_url.host_and_port();
        let excepted = first(["no_proxy", "NO_PROXY"]).is_some_and(|(_, list)| {
            list.split([',', ' ', '\t']).any(|item| excepts(item, host, port))
        });
        if excepted {
            return Ok(None);
        }
        Self::parse(&url, variable).map(Some).map_err(|reason| ProxyError { variable, reason })
    }

    /// The URL without user name and password, such as `http://proxy.example.com:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.host, self.port)
    }

    /// The value of the `proxy-authorization` header for an HTTP proxy, marked sensitive.
    #[must_use]
    pub fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.credentials.as_ref()?;
        let basic = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        let mut value = HeaderValue::try_from(basic).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The error of a transport that does not support this proxy's protocol.
    #[must_use]
    pub fn unsupported(&self) -> ProxyError {
        ProxyError { variable: self.variable, reason: "this transport does not support its scheme" }
    }

    fn parse(url: &str, variable: &'static str) -> Result<Self, &'static str> {
        // U+FFFD stands for bytes that were not Unicode.
        if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{fffd}') {
            return Err("expected a URL, such as http://127.0.0.1:3128");
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" => ProxyScheme::Http,
            "https" => ProxyScheme::Https,
            "socks" | "socks4" => ProxyScheme::Socks4,
            "socks4a" => ProxyScheme::Socks4a,
            "socks5" => ProxyScheme::Socks5,
            "socks5h" => ProxyScheme::Socks5h,
            _ => {
                return Err("its scheme must be http, https, socks4, socks4a, socks5 or socks5h");
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains('@')) {
            return Err("its user name or password contains an @: percent-encode it as %40");
        }
        let (host, port) = split_port(place).ok_or("its port must be a number from 0 to 65535")?;
        let usual = if scheme == ProxyScheme::Https { 443 } else { 1080 };
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !address(host).is_some_and(|ip| ip.is_ipv6() && host.starts_with('['))
            && (host.is_empty() || !host.bytes().all(name))
        {
            return Err("its host is missing or invalid");
        }
        let credentials = user.map(|user| {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            Some((decoded(user)?, decoded(password)?))
        });
        let credentials = match credentials {
            Some(None) => return Err("its user name or password is not percent-encoded UTF-8"),
            credentials => credentials.flatten(),
        };
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(usual),
            credentials,
            variable,
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url())
            .field("variable", &self.variable)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ProxyScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        })
    }
}

/// The error of a proxy setting in the environment that cannot be used. No client is
/// built then, because a direct connection would bypass the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyError {
    variable: &'static str,
    reason: &'static str,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, reason } = self;
        write!(f, "the proxy in {variable} cannot be used: {reason}")
    }
}

impl StdError for ProxyError {}

/// Whether an item of `no_proxy` excludes a host.
fn excepts(item: &str, host: &str, port: u16) -> bool {
    if item == "*" {
        return true;
    }
    let (address_of_item, bits) = match item.split_once('/') {
        Some((address, bits)) => (address, bits.parse().unwrap_or(u32::MAX)),
        None => (item, 0),
    };
    // Addresses come first, since an IPv6 address without brackets contains colons.
    if let (Some(network), Some(ip)) = (address(address_of_item), address(host)) {
        return within(ip, network, bits);
    }
    let Some((item, of_port)) = split_port(item) else { return false };
    if of_port.is_some_and(|of_port| of_port != port) {
        return false;
    }
    if let Some(ip) = address(host) {
        return address(item) == Some(ip);
    }
    let item = item.strip_prefix('*').unwrap_or(item);
    let item = item.strip_suffix('.').unwrap_or(item);
    let item = item.strip_prefix('.').unwrap_or(item);
    let host = host.strip_suffix('.').unwrap_or(host);
    let Some(at) = host.len().checked_sub(item.len()) else { return false };
    let (front, back) = (host.get(..at), host.get(at..));
    !item.is_empty()
        && back.is_some_and(|back| back.eq_ignore_ascii_case(item))
        && front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// Parses an IP address, with or without brackets.
fn address(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Whether two addresses share a prefix of this many bits. As in curl, a length of 0 means
/// all bits.
fn within(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |difference: u128, width: u32| match bits {
        0 => difference == 0,
        bits if bits > width => false,
        bits => difference >> (width - bits) == 0,
    };
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            same(u128::from(ip.to_bits() ^ network.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => same(ip.to_bits() ^ network.to_bits(), 128),
        _ => false,
    }
}

/// Splits host and port; `None` if the text after the last colon is not a port.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let after_bracket = place.rfind(']').map_or(0, |at| at + 1);
    match place.get(after_bracket..)?.rsplit_once(':') {
        None => Some((place, None)),
        Some((_, port)) => {
            let host = &place[..place.len() - port.len() - 1];
            if port.is_empty() {
                return Some((host, None));
            }
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            port.parse().ok().filter(|_| digits).map(|port| (host, Some(port)))
        }
    }
}

/// Percent-decodes a text; `None` if the result is not UTF-8 or has control characters.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(piece.get(at).copied().unwrap_or(0)));
        let bits = (a << 16) | (b << 8) | c;
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > piece.len() { '=' } else { char::from(digit) });
        }
    }
    text
}
