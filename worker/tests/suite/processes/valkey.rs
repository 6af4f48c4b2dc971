//! A Valkey server with an append-only file, on a socket in a folder of its own.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A running server, gone with the test.
pub(crate) struct Valkey {
    folder: PathBuf,
    child: Mutex<Child>,
}

impl Valkey {
    pub(crate) fn start(folder: &Path) -> Self {
        let server = Self { folder: folder.to_owned(), child: Mutex::new(spawn(folder)) };
        server.await_answers();
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    /// As a machine that fails: what was answered in the last second may be forgotten.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().ok();
        child.wait().ok();
    }

    /// Starts it again with what its file has.
    pub(crate) fn restart(&self) {
        self.kill();
        *self.child.lock().unwrap() = spawn(&self.folder);
        self.await_answers();
    }

    /// Loses everything, scripts too.
    pub(crate) fn wipe(&self) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).unwrap();
        self.restart();
    }

    /// Empties a database while the server runs.
    pub(crate) fn flush(&self, database: u32) {
        self.ask(database, "FLUSHDB").unwrap();
    }

    /// Names of all keys in a database.
    pub(crate) fn keys(&self, database: u32) -> Vec<String> {
        self.ask(database, "KEYS *").unwrap()
    }

    /// What a list holds.
    pub(crate) fn lines(&self, database: u32, list: &str) -> Vec<String> {
        self.ask(database, &format!("LRANGE {list} 0 -1")).unwrap()
    }

    fn await_answers(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.ask(0, "PING").is_err() {
            assert!(Instant::now() < end, "the server does not answer");
            sleep(Duration::from_millis(10));
        }
    }

    /// Says one command; gives the lines of its answer. Source: the Redis serialization protocol, version 2.
    fn ask(&self, database: u32, command: &str) -> std::io::Result<Vec<String>> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("SELECT {database}\r\n{command}\r\n").as_bytes())?;
        let mut answers = BufReader::new(stream);
        line(&mut answers)?;
        let first = line(&mut answers)?;
        if let Some(error) = first.strip_prefix('-') {
            return Err(std::io::Error::other(error.to_owned()));
        }
        let Some(count) = first.strip_prefix('*') else { return Ok(vec![first]) };
        let one = |_| {
            let mut text = vec![0; line(&mut answers)?[1..].parse::<usize>().unwrap() + 2];
            answers.read_exact(&mut text)?;
            Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
        };
        (0..count.parse::<usize>().unwrap()).map(one).collect()
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.kill();
    }
}

fn line(from: &mut impl std::io::BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("valkey.sock")
}

fn spawn(folder: &Path) -> Child {
    let program = std::env::var("MSAAS_TEST_VALKEY")
        .expect("MSAAS_TEST_VALKEY names a Valkey or Redis server: eval \"$(scripts/servers.sh)\"");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::remove_file(socket(folder)).ok();
    let mut command = Command::new(&program);
    command.arg("--port").arg("0").arg("--unixsocket").arg(socket(folder)).arg("--dir").arg(folder);
    command.args(["--save", "", "--daemonize", "no", "--loglevel", "warning", "--databases", "64"]);
    command.args(["--appendonly", "yes", "--appendfsync", "everysec"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.unwrap_or_else(|error| panic!("{program} cannot be started: {error}"))
}
