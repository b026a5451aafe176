//! A PostgreSQL server of the tests, on a socket file in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use oneclick_outbox::postgres;
use tokio::runtime::Builder;

/// A running server, which ends when nobody uses it any more.
pub(crate) struct Server {
    folder: PathBuf,
    /// The port on 127.0.0.1; `None` if only the socket file leads to it.
    port: Option<u16>,
    child: Mutex<Child>,
    /// Migrated databases that no test uses.
    idle: Mutex<Vec<String>>,
    made: Mutex<u32>,
}

/// The programs of PostgreSQL; `None` if this machine has none.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().find(|folder| folder.join("initdb").is_file())
}

/// Whether this machine has PostgreSQL.
pub(crate) fn is_possible() -> bool {
    programs().is_some()
}

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    pub(crate) fn get() -> Arc<Self> {
        let mut running = lock(&RUNNING);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *running = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server that no other test uses.
    pub(crate) fn start() -> Self {
        Self::start_on(None)
    }

    /// The same, on a port of 127.0.0.1 as well.
    pub(crate) fn start_on(port: Option<u16>) -> Self {
        // One may start while the one before it ends.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        let folder = folder.join(format!("oneclick-postgres-{}-{number}", process::id()));
        let _missing = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        if is_roots(&folder) {
            assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
        }
        let made = command("initdb")
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-U", "outbox", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb");
        let child = Self::run(&folder, port);
        let server = Self {
            folder,
            port,
            child: Mutex::new(child),
            idle: Mutex::default(),
            made: Mutex::default(),
        };
        server.wait();
        server
    }

    /// Starts the server process.
    fn run(folder: &Path, port: Option<u16>) -> Child {
        let socket = format!("unix_socket_directories={}", folder.display());
        let addresses = if port.is_some() { "127.0.0.1" } else { "" };
        command("postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-c", &format!("listen_addresses={addresses}"), "-c", &socket])
            .args(["-c", &format!("port={}", port.unwrap_or(5432)), "-c", "fsync=off"])
            .args(["-c", "max_connections=300", "-c", "log_min_messages=fatal"])
            .args(["-c", "log_min_error_statement=panic"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Ends the server at once, as a crash does, and starts it again.
    pub(crate) fn crash(&self) {
        let mut child = lock(&self.child);
        end(&mut child, "-QUIT");
        *child = Self::run(&self.folder, self.port);
        drop(child);
        self.wait();
    }

    /// Waits until the server responds.
    fn wait(&self) {
        let began = Instant::now();
        while let Err(error) = postgres::migrate(&self.url("postgres")) {
            assert!(began.elapsed() < Duration::from_secs(60), "{error}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let port = self.port.unwrap_or(5432);
        format!("host={} port={port} user=outbox dbname={database}", self.folder.display())
    }

    /// Writes a file that only the server can read, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if is_roots(&path) {
            assert!(Command::new("chown").arg("postgres").arg(&path).status().unwrap().success());
        }
        path
    }

    /// A database with empty tables.
    pub(crate) fn take(&self) -> String {
        if let Some(name) = lock(&self.idle).pop() {
            self.sql(
                &name,
                "TRUNCATE oneclick.event, oneclick.intent RESTART IDENTITY;
                 DELETE FROM oneclick.meta WHERE name <> 'schema_version';
                 UPDATE oneclick.gate SET not_before = 0, failures = 0, paused = NULL",
            );
            return name;
        }
        let mut made = lock(&self.made);
        *made += 1;
        let name = format!("outbox_{made}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        postgres::migrate(&self.url(&name)).unwrap();
        name
    }

    pub(crate) fn give_back(&self, name: String) {
        lock(&self.idle).push(name);
    }

    /// Runs statements on a connection of their own. Returns the first column of the last row.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> Option<String> {
        let url = self.url(database);
        let run = || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                client.simple_query(sql).await.unwrap()
            })
        };
        // A test may have a runtime of its own.
        let rows = thread::scope(|scope| scope.spawn(run).join().unwrap());
        rows.into_iter().rev().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut lock(&self.child), "-INT");
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn end(child: &mut Child, signal: &str) {
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
    let _ = child.wait();
}

/// A program of PostgreSQL, which refuses to run as root.
fn command(program: &str) -> Command {
    let program = programs().expect("PostgreSQL").join(program);
    if !is_roots(Path::new("/proc/self")) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// Whether a file is root's.
fn is_roots(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
