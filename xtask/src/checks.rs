//! The checks, by what they look at.

pub(crate) mod behaviour;
pub(crate) mod code;
pub(crate) mod compatibility;
pub(crate) mod dependencies;
pub(crate) mod publishing;
mod rustdoc;
pub(crate) mod workflows;

use crate::shell::{Shell, Stop};

/// Rewrites the files that `api` and `licences` compare the workspace with.
pub(crate) fn bless() -> Result<(), String> {
    let shell = Shell::new("bless").map_err(|error| error.to_string())?;
    compatibility::write_api(&shell)
        .and_then(|()| dependencies::write_licences(&shell))
        .map_err(Stop::reason)
}
