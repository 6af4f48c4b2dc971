//! A Valkey server of the test's own, on a socket in a folder of its own, gone with the test.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::queue::redis::Settings;

/// What is left when the server is killed.
#[derive(Debug, Clone, Copy)]
pub enum Kept {
    /// Nothing at all.
    Nothing,
    /// All but what was answered in the last moments: it writes its file while it waits for the disk.
    AlmostAll,
    /// All that was answered.
    All,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    child: Mutex<Child>,
    kept: Kept,
    prefixes: AtomicU32,
}

impl Server {
    /// The server of this test binary. It lives as long as any test that asked for it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(Kept::Nothing));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// One for a single test.
    #[must_use]
    pub fn start(kept: Kept) -> Self {
        let folder = TempDir::new().unwrap();
        let child = Mutex::new(spawn(&folder, kept));
        let server = Self { folder, child, kept, prefixes: AtomicU32::new(0) };
        server.await_answers();
        server
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("unix://{}", socket(&self.folder).display())
    }

    /// Names of a queue that shares nothing with another test's.
    pub fn settings(&self) -> Settings {
        let prefix = format!("test{}:", self.prefixes.fetch_add(1, Ordering::Relaxed));
        let (entrance, logging) = (format!("{prefix}toWorker"), format!("{prefix}logging"));
        Settings { url: self.url(), prefix, entrance, logging }
    }

    /// A connection to it.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Deletes everything that begins with a prefix.
    pub fn forget(&self, prefix: &str) {
        let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end";
        redis::Script::new(script).arg(format!("{prefix}*")).invoke::<()>(&mut self.connection()).unwrap();
    }

    /// Kills it as a machine that fails does.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Starts it again with what its file has.
    pub fn restart(&self) {
        self.kill();
        *self.child.lock().unwrap() = spawn(&self.folder, self.kept);
        self.await_answers();
    }

    fn await_answers(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        let answers =
            || redis::cmd("PING").query::<String>(&mut redis::Client::open(self.url())?.get_connection()?);
        while let Err(error) = answers() {
            assert!(Instant::now() < end, "the server does not answer: {error}");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("valkey.sock")
}

fn spawn(folder: &TempDir, kept: Kept) -> Child {
    let program = std::env::var("MSAAS_TEST_VALKEY")
        .expect("MSAAS_TEST_VALKEY names a Valkey or Redis server: eval \"$(scripts/servers.sh)\"");
    let _ = std::fs::remove_file(socket(folder));
    let mut command = Command::new(&program);
    command.arg("--port").arg("0").arg("--unixsocket").arg(socket(folder)).arg("--dir").arg(folder.path());
    command.args(["--save", "", "--daemonize", "no", "--loglevel", "warning"]);
    command.args(match kept {
        Kept::Nothing => ["--appendonly", "no", "--appendfsync", "no"],
        Kept::AlmostAll => ["--appendonly", "yes", "--appendfsync", "everysec"],
        Kept::All => ["--appendonly", "yes", "--appendfsync", "always"],
    });
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.unwrap_or_else(|error| panic!("{program} cannot be started: {error}"))
}
