//! A network that is ready, and a task's hold on it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::ModelName;
use demucs::{Loudness, Request, Stem};
use separation::{Engine, Song, Stop};

use super::place::Share;
use super::{EngineError, Watch, go_on};
use crate::pace::Pace;

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
    /// Goes last: it says that the network is free.
    _share: Share,
}

impl Held {
    pub(super) fn new(loaded: Arc<Loaded>, share: Share) -> Self {
        Self { loaded, _share: share }
    }
}

impl Deref for Held {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl Loaded {
    pub(super) fn new(model: ModelName, engine: Engine, pace: Pace) -> Self {
        Self { model, engine, pace }
    }

    /// Whether it is this network, and can still be used.
    pub(super) fn is(&self, model: &ModelName) -> bool {
        self.model == *model && !self.engine.has_ended()
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs every network of the bag on silence: a segment, or where more pass through it together a batch of them, and again,
    /// since the first one takes what the others find.
    pub(super) fn warm_up(&self, watch: Watch<'_>) -> Result<(), EngineError> {
        self.run(watch)?;
        if self.engine.batch() > 1 {
            self.pace.forget();
            self.run(watch)?;
        }
        Ok(())
    }

    fn run(&self, watch: Watch<'_>) -> Result<(), EngineError> {
        let (rate, count) = (self.engine.rate(), self.engine.batch());
        // Short chunks: the network sees whole segments around them.
        let chunk = rate.div_ceil(100);
        let frames = count * chunk as usize;
        let request = Request {
            overlap: 0.0,
            chunk_s: Some(f64::from(chunk) / f64::from(rate)),
            ..Request::new(Stem::all(self.engine.sources()))
        };
        let loudness = Loudness { mean: 0.0, deviation: 1.0 };
        let mut song = Song::silence(frames, rate)?;
        // A span for each pass.
        for span in self.engine.spans(frames, &request, usize::MAX)? {
            let stop = Stop::default();
            (song, _) = separation::span(&self.engine, song, &request, loudness, span, &stop, &mut |_| ())?;
            go_on(watch)?;
        }
        Ok(())
    }

    /// Counts audio of a song that was separated in `time`, which it may have shared with others.
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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use demucs::seeded::{checkpoint, small_kwargs};
    use demucs::{Bag, Compute, Separator, Settings};

    use super::*;

    #[test]
    fn every_network_of_a_bag_is_warm() -> Result<(), Box<dyn std::error::Error>> {
        let networks = [1, 2].map(|seed| checkpoint(small_kwargs(&["drums", "bass"]), seed));
        let networks = networks.into_iter().collect::<Result<Vec<_>, _>>()?;
        let bag = Bag::new(networks, None, &Compute::cpu())?;
        let separator = Separator::new(bag, Settings { batch: 3, threads: 1, ..Settings::default() })?;
        let (loads, seen) = std::sync::mpsc::channel();
        let engine = Engine::start_watched(separator, move |load| {
            let _ = loads.send(load.segments);
        })?;
        let pace = Pace::new("cpu".to_owned(), 3);
        let loaded = Loaded::new("two".parse()?, engine, pace);
        loaded.warm_up(&mut || ControlFlow::Continue(()))?;
        assert!(matches!(loaded.warm_up(&mut || ControlFlow::Break(())), Err(EngineError::Unwanted)));
        drop(loaded);
        // Twice, and once where it is not wanted any more.
        assert_eq!(seen.iter().collect::<Vec<_>>(), [3; 5]);
        Ok(())
    }
}
