//! Workers, which carry out the intents of an outbox.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use oneclick_proto::{
    Account, Api, AsyncClient, AsyncTransport, BlockingClient, BlockingTransport, CancelImpact,
    Error, Machine, RetryPolicy, Settled, Settlement, Step, TransportOptions, VerifiedPurchase,
    VerifyPolicy,
};

use crate::bridge::{Bridge, bridged};
use crate::carry::{Batch, Carried, Departure, Terms, audited, is_key_refused, let_go, to_audit};
use crate::error::OutboxError;
use crate::intent::{Entry, Status};
use crate::outbox::Outbox;
use crate::sqlite::DATABASE_TIMEOUT;
use crate::store::{Audited, Held, Offer, Work};
use crate::trace::{self, Span, traced};

/// For how long an intent is claimed, unless the client's timeout asks for more.
const LEASE: Duration = Duration::from_secs(60);
/// How many failures of the database in a row end a worker.
const MAX_FAILURES: u32 = 5;
/// How many given intents one walk of the lists looks for at most.
const WALK: usize = 10_000;
/// How often a worker that sleeps sees whether it is to stop.
const SLICE: Duration = Duration::from_millis(100);
/// The longest wait for an API that cannot be reached when a worker starts.
const LONGEST_START: Duration = Duration::from_secs(60);

/// Carries out the intents of an outbox over a client.
///
/// Several workers may run on one database, in one process or in many. Each of them claims an
/// intent for a while, notes in the database that a purchase may leave, sends it, and writes
/// what became of it. Whatever is not known then is looked for later, by whichever worker is
/// free. All intents that wait for that are looked for with one walk of the lists.
///
/// The client's own retry policy is not used: a worker that would have to wait lets the intent
/// go.
#[derive(Clone)]
#[must_use = "a worker does nothing until it runs"]
pub struct Worker<C> {
    outbox: Outbox,
    client: C,
    options: Options,
    on_outcome: Option<OnOutcome>,
    queue: Arc<Mutex<Queue>>,
    stop: Stop,
    /// Stopped once the future of an async worker is dropped.
    dropped: Stop,
}

/// What the loops of a worker share.
#[derive(Default)]
struct Queue {
    /// When the next purchase may be claimed, if there is a rate.
    next: Duration,
    /// Counts the claims, of which each begins with something else.
    turn: u32,
    /// Intents that were claimed, and are next.
    claimed: VecDeque<Held>,
}

/// Intents whose ids the caller gives.
struct Given<I> {
    ids: Fuse<I>,
    /// Those that could not be sent yet, and when to try them again.
    waiting: VecDeque<(Duration, i64)>,
}

impl<I: Iterator<Item = Result<i64, OutboxError>>> Given<I> {
    /// The next one to try now. One that has waited comes before a new one, so that few intents
    /// wait while nothing can be sent.
    fn id(&mut self, now: Duration) -> Result<Option<i64>, OutboxError> {
        match self.waiting.iter().position(|(due, _)| *due <= now) {
            Some(at) => Ok(self.waiting.remove(at).map(|(_, id)| id)),
            None if self.waiting.is_empty() => self.ids.next().transpose(),
            None => Ok(None),
        }
    }
}

type OnOutcome = Arc<dyn Fn(&Entry) + Send + Sync>;

#[derive(Clone, Copy, Debug)]
struct Options {
    concurrency: usize,
    policy: VerifyPolicy,
    /// `None` for what fits the client.
    lease: Option<Duration>,
    send_by: Duration,
    poll: Duration,
    interval: Duration,
}

/// Stops a worker: it finishes what it has sent, and takes no more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops it. It notices within a tenth of a second, if it is not in the middle of a call.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<C> Worker<C> {
    /// A worker over a client: an [`AsyncClient`], as of the crates for reqwest and hyper, or a
    /// [`BlockingClient`], as of the one for ureq.
    pub fn new(outbox: &Outbox, client: C) -> Self {
        let options = Options {
            concurrency: 4,
            policy: VerifyPolicy::STANDARD,
            lease: None,
            send_by: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            interval: Duration::ZERO,
        };
        Self {
            outbox: outbox.clone(),
            client,
            options,
            on_outcome: None,
            queue: Arc::default(),
            stop: Stop::default(),
            dropped: Stop::default(),
        }
    }

    /// Sets how many intents are carried out at a time. The default is 4; 0 counts as 1.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.options.concurrency = concurrency.max(1);
        self
    }

    /// Sets what is assumed of the server. The default is [`VerifyPolicy::STANDARD`]. Its
    /// `patience` is not used. A worker that is stopped for longer than `absence_after` in the
    /// middle of a call can buy twice. A worker that runs refuses an `absence_after` during which
    /// a purchase could still be on its way: less than the deadline of [`send_by`](Self::send_by),
    /// the client's timeout and [`TransportOptions::TCP_USER_TIMEOUT`] together. Only an API on
    /// this machine allows less.
    pub fn policy(mut self, policy: VerifyPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// Sets for how long an intent is claimed. The default is a minute, or what one attempt can
    /// take if that is longer: the deadline of [`send_by`](Self::send_by), the client's timeout,
    /// and ten seconds for the database. A worker that runs refuses less, unless the API is on
    /// this machine.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = Some(lease);
        self
    }

    /// Sets how long after its permit a purchase may leave. The default is 5 s.
    pub fn send_by(mut self, send_by: Duration) -> Self {
        self.options.send_by = send_by;
        self
    }

    /// Sets how often an idle worker looks for intents. The default is a second.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.options.poll = poll;
        self
    }

    /// Sets how many intents are begun in a time at most, such as 5 in a second. By default
    /// there is no limit but the API's own.
    pub fn rate(mut self, intents: u32, per: Duration) -> Self {
        self.options.interval = per / intents.max(1);
        self
    }

    /// Calls this with each intent that gets a final status from this worker, or is left to a
    /// person, after that is stored. If the process dies in between, it is not called, so use
    /// [`Outbox::list`] for what must not be missed. Do not block in it.
    pub fn on_outcome(mut self, call: impl Fn(&Entry) + Send + Sync + 'static) -> Self {
        self.on_outcome = Some(Arc::new(call));
        self
    }

    /// A handle that stops this worker from elsewhere.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// How to go about the intents over a client with this timeout.
    fn terms(&self, api: &Api, timeout: Option<Duration>) -> Result<Terms, OutboxError> {
        let Options { concurrency, policy, lease, send_by, interval, .. } = self.options;
        let attempt = send_by.saturating_add(timeout.unwrap_or_default());
        let least_lease = attempt.saturating_add(DATABASE_TIMEOUT);
        let lease = lease.unwrap_or_else(|| LEASE.max(least_lease));
        let least_absence = attempt.saturating_add(TransportOptions::TCP_USER_TIMEOUT);
        let settings =
            [("lease", lease, least_lease), ("absence_after", policy.absence_after, least_absence)];
        let is_limited = timeout.is_some() && !api.base_url().is_loopback();
        match settings.into_iter().find(|(_, value, least)| is_limited && value < least) {
            Some((setting, _, shortest)) => Err(OutboxError::TooShort { setting, least: shortest }),
            None => Ok(Terms {
                concurrency,
                has_rate: !interval.is_zero(),
                policy,
                lease,
                send_by,
                settles_later: false,
            }),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_stopped() || self.dropped.is_stopped()
    }

    /// Takes what was claimed before, or what is due, if the rate allows it.
    fn claim(&self, now: Duration, terms: &Terms) -> Result<Claimed, OutboxError> {
        let store = &self.outbox.store;
        let mut queue = self.queue();
        if queue.next > now {
            return Ok(Claimed::TooSoon(queue.next.saturating_sub(now)));
        }
        if !queue.claimed.is_empty() && !store.is_open()? {
            drop(queue);
            self.release()?;
            return Ok(Claimed::Nothing);
        }
        if queue.claimed.is_empty() {
            queue.turn = queue.turn.wrapping_add(1);
            match store.claim(queue.turn, terms)? {
                Some(Work::Carry(held)) => queue.claimed.extend(held),
                work => return Ok(work.map_or(Claimed::Nothing, Claimed::Work)),
            }
        }
        // Another worker may have taken what has waited for too long.
        let since_boot = store.now().since_boot;
        let held = queue.claimed.pop_front().filter(|held| held.until > since_boot);
        let Some(held) = held else { return Ok(Claimed::TooSoon(Duration::ZERO)) };
        queue.next = now.saturating_add(self.options.interval);
        Ok(Claimed::Work(Work::Carry(vec![held])))
    }

    /// How long the rate forbids a purchase. If it does not, one is begun now.
    fn too_soon(&self, now: Duration) -> Option<Duration> {
        let wait = self.is_too_soon(now);
        if wait.is_none() {
            self.begin(now);
        }
        wait
    }

    /// How long the rate forbids a purchase.
    fn is_too_soon(&self, now: Duration) -> Option<Duration> {
        let wait = self.queue().next.saturating_sub(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Counts a purchase that is begun now.
    fn begin(&self, now: Duration) {
        self.queue().next = now.saturating_add(self.options.interval);
    }

    /// Lets go what was claimed, for other workers.
    fn release(&self) -> Result<(), OutboxError> {
        let claimed = std::mem::take(&mut self.queue().claimed);
        let_go(&self.outbox.store, claimed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the status of an intent, if it is final.
    fn ended(&self, id: i64, status: Status) -> Result<(), OutboxError> {
        if status.is_final() {
            trace::ended(id, status);
            if let Some(call) = &self.on_outcome {
                if let Some(entry) = self.outbox.entry(id)? {
                    call(&entry);
                }
            }
        }
        Ok(())
    }
}

impl<C> fmt::Debug for Worker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("options", &self.options).finish_non_exhaustive()
    }
}

fn bind(outbox: &Outbox, api: &Api, account: Result<Account, Error>) -> Result<(), OutboxError> {
    let account = account.map_err(|error| OutboxError::Account(Box::new(error)))?;
    outbox.bind(api.base_url(), &account)
}

enum Claimed {
    Work(Work),
    /// Nothing is due.
    Nothing,
    /// The rate allows no intent for this long.
    TooSoon(Duration),
}

/// When a loop of a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Stopped,
    Idle,
}

impl<T: BlockingTransport> Worker<BlockingClient<T>> {
    /// Works until it is [stopped](Self::stop_handle). Waits while the API cannot be
    /// reached.
    ///
    /// # Errors
    /// The API refuses the key, or it is of another account than the outbox; the
    /// database keeps failing; [`OutboxError::TooShort`].
    pub fn run(&self) -> Result<(), OutboxError> {
        self.run_until(Until::Stopped)
    }

    /// Works until nothing is due, or it is stopped. What is not known yet is due later.
    ///
    /// # Errors
    /// As [`run`](Self::run), and if the API cannot be reached.
    pub fn run_until_idle(&self) -> Result<(), OutboxError> {
        self.run_until(Until::Idle)
    }

    fn run_until(&self, until: Until) -> Result<(), OutboxError> {
        let terms = self.terms(self.client.api(), self.client.transport().timeout())?;
        let mut wait = SLICE;
        while !self.is_stopped() {
            match self.bind() {
                Err(OutboxError::Account(error))
                    if until == Until::Stopped && !is_key_refused(&error) =>
                {
                    wait = wait.saturating_mul(2).min(LONGEST_START);
                    self.sleep(wait, &self.stop);
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    let result = self.loops(|_| self.step(terms, until));
                    return self.release().and(result);
                }
            }
        }
        Ok(())
    }

    /// Binds the outbox to the account of the key, or refuses another one.
    fn bind(&self) -> Result<(), OutboxError> {
        bind(&self.outbox, self.client.api(), self.client.whoami())
    }

    /// Sleeps, but no longer than until this worker or its loops are stopped.
    fn sleep(&self, time: Duration, ended: &Stop) {
        let transport = self.client.transport();
        let until = transport.now().saturating_add(time);
        while !self.is_stopped() && !ended.is_stopped() && transport.now() < until {
            let left = until.saturating_sub(transport.now());
            transport.sleep(left.min(SLICE));
        }
    }

    /// Runs the loops of this worker as threads, each of which repeats a step.
    fn loops(
        &self,
        step: impl Fn(&Stop) -> Result<Option<Duration>, OutboxError> + Sync,
    ) -> Result<(), OutboxError> {
        let ended = Stop::default();
        thread::scope(|scope| {
            let start = || scope.spawn(|| self.repeat(&ended, || step(&ended)));
            let loops: Vec<_> = (0..self.options.concurrency).map(|_| start()).collect();
            let join = |handle: thread::ScopedJoinHandle<'_, _>| match handle.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            loops.into_iter().try_for_each(join)
        })
    }

    /// One of the worker's loops: repeats a step, which returns how long to wait then, or `None`
    /// to end. Once one of the loops fails, all have `ended`.
    fn repeat(
        &self,
        ended: &Stop,
        step: impl Fn() -> Result<Option<Duration>, OutboxError>,
    ) -> Result<(), OutboxError> {
        let mut failures = 0;
        while !self.is_stopped() && !ended.is_stopped() {
            let wait = match step() {
                Ok(None) => return Ok(()),
                Ok(Some(wait)) => {
                    failures = 0;
                    wait
                }
                Err(error) if failures == MAX_FAILURES || ended.is_stopped() => {
                    ended.stop();
                    return Err(error);
                }
                Err(_) => {
                    failures += 1;
                    SLICE * 2_u32.pow(failures)
                }
            };
            self.sleep(wait, ended);
        }
        Ok(())
    }

    /// Does some of what is due.
    fn step(&self, terms: Terms, until: Until) -> Result<Option<Duration>, OutboxError> {
        Ok(match self.claim(self.client.transport().now(), &terms)? {
            Claimed::Work(work) => {
                traced(&Span::of(&work), || self.perform(work, terms))?;
                Some(Duration::ZERO)
            }
            Claimed::TooSoon(wait) => Some(wait),
            Claimed::Nothing if until == Until::Idle => None,
            Claimed::Nothing => Some(self.options.poll),
        })
    }

    /// Sends the purchases of these intents, several at a time, until there are no more. The ids
    /// are taken one by one, each right before it is sent, so the iterator may store each intent
    /// right before that. An intent is left alone if another worker has it, or if its purchase
    /// may have been sent before. If a response is lost, the intent is left open. So call
    /// [`settle`](Self::settle) after this. Waits while the API asks for that or cannot be
    /// reached. Ends early once the outbox is [paused](Outbox::paused), as it is after the API has
    /// refused the key, and once this worker is [stopped](Self::stop_handle).
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle), and the first error of the iterator.
    pub fn drive_all<I>(&self, ids: I) -> Result<(), OutboxError>
    where
        I: IntoIterator<Item = Result<i64, OutboxError>>,
        I::IntoIter: Send,
    {
        let terms = self.terms(self.client.api(), self.client.transport().timeout())?;
        let terms = Terms { settles_later: true, ..terms };
        self.bind()?;
        let given = Mutex::new(Given { ids: ids.into_iter().fuse(), waiting: VecDeque::new() });
        self.loops(|ended| self.send_one(terms, &given, ended))
    }

    /// Sends the purchase of the next of the given intents.
    fn send_one<I: Iterator<Item = Result<i64, OutboxError>>>(
        &self,
        terms: Terms,
        given: &Mutex<Given<I>>,
        ended: &Stop,
    ) -> Result<Option<Duration>, OutboxError> {
        let lock = || given.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = lock();
        let now = self.client.transport().now();
        if let Some(wait) = self.is_too_soon(now) {
            return Ok(Some(wait));
        }
        let id = match next.id(now) {
            Ok(Some(id)) => id,
            Ok(None) => {
                return Ok(next.waiting.iter().map(|(due, _)| due.saturating_sub(now)).min());
            }
            Err(error) => {
                ended.stop();
                return Err(error);
            }
        };
        let work = match self.outbox.store.claim_to_send(id, &terms) {
            Ok(Offer::Taken(work)) => work,
            Ok(Offer::Nothing) => return Ok(Some(Duration::ZERO)),
            Ok(Offer::Paused) => return Ok(None),
            Ok(Offer::Later(wait)) => {
                // A person may pause the outbox or resume it meanwhile.
                next.waiting.push_back((now.saturating_add(wait.min(self.options.poll)), id));
                return Ok(Some(Duration::ZERO));
            }
            Err(error) => {
                next.waiting.push_back((now, id));
                return Err(error);
            }
        };
        self.begin(now);
        drop(next);
        let status = traced(&Span::of(&work), || self.perform(work, terms))?;
        if status == Status::Ready {
            lock().waiting.push_back((now, id));
        }
        Ok(Some(Duration::ZERO))
    }

    /// Looks for those of these intents whose outcome is not known, due or not, with one walk of
    /// the account's lists. Sends the purchases that are absent, if enough time has passed since
    /// they may have been sent. Does nothing while the outbox is paused, or while the API asks to
    /// wait or cannot be reached.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle).
    pub fn settle(&self, ids: &[i64]) -> Result<(), OutboxError> {
        let terms = self.terms(self.client.api(), self.client.transport().timeout())?;
        self.bind()?;
        for ids in ids.chunks(WALK) {
            if let Some(held) = self.outbox.store.claim_to_settle(ids, &terms)? {
                let work = Work::Settle(held);
                traced(&Span::of(&work), || self.perform(work, terms))?;
            }
        }
        Ok(())
    }

    /// Carries out one intent now, whether or not it is due, and returns its status then;
    /// `None` if another worker has it. For those who bring their own queue.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle); [`OutboxError::NoSuchIntent`], or
    /// [`OutboxError::WrongStatus`] for an intent with a final status.
    pub fn drive(&self, id: i64) -> Result<Option<Status>, OutboxError> {
        let terms = self.terms(self.client.api(), self.client.transport().timeout())?;
        self.bind()?;
        let Some(work) = self.outbox.store.claim_one(id, terms.lease)? else {
            return Ok(None);
        };
        let span = Span::of(&work);
        let status = traced(&span, || self.perform(work, terms))?;
        Ok(Some(status))
    }

    /// Does what was claimed. Returns the status that the last intent has then.
    fn perform(&self, work: Work, terms: Terms) -> Result<Status, OutboxError> {
        let store = &self.outbox.store;
        match work {
            Work::Carry(held) => {
                let mut last = Status::Ready;
                for held in held {
                    let (id, carried) = (held.id, Carried::new(store, held, terms));
                    last = match carried.purchase() {
                        Ok(purchase) => self.carry(carried, purchase)?,
                        Err(error) => carried.give_up(&error)?,
                    };
                    self.ended(id, last)?;
                }
                Ok(last)
            }
            Work::Cancel(held) => {
                let (id, carried) = (held.id, Carried::new(store, *held, terms));
                let Some(impact) = carried.impact() else {
                    let reason = "the impact that was bought is missing".to_owned();
                    return carried.give_up(&OutboxError::Unreadable { id, reason });
                };
                let once = self.client.with_retry(RetryPolicy::NEVER);
                let result = once.send(CancelImpact::new(impact));
                let status = carried.cancelled(result)?;
                self.ended(id, status)?;
                Ok(status)
            }
            Work::Settle(held) => self.look_for(held, terms),
            Work::Audit(held) => self.audit(held, terms),
        }
    }

    /// Looks for all of these with one walk of the lists, and sends what is absent.
    fn look_for(&self, held: Vec<Held>, terms: Terms) -> Result<Status, OutboxError> {
        let store = &self.outbox.store;
        let (mut batch, settlement) = Batch::start(store, held, terms)?;
        let settled = self.walk(settlement, |wait| batch.renew(wait))?;
        let (ended, absent) = batch.write(settled)?;
        for id in ended {
            if let Some(entry) = self.outbox.entry(id)? {
                self.ended(id, entry.status)?;
            }
        }
        for purchase in absent {
            batch.renew(Duration::ZERO)?;
            while let Some(wait) = self.too_soon(self.client.transport().now()) {
                if self.is_stopped() {
                    break;
                }
                self.sleep(wait.min(terms.lease / 4), &self.stop);
                batch.renew(Duration::ZERO)?;
            }
            let Some(carried) = batch.next() else { break };
            if self.is_stopped() || !store.is_open()? {
                carried.let_go()?;
                continue;
            }
            let id = carried.id();
            let status = self.carry(carried, purchase)?;
            self.ended(id, status)?;
        }
        Ok(Status::Open)
    }

    /// Sees whether any of these stands more than once.
    fn audit(&self, held: Vec<Held>, terms: Terms) -> Result<Status, OutboxError> {
        let (rows, purchases) = to_audit(held, terms);
        let settled = self.walk(Settlement::new(purchases), |_| Ok(()))?;
        let found = rows
            .iter()
            .zip(settled)
            .filter_map(|(held, settled)| Some((held, audited(settled, held.status)?)));
        let found: Vec<_> = found.collect();
        self.outbox.store.audited(&found)?;
        for (held, audited) in &found {
            if matches!(audited, Audited::Surplus(_)) {
                self.ended(held.id, held.status)?;
            }
        }
        Ok(Status::Bought)
    }

    /// Reads the lists once. Calls `before` each request, and each wait with its time.
    fn walk(
        &self,
        settlement: Settlement,
        mut before: impl FnMut(Duration) -> Result<(), OutboxError> + Send,
    ) -> Result<Vec<Settled>, OutboxError> {
        let transport = self.client.transport();
        let (seed, now) = (transport.seed(), transport.now());
        let api = self.client.api();
        let mut step = settlement.start(api, RetryPolicy::NEVER, seed, now);
        loop {
            step = match step {
                Step::Send(request, sent) => {
                    before(Duration::ZERO)?;
                    let outcome = transport.send(request);
                    sent.finish(outcome, transport.now())
                }
                Step::Wait(wait, waiting) => {
                    before(wait)?;
                    transport.sleep(wait);
                    waiting.wake(transport.now())
                }
                Step::Done(settled) => return Ok(settled),
            };
        }
    }

    /// Drives the purchase of an intent that this worker holds.
    fn carry(
        &self,
        mut carried: Carried<'_>,
        purchase: VerifiedPurchase,
    ) -> Result<Status, OutboxError> {
        let transport = self.client.transport();
        let (seed, now) = (transport.seed(), transport.now());
        let api = self.client.api();
        let mut step = purchase.start(api, RetryPolicy::NEVER, seed, now);
        loop {
            step = match step {
                Step::Send(mut request, sent) => {
                    match carried.before_send(&sent, &mut request)? {
                        Departure::Send => {}
                        Departure::LetGo => return carried.let_go(),
                        Departure::Drop => return carried.drop_it(),
                    }
                    let outcome = match Carried::check_departure(&request) {
                        Ok(()) => transport.send(request),
                        Err(error) => Err(error),
                    };
                    sent.finish(outcome, transport.now())
                }
                Step::Wait(wait, waiting) => {
                    if carried.before_wait(wait)? == Departure::LetGo {
                        return carried.let_go();
                    }
                    transport.sleep(wait);
                    waiting.wake(transport.now())
                }
                Step::Done(outcome) => return carried.finish(&outcome),
            };
        }
    }
}

/// Makes the requests on the caller's runtime, and does everything else on threads of its own,
/// since a database blocks the thread that asks it.
impl<T: AsyncTransport> Worker<AsyncClient<T>> {
    /// Works until it is [stopped](Self::stop_handle). Waits while the API cannot be reached. If
    /// the future is dropped, the worker stops, and what is under way then is looked for later.
    ///
    /// # Errors
    /// The API refuses the key, or it is of another account than the outbox; the database keeps
    /// failing; [`OutboxError::TooShort`].
    pub async fn run(&self) -> Result<(), OutboxError> {
        self.bridged(Worker::<BlockingClient<_>>::run).await
    }

    /// Works until nothing is due, or it is stopped. What is not known yet is due later.
    ///
    /// # Errors
    /// As [`run`](Self::run), and if the API cannot be reached.
    pub async fn run_until_idle(&self) -> Result<(), OutboxError> {
        self.bridged(Worker::<BlockingClient<_>>::run_until_idle).await
    }

    /// Carries out one intent now, whether or not it is due, and returns its status then; `None`
    /// if another worker has it. For those who bring their own queue.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle); [`OutboxError::NoSuchIntent`], or
    /// [`OutboxError::WrongStatus`] for an intent with a final status.
    pub async fn drive(&self, id: i64) -> Result<Option<Status>, OutboxError> {
        self.bridged(move |worker| worker.drive(id)).await
    }

    /// Sends the purchases of these intents, several at a time, until there are no more. The ids
    /// are taken one by one, each right before it is sent, and not on the caller's runtime, so the
    /// iterator may store each intent right before that. An intent is left alone if another worker
    /// has it, or if its purchase may have been sent before. If a response is lost, the intent is
    /// left open. So call [`settle`](Self::settle) after this. Waits while the API asks for that
    /// or cannot be reached. Ends early once the outbox is [paused](Outbox::paused), as it is after
    /// the API has refused the key, and once this worker is [stopped](Self::stop_handle).
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle), and the first error of the iterator.
    pub async fn drive_all<I>(&self, ids: I) -> Result<(), OutboxError>
    where
        I: IntoIterator<Item = Result<i64, OutboxError>>,
        I::IntoIter: Send + 'static,
    {
        let ids = ids.into_iter();
        self.bridged(move |worker| worker.drive_all(ids)).await
    }

    /// Looks for those of these intents whose outcome is not known, due or not, with one walk of
    /// the account's lists. Sends the purchases that are absent, if enough time has passed since
    /// they may have been sent. Does nothing while the outbox is paused, or while the API asks to
    /// wait or cannot be reached.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle).
    pub async fn settle(&self, ids: &[i64]) -> Result<(), OutboxError> {
        let ids = ids.to_vec();
        self.bridged(move |worker| worker.settle(&ids)).await
    }

    async fn bridged<R: Send + 'static>(
        &self,
        run: impl FnOnce(&Worker<BlockingClient<Bridge<T>>>) -> R + Send + 'static,
    ) -> R {
        let (worker, api) = (self.clone(), self.client.api().clone());
        let dropped = StopOnDrop(Stop::default());
        let stopped = dropped.0.clone();
        bridged(self.client.transport(), move |bridge| {
            // It may need the runtime.
            let on_outcome = worker.on_outcome.map(|call| {
                let bridge = bridge.clone();
                let on_outcome = move |entry: &Entry| {
                    let (call, entry) = (Arc::clone(&call), entry.clone());
                    bridge.call(move || call(&entry));
                };
                Arc::new(on_outcome) as OnOutcome
            });
            run(&Worker {
                outbox: worker.outbox,
                client: BlockingClient::with_transport(api, bridge),
                options: worker.options,
                on_outcome,
                queue: worker.queue,
                stop: worker.stop,
                dropped: stopped,
            })
        })
        .await
    }
}

/// Stops a worker whose future is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
