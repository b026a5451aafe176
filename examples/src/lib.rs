//! What the examples share: where they run, and how they fail.

use std::error::Error;
use std::fmt;

use oneclick_emulator::Server;
use oneclick_proto::Api;

/// Where an example runs: an emulator inside the program, or the hosted sandbox
/// if `ONECLICK_API_KEY` holds a `test_` key.
///
/// The examples buy things, so they take no other key.
#[derive(Debug)]
pub struct Place {
    api: Api,
    /// Stopped when dropped.
    embedded: Option<Server>,
}

impl Place {
    /// Looks at the environment, and starts an emulator if it names no API.
    ///
    /// # Errors
    /// A key that is not a test key; a base URL that cannot be used; no socket.
    pub fn find() -> Result<Self, Failure> {
        let var = |name: &str| std::env::var(name).ok();
        match var("ONECLICK_API_KEY").filter(|key| !key.is_empty()) {
            None => {
                let server = Server::start()?;
                let api = Api::with_base_url(server.base_url(), "test_example")?;
                Ok(Self { api, embedded: Some(server) })
            }
            Some(key) if key.starts_with("test_") => {
                Ok(Self { api: Api::from_vars(var)?, embedded: None })
            }
            Some(_) => Err(Failure::new(
                "ONECLICK_API_KEY does not begin with test_: the examples buy things, so they \
                 take a test key or none",
            )),
        }
    }

    /// The API to make a client of.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api.clone()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.api.base_url();
        match self.embedded {
            Some(_) => write!(f, "an emulator inside this program ({url}); no money moves"),
            None => write!(f, "{url}, with the test key in ONECLICK_API_KEY; no money moves"),
        }
    }
}

/// Any error, which `main` prints as one line with its causes.
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A failure in words.
    #[must_use]
    pub fn new(message: &str) -> Self {
        Self(message.into())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// What a `main` that returns an error prints.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
