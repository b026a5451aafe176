//! Workers, which carry out the intents of an outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use oneclick_proto::{
    Account, Api, AsyncClient, AsyncTransport, BlockingClient, BlockingTransport, Error, Step,
    VerifyPolicy,
};

use crate::carry::{Carried, Departure, Terms};
use crate::error::OutboxError;
use crate::intent::Status;
use crate::outbox::Outbox;
use crate::sqlite::Held;

/// How many failures of the database in a row end a worker.
const MAX_FAILURES: u32 = 5;
/// How often a worker that sleeps sees whether it is to stop.
const SLICE: Duration = Duration::from_millis(100);

/// Carries out the intents of an outbox over a client.
///
/// Several workers may run on one database, in one process or in many. Each of them claims an
/// intent for a while, notes in the database that a purchase may leave, sends it, and writes
/// what became of it. Whatever is not known then is looked for later, by whichever worker is
/// free.
///
/// The client's own retry policy is not used: a worker that would have to wait lets the intent
/// go.
#[derive(Clone, Debug)]
#[must_use = "a worker does nothing until it runs"]
pub struct Worker<C> {
    outbox: Outbox,
    client: C,
    options: Options,
    stop: Stop,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    concurrency: usize,
    policy: VerifyPolicy,
    lease: Duration,
    send_by: Duration,
    poll: Duration,
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
            lease: Duration::from_secs(60),
            send_by: Duration::from_secs(5),
            poll: Duration::from_secs(1),
        };
        Self { outbox: outbox.clone(), client, options, stop: Stop::default() }
    }

    /// Sets how many intents are carried out at a time. The default is 4; 0 counts as 1.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.options.concurrency = concurrency.max(1);
        self
    }

    /// Sets what is assumed of the server. The default is [`VerifyPolicy::STANDARD`]. Its
    /// `patience` is not used. A worker that is stopped for longer than `absence_after` in the
    /// middle of a call can buy twice.
    pub fn policy(mut self, policy: VerifyPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// Sets for how long an intent is claimed. The default is a minute. Make it longer than
    /// twice the client's timeout.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease;
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

    /// A handle that stops this worker from elsewhere.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    fn terms(&self) -> Terms {
        let Options { policy, lease, send_by, .. } = self.options;
        Terms { policy, lease, send_by }
    }

    fn claim(&self, open_first: bool) -> Result<Option<Held>, OutboxError> {
        self.outbox.store.claim(open_first, self.options.lease)
    }
}

/// Binds the outbox to the account of a key, or refuses another one.
fn bind(outbox: &Outbox, api: &Api, account: Result<Account, Error>) -> Result<(), OutboxError> {
    let account = account.map_err(|error| OutboxError::Account(Box::new(error)))?;
    outbox.store.bind(&format!("the account {} at {}", account.user_id, api.base_url()))
}

/// When a loop of a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Stopped,
    Idle,
}

/// The methods that drive intents, for futures and for blocking calls.
///
/// `$($async)? $($await)*` are `async` and `.await`, or nothing.
macro_rules! worker {
    ($client:ident, $transport:ident, $all:ident, [$($async:ident)?] [$($await:tt)*]) => {
        impl<T: $transport> Worker<$client<T>> {
            /// Works until it is [stopped](Self::stop_handle).
            ///
            /// # Errors
            /// The key is of another account than the outbox, or the account cannot be asked
            /// for; the database keeps failing.
            pub $($async)? fn run(&self) -> Result<(), OutboxError> {
                self.run_until(Until::Stopped)$($await)*
            }

            /// Works until nothing is due, or it is stopped. What is not known yet is due later.
            ///
            /// # Errors
            /// As [`run`](Self::run).
            pub $($async)? fn run_until_idle(&self) -> Result<(), OutboxError> {
                self.run_until(Until::Idle)$($await)*
            }

            $($async)? fn run_until(&self, until: Until) -> Result<(), OutboxError> {
                bind(&self.outbox, self.client.api(), self.client.whoami()$($await)*)?;
                $all(self, self.terms(), until)$($await)*
            }

            /// One of the worker's loops. Once one of them fails, all have `ended`.
            $($async)? fn work(
                &self,
                terms: Terms,
                until: Until,
                ended: &Stop,
            ) -> Result<(), OutboxError> {
                let transport = self.client.transport();
                let (mut failures, mut open_first) = (0, false);
                let is_over = || self.stop.is_stopped() || ended.is_stopped();
                while !is_over() {
                    open_first = !open_first;
                    let worked = match self.claim(open_first) {
                        Ok(Some(held)) => {
                            self.carry(held, terms)$($await)*.map(|_| true)
                        }
                        Ok(None) => Ok(false),
                        Err(error) => Err(error),
                    };
                    let idle = match worked {
                        Ok(true) => {
                            failures = 0;
                            continue;
                        }
                        Ok(false) if until == Until::Idle => return Ok(()),
                        Ok(false) => self.options.poll,
                        Err(error) if failures + 1 >= MAX_FAILURES => {
                            ended.stop();
                            return Err(error);
                        }
                        Err(_) => {
                            failures += 1;
                            SLICE * 2_u32.pow(failures)
                        }
                    };
                    let until = transport.now().saturating_add(idle);
                    while !is_over() && transport.now() < until {
                        let left = until.saturating_sub(transport.now());
                        transport.sleep(left.min(SLICE))$($await)*;
                    }
                }
                Ok(())
            }

            /// Carries out one intent now, whether or not it is due, and returns its status then;
            /// `None` if another worker has it. For those who bring their own queue.
            ///
            /// # Errors
            /// As [`run`](Self::run); [`OutboxError::NoSuchIntent`], or
            /// [`OutboxError::WrongStatus`] for an intent with a final status.
            pub $($async)? fn drive(&self, id: i64) -> Result<Option<Status>, OutboxError> {
                bind(&self.outbox, self.client.api(), self.client.whoami()$($await)*)?;
                match self.outbox.store.claim_one(id, self.options.lease)? {
                    Some(held) => Ok(Some(self.carry(held, self.terms())$($await)*?)),
                    None => Ok(None),
                }
            }

            /// Drives the purchase of an intent that this worker holds.
            $($async)? fn carry(&self, held: Held, terms: Terms) -> Result<Status, OutboxError> {
                let transport = self.client.transport();
                let mut carried = Carried::new(&self.outbox.store, held, terms);
                let (seed, now) = (transport.seed(), transport.now());
                let mut step = match carried.start(self.client.api(), seed, now) {
                    Ok(step) => step,
                    Err(error) => return carried.give_up(&error),
                };
                loop {
                    step = match step {
                        Step::Send(request, sent) => {
                            if carried.before_send(&sent)? == Departure::LetGo {
                                return carried.let_go();
                            }
                            let outcome = match carried.check_departure(&sent) {
                                Ok(()) => transport.send(request)$($await)*,
                                Err(error) => Err(error),
                            };
                            sent.finish(outcome, transport.now())
                        }
                        Step::Wait(wait, waiting) => {
                            if carried.before_wait(wait)? == Departure::LetGo {
                                return carried.let_go();
                            }
                            transport.sleep(wait)$($await)*;
                            waiting.wake(transport.now())
                        }
                        Step::Done(outcome) => return carried.finish(outcome),
                    };
                }
            }
        }
    };
}

worker!(AsyncClient, AsyncTransport, all, [async] [.await]);
worker!(BlockingClient, BlockingTransport, all_blocking, [] []);

/// Runs the loops of a worker as one future.
async fn all<T: AsyncTransport>(
    worker: &Worker<AsyncClient<T>>,
    terms: Terms,
    until: Until,
) -> Result<(), OutboxError> {
    let ended = Stop::default();
    let loops = (0..worker.options.concurrency).map(|_| worker.work(terms, until, &ended));
    join_all(loops).await.into_iter().collect()
}

/// Runs the loops of a worker as threads.
fn all_blocking<T: BlockingTransport>(
    worker: &Worker<BlockingClient<T>>,
    terms: Terms,
    until: Until,
) -> Result<(), OutboxError> {
    let ended = Stop::default();
    thread::scope(|scope| {
        let start = || scope.spawn(|| worker.work(terms, until, &ended));
        let loops: Vec<_> = (0..worker.options.concurrency).map(|_| start()).collect();
        let join = |handle: thread::ScopedJoinHandle<'_, _>| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        loops.into_iter().try_for_each(join)
    })
}
