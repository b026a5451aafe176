//! `oneclick sandbox`: the sandbox in the foreground.

use std::net::SocketAddr;

use oneclick_sandbox::{FaultRule, Logged, Server};

use crate::failure::Failure;
use crate::interrupt;
use crate::output;

/// Runs it until it is interrupted.
pub(crate) fn run(
    listen: SocketAddr,
    seed: u64,
    faults: &[String],
    lenient: bool,
    quiet: bool,
) -> Result<(), Failure> {
    let mut server = Server::builder().listen(listen).seed(seed).lenient(lenient);
    for (number, text) in faults.iter().enumerate() {
        let rule: FaultRule = serde_json::from_str(text)
            .map_err(|error| Failure::Usage(format!("fault {}: {error}", number + 1)))?;
        server = server.fault(rule);
    }
    if !quiet {
        server = server.on_request(|logged| output::tell(false, &told(logged)));
    }
    // Before the line is printed: whoever reads it may interrupt.
    interrupt::ends_it();
    let server = server
        .start()
        .map_err(|error| Failure::machine(format!("cannot listen on {listen}"), error))?;
    if !listen.ip().is_loopback() {
        output::tell(quiet, "others on the network can reach this sandbox");
    }
    output::line_out(server.base_url())?;
    loop {
        // Its own thread answers; a signal ends the process.
        std::thread::park();
    }
}

/// A request in a line; of its query the names alone, since the values can be
/// somebody's e-mail address.
fn told(logged: &Logged) -> String {
    let Logged { time, method, path, status, .. } = logged;
    let names = logged.query.iter().flat_map(|query| query.split('&'));
    let names: Vec<_> = names.map(|pair| pair.split('=').next().unwrap_or_default()).collect();
    let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
    let account = logged.user_id.as_ref().map_or_else(String::new, |id| format!("  {id}"));
    let fault = logged.fault.as_ref().and_then(|fault| serde_json::to_string(fault).ok());
    let fault = fault.map_or_else(String::new, |fault| format!("  fault {fault}"));
    format!("{time}  {status}  {method} {path}{query}{account}{fault}")
}
