//! The leaves by themselves, for `benches/kernels.rs`.

use super::Kernels;
use super::attention::{self, Attention, KEYS};
use super::buffer::Buffer;
use super::isa::Isa;
use super::operations::{self, Block, Part};
use super::packed::Packed;
use super::product::{Finish, Out, Product, Runs};
use crate::model::Config;

/// Kernels that this processor has, the fastest first.
#[must_use]
pub fn kernels() -> Vec<&'static str> {
    Isa::all().map(|isa| isa.name).collect()
}

/// Multiplications and additions of a segment's products.
#[must_use]
pub fn operations(config: &Config) -> u64 {
    let layers = (0..config.depth)
        .flat_map(|i| [Block::Encoder(i), Block::TimeEncoder(i), Block::Decoder(i), Block::TimeDecoder(i)]);
    let transformer = (0..config.t_layers)
        .flat_map(|i| [Block::Transformer(Part::Project(i)), Block::Transformer(Part::Attend(i))]);
    let blocks = layers.chain(transformer).chain([Block::Enter, Block::Leave]);
    blocks.map(|block| operations::of(config, block)).sum()
}

fn isa(name: &str) -> Isa {
    name.parse::<Kernels>().ok().and_then(Kernels::isa).unwrap_or_else(Isa::best)
}

fn values(len: usize) -> Buffer {
    let values: Vec<f32> = (0..len).map(|i| (i * 7 % 31) as f32 / 31.0 - 0.5).collect();
    Buffer::padded(&values, len)
}

/// Multiply-adds on registers alone: what the processor can do at best. Each call is [`Peak::FLOP`].
#[derive(Debug)]
pub struct Peak(Isa);

impl Peak {
    /// Operations of a call.
    pub const FLOP: u64 = 2 * 16 * super::product::PEAK_CHAINS as u64 * super::product::PEAK_STEPS as u64;

    /// Of the kernels of this name.
    #[must_use]
    pub fn new(kernels: &str) -> Self {
        Self(isa(kernels))
    }

    /// Computes.
    #[must_use]
    pub fn run(&self) -> f32 {
        self.0.peak(1e-3)
    }
}

/// A product of `tokens` of `k` floats with `n` columns.
#[derive(Debug)]
pub struct ProductBench {
    isa: Isa,
    input: Buffer,
    weights: Packed,
    out: Buffer,
    tokens: usize,
    gated: bool,
}

impl ProductBench {
    /// `gated` has values and gates among its columns.
    #[must_use]
    pub fn new(kernels: &str, (tokens, k, n): (usize, usize, usize), gated: bool) -> Self {
        let weight = |k: usize, n: usize| ((k * 5 + n * 3) % 17) as f32 / 17.0 - 0.5;
        let bias = vec![0.1; n];
        let isa = isa(kernels);
        let pack = if gated { Packed::gated } else { Packed::new };
        let weights = pack(isa.form(), (1, k), n, weight, &bias);
        let out = Buffer::zeros(tokens * weights.columns());
        Self { isa, input: values(tokens * k), weights, out, tokens, gated }
    }

    /// Computes.
    pub fn run(&mut self) {
        let (k, columns) = (self.weights.k(), self.weights.columns());
        let (input, tokens) = (&self.input[..], self.tokens);
        let runs = Runs::one(0, k);
        let product = Product { input, stride: k, runs, first_run: 0, tokens, weights: &self.weights };
        let columns = if self.gated { columns / 2 } else { columns };
        let out = Out { values: &mut self.out, stride: columns, columns };
        self.isa.product(&product, if self.gated { Finish::Glu(out, None) } else { Finish::Store(out) });
    }
}

/// Attention of a block of 96 tokens and one head of 64 floats over `count` keys.
#[derive(Debug)]
pub struct AttentionBench {
    isa: Isa,
    queries: Buffer,
    keys_values: Buffer,
    scratch: Buffer,
    out: Buffer,
    count: usize,
}

impl AttentionBench {
    /// Floats of a head.
    pub const SIZE: usize = 64;
    /// Tokens of the block.
    pub const TOKENS: usize = KEYS;

    /// Over so many keys.
    #[must_use]
    pub fn new(kernels: &str, count: usize) -> Self {
        let len = Self::TOKENS * Self::SIZE;
        Self {
            isa: isa(kernels),
            queries: values(len),
            keys_values: values(count.div_ceil(KEYS) * KEYS * 2 * Self::SIZE),
            scratch: Buffer::zeros(attention::scratch(Self::TOKENS)),
            out: Buffer::zeros(len),
            count,
        }
    }

    /// Computes.
    pub fn run(&mut self) {
        let attention = Attention {
            queries: &self.queries,
            stride: Self::SIZE,
            tokens: Self::TOKENS,
            size: Self::SIZE,
            keys: &self.keys_values,
            values: &self.keys_values[KEYS * Self::SIZE..],
            group_stride: KEYS * 2 * Self::SIZE,
            width: Self::SIZE,
            count: self.count,
        };
        self.isa.attend(&attention, &mut self.out, Self::SIZE, &mut self.scratch);
    }
}
