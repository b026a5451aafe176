//! The real command against the sandbox.

#[cfg(unix)]
mod command {
    mod buying;
    mod listing;
    mod looking;
    mod support;
    mod terminal;
}
