//! The emulator as a transport, without a socket and on a virtual clock.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::DATE;
use http::{Request, Response, Version};
use oneclick_proto::{
    Api, AsyncTransport, BlockingTransport, BodyGate, BodyReader, Connect, TransportError,
    TransportOptions,
};

use crate::shared::LAST;
use crate::state::problem::http_date;
use crate::state::{Delivered, Delivery, Emulator};

/// A transport that sends every request to an [`Emulator`] in memory, for unit tests.
///
/// It serves both kinds of client, [`BlockingClient`](oneclick_proto::BlockingClient) and
/// [`AsyncClient`](oneclick_proto::AsyncClient) with any runtime. Host names do not matter,
/// so the constructors for the sandbox and for a base URL all lead to the emulator. Each
/// constructor of a client makes an empty emulator, and clones of a client or a transport
/// share one.
///
/// Time is virtual: it begins at 2025-01-01T00:00:00Z, and waiting advances it at once. A
/// retry after a minute, or a [`Fault`](crate::Fault) that never responds, takes no real
/// time. A fault that keeps a response from arriving is an error of the
/// [`Phase`](oneclick_proto::Phase) in which it would fail on a socket, and a timeout is one
/// of [`TransportOptions::timeout`].
///
/// A unit test with a blocking client:
///
/// ```
/// use oneclick_emulator::{Fault, FaultRule, InMemory};
/// use oneclick_proto::{BlockingClient, Execution, Trees};
///
/// let client = BlockingClient::<InMemory>::sandbox("test_unit")?;
/// client.plant_tree(Trees::of::<5>())?;
///
/// // The next purchase is made, and its response is lost.
/// client.transport().emulator().inject(FaultRule::new(Fault::ApplyThenDrop).times(1));
/// let error = client.plant_tree(Trees::of::<7>()).unwrap_err();
/// assert_eq!(error.execution(), Execution::Unknown);
/// assert_eq!(client.transport().emulator().account("test_unit").unwrap().impacts(), 2);
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
///
/// And one with an async client, whose retry waits for thirty virtual seconds:
///
/// ```
/// use std::time::Duration;
/// use oneclick_emulator::{Fault, FaultRule, InMemory, RetryAfter};
/// use oneclick_proto::{AsyncClient, AsyncTransport, Trees};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), oneclick_proto::Error> {
/// let client = AsyncClient::<InMemory>::sandbox("test_unit")?;
/// let busy = Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(30)) };
/// client.transport().emulator().inject(FaultRule::new(busy).times(1));
///
/// client.plant_tree(Trees::of::<5>()).await?;
/// assert!(client.transport().now() >= Duration::from_secs(30));
/// assert_eq!(client.transport().emulator().account("test_unit").unwrap().impacts(), 1);
/// # Ok(())
/// # }
/// ```
///
/// Code that is to run on this transport has to be generic over it, such as
/// `fn thank<T: BlockingTransport>(client: &BlockingClient<T>)`.
#[derive(Clone)]
pub struct InMemory {
    shared: Arc<Shared>,
    options: TransportOptions,
}

struct Shared {
    emulator: Mutex<Emulator>,
    time: Mutex<VirtualTime>,
}

struct VirtualTime {
    /// How long the client has waited. Never goes back.
    elapsed: Duration,
    /// The emulator's time when `elapsed` was zero.
    began: DateTime<Utc>,
    /// How many seeds have been given out.
    seeds: u64,
}

impl InMemory {
    /// A transport to an empty emulator, with the default [`TransportOptions`].
    #[must_use]
    pub fn new() -> Self {
        Emulator::default().into()
    }

    /// The emulator, to inspect its ledgers, to inject faults and to set its behaviour. No
    /// request is executed while the guard is alive, so keep it no longer than a statement.
    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        let mut emulator = lock(&self.shared.emulator);
        emulator.catch_up(self.time());
        emulator
    }

    /// The emulator's time.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        let time = lock(&self.shared.time);
        let elapsed = TimeDelta::from_std(time.elapsed).unwrap_or(TimeDelta::MAX);
        time.began.checked_add_signed(elapsed).unwrap_or(LAST)
    }

    /// Sets the emulator's time, forward or back. The client does not notice: its own clock
    /// only measures how long it waits.
    pub fn set_time(&self, to: DateTime<Utc>) {
        let by = to - self.time();
        let mut time = lock(&self.shared.time);
        time.began = time.began.checked_add_signed(by).unwrap_or(LAST);
    }

    /// Advances the time of the emulator and of the client.
    pub fn advance(&self, by: Duration) {
        let mut time = lock(&self.shared.time);
        time.elapsed = time.elapsed.saturating_add(by);
    }

    fn exchange(&self, request: &Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        BodyGate::of(request).take().map_err(TransportError::connect)?;
        let mut emulator = lock(&self.shared.emulator);
        self.advance(LATENCY);
        let now = self.time();
        let Delivered { mut response, delivery, has_date, .. } = emulator.exchange(request, now);
        drop(emulator);
        if let (true, Some(date)) = (has_date, http_date(now)) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
        let (mut head, body) = response.into_parts();
        let timeout = self.options.timeout;
        let mut timed_out = false;
        // How many bytes of the body arrive, and how many the client expects.
        let (arrives, expected) = match delivery {
            Delivery::Dropped => return Err(TransportError::exchange(CLOSED)),
            Delivery::NotHttp => return Err(TransportError::exchange("the response is not HTTP")),
            Delivery::Late(late) if late < timeout => {
                self.advance(late);
                (body.len(), Some(body.len()))
            }
            Delivery::Late(_) | Delivery::Never => {
                self.advance(timeout);
                return Err(TransportError::exchange("the timeout is over").timed_out(true));
            }
            Delivery::Trickle(pause) => {
                let bytes = timeout.as_nanos() / pause.as_nanos().max(1);
                let arrives = usize::try_from(bytes).unwrap_or(usize::MAX).min(body.len());
                timed_out = arrives < body.len();
                let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
                self.advance(pause.saturating_mul(bytes).min(timeout));
                (arrives, Some(body.len()))
            }
            Delivery::Whole => (body.len(), Some(body.len())),
            Delivery::Cut(at) => (at.min(body.len()), Some(body.len())),
            Delivery::NoLength(at) => (at.unwrap_or(body.len()).min(body.len()), None),
            Delivery::WrongLength(by) => {
                let by = isize::try_from(by).unwrap_or_default();
                let expected = body.len().saturating_add_signed(by);
                (expected.min(body.len()), Some(expected))
            }
        };
        if expected.is_none() {
            head.version = Version::HTTP_10;
        }
        let reader = BodyReader::new(request.method(), head, self.options.max_response_bytes);
        let reader = if expected.is_none() { reader.http1() } else { reader };
        let reader = reader.push(&body[..arrives])?;
        if expected.is_some_and(|expected| arrives < expected) {
            let cause = if timed_out { "the timeout is over" } else { CLOSED };
            return Err(reader.cut(cause).timed_out(timed_out));
        }
        reader.finish()
    }

    /// Another number at each call, and the same numbers in each run of a test.
    fn next_seed(&self) -> u64 {
        let seed = lock(&self.shared.emulator).config().seed;
        let mut time = lock(&self.shared.time);
        time.seeds += 1;
        seed.wrapping_add(time.seeds)
    }
}

/// How long a request takes to arrive. Without it, tests that set the time to a whole second
/// would make all purchases in whole seconds, which look like times that were rounded.
const LATENCY: Duration = Duration::from_millis(1);

const CLOSED: &str = "the connection was closed";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked while it held the lock has left nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transport to this emulator, with the default [`TransportOptions`].
impl From<Emulator> for InMemory {
    fn from(emulator: Emulator) -> Self {
        // 2025-01-01T00:00:00Z
        let began = DateTime::from_timestamp(1_735_689_600, 0).unwrap_or_default();
        let time = VirtualTime { elapsed: Duration::ZERO, began, seeds: 0 };
        let shared = Shared { emulator: Mutex::new(emulator), time: Mutex::new(time) };
        Self { shared: Arc::new(shared), options: TransportOptions::new() }
    }
}

impl Default for InMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows no data of the accounts.
impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").field("time", &self.time()).finish_non_exhaustive()
    }
}

/// Makes an empty emulator for each client.
impl Connect for InMemory {
    fn connect(_: &Api, options: &TransportOptions) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self { options: options.clone(), ..Self::new() })
    }

    fn var(name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl BlockingTransport for InMemory {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        self.exchange(&request)
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    fn now(&self) -> Duration {
        lock(&self.shared.time).elapsed
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.options.timeout)
    }

    fn seed(&self) -> u64 {
        self.next_seed()
    }
}

impl AsyncTransport for InMemory {
    type Body = Vec<u8>;

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        self.exchange(&request)
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    fn now(&self) -> Duration {
        lock(&self.shared.time).elapsed
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.options.timeout)
    }

    fn seed(&self) -> u64 {
        self.next_seed()
    }
}
