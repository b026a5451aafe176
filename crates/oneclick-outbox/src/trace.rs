//! A `tracing` span for each piece of work, and an event for each final status, under the feature
//! `tracing`.
//!
//! They show the numbers of intents in the outbox. None holds a key or a name.

#[cfg(feature = "tracing")]
pub(crate) use self::on::{Span, ended, traced, traced_blocking};

#[cfg(not(feature = "tracing"))]
pub(crate) use self::off::{Span, ended, traced, traced_blocking};

#[cfg(feature = "tracing")]
mod on {
    use tracing::Instrument;

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

    pub(crate) async fn traced<F: Future>(span: &Span, run: impl FnOnce() -> F) -> F::Output {
        run().instrument(span.0.clone()).await
    }

    pub(crate) fn traced_blocking<T>(span: &Span, run: impl FnOnce() -> T) -> T {
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

    pub(crate) async fn traced<F: Future>(_: &Span, run: impl FnOnce() -> F) -> F::Output {
        run().await
    }

    pub(crate) fn traced_blocking<T>(_: &Span, run: impl FnOnce() -> T) -> T {
        run()
    }
}
