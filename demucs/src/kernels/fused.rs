//! The whole network.

use std::fmt;

use candle_core::Result;
use rayon::prelude::*;

use super::Kernels;
use super::buffer::Buffer;
use super::dconv::LineWork;
use super::isa::Isa;
use super::layout::{Grid, Line, padded};
use super::operations::{self, Block};
use super::packed::Packed;
use super::product::{Finish, Sums};
use super::scratch::{Pool, Scratch};
use super::spectrum::{Spectrum, interleave};
use super::tensors::Tensors;
use super::transformer::{Branch, Transformer, linear, tokens_of};
use super::{dconv::DConv, frequency, time};
use crate::error::Error;
use crate::model::{Config, position};
use crate::weights::Checkpoint;

/// An HTDemucs network whose values stay in the cache from one operation to the next: the same mathematics as
/// [`crate::model::HTDemucs`], on the CPU only.
///
/// The result depends on the instruction set, not on threads or batch.
#[derive(Debug)]
pub struct Fused {
    config: Config,
    isa: Isa,
    spectrum: Spectrum,
    encoder: Vec<frequency::Encoder>,
    tencoder: Vec<time::Encoder>,
    decoder: Vec<frequency::Decoder>,
    tdecoder: Vec<time::Decoder>,
    /// Added behind the first frequency encoder: one row of channels for each row of frequency.
    embedding: Option<Buffer>,
    /// Between the encoders and the transformer, frequency first.
    entries: [Entry; 2],
    transformer: Transformer,
    shapes: Shapes,
    pool: Pool,
    workspaces: Pool<Workspace>,
}

/// Maps into and out of the transformer's width.
#[derive(Debug)]
struct Entry {
    up: Option<Packed>,
    down: Option<Packed>,
    norm: [Buffer; 2],
    channels: usize,
    /// Positions of all tokens.
    positions: Buffer,
}

/// Where everything lies.
#[derive(Debug)]
struct Shapes {
    channels: usize,
    input: Grid,
    input_t: Line,
    /// Behind each encoder, with the margins that decoders need.
    grids: Vec<Grid>,
    lines: Vec<Line>,
    /// Between the convolutions of each layer.
    middles: Vec<Grid>,
    middles_t: Vec<Line>,
    output: Grid,
    output_t: Line,
}

/// The memory of one segment.
struct Workspace {
    spectra: Buffer,
    partial: Vec<[f64; 2]>,
    input: Buffer,
    input_t: Buffer,
    skips: Vec<Buffer>,
    skips_t: Vec<Buffer>,
    middle: Buffer,
    middle_t: Buffer,
    hidden: Buffer,
    sums: Vec<Sums>,
    norm: [Vec<f32>; 2],
    branches: [Branch; 2],
    output: Buffer,
    output_t: Buffer,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}

impl Fused {
    /// Builds the network of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it describes another kind of network, [`Error::Tensor`] when a weight is missing
    /// or of another shape, [`Error::Request`] for kernels that this processor lacks.
    pub fn from_checkpoint(checkpoint: Checkpoint, kernels: Kernels) -> crate::Result<Self> {
        let lacking = || Error::Request(format!("this processor has no {kernels}"));
        let isa = kernels.isa().ok_or_else(lacking)?;
        let config = Config::from_kwargs(&checkpoint.kwargs)?;
        Ok(Self::new(config, isa, Tensors::new(checkpoint.tensors, isa.form()))?)
    }

    /// Builds the network that `config` describes from tensors named as in the checkpoint.
    ///
    /// # Errors
    /// A missing tensor or one of another shape, by name.
    pub(super) fn new(config: Config, isa: Isa, mut tensors: Tensors) -> Result<Self> {
        let tensors = &mut tensors;
        let shapes = Shapes::new(&config);
        let (depth, audio) = (config.depth, config.audio_channels);
        let width = |layer: usize| config.hidden_channels(layer);
        let mut encoder = Vec::with_capacity(depth);
        let mut tencoder = Vec::with_capacity(depth);
        for i in 0..depth {
            let ci = if i == 0 { 2 * audio } else { width(i - 1) };
            encoder.push(frequency::Encoder::new(i, (ci, width(i)), &config, tensors)?);
            let (ci, row) = if i == 0 { (audio, audio) } else { (width(i - 1), padded(width(i - 1))) };
            tencoder.push(time::Encoder::new(i, (ci, row, width(i)), &config, tensors)?);
        }
        let outputs = audio * config.sources.len();
        let mut decoder = Vec::with_capacity(depth);
        let mut tdecoder = Vec::with_capacity(depth);
        for i in 0..depth {
            let layer = depth - 1 - i;
            let co = if layer == 0 { 2 * outputs } else { width(layer - 1) };
            decoder.push(frequency::Decoder::new(i, (width(layer), co), &config, tensors)?);
            let (co, row) =
                if layer == 0 { (outputs, outputs) } else { (width(layer - 1), padded(width(layer - 1))) };
            tdecoder.push(time::Decoder::new(i, (width(layer), co, row), &config, tensors)?);
        }
        let transformer = Transformer::new(&config, tensors)?;
        Ok(Self {
            isa,
            spectrum: Spectrum::new(config.nfft),
            encoder,
            tencoder,
            decoder,
            tdecoder,
            embedding: embedding(&config, tensors)?,
            entries: [
                Entry::new(&config, &Positions::Grid(shapes.grids[depth - 1]), tensors)?,
                Entry::new(&config, &Positions::Sequence(shapes.lines[depth - 1].tokens), tensors)?,
            ],
            transformer,
            shapes,
            pool: Pool::default(),
            workspaces: Pool::new(),
            config,
        })
    }

    /// What the network was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Separates a batch of segments on the threads of the current pool: `[B, 2, N]` to `[B, S, 2, N]` with N = the
    /// segment's samples.
    ///
    /// # Panics
    /// Where the slices do not fit each other.
    pub fn forward(&self, mix: &[f32], out: &mut [f32]) {
        let n = self.config.segment_frames();
        let (from, to) = (self.config.audio_channels * n, self.shapes.channels * n);
        assert!(mix.len().is_multiple_of(from) && mix.len() / from == out.len() / to, "batches of two sizes");
        mix.par_chunks_exact(from).zip(out.par_chunks_exact_mut(to)).for_each(|(mix, out)| {
            self.workspaces
                .with_or(|| self.workspace(), |workspace| self.segment(mix, out, workspace, &mut |_| ()));
        });
    }

    /// One segment as [`Self::forward`], and what it takes: `seen` hears of every block of the network as soon as it
    /// is computed, with the floating-point operations of its products.
    ///
    /// # Panics
    /// Where the slices are not one segment.
    pub fn profile(&self, mix: &[f32], out: &mut [f32], seen: &mut dyn FnMut(&str, u64)) {
        let n = self.config.segment_frames();
        assert!(mix.len() == self.config.audio_channels * n && out.len() == self.shapes.channels * n);
        let mut tell = |block: Block| seen(&block.to_string(), operations::of(&self.config, block));
        self.workspaces
            .with_or(|| self.workspace(), |workspace| self.segment(mix, out, workspace, &mut tell));
    }

    fn segment(&self, mix: &[f32], out: &mut [f32], workspace: &mut Workspace, seen: &mut dyn FnMut(Block)) {
        let Workspace { spectra, partial, input, input_t, skips, skips_t, .. } = workspace;
        let Workspace { middle, middle_t, hidden, sums, norm, branches, output, output_t, .. } = workspace;
        let (shapes, audio) = (&self.shapes, self.config.audio_channels);
        let (isa, pool, depth) = (&self.isa, &self.pool, self.config.depth);
        let mut work = LineWork { isa, hidden, sums, norm };

        let grid = (shapes.input, &mut input[..]);
        let moments = self.spectrum.forward(mix, audio, self.config.stride, spectra, partial, grid);
        let moments_t = interleave(mix, audio, (shapes.input_t, input_t));
        seen(Block::Spectrum);

        for (i, (encoder, tencoder)) in self.encoder.iter().zip(&self.tencoder).enumerate() {
            let (before, out) = skips_t.split_at_mut(i);
            let from =
                before.last().map_or((shapes.input_t, &input_t[..]), |x| (shapes.lines[i - 1], &x[..]));
            let line = (shapes.middles_t[i], &mut middle_t[..shapes.middles_t[i].len()]);
            tencoder.forward(&mut work, from, line, (shapes.lines[i], &mut out[0]));
            seen(Block::TimeEncoder(i));

            let (before, out) = skips.split_at_mut(i);
            let from = before.last().map_or((shapes.input, &input[..]), |x| (shapes.grids[i - 1], &x[..]));
            let embedding = self.embedding.as_deref().filter(|_| i == 0);
            encoder.forward(isa, pool, from, (shapes.grids[i], &mut out[0]), embedding);
            seen(Block::Encoder(i));
        }

        let (grid, line) = (shapes.grids[depth - 1], shapes.lines[depth - 1]);
        let [entry, entry_t] = &self.entries;
        let rows = (0..grid.rows).map(|row| grid.start(row));
        entry.enter(isa, pool, &skips[depth - 1], grid.width, rows.collect(), &mut branches[0].x);
        entry_t.enter(isa, pool, &skips_t[depth - 1], line.width, vec![line.start()], &mut branches[1].x);
        seen(Block::Enter);
        self.transformer.forward(isa, pool, branches, &mut |part| seen(Block::Transformer(part)));
        let width = self.transformer.width();
        let x = branches[0].x.par_chunks(grid.tokens * width);
        skips[depth - 1].par_chunks_mut(grid.row_len()).zip(x).for_each(|(out, x)| {
            entry.leave(isa, x, width, &mut out[grid.inner()..][..grid.tokens * grid.width], grid.width);
        });
        let block = line.block();
        let x = branches[1].x.par_chunks(block * width);
        line.inner(&mut skips_t[depth - 1]).par_chunks_mut(block * line.width).zip(x).for_each(|(out, x)| {
            entry_t.leave(isa, x, width, out, line.width);
        });

        seen(Block::Leave);
        for (i, (decoder, tdecoder)) in self.decoder.iter().zip(&self.tdecoder).enumerate() {
            let layer = depth - 1 - i;
            let (to, from) = skips.split_at_mut(layer);
            let to = to
                .last_mut()
                .map_or((shapes.output, &mut output[..]), |x| (shapes.grids[layer - 1], &mut x[..]));
            let grid = (shapes.middles[layer], &mut middle[..shapes.middles[layer].len()]);
            decoder.forward(isa, pool, (shapes.grids[layer], &from[0]), grid, to);
            seen(Block::Decoder(i));

            let (to, from) = skips_t.split_at_mut(layer);
            let to = to
                .last_mut()
                .map_or((shapes.output_t, &mut output_t[..]), |x| (shapes.lines[layer - 1], &mut x[..]));
            let line = (shapes.middles_t[layer], &mut middle_t[..shapes.middles_t[layer].len()]);
            tdecoder.forward(&mut work, (shapes.lines[layer], &from[0]), line, to);
            seen(Block::TimeDecoder(i));
        }
        self.spectrum.inverse(
            (shapes.output, output, moments),
            (shapes.output_t, output_t, moments_t),
            shapes.channels,
            out,
        );
        seen(Block::Inverse);
    }

    fn workspace(&self) -> Workspace {
        let shapes = &self.shapes;
        let most = |lens: &mut dyn Iterator<Item = usize>| Buffer::zeros(lens.max().unwrap_or(0));
        let lines = &shapes.lines;
        Workspace {
            spectra: Buffer::zeros(self.spectrum.scratch(self.config.audio_channels, shapes.input.tokens)),
            partial: Vec::new(),
            input: Buffer::zeros(shapes.input.len()),
            input_t: Buffer::zeros(shapes.input_t.len()),
            skips: shapes.grids.iter().map(|grid| Buffer::zeros(grid.len())).collect(),
            skips_t: lines.iter().map(|line| Buffer::zeros(line.len())).collect(),
            middle: most(&mut shapes.middles.iter().map(Grid::len)),
            middle_t: most(&mut shapes.middles_t.iter().map(Line::len)),
            hidden: most(&mut lines.iter().enumerate().map(|(layer, line)| {
                line.tokens * padded(self.config.hidden_channels(layer) / self.config.dconv_comp)
            })),
            sums: Vec::new(),
            norm: [Vec::new(), Vec::new()],
            branches: [
                Branch::new(shapes.grids.last().map_or(0, |g| g.rows * g.tokens), &self.transformer),
                Branch::new(lines.last().map_or(0, |line| line.tokens), &self.transformer),
            ],
            output: Buffer::zeros(shapes.output.len()),
            output_t: Buffer::zeros(shapes.output_t.len()),
        }
    }
}

impl Shapes {
    fn new(config: &Config) -> Self {
        let (stride, audio, depth) = (config.stride, config.audio_channels, config.depth);
        let (reach, tokens) = (DConv::reach(config), config.spectrogram_frames());
        let channels = audio * config.sources.len();
        let around = |tokens: usize, width: usize| Line {
            tokens,
            width,
            before: config.context.max(stride / 2),
            after: config.context.max(2 * stride - 1 - stride / 2),
        };
        let bins = config.nfft / 2;
        let (mut grids, mut lines, mut middles, mut middles_t) = (vec![], vec![], vec![], vec![]);
        let (mut rows, mut steps) = (bins, config.segment_frames());
        for layer in 0..depth {
            (rows, steps) = (rows / stride, steps.div_ceil(stride));
            let width = padded(config.hidden_channels(layer));
            grids.push(Grid { rows, tokens, width, margin: config.context });
            middles.push(Grid { rows, tokens, width, margin: reach });
            lines.push(around(steps, width));
            middles_t.push(Line { tokens: steps, width, before: reach, after: reach });
        }
        Self {
            channels,
            input: Grid { rows: bins / stride + 1, tokens, width: stride * 2 * audio, margin: 0 },
            input_t: around(config.segment_frames(), audio),
            grids,
            lines,
            middles,
            middles_t,
            output: Grid { rows: bins, tokens, width: padded(2 * channels), margin: 0 },
            output_t: around(config.segment_frames(), channels),
        }
    }
}

/// Which tokens a branch of the transformer has.
enum Positions {
    Grid(Grid),
    Sequence(usize),
}

impl Entry {
    fn new(config: &Config, positions: &Positions, tensors: &mut Tensors) -> Result<Self> {
        let (outer, c) = (config.hidden_channels(config.depth - 1), config.transformer_channels());
        let (width, outer_width) = (padded(c), padded(outer));
        let suffix = if matches!(positions, Positions::Grid(_)) { "" } else { "_t" };
        let mut map = |name: &str, k: usize, k_width: usize, n: usize| -> Result<Option<Packed>> {
            if config.bottom_channels == 0 {
                return Ok(None);
            }
            let weight = tensors.take(&format!("{name}{suffix}.weight"), &[n, k, 1])?;
            let bias = tensors.take(&format!("{name}{suffix}.bias"), &[n])?;
            let value = |row: usize, n: usize| if row < k { weight[n * k + row] } else { 0.0 };
            Ok(Some(Packed::new(tensors.form, (1, k_width), n, value, &bias)))
        };
        let up = map("channel_upsampler", outer, outer_width, c)?;
        let down = map("channel_downsampler", c, width, outer)?;
        let prefix = format!("crosstransformer.norm_in{suffix}");
        let norm =
            [tensors.vector(&format!("{prefix}.weight"), c)?, tensors.vector(&format!("{prefix}.bias"), c)?];
        let device = candle_core::Device::Cpu;
        let (table, order): (_, Vec<usize>) = match *positions {
            // The table goes bins first, the tokens here frames first.
            Positions::Grid(grid) => (
                position::grid(grid.rows, grid.tokens, c, config.t_max_period, &device)?,
                (0..grid.rows).flat_map(|row| (0..grid.tokens).map(move |t| t * grid.rows + row)).collect(),
            ),
            Positions::Sequence(tokens) => {
                (position::sequence(tokens, c, config.t_max_period, &device)?, (0..tokens).collect())
            }
        };
        let table = table.flatten_all()?.to_vec1::<f32>()?;
        let mut positions = Buffer::zeros(order.len() * width);
        for (token, from) in positions.chunks_exact_mut(width).zip(order) {
            for (to, value) in token.iter_mut().zip(&table[from * c..][..c]) {
                *to = value * config.t_weight_pos_embed as f32;
            }
        }
        Ok(Self { up, down, norm, channels: c, positions })
    }

    /// Rows of tokens that begin at `starts`, all equally long, to the tokens of the transformer.
    fn enter(
        &self,
        isa: &Isa,
        pool: &Pool,
        from: &[f32],
        from_width: usize,
        starts: Vec<usize>,
        x: &mut [f32],
    ) {
        let width = padded(self.channels);
        let row_tokens = x.len() / width / starts.len();
        let rows = x.par_chunks_mut(row_tokens * width).zip(self.positions.par_chunks(row_tokens * width));
        rows.zip(starts).for_each(|((x, positions), start)| {
            let parts = x.par_chunks_mut(ENTERING * width).zip(positions.par_chunks(ENTERING * width));
            parts.enumerate().for_each(|(i, (x, positions))| {
                let tokens = x.len() / width;
                let from = &from[start + i * ENTERING * from_width..][..tokens * from_width];
                pool.with(|Scratch { normal, .. }| {
                    let raised = match &self.up {
                        Some(up) => {
                            let normal = normal.at_least(x.len());
                            let out = tokens_of(normal, width);
                            isa.product(&linear(from, from_width, tokens, up), Finish::Store(out));
                            &*normal
                        }
                        None => from,
                    };
                    isa.layer_norm(raised, x, (width, self.channels), &self.norm[0], &self.norm[1]);
                });
                for (x, position) in x.iter_mut().zip(positions) {
                    *x += position;
                }
            });
        });
    }

    /// Tokens of the transformer, added to those of the skip connection.
    fn leave(&self, isa: &Isa, x: &[f32], width: usize, out: &mut [f32], out_width: usize) {
        match &self.down {
            Some(down) => {
                let product = linear(x, width, out.len() / out_width, down);
                isa.product(&product, Finish::Add(tokens_of(out, out_width)));
            }
            None => out.iter_mut().zip(x).for_each(|(out, x)| *out += x),
        }
    }
}

/// Tokens that enter the transformer in one task.
const ENTERING: usize = 96;

fn embedding(config: &Config, tensors: &mut Tensors) -> Result<Option<Buffer>> {
    if config.freq_emb == 0.0 {
        return Ok(None);
    }
    let (rows, c) = (config.nfft / 2 / config.stride, config.channels);
    let weight = tensors.take("freq_emb.embedding.weight", &[rows, c])?;
    let mut embedding = Buffer::zeros(rows * padded(c));
    for (to, from) in embedding.chunks_exact_mut(padded(c)).zip(weight.chunks_exact(c)) {
        for (to, weight) in to.iter_mut().zip(from) {
            *to = weight * (config.freq_emb * config.emb_scale) as f32;
        }
    }
    Ok(Some(embedding))
}
