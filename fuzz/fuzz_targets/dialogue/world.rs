//! The emulator behind a transport that injects faults. It uses no sockets and a virtual
//! clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{DATE, LOCATION, RETRY_AFTER};
use http::{Method, Request, Response};
use oneclick_emulator::behaviour::DateHeader;
use oneclick_emulator::{Behaviour, Emulator, Fault as Rule, FaultRule, LedgerEntry};
use oneclick_proto::{
    Api, BlockingClient, BlockingTransport, BodyReader, Client, ImpactId, Intent, RetryPolicy,
    TransportError,
};

pub const KEY: &str = "test_5ecretKey";
/// The longest delay of an abandoned request, or of a record before readers see it, unless
/// [`State::long_delays`] is set. The sum of it, [`TIMEOUT`] and the largest difference of `Date`
/// must stay below `VerifyPolicy::absence_after`.
pub const MAX_DELAY: Duration = Duration::from_secs(800);
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Statuses that prove that a request was not executed.
const REFUSED: [u16; 12] = [307, 308, 400, 401, 403, 404, 405, 409, 413, 415, 422, 425];
/// Statuses that leave it open whether a request was executed.
const UNCERTAIN: [u16; 11] = [301, 302, 303, 408, 418, 500, 501, 502, 503, 504, 520];
/// Statuses that prove nothing if an intermediary sends them, since it may have forwarded
/// the request.
const INTERMEDIARY: [u16; 12] = [301, 303, 400, 401, 404, 408, 409, 422, 425, 429, 502, 504];

/// A fault of one exchange.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection failed, and nothing was sent.
    Connect,
    /// The request was sent, but not executed, and got no response.
    Dropped,
    /// The request was executed, but its response was lost.
    Lost,
    /// The request was executed, but the response body ends after this number of bytes.
    Cut(usize),
    /// The request was executed, but the response body has another byte at this position.
    Damaged(usize, u8),
    /// The request was executed, but the response body was replaced.
    Replaced,
    /// The request was executed, and the client accepts at most this number of bytes.
    TooLarge(usize),
    /// An intermediary sends this status.
    Status { status: u16, executed: bool },
    /// The request was not executed. The response is a 429 with `Retry-After`.
    Busy { seconds: u8, date: bool },
    /// The request was executed at once, but its response takes this long.
    Late(Duration),
    /// The request is executed this long after the client gave it up.
    Delayed(Duration),
    /// The request was executed, but readers see its record later.
    Hidden { millis: u64, lost: bool },
}

impl Fault {
    /// Returns no fault for zeros, so an exchange without input succeeds.
    fn new([kind, detail]: [u8; 2], verified: bool, long_delays: bool) -> Option<Self> {
        let at = usize::from(detail);
        // Long delays go far beyond the limit that a verified purchase allows for.
        let most = MAX_DELAY.as_millis() as u64 * if long_delays { 4 } else { 1 };
        let millis = most * u64::from(detail) / 255;
        Some(match kind % 16 {
            1 => Self::Connect,
            2 => Self::Dropped,
            3 => Self::Lost,
            4 => Self::Cut(at),
            // A zero byte makes the JSON invalid. No client can detect altered JSON that is
            // still valid.
            5 if verified => Self::Damaged(at, 0),
            5 => Self::Damaged(at, kind / 16 * 17),
            6 if verified => Self::Lost,
            6 => Self::Replaced,
            7 => Self::TooLarge(at),
            8 => Self::Status { status: REFUSED[at % REFUSED.len()], executed: false },
            9 => Self::Status { status: UNCERTAIN[at % UNCERTAIN.len()], executed: false },
            10 => Self::Status { status: INTERMEDIARY[at % INTERMEDIARY.len()], executed: true },
            11 => Self::Busy { seconds: detail / 4, date: detail % 2 == 0 },
            12 => Self::Late(TIMEOUT * u32::from(detail) / 128),
            13 => Self::Delayed(Duration::from_millis(millis)),
            14 => Self::Hidden { millis, lost: false },
            15 => Self::Hidden { millis, lost: true },
            _ => return None,
        })
    }
}

/// A change of the ledger and the number of the call that caused it.
#[derive(Debug)]
pub struct Effect {
    pub call: usize,
    pub id: ImpactId,
    pub cancelled: bool,
}

/// The current call.
#[derive(Default)]
pub struct Call {
    pub number: usize,
    /// Whether it is a verified purchase, whose responses are never altered to other valid
    /// JSON.
    pub verified: bool,
    /// The faults of its exchanges, in order. Later exchanges have none.
    pub script: VecDeque<[u8; 2]>,
    pub exchanges: u32,
    pub faults: u32,
    /// Whether the last exchange had no fault.
    pub last_was_clean: bool,
    /// Whether a response body was damaged, or a successful one was replaced.
    pub altered: bool,
    /// The earliest time of the next attempt, from `Retry-After`.
    not_before: Duration,
}

/// The state that the client's transport and the checks share.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

pub struct State {
    emulator: Emulator,
    pub now: Duration,
    /// The time of the server's clock when `now` is zero. A jump of the clock moves it.
    start: DateTime<Utc>,
    /// Whether delays may be longer than a verified purchase allows for.
    pub long_delays: bool,
    seed: u64,
    outside_body: Vec<u8>,
    pub call: Call,
    pub effects: Vec<Effect>,
    /// Requests that the client gave up, with the time of their execution and their call.
    delayed: Vec<(Duration, usize, Request<Vec<u8>>)>,
}

impl World {
    /// Creates a world whose `Date` header differs from its clock by `date` seconds.
    pub fn new(seed: u8, long_delays: bool, date: i64, outside_body: &[u8]) -> Self {
        let mut emulator = Emulator::default();
        emulator.set_behaviour(Behaviour::new().date(DateHeader::Apart { seconds: date }));
        Self(Arc::new(Mutex::new(State {
            emulator,
            now: Duration::ZERO,
            start: DateTime::from_timestamp(1_741_792_934, 0).unwrap(),
            long_delays,
            seed: seed.into(),
            outside_body: outside_body.to_vec(),
            call: Call::default(),
            effects: Vec::new(),
            delayed: Vec::new(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn client(&self, retry: RetryPolicy) -> BlockingClient<Self> {
        let api = Api::with_base_url("http://127.0.0.1", KEY).unwrap();
        Client::with_transport(api, self.clone()).with_retry(retry)
    }

    /// Begins a call and returns its number.
    pub fn begin(&self, verified: bool, script: &[u8]) -> usize {
        let mut state = self.state();
        let script = script.as_chunks().0.iter().copied().collect();
        let number = state.call.number + 1;
        state.call = Call { number, verified, script, ..Call::default() };
        number
    }

    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.state().ledger()
    }

    /// Returns the ledger entries with a marker, including cancelled ones.
    pub fn marked(&self, marker: &str) -> Vec<LedgerEntry> {
        let mut ledger = self.ledger();
        ledger.retain(|entry| entry.receipt.metadata.get(Intent::METADATA_KEY) == Some(marker));
        ledger
    }

    /// Returns the impacts that a call bought, or those that it cancelled.
    pub fn effects(&self, call: usize, cancelled: bool) -> Vec<ImpactId> {
        let state = self.state();
        let effects = state.effects.iter();
        let effects = effects.filter(|effect| effect.call == call && effect.cancelled == cancelled);
        effects.map(|effect| effect.id.clone()).collect()
    }
}

impl State {
    pub fn server(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.now).unwrap()
    }

    /// Moves the server's clock, but not the client's.
    pub fn jump(&mut self, by: TimeDelta) {
        self.start += by;
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.emulator.account(KEY).map_or_else(Vec::new, |account| account.ledger().collect())
    }

    /// Advances the clocks and executes the delayed requests that become due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = (0..self.delayed.len()).min_by_key(|at| self.delayed[*at].0) {
            if self.delayed[at].0 > end {
                break;
            }
            let (due, call, request) = self.delayed.remove(at);
            self.now = self.now.max(due);
            self.execute(&request, call, None);
        }
        self.now = end;
    }

    /// Executes a request and records the changes of the ledger.
    fn execute(
        &mut self,
        request: &Request<Vec<u8>>,
        call: usize,
        hidden: Option<u64>,
    ) -> Response<Vec<u8>> {
        let before = self.ledger();
        if let Some(millis) = hidden {
            self.emulator.inject(FaultRule::new(Rule::Hidden { millis }).times(1));
        }
        let response = self.emulator.respond(request, self.server());
        self.emulator.clear_faults();
        let recorded = self.effects.len();
        for (at, entry) in self.ledger().iter().enumerate() {
            let (id, cancelled) = (ImpactId::from(&entry.receipt), entry.cancelled_on.is_some());
            match before.get(at) {
                None => self.effects.push(Effect { call, id, cancelled: false }),
                Some(old) if old.cancelled_on.is_none() && cancelled => {
                    self.effects.push(Effect { call, id, cancelled });
                }
                Some(_) => {}
            }
        }
        let most = usize::from(request.method() == Method::POST);
        assert!(self.effects.len() - recorded <= most, "{:?}", &self.effects[recorded..]);
        response
    }

    fn exchange(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        self.pass(Duration::from_millis(20));
        assert!(self.now >= self.call.not_before, "the client did not wait for `Retry-After`");
        let script = self.call.script.pop_front().unwrap_or_default();
        let fault = Fault::new(script, self.call.verified, self.long_delays);
        self.call.exchanges += 1;
        self.call.faults += u32::from(fault.is_some());
        self.call.last_was_clean = fault.is_none();
        let call = self.call.number;
        let lost = || TransportError::exchange("closed");
        let silent = || TransportError::exchange("silence").timed_out(true);
        // With these faults, the server does not execute the request now.
        match fault {
            Some(Fault::Connect) => return Err(TransportError::connect("refused")),
            Some(Fault::Dropped) => return Err(lost()),
            Some(Fault::Delayed(by)) => {
                self.pass(TIMEOUT);
                self.delayed.push((self.now + by, call, request.clone()));
                return Err(silent());
            }
            Some(Fault::Status { status, executed: false }) => {
                return Ok(self.intermediary_response(status));
            }
            Some(Fault::Busy { seconds, date }) => return Ok(self.busy(seconds, date)),
            _ => {}
        }
        let hidden = match fault {
            Some(Fault::Hidden { millis, .. }) => Some(millis),
            _ => None,
        };
        let response = self.execute(request, call, hidden);
        let (head, mut body) = response.into_parts();
        let succeeded = head.status.is_success();
        match fault {
            Some(Fault::Lost | Fault::Hidden { lost: true, .. }) => return Err(lost()),
            Some(Fault::Status { status, .. }) => {
                let mut response = self.intermediary_response(status);
                // An error body of the API would prove that the request was not executed.
                *response.body_mut() = b"<html></html>".to_vec();
                return Ok(response);
            }
            Some(Fault::Cut(at)) => {
                let piece = &body[..at.min(body.len())];
                return Err(BodyReader::new(&Method::GET, head, usize::MAX)
                    .push(piece)?
                    .cut("closed"));
            }
            Some(Fault::TooLarge(limit)) if limit < body.len() => {
                return BodyReader::new(&Method::GET, head, limit).push(&body)?.finish();
            }
            Some(Fault::Damaged(at, byte)) => {
                let at = at.min(body.len() - 1);
                body[at] = byte;
                self.call.altered = true;
            }
            // The status stays, so an error remains an error.
            Some(Fault::Replaced) => {
                body.clone_from(&self.outside_body);
                self.call.altered |= succeeded;
            }
            Some(Fault::Late(late)) => {
                self.pass(late.min(TIMEOUT));
                if late >= TIMEOUT {
                    return Err(silent());
                }
            }
            _ => {}
        }
        BodyReader::new(&Method::GET, head, usize::MAX).push(&body)?.finish()
    }

    /// Returns the response of an intermediary.
    fn intermediary_response(&self, status: u16) -> Response<Vec<u8>> {
        let response = Response::builder().status(status).header(LOCATION, "https://example.com/");
        response.body(self.outside_body.clone()).unwrap()
    }

    fn busy(&mut self, seconds: u8, date: bool) -> Response<Vec<u8>> {
        let mut response = self.intermediary_response(429);
        let write = |time: DateTime<Utc>| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let now = self.server();
        let after = match date {
            true => write(now + TimeDelta::seconds(seconds.into())),
            false => seconds.to_string(),
        };
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, after.parse().unwrap());
        headers.insert(DATE, write(now).parse().unwrap());
        // The next request of a verified purchase may be another one, which need not wait.
        if !self.call.verified {
            self.call.not_before = self.now + Duration::from_secs(seconds.into());
        }
        response
    }
}

impl BlockingTransport for World {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        self.state().exchange(&request)
    }

    fn sleep(&self, duration: Duration) {
        self.state().pass(duration);
    }

    fn now(&self) -> Duration {
        self.state().now
    }

    fn seed(&self) -> u64 {
        let mut state = self.state();
        state.seed = state.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.seed
    }
}
