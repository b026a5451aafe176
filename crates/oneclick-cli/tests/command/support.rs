//! Runs the command with an environment of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use oneclick_emulator::Server;
use oneclick_outbox::{Entry, Outbox};
use oneclick_ureq::ImpactId;

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The URL of an API, a key and an empty home directory.
pub(super) struct Setup {
    pub(super) url: String,
    pub(super) key: &'static str,
    pub(super) home: PathBuf,
}

impl Setup {
    pub(super) fn at(server: &Server) -> Self {
        Self::of(server.base_url())
    }

    pub(super) fn of(url: &str) -> Self {
        static SETUPS: AtomicU32 = AtomicU32::new(0);
        let number = SETUPS.fetch_add(1, Ordering::Relaxed);
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("setup-{}-{number}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        Self { url: url.to_owned(), key: "test_command", home }
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneclick"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("ONECLICK_BASE_URL", &self.url)
            .env("ONECLICK_API_KEY", self.key);
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Finished {
        finished(&self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command that must succeed without a message, and returns its output.
    pub(super) fn run_ok(&self, arguments: &[&str]) -> String {
        let Finished { code, stdout, stderr } = self.run(arguments);
        assert_eq!((code, &*stderr), (0, ""), "{arguments:?}: {stdout}");
        stdout
    }

    /// The outboxes of all servers and accounts.
    pub(super) fn outboxes(&self) -> Vec<PathBuf> {
        let paths = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path())
        };
        let paths = paths(self.home.join(".local/state/oneclick/intents")).flat_map(paths);
        paths.filter(|path| path.extension().is_some_and(|end| end == "db")).collect()
    }

    /// The intents in all of them.
    pub(super) fn intents(&self) -> Vec<Entry> {
        let outboxes = self.outboxes().into_iter().map(|path| Outbox::open(path).unwrap());
        outboxes.flat_map(|outbox| outbox.list(None, 0, 1_000).unwrap()).collect()
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // It is in the target directory, in case this fails.
        let _ = fs::remove_dir_all(&self.home);
    }
}

pub(super) fn finished(output: &Output) -> Finished {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Finished {
        code: output.status.code().unwrap(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The number of purchases of the key `test_command`.
pub(super) fn bought(server: &Server) -> usize {
    server.emulator().account("test_command").map_or(0, |account| account.ledger().count())
}

/// Cancels the latest purchase, and returns its id.
pub(super) fn cancel_latest(server: &Server, setup: &Setup) -> String {
    let id = {
        let emulator = server.emulator();
        let entry = emulator.account("test_command").unwrap().ledger().last().unwrap();
        ImpactId::from(&entry.receipt).to_string()
    };
    setup.run_ok(&["cancel", &id]);
    id
}

/// Waits until the emulator has made the first purchase.
pub(super) fn wait_until_bought(server: &Server) {
    for _ in 0..10_000 {
        if bought(server) == 1 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("nothing was bought");
}

/// A proxy that lets a `live_` key use the emulator: it replaces `live_` by `test_`.
pub(super) fn as_production(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = server.address();
    thread::spawn(move || {
        for connection in listener.incoming().take(100) {
            let Ok(client) = connection else { break };
            thread::spawn(move || forward(client, address));
        }
    });
    url
}

fn forward(mut client: TcpStream, address: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(address) else { return };
    let (Ok(mut responses), Ok(mut back)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    thread::spawn(move || {
        let _ = std::io::copy(&mut responses, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut piece = [0; 8_192];
    while let Ok(length @ 1..) = client.read(&mut piece) {
        let bytes = &mut piece[..length];
        if let Some(at) = bytes.windows(5).position(|five| five == b"live_") {
            bytes[at..at + 5].copy_from_slice(b"test_");
        }
        if server.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// A server that responds to everything with this body.
pub(super) fn responding(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming().take(20) {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap());
            while lines.read_line(&mut String::new()).unwrap() > 2 {}
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nconnection: close";
            write!(connection, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    url
}
