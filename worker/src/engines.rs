//! The networks that this worker has, and what its results depend on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{ModelName, SongHash};
use demucs::{Bag, Compute, Loudness, Request, Separator, Settings, Span, Stem};
use models::{FetchEvent, ModelStore};
use separation::{Engine, Song, Stop};
use sha2::{Digest, Sha256};

/// Loads networks when they are asked for and keeps the last one.
#[derive(Debug)]
pub struct Engines {
    store: ModelStore,
    compute: Compute,
    settings: Settings,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// A network that is ready.
#[derive(Debug)]
pub struct Loaded {
    model: ModelName,
    engine: Engine,
    /// Measured seconds for one segment.
    segment_s: Mutex<Option<f64>>,
}

/// Why a network cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its weights cannot be fetched, read or understood.
    #[error(transparent)]
    Models(#[from] models::ModelsError),
    /// The network cannot be built from them.
    #[error(transparent)]
    Network(#[from] demucs::Error),
    /// Its thread cannot be started.
    #[error(transparent)]
    Engine(#[from] separation::Error),
}

impl Engines {
    /// Engines on `device` with weights from `store`.
    #[must_use]
    pub fn new(store: ModelStore, compute: Compute, settings: Settings) -> Self {
        Self { store, compute, settings, loaded: Mutex::new(None) }
    }

    /// The engine of a model; fetches and loads it where that has not happened. Blocks; `watch`
    /// hears of every bit of progress.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn get(&self, model: &ModelName, watch: &mut dyn FnMut()) -> Result<Arc<Loaded>, EngineError> {
        // A load that broke off left nothing behind but an empty place.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |engine: &&Arc<Loaded>| engine.model == *model && !engine.engine.has_ended();
        if let Some(engine) = loaded.as_ref().filter(usable) {
            return Ok(Arc::clone(engine));
        }
        // The old one goes first: two networks at a time would need twice the memory.
        *loaded = None;
        self.store.ensure(model.as_str(), &mut |event| {
            watch();
            if !matches!(event, FetchEvent::Progress { .. }) {
                tracing::info!(%model, "{event}");
            }
        })?;
        watch();
        let bag = self.store.load(model.as_str(), None)?;
        let bag = Bag::new(bag.members, bag.weights.as_deref(), &self.compute)?;
        let engine = Engine::start(Separator::new(bag, self.settings)?)?;
        let engine = Arc::new(Loaded { model: model.clone(), engine, segment_s: Mutex::new(None) });
        *loaded = Some(Arc::clone(&engine));
        Ok(engine)
    }

    /// What the bits of results depend on beside the weights, which are pinned by name: two workers with the
    /// same text may share a song.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for part in [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, &self.compute.resolved()] {
            digest.update(part);
            digest.update([0]);
        }
        SongHash::new(digest.finalize().into()).to_string()[..16].to_owned()
    }
}

impl Loaded {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs the network once on a second of silence.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn warm_up(&self) -> Result<(), EngineError> {
        let start = std::time::Instant::now();
        let song = Song::silence(self.engine.rate() as usize, self.engine.rate())?;
        let request = Request::new(Stem::all(self.engine.sources()));
        let loudness = Loudness { mean: 0.0, deviation: 1.0 };
        let first = Span { pass: 0, first: 0, count: 1 };
        separation::span(&self.engine, song, &request, loudness, first, &Stop::default(), &mut |_| ())?;
        self.measured(1, start.elapsed());
        Ok(())
    }

    /// Learns how long `segments` took.
    pub fn measured(&self, segments: usize, time: Duration) {
        if segments == 0 {
            return;
        }
        let now = time.as_secs_f64() / segments as f64;
        if let Ok(mut segment_s) = self.segment_s.lock() {
            *segment_s = Some(segment_s.map_or(now, |before| 0.7 * before + 0.3 * now));
        }
    }

    /// Counts audio of a song that was separated in `time`.
    pub(crate) fn separated(&self, audio_s: f64, time: Duration) {
        // Counters are whole numbers, songs are not.
        static SEPARATED_MS: AtomicU64 = AtomicU64::new(0);
        let more_ms = (audio_s * 1e3) as u64;
        let sum_ms = SEPARATED_MS.fetch_add(more_ms, Ordering::Relaxed) + more_ms;
        metrics::counter!("msaas_separated_audio_seconds_total").absolute(sum_ms / 1000);
        let factor = audio_s / time.as_secs_f64().max(1e-6);
        metrics::gauge!("msaas_realtime_factor", "model" => self.model.to_string()).set(factor);
    }

    /// Measured seconds for one segment; none before the first.
    #[must_use]
    pub fn segment_s(&self) -> Option<f64> {
        self.segment_s.lock().ok().and_then(|segment_s| *segment_s)
    }
}
