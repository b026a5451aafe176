//! The `oneclick-emulator` command.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use lexopt::prelude::*;
use oneclick_emulator::{HostName, Server, ServerBuilder};

const HELP: &str = "\
An emulator of the 1ClickImpact API, for tests and for development without a
network. Each key that begins with test_ has an account of its own. Nothing is
paid, e-mailed or written to disk, and the accounts are gone once it stops.

Usage: oneclick-emulator [OPTIONS]

Options:
  --listen ADDRESS   IP address and port to listen on; port 0 picks a free one
                     [default: 127.0.0.1:8787]
  --allow-host NAME  also answer to this name in the Host header, such as that
                     of a container; can be repeated [default: loopback names]
  --seed NUMBER      seed for ids and random choices, 0 to 18446744073709551615
                     [default: 0]
  --lenient          ignore unknown fields of a POST instead of refusing it
  -h, --help         print this help
  -V, --version      print the version

When the emulator is ready, it prints one line: its base URL. SIGINT and SIGTERM
stop it. Requests under /_emulator/ inject faults, switch to behaviour that is
harder for clients, set the clock, and show what was received and what was really
bought. This lists them:

  curl http://127.0.0.1:8787/_emulator/
";

struct Options {
    listen: SocketAddr,
    allow_hosts: Vec<HostName>,
    seed: u64,
    lenient: bool,
}

enum Command {
    Run(Options),
    Print(String),
}

fn main() -> ExitCode {
    let command = match command() {
        Ok(command) => command,
        Err(error) => {
            return fail(2, format_args!("{error}\nTry: oneclick-emulator --help"));
        }
    };
    let done = match command {
        Command::Run(options) => run(options),
        Command::Print(text) => print(&text),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The exit code of a command that SIGPIPE ends: the reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(141),
        Err(error) => fail(1, error),
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        io::Error::new(error.kind(), format!("could not write to standard output: {error}"))
    })
}

fn fail(code: u8, error: impl Display) -> ExitCode {
    // If this fails, there is nowhere left to report it.
    let _ = writeln!(io::stderr(), "oneclick-emulator: {error}");
    ExitCode::from(code)
}

fn command() -> Result<Command, lexopt::Error> {
    let mut options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
        allow_hosts: Vec::new(),
        seed: 0,
        lenient: false,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse_with(listen)?,
            Long("allow-host") => options.allow_hosts.push(arguments.value()?.parse()?),
            Long("seed") => options.seed = arguments.value()?.parse_with(seed)?,
            Long("lenient") => options.lenient = true,
            Long("help") | Short('h') => return Ok(Command::Print(HELP.to_owned())),
            Long("version") | Short('V') => {
                let version = concat!("oneclick-emulator ", env!("CARGO_PKG_VERSION"), "\n");
                return Ok(Command::Print(version.to_owned()));
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Run(options))
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "--listen takes an IP address and a port, such as 127.0.0.1:8787")
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("--seed takes a whole number from 0 to {}", u64::MAX))
}

fn run(options: Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        // Before the line is printed, because its reader may send a signal at once.
        let stopped = signal()?;
        let Options { listen, allow_hosts, seed, lenient } = options;
        let builder = Server::builder().listen(listen).seed(seed).lenient(lenient);
        let builder = allow_hosts.into_iter().fold(builder, ServerBuilder::allow_host);
        let server = builder.start().map_err(|error| {
            let advice = "--listen chooses another address and port";
            let text = format!("could not listen on {listen}: {error}; {advice}");
            io::Error::new(error.kind(), text)
        })?;
        if !listen.ip().is_loopback() {
            let warning = "others on the network can use this emulator: it has no passwords";
            writeln!(io::stderr(), "oneclick-emulator: {warning}")?;
        }
        print(&format!("{}\n", server.base_url()))?;
        stopped.await;
        Ok(())
    })
}

/// Resolves on the first SIGINT or SIGTERM after this function has returned.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves on the first Ctrl-C.
#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
