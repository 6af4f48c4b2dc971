//! One decoder layer of either branch.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::conv::{Axis, Context, Up};
use super::dconv::{DConv, Side};
use super::norm::glu;
use super::{Config, Probe};

/// Skip connection, gated convolution with context, [`DConv`], transposed convolution, GELU.
///
/// Source: demucs `hdemucs.py`, class `HDecLayer`.
#[derive(Debug)]
pub(super) struct Decoder {
    name: String,
    rewrite: Context,
    dconv: Option<DConv>,
    conv: Up,
    last: bool,
}

impl Decoder {
    pub(super) fn new(
        axis: Axis,
        name: &str,
        ci: usize,
        co: usize,
        config: &Config,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let last = name.ends_with(&format!(".{}", config.depth - 1));
        let vb = vb.pp(name);
        let taps = 1 + 2 * config.context;
        let rewrite = match axis {
            Axis::Bins => Context::square(ci, 2 * ci, taps, &vb.pp("rewrite"))?,
            Axis::Frames => Context::along_time(ci, 2 * ci, taps, 1, &vb.pp("rewrite"))?,
        };
        Ok(Self {
            name: name.to_owned(),
            rewrite,
            dconv: DConv::load(Side::Decoder, ci, config, &vb)?,
            conv: Up::new(axis, ci, co, config.stride, &vb.pp("conv_tr"))?,
            last,
        })
    }

    /// `x` and `skip` `[B, ci, F, T]` to `[B, co, F * stride, T]` (frequency) or
    /// `[B, co, 1, length]` (time).
    pub(super) fn forward(
        &self,
        x: &Tensor,
        skip: &Tensor,
        length: usize,
        probe: &mut dyn Probe,
    ) -> Result<Tensor> {
        let mut y = glu(&self.rewrite.forward(&(x + skip)?)?)?;
        if let Some(dconv) = &self.dconv {
            y = dconv.forward(&y)?;
            probe.see(&format!("{}.dconv", self.name), &y);
        }
        let z = self.conv.forward(&y, length)?;
        let z = if self.last { z } else { z.gelu_erf()? };
        probe.see(&self.name, &z);
        Ok(z)
    }
}
