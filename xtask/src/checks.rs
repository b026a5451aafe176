//! What each check does, by what it looks at.

pub(crate) mod behaviour;
pub(crate) mod code;
pub(crate) mod compatibility;
pub(crate) mod dependencies;
pub(crate) mod publishing;
mod rustdoc;

use crate::shell::{Shell, Stop};

/// Writes the files anew that the checks hold the workspace against.
pub(crate) fn bless() -> Result<bool, String> {
    let shell = Shell::new("bless").map_err(|error| error.to_string())?;
    let written =
        compatibility::write_api(&shell).and_then(|()| dependencies::write_licences(&shell));
    match written {
        Ok(()) => Ok(true),
        Err(Stop::Short(words) | Stop::Impossible(words)) => Err(words),
    }
}
