//! The client of a command: for the API that its options and the environment select, or
//! for the local emulator.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Request, Response};
use oneclick_ureq::{Account, Api, BlockingClient, BlockingTransport, Connect, TransportError};
use oneclick_ureq::{BaseUrl, ConfigError, Intent, TransportOptions};

use crate::args::Global;
use crate::failure::Failure;
use crate::local;

pub(crate) const KEY: &str = "ONECLICK_API_KEY";
pub(crate) const BASE_URL: &str = "ONECLICK_BASE_URL";
pub(crate) const INSECURE: &str = "ONECLICK_INSECURE";
pub(crate) const CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const STATE_HOME: &str = "XDG_STATE_HOME";

/// The length up to which a file is read as a key, in bytes.
const MAX_KEY_FILE: u64 = 4_096;

/// A client, and what the commands know about the API behind it.
pub(crate) struct Session {
    pub(crate) client: BlockingClient<AnyTransport>,
    /// The API's URL, or the local emulator and its file.
    pub(crate) api_name: String,
    /// Whether money moves.
    pub(crate) production: bool,
    /// Whether the API is an emulator or a proxy on this machine.
    pub(crate) on_this_machine: bool,
    pub(crate) quiet: bool,
    /// The folder of the files of this API's intents.
    pub(crate) intents: PathBuf,
    /// The folder that holds it and those of other APIs.
    pub(crate) all_intents: PathBuf,
    /// The user's folder for what probes found, if there is one.
    pub(crate) probes: Option<PathBuf>,
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
            let client = BlockingClient::with_transport(api, AnyTransport::Local(transport));
            let api_name = format!("the local emulator in {}", state.display());
            // Appended to the whole name: `shop.a` and `shop.b` do not share a folder.
            let mut intents = state.into_os_string();
            intents.push(".intents");
            let intents = PathBuf::from(intents);
            return Ok(Self {
                client,
                api_name,
                production: false,
                on_this_machine: true,
                quiet,
                all_intents: intents.clone(),
                intents,
                probes: probes(),
            });
        }
        let key = key(global.key_file.as_deref())?;
        let api = api_of(global, &key)?;
        let production = is_production(api.base_url(), &key);
        let transport = oneclick_ureq::Transport::connect(&api, &TransportOptions::new())
            .map_err(|error| Failure::Machine(error.to_string()))?;
        let api_name = api.base_url().to_string();
        let intents = intents_of(api.base_url(), production)?;
        let on_this_machine = api.base_url().is_loopback();
        let client = BlockingClient::with_transport(api, AnyTransport::Socket(transport));
        let all_intents = all_intents()?;
        Ok(Self {
            client,
            api_name,
            production,
            on_this_machine,
            quiet,
            intents,
            all_intents,
            probes: probes(),
        })
    }
}

impl Session {
    /// The file of the outbox of an account.
    pub(crate) fn outbox_of(&self, account: &Account) -> PathBuf {
        // The server chooses the id, which need not be a file name.
        let name = Intent::new("outbox", account.user_id.as_str());
        self.intents.join(format!("{}.db", name.marker()))
    }
}

/// Whether money may move.
pub(crate) fn is_production(base_url: &BaseUrl, key: &str) -> bool {
    // A custom URL can lead to production, and so can a key without a prefix.
    !key.starts_with("test_") && *base_url != BaseUrl::sandbox()
}

/// The folder of the intents of an API. What one server sold says nothing about another.
pub(crate) fn intents_of(base_url: &BaseUrl, production: bool) -> Result<PathBuf, Failure> {
    Ok(all_intents()?.join(server_name(base_url, production)))
}

fn all_intents() -> Result<PathBuf, Failure> {
    Ok(state_dir()?.join("intents"))
}

/// A name for a server and its environment, as one part of a path.
pub(crate) fn server_name(base_url: &BaseUrl, production: bool) -> String {
    // An account can have the same id in both environments, also behind one proxy.
    let environment = if production { "production" } else { "sandbox" };
    let url = base_url.normalized();
    if [BaseUrl::production(), BaseUrl::sandbox()].iter().any(|known| known.normalized() == url) {
        return environment.to_owned();
    }
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).to_string(),
        // Capitals, too: some file systems do not tell them from small letters.
        byte => format!("%{byte:02X}"),
    };
    let name = format!("{environment}-{}", url.bytes().map(encoded).collect::<String>());
    // A file name can have 255 bytes.
    if name.len() > 200 { Intent::new("server", &name).marker().to_owned() } else { name }
}

/// The API that the command line and the environment name.
pub(crate) fn api_of(global: &Global, key: &str) -> Result<Api, Failure> {
    for (given, option, prefix) in
        [(global.production, "--production", "live_"), (global.sandbox, "--sandbox", "test_")]
    {
        if given && !key.starts_with(prefix) {
            return Err(Failure::Usage(format!(
                "{option} needs a key that begins with {prefix}, and this one does not"
            )));
        }
    }
    let var = |name: &str| match (name, &global.base_url) {
        (KEY, _) => Some(key.into()),
        (BASE_URL, Some(url)) => Some(url.into()),
        // One that is not valid Unicode is refused, and not passed over.
        _ => std::env::var_os(name),
    };
    Api::from_vars(var).map_err(|invalid| {
        let url = var(BASE_URL).unwrap_or_default().to_string_lossy().into_owned();
        let source = if global.base_url.is_some() { "--base-url" } else { BASE_URL };
        Failure::Usage(match invalid {
            // Only the encryption is missing.
            ConfigError::BaseUrl { .. } if BaseUrl::insecure(&url).is_ok() => format!(
                "{source} {url} would send the key unencrypted: use https://, or set {INSECURE}=1 \
                 if you trust the network",
            ),
            ConfigError::BaseUrl { reason, .. } => {
                format!("{source} cannot be used: {reason}")
            }
            ConfigError::Variable { name, reason, .. } if name != KEY => {
                format!("{name} {reason}: unset it, or set it to the URL of an API")
            }
            // It is set, so it is its prefix that does not help.
            ConfigError::Variable { .. } => format!(
                "the key begins with neither test_ nor live_: set {BASE_URL} or --base-url to the \
                 URL of its API",
            ),
            ConfigError::Key { reason, .. } => return unusable_key(reason),
            ConfigError::KeyEnvironment { prefix, host, .. } => {
                let unset = if global.base_url.is_some() { "leave out" } else { "unset" };
                format!(
                    "a key that begins with {prefix} does not work with {host}: use another key, \
                     or {unset} {source}",
                )
            }
            invalid => invalid.to_string(),
        })
    })
}

fn unusable_key(reason: &str) -> Failure {
    Failure::Usage(format!("the key cannot be used: {reason}"))
}

/// The key, from a file, standard input or the environment. It is never printed.
pub(crate) fn key(file: Option<&Path>) -> Result<String, Failure> {
    // A device such as /dev/zero has no end.
    let start_of = |input: &mut dyn Read| {
        let mut bytes = Vec::new();
        input.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = match file {
        Some(path) if path == Path::new("-") => {
            let read = start_of(&mut io::stdin());
            read.map_err(|error| Failure::machine("could not read standard input", error))?
        }
        Some(path) => {
            let read = fs::File::open(path).and_then(|mut file| start_of(&mut file));
            let subject = format!("could not read the key file {}", path.display());
            read.map_err(|error| Failure::machine(subject, error))?
        }
        None => std::env::var_os(KEY).unwrap_or_default().into_encoded_bytes(),
    };
    if bytes.len() as u64 > MAX_KEY_FILE {
        let subject = if file.is_some() { "its file" } else { "it" };
        return Err(unusable_key(&format!("{subject} is longer than 4,096 bytes")));
    }
    let key = key_in(&bytes).map_err(unusable_key)?;
    if key.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no API key: set {KEY} or use --key-file FILE; --local needs no key"
        )));
    }
    Ok(key)
}

/// Finds the key in what an editor or a shell writes: with a byte order mark, in UTF-16,
/// in quotes, as an assignment, among comments and other assignments.
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
    let text = text.ok_or("it is not UTF-8 text")?;
    let lines = text.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let value = match (lines.iter().rev().find_map(|line| assigned(line)), &*lines) {
        (Some(value), _) => value,
        (None, []) => "",
        (None, [line]) if !assigns_another(line) => line,
        (None, _) => {
            return Err("expected a line with nothing but the key, or one that begins with \
                        ONECLICK_API_KEY=");
        }
    };
    let unquoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    Ok(unquoted('"').or_else(|| unquoted('\'')).unwrap_or(value).trim().to_owned())
}

/// The value that a line assigns to `ONECLICK_API_KEY`.
fn assigned(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(KEY)?.trim_start().strip_prefix('=').map(str::trim)
}

/// Whether a line assigns a value to another name. A key may end in equals signs, or contain
/// one after its prefix.
fn assigns_another(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let Some((name, value)) = line.split_once('=') else { return false };
    let name = name.trim_end();
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("test_")
        && !name.starts_with("live_");
    is_name && !value.trim_matches('=').trim().is_empty()
}

/// The folder for intents and for the local emulator.
pub(crate) fn state_dir() -> Result<PathBuf, Failure> {
    user_dir(STATE_HOME, ".local/state").ok_or_else(|| no_home(STATE_HOME))
}

/// There is no folder of the user.
pub(crate) fn no_home(variable: &str) -> Failure {
    Failure::Usage(format!(
        "the home directory is not known: set {variable} to the absolute path of a folder"
    ))
}

/// The user's folder for what probes found, if there is one.
pub(crate) fn probes() -> Option<PathBuf> {
    user_dir(CONFIG_HOME, ".config")
}

/// The folder `oneclick` in the one that a variable names, or in the usual place of the
/// operating system.
fn user_dir(variable: &str, usual: &str) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || {
        if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else {
            absolute("HOME").map(|home| home.join(usual))
        }
    };
    Some(absolute(variable).or_else(home)?.join("oneclick"))
}

/// The transport of a client.
#[derive(Clone)]
pub(crate) enum AnyTransport {
    Socket(oneclick_ureq::Transport),
    Local(local::Transport),
}

impl BlockingTransport for AnyTransport {
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

    fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Socket(transport) => transport.timeout(),
            Self::Local(transport) => transport.timeout(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A worker refuses a lease that is shorter than its purchases can be under way.
    #[test]
    fn a_worker_knows_how_long_a_request_takes() {
        let url = BaseUrl::insecure("http://127.0.0.1:1").unwrap();
        let api = Api::new(url, "test_me".parse().unwrap()).unwrap();
        let socket = oneclick_ureq::Transport::connect(&api, &TransportOptions::new()).unwrap();
        let timeout = socket.timeout();
        assert!(timeout.is_some());
        assert_eq!(AnyTransport::Socket(socket).timeout(), timeout);
    }

    #[test]
    fn the_folder_of_intents_names_the_server() {
        let name = |url: &str| server_name(&BaseUrl::insecure(url).unwrap(), false);
        for hosted in ["https://sandbox.1clickimpact.com", "https://SANDBOX.1clickimpact.com.:443/"]
        {
            assert_eq!(name(hosted), "sandbox");
        }
        assert_eq!(name("http://127.0.0.1:8787"), "sandbox-http%3A%2F%2F127.0.0.1%3A8787");
        assert_eq!(name("http://[::1]"), name("http://[::1]:80/"));
        assert_eq!(name("https://Example.com"), name("https://example.com.:443"));
        let servers = [
            "https://example.com",
            "http://example.com",
            "http://example.com:443",
            "https://example.com/a",
            "https://example.com/A",
            "https://example.com/a/b",
            "https://example.com/a-b",
            "https://example.com/a%2Fb",
        ];
        let mut names: Vec<_> = servers.iter().map(|url| name(url).to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), servers.len(), "{names:?}");
        let long = format!("https://example.com/{}", "a".repeat(300));
        assert!(name(&long).len() < 100 && name(&long) != name(&format!("{long}a")));
    }

    #[test]
    fn a_key_is_found_in_what_editors_and_shells_write() {
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
        for key in ["abc==", "test_a=b", "export_abc="] {
            assert_eq!(key_in(key.as_bytes()).unwrap(), key);
        }
        for invalid in [
            &b"test_\xc3"[..],
            b"\xff\xfe\x00\xd8",
            b"test_one\ntest_two",
            b"OTHER=secret",
            b"export OTHER = 'secret'",
        ] {
            assert!(key_in(invalid).is_err(), "{}", invalid.escape_ascii());
        }
        // A single quotation mark stays, and the core refuses it.
        let half = key_in(b"\"test_key").unwrap();
        assert!(oneclick_ureq::ApiKey::new(half).is_err());
    }
}
