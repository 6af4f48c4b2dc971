//! The network on the CPU, fused so that values stay in the cache from one operation to the next.
//!
//! [`crate::model`] is the readable twin that defines the result. What differs here is where values lie (the
//! channels of a token side by side, so that every convolution is a product whose columns are never copied), and
//! that bias, activation, gate, norm and residual happen to a product while it is in registers. Unsafe code
//! exists in this folder only: in `simd/`, in the leaves that are compiled for each instruction set (`product`,
//! `attention`, `norm`, `math`) and in `buffer`; all above them is safe.
#![expect(unsafe_code, reason = "vector instructions and places that were checked once for a whole product")]
#![expect(
    clippy::inline_always,
    reason = "what is not inlined into the leaf of an instruction set is compiled without it"
)]

mod attention;
#[doc(hidden)]
pub mod bench;
mod buffer;
mod dconv;
mod epilogue;
mod frequency;
mod fused;
mod isa;
mod layout;
mod math;
mod norm;
mod operations;
mod packed;
mod product;
mod scratch;
mod simd;
mod spectrum;
mod tensors;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod time;
mod transformer;
mod winograd;

use std::fmt;
use std::str::FromStr;

pub use fused::Fused;
use isa::Isa;

use crate::error::Error;

/// How a network is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// On the CPU the fastest of the others that it has, on a card half precision.
    #[default]
    Auto,
    /// Plain tensor operations, the twin that defines the result.
    Plain,
    /// Tiles of bfloat16 (AMX), three products for one of floats, beside 512-bit vectors.
    Amx,
    /// 512-bit vectors (AVX-512 F, VL, DQ and BW).
    Avx512,
    /// 256-bit vectors (AVX2 and FMA).
    Avx2,
    /// 128-bit vectors of 64-bit ARM.
    Neon,
    /// Any processor.
    Portable,
    /// On a card, activations and weights of 16 bits.
    Half,
    /// On a card, activations and weights of 32 bits, as exact as the CPU's.
    Single,
}

impl Kernels {
    /// All of them as people write them.
    pub const WORDS: [&'static str; 9] =
        ["auto", "plain", "amx", "avx512", "avx2", "neon", "portable", "half", "single"];
    const ALL: [Self; 9] = [
        Self::Auto,
        Self::Plain,
        Self::Amx,
        Self::Avx512,
        Self::Avx2,
        Self::Neon,
        Self::Portable,
        Self::Half,
        Self::Single,
    ];

    /// Those that compute on this processor, the fastest first and the plain ones last.
    #[must_use]
    pub fn supported() -> Vec<Self> {
        let fused = Isa::all().filter_map(|isa| isa.name.parse().ok());
        fused.chain([Self::Plain]).collect()
    }

    /// The word for what is used on this processor.
    #[must_use]
    pub fn resolved(self) -> &'static str {
        match self {
            Self::Auto => Isa::best().name,
            other => Self::WORDS[other as usize],
        }
    }

    /// Whether they are those of a card.
    pub(crate) fn is_of_cards(self) -> bool {
        matches!(self, Self::Half | Self::Single)
    }

    /// Whether this processor has what they need.
    pub(crate) fn is_supported(self) -> bool {
        self == Self::Plain || self.isa().is_some()
    }

    fn isa(self) -> Option<Isa> {
        match self {
            Self::Auto => Some(Isa::best()),
            other => Isa::all().find(|isa| isa.name == Self::WORDS[other as usize]),
        }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORDS[*self as usize])
    }
}

impl FromStr for Kernels {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let place = Self::WORDS.iter().position(|known| *known == word);
        let kernels = place.and_then(|place| Self::ALL.get(place).copied());
        kernels.ok_or_else(|| {
            Error::Request(format!("\"{word}\" names no kernels: {} are possible", Self::WORDS.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests;
