//! The code that the counts, the times and the comparison share.

pub mod bodies;
pub mod callers;
pub mod requests;
pub mod server;
