//! A server, the way to it and what goes wrong on it: no socket, and no time
//! but a counted one.

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
/// Until when a request that was given up has arrived, and a record shows. Together with
/// [`TIMEOUT`] and what `Date` is off, less than absence takes to be believed.
pub const ARRIVED: Duration = Duration::from_secs(800);
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What proves that a request was not executed, and what proves nothing.
const REFUSED: [u16; 12] = [307, 308, 400, 401, 403, 404, 405, 409, 413, 415, 422, 425];
const UNCERTAIN: [u16; 11] = [301, 302, 303, 408, 418, 500, 501, 502, 503, 504, 520];
/// What proves nothing in a stranger's words, who may have passed the request on.
const STRANGER: [u16; 12] = [301, 303, 400, 401, 404, 408, 409, 422, 425, 429, 502, 504];

/// What goes wrong with one exchange.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing left.
    Connect,
    /// It left, was not executed, and was not answered.
    Dropped,
    /// It was executed; the answer was lost.
    Lost,
    /// It was executed; the answer ends after so many bytes.
    Cut(usize),
    /// It was executed; one byte of the answer is another one.
    Damaged(usize, u8),
    /// It was executed; something else is answered.
    Foreign,
    /// It was executed; the answer is larger than this.
    TooLarge(usize),
    Status {
        status: u16,
        executed: bool,
    },
    /// Not executed; 429.
    Busy {
        seconds: u8,
        date: bool,
    },
    /// It was executed at once, and is answered after so long.
    Late(Duration),
    /// It is executed so long after it was given up.
    Delayed(Duration),
    /// It was executed, and readers see it later.
    Hidden {
        millis: u64,
        lost: bool,
    },
}

impl Fault {
    /// Zero is none, so that what is not there goes well.
    fn new([kind, detail]: [u8; 2], verified: bool, wild: bool) -> Option<Self> {
        let at = usize::from(detail);
        // As long as is allowed, or far beyond it.
        let most = ARRIVED.as_millis() as u64 * if wild { 4 } else { 1 };
        let millis = most * u64::from(detail) / 255;
        Some(match kind % 16 {
            1 => Self::Connect,
            2 => Self::Dropped,
            3 => Self::Lost,
            4 => Self::Cut(at),
            // No byte of JSON: what still makes sense would mislead everybody.
            5 if verified => Self::Damaged(at, 0),
            5 => Self::Damaged(at, kind / 16 * 17),
            6 if verified => Self::Lost,
            6 => Self::Foreign,
            7 => Self::TooLarge(at),
            8 => Self::Status { status: REFUSED[at % REFUSED.len()], executed: false },
            9 => Self::Status { status: UNCERTAIN[at % UNCERTAIN.len()], executed: false },
            10 => Self::Status { status: STRANGER[at % STRANGER.len()], executed: true },
            11 => Self::Busy { seconds: detail / 4, date: detail % 2 == 0 },
            12 => Self::Late(TIMEOUT * u32::from(detail) / 128),
            13 => Self::Delayed(Duration::from_millis(millis)),
            14 => Self::Hidden { millis, lost: false },
            15 => Self::Hidden { millis, lost: true },
            _ => return None,
        })
    }
}

/// One change of the ledger, and the call that it came from.
#[derive(Debug)]
pub struct Effect {
    pub call: usize,
    pub id: ImpactId,
    pub cancelled: bool,
}

/// What is known of the call at hand.
#[derive(Default)]
pub struct Call {
    pub number: usize,
    /// Whether it is verified: then no answer misleads.
    pub verified: bool,
    /// What goes wrong with its exchanges, in order; then nothing does.
    pub script: VecDeque<[u8; 2]>,
    pub exchanges: u32,
    pub faults: u32,
    /// Whether the last exchange went well.
    pub well: bool,
    /// Whether an answer made sense that was not the server's.
    pub misled: bool,
    /// When the server wants to see the next attempt, at the earliest.
    not_before: Duration,
}

/// Shared between the client, which sends, and who checks what came of it.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

pub struct State {
    emulator: Emulator,
    pub now: Duration,
    /// What the server's clock showed at the beginning, had it not jumped.
    start: DateTime<Utc>,
    /// Whether more goes wrong than a verified purchase is made for.
    pub wild: bool,
    seed: u64,
    foreign: Vec<u8>,
    pub call: Call,
    pub effects: Vec<Effect>,
    /// Requests that were given up, by when they are executed all the same.
    delayed: Vec<(Duration, usize, Request<Vec<u8>>)>,
}

impl World {
    /// Creates a world whose `Date` header differs from its clock by `date` seconds.
    pub fn new(seed: u8, wild: bool, date: i64, foreign: &[u8]) -> Self {
        let mut emulator = Emulator::default();
        emulator.set_behaviour(Behaviour::new().date(DateHeader::Apart { seconds: date }));
        Self(Arc::new(Mutex::new(State {
            emulator,
            now: Duration::ZERO,
            start: DateTime::from_timestamp(1_741_792_934, 0).unwrap(),
            wild,
            seed: seed.into(),
            foreign: foreign.to_vec(),
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

    /// Begins a call, and says which one it is.
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

    /// What was bought with a marker, what was cancelled later included.
    pub fn marked(&self, marker: &str) -> Vec<LedgerEntry> {
        let mut ledger = self.ledger();
        ledger.retain(|entry| entry.receipt.metadata.get(Intent::METADATA_KEY) == Some(marker));
        ledger
    }

    /// What a call bought, or cancelled.
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

    /// The server's clock jumps.
    pub fn jump(&mut self, by: TimeDelta) {
        self.start += by;
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.emulator.account(KEY).map_or_else(Vec::new, |account| account.ledger().collect())
    }

    /// Lets time pass, in which what was delayed is executed.
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

    /// Executes a request, and notes what it changed.
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
        let answer = self.emulator.respond(request, self.server());
        self.emulator.clear_faults();
        let noted = self.effects.len();
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
        assert!(self.effects.len() - noted <= most, "{:?}", &self.effects[noted..]);
        answer
    }

    fn exchange(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        self.pass(Duration::from_millis(20));
        assert!(self.now >= self.call.not_before, "it was asked to wait longer");
        let script = self.call.script.pop_front().unwrap_or_default();
        let fault = Fault::new(script, self.call.verified, self.wild);
        self.call.exchanges += 1;
        self.call.faults += u32::from(fault.is_some());
        self.call.well = fault.is_none();
        let call = self.call.number;
        let lost = || TransportError::exchange("closed");
        let silent = || TransportError::exchange("silence").timed_out(true);
        // What the server does not execute, or not yet.
        match fault {
            Some(Fault::Connect) => return Err(TransportError::connect("refused")),
            Some(Fault::Dropped) => return Err(lost()),
            Some(Fault::Delayed(by)) => {
                self.pass(TIMEOUT);
                self.delayed.push((self.now + by, call, request.clone()));
                return Err(silent());
            }
            Some(Fault::Status { status, executed: false }) => return Ok(self.answer(status)),
            Some(Fault::Busy { seconds, date }) => return Ok(self.busy(seconds, date)),
            _ => {}
        }
        let hidden = match fault {
            Some(Fault::Hidden { millis, .. }) => Some(millis),
            _ => None,
        };
        let answer = self.execute(request, call, hidden);
        let (head, mut body) = answer.into_parts();
        let succeeded = head.status.is_success();
        match fault {
            Some(Fault::Lost | Fault::Hidden { lost: true, .. }) => return Err(lost()),
            Some(Fault::Status { status, .. }) => {
                let mut answer = self.answer(status);
                // The API's own words would be proof that it was not executed.
                *answer.body_mut() = b"<html></html>".to_vec();
                return Ok(answer);
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
                self.call.misled = true;
            }
            // An error stays one, but says something else.
            Some(Fault::Foreign) => {
                body.clone_from(&self.foreign);
                self.call.misled |= succeeded;
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

    /// An answer of something in front of the server.
    fn answer(&self, status: u16) -> Response<Vec<u8>> {
        let answer = Response::builder().status(status).header(LOCATION, "https://example.com/");
        answer.body(self.foreign.clone()).unwrap()
    }

    fn busy(&mut self, seconds: u8, date: bool) -> Response<Vec<u8>> {
        let mut answer = self.answer(429);
        let write = |time: DateTime<Utc>| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let now = self.server();
        let after = match date {
            true => write(now + TimeDelta::seconds(seconds.into())),
            false => seconds.to_string(),
        };
        let headers = answer.headers_mut();
        headers.insert(RETRY_AFTER, after.parse().unwrap());
        headers.insert(DATE, write(now).parse().unwrap());
        // What a verified purchase does next may well be another call.
        if !self.call.verified {
            self.call.not_before = self.now + Duration::from_secs(seconds.into());
        }
        answer
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
