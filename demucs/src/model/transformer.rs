//! The cross-domain transformer between encoders and decoders.

use candle_core::{D, Result, Tensor};
use candle_nn::{LayerNorm, Linear, Module, VarBuilder, layer_norm, linear};

use super::norm::SampleNorm;
use super::{Config, Probe, position};

/// Layers that alternate between attention inside each branch and attention across the two.
///
/// Source: demucs `transformer.py`, class `CrossTransformerEncoder`.
#[derive(Debug)]
pub(super) struct CrossTransformer {
    norm_in: LayerNorm,
    norm_in_t: LayerNorm,
    layers: Vec<Layer>,
    layers_t: Vec<Layer>,
    grid: Tensor,
    sequence: Tensor,
    cross_first: bool,
}

impl CrossTransformer {
    /// `bins` and `frames` of the frequency branch, `steps` of the time branch, at the bottom.
    pub(super) fn new(
        bins: usize,
        frames: usize,
        steps: usize,
        config: &Config,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let c = config.transformer_channels();
        let vb = vb.pp("crosstransformer");
        let layers = |branch: &str| -> Result<Vec<Layer>> {
            (0..config.t_layers)
                .map(|i| {
                    let cross = (i % 2 == 0) == config.t_cross_first;
                    Layer::new(c, cross, config, &vb.pp(branch).pp(i))
                })
                .collect()
        };
        let weight = config.t_weight_pos_embed;
        Ok(Self {
            norm_in: layer_norm(c, 1e-5, vb.pp("norm_in"))?,
            norm_in_t: layer_norm(c, 1e-5, vb.pp("norm_in_t"))?,
            layers: layers("layers")?,
            layers_t: layers("layers_t")?,
            grid: (position::grid(bins, frames, c, config.t_max_period, vb.device())? * weight)?,
            sequence: (position::sequence(steps, c, config.t_max_period, vb.device())? * weight)?,
            cross_first: config.t_cross_first,
        })
    }

    /// `x [B, C, F, T]` and `xt [B, C, 1, T']` to the same shapes.
    pub(super) fn forward(&self, x: &Tensor, xt: &Tensor, probe: &mut dyn Probe) -> Result<(Tensor, Tensor)> {
        let (b, c, f, t) = x.dims4()?;
        let steps = xt.dim(3)?;
        let x = x.permute((0, 3, 2, 1))?.reshape((b, t * f, c))?;
        let xt = xt.reshape((b, c, steps))?.transpose(1, 2)?.contiguous()?;
        let mut x = self.norm_in.forward(&x)?.broadcast_add(&self.grid)?;
        let mut xt = self.norm_in_t.forward(&xt)?.broadcast_add(&self.sequence)?;
        for (i, (layer, layer_t)) in self.layers.iter().zip(&self.layers_t).enumerate() {
            let cross = (i % 2 == 0) == self.cross_first;
            let (next, next_t) = if cross {
                (layer.forward(&x, Some(&xt))?, layer_t.forward(&xt, Some(&x))?)
            } else {
                (layer.forward(&x, None)?, layer_t.forward(&xt, None)?)
            };
            (x, xt) = (next, next_t);
            probe.see(&format!("crosstransformer.layers.{i}"), &x);
            probe.see(&format!("crosstransformer.layers_t.{i}"), &xt);
        }
        let x = x.reshape((b, t, f, c))?.permute((0, 3, 2, 1))?.contiguous()?;
        let xt = xt.transpose(1, 2)?.contiguous()?.reshape((b, c, 1, steps))?;
        Ok((x, xt))
    }
}

/// Attention and feed-forward, each normalised before, scaled after, added to its input.
#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    norm2: LayerNorm,
    /// Only a cross layer has it: its `norm2` belongs to the other branch.
    norm3: Option<LayerNorm>,
    attention: Attention,
    gamma1: Tensor,
    linear1: Linear,
    linear2: Linear,
    gamma2: Tensor,
    norm_out: SampleNorm,
}

impl Layer {
    fn new(c: usize, cross: bool, config: &Config, vb: &VarBuilder) -> Result<Self> {
        let hidden = (c as f64 * config.t_hidden_scale) as usize;
        let attention = if cross { "cross_attn" } else { "self_attn" };
        let norm3 = cross.then(|| layer_norm(c, 1e-5, vb.pp("norm3")));
        Ok(Self {
            norm1: layer_norm(c, 1e-5, vb.pp("norm1"))?,
            norm2: layer_norm(c, 1e-5, vb.pp("norm2"))?,
            norm3: norm3.transpose()?,
            attention: Attention::new(c, config.t_heads, &vb.pp(attention))?,
            gamma1: vb.pp("gamma_1").get(c, "scale")?,
            linear1: linear(c, hidden, vb.pp("linear1"))?,
            linear2: linear(hidden, c, vb.pp("linear2"))?,
            gamma2: vb.pp("gamma_2").get(c, "scale")?,
            norm_out: SampleNorm::new(c, &vb.pp("norm_out"))?,
        })
    }

    /// `x [B, T, C]`; keys and values come from `other [B, T', C]`, or from `x` itself.
    fn forward(&self, x: &Tensor, other: Option<&Tensor>) -> Result<Tensor> {
        let query = self.norm1.forward(x)?;
        let (attended, norm) = match (other, &self.norm3) {
            (Some(other), Some(norm3)) => {
                (self.attention.forward(&query, &self.norm2.forward(other)?)?, norm3)
            }
            _ => (self.attention.forward(&query, &query)?, &self.norm2),
        };
        let x = (x + attended.broadcast_mul(&self.gamma1)?)?;
        let y = self.linear2.forward(&self.linear1.forward(&norm.forward(&x)?)?.gelu_erf()?)?;
        let x = (x + y.broadcast_mul(&self.gamma2)?)?;
        self.norm_out.forward_tokens(&x)
    }
}

/// Multi-head attention with biased projections.
#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl Attention {
    fn new(c: usize, heads: usize, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get((3 * c, c), "in_proj_weight")?;
        let bias = vb.get(3 * c, "in_proj_bias")?;
        let part = |i: usize| -> Result<Linear> {
            Ok(Linear::new(weight.narrow(0, i * c, c)?, Some(bias.narrow(0, i * c, c)?)))
        };
        let out = linear(c, c, vb.pp("out_proj"))?;
        Ok(Self { query: part(0)?, key: part(1)?, value: part(2)?, out, heads })
    }

    /// `x [B, T, C]` attends to `other [B, T', C]`. One head at a time: the scores of all heads
    /// of a segment would take 231 MB, those of one take 29 MB.
    fn forward(&self, x: &Tensor, other: &Tensor) -> Result<Tensor> {
        let size = x.dim(D::Minus1)? / self.heads;
        let query = (self.query.forward(x)? * (1.0 / (size as f64).sqrt()))?;
        let (key, value) = (self.key.forward(other)?, self.value.forward(other)?);
        let head = |i: usize| -> Result<Tensor> {
            let part = |x: &Tensor| x.narrow(D::Minus1, i * size, size)?.contiguous();
            let scores = part(&query)?.matmul(&part(&key)?.t()?)?;
            candle_nn::ops::softmax_last_dim(&scores)?.matmul(&part(&value)?)
        };
        let heads = (0..self.heads).map(head).collect::<Result<Vec<_>>>()?;
        self.out.forward(&Tensor::cat(&heads, D::Minus1)?)
    }
}
