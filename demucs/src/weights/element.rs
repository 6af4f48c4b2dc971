//! Kinds of value, and how they become `f32`.

use half::{bf16, f16};

/// A kind of value that checkpoints store. Everything becomes `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I64,
}

impl Element {
    /// Bytes of one value.
    pub(super) fn size_bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Little-endian bytes to `f32`, rounding wider kinds to nearest. Odd bytes at the end are left out.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
        }
    }
}

/// The values as half precision, or `None` when one of them does not survive it bit for bit.
pub(super) fn exact_halves(values: &[f32]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    for value in values {
        let half = f16::from_f32(*value);
        if half.to_f32().to_bits() != value.to_bits() {
            return None;
        }
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    Some(bytes)
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| value(*chunk)).collect()
}
