//! Checkpoint containers and the models that are known by name. Bytes in, tensors out.
//!
//! Three containers carry the same networks: safetensors (the install format), the zip that `torch.save` writes
//! and the exported graph (ONNX). [`Checkpoint::from_bytes`] tells them apart by content. Whatever the container,
//! the tensors come back as `f32` on the CPU under the names of the official class, and
//! [`Checkpoint::fingerprint`] is the same.
//!
//! Files are hostile until parsed: every length is checked against the bytes present, a pickle is read as data
//! and never executed, and a damaged file ends in one sentence.

mod container;
mod element;
mod error;
mod fingerprint;
mod onnx;
mod pickle;
mod protobuf;
mod registry;
mod safetensors;
mod torch;

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{Device, Tensor};
use serde_json::{Map, Value};

pub use container::Container;
pub use error::WeightsError;
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use registry::{MODELS, MemberSpec, ModelSpec, NpmFile, OFFICIAL_BASE, PinnedFile, WEIGHTS_LICENCE};
pub use registry::{member, model};

/// The class name that every supported checkpoint carries, as the official package writes it.
pub const CLASS: &str = "demucs.htdemucs.HTDemucs";

/// One trained network: how to build it and the tensors to fill it with.
///
/// Source: the checkpoints of Demucs v4, `{klass, args, kwargs, state}`.
#[derive(Clone)]
pub struct Checkpoint {
    /// Constructor arguments of the official class by name.
    ///
    /// A fraction is `{"_type": "fraction", "numerator": N, "denominator": D}` with integers `N` and `D`.
    pub kwargs: Map<String, Value>,
    /// Tensors by their official name, each `f32` on the CPU and contiguous.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads a checkpoint out of any of the three containers.
    ///
    /// The exported graph, and a safetensors file without metadata, say nothing of the architecture; they get
    /// the arguments of `955717e8` if they are that network.
    ///
    /// # Errors
    /// [`WeightsError`], one sentence for a person; nothing of the file is executed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        match Container::of(bytes)? {
            Container::Safetensors => safetensors::read(bytes),
            Container::Torch => torch::read(bytes),
            Container::Onnx => onnx::read(bytes),
        }
    }

    /// Identity of the network: the same for the same tensors, whichever container they came from.
    ///
    /// Names, shapes and values count, `kwargs` do not. See [`Fingerprint`] for the exact bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.tensors)
    }

    /// Number of values in all tensors.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// Names of the stems, in the order of the network's output. Empty if `kwargs` has no `sources`.
    #[must_use]
    pub fn sources(&self) -> Vec<&str> {
        let listed = self.kwargs.get("sources").and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The install format: safetensors with `klass`, `args` and `kwargs` in its metadata.
    ///
    /// Half precision when every value survives it exactly, else `f32`. Names are sorted, so the same checkpoint
    /// gives the same bytes. The official package (4.1.0) loads the result too.
    ///
    /// # Errors
    /// If a tensor cannot be read back from its storage.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, WeightsError> {
        safetensors::write(self)
    }

    /// Checks names and values shared by all containers, and puts the tensors on the CPU.
    fn assemble(
        container: Container,
        kwargs: Map<String, Value>,
        tensors: BTreeMap<String, Plain>,
    ) -> Result<Self, WeightsError> {
        if tensors.is_empty() {
            return Err(WeightsError::damaged(container, "it holds no tensors"));
        }
        let tensors = tensors
            .into_iter()
            .map(|(name, plain)| Ok((name, Tensor::from_vec(plain.values, plain.shape, &Device::Cpu)?)))
            .collect::<Result<_, WeightsError>>()?;
        Ok(Self { kwargs, tensors })
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("sources", &self.sources())
            .field("tensors", &self.tensors.len())
            .field("parameters", &self.parameters())
            .finish_non_exhaustive()
    }
}

/// A tensor between container and candle: contiguous values in row-major order.
struct Plain {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Most tensors in one checkpoint; the official ones have 533.
const MAX_TENSORS: usize = 16_384;

/// Most dimensions of one tensor; the official ones have 4.
const MAX_RANK: usize = 8;
