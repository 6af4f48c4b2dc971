//! The cross-domain transformer, a block of tokens at a time: two phases a layer, between which only queries,
//! keys and values go through memory.

use candle_core::Result;
use rayon::prelude::*;

use super::attention::{self, Attention, KEYS};
use super::buffer::Buffer;
use super::dconv::{Norm, merged};
use super::isa::Isa;
use super::layout::padded;
use super::operations::Part;
use super::packed::Packed;
use super::product::{Finish, Out, Product, Runs, Sums};
use super::scratch::{Pool, Scratch};
use super::tensors::Tensors;
use crate::model::Config;

/// Tokens of a block: enough to make good use of the weights and keys that every block reads from outside the
/// cache of its core, and a whole number of groups of keys.
const BLOCK: usize = 2 * KEYS;
/// Hidden channels between the two linear maps that are computed at a time.
const HIDDEN: usize = 512;

/// Layers that alternate between attention inside each branch and attention across the two.
#[derive(Debug)]
pub(super) struct Transformer {
    /// Of both branches, frequency first.
    layers: [Vec<Layer>; 2],
    cross_first: bool,
    sizes: Sizes,
}

/// Widths of the network's tokens.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    channels: usize,
    width: usize,
    heads: usize,
    /// Floats of a head.
    head: usize,
    head_width: usize,
    /// Hidden channels between the two linear maps.
    hidden: usize,
    /// Floats of a group's keys, and of its values, of one head.
    group: (usize, usize),
}

/// One branch on its way through the layers.
#[derive(Debug, Default)]
pub(super) struct Branch {
    /// `[tokens, width]`.
    pub(super) x: Buffer,
    queries: Buffer,
    /// For each group of tokens the keys and then the values of all heads.
    keys_values: Buffer,
    sums: Vec<Sums>,
    /// The norm at a layer's end, which is still to be applied to `x`.
    norm: [Vec<f32>; 2],
    tokens: usize,
}

impl Branch {
    /// Room for so many tokens.
    pub(super) fn new(tokens: usize, transformer: &Transformer) -> Self {
        let sizes = &transformer.sizes;
        Self {
            x: Buffer::zeros(tokens * sizes.width),
            queries: Buffer::zeros(tokens * sizes.width),
            keys_values: Buffer::zeros(tokens.div_ceil(KEYS) * sizes.group()),
            sums: Vec::new(),
            norm: [Vec::new(), Vec::new()],
            tokens,
        }
    }
}

impl Sizes {
    /// Floats of the keys and values of a group.
    fn group(&self) -> usize {
        self.heads * (self.group.0 + self.group.1)
    }
}

#[derive(Debug)]
struct LayerNorm {
    weight: Buffer,
    bias: Buffer,
}

impl LayerNorm {
    fn new(prefix: &str, channels: usize, tensors: &mut Tensors) -> Result<Self> {
        Ok(Self {
            weight: tensors.vector(&format!("{prefix}.weight"), channels)?,
            bias: tensors.vector(&format!("{prefix}.bias"), channels)?,
        })
    }
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    norm2: LayerNorm,
    /// Only a cross layer has it: its `norm2` belongs to the other branch.
    norm3: Option<LayerNorm>,
    query: Packed,
    key: Packed,
    /// One for each head.
    value: Vec<Packed>,
    out: Packed,
    /// Parts of both maps that have the same hidden channels.
    linear: Vec<[Packed; 2]>,
    norm_out: Norm,
}

impl Layer {
    fn new(sizes: &Sizes, cross: bool, prefix: &str, tensors: &mut Tensors) -> Result<Self> {
        let &Sizes { channels: c, width, heads, head, head_width, hidden, .. } = sizes;
        let form = tensors.form;
        let attention = format!("{prefix}.{}", if cross { "cross_attn" } else { "self_attn" });
        let weight = tensors.take(&format!("{attention}.in_proj_weight"), &[3 * c, c])?;
        let bias = tensors.take(&format!("{attention}.in_proj_bias"), &[3 * c])?;
        let projection = |first: usize, n: usize, gain: f32| {
            let value = |k: usize, n: usize| if k < c { weight[(first + n) * c + k] * gain } else { 0.0 };
            let bias: Vec<f32> = bias[first..first + n].iter().map(|bias| bias * gain).collect();
            Packed::new(form, (1, width), n, value, &bias)
        };
        // What is scaled at the end of a residual branch is scaled in its last weights.
        let scaled = |name: &str, scale: &str, k: usize, tensors: &mut Tensors| -> Result<_> {
            let scale = tensors.take(&format!("{prefix}.{scale}.scale"), &[c])?;
            let mut weight = tensors.take(&format!("{name}.weight"), &[c, k])?;
            let mut bias = tensors.take(&format!("{name}.bias"), &[c])?;
            for ((row, bias), scale) in weight.chunks_exact_mut(k).zip(&mut bias).zip(&scale) {
                for weight in row {
                    *weight *= scale;
                }
                *bias *= scale;
            }
            Ok((weight, bias))
        };
        let (out, out_bias) = scaled(&format!("{attention}.out_proj"), "gamma_1", c, tensors)?;
        let attended = |k: usize, n: usize| {
            let (at, d) = (k / head_width, k % head_width);
            if d < head { out[n * c + at * head + d] } else { 0.0 }
        };
        let linear1 = tensors.take(&format!("{prefix}.linear1.weight"), &[hidden, c])?;
        let linear1_bias = tensors.take(&format!("{prefix}.linear1.bias"), &[hidden])?;
        let (linear2, linear2_bias) = scaled(&format!("{prefix}.linear2"), "gamma_2", hidden, tensors)?;
        let nothing = vec![0.0; c];
        let linear = (0..hidden).step_by(HIDDEN).map(|first| {
            let part = HIDDEN.min(hidden - first);
            let up = |k: usize, n: usize| if k < c { linear1[(first + n) * c + k] } else { 0.0 };
            let down = |k: usize, n: usize| if k < part { linear2[n * hidden + first + k] } else { 0.0 };
            // The second map's bias is added once.
            let bias = if first == 0 { &linear2_bias } else { &nothing };
            let up = Packed::new(form, (1, width), part, up, &linear1_bias[first..first + part]);
            [up, Packed::new(form, (1, padded(part)), c, down, bias)]
        });
        let linear = linear.collect();
        let norm =
            |name: &str, tensors: &mut Tensors| LayerNorm::new(&format!("{prefix}.{name}"), c, tensors);
        Ok(Self {
            norm1: norm("norm1", tensors)?,
            norm2: norm("norm2", tensors)?,
            norm3: cross.then(|| norm("norm3", tensors)).transpose()?,
            query: projection(0, c, 1.0 / (head as f32).sqrt()),
            key: projection(c, c, 1.0),
            value: (0..heads).map(|at| projection(2 * c + at * head, head, 1.0)).collect(),
            out: Packed::new(form, (1, heads * head_width), c, attended, &out_bias),
            linear,
            norm_out: Norm {
                weight: tensors.vector(&format!("{prefix}.norm_out.weight"), c)?,
                bias: tensors.vector(&format!("{prefix}.norm_out.bias"), c)?,
            },
        })
    }
}

impl Transformer {
    pub(super) fn new(config: &Config, tensors: &mut Tensors) -> Result<Self> {
        let channels = config.transformer_channels();
        let head = channels / config.t_heads;
        let sizes = Sizes {
            channels,
            width: padded(channels),
            heads: config.t_heads,
            head,
            head_width: padded(head),
            hidden: (channels as f64 * config.t_hidden_scale) as usize,
            group: attention::group(tensors.form, head),
        };
        let mut layers = |branch: &str| -> Result<Vec<Layer>> {
            (0..config.t_layers)
                .map(|i| {
                    let cross = (i % 2 == 0) == config.t_cross_first;
                    Layer::new(&sizes, cross, &format!("crosstransformer.{branch}.{i}"), tensors)
                })
                .collect()
        };
        let layers = [layers("layers")?, layers("layers_t")?];
        Ok(Self { layers, cross_first: config.t_cross_first, sizes })
    }

    /// Floats of a token, its channels rounded up to whole vectors.
    pub(super) fn width(&self) -> usize {
        self.sizes.width
    }

    /// Both branches through all layers, in place.
    pub(super) fn forward(
        &self,
        isa: &Isa,
        pool: &Pool,
        branches: &mut [Branch; 2],
        seen: &mut dyn FnMut(Part),
    ) {
        let [layers, layers_t] = &self.layers;
        for (i, layers) in layers.iter().zip(layers_t).enumerate() {
            let cross = (i % 2 == 0) == self.cross_first;
            let [x, xt] = branches;
            let [theirs, theirs_t] = if cross { [layers.1, layers.0] } else { [layers.0, layers.1] };
            rayon::join(
                || self.project(isa, pool, layers.0, theirs, x),
                || self.project(isa, pool, layers.1, theirs_t, xt),
            );
            seen(Part::Project(i));
            let (own, own_t) = (std::mem::take(&mut x.keys_values), std::mem::take(&mut xt.keys_values));
            let (keys, keys_t) = ((&own[..], x.tokens), (&own_t[..], xt.tokens));
            let [keys, keys_t] = if cross { [keys_t, keys] } else { [keys, keys_t] };
            rayon::join(
                || self.attend(isa, pool, layers.0, x, keys),
                || self.attend(isa, pool, layers.1, xt, keys_t),
            );
            (x.keys_values, xt.keys_values) = (own, own_t);
            seen(Part::Attend(i));
        }
        for branch in branches {
            let Branch { x, norm, .. } = branch;
            if !norm[0].is_empty() {
                x.par_chunks_mut(BLOCK * self.sizes.width)
                    .for_each(|x| isa.norm(x, self.sizes.width, &norm[0], &norm[1]));
                norm.iter_mut().for_each(Vec::clear);
            }
        }
    }

    /// Queries of `own` layer for the tokens of a branch, and the keys and values that `theirs` makes of them.
    fn project(&self, isa: &Isa, pool: &Pool, own: &Layer, theirs: &Layer, branch: &mut Branch) {
        let &Sizes { channels, width, heads, head, head_width, .. } = &self.sizes;
        let Branch { x, queries, keys_values, norm, .. } = branch;
        let blocks = x.par_chunks_mut(BLOCK * width).zip(queries.par_chunks_mut(BLOCK * width));
        let groups = keys_values.par_chunks_mut(BLOCK / KEYS * self.sizes.group());
        blocks.zip(groups).for_each(|((x, queries), groups)| {
            if !norm[0].is_empty() {
                isa.norm(x, width, &norm[0], &norm[1]);
            }
            let tokens = x.len() / width;
            pool.with(|scratch| {
                let Scratch { normal, attended, wide, .. } = scratch;
                let normal = normal.at_least(x.len());
                let keys = attended.at_least(x.len());
                isa.layer_norm(x, normal, (width, channels), &own.norm1.weight, &own.norm1.bias);
                isa.product(
                    &linear(normal, width, tokens, &own.query),
                    Finish::Store(tokens_of(queries, width)),
                );
                if !std::ptr::eq(own, theirs) {
                    isa.layer_norm(x, normal, (width, channels), &theirs.norm2.weight, &theirs.norm2.bias);
                }
                isa.product(
                    &linear(normal, width, tokens, &theirs.key),
                    Finish::Store(tokens_of(keys, width)),
                );
                let parts = normal.chunks(KEYS * width).zip(keys.chunks(KEYS * width));
                for ((normal, keys), group) in parts.zip(groups.chunks_exact_mut(self.sizes.group())) {
                    let tokens = keys.len() / width;
                    let (to, to_values) = group.split_at_mut(heads * self.sizes.group.0);
                    for (at, to) in to.chunks_exact_mut(self.sizes.group.0).enumerate() {
                        isa.keys(&keys[at * head..], width, tokens, head, to);
                    }
                    let rows = wide.at_least(tokens * head_width);
                    for (value, to) in theirs.value.iter().zip(to_values.chunks_exact_mut(self.sizes.group.1))
                    {
                        isa.product(
                            &linear(normal, width, tokens, value),
                            Finish::Store(tokens_of(rows, head_width)),
                        );
                        isa.values(rows, head_width, tokens, head, to);
                    }
                }
            });
        });
    }

    /// The rest of a layer: attention to `count` keys and values, and the linear maps.
    fn attend(
        &self,
        isa: &Isa,
        pool: &Pool,
        layer: &Layer,
        branch: &mut Branch,
        (keys_values, count): (&[f32], usize),
    ) {
        let &Sizes { channels, width, heads, head, head_width, .. } = &self.sizes;
        let (all, group) = (heads * head_width, self.sizes.group());
        let Branch { x, queries, sums, norm, tokens, .. } = branch;
        sums.clear();
        sums.resize(tokens.div_ceil(BLOCK), Sums::default());
        let blocks = x.par_chunks_mut(BLOCK * width).zip(queries.par_chunks(BLOCK * width));
        blocks.zip(sums.par_iter_mut()).for_each(|((x, queries), sums)| {
            let tokens = x.len() / width;
            pool.with(|scratch| {
                let Scratch { normal, attended, wide, scores, .. } = scratch;
                let attended = attended.at_least(tokens * all);
                let scores = scores.at_least(attention::scratch(tokens));
                for at in 0..heads {
                    let attention = Attention {
                        queries: &queries[at * head..],
                        stride: width,
                        tokens,
                        size: head,
                        keys: &keys_values[at * self.sizes.group.0..],
                        values: &keys_values[heads * self.sizes.group.0 + at * self.sizes.group.1..],
                        group_stride: group,
                        width: head_width,
                        count,
                    };
                    isa.attend(&attention, &mut attended[at * head_width..], all, scores);
                }
                isa.product(&linear(attended, all, tokens, &layer.out), Finish::Add(tokens_of(x, width)));

                let norm = layer.norm3.as_ref().unwrap_or(&layer.norm2);
                let normal = normal.at_least(x.len());
                isa.layer_norm(x, normal, (width, channels), &norm.weight, &norm.bias);
                for [up, down] in &layer.linear {
                    let wide_width = up.columns();
                    let wide = wide.at_least(tokens * wide_width);
                    isa.product(
                        &linear(normal, width, tokens, up),
                        Finish::Gelu(tokens_of(wide, wide_width)),
                    );
                    isa.product(&linear(wide, wide_width, tokens, down), Finish::Add(tokens_of(x, width)));
                }
                isa.sums(x, width, sums);
            });
        });
        layer.norm_out.affine(&merged(sums), *tokens * channels, norm);
    }
}

/// Tokens side by side through a linear map.
pub(super) fn linear<'a>(input: &'a [f32], width: usize, tokens: usize, weights: &'a Packed) -> Product<'a> {
    Product { input, stride: width, runs: Runs::one(0, weights.k()), first_run: 0, tokens, weights }
}

/// A result of tokens side by side.
pub(super) fn tokens_of(values: &mut [f32], width: usize) -> Out<'_> {
    Out { values, stride: width, columns: width }
}
