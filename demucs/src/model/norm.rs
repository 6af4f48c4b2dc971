//! Normalisation and gates, written with candle's operations.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

const EPSILON: f64 = 1e-5;

/// Group norm with one group: the mean and variance of a whole sample.
#[derive(Debug)]
pub(super) struct SampleNorm {
    weight: Tensor,
    bias: Tensor,
}

impl SampleNorm {
    /// Loads `weight [c]` and `bias [c]`.
    pub(super) fn new(c: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { weight: vb.get(c, "weight")?, bias: vb.get(c, "bias")? })
    }

    /// `[B, C, F, T]`, each of the B * F rows over its C and T.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, c, _, t) = x.dims4()?;
        let count = (c * t) as f64;
        let mean = (x.sum_keepdim(D::Minus1)?.sum_keepdim(1)? / count)?;
        let centred = x.broadcast_sub(&mean)?;
        let variance = (centred.sqr()?.sum_keepdim(D::Minus1)?.sum_keepdim(1)? / count)?;
        let inverse = (variance + EPSILON)?.sqrt()?.recip()?;
        let shape = (1, c, 1, 1);
        let gain = inverse.broadcast_mul(&self.weight.reshape(shape)?)?;
        centred.broadcast_mul(&gain)?.broadcast_add(&self.bias.reshape(shape)?)
    }

    /// `[B, T, C]`, each of the B samples over its T and C.
    pub(super) fn forward_tokens(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, c) = x.dims3()?;
        let flat = x.reshape((b, t * c))?;
        let mean = flat.mean_keepdim(1)?;
        let centred = flat.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim(1)?;
        let inverse = (variance + EPSILON)?.sqrt()?.recip()?;
        let normal = centred.broadcast_mul(&inverse)?.reshape((b, t, c))?;
        normal.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

/// Gated linear unit over the channels: `[B, 2C, F, T]` to `[B, C, F, T]`.
pub(super) fn glu(x: &Tensor) -> Result<Tensor> {
    let half = x.dim(1)? / 2;
    x.narrow(1, 0, half)? * candle_nn::ops::sigmoid(&x.narrow(1, half, half)?)?
}
