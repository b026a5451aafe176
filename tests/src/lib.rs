//! What must hold across the crates of this workspace. The tests are in
//! `suite/`; here the Rust code of the README is compiled and run.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
