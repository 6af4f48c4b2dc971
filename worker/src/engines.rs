//! The networks that this worker has, and what its results depend on.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use common::{ModelName, SongHash};
use demucs::{Bag, Compute, Loudness, Request, Separator, Settings, Span, Stem};
use models::{FetchEvent, ModelStore};
use separation::{Engine, Song, Stop};
use sha2::{Digest, Sha256};

use crate::pace::Pace;

/// Engines, one for each device. They load networks when they are asked for, and each keeps the last one.
#[derive(Debug)]
pub struct Engines {
    store: ModelStore,
    settings: Settings,
    places: Vec<Arc<Place>>,
    /// Held while a task chooses.
    choice: Mutex<()>,
}

/// A device and what is loaded there.
#[derive(Debug)]
struct Place {
    compute: Compute,
    pace: Pace,
    state: Mutex<State>,
    /// Tasks that use it or wait for it.
    tasks: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    loaded: Option<Arc<Loaded>>,
    /// The network that comes when no task uses the one that is there: two at a time would need twice the memory.
    next: Option<ModelName>,
}

/// A network that is ready.
#[derive(Debug)]
pub struct Loaded {
    model: ModelName,
    engine: Engine,
    pace: Pace,
}

/// A network in the hands of a task.
#[derive(Debug)]
pub struct Held {
    loaded: Arc<Loaded>,
    _turn: Turn,
}

/// A task's share in a place.
#[derive(Debug)]
struct Turn(Arc<Place>);

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

/// How often a task that waits for a place looks again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Engines {
    /// Engines on `devices` of one kind with weights from `store`.
    #[must_use]
    pub fn new(store: ModelStore, devices: Vec<Compute>, settings: Settings) -> Self {
        let place = |compute: Compute| {
            let pace = Pace::new(compute.name(), settings.batch);
            Arc::new(Place { compute, pace, state: Mutex::default(), tasks: AtomicUsize::new(0) })
        };
        let places = devices.into_iter().map(place).collect();
        Self { store, settings, places, choice: Mutex::new(()) }
    }

    /// An engine of a model on the device with the least to do; fetches and loads it where that has not happened.
    /// Blocks; `watch` hears of every bit of progress.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn get(&self, model: &ModelName, watch: &mut dyn FnMut()) -> Result<Held, EngineError> {
        let turn = self.choose(model);
        loop {
            if let Some(loaded) = self.of(&turn.0, model, watch)? {
                return Ok(Held { loaded, _turn: turn });
            }
            // Who uses the place, or loads a network there, has a lease to answer for.
            watch();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Loads a network on every device and runs it, so that the first song finds it ready. Blocks.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn warm_up(&self, model: &ModelName) -> Result<(), EngineError> {
        for place in &self.places {
            let loaded = loop {
                if let Some(loaded) = self.of(place, model, &mut || ())? {
                    break loaded;
                }
                std::thread::sleep(LOOK_EVERY);
            };
            if loaded.segment_s().is_none() {
                loaded.warm_up()?;
            }
        }
        Ok(())
    }

    /// How many songs the engines can use at a time: one each, and where several segments share a batch as many as this
    /// machine's cores can decode and encode.
    #[must_use]
    pub fn songs_at_once(&self) -> usize {
        let devices = self.places.len();
        if self.places.iter().all(|place| place.pace.batch() <= 1) {
            return devices;
        }
        std::thread::available_parallelism().map_or(1, usize::from).max(devices)
    }

    fn choose(&self, model: &ModelName) -> Turn {
        let _choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = |place: &&Arc<Place>| {
            let tasks = place.tasks.load(Ordering::SeqCst);
            let has = place.state.try_lock().is_ok_and(|state| state.has(model));
            // Where tasks use another network, they have to end first.
            (tasks > 0 && !has, tasks, !has)
        };
        let place = self.places.iter().min_by_key(rank).unwrap_or(&self.places[0]);
        place.tasks.fetch_add(1, Ordering::SeqCst);
        Turn(Arc::clone(place))
    }

    /// The engine of a model at a place; none as long as others use the place.
    fn of(
        &self,
        place: &Place,
        model: &ModelName,
        watch: &mut dyn FnMut(),
    ) -> Result<Option<Arc<Loaded>>, EngineError> {
        let mut state = match place.state.try_lock() {
            Ok(state) => state,
            // A load that broke off left nothing behind but an empty place.
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        if state.next.as_ref().is_some_and(|next| next != model) {
            return Ok(None);
        }
        if state.has(model) {
            return Ok(state.loaded.clone());
        }
        let in_use = |loaded: &Arc<Loaded>| !loaded.engine.has_ended() && Arc::strong_count(loaded) > 1;
        if state.loaded.as_ref().is_some_and(in_use) {
            state.next = Some(model.clone());
            return Ok(None);
        }
        (state.loaded, state.next) = (None, None);
        let loaded = Arc::new(self.load(place, model, watch)?);
        state.loaded = Some(Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    fn load(&self, place: &Place, model: &ModelName, watch: &mut dyn FnMut()) -> Result<Loaded, EngineError> {
        self.store.ensure(model.as_str(), &mut |event| {
            watch();
            if !matches!(event, FetchEvent::Progress { .. }) {
                tracing::info!(%model, "{event}");
            }
        })?;
        watch();
        let bag = self.store.load(model.as_str(), None)?;
        let bag = Bag::new(bag.members, bag.weights.as_deref(), &place.compute)?;
        let separator = Separator::new(bag, self.settings)?;
        let measured = place.pace.begin(separator.batch());
        let meter = measured.clone();
        let engine = Engine::start_watched(separator, move |load| meter.add(load))?;
        let loaded = Loaded { model: model.clone(), engine, pace: measured };
        if loaded.engine.batch() > 1 {
            loaded.warm_up()?;
        }
        Ok(loaded)
    }

    /// What the bits of results depend on beside the weights, which are pinned by name: two workers with the
    /// same text may share a song.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        // The devices are of one kind.
        let compute = &self.places[0].compute;
        for part in [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, &compute.resolved()] {
            digest.update(part);
            digest.update([0]);
        }
        SongHash::new(digest.finalize().into()).to_string()[..16].to_owned()
    }
}

impl State {
    fn has(&self, model: &ModelName) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.model == *model && !loaded.engine.has_ended())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Deref for Held {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl Loaded {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs the network on silence: a segment, or where more pass through it together a batch of them, and again, since
    /// the first one takes what the others find.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn warm_up(&self) -> Result<(), EngineError> {
        self.run()?;
        if self.engine.batch() > 1 {
            self.pace.forget();
            self.run()?;
        }
        Ok(())
    }

    fn run(&self) -> Result<(), EngineError> {
        let (rate, count) = (self.engine.rate(), self.engine.batch());
        // Short chunks: the network sees whole segments around them.
        let chunk = rate.div_ceil(100);
        let song = Song::silence(count * chunk as usize, rate)?;
        let request = Request {
            overlap: 0.0,
            chunk_s: Some(f64::from(chunk) / f64::from(rate)),
            ..Request::new(Stem::all(self.engine.sources()))
        };
        let loudness = Loudness { mean: 0.0, deviation: 1.0 };
        let span = Span { pass: 0, first: 0, count };
        separation::span(&self.engine, song, &request, loudness, span, &Stop::default(), &mut |_| ())?;
        Ok(())
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

    /// Measured seconds of the device for one segment; none before the first.
    #[must_use]
    pub fn segment_s(&self) -> Option<f64> {
        self.pace.segment_s()
    }
}
