//! What must hold across the crates of this workspace. The tests are in
//! `suite/`; here the Rust code of the README and of `docs/` is compiled and run.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/using.md")]
mod using {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/failures.md")]
mod failures {}
