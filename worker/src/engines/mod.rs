//! The networks that this worker has, and what its results depend on.

mod loaded;
mod place;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{ModelName, SongHash};
use demucs::{Bag, Compute, Separator, Settings};
use models::{FetchEvent, ModelStore};
use separation::Engine;
use sha2::{Digest, Sha256};

use self::place::Place;

pub use self::loaded::{Held, Loaded};
pub use self::place::Turn;

/// Engines, one for each device. They load networks when they are asked for, and each keeps the last one.
#[derive(Debug)]
pub struct Engines {
    store: ModelStore,
    settings: Settings,
    places: Vec<Arc<Place>>,
    /// Held while a task chooses.
    choice: Mutex<()>,
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
    /// Who wanted it does not want it any more.
    #[error("the network is not wanted any more")]
    Unwanted,
}

/// Hears of every bit of progress, and says whether the network is still wanted.
pub type Watch<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// Songs that fill the batches of a device, while some of them are decoded and others are encoded.
const SONGS_OF_DEVICE: usize = 8;

/// How often the start of a worker looks for a place.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Engines {
    /// Engines on `devices` of one kind with weights from `store`.
    #[must_use]
    pub fn new(store: ModelStore, devices: Vec<Compute>, settings: Settings) -> Self {
        let place = |compute| Arc::new(Place::new(compute, settings.batch));
        let places = devices.into_iter().map(place).collect();
        Self { store, settings, places, choice: Mutex::new(()) }
    }

    /// Waits for a network on the device with the least to do: until it is there, or nobody uses the one that is. Who
    /// stops to wait drops this, and nothing has changed.
    pub async fn turn(&self, model: &ModelName) -> Turn {
        self.choose(model).turn(model).await
    }

    /// The network of a turn; fetches and loads it where it is not there. Blocks.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn enter(&self, turn: Turn, watch: Watch<'_>) -> Result<Held, EngineError> {
        if let Some(model) = turn.missing() {
            self.fetch(model, watch)?;
        }
        turn.enter(|place, model| self.load(place, model, watch))
    }

    /// Loads a network on every device and runs it, so that the first song finds it ready. Blocks.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn warm_up(&self, model: &ModelName) -> Result<(), EngineError> {
        let wanted = &mut || ControlFlow::Continue(());
        for place in &self.places {
            let turn = loop {
                match Place::share(place).turn_now(model) {
                    Some(turn) => break turn,
                    None => std::thread::sleep(LOOK_EVERY),
                }
            };
            let held = self.enter(turn, wanted)?;
            if held.segment_s().is_none() {
                held.warm_up(wanted)?;
            }
        }
        Ok(())
    }

    /// How many songs the engines can use at a time: one each, and where several segments share a batch as many as fill
    /// them, but no more than this machine's cores can decode and encode.
    #[must_use]
    pub fn songs_at_once(&self) -> usize {
        let devices = self.places.len();
        if self.places.iter().all(|place| place.pace().batch() <= 1) {
            return devices;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (SONGS_OF_DEVICE * devices).min(cores).max(devices)
    }

    fn choose(&self, model: &ModelName) -> place::Share {
        let _choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = |place: &&Arc<Place>| {
            let (tasks, has) = (place.tasks(), place.has(model));
            // Where tasks use another network, they have to end first.
            (tasks > 0 && !has, tasks, !has)
        };
        Place::share(self.places.iter().min_by_key(rank).unwrap_or(&self.places[0]))
    }

    fn fetch(&self, model: &ModelName, watch: Watch<'_>) -> Result<(), EngineError> {
        self.store.ensure(model.as_str(), &mut |event| {
            // Nobody leaves in the middle of a fetch.
            let _ = watch();
            if !matches!(event, FetchEvent::Progress { .. }) {
                tracing::info!(%model, "{event}");
            }
        })?;
        go_on(watch)
    }

    fn load(&self, place: &Place, model: &ModelName, watch: Watch<'_>) -> Result<Loaded, EngineError> {
        let bag = self.store.load(model.as_str(), None)?;
        go_on(watch)?;
        let bag = Bag::new(bag.members, bag.weights.as_deref(), place.compute())?;
        go_on(watch)?;
        let separator = Separator::new(bag, self.settings)?;
        let measured = place.pace().begin(separator.batch());
        let meter = measured.clone();
        let engine = Engine::start_watched(separator, move |load| meter.add(load))?;
        let loaded = Loaded::new(model.clone(), engine, measured);
        if loaded.engine().batch() > 1 {
            loaded.warm_up(watch)?;
        }
        go_on(watch)?;
        Ok(loaded)
    }

    /// What the bits of results depend on beside the weights, which are pinned by name: two workers with the
    /// same text may share a song.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        // The devices are of one kind.
        let compute = self.places[0].compute();
        for part in [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, &compute.resolved()] {
            digest.update(part);
            digest.update([0]);
        }
        SongHash::new(digest.finalize().into()).to_string()[..16].to_owned()
    }
}

/// Something is done on the way to a network.
fn go_on(watch: Watch<'_>) -> Result<(), EngineError> {
    match watch() {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EngineError::Unwanted),
    }
}
