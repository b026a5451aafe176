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
            let place = format!("the local emulator in {}", state.display());
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
    Ok(Api::from_vars(|name| match (name, &global.base_url) {
        (KEY, _) => Some(key.to_owned()),
        ("ONECLICK_BASE_URL", Some(url)) => Some(url.clone()),
        _ => std::env::var(name).ok(),
    })?)
}

/// The key, which is never printed.
pub(crate) fn key(file: Option<&Path>) -> Result<String, Failure> {
    // A key is short; whatever else stands there is none.
    let start_of = |input: &mut dyn Read| {
        let mut bytes = Vec::new();
        input.take(4_096).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = match file {
        Some(path) if path == Path::new("-") => {
            start_of(&mut io::stdin()).map_err(|error| Failure::machine("standard input", error))?
        }
        Some(path) => fs::File::open(path)
            .and_then(|mut file| start_of(&mut file))
            .map_err(|error| Failure::machine(path.display(), error))?,
        None => std::env::var(KEY).unwrap_or_default().into_bytes(),
    };
    let key = key_in(&bytes).map_err(|reason| Failure::Usage(format!("the key {reason}")))?;
    if key.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no key: set {KEY}, or give --key-file FILE, or try --local, which needs none"
        )));
    }
    Ok(key)
}

/// The key in a file as an editor or a shell leaves it: with a byte order mark, in
/// UTF-16, in quotes, as an assignment, beside comments and other assignments.
fn key_in(bytes: &[u8]) -> Result<String, &'static str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    };
    let text = text.ok_or("is not text: save it as UTF-8")?;
    let lines = text.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let value = match (lines.iter().rev().find_map(|line| assigned(line)), &*lines) {
        (Some(value), _) => value,
        (None, []) => "",
        (None, [line]) => line,
        (None, _) => return Err("must stand alone in its file, or behind ONECLICK_API_KEY="),
    };
    let unquoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    Ok(unquoted('"').or_else(|| unquoted('\'')).unwrap_or(value).trim().to_owned())
}

/// What a line assigns to the variable of the key.
fn assigned(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(KEY)?.trim_start().strip_prefix('=').map(str::trim)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_key_is_read_as_editors_and_shells_leave_it() {
        let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
        };
        for text in [
            "test_key",
            " test_key \r\n",
            "\u{feff}test_key\n",
            "\"test_key\"",
            "'test_key'\n",
            "ONECLICK_API_KEY=test_key",
            "export ONECLICK_API_KEY=\"test_key\"\n",
            "  export  ONECLICK_API_KEY = 'test_key'",
            "# the shop's\nSHOP=1\nONECLICK_API_KEY=test_old\nONECLICK_API_KEY=test_key\n",
            "# the shop's\n\ntest_key\n",
        ] {
            assert_eq!(key_in(text.as_bytes()).unwrap(), "test_key", "{text}");
            let text = text.trim_start_matches('\u{feff}');
            assert_eq!(key_in(&utf16(text, u16::to_le_bytes)).unwrap(), "test_key", "{text}");
            assert_eq!(key_in(&utf16(text, u16::to_be_bytes)).unwrap(), "test_key", "{text}");
        }
        for empty in ["", " \n", "# nothing", "ONECLICK_API_KEY=", "\"\""] {
            assert_eq!(key_in(empty.as_bytes()).unwrap(), "", "{empty}");
        }
        for wrong in [&b"test_\xc3"[..], b"\xff\xfe\x00\xd8", b"test_one\ntest_two"] {
            assert!(key_in(wrong).is_err());
        }
        // One quote is no pair, and the core refuses it.
        let half = key_in(b"\"test_key").unwrap();
        assert!(oneclick_ureq::ApiKey::new(half).is_err());
    }
}
