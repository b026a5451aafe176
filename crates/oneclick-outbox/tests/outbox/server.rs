//! A PostgreSQL server of the tests, on a socket file in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use oneclick_outbox::postgres;
use tokio::runtime::Builder;

/// A running server, which ends when nobody uses it any more.
pub(crate) struct Server {
    folder: PathBuf,
    child: Child,
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

    fn start() -> Self {
        let programs = programs().expect("PostgreSQL");
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        let folder = folder.join(format!("oneclick-postgres-{}", process::id()));
        let _missing = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let is_root = fs::metadata(&folder).is_ok_and(|folder| owner(&folder) == 0);
        // It refuses to run as root.
        let command = |program: &str| {
            let program = programs.join(program);
            if !is_root {
                return Command::new(program);
            }
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        };
        if is_root {
            assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
        }
        let data = folder.join("data");
        let made = command("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "outbox", "-A", "trust"])
            .args(["-E", "UTF8", "--no-sync", "--locale=C"])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb");
        let socket = format!("unix_socket_directories={}", folder.display());
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", &socket, "-c", "fsync=off"])
            .args(["-c", "max_connections=300", "-c", "log_min_messages=fatal"])
            .args(["-c", "log_min_error_statement=panic"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, child, idle: Mutex::default(), made: Mutex::default() };
        let began = Instant::now();
        while let Err(error) = postgres::migrate(&server.url("postgres")) {
            assert!(began.elapsed() < Duration::from_secs(60), "{error}");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("host={} user=outbox dbname={database}", self.folder.display())
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
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn owner(folder: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(folder)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
