//! Identity of a network, independent of its container.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use candle_core::Tensor;
use sha2::{Digest, Sha256};

/// SHA-256 over the tensors of a network. Displays as 64 lower-case hex digits, and parses them back.
///
/// The bytes, for each tensor in the order of its name: length of the name and the name, number of dimensions and
/// each dimension (all counts as unsigned 64-bit little-endian), then the values as `f32` little-endian in
/// row-major order. `-0.0` and `0.0` differ, as they do in the arithmetic. Every NaN counts as the one with bits
/// `0x7fc00000`, because converting between formats may change a NaN's payload and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(tensors: &BTreeMap<String, Tensor>) -> Self {
        let mut hash = Sha256::new();
        for (name, tensor) in tensors {
            count(&mut hash, name.len());
            hash.update(name);
            count(&mut hash, tensor.rank());
            tensor.dims().iter().for_each(|dim| count(&mut hash, *dim));
            // A checkpoint's tensors are f32 on the CPU; anything else put there by hand is converted.
            let values = tensor
                .to_dtype(candle_core::DType::F32)
                .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
                .unwrap_or_default();
            let mut bytes = [0; 4 * BLOCK];
            for block in values.chunks(BLOCK) {
                for (out, value) in bytes.as_chunks_mut().0.iter_mut().zip(block) {
                    *out = if value.is_nan() { CANONICAL_NAN } else { value.to_bits() }.to_le_bytes();
                }
                hash.update(&bytes[..4 * block.len()]);
            }
        }
        Self(hash.finalize().into())
    }
}

const BLOCK: usize = 1024;
const CANONICAL_NAN: u32 = 0x7fc0_0000;

fn count(hash: &mut Sha256, n: usize) {
    hash.update((n as u64).to_le_bytes());
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Text that is not 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hex digits")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ParseFingerprintError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            let digits = std::str::from_utf8(pair).map_err(|_| ParseFingerprintError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseFingerprintError)?;
        }
        Ok(Self(bytes))
    }
}
