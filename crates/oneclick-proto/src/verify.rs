//! What a verified purchase is made of: the intent, what is stored of it, and what
//! may be concluded from the records.

mod intent;
mod look;
mod outcome;
mod policy;
mod rules;
mod search;
mod sought;
mod state;
mod tracker;

pub use intent::Intent;
pub(crate) use look::{Look, Reading};
pub use outcome::{NotBought, Outcome, Pending, Unresolved, UnresolvedReason};
pub use policy::VerifyPolicy;
pub(crate) use rules::{Conclusion, receipt_confirms};
pub(crate) use search::Search;
pub(crate) use sought::Sought;
pub use state::PurchaseState;
