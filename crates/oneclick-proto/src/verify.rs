//! The parts of a verified purchase: the intent, the stored state, and the rules for
//! drawing conclusions from the records.

mod intent;
mod look;
mod open_purchase;
mod outcome;
mod policy;
mod rules;
mod search;
mod state;
mod tracker;

pub use intent::Intent;
pub(crate) use look::{Look, Reading};
pub(crate) use open_purchase::OpenPurchase;
pub use outcome::{NotBought, Outcome, Pending, Unresolved, UnresolvedReason};
pub use policy::VerifyPolicy;
pub(crate) use rules::{Conclusion, is_ours, receipt_confirms};
pub(crate) use search::Search;
pub use state::PurchaseState;
