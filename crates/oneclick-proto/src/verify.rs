//! What a verified purchase is made of: the intent, what is stored of it, and what
//! may be concluded from the records.

mod intent;
mod outcome;
mod policy;
mod reconciliation;
mod state;

pub use intent::Intent;
pub use outcome::{Outcome, Unresolved, UnresolvedReason};
pub use policy::VerifyPolicy;
pub(crate) use reconciliation::{Conclusion, Evidence, Reading, Reconciliation};
pub use state::PurchaseState;
