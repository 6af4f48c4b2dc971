//! A `SeaweedFS` of a test's own, which speaks S3.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;

use crate::storage::s3::{AccessKeys, S3Config};
use crate::storage::{Store, StoreError};

const ACCESS_KEY: &str = "test-access";

/// Time until it must answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// The first port that is used, and how many servers could be started.
const LOWEST: u16 = 12_000;
const SLOTS: u32 = 2000;

/// Ports that the process listens on, of whichever each is.
const PORTS: [&str; 9] = [
    "-s3.port",
    "-s3.port.grpc",
    "-master.port",
    "-master.port.grpc",
    "-volume.port",
    "-volume.port.grpc",
    "-filer.port",
    "-filer.port.grpc",
    "-s3.port.https",
];

/// A running server, killed when this is dropped and when this process dies.
#[derive(Debug)]
pub struct Server {
    guard: Child,
    port: u16,
    secret_key: String,
    folder: TempDir,
}

impl Server {
    /// Starts one; it answers later, see [`Server::prepared`].
    #[must_use]
    pub fn start() -> Self {
        let weed = std::env::var("MSAAS_TEST_WEED").expect(
            "MSAAS_TEST_WEED does not say where the program weed is: eval \"$(scripts/servers.sh)\" installs it",
        );
        assert!(Path::new(&weed).is_file(), "MSAAS_TEST_WEED={weed}: there is no such file");
        let folder = tempfile::tempdir().unwrap();
        // Another one each time: who reaches the server of another test is refused.
        let secret_key = Uuid::new_v4().to_string();
        let config = folder.path().join("s3.json");
        std::fs::write(
            &config,
            format!(
                r#"{{"identities":[{{"name":"test","actions":["Admin"],
                    "credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{secret_key}"}}]}}]}}"#
            ),
        )
        .unwrap();
        let ports = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("sh");
        // The shell's input ends when this process does, however that happens.
        command.args(["-c", r#""$@" & read -r _; kill -9 $!; wait"#, "sh", &weed, "server"]);
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.iam=false", "-volume.max=1000"]);
        // One volume for each bucket: tests have many small ones.
        command.env("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1").env("TMPDIR", folder.path());
        command.args(["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.arg(format!("-dir={}", folder.path().display()));
        command.arg(format!("-s3.config={}", config.display()));
        for (name, port) in PORTS.iter().zip(&ports) {
            command.arg(format!("{name}={port}"));
        }
        let guard =
            command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { guard, port: ports[0], secret_key, folder }
    }

    /// How a client on this machine reaches it.
    #[must_use]
    pub fn config(&self) -> S3Config {
        let keys = AccessKeys { access_key: ACCESS_KEY.into(), secret_key: self.secret_key.clone().into() };
        S3Config { endpoint: Some(self.endpoint()), keys: Some(keys), ..S3Config::default() }
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its keys: access, secret.
    #[must_use]
    pub fn keys(&self) -> (&'static str, &str) {
        (ACCESS_KEY, &self.secret_key)
    }

    /// Waits until a store on it is prepared.
    pub async fn prepared(&self, store: &dyn Store) {
        let began = Instant::now();
        while let Err(error) = store.prepare().await {
            // While the parts of the server find each other it answers in several ways.
            let early = began.elapsed() < PATIENCE;
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(early && matches!(error, StoreError::Unavailable(_)), "{error}\n{}", log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Ports below those that the system gives to connections, other ones for each process: between the look and the
/// start of the server nobody else takes them.
fn free_ports() -> Vec<u16> {
    let first = std::process::id() % SLOTS;
    let slots = (0..SLOTS).map(|n| (first + n * 7) % SLOTS);
    let mut ports = slots.map(|slot| (0..PORTS.len()).map(move |n| LOWEST + slot as u16 * 10 + n as u16));
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    ports.find(|ports| ports.clone().all(free)).unwrap().collect()
}
