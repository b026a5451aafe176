//! `oneclick cancel`.

use oneclick_ureq::{CancelImpact, ImpactId, Reason};

use crate::buy;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

pub(crate) fn run(
    session: &Session,
    id: ImpactId,
    reason: Option<Reason>,
    yes: bool,
    json: bool,
) -> Result<(), Failure> {
    if session.production && !yes {
        let account = session.client.whoami()?;
        buy::confirm(session, yes, &format!("cancel {id}"), &account)?;
    }
    let mut cancel = CancelImpact::new(id);
    cancel.reason = reason;
    let cancellation = session.client.cancel_impact(cancel)?;
    if json {
        return output::json(&cancellation);
    }
    output::line(&format!(
        "{}: {}, on {}",
        cancellation.message, cancellation.impact, cancellation.cancelled_on,
    ))
}
