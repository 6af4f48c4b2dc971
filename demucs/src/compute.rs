//! What computes: a device, and on the CPU the kernels.

use std::str::FromStr;

#[cfg(any(feature = "cuda", feature = "emulation"))]
use crate::cuda::Card;
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

    /// The device and the kernels that two words name: `cpu`, `cuda`, `cuda:N`, `metal`, or `auto` for the best that
    /// there is; and one of [`Kernels::WORDS`].
    ///
    /// # Errors
    /// [`Error::Request`] for any other word, and where the device or the kernels cannot be used.
    pub fn named(device: &str, kernels: &str) -> Result<Self> {
        let compute = Self { device: device.parse()?, kernels: kernels.parse()? };
        compute.check()?;
        Ok(compute)
    }

    /// What the bits of a result depend on: two that say the same compute the same.
    #[must_use]
    pub fn resolved(&self) -> String {
        match &self.device {
            // The plain operations choose by the same features.
            Device::Cpu => format!("cpu {} {}", self.kernels.resolved(), Kernels::Auto.resolved()),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Device::Cuda(card) => {
                let (major, minor) = card.properties().capability;
                let kernels = if self.kernels == Kernels::Auto { Kernels::Half } else { self.kernels };
                format!("cuda {major}.{minor} {kernels}")
            }
            Device::Metal(_) => "metal".into(),
        }
    }

    /// The devices of several such words with commas between them; `cuda:all` is every card. Their results are the same, and
    /// none is named twice.
    ///
    /// # Errors
    /// Those of [`Compute::named`], and [`Error::Request`] where the devices cannot work side by side.
    pub fn all_named(devices: &str, kernels: &str) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for word in devices.split(',').map(str::trim) {
            if word == "cuda:all" {
                all.push(Self::named("cuda:0", kernels)?);
                all.extend((1..).map_while(|card| Self::named(&format!("cuda:{card}"), kernels).ok()));
            } else {
                all.push(Self::named(word, kernels)?);
            }
        }
        side_by_side(&all.iter().map(|one| (one.name(), one.resolved())).collect::<Vec<_>>())?;
        Ok(all)
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
        let unknown = || {
            Error::Request(format!(
                "\"{word}\" names no device: auto, cpu, cuda, cuda:N and metal are possible"
            ))
        };
        let (kind, index) = word.split_once(':').unwrap_or((word, "0"));
        let index = index.parse().map_err(|_| unknown())?;
        match kind {
            "cpu" => Ok(Self::Cpu),
            "cuda" => cuda(index),
            "metal" => metal(index),
            "auto" => Ok(cuda(0).or_else(|_| metal(0)).unwrap_or(Self::Cpu)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    Card::open(index).map(Device::Cuda)
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device> {
    Err(Error::Request("this program was built without CUDA".into()))
}

#[cfg(feature = "metal")]
fn metal(index: usize) -> Result<Device> {
    let device = candle_core::Device::new_metal(index);
    device.map(Device::Metal).map_err(|error| Error::Request(format!("no Metal device can be used: {error}")))
}

#[cfg(not(feature = "metal"))]
fn metal(_: usize) -> Result<Device> {
    Err(Error::Request("this program was built without Metal".into()))
}

/// Refuses devices whose results differ, and names that come twice, of `(name, what results depend on)`.
fn side_by_side(devices: &[(String, String)]) -> Result<()> {
    for (i, (name, kind)) in devices.iter().enumerate() {
        if devices[..i].iter().any(|(other, _)| other == name) {
            return Err(Error::Request(format!("{name} is named twice")));
        }
        if *kind != devices[0].1 {
            return Err(Error::Request(format!("{} and {name} cannot share songs", devices[0].0)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_nothing_are_refused() {
        assert!(matches!(Compute::named("cpu", "auto"), Ok(Compute { device: Device::Cpu, .. })));
        for word in ["", "gpu", "cuda:x", "cpu:-1"] {
            let error = Compute::named(word, "auto").unwrap_err().to_string();
            assert!(error.contains("names no device"), "{word}: {error}");
        }
        for word in ["", "sse", "Plain"] {
            let error = Compute::named("cpu", word).unwrap_err().to_string();
            assert!(error.contains("names no kernels"), "{word}: {error}");
        }
    }

    #[test]
    fn a_card_that_cannot_be_used_is_refused_in_a_sentence() {
        let error = Compute::named("cuda:99", "auto").unwrap_err().to_string();
        let possible = if cfg!(feature = "cuda") {
            ["no NVIDIA driver is installed here", "there is no card 99: the last one is "]
        } else {
            ["this program was built without CUDA"; 2]
        };
        assert!(possible.iter().any(|sentence| error.starts_with(sentence)), "{error}");
    }

    #[test]
    #[cfg(feature = "emulation")]
    fn cards_have_kernels_of_their_own() {
        let compute = |kernels: &str| Compute {
            device: Device::Cuda(Card::emulated()),
            kernels: kernels.parse().unwrap_or_default(),
        };
        for (kernels, resolved) in [("auto", "half"), ("half", "half"), ("single", "single")] {
            let compute = compute(kernels);
            assert!(compute.check().is_ok());
            assert_eq!(compute.resolved(), format!("cuda 8.0 {resolved}"));
        }
        let refusal = compute("plain").check().unwrap_err().to_string();
        assert_eq!(refusal, "plain kernels compute on the CPU only");
    }

    #[test]
    fn devices_that_work_side_by_side_are_of_one_kind_and_named_once() {
        let kind = |word: &str| word.split(':').next().unwrap_or(word).to_owned();
        let names =
            |words: &[&str]| words.iter().map(|word| ((*word).to_owned(), kind(word))).collect::<Vec<_>>();
        assert!(side_by_side(&names(&["cuda:0", "cuda:1", "cuda:3"])).is_ok());
        let error = |words: &[&str]| side_by_side(&names(words)).unwrap_err().to_string();
        assert_eq!(error(&["cuda:0", "cuda:1", "cuda:0"]), "cuda:0 is named twice");
        assert_eq!(error(&["cpu", "cuda:0"]), "cpu and cuda:0 cannot share songs");
        let one = Compute::all_named("cpu", "auto").unwrap();
        assert_eq!(one.iter().map(Compute::name).collect::<Vec<_>>(), ["cpu"]);
        for words in ["", "cpu,", "cpu,gpu", "cpu, cpu"] {
            assert!(Compute::all_named(words, "auto").is_err(), "{words}");
        }
    }

    #[test]
    fn kernels_that_the_processor_lacks_are_refused() {
        let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        let error = Compute::named("cpu", foreign).unwrap_err().to_string();
        assert_eq!(error, format!("this processor has no {foreign}"));
        let error = Compute::named("cpu", "half").unwrap_err().to_string();
        assert_eq!(error, "half kernels compute on NVIDIA's cards only");
    }
}
