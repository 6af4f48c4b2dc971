//! One encoder layer of either branch.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::conv::{Axis, Down, Pointwise};
use super::dconv::{DConv, Side};
use super::norm::glu;
use super::{Config, Probe};

/// Strided convolution, GELU, [`DConv`], gated pointwise convolution.
///
/// Source: demucs `hdemucs.py`, class `HEncLayer`.
#[derive(Debug)]
pub(super) struct Encoder {
    name: String,
    conv: Down,
    dconv: Option<DConv>,
    rewrite: Pointwise,
}

impl Encoder {
    pub(super) fn new(
        axis: Axis,
        name: &str,
        ci: usize,
        co: usize,
        config: &Config,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let vb = vb.pp(name);
        let dims = if axis == Axis::Bins { 2 } else { 1 };
        Ok(Self {
            name: name.to_owned(),
            conv: Down::new(axis, ci, co, config.stride, &vb.pp("conv"))?,
            dconv: DConv::load(Side::Encoder, co, config, &vb)?,
            rewrite: Pointwise::new(co, 2 * co, dims, &vb.pp("rewrite"))?,
        })
    }

    /// `[B, ci, F, T]` to `[B, co, F / stride, T]` (frequency) or `[B, co, 1, ceil(T / stride)]` (time).
    pub(super) fn forward(&self, x: &Tensor, probe: &mut dyn Probe) -> Result<Tensor> {
        let mut y = self.conv.forward(x)?.gelu_erf()?;
        if let Some(dconv) = &self.dconv {
            y = dconv.forward(&y)?;
            probe.see(&format!("{}.dconv", self.name), &y);
        }
        let z = glu(&self.rewrite.forward(&y)?)?;
        probe.see(&self.name, &z);
        Ok(z)
    }
}
