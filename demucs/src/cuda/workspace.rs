//! What batches need on a card beside weights. The networks of a bag that are of one kind share it, as their batches are computed
//! one after the other.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::model::Config;

use super::card::Card;
use super::memory::{Budget, Memory, Pinned};
use super::sequence::Sequence;
use super::step;
use super::stream::{Copying, Event, Stream};

/// Batches that the card has at a time: one is copied while another one is computed.
pub const SLOTS: usize = 2;

/// Slots for batches, the streams that copy and compute them, and what is between the steps of a network.
#[derive(Debug)]
pub(super) struct Workspace {
    card: Card,
    /// Of the networks that it is for.
    config: Config,
    most: usize,
    slots: [Mutex<State>; SLOTS],
    /// Where batches come to and leave from.
    pub(super) places: [[Memory; 2]; SLOTS],
    coming: Stream,
    computing: Stream,
    leaving: Stream,
    buffers: Buffers,
}

/// What the steps of a network write and read. A network of the same kind asks for the same ones in the same order, and leaves zeros where
/// the others do.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    memory: Vec<Memory>,
    /// Those that the network in hand has.
    given: usize,
}

impl Buffers {
    /// Begins with another network.
    pub(super) fn rewind(&mut self) {
        self.given = 0;
    }

    /// Where the next one is.
    pub(super) fn next(&mut self, bytes: usize, budget: &mut Budget) -> Result<u64> {
        if self.given == self.memory.len() {
            self.memory.push(budget.zeroed(bytes)?);
        }
        let memory = &self.memory[self.given];
        assert_eq!(memory.bytes(), bytes, "networks of one kind have the same buffers");
        self.given += 1;
        Ok(memory.address())
    }

    pub(super) fn into_memory(self) -> Vec<Memory> {
        self.memory
    }
}

/// What a slot is doing.
#[derive(Debug)]
enum State {
    /// It has the host's memory of the last batch, unless that failed.
    Free(Option<[Pinned<f32>; 2]>),
    Begun(Begun),
    /// The card failed, and nobody knows what it does.
    Lost,
}

/// A batch that the card has.
#[derive(Debug)]
struct Begun {
    coming: Copying<f32>,
    leaving: Copying<f32>,
    /// In front of its launches, and behind them.
    computed: [Event; 2],
}

impl Begun {
    /// Waits for it: the host's memory, what came and what left, and the seconds that it was computed for.
    fn wait(self) -> Result<([Pinned<f32>; 2], f64)> {
        let kept = [self.coming.wait()?, self.leaving.wait()?];
        let [from, to] = &self.computed;
        Ok((kept, to.seconds_since(from)?))
    }
}

impl Workspace {
    /// Room for batches of at most so many segments of such a network.
    pub(super) fn new(config: &Config, most: usize, budget: &mut Budget) -> Result<Self> {
        let card = budget.card().clone();
        let lens = lens(config);
        let mut place = || -> Result<[Memory; 2]> {
            Ok([budget.zeroed(most * lens[0] * 4)?, budget.zeroed(most * lens[1] * 4)?])
        };
        let places = [place()?, place()?];
        let slot = || -> Result<_> { Ok(Mutex::new(State::Free(Some(pinned(&card, lens, most)?)))) };
        Ok(Self {
            config: config.clone(),
            most,
            slots: [slot()?, slot()?],
            places,
            coming: card.stream()?,
            computing: card.stream()?,
            leaving: card.stream()?,
            buffers: Buffers::default(),
            card,
        })
    }

    /// Of the networks that it is for.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Segments of the largest batch.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// For who compiles such a network.
    pub(super) fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Floats of a segment that comes, and of one that leaves.
    pub(super) fn lens(&self) -> [usize; 2] {
        lens(&self.config)
    }

    /// Where the batches of a slot come to and leave from.
    pub(super) fn addresses(&self, slot: usize) -> step::Slot {
        let [mix, out] = &self.places[slot];
        step::Slot { mix: mix.address(), out: out.address() }
    }

    /// Bytes of the card that it has.
    pub(super) fn bytes(&self) -> usize {
        self.places.iter().flatten().chain(&self.buffers.memory).map(Memory::bytes).sum()
    }

    /// Begins with a batch in a free slot, by the sequence for that slot; gives which one it is.
    pub(super) fn begin<'a>(
        &self,
        mix: &[f32],
        sequence: impl FnOnce(usize) -> &'a Sequence,
    ) -> Result<usize> {
        let mut slots = (0..SLOTS).map(|slot| (slot, self.slot(slot)));
        let Some((slot, mut state)) = slots.find(|(_, state)| matches!(**state, State::Free(_))) else {
            let lost = (0..SLOTS).any(|slot| matches!(*self.slot(slot), State::Lost));
            let why = if lost { "it failed before" } else { "no slot is free for a batch" };
            return Err(Error::Card(why.into()));
        };
        let kept = if let State::Free(kept) = &mut *state { kept.take() } else { None };
        let [mut coming, leaving] = match kept {
            Some(kept) => kept,
            None => pinned(&self.card, self.lens(), self.most)?,
        };
        coming[..mix.len()].copy_from_slice(mix);
        match self.enqueue(slot, mix.len(), [coming, leaving], sequence(slot)) {
            Ok(begun) => {
                *state = State::Begun(begun);
                Ok(slot)
            }
            Err(error) => {
                *state = self.after_failure();
                Err(error)
            }
        }
    }

    fn enqueue(
        &self,
        slot: usize,
        len: usize,
        [coming, leaving]: [Pinned<f32>; 2],
        sequence: &Sequence,
    ) -> Result<Begun> {
        let [mix, out] = &self.places[slot];
        let coming = self.coming.upload(coming, len, mix, 0)?;
        self.computing.follow(coming.done())?;
        let from = self.computing.mark()?;
        self.computing.run(sequence)?;
        let to = self.computing.mark()?;
        self.leaving.follow(&to)?;
        let [came, leaves] = self.lens();
        let leaving = self.leaving.download(out, 0, leaving, len / came * leaves)?;
        Ok(Begun { coming, leaving, computed: [from, to] })
    }

    /// Waits for the batch of a slot, which is free then, and copies as much of it as there is room for; gives the seconds that it was
    /// computed for.
    pub(super) fn finish(&self, slot: usize, out: &mut [f32]) -> Result<f64> {
        let mut state = self.slot(slot);
        let begun = match mem::replace(&mut *state, State::Lost) {
            State::Begun(begun) => begun,
            other => {
                *state = other;
                return Err(Error::Card("a batch that nobody began".into()));
            }
        };
        match begun.wait() {
            Ok((kept, seconds)) => {
                out.copy_from_slice(&kept[1][..out.len()]);
                *state = State::Free(Some(kept));
                Ok(seconds)
            }
            Err(error) => {
                *state = self.after_failure();
                Err(error)
            }
        }
    }

    /// What a slot is whose batch failed: free as soon as the card has done what it was given of it, which it has unless it
    /// failed itself.
    fn after_failure(&self) -> State {
        // All three, whatever the first one says.
        let done = [&self.coming, &self.computing, &self.leaving].map(Stream::finish);
        if done.iter().all(Result::is_ok) { State::Free(None) } else { State::Lost }
    }

    /// The stream that computes, while no batch can begin or end in the first slot.
    pub(super) fn alone<T>(&self, run: impl FnOnce(&Stream) -> Result<T>) -> Result<T> {
        let _alone = self.slot(0);
        run(&self.computing)
    }

    fn slot(&self, slot: usize) -> MutexGuard<'_, State> {
        self.slots[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lens(config: &Config) -> [usize; 2] {
    let from = config.audio_channels * config.segment_frames();
    [from, from * config.sources.len()]
}

fn pinned(card: &Card, lens: [usize; 2], most: usize) -> Result<[Pinned<f32>; 2]> {
    Ok([card.pinned(most * lens[0])?, card.pinned(most * lens[1])?])
}
