//! A loaded network, whatever computes it.

use candle_core::Tensor;

use crate::compute::{Compute, Device};
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
            Device::Cuda(card) => Err(crate::Error::Unsupported(format!("no network for {card}"))),
        }
    }

    /// What it was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        match self {
            Self::Plain(network) => network.config(),
            Self::Fused(network) => network.config(),
        }
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
        }
        Ok(())
    }
}
