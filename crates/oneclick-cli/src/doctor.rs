//! `oneclick doctor`: what keeps calls from working, and what to do about it.

use crate::args::Global;
use crate::failure::Failure;

pub(crate) fn run(_: &Global) -> Result<(), Failure> {
    Err(Failure::Machine("not yet".to_owned()))
}
