//! One or several networks whose outputs are averaged.

use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::weights::Checkpoint;

/// Networks with the weight of each of their sources.
///
/// Source: demucs `apply.py`, class `BagOfModels`.
#[derive(Debug)]
pub struct Bag {
    pub(crate) members: Vec<Member>,
}

/// One network of a bag.
#[derive(Debug)]
pub struct Member {
    /// The network.
    pub model: Network,
    /// Weight of each source; 0 where this network has no say.
    pub weights: Vec<f32>,
}

impl Bag {
    /// Builds the networks of `checkpoints`.
    ///
    /// `weights` has one row for each checkpoint with one weight for each source; without it all
    /// weigh the same. A part of a bag is a bag for the sources that its networks give.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a network is of another kind or the networks do not match,
    /// [`Error::Tensor`] when a weight is missing or of another shape.
    pub fn new(
        checkpoints: Vec<Checkpoint>,
        weights: Option<&[Vec<f32>]>,
        compute: &Compute,
    ) -> Result<Self> {
        let mut members: Vec<Member> = Vec::new();
        for (i, checkpoint) in checkpoints.into_iter().enumerate() {
            let model = Network::from_checkpoint(checkpoint, compute)?;
            let config = model.config();
            let row = match weights {
                Some(rows) => rows.get(i).cloned().unwrap_or_default(),
                None => vec![1.0; config.sources.len()],
            };
            if row.len() != config.sources.len() {
                return Err(Error::Unsupported(format!(
                    "network {i} has {} sources and {} weights",
                    config.sources.len(),
                    row.len()
                )));
            }
            if let Some(first) = members.first() {
                let first = first.model.config();
                if (&first.sources, first.samplerate) != (&config.sources, config.samplerate) {
                    return Err(Error::Unsupported(format!(
                        "network {i} has other sources or another sample rate"
                    )));
                }
            }
            members.push(Member { model, weights: row });
        }
        let bag = Self { members };
        if bag.members.is_empty() {
            return Err(Error::Unsupported("a bag without networks".into()));
        }
        Ok(bag)
    }

    /// Makes its networks ready for batches of at most so many segments, in so many bytes of the device's own memory for all of them;
    /// gives how many segments fit.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where none does, and those of the device.
    pub fn settle(&self, batch: usize, memory: Option<u64>) -> Result<usize> {
        let networks: Vec<_> = self.members.iter().map(|member| &member.model).collect();
        Network::settle(&networks, batch, memory)
    }

    /// The networks.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Names of the sources.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.members[0].model.config().sources
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn samplerate(&self) -> u32 {
        self.members[0].model.config().samplerate
    }

    /// Sum of all networks' weights of one source.
    #[must_use]
    pub fn total_weight(&self, source: usize) -> f32 {
        self.members.iter().map(|m| m.weights[source]).sum()
    }
}
