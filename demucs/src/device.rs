//! Where to compute.

use candle_core::Device;

use crate::error::{Error, Result};

/// The device that a word names: `cpu`, `cuda`, `cuda:N`, `metal`, or `auto` for the best that there is.
///
/// # Errors
/// [`Error::Request`] for any other word, and where the device cannot be used.
pub fn device(word: &str) -> Result<Device> {
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

fn unusable(kind: &str, cause: &candle_core::Error) -> Error {
    Error::Request(format!("no {kind} device can be used: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_no_device_are_refused() {
        assert!(matches!(device("cpu"), Ok(Device::Cpu)));
        for word in ["", "gpu", "cuda:x", "cpu:-1"] {
            assert!(device(word).unwrap_err().to_string().contains("names no device"), "{word}");
        }
    }
}
