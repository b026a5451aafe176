//! `oneclick daily`: a bar for every day.

use std::path::Path;

use oneclick_ureq::ImpactKind;

use crate::args::Dates;
use crate::failure::Failure;
use crate::session::Session;

pub(crate) fn run(
    _: &Session,
    _: &Dates,
    _: Option<ImpactKind>,
    _: Option<&Path>,
    _: bool,
) -> Result<(), Failure> {
    Err(Failure::Machine("not yet".to_owned()))
}
