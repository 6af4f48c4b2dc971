//! Encoders and decoders of both branches. The time branch is one row of tokens, the frequency branch has one for each
//! row of bins: but for the axis of the strided convolutions they are the same.

use crate::error::Result;
use crate::model::{Config, Side};

use super::compiler::{Compiler, GateNorm, Spread, With};
use super::matrix::{Taps, paired};
use super::shape::{Place, Shape, padded};
use super::step::Finish;

/// Taps of the dilated convolutions.
const DILATED: usize = 3;

/// The axis of a branch's strided convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Rows,
    Tokens,
}

/// One layer of one branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) config: &'a Config,
    pub(super) axis: Axis,
    /// The layer of the encoder, or the encoder's that the decoder undoes.
    pub(super) level: usize,
}

impl Layer<'_> {
    fn channels(&self) -> usize {
        self.config.hidden_channels(self.level)
    }

    fn prefix(&self, part: &str) -> String {
        let (t, number) = (if self.axis == Axis::Tokens { "t" } else { "" }, self.number(part));
        format!("{t}{part}.{number}")
    }

    fn number(&self, part: &str) -> usize {
        if part == "encoder" { self.level } else { self.config.depth - 1 - self.level }
    }

    /// The shape of a convolution's weights along this axis.
    fn weight_shape(&self, out: usize, into: usize, taps: usize) -> Vec<usize> {
        if self.axis == Axis::Rows { vec![out, into, taps, 1] } else { vec![out, into, taps] }
    }

    /// What lies between the convolutions, and behind them: rows and tokens of this layer.
    pub(super) fn shape(&self) -> Shape {
        let Config { stride, kernel_size: kernel, context, nfft, .. } = *self.config;
        let reach = context.max(1 << (self.config.dconv_depth.max(1) - 1)).max(1);
        let width = padded(self.channels());
        match self.axis {
            Axis::Rows => Shape {
                rows: nfft / 2 / stride.pow(self.level as u32 + 1),
                tokens: self.config.spectrogram_frames(),
                width,
                margin_rows: context.max(kernel - stride).max(1),
                margin_tokens: reach,
            },
            Axis::Tokens => Shape {
                rows: 1,
                tokens: (0..=self.level).fold(self.config.segment_frames(), |n, _| n.div_ceil(stride)),
                width,
                margin_rows: 0,
                margin_tokens: reach.max(kernel),
            },
        }
    }
}

impl Compiler<'_> {
    /// Strided convolution, GELU, `DConv`, gated pointwise convolution: `from` to the skip connection that is returned.
    /// `taps` is what a token of the result sees of `from`, `channel(tap, element)` which of the convolution's taps and channels an
    /// element is, if any.
    pub(super) fn encoder(
        &mut self,
        layer: Layer<'_>,
        from: &Place,
        (taps, step): (&Taps, usize),
        channel: impl Fn(usize, usize) -> Option<(usize, usize)>,
        embedding: u64,
    ) -> Result<Place> {
        let (prefix, config, shape) = (layer.prefix("encoder"), layer.config, layer.shape());
        let (co, kernel) = (layer.channels(), config.kernel_size);
        let ci = match (layer.level, layer.axis) {
            (0, Axis::Rows) => 2 * config.audio_channels,
            (0, Axis::Tokens) => config.audio_channels,
            (level, _) => config.hidden_channels(level - 1),
        };
        let weight =
            self.tensors.take(&format!("{prefix}.conv.weight"), &layer.weight_shape(co, ci, kernel))?;
        let bias = self.tensors.take(&format!("{prefix}.conv.bias"), &[co])?;
        let value = |tap: usize, element: usize, n: usize| {
            channel(tap, element).map_or(0.0, |(tap, c)| weight[(n * ci + c) * kernel + tap])
        };
        let conv = self.matrix(taps, co, value, |n| bias[n])?;
        let middle = self.place(shape)?;
        let steps = if layer.axis == Axis::Rows { (step, 1) } else { (1, step) };
        let seen = from.view().strided((shape.rows, steps.0), (shape.tokens, steps.1));
        self.product(seen, &conv, Finish::Gelu, middle.view(), With::default());

        self.dconv(Side::Encoder, layer, &format!("{prefix}.dconv"), &middle)?;
        let kernel = layer.weight_shape(2 * co, co, 1);
        let weight = self.tensors.take(&format!("{prefix}.rewrite.weight"), &kernel)?;
        let bias = self.tensors.take(&format!("{prefix}.rewrite.bias"), &[2 * co])?;
        let rewrite = self.gated(&Taps::run(0, co), co, |_, c, n| weight[n * co + c], |n| bias[n])?;
        let skip = self.place(shape)?;
        let with = With { embedding, ..With::default() };
        self.product(middle.view(), &rewrite, Finish::Glu, skip.view(), with);
        Ok(skip)
    }

    /// What every layer of an encoder but the first sees: `kernel` rows or tokens, from half a stride before its own on.
    pub(super) fn hidden_encoder(&mut self, layer: Layer<'_>, from: &Place) -> Result<Place> {
        let Config { stride, kernel_size: kernel, .. } = *layer.config;
        let ci = layer.config.hidden_channels(layer.level - 1);
        let apart = if layer.axis == Axis::Rows { from.shape.row() } else { from.shape.width } as i64;
        let places = (0..kernel as i64).map(|tap| (tap - stride as i64 / 2) * apart).collect();
        let taps = Taps { places, len: ci };
        self.encoder(layer, from, (&taps, stride), |tap, c| Some((tap, c)), 0)
    }

    /// Gated convolution with context, `DConv`, transposed convolution. GELU of the result is added to the next layer's skip
    /// connection; of the last layer the result itself is stored as floats.
    pub(super) fn decoder(&mut self, layer: Layer<'_>, from: &Place, to: &Place) -> Result<()> {
        let (prefix, config, shape) = (layer.prefix("decoder"), layer.config, layer.shape());
        let (ci, width) = (layer.channels(), shape.width);
        let (context, taps) = (config.context as i64, 1 + 2 * config.context);
        let square = layer.axis == Axis::Rows;
        let rows = if square { taps } else { 1 };
        let kernel = if square { vec![2 * ci, ci, taps, taps] } else { vec![2 * ci, ci, taps] };
        let weight = self.tensors.take(&format!("{prefix}.rewrite.weight"), &kernel)?;
        let bias = self.tensors.take(&format!("{prefix}.rewrite.bias"), &[2 * ci])?;
        let above = if square { context } else { 0 };
        let place = |row: usize| (row as i64 - above) * shape.row() as i64 - context * width as i64;
        let seen = Taps { places: (0..rows).map(place).collect(), len: taps * width };
        let value = |row: usize, element: usize, n: usize| {
            let (token, c) = (element / width, element % width);
            if c < ci { weight[((n * ci + c) * rows + row) * taps + token] } else { 0.0 }
        };
        let rewrite = self.gated(&seen, ci, value, |n| bias[n])?;
        let middle = self.place(shape)?;
        self.product(from.view(), &rewrite, Finish::Glu, middle.view(), With::default());
        self.dconv(Side::Decoder, layer, &format!("{prefix}.dconv"), &middle)?;

        let (kernel, stride, row) = (config.kernel_size, config.stride, to.shape.width);
        let co = match (layer.level, layer.axis) {
            (0, Axis::Rows) => 2 * config.audio_channels * config.sources.len(),
            (0, Axis::Tokens) => config.audio_channels * config.sources.len(),
            (level, _) => config.hidden_channels(level - 1),
        };
        let weight =
            self.tensors.take(&format!("{prefix}.conv_tr.weight"), &layer.weight_shape(ci, co, kernel))?;
        let bias = self.tensors.take(&format!("{prefix}.conv_tr.bias"), &[co])?;
        // The taps of a row or token and of the one before give `stride` of the result.
        let apart = if square { shape.row() } else { width } as i64;
        let seen = Taps { places: vec![-apart, 0], len: ci };
        let value = |tap: usize, c: usize, n: usize| {
            let (step, channel) = (n / row, n % row);
            let tap = if tap == 0 { step + stride } else { step };
            if channel < co && tap < kernel { weight[(c * co + channel) * kernel + tap] } else { 0.0 }
        };
        let conv = self.matrix(&seen, stride * row, value, |n| bias.get(n % row).copied().unwrap_or(0.0))?;
        let limit = if square { to.shape.rows } else { to.shape.tokens };
        let spread = Spread { steps: stride, columns: row, along_rows: square, before: stride / 2, limit };
        let finish = if layer.level == 0 { Finish::StoreFloat } else { Finish::GeluAdd };
        let (rows, tokens) = if square { (shape.rows + 1, shape.tokens) } else { (1, shape.tokens + 1) };
        let from = middle.view().strided((rows, 1), (tokens, 1));
        self.product(from, &conv, finish, to.view(), With { spread: Some(spread), ..With::default() });
        Ok(())
    }

    /// The residual branch of dilated convolutions, in place, if layers of that side have one.
    fn dconv(&mut self, side: Side, layer: Layer<'_>, prefix: &str, x: &Place) -> Result<()> {
        let (config, channels, shape) = (layer.config, layer.channels(), x.shape);
        if config.dconv_mode & side as u8 == 0 {
            return Ok(());
        }
        let hidden = channels / config.dconv_comp;
        let middle = self.place(Shape::dense(shape.rows, shape.tokens, padded(hidden)))?;
        let with = With { group_tokens: shape.tokens, ..With::default() };
        for depth in 0..config.dconv_depth {
            let prefix = format!("{prefix}.layers.{depth}");
            let weight = self.tensors.take(&format!("{prefix}.0.weight"), &[hidden, channels, DILATED])?;
            let bias = self.tensors.take(&format!("{prefix}.0.bias"), &[hidden])?;
            let apart = (shape.width << depth) as i64;
            let taps = Taps { places: vec![-apart, 0, apart], len: channels };
            let value = |tap: usize, c: usize, n: usize| weight[(n * channels + c) * DILATED + tap];
            let compress = self.matrix(&taps, hidden, value, |n| bias[n])?;
            self.product(x.view(), &compress, Finish::StoreSums, middle.view(), with);
            let moments = self.moments(shape.rows, shape.tokens * hidden)?;
            let norm = [
                self.vector(&format!("{prefix}.1.weight"), hidden)?,
                self.vector(&format!("{prefix}.1.bias"), hidden)?,
            ];
            let weight = self.tensors.take(&format!("{prefix}.3.weight"), &[2 * channels, hidden, 1])?;
            let bias = self.tensors.take(&format!("{prefix}.3.bias"), &[2 * channels])?;
            // What the next norm takes is known before the product is.
            let form = self.form(hidden, 2 * channels, |n, c| weight[n * hidden + c], |n| bias[n])?;
            self.norm_gelu(&middle, shape.tokens, moments, norm, form);
            let value = |_: usize, c: usize, n: usize| weight[n * hidden + c];
            let expand = self.gated(&Taps::run(0, hidden), channels, value, |n| bias[n])?;
            let norm = GateNorm {
                moments: self.moments(shape.rows, shape.tokens * 2 * channels)?,
                weight: self.pairs(&format!("{prefix}.4.weight"), channels)?,
                bias: self.pairs(&format!("{prefix}.4.bias"), channels)?,
                scale: self.vector(&format!("{prefix}.6.scale"), channels)?,
            };
            let with = With { norm: Some(&norm), ..with };
            self.product(middle.view(), &expand, Finish::NormGlu, x.view(), with);
        }
        Ok(())
    }

    /// A vector of the checkpoint on the card, zeros behind.
    pub(super) fn vector(&mut self, name: &str, len: usize) -> Result<u64> {
        let mut values = self.tensors.take(name, &[len])?;
        values.resize(padded(len), 0.0);
        self.constants(&values)
    }

    /// A vector of values and gates, in the order of a gated matrix.
    fn pairs(&mut self, name: &str, channels: usize) -> Result<u64> {
        let values = paired(&self.tensors.take(name, &[2 * channels])?);
        self.constants(&values)
    }
}
