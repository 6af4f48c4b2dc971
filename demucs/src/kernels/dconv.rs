//! The residual branch of dilated convolutions, by rows of frequency or along the whole of time.

use candle_core::Result;
use rayon::prelude::*;

use super::buffer::Buffer;
use super::isa::Isa;
use super::layout::{Line, padded};
use super::packed::{Form, Packed, pair};
use super::product::{Affine, Finish, Out, Product, Runs, Sums};
use super::scratch::Scratch;
use super::tensors::Tensors;
use crate::model::{Config, Side};

/// Taps of the dilated convolutions.
const TAPS: usize = 3;

/// The twin of [`crate::model`]'s `DConv`.
#[derive(Debug)]
pub(super) struct DConv {
    layers: Vec<Layer>,
    channels: usize,
    hidden: usize,
}

#[derive(Debug)]
struct Layer {
    dilation: usize,
    compress: Packed,
    norm1: Norm,
    expand: Packed,
    norm2: Norm,
    scale: Buffer,
}

/// Weight and bias of a norm over a whole sample, in the order of the columns that it is applied to.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) weight: Buffer,
    pub(super) bias: Buffer,
}

impl Norm {
    /// The norm of a sample with such sums as a factor and a summand for each column.
    pub(super) fn affine(&self, sums: &Sums, count: usize, to: &mut [Vec<f32>; 2]) {
        let (mean, gain) = sums.moments(count);
        let [factor, summand] = to;
        factor.clear();
        factor.extend(self.weight.iter().map(|weight| (f64::from(*weight) * gain) as f32));
        summand.clear();
        summand.extend(
            self.weight
                .iter()
                .zip(&self.bias[..])
                .map(|(weight, bias)| (f64::from(*bias) - mean * f64::from(*weight) * gain) as f32),
        );
    }
}

/// What the phases of a line need beside it.
#[derive(Debug)]
pub(super) struct LineWork<'a> {
    pub(super) isa: &'a Isa,
    /// Hidden channels of all tokens.
    pub(super) hidden: &'a mut [f32],
    /// One for each block.
    pub(super) sums: &'a mut Vec<Sums>,
    /// The norm that is applied.
    pub(super) norm: &'a mut [Vec<f32>; 2],
}

impl DConv {
    /// The branch of a layer of `channels` under `prefix`, if layers of that side have one.
    pub(super) fn load(
        side: Side,
        channels: usize,
        config: &Config,
        prefix: &str,
        tensors: &mut Tensors,
    ) -> Result<Option<Self>> {
        let wanted = config.dconv_mode & side as u8 != 0;
        wanted.then(|| Self::new(channels, config, prefix, tensors)).transpose()
    }

    fn new(channels: usize, config: &Config, prefix: &str, tensors: &mut Tensors) -> Result<Self> {
        let hidden = channels / config.dconv_comp;
        let width = padded(channels);
        let layers = (0..config.dconv_depth).map(|d| {
            let prefix = format!("{prefix}.layers.{d}");
            let compress = tensors.take(&format!("{prefix}.0.weight"), &[hidden, channels, TAPS])?;
            let bias = tensors.take(&format!("{prefix}.0.bias"), &[hidden])?;
            let tap = |k: usize, n: usize| {
                let (tap, c) = (k / width, k % width);
                if c < channels { compress[(n * channels + c) * TAPS + tap] } else { 0.0 }
            };
            let expand = tensors.take(&format!("{prefix}.3.weight"), &[2 * channels, hidden, 1])?;
            let expand_bias = tensors.take(&format!("{prefix}.3.bias"), &[2 * channels])?;
            let norm2 = |what: &str, tensors: &mut Tensors| {
                Ok::<_, candle_core::Error>(pair(
                    &tensors.take(&format!("{prefix}.4.{what}"), &[2 * channels])?,
                ))
            };
            Ok(Layer {
                dilation: 1 << d,
                compress: Packed::new(Form::Floats, (TAPS, width), hidden, tap, &bias),
                norm1: Norm {
                    weight: tensors.vector(&format!("{prefix}.1.weight"), hidden)?,
                    bias: tensors.vector(&format!("{prefix}.1.bias"), hidden)?,
                },
                expand: Packed::gated(
                    Form::Floats,
                    (1, hidden),
                    2 * channels,
                    |k, n| expand[n * hidden + k],
                    &expand_bias,
                ),
                norm2: Norm { weight: norm2("weight", tensors)?, bias: norm2("bias", tensors)? },
                scale: tensors.vector(&format!("{prefix}.6.scale"), channels)?,
            })
        });
        Ok(Self { layers: layers.collect::<Result<_>>()?, channels, hidden })
    }

    /// How far the convolutions of such a network reach, in tokens.
    pub(super) fn reach(config: &Config) -> usize {
        1 << (config.dconv_depth - 1)
    }

    /// One row of frequency, in place: `x` is a row between margins of at least the reach.
    pub(super) fn row(&self, isa: &Isa, x: &mut [f32], margin: usize, scratch: &mut Scratch) {
        let (width, hidden_width) = (padded(self.channels), padded(self.hidden));
        let tokens = x.len() / width - 2 * margin;
        let Scratch { hidden, gated, norm, .. } = scratch;
        let hidden = hidden.at_least(tokens * hidden_width);
        let gated = gated.at_least(tokens * 2 * width);
        for layer in &self.layers {
            let mut sums = Sums::default();
            let out = Out { values: hidden, stride: hidden_width, columns: hidden_width };
            isa.product(&layer.compress(x, margin, width, tokens), Finish::StoreSums(out, &mut sums));
            layer.norm1.affine(&sums, tokens * self.hidden, norm);
            isa.norm_gelu(hidden, hidden_width, &norm[0], &norm[1]);

            let mut sums = Sums::default();
            let out = Out { values: gated, stride: 2 * width, columns: 2 * width };
            isa.product(&layer.expand(hidden, hidden_width, tokens), Finish::StoreSums(out, &mut sums));
            layer.norm2.affine(&sums, tokens * 2 * self.channels, norm);
            let affine = Affine { factor: &norm[0], summand: &norm[1], scale: &layer.scale };
            isa.norm_glu_add(gated, &mut x[margin * width..][..tokens * width], width, affine);
        }
    }

    /// The whole of time, in place. Gated channels are computed twice, once for their norm: that costs less
    /// than to write them to memory and read them again.
    pub(super) fn line(&self, line: Line, x: &mut [f32], work: &mut LineWork<'_>) {
        let LineWork { isa, hidden, sums, norm, .. } = work;
        let (width, hidden_width, tokens) = (line.width, padded(self.hidden), line.tokens);
        let block = line.block();
        let hidden = &mut hidden[..tokens * hidden_width];
        for layer in &self.layers {
            let whole = &*x;
            sums.clear();
            sums.resize(tokens.div_ceil(block), Sums::default());
            hidden.par_chunks_mut(block * hidden_width).zip(sums.par_iter_mut()).enumerate().for_each(
                |(i, (hidden, sums))| {
                    let tokens = hidden.len() / hidden_width;
                    let product = layer.compress(&whole[i * block * width..], line.before, width, tokens);
                    let out = Out { values: hidden, stride: hidden_width, columns: hidden_width };
                    isa.product(&product, Finish::StoreSums(out, sums));
                },
            );
            layer.norm1.affine(&merged(sums), tokens * self.hidden, norm);

            sums.fill(Sums::default());
            hidden.par_chunks_mut(block * hidden_width).zip(sums.par_iter_mut()).for_each(
                |(hidden, sums)| {
                    isa.norm_gelu(hidden, hidden_width, &norm[0], &norm[1]);
                    let tokens = hidden.len() / hidden_width;
                    isa.product(&layer.expand(hidden, hidden_width, tokens), Finish::Sums(sums));
                },
            );
            layer.norm2.affine(&merged(sums), tokens * 2 * self.channels, norm);

            let affine = Affine { factor: &norm[0], summand: &norm[1], scale: &layer.scale };
            let blocks = line.inner(x).par_chunks_mut(block * width);
            blocks.zip(hidden.par_chunks(block * hidden_width)).for_each(|(x, hidden)| {
                let tokens = x.len() / width;
                let out = Out { values: x, stride: width, columns: width };
                isa.product(&layer.expand(hidden, hidden_width, tokens), Finish::NormGlu(out, affine));
            });
        }
    }
}

/// Sums of all blocks, always in their order.
pub(super) fn merged(sums: &[Sums]) -> Sums {
    let mut whole = Sums::default();
    for part in sums {
        whole.merge(part);
    }
    whole
}

impl Layer {
    /// `x` begins `margin` tokens before the first.
    fn compress<'a>(&'a self, x: &'a [f32], margin: usize, width: usize, tokens: usize) -> Product<'a> {
        let step = self.dilation * width;
        let runs = Runs { start: margin * width - step, len: width, count: TAPS, step };
        Product { input: x, stride: width, runs, first_run: 0, tokens, weights: &self.compress }
    }

    fn expand<'a>(&'a self, hidden: &'a [f32], width: usize, tokens: usize) -> Product<'a> {
        let runs = Runs::one(0, self.expand.k());
        Product { input: hidden, stride: width, runs, first_run: 0, tokens, weights: &self.expand }
    }
}
