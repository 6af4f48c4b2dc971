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
mod time;
mod transformer;

use std::fmt;
use std::str::FromStr;

pub use fused::Fused;
use isa::Isa;

use crate::error::Error;

/// How the CPU computes a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// The fastest of the others that the processor has.
    #[default]
    Auto,
    /// Plain tensor operations, the twin that defines the result.
    Plain,
    /// 512-bit vectors (AVX-512 F, VL, DQ and BW).
    Avx512,
    /// 256-bit vectors (AVX2 and FMA).
    Avx2,
    /// 128-bit vectors of 64-bit ARM.
    Neon,
    /// Any processor.
    Portable,
}

impl Kernels {
    /// All of them as people write them.
    pub const WORDS: [&'static str; 6] = ["auto", "plain", "avx512", "avx2", "neon", "portable"];
    const ALL: [Self; 6] = [Self::Auto, Self::Plain, Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// What the bits of a result depend on: the word for what is used on this processor.
    #[must_use]
    pub fn resolved(self) -> &'static str {
        match self {
            Self::Auto => Isa::best().name,
            other => Self::WORDS[other as usize],
        }
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
mod tests {
    use candle_core::{Device, Tensor};
    use serde_json::{Map, Value, json};

    use super::fused::Fused;
    use super::isa::Isa;
    use super::tensors::Tensors;
    use crate::model::{Config, HTDemucs};
    use crate::seeded::{checkpoint, signal, small_kwargs};

    /// SNR in dB of the kernels against the plain network.
    fn snr(kwargs: &Map<String, Value>, isa: Isa) -> f64 {
        let seeded = checkpoint(kwargs.clone(), 7).unwrap();
        let config = Config::from_kwargs(kwargs).unwrap();
        let network = Fused::new(config, isa, Tensors::new(seeded.tensors.clone())).unwrap();
        let twin = HTDemucs::from_checkpoint(seeded, &Device::Cpu).unwrap();
        let n = twin.config().segment_frames();
        let mix = signal(n).concat();
        let theirs = twin.forward(&Tensor::from_vec(mix.clone(), (1, 2, n), &Device::Cpu).unwrap(), &mut ());
        let theirs = theirs.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut ours = vec![0.0; theirs.len()];
        network.forward(&mix, &mut ours);
        let (mut power, mut noise) = (0.0, 1e-300);
        for (a, b) in theirs.iter().zip(&ours) {
            power += f64::from(*a).powi(2);
            noise += (f64::from(*a) - f64::from(*b)).powi(2);
        }
        10.0 * f64::log10(power / noise)
    }

    #[test]
    fn networks_of_all_shapes_equal_the_plain_one() {
        let small = small_kwargs(&["drums", "bass", "other", "vocals"]);
        for change in [
            json!({}),
            json!({"sources": ["a"]}),
            json!({"sources": ["a", "b", "c", "d", "e", "f"]}),
            json!({"bottom_channels": 0}),
            json!({"t_cross_first": true, "t_layers": 2}),
            json!({"dconv_mode": 1}),
            json!({"dconv_mode": 2, "dconv_depth": 1}),
            json!({"channels": 20, "bottom_channels": 24}),
            json!({"freq_emb": 0.0, "growth": 3}),
            json!({"depth": 3, "nfft": 1024, "segment": 0.3}),
            json!({"context": 2}),
            json!({"kernel_size": 4, "stride": 2, "t_heads": 4}),
        ] {
            let mut kwargs = small.clone();
            kwargs.extend(change.as_object().unwrap().clone());
            for isa in Isa::all() {
                let snr = snr(&kwargs, isa);
                println!("{:9} {snr:6.1} dB {change}", isa.name);
                assert!(snr > 95.0, "{}: {snr} dB with {change}", isa.name);
            }
        }
    }
}
