//! A loaded network, whatever computes it.

use candle_core::Tensor;

#[cfg(test)]
use crate::batches::Trial;
use crate::compute::{Compute, Device};
#[cfg(any(feature = "cuda", feature = "emulation"))]
use crate::cuda::OnCard;
use crate::error::Result;
use crate::kernels::{Fused, Kernels};
use crate::model::{Config, HTDemucs};
use crate::weights::Checkpoint;

/// A network on its device.
#[derive(Debug)]
pub enum Network {
    /// In plain operations, on any device.
    Plain(Box<HTDemucs>),
    /// In fused kernels, on the CPU.
    Fused(Box<Fused>),
    /// In fused kernels, on a card of NVIDIA's.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    Card(Box<OnCard>),
    /// As a device of its own would, with little memory.
    #[cfg(test)]
    Trial(Box<Trial>),
}

/// A batch that a device has begun to compute. Dropped, it is waited for and given up.
#[derive(Debug)]
pub struct Begun<'a> {
    network: &'a Network,
    /// Where the device keeps it, until it is finished.
    slot: Option<usize>,
}

impl Network {
    /// Builds the network of a checkpoint.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] when the checkpoint describes another kind of network,
    /// [`crate::Error::Tensor`] when a weight is missing or of another shape, [`crate::Error::Request`] for kernels
    /// that cannot be used.
    pub fn from_checkpoint(checkpoint: Checkpoint, compute: &Compute) -> Result<Self> {
        compute.check()?;
        let plain =
            |checkpoint, device| Ok(Self::Plain(Box::new(HTDemucs::from_checkpoint(checkpoint, device)?)));
        match &compute.device {
            Device::Cpu if compute.kernels == Kernels::Plain => plain(checkpoint, &candle_core::Device::Cpu),
            Device::Cpu => Ok(Self::Fused(Box::new(Fused::from_checkpoint(checkpoint, compute.kernels)?))),
            Device::Metal(device) => plain(checkpoint, device),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(card) => Ok(Self::Card(Box::new(OnCard::new(checkpoint, card, compute.kernels)?))),
        }
    }

    /// Makes the networks of a bag ready for batches of at most so many segments, in so many bytes of their device's own memory;
    /// gives how many segments fit.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where none does, and those of the device.
    pub fn settle(networks: &[&Self], batch: usize, memory: Option<u64>) -> Result<usize> {
        #[cfg(any(feature = "cuda", feature = "emulation"))]
        {
            let on_card = networks.iter().filter_map(|network| match network {
                Self::Card(network) => Some(&**network),
                _ => None,
            });
            let on_card: Vec<_> = on_card.collect();
            if !on_card.is_empty() {
                return OnCard::settle(&on_card, batch, memory.map(|bytes| bytes as usize));
            }
        }
        let _ = (networks, memory);
        Ok(batch)
    }

    /// What it was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        match self {
            Self::Plain(network) => network.config(),
            Self::Fused(network) => network.config(),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Self::Card(network) => network.config(),
            #[cfg(test)]
            Self::Trial(network) => network.inner.config(),
        }
    }

    /// Batches that its device can have at a time: while one is computed the next one is read, where there is another
    /// processor for that.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        match self {
            Self::Plain(_) | Self::Fused(_) => 1,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Self::Card(_) => crate::cuda::SLOTS,
            #[cfg(test)]
            Self::Trial(network) => network.in_flight,
        }
    }

    /// Has the device begin with a batch of segments; it has no more than [`Network::in_flight`] at a time.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where a smaller batch may fit, and those of the device.
    pub fn begin(&self, mix: &[f32]) -> Result<Begun<'_>> {
        let slot = match self {
            Self::Plain(_) | Self::Fused(_) => {
                let _ = mix;
                0
            }
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Self::Card(network) => network.begin(mix)?,
            #[cfg(test)]
            Self::Trial(network) => network.begin(mix)?,
        };
        Ok(Begun { network: self, slot: Some(slot) })
    }

    /// Separates a batch of segments on the threads of the current pool: `[B, 2, N]` to `[B, S, 2, N]` with N = the
    /// segment's samples.
    ///
    /// # Errors
    /// A failing tensor operation, such as too little memory on the device.
    ///
    /// # Panics
    /// Where the slices do not fit each other.
    pub fn forward(&self, mix: &[f32], out: &mut [f32]) -> Result<()> {
        match self {
            Self::Plain(network) => {
                let n = network.config().segment_frames();
                let mix = Tensor::from_slice(mix, (mix.len() / (2 * n), 2, n), network.device())?;
                out.copy_from_slice(&network.forward(&mix, &mut ())?.flatten_all()?.to_vec1::<f32>()?);
            }
            Self::Fused(network) => network.forward(mix, out),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Self::Card(network) => network.forward(mix, out)?,
            #[cfg(test)]
            Self::Trial(_) => drop(self.begin(mix)?.finish(mix, out)?),
        }
        Ok(())
    }
}

impl Begun<'_> {
    /// Waits for what the network makes of the segments that it was begun with, as [`Network::forward`] gives it. The
    /// CPU computes here; of another device the seconds are given that it computed the batch for.
    ///
    /// # Errors
    /// Those of [`Network::begin`] and [`Network::forward`].
    pub fn finish(mut self, mix: &[f32], out: &mut [f32]) -> Result<Option<f64>> {
        let slot = self.slot.take().unwrap_or_default();
        match self.network {
            Network::Plain(_) | Network::Fused(_) => {
                debug_assert_eq!(slot, 0, "the CPU has one batch at a time");
                self.network.forward(mix, out).map(|()| None)
            }
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Network::Card(network) => network.finish(slot, out).map(Some),
            #[cfg(test)]
            Network::Trial(network) => network.finish(slot, out).map(|()| Some(Trial::BATCH_S)),
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        match self.network {
            Network::Plain(_) | Network::Fused(_) => debug_assert_eq!(slot, 0, "the CPU has nothing begun"),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Network::Card(network) => network.give_up(slot),
            #[cfg(test)]
            Network::Trial(network) => network.give_up(slot),
        }
    }
}
