//! Runs a worker over an async transport. Its requests run on the caller's runtime, and
//! everything else on threads of its own, since a call of the database blocks its thread.

use std::panic;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_channel::oneshot;
use futures_util::future::poll_fn;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response};
use oneclick_proto::{AsyncTransport, BlockingTransport, TransportError};

use crate::trace::{Context, entered, within};

/// The blocking side of an async transport.
#[derive(Clone)]
pub(crate) struct Bridge<T: AsyncTransport> {
    /// Its clock and its timeout are read without the runtime.
    transport: T,
    asks: UnboundedSender<Ask<T>>,
}

/// What a thread asks of the runtime, and where it waits for the answer.
enum Ask<T: AsyncTransport> {
    Send(Box<Request<Vec<u8>>>, Context, mpsc::Sender<Sent<T>>),
    Sleep(Duration, mpsc::Sender<()>),
    Call(Box<dyn FnOnce() + Send>, mpsc::Sender<()>),
}

type Sent<T> = Result<Response<<T as AsyncTransport>::Body>, TransportError>;

/// Calls `run` on a new thread, and runs its requests on this future's runtime. If the future
/// is dropped, each request fails as one that may have been sent.
pub(crate) async fn bridged<T: AsyncTransport, R: Send + 'static>(
    transport: &T,
    run: impl FnOnce(Bridge<T>) -> R + Send + 'static,
) -> R {
    let (asks, mut asked) = unbounded();
    let bridge = Bridge { transport: transport.clone(), asks };
    let (done, mut ended) = oneshot::channel();
    let context = Context::current();
    let thread = thread::spawn(move || {
        // Dropped when the thread ends, also after a panic.
        let _done: oneshot::Sender<()> = done;
        entered(&context, || run(bridge))
    });
    let mut under_way = FuturesUnordered::new();
    poll_fn(|context| {
        while let Poll::Ready(Some(ask)) = asked.poll_next_unpin(context) {
            under_way.push(answer(transport, ask));
        }
        while let Poll::Ready(Some(())) = under_way.poll_next_unpin(context) {}
        pin!(&mut ended).poll(context).map(|_| ())
    })
    .await;
    thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

/// Does what a thread asked. The thread waits for the answer, so sending the answer cannot fail.
async fn answer<T: AsyncTransport>(transport: &T, ask: Ask<T>) {
    match ask {
        Ask::Send(request, context, answered) => {
            let _ = answered.send(within(context, transport.send(*request)).await);
        }
        Ask::Sleep(time, answered) => {
            transport.sleep(time).await;
            let _ = answered.send(());
        }
        Ask::Call(call, answered) => {
            call();
            let _ = answered.send(());
        }
    }
}

impl<T: AsyncTransport> Bridge<T> {
    /// Calls a function on the runtime, and waits until it returns.
    pub(crate) fn call(&self, call: impl FnOnce() + Send + 'static) {
        self.ask(|answered| Ask::Call(Box::new(call), answered));
    }

    /// Waits for the answer; `None` if the future was dropped.
    fn ask<R>(&self, ask: impl FnOnce(mpsc::Sender<R>) -> Ask<T>) -> Option<R> {
        let (answered, answer) = mpsc::channel();
        self.asks.unbounded_send(ask(answered)).ok()?;
        answer.recv().ok()
    }
}

impl<T: AsyncTransport> BlockingTransport for Bridge<T> {
    type Body = T::Body;

    fn send(&self, request: Request<Vec<u8>>) -> Result<Response<T::Body>, TransportError> {
        let sent = self.ask(|answered| Ask::Send(Box::new(request), Context::current(), answered));
        sent.unwrap_or_else(|| Err(TransportError::exchange("the worker's future was dropped")))
    }

    fn sleep(&self, duration: Duration) {
        self.ask(|answered| Ask::Sleep(duration, answered));
    }

    fn now(&self) -> Duration {
        self.transport.now()
    }

    fn timeout(&self) -> Option<Duration> {
        self.transport.timeout()
    }

    fn seed(&self) -> u64 {
        self.transport.seed()
    }
}
