//! The service as it runs: Valkey, `SeaweedFS`, and the programs `rest` and `worker` as processes of their own.

mod http;
mod program;
mod valkey;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::ledger::{Keep, Ledger};
use common::queue::Rules;
use common::queue::redis::{RedisQueue, Settings};
use common::storage::Store;
use common::storage::fs::Folder;
use common::storage::s3::{S3, S3Config};
use common::testing::seaweed;
use demucs::seeded::{checkpoint, small_kwargs};
use models::{ModelStore, StoreConfig};
use tempfile::TempDir;

pub(crate) use http::{Answer, Http};
pub(crate) use program::Program;
pub(crate) use valkey::Valkey;

/// Seconds for which a task stays with a silent worker.
pub(crate) const LEASE_S: u64 = 3;
/// Segments of a span: longer songs are divided.
pub(crate) const SPAN_SEGMENTS: usize = 24;

/// The network's name: one that `rest` knows and whose weights are not pinned by a fingerprint.
pub(crate) const MODEL: &str = "htdemucs_6s";
/// Its stems.
pub(crate) const STEMS: [&str; 6] = ["drums", "bass", "other", "vocals", "guitar", "piano"];
/// Its rate in Hz.
pub(crate) const RATE: u32 = 8000;

/// The servers that the service needs, and a small network.
pub(crate) struct Servers {
    pub(crate) valkey: Valkey,
    pub(crate) weed: seaweed::Server,
    root: TempDir,
    sites: AtomicU32,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let weights = root.path().join("small.safetensors");
        let network = checkpoint(small_kwargs(&STEMS), 7).unwrap();
        std::fs::write(&weights, network.to_safetensors().unwrap()).unwrap();
        models_in(&root.path().join("models")).import(&weights, Some(MODEL)).unwrap();
        let valkey = Valkey::start(&root.path().join("valkey"));
        let servers = Self { valkey, weed: seaweed::Server::start(), root, sites: AtomicU32::new(0) };
        // The first site's buckets are made here, so that programs find a server that is whole.
        servers.weed.prepared(&servers.s3(0).await).await;
        servers
    }

    /// A place that shares nothing with others: a database, two buckets, a folder.
    pub(crate) async fn site(self: &Arc<Self>) -> Site {
        let number = self.sites.fetch_add(1, Ordering::Relaxed);
        let site = Site::new(self, number, Some(self.s3(number).await));
        site.store().prepare().await.unwrap();
        site
    }

    /// One whose store is a folder.
    pub(crate) async fn site_in_folder(self: &Arc<Self>) -> Site {
        let site = Site::new(self, self.sites.fetch_add(1, Ordering::Relaxed), None);
        site.store().prepare().await.unwrap();
        site
    }

    async fn s3(&self, site: u32) -> S3 {
        let config = S3Config {
            queue_bucket: format!("queue-{site}"),
            output_bucket: format!("output-{site}"),
            ..self.weed.config()
        };
        S3::new(config).await.unwrap()
    }

    pub(crate) fn models_dir(&self) -> PathBuf {
        self.root.path().join("models")
    }
}

/// Where one service is.
pub(crate) struct Site {
    pub(crate) servers: Arc<Servers>,
    /// Of its database in Valkey.
    pub(crate) number: u32,
    /// Where the interface answers.
    pub(crate) http: Http,
    /// None where the store is a folder.
    pub(crate) s3: Option<S3>,
    /// Who takes the traces of its programs.
    pub(crate) collector: Option<String>,
    folder: PathBuf,
}

impl Site {
    fn new(servers: &Arc<Servers>, number: u32, s3: Option<S3>) -> Self {
        let folder = servers.root.path().join(format!("site-{number}"));
        std::fs::create_dir_all(folder.join("temp")).unwrap();
        Self {
            servers: Arc::clone(servers),
            number,
            http: Http::new(free_port()),
            s3,
            collector: None,
            folder,
        }
    }

    /// Folder of temporary files of its programs.
    pub(crate) fn temp_dir(&self) -> PathBuf {
        self.folder.join("temp")
    }

    /// The network, as its workers have it.
    pub(crate) fn models(&self) -> ModelStore {
        models_in(&self.servers.models_dir())
    }

    /// The store.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match &self.s3 {
            Some(s3) => Arc::new(s3.clone()),
            None => Arc::new(Folder::new(self.folder.join("store"))),
        }
    }

    /// The ledger; what is kept for a while after a failure, a removal or a death, it keeps no longer.
    pub(crate) fn ledger(&self) -> Ledger {
        let settings = Settings { url: self.redis_url(), ..Settings::default() };
        let queue = RedisQueue::open(settings, Rules::default()).unwrap();
        let keep = Keep {
            late: Duration::ZERO,
            uploads: Duration::ZERO,
            sources: Duration::ZERO,
            ..Keep::default()
        };
        Ledger::new(self.store(), Arc::new(queue), keep)
    }

    fn redis_url(&self) -> String {
        format!("unix://{}?db={}", self.servers.valkey.socket().display(), self.number)
    }

    /// Those of every program; `admin_port` 0 takes any.
    fn arguments(&self, admin_port: u16) -> Vec<String> {
        let mut arguments = vec![
            format!("--redis-url={}", self.redis_url()),
            format!("--lease={LEASE_S}"),
            "--address=127.0.0.1".to_owned(),
            format!("--admin-port={admin_port}"),
        ];
        arguments.extend(self.collector.iter().map(|address| format!("--otlp-endpoint={address}")));
        arguments.extend(match self.s3 {
            Some(_) => vec![
                format!("--s3-endpoint={}", self.servers.weed.endpoint()),
                format!("--s3-access-key={}", self.servers.weed.keys().0),
                format!("--s3-secret-key={}", self.servers.weed.keys().1),
                format!("--queue-bucket=queue-{}", self.number),
                format!("--output-bucket=output-{}", self.number),
            ],
            None => vec![format!("--store-dir={}", self.folder.join("store").display())],
        });
        arguments
    }

    /// Starts a worker; ready a moment later.
    pub(crate) fn worker(&self, name: &str, failpoint: &str) -> Program {
        self.worker_with(name, failpoint, &[])
    }

    /// The same with further settings.
    pub(crate) fn worker_with(&self, name: &str, failpoint: &str, further: &[&str]) -> Program {
        let mut arguments = self.arguments(0);
        arguments.extend(self.arguments_of_workers(SPAN_SEGMENTS));
        arguments.extend(further.iter().map(ToString::to_string));
        Program::start(&program("worker"), &arguments, failpoint, &self.log(name))
    }

    /// The same with spans of so many segments.
    pub(crate) fn worker_of_spans(&self, name: &str, segments: usize, further: &[&str]) -> Program {
        let mut arguments = self.arguments(0);
        arguments.extend(self.arguments_of_workers(segments));
        arguments.extend(further.iter().map(ToString::to_string));
        Program::start(&program("worker"), &arguments, "", &self.log(name))
    }

    /// Starts a program of any build, which says on a port whether it is ready.
    pub(crate) fn program_of(&self, build: &Path, role: &str, name: &str, ports: Ports) -> Program {
        let mut arguments = self.arguments(ports.admin);
        match ports.clients {
            None => arguments.extend(self.arguments_of_workers(SPAN_SEGMENTS)),
            Some(port) => arguments.extend([
                format!("--port={port}"),
                format!("--callback-allow=127.0.0.1:{}", ports.hooks),
                "--rate=0".to_owned(),
            ]),
        }
        Program::start(&build.join(role), &arguments, "", &self.log(name))
    }

    fn arguments_of_workers(&self, span_segments: usize) -> [String; 7] {
        [
            format!("--model={MODEL}"),
            format!("--model-dir={}", self.servers.models_dir().display()),
            format!("--temp-dir={}", self.temp_dir().display()),
            format!("--span-segments={span_segments}"),
            "--threads=1".to_owned(),
            "--sweep-every=5".to_owned(),
            "--offline".to_owned(),
        ]
    }

    /// Starts the interface and waits until it answers; what listens on `hooks_port` may be told of ends.
    pub(crate) async fn rest(&self, hooks_port: u16, failpoint: &str) -> Program {
        let mut arguments = self.arguments(0);
        arguments.extend([
            format!("--port={}", self.http.port()),
            format!("--callback-allow=127.0.0.1:{hooks_port}"),
            "--rate=0".to_owned(),
        ]);
        let rest = Program::start(&program("rest"), &arguments, failpoint, &self.log("rest"));
        self.http.answers().await;
        rest
    }

    /// In the site's folder, or where `MSAAS_TEST_LOGS` says.
    fn log(&self, name: &str) -> PathBuf {
        let folder = std::env::var_os("MSAAS_TEST_LOGS").map_or_else(|| self.folder.clone(), PathBuf::from);
        folder.join(format!("{}-{name}.log", self.number))
    }

    /// What a program has logged so far.
    pub(crate) fn logged(&self, name: &str) -> String {
        std::fs::read_to_string(self.log(name)).unwrap_or_default()
    }
}

/// Ports of a program: of health and figures, of clients where it is `rest`, and of those whom it may tell of ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) admin: u16,
    pub(crate) clients: Option<u16>,
    pub(crate) hooks: u16,
}

/// The programs of this build: all of the workspace are built into one folder.
pub(crate) fn this_build() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_worker")).parent().unwrap().to_owned()
}

fn program(role: &str) -> PathBuf {
    let program = this_build().join(role);
    assert!(program.is_file(), "{} is not built: use cargo with --workspace", program.display());
    program
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn models_in(dir: &Path) -> ModelStore {
    ModelStore::open(StoreConfig { offline: true, ..StoreConfig::new(dir) }).unwrap()
}
