//! `oneclick sandbox`: the sandbox in the foreground.

use std::net::SocketAddr;

use crate::failure::Failure;

/// Runs it until it is interrupted.
pub(crate) fn run(_: SocketAddr, _: u64, _: &[String], _: bool, _: bool) -> Result<(), Failure> {
    Err(Failure::Machine("not yet".to_owned()))
}
