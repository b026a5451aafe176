//! The emulator as a function of state, request and time.
//!
//! A request goes through four steps, of which only the last changes anything: its route is
//! found, its parameters are read into an [`Operation`], the operation is checked against an
//! [`Account`], and then applied to it. Faults hit requests that have passed the check.

mod account;
mod action;
pub mod behaviour;
mod cancel;
mod cursor;
mod fault;
pub(crate) mod fields;
mod hash;
mod list;
pub(crate) mod problem;
mod project;
mod punycode;
mod query;
mod read;
mod route;
mod scan;
mod track;
mod view;

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use oneclick_proto::UserId;

pub use account::{Account, LedgerEntry};
pub use behaviour::Behaviour;
pub(crate) use fault::EXAMPLE as RULE_EXAMPLE;
pub use fault::{
    Delivered, Delivery, Fault, FaultRule, GatewayBody, InvalidRule, RetryAfter, When,
};
pub use track::{DONATION_AVAILABLE_AFTER, DONATION_SENT_AFTER, IMPACT_COMPLETED_AFTER};

use account::Purchase;
use behaviour::DateHeader;
use fault::Faults;
use problem::{Problem, http_date, response, without_body};
use route::Route;
use view::View;

/// The largest body of a request, in bytes: 1 MiB. A larger one gets a 413.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The beginning of every valid key.
const KEY_PREFIX: &[u8] = b"test_";

/// The configuration of an [`Emulator`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The seed of ids and random choices. Two emulators with the same seed give the same
    /// responses to the same requests at the same times. Default: 0.
    pub seed: u64,
    /// Whether unknown fields of a POST are ignored instead of refused. Default: `false`.
    pub lenient: bool,
}

impl Config {
    /// The defaults: seed 0, strict.
    #[must_use]
    pub const fn new() -> Self {
        Self { seed: 0, lenient: false }
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`lenient`](Self::lenient).
    #[must_use]
    pub const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }
}

/// The API as a function: accounts, and how requests change them.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use oneclick_proto::{Api, ListCustomers, PlantTree, GetImpactTotals, Trees, ImpactKind};
/// use oneclick_emulator::{Config, Emulator};
///
/// let mut emulator = Emulator::new(Config::new());
/// let now: DateTime<Utc> = "2025-03-12T15:22:14.753Z".parse().unwrap();
/// let api = Api::sandbox("test_doc")?;
///
/// let plant = PlantTree::new(Trees::of::<5>());
/// let receipt = api.decode(&plant, emulator.respond(&api.encode(&plant)?, now))?;
/// assert_eq!(receipt.time_utc.datetime(), now);
///
/// let total = api.decode(&GetImpactTotals, emulator.respond(&api.encode(&GetImpactTotals)?, now))?;
/// assert_eq!(total.user_impact.get(&ImpactKind::TreePlanted), 5);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Default)]
pub struct Emulator {
    config: Config,
    accounts: HashMap<Box<[u8]>, Account>,
    faults: Faults,
    behaviour: Behaviour,
    /// Whether any switch is not at its default.
    has_switches: bool,
    /// How many requests were valid.
    requests: u64,
}

impl Emulator {
    /// An emulator without accounts.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Responds to a request at a time. A request that gets an error has changed nothing,
    /// unless a [`Fault`] applied it. This is [`Delivered::response`] of
    /// [`exchange`](Self::exchange), even if a fault keeps that from arriving.
    pub fn respond(
        &mut self,
        request: &Request<impl AsRef<[u8]>>,
        now: DateTime<Utc>,
    ) -> Response<Vec<u8>> {
        self.exchange(request, now).response
    }

    /// Responds to a request at a time, and says how the response arrives. A time before the
    /// year 0 or after 9998 is treated as the nearest time in that range.
    pub fn exchange(
        &mut self,
        request: &Request<impl AsRef<[u8]>>,
        now: DateTime<Utc>,
    ) -> Delivered {
        let mut delivered = self.get_or_post(request, now);
        if request.method() == Method::HEAD {
            delivered.response = without_body(delivered.response);
        }
        delivered
    }

    fn get_or_post(
        &mut self,
        request: &Request<impl AsRef<[u8]>>,
        now: DateTime<Utc>,
    ) -> Delivered {
        if !self.has_switches {
            return self.execute(request, now);
        }
        let now = self.behaviour.clock.shifted(now);
        let mut delivered = self.execute(request, now);
        let headers = delivered.response.headers_mut();
        if self.behaviour.date == DateHeader::Absent {
            headers.remove(DATE);
            delivered.has_date = false;
        } else if let Some(date) = self.behaviour.date_header(now).and_then(http_date) {
            headers.insert(DATE, date);
        }
        delivered
    }

    fn execute(&mut self, request: &Request<impl AsRef<[u8]>>, now: DateTime<Utc>) -> Delivered {
        let Prepared { path, key, operation } = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(problem) => return Delivered::whole(problem.response()),
        };
        let seed = self.config.seed;
        self.requests += 1;
        let mut view = View::new(&self.behaviour, !self.has_switches, now, seed, self.requests);
        let account = self.accounts.entry(key.into()).or_insert_with(|| Account::new(seed, key));
        account.catch_up(now);
        if let Err(problem) = operation.check(account, &view) {
            return Delivered::whole(problem.response());
        }
        // Nothing has been changed so far.
        if let Some(purchase) = operation.purchase().and_then(|it| self.behaviour.others(it)) {
            account.buy(purchase, now, view.hides_for);
        }
        let Some(fault) = self.faults.hit(seed, path) else {
            return Delivered::whole(apply(operation, account, &view));
        };
        view.hides_for = fault.hides_for().or(view.hides_for);
        let response = match fault.refusal(now) {
            None => apply(operation, account, &view),
            Some(refusal) => {
                if let Some(millis) = fault.applies_after() {
                    operation.apply_later(account, &view, millis);
                }
                refusal
            }
        };
        Delivered::of(fault.replace(response, request.uri().path()), fault)
    }

    /// Sets the switches for what no source says about the API.
    pub fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
        self.has_switches = behaviour != Behaviour::new();
    }

    /// The current switches.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.behaviour
    }

    /// Applies delayed requests and shows hidden purchases that are due by now, in every
    /// account. A request does this for its own account only, so call this before you look
    /// at a ledger.
    pub fn catch_up(&mut self, now: DateTime<Utc>) {
        let now = self.behaviour.clock.shifted(now);
        for account in self.accounts.values_mut() {
            account.catch_up(now);
        }
    }

    /// Adds a fault rule. Of several rules that match a request the first one counts.
    pub fn inject(&mut self, rule: FaultRule) {
        self.faults.inject(rule);
    }

    /// The rule that keeps a new one from ever hitting, if there is one.
    pub(crate) fn covering_fault(&self, rule: &FaultRule) -> Option<&FaultRule> {
        self.faults.covering(rule)
    }

    /// The fault rules. [`FaultRule::when`] says how many requests each will still hit.
    #[must_use]
    pub fn faults(&self) -> &[FaultRule] {
        self.faults.rules()
    }

    /// Removes all fault rules. What [`Fault::Hidden`] hides stays hidden until its time.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The account of a key; `None` before the first valid request with that key.
    #[must_use]
    pub fn account(&self, key: &str) -> Option<&Account> {
        self.accounts.get(key.as_bytes())
    }

    /// Every account, sorted by id.
    #[must_use]
    pub fn accounts(&self) -> Vec<&Account> {
        let mut accounts: Vec<_> = self.accounts.values().collect();
        accounts.sort_by(|a, b| a.user_id().cmp(b.user_id()));
        accounts
    }

    /// The id of the account of a request's key, even if the key has not been used yet.
    pub(crate) fn user_id(&self, headers: &HeaderMap) -> Option<UserId> {
        key(headers).ok().map(|key| Account::id_of(self.config.seed, key))
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config
    }

    /// Finds the route of a request and reads its operation.
    fn prepare<'r>(&self, request: &'r Request<impl AsRef<[u8]>>) -> Result<Prepared<'r>, Problem> {
        let (route, segment) = route::find(request.method(), request.uri().path())?;
        let key = key(request.headers())?;
        let operation = self.read(route, segment, request)?;
        Ok(Prepared { path: route.path, key, operation })
    }

    fn read(&self, route: &Route, segment: &str, request: &Request<impl AsRef<[u8]>>) -> Parsed {
        let body = request.body().as_ref();
        check_body(&route.method, request.headers(), body)?;
        (route.parse)(&Input {
            path: route.path,
            segment,
            query: request.uri().query().unwrap_or_default(),
            body,
            lenient: self.config.lenient,
            behaviour: &self.behaviour,
        })
    }
}

/// Shows no data of the accounts.
impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("config", &self.config)
            .field("accounts", &self.accounts.len())
            .finish_non_exhaustive()
    }
}

/// A valid request.
struct Prepared<'r> {
    path: &'static str,
    key: &'r [u8],
    operation: Box<dyn Operation>,
}

/// The parts of a request from which a route reads its operation.
struct Input<'a> {
    path: &'static str,
    /// The parameter in the path, still percent-encoded.
    segment: &'a str,
    query: &'a str,
    body: &'a [u8],
    lenient: bool,
    behaviour: &'a Behaviour,
}

/// The operation that a request asks for.
trait Operation {
    /// Checks that the operation is possible with this account.
    fn check(&self, _: &Account, _: &View<'_>) -> Result<(), Problem> {
        Ok(())
    }

    /// Applies the operation, and returns the JSON of the response. Succeeds if `check` did.
    fn apply(self: Box<Self>, account: &mut Account, view: &View<'_>) -> Result<Vec<u8>, Problem>;

    /// Applies the operation after so many milliseconds, without a response.
    fn apply_later(self: Box<Self>, _: &mut Account, _: &View<'_>, _: u64) {}

    /// The purchase, if the operation is one.
    fn purchase(&self) -> Option<&Purchase> {
        None
    }
}

fn apply(
    operation: Box<dyn Operation>,
    account: &mut Account,
    view: &View<'_>,
) -> Response<Vec<u8>> {
    match operation.apply(account, view) {
        Ok(body) => response(StatusCode::OK, body),
        Err(problem) => problem.response(),
    }
}

type Parsed = Result<Box<dyn Operation>, Problem>;

fn key(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut keys = headers.get_all("x-api-key").iter();
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if !key.is_empty() => key.as_bytes(),
        (Some(_), Some(_)) => {
            return Err(Problem::key("the x-api-key header was sent twice: send it once"));
        }
        _ if headers.contains_key(AUTHORIZATION) => {
            return Err(Problem::key(
                "the x-api-key header is missing, and the authorization header is not used: send \
                 the key itself, without Bearer, as x-api-key",
            ));
        }
        _ => {
            return Err(Problem::key(
                "the x-api-key header is missing: send it with a key that begins with test_",
            ));
        }
    };
    if key.starts_with(KEY_PREFIX) { Ok(key) } else { Err(Problem::key("API Key does not exist")) }
}

/// Checks that the request may have a body, and that it is JSON and not too large.
pub(crate) fn check_body(method: &Method, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if body.len() > MAX_BODY_BYTES {
        let message =
            format!("the body must have at most {MAX_BODY_BYTES} bytes, got {}", body.len());
        return Err(Problem::invalid(message).status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    if *method == Method::GET {
        return match body {
            [] => Ok(()),
            _ => Err(Problem::invalid("a GET takes no body: send its parameters in the query")),
        };
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::invalid("the body must be JSON: send it with Content-Type: application/json")
            .status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
    }
}
