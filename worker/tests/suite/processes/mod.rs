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
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { servers: Arc::clone(servers), number, http: Http::new(port), s3, collector: None, folder }
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

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--redis-url={}", self.redis_url()),
            format!("--lease={LEASE_S}"),
            "--address=127.0.0.1".to_owned(),
            "--admin-port=0".to_owned(),
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
        let mut arguments = self.arguments();
        arguments.extend([
            format!("--model={MODEL}"),
            format!("--model-dir={}", self.servers.models_dir().display()),
            format!("--temp-dir={}", self.temp_dir().display()),
            format!("--span-segments={SPAN_SEGMENTS}"),
            "--threads=1".to_owned(),
            "--sweep-every=5".to_owned(),
            "--offline".to_owned(),
        ]);
        arguments.extend(further.iter().map(ToString::to_string));
        Program::start(Path::new(env!("CARGO_BIN_EXE_worker")), &arguments, failpoint, &self.log(name))
    }

    /// Starts the interface and waits until it answers; what listens on `hooks_port` may be told of ends.
    pub(crate) async fn rest(&self, hooks_port: u16, failpoint: &str) -> Program {
        let mut arguments = self.arguments();
        arguments.extend([
            format!("--port={}", self.http.port()),
            format!("--callback-allow=127.0.0.1:{hooks_port}"),
            "--rate=0".to_owned(),
            "--grpc-port=0".to_owned(),
        ]);
        // Beside the worker: all programs of the workspace are built into one folder.
        let program = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("rest");
        assert!(program.is_file(), "{} is not built: use cargo with --workspace", program.display());
        let rest = Program::start(&program, &arguments, failpoint, &self.log("rest"));
        self.http.answers().await;
        rest
    }

    /// In the site's folder, or where `MSAAS_TEST_LOGS` says.
    fn log(&self, name: &str) -> PathBuf {
        let folder = std::env::var_os("MSAAS_TEST_LOGS").map_or_else(|| self.folder.clone(), PathBuf::from);
        folder.join(format!("{}-{name}.log", self.number))
    }
}

fn models_in(dir: &Path) -> ModelStore {
    ModelStore::open(StoreConfig { offline: true, ..StoreConfig::new(dir) }).unwrap()
}
