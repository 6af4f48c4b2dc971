//! What computes: a device, and on the CPU the kernels.

use candle_core::{Device, DeviceLocation};

use crate::error::{Error, Result};
use crate::kernels::Kernels;

/// A device and the kernels that are used on it.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Holds the weights.
    pub device: Device,
    /// How the CPU computes; other devices have the plain network only.
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
        let compute = Self { device: self::device(device)?, kernels: kernels.parse()? };
        compute.check()?;
        Ok(compute)
    }

    /// The devices of several such words with commas between them; `cuda:all` is every card. They are of one kind, and
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
        side_by_side(&all.iter().map(Self::name).collect::<Vec<_>>())?;
        Ok(all)
    }

    /// The kind of its device: `cpu`, `cuda` or `metal`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.device {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Metal(_) => "metal",
        }
    }

    /// The name of its device, as in `cuda:1`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.device.location() {
            DeviceLocation::Cpu => self.kind().to_owned(),
            DeviceLocation::Cuda { gpu_id } | DeviceLocation::Metal { gpu_id } => {
                format!("{}:{gpu_id}", self.kind())
            }
        }
    }

    /// Whether these kernels run on this device.
    ///
    /// # Errors
    /// [`Error::Request`] where they do not.
    pub(crate) fn check(&self) -> Result<()> {
        match (&self.device, self.kernels) {
            (_, Kernels::Auto | Kernels::Plain) => Ok(()),
            (Device::Cpu, kernels) if kernels.is_supported() => Ok(()),
            (Device::Cpu, kernels) => Err(Error::Request(format!("this processor has no {kernels}"))),
            (_, kernels) => Err(Error::Request(format!("{kernels} kernels compute on the CPU only"))),
        }
    }
}

fn device(word: &str) -> Result<Device> {
    let unknown = || {
        Error::Request(format!("\"{word}\" names no device: auto, cpu, cuda, cuda:N and metal are possible"))
    };
    let (kind, index) = word.split_once(':').unwrap_or((word, "0"));
    let index = index.parse().map_err(|_| unknown())?;
    match kind {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(index).map_err(|error| unusable("CUDA", &error)),
        "metal" => Device::new_metal(index).map_err(|error| unusable("Metal", &error)),
        "auto" => Ok(Device::new_cuda(0).or_else(|_| Device::new_metal(0)).unwrap_or(Device::Cpu)),
        _ => Err(unknown()),
    }
}

/// Refuses names of several kinds, whose results differ, and names that come twice.
fn side_by_side(names: &[String]) -> Result<()> {
    let kind = |name: &String| name.split(':').next().map(str::to_owned);
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(Error::Request(format!("{name} is named twice")));
        }
        if kind(name) != kind(&names[0]) {
            return Err(Error::Request(format!("{} and {name} cannot share songs", names[0])));
        }
    }
    Ok(())
}

fn unusable(kind: &str, cause: &candle_core::Error) -> Error {
    Error::Request(format!("no {kind} device can be used: {cause}"))
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
    fn devices_that_work_side_by_side_are_of_one_kind_and_named_once() {
        let names = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
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
    }
}
