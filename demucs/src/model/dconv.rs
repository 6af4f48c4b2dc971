//! The residual branch of dilated convolutions inside each encoder and decoder.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Config;
use super::conv::{Context, Pointwise};
use super::norm::{SampleNorm, glu};

/// Residual layers that look along time: compress, normalise, activate, expand, gate, scale.
///
/// Source: demucs `demucs.py`, class `DConv`.
#[derive(Debug)]
pub(super) struct DConv {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    compress: Context,
    norm1: SampleNorm,
    expand: Pointwise,
    norm2: SampleNorm,
    scale: Tensor,
}

/// The side of the network that a layer belongs to; its value is its bit in `dconv_mode`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Encoder = 1,
    Decoder = 2,
}

impl DConv {
    /// The branch of a layer of `channels` under `dconv` in its weights, if layers of that side have one.
    pub(super) fn load(
        side: Side,
        channels: usize,
        config: &Config,
        vb: &VarBuilder,
    ) -> Result<Option<Self>> {
        let wanted = config.dconv_mode & side as u8 != 0;
        wanted.then(|| Self::new(channels, config, &vb.pp("dconv"))).transpose()
    }

    fn new(channels: usize, config: &Config, vb: &VarBuilder) -> Result<Self> {
        let hidden = channels / config.dconv_comp;
        let vb = vb.pp("layers");
        let layer = |d: usize| {
            let vb = vb.pp(d);
            Ok(Layer {
                compress: Context::along_time(channels, hidden, 3, 1 << d, &vb.pp("0"))?,
                norm1: SampleNorm::new(hidden, &vb.pp("1"))?,
                expand: Pointwise::new(hidden, 2 * channels, 1, &vb.pp("3"))?,
                norm2: SampleNorm::new(2 * channels, &vb.pp("4"))?,
                scale: vb.pp("6").get(channels, "scale")?.reshape((1, channels, 1, 1))?,
            })
        };
        Ok(Self { layers: (0..config.dconv_depth).map(layer).collect::<Result<_>>()? })
    }

    /// `[B, C, F, T]` to the same shape; each frequency row is a sequence of its own.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            let y = layer.norm1.forward(&layer.compress.forward(&x)?)?.gelu_erf()?;
            let y = glu(&layer.norm2.forward(&layer.expand.forward(&y)?)?)?;
            x = (x + y.broadcast_mul(&layer.scale)?)?;
        }
        Ok(x)
    }
}
