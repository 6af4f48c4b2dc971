//! Golden files: what the original computed, and how to compare with it.
#![expect(clippy::unwrap_used, reason = "a golden file that cannot be read is a failed test")]

use std::path::Path;

use demucs::seeded::{fnv1a, splitmix};
use demucs::{Tensor, TensorDevice};
use safetensors::SafeTensors;
use serde_json::Value;

/// Block outputs of the original network, whole or sampled.
#[derive(Debug)]
pub(crate) struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// Reads `tests/golden/<name>.safetensors`.
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../demucs/tests/golden")
            .join(format!("{name}.safetensors"));
        Self { bytes: std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    }

    /// Names of all blocks.
    pub(crate) fn names(&self) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.names().into_iter().map(ToOwned::to_owned).collect()
    }

    /// The values kept of a block.
    pub(crate) fn values(&self, name: &str) -> Option<Vec<f32>> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).ok()?;
        Some(tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// A JSON value of the file's metadata.
    pub(crate) fn metadata(&self, key: &str) -> Value {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).unwrap();
        serde_json::from_str(&header.metadata().as_ref().unwrap()[key]).unwrap()
    }

    /// SNR in dB and largest difference between a block of ours and the kept values.
    pub(crate) fn compare(&self, name: &str, ours: &[f32]) -> (f64, f32) {
        let (theirs, ours) = self.sampled(name, ours);
        difference(&theirs, &ours)
    }

    /// The kept values of a block, and ours at the same positions.
    pub(crate) fn sampled(&self, name: &str, ours: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let theirs = self.values(name).unwrap_or_else(|| panic!("no golden for {name}"));
        let count = theirs.len() as u64;
        let position = |k: u64| splitmix(fnv1a(name).wrapping_add(k)) % ours.len() as u64;
        let whole = theirs.len() == ours.len();
        let ours = (0..count).map(|k| ours[(if whole { k } else { position(k) }) as usize]).collect();
        (theirs, ours)
    }
}

/// SNR in dB of `ours` against `theirs`, and the largest difference.
pub(crate) fn difference(theirs: &[f32], ours: &[f32]) -> (f64, f32) {
    assert_eq!(theirs.len(), ours.len());
    let (mut signal, mut noise, mut most) = (0.0, 0.0, 0f32);
    for (a, b) in theirs.iter().zip(ours) {
        signal += f64::from(*a).powi(2);
        noise += (f64::from(*a) - f64::from(*b)).powi(2);
        most = most.max((a - b).abs());
    }
    (10.0 * (signal / noise.max(1e-300)).log10(), most)
}

/// A block's values in the original's order: it folds the bins of a `DConv` into the batch.
pub(crate) fn in_original_order(name: &str, output: &Tensor) -> Vec<f32> {
    let folded = name.ends_with("dconv") && !name.starts_with('t');
    let output = if folded { output.permute((0, 2, 1, 3)).unwrap() } else { output.clone() };
    output.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

/// A song of the integer signal as a tensor `[1, 2, frames]`.
pub(crate) fn segment_of_signal(frames: usize) -> Tensor {
    let [left, right] = demucs::seeded::signal(frames);
    Tensor::from_vec([left, right].concat(), (1, 2, frames), &TensorDevice::Cpu).unwrap()
}
