//! Tests across the crates of this workspace. The tests themselves are in `suite/`. This
//! library compiles and runs the Rust code of the README and of `docs/`.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/using.md")]
mod using {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/failures.md")]
mod failures {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/emulator.md")]
mod emulator {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/outbox.md")]
mod outbox {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/probe.md")]
mod probe {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/custom-transports.md")]
mod custom_transports {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/property-tests.md")]
mod property_tests {}
