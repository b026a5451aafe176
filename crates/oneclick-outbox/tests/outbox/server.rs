//! A PostgreSQL server of the tests, on a socket file in a temporary folder.

#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use oneclick_outbox::postgres;
use tokio::runtime::Builder;

/// A running server, which ends when nobody uses it any more.
pub(crate) struct Server {
    folder: PathBuf,
    /// The address and the port. Without an address, only the socket file leads to it.
    listens_on: (&'static str, u16),
    settings: &'static [&'static str],
    child: Mutex<Child>,
    /// Migrated databases that no test uses.
    idle: Mutex<Vec<String>>,
    made: Mutex<u32>,
    /// PgBouncer in front of it, once a test asks for that.
    bouncer: OnceLock<Bouncer>,
}

/// The port in the name of a server's socket file, and in that of a standby.
const PORT: u16 = 5432;
const STANDBY_PORT: u16 = 5433;

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

    /// Starts a server that no other test uses, in memory where that is possible.
    pub(crate) fn start() -> Self {
        Self::start_on("", PORT)
    }

    /// The same, on an address as well.
    pub(crate) fn start_on(address: &'static str, port: u16) -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        Self::start_in(&parent, (address, port), &["fsync=off"])
    }

    /// Starts a server with these settings, on a socket file in a folder of this parent.
    pub(crate) fn start_in(
        parent: &Path,
        listens_on: (&'static str, u16),
        settings: &'static [&'static str],
    ) -> Self {
        // One may start while the one before it ends.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("oneclick-postgres-{}-{number}", process::id()));
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
        let child = Self::run(&folder, "data", listens_on, settings);
        let server = Self {
            folder,
            listens_on,
            settings,
            child: Mutex::new(child),
            idle: Mutex::default(),
            made: Mutex::default(),
            bouncer: OnceLock::new(),
        };
        server.wait();
        server
    }

    /// Starts the server process over files in the folder.
    fn run(folder: &Path, files: &str, (address, port): (&str, u16), settings: &[&str]) -> Child {
        let socket = format!("unix_socket_directories={}", folder.display());
        let (address, port) = (format!("listen_addresses={address}"), format!("port={port}"));
        command("postgres")
            .arg("-D")
            .arg(folder.join(files))
            .args(["-c", &address, "-c", &port, "-c", &socket])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .args(["-c", "max_connections=300", "-c", "log_min_messages=fatal"])
            .args(["-c", "log_min_error_statement=panic"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Ends the server at once, as a crash does, and starts it again.
    pub(crate) fn crash(&self) {
        self.restart_over("data");
    }

    /// Ends the server at once, and starts another one in its place over these files.
    pub(crate) fn restart_over(&self, files: &str) {
        let mut child = lock(&self.child);
        end(&mut child, "-QUIT");
        *child = Self::run(&self.folder, files, self.listens_on, self.settings);
        drop(child);
        self.wait();
    }

    /// Stops the process that accepts connections, and lets it go on after this time.
    pub(crate) fn pause(&self, time: Duration) {
        let child = lock(&self.child);
        signal(&child, "-STOP");
        thread::sleep(time);
        signal(&child, "-CONT");
    }

    /// Copies the files of the running server, as a backup does.
    pub(crate) fn back_up(&self, files: &str) {
        self.copy(files, &[]);
    }

    fn copy(&self, files: &str, options: &[&str]) {
        let copied = command("pg_basebackup")
            .args(["--dbname", &self.url("postgres"), "--checkpoint=fast", "--no-sync"])
            .arg("--pgdata")
            .arg(self.folder.join(files))
            .args(options)
            .status();
        assert!(copied.unwrap().success(), "pg_basebackup");
    }

    /// Starts a server that follows this one, some time behind it.
    pub(crate) fn follow(&self) -> Standby<'_> {
        self.copy("standby", &["--write-recovery-conf"]);
        let listens_on = ("", STANDBY_PORT);
        let child = Some(Self::run(&self.folder, "standby", listens_on, self.settings));
        let standby = Standby { primary: self, child };
        standby.wait_for(
            "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')",
        );
        standby
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
        let port = self.listens_on.1;
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

    /// Runs a script of pgbench, so many times on each of so many connections. Returns what it
    /// prints.
    pub(crate) fn pgbench(&self, database: &str, script: &str, clients: u32, times: u32) -> String {
        let path = self.folder.join("script.sql");
        fs::write(&path, script).unwrap();
        let run = command("pgbench")
            .args(["--no-vacuum", "--username=outbox", "--host"])
            .args([&self.folder, Path::new("--file"), &path])
            .args([format!("--client={clients}"), format!("--transactions={times}")])
            .arg(database)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// The URL of a database behind PgBouncer.
    pub(crate) fn bounced_url(&self, database: &str) -> String {
        let bouncer = self.bouncer.get_or_init(|| Bouncer::start(self));
        bouncer.url(database)
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
        run_sql(&self.url(database), sql)
    }
}

/// A server that follows another one.
pub(crate) struct Standby<'a> {
    primary: &'a Server,
    child: Option<Child>,
}

impl Standby<'_> {
    fn sql(&self, sql: &str) -> Option<String> {
        let folder = self.primary.folder.display();
        let url = format!("host={folder} port={STANDBY_PORT} user=outbox dbname=postgres");
        run_sql(&url, sql)
    }

    /// Waits until it has everything of the primary, and hears nothing more of it.
    pub(crate) fn fall_behind(&self) {
        let now = self.primary.sql("postgres", "SELECT pg_current_wal_lsn()").unwrap();
        self.wait_for(&format!("SELECT pg_last_wal_replay_lsn() >= '{now}'"));
        self.sql("ALTER SYSTEM SET primary_conninfo = ''");
        self.sql("SELECT pg_reload_conf()");
        self.wait_for("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)");
    }

    /// Kills the primary, and takes its place and its address.
    pub(crate) fn take_over(mut self) {
        let mut child = lock(&self.primary.child);
        end(&mut child, "-QUIT");
        *child = self.child.take().unwrap();
        drop(child);
        self.wait_for("SELECT pg_promote()");
        let socket = |port| self.primary.folder.join(format!(".s.PGSQL.{port}"));
        let _gone = fs::remove_file(socket(PORT));
        symlink(socket(STANDBY_PORT), socket(PORT)).unwrap();
    }

    /// Waits until it answers yes.
    fn wait_for(&self, question: &str) {
        let began = Instant::now();
        let is_answered = || {
            // It may not have started yet.
            let asked = std::panic::catch_unwind(|| self.sql(question));
            asked.is_ok_and(|answer| answer.as_deref() == Some("t"))
        };
        while !is_answered() {
            assert!(began.elapsed() < Duration::from_secs(60), "{question}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Standby<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child, "-QUIT");
        }
    }
}

/// PgBouncer in transaction mode before a server, until it is dropped. All clients of a database
/// share two connections.
pub(crate) struct Bouncer {
    folder: PathBuf,
    child: Child,
}

impl Bouncer {
    /// The program; `None` if this machine has none.
    pub(crate) fn program() -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
    }

    fn start(server: &Server) -> Self {
        let program = Self::program().expect("PgBouncer");
        let folder = server.folder.join("bouncer");
        fs::create_dir_all(&folder).unwrap();
        let settings = folder.join("pgbouncer.ini");
        let (behind, before) = (server.folder.display(), folder.display());
        let text = format!(
            "[databases]\n* = host={behind} user=outbox\n\
             [pgbouncer]\nunix_socket_dir = {before}\nlisten_port = 5432\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 1000\n\
             server_login_retry = 1\n"
        );
        fs::write(&settings, text).unwrap();
        if is_roots(&folder) {
            let paths = [&folder, &settings];
            assert!(Command::new("chown").arg("postgres").args(paths).status().unwrap().success());
        }
        let child = unprivileged(&program)
            .arg("--quiet")
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bouncer = Self { folder, child };
        let began = Instant::now();
        while !bouncer.folder.join(".s.PGSQL.5432").exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "PgBouncer does not start");
            thread::sleep(Duration::from_millis(20));
        }
        bouncer
    }

    /// The URL of a database of the server behind it.
    fn url(&self, database: &str) -> String {
        format!("host={} user=outbox dbname={database}", self.folder.display())
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        end(&mut self.child, "-TERM");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.bouncer.take());
        end(&mut lock(&self.child), "-INT");
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs statements on a connection of their own. Returns the first column of the last row.
fn run_sql(url: &str, sql: &str) -> Option<String> {
    let run = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
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

fn end(child: &mut Child, name: &str) {
    signal(child, name);
    let _ = child.wait();
}

fn signal(child: &Child, name: &str) {
    let _ = Command::new("kill").args([name, &child.id().to_string()]).status();
}

/// A program of PostgreSQL.
fn command(program: &str) -> Command {
    unprivileged(&programs().expect("PostgreSQL").join(program))
}

/// A program that refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if !is_roots(Path::new("/proc/self")) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// Whether a file is root's.
#[cfg(unix)]
fn is_roots(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0)
}

#[cfg(not(unix))]
fn is_roots(_: &Path) -> bool {
    false
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
