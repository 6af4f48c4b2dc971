//! Encoder and decoder layers of the time branch: a block of tokens at a time, whole phases of them where a norm
//! needs to know all of time.

use candle_core::Result;
use rayon::prelude::*;

use super::dconv::{DConv, LineWork};
use super::layout::{Line, padded};
use super::packed::Packed;
use super::product::{Finish, Out, Product, Runs};
use super::tensors::Tensors;
use crate::model::{Config, Side};

/// Strided convolution, GELU, [`DConv`], gated pointwise convolution.
#[derive(Debug)]
pub(super) struct Encoder {
    conv: Packed,
    stride: usize,
    dconv: Option<DConv>,
    rewrite: Packed,
    width: usize,
}

impl Encoder {
    /// Takes `tencoder.<layer>` from `ci` channels, whose tokens are `row` floats apart, to `co`.
    pub(super) fn new(
        layer: usize,
        (ci, row, co): (usize, usize, usize),
        config: &Config,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let prefix = format!("tencoder.{layer}");
        let (form, kernel) = (tensors.form_of(co), config.kernel_size);
        let weight = tensors.take(&format!("{prefix}.conv.weight"), &[co, ci, kernel])?;
        let bias = tensors.take(&format!("{prefix}.conv.bias"), &[co])?;
        let value = |k: usize, n: usize| {
            let (tap, c) = (k / row, k % row);
            if c < ci { weight[(n * ci + c) * kernel + tap] } else { 0.0 }
        };
        let rewrite = tensors.take(&format!("{prefix}.rewrite.weight"), &[2 * co, co, 1])?;
        let rewrite_bias = tensors.take(&format!("{prefix}.rewrite.bias"), &[2 * co])?;
        let width = padded(co);
        let gate = |k: usize, n: usize| if k < co { rewrite[n * co + k] } else { 0.0 };
        Ok(Self {
            conv: Packed::new(form, (1, kernel * row), co, value, &bias),
            stride: config.stride,
            dconv: DConv::load(Side::Encoder, co, config, &format!("{prefix}.dconv"), tensors)?,
            rewrite: Packed::gated(form, (1, width), 2 * co, gate, &rewrite_bias),
            width,
        })
    }

    /// `from` to `to`; `middle` is what lies between the convolutions.
    pub(super) fn forward(
        &self,
        work: &mut LineWork<'_>,
        (from, x): (Line, &[f32]),
        (middle, y): (Line, &mut [f32]),
        (to, out): (Line, &mut [f32]),
    ) {
        let (width, block, isa) = (self.width, middle.block(), work.isa);
        middle.clear_margins(y);
        // What token 0 sees begins half a stride before the first sample.
        let x = &x[from.start() - self.stride / 2 * from.width..];
        let stride = self.stride * from.width;
        middle.inner(y).par_chunks_mut(block * width).enumerate().for_each(|(i, y)| {
            let product = Product {
                input: &x[i * block * stride..],
                stride,
                runs: Runs::one(0, 2 * stride),
                first_run: 0,
                tokens: y.len() / width,
                weights: &self.conv,
            };
            isa.product(&product, Finish::Gelu(Out { values: y, stride: width, columns: width }));
        });
        if let Some(dconv) = &self.dconv {
            dconv.line(middle, y, work);
        }
        let y = &*middle.inner(y);
        to.inner(out).par_chunks_mut(block * width).zip(y.par_chunks(block * width)).for_each(|(out, y)| {
            let product = Product {
                input: y,
                stride: width,
                runs: Runs::one(0, width),
                first_run: 0,
                tokens: out.len() / width,
                weights: &self.rewrite,
            };
            isa.product(&product, Finish::Glu(Out { values: out, stride: width, columns: width }, None));
        });
    }
}

/// Gated convolution with context, [`DConv`], transposed convolution; GELU in all layers but the last.
#[derive(Debug)]
pub(super) struct Decoder {
    rewrite: Packed,
    context: usize,
    dconv: Option<DConv>,
    /// The taps of a token and of the one before give `stride` tokens, one behind the other.
    conv: Packed,
    stride: usize,
    width: usize,
    last: bool,
}

impl Decoder {
    /// Takes `tdecoder.<layer>` from `ci` channels to `co`, whose tokens are `row` floats apart.
    pub(super) fn new(
        layer: usize,
        (ci, co, row): (usize, usize, usize),
        config: &Config,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let prefix = format!("tdecoder.{layer}");
        let (width, taps) = (padded(ci), 1 + 2 * config.context);
        let rewrite = tensors.take(&format!("{prefix}.rewrite.weight"), &[2 * ci, ci, taps])?;
        let rewrite_bias = tensors.take(&format!("{prefix}.rewrite.bias"), &[2 * ci])?;
        let context = |k: usize, n: usize| {
            let (tap, c) = (k / width, k % width);
            if c < ci { rewrite[(n * ci + c) * taps + tap] } else { 0.0 }
        };
        let (form, kernel, stride) = (tensors.form_of(ci), config.kernel_size, config.stride);
        let weight = tensors.take(&format!("{prefix}.conv_tr.weight"), &[ci, co, kernel])?;
        let conv_bias = tensors.take(&format!("{prefix}.conv_tr.bias"), &[co])?;
        let value = |k: usize, n: usize| {
            let (step, channel) = (n / row, n % row);
            let (tap, c) = if k < width { (step + stride, k) } else { (step, k - width) };
            if c < ci && channel < co { weight[(c * co + channel) * kernel + tap] } else { 0.0 }
        };
        let bias: Vec<f32> =
            (0..stride * row).map(|n| conv_bias.get(n % row).copied().unwrap_or(0.0)).collect();
        Ok(Self {
            rewrite: Packed::gated(form, (1, taps * width), 2 * ci, context, &rewrite_bias),
            context: config.context,
            dconv: DConv::load(Side::Decoder, ci, config, &format!("{prefix}.dconv"), tensors)?,
            conv: Packed::new(form, (1, 2 * width), stride * row, value, &bias),
            stride,
            width,
            last: layer + 1 == config.depth,
        })
    }

    /// `from` (the layer's input and its skip connection added up) to `to`, which has the next layer's skip
    /// connection in it, to which the output is added; the last layer has none and stores. `middle` is what
    /// lies between the convolutions.
    pub(super) fn forward(
        &self,
        work: &mut LineWork<'_>,
        (from, x): (Line, &[f32]),
        (middle, y): (Line, &mut [f32]),
        (to, out): (Line, &mut [f32]),
    ) {
        let (width, block, isa) = (self.width, middle.block(), work.isa);
        middle.clear_margins(y);
        let x = &x[from.start() - self.context * width..];
        middle.inner(y).par_chunks_mut(block * width).enumerate().for_each(|(i, y)| {
            let product = Product {
                input: &x[i * block * width..],
                stride: width,
                runs: Runs::one(0, (1 + 2 * self.context) * width),
                first_run: 0,
                tokens: y.len() / width,
                weights: &self.rewrite,
            };
            isa.product(&product, Finish::Glu(Out { values: y, stride: width, columns: width }, None));
        });
        if let Some(dconv) = &self.dconv {
            dconv.line(middle, y, work);
        }

        // Token t of the input and the one before give the tokens from t * stride - stride / 2 on; one behind
        // the last (zeros) completes them.
        let y = &y[middle.start() - width..];
        let stride = self.stride * to.width;
        let first = to.start() - self.stride / 2 * to.width;
        let reached = &mut out[first..][..(middle.tokens + 1) * stride];
        reached.par_chunks_mut(block * stride).enumerate().for_each(|(i, out)| {
            let product = Product {
                input: &y[i * block * width..],
                stride: width,
                runs: Runs::one(0, 2 * width),
                first_run: 0,
                tokens: out.len() / stride,
                weights: &self.conv,
            };
            let out = Out { values: out, stride, columns: stride };
            isa.product(&product, if self.last { Finish::Store(out) } else { Finish::GeluAdd(out) });
        });
        to.clear_margins(out);
    }
}
