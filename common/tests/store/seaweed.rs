//! A `SeaweedFS` of a test's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::storage::{Store, StoreError};
use tempfile::TempDir;

use crate::{ACCESS_KEY, SECRET_KEY};

/// Checks that `SeaweedFS` 4.48 does not pass.
pub(crate) const LEFT_OUT: &[&str] = &[
    // Two completions at the same moment both succeed, though a later one is refused as it should be; the object
    // is then that of the last one, whole. Single writes and copies are decided properly.
    "one_of_eight_streams_wins",
    // It lists folders: `a/b` before `a-b`, and nothing of the folder `a` after `a`.
    "order_is_that_of_bytes",
    "a_listing_may_begin_anywhere",
];

/// Time until it must answer.
const PATIENCE: Duration = Duration::from_mins(1);

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
pub(crate) struct Server {
    guard: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let weed = std::env::var("MSAAS_TEST_WEED").expect(
            "MSAAS_TEST_WEED does not say where the program weed is: eval \"$(scripts/servers.sh)\" installs it",
        );
        assert!(Path::new(&weed).is_file(), "MSAAS_TEST_WEED={weed}: there is no such file");
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("s3.json");
        std::fs::write(
            &config,
            format!(
                r#"{{"identities":[{{"name":"test","actions":["Admin"],
                    "credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}]}}]}}"#
            ),
        )
        .unwrap();
        let ports = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("sh");
        // The shell's input ends when this process does, however that happens.
        command.args(["-c", r#""$@" & read -r _; kill -9 $!; wait"#, "sh", &weed, "server"]);
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.iam=false", "-volume.max=100"]);
        command.args(["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.arg(format!("-dir={}", folder.path().display()));
        command.arg(format!("-s3.config={}", config.display()));
        for (name, port) in PORTS.iter().zip(&ports) {
            command.arg(format!("{name}={port}"));
        }
        let guard =
            command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { guard, port: ports[0], folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until a store on it is prepared.
    pub(crate) async fn prepared(&self, store: &dyn Store) {
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

fn free_ports() -> Vec<u16> {
    let taken: Vec<_> = PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
