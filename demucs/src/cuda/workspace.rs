//! What batches need on a card beside a network: where they come to and leave from, and streams.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::model::Config;

use super::card::Card;
use super::memory::{Memory, Pinned};
use super::sequence::Sequence;
use super::step;
use super::stream::{Copying, Stream};

/// Batches that the card has at a time: one is copied while another one is computed.
pub const SLOTS: usize = 2;

/// Slots for batches, and the streams that copy and compute them.
#[derive(Debug)]
pub(super) struct Workspace {
    card: Card,
    /// Floats of a segment that comes, and of one that leaves.
    lens: [usize; 2],
    most: usize,
    slots: [Mutex<State>; SLOTS],
    places: [[Memory; 2]; SLOTS],
    coming: Stream,
    computing: Stream,
    leaving: Stream,
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
}

impl Begun {
    /// Waits for it: the host's memory, what came and what left.
    fn wait(self) -> Result<[Pinned<f32>; 2]> {
        Ok([self.coming.wait()?, self.leaving.wait()?])
    }
}

impl Workspace {
    /// Room for batches of at most so many segments.
    pub(super) fn new(card: &Card, config: &Config, most: usize) -> Result<Self> {
        let from = config.audio_channels * config.segment_frames();
        let lens = [from, from * config.sources.len()];
        let pinned = || pinned(card, lens.map(|len| most * len));
        let place = || -> Result<[Memory; 2]> {
            Ok([card.zeroed(most * lens[0] * 4)?, card.zeroed(most * lens[1] * 4)?])
        };
        Ok(Self {
            card: card.clone(),
            lens,
            most,
            slots: [Mutex::new(State::Free(Some(pinned()?))), Mutex::new(State::Free(Some(pinned()?)))],
            places: [place()?, place()?],
            coming: card.stream()?,
            computing: card.stream()?,
            leaving: card.stream()?,
        })
    }

    /// Floats of a segment that comes, and of one that leaves.
    pub(super) fn lens(&self) -> [usize; 2] {
        self.lens
    }

    /// Where the batches of a slot come to and leave from.
    pub(super) fn addresses(&self, slot: usize) -> step::Slot {
        let [mix, out] = &self.places[slot];
        step::Slot { mix: mix.address(), out: out.address() }
    }

    /// Bytes of the card that it has.
    pub(super) fn bytes(&self) -> usize {
        self.places.iter().flatten().map(Memory::bytes).sum()
    }

    /// Begins with a batch in a free slot, by the sequence for that slot; gives which one it is.
    pub(super) fn begin<'a>(
        &self,
        mix: &[f32],
        sequence: impl FnOnce(usize) -> &'a Sequence,
    ) -> Result<usize> {
        let mut slots = (0..SLOTS).map(|slot| (slot, self.slot(slot)));
        let Some((slot, mut state)) = slots.find(|(_, state)| matches!(**state, State::Free(_))) else {
            return Err(Error::Card("no slot is free for a batch".into()));
        };
        let kept = if let State::Free(kept) = &mut *state { kept.take() } else { None };
        let [mut coming, leaving] = match kept {
            Some(kept) => kept,
            None => pinned(&self.card, self.lens.map(|len| self.most * len))?,
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
        self.computing.run(sequence)?;
        self.leaving.follow(&self.computing.mark()?)?;
        let leaving = self.leaving.download(out, 0, leaving, len / self.lens[0] * self.lens[1])?;
        Ok(Begun { coming, leaving })
    }

    /// Waits for the batch of a slot, which is free then, and copies as much of it as there is room for.
    pub(super) fn finish(&self, slot: usize, out: &mut [f32]) -> Result<()> {
        let mut state = self.slot(slot);
        let begun = match mem::replace(&mut *state, State::Lost) {
            State::Begun(begun) => begun,
            other => {
                *state = other;
                return Err(Error::Card("a batch that nobody began".into()));
            }
        };
        match begun.wait() {
            Ok(kept) => {
                out.copy_from_slice(&kept[1][..out.len()]);
                *state = State::Free(Some(kept));
                Ok(())
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

fn pinned(card: &Card, lens: [usize; 2]) -> Result<[Pinned<f32>; 2]> {
    Ok([card.pinned(lens[0])?, card.pinned(lens[1])?])
}
