//! A client of the API that the command line and the environment name.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Request, Response};
use oneclick_ureq::{Api, BlockingClient, BlockingTransport, Connect, TransportError};
use oneclick_ureq::{BaseUrl, TransportOptions};

use crate::args::Global;
use crate::failure::Failure;
use crate::local;

/// The variable that holds the key.
pub(crate) const KEY: &str = "ONECLICK_API_KEY";

/// A client, and what is known of where it calls.
pub(crate) struct Session {
    pub(crate) client: BlockingClient<Wire>,
    /// Where it calls, in words.
    pub(crate) place: String,
    /// Whether money moves.
    pub(crate) production: bool,
    pub(crate) quiet: bool,
    /// Where purchases are remembered.
    pub(crate) intents: PathBuf,
}

impl Session {
    pub(crate) fn open(global: &Global) -> Result<Self, Failure> {
        let quiet = global.quiet;
        if global.local {
            let state = match &global.state {
                Some(state) => state.clone(),
                None => state_dir()?.join("local.jsonl"),
            };
            let (api, transport) = local::open(&state)?;
            let client = BlockingClient::with_transport(api, Wire::Local(transport));
            let place = format!("the local sandbox in {}", state.display());
            // Beside it, under the whole of its name: `a.1` and `a.2` are two.
            let mut intents = state.into_os_string();
            intents.push(".intents");
            let intents = PathBuf::from(intents);
            return Ok(Self { client, place, production: false, quiet, intents });
        }
        let key = key(global.key_file.as_deref())?;
        let api = api_of(global, &key)?;
        // Behind a proxy of one's own a live key is a live key, and an old one,
        // without a prefix, may be.
        let production = !key.starts_with("test_") && api.base_url() != &BaseUrl::sandbox();
        let transport = oneclick_ureq::Transport::connect(&api, &TransportOptions::new())
            .map_err(|error| Failure::Machine(error.to_string()))?;
        let place = api.base_url().to_string();
        let client = BlockingClient::with_transport(api, Wire::Socket(transport));
        // An account may have the same id in both environments.
        let environment = if production { "production" } else { "sandbox" };
        let intents = state_dir()?.join("intents").join(environment);
        Ok(Self { client, place, production, quiet, intents })
    }
}

/// The API that the command line and the environment name.
pub(crate) fn api_of(global: &Global, key: &str) -> Result<Api, Failure> {
    let other = |wanted: &str, environment: &str| {
        let text = format!("the key does not begin with {wanted}, as one of {environment} does");
        Err(Failure::Usage(text))
    };
    if global.production && !key.starts_with("live_") {
        return other("live_", "production");
    }
    if global.sandbox && !key.starts_with("test_") {
        return other("test_", "the sandbox");
    }
    let var =
        |name: &str| if name == KEY { Some(key.to_owned()) } else { std::env::var(name).ok() };
    Ok(match &global.base_url {
        Some(url) => Api::with_base_url(url, key)?,
        None => Api::from_vars(var)?,
    })
}

/// The key, which is never printed.
pub(crate) fn key(file: Option<&Path>) -> Result<String, Failure> {
    // A key is short; whatever else stands there is none.
    let start_of = |input: &mut dyn Read| {
        let mut text = String::new();
        input.take(4_096).read_to_string(&mut text).map(|_| text)
    };
    let text = match file {
        Some(path) if path == Path::new("-") => {
            start_of(&mut io::stdin()).map_err(|error| Failure::machine("standard input", error))?
        }
        Some(path) => fs::File::open(path)
            .and_then(|mut file| start_of(&mut file))
            .map_err(|error| Failure::machine(path.display(), error))?,
        None => std::env::var(KEY).unwrap_or_default(),
    };
    let key = text.trim();
    if key.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no key: set {KEY}, or give --key-file FILE, or try --local, which needs none"
        )));
    }
    Ok(key.to_owned())
}

/// The folder in which this program keeps what it must not forget: `oneclick` in
/// `XDG_STATE_HOME`, or in the usual place of the system.
pub(crate) fn state_dir() -> Result<PathBuf, Failure> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        absolute("HOME").map(|home| home.join(".local/state"))
    };
    let base = absolute("XDG_STATE_HOME").or(home);
    let missing = "there is no home directory: set XDG_STATE_HOME to a folder for this command";
    Ok(base.ok_or_else(|| Failure::Usage(missing.to_owned()))?.join("oneclick"))
}

/// What carries the calls.
#[derive(Clone)]
pub(crate) enum Wire {
    Socket(oneclick_ureq::Transport),
    Local(local::Transport),
}

impl BlockingTransport for Wire {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        match self {
            Self::Socket(transport) => transport.send(request),
            Self::Local(transport) => transport.send(request),
        }
    }

    fn sleep(&self, duration: Duration) {
        match self {
            Self::Socket(transport) => transport.sleep(duration),
            Self::Local(transport) => transport.sleep(duration),
        }
    }

    fn now(&self) -> Duration {
        match self {
            Self::Socket(transport) => transport.now(),
            Self::Local(transport) => transport.now(),
        }
    }
}
