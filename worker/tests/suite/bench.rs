//! One service in a folder: a queue in memory, a store of files, workers as they are needed.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audio::{Format as AudioFormat, WavDepth};
use bytes::Bytes;
use common::job::{Format, Manifest, Options, Record, Title};
use common::keys::{Bucket, ObjectKey};
use common::ledger::{Keep, Ledger, NewWork};
use common::queue::memory::MemoryQueue;
use common::queue::{Claimant, Clock, Depth, Room, Rules, TaskKind, Token};
use common::storage::fs::Folder;
use common::storage::{Store, Write};
use common::{ModelName, SongHash, Tenant};
use demucs::cuda::Card;
use demucs::seeded::{checkpoint, signal, small_kwargs};
use demucs::{Compute, Device, Settings as EngineSettings};
use futures_util::TryStreamExt;
use models::{ModelStore, StoreConfig};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::{Engines, Held, Settings, Worker, WorkerError};

/// The stems of the network.
pub(crate) const STEMS: [&str; 4] = ["drums", "bass", "other", "vocals"];
/// Rate of the songs and of the network in Hz.
const RATE: u32 = 8000;

/// A service without an interface.
pub(crate) struct Bench {
    pub(crate) root: TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) queue: Arc<MemoryQueue>,
}

impl Bench {
    /// With the usual rules, but leases of a second.
    pub(crate) async fn new() -> Self {
        Self::with_leases_of(Duration::from_secs(1)).await
    }

    /// With leases that no task outlives on a busy machine: where an attempt is counted, a worker told of it.
    pub(crate) async fn patient() -> Self {
        Self::with_leases_of(Duration::from_mins(5)).await
    }

    async fn with_leases_of(lease: Duration) -> Self {
        Self::over(lease, |root| Arc::new(Folder::new(root.join("store")))).await.0
    }

    /// The same over a store of one's own below a folder.
    pub(crate) async fn over<S: Store + 'static>(
        lease: Duration,
        store: impl FnOnce(&Path) -> Arc<S>,
    ) -> (Self, Arc<S>) {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        store.prepare().await.unwrap();
        let (ledger, queue) = ledger(store.clone(), lease);
        let bench = Self { root, ledger, queue };
        bench.install("small", 7);
        (bench, store)
    }

    /// Loses the queue with all that it knows, as a process that is killed does.
    pub(crate) fn lose_the_queue(&mut self) {
        (self.ledger, self.queue) = ledger(Arc::clone(self.ledger.store()), Duration::from_secs(1));
    }

    /// The engines of one more worker.
    pub(crate) fn engines(&self) -> Arc<Engines> {
        let settings = EngineSettings { threads: 1, ..EngineSettings::default() };
        Arc::new(Engines::new(models(self.root.path()), vec![Compute::cpu()], settings))
    }

    /// The engines of a worker with two devices and batches of four segments.
    pub(crate) fn wide_engines(&self) -> Arc<Engines> {
        let settings = EngineSettings { batch: 4, threads: 1, ..EngineSettings::default() };
        let devices = vec![Compute::cpu(), Compute::cpu()];
        Arc::new(Engines::new(models(self.root.path()), devices, settings))
    }

    /// Starts a worker with [`Bench::wide_engines`] that has six songs in work at a time.
    pub(crate) fn wide_worker(&self, span_segments: Option<usize>) -> Running {
        let settings = Settings { span_segments, songs_at_once: 6, ..self.settings() };
        self.start(self.wide_engines(), settings)
    }

    /// Starts a worker on a card.
    pub(crate) fn worker_on(&self, card: &Card, settings: Settings) -> Running {
        let engine = EngineSettings { batch: 2, threads: 1, ..EngineSettings::default() };
        let compute = Compute { device: Device::Cuda(card.clone()), ..Compute::cpu() };
        let engines = Arc::new(Engines::new(models(self.root.path()), vec![compute], engine));
        self.start(engines, settings)
    }

    /// Starts a worker with one device and batches of four segments, that divides no song.
    pub(crate) fn worker_of_songs(&self, settings: Settings) -> Running {
        let engine = EngineSettings { batch: 4, threads: 1, ..EngineSettings::default() };
        let engines = Arc::new(Engines::new(models(self.root.path()), vec![Compute::cpu()], engine));
        self.start(engines, Settings { span_segments: Some(1_000_000), ..settings })
    }

    /// Installs one more network.
    pub(crate) fn install(&self, name: &str, seed: u64) {
        let weights = self.root.path().join(format!("{name}.safetensors"));
        let network = checkpoint(small_kwargs(&STEMS), seed).unwrap();
        std::fs::write(&weights, network.to_safetensors().unwrap()).unwrap();
        models(self.root.path()).import(&weights, Some(name)).unwrap();
    }

    /// Starts a worker whose spans have so many segments; none leaves it to the worker.
    pub(crate) fn worker(&self, span_segments: Option<usize>) -> Running {
        self.worker_with_decoder(span_segments, env!("CARGO_BIN_EXE_worker").into())
    }

    /// Starts a worker whose songs are decoded by processes of `decoder`.
    pub(crate) fn worker_with_decoder(&self, span_segments: Option<usize>, decoder: PathBuf) -> Running {
        let settings = Settings { span_segments, decoder: Some(decoder), ..self.settings() };
        self.start(self.engines(), settings)
    }

    /// Settings of workers here.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            decoder_hung_after: Duration::from_secs(1),
            temp_dir: Some(self.root.path().to_owned()),
            reap_every: Duration::from_millis(100),
            sweep_every: Duration::from_millis(200),
            ..Settings::default()
        }
    }

    fn start(&self, engines: Arc<Engines>, settings: Settings) -> Running {
        let worker = Worker::new(self.ledger.clone(), engines, settings);
        let stop = CancellationToken::new();
        let token = stop.clone();
        let done = tokio::spawn(async move { worker.run(&token).await });
        Running { stop, done }
    }

    /// Puts bytes into the store as a song.
    pub(crate) async fn store_song(&self, song: Vec<u8>) -> SongHash {
        let hash = SongHash::new(Sha256::digest(&song).into());
        let key = ObjectKey::song(&Tenant::default_tenant(), &hash);
        self.ledger.store().put(&key, Bytes::from(song), Write::Replace).await.unwrap();
        hash
    }

    /// Asks for a song to be separated into FLAC files.
    pub(crate) async fn submit(&self, song: SongHash) -> Record {
        self.submit_with(song, Options::default()).await
    }

    /// [`Bench::submit`] with options beside the model and the format.
    pub(crate) async fn submit_with(&self, song: SongHash, options: Options) -> Record {
        self.submit_to(small(), song, options).await
    }

    /// [`Bench::submit_with`] another network.
    pub(crate) async fn submit_to(&self, model: ModelName, song: SongHash, options: Options) -> Record {
        let options = Options { model, format: Format::Flac { bits: 24 }, ..options };
        let sources: Vec<_> = STEMS.iter().map(|stem| stem.parse().unwrap()).collect();
        let work = NewWork {
            tenant: Tenant::default_tenant(),
            song,
            options: options.checked(&sources, &[]).unwrap(),
            title: Title::default(),
            size_bytes: 1,
            cost_ms: 1000,
            callback: None,
            request_id: "test".to_owned(),
        };
        let room = Room { jobs: 100, jobs_of_tenant: 100 };
        self.ledger.accept(&work, room).await.unwrap().unwrap().record
    }

    /// Waits for a job's end.
    pub(crate) async fn end_of(&self, record: &Record) -> Manifest {
        tokio::time::timeout(Duration::from_secs(100), async {
            loop {
                if let Some(manifest) = self.ledger.manifest(record).await.unwrap() {
                    return manifest;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap()
    }

    /// Waits until the queue is at rest and nothing is pending.
    pub(crate) async fn rest(&self) {
        tokio::time::timeout(Duration::from_secs(100), async {
            loop {
                let depth = self.ledger.queue().depth().await.unwrap();
                let left = self.paths(Bucket::Queue, "work/").await;
                if (Depth { dead: depth.dead, ..Depth::default() }) == depth && left.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
    }

    /// Waits until one of the jobs has segments that are done; which is the first is not known.
    pub(crate) async fn in_work(&self, records: &[Record]) {
        tokio::time::timeout(Duration::from_secs(100), async {
            loop {
                for record in records {
                    if self.ledger.view(record).await.unwrap().progress.segments_done > 0 {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
    }

    /// The attempt of every task that nobody has, which whoever asks next would have.
    pub(crate) async fn attempts(&self) -> Vec<u32> {
        let queue = self.ledger.queue();
        while queue.depth().await.unwrap().delayed > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            queue.reap().await.unwrap();
        }
        let claimant =
            Claimant { worker: "test".to_owned(), fingerprint: String::new(), kinds: vec![TaskKind::Plan] };
        let mut held = Vec::new();
        loop {
            let token = Token::draw();
            let Some(claim) = queue.claim(&claimant, token).await.unwrap() else { break };
            held.push((claim, token));
        }
        for (claim, token) in &held {
            queue.release(claim.task, *token).await.unwrap();
        }
        held.iter().map(|(claim, _)| claim.attempt).collect()
    }

    /// Paths of all objects below a prefix.
    pub(crate) async fn paths(&self, bucket: Bucket, prefix: &str) -> Vec<String> {
        let page = self.ledger.store().list(bucket, prefix, None, 1000).await.unwrap();
        page.objects.into_iter().map(|(key, _)| key.path().to_owned()).collect()
    }

    /// The bytes of a result.
    pub(crate) async fn result(&self, record: &Record, stem: &str) -> Option<Vec<u8>> {
        let result = self.ledger.result(record, &stem.parse().unwrap()).await.unwrap()?;
        let object = self.ledger.open(record, &result, None).await.unwrap();
        let pieces: Vec<Bytes> = object.body.try_collect().await.unwrap();
        Some(pieces.concat())
    }
}

/// A worker at work.
pub(crate) struct Running {
    stop: CancellationToken,
    done: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.done.await.unwrap().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(self) -> Result<(), WorkerError> {
        self.done.await.unwrap()
    }

    /// As `kill -9` does: nothing of it runs any more, and it says nothing.
    pub(crate) fn kill(self) {
        self.done.abort();
    }
}

fn ledger(store: Arc<dyn Store>, lease: Duration) -> (Ledger, Arc<MemoryQueue>) {
    let rules = Rules {
        lease,
        retry_base: Duration::from_millis(10),
        retry_cap: Duration::from_millis(50),
        max_attempts: 20,
        ..Rules::default()
    };
    let queue = Arc::new(MemoryQueue::new(rules, Clock::Own));
    (Ledger::new(store, queue.clone(), Keep::default()), queue)
}

fn models(root: &Path) -> ModelStore {
    ModelStore::open(StoreConfig { offline: true, ..StoreConfig::new(root.join("models")) }).unwrap()
}

/// A network in hand.
pub(crate) async fn held(engines: &Engines, model: &ModelName) -> Held {
    engines.enter(engines.turn(model).await, &mut || ControlFlow::Continue(())).unwrap()
}

/// The network's name.
pub(crate) fn small() -> ModelName {
    "small".parse().unwrap()
}

/// A song of `frames` frames as a WAV file.
pub(crate) fn song(frames: usize) -> Vec<u8> {
    let mut wav = Cursor::new(Vec::new());
    let mut encoder = AudioFormat::Wav(WavDepth::Float32).encoder(&mut wav, RATE, 2).unwrap();
    encoder.write(&signal(frames)).unwrap();
    encoder.finish().unwrap();
    wav.into_inner()
}
