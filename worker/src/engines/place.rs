//! A device, what is loaded there, and who waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::ModelName;
use demucs::Compute;
use tokio::sync::watch;

use super::{EngineError, Held, Loaded};
use crate::pace::Pace;

#[derive(Debug)]
pub(super) struct Place {
    compute: Compute,
    pace: Pace,
    state: Mutex<State>,
    /// Tasks that use it or wait for it.
    tasks: AtomicUsize,
    /// Told when a task has gone, or a network has come.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    loaded: Option<Arc<Loaded>>,
    /// Two networks at a time would need twice the memory.
    loading: bool,
    /// Who waits, by number, and for what. The first one decides what comes next: else tasks for the network that is
    /// loaded could keep it there for ever.
    waiting: Vec<(u64, ModelName)>,
    /// The number of who comes next.
    next: u64,
}

/// A task's share in a place.
#[derive(Debug)]
pub(super) struct Share(Arc<Place>);

/// A task's turn at a place: the network is there, or is the task's to load.
#[derive(Debug)]
pub struct Turn {
    model: ModelName,
    found: Found,
    share: Share,
}

#[derive(Debug)]
enum Found {
    Loaded(Arc<Loaded>),
    Vacancy(Vacancy),
}

/// The right to load a network, until this is dropped.
#[derive(Debug)]
struct Vacancy {
    place: Arc<Place>,
    /// What nobody uses any more.
    old: Option<Arc<Loaded>>,
}

impl Place {
    /// A device with nothing on it, whose batches have at most so many segments.
    pub(super) fn new(compute: Compute, batch: usize) -> Self {
        let pace = Pace::new(compute.name(), batch);
        let (state, tasks, news) = (Mutex::default(), AtomicUsize::new(0), watch::Sender::new(()));
        Self { compute, pace, state, tasks, news }
    }

    pub(super) fn compute(&self) -> &Compute {
        &self.compute
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Tasks that use it or wait for it.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::SeqCst)
    }

    /// Whether a network is loaded.
    pub(super) fn has(&self, model: &ModelName) -> bool {
        self.state().has(model)
    }

    /// One more task comes.
    pub(super) fn share(place: &Arc<Self>) -> Share {
        place.tasks.fetch_add(1, Ordering::SeqCst);
        Share(Arc::clone(place))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has(&self, model: &ModelName) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.is(model))
    }

    /// What there is for who waits for `model`, if it is its turn.
    fn find(&mut self, model: &ModelName, place: &Arc<Place>) -> Option<Found> {
        if self.waiting.first().is_some_and(|(_, first)| first != model) {
            return None;
        }
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.is(model)) {
            return Some(Found::Loaded(Arc::clone(loaded)));
        }
        if self.loading || self.loaded.as_ref().is_some_and(|loaded| Arc::strong_count(loaded) > 1) {
            return None;
        }
        self.loading = true;
        // All that want this one come in with it.
        self.waiting.sort_by_key(|(_, other)| other != model);
        Some(Found::Vacancy(Vacancy { place: Arc::clone(place), old: self.loaded.take() }))
    }
}

impl Share {
    /// Waits for the turn of a task that wants `model`.
    pub(super) async fn turn(self, model: &ModelName) -> Turn {
        let found = {
            let mut news = self.0.news.subscribe();
            let waiting = Waiting::begin(&self.0, model);
            loop {
                let found = self.0.state().find(waiting.model, &self.0);
                if let Some(found) = found {
                    break found;
                }
                // The sender is the place's own.
                let _ = news.changed().await;
            }
        };
        Turn { model: model.clone(), found, share: self }
    }

    /// The same where nothing has to be waited for.
    pub(super) fn turn_now(self, model: &ModelName) -> Option<Turn> {
        let found = self.0.state().find(model, &self.0)?;
        Some(Turn { model: model.clone(), found, share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::SeqCst);
        self.0.news.send_replace(());
    }
}

/// A place in the line, until this is dropped.
struct Waiting<'a> {
    place: &'a Place,
    number: u64,
    model: &'a ModelName,
}

impl<'a> Waiting<'a> {
    fn begin(place: &'a Place, model: &'a ModelName) -> Self {
        let mut state = place.state();
        let number = state.next;
        state.next += 1;
        state.waiting.push((number, model.clone()));
        Self { place, number, model }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.place.state().waiting.retain(|(number, _)| *number != self.number);
        self.place.news.send_replace(());
    }
}

impl Turn {
    /// The network, where it is not loaded.
    pub(super) fn missing(&self) -> Option<&ModelName> {
        matches!(self.found, Found::Vacancy(_)).then_some(&self.model)
    }

    /// The network, which `load` loads where it is not there. Blocks.
    pub(super) fn enter(
        self,
        load: impl FnOnce(&Place, &ModelName) -> Result<Loaded, EngineError>,
    ) -> Result<Held, EngineError> {
        let Self { model, found, share } = self;
        let loaded = match found {
            Found::Loaded(loaded) => loaded,
            Found::Vacancy(mut vacancy) => {
                // Its memory is free before the next one asks for some.
                vacancy.old = None;
                let loaded = Arc::new(load(&vacancy.place, &model)?);
                vacancy.place.state().loaded = Some(Arc::clone(&loaded));
                loaded
            }
        };
        Ok(Held::new(loaded, share))
    }
}

impl Drop for Vacancy {
    fn drop(&mut self) {
        let mut state = self.place.state();
        state.loading = false;
        // Nothing was loaded in its place: it stays.
        if let Some(old) = self.old.take() {
            state.loaded = Some(old);
        }
        drop(state);
        self.place.news.send_replace(());
    }
}
