//! Encoder and decoder layers of the frequency branch: each row of frequency is computed from end to end while
//! it lies in the cache.

use candle_core::Result;
use rayon::prelude::*;

use super::dconv::DConv;
use super::isa::Isa;
use super::layout::{Grid, padded};
use super::packed::{Form, Packed};
use super::product::{Finish, Out, Product, Runs};
use super::scratch::{Pool, Scratch};
use super::tensors::Tensors;
use super::winograd::{self, RowPair, Winograd};
use crate::model::{Config, Side};

/// Strided convolution, GELU, [`DConv`], gated pointwise convolution.
#[derive(Debug)]
pub(super) struct Encoder {
    conv: Packed,
    /// Rows that an output row sees, how many of them lie before `row * stride`, and the floats of one.
    taps: usize,
    before: usize,
    tap: usize,
    stride: usize,
    dconv: Option<DConv>,
    rewrite: Packed,
    channels: usize,
    margin: usize,
}

impl Encoder {
    /// Takes `encoder.<layer>` from `ci` to `co` channels. The first layer sees `stride` rows of the spectrogram as
    /// one, shifted by the padding.
    pub(super) fn new(
        layer: usize,
        (ci, co): (usize, usize),
        config: &Config,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let prefix = format!("encoder.{layer}");
        let kernel = config.kernel_size;
        let weight = tensors.take(&format!("{prefix}.conv.weight"), &[co, ci, kernel, 1])?;
        let bias = tensors.take(&format!("{prefix}.conv.bias"), &[co])?;
        let row = if layer == 0 { ci } else { padded(ci) };
        let value = |k: usize, n: usize| {
            let (tap, c) = (k / row, k % row);
            if c < ci { weight[(n * ci + c) * kernel + tap] } else { 0.0 }
        };
        let rewrite = tensors.take(&format!("{prefix}.rewrite.weight"), &[2 * co, co, 1, 1])?;
        let rewrite_bias = tensors.take(&format!("{prefix}.rewrite.bias"), &[2 * co])?;
        let width = padded(co);
        let gate = |k: usize, n: usize| if k < co { rewrite[n * co + k] } else { 0.0 };
        let (form, stride) = (tensors.form_of(co), config.stride);
        let (taps, before, tap, stride) = if layer == 0 {
            (kernel / stride, 0, row * stride, 1)
        } else {
            (kernel, stride / 2, row, stride)
        };
        let conv = Packed::new(form, (taps, tap), co, value, &bias);
        Ok(Self {
            conv,
            taps,
            before,
            tap,
            stride,
            dconv: DConv::load(Side::Encoder, co, config, &format!("{prefix}.dconv"), tensors)?,
            rewrite: Packed::gated(form, (1, width), 2 * co, gate, &rewrite_bias),
            channels: width,
            margin: DConv::reach(config),
        })
    }

    /// Rows of `from` to rows of `to`; `embedding` (one row of channels for each) is added.
    pub(super) fn forward(
        &self,
        isa: &Isa,
        pool: &Pool,
        (from, x): (Grid, &[f32]),
        (to, out): (Grid, &mut [f32]),
        embedding: Option<&[f32]>,
    ) {
        out.par_chunks_mut(to.row_len()).enumerate().for_each(|(row, out)| {
            pool.with(|scratch| {
                let place = row * self.stride;
                let first = place.saturating_sub(self.before);
                let skipped = self.before.saturating_sub(place);
                let end = (place + self.taps - self.before).min(from.rows);
                let runs = Runs {
                    start: from.start(first),
                    len: self.tap,
                    count: end - first,
                    step: from.row_len(),
                };
                let product = Product {
                    input: x,
                    stride: from.width,
                    runs,
                    first_run: skipped,
                    tokens: to.tokens,
                    weights: &self.conv,
                };
                let embedding = embedding.map(|rows| &rows[row * to.width..][..to.width]);
                self.row(isa, &product, embedding, &mut out[to.inner()..], scratch);
            });
        });
    }

    fn row(
        &self,
        isa: &Isa,
        conv: &Product<'_>,
        embedding: Option<&[f32]>,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (width, margin, tokens) = (self.channels, self.margin, conv.tokens);
        let mut row = std::mem::take(&mut scratch.row);
        let x = row.at_least((tokens + 2 * margin) * width);
        let (inner, end) = (margin * width, (margin + tokens) * width);
        x[..inner].fill(0.0);
        x[end..].fill(0.0);
        isa.product(conv, Finish::Gelu(Out { values: &mut x[inner..end], stride: width, columns: width }));
        if let Some(dconv) = &self.dconv {
            dconv.row(isa, x, margin, scratch);
        }
        let rewrite = Product {
            input: &x[inner..end],
            stride: width,
            runs: Runs::one(0, width),
            first_run: 0,
            tokens,
            weights: &self.rewrite,
        };
        isa.product(&rewrite, Finish::Glu(Out { values: out, stride: width, columns: width }, embedding));
        scratch.row = row;
    }
}

/// Gated convolution with context, [`DConv`], transposed convolution; GELU in all layers but the last.
#[derive(Debug)]
pub(super) struct Decoder {
    rewrite: Rewrite,
    context: usize,
    dconv: Option<DConv>,
    /// One for each row of a stride: the tap of the row before, then that of the row itself.
    conv: Vec<Packed>,
    width: usize,
    last: bool,
}

/// The gated convolution over rows and tokens.
#[derive(Debug)]
enum Rewrite {
    /// Of any number of taps, row by row.
    Direct(Packed),
    /// Of three by three taps, two rows at a time.
    Pairs(Winograd),
}

/// Most channels for which the form of a pair of rows stays in the cache.
const PAIRED_CHANNELS: usize = 192;

impl Decoder {
    /// Takes `decoder.<layer>` from `ci` to `co` channels.
    pub(super) fn new(
        layer: usize,
        (ci, co): (usize, usize),
        config: &Config,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let prefix = format!("decoder.{layer}");
        let (width, taps) = (padded(ci), 1 + 2 * config.context);
        let rewrite = tensors.take(&format!("{prefix}.rewrite.weight"), &[2 * ci, ci, taps, taps])?;
        let rewrite_bias = tensors.take(&format!("{prefix}.rewrite.bias"), &[2 * ci])?;
        let value = |row: usize, token: usize, c: usize, n: usize| {
            rewrite[((n * ci + c) * taps + row) * taps + token]
        };
        let rows = config.nfft / 2 / config.stride.pow((config.depth - layer) as u32);
        let even = rows.is_multiple_of(2) && config.spectrogram_frames().is_multiple_of(2);
        let form = tensors.form_of(ci);
        let rewrite = if form == Form::Floats && even && taps == winograd::TAPS && width <= PAIRED_CHANNELS {
            Rewrite::Pairs(Winograd::new(ci, value, &rewrite_bias))
        } else {
            let square = |k: usize, n: usize| {
                let (row, token, c) = (k / width / taps, k / width % taps, k % width);
                if c < ci { value(row, token, c, n) } else { 0.0 }
            };
            let shape = (taps, taps * width);
            Rewrite::Direct(Packed::gated(form, shape, 2 * ci, square, &rewrite_bias))
        };
        let (kernel, stride) = (config.kernel_size, config.stride);
        let weight = tensors.take(&format!("{prefix}.conv_tr.weight"), &[ci, co, kernel, 1])?;
        let bias = tensors.take(&format!("{prefix}.conv_tr.bias"), &[co])?;
        let conv = (0..stride).map(|row| {
            let value = |k: usize, n: usize| {
                let (tap, c) = if k < width { (row + stride, k) } else { (row, k - width) };
                if c < ci { weight[(c * co + n) * kernel + tap] } else { 0.0 }
            };
            Packed::new(form, (2, width), co, value, &bias)
        });
        Ok(Self {
            conv: conv.collect(),
            rewrite,
            context: config.context,
            dconv: DConv::load(Side::Decoder, ci, config, &format!("{prefix}.dconv"), tensors)?,
            width,
            last: layer + 1 == config.depth,
        })
    }

    /// Rows of `from` (the layer's input and its skip connection added up, with a margin of the context) to rows of
    /// `to`, which have the next layer's skip connection in them, to which the output is added; the last layer
    /// has none and stores. `middle` is what lies between the convolutions.
    pub(super) fn forward(
        &self,
        isa: &Isa,
        pool: &Pool,
        (from, x): (Grid, &[f32]),
        (middle, y): (Grid, &mut [f32]),
        (to, out): (Grid, &mut [f32]),
    ) {
        self.gate(isa, pool, (from, x), (middle, y));
        let tokens = from.tokens;

        // Row r of the input gives the rows from r * stride - stride / 2 on, and together with the row before those
        // of one stride.
        let (y, stride) = (&*y, self.conv.len());
        let (head, rest) = out.split_at_mut((stride - stride / 2) * to.row_len());
        let groups = rest.par_chunks_mut(stride * to.row_len()).enumerate();
        let group = |row: usize, out: &mut [f32], skipped: usize| {
            for (conv, out) in self.conv[skipped..].iter().zip(out.chunks_exact_mut(to.row_len())) {
                let first = row.saturating_sub(1);
                let runs = Runs {
                    start: middle.start(first),
                    len: self.width,
                    count: (row + 1).min(middle.rows) - first,
                    step: middle.row_len(),
                };
                let first_run = usize::from(row == 0);
                let product =
                    Product { input: y, stride: self.width, runs, first_run, tokens, weights: conv };
                let out = Out { values: &mut out[to.inner()..], stride: to.width, columns: to.width };
                isa.product(&product, if self.last { Finish::Store(out) } else { Finish::GeluAdd(out) });
            }
        };
        rayon::join(|| group(0, head, stride / 2), || groups.for_each(|(i, out)| group(i + 1, out, 0)));
    }

    /// The gated convolution and the [`DConv`] behind it.
    fn gate(&self, isa: &Isa, pool: &Pool, (from, x): (Grid, &[f32]), (middle, y): (Grid, &mut [f32])) {
        let (width, tokens) = (self.width, from.tokens);
        let (inner, end) = (middle.inner(), middle.inner() + tokens * width);
        let finish = |y: &mut [f32], scratch: &mut Scratch| {
            y[..inner].fill(0.0);
            y[end..].fill(0.0);
            if let Some(dconv) = &self.dconv {
                dconv.row(isa, y, middle.margin, scratch);
            }
        };
        match &self.rewrite {
            Rewrite::Direct(weights) => {
                y.par_chunks_mut(middle.row_len()).enumerate().for_each(|(row, y)| {
                    let (first, end_row) =
                        (row.saturating_sub(self.context), (row + 1 + self.context).min(from.rows));
                    let len = (1 + 2 * self.context) * width;
                    let product = Product {
                        input: x,
                        stride: width,
                        runs: Runs {
                            start: from.start(first) - self.context * width,
                            len,
                            count: end_row - first,
                            step: from.row_len(),
                        },
                        first_run: self.context.saturating_sub(row),
                        tokens,
                        weights,
                    };
                    let out = Out { values: &mut y[inner..end], stride: width, columns: width };
                    isa.product(&product, Finish::Glu(out, None));
                    pool.with(|scratch| finish(y, scratch));
                });
            }
            Rewrite::Pairs(weights) => {
                y.par_chunks_mut(2 * middle.row_len()).enumerate().for_each(|(pair, y)| {
                    let seen = |i: usize| {
                        let row = (2 * pair + i).checked_sub(1).filter(|row| *row < from.rows)?;
                        Some(&x[from.start(row) - width..][..(tokens + 2) * width])
                    };
                    let task = RowPair { rows: std::array::from_fn(seen), tokens, weights };
                    pool.with(|scratch| {
                        let (upper, lower) = y.split_at_mut(middle.row_len());
                        let out = [&mut upper[inner..end], &mut lower[inner..end]];
                        isa.winograd(&task, out, scratch.form.at_least(weights.scratch()));
                        finish(upper, scratch);
                        finish(lower, scratch);
                    });
                });
            }
        }
    }
}
