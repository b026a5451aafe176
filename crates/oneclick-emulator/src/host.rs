//! The host names that a server answers to.
//!
//! The owner of a web page can point its host name to the visitor's own machine (DNS
//! rebinding). The browser would then let the page read every response of the server, but
//! its requests carry the page's name in `Host`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::HOST;
use http::uri::Authority;
use http::{Request, StatusCode, Version};

use crate::state::problem::Problem;

/// A host name or IP address without a port. Case does not matter.
///
/// ```
/// use oneclick_emulator::HostName;
///
/// let name: HostName = "Emulator".parse()?;
/// assert_eq!(name.to_string(), "emulator");
/// assert!("[fd00::1]".parse::<HostName>().is_ok());
/// assert!("emulator:8787".parse::<HostName>().is_err());
/// # Ok::<(), oneclick_emulator::InvalidHost>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// A text that is not a host name or IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHost(());

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a host name or an IP address without a port, such as emulator")
    }
}

impl std::error::Error for InvalidHost {}

/// Accepts labels of ASCII letters, digits, `-` and `_` separated by dots, IPv4 addresses, and
/// IPv6 addresses with or without brackets.
impl FromStr for HostName {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        // A trailing dot makes no difference.
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let label = |label: &str| !label.is_empty() && label.bytes().all(plain);
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(InvalidHost(()));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HostName {
    /// Whether it always refers to this machine: `localhost`, names that end in `.localhost`,
    /// and loopback addresses.
    fn is_loopback(&self) -> bool {
        self.0 == "localhost"
            || self.0.ends_with(".localhost")
            || self.0.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

/// The host names that a server answers to besides loopback names.
pub(crate) struct Hosts(Vec<HostName>);

impl Hosts {
    /// The host names of a server that listens on this address.
    pub(crate) fn new(mut allowed: Vec<HostName>, listen: SocketAddr) -> Self {
        // The base URL contains this address, and no web page can use an IP address as its name.
        if !listen.ip().is_unspecified() {
            allowed.push(HostName(listen.ip().to_string()));
        }
        Self(allowed)
    }

    /// Refuses a request without a valid `Host` (400), and one for another host (421).
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let mut headers = request.headers().get_all(HOST).iter();
        let header = match (headers.next(), headers.next()) {
            (Some(header), None) => {
                Some(header.to_str().ok().and_then(in_header).ok_or_else(|| {
                    Problem::invalid("the Host header must be a host with an optional port")
                })?)
            }
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("the Host header was sent twice: send it once"));
            }
            (None, _) if request.version() >= Version::HTTP_11 => {
                return Err(Problem::invalid("the Host header is missing: HTTP/1.1 requires it"));
            }
            (None, _) => None,
        };
        // A target in absolute form overrides the header (RFC 9112, 3.2.2).
        let host = match request.uri().authority() {
            Some(authority) => Some(authority.host().parse().map_err(|InvalidHost(())| {
                Problem::invalid("the host in the request target is not a host name")
            })?),
            None => header,
        };
        host.filter(|host| !self.allow(host)).map_or(Ok(()), |host| Err(misdirected(&host)))
    }

    fn allow(&self, host: &HostName) -> bool {
        host.is_loopback() || self.0.contains(host)
    }
}

/// The host in a `Host` header; `None` if that is not a host with an optional port.
fn in_header(text: &str) -> Option<HostName> {
    let authority: Authority = text.parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.strip_prefix(':').map_or(port.is_empty(), digits);
    if port { authority.host().parse().ok() } else { None }
}

fn misdirected(host: &HostName) -> Problem {
    Problem::invalid(format!(
        "this server does not answer to the host {host}, only to loopback names such as \
         localhost and 127.0.0.1: start it with `--allow-host {host}`"
    ))
    .status(StatusCode::MISDIRECTED_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_read_in_any_case_and_without_a_port() {
        for (text, name) in [
            ("LOCALHOST.", "localhost"),
            ("my_emulator-1.Test", "my_emulator-1.test"),
            ("127.0.0.1", "127.0.0.1"),
            ("[0:0::1]", "::1"),
            ("fd00::A", "fd00::a"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().to_string(), name);
        }
        let long = "a".repeat(254);
        for text in ["", ".", "a..b", "a:80", "[::1", "[a]", "*", "a b", "a/b", "ä", "@a", &long] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_header_is_a_host_and_a_port() {
        for text in ["localhost", "localhost:", "LocalHost:8787", "[::1]:80", "127.9.9.9:1"] {
            assert!(in_header(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0"] {
            assert!(!in_header(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["", ":80", "localhost:+80", "evil@localhost", "a, b", "http://localhost"] {
            assert_eq!(in_header(text), None, "{text}");
        }
    }
}
