//! A checkpoint on its way to a card, and the network there.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::model::Config;
use crate::weights::Checkpoint;

use super::card::Card;
use super::network::{Compiled, Precision, check};

/// A network that is compiled as soon as it is known how large batches are to be, or when it is used.
#[derive(Debug)]
pub struct OnCard {
    card: Card,
    precision: Precision,
    config: Config,
    compiled: OnceLock<Compiled>,
    /// Until it is compiled.
    checkpoint: Mutex<Option<Checkpoint>>,
}

impl OnCard {
    /// The network of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network that the kernels have no room for, and those of [`Config::from_kwargs`].
    pub fn new(checkpoint: Checkpoint, card: &Card, kernels: Kernels) -> Result<Self> {
        let config = Config::from_kwargs(&checkpoint.kwargs)?;
        check(&config)?;
        let precision = if kernels == Kernels::Single { Precision::Single } else { Precision::Half };
        let checkpoint = Mutex::new(Some(checkpoint));
        Ok(Self { card: card.clone(), precision, config, compiled: OnceLock::new(), checkpoint })
    }

    /// Compiles the networks of a bag for batches of at most so many segments, or fewer where memory does not hold them; gives how many.
    ///
    /// # Errors
    /// Those of [`Compiled::all`].
    pub fn settle(networks: &[&Self], most: usize, budget: Option<usize>) -> Result<usize> {
        // Who comes meanwhile waits.
        let mut held: Vec<_> = networks.iter().map(|network| network.checkpoint()).collect();
        let new = networks.iter().zip(&mut held);
        let new: Vec<_> = new.filter_map(|(network, held)| Some((network, held.take()?))).collect();
        if let Some((first, _)) = new.first() {
            let checkpoints: Vec<_> = new.iter().map(|(_, checkpoint)| checkpoint).collect();
            let compiled = Compiled::all(&checkpoints, &first.card, first.precision, most, budget)?;
            for ((network, _), compiled) in new.iter().zip(compiled) {
                network.compiled.set(compiled).map_err(|_| Error::Card("it is compiled already".into()))?;
            }
        }
        let most = networks.iter().map(|network| network.compiled.get().map(Compiled::most));
        most.min().flatten().ok_or_else(|| Error::Card("it failed before".into()))
    }

    fn checkpoint(&self) -> MutexGuard<'_, Option<Checkpoint>> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compiled(&self) -> Result<&Compiled> {
        if self.compiled.get().is_none() {
            Self::settle(&[self], 1, None)?;
        }
        self.compiled.get().ok_or_else(|| Error::Card("it failed before".into()))
    }

    /// What it was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Begins with a batch; gives the slot that it is in.
    ///
    /// # Errors
    /// Those of [`Compiled::begin`].
    pub fn begin(&self, mix: &[f32]) -> Result<usize> {
        self.compiled()?.begin(mix)
    }

    /// Waits for the batch of a slot; gives the seconds that the card computed it for.
    ///
    /// # Errors
    /// Those of [`Compiled::finish`].
    pub fn finish(&self, slot: usize, out: &mut [f32]) -> Result<f64> {
        self.compiled()?.finish(slot, out)
    }

    /// Waits for the batch of a slot that nobody wants any more.
    pub fn give_up(&self, slot: usize) {
        if let Some(compiled) = self.compiled.get() {
            compiled.give_up(slot);
        }
    }

    /// Separates any number of segments.
    ///
    /// # Errors
    /// Those of [`Compiled::forward`].
    pub fn forward(&self, mix: &[f32], out: &mut [f32]) -> Result<()> {
        self.compiled()?.forward(mix, out)
    }
}
