//! What computes: a device, and on the CPU the kernels.

use std::fmt;
use std::str::FromStr;

#[cfg(any(feature = "cuda", feature = "emulation"))]
use crate::cuda::Card;
use crate::devices::Devices;
use crate::error::{Error, Result};
use crate::kernels::Kernels;

/// What a network is computed on.
#[derive(Debug, Clone)]
pub enum Device {
    /// This machine's processor.
    Cpu,
    /// A card of NVIDIA's.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    Cuda(Card),
    /// Apple's GPU, by the plain network.
    Metal(candle_core::Device),
}

/// A device and the kernels that are used on it.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Holds the weights.
    pub device: Device,
    /// How it computes.
    pub kernels: Kernels,
}

impl Compute {
    /// The CPU with the fastest kernels that it has.
    #[must_use]
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, kernels: Kernels::Auto }
    }

    /// The one device that a word names, and the kernels: see [`Devices::named`].
    ///
    /// # Errors
    /// Those of [`Devices::named`], and [`Error::Request`] where the word names several.
    pub fn named(device: &str, kernels: &str) -> Result<Self> {
        let mut all = Devices::named(device, kernels)?.all;
        all.pop()
            .filter(|_| all.is_empty())
            .ok_or_else(|| Error::Request(format!("\"{device}\" names several devices")))
    }

    /// What the bits of a result depend on: two that say the same compute the same.
    #[must_use]
    pub fn resolved(&self) -> String {
        match &self.device {
            // The plain operations choose by the same features.
            Device::Cpu => format!("cpu {} {}", self.how(), Kernels::Auto.resolved()),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(card) => format!("cuda {} {}", card.properties().code(), self.how()),
            Device::Metal(_) => "metal".into(),
        }
    }

    /// The word for the kernels that are used.
    fn how(&self) -> &'static str {
        match &self.device {
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(_) if self.kernels == Kernels::Auto => Kernels::Half.resolved(),
            Device::Metal(_) => Kernels::Plain.resolved(),
            _ => self.kernels.resolved(),
        }
    }

    /// The name of its device, as in `cuda:1`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.device {
            Device::Cpu => "cpu".into(),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(card) => format!("cuda:{}", card.properties().number),
            Device::Metal(_) => "metal".into(),
        }
    }

    /// Segments that pass through a network together unless somebody says otherwise: as many as keep a card busy, of which two
    /// batches are on their way at a time.
    #[must_use]
    pub fn usual_batch(&self) -> usize {
        match &self.device {
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(_) => 16,
            _ => 1,
        }
    }

    /// Whether these kernels run on this device.
    ///
    /// # Errors
    /// [`Error::Request`] where they do not.
    pub(crate) fn check(&self) -> Result<()> {
        match (&self.device, self.kernels) {
            (_, Kernels::Auto) | (Device::Metal(_), Kernels::Plain) => Ok(()),
            (Device::Cpu, kernels) if kernels.is_supported() => Ok(()),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            (Device::Cuda(_), kernels) if kernels.is_of_cards() => Ok(()),
            (_, kernels) if kernels.is_of_cards() => {
                Err(Error::Request(format!("{kernels} kernels compute on NVIDIA's cards only")))
            }
            (Device::Cpu, kernels) => Err(Error::Request(format!("this processor has no {kernels}"))),
            (_, kernels) => Err(Error::Request(format!("{kernels} kernels compute on the CPU only"))),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Compute::named(word, "auto").map(|compute| compute.device)
    }
}

impl fmt::Display for Compute {
    /// For people: the device, and how it computes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(card) => write!(f, "{} ({}, {card})", self.name(), self.how()),
            _ => write!(f, "{} ({})", self.name(), self.how()),
        }
    }
}

#[cfg(all(test, feature = "emulation"))]
mod tests {
    use super::*;

    #[test]
    fn cards_have_kernels_of_their_own() {
        let compute = |kernels: &str| Compute {
            device: Device::Cuda(Card::emulated()),
            kernels: kernels.parse().unwrap_or_default(),
        };
        for (kernels, resolved) in [("auto", "half"), ("half", "half"), ("single", "single")] {
            let compute = compute(kernels);
            assert!(compute.check().is_ok());
            assert_eq!(compute.resolved(), format!("cuda 8.0 by emulation {resolved}"));
            assert!(compute.to_string().starts_with(&format!("cuda:0 ({resolved}, emulation")));
        }
        let refusal = compute("plain").check().unwrap_err().to_string();
        assert_eq!(refusal, "plain kernels compute on the CPU only");
    }
}
