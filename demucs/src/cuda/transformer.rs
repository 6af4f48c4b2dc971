//! The cross-domain transformer: both branches' tokens through layers that attend to themselves or to each other.

use crate::error::Result;
use crate::model::{Config, position};

use super::arguments::{Attention, LayerNorm};
use super::compiler::{Compiler, With};
use super::matrix::{Matrix, Taps};
use super::shape::{Place, Shape, flat, padded};
use super::step::Finish;

/// One branch on its way through the layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch {
    /// `""` for frequency, `"_t"` for time.
    suffix: &'static str,
    /// The residual stream, in floats.
    stream: Place,
    /// Its tokens normalised.
    normal: Place,
    /// Queries, keys and values of all heads side by side.
    projected: Place,
    attended: Place,
    wide: Place,
    /// The norm at a layer's end which is still to be applied to the stream: its moments, weights and biases.
    pending: Option<[u64; 3]>,
}

/// Widths of the network's tokens.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    channels: usize,
    heads: usize,
    head: usize,
    head_width: usize,
    hidden: usize,
}

impl Sizes {
    fn new(config: &Config) -> Self {
        let channels = config.transformer_channels();
        let head = channels / config.t_heads;
        Self {
            channels,
            heads: config.t_heads,
            head,
            head_width: padded(head),
            hidden: (channels as f64 * config.t_hidden_scale) as usize,
        }
    }

    /// All heads' elements of a token.
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// The channel of an element of all heads, if it is one.
    fn channel(&self, element: usize) -> Option<usize> {
        let (head, place) = (element / self.head_width, element % self.head_width);
        (place < self.head).then_some(head * self.head + place)
    }
}

impl Compiler<'_> {
    /// From the last encoder's tokens to the transformer's, with their positions.
    pub(super) fn enter(&mut self, config: &Config, suffix: &'static str, from: &Place) -> Result<Branch> {
        let sizes = Sizes::new(config);
        let (outer, c) = (config.hidden_channels(config.depth - 1), sizes.channels);
        let tokens = from.shape.count();
        let dense = |width: usize| Shape::dense(1, tokens, padded(width));
        let branch = Branch {
            suffix,
            stream: self.floats(dense(c))?,
            normal: self.place(dense(c))?,
            projected: self.place(dense(3 * sizes.width()))?,
            attended: self.place(dense(sizes.width()))?,
            wide: self.place(dense(sizes.hidden))?,
            pending: None,
        };
        let up = self.bottleneck(config, &format!("channel_upsampler{suffix}"), outer, c)?;
        let (rows, row_tokens) = (from.shape.rows, from.shape.tokens);
        let stream = Place { shape: Shape::dense(rows, row_tokens, padded(c)), ..branch.stream };
        self.product(from.view(), &up, Finish::StoreFloat, stream.view(), With::default());

        let positions = positions(config, suffix, rows, row_tokens)?;
        let norm = LayerNorm {
            weight: self.vector(&format!("crosstransformer.norm_in{suffix}.weight"), c)?,
            bias: self.vector(&format!("crosstransformer.norm_in{suffix}.bias"), c)?,
            added: self.constants(&positions)?,
            output: branch.stream.address,
            ..tokens_of(&branch, c)
        };
        self.layer_norm(norm, true);
        Ok(branch)
    }

    /// Both branches through all layers, frequency first.
    pub(super) fn transform(&mut self, config: &Config, branches: &mut [Branch; 2]) -> Result<()> {
        let sizes = Sizes::new(config);
        for layer in 0..config.t_layers {
            let cross = (layer % 2 == 0) == config.t_cross_first;
            for i in 0..2 {
                self.project(sizes, layer, cross, branches, i)?;
            }
            for i in 0..2 {
                let keys = branches[if cross { 1 - i } else { i }].projected;
                self.attend(sizes, layer, cross, &mut branches[i], &keys)?;
            }
        }
        Ok(())
    }

    /// Added to the last skip connection.
    pub(super) fn leave(&mut self, config: &Config, branch: &mut Branch, to: &Place) -> Result<()> {
        let (outer, c) = (config.hidden_channels(config.depth - 1), config.transformer_channels());
        let output = LayerNorm { output: branch.normal.address, ..pending(branch, c) };
        self.layer_norm(output, false);
        let down = self.bottleneck(config, &format!("channel_downsampler{}", branch.suffix), c, outer)?;
        let shape = Shape::dense(to.shape.rows, to.shape.tokens, padded(c));
        let from = Place { shape, ..branch.normal };
        self.product(from.view(), &down, Finish::Add, to.view(), With::default());
        Ok(())
    }

    /// A pointwise map into or out of the transformer's width; where there is none, what leaves everything as it is.
    fn bottleneck(&mut self, config: &Config, name: &str, from: usize, to: usize) -> Result<Matrix> {
        let taps = Taps::run(0, from);
        if config.bottom_channels == 0 {
            return self.matrix(&taps, to, |_, c, n| f32::from(u8::from(c == n)), |_| 0.0);
        }
        let weight = self.tensors.take(&format!("{name}.weight"), &[to, from, 1])?;
        let bias = self.tensors.take(&format!("{name}.bias"), &[to])?;
        self.matrix(&taps, to, |_, c, n| weight[n * from + c], |n| bias[n])
    }

    /// Queries of a branch's own layer, and keys and values for who attends to it.
    fn project(
        &mut self,
        sizes: Sizes,
        layer: usize,
        cross: bool,
        branches: &mut [Branch; 2],
        i: usize,
    ) -> Result<()> {
        let (own, theirs) = (branches[i].suffix, branches[if cross { 1 - i } else { i }].suffix);
        let branch = &mut branches[i];
        let c = sizes.channels;
        let prefix = |suffix: &str| format!("crosstransformer.layers{suffix}.{layer}");
        let norm = |name: &str| (format!("{name}.weight"), format!("{name}.bias"));

        let (weight, bias) = norm(&format!("{}.norm1", prefix(own)));
        let args = LayerNorm {
            weight: self.vector(&weight, c)?,
            bias: self.vector(&bias, c)?,
            output: branch.normal.address,
            ..pending(branch, c)
        };
        self.layer_norm(args, false);
        if !cross {
            let all = self.projection(sizes, &format!("{}.self_attn", prefix(own)), 0..3)?;
            self.product(flat(&branch.normal), &all, Finish::Store, flat(&branch.projected), With::default());
            return Ok(());
        }
        let queries = self.projection(sizes, &format!("{}.cross_attn", prefix(own)), 0..1)?;
        self.product(flat(&branch.normal), &queries, Finish::Store, flat(&branch.projected), With::default());
        let (weight, bias) = norm(&format!("{}.norm2", prefix(theirs)));
        let args = LayerNorm {
            weight: self.vector(&weight, c)?,
            bias: self.vector(&bias, c)?,
            output: branch.normal.address,
            ..tokens_of(branch, c)
        };
        self.layer_norm(args, false);
        let keys_values = self.projection(sizes, &format!("{}.cross_attn", prefix(theirs)), 1..3)?;
        let mut to = flat(&branch.projected);
        to.layout.start += sizes.width() as i64;
        self.product(flat(&branch.normal), &keys_values, Finish::Store, to, With::default());
        Ok(())
    }

    /// Of queries (0), keys (1) and values (2) those that are asked for, heads side by side.
    fn projection(&mut self, sizes: Sizes, prefix: &str, parts: std::ops::Range<usize>) -> Result<Matrix> {
        let Sizes { channels: c, .. } = sizes;
        let (weight, bias) = self.in_projection(prefix, c)?;
        let width = sizes.width();
        let row = |n: usize| sizes.channel(n % width).map(|channel| (parts.start + n / width) * c + channel);
        self.matrix(
            &Taps::run(0, c),
            parts.len() * width,
            |_, k, n| row(n).map_or(0.0, |row| weight[row * c + k]),
            |n| row(n).map_or(0.0, |row| bias[row]),
        )
    }

    /// Attention, and the linear maps behind it.
    fn attend(
        &mut self,
        sizes: Sizes,
        layer: usize,
        cross: bool,
        branch: &mut Branch,
        keys: &Place,
    ) -> Result<()> {
        let Sizes { channels: c, heads, head, head_width, hidden } = sizes;
        let width = sizes.width();
        let prefix = format!("crosstransformer.layers{}.{layer}", branch.suffix);
        let element = if self.half() { 2 } else { 4 };
        let (queries, tokens) = (&branch.projected, |place: &Place| place.shape.tokens);
        self.attention(
            Attention {
                queries: queries.address,
                keys: keys.address + (width * element) as u64,
                values: keys.address + (2 * width * element) as u64,
                output: branch.attended.address,
                query_batch: queries.shape.len() as i64,
                key_batch: keys.shape.len() as i64,
                output_batch: branch.attended.shape.len() as i64,
                query_token: queries.shape.width as i32,
                key_token: keys.shape.width as i32,
                output_token: branch.attended.shape.width as i32,
                query_tokens: tokens(queries) as i32,
                key_tokens: tokens(keys) as i32,
                heads: heads as i32,
                scale: 1.0 / (head as f32).sqrt(),
            },
            head_width,
        );
        let attention = format!("{prefix}.{}", if cross { "cross_attn" } else { "self_attn" });
        let (weight, bias) =
            self.scaled(&format!("{attention}.out_proj"), &format!("{prefix}.gamma_1"), c, c)?;
        let value =
            |_: usize, k: usize, n: usize| sizes.channel(k).map_or(0.0, |channel| weight[n * c + channel]);
        let out = self.matrix(&Taps::run(0, width), c, value, |n| bias[n])?;
        self.product(flat(&branch.attended), &out, Finish::AddFloat, flat(&branch.stream), With::default());

        let name = if cross { "norm3" } else { "norm2" };
        let args = LayerNorm {
            weight: self.vector(&format!("{prefix}.{name}.weight"), c)?,
            bias: self.vector(&format!("{prefix}.{name}.bias"), c)?,
            output: branch.normal.address,
            ..tokens_of(branch, c)
        };
        self.layer_norm(args, false);
        let weight = self.tensors.take(&format!("{prefix}.linear1.weight"), &[hidden, c])?;
        let bias = self.tensors.take(&format!("{prefix}.linear1.bias"), &[hidden])?;
        let up = self.matrix(&Taps::run(0, c), hidden, |_, k, n| weight[n * c + k], |n| bias[n])?;
        self.product(flat(&branch.normal), &up, Finish::Gelu, flat(&branch.wide), With::default());
        let (weight, bias) =
            self.scaled(&format!("{prefix}.linear2"), &format!("{prefix}.gamma_2"), c, hidden)?;
        let down = self.matrix(&Taps::run(0, hidden), c, |_, k, n| weight[n * hidden + k], |n| bias[n])?;
        let groups = With { group_tokens: branch.stream.shape.tokens, ..With::default() };
        self.product(flat(&branch.wide), &down, Finish::AddFloatSums, flat(&branch.stream), groups);
        branch.pending = Some([
            self.moments(1, branch.stream.shape.tokens * c)?,
            self.vector(&format!("{prefix}.norm_out.weight"), c)?,
            self.vector(&format!("{prefix}.norm_out.bias"), c)?,
        ]);
        Ok(())
    }

    /// Weights `[3 * c, c]` and biases of queries, keys and values; cross layers ask for them twice.
    fn in_projection(&mut self, prefix: &str, c: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((
            self.tensors.look(&format!("{prefix}.in_proj_weight"), &[3 * c, c])?,
            self.tensors.look(&format!("{prefix}.in_proj_bias"), &[3 * c])?,
        ))
    }

    /// A linear map whose result is scaled at the end of a residual branch: the scale is in its weights.
    fn scaled(&mut self, name: &str, scale: &str, n: usize, k: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let scale = self.tensors.take(&format!("{scale}.scale"), &[n])?;
        let mut weight = self.tensors.take(&format!("{name}.weight"), &[n, k])?;
        let mut bias = self.tensors.take(&format!("{name}.bias"), &[n])?;
        for ((row, bias), scale) in weight.chunks_exact_mut(k).zip(&mut bias).zip(&scale) {
            for weight in row {
                *weight *= scale;
            }
            *bias *= scale;
        }
        Ok((weight, bias))
    }
}

/// The stream with the norm that is still to be applied to it, which this does.
fn pending(branch: &mut Branch, channels: usize) -> LayerNorm {
    let [moments, group_weight, group_bias] = branch.pending.take().unwrap_or_default();
    LayerNorm { moments, group_weight, group_bias, ..tokens_of(branch, channels) }
}

/// Norms of the stream's tokens, none of which is asked for yet.
fn tokens_of(branch: &Branch, channels: usize) -> LayerNorm {
    LayerNorm {
        stream: branch.stream.address,
        tokens: branch.stream.shape.tokens as i32,
        channels: channels as i32,
        width: branch.stream.shape.width as i32,
        ..LayerNorm::default()
    }
}

/// Positions of all tokens in their order here, scaled: `[tokens, width]`.
fn positions(config: &Config, suffix: &str, rows: usize, row_tokens: usize) -> Result<Vec<f32>> {
    let (c, period) = (config.transformer_channels(), config.t_max_period);
    let device = candle_core::Device::Cpu;
    let table = match suffix {
        // The table goes bins first, the tokens here frames first.
        "" => position::grid(rows, row_tokens, c, period, &device)?,
        _ => position::sequence(row_tokens, c, period, &device)?,
    };
    let table = table.flatten_all()?.to_vec1::<f32>()?;
    let width = padded(c);
    let mut positions = vec![0.0; rows * row_tokens * width];
    for (token, to) in positions.chunks_exact_mut(width).enumerate() {
        let from = token % row_tokens * rows + token / row_tokens;
        for (to, value) in to.iter_mut().zip(&table[from * c..][..c]) {
            *to = value * config.t_weight_pos_embed as f32;
        }
    }
    Ok(positions)
}
