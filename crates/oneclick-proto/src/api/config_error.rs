//! Settings that cannot be used.

use std::error::Error;
use std::fmt;

/// Why a client cannot be set up as asked: a key, a base URL, a variable or a timeout
/// cannot be used. No request was made. It shows no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An API key that cannot be sent in a header.
    #[non_exhaustive]
    Key {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key of one environment with the host of the other.
    #[non_exhaustive]
    KeyEnvironment {
        /// The prefix of the key: `live_` or `test_`.
        prefix: &'static str,
        /// The host.
        host: &'static str,
    },
    /// A base URL that cannot be used.
    #[non_exhaustive]
    BaseUrl {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An environment variable that is missing or unusable.
    #[non_exhaustive]
    Variable {
        /// The name of the variable.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An API that buys for money, for something that only tests it.
    Production,
    /// A timeout of zero.
    #[non_exhaustive]
    ZeroTimeout {
        /// The name of the timeout: `timeout` or `connect_timeout`.
        name: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { reason } => write!(f, "invalid API key: {reason}"),
            Self::KeyEnvironment { prefix, host } => {
                let other = if *prefix == "test_" { "live_" } else { "test_" };
                write!(
                    f,
                    "a {prefix} key does not work with {host}: use a {other} key or another host"
                )
            }
            Self::BaseUrl { reason } => write!(f, "invalid base URL: {reason}"),
            Self::Variable { name, reason } => write!(f, "{name} {reason}"),
            Self::Production => f.write_str(
                "a probe buys and cancels, so it does not run in production: use a test_ key",
            ),
            Self::ZeroTimeout { name } => write!(f, "{name} must be longer than zero"),
        }
    }
}

impl Error for ConfigError {}
