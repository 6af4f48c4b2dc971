//! A network as on a device of its own: several batches at a time, and memory for a few segments.

use std::sync::{Arc, Mutex};

use crate::bag::{Bag, Member};
use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::seeded::{checkpoint, small_kwargs};

#[derive(Debug)]
pub struct Trial {
    pub(crate) inner: Network,
    pub(crate) in_flight: usize,
    /// Segments that fit into its memory.
    fits: usize,
    slots: Mutex<Vec<Option<Vec<f32>>>>,
    seen: Seen,
}

/// Segments of each batch that was to begin.
pub(crate) type Seen = Arc<Mutex<Vec<usize>>>;

impl Trial {
    /// What it says that a batch took, in seconds.
    pub(crate) const BATCH_S: f64 = 0.25;

    /// A bag of small networks on such a device.
    pub(crate) fn bag(networks: u64, in_flight: usize, fits: usize) -> (Bag, Seen) {
        let seen = Seen::default();
        let member = |seed| {
            let network = checkpoint(small_kwargs(&["drums", "bass", "other", "vocals"]), seed).unwrap();
            let inner = Network::from_checkpoint(network, &Compute::cpu()).unwrap();
            let slots = Mutex::new(vec![None; in_flight]);
            let model = Network::Trial(Box::new(Self { inner, in_flight, fits, slots, seen: seen.clone() }));
            Member { model, weights: vec![1.0; 4] }
        };
        (Bag { members: (0..networks).map(member).collect() }, seen)
    }

    /// Takes a copy of the segments, as a device does, into a free slot: there has to be one.
    pub(crate) fn begin(&self, mix: &[f32]) -> Result<usize> {
        let segments = mix.len() / (2 * self.inner.config().segment_frames());
        self.seen.lock().unwrap().push(segments);
        if segments > self.fits {
            return Err(Error::OutOfMemory(format!("{segments} segments")));
        }
        let mut slots = self.slots.lock().unwrap();
        let free = slots.iter().position(Option::is_none).unwrap();
        slots[free] = Some(mix.to_vec());
        Ok(free)
    }

    pub(crate) fn finish(&self, slot: usize, out: &mut [f32]) -> Result<()> {
        let mix = self.slots.lock().unwrap()[slot].take().unwrap();
        self.inner.forward(&mix, out)
    }

    pub(crate) fn give_up(&self, slot: usize) {
        self.slots.lock().unwrap()[slot] = None;
    }
}
