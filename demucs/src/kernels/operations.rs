//! The blocks of a segment and the floating-point operations of their products.

use std::fmt;

use crate::model::Config;

/// What is computed between two looks at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// The transform of the mixture.
    Spectrum,
    Encoder(usize),
    TimeEncoder(usize),
    /// The maps into the transformer's width.
    Enter,
    Transformer(Part),
    /// The maps out of it.
    Leave,
    Decoder(usize),
    TimeDecoder(usize),
    /// The inverse transform.
    Inverse,
}

/// A phase of a transformer's layer, both branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Queries, keys and values.
    Project(usize),
    /// Attention and the linear maps behind it.
    Attend(usize),
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spectrum => write!(f, "spectrum"),
            Self::Encoder(i) => write!(f, "encoder.{i}"),
            Self::TimeEncoder(i) => write!(f, "tencoder.{i}"),
            Self::Enter => write!(f, "channel_upsampler"),
            Self::Transformer(Part::Project(i)) => write!(f, "transformer.{i}.projections"),
            Self::Transformer(Part::Attend(i)) => write!(f, "transformer.{i}.attention_and_linears"),
            Self::Leave => write!(f, "channel_downsampler"),
            Self::Decoder(i) => write!(f, "decoder.{i}"),
            Self::TimeDecoder(i) => write!(f, "tdecoder.{i}"),
            Self::Inverse => write!(f, "inverse"),
        }
    }
}

/// Multiplications and additions of a block's products, without what fills vectors up; transforms count as none.
pub(super) fn of(config: &Config, block: Block) -> u64 {
    let (depth, stride, taps) = (config.depth, config.stride, 1 + 2 * config.context);
    let rows = |layer: usize| config.nfft / 2 / stride.pow(layer as u32 + 1);
    let steps = |layer: usize| (0..=layer).fold(config.segment_frames(), |n, _| n.div_ceil(stride));
    let (frames, audio) = (config.spectrogram_frames(), config.audio_channels);
    let outputs = audio * config.sources.len();
    let (bottom, bottom_t) = (rows(depth - 1) * frames, steps(depth - 1));
    let c = config.transformer_channels();
    let dconv = |side: u8, channels: usize| {
        let hidden = channels / config.dconv_comp;
        let layer = 3 * channels * hidden + hidden * 2 * channels;
        if config.dconv_mode & side == 0 { 0 } else { config.dconv_depth * layer }
    };
    let encoder = |tokens: usize, layer: usize, input: usize| {
        let co = config.hidden_channels(layer);
        let ci = if layer == 0 { input } else { config.hidden_channels(layer - 1) };
        tokens * (config.kernel_size * ci * co + dconv(1, co) + co * 2 * co)
    };
    let decoder = |tokens: usize, i: usize, rewrite_taps: usize, output: usize| {
        let layer = depth - 1 - i;
        let ci = config.hidden_channels(layer);
        let co = if layer == 0 { output } else { config.hidden_channels(layer - 1) };
        tokens * (rewrite_taps * ci * 2 * ci + dconv(2, ci) + config.kernel_size * ci * co)
    };
    let ends = if config.bottom_channels == 0 { 0 } else { config.hidden_channels(depth - 1) * c };
    let products = match block {
        Block::Spectrum | Block::Inverse => 0,
        Block::Encoder(i) => encoder(rows(i) * frames, i, 2 * audio),
        Block::TimeEncoder(i) => encoder(steps(i), i, audio),
        Block::Enter | Block::Leave => (bottom + bottom_t) * ends,
        Block::Transformer(Part::Project(_)) => (bottom + bottom_t) * 3 * c * c,
        Block::Transformer(Part::Attend(i)) => {
            let cross = (i % 2 == 0) == config.t_cross_first;
            let pairs = if cross { 2 * bottom * bottom_t } else { bottom * bottom + bottom_t * bottom_t };
            let hidden = (c as f64 * config.t_hidden_scale) as usize;
            pairs * 2 * c + (bottom + bottom_t) * (c * c + 2 * c * hidden)
        }
        Block::Decoder(i) => decoder(rows(depth - 1 - i) * frames, i, taps * taps, 2 * outputs),
        Block::TimeDecoder(i) => decoder(steps(depth - 1 - i), i, taps, outputs),
    };
    2 * products as u64
}
