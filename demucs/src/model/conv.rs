//! Convolutions as matrix products.
//!
//! candle has one stride for both axes and slow transposed convolutions on the CPU, so every
//! convolution of the network is written here as a product of its weight matrix with a view of
//! the input: the same mathematics on every device, at the speed of its matrix product.
//! Activations are `[B, C, F, T]`; the time branch is the same with F = 1.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// `weight [co, k]` times `columns [B, k, N]`, plus `bias [co]`: `[B, co, N]`.
fn product(weight: &Tensor, columns: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (batch, _, _) = columns.dims3()?;
    // Only the CPU's product takes views with gaps between rows.
    let columns = if columns.device().is_cpu() { columns.clone() } else { columns.contiguous()? };
    let out = weight.unsqueeze(0)?.broadcast_as((batch, weight.dim(0)?, weight.dim(1)?))?.matmul(&columns)?;
    match bias {
        Some(bias) => out.broadcast_add(&bias.reshape((1, (), 1))?),
        None => Ok(out),
    }
}

/// Pointwise convolution: a linear map of the channels.
#[derive(Debug)]
pub(super) struct Pointwise {
    weight: Tensor,
    bias: Tensor,
}

impl Pointwise {
    /// Loads `weight [co, ci, 1(, 1)]` and `bias [co]`.
    pub(super) fn new(ci: usize, co: usize, dims: usize, vb: &VarBuilder) -> Result<Self> {
        let mut shape = vec![co, ci];
        shape.resize(2 + dims, 1);
        Ok(Self { weight: vb.get(shape, "weight")?.reshape((co, ci))?, bias: vb.get(co, "bias")? })
    }

    /// `[B, ci, F, T]` to `[B, co, F, T]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, f, t) = x.dims4()?;
        product(&self.weight, &x.reshape((b, c, f * t))?, Some(&self.bias))?.reshape((b, (), f, t))
    }
}

/// Which axis a strided convolution walks along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Frequency: kernel `(k, 1)`.
    Bins,
    /// Time: kernel `k`.
    Frames,
}

impl Axis {
    fn weight_shape(self, a: usize, b: usize, kernel: usize) -> Vec<usize> {
        match self {
            Self::Bins => vec![a, b, kernel, 1],
            Self::Frames => vec![a, b, kernel],
        }
    }
}

/// Strided convolution with a kernel of two strides, padded by half a stride on both sides, so
/// that the walked axis becomes `1 / stride` of its length.
#[derive(Debug)]
pub(super) struct Down {
    axis: Axis,
    stride: usize,
    weight: Tensor,
    bias: Tensor,
}

impl Down {
    /// Loads `weight [co, ci, 2 * stride(, 1)]` and `bias [co]`.
    pub(super) fn new(axis: Axis, ci: usize, co: usize, stride: usize, vb: &VarBuilder) -> Result<Self> {
        let kernel = 2 * stride;
        let weight = vb.get(axis.weight_shape(co, ci, kernel), "weight")?.reshape((co, ci * kernel))?;
        Ok(Self { axis, stride, weight, bias: vb.get(co, "bias")? })
    }

    /// `[B, ci, F, T]` to `[B, co, F / stride, T]` (bins) or `[B, co, 1, ceil(T / stride)]` (frames).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, f, t) = x.dims4()?;
        let (s, half) = (self.stride, self.stride / 2);
        let (first, second, f, t) = match self.axis {
            Axis::Bins => {
                let steps = f.div_ceil(s);
                let x = x.pad_with_zeros(2, half, steps * s - f + half)?;
                let x = x.reshape((b, c, steps + 1, s, t))?.permute((0, 1, 3, 2, 4))?;
                (x.narrow(3, 0, steps)?, x.narrow(3, 1, steps)?, steps, t)
            }
            Axis::Frames => {
                let steps = t.div_ceil(s);
                let x = x.pad_with_zeros(3, half, steps * s - t + half)?;
                let x = x.reshape((b, c, steps + 1, s, 1))?.permute((0, 1, 3, 2, 4))?;
                (x.narrow(3, 0, steps)?, x.narrow(3, 1, steps)?, 1, steps)
            }
        };
        let columns = Tensor::cat(&[first.contiguous()?, second.contiguous()?], 2)?;
        let columns = columns.reshape((b, c * 2 * s, f * t))?;
        product(&self.weight, &columns, Some(&self.bias))?.reshape((b, (), f, t))
    }
}

/// Transposed convolution with a kernel of two strides, half a stride cropped on both sides: the
/// inverse of [`Down`] in shape.
#[derive(Debug)]
pub(super) struct Up {
    axis: Axis,
    stride: usize,
    weight: Tensor,
    bias: Tensor,
}

impl Up {
    /// Loads `weight [ci, co, 2 * stride(, 1)]` and `bias [co]`.
    pub(super) fn new(axis: Axis, ci: usize, co: usize, stride: usize, vb: &VarBuilder) -> Result<Self> {
        let kernel = 2 * stride;
        let weight = vb.get(axis.weight_shape(ci, co, kernel), "weight")?.reshape((ci, co * kernel))?;
        Ok(Self { axis, stride, weight: weight.t()?.contiguous()?, bias: vb.get(co, "bias")? })
    }

    /// `[B, ci, F, T]` to `[B, co, F * stride, T]` (bins) or `[B, co, 1, length]` (frames).
    ///
    /// `length` in frames cuts the end of the time branch and is unused for bins.
    pub(super) fn forward(&self, x: &Tensor, length: usize) -> Result<Tensor> {
        let (b, c, f, t) = x.dims4()?;
        let (s, half, co) = (self.stride, self.stride / 2, self.bias.dim(0)?);
        let taps = product(&self.weight, &x.reshape((b, c, f * t))?, None)?;
        // Steps first, then the taps of one step: step i writes the first half of its taps to
        // block i and the second half to block i + 1.
        let (steps, inner) = match self.axis {
            Axis::Bins => (f, t),
            Axis::Frames => (t, 1),
        };
        let taps = taps.reshape((b, co, 2 * s, steps, inner))?.permute((0, 1, 3, 2, 4))?;
        let head = taps.narrow(3, 0, s)?.pad_with_zeros(2, 0, 1)?;
        let tail = taps.narrow(3, s, s)?.pad_with_zeros(2, 1, 0)?;
        let out = (head + tail)?.reshape((b, co, (steps + 1) * s, inner))?;
        let out = match self.axis {
            Axis::Bins => out.narrow(2, half, f * s)?,
            Axis::Frames => out.narrow(2, half, length)?.transpose(2, 3)?,
        };
        out.broadcast_add(&self.bias.reshape((1, (), 1, 1))?)
    }
}

/// Convolution along time that keeps the length: kernel `(1, 3)` with a dilation, or `(3, 3)`.
#[derive(Debug)]
pub(super) struct Context {
    /// One matrix `[co, ci * rows]` for each of the taps along time.
    taps: Vec<Tensor>,
    bias: Tensor,
    rows: usize,
    dilation: usize,
}

impl Context {
    /// Loads `weight [co, ci, taps]` and `bias [co]` of a dilated convolution along time.
    pub(super) fn along_time(
        ci: usize,
        co: usize,
        taps: usize,
        dilation: usize,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let weight = vb.get((co, ci, taps), "weight")?;
        let taps = (0..taps).map(|i| weight.narrow(2, i, 1)?.reshape((co, ci))).collect::<Result<_>>()?;
        Ok(Self { taps, bias: vb.get(co, "bias")?, rows: 1, dilation })
    }

    /// Loads `weight [co, ci, taps, taps]` and `bias [co]` of a convolution over bins and time.
    pub(super) fn square(ci: usize, co: usize, taps: usize, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get((co, ci, taps, taps), "weight")?;
        let columns =
            (0..taps).map(|i| weight.narrow(3, i, 1)?.reshape((co, ci * taps))).collect::<Result<_>>()?;
        Ok(Self { taps: columns, bias: vb.get(co, "bias")?, rows: taps, dilation: 1 })
    }

    /// `[B, ci, F, T]` to `[B, co, F, T]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, f, t) = x.dims4()?;
        let reach = (self.taps.len() / 2) * self.dilation;
        let width = t + 2 * reach;
        let x = x.pad_with_zeros(3, reach, reach)?;
        let x = if self.rows == 1 {
            x.reshape((b, c, f * width))?
        } else {
            let x = x.pad_with_zeros(2, self.rows / 2, self.rows / 2)?.unsqueeze(2)?;
            let rows: Vec<_> =
                (0..self.rows).map(|i| x.narrow(3, i, f)?.contiguous()).collect::<Result<_>>()?;
            Tensor::cat(&rows, 2)?.reshape((b, c * self.rows, f * width))?
        };
        // With all rows laid end to end, a tap is a shift of the whole; what it carries over
        // from one row to the next falls into the padding, which is cut off at the end.
        let kept = f * width - 2 * reach;
        let mut sum: Option<Tensor> = None;
        for (i, tap) in self.taps.iter().enumerate() {
            let term = product(tap, &x.narrow(2, i * self.dilation, kept)?, None)?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
        let sum = sum.ok_or_else(|| candle_core::Error::Msg("a convolution without taps".into()))?;
        let sum = sum.pad_with_zeros(2, 0, 2 * reach)?.reshape((b, (), f, width))?.narrow(3, 0, t)?;
        sum.broadcast_add(&self.bias.reshape((1, (), 1, 1))?)
    }
}
