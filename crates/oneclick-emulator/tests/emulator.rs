//! Tests of the emulator as a function, a transport, a server and a command.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod emulator {
    mod actions;
    mod behaviour;
    mod cancel;
    mod command;
    mod control;
    mod faults;
    mod http;
    mod in_memory;
    mod lists;
    mod model;
    mod projects;
    mod reads;
    mod server;
    mod strict;
    mod track;
    mod world;
}
