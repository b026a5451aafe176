//! What the counts, the times and the comparison measure.

pub mod bodies;
pub mod callers;
pub mod requests;
pub mod server;
