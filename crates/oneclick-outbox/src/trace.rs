//! A `tracing` span for each piece of work, and an event for each final status, under the feature
//! `tracing`.
//!
//! They show the numbers of intents in the outbox. None holds a key or a name.

#[cfg(feature = "tracing")]
pub(crate) use self::on::{Context, Span, ended, entered, traced, within};

#[cfg(not(feature = "tracing"))]
pub(crate) use self::off::{Context, Span, ended, entered, traced, within};

#[cfg(feature = "tracing")]
mod on {
    use tracing::instrument::WithSubscriber;
    use tracing::{Dispatch, Instrument, dispatcher};

    use crate::intent::Status;
    use crate::store::Work;

    pub(crate) struct Span(tracing::Span);

    impl Span {
        pub(crate) fn of(work: &Work) -> Self {
            Self(match work {
                Work::Carry(held) => {
                    let held = held.first().map(|held| (held.id, held.epoch));
                    let (id, claim) = held.unzip();
                    tracing::info_span!(target: "oneclick", "purchase", intent = id, claim)
                }
                Work::Cancel(held) => {
                    tracing::info_span!(target: "oneclick", "cancel", intent = held.id, claim = held.epoch)
                }
                Work::Settle(held) => {
                    tracing::info_span!(target: "oneclick", "settle", intents = held.len())
                }
                Work::Audit(held) => {
                    tracing::info_span!(target: "oneclick", "audit", intents = held.len())
                }
            })
        }
    }

    pub(crate) fn ended(id: i64, status: Status) {
        tracing::info!(target: "oneclick", intent = id, status = status.as_str(), "outcome stored");
    }

    /// The subscriber and the span of a thread, for another thread or a future.
    pub(crate) struct Context(Dispatch, tracing::Span);

    impl Context {
        pub(crate) fn current() -> Self {
            Self(dispatcher::get_default(Dispatch::clone), tracing::Span::current())
        }
    }

    pub(crate) fn entered<T>(context: &Context, run: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&context.0, || context.1.in_scope(run))
    }

    pub(crate) async fn within<F: Future>(context: Context, future: F) -> F::Output {
        let Context(dispatch, span) = context;
        future.instrument(span).with_subscriber(dispatch).await
    }

    pub(crate) fn traced<T>(span: &Span, run: impl FnOnce() -> T) -> T {
        span.0.in_scope(run)
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use crate::intent::Status;
    use crate::store::Work;

    pub(crate) struct Span;

    impl Span {
        pub(crate) fn of(_: &Work) -> Self {
            Self
        }
    }

    pub(crate) fn ended(_: i64, _: Status) {}

    pub(crate) struct Context;

    impl Context {
        pub(crate) fn current() -> Self {
            Self
        }
    }

    pub(crate) fn entered<T>(_: &Context, run: impl FnOnce() -> T) -> T {
        run()
    }

    pub(crate) async fn within<F: Future>(_: Context, future: F) -> F::Output {
        future.await
    }

    pub(crate) fn traced<T>(_: &Span, run: impl FnOnce() -> T) -> T {
        run()
    }
}
